//! A simulation: what happens as lines, and what it comes to as tables.

use super::columns::{Column, STAYS, lay_out, line as alone, number, text};
use super::one_line;
use crate::config::unit::show_duration;
use crate::control::event::{Event, Kind};
use crate::control::record::TryEnd;
use crate::simulation::summary::{Queue, Summary, Worker};
use std::time::Duration;

const QUEUES: [Column; 12] = [
    text("QUEUE", STAYS),
    number("PUT", STAYS),
    number("REFUSED", 6),
    number("DONE", 11),
    number("FAILED", 10),
    number("BURIED", 9),
    number("WAITING", 8),
    number("DELAYED", 5),
    number("RUNNING", 7),
    number("LONGEST HIGH", 4),
    number("NORMAL", 3),
    number("LOW", 2),
];
const WORKERS: [Column; 5] =
    [text("WORKER", STAYS), number("STARTS", STAYS), number("FAILURES", 4), number("LOOPS", 3), text("BY", STAYS)];

/// `0:00:01.250  thumbs.1  task 7 of thumbs (high), try 1: begins`, and a newline; what comes from outside has `>` for its
/// worker. None where another line says more.
#[must_use]
pub fn line(after: Duration, event: &Event) -> Option<String> {
    let end = event.task.as_ref().and_then(|task| task.end.as_ref());
    if !matches!(end, None | Some(TryEnd::Done {} | TryEnd::Lost {})) {
        return None;
    }
    let who = match event.kind {
        Kind::Source => ">",
        _ => event.worker.as_deref().unwrap_or("quell"),
    };
    Some(format!("{}  {}  {}\n", clock(after), one_line(who), one_line(&event.text)))
}

/// How long after the start, with milliseconds.
fn clock(after: Duration) -> String {
    let seconds = after.as_secs();
    format!("{}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, after.subsec_millis())
}

/// What it comes to. `width` is the terminal's in columns; none where it is no terminal.
#[must_use]
pub fn summary(summary: &Summary, width: Option<usize>) -> String {
    let mut shown = String::new();
    if !summary.queues.is_empty() {
        let rows: Vec<_> = summary.queues.iter().map(queue).collect();
        shown += &format!("\n{}", lay_out(&QUEUES, &rows, width));
    }
    let rows: Vec<_> = summary.workers.iter().map(worker).collect();
    shown += &format!("\n{}\n", lay_out(&WORKERS, &rows, width));
    let lasted = show_duration(Duration::from_millis(summary.lasted_ms));
    let end = match (summary.cut, summary.exit_code) {
        (true, _) => ", and it would go on (--until says how long)".to_owned(),
        (false, Some(code)) => format!("; quell ended with {code}"),
        (false, None) => String::new(),
    };
    shown + &alone(&format!("{lasted} simulated, {} from outside{end}", summary.sources), width)
}

fn some(count: u64) -> String {
    if count == 0 { String::new() } else { count.to_string() }
}

fn queue(queue: &Queue) -> Vec<String> {
    let Queue { totals, .. } = queue;
    let longest = queue.longest_wait_ms.map(|ms| ms.map(|ms| show_duration(Duration::from_millis(ms))));
    let counts = [
        totals.put.to_string(),
        some(queue.refused),
        totals.done.to_string(),
        some(totals.failed),
        some(totals.buried),
        some(queue.waiting.total()),
        some(queue.delayed),
        some(queue.running),
    ];
    let name = std::iter::once(one_line(&queue.name));
    name.chain(counts).chain(longest.map(Option::unwrap_or_default)).collect()
}

fn worker(worker: &Worker) -> Vec<String> {
    let by: Vec<_> = worker.by.iter().map(|(why, count)| format!("{} ({count})", one_line(why))).collect();
    let Worker { name, starts, failures, tripped, .. } = worker;
    vec![one_line(name), starts.to_string(), some(*failures), some(*tripped), by.join(", ")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Wall;
    use crate::control::record::Try;
    use crate::task::{Class, Task, TaskId};

    #[test]
    fn lines() {
        let at = Duration::from_millis(93_784_005);
        let check = |event: Event, expected: Option<&str>| assert_eq!(line(at, &event).as_deref(), expected);
        check(Event::new(Wall(0), Kind::Quell, "down"), Some("26:03:04.005  quell  down\n"));
        check(Event::new(Wall(0), Kind::Source, "fire a"), Some("26:03:04.005  >  fire a\n"));
        let (trace, payload, put) = (None, Box::default(), Wall(0));
        let task = Task { id: TaskId(7), class: Class::High, attempt: 1, put, trace, payload };
        let of = |end| Event::task(Wall(0), Try::of(&task, "jobs", end)).of("jobs.1");
        check(of(None), Some("26:03:04.005  jobs.1  task 7 of jobs (high), try 1: begins\n"));
        check(of(Some(TryEnd::Done {})), Some("26:03:04.005  jobs.1  task 7 of jobs (high), try 1: done\n"));
        check(of(Some(TryEnd::Failed { why: "exit 1".into() })), None);
    }
}
