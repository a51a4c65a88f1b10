//! From a checked configuration to what the supervisor goes by.

use super::Spec;
use crate::config::load::{Config, Named};
use crate::config::tables::{self, Protocol, Trigger, Worker, WorkerKind};
use crate::config::typed::Item;
use crate::config::values::Tries;
use crate::worker::lifecycle::{Backoff, Policy, Restart};

/// Whether it has a process for each task.
#[must_use]
pub fn is_by_task(worker: &Worker) -> bool {
    worker.protocol.value.0 == Protocol::Exec && worker.given().next().is_some()
}

/// Whether it is one that stays, and is told its tasks.
#[must_use]
pub fn is_told_tasks(worker: &Worker) -> bool {
    worker.protocol.value.0 == Protocol::Lines && worker.given().next().is_some()
}

/// What starts a worker: the items of its `start_on` by their numbers, but for the queues whose tasks it is started for.
pub fn waits_for(worker: &Worker) -> impl Iterator<Item = (usize, &Trigger)> {
    let leases = is_by_task(worker);
    let items = worker.start_on.value.iter().map(|Item(trigger, _)| trigger).enumerate();
    items.filter(move |(_, trigger)| !(leases && trigger.is_of_tasks()))
}

/// Who waits for a line of a worker, and for what. What a worker prints itself never starts it, or it would print it again.
pub fn awaited<'a>(config: &'a Config, speaker: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let others = config.workers.iter().filter(move |named| named.keys.enabled.value && named.name != speaker);
    others.flat_map(move |named| {
        let items = named.keys.start_on.value.iter().map(|Item(item, _)| item);
        let of_it = items.filter(move |item| item.worker.value.as_ref().is_none_or(|worker| worker.0 == speaker));
        of_it.filter_map(|item| Some((named.name.as_str(), item.line.value.as_ref()?.0.as_str())))
    })
}

/// The instances of a worker, or its slots, by name and number. Slots have one even where there is only one: a reload that
/// adds others leaves that alone.
#[must_use]
pub fn instances(named: &Named<Worker>) -> Vec<(String, Option<u32>)> {
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
#[must_use]
pub fn starts(named: &Named<Worker>) -> bool {
    named.keys.enabled.value && named.keys.start_on.value.is_empty()
}

/// What the supervisor goes by.
#[must_use]
pub fn spec(config: &Config, named: &Named<Worker>) -> Spec {
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
