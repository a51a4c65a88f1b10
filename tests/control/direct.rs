//! `put` where no supervisor runs: tasks are stored for the next one.

use super::{Supervisor, agrees};
use crate::harness::{Done, Folder, LIMIT, feed, quell, read_until, start};
use quell::clock::Wall;
use quell::control::queue::{Placed, Placement};
use quell::control::reply::Reply;
use quell::control::request::{OfQueue, Request};
use quell::runtime::store::{FromStore, Order, Reply as Stored, Store, Ticket};
use quell::sys::poller::Poller;
use quell::task::{Class, Task, TaskId};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;

const CONFIG: &str = r#"
[quell]
state  = "a/state"
socket = "quell.sock"
[queue.thumbs]
max_tasks = 3
[queue.bulk]
durable = "never"
[queue.far]
store = "redis://nobody:secret@127.0.0.1:1"
[worker.all]
command  = ["/bin/true"]
start_on = [{ queue = "thumbs" }, { queue = "bulk" }, { queue = "far" }]
"#;

fn shop() -> Folder {
    let folder = Folder::new();
    folder.write("quell.toml", CONFIG);
    folder
}

fn command(folder: &Folder, args: &[&str]) -> Command {
    let mut command = quell();
    command.arg("put").args(args).current_dir(folder.path()).env_remove("QUELL_SOCKET").env_remove("QUELL_CONFIG");
    command
}

fn run(folder: &Folder, args: &[&str]) -> Done {
    start(&mut command(folder, args)).done()
}

/// The waiting tasks of a class, as a supervisor finds them.
fn waiting(state: &Path, queue: &str, class: Class) -> Vec<Task> {
    let (told, said) = channel();
    let waker = Poller::new().unwrap().waker(0).unwrap();
    let (store, _) = Store::open(state, &[], told, Arc::new(waker)).unwrap();
    let (tasks_max, bytes_max) = (100_000, 1 << 30);
    let fetch = Order::Fetch { queue: queue.into(), class, after: TaskId(0), tasks_max, bytes_max, now: Wall(0) };
    store.send(vec![(Ticket(1), fetch)]);
    let tasks = loop {
        match said.recv_timeout(LIMIT).unwrap() {
            FromStore::Reply(_, Stored::Fetched { tasks, .. }) => break tasks,
            FromStore::Counts(_) => {}
            other => panic!("{other:?}"),
        }
    };
    store.stop();
    tasks
}

#[test]
fn tasks_are_stored_for_the_next_supervisor() {
    let folder = shop();
    let state = folder.join("a/state");
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let done = start(command(&folder, &["--class", "high", "thumbs", "a", "b c"]).env("TRACEPARENT", trace)).done();
    assert_eq!((done.code(), done.text(), &*done.stderr), (0, "1\n2\n", ""));
    assert_eq!(std::fs::metadata(&state).unwrap().permissions().mode() & 0o7777, 0o700);
    let tasks = waiting(&state, "thumbs", Class::High);
    let found: Vec<_> = tasks.iter().map(|task| (task.id, task.attempt, &*task.payload)).collect();
    assert_eq!(found, [(TaskId(1), 0, &b"a"[..]), (TaskId(2), 0, b"b c")]);
    assert!(tasks.iter().all(|task| task.trace.as_deref() == Some(trace)));
    // The limit is that of the queue, and what does not fit is not put in part.
    let done = run(&folder, &["thumbs", "c", "d"]);
    assert_eq!((done.code(), done.text()), (1, ""), "{done:?}");
    assert!(done.stderr.contains("`max_tasks` is 3"), "{done:?}");
    assert_eq!(run(&folder, &["thumbs", "c"]).code(), 0);
    assert!(waiting(&state, "thumbs", Class::Low).is_empty());
}

#[test]
fn keys_hold_without_a_supervisor_too() {
    let folder = shop();
    let key = |payload: &str, on: &str| {
        let done = run(&folder, &["bulk", "--key", "k", "--on-key", on, payload]);
        (done.code(), done.text().to_owned())
    };
    assert_eq!(key("a", "drop-new"), (0, "1\n".into()));
    assert_eq!(key("b", "drop-new"), (0, "1\n".into()), "the number of the one that is there");
    assert_eq!(key("c", "replace").0, 0);
    let tasks = waiting(&folder.join("a/state"), "bulk", Class::Normal);
    assert_eq!(tasks.iter().map(|task| &*task.payload).collect::<Vec<_>>(), [b"c"]);
    let late = run(&folder, &["bulk", "--delay", "1h", "later"]);
    assert_eq!((late.code(), waiting(&folder.join("a/state"), "bulk", Class::Normal).len()), (0, 1));
}

#[test]
fn many_lines() {
    let folder = shop();
    let lines: Vec<String> = (0..30_000).map(|n| format!("line {n}")).collect();
    let done = feed(&mut command(&folder, &["bulk", "--stdin"]), lines.join("\n").as_bytes());
    assert_eq!((done.code(), done.text().lines().count()), (0, lines.len()), "{}", done.stderr);
    let tasks = waiting(&folder.join("a/state"), "bulk", Class::Normal);
    assert!(tasks.iter().map(|task| &*task.payload).eq(lines.iter().map(String::as_bytes)));
}

#[test]
fn what_is_refused() {
    let folder = shop();
    let fails = |args: &[&str], text: &str| {
        let done = run(&folder, args);
        assert_eq!((done.code(), done.text()), (1, ""), "{args:?}: {done:?}");
        assert!(done.stderr.contains(text), "{args:?}: {done:?}");
        done.stderr
    };
    fails(&["thumb", "a"], "there is no queue \"thumb\" in quell.toml; did you mean thumbs?");
    let far = fails(&["far", "a"], "redis://127.0.0.1:1/0 cannot be reached: ");
    assert!(!far.contains("secret"));
    // Nobody would do what is waited for; and who names a supervisor wants that one.
    fails(&["thumbs", "--wait", "a"], "no supervisor runs here: ");
    fails(&["thumbs", "--socket", "other.sock", "a"], "no supervisor runs here: ");
    folder.write("quell.toml", CONFIG.replace("command ", "comand "));
    fails(&["thumbs", "a"], "no supervisor runs here, and 1 mistake in quell.toml");
    assert!(!folder.join("a").exists(), "nothing was made for what was refused");
}

/// A supervisor that comes while tasks are put past it is told of those that it cannot know, and given the others.
#[test]
fn a_supervisor_that_comes_meanwhile() {
    let folder = shop();
    let mut child =
        command(&folder, &["bulk", "--stdin"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    writeln!(stdin, "a").unwrap();
    read_until(&mut stdout, "1\n");
    let supervisor = Supervisor::at(folder.path(), |request| match request {
        Request::Put(_) => {
            vec![Reply::Put { tasks: vec![Placed { id: TaskId(9), what: Placement::New, outcome: None }] }]
        }
        other => agrees(other),
    });
    writeln!(stdin, "b").unwrap();
    read_until(&mut stdout, "2\n");
    let look = Request::Queue { queue: Some("bulk".parse().unwrap()), what: OfQueue::Look };
    assert_eq!(supervisor.asked.recv_timeout(LIMIT).unwrap(), look);
    writeln!(stdin, "c").unwrap();
    read_until(&mut stdout, "9\n");
    let Request::Put(put) = supervisor.asked.recv_timeout(LIMIT).unwrap() else { panic!() };
    assert_eq!(put.payloads, [b"c"[..].into()]);
    drop(stdin);
    assert!(child.wait().unwrap().success());
    let tasks = waiting(&folder.join("a/state"), "bulk", Class::Normal);
    assert_eq!(tasks.iter().map(|task| &*task.payload).collect::<Vec<_>>(), [b"a", b"b"]);
}
