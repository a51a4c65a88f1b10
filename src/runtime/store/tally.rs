//! How many tasks of a queue stand where. The store keeps this in memory, and in the database beside the tasks.

use crate::clock::Wall;
use crate::task::{Class, State, TaskId};
use std::sync::Arc;

/// How many tasks of a queue stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Those that can be started, by class, the most urgent first.
    pub waiting: [u64; Class::ALL.len()],
    /// Those that wait until they are due.
    pub delayed: u64,
    /// Those that a worker has.
    pub running: u64,
    /// Those that are done, while their results stay.
    pub done: u64,
    /// Those that were given up.
    pub buried: u64,
    /// Those whose rows are damaged.
    pub damaged: u64,
    /// The payloads of all of them but the done, in bytes.
    pub bytes: u64,
}

/// How a queue stands after a commit that changed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Its name.
    pub queue: Arc<str>,
    /// No task of it is to be started for now.
    pub paused: bool,
    /// How many tasks stand where.
    pub tally: Tally,
    /// The first task of each class that has begun to wait since the last counts. Whoever has fetched past it goes back.
    pub fresh: [Option<TaskId>; Class::ALL.len()],
    /// When the next of its delayed tasks is due.
    pub next_due: Option<Wall>,
}

impl Tally {
    /// How many tasks count against `max_tasks`: all but the done.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.waiting.iter().sum::<u64>() + self.delayed + self.running + self.buried + self.damaged
    }

    /// The count of those of a state and a class.
    pub(super) fn of(&mut self, state: State, class: Class) -> &mut u64 {
        match state {
            State::Waiting => &mut self.waiting[class as usize],
            State::Delayed => &mut self.delayed,
            State::Running => &mut self.running,
            State::Done => &mut self.done,
            State::Buried => &mut self.buried,
            State::Damaged => &mut self.damaged,
        }
    }

    /// Some tasks with so many bytes in all are there, too.
    pub(super) fn add(&mut self, state: State, class: Class, tasks: u64, bytes: u64) {
        *self.of(state, class) += tasks;
        if state != State::Done {
            self.bytes += bytes;
        }
    }

    /// A task is there no more. What was damaged may have been counted otherwise; that ends at none.
    pub(super) fn remove(&mut self, state: State, class: Class, bytes: u64) {
        let count = self.of(state, class);
        *count = count.saturating_sub(1);
        if state != State::Done {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_as_stored() {
        let mut tally = Tally::default();
        for state in State::ALL {
            for class in Class::ALL {
                tally.add(state, class, 1, 10);
            }
        }
        assert_eq!((tally.waiting, tally.done, tally.stored(), tally.bytes), ([1; 3], 3, 15, 150));
        for state in State::ALL {
            for class in Class::ALL {
                tally.remove(state, class, 10);
            }
        }
        assert_eq!(tally, Tally::default());
        tally.remove(State::Buried, Class::Low, 1);
        assert_eq!(tally, Tally::default());
    }
}
