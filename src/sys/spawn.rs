//! clone and exec: the worker gets 0, 1, 2 and nothing else, and the signals as quell found them.
//!
//! The child borrows our memory until its exec, and this thread waits for that (CLONE_VM | CLONE_VFORK, clone(2), as
//! posix_spawn(3) does it): what a copy of the page tables would cost grows with the supervisor. So everything that
//! allocates is done before, and only async-signal-safe calls are made between (signal-safety(7)). Every signal is blocked
//! meanwhile, so that no handler of ours runs in the child. What fails in the child comes back through a close-on-exec
//! pipe, as a step and an errno.

use super::fd::retry;
use super::reap::Process;
use super::signal::{Inherited, Signals};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use std::ffi::{CString, OsStr, OsString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::ptr;

/// Where a program is looked for when PATH is not set (execvp(3)).
const PATH_DEFAULT: &str = "/usr/local/bin:/bin:/usr/bin";

/// Which step of a spawn failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Making the pipe, or clone(2).
    Fork,
    /// dup2(2) of a standard descriptor.
    Descriptors,
    /// execve(2).
    Exec,
}

/// Why there is no worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{step:?}: {}", .errno.desc())]
pub struct SpawnError {
    /// The step.
    pub step: Step,
    /// Its errno.
    pub errno: Errno,
}

impl SpawnError {
    fn fork(error: &io::Error) -> SpawnError {
        SpawnError { step: Step::Fork, errno: Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)) }
    }
}

/// Starts a program. Its stdin is ours; its stdout and stderr are the ends given. Returns when the exec has happened.
///
/// Call it from the main thread only.
///
/// # Errors
/// The step that failed, with its errno. EINVAL for a NUL byte in an argument.
pub fn spawn(
    argv: &[OsString],
    stdout: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
    inherited: &Inherited,
    signals: &Signals,
) -> Result<Process, SpawnError> {
    let invalid = SpawnError { step: Step::Exec, errno: Errno::EINVAL };
    let paths = candidates(&argv[0]).ok_or(invalid)?;
    let args: Option<Vec<CString>> = argv.iter().map(|arg| CString::new(arg.as_bytes()).ok()).collect();
    let args = args.ok_or(invalid)?;
    let mut pointers: Vec<*const c_char> = args.iter().map(|arg| arg.as_ptr()).collect();
    pointers.push(ptr::null());
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|e| SpawnError::fork(&e.into()))?;
    let plan = Plan {
        paths: &paths,
        argv: &pointers,
        fds: [stdout.as_raw_fd(), stderr.as_raw_fd()],
        report: writer.as_raw_fd(),
        inherited,
        taken: signals.numbers(),
    };

    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))
        .map_err(|e| SpawnError::fork(&e.into()))?;
    let forked = plan.fork();
    let failed = Errno::last();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None).map_err(|e| SpawnError::fork(&e.into()))?;
    if forked < 0 {
        return Err(SpawnError { step: Step::Fork, errno: failed });
    }
    drop(writer);
    let child = Process::open(forked).map_err(|e| {
        // Without a descriptor it cannot be supervised. It is not reaped yet, so that the number is its own.
        let pid = nix::unistd::Pid::from_raw(forked);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        let _ = retry(|| nix::sys::wait::waitpid(pid, None));
        SpawnError::fork(&e)
    })?;
    match report(&reader) {
        None => Ok(child),
        Some(error) => {
            // It has reported and exits at once: nothing else is between its report and its end.
            let _ = retry(|| nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(forked), None));
            Err(error)
        }
    }
}

/// What the child reported; none when the exec closed the pipe.
fn report(reader: &OwnedFd) -> Option<SpawnError> {
    let mut bytes = [0; 8];
    let mut filled = 0;
    while filled < bytes.len() {
        match super::fd::read(reader, &mut bytes[filled..]) {
            Ok(0) | Err(_) => return None,
            Ok(more) => filled += more,
        }
    }
    let number = |at: usize| i32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let step = if number(0) == Step::Exec as i32 { Step::Exec } else { Step::Descriptors };
    Some(SpawnError { step, errno: Errno::from_raw(number(4)) })
}

/// The files that a program's name may mean: itself where it has a slash, else in each folder of PATH.
fn candidates(program: &OsStr) -> Option<Vec<CString>> {
    let c_string = |bytes: Vec<u8>| CString::new(bytes).ok();
    if program.as_bytes().contains(&b'/') || program.is_empty() {
        return Some(vec![c_string(program.as_bytes().to_vec())?]);
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| PATH_DEFAULT.into());
    path.into_vec()
        .split(|b| *b == b':')
        .map(|folder| {
            let folder = if folder.is_empty() { b"." } else { folder };
            c_string([folder, b"/", program.as_bytes()].concat())
        })
        .collect()
}

/// All that the child needs, made before the fork.
struct Plan<'a> {
    paths: &'a [CString],
    argv: &'a [*const c_char],
    /// For 1 and 2.
    fds: [RawFd; 2],
    report: RawFd,
    inherited: &'a Inherited,
    taken: &'a [i32],
}

/// The child's stack: 32 KiB, in units that are aligned as a stack has to be.
type Stack = [u128; 2048];

impl Plan<'_> {
    /// The child's number, once it has become the program or has failed; -1 and errno where there is none.
    fn fork(&self) -> libc::pid_t {
        extern "C" fn child(plan: *mut c_void) -> c_int {
            // SAFETY: it is the plan of the caller below, who waits.
            unsafe { (*plan.cast::<Plan<'_>>()).carry_out() }
        }
        let mut stack = Box::<Stack>::new_uninit();
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: the stack grows down from its end and outlives the child's use of it, as does the plan, for this thread
        // goes on after the exec or exit only. The child calls only what is async-signal-safe and never returns.
        unsafe {
            let top = stack.as_mut_ptr().add(1);
            libc::clone(child, top.cast(), flags, ptr::from_ref(self).cast_mut().cast())
        }
    }

    /// The child's whole life before exec.
    fn carry_out(&self) -> ! {
        let failed = self.descriptors().err().map(|e| (Step::Descriptors, e)).unwrap_or_else(|| {
            self.signals();
            (Step::Exec, self.exec())
        });
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&(failed.0 as i32).to_ne_bytes());
        bytes[4..].copy_from_slice(&(failed.1 as i32).to_ne_bytes());
        // SAFETY: write and _exit are async-signal-safe; the buffer is valid for its length.
        unsafe {
            libc::write(self.report, bytes.as_ptr().cast(), bytes.len());
            libc::_exit(127)
        }
    }

    fn descriptors(&self) -> nix::Result<()> {
        // SAFETY: dup2, close_range and fcntl are async-signal-safe and take plain numbers. The ends of our pipes are
        // above 2, for the runtime has 0, 1 and 2 open from the start.
        unsafe {
            for (at, fd) in (1..).zip(self.fds) {
                Errno::result(libc::dup2(fd, at))?;
            }
            if libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) != 0 {
                // Linux before 5.11.
                let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
                libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
                for fd in 3..limit.rlim_cur as RawFd {
                    libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
                }
            }
        }
        Ok(())
    }

    /// The mask and dispositions that quell was started with; SIGPIPE is default.
    fn signals(&self) {
        // SAFETY: signal and sigprocmask are async-signal-safe; the mask is a valid one.
        unsafe {
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            for number in self.taken {
                libc::signal(*number, libc::SIG_DFL);
            }
            if self.inherited.ignores(libc::SIGCHLD) {
                libc::signal(libc::SIGCHLD, libc::SIG_IGN);
            }
            libc::sigprocmask(libc::SIG_SETMASK, self.inherited.mask().as_ref(), ptr::null_mut());
        }
    }

    /// Tries each candidate, as execvp(3) does; the errno that tells most.
    fn exec(&self) -> Errno {
        let mut denied = false;
        let mut last = Errno::ENOENT;
        for path in self.paths {
            // SAFETY: the path and argv end in null and outlive the call; environ is our own, and nothing changes it.
            last = unsafe {
                libc::execve(path.as_ptr(), self.argv.as_ptr(), environ);
                Errno::last()
            };
            match last {
                Errno::EACCES => denied = true,
                Errno::ENOENT | Errno::ENOTDIR | Errno::ESTALE | Errno::ENODEV | Errno::ETIMEDOUT => {}
                _ => return last,
            }
        }
        match self.paths {
            [_] => last,
            _ if denied => Errno::EACCES,
            _ => Errno::ENOENT,
        }
    }
}

unsafe extern "C" {
    static environ: *const *const c_char;
}
