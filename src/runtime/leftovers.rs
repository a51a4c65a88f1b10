//! What a supervisor that died has left running. Its state directory is ours now: whom it has left is known by their
//! environment, or, where they have overwritten that, by what was written down of them. They are named, and no more: nobody
//! is ever signalled by a number from a file.

use super::orphans::{Life, whose};
use super::register::Record;
use super::state::State;
use crate::sys::proc::{self, Named};

/// A process of a worker that nobody supervises any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The process.
    pub process: Named,
    /// Whose it was.
    pub life: Life,
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
            Some(Leftover { process: stat.named(), life })
        })
        .collect();
    found.sort_by_key(|leftover| leftover.process.pid);
    found
}
