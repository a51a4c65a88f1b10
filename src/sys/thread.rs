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

/// What a thread that answers wants of the scheduler: short turns, and soon. A thread that wakes with a shorter turn than the
/// one that runs takes its place (EEVDF, since Linux 6.12); it gets no more of the CPU than before. A kernel that does not
/// know that leaves all as it was, and so does a thread that somebody has given another policy (sched(7)). Its children
/// begin as any others.
pub fn short_turns() {
    takes_turns(libc::SCHED_OTHER);
}

/// What a thread that works through much wants of the scheduler: that others need not wait for the end of a long turn of its,
/// and that it takes nobody's place when it wakes. It gets no less of the CPU than before.
pub fn gives_way() {
    takes_turns(libc::SCHED_BATCH);
}

fn takes_turns(policy: i32) {
    const TURN: u64 = 100_000;
    // As linux/sched/types.h has it.
    #[repr(C)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    const RESET_ON_FORK: u64 = 1;
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        policy: policy.unsigned_abs(),
        flags: RESET_ON_FORK,
        nice: super::limits::nice(),
        priority: 0,
        runtime: TURN,
        deadline: 0,
        period: 0,
    };
    // SAFETY: the structure is as large as it says and is only read; 0 is this thread.
    unsafe {
        if libc::sched_getscheduler(0) == libc::SCHED_OTHER {
            libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0);
        }
    }
}
