//! clone and exec: a program gets 0, 1, 2 and what it is given by number, and nothing else.
//!
//! The child borrows our memory until its exec, and this thread waits for that (CLONE_VM | CLONE_VFORK, clone(2), as
//! posix_spawn(3) does it): what a copy of the page tables would cost grows with the supervisor. So everything that
//! allocates is done before, and only async-signal-safe calls are made between (signal-safety(7)). Every signal is blocked
//! meanwhile, so that no handler of ours runs in the child. What fails in the child it leaves in our memory, as a step and an
//! errno.

mod child;
mod lows;

use super::fd::retry;
use super::limits::{Ceiling, Resource};
use super::reap::Process;
use super::signal::{Inherited, Signals};
use child::{Manner, Plan, Strings};
pub use lows::Lows;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Where a program is looked for when PATH is not set (execvp(3)).
pub const PATH_DEFAULT: &str = "/usr/local/bin:/bin:/usr/bin";

/// Which step of a spawn failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// clone(2), or pidfd_open(2).
    Fork,
    /// dup2(2) of the descriptors that it is given.
    Descriptors,
    /// open(2) of `/dev/null`, which a worker reads from.
    Input,
    /// setsid(2).
    Session,
    /// chdir(2).
    Directory,
    /// setrlimit(2).
    Limit(Resource),
    /// setpriority(2).
    Nice,
    /// Writing `oom_score_adj`.
    OomScore,
    /// prctl(2), PR_SET_NO_NEW_PRIVS.
    Privileges,
    /// prctl(2), PR_SET_PDEATHSIG.
    DeathSignal,
    /// execve(2).
    Exec,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Fork => "fork",
            Step::Descriptors => "set up its descriptors",
            Step::Input => "open /dev/null for its input",
            Step::Session => "make a session",
            Step::Directory => "change to its folder",
            Step::Limit(resource) => return write!(f, "set its limit `{}`", resource.name()),
            Step::Nice => "set its share of the CPU (nice)",
            Step::OomScore => "set its oom_score_adj",
            Step::Privileges => "set no_new_privs",
            Step::DeathSignal => "have it killed at our end (PDEATHSIG)",
            Step::Exec => "execute it",
        })
    }
}

/// Why there is no process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {step}: {}", .errno.desc())]
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

/// What a worker is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The files that it may be, tried in this order.
    pub files: Vec<PathBuf>,
    /// Its arguments, the first of them its own name.
    pub argv: Vec<OsString>,
    /// Its whole environment, `NAME=value` each.
    pub env: Vec<OsString>,
    /// A further variable, whose value is its own number.
    pub pid_variable: Option<&'static str>,
    /// The folder that it runs in.
    pub cwd: PathBuf,
    /// The permission bits that its files do not get.
    pub umask: u32,
    /// What it may use; anything else as we may.
    pub limits: Vec<(Resource, Ceiling)>,
    /// Its share of the CPU; none for ours.
    pub nice: Option<i32>,
    /// How gladly the kernel kills it when memory runs out; none for as gladly as us.
    pub oom_score_adj: Option<i32>,
    /// It can gain no privileges.
    pub no_new_privs: bool,
    /// It is killed when we die.
    pub dies_with_us: bool,
}

/// The descriptors that a program gets.
#[derive(Clone, Copy, Debug)]
pub struct Ends<'a> {
    /// For 0; a worker without one gets `/dev/null`, and who stands for us has ours.
    pub stdin: Option<BorrowedFd<'a>>,
    /// For 1.
    pub stdout: BorrowedFd<'a>,
    /// For 2.
    pub stderr: BorrowedFd<'a>,
    /// For these numbers, from 3 on.
    pub further: &'a [(i32, BorrowedFd<'a>)],
}

/// Starts a program that stands for us: it shares our stdin, session, environment and limits, and has the signals as quell
/// found them. Returns when the exec has happened. Call it from the main thread only.
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
    let files = candidates(&argv[0]);
    let strings = Strings::new(&files, argv, None)?;
    let manner = Manner::inherited(inherited, signals);
    start(&strings, &Ends { stdin: None, stdout, stderr, further: &[] }, manner, None, None)
}

/// Starts a worker: in a session of its own, so that no terminal controls it and its process group is its own; no signal is
/// blocked or ignored. Returns when the exec has happened.
///
/// Call it from the main thread only: what dies with us (PDEATHSIG) dies with the thread that started it.
///
/// # Errors
/// The step that failed, with its errno. EINVAL for a NUL byte in an argument or variable.
pub fn spawn_worker(
    program: &Program,
    ends: &Ends<'_>,
    inherited: &Inherited,
    signals: &Signals,
    lows: Option<&Lows>,
) -> Result<Process, SpawnError> {
    let strings = Strings::new(&program.files, &program.argv, Some(&program.env))?;
    start(&strings, ends, Manner::plain(inherited, signals), Some(program), lows)
}

fn start(
    strings: &Strings,
    ends: &Ends<'_>,
    manner: Manner,
    program: Option<&Program>,
    lows: Option<&Lows>,
) -> Result<Process, SpawnError> {
    let mut plan = Plan::new(strings, ends, manner, program)?;
    let lows = lows.filter(|lows| plan.lower(lows).is_ok_and(|lowered| lowered));
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))
        .map_err(|e| SpawnError::fork(&e.into()))?;
    let forked = plan.fork();
    let failed = Errno::last();
    if let Some(lows) = lows {
        lows.clear();
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None).map_err(|e| SpawnError::fork(&e.into()))?;
    if forked < 0 {
        return Err(SpawnError { step: Step::Fork, errno: failed });
    }
    let reap = || drop(retry(|| nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(forked), None)));
    if let Some((step, errno)) = plan.failed() {
        // It exits at once: nothing else is between its report and its end.
        reap();
        return Err(SpawnError { step, errno });
    }
    Process::open(forked).map_err(|e| {
        // Without a descriptor it cannot be supervised. It is not reaped yet, so that the number is its own.
        let pid = nix::unistd::Pid::from_raw(forked);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        reap();
        SpawnError::fork(&e)
    })
}

/// The files that a program's name may mean: itself where it has a slash, else in each folder of our PATH.
fn candidates(program: &OsStr) -> Vec<PathBuf> {
    if program.as_bytes().contains(&b'/') || program.is_empty() {
        return vec![program.into()];
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| PATH_DEFAULT.into());
    let folders = path.into_vec();
    let folders = folders.split(|b| *b == b':').map(|folder| if folder.is_empty() { b"." } else { folder });
    folders.map(|folder| Path::new(OsStr::from_bytes(folder)).join(program)).collect()
}

fn c_string(text: &OsStr) -> Result<CString, SpawnError> {
    CString::new(text.as_bytes()).map_err(|_| SpawnError { step: Step::Exec, errno: Errno::EINVAL })
}

#[cfg(test)]
#[path = "spawn_tests.rs"]
mod tests;
