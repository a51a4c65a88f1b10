//! The table of tasks: each way in which a task's state changes is one statement here, and what it changed is counted.

use super::books::Books;
use crate::task::{Class, State, TaskId};
use rusqlite::{Connection, Params, Result, Row};

/// A state as it stands in the database: the indexes know these words.
macro_rules! word {
    (Waiting) => {
        "waiting"
    };
    (Delayed) => {
        "delayed"
    };
    (Running) => {
        "running"
    };
    (Done) => {
        "done"
    };
    (Buried) => {
        "buried"
    };
    (Damaged) => {
        "damaged"
    };
}
pub(super) use word;

/// How many tasks one order changes at most, where it is about many: others need not wait long for it.
pub(super) const STEP_MAX: u64 = 10_000;

/// A change of state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// The state before.
    from: State,
    /// The state after; none where the row is deleted.
    to: Option<State>,
    sql: &'static str,
}

/// What a step has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) id: TaskId,
    /// The number of its queue.
    pub(super) queue: i64,
    pub(super) attempt: u32,
}

/// A transaction that is open: the rows, and what is counted of them.
#[derive(Debug)]
pub(super) struct Transaction<'a> {
    pub(super) conn: &'a Connection,
    pub(super) books: &'a mut Books,
}

impl Transaction<'_> {
    /// Changes the state of what the statement finds, and counts it.
    pub(super) fn step(&mut self, step: &Step, params: impl Params) -> Result<Vec<Changed>> {
        let mut statement = self.conn.prepare_cached(step.sql)?;
        let mut rows = statement.query(params)?;
        let mut changed = Vec::new();
        while let Some(row) = rows.next()? {
            let id = TaskId(row.get::<_, i64>(0)?.unsigned_abs());
            let bytes = row.get::<_, i64>(3)?.unsigned_abs();
            // A class that cannot be read is counted as any other; fetched, the row is set aside.
            let class = class_of(text(row, 2)).unwrap_or_default();
            let queue = row.get(1)?;
            self.books.step(queue, id, class, bytes, (Some(step.from), step.to));
            changed.push(Changed { id, queue, attempt: row.get(4)? });
        }
        Ok(changed)
    }
}

/// A text or payload as it is stored; none where damage has made something else of it.
pub(super) fn text<'a>(row: &'a Row<'_>, column: usize) -> &'a [u8] {
    row.get_ref(column).ok().and_then(|value| value.as_bytes().ok()).unwrap_or_default()
}

/// A class by its word.
pub(super) fn class_of(word: &[u8]) -> Option<Class> {
    Class::ALL.into_iter().find(|class| class.word().as_bytes() == word)
}

/// A state by its word.
pub(super) fn state_of(word: &[u8]) -> Option<State> {
    State::ALL.into_iter().find(|state| state.word().as_bytes() == word)
}

/// A number as SQLite has it. Ours are far below its limit, or mean "all".
pub(super) fn sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Steps, each from a state to another, or out of the table.
macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident: $from:ident => $to:tt $(, set $set:literal)?, where $($which:expr),+;)+) => {
        $($(#[$doc])* pub(super) const $name: Step = Step {
            from: State::$from,
            to: steps!(@state $to),
            sql: concat!(
                steps!(@verb $to $(, $set)?),
                " WHERE state = '", word!($from), "' AND ", $($which,)+ " RETURNING id, queue, class, bytes, attempt"
            ),
        };)+

        #[cfg(test)]
        const STEPS: &[Step] = &[$($name),+];
    };
    (@state gone) => { None };
    (@state $to:ident) => { Some(State::$to) };
    (@verb gone) => { "DELETE FROM task" };
    (@verb $to:ident) => { concat!("UPDATE task SET state = '", word!($to), "'") };
    (@verb $to:ident, $set:literal) => { concat!("UPDATE task SET state = '", word!($to), "', ", $set) };
}

/// Some of the tasks of a queue that are in a state.
macro_rules! some {
    ($state:ident, $which:literal) => {
        concat!(
            "id IN (SELECT id FROM task WHERE queue = ?1 AND state = '",
            word!($state),
            "' AND ",
            $which,
            " LIMIT 10000)"
        )
    };
}

steps! {
    /// A try begins.
    LEASE: Waiting => Running, set "attempt = attempt + 1", where "id = ?1";
    /// The task is done.
    DONE: Running => Done, set "said = ?2, ended_us = ?3, payload = NULL", where "id = ?1";
    /// It is to be tried again later.
    AGAIN: Running => Delayed, set "said = ?2, due_us = ?3", where "id = ?1";
    /// It is to be tried again at once.
    AGAIN_NOW: Running => Waiting, set "said = ?2", where "id = ?1";
    /// It was tried enough.
    GIVE_UP: Running => Buried, set "said = ?2, ended_us = ?3", where "id = ?1";
    /// It comes back, be its try over or not.
    RETURN: Running => Waiting, where "id = ?1";
    /// It was leased, and nobody was given it.
    UNBEGUN: Running => Waiting, set "attempt = attempt - 1", where "id = ?1";
    /// What was running under a supervisor that is gone, but for these.
    RECOVER: Running => Waiting, where "id NOT IN (SELECT value FROM json_each(?1))";
    /// What is due.
    DUE: Delayed => Waiting, set "due_us = NULL", where some!(Delayed, "due_us <= ?2 ORDER BY due_us");
    /// What is stored is not what was put.
    SET_ASIDE: Waiting => Damaged, set "ended_us = ?2", where "id = ?1";
    /// By hand.
    KICK_BURIED: Buried => Waiting, set "attempt = 0, said = NULL, ended_us = NULL", where "id = ?1";
    /// By hand.
    KICK_DELAYED: Delayed => Waiting, set "attempt = 0, said = NULL, due_us = NULL", where "id = ?1";
    /// By hand.
    KICK_ALL_BURIED: Buried => Waiting, set "attempt = 0, said = NULL, ended_us = NULL",
        where some!(Buried, "ended_us IS NOT NULL");
    /// By hand.
    KICK_ALL_DELAYED: Delayed => Waiting, set "attempt = 0, said = NULL, due_us = NULL",
        where some!(Delayed, "due_us IS NOT NULL");
    /// By hand.
    BURY_WAITING: Waiting => Buried, set "said = ?2, ended_us = ?3", where "id = ?1";
    /// By hand.
    BURY_DELAYED: Delayed => Buried, set "said = ?2, ended_us = ?3, due_us = NULL", where "id = ?1";
    /// By hand.
    DROP_WAITING: Waiting => gone, where "id = ?1";
    /// By hand.
    DROP_DELAYED: Delayed => gone, where "id = ?1";
    /// By hand.
    DROP_DONE: Done => gone, where "id = ?1";
    /// By hand.
    DROP_BURIED: Buried => gone, where "id = ?1";
    /// By hand.
    DROP_DAMAGED: Damaged => gone, where "id = ?1";
    /// By hand.
    DRAIN_WAITING: Waiting => gone, where some!(Waiting, "TRUE");
    /// By hand.
    DRAIN_DELAYED: Delayed => gone, where some!(Delayed, "due_us IS NOT NULL");
    /// By hand.
    DRAIN_BURIED: Buried => gone, where some!(Buried, "ended_us IS NOT NULL");
    /// By hand.
    DRAIN_DAMAGED: Damaged => gone, where some!(Damaged, "ended_us IS NOT NULL");
    /// By age.
    PURGE_DONE: Done => gone, where some!(Done, "ended_us < ?2");
    /// By age.
    PURGE_BURIED: Buried => gone, where some!(Buried, "ended_us < ?2");
    /// By age.
    PURGE_DAMAGED: Damaged => gone, where some!(Damaged, "ended_us < ?2");
    /// By number: the oldest, so many.
    PURGE_MOST: Done => gone, where "id IN (SELECT id FROM task WHERE queue = ?1 AND state = '", word!(Done),
        "' AND ended_us IS NOT NULL ORDER BY ended_us LIMIT min(?2, 10000))";
    /// By another of the same key.
    REPLACE_WAITING: Waiting => gone, where "queue = ?1 AND key = ?2 AND ended_us IS NULL";
    /// By another of the same key.
    REPLACE_DELAYED: Delayed => gone, where "queue = ?1 AND key = ?2 AND ended_us IS NULL";
}

/// All steps, for tests of what they are.
#[cfg(test)]
pub(super) fn statements() -> impl Iterator<Item = &'static str> {
    STEPS.iter().map(|step| step.sql)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_states() {
        let words = [word!(Waiting), word!(Delayed), word!(Running), word!(Done), word!(Buried), word!(Damaged)];
        assert_eq!(words, State::ALL.map(State::word));
        for step in STEPS {
            assert!(step.sql.contains(&format!(" WHERE state = '{}' AND ", step.from.word())), "{step:?}");
            let sets = step.to.map(|to| format!("UPDATE task SET state = '{}'", to.word()));
            assert!(step.sql.starts_with(sets.as_deref().unwrap_or("DELETE FROM task WHERE")), "{step:?}");
            assert!(!step.sql.contains("LIMIT") || step.sql.contains(&STEP_MAX.to_string()), "{step:?}");
        }
    }
}
