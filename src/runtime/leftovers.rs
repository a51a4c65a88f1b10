//! What a supervisor that died has left running. Its state directory is ours now: whom it has left is known by their
//! environment, or, where they have overwritten that, by what was written down of them. They are named, and their tasks are nobody
//! else's until they have ended, and no more: nobody is ever signalled by a number from a file.

use super::launch::TASK;
use super::orphans::{Life, whose};
use super::register::Record;
use super::state::State;
use crate::sys::proc::{self, Named};
use crate::sys::reap::Process;
use crate::task::TaskId;
use std::io;

/// A process of a worker that nobody supervises any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The process.
    pub process: Named,
    /// Whose it was.
    pub life: Life,
    /// The task that it was started for, or its parents, where it says so.
    pub task: Option<TaskId>,
    started: u64,
}

impl Leftover {
    /// The process, to wait for its end; none where it has ended.
    ///
    /// # Errors
    /// As pidfd_open(2).
    pub fn open(&self) -> io::Result<Option<Process>> {
        let process = match Process::open(self.process.pid) {
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
            process => process?,
        };
        // The descriptor holds whoever has the number now; is it still this one, it stays this one.
        let is_same = proc::stat(self.process.pid).is_some_and(|now| now.started == self.started && !now.has_ended);
        Ok(is_same.then_some(process))
    }
}

impl std::fmt::Display for Leftover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of worker {}", self.process, self.life.worker)
    }
}

/// The processes that an earlier supervisor of this state directory has left, which has `written` that down; look before
/// anything is started. Where there is no `/proc`, or it shows nobody else's, none is found.
#[must_use]
pub fn find(state: &State, written: &[Record]) -> Vec<Leftover> {
    let ourselves = std::process::id() as i32;
    let others = proc::pids().filter(|pid| *pid != ourselves);
    let mut found: Vec<_> = others
        .filter_map(|pid| {
            let stat = proc::stat(pid).filter(|stat| !stat.has_ended)?;
            let recorded = || written.iter().find(|record| record.has(&stat, proc::stat));
            let life = whose(pid, state.mark()).or_else(|| Some(recorded()?.life.clone()))?;
            let [task] = proc::variables(pid, [TASK]);
            let task = task.and_then(|task| task.parse().ok());
            Some(Leftover { process: stat.named(), life, task, started: stat.started })
        })
        .collect();
    found.sort_by_key(|leftover| leftover.process.pid);
    found
}
