//! The status as a table: what a person looks for first, one worker a line.

use super::columns::{Column, STAYS, lay_out, line, number, text};
use super::worker::{short_exit, short_why, suppressed};
use super::{ago, one_line, queue, short};
use crate::clock::Wall;
use crate::config::unit::{show_duration, show_size};
use crate::control::status::{Quell, State, Status, Worker};
use std::time::Duration;

/// An output thread that has told nothing for so long is held up.
const AGE_MAX: Duration = Duration::from_secs(5);

const COLUMNS: [Column; 14] = [
    text("NAME", STAYS),
    text("STATE", STAYS),
    number("SINCE", 12),
    number("PID", 10),
    text("READY", 3),
    number("RESTARTS", 9),
    number("MEM", 7),
    number("CPU", 5),
    number("LINES", 6),
    number("KEPT", 1),
    text("SUPPRESSED", 8),
    number("LOG", 4),
    text("LAST EXIT", 11),
    text("WHY", STAYS),
];

/// The table, a line about quell above it, and the queues below. `width` is the terminal's in columns; none where it is
/// no terminal.
#[must_use]
pub fn table(status: &Status, now: Wall, width: Option<usize>) -> String {
    let mut shown = line(&head(&status.quell, now), width);
    match &status.workers[..] {
        [] => shown.push_str(&line("no workers", width)),
        workers => workers_table(workers, now, width, &mut shown),
    }
    if !status.queues.is_empty() {
        shown.push('\n');
        shown.push_str(&queue::short_table(&status.queues, width));
    }
    shown
}

fn workers_table(workers: &[Worker], now: Wall, width: Option<usize>, shown: &mut String) {
    let rows: Vec<_> = workers.iter().map(|worker| row(worker, now)).collect();
    shown.push_str(&lay_out(&COLUMNS, &rows, width));
    let late: Vec<_> = workers.iter().filter(|worker| age(worker) > AGE_MAX).collect();
    if let Some(oldest) = late.iter().map(|worker| age(worker)).max() {
        let names: Vec<_> = late.iter().map(|worker| one_line(&worker.name)).collect();
        let text = format!(
            "lines and log of {}: as of {} ago; a disk that hangs holds them up",
            names.join(", "),
            show_duration(oldest)
        );
        shown.push_str(&line(&text, width));
    }
}

/// How old what is known of a worker's output is.
fn age(worker: &Worker) -> Duration {
    Duration::from_millis(worker.output_age_ms.unwrap_or(0))
}

fn head(quell: &Quell, now: Wall) -> String {
    let Quell { pid, version, since, phase, config, .. } = quell;
    let word = phase.word();
    format!("quell {} (pid {pid}) {word}, up for {}, {}", one_line(version), ago(*since, now), one_line(config))
}

fn row(worker: &Worker, now: Wall) -> Vec<String> {
    let lines = &worker.lines;
    let counted = |count: u64| if lines.read.lines == 0 { String::new() } else { short(count) };
    let show = |value: Option<String>| value.unwrap_or_default();
    vec![
        one_line(&worker.name),
        worker.state.word().to_owned(),
        ago(worker.since, now),
        show(worker.pid.map(|pid| pid.to_string())),
        match worker.state {
            State::Starting | State::Up => if worker.ready { "yes" } else { "no" }.to_owned(),
            _ => String::new(),
        },
        if worker.restarts > 0 { short(worker.restarts) } else { String::new() },
        show(worker.memory_bytes.map(show_size)),
        show(worker.cpu_ms.map(|ms| show_duration(Duration::from_millis(ms)))),
        counted(lines.read.lines),
        counted(lines.kept.lines),
        show(suppressed(lines)),
        show(worker.log.as_ref().map(|log| show_size(log.bytes))),
        show(worker.last_exit.as_ref().map(|exit| format!("{}, {} ago", short_exit(exit), ago(exit.at, now)))),
        show(short_why(worker)),
    ]
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
