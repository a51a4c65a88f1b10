//! The folders that quell uses where the configuration names none.

use crate::config::load::{Named, WorkerLog};
use crate::config::tables::{Quell, Worker};
use crate::sys::identity;
use std::path::{Path, PathBuf};

/// The folder of the store and the lock; none where we have no home.
#[must_use]
pub fn state(quell: &Quell) -> Option<PathBuf> {
    if let Some(path) = &quell.state.value {
        return Some(path.0.clone());
    }
    if identity::ours() == 0 {
        return Some("/var/lib/quell".into());
    }
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || absolute("HOME").or_else(|| Some(identity::person_of(identity::ours()).ok()??.home));
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(home()?.join(".local/state")));
    Some(state?.join("quell"))
}

/// The socket where clients reach the supervisor; none where we have no home.
#[must_use]
pub fn socket(quell: &Quell) -> Option<PathBuf> {
    match &quell.socket.value {
        Some(path) => Some(path.0.clone()),
        None => Some(state(quell)?.join("quell.sock")),
    }
}

/// The folder in which a worker's logs have theirs, `state` being the state's.
#[must_use]
pub fn logs(log: &WorkerLog, state: Option<&Path>) -> Option<PathBuf> {
    match &log.whole.dir.value {
        Some(path) => Some(path.0.clone()),
        None if identity::ours() == 0 => Some("/var/log/quell".into()),
        None => Some(state?.join("log")),
    }
}

/// The names of a worker's logs: its own, or one for each instance. Those that share tasks share a log.
#[must_use]
pub fn log_names(named: &Named<Worker>) -> Vec<String> {
    let (worker, instances) = (&named.name, named.keys.instances.value.0);
    match instances {
        _ if named.keys.given().next().is_some() => vec![worker.clone()],
        1 => vec![worker.clone()],
        _ => (1..=instances).map(|n| format!("{worker}.{n}")).collect(),
    }
}
