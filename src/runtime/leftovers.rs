//! What a supervisor that died has left running. Its state directory is ours now, and it names nobody: whom it has left is
//! known by their environment alone, and nobody is ever signalled by a number from a file.

use super::orphans::{Life, whose};
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

/// The processes that an earlier supervisor of this state directory has left; look before anything is started. Where there
/// is no `/proc`, or it shows nobody else's, none is found.
#[must_use]
pub fn find(state: &State) -> Vec<Leftover> {
    let ourselves = std::process::id() as i32;
    let others = proc::pids().filter(|pid| *pid != ourselves);
    let mut found: Vec<_> = others
        .filter_map(|pid| {
            let life = whose(pid, state.mark())?;
            let stat = proc::stat(pid).filter(|stat| !stat.has_ended)?;
            Some(Leftover { process: stat.named(), life })
        })
        .collect();
    found.sort_by_key(|leftover| leftover.process.pid);
    found
}
