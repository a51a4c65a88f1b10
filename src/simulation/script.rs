//! What a simulation is told: what comes from outside and when, how long processes run and how they end, what is expected.

use crate::clock::Wall;
use crate::config::source::Place;
use crate::control::record::{Source, TryEnd};
use crate::task::TaskId;
use crate::worker::outcome::Outcome;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// When it begins; `START` where that is not said.
    pub start: Option<Wall>,
    /// In the order of their times.
    pub steps: Vec<Step>,
    /// Lives of workers, in their order, by the worker's name or the instance's.
    pub lives: HashMap<Box<str>, VecDeque<Life>>,
    /// Tries, by the task and the number of the try; several in their order, where somebody has it tried from the beginning.
    pub tries: HashMap<(TaskId, u32), VecDeque<Tried>>,
    /// Workers that were at rest before it begins, by the instance's name: they do not start with quell.
    pub down: HashSet<Box<str>>,
    /// It was recorded: who was stopped for want of connections is told.
    pub is_recorded: bool,
    /// The highest number of a task that is named.
    pub last: TaskId,
    /// How many tasks a worker that stays had at once, by the instance's name; one where nothing is said.
    pub credits: HashMap<Box<str>, u32>,
}

/// 2000-01-01T00:00:00Z: when a simulation begins that is not told.
pub const START: Wall = Wall(946_684_800_000_000);

/// Something, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// So long after the start.
    pub at: Duration,
    /// What.
    pub what: What,
    /// Where that is written.
    pub place: Place,
}

/// What a step is.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Something comes from outside.
    Source(Box<Source>),
    /// From here on, all lives and tries of a worker are so.
    Run(Box<str>, Life),
    /// A start is expected from here on.
    Expect(Expected),
}

/// A life of a worker, or a try of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// When it says that it is ready: so long after its start; never where this is none.
    pub ready: Option<Duration>,
    /// How long it lasts; until it is stopped where this is none.
    pub lasts: Option<Duration>,
    /// How it ends.
    pub outcome: Outcome,
    /// How it ends when it is told to stop; by that signal where this is none.
    pub stopped: Option<Outcome>,
}

/// A try that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// How long it lasted; until its worker was stopped where this is none.
    pub lasts: Option<Duration>,
    /// How it ended.
    pub end: TryEnd,
}

/// What is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// This worker is started.
    pub start: Box<str>,
    /// Within this time, ever where this is none.
    pub within: Option<Duration>,
}

impl Life {
    /// One that ends well after so long, or when it is stopped.
    #[must_use]
    pub fn lasting(lasts: Option<Duration>) -> Life {
        Life { ready: Some(Duration::ZERO), lasts, outcome: Outcome::Exited(0), stopped: None }
    }
}

impl Script {
    /// A step at the end.
    pub fn push(&mut self, at: Duration, what: What, place: Place) {
        self.steps.push(Step { at, what, place });
    }

    /// Puts the steps in the order of their times; those of one time stay as they were.
    pub fn sort(&mut self) {
        self.steps.sort_by_key(|step| step.at);
    }
}
