//! How workers are ended, and whatever they have left behind.

use super::{Up, Watched, carriers, is_there, until};
use crate::harness::{quell, start};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serial_test::serial;

/// C3: a worker that was stopped by SIGSTOP is killed when its grace is over.
#[test]
#[serial]
fn a_worker_that_does_not_end_is_killed() {
    let mut up = Up::start(
        "[worker.deaf]\nshell = \"trap '' TERM; echo deaf; while :; do sleep 1000; done\"\nready = { line = \"deaf\" }\nstop.grace = \"100ms\"\n[worker.still]\ncommand = [\"sleep\", \"1000\"]\nstop.grace = \"100ms\"\n",
    );
    up.ready("deaf");
    let still = up.pid_of("still");
    kill(Pid::from_raw(still), Signal::SIGSTOP).unwrap();
    // Until it has stopped, another signal may come before this one.
    until("it is stopped", || super::processes().iter().any(|seen| seen.pid == still && seen.state == "T"));
    up.down();
    let heard = up.heard().join("\n");
    assert!(heard.contains("deaf: killed by SIGKILL"), "{heard}");
    assert!(heard.contains("still: killed by SIGKILL"), "{heard}");
}

/// C4: what left the group and the session is found and ended with its worker.
#[test]
#[serial]
fn what_escaped_is_ended_with_its_worker() {
    let mut up = Up::start(
        "[worker.web]\nshell = \"setsid sh -c 'trap \\\"\\\" TERM; (sleep 1000 & echo $!; wait) & echo $!; wait' & echo $!; wait\"\nstop.grace = \"200ms\"\nready = { line = \"0\" }\n",
    );
    up.until("web: started");
    // Three numbers, in whatever order.
    let pids: Vec<i32> = loop {
        let printed = std::fs::read_to_string(up.folder.join("log/web/current")).unwrap_or_default();
        let numbers: Vec<i32> = printed.lines().filter_map(|line| line.split(' ').nth(1)?.parse().ok()).collect();
        if numbers.len() == 3 {
            break numbers;
        }
        std::thread::yield_now();
    };
    assert!(pids.iter().all(|pid| is_there(*pid)));
    up.must(&["stop", "web"]);
    assert!(!pids.iter().any(|pid| is_there(*pid)), "{pids:?}");
    up.down();
}

/// C3: a supervisor that was stopped itself goes on where it was.
#[test]
#[serial]
fn a_stopped_supervisor_goes_on() {
    let mut up = Up::start("[worker.web]\ncommand = [\"sleep\", \"1000\"]\nbackoff.first = \"1ms\"\n");
    up.ready("web");
    let web = Watched::new(up.pid_of("web"));
    up.signal(Signal::SIGSTOP);
    web.kill();
    web.ends();
    up.signal(Signal::SIGTERM);
    up.signal(Signal::SIGCONT);
    assert_eq!(up.end().code(), Some(0));
    assert!(up.heard().iter().any(|line| line.contains("web: killed by SIGKILL")), "{:#?}", up.heard);
}

/// C5: what hands itself on from one process to the next, faster than anybody can look, is caught.
#[test]
#[serial]
fn what_forks_all_the_time_is_ended() {
    let mut up = Up::start(
        "[worker.hare]\nshell = \"trap '' TERM; run() { (run &); }; run; run; run; echo running; while :; do sleep 1000; done\"\nready = { line = \"running\" }\nstop.grace = \"50ms\"\n",
    );
    up.ready("hare");
    up.must(&["stop", "hare"]);
    let left = carriers(up.folder.path());
    assert!(left.is_empty(), "{left:?}");
    up.down();
}

/// C15: children whose parents have ended are reaped, whoever they belong to.
#[test]
#[serial]
fn orphans_are_reaped() {
    let mut up = Up::start(
        "[worker.web]\nshell = \"n=0; while [ $n -lt 100 ]; do (true &); n=$((n+1)); done; echo all; exec sleep 1000\"\nready = { line = \"all\" }\n",
    );
    up.ready("web");
    let (quell, web) = (up.pid(), up.pid_of("web"));
    until("no child but the worker", || super::children(quell).iter().all(|child| child.pid == web));
    up.down();
}

#[test]
#[serial]
fn a_stop_command_comes_first() {
    let web = "trap 'echo asked; exit 0' USR1; echo here; while :; do sleep 1000 & wait; done";
    let mut up = Up::start(&format!(
        "[worker.web]\nshell = \"{web}\"\nready = {{ line = \"here\" }}\n\
         stop.command = [\"sh\", \"-c\", \"kill -USR1 $$MAINPID\"]\nstop.grace = \"80s\"\n\
         [worker.old]\ncommand = [\"sleep\", \"1000\"]\nstop.command = [\"false\"]\nstop.grace = \"80s\"\n"
    ));
    up.ready("web");
    up.must(&["stop", "web", "old"]);
    assert_eq!(up.printed("web"), ["here", "asked"]);
    up.down();
    let heard = up.heard().join("\n");
    assert!(heard.contains("web: its stop command is run"), "{heard}");
    assert!(heard.contains("old: its command to stop or reload failed"), "{heard}");
    assert!(heard.contains("old: stopped (SIGTERM)"), "{heard}");
}

#[test]
#[serial]
fn who_keeps_a_stop_waiting_is_named() {
    let mut up = Up::start(
        "[worker.deaf]\nshell = \"trap '' TERM; echo deaf; while :; do sleep 1000; done\"\nready = { line = \"deaf\" }\nstop.grace = \"80s\"\n",
    );
    up.ready("deaf");
    let pid = up.pid_of("deaf");
    let stopped = up.ask(&["stop", "deaf", "--timeout", "10ms"]);
    assert_ne!(stopped.code(), 0);
    assert!(stopped.stderr.contains(&format!("deaf (sh (pid {pid})")), "{stopped:?}");
    let status = up.status("deaf");
    assert_eq!(status["state"], "stopping");
    assert_eq!(status["stop"]["blockers"][0]["pid"], pid, "{status}");
    up.signal(Signal::SIGTERM);
    up.until("going down");
    up.signal(Signal::SIGTERM);
    assert_eq!(up.end().code(), Some(0));
}

#[test]
#[serial]
fn down_comes_back_when_all_is_over() {
    let mut up = Up::start(
        "[worker.web]\nshell = \"trap 'echo bye; exit' TERM; echo up; while :; do sleep 1000 & wait; done\"\nready = { line = \"up\" }\n",
    );
    up.ready("web");
    let quell = Watched::new(up.pid());
    up.must(&["down"]);
    assert!(quell.has_ended());
    assert_eq!(up.end().code(), Some(0));
    assert_eq!(up.printed("web"), ["up", "bye"]);
}

/// C4: a stop command that does not end is ended with its worker, and one that needs longer than the worker is not.
#[test]
#[serial]
fn a_stop_command_ends_with_its_worker() {
    let mut up = Up::start(
        "[worker.web]\ncommand = [\"sleep\", \"1000\"]\nstop = { command = [\"sh\", \"-c\", \"echo hung: $$$$ >&2; exec sleep 1000\"], grace = \"100ms\" }\n[worker.db]\ncommand = [\"sleep\", \"1000\"]\nstop.command = [\"sh\", \"-c\", \"kill $$MAINPID; while kill -0 $$MAINPID; do :; done; echo db: swept >&2\"]\n",
    );
    up.ready("web");
    let stopped = up.must(&["stop", "web", "db"]);
    assert_eq!(stopped, "stopped web\nstopped db\n");
    let hung = up.heard().iter().find_map(|line| line.strip_prefix("hung: ")?.parse().ok()).unwrap();
    assert!(!is_there(hung));
    assert!(up.heard().iter().any(|line| line == "db: swept"), "{:?}", up.heard());
    up.down();
}

/// C14: whoever waits for a stop is told when somebody else has started the worker again; it would wait for ever.
#[test]
#[serial]
fn a_stop_that_is_taken_back_is_answered() {
    let mut up = Up::start(
        "[worker.web]\nshell = \"trap '' TERM; echo deaf; while :; do sleep 1000; done\"\nready = { line = \"deaf\" }\nstop.grace = \"200ms\"\n",
    );
    up.ready("web");
    let path = up.folder.join("quell.toml");
    let stop = start(quell().args(["stop", "web", "-c"]).arg(path));
    up.until("web: told to stop");
    assert!(up.must(&["start", "web"]).starts_with("started web"));
    let done = stop.done();
    assert_eq!((done.code(), done.text()), (1, ""));
    assert!(done.stderr.contains("somebody has started web"), "{done:?}");
    up.signal(Signal::SIGTERM);
    up.until("going down");
    up.signal(Signal::SIGTERM);
    up.end();
}
