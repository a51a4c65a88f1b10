//! A database in a folder of its own, told what to do without a thread between.

use super::database::{Database, Returned};
use super::order::{Ending, Key, Limits, NewTask, OnKey, Order, Placed, Put, Reply};
use super::tally::{Counts, Tally};
use crate::clock::Wall;
use crate::config::values::Durable;
use crate::task::{Class, State, Task, TaskId};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

pub(super) const ROOMY: Limits = Limits { tasks: 1_000_000, bytes: 1 << 30 };

pub(super) struct Scene {
    pub(super) folder: TempDir,
    pub(super) database: Database,
}

pub(super) fn task(payload: &str) -> NewTask {
    let payload = payload.as_bytes().into();
    NewTask { class: Class::Normal, key: None, delay: Duration::ZERO, trace: None, payload }
}

pub(super) fn keyed(payload: &str, key: &str, on: OnKey) -> NewTask {
    NewTask { key: Some(Key { name: key.into(), on }), ..task(payload) }
}

pub(super) fn put(tasks: Vec<NewTask>) -> Put {
    Put { queue: queue(), durable: Durable::Never, limits: ROOMY, tasks, start: 0, awaited: false, now: Wall(0) }
}

/// Its only queue, where it has one.
pub(super) fn queue() -> Arc<str> {
    "q".into()
}

pub(super) fn ids(placed: &[Placed]) -> Vec<TaskId> {
    placed.iter().map(|placed| placed.id).collect()
}

impl Scene {
    pub(super) fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        Scene { folder, database }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Closes the database and opens it as a supervisor does.
    pub(super) fn again(&mut self) -> Vec<Returned> {
        self.database = Database::open(self.folder.path()).unwrap();
        self.database.recover(&[]).unwrap().0
    }

    pub(super) fn tell(&mut self, order: &Order) -> Reply {
        self.database.transact(false, |tx| tx.work(order)).unwrap()
    }

    pub(super) fn put(&mut self, tasks: Vec<NewTask>) -> Vec<Placed> {
        match self.tell(&Order::Put(put(tasks))) {
            Reply::Put(placed) => placed,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn lease(&mut self, id: TaskId) -> Option<u32> {
        match self.tell(&Order::Lease { ids: vec![id], ahead: false }) {
            Reply::Leased(leased) => leased[0].1,
            other => panic!("{other:?}"),
        }
    }

    /// How many tasks an order has changed.
    pub(super) fn changes(&mut self, order: &Order) -> u64 {
        match self.tell(order) {
            Reply::Changed { tasks, .. } => tasks,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn end(&mut self, id: TaskId, ending: Ending, now: i64) -> bool {
        self.changes(&Order::End { id, ending, now: Wall(now) }) == 1
    }

    pub(super) fn fetch(&mut self, class: Class, after: u64) -> Vec<Task> {
        let (tasks, damaged) = self.fetch_some(class, after, 100, u64::MAX);
        assert_eq!(damaged, []);
        tasks
    }

    pub(super) fn fetch_some(&mut self, class: Class, after: u64, tasks: u32, bytes: u64) -> (Vec<Task>, Vec<TaskId>) {
        let after = TaskId(after);
        let order = Order::Fetch { queue: queue(), class, after, tasks_max: tasks, bytes_max: bytes, now: Wall(9) };
        match self.tell(&order) {
            Reply::Fetched { tasks, damaged } => (tasks, damaged),
            other => panic!("{other:?}"),
        }
    }

    /// Its state, where there is such a task.
    pub(super) fn state(&mut self, id: TaskId) -> Option<State> {
        match self.tell(&Order::Show { id }) {
            Reply::Shown(shown) => shown.map(|shown| shown.entry.state),
            other => panic!("{other:?}"),
        }
    }

    /// What is said of the queue, now that all of it is asked for.
    pub(super) fn counts(&mut self) -> Counts {
        self.database
            .transact(false, |tx| {
                let row = tx.queue(&queue())?;
                tx.books.change(row);
                Ok(())
            })
            .unwrap();
        self.database.news().find(|counts| *counts.queue == *queue()).unwrap()
    }

    /// As counted with each change, and as counted anew.
    pub(super) fn tally(&mut self) -> Tally {
        let kept = self.counts().tally;
        self.database.transact(false, |tx| tx.count()).unwrap();
        assert_eq!(self.counts().tally, kept);
        kept
    }
}
