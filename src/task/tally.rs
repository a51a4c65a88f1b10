//! How many tasks of a queue stand where, and what a change of that means to those who wait for it. The store keeps this in
//! memory, and in the database beside the tasks.

use super::{Class, State, TaskId};
use crate::clock::Wall;
use crate::config::tables::QueueEvent;
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

    /// How many can be started.
    #[must_use]
    pub fn startable(&self) -> u64 {
        self.waiting.iter().sum()
    }

    /// How many are still to be done.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.startable() + self.delayed + self.running
    }

    /// The count of those of a state and a class.
    pub fn of(&mut self, state: State, class: Class) -> &mut u64 {
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
    pub fn add(&mut self, state: State, class: Class, tasks: u64, bytes: u64) {
        *self.of(state, class) += tasks;
        if state != State::Done {
            self.bytes += bytes;
        }
    }

    /// A task is there no more. What was damaged may have been counted otherwise; that ends at none.
    pub fn remove(&mut self, state: State, class: Class, bytes: u64) {
        let count = self.of(state, class);
        *count = count.saturating_sub(1);
        if state != State::Done {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}

impl Counts {
    /// What has happened to a queue that stood so before, for those who wait for that. `begun` tasks were put and begun at
    /// once: those were added, too. So is what waits in a queue that is not paused any more.
    pub fn news(&self, before: Option<&Counts>, begun: u64) -> impl Iterator<Item = QueueEvent> + use<> {
        let resumed = before.is_some_and(|before| before.paused) && !self.paused && self.tally.startable() > 0;
        let added = begun > 0 || resumed || self.fresh.iter().any(Option::is_some);
        let emptied = before.is_some_and(|before| before.tally.left() > 0) && self.tally.left() == 0;
        let news = [(added, QueueEvent::Added), (emptied, QueueEvent::Empty)];
        news.into_iter().filter(|(is_so, _)| *is_so).map(|(_, event)| event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_news() {
        let queue: Arc<str> = "jobs".into();
        let counts = |fresh: bool, running: u64| {
            let (tally, queue) = (Tally { running, done: 7, ..Tally::default() }, queue.clone());
            let fresh = [None, fresh.then_some(TaskId(1)), None];
            Counts { queue, paused: false, tally, fresh, next_due: None }
        };
        let news = |fresh: bool, before: u64, now: u64| {
            counts(fresh, now).news(Some(&counts(false, before)), 0).collect::<Vec<_>>()
        };
        assert_eq!(news(true, 0, 1), [QueueEvent::Added]);
        assert_eq!(news(false, 1, 0), [QueueEvent::Empty]);
        assert_eq!((news(false, 0, 0), news(false, 2, 1)), (vec![], vec![]));
        assert_eq!(counts(false, 1).news(None, 1).collect::<Vec<_>>(), [QueueEvent::Added], "it began at once");
        let paused = Counts { paused: true, ..counts(false, 0) };
        let waiting = Counts { tally: Tally { waiting: [0, 0, 1], ..Tally::default() }, ..counts(false, 0) };
        assert_eq!(waiting.news(Some(&paused), 0).collect::<Vec<_>>(), [QueueEvent::Added], "it goes on");
        assert_eq!(counts(false, 0).news(Some(&paused), 0).count(), 0);
    }

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
