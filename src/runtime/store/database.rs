//! The database as it is worked with: transactions, each whole or not at all, and the books that go with them.

use super::books::Books;
use super::error::StoreError;
use super::schema;
use super::table::{self, Changed, Transaction, class_of, sql, state_of, text};
use super::tally::{Counts, Tally};
use crate::clock::Wall;
use crate::task::{State, TaskId};
use rusqlite::{Connection, ErrorCode, Result, ffi, params};
use std::path::Path;
use std::sync::Arc;

const STORE: &str = "store.db";

/// The database of a state directory.
#[derive(Debug)]
pub(super) struct Database {
    conn: Connection,
    path: Arc<Path>,
    books: Books,
    /// The last task's number as of the last commit.
    seen: u64,
    /// What changes when another process commits; none when what is known is not what is stored.
    version: Option<i64>,
    /// Whether a commit waits for the disk.
    synced: Option<bool>,
    /// A commit has failed at the disk: what stands in the log may be lost though it was written.
    suspect: bool,
    /// There was no space for a commit, and the log was not begun anew since.
    crowded: bool,
}

/// A task whose try was cut short when its supervisor ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// Which.
    pub id: TaskId,
    /// Of which queue.
    pub queue: Arc<str>,
    /// How many tries were begun, that one too.
    pub attempt: u32,
}

impl Database {
    /// Opens the database of a state directory, made where there is none.
    pub(super) fn open(state: &Path) -> std::result::Result<Database, StoreError> {
        let path: Arc<Path> = state.join(STORE).into();
        let conn = schema::open(&path)?;
        Ok(Database {
            conn,
            path,
            books: Books::default(),
            seen: 0,
            version: None,
            synced: None,
            suspect: false,
            crowded: false,
        })
    }

    /// Does something in a transaction. If that fails, nothing of it has been done. A synced one is durable when it has
    /// succeeded, and so is all that was committed before. Where no space is left, what the log takes is given back first, if
    /// it can be, and it is tried once more.
    pub(super) fn transact<T>(
        &mut self,
        synced: bool,
        work: impl Fn(&mut Transaction<'_>) -> Result<T>,
    ) -> std::result::Result<T, StoreError> {
        let was_crowded = self.crowded;
        let mut result = self.attempt(synced, &work);
        if result.is_err() && self.crowded && !was_crowded {
            result = self.attempt(synced, &work);
        }
        result.map_err(|error| StoreError::of(&self.path, &error))
    }

    /// How the queues stand that have changed since this was asked.
    pub(super) fn news(&mut self) -> impl Iterator<Item = Counts> {
        self.books.news()
    }

    /// Tasks that were running wait again, but for those that are still being worked on: to be called where no supervisor can
    /// be there but us. The ones and the others; all is counted anew.
    pub(super) fn recover(
        &mut self,
        at_work: &[TaskId],
    ) -> std::result::Result<(Vec<Returned>, Vec<Returned>), StoreError> {
        let ids: Vec<_> = at_work.iter().map(ToString::to_string).collect();
        let ids = format!("[{}]", ids.join(","));
        self.transact(false, |tx| {
            let returned = tx.step(&table::RECOVER, [&ids])?;
            let held = tx.running()?;
            tx.count()?;
            let named = |task: &Changed| {
                let queue = tx.books.get(task.queue)?.name.clone();
                Some(Returned { id: task.id, queue, attempt: task.attempt })
            };
            Ok((returned.iter().filter_map(named).collect(), held.iter().filter_map(named).collect()))
        })
    }

    /// Closes the database, all of it in one file.
    pub(super) fn close(self) -> std::result::Result<(), StoreError> {
        self.conn.close().map_err(|(_, error)| StoreError::of(&self.path, &error))
    }

    fn attempt<T>(&mut self, synced: bool, work: impl Fn(&mut Transaction<'_>) -> Result<T>) -> Result<T> {
        self.commit(synced, work).inspect_err(|error| self.undo(error))
    }

    fn commit<T>(&mut self, synced: bool, work: impl Fn(&mut Transaction<'_>) -> Result<T>) -> Result<T> {
        self.restore_trust()?;
        // What was freed goes to the database first: the log could take all of it, and could not be written back then.
        if self.crowded && self.fold().is_ok() {
            self.crowded = false;
        }
        // Within a transaction this would change nothing (sqlite.org/pragma.html#pragma_synchronous).
        if self.synced != Some(synced) {
            self.conn.execute_batch(if synced {
                "PRAGMA synchronous = FULL"
            } else {
                "PRAGMA synchronous = NORMAL"
            })?;
            self.synced = Some(synced);
        }
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        self.look()?;
        let mut tx = Transaction { conn: &self.conn, books: &mut self.books };
        let done = work(&mut tx)?;
        tx.store_books()?;
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        self.seen = self.books.last;
        Ok(done)
    }

    fn undo(&mut self, error: &rusqlite::Error) {
        self.version = None;
        // What is counted there was not done: nobody is to hear of it.
        self.books.clear();
        self.suspect |= error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure);
        self.crowded |= error.sqlite_error_code() == Some(ErrorCode::DiskFull);
        // Some errors have rolled it back already.
        if !self.conn.is_autocommit()
            && let Err(e) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!("cannot roll back in {}: {e}", self.path.display());
        }
    }

    /// After a failed fsync(2) the system takes for written what is not. What the log holds is written again, to the
    /// database, and the log begun anew, before anything is built on it.
    fn restore_trust(&mut self) -> Result<()> {
        if self.suspect {
            self.conn.execute_batch("PRAGMA synchronous = FULL")?;
            self.synced = Some(true);
            self.fold()?;
            self.suspect = false;
        }
        Ok(())
    }

    /// Writes what the log holds to the database, and begins an empty log.
    fn fold(&self) -> Result<()> {
        match self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))? {
            true => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None)),
            false => Ok(()),
        }
    }

    /// Reads the books where another process has committed, or where ours were wrong. The transaction is open: nobody
    /// commits meanwhile.
    fn look(&mut self) -> Result<()> {
        let version = self.conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if self.version == Some(version) {
            return Ok(());
        }
        read_queues(&self.conn, &mut self.books)?;
        read_fresh(&self.conn, &mut self.books, self.seen)?;
        self.version = Some(version);
        Ok(())
    }
}

impl Transaction<'_> {
    /// Stores how the queues stand that have changed, and learns when their next tasks are due.
    fn store_books(&mut self) -> Result<()> {
        let mut store = self.conn.prepare_cached(
            "UPDATE queue SET paused = ?2, waiting_high = ?3, waiting_normal = ?4, waiting_low = ?5, delayed = ?6, \
             running = ?7, done = ?8, buried = ?9, damaged = ?10, bytes = ?11 WHERE id = ?1",
        )?;
        for queue in self.books.changed() {
            let tally = &queue.tally;
            let [high, normal, low] = tally.waiting.map(sql);
            let [delayed, running, done] = [tally.delayed, tally.running, tally.done].map(sql);
            let [buried, damaged, bytes] = [tally.buried, tally.damaged, tally.bytes].map(sql);
            store.execute(params![
                queue.row,
                queue.paused,
                high,
                normal,
                low,
                delayed,
                running,
                done,
                buried,
                damaged,
                bytes
            ])?;
            queue.next_due = match queue.tally.delayed {
                0 => None,
                _ => next_due(self.conn, queue.row)?,
            };
        }
        Ok(())
    }

    /// The tasks that are running.
    fn running(&self) -> Result<Vec<Changed>> {
        let text = concat!("SELECT id, queue, attempt FROM task WHERE state = '", table::word!(Running), "'");
        let mut running = self.conn.prepare(text)?;
        let task = |row: &rusqlite::Row<'_>| {
            Ok(Changed { id: TaskId(row.get::<_, i64>(0)?.unsigned_abs()), queue: row.get(1)?, attempt: row.get(2)? })
        };
        running.query_map([], task)?.collect()
    }

    /// Counts all tasks.
    pub(super) fn count(&mut self) -> Result<()> {
        let rows: Vec<_> = self.books.queues().map(|queue| queue.row).collect();
        for row in rows {
            self.books.change(row).into_iter().for_each(|queue| queue.tally = Tally::default());
        }
        let mut counts = self
            .conn
            .prepare("SELECT queue, state, class, count(*), sum(bytes) FROM task GROUP BY queue, state, class")?;
        let mut rows = counts.query([])?;
        while let Some(row) = rows.next()? {
            let state = state_of(text(row, 1)).unwrap_or(State::Damaged);
            let class = class_of(text(row, 2)).unwrap_or_default();
            let (tasks, bytes) = (row.get::<_, i64>(3)?.unsigned_abs(), row.get::<_, i64>(4)?.unsigned_abs());
            if let Some(queue) = self.books.change(row.get(0)?) {
                queue.tally.add(state, class, tasks, bytes);
            }
        }
        Ok(())
    }
}

fn next_due(conn: &Connection, queue: i64) -> Result<Option<Wall>> {
    let due: Option<i64> = conn
        .prepare_cached(concat!(
            "SELECT min(due_us) FROM task WHERE queue = ?1 AND state = '",
            table::word!(Delayed),
            "'"
        ))?
        .query_row([queue], |row| row.get(0))?;
    Ok(due.map(Wall))
}

/// Reads how the queues stand.
fn read_queues(conn: &Connection, books: &mut Books) -> Result<()> {
    books.clear();
    let mut queues = conn.prepare_cached("SELECT * FROM queue ORDER BY id")?;
    let mut rows = queues.query([])?;
    while let Some(row) = rows.next()? {
        let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
        let tally = Tally {
            waiting: [count(3)?, count(4)?, count(5)?],
            delayed: count(6)?,
            running: count(7)?,
            done: count(8)?,
            buried: count(9)?,
            damaged: count(10)?,
            bytes: count(11)?,
        };
        books.enter(row.get(0)?, row.get(1)?, row.get(2)?, tally);
    }
    let last = "SELECT seq FROM sqlite_sequence WHERE name = 'task' UNION ALL SELECT 0";
    books.last = conn.query_row(last, [], |row| row.get::<_, i64>(0))?.unsigned_abs();
    Ok(())
}

/// Reads what has begun to wait behind the last task that was seen: what others have put.
fn read_fresh(conn: &Connection, books: &mut Books, seen: u64) -> Result<()> {
    let mut fresh = conn.prepare_cached(concat!(
        "SELECT queue, class, min(id) FROM task WHERE id > ?1 AND state = '",
        table::word!(Waiting),
        "' GROUP BY queue, class"
    ))?;
    let mut rows = fresh.query([sql(seen)])?;
    while let Some(row) = rows.next()? {
        let class = class_of(text(row, 1)).unwrap_or_default();
        if let Some(queue) = books.change(row.get(0)?) {
            queue.waits(class, TaskId(row.get::<_, i64>(2)?.unsigned_abs()));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "database_tests.rs"]
mod tests;
