//! Queues and their tasks: as tables, and one of each in full.

use super::columns::{Column, STAYS, cut, lay_out, line, number, text};
use super::event::time;
use super::{ago, listed, one_line, short};
use crate::clock::Wall;
use crate::config::unit::{show_duration, show_size};
use crate::control::queue::{Consumer, Placed, Queue, QueueStatus, State, Store, TaskDetail, TaskPage, TaskRow};
use std::time::Duration;

/// So much of a reason stands in a table; the whole of it where one task is shown.
const WHY_CHARS: usize = 24;

const NAMES: [Column; 7] = [
    text("QUEUE", STAYS),
    number("WAITING", STAYS),
    number("HIGH", 7),
    number("DELAYED", 9),
    number("RUNNING", 11),
    number("BURIED", 12),
    number("DAMAGED", 10),
];
const COUNTERS: [Column; 7] = [
    number("OLDEST", 8),
    number("NEXT", 3),
    number("BUSY", 6),
    number("SIZE", 2),
    number("PUT", 1),
    number("DONE", 5),
    number("FAILED", 4),
];
const WHY: Column = text("WHY", STAYS);

const TASKS: [Column; 12] = [
    number("ID", STAYS),
    text("QUEUE", 7),
    text("STATE", STAYS),
    text("CLASS", 6),
    number("TRIES", 8),
    number("AGE", 5),
    number("DUE", 4),
    text("WORKER", 3),
    text("KEY", 2),
    number("SIZE", 1),
    text("WHY", 9),
    text("PAYLOAD", STAYS),
];

/// The queues as the status has them, one a line. `width` is the terminal's in columns; none where it is no terminal.
#[must_use]
pub fn short_table(queues: &[Queue], width: Option<usize>) -> String {
    let columns = [&NAMES[..], &[WHY]].concat();
    let row = |queue: &Queue| [&counts(queue)[..], &[why(queue)]].concat();
    lay_out(&columns, &queues.iter().map(row).collect::<Vec<_>>(), width)
}

/// All that is known of queues, one a line.
#[must_use]
pub fn table(queues: &[QueueStatus], now: Wall, width: Option<usize>) -> String {
    if queues.is_empty() {
        return line("no queues", width);
    }
    let columns = [&NAMES[..], &COUNTERS, &[WHY]].concat();
    let row =
        |status: &QueueStatus| [&counts(&status.queue)[..], &counters(status, now), &[why(&status.queue)]].concat();
    lay_out(&columns, &queues.iter().map(row).collect::<Vec<_>>(), width)
}

/// One queue in full: a field a line.
#[must_use]
pub fn long(status: &QueueStatus, now: Wall) -> String {
    let QueueStatus { queue, limits, totals, .. } = status;
    let waiting = queue.waiting;
    let each = format!("{} high, {} normal, {} low", waiting.high, waiting.normal, waiting.low);
    let consumer = |of: &Consumer| format!("{} ({} of {} slots busy)", one_line(&of.worker), of.busy, of.slots);
    let workers: Vec<_> = status.workers.iter().map(consumer).collect();
    let fields = [
        ("paused", queue.paused.then(|| "yes".to_owned())),
        ("why", queue.why.as_deref().map(one_line)),
        ("store", (status.store != Store::Ready).then(|| status.store.word().to_owned())),
        ("waiting", Some(format!("{} ({each})", waiting.total()))),
        ("oldest", status.oldest_ms.map(|ms| format!("waits for {}", millis(ms)))),
        ("delayed", Some(queue.delayed.to_string())),
        ("next due", status.next_due.map(|due| at(due, now))),
        ("running", Some(queue.running.to_string())),
        ("done", Some(status.done.to_string())),
        ("buried", Some(queue.buried.to_string())),
        ("damaged", some(queue.damaged).map(|count| format!("{count}, set aside"))),
        (
            "size",
            Some(format!("{} of {}, at most {} tasks", show_size(status.bytes), show_size(limits.bytes), limits.tasks)),
        ),
        (
            "so far",
            Some(format!(
                "{} put, {} done, {} tries failed, {} buried",
                totals.put, totals.done, totals.failed, totals.buried
            )),
        ),
        ("workers", Some(if workers.is_empty() { "none".to_owned() } else { workers.join(", ") })),
    ];
    listed(&one_line(&queue.name), fields)
}

/// Tasks, one a line, and how to see those behind them.
#[must_use]
pub fn list(page: &TaskPage, now: Wall, width: Option<usize>) -> String {
    let rows: Vec<_> = page.tasks.iter().map(|task| cells(task, now)).collect();
    let mut shown = if rows.is_empty() { line("no tasks", width) } else { lay_out(&TASKS, &rows, width) };
    if let Some(last) = page.tasks.last().filter(|_| page.more) {
        shown.push_str(&line(&format!("there are more: --after {}", last.id), width));
    }
    let missing = page.missing.iter().map(|server| format!("not those on {}: it cannot be reached", one_line(server)));
    missing.for_each(|text| shown.push_str(&line(&text, width)));
    shown
}

/// One task in full: a field a line.
#[must_use]
pub fn show(task: &TaskDetail, now: Wall) -> String {
    let TaskDetail { row, trace, result } = task;
    let put = format!("{}, {} ago", time(row.put), ago(row.put, now));
    let worker = row.worker.as_deref().map(|worker| format!(" by {}", one_line(worker)));
    let fields = [
        ("state", Some(format!("{}{}", row.state.word(), worker.unwrap_or_default()))),
        ("queue", Some(one_line(&row.queue))),
        ("class", Some(row.class.word().to_owned())),
        ("key", row.key.as_deref().map(one_line)),
        ("put", Some(put)),
        ("due", row.due.map(|due| at(due, now))),
        ("tries", Some(row.attempt.to_string())),
        ("ended", row.ended.map(|ended| format!("{}, {} ago", time(ended), ago(ended, now)))),
        ("why", row.why.as_deref().map(one_line)),
        ("result", result.as_deref().map(one_line)),
        ("trace", trace.as_deref().map(one_line)),
        ("size", Some(show_size(row.payload_bytes))),
        ("payload", payload(row)),
    ];
    listed(&format!("task {}", row.id), fields)
}

/// A task that was put: its number, and, where it has ended, how: `17 done 3 pages`. And a newline.
#[must_use]
pub fn placed(task: &Placed) -> String {
    let Some(outcome) = &task.outcome else { return format!("{}\n", task.id) };
    let text = outcome.text.as_deref().map(|text| format!(" {}", one_line(text))).unwrap_or_default();
    format!("{} {}{text}\n", task.id, outcome.end.word())
}

fn counts(queue: &Queue) -> [String; 7] {
    let Queue { name, waiting, delayed, running, buried, damaged, .. } = queue;
    let count = |count: u64| some(count).map(short).unwrap_or_default();
    [
        one_line(name),
        short(waiting.total()),
        count(waiting.high),
        count(*delayed),
        count(*running),
        count(*buried),
        count(*damaged),
    ]
}

fn counters(status: &QueueStatus, now: Wall) -> [String; 7] {
    let count = |count: u64| some(count).map(short).unwrap_or_default();
    let sum = |of: fn(&Consumer) -> u32| status.workers.iter().map(of).map(u64::from).sum::<u64>();
    let (busy, slots) = (sum(|worker| worker.busy), sum(|worker| worker.slots));
    [
        status.oldest_ms.map(millis).unwrap_or_default(),
        status.next_due.map(|due| show_duration(due.until(now))).unwrap_or_default(),
        some(slots).map(|slots| format!("{busy}/{slots}")).unwrap_or_default(),
        some(status.bytes).map(show_size).unwrap_or_default(),
        count(status.totals.put),
        count(status.totals.done),
        count(status.totals.failed),
    ]
}

/// What keeps its tasks from being done.
fn why(queue: &Queue) -> String {
    let paused = queue.paused.then(|| "paused".to_owned());
    [paused, queue.why.as_deref().map(one_line)].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn cells(task: &TaskRow, now: Wall) -> Vec<String> {
    let is_delayed = task.state == State::Delayed;
    let short_text =
        |text: &Option<String>| text.as_deref().map(|text| cut(&one_line(text), WHY_CHARS)).unwrap_or_default();
    vec![
        task.id.to_string(),
        one_line(&task.queue),
        task.state.word().to_owned(),
        task.class.word().to_owned(),
        some(task.attempt.into()).map(short).unwrap_or_default(),
        ago(task.put, now),
        task.due.filter(|_| is_delayed).map(|due| show_duration(due.until(now))).unwrap_or_default(),
        short_text(&task.worker),
        short_text(&task.key),
        some(task.payload_bytes).map(show_size).unwrap_or_default(),
        short_text(&task.why),
        payload(task).unwrap_or_default(),
    ]
}

/// The payload on one line, as far as it is here; what is no text in it is `�`.
fn payload(task: &TaskRow) -> Option<String> {
    let bytes = task.payload.as_ref()?.as_bytes();
    let more = if (bytes.len() as u64) < task.payload_bytes { "…" } else { "" };
    Some(one_line(&String::from_utf8_lossy(bytes)) + more)
}

/// A count, where there is something to count.
fn some(count: u64) -> Option<u64> {
    (count > 0).then_some(count)
}

fn millis(ms: u64) -> String {
    show_duration(Duration::from_millis(ms))
}

/// `in 3.2s, 2026-11-21T01:02:03.000Z`.
fn at(due: Wall, now: Wall) -> String {
    format!("in {}, {}", show_duration(due.until(now)), time(due))
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
