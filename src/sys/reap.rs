//! A child by its pidfd: signalled, waited for, reaped. Never by a number that could have been given to another.

use nix::errno::Errno;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(u8),
    /// This signal ended it.
    Signal {
        /// Which.
        number: i32,
        /// It left a core dump.
        core: bool,
    },
}

/// A child process that has not been reaped.
#[derive(Debug)]
pub struct Process {
    pid: i32,
    pidfd: OwnedFd,
}

impl Process {
    /// A process by its number. Of a child that is not reaped yet the number is certain to be its own.
    ///
    /// # Errors
    /// As pidfd_open(2).
    pub fn open(pid: i32) -> io::Result<Process> {
        // SAFETY: plain numbers; the descriptor that comes back is new and has no other owner.
        let pidfd = unsafe {
            let fd = Errno::result(libc::syscall(libc::SYS_pidfd_open, pid, 0))?;
            OwnedFd::from_raw_fd(fd as i32)
        };
        Ok(Process { pid, pidfd })
    }

    /// Its number, for people.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// pidfd_send_signal(2). A process that is gone is no error.
    ///
    /// # Errors
    /// As pidfd_send_signal(2).
    pub fn signal(&self, number: i32) -> io::Result<()> {
        // SAFETY: plain numbers, and a null siginfo, which makes it as kill(2) would.
        let sent = unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.pidfd.as_raw_fd(), number, std::ptr::null::<()>(), 0)
        };
        match Errno::result(sent) {
            Ok(_) | Err(Errno::ESRCH) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Signals its process group, of which it is the leader, whether it has ended or not. A group that is gone is no error.
    ///
    /// # Errors
    /// As pidfd_send_signal(2) and kill(2). Linux before 6.9 knows a group by its number alone, which is certain until the
    /// leader is reaped: ECHILD after that.
    pub fn signal_group(&self, number: i32) -> io::Result<()> {
        const PROCESS_GROUP: libc::c_uint = 1 << 2;
        let pidfd = self.pidfd.as_raw_fd();
        // SAFETY: plain numbers, and a null siginfo, which makes it as kill(2) would.
        let sent =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, number, std::ptr::null::<()>(), PROCESS_GROUP) };
        match Errno::result(sent) {
            Ok(_) | Err(Errno::ESRCH) => Ok(()),
            Err(Errno::EINVAL) => self.signal_group_by_number(number),
            Err(e) => Err(e.into()),
        }
    }

    fn signal_group_by_number(&self, number: i32) -> io::Result<()> {
        self.peek()?;
        // SAFETY: plain numbers. The leader is not reaped, so that no other group can have its number.
        match Errno::result(unsafe { libc::kill(-self.pid, number) }) {
            Ok(_) | Err(Errno::ESRCH) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// How it ended, if it has; it is left to be reaped, and its number is its own until then.
    ///
    /// # Errors
    /// As waitid(2): ECHILD once it is reaped.
    pub fn peek(&self) -> io::Result<Option<Exit>> {
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        wait(libc::P_PIDFD, self.pidfd.as_raw_fd() as libc::id_t, options).map(|e| e.map(|(_, exit)| exit))
    }

    /// Whether a signal has stopped it, and it was not continued since.
    ///
    /// # Errors
    /// As waitid(2).
    pub fn is_stopped(&self) -> io::Result<bool> {
        // The state is looked at and left there to be seen, so that this can be asked again.
        let options = libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT;
        wait(libc::P_PIDFD, self.pidfd.as_raw_fd() as libc::id_t, options).map(|state| state.is_some())
    }

    /// Reaps it if it has ended. Call it no more once it has given an answer.
    ///
    /// # Errors
    /// As waitid(2).
    pub fn reap(&self) -> io::Result<Option<Exit>> {
        wait(libc::P_PIDFD, self.pidfd.as_raw_fd() as libc::id_t, libc::WEXITED | libc::WNOHANG)
            .map(|e| e.map(|(_, exit)| exit))
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// What came of looking for a child that ended and that nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// This one was reaped.
    Reaped(i32),
    /// This one has ended and is known: it is left to who knows it. Until that one has reaped it, it hides all others.
    Known(i32),
    /// None has ended, or none is left.
    Nothing,
}

/// Reaps one ended child that nobody knows: a process that was handed to us when its parent ended. Only here are children
/// waited for that are not named.
///
/// # Errors
/// As waitid(2), but never ECHILD.
pub fn reap_adopted(is_known: impl Fn(i32) -> bool) -> io::Result<Adopted> {
    let peeked = match wait(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) {
        Err(e) if e.raw_os_error() == Some(libc::ECHILD) => None,
        peeked => peeked?,
    };
    match peeked {
        None => Ok(Adopted::Nothing),
        Some((pid, _)) if is_known(pid) => Ok(Adopted::Known(pid)),
        Some((pid, _)) => {
            wait(libc::P_PID, pid as libc::id_t, libc::WEXITED | libc::WNOHANG)?;
            Ok(Adopted::Reaped(pid))
        }
    }
}

/// Whether we have any child left, ended or not.
///
/// # Errors
/// As waitid(2), but never ECHILD.
pub fn has_children() -> io::Result<bool> {
    match wait(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) {
        Err(e) if e.raw_os_error() == Some(libc::ECHILD) => Ok(false),
        found => found.map(|_| true),
    }
}

/// waitid(2): whose state changed, and how it ended where the change was its end.
fn wait(kind: libc::idtype_t, id: libc::id_t, options: i32) -> io::Result<Option<(i32, Exit)>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: the structure is zeroed, is large enough and outlives the call; its fields are read only where the kernel
    // says that a child changed its state, which is when it fills those of SIGCHLD.
    let (pid, code, status) = super::fd::retry(|| unsafe {
        Errno::result(libc::waitid(kind, id, info.as_mut_ptr(), options))?;
        let info = info.assume_init();
        Ok((info.si_pid(), info.si_code, info.si_status()))
    })?;
    if pid == 0 {
        return Ok(None);
    }
    let exit = match code {
        libc::CLD_EXITED => Exit::Code(status as u8),
        _ => Exit::Signal { number: status, core: code == libc::CLD_DUMPED },
    };
    Ok(Some((pid, exit)))
}

/// Makes this process the one that orphans below it are handed to (prctl(2), PR_SET_CHILD_SUBREAPER).
///
/// # Errors
/// As prctl(2).
pub fn become_subreaper() -> io::Result<()> {
    // SAFETY: plain numbers.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })?;
    Ok(())
}
