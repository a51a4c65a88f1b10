//! What each order does.

use super::checksum::Summed;
use super::order::{Ending, Order, Reply, Which};
use super::table::{self, STEP_MAX, Step, Transaction, class_of, sql, text};
use crate::clock::Wall;
use crate::task::{Class, Task, TaskId};
use rusqlite::{Params, Result, Row, params};

/// The next waiting tasks.
const FETCH: &str = concat!(
    "SELECT id, class, attempt, put_us, trace, payload, sum FROM task WHERE queue = ?1 AND class = ?2 AND state = '",
    table::word!(Waiting),
    "' AND id > ?3 ORDER BY id"
);

impl Transaction<'_> {
    /// Does what an order says: its reply, which holds once this is committed.
    pub(super) fn work(&mut self, order: &Order) -> Result<Reply> {
        match order {
            Order::Put(put) => Ok(self.put(put)?.map_or_else(Reply::Full, Reply::Put)),
            Order::Arrived(arrived) => self.arrived(arrived),
            Order::Lease { ids, .. } => self.lease(ids),
            Order::End { id, ending, now } => self.end(*id, ending, *now),
            Order::Fetch { queue, class, after, tasks_max, bytes_max, now } => match self.row_of(queue) {
                Some(queue) => self.fetch(queue, *class, *after, (*tasks_max, *bytes_max), *now),
                None => Ok(Reply::Fetched { tasks: Vec::new(), damaged: Vec::new() }),
            },
            Order::Due { now } => self.due(*now),
            Order::List { queue, state, after, max } => self.list(queue.as_deref(), *state, *after, *max),
            Order::Show { id } => self.show(*id),
            Order::Kick(Which::Task(id)) => self.one(&[table::KICK_BURIED, table::KICK_DELAYED], params![sql(id.0)]),
            Order::Kick(Which::Queue(queue)) => self.some(queue, &[table::KICK_ALL_BURIED, table::KICK_ALL_DELAYED]),
            Order::Bury { id, why, now } => {
                self.one(&[table::BURY_WAITING, table::BURY_DELAYED], params![sql(id.0), why, now.0])
            }
            Order::Drop { id } => self.one(
                &[table::DROP_WAITING, table::DROP_DELAYED, table::DROP_DONE, table::DROP_BURIED, table::DROP_DAMAGED],
                params![sql(id.0)],
            ),
            Order::Drain { queue } => self
                .some(queue, &[table::DRAIN_WAITING, table::DRAIN_DELAYED, table::DRAIN_BURIED, table::DRAIN_DAMAGED]),
            Order::Pause { queue, paused } => {
                let row = self.queue(queue)?;
                self.books.change(row).into_iter().for_each(|queue| queue.paused = *paused);
                Ok(Reply::Changed { tasks: 0, more: false })
            }
            Order::Purge { queue, before, done_max } => self.purge(queue, *before, *done_max),
            Order::Look | Order::Take { .. } => Ok(Reply::Changed { tasks: 0, more: false }),
        }
    }

    fn row_of(&self, queue: &str) -> Option<i64> {
        self.books.named(queue).map(|queue| queue.row)
    }

    /// Takes steps for one task, of which one may apply.
    fn one(&mut self, steps: &[Step], params: impl Params + Clone) -> Result<Reply> {
        let mut tasks = 0;
        for step in steps {
            tasks += self.step(step, params.clone())?.len() as u64;
        }
        Ok(Reply::Changed { tasks, more: false })
    }

    /// Takes steps for a queue, each for so many tasks at most.
    fn some(&mut self, queue: &str, steps: &[Step]) -> Result<Reply> {
        let Some(queue) = self.row_of(queue) else { return Ok(Reply::Changed { tasks: 0, more: false }) };
        let mut found = Found::default();
        for step in steps {
            found.add(self.step(step, [queue])?.len());
        }
        Ok(found.into())
    }

    fn lease(&mut self, ids: &[TaskId]) -> Result<Reply> {
        let lease = |id: &TaskId| {
            let leased = self.step(&table::LEASE, [sql(id.0)])?;
            Ok((*id, leased.first().map(|task| task.attempt)))
        };
        ids.iter().map(lease).collect::<Result<_>>().map(Reply::Leased)
    }

    fn end(&mut self, id: TaskId, ending: &Ending, now: Wall) -> Result<Reply> {
        let id = sql(id.0);
        let changed = match ending {
            Ending::Done { result } => self.step(&table::DONE, params![id, result, now.0]),
            Ending::Again { due, why } if *due <= now => self.step(&table::AGAIN_NOW, params![id, why]),
            Ending::Again { due, why } => self.step(&table::AGAIN, params![id, why, due.0]),
            Ending::Buried { why } => self.step(&table::GIVE_UP, params![id, why, now.0]),
            Ending::Return => self.step(&table::RETURN, [id]),
            Ending::Unbegun => self.step(&table::UNBEGUN, [id]),
        };
        Ok(Reply::Changed { tasks: changed?.len() as u64, more: false })
    }

    fn due(&mut self, now: Wall) -> Result<Reply> {
        let queues: Vec<_> =
            self.books.queues().filter(|queue| queue.tally.delayed > 0).map(|queue| queue.row).collect();
        let mut found = Found::default();
        for queue in queues {
            found.add(self.step(&table::DUE, [queue, now.0])?.len());
        }
        Ok(found.into())
    }

    fn purge(&mut self, queue: &str, before: Wall, done_max: u64) -> Result<Reply> {
        let Some(row) = self.row_of(queue) else { return Ok(Reply::Changed { tasks: 0, more: false }) };
        let mut found = Found::default();
        for step in [table::PURGE_DONE, table::PURGE_BURIED, table::PURGE_DAMAGED] {
            found.add(self.step(&step, [row, before.0])?.len());
        }
        let done = self.books.get(row).map_or(0, |queue| queue.tally.done);
        if done > done_max {
            found.add(self.step(&table::PURGE_MOST, [row, sql(done - done_max)])?.len());
        }
        Ok(found.into())
    }

    /// The next waiting tasks. What is not what was put is set aside.
    fn fetch(&mut self, queue: i64, class: Class, after: TaskId, max: (u32, u64), now: Wall) -> Result<Reply> {
        let (tasks_max, bytes_max) = max;
        let (mut tasks, mut damaged, mut bytes) = (Vec::new(), Vec::new(), 0);
        {
            let mut next = self.conn.prepare_cached(FETCH)?;
            let mut rows = next.query(params![queue, class.word(), sql(after.0)])?;
            while tasks.len() < tasks_max as usize && bytes < bytes_max.max(1) {
                let Some(row) = rows.next()? else { break };
                match intact(row) {
                    Some(task) => {
                        bytes += task.payload.len() as u64;
                        tasks.push(task);
                    }
                    None => damaged.push(TaskId(row.get::<_, i64>(0)?.unsigned_abs())),
                }
            }
        }
        for id in &damaged {
            self.step(&table::SET_ASIDE, [sql(id.0), now.0])?;
        }
        Ok(Reply::Fetched { tasks, damaged })
    }
}

/// The task of a row, unless it is damaged.
fn intact(row: &Row<'_>) -> Option<Task> {
    let id = TaskId(row.get::<_, i64>(0).ok()?.unsigned_abs());
    let class = class_of(text(row, 1))?;
    let put_us = row.get(3).ok()?;
    let trace: Option<Box<str>> = row.get(4).ok()?;
    let payload = text(row, 5);
    let summed = Summed { id, class, put_us, trace: trace.as_deref().map(str::as_bytes), payload };
    let is_intact = row.get::<_, u32>(6).is_ok_and(|sum| sum == summed.sum());
    let attempt = row.get(2).ok()?;
    is_intact.then(|| Task { id, class, attempt, put: Wall(put_us), trace, payload: payload.into() })
}

/// How many tasks some steps have found.
#[derive(Default)]
struct Found {
    tasks: u64,
    more: bool,
}

impl Found {
    fn add(&mut self, tasks: usize) {
        self.tasks += tasks as u64;
        self.more |= tasks as u64 == STEP_MAX;
    }
}

impl From<Found> for Reply {
    fn from(found: Found) -> Reply {
        Reply::Changed { tasks: found.tasks, more: found.more }
    }
}

#[cfg(test)]
#[path = "work_tests.rs"]
mod tests;
