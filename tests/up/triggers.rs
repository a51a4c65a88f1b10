//! What starts a worker that waits for something.

use super::{Up, until};
use crate::harness::Folder;
use nix::sys::signal::Signal;
use serial_test::serial;

/// A worker that prints a line for each run and ends when a file is there, started by these triggers; and others.
fn with(folder: &Folder, triggers: &str, others: &str) -> Up {
    let go = folder.join("go");
    let mut up = Up::start(&format!(
        "[worker.it]\nshell = \"echo run; while ! test -e {}; do sleep 0.01; done\"\n\
         start_on = [{triggers}]\nlog.marks = false\n{others}\n",
        go.display()
    ));
    up.until("all workers are up");
    up
}

/// Every run from now on ends at once.
fn let_go(folder: &Folder) {
    folder.write("go", "");
}

impl Up {
    fn runs(&self) -> usize {
        let log = std::fs::read_to_string(self.folder.join("log/it/current")).unwrap_or_default();
        log.lines().filter(|line| line.ends_with(" run")).count()
    }
}

/// What happens while a worker runs leads to one more run, however much that is.
#[test]
#[serial]
fn what_happens_during_a_run_starts_one_more() {
    let folder = Folder::new();
    let mut up = with(&folder, "{ fire = \"it\" }", "");
    assert_eq!(up.must(&["fire", "it"]), "fired it\n");
    up.until("it: starts: fired: it");
    until("it runs", || up.runs() == 1);
    for _ in 0..3 {
        up.must(&["fire", "it"]);
    }
    let_go(&folder);
    up.until("it: done");
    up.until("it: starts: fired: it");
    up.until("it: done");
    let refused = up.ask(&["fire", "other"]);
    assert!(refused.code() == 1 && refused.stderr.contains("nothing waits for \"other\""), "{refused:?}");
    assert_eq!(up.runs(), 2);
    up.down();
}

/// Workers wait for each other, for a queue and for a signal.
#[test]
#[serial]
fn workers_queues_and_signals() {
    let folder = Folder::new();
    let_go(&folder);
    let triggers =
        "{ queue = \"jobs\", event = \"empty\" }, { signal = \"USR2\" }, { worker = \"other\", event = \"failed\" }";
    let others = "[queue.jobs]\ndurable = \"never\"\n\
        [worker.jobs]\ncommand = [\"true\"]\nstart_on = [{ queue = \"jobs\" }]\n\
        [worker.other]\nshell = \"exit 3\"\nstart_on = [{ fire = \"other\" }]\n";
    let mut up = with(&folder, triggers, others);
    up.must(&["put", "jobs", "a", "b", "c"]);
    up.until("it: starts: there is nothing left in jobs");
    up.until("it: done");
    up.signal(Signal::SIGUSR2);
    up.until("it: starts: SIGUSR2");
    up.until("it: done");
    up.must(&["fire", "other"]);
    up.until("it: starts: other: failed");
    up.until("it: done");
    up.down();
}

/// A level is looked at again after each end, and no start is pending for what was dealt with.
#[test]
#[serial]
fn so_many_tasks_wait() {
    let folder = Folder::new();
    let others = "[queue.jobs]\ndurable = \"never\"\n\
        [worker.jobs]\ncommand = [\"true\"]\nstart_on = [{ queue = \"jobs\" }]\n";
    let mut up = with(&folder, "{ queue = \"jobs\", depth = 2 }", others);
    up.must(&["stop", "jobs"]);
    up.must(&["put", "jobs", "a"]);
    up.must(&["put", "jobs", "b"]);
    up.until("it: starts: 2 tasks wait in jobs");
    up.must(&["queue", "drain", "jobs"]);
    let_go(&folder);
    up.until("it: done");
    assert_eq!(up.status("it")["state"], "waiting");
    assert_eq!(up.runs(), 1);
    up.down();
}

/// A worker that is started again and again, by what it does nothing about, is caught, and what starts it is named.
#[test]
#[serial]
fn a_loop_is_caught() {
    let folder = Folder::new();
    let_go(&folder);
    let others = "[queue.jobs]\ndurable = \"never\"\n\
        [worker.jobs]\ncommand = [\"true\"]\nstart_on = [{ queue = \"jobs\" }]\n";
    let mut up = with(&folder, "{ queue = \"jobs\", depth = 1 }", others);
    up.must(&["stop", "jobs"]);
    up.must(&["put", "jobs", "a"]);
    up.until("it: started more than 200 times in 2 s by what it waits for (a task waits in jobs)");
    up.must(&["stop", "it"]);
    up.down();
}

/// Whoever stops a worker is not overruled by what it waits for; whoever starts it again undoes that.
#[test]
#[serial]
fn a_stop_holds() {
    let folder = Folder::new();
    let_go(&folder);
    let mut up = with(&folder, "{ fire = \"it\" }", "");
    up.must(&["stop", "it"]);
    assert_eq!(up.must(&["fire", "it"]), "fired it\nit is stopped, and was not started\n");
    assert_eq!((up.status("it")["state"].as_str(), up.runs()), (Some("down"), 0));
    up.must(&["start", "it"]);
    up.must(&["fire", "it"]);
    until("it was fired", || up.runs() == 2);
    up.down();
}

/// What becomes of the first workers at a start is what others wait for; what has started a worker stands in its status.
#[test]
#[serial]
fn the_first_workers_start_others() {
    let mut up = Up::start(
        "[worker.it]\nshell = \"echo run\"\nlog.marks = false\n\
         start_on = [{ worker = \"db\", event = \"ready\" }, { worker = \"broken\", event = \"failed\" }]\n\
         [worker.db]\ncommand = [\"sleep\", \"1000\"]\n\
         [worker.broken]\ncommand = [\"/nowhere/broken\"]\nbackoff.give_up = 1\n",
    );
    up.until("it: starts: ");
    up.until("all workers are up");
    let why = up.status("it")["started_for"]["why"].as_str().unwrap().to_owned();
    assert!(["db: ready", "broken: failed"].contains(&&*why), "{why}");
    up.down();
}

/// A name that only a worker waits for that is not enabled is waited for by nobody; and nothing is fired while quell goes down.
#[test]
#[serial]
fn what_can_start_nobody_is_not_fired() {
    let folder = Folder::new();
    let others = "[worker.off]\ncommand = [\"true\"]\nenabled = false\nstart_on = [{ fire = \"off\" }]\n\
        [worker.slow]\nshell = \"trap '' TERM; echo here; while ! test -e GO; do sleep 0.01; done\"\n";
    let others = others.replace("GO", &folder.join("go").display().to_string());
    let mut up = with(&folder, "{ fire = \"it\" }", &others);
    up.until_logged("slow", "here");
    assert_eq!(up.ask(&["fire", "off"]).code(), 1);
    up.signal(Signal::SIGTERM);
    up.until("SIGTERM: going down");
    let refused = up.ask(&["fire", "it"]);
    assert!(refused.code() == 1 && refused.stderr.contains("quell is going down"), "{refused:?}");
    let_go(&folder);
    up.end();
}
