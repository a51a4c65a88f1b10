//! Tasks: put, worked on, tried again, buried; and what is left of them when quell or a worker dies.

use super::{Up, Watched, carriers, until};
use crate::harness::{Folder, finish, quell};
use nix::sys::signal::Signal;
use serial_test::serial;

/// A queue, and a worker that runs this for each of its tasks. What it is to work with comes first.
fn with(script: &str, keys: &str) -> Up {
    let quoted = serde_json::to_string(script).unwrap();
    let mut up = Up::start(&format!(
        "[queue.jobs]\ndurable = \"never\"\n\
         [worker.jobs]\nshell = {quoted}\nstart_on = [{{ queue = \"jobs\" }}]\nstop.grace = \"100ms\"\n{keys}\n"
    ));
    up.until("all workers are up");
    up
}

impl Up {
    /// Puts tasks: their numbers.
    fn put(&self, words: &[&str]) -> Vec<String> {
        self.must(&[&["put", "jobs"], words].concat()).lines().map(str::to_owned).collect()
    }

    /// What is known of the queue.
    fn queue(&self) -> serde_json::Value {
        let stats = self.must(&["queue", "stats", "jobs", "--json"]);
        let stats: serde_json::Value = serde_json::from_str(&stats).unwrap_or_else(|e| panic!("{e}: {stats}"));
        stats[0].clone()
    }

    /// Waits until so many tasks stand so.
    fn until_count(&self, what: &str, count: u64) {
        let now = || self.queue()[what].as_u64();
        until(&format!("{count} are {what}"), || now() == Some(count));
    }

    /// What `queue show` says of a task.
    fn task(&self, id: &str) -> serde_json::Value {
        serde_json::from_str(&self.must(&["queue", "show", id, "--json"])).unwrap()
    }
}

/// What is to be done comes as a file and as stdin, who it is in the environment; the log says of which task a line is.
#[test]
#[serial]
fn a_task_is_done() {
    let script = "echo \"$QUELL_TASK/$QUELL_ATTEMPT: $(cat) = $(cat \"$QUELL_PAYLOAD\"), $TRACEPARENT\"";
    let mut up = with(script, "");
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut put = quell();
    put.args(["put", "jobs", "--wait", "hello", "-c"]).arg(up.folder.join("quell.toml")).env("TRACEPARENT", trace);
    assert_eq!(finish(&mut put).text(), "1 done\n");
    assert_eq!(up.put(&["two", "three"]), ["2", "3"]);
    up.until_count("done", 3);
    let line = |id: u32, payload: &str, trace: &str| format!("[{id}] {id}/1: {payload} = {payload}, {trace}");
    up.until_logged("jobs", &line(3, "three", ""));
    assert_eq!(up.printed("jobs"), [line(1, "hello", trace), line(2, "two", ""), line(3, "three", "")]);
    up.down();
    assert!(!up.heard.iter().any(|line| line.contains("started")), "each process is told of: {:#?}", up.heard);
}

/// E4: what fails is tried again a little later, and given up in the end; then it waits for somebody to look.
#[test]
#[serial]
fn what_fails_is_tried_again_and_buried() {
    let folder = Folder::new();
    let mended = folder.join("mended");
    let script = format!("test -e {} && exit 0; kill -9 $$$$", mended.display());
    let mut up = with(&script, "retry = { tries = 3, first = \"10ms\" }");
    let done = up.ask(&["put", "jobs", "--wait", "poison"]);
    assert_eq!(done.code(), 1, "{done:?}");
    up.until("task 1 failed (signal 9), try 1 of 3");
    up.until("task 1 failed (signal 9), try 2 of 3");
    up.until("task 1 is buried: signal 9, at try 3 of 3");
    let list = up.must(&["queue", "list", "jobs", "--state", "buried"]);
    assert!(list.contains("signal 9"), "{list}");
    assert_eq!(up.task("1")["attempt"], 3);
    std::fs::write(&mended, "").unwrap();
    up.must(&["queue", "kick", "1"]);
    up.until_count("done", 1);
    assert_eq!(up.queue()["buried"], 0);
    up.down();
}

/// What a program says by its exit code: 75 and 111 are no last words, 65 and 100 are.
#[test]
#[serial]
fn exit_codes_say_what_is_to_come() {
    let mut up = with("exit $(cat)", "retry = { tries = 2, first = \"10ms\" }");
    let codes = ["0", "65", "100", "75", "1"];
    up.put(&codes);
    up.until_count("buried", 4);
    up.until_count("done", 1);
    let tries = |id: usize| up.task(&id.to_string())["attempt"].as_u64();
    assert_eq!((1..=5).map(tries).collect::<Option<Vec<_>>>().unwrap(), [1, 1, 1, 2, 2]);
    up.down();
}

/// E3, E5: a task that was under way when quell died is done by the next one, and its first try is counted.
#[test]
#[serial]
fn quell_dies_with_a_task_in_hand() {
    let mut up = with("echo try $QUELL_ATTEMPT; test $QUELL_ATTEMPT = 2 || exec sleep 1000", "");
    up.put(&["a"]);
    up.until_logged("jobs", "[1] try 1");
    up.signal(Signal::SIGKILL);
    up.end();
    until("nobody is left", || carriers(up.folder.path()).is_empty());
    let mut up = up.again();
    up.until("task 1 of jobs was under way");
    up.until_count("done", 1);
    assert_eq!(up.printed("jobs"), ["[1] try 1", "[1] try 2"]);
    up.down();
}

/// E3: a task whose process goes on though quell has died is nobody else's until that process has ended.
#[test]
#[serial]
fn a_task_that_is_left_running_is_not_begun_again() {
    let mut up = Up::start(
        "quell.on_supervisor_death = \"leave\"\n[queue.jobs]\n[worker.jobs]\n\
         shell = \"echo try $QUELL_ATTEMPT; test $QUELL_ATTEMPT = 2 || exec sleep 1000\"\n\
         start_on = [{ queue = \"jobs\" }]\n",
    );
    up.until("all workers are up");
    up.put(&["a"]);
    up.until_logged("jobs", "[1] try 1");
    up.signal(Signal::SIGKILL);
    up.end();
    let left = Watched::new(carriers(up.folder.path())[0].pid);
    let mut up = up.again();
    up.until("task 1 is still being worked on by");
    up.must(&["reload"]);
    assert_eq!((&up.queue()["running"], &up.queue()["waiting"]["normal"]), (&1.into(), &0.into()));
    left.kill();
    up.until("task 1 of jobs was under way when quell ended (try 1); it waits again");
    up.until_count("done", 1);
    assert_eq!(up.printed("jobs"), ["[1] try 1", "[1] try 2"]);
    up.down();
}

/// A queue of which a part is damaged holds up no other.
#[test]
#[serial]
fn a_damaged_queue_is_left_alone() {
    let bad = "[queue.bad]\n[worker.bad]\nshell = \"true\"\nstart_on = [{ queue = \"bad\" }]";
    let mut up = with("true", bad);
    up.must(&["queue", "pause", "bad"]);
    up.must(&["put", "bad", &"Z".repeat(20_000)]);
    up.down();
    // Where the payload goes on is not to be found: an overflow page begins with the number of the next (sqlite.org/fileformat2).
    let path = up.folder.join("state/store.db");
    let mut store = std::fs::read(&path).unwrap();
    let pages = store.chunks_mut(4096).filter(|page| page[4..].iter().all(|byte| *byte == b'Z'));
    pages.for_each(|page| page[..4].fill(0xFF));
    std::fs::write(&path, store).unwrap();
    let mut up = up.again();
    up.until("all workers are up");
    up.must(&["queue", "resume", "bad"]);
    up.until("queue bad cannot be read");
    assert_eq!(up.must(&["put", "jobs", "--wait", "a"]), "2 done\n");
    assert_eq!(up.queue()["store"], "ready");
    up.down();
}

/// Whoever waits for what is buried is told, be it buried by hand.
#[test]
#[serial]
fn what_is_buried_by_hand_starts_who_waits_for_that() {
    let mut up = with("true", "[worker.sad]\nshell = \"true\"\nstart_on = [{ queue = \"jobs\", event = \"buried\" }]");
    up.must(&["queue", "pause", "jobs"]);
    up.put(&["a"]);
    up.must(&["queue", "bury", "1"]);
    up.until("sad: exited 0");
    assert_eq!(up.queue()["totals"]["buried"], 1);
    assert_ne!(up.ask(&["queue", "bury", "1"]).code(), 0, "it is buried already");
    up.down();
}

/// E4: what takes quell down with it, too, is tried so often and no more.
#[test]
#[serial]
fn quell_dies_of_a_task() {
    let sad = "[worker.sad]\nshell = \"true\"\nstart_on = [{ queue = \"jobs\", event = \"buried\" }]";
    let mut up = with("kill -9 $PPID; exec sleep 1000", &format!("retry = {{ tries = 2 }}\n{sad}"));
    // Nobody may be left to answer.
    up.ask(&["put", "jobs", "a"]);
    up.end();
    let mut up = up.again();
    up.until("task 1 of jobs was under way when quell ended (try 1); it waits again");
    up.end();
    let mut up = up.again();
    up.until("task 1 of jobs is buried: quell ended, at try 2 of 2");
    up.until("sad: exited 0");
    up.until_count("buried", 1);
    assert_eq!(up.task("1")["attempt"], 2);
    up.down();
}

/// Tasks that can start at once are begun with their put: several of one put, a key beside one that runs, and none that is
/// refused.
#[test]
#[serial]
fn tasks_that_start_at_once() {
    let keys = "slots = { total = 3 }\n[queue.few]\nmax_tasks = 1\n\
                [worker.few]\nshell = \"exec sleep $(cat)\"\nstart_on = [{ queue = \"few\" }]\nslots = { total = 2 }";
    let mut up = with("exec sleep $(cat)", keys);
    // What waits is not known before it was asked for.
    assert_eq!(up.put(&["--wait", "0"]), ["1 done"]);
    assert_eq!(up.put(&["1000", "1000"]), ["2", "3"]);
    up.until_count("running", 2);
    assert_eq!(up.put(&["--key", "k", "1000"]), ["4"]);
    assert_eq!(up.put(&["--key", "k", "1000"]), ["4"], "it runs");
    up.until_count("running", 3);
    assert_eq!(up.put(&["1000"]), ["5"]);
    assert_eq!((up.task("4")["attempt"].as_u64(), up.task("5")["attempt"].as_u64()), (Some(1), Some(0)));
    assert_eq!(up.must(&["put", "few", "--wait", "0"]), "6 done\n");
    assert_eq!(up.ask(&["put", "few", "1000", "1000"]).code(), 1);
    assert_eq!(up.must(&["put", "few", "--wait", "0"]), "7 done\n", "the slots of the refused are free");
    up.down();
}

/// What waits when quell is started is begun, though nobody asks for anything.
#[test]
#[serial]
fn tasks_that_wait_are_begun_at_the_start() {
    let mut up = with("cat", "");
    up.down();
    up.put(&["hello"]);
    let mut up = up.again();
    up.until_logged("jobs", "[1] hello");
    up.down();
}

/// A worker that is stopped gives its task back; nobody begins it until that is started again.
#[test]
#[serial]
fn a_stop_gives_a_task_back() {
    let folder = Folder::new();
    let go = folder.join("go");
    let mut up = with(&format!("echo at it; test -e {} || exec sleep 1000", go.display()), "");
    up.put(&["a"]);
    up.until_logged("jobs", "[1] at it");
    up.must(&["stop", "jobs"]);
    up.until_count("running", 0);
    assert_eq!(up.queue()["waiting"]["normal"], 1);
    assert_eq!(up.status("jobs")["state"], "down");
    std::fs::write(&go, "").unwrap();
    assert!(up.must(&["start", "jobs"]).contains("jobs takes tasks"));
    up.until_count("done", 1);
    up.down();
}

/// E7: some slots are for what is urgent, and it does not wait behind what holds the others.
#[test]
#[serial]
fn urgent_tasks_have_a_slot() {
    let mut up = with("exec sleep $(cat)", "slots = { total = 3, high = 1 }");
    up.put(&["--class", "low", "1000", "1000", "1000"]);
    up.until_count("running", 2);
    assert_eq!(up.put(&["--class", "high", "--wait", "0"]), ["4 done"]);
    let queue = up.queue();
    assert_eq!((&queue["running"], &queue["waiting"]["low"]), (&2.into(), &1.into()));
    assert_eq!(queue["workers"][0]["slots"], 3);
    up.down();
}

/// A task that takes too long is a failed try: its processes are killed, all of them, and then it is tried again.
#[test]
#[serial]
fn a_task_has_its_time() {
    let keys = "timeout = \"200ms\"\nretry = { tries = 1 }";
    let mut up = with("trap '' TERM; setsid sleep 1000 & sleep 1000; sleep 1000", keys);
    up.put(&["a"]);
    up.until("task 1 is buried: not done after 200ms: killed");
    until("nobody is left", || carriers(up.folder.path()).is_empty());
    up.down();
}

/// A task whose worker waits for what it needs was not tried: it has no time to keep, no other is taken meanwhile, and it waits
/// again when quell goes down or the worker is removed.
#[test]
#[serial]
fn a_task_is_tried_when_its_process_begins() {
    let keys = "needs = [\"db\"]\ntimeout = \"50ms\"\nretry.tries = 1\nslots.total = 2\n\
                [worker.db]\nshell = \"exec sleep 1000\"\nready = { line = \"never\" }\nstart_on = [{ fire = \"db\" }]";
    let mut up = with("true", keys);
    up.put(&["a"]);
    up.until_count("running", 1);
    up.put(&["b"]);
    up.put(&["--delay", "300ms", "c"]);
    up.until_count("delayed", 0);
    let queue = up.queue();
    assert_eq!((&queue["waiting"]["normal"], &queue["running"], &queue["buried"]), (&2.into(), &1.into(), &0.into()));
    up.down();
    let mut up = up.again();
    up.until("all workers are up");
    up.until_count("running", 2);
    assert!(!up.heard().iter().any(|line| line.contains("was under way")), "{:#?}", up.heard);
    let path = up.folder.join("quell.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("[worker.jobs]", "[worker.other]")).unwrap();
    up.must(&["reload"]);
    up.until_count("running", 0);
    assert_eq!(up.task("1")["attempt"], 0);
    up.down();
}

/// A queue that is paused gives nobody a task, over a restart of quell too; what is delayed waits for its time.
#[test]
#[serial]
fn pauses_and_delays() {
    let mut up = with("true", "");
    up.must(&["queue", "pause", "jobs"]);
    up.put(&["a"]);
    up.down();
    let mut up = up.again();
    up.until("all workers are up");
    assert_eq!((up.queue()["paused"].as_bool(), up.queue()["waiting"]["normal"].as_u64()), (Some(true), Some(1)));
    up.must(&["queue", "resume", "jobs"]);
    up.until_count("done", 1);
    let began = std::time::Instant::now();
    up.put(&["--delay", "300ms", "--wait", "b"]);
    assert!(began.elapsed().as_millis() >= 300);
    up.down();
}

/// Of one key there is one task that waits.
#[test]
#[serial]
fn keys_and_drains() {
    let mut up = with("true", "");
    up.must(&["queue", "pause", "jobs"]);
    let first = up.put(&["--key", "k", "a"]);
    assert_eq!(up.put(&["--key", "k", "b"]), first);
    assert_ne!(up.put(&["--key", "k", "--on-key", "replace", "c"]), first);
    up.put(&["d", "e"]);
    assert!(up.must(&["queue", "drain", "jobs"]).contains("3 tasks of jobs dropped"));
    assert_eq!(up.queue()["waiting"]["normal"], 0);
    let refused = up.ask(&["queue", "drop", "99"]);
    assert_ne!(refused.code(), 0, "{refused:?}");
    up.down();
}

/// What a reload changes of a worker's slots is so at once, and what is being worked on goes on.
#[test]
#[serial]
fn slots_are_changed_by_a_reload() {
    let mut up = with("exec sleep $(cat)", "slots = { total = 1 }");
    up.put(&["1000", "1000", "1000"]);
    up.until_count("running", 1);
    let pid = up.pid_of("jobs");
    let path = up.folder.join("quell.toml");
    let text = std::fs::read_to_string(&path).unwrap().replace(
        "[queue.jobs]\n",
        "[queue.more]\n[worker.more]\nshell = \"true\"\nstart_on = [{ queue = \"more\" }]\n[queue.jobs]\nmax_tasks = 3\n",
    );
    let text = text.replace("total = 1", "total = 2");
    std::fs::write(&path, text).unwrap();
    up.must(&["reload"]);
    assert_eq!(up.pid_of("jobs"), pid);
    let full = up.ask(&["put", "jobs", "x"]);
    assert!(full.code() == 1 && full.stderr.contains("max_tasks"), "{full:?}");
    assert_eq!(up.must(&["put", "more", "--wait", "x"]), "4 done\n");
    up.until_count("running", 2);
    up.down();
}

/// Whoever names a queue that there is not is told which there are.
#[test]
#[serial]
fn there_is_no_such_queue() {
    let mut up = with("true", "");
    let refused = up.ask(&["put", "job", "x"]);
    assert!(refused.code() == 1 && refused.stderr.contains("did you mean jobs?"), "{refused:?}");
    up.down();
}

/// The first queue may come with a reload.
#[test]
#[serial]
fn a_reload_brings_the_first_queue() {
    let mut up = Up::start("[worker.web]\nshell = \"exec sleep 1000\"\n");
    up.until("all workers are up");
    let path = up.folder.join("quell.toml");
    let more = "[queue.jobs]\n[worker.jobs]\nshell = \"true\"\nstart_on = [{ queue = \"jobs\" }]\n";
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + more).unwrap();
    up.must(&["reload"]);
    assert_eq!(up.must(&["put", "jobs", "--wait", "a"]), "1 done\n");
    up.down();
}
