//! Which logs are meant, where each is, and by what its lines are classified.

use super::super::{Failure, config};
use crate::config::kind::nearest;
use crate::config::load::{Named, WorkerLog};
use crate::config::tables::Worker;
use crate::line::rules::RuleSet;
use crate::line::shipped::LEVELS;
use crate::runtime::lists::{Shelf, Unusable};
use crate::runtime::places;
use crate::runtime::reader::select::Rules;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The cap on lines of a writer that was not told otherwise.
const LINE_BYTES_MAX: usize = 1 << 20;

/// A log.
#[derive(Debug)]
pub(super) struct Source {
    /// Its name for people.
    pub(super) name: String,
    /// Its directory.
    pub(super) path: PathBuf,
    /// By what its lines are classified; none where nobody wants to know.
    pub(super) rules: Option<Rules>,
}

/// The log in a directory, with these lists and `levels`.
///
/// # Errors
/// When a list cannot be used.
pub(super) fn of_dir(dir: &Path, lists: &[String], classify: bool) -> Result<Source, Failure> {
    let mut shelf = Shelf::default();
    let mut all = Vec::new();
    for name in lists.iter().map(String::as_str).chain([LEVELS]) {
        let list = shelf.list(name).map_err(|unusable| match unusable {
            Unusable::Unread(why) => Failure::usage(format!("cannot use list {name:?}: {why}")),
            Unusable::Wrong(mistakes) => {
                let mistakes: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
                Failure::usage(mistakes.join("\nquell: "))
            }
        })?;
        all.extend(list.rules.iter().cloned());
    }
    let rules = || Rules { rules: Arc::new(RuleSet::new(all)), line_bytes_max: LINE_BYTES_MAX };
    Ok(Source { name: dir.display().to_string(), path: dir.to_owned(), rules: classify.then(rules) })
}

/// The logs of workers and of instances, in the order in which they are named, each once; of all where none is named.
///
/// # Errors
/// When there is no configuration, or no worker of that name in it.
pub(super) fn of_names(config: &config::Options, names: &[String], classify: bool) -> Result<Vec<Source>, Failure> {
    let mut checked = config.load_to_look()?;
    let config = &checked.loaded.config;
    let state = places::state(&config.quell);
    let mut sources: Vec<Source> = Vec::new();
    let all = if names.is_empty() { config.workers.as_slice() } else { &[] };
    for name in all.iter().map(|worker| &worker.name).chain(names) {
        let (worker, log, logs) = config
            .workers
            .iter()
            .zip(&config.logs)
            .find_map(|(worker, log)| logs_called(name, worker).map(|logs| (worker, log, logs)))
            .ok_or_else(|| unknown(name, &config.workers))?;
        let folder = places::logs(log, state.as_deref())
            .ok_or_else(|| Failure::new(format!("{name} has no log: we have no home; set log.dir")))?;
        let rules = classify.then(|| rules(worker, log, &mut checked.shelf));
        for name in logs {
            let path = folder.join(&name);
            if sources.iter().all(|source| source.path != path) {
                sources.push(Source { name, path, rules: rules.clone() });
            }
        }
    }
    Ok(sources)
}

/// The logs of a worker that are meant by a name: all of them by its own, one by an instance's.
fn logs_called(name: &str, worker: &Named<Worker>) -> Option<Vec<String>> {
    let mut logs = places::log_names(worker);
    if worker.name != name {
        logs.retain(|log| log == name);
    }
    (!logs.is_empty()).then_some(logs)
}

fn unknown(name: &str, workers: &[Named<Worker>]) -> Failure {
    let logs = workers.iter().flat_map(places::log_names);
    let names: Vec<String> = workers.iter().map(|worker| worker.name.clone()).chain(logs).collect();
    let near = nearest(name, names.iter().map(String::as_str));
    let help = near.map_or("see `quell plan`".into(), |near| format!("did you mean {near:?}?"));
    Failure::new(format!("no worker is called {name:?}; {help}"))
}

fn rules(worker: &Named<Worker>, log: &WorkerLog, shelf: &mut Shelf) -> Rules {
    let line_bytes_max = usize::try_from(log.whole.line_max.value.0).unwrap_or(usize::MAX);
    Rules { rules: Arc::new(RuleSet::new(shelf.rules(&worker.keys))), line_bytes_max }
}
