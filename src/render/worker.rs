//! One worker in full: a field a line.

use super::event::time;
use super::{ago, listed, one_line, percent};
use crate::clock::Wall;
use crate::config::unit::{show_duration, show_size};
use crate::control::status::{Count, Ended, Exit, Lines, Process, Rule, Rung, Stop, Wanted, Worker};
use std::fmt::Write;
use std::time::Duration;

/// The long form of a worker.
#[must_use]
pub fn long(worker: &Worker, now: Wall) -> String {
    listed(&one_line(&worker.name), fields(worker, now))
}

fn fields(worker: &Worker, now: Wall) -> [(&'static str, Option<String>); 19] {
    let exit = worker.last_exit.as_ref();
    let lines = &worker.lines;
    let millis = |ms: u64| show_duration(Duration::from_millis(ms));
    let state = format!("{} for {}, since {}", worker.state.word(), ago(worker.since, now), time(worker.since));
    let wanted = (worker.wanted != Wanted::Up).then(|| worker.wanted.word().to_owned());
    [
        ("state", Some(state)),
        ("wanted", wanted),
        ("why", worker.why.as_deref().map(one_line)),
        ("started for", worker.started_for.as_ref().map(|of| format!("{}, {}", one_line(&of.why), time(of.at)))),
        ("held back", worker.held_back_ms.map(|ms| format!("for {}: started too often", millis(ms)))),
        ("next start", worker.next_start_ms.map(|ms| format!("in {}", millis(ms)))),
        ("stop", worker.stop.as_ref().map(stop)),
        ("held up by", worker.stop.as_ref().and_then(|stop| blockers(&stop.blockers, usize::MAX))),
        ("ready", worker.pid.map(|_| if worker.ready { "yes" } else { "no" }.to_owned())),
        ("pid", worker.pid.map(|pid| pid.to_string())),
        ("restarts", Some(worker.restarts.to_string())),
        (
            "last exit",
            exit.map(|exit| format!("{} after {}, {}", show_exit(exit), millis(exit.lasted_ms), time(exit.at))),
        ),
        ("last line", exit.and_then(|exit| exit.last_line.as_deref()).map(one_line)),
        ("memory", worker.memory_bytes.map(show_size)),
        ("cpu", worker.cpu_ms.map(millis)),
        ("lines", Some(counts(lines))),
        ("top rule", lines.top_rule.as_ref().map(|rule| rule_in_full(rule, lines))),
        ("log", worker.log.as_ref().map(|log| format!("{}, {}", one_line(&log.dir), show_size(log.bytes)))),
        ("as of", worker.output_age_ms.filter(|ms| *ms >= 1000).map(|ms| format!("{} ago, lines and log", millis(ms)))),
    ]
}

/// `exited 3`, `killed by SIGSEGV (core dumped)`, `stopped (SIGTERM)`.
fn show_exit(exit: &Exit) -> String {
    match (&exit.how, exit.asked, exit.core) {
        (Ended::Code(code), ..) => format!("exited {code}"),
        (Ended::Signal(name), true, false) => format!("stopped ({})", one_line(name)),
        (Ended::Signal(name), true, true) => format!("stopped ({}, core dumped)", one_line(name)),
        (Ended::Signal(name), false, false) => format!("killed by {}", one_line(name)),
        (Ended::Signal(name), false, true) => format!("killed by {} (core dumped)", one_line(name)),
    }
}

/// The same where there is little room: `exit 3`, `SIGSEGV core`, `stopped`.
pub(super) fn short_exit(exit: &Exit) -> String {
    let core = if exit.core { " core" } else { "" };
    match &exit.how {
        Ended::Code(code) => format!("exit {code}"),
        Ended::Signal(_) if exit.asked => format!("stopped{core}"),
        Ended::Signal(name) => format!("{}{core}", one_line(name)),
    }
}

/// Why a worker is not as it should be, when it goes on, who holds up its stop: what there is of it.
pub(super) fn short_why(worker: &Worker) -> Option<String> {
    let next = worker.next_start_ms.map(|ms| format!("starts in {}", show_duration(Duration::from_millis(ms))));
    let held =
        worker.stop.as_ref().and_then(|stop| blockers(&stop.blockers, 2)).map(|names| format!("held up by {names}"));
    let parts: Vec<_> = [worker.why.as_deref().map(one_line), next, held].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// `93% probes:3`: how much of the lines, and the rule that did most of it.
pub(super) fn suppressed(lines: &Lines) -> Option<String> {
    let share = percent(lines.suppressed.lines, lines.read.lines).filter(|_| lines.suppressed.lines > 0)?;
    Some(match &lines.top_rule {
        Some(rule) => format!("{share} {}", rule_in_short(rule)),
        None => share,
    })
}

/// `probes:3`; the list's name alone where it is an option.
fn rule_in_short(rule: &Rule) -> String {
    let name = rule.list.rsplit('/').next().unwrap_or(&rule.list);
    match rule.line {
        0 => one_line(name),
        line => format!("{}:{line}", one_line(name)),
    }
}

fn rule_in_full(rule: &Rule, lines: &Lines) -> String {
    let share = percent(rule.lines, lines.read.lines).map_or(String::new(), |share| format!(" ({share})"));
    let of = if rule.line == 0 { one_line(&rule.list) } else { format!("{}:{}", one_line(&rule.list), rule.line) };
    format!("{of} \"{}\", {} lines{share}", one_line(&rule.pattern), rule.lines)
}

/// `3 in (30 B), 1 kept (10 B), …`.
fn counts(lines: &Lines) -> String {
    let show = |count: Count, what: &str| format!("{} {what} ({})", count.lines, show_size(count.bytes));
    let mut text = format!("{}, {}", show(lines.read, "in"), show(lines.kept, "kept"));
    for (count, what) in [(lines.suppressed, "suppressed"), (lines.dropped, "dropped")] {
        if count != Count::default() {
            text.push_str(", ");
            text.push_str(&show(count, what));
        }
    }
    text
}

fn stop(stop: &Stop) -> String {
    match stop.rung {
        Rung::Command => "its stop command runs",
        Rung::Signal => "it has its stop signal, and its grace",
        Rung::Kill => "it was killed",
        Rung::Sweep => "it has ended, what it left behind is cleared away",
        Rung::Unknown => "on its way",
    }
    .to_owned()
}

/// `sh (pid 13), sleep (pid 14)`, at most so many of them.
fn blockers(processes: &[Process], most: usize) -> Option<String> {
    let named = processes.iter().take(most).map(|process| format!("{} (pid {})", one_line(&process.name), process.pid));
    let mut text = named.collect::<Vec<_>>().join(", ");
    if processes.len() > most {
        write!(text, " and {} more", processes.len() - most).expect("a String takes what is written to it");
    }
    (!text.is_empty()).then_some(text)
}
