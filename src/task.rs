//! Tasks: what a task is, and what is to become of it.
//!
//! A task is put into a queue, leased to a worker's process, and done, tried again or buried. A lease is a process, not a
//! clock: when the process ends, the task returns at once, so a task that is being worked on is never given to another.
//! It is done at least once: what was under way when quell or the machine died is done again.

pub mod guard;
pub mod idle;
pub mod outcome;
pub mod priority;
pub mod protocol;
pub mod queue;
pub mod schedule;
pub mod session;
pub mod tally;
pub mod trigger;
pub mod watch;

use crate::clock::Wall;
use crate::config::kind::join;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A task's number: the store gives it, in the order of puts, and never again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId(pub u64);

/// How urgent a task is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Before all others, with slots of its own.
    High,
    /// Most.
    #[default]
    Normal,
    /// When there is little else; never less than one in twenty-one.
    Low,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It can be started.
    Waiting,
    /// It waits until it is due.
    Delayed,
    /// A worker has it.
    Running,
    /// It is done; its result stays for a while.
    Done,
    /// It was given up; it stays until it is kicked, dropped, or too old.
    Buried,
    /// The disk does not hold what was stored: it is set aside and never handed out; it stays until it is dropped, or too
    /// old.
    Damaged,
}

/// A task, as it is handed to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its number.
    pub id: TaskId,
    /// How urgent it is.
    pub class: Class,
    /// How many tries were begun, this one too where one is.
    pub attempt: u32,
    /// When it was put.
    pub put: Wall,
    /// Which trace it belongs to (`TRACEPARENT`, W3C Trace Context), where whoever put it said so.
    pub trace: Option<Box<str>>,
    /// What is to be done: whoever put it and the worker know what it means.
    pub payload: Box<[u8]>,
}

impl Class {
    /// All, the most urgent first.
    pub const ALL: [Class; 3] = [Class::High, Class::Normal, Class::Low];

    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Class::High => "high",
            Class::Normal => "normal",
            Class::Low => "low",
        }
    }
}

impl State {
    /// All, in the order of a task's life.
    pub const ALL: [State; 6] =
        [State::Waiting, State::Delayed, State::Running, State::Done, State::Buried, State::Damaged];

    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Delayed => "delayed",
            State::Running => "running",
            State::Done => "done",
            State::Buried => "buried",
            State::Damaged => "damaged",
        }
    }
}

impl FromStr for Class {
    type Err = String;

    fn from_str(text: &str) -> Result<Class, String> {
        let known = Class::ALL.into_iter().find(|class| class.word() == text);
        known.ok_or_else(|| format!("{text:?} is no class; write {}", one_of(Class::ALL.map(Class::word))))
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<State, String> {
        let known = State::ALL.into_iter().find(|state| state.word() == text);
        known.ok_or_else(|| format!("{text:?} is no state; write {}", one_of(State::ALL.map(State::word))))
    }
}

/// `high, normal or low`.
fn one_of<const N: usize>(words: [&str; N]) -> String {
    join(words.into_iter().map(str::to_owned), "or")
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TaskId {
    type Err = String;

    fn from_str(text: &str) -> Result<TaskId, String> {
        let number = text.parse().ok().filter(|number| *number > 0);
        number.map(TaskId).ok_or_else(|| format!("{text:?} is no task; `quell queue list QUEUE` shows their numbers"))
    }
}
