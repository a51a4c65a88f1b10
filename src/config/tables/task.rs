//! Queues, and what starts workers.

use super::set_keys;
use crate::config::decode::Cx;
use crate::config::keys::Builtin::{Nothing, Rule, Value};
use crate::config::keys::{Set, table};
use crate::config::kind::{Kind, join, nearest};
use crate::config::report::Report;
use crate::config::source::Place;
use crate::config::typed::{Int, Text, Words, words};
use crate::config::values::{Address, Durable, FilePattern, FreeSignal, Needle, Schedule, Size, Store};
use std::time::Duration;

words! {
    /// What happens to a task or to a queue.
    QueueEvent {
        /// A task was added.
        Added = "added",
        /// A task is done.
        Done = "done",
        /// A try failed.
        Failed = "failed",
        /// A task was given up.
        Buried = "buried",
        /// There is none left.
        Empty = "empty",
    }
}

words! {
    /// What happens to a worker.
    WorkerEvent {
        /// It ended.
        Exit = "exit",
        /// It is ready.
        Ready = "ready",
        /// It was given up.
        Failed = "failed",
    }
}

words! {
    /// A class of tasks.
    Priority {
        /// Before all others, with slots of its own.
        High = "high",
        /// Most.
        Normal = "normal",
        /// When there is nothing else.
        Low = "low",
    }
}

table! {
    /// How many at once.
    Slots "`slots`" {
        /// Processes at once; with `protocol = "lines"`, the instances are the slots.
        total: Set<Int<1, 100_000>> = Value("1"), "One after the other is always right.", Live, [];
        /// Of these, only for tasks of class high.
        high: Set<Int<0, 100_000>> = Value("0"), "With one slot there is none to reserve.", Live, [];
    }
}

table! {
    /// How often a task is tried.
    Retry "`retry`" {
        /// So often; then it is buried.
        tries: Set<Int<1, 1_000_000>> = Value("5"), "More do not help what failed five times.", Live, [];
        /// The wait before the second.
        first: Set<Duration> = Value("\"1s\""), "Long enough for a restart of what it needs.", Live, [];
        /// The longest wait.
        max: Set<Duration> = Value("\"10m\""), "Doubling has to end somewhere.", Live, [];
    }
}

table! {
    /// What starts a worker.
    Trigger "`start_on`", check one_source {
        /// A queue: a task in it, or what `event`, `depth` or `batch` says; with `path`, where to put a task for each file.
        queue: Set<Option<Text>> = Nothing, "", Live, [];
        /// What must happen to a task, or to a worker.
        event: Set<Option<Text>> = Rule("`added` for a queue, `exit` for a worker"), "What is meant most often.", Live, [];
        /// So many tasks wait.
        depth: Set<Option<Int<1, 1_000_000_000>>> = Nothing, "", Live, [];
        /// So many tasks at once.
        batch: Set<Option<Int<1, 1_000_000>>> = Nothing, "", Live, [];
        /// A batch that is not full waits no longer.
        every: Set<Option<Duration>> = Nothing, "", Live, [];
        /// A worker's end, or what `event` says; with `line`, whose line.
        worker: Set<Option<Text>> = Nothing, "", Live, [];
        /// A line that holds this text.
        line: Set<Option<Needle>> = Nothing, "", Live, [];
        /// Files that match: closed after they were written to, or moved there; with `queue`, one task for each.
        path: Set<Option<FilePattern>> = Nothing, "", Live, [("systemd", "PathExists"), ("systemd", "PathChanged")];
        /// Times, as crontab(5) writes them.
        schedule: Set<Option<Schedule>> = Nothing, "", Live, [("systemd", "OnCalendar"), ("cron", "cron")];
        /// A connection: the worker gets the socket that is listened on (sd_listen_fds(3)).
        socket: Set<Option<Address>> = Nothing, "", Restart, [];
        /// Stop after so long without a connection, and before twice that.
        idle_stop: Set<Option<Duration>> = Nothing, "", Live, [];
        /// A signal to quell.
        signal: Set<Option<FreeSignal>> = Nothing, "", Live, [];
        /// `quell fire NAME`.
        fire: Set<Option<Text>> = Nothing, "", Live, [];
    }
}

table! {
    /// A queue of tasks.
    Queue "[queue.NAME]", check of_its_store {
        /// Where tasks are stored.
        store: Set<Store> = Value("\"embedded\""), "Needs nothing else.", Anew, [];
        /// When a put is durable.
        durable: Set<Durable> = Value("\"always\""), "What was accepted is kept.", Live, [];
        /// A put beyond so many is refused.
        max_tasks: Set<Int<1, { i64::MAX }>> = Value("1000000"), "A queue that nobody serves ends before the disk does.", Live, [];
        /// A put beyond so much is refused.
        max_bytes: Set<Size> = Value("\"1GiB\""), "A queue that nobody serves ends before the disk does.", Live, [];
        /// A low task that waits so long becomes a normal one.
        max_wait: Set<Duration> = Value("\"5m\""), "Low is later, not never.", Live, [];
        /// How long results of done and buried tasks stay.
        keep_done: Set<Duration> = Value("\"1d\""), "Until somebody looks the next day.", Live, [];
    }
}

/// What cannot be said of a queue on a Redis server.
fn of_its_store(queue: &Queue, place: Place, cx: &mut Cx<'_>) {
    let Store::Redis(url) = &queue.store.value else { return };
    if url.starts_with("rediss://") {
        let report = Report::error(queue.store.or(place), "this quell has no TLS");
        cx.report(report.help("write redis://, and let a tunnel (stunnel, WireGuard) do it"));
    }
    if queue.durable.place.is_some() && queue.durable.value != Durable::Never {
        let text = "how durable a put is on a Redis server is that server's to say, not the queue's";
        let help = "take `durable` out; for a put that survives a loss of power, set `appendonly yes` and \
                    `appendfsync always` in redis.conf";
        cx.report(Report::error(queue.durable.or(place), text).help(help));
    }
}

/// What each kind of trigger is known by, and the keys that may stand beside it.
const TRIGGERS: [(&str, &[&str]); 8] = [
    ("line", &["worker"]),
    ("path", &["queue"]),
    ("schedule", &[]),
    ("socket", &["idle_stop"]),
    ("signal", &[]),
    ("fire", &[]),
    ("queue", &["event", "depth", "batch", "every"]),
    ("worker", &["event"]),
];

fn one_source(trigger: &Trigger, place: Place, cx: &mut Cx<'_>) {
    let set = set_keys(trigger);
    let has = |name: &str| set.iter().any(|(key, _)| *key == name);
    let kind = one_kind(&set, &TRIGGERS, "this trigger does not say what it waits for", place, cx);
    if has("every") && !has("batch") {
        let report =
            Report::error(trigger.every.or(place), "`every` says how long a batch waits, but there is no `batch`");
        cx.report(report.help("add `batch = 100`, or remove it"));
    }
    match kind {
        Some("queue") => event_of(&trigger.event, QueueEvent::WORDS, place, cx),
        Some("worker") => event_of(&trigger.event, WorkerEvent::WORDS, place, cx),
        _ => {}
    }
}

/// Of which kind a source is, the first of these that it has; what cannot stand beside that is reported, and where there is none.
pub(super) fn one_kind(
    set: &[(&'static str, Place)],
    kinds: &[(&'static str, &[&str])],
    nothing: &str,
    place: Place,
    cx: &mut Cx<'_>,
) -> Option<&'static str> {
    let has = |name: &str| set.iter().any(|(key, _)| *key == name);
    let Some((kind, beside)) = kinds.iter().find(|(kind, _)| has(kind)) else {
        let kinds = join(kinds.iter().map(|(kind, _)| format!("`{kind}`")), "or");
        cx.report(Report::error(place, nothing).help(format!("add {kinds}")));
        return None;
    };
    for (name, at) in set.iter().filter(|(name, _)| name != kind && !beside.contains(name)) {
        let allowed = join(beside.iter().map(|name| format!("`{name}`")), "and");
        let allowed =
            if allowed.is_empty() { "nothing stands beside it".into() } else { format!("beside it stand {allowed}") };
        cx.report(
            Report::error(*at, format!("`{name}` has no meaning beside `{kind}`"))
                .help(format!("remove it; {allowed}")),
        );
    }
    Some(kind)
}

pub(super) fn event_of(event: &Set<Option<Text>>, words: &'static [&'static str], place: Place, cx: &mut Cx<'_>) {
    let Some(Text(word)) = event.value.as_ref().filter(|word| !words.contains(&word.0.as_str())) else { return };
    let report = Report::error(event.or(place), format!("{word:?} does not happen here"));
    let near = nearest(word, words.iter().copied()).map(|near| format!("did you mean {near:?}?"));
    cx.report(report.help(near.unwrap_or_else(|| format!("write {}", Kind::Choice(words).describe()))));
}
