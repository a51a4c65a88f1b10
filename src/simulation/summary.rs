//! What a simulation has come to.

use crate::clock::{Tick, Wall};
use crate::config::source::Place;
use crate::config::tables::QueueEvent;
use crate::config::unit::write_duration;
use crate::control::queue::{ByClass, Totals};
use crate::task::Class;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// It.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How long it went on, on its own clock.
    pub lasted_ms: u64,
    /// It was ended though there was more to come.
    pub cut: bool,
    /// The code that quell would have ended with, where it has.
    pub exit_code: Option<u8>,
    /// How much came from outside.
    pub sources: u64,
    /// The queues, in the order of the configuration.
    pub queues: Vec<Queue>,
    /// The workers, likewise.
    pub workers: Vec<Worker>,
    /// What was expected, in the order in which it was.
    pub expectations: Vec<Expectation>,
}

/// What has come of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// Its name.
    pub name: Box<str>,
    /// What has happened.
    #[serde(flatten)]
    pub totals: Totals,
    /// Tasks that it did not take.
    pub refused: u64,
    /// Tasks that can be started, in the end.
    pub waiting: ByClass,
    /// Tasks that are not due yet, that are worked on.
    pub delayed: u64,
    /// Tasks that are being worked on.
    pub running: u64,
    /// Tasks that are given up, in the end.
    pub given_up: u64,
    /// Tasks that were dropped, or that others of their key have taken the place of.
    pub dropped: u64,
    /// The longest that a task which could be started has waited until it was, by class, the most urgent first.
    pub longest_wait_ms: [Option<u64>; Class::ALL.len()],
}

/// What has come of a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Worker {
    /// Its name.
    pub name: Box<str>,
    /// How often it was started, all instances together.
    pub starts: u64,
    /// The same by what.
    pub by: BTreeMap<Box<str>, u64>,
    /// Ends that were no success, and that nobody had asked for.
    pub failures: u64,
    /// How often what it waits for was caught in a loop.
    pub tripped: u64,
}

/// What was expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expectation {
    /// This worker was to be started.
    pub start: Box<str>,
    /// Within this time.
    pub within_ms: Option<u64>,
    /// How long it took; none where it was not started.
    pub after_ms: Option<u64>,
    /// Others that were started meanwhile, each once, in their order.
    pub others: Vec<Box<str>>,
    /// Whether it came as expected.
    pub met: bool,
    /// Why it was not looked for.
    pub missed: Option<&'static str>,
    /// Where that is written.
    #[serde(skip)]
    pub place: Option<Place>,
    #[serde(skip)]
    pub(super) since: Tick,
    #[serde(skip)]
    pub(super) within: Option<Duration>,
}

/// So many others are named.
const OTHERS_MAX: usize = 5;

impl Summary {
    /// Whether all came as expected.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.expectations.iter().all(|expectation| expectation.met)
    }

    /// A worker was started.
    pub(super) fn started(&mut self, worker: usize, why: &str, now: Tick) {
        let known = &mut self.workers[worker];
        known.starts += 1;
        match known.by.get_mut(why) {
            Some(count) => *count += 1,
            None => _ = known.by.insert(why.into(), 1),
        }
        self.begun(worker, now);
    }

    /// A worker was started, or given a task.
    pub(super) fn begun(&mut self, worker: usize, now: Tick) {
        let name = &self.workers[worker].name;
        for open in self.expectations.iter_mut().filter(|expected| expected.after_ms.is_none()) {
            open.started(name, now);
        }
    }

    /// A task has begun that could have since then.
    pub(super) fn waited(&mut self, queue: usize, class: Class, since: Wall, now: Wall) {
        let waited = millis(now.until(since));
        let longest = &mut self.queues[queue].longest_wait_ms[class as usize];
        *longest = Some(longest.map_or(waited, |longest| longest.max(waited)));
    }

    /// Something has happened to a task.
    pub(super) fn happened(&mut self, queue: usize, event: QueueEvent) {
        self.queues[queue].totals.count(event);
    }
}

impl Expectation {
    pub(super) fn new(start: Box<str>, within: Option<Duration>, since: Tick, place: Place) -> Expectation {
        let (after_ms, others, met, missed, place) = (None, Vec::new(), false, None, Some(place));
        Expectation { start, within_ms: within.map(millis), after_ms, others, met, missed, place, since, within }
    }

    fn started(&mut self, worker: &str, now: Tick) {
        if *worker == *self.start {
            let after = now.until(self.since);
            self.after_ms = Some(millis(after));
            self.met = self.within.is_none_or(|within| after <= within);
        } else if self.others.len() < OTHERS_MAX && !self.others.iter().any(|other| **other == *worker) {
            self.others.push(worker.into());
        }
    }

    /// What was expected, and what came instead.
    #[must_use]
    pub fn describe(&self) -> String {
        let Expectation { start, others, .. } = self;
        let instead = match (self.after_ms, &others[..]) {
            _ if self.missed.is_some() => self.missed.unwrap_or_default().to_owned(),
            (Some(after), _) => format!("it was started after {}", write_duration(Duration::from_millis(after))),
            (None, []) => "nothing was started".to_owned(),
            (None, others) => format!("{} was started instead", others.join(", ")),
        };
        let within = self.within.map(|within| format!(" within {}", write_duration(within))).unwrap_or_default();
        format!("{start} was not started{within}: {instead}")
    }
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
