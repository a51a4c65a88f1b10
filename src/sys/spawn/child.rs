//! What the child does until it is the program. It shares our memory meanwhile: nothing here allocates after the clone, and
//! every call is async-signal-safe.

use super::{Ends, Lows, Program, SpawnError, Step, c_string};
use crate::sys::signal::{Inherited, Signals};
use nix::errno::Errno;
use nix::sys::signal::SigSet;
use std::ffi::{CString, OsString, c_char, c_int, c_void};
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::ptr;

/// The lowest number that is neither stdin, stdout nor stderr.
const FIRST_FREE: RawFd = 3;

/// What execve(2) reads.
pub(super) struct Strings {
    paths: Vec<CString>,
    argv: Vec<CString>,
    /// None for our own.
    env: Option<Vec<CString>>,
}

impl Strings {
    pub(super) fn new(files: &[PathBuf], argv: &[OsString], env: Option<&[OsString]>) -> Result<Strings, SpawnError> {
        let all = |texts: &[OsString]| texts.iter().map(|text| c_string(text)).collect::<Result<Vec<_>, _>>();
        let paths = files.iter().map(|file| c_string(file.as_os_str())).collect::<Result<_, _>>()?;
        Ok(Strings { paths, argv: all(argv)?, env: env.map(all).transpose()? })
    }
}

/// Their addresses, and the null that ends them.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// The digits of the largest number that a process can have (PID_MAX_LIMIT).
const PID_DIGITS: usize = 7;

/// A variable whose value is the child's own number: it writes that itself, for nobody knows it before.
struct PidVariable {
    /// `NAME=`, room for the number, and the null that ends it.
    text: Vec<u8>,
    digits: usize,
    /// Where its address is to stand in the environment.
    at: usize,
}

impl PidVariable {
    fn new(name: &str, at: usize) -> PidVariable {
        let mut text = format!("{name}=").into_bytes();
        let digits = text.len();
        text.resize(digits + PID_DIGITS + 1, 0);
        PidVariable { text, digits, at }
    }

    /// Writes a number; the address of the whole. It allocates nothing.
    fn write(&mut self, mut pid: u32) -> *const c_char {
        let length = pid.checked_ilog10().unwrap_or(0) as usize + 1;
        for digit in self.text[self.digits..].iter_mut().take(PID_DIGITS.min(length)).rev() {
            *digit = b'0' + (pid % 10) as u8;
            pid /= 10;
        }
        self.text.as_ptr().cast()
    }
}

/// How the program finds the signals.
pub(super) struct Manner {
    defaults: Vec<i32>,
    ignored: Option<i32>,
    mask: SigSet,
}

impl Manner {
    /// As quell was started; SIGPIPE, of which that is not known, is default.
    pub(super) fn inherited(inherited: &Inherited, signals: &Signals) -> Manner {
        let defaults = signals.numbers().iter().copied().chain([libc::SIGPIPE]).collect();
        let ignored = inherited.ignores(libc::SIGCHLD).then_some(libc::SIGCHLD);
        Manner { defaults, ignored, mask: *inherited.mask() }
    }

    /// None blocked, none ignored.
    pub(super) fn plain(inherited: &Inherited, signals: &Signals) -> Manner {
        let changed = signals.numbers().iter().chain(inherited.ignored());
        Manner { defaults: changed.copied().chain([libc::SIGPIPE]).collect(), ignored: None, mask: SigSet::empty() }
    }
}

/// All that the child needs, made before the clone.
pub(super) struct Plan<'a> {
    paths: &'a [CString],
    argv: Vec<*const c_char>,
    env: Option<Vec<*const c_char>>,
    pid_variable: Option<PidVariable>,
    /// From which of our descriptors to which of the child's.
    fds: Vec<(RawFd, RawFd)>,
    /// Above all of the child's.
    floor: RawFd,
    /// What the child could not do: written by it, read by its parent after its end.
    failed: Option<(Step, Errno)>,
    /// The child shares our table at first, and then has what stands below this number.
    shared_below: Option<RawFd>,
    manner: Manner,
    worker: Option<Worker<'a>>,
}

/// What only a worker has set.
struct Worker<'a> {
    program: &'a Program,
    cwd: CString,
    oom_score_adj: Option<String>,
    /// It was given something to read.
    has_input: bool,
    parent: i32,
}

/// The child's stack: 32 KiB, in units that are aligned as a stack has to be.
type Stack = [u128; 2048];

impl<'a> Plan<'a> {
    pub(super) fn new(
        strings: &'a Strings,
        ends: &Ends<'_>,
        manner: Manner,
        program: Option<&'a Program>,
    ) -> Result<Plan<'a>, SpawnError> {
        let further = ends.further.iter().map(|(number, fd)| (*number, *fd));
        let standard = [ends.stdin.map(|stdin| (0, stdin)), Some((1, ends.stdout)), Some((2, ends.stderr))];
        let all = standard.into_iter().flatten().chain(further);
        let fds: Vec<_> = all.map(|(number, fd)| (fd.as_raw_fd(), number)).collect();
        let worker = |program: &'a Program| {
            let step = |e: SpawnError| SpawnError { step: Step::Directory, ..e };
            Ok(Worker {
                program,
                cwd: c_string(program.cwd.as_os_str()).map_err(step)?,
                oom_score_adj: program.oom_score_adj.map(|score| score.to_string()),
                has_input: ends.stdin.is_some(),
                parent: std::process::id() as i32,
            })
        };
        let mut env = strings.env.as_deref().map(pointers);
        let named = program.and_then(|program| program.pid_variable).zip(env.as_mut());
        let pid_variable = named.map(|(name, env)| {
            // The child puts it where the end was, before another end.
            env.push(ptr::null());
            PidVariable::new(name, env.len() - 2)
        });
        Ok(Plan {
            paths: &strings.paths,
            argv: pointers(&strings.argv),
            env,
            pid_variable,
            floor: fds.iter().map(|(_, to)| to + 1).max().unwrap_or(FIRST_FREE),
            fds,
            failed: None,
            shared_below: None,
            manner,
            worker: program.map(worker).transpose()?,
        })
    }

    /// Puts what the child is to have at low numbers, so that it needs no copy of our table. False where it is too much.
    pub(super) fn lower(&mut self, lows: &Lows) -> nix::Result<bool> {
        if !lows.hold(self.fds.len()) {
            return Ok(false);
        }
        let from: Vec<_> = self.fds.iter().map(|(from, _)| *from).collect();
        let numbers = lows.put(&from).inspect_err(|_| lows.clear())?;
        self.fds.iter_mut().zip(&numbers).for_each(|((from, _), low)| *from = *low);
        self.shared_below = Some(lows.end());
        Ok(true)
    }

    /// The child's number, once it has become the program or has failed; -1 and errno where there is none.
    pub(super) fn fork(&mut self) -> libc::pid_t {
        extern "C" fn child(plan: *mut c_void) -> c_int {
            // SAFETY: it is the plan of the caller below, who waits.
            unsafe { (*plan.cast::<Plan<'_>>()).carry_out() }
        }
        let mut stack = Box::<Stack>::new_uninit();
        let files = if self.shared_below.is_some() { libc::CLONE_FILES } else { 0 };
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD | files;
        // SAFETY: the stack grows down from its end and outlives the child's use of it, as does the plan, for this thread
        // goes on after the exec or exit only. The child calls only what is async-signal-safe and never returns.
        unsafe {
            let top = stack.as_mut_ptr().add(1);
            libc::clone(child, top.cast(), flags, ptr::from_mut(self).cast())
        }
    }

    /// What the child could not do, once it has become the program or has failed; none where it is the program.
    pub(super) fn failed(&self) -> Option<(Step, Errno)> {
        self.failed
    }

    /// The child's whole life before exec.
    fn carry_out(&mut self) -> ! {
        let failed = self.prepare().err().unwrap_or_else(|| (Step::Exec, self.exec()));
        self.failed = Some(failed);
        // SAFETY: _exit is async-signal-safe.
        unsafe { libc::_exit(127) }
    }

    fn prepare(&mut self) -> Result<(), (Step, Errno)> {
        let at = |step| move |errno| (step, errno);
        self.descriptors().map_err(at(Step::Descriptors))?;
        if let Some(worker) = &self.worker {
            worker.session().map_err(at(Step::Session))?;
            worker.input().map_err(at(Step::Input))?;
            worker.directory().map_err(at(Step::Directory))?;
            worker.nice().map_err(at(Step::Nice))?;
            worker.oom_score().map_err(at(Step::OomScore))?;
            for (resource, ceiling) in &worker.program.limits {
                resource.limit(*ceiling).map_err(at(Step::Limit(*resource)))?;
            }
            worker.privileges().map_err(at(Step::Privileges))?;
            worker.death_signal().map_err(at(Step::DeathSignal))?;
        }
        if let (Some(variable), Some(env)) = (&mut self.pid_variable, &mut self.env) {
            // SAFETY: getpid is async-signal-safe.
            env[variable.at] = variable.write(unsafe { libc::getpid() }.unsigned_abs());
        }
        // Last, for a signal that comes through ends the child without a word.
        self.signals();
        Ok(())
    }

    /// Gives the child its descriptors; all others are closed by the exec.
    fn descriptors(&mut self) -> nix::Result<()> {
        // SAFETY: dup2, close_range and fcntl are async-signal-safe and take plain numbers; the table of descriptors is the
        // child's own, from the first call on.
        unsafe {
            if let Some(end) = self.shared_below {
                let unshare = libc::CLOSE_RANGE_UNSHARE;
                // Where that fails the table is our parent's: nothing may be done in it.
                Errno::result(libc::syscall(libc::SYS_close_range, end, u32::MAX, unshare))?;
            }
            // What stands where another is to come is moved out of its way first.
            for (from, _) in &mut self.fds {
                if *from < self.floor {
                    *from = Errno::result(libc::fcntl(*from, libc::F_DUPFD_CLOEXEC, self.floor))?;
                }
            }
            if libc::syscall(libc::SYS_close_range, FIRST_FREE, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) != 0 {
                // Linux before 5.11.
                let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
                libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
                for fd in FIRST_FREE..limit.rlim_cur as RawFd {
                    libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
                }
            }
            for (from, to) in &self.fds {
                Errno::result(libc::dup2(*from, *to))?;
            }
        }
        Ok(())
    }

    fn signals(&self) {
        // SAFETY: signal and sigprocmask are async-signal-safe; the mask is a valid one.
        unsafe {
            for number in &self.manner.defaults {
                libc::signal(*number, libc::SIG_DFL);
            }
            if let Some(number) = self.manner.ignored {
                libc::signal(number, libc::SIG_IGN);
            }
            libc::sigprocmask(libc::SIG_SETMASK, self.manner.mask.as_ref(), ptr::null_mut());
        }
    }

    /// Tries each candidate, as execvp(3) does; the errno that tells most.
    fn exec(&self) -> Errno {
        let mut denied = false;
        let mut last = Errno::ENOENT;
        for path in self.paths {
            // SAFETY: the path, argv and the environment end in null and outlive the call; nothing changes our own one.
            last = unsafe {
                let env = self.env.as_ref().map_or(environ, |env| env.as_ptr());
                libc::execve(path.as_ptr(), self.argv.as_ptr(), env);
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

// All below are async-signal-safe calls, of plain numbers and of strings that end in null and outlive the call.
impl Worker<'_> {
    fn input(&self) -> nix::Result<()> {
        if self.has_input {
            return Ok(());
        }
        // SAFETY: as above.
        unsafe {
            let null = Errno::result(libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC))?;
            Errno::result(libc::dup2(null, 0)).map(drop)
        }
    }

    fn session(&self) -> nix::Result<()> {
        // SAFETY: as above.
        Errno::result(unsafe { libc::setsid() }).map(drop)
    }

    fn directory(&self) -> nix::Result<()> {
        // SAFETY: as above.
        unsafe {
            libc::umask(self.program.umask);
            Errno::result(libc::chdir(self.cwd.as_ptr())).map(drop)
        }
    }

    fn nice(&self) -> nix::Result<()> {
        let Some(nice) = self.program.nice else { return Ok(()) };
        // SAFETY: as above.
        Errno::result(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) }).map(drop)
    }

    fn oom_score(&self) -> nix::Result<()> {
        let Some(score) = &self.oom_score_adj else { return Ok(()) };
        let flags = libc::O_WRONLY | libc::O_CLOEXEC;
        // SAFETY: as above, and the pointer and length are those of the text.
        unsafe {
            let file = Errno::result(libc::open(c"/proc/self/oom_score_adj".as_ptr(), flags))?;
            Errno::result(libc::write(file, score.as_ptr().cast(), score.len())).map(drop)
        }
    }

    fn privileges(&self) -> nix::Result<()> {
        if !self.program.no_new_privs {
            return Ok(());
        }
        // SAFETY: as above.
        Errno::result(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }).map(drop)
    }

    /// Last of all, for a change of credentials would undo it (prctl(2)).
    fn death_signal(&self) -> nix::Result<()> {
        if !self.program.dies_with_us {
            return Ok(());
        }
        // SAFETY: as above.
        unsafe {
            Errno::result(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0))?;
            // Who died before that call has sent nothing, and nobody is there to be told.
            if libc::getppid() != self.parent {
                libc::_exit(127);
            }
        }
        Ok(())
    }
}

unsafe extern "C" {
    static environ: *const *const c_char;
}
