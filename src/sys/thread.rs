//! Threads beside the main one, and what a thread can ask for itself.

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread that takes no signals: all of them are the main thread's, handled where it waits for them.
///
/// # Errors
/// As pthread_create(3).
pub fn spawn<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    let thread = Builder::new().name(name.into()).spawn(work);
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    thread
}

/// Gives this thread the lowest priority there is: it runs when nothing else wants to.
pub fn lowest_priority() {
    // SAFETY: setpriority and gettid take plain numbers. On Linux PRIO_PROCESS with a thread id is that thread alone
    // (setpriority(2), "C library/kernel differences"). A refusal leaves the priority as it was, which does no harm.
    unsafe {
        let thread = libc::syscall(libc::SYS_gettid) as libc::id_t;
        libc::setpriority(libc::PRIO_PROCESS, thread, 19);
    }
}
