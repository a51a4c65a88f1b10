//! What quell and a persistent worker (`protocol = "lines"`) say to each other: one line each, fields parted by one blank.
//!
//! ```text
//! quell → worker   <id> <attempt> <traceparent|-> <payload>
//! worker → quell   ok <id> [result] | fail <id> [why] | retry <id> <delay> | bury <id> <why>
//!                  beat <id> | ready <n> | put <queue> <payload>
//! ```
//!
//! A payload goes to the end of its line and is passed on byte by byte, so it must be one line to whoever reads it: see
//! [`fits`]. What a worker says of a task is text; bytes that are not UTF-8 are replaced in it.

use super::{Task, TaskId};
use crate::config::name;
use crate::config::unit::parse_duration;
use std::borrow::Cow;
use std::io::Write;
use std::time::Duration;

/// The longest line that a worker may say, in bytes without its newline: that much is held for each worker, whatever it
/// sends. As `line_max` of logs.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// The longest result that is kept, in bytes: each stays in the store for `keep_done`. A longer one is cut and ends in `…`,
/// for a task that is done is done.
pub const RESULT_BYTES_MAX: usize = 64 << 10;
/// The longest reason that is kept, in bytes: it stands in lists, beside others. A longer one is cut and ends in `…`.
pub const WHY_BYTES_MAX: usize = 1 << 10;
/// The most tasks that a worker may have in hand: when it dies, all are tried again.
pub const CREDIT_MAX: u32 = 1024;
/// How much of what was not understood is shown, in bytes.
const SHOWN_BYTES_MAX: usize = 40;
/// The longest delay, in bytes of text.
const DELAY_BYTES_MAX: usize = 32;

/// A payload is not one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} of the payload is {}; a worker with `protocol = \"lines\"` is given it in one line: encode it, as JSON does",
    .byte.escape_ascii())]
pub struct Unfit {
    /// The byte.
    pub byte: u8,
    /// Where, from 0.
    pub at: usize,
}

/// Whether a payload can be given to a persistent worker. A newline would end the line; so would a carriage return for
/// Python, whose text files know it as an end of line; and shells drop a NUL, or end there.
///
/// # Errors
/// The first byte that does not fit.
pub fn fits(payload: &[u8]) -> Result<(), Unfit> {
    let odd = |byte: &u8| matches!(byte, b'\n' | b'\r' | 0);
    match payload.iter().position(odd) {
        Some(at) => Err(Unfit { byte: payload[at], at }),
        None => Ok(()),
    }
}

/// Puts a task's line at the end of `out`. A trace that is no plain word is left out: the line would have another field.
///
/// # Errors
/// Its payload is not one line; then `out` is as it was.
pub fn write_task(task: &Task, out: &mut Vec<u8>) -> Result<(), Unfit> {
    fits(&task.payload)?;
    let is_word = |trace: &&str| !trace.is_empty() && trace.bytes().all(|byte| byte.is_ascii_graphic());
    let trace = task.trace.as_deref().filter(is_word).unwrap_or("-");
    write!(out, "{} {} {trace} ", task.id, task.attempt).expect("a Vec takes what is written to it");
    out.extend_from_slice(&task.payload);
    out.push(b'\n');
    Ok(())
}

/// What a worker said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// A task is done.
    Ok {
        /// Which.
        id: TaskId,
        /// What came of it.
        result: Option<Cow<'a, str>>,
    },
    /// A try failed.
    Fail {
        /// Of which task.
        id: TaskId,
        /// Why.
        why: Option<Cow<'a, str>>,
    },
    /// A task is to be tried again.
    Retry {
        /// Which.
        id: TaskId,
        /// After so long.
        delay: Duration,
    },
    /// A task is to be given up.
    Bury {
        /// Which.
        id: TaskId,
        /// Why.
        why: Cow<'a, str>,
    },
    /// A task is still being worked on: its `timeout` begins anew.
    Beat {
        /// Which.
        id: TaskId,
    },
    /// So many tasks may be in hand at once.
    Ready {
        /// From 1 to `CREDIT_MAX`.
        credit: u32,
    },
    /// A task for a queue.
    Put {
        /// The queue's name.
        queue: &'a str,
        /// The payload, all that follows.
        payload: &'a [u8],
    },
}

/// Why a line was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// It is over `LINE_BYTES_MAX`.
    #[error("a line of {0} bytes; the limit is {LINE_BYTES_MAX}")]
    TooLong(usize),
    /// Its first word is none of ours.
    #[error("{0} is nothing that a worker says; that is ok, fail, retry, bury, beat, ready or put")]
    Verb(Box<str>),
    /// Something that must follow does not.
    #[error("`{verb}` without {what}")]
    Missing {
        /// The first word.
        verb: &'static str,
        /// What must follow.
        what: &'static str,
    },
    /// Nothing follows this.
    #[error("`{verb}` is followed by {rest}, which means nothing there")]
    Excess {
        /// The first word.
        verb: &'static str,
        /// What follows.
        rest: Box<str>,
    },
    /// Where a task's number must be is something else.
    #[error("{0} is no task's number")]
    Id(Box<str>),
    /// Where a delay must be is something else.
    #[error("{0} is no delay; say seconds, or a number and a unit, as in 1m")]
    Delay(Box<str>),
    /// Where a number of tasks must be is something else.
    #[error("{0} is no number of tasks from 1 to {CREDIT_MAX}")]
    Credit(Box<str>),
    /// Where a queue's name must be is something else.
    #[error("{0} is no queue's name")]
    Queue(Box<str>),
}

/// Reads what a worker said, a line without its newline.
///
/// # Errors
/// Why it was not understood, in words that are short whatever the line was.
pub fn parse(line: &[u8]) -> Result<Said<'_>, Unknown> {
    if line.len() > LINE_BYTES_MAX {
        return Err(Unknown::TooLong(line.len()));
    }
    let (verb, rest) = word(line);
    match verb {
        b"ok" => of_task("ok", rest).map(|(id, rest)| Said::Ok { id, result: text(rest, RESULT_BYTES_MAX) }),
        b"fail" => of_task("fail", rest).map(|(id, rest)| Said::Fail { id, why: text(rest, WHY_BYTES_MAX) }),
        b"retry" => {
            let (id, rest) = of_task("retry", rest)?;
            delay(filled("retry", "a delay", rest)?).map(|delay| Said::Retry { id, delay })
        }
        b"bury" => {
            let (id, rest) = of_task("bury", rest)?;
            let why = text(rest, WHY_BYTES_MAX).ok_or(Unknown::Missing { verb: "bury", what: "a reason" })?;
            Ok(Said::Bury { id, why })
        }
        b"beat" => match of_task("beat", rest)? {
            (id, b"") => Ok(Said::Beat { id }),
            (_, rest) => Err(Unknown::Excess { verb: "beat", rest: shown(rest) }),
        },
        b"ready" => credit(filled("ready", "a number", rest)?).map(|credit| Said::Ready { credit }),
        b"put" => {
            let (queue, payload) = word(filled("put", "a queue", rest)?);
            let named = str::from_utf8(queue).ok().filter(|queue| name::check(queue).is_ok());
            let queue = named.ok_or_else(|| Unknown::Queue(shown(queue)))?;
            Ok(Said::Put { queue, payload: filled("put", "a payload", payload)? })
        }
        other => Err(Unknown::Verb(shown(other))),
    }
}

/// What stands before the first blank, and what behind it.
fn word(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', line) {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, b""),
    }
}

fn filled<'a>(verb: &'static str, what: &'static str, rest: &'a [u8]) -> Result<&'a [u8], Unknown> {
    if rest.is_empty() { Err(Unknown::Missing { verb, what }) } else { Ok(rest) }
}

/// The task that a line is about, and what it says of it.
fn of_task<'a>(verb: &'static str, rest: &'a [u8]) -> Result<(TaskId, &'a [u8]), Unknown> {
    let (id, rest) = word(filled(verb, "a task's number", rest)?);
    let number = number(id).filter(|number| *number > 0);
    number.map(|number| (TaskId(number), rest)).ok_or_else(|| Unknown::Id(shown(id)))
}

/// Digits alone: a sign is none.
fn number(digits: &[u8]) -> Option<u64> {
    str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit))?.parse().ok()
}

fn credit(text: &[u8]) -> Result<u32, Unknown> {
    let credit = number(text).and_then(|number| u32::try_from(number).ok());
    credit.filter(|credit| (1..=CREDIT_MAX).contains(credit)).ok_or_else(|| Unknown::Credit(shown(text)))
}

/// A number is of seconds, for that is what a shell's arithmetic gives.
fn delay(text: &[u8]) -> Result<Duration, Unknown> {
    let wrong = || Unknown::Delay(shown(text));
    let written = str::from_utf8(text).ok().filter(|written| written.len() <= DELAY_BYTES_MAX).ok_or_else(wrong)?;
    let is_plain = written.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let found = if is_plain { parse_duration(&format!("{written}s")) } else { parse_duration(written) };
    found.map_err(|_| wrong())
}

/// What is said to the end of a line, cut to so many bytes; none where that is nothing.
fn text(rest: &[u8], bytes_max: usize) -> Option<Cow<'_, str>> {
    if rest.is_empty() {
        return None;
    }
    // A byte that is replaced takes three.
    let whole = String::from_utf8_lossy(&rest[..rest.len().min(bytes_max)]);
    if rest.len() <= bytes_max && whole.len() <= bytes_max {
        return Some(whole);
    }
    let end = whole.floor_char_boundary(bytes_max - '…'.len_utf8());
    Some(Cow::Owned(format!("{}…", &whole[..end])))
}

/// A piece of a line as it may stand in a message.
fn shown(piece: &[u8]) -> Box<str> {
    let cut = &piece[..piece.len().min(SHOWN_BYTES_MAX)];
    let more = if cut.len() < piece.len() { "…" } else { "" };
    format!("\"{}{more}\"", cut.escape_ascii()).into()
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
