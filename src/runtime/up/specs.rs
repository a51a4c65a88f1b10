//! From a checked configuration to what the supervisor and the output plane go by.

use super::lines::Vocabulary;
use crate::config::load::{Config, Named};
use crate::config::policy::Rotate;
use crate::config::tables::{self, Compress, Log, Protocol, Ready, ReadyWord, StampKind, Worker, WorkerKind};
use crate::config::values::{Address, ListName, Tries};
use crate::line::rules::RuleSet;
use crate::log::settings::{Overflow, Settings};
use crate::log::stamp::Stamp;
use crate::runtime::lists::Shelf;
use crate::runtime::lookout::Watchwords;
use crate::runtime::plane;
use crate::runtime::sorting::{Kept, Sorting};
use crate::supervisor::Spec;
use crate::sys::time;
use crate::worker::lifecycle::{Backoff, Policy, Restart};
use std::sync::Arc;

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

/// Whether it has a process for each task.
pub(super) fn is_by_task(worker: &Worker) -> bool {
    worker.protocol.value.0 == Protocol::Exec && worker.given().next().is_some()
}

/// Whether it is one that stays, and is told its tasks.
pub(super) fn is_told_tasks(worker: &Worker) -> bool {
    worker.protocol.value.0 == Protocol::Lines && worker.given().next().is_some()
}

/// The instances of a worker, or its slots, by name and number. Slots have one even where there is only one: a reload that
/// adds others leaves that alone.
pub(super) fn instances(named: &Named<Worker>) -> Vec<(String, Option<u32>)> {
    let keys = &named.keys;
    let numbered = |count: i64| (1..=count as u32).map(|n| (format!("{}.{n}", named.name), Some(n))).collect();
    if is_by_task(keys) {
        return numbered(keys.slots.total.value.0);
    }
    match keys.instances.value.0 {
        1 => vec![(named.name.clone(), None)],
        count => numbered(count),
    }
}

/// Whether it starts with quell, not by what its `start_on` names.
pub(super) fn starts(named: &Named<Worker>) -> bool {
    named.keys.enabled.value && named.keys.start_on.value.is_empty()
}

/// What the supervisor goes by.
pub(super) fn spec(config: &Config, named: &Named<Worker>) -> Spec {
    let keys = &named.keys;
    let oneshot = keys.kind_in_force() == WorkerKind::Oneshot;
    let restart = match keys.restart_in_force() {
        // What a task needs another try for, it gets another try for.
        _ if is_by_task(keys) => Restart::Never,
        _ if keys.restart.value.is_none() && keys.essential.value => Restart::Never,
        tables::Restart::Always => Restart::Always,
        tables::Restart::OnFailure => Restart::OnFailure,
        tables::Restart::Never => Restart::Never,
    };
    let backoff = Backoff {
        first: keys.backoff.first.value,
        max: keys.backoff.max.value,
        reset: keys.backoff.reset.value,
        give_up: match keys.backoff.give_up.value {
            Tries::Never => None,
            Tries::After(tries) => Some(tries),
        },
    };
    let is_enabled = |name: &str| config.worker(name).is_some_and(|needed| needed.keys.enabled.value);
    Spec {
        worker: named.name.as_str().into(),
        policy: Policy {
            restart,
            backoff,
            start_timeout: keys.start_timeout.value,
            grace: keys.stop.grace.value,
            // To be told that there is nothing more to do is one, too.
            stop_command: keys.stop.command.value.is_some() || is_told_tasks(keys),
        },
        needs: keys.needs.value.iter().filter(|need| is_enabled(&need.0)).map(|need| need.0.as_str().into()).collect(),
        essential: keys.essential.value,
        oneshot,
        success_codes: keys.success_codes.value.iter().map(|code| code.0 as u8).collect(),
    }
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
