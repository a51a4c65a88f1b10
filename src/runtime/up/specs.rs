//! From a checked configuration to what the output plane goes by.

use super::lines::Vocabulary;
use crate::config::policy::Rotate;
use crate::config::tables::{self, Compress, Log, Ready, ReadyWord, StampKind, Worker};
use crate::config::values::{Address, ListName};
use crate::line::rules::RuleSet;
use crate::log::settings::{Overflow, Settings};
use crate::log::stamp::Stamp;
use crate::runtime::lists::Shelf;
use crate::runtime::lookout::Watchwords;
use crate::runtime::plane;
use crate::runtime::sorting::{Kept, Sorting};
use crate::sys::time;
use std::sync::Arc;

pub(super) use crate::supervisor::spec::{awaited, instances, is_by_task, spec, starts, waits_for};

/// How a worker says that it is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    /// It does not: it is ready when it runs.
    Start,
    /// By a datagram.
    Notify,
    /// By a line that holds this.
    Line(Vec<u8>),
    /// By a newline on a descriptor.
    Fd,
    /// By taking connections there.
    Tcp(Address),
}

/// How it says that it is ready.
pub(super) fn readiness(worker: &Worker) -> Readiness {
    match &worker.ready.value {
        Ready::Word(word) if word.0 == ReadyWord::Notify => Readiness::Notify,
        Ready::Word(_) => Readiness::Start,
        Ready::By(by) => {
            let by = &by.0;
            match (&by.line.value, &by.fd.value, &by.tcp.value) {
                (Some(line), _, _) => Readiness::Line(line.0.clone().into_bytes()),
                (_, Some(_), _) => Readiness::Fd,
                (_, _, Some(address)) => Readiness::Tcp(address.clone()),
                // A table with none of them is a mistake.
                _ => Readiness::Start,
            }
        }
    }
}

/// How a worker's log is kept.
pub(super) fn settings(log: &Log) -> Settings {
    let rotate = log.rotate.value;
    let routine = log.retain.routine.value;
    Settings {
        // What is never rotated never gets old enough to be purged.
        rotate: Rotate { age: rotate.age.or(routine.age), ..rotate },
        routine,
        critical: log.retain.critical.value,
        stamp: match log.stamp.value.0 {
            StampKind::None => Stamp::None,
            StampKind::Utc => Stamp::Utc,
            StampKind::Local => Stamp::Local(time::local_zone()),
            StampKind::Tai64n => Stamp::Tai64n,
        },
        compress: log.compress.value.0 == Compress::Zstd,
        sync: log.sync.value,
        overflow: match log.overflow.value.0 {
            tables::Overflow::Block => Overflow::Block,
            tables::Overflow::Drop => Overflow::Drop,
        },
    }
}

/// The sets of rules that were compiled, each once, and the texts that are waited for.
#[derive(Debug, Default)]
pub(super) struct Sortings {
    sortings: Vec<(Vec<ListName>, Sorting)>,
    pub(super) vocabulary: Vocabulary,
}

impl Sortings {
    /// By what the lines of a worker are sorted.
    pub(super) fn of(&mut self, worker: &Worker, shelf: &mut Shelf) -> Sorting {
        let lists = &worker.lists.value;
        if let Some((_, sorting)) = self.sortings.iter().find(|(known, _)| known == lists) {
            return sorting.clone();
        }
        let sorting = Sorting::new(Arc::new(RuleSet::new(shelf.rules(worker))), Kept::default());
        self.sortings.push((lists.clone(), sorting.clone()));
        sorting
    }
}

/// What the output plane goes by.
pub(super) fn plane_spec(
    log: &Log,
    worker: &Worker,
    name: &str,
    (sorting, watchwords): (Sorting, Option<Arc<Watchwords>>),
) -> plane::Spec {
    let ready = match readiness(worker) {
        Readiness::Line(text) => Some(text),
        _ => None,
    };
    plane::Spec {
        label: name.into(),
        dir: name.to_owned(),
        settings: Arc::new(settings(log)),
        sorting,
        line_bytes_max: log.line_max.value.0 as usize,
        latency: log.latency.value,
        ready,
        watchwords,
    }
}
