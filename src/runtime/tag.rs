//! Which task the lines of a process are of. The control plane says so, the output plane puts it before each line.
//!
//! A worker that stays prints for one task after the other into the same pipes. Between two tasks all that it has printed
//! must have been read before another task is said: the pipes are empty, and nobody is at what was in them.

use crate::task::TaskId;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Which task it is.
#[derive(Debug, Default)]
pub struct Tag {
    /// Its number; 0 for none.
    task: AtomicU64,
    /// Something is being read, or what was read is not sorted yet.
    reading: AtomicBool,
}

/// Something is being read, until this is dropped.
#[derive(Debug)]
pub struct Reading<'a>(&'a Tag);

impl Tag {
    /// Of this task, or of none.
    #[must_use]
    pub fn of(task: Option<TaskId>) -> Tag {
        let tag = Tag::default();
        tag.set(task);
        tag
    }

    /// Lines are of this task from now on.
    pub fn set(&self, task: Option<TaskId>) {
        self.task.store(task.map_or(0, |task| task.0), Ordering::SeqCst);
    }

    /// Whether somebody is at what was printed. To be asked after the pipes were seen empty: what was in them before has
    /// been sorted then, if nobody is.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.reading.load(Ordering::SeqCst)
    }

    /// What is read from now on is not sorted until the end of this.
    #[must_use]
    pub fn reading(&self) -> Reading<'_> {
        self.reading.store(true, Ordering::SeqCst);
        Reading(self)
    }

    /// Which task, to be asked when something was read.
    #[must_use]
    pub fn task(&self) -> Option<TaskId> {
        Some(TaskId(self.task.load(Ordering::SeqCst))).filter(|task| task.0 > 0)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.reading.store(false, Ordering::SeqCst);
    }
}
