//! Looking at tasks without changing them.

use super::order::{Entry, Reply, Shown};
use super::table::{Transaction, class_of, sql, state_of, text, word};
use crate::clock::Wall;
use crate::task::{State, TaskId};
use rusqlite::types::FromSql;
use rusqlite::{OptionalExtension, Result, Row, params};

/// What an entry is made of (of its payload one byte more than is shown, so that it is seen where that is cut), and with
/// `trace` and `payload` all of a task.
macro_rules! select {
    ($more:literal, $which:expr) => {
        concat!(
            "SELECT id, queue, class, state, attempt, bytes, put_us, due_us, ended_us, key, said, \
             substr(payload, 1, 257)",
            $more,
            " FROM task WHERE ",
            $which
        )
    };
}

/// The next that wait of a class, as their index has them.
macro_rules! waiting {
    ($class:literal) => {
        concat!(
            "SELECT id FROM (SELECT id FROM task WHERE queue = ?2 AND state = '",
            word!(Waiting),
            "' AND class = '",
            $class,
            "' AND id > ?1 ORDER BY id LIMIT ?4)"
        )
    };
}

/// By number. Where few wait, are delayed or have ended, their index finds them; the sign keeps SQLite from going by number.
const OF_ALL: &str =
    select!("", "id > ?1 AND (?2 IS NULL OR queue = ?2) AND (?3 IS NULL OR state = ?3) ORDER BY id LIMIT ?4");
const OF_WAITING: &str = select!(
    "",
    concat!(
        "id IN (",
        waiting!("high"),
        " UNION ALL ",
        waiting!("normal"),
        " UNION ALL ",
        waiting!("low"),
        ") ORDER BY id LIMIT ?4"
    )
);
const OF_ENDED: &str =
    select!("", "+id > ?1 AND queue = ?2 AND state = ?3 AND ended_us IS NOT NULL ORDER BY +id LIMIT ?4");
const OF_DELAYED: &str = concat!(
    select!("", "+id > ?1 AND queue = ?2 AND state = ?3 AND due_us IS NOT NULL AND state = '"),
    word!(Delayed),
    "' ORDER BY +id LIMIT ?4"
);
const OF_ONE: &str = select!(", trace, payload", "id = ?1");

impl Transaction<'_> {
    /// Tasks by their numbers.
    pub(super) fn list(&self, queue: Option<&str>, state: Option<State>, after: TaskId, max: u32) -> Result<Reply> {
        let row = queue.map(|queue| self.books.named(queue).map_or(0, |queue| queue.row));
        let sql_text = match (row, state) {
            (Some(_), Some(State::Done | State::Buried | State::Damaged)) => OF_ENDED,
            (Some(_), Some(State::Delayed)) => OF_DELAYED,
            (Some(_), Some(State::Waiting)) => OF_WAITING,
            _ => OF_ALL,
        };
        let mut tasks = Vec::new();
        let mut list = self.conn.prepare_cached(sql_text)?;
        let mut rows = list.query(params![sql(after.0), row, state.map(State::word), i64::from(max) + 1])?;
        while let Some(row) = rows.next()? {
            tasks.push(self.entry(row)?);
        }
        let more = tasks.len() > max as usize;
        tasks.truncate(max as usize);
        Ok(Reply::Listed { tasks, more })
    }

    /// All of a task.
    pub(super) fn show(&self, id: TaskId) -> Result<Reply> {
        let shown = self.conn.prepare_cached(OF_ONE)?.query_row([sql(id.0)], |row| {
            let payload = lenient::<Vec<u8>>(row, 13).map(Vec::into_boxed_slice);
            Ok(Box::new(Shown { entry: self.entry(row)?, trace: lenient(row, 12), payload }))
        });
        shown.optional().map(Reply::Shown)
    }

    /// A damaged row is shown, too, as far as it can be read.
    fn entry(&self, row: &Row<'_>) -> Result<Entry> {
        let queue = self.books.get(lenient(row, 1).unwrap_or_default());
        let number = |at| lenient::<i64>(row, at).unwrap_or_default().unsigned_abs();
        Ok(Entry {
            id: TaskId(row.get::<_, i64>(0)?.unsigned_abs()),
            queue: queue.map_or_else(|| "?".into(), |queue| queue.name.clone()),
            class: class_of(text(row, 2)).unwrap_or_default(),
            state: state_of(text(row, 3)).unwrap_or(State::Damaged),
            attempt: lenient(row, 4).unwrap_or_default(),
            bytes: number(5),
            put: Wall(lenient(row, 6).unwrap_or_default()),
            due: lenient(row, 7).map(Wall),
            ended: lenient(row, 8).map(Wall),
            key: lenient(row, 9),
            said: lenient(row, 10),
            head: lenient::<Vec<u8>>(row, 11).map(Vec::into_boxed_slice),
        })
    }
}

/// A value, where there is one that can be read.
fn lenient<T: FromSql>(row: &Row<'_>, column: usize) -> Option<T> {
    row.get::<_, Option<T>>(column).ok().flatten()
}
