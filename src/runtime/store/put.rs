//! Putting tasks: all of a put or nothing of it.

use super::checksum::Summed;
use super::order::{Full, How, Key, NewTask, OnKey, Placed, Put};
use super::table::{self, Transaction, sql};
use crate::clock::Wall;
use crate::task::{State, TaskId};
use rusqlite::{OptionalExtension, Result, params};
use std::sync::Arc;

impl Transaction<'_> {
    /// Stores the tasks of a put, or says why the queue cannot hold them.
    pub(super) fn put(&mut self, put: &Put) -> Result<std::result::Result<Vec<Placed>, Full>> {
        let queue = self.queue(&put.queue)?;
        let bytes: u64 = put.tasks.iter().map(|task| task.payload.len() as u64).sum();
        match self.allows(queue, put, put.tasks.len() as u64, bytes) {
            Ok(()) => self.place_all(queue, put).map(Ok),
            Err(full) if put.tasks.iter().all(|task| task.key.is_none()) => Ok(Err(full)),
            // Some may be there already, or take another's place.
            Err(_) => self.put_on_trial(queue, put),
        }
    }

    /// The number of a queue, made where there is none of that name.
    pub(super) fn queue(&mut self, name: &Arc<str>) -> Result<i64> {
        if let Some(queue) = self.books.named(name) {
            return Ok(queue.row);
        }
        self.conn.execute("INSERT INTO queue (name) VALUES (?1)", [&**name])?;
        let row = self.conn.last_insert_rowid();
        self.books.enter(row, name.clone(), false, super::tally::Tally::default());
        Ok(row)
    }

    fn allows(&self, queue: i64, put: &Put, tasks: u64, bytes: u64) -> std::result::Result<(), Full> {
        let tally = self.books.get(queue).map(|queue| queue.tally).unwrap_or_default();
        put.limits.allow(tally.stored().saturating_add(tasks), tally.bytes.saturating_add(bytes))
    }

    fn put_on_trial(&mut self, queue: i64, put: &Put) -> Result<std::result::Result<Vec<Placed>, Full>> {
        let before = self.books.clone();
        self.conn.execute_batch("SAVEPOINT trial")?;
        let placed = self.place_all(queue, put)?;
        let allowed = self.allows(queue, put, 0, 0);
        if allowed.is_err() {
            self.conn.execute_batch("ROLLBACK TO trial")?;
            *self.books = before;
        }
        self.conn.execute_batch("RELEASE trial")?;
        Ok(allowed.map(|()| placed))
    }

    fn place_all(&mut self, queue: i64, put: &Put) -> Result<Vec<Placed>> {
        let mut start = put.start;
        put.tasks.iter().map(|task| self.place(queue, task, &mut start, put.now)).collect()
    }

    fn place(&mut self, queue: i64, task: &NewTask, start: &mut u32, now: Wall) -> Result<Placed> {
        let how = match &task.key {
            None => How::New,
            Some(Key { name, on: OnKey::DropNew }) => match self.holder(queue, name)? {
                Some((id, state)) => return Ok(Placed { id, state, how: How::There }),
                None => How::New,
            },
            Some(Key { name, on: OnKey::Replace }) => {
                let waiting = self.step(&table::REPLACE_WAITING, params![queue, name])?;
                let delayed = self.step(&table::REPLACE_DELAYED, params![queue, name])?;
                let old: Vec<_> = waiting.iter().chain(&delayed).map(|old| old.id).collect();
                if old.is_empty() { How::New } else { How::Replaced(old) }
            }
        };
        let state = match (task.delay.is_zero(), *start) {
            (false, _) => State::Delayed,
            (true, 0) => State::Waiting,
            (true, _) => {
                *start -= 1;
                State::Running
            }
        };
        Ok(Placed { id: self.insert(queue, task, state, now)?, state, how })
    }

    /// The task that has a key.
    fn holder(&self, queue: i64, key: &str) -> Result<Option<(TaskId, State)>> {
        let holder = self
            .conn
            .prepare_cached(
                "SELECT id, state FROM task WHERE queue = ?1 AND key = ?2 AND ended_us IS NULL ORDER BY id LIMIT 1",
            )?
            .query_row(params![queue, key], |row| {
                let state = table::state_of(table::text(row, 1)).unwrap_or(State::Damaged);
                Ok((TaskId(row.get::<_, i64>(0)?.unsigned_abs()), state))
            });
        holder.optional()
    }

    /// Stores a task in a state.
    pub(super) fn insert(&mut self, queue: i64, task: &NewTask, state: State, now: Wall) -> Result<TaskId> {
        let id = TaskId(self.books.last + 1);
        let NewTask { class, key, delay, trace, payload } = task;
        let trace = trace.as_deref();
        let summed = Summed { id, class: *class, put_us: now.0, trace: trace.map(str::as_bytes), payload };
        let due = (state == State::Delayed).then(|| now.after(*delay).0);
        self.conn
            .prepare_cached(
                "INSERT INTO task (id, queue, class, state, attempt, bytes, sum, put_us, due_us, key, trace, payload) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?
            .execute(params![
                sql(id.0),
                queue,
                class.word(),
                state.word(),
                u32::from(state == State::Running),
                sql(payload.len() as u64),
                summed.sum(),
                now.0,
                due,
                key.as_ref().map(|key| &key.name),
                trace,
                payload,
            ])?;
        self.books.last = id.0;
        self.books.step(queue, id, *class, payload.len() as u64, (None, Some(state)));
        Ok(id)
    }
}
