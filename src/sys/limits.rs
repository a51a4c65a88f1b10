//! What a process may use (setrlimit(2)), and what it was born with (nice(2), proc_pid_oom_score_adj(5)).

use nix::errno::Errno;
use std::io;

/// No limit.
pub const UNLIMITED: u64 = libc::RLIM_INFINITY;

/// What there is a limit of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Address space, in bytes.
    AddressSpace,
    /// Core dumps, in bytes.
    Core,
    /// CPU time, in seconds.
    Cpu,
    /// Data, in bytes.
    Data,
    /// A file that is written, in bytes.
    FileSize,
    /// Locked memory, in bytes.
    LockedMemory,
    /// Open descriptors.
    Descriptors,
    /// Processes of the user.
    Processes,
    /// Stack, in bytes.
    Stack,
}

/// A limit in force, and how far its owner may raise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// What is in force.
    pub soft: u64,
    /// What it can be raised to.
    pub hard: u64,
}

impl Ceiling {
    /// A limit that cannot be raised.
    #[must_use]
    pub fn fixed(at: u64) -> Ceiling {
        Ceiling { soft: at, hard: at }
    }
}

impl Resource {
    /// Its name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Resource::AddressSpace => "as",
            Resource::Core => "core",
            Resource::Cpu => "cpu",
            Resource::Data => "data",
            Resource::FileSize => "fsize",
            Resource::LockedMemory => "memlock",
            Resource::Descriptors => "nofile",
            Resource::Processes => "nproc",
            Resource::Stack => "stack",
        }
    }

    fn number(self) -> i32 {
        (match self {
            Resource::AddressSpace => libc::RLIMIT_AS,
            Resource::Core => libc::RLIMIT_CORE,
            Resource::Cpu => libc::RLIMIT_CPU,
            Resource::Data => libc::RLIMIT_DATA,
            Resource::FileSize => libc::RLIMIT_FSIZE,
            Resource::LockedMemory => libc::RLIMIT_MEMLOCK,
            Resource::Descriptors => libc::RLIMIT_NOFILE,
            Resource::Processes => libc::RLIMIT_NPROC,
            Resource::Stack => libc::RLIMIT_STACK,
        }) as i32
    }

    /// Our own limit.
    ///
    /// # Errors
    /// As getrlimit(2).
    pub fn ours(self) -> io::Result<Ceiling> {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: a valid number, and a structure that is large enough and outlives the call.
        Errno::result(unsafe { libc::getrlimit(self.number() as _, &raw mut limit) })?;
        Ok(Ceiling { soft: limit.rlim_cur, hard: limit.rlim_max })
    }

    /// Limits this process. Async-signal-safe.
    pub(super) fn limit(self, to: Ceiling) -> nix::Result<()> {
        let limit = libc::rlimit { rlim_cur: to.soft, rlim_max: to.hard };
        // SAFETY: a valid number, and a structure that outlives the call.
        Errno::result(unsafe { libc::setrlimit(self.number() as _, &raw const limit) }).map(drop)
    }
}

/// Lets us have as many descriptors as we may ask for; what was in force before, to be given back to workers: a program
/// that uses select(2) breaks on numbers from 1024 on.
///
/// # Errors
/// As getrlimit(2) and setrlimit(2).
pub fn raise_descriptors() -> io::Result<Ceiling> {
    let before = Resource::Descriptors.ours()?;
    Resource::Descriptors.limit(Ceiling::fixed(before.hard))?;
    Ok(before)
}

/// Our share of the CPU, from -20 (most) to 19.
#[must_use]
pub fn nice() -> i32 {
    // SAFETY: plain numbers. Of ourselves it cannot fail.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// How gladly the kernel kills us when memory runs out, from -1000 (never) to 1000; 0 where there is no `/proc`.
#[must_use]
pub fn oom_score_adj() -> i32 {
    let text = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serial_test::serial;

    #[test]
    #[serial]
    fn descriptors_are_raised_and_given_back() {
        let before = raise_descriptors().unwrap();
        assert_eq!(Resource::Descriptors.ours().unwrap(), Ceiling::fixed(before.hard));
        Resource::Descriptors.limit(before).unwrap();
        assert_eq!(Resource::Descriptors.ours().unwrap(), before);
    }
}
