//! `put`, `queue` and `fire`: what they ask, and what they make of the answers.

use super::{Supervisor, agrees};
use crate::harness::{Done, LIMIT, feed, quell, start};
use quell::clock::Wall;
use quell::control::frame::REQUEST_BYTES_MAX;
use quell::control::put::{Key, OnKey, Put};
use quell::control::queue::{
    ByClass, End, Limits, Outcome, Placed, Placement, Queue, QueueStatus, State, Store, TaskDetail, TaskPage, TaskRow,
    Totals,
};
use quell::control::reply::{Code, Reply};
use quell::control::request::{OfQueue, OfTask, Patience, Request};
use quell::task::{self, Class, TaskId};
use serde_json::Value;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

/// A supervisor whose tasks are numbered from 1 on, and end as `end` says.
fn takes(end: fn(&[u8]) -> Option<Outcome>) -> Supervisor {
    let last = AtomicU64::new(0);
    Supervisor::new(move |request| {
        let Request::Put(put) = request else { return agrees(request) };
        let place = |payload: &quell::control::payload::Payload| Placed {
            id: TaskId(last.fetch_add(1, Ordering::Relaxed) + 1),
            what: Placement::New,
            outcome: end(payload.as_bytes()).filter(|_| put.patience.wait),
        };
        vec![Reply::Put { tasks: put.payloads.iter().map(place).collect() }]
    })
}

fn put(payloads: &[&[u8]]) -> Put {
    Put {
        queue: "thumbs".parse().unwrap(),
        class: Class::Normal,
        key: None,
        delay_ms: None,
        trace: None,
        payloads: payloads.iter().map(|bytes| (*bytes).into()).collect(),
        patience: Patience::default(),
    }
}

/// The puts that a supervisor was asked for.
fn puts(supervisor: &Supervisor) -> Vec<Put> {
    let asked = supervisor.asked.try_iter().map(|request| match request {
        Request::Put(put) => put,
        other => panic!("{other:?}"),
    });
    asked.collect()
}

#[test]
fn what_put_asks() {
    let supervisor = takes(|_| None);
    let asked = |args: &[&str]| {
        let done = supervisor.run(&[&["put"], args].concat());
        assert_eq!(done.code(), 0, "{done:?}");
        let [put] = puts(&supervisor).try_into().unwrap();
        put
    };
    assert_eq!(asked(&["thumbs", "a", "b c"]), put(&[b"a", b"b c"]));
    let late = Put { class: Class::High, delay_ms: Some(1500), ..put(&[b""]) };
    assert_eq!(asked(&["--class", "high", "thumbs", "--delay", "1500ms", ""]), late);
    let keyed = |on| Put { key: Some(Key { key: "k".into(), on }), ..put(&[b"-a"]) };
    assert_eq!(asked(&["thumbs", "--key", "k", "--", "-a"]), keyed(OnKey::DropNew));
    assert_eq!(asked(&["thumbs", "--key", "k", "--on-key", "replace", "--", "-a"]), keyed(OnKey::Replace));
}

#[test]
fn a_payload_is_bytes_and_a_trace_goes_with_it() {
    let supervisor = takes(|_| None);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let asked = |traceparent: &str| {
        let mut command = supervisor.command(&["put", "thumbs"]);
        let done = start(command.arg(OsStr::from_bytes(b"\xff")).env("TRACEPARENT", traceparent)).done();
        assert_eq!((done.code(), &*done.stderr), (0, ""), "{done:?}");
        puts(&supervisor).pop().unwrap()
    };
    assert_eq!(asked(trace), Put { trace: Some(trace.parse().unwrap()), ..put(&[b"\xff"]) });
    assert_eq!(asked("nonsense"), put(&[b"\xff"]), "what is no trace is nobody's");
}

#[test]
fn numbers_one_a_line() {
    let supervisor = takes(|_| None);
    assert_eq!(supervisor.run(&["put", "thumbs", "a", "b"]).text(), "1\n2\n");
    assert_eq!(supervisor.run(&["put", "-q", "thumbs", "c"]).text(), "3\n");
}

#[test]
fn how_they_ended() {
    let supervisor = takes(|payload| {
        let outcome = |end, text: &str| Some(Outcome { end, text: Some(text.into()) });
        match payload {
            b"good" => outcome(End::Done, "3\npages"),
            b"silent" => Some(Outcome { end: End::Done, text: None }),
            b"bad" => outcome(End::Buried, "exited 65"),
            _ => None,
        }
    });
    let run = |args: &[&str]| supervisor.run(&[&["put", "--wait", "thumbs"], args].concat());
    let done = run(&["good", "silent"]);
    assert_eq!((done.code(), done.text()), (0, "1 done 3\\npages\n2 done\n"));
    let done = run(&["bad", "good"]);
    assert_eq!((done.code(), done.text()), (1, "3 buried exited 65\n4 done 3\\npages\n"));
    assert_eq!(done.stderr, "quell: 1 of 2 tasks not done\n");
    let done = run(&["--timeout", "1h", "long"]);
    assert_eq!((done.code(), done.text(), &*done.stderr), (1, "5\n", "quell: 1 of 1 task not done\n"));
    let patience = puts(&supervisor).pop().unwrap().patience;
    let left = patience.timeout_ms.unwrap();
    assert!(patience.wait && left <= 3_600_000 && left > 3_600_000 - LIMIT.as_millis() as u64, "{patience:?}");
}

#[test]
fn one_that_is_there_already() {
    let supervisor = Supervisor::new(|_| {
        vec![Reply::Put { tasks: vec![Placed { id: TaskId(7), what: Placement::There, outcome: None }] }]
    });
    let done = supervisor.run(&["put", "thumbs", "--key", "k", "a", "-v"]);
    assert_eq!((done.code(), done.text()), (0, "7\n"));
    assert_eq!(done.stderr, "quell: note: task 7 has this key already; nothing was put\n");
}

fn fed(supervisor: &Supervisor, args: &[&str], input: &[u8]) -> Done {
    feed(&mut supervisor.command(&[&["put", "thumbs", "--stdin"], args].concat()), input)
}

#[test]
fn a_task_for_each_line() {
    let supervisor = takes(|_| None);
    assert_eq!(fed(&supervisor, &[], b"a\n\n b \xff\r\nlast").text(), "1\n2\n3\n4\n");
    let payloads: Vec<_> = puts(&supervisor).into_iter().flat_map(|put| put.payloads).collect();
    assert_eq!(payloads, put(&[b"a", b"", b" b \xff\r", b"last"]).payloads);
    let done = fed(&supervisor, &[], b"");
    assert_eq!((done.code(), done.text(), puts(&supervisor).len()), (0, "", 0));
}

/// F3: no request is too large, however many lines there are, and their order is kept.
#[test]
fn many_lines_are_many_requests() {
    let supervisor = takes(|_| None);
    let lines: Vec<String> = (0..30_000).map(|n| format!("\"{n}\"")).collect();
    let done = fed(&supervisor, &["--class", "low"], lines.join("\n").as_bytes());
    assert_eq!((done.code(), done.text().lines().count()), (0, lines.len()));
    assert_eq!(done.text().lines().last(), Some("30000"));
    let puts = puts(&supervisor);
    assert!(puts.len() > 4 && puts.iter().all(|put| put.class == Class::Low), "{}", puts.len());
    let payloads: Vec<_> = puts.into_iter().flat_map(|put| put.payloads).collect();
    assert!(payloads.iter().map(|payload| payload.as_bytes()).eq(lines.iter().map(String::as_bytes)));
}

/// What is put in is not held back until there is more of it.
#[test]
fn a_line_goes_when_it_comes() {
    let supervisor = takes(|_| None);
    let mut command = supervisor.command(&["put", "thumbs", "--stdin"]);
    let mut running = start(command.stdin(Stdio::piped()));
    let mut stdin = running.stdin();
    for line in ["a", "b"] {
        writeln!(stdin, "{line}").unwrap();
        let Request::Put(asked) = supervisor.asked.recv_timeout(LIMIT).unwrap() else { panic!() };
        assert_eq!(asked, put(&[line.as_bytes()]));
    }
    drop(stdin);
    assert_eq!(running.done().text(), "1\n2\n");
}

#[test]
fn what_does_not_fit() {
    let supervisor = takes(|_| None);
    let long = "x".repeat(REQUEST_BYTES_MAX);
    let done = supervisor.run(&["put", "thumbs", "a", &long]);
    assert_eq!((done.code(), done.text(), puts(&supervisor).len()), (1, "", 0), "none is put");
    assert!(done.stderr.starts_with("quell: a task that does not fit: a message of 65"), "{done:?}");
    // Longer than a line, and longer than a request only as JSON; what came before was put.
    for (line, why) in
        [(long.clone() + "x", "line 40001 is longer than 65536 bytes"), (long, "a task that does not fit")]
    {
        let input = format!("{}{line}\n", "short\n".repeat(40_000));
        let done = fed(&supervisor, &[], input.as_bytes());
        assert_eq!(done.code(), 1);
        assert!(done.stderr.contains(why), "{done:?}");
        let stored: usize = puts(&supervisor).iter().map(|put| put.payloads.len()).sum();
        assert_eq!(done.text().lines().count(), stored);
        assert!(done.stderr.contains(&format!("; before that, {stored} tasks were put")), "{stored}: {done:?}");
    }
}

#[test]
fn a_put_that_is_refused() {
    let supervisor = Supervisor::new(|_| vec![Reply::failed(Code::Full, "thumbs is full: 1000000 tasks")]);
    let done = supervisor.run(&["put", "thumbs", "a"]);
    assert_eq!((done.code(), done.text(), &*done.stderr), (1, "", "quell: thumbs is full: 1000000 tasks\n"));
}

#[test]
fn what_queue_and_fire_ask() {
    let supervisor = Supervisor::new(agrees);
    let asked = |line: &str| supervisor.asked(line);
    let queue = |what| Request::Queue { queue: Some("thumbs".parse().unwrap()), what };
    assert_eq!(asked("queue drain thumbs"), queue(OfQueue::Drain));
    assert_eq!(asked("queue pause thumbs"), queue(OfQueue::Pause));
    assert_eq!(asked("queue resume thumbs"), queue(OfQueue::Resume));
    assert_eq!(asked("queue kick --all thumbs"), queue(OfQueue::Kick));
    let task = |what| Request::Task { id: TaskId(17), what };
    assert_eq!(asked("queue kick 17"), task(OfTask::Kick));
    assert_eq!(asked("queue bury 17"), task(OfTask::Bury));
    assert_eq!(asked("queue drop 17"), task(OfTask::Drop));
    assert_eq!(asked("fire deploy"), Request::Fire { name: "deploy".parse().unwrap() });
    let done = supervisor.run(&["queue", "kick", "1", "2"]);
    assert_eq!(done.text(), "so be it\nso be it\n");
    let ids: Vec<_> = supervisor.asked.try_iter().collect();
    assert_eq!(ids, [1, 2].map(|id| Request::Task { id: TaskId(id), what: OfTask::Kick }));
}

#[test]
fn command_lines_that_are_wrong() {
    let supervisor = Supervisor::new(agrees);
    for line in [
        "put",
        "put thumbs",
        "put thumbs a --stdin",
        "put ../x a",
        "put thumbs a --class highest",
        "put thumbs a --on-key replace",
        "put thumbs a b --key k",
        "put thumbs --stdin --key k",
        "put thumbs a --timeout 1s",
        "put thumbs a --delay 5",
        "queue",
        "queue list thumbs --state ready",
        "queue show",
        "queue show thumbs",
        "queue show 0",
        "queue kick",
        "queue kick 1 --all thumbs",
        "queue drain",
        "queue pause a/b",
        "fire",
        "fire ../x",
    ] {
        let done = supervisor.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((done.code(), done.text()), (2, ""), "{line}: {done:?}");
    }
    assert!(supervisor.asked.try_recv().is_err());
    let done = supervisor.run(&["put", "thumbs"]);
    assert!(done.stderr.contains("--stdin") && done.stderr.contains("quell put --help"), "{done:?}");
}

fn row(id: u64) -> TaskRow {
    TaskRow {
        id: TaskId(id),
        queue: "thumbs".into(),
        class: Class::High,
        state: State::Buried,
        attempt: 5,
        put: Wall(0),
        due: None,
        ended: Some(Wall(9)),
        key: None,
        worker: None,
        why: Some("exited 3".into()),
        payload_bytes: 4,
        payload: Some(b"in/a"[..].into()),
    }
}

pub(super) fn detail() -> TaskDetail {
    TaskDetail { row: row(17), trace: None, result: None }
}

pub(super) fn status() -> QueueStatus {
    QueueStatus {
        queue: Queue {
            name: "thumbs".into(),
            waiting: ByClass { high: 1, normal: 2, low: 3 },
            delayed: 0,
            running: 0,
            buried: 4,
            damaged: 0,
            paused: true,
            why: None,
        },
        done: 0,
        bytes: 24,
        oldest_ms: None,
        next_due: None,
        limits: Limits { tasks: 10, bytes: 1024 },
        totals: Totals::default(),
        workers: Vec::new(),
        store: Store::Ready,
    }
}

fn tells(request: &Request) -> Vec<Reply> {
    vec![match request {
        Request::Queue { what: OfQueue::List { .. }, .. } => {
            Reply::Tasks(TaskPage { tasks: vec![row(17), row(18)], more: true, missing: Vec::new() })
        }
        Request::Queue { queue: Some(name), .. } if name.as_str() != "thumbs" => {
            Reply::failed(Code::NoSuchQueue, "there is no queue \"thumb\"; did you mean thumbs?")
        }
        Request::Queue { .. } => Reply::Queues(vec![status()]),
        Request::Task { id: TaskId(17), .. } => Reply::Task(Box::new(detail())),
        _ => Reply::failed(Code::NoSuchTask, "there is no task 18"),
    }]
}

#[test]
fn what_is_shown_of_queues() {
    let supervisor = Supervisor::new(tells);
    let says = |line: &str| {
        let done = supervisor.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((done.code(), &*done.stderr), (0, ""), "{line}: {done:?}");
        done.text().to_owned()
    };
    let json = |line: &str| serde_json::from_str::<Value>(&says(line)).unwrap();
    assert!(
        says("queue stats")
            .starts_with("QUEUE   WAITING  HIGH  BURIED  SIZE  WHY\nthumbs        6     1       4  24 B  paused\n")
    );
    assert!(says("queue stats thumbs").starts_with("thumbs\n  paused      yes\n"));
    assert_eq!(json("queue stats --json")[0]["waiting"]["low"], 3);
    let list = says("queue list thumbs --state buried --after 16 -n 2");
    assert!(
        list.starts_with("ID  QUEUE   STATE   CLASS") && list.ends_with("in/a\nthere are more: --after 18\n"),
        "{list}"
    );
    let asked = supervisor.asked.try_iter().last().unwrap();
    let what = OfQueue::List { state: Some(task::State::Buried), after: Some(TaskId(16)), max: Some(2) };
    assert_eq!(asked, Request::Queue { queue: Some("thumbs".parse().unwrap()), what });
    let page = json("queue list thumbs --json");
    assert_eq!((&page["tasks"][1]["id"], &page["more"]), (&18.into(), &true.into()));
    says("queue list -n 7");
    let what = OfQueue::List { state: None, after: None, max: Some(7) };
    assert_eq!(supervisor.asked.try_iter().last(), Some(Request::Queue { queue: None, what }));
    assert!(says("queue show 17").starts_with("task 17\n  state       buried\n"));
    assert_eq!(json("queue show 17 --json")["payload"], "in/a");
}

#[test]
fn what_is_not_there() {
    let supervisor = Supervisor::new(tells);
    let fails = |line: &str, text: &str| {
        let done = supervisor.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((done.code(), done.text(), &*done.stderr), (1, "", text), "{line}");
    };
    fails("queue stats thumb", "quell: there is no queue \"thumb\"; did you mean thumbs?\n");
    fails("queue show 18", "quell: there is no task 18\n");
    fails("queue drop 18 17", "quell: there is no task 18\n");
    assert_eq!(supervisor.asked.try_iter().count(), 3, "what stands behind a failure is not tried");
    fails("put thumbs a", "quell: there is no task 18\n");
    fails("queue drop 17", "quell: the supervisor answers something else\n");
}

#[test]
fn the_help_says_how() {
    for (verb, words) in [
        (&["put"][..], &["--stdin", "--on-key", "TRACEPARENT", "Examples:"][..]),
        (&["queue"], &["list", "show", "kick", "bury", "drop", "drain", "pause", "resume", "stats"]),
        (&["queue", "list"], &["--state", "--after", "Examples:"]),
        (&["queue", "kick"], &["--all <QUEUE>", "Examples:"]),
        (&["fire"], &["start_on", "Examples:"]),
    ] {
        let done = start(quell().args(verb).arg("--help")).done();
        assert_eq!(done.code(), 0);
        words.iter().for_each(|word| assert!(done.text().contains(word), "{verb:?}: {word}: {}", done.text()));
    }
}
