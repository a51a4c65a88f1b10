//! Workers that stay and are told their tasks (`protocol = "lines"`).

use super::{Up, until};
use crate::harness::Folder;
use nix::sys::signal::Signal;
use quell::control::queue::{End, Placement};
use quell::control::reply::Reply;
use quell::control::request::Request;
use quell::runtime::client::Client;
use quell::task::TaskId;
use serial_test::serial;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an answer is waited for.
const LIMIT: Duration = Duration::from_secs(60);
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/workers");

/// A queue, and a worker that stays; how it is started comes first.
fn with_worker(start: &str, keys: &str) -> Up {
    let mut up = Up::start(&format!(
        "[queue.jobs]\ndurable = \"never\"\n\
         [worker.jobs]\n{start}\nprotocol = \"lines\"\nstart_on = [{{ queue = \"jobs\" }}]\n\
         backoff = {{ first = \"10ms\" }}\n{keys}\n"
    ));
    up.until("all workers are up");
    up
}

/// The worker is this script.
fn with(script: &str, keys: &str) -> Up {
    with_worker(&format!("shell = {}", serde_json::to_string(script).unwrap()), keys)
}

/// What a script does with each task: `$id`, `$try`, `$trace` and `$body` are there.
fn each(act: &str) -> String {
    format!("while read -r id try trace body <&3; do {act}; done")
}

impl Up {
    fn put_into(&self, queue: &str, words: &[&str]) {
        self.must(&[&["put", queue], words].concat());
    }

    fn stats(&self, queue: &str) -> serde_json::Value {
        let stats = self.must(&["queue", "stats", queue, "--json"]);
        serde_json::from_str::<serde_json::Value>(&stats).unwrap_or_else(|e| panic!("{e}: {stats}"))[0].clone()
    }

    fn until_stats(&self, queue: &str, what: &str, count: u64) {
        until(&format!("{count} of {queue} are {what}"), || self.stats(queue)[what].as_u64() == Some(count));
    }

    fn shown(&self, id: u32) -> serde_json::Value {
        serde_json::from_str(&self.must(&["queue", "show", &id.to_string(), "--json"])).unwrap()
    }
}

/// A worker of the documentation: it is started by its first task, and does all of them in one life.
fn does_its_tasks(interpreter: &str, file: &str) {
    let path = Path::new(EXAMPLES).join(file);
    let mut up = with_worker(&format!("command = [{interpreter:?}, {path:?}]"), "retry.tries = 1");
    assert!(up.status("jobs")["pid"].is_null(), "it is not started before there is a task");
    assert_eq!(up.must(&["put", "jobs", "--wait", "one thing"]), "1 done one thing is done\n");
    let pid = up.pid_of("jobs");
    let done = up.ask(&["put", "jobs", "--wait", "a bad thing"]);
    assert_eq!(done.text(), "2 buried this cannot be done, at try 1 of 1\n");
    assert_eq!(up.must(&["put", "jobs", "--wait", "{\"to\": \"ö\"}"]), "3 done {\"to\": \"ö\"} is done\n");
    assert_eq!(up.pid_of("jobs"), pid);
    up.until_logged("jobs", "[3] doing");
    let lines = ["[1] doing one thing (try 1)", "[2] doing a bad thing (try 1)", "[3] doing {\"to\": \"ö\"} (try 1)"];
    assert_eq!(up.printed("jobs"), lines);
    up.down();
    assert!(
        up.heard().iter().any(|line| line.contains("exited 0")),
        "it is told that there is no more: {:?}",
        up.heard()
    );
}

#[test]
#[serial]
fn the_example_in_sh() {
    does_its_tasks("sh", "worker.sh");
}

#[cfg(feature = "full-tests")]
#[test]
#[serial]
fn the_example_in_python() {
    does_its_tasks("python3", "worker.py");
}

#[cfg(feature = "full-tests")]
#[test]
#[serial]
fn the_example_in_node() {
    does_its_tasks("node", "worker.js");
}

/// Each line that it prints is of the task that it was at, however many there are.
#[test]
#[serial]
fn each_line_is_of_its_task() {
    const TASKS: usize = 300;
    // Every third prints a lot, every fifth nothing.
    let act =
        "case $id in *[05]) ;; *3) seq 300 | sed \"s/^/$id /\" ;; *) echo $id; echo $id >&2 ;; esac; echo ok $id >&3";
    let mut up = with(&each(act), "");
    let words: Vec<_> = (0..TASKS).map(|n| n.to_string()).collect();
    up.put_into("jobs", &words.iter().map(String::as_str).collect::<Vec<_>>());
    up.until_stats("jobs", "done", TASKS as u64);
    up.down();
    let printed = up.printed("jobs");
    for line in &printed {
        let (tag, text) =
            line.strip_prefix('[').and_then(|line| line.split_once("] ")).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(text.split(' ').next(), Some(tag), "{line}");
    }
    assert_eq!(printed.len(), 30 * 300 + 210 * 2);
}

/// One that says so has several in hand. When it ends, the first has failed, and the others are tried again.
#[test]
#[serial]
fn several_in_hand() {
    let folder = Folder::new();
    let (held, mended) = (folder.join("held"), folder.join("mended"));
    let script = format!(
        "test -e {1} || {{ echo ready 3 >&3; for n in 1 2 3; do read -r id rest <&3; echo has $id; done; mkfifo {0}; read x < {0}; \
         exit 7; }}\n{2}",
        held.display(),
        mended.display(),
        each("echo again $id $try; echo ok $id >&3"),
    );
    let mut up = with(&script, "retry = { first = \"10ms\" }");
    up.put_into("jobs", &["a", "b", "c", "d"]);
    up.until_logged("jobs", "has 3");
    assert_eq!(up.stats("jobs")["running"], 3);
    let why = up.status("jobs")["why"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("3 tasks, the first is 1"), "{why}");
    std::fs::write(&mended, "").unwrap();
    std::fs::write(&held, "\n").unwrap();
    up.until("task 1 failed (its worker ended (exit 7)), try 1 of 5");
    up.until_stats("jobs", "done", 4);
    assert_eq!((1..=4).map(|id| up.shown(id)["attempt"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 2, 2, 1]);
    assert_eq!(up.stats("jobs")["totals"]["failed"], 1);
    up.down();
}

/// What a worker puts is stored before what it says next is believed: where that cannot be, its task is not done.
#[test]
#[serial]
fn a_worker_puts() {
    let act = "echo \"put more child of $id\" >&3; echo \"put more other of $id\" >&3; echo ok $id >&3";
    let more = "[queue.more]\ndurable = \"never\"\nmax_tasks = 2\n\
                [worker.more]\ncommand = [\"false\"]\nstart_on = [{ queue = \"more\" }]";
    let mut up = with(&each(act), &format!("retry = {{ tries = 2, first = \"10ms\" }}\n{more}"));
    up.must(&["queue", "pause", "more"]);
    assert_eq!(up.must(&["put", "jobs", "--wait", "a"]), "1 done\n");
    assert_eq!(up.stats("more")["waiting"]["normal"], 2);
    let done = up.ask(&["put", "jobs", "--wait", "b"]);
    assert!(done.text().contains("4 buried what it has put into more is refused: "), "{done:?}");
    assert_eq!(up.stats("more")["totals"]["put"], 2);
    let shown = up.shown(2);
    assert_eq!(shown["payload"], "child of 1", "{shown}");
    up.down();
}

/// What could not be stored in one try is no fault of the next, however often it was refused.
#[test]
#[serial]
fn each_try_puts_anew() {
    let act = "case $try in 1) echo put nowhere x >&3; echo put noplace x >&3 ;; esac; echo ok $id >&3";
    let mut up = with(&each(act), "retry = { tries = 2, first = \"10ms\" }");
    assert_eq!(up.must(&["put", "jobs", "--wait", "a"]), "1 done\n");
    up.down();
}

/// Whoever waits for a task that was there already, and that is done before the store has said so, is told.
#[test]
#[serial]
fn what_was_there_may_have_ended() {
    let folder = Folder::new();
    let fifo = folder.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = format!("read -r id rest <&3; echo at it; read x < {}; echo ok $id >&3", fifo.display());
    let mut up = with(&script, "");
    up.put_into("jobs", &["--key", "k", "a"]);
    up.until_logged("jobs", "[1] at it");
    // The store waits for this, and so does the put.
    let store = rusqlite::Connection::open(up.folder.join("state/store.db")).unwrap();
    store.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut client = Client::connect(&up.folder.join("state/quell.sock")).unwrap();
    let put =
        serde_json::json!({ "queue": "jobs", "key": { "key": "k" }, "payloads": ["a"], "patience": { "wait": true } });
    client.send(&Request::Put(serde_json::from_value(put).unwrap())).unwrap();
    // What is asked next is answered next.
    up.status("jobs");
    std::fs::write(&fifo, "\n").unwrap();
    up.until("jobs: exited 0");
    store.execute_batch("ROLLBACK").unwrap();
    let reply = client.reply(Some(LIMIT), None).unwrap();
    let Some(Reply::Put { tasks }) = reply else { panic!("{reply:?}") };
    assert_eq!((tasks[0].id, tasks[0].what), (TaskId(1), Placement::There));
    assert_eq!(tasks[0].outcome.as_ref().map(|came| came.end), Some(End::Done));
    up.down();
}

/// A worker that a reload takes away while what it has put is being stored: what it has said behind that counts.
#[test]
#[serial]
fn one_that_is_removed_puts() {
    let folder = Folder::new();
    let fifo = folder.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = format!(
        "read -r id rest <&3; echo at it; read x < {}; echo put jobs more >&3; echo ok $id >&3",
        fifo.display()
    );
    let mut up = with(&script, "");
    up.put_into("jobs", &["a"]);
    up.until_logged("jobs", "[1] at it");
    let path = up.folder.join("quell.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("[worker.jobs]", "[worker.other]")).unwrap();
    up.must(&["queue", "pause", "jobs"]);
    up.must(&["reload"]);
    // The store waits for this, and so does the put.
    let store = rusqlite::Connection::open(up.folder.join("state/store.db")).unwrap();
    store.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::fs::write(&fifo, "\n").unwrap();
    up.until("jobs: exited 0");
    store.execute_batch("ROLLBACK").unwrap();
    up.until_stats("jobs", "done", 1);
    assert_eq!(up.stats("jobs")["waiting"]["normal"], 1);
    up.down();
}

/// What is no word of the protocol is said and passed over, as is what is said of a task that it does not have.
#[test]
#[serial]
fn nonsense_is_ignored() {
    let act = "echo hello >&3; echo ok 77 >&3; head -c 2000000 /dev/zero | tr '\\0' x >&3; echo >&3; \
               echo put nowhere x >&3; echo ok $id >&3";
    let mut up = with(&each(act), "retry.tries = 1");
    let done = up.ask(&["put", "jobs", "--wait", "a"]);
    assert!(
        done.text().contains("what it has put into nowhere is refused: the configuration has no such queue"),
        "{done:?}"
    );
    up.until("said something on its task socket that is ignored: \"hello\" is nothing that a worker says");
    up.down();
}

/// A task has its time, which begins anew with each `beat`; then its worker is killed.
#[test]
#[serial]
fn a_task_has_its_time() {
    let act = "case $body in beats) for n in 1 2 3 4 5 6; do sleep 0.1; echo beat $id >&3; done; echo ok $id >&3 ;; \
               *) exec sleep 1000 ;; esac";
    let mut up = with(&each(act), "retry.tries = 1\ntimeout = \"400ms\"");
    assert_eq!(up.must(&["put", "jobs", "--wait", "beats"]), "1 done\n");
    let done = up.ask(&["put", "jobs", "--wait", "hangs"]);
    assert_eq!(done.text(), "2 buried not done after 400ms: killed, at try 1 of 1\n");
    assert_eq!(up.must(&["put", "jobs", "--wait", "beats"]), "3 done\n", "another life does what comes next");
    up.down();
}

/// A stop lets it finish what it is at; what it had not begun waits for the next life. One that does not listen is ended.
#[test]
#[serial]
fn a_stop_ends_it_after_its_task() {
    let folder = Folder::new();
    let fifo = folder.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let act = format!(
        "echo at $body; case $body in waits) read x < {} ;; hangs) trap '' TERM; sleep 1000 ;; esac; echo ok $id >&3",
        fifo.display()
    );
    let mut up = with(&each(&act), "stop.grace = \"5s\"");
    up.put_into("jobs", &["waits", "next"]);
    up.until_logged("jobs", "[1] at waits");
    up.must(&["stop", "jobs", "--no-wait"]);
    up.until("told that there is no more to do");
    std::fs::write(&fifo, "\n").unwrap();
    up.until("jobs: exited 0");
    until("one is done", || up.stats("jobs")["done"] == 1);
    assert_eq!((up.shown(2)["state"].as_str(), up.shown(2)["attempt"].as_u64()), (Some("waiting"), Some(0)));
    up.must(&["start", "jobs"]);
    up.until_stats("jobs", "done", 2);
    up.down();
    let mut up = with(&each("echo at $body; trap '' TERM; sleep 1000"), "stop.grace = \"200ms\"");
    up.put_into("jobs", &["hangs"]);
    up.until_logged("jobs", "[1] at hangs");
    up.down();
    let heard = up.heard().join("\n");
    assert!(heard.contains("does not end: killed") && !heard.contains("failed"), "{heard}");
}

/// One that ends when it has nothing more to do is started again by the next task; one that does not take its task at all is
/// not started for ever.
#[test]
#[serial]
fn one_that_ends_is_started_again() {
    let mut up = with("read -r id rest <&3; echo ok $id >&3", "");
    for id in 1..=5 {
        assert_eq!(up.must(&["put", "jobs", "--wait", "x"]), format!("{id} done\n"));
    }
    up.down();
    let mut up = with("exit 0", "retry = { tries = 2, first = \"1ms\" }");
    let done = up.ask(&["put", "jobs", "--wait", "x"]);
    assert_eq!(done.text(), "1 buried its worker ended (exit 0), at try 2 of 2\n");
    up.down();
}

/// A payload that is no single line cannot be told.
#[test]
#[serial]
fn a_payload_of_two_lines_is_buried() {
    let mut up = with(&each("echo ok $id >&3"), "");
    let done = up.ask(&["put", "jobs", "--wait", "a\nb"]);
    assert!(done.text().starts_with("1 buried byte 1 of the payload is \\n;"), "{done:?}");
    assert_eq!(up.must(&["put", "jobs", "--wait", "ab"]), "2 done\n");
    up.down();
}

/// E3, E5: what it has said before quell died is known by the next one where it was stored; the rest is done again.
#[test]
#[serial]
fn quell_dies_with_tasks_told() {
    let mut up = with(&each("echo try $try; test $try = 2 || exec sleep 1000; echo ok $id >&3"), "");
    up.put_into("jobs", &["a"]);
    up.until_logged("jobs", "[1] try 1");
    up.signal(Signal::SIGKILL);
    up.end();
    until("nobody is left", || super::carriers(up.folder.path()).is_empty());
    let mut up = up.again();
    up.until("task 1 of jobs was under way");
    up.until_stats("jobs", "done", 1);
    up.down();
}

/// Instances share the tasks and the log, and a reload changes their number in place.
#[test]
#[serial]
fn instances_share() {
    let folder = Folder::new();
    let fifo: PathBuf = folder.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let act = format!("echo at $body; case $body in waits) read x < {} ;; esac; echo ok $id >&3", fifo.display());
    let mut up = with(&each(&act), "instances = 2\nslots.high = 1");
    up.put_into("jobs", &["waits", "b"]);
    up.until_logged("jobs", "[1] at waits");
    // The other instance is not for it.
    assert_eq!(up.must(&["put", "jobs", "--class", "high", "--wait", "c"]), "3 done\n");
    assert_eq!(up.stats("jobs")["waiting"]["normal"], 1);
    let pids = [up.pid_of("jobs.1"), up.pid_of("jobs.2")];
    let path = up.folder.join("quell.toml");
    let text = std::fs::read_to_string(&path).unwrap().replace("instances = 2\n", "instances = 3\n");
    std::fs::write(&path, text).unwrap();
    up.must(&["reload"]);
    up.must(&["start", "jobs"]);
    up.until_stats("jobs", "done", 2);
    assert_eq!([up.pid_of("jobs.1"), up.pid_of("jobs.2")], pids);
    std::fs::write(&fifo, "\n").unwrap();
    up.until_stats("jobs", "done", 3);
    up.down();
}

/// What it has said behind a put counts when that is stored, though its process has ended since.
#[test]
#[serial]
fn one_that_puts_and_ends() {
    let more = "[queue.more]\n[worker.more]\ncommand = [\"false\"]\nstart_on = [{ queue = \"more\" }]";
    let script = "read -r id rest <&3; echo \"put more child of $id\" >&3; echo ok $id >&3";
    let mut up = with(script, more);
    up.must(&["queue", "pause", "more"]);
    for id in [1, 3, 5] {
        assert_eq!(up.must(&["put", "jobs", "--wait", "x"]), format!("{id} done\n"));
    }
    assert_eq!(up.stats("more")["waiting"]["normal"], 3);
    assert_eq!(up.stats("jobs")["totals"]["failed"], 0);
    up.down();
}

/// A restart gives back what it is at: that is no failure of the task.
#[test]
#[serial]
fn a_restart_is_no_failure() {
    let act = "echo try $try; test $try = 2 || exec sleep 1000; echo ok $id >&3";
    let mut up = with(&each(act), "stop.grace = \"100ms\"\nretry.tries = 2");
    up.put_into("jobs", &["a"]);
    up.until_logged("jobs", "[1] try 1");
    up.must(&["restart", "jobs"]);
    up.until_stats("jobs", "done", 1);
    assert_eq!(up.stats("jobs")["totals"]["failed"], 0);
    up.down();
}

/// One that prints without end is given its tasks none the less, and so is one that prints somewhere else.
#[test]
#[serial]
fn whatever_it_prints_it_is_given_tasks() {
    let mut up = with(&format!("while echo noise; do sleep 0.001; done & {}", each("echo ok $id >&3")), "");
    for id in 1..=20 {
        assert_eq!(up.must(&["put", "jobs", "--wait", "x"]), format!("{id} done\n"));
    }
    up.down();
    let mut up = with(&format!("echo before; exec > /dev/null 2>&1; {}", each("echo ok $id >&3")), "");
    for id in 1..=5 {
        assert_eq!(up.must(&["put", "jobs", "--wait", "x"]), format!("{id} done\n"));
    }
    up.down();
}

/// What is kept ready for a fast worker is another's when one task takes long.
#[test]
#[serial]
fn nothing_waits_behind_a_slow_task() {
    let folder = Folder::new();
    let fifo = folder.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let act = format!("case $body in slow) echo at slow; read x < {} ;; esac; echo ok $id >&3", fifo.display());
    let mut up = with(&each(&act), "instances = 2");
    let mut words = vec!["fast"; 200];
    words.push("slow");
    words.extend(vec!["fast"; 200]);
    up.put_into("jobs", &words);
    up.until_logged("jobs", "at slow");
    up.until_stats("jobs", "done", 400);
    assert_eq!(up.stats("jobs")["running"], 1);
    std::fs::write(&fifo, "\n").unwrap();
    up.until_stats("jobs", "done", 401);
    up.down();
}
