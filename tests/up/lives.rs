//! Workers live, die and are started again.

use super::{Up, is_there};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serial_test::serial;

#[test]
#[serial]
fn a_killed_worker_comes_back() {
    let mut up = Up::start("[worker.web]\nshell = \"echo up; exec sleep 1000\"\nbackoff = { first = \"10ms\" }\n");
    up.ready("web");
    let first = up.pid_of("web");
    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    up.until("web: killed by SIGKILL");
    up.ready("web");
    let status = up.status("web");
    assert_ne!(status["pid"], first);
    assert_eq!(status["restarts"], 1);
    assert_eq!(status["last_exit"]["signal"], "SIGKILL");
    up.down();
    assert_eq!(up.printed("web"), ["up", "up"]);
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

/// C7, under up: why a worker does not start is said, and the others do.
#[test]
#[serial]
fn a_worker_that_cannot_be_started() {
    let mut up = Up::start(
        "[worker.bad]\ncommand = [\"/nonexistent/x\"]\nrestart = \"never\"\n[worker.good]\ncommand = [\"sleep\", \"1000\"]\n",
    );
    up.until("bad: cannot execute /nonexistent/x");
    up.ready("good");
    assert_eq!(up.status("bad")["state"], "failed");
    let started = up.ask(&["start", "bad"]);
    assert_eq!(started.code(), 1);
    assert!(started.stderr.contains("cannot execute /nonexistent/x"), "{started:?}");
    up.down();
}
