//! What a thread can ask for itself.

/// Gives this thread the lowest priority there is: it runs when nothing else wants to.
pub fn lowest_priority() {
    // SAFETY: setpriority and gettid take plain numbers. On Linux PRIO_PROCESS with a thread id is that thread alone
    // (setpriority(2), "C library/kernel differences"). A refusal leaves the priority as it was, which does no harm.
    unsafe {
        let thread = libc::syscall(libc::SYS_gettid) as libc::id_t;
        libc::setpriority(libc::PRIO_PROCESS, thread, 19);
    }
}
