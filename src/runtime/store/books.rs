//! What the store knows of its queues without looking: their counts, kept with each change, stored with each commit.

use super::tally::{Counts, Tally};
use crate::clock::Wall;
use crate::task::{Class, State, TaskId};
use std::sync::Arc;

/// What is known of all queues.
#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    queues: Vec<Queue>,
    /// The last number that a task has got.
    pub(super) last: u64,
}

/// What is known of a queue.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    /// Its number in the database.
    pub(super) row: i64,
    pub(super) name: Arc<str>,
    pub(super) paused: bool,
    pub(super) tally: Tally,
    pub(super) next_due: Option<Wall>,
    fresh: [Option<TaskId>; Class::ALL.len()],
    changed: bool,
}

impl Books {
    /// Forgets all queues.
    pub(super) fn clear(&mut self) {
        self.queues.clear();
    }

    /// A queue as it stands in the database; how it stands is news.
    pub(super) fn enter(&mut self, row: i64, name: Arc<str>, paused: bool, tally: Tally) {
        self.queues.push(Queue { row, name, paused, tally, next_due: None, fresh: [None; 3], changed: true });
    }

    /// A queue by its name. There are few.
    pub(super) fn named(&self, name: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| *queue.name == *name)
    }

    /// A queue by its number.
    pub(super) fn get(&self, row: i64) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.row == row)
    }

    /// A queue that is about to change.
    pub(super) fn change(&mut self, row: i64) -> Option<&mut Queue> {
        let queue = self.queues.iter_mut().find(|queue| queue.row == row)?;
        queue.changed = true;
        Some(queue)
    }

    /// A task has gone from one state to another; it has come or gone where there is none. A queue that is not there
    /// stands in a damaged row.
    pub(super) fn step(
        &mut self,
        row: i64,
        id: TaskId,
        class: Class,
        bytes: u64,
        step: (Option<State>, Option<State>),
    ) {
        let Some(queue) = self.change(row) else { return };
        let (from, to) = step;
        if let Some(from) = from {
            queue.tally.remove(from, class, bytes);
        }
        if let Some(to) = to {
            queue.tally.add(to, class, 1, bytes);
        }
        if to == Some(State::Waiting) {
            queue.waits(class, id);
        }
    }

    /// All queues.
    pub(super) fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.queues.iter()
    }

    /// The queues that have changed since this was taken.
    pub(super) fn changed(&mut self) -> impl Iterator<Item = &mut Queue> {
        self.queues.iter_mut().filter(|queue| queue.changed)
    }

    /// How those stand that have changed, said once.
    pub(super) fn news(&mut self) -> impl Iterator<Item = Counts> {
        self.changed().map(|queue| {
            queue.changed = false;
            Counts {
                queue: queue.name.clone(),
                paused: queue.paused,
                tally: queue.tally,
                fresh: std::mem::take(&mut queue.fresh),
                next_due: queue.next_due,
            }
        })
    }
}

impl Queue {
    /// A task has begun to wait.
    pub(super) fn waits(&mut self, class: Class, id: TaskId) {
        let first = &mut self.fresh[class as usize];
        *first = Some(first.map_or(id, |first| first.min(id)));
    }
}
