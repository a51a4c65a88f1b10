//! Workers live, die and are started again.

use super::{Up, configure};
use crate::harness::Folder;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serial_test::serial;

#[test]
#[serial]
fn a_killed_worker_comes_back() {
    let mut up = Up::start(
        "[worker.web]\nshell = \"echo up; exec sleep 1000\"\nready = { line = \"up\" }\nbackoff.first = \"10ms\"\n",
    );
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

/// C9, C13: what fails again and again while its log cannot be written is not started for ever, for each life holds two pipes;
/// it is when what some lives have printed is written, and nothing of that is lost.
#[test]
#[serial]
fn lives_whose_output_waits_are_few() {
    let folder = Folder::new();
    std::fs::create_dir(folder.join("log")).unwrap();
    let obstacle = folder.write("log/web", "no folder");
    let web = "[worker.web]\nshell = \"echo no; exit 1\"\nbackoff = { first = \"0s\", max = \"0s\" }\n";
    let path = configure(&folder, web);
    let mut up = Up::of(folder, path);
    let said = up.until("web: waits for ");
    assert!(said.contains(&format!("{}: what its last 4 lives have printed", obstacle.display())), "{said}");
    let status = up.status("web");
    assert_eq!((&status["state"], &status["restarts"]), (&"waiting".into(), &3.into()), "{status}");
    assert!(status["why"].as_str().unwrap().contains("log/web"), "{status}");
    std::fs::remove_file(obstacle).unwrap();
    up.until("web: started");
    up.must(&["stop", "web"]);
    let lives = up.status("web")["restarts"].as_u64().unwrap() as usize + 1;
    up.down();
    let printed = up.printed("web");
    // The last one may have been stopped before it came to it.
    assert!(
        printed.iter().all(|line| line == "no") && [lives - 1, lives].contains(&printed.len()),
        "{lives}: {printed:?}"
    );
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

/// C13: where nothing is waited for between starts, one that fails still leaves time for everything else.
#[test]
#[serial]
fn a_start_that_fails_is_not_all_that_is_done() {
    let mut up = Up::start("[worker.bad]\ncommand = [\"/nonexistent/x\"]\nbackoff.first = \"0s\"\n");
    up.until("bad: cannot execute /nonexistent/x");
    assert_eq!(up.status("bad")["state"], "backoff");
    up.down();
}

/// C13: what fails again and again is given up when its configuration says so, and can be started again.
#[test]
#[serial]
fn a_worker_that_fails_too_often_is_given_up() {
    let mut up = Up::start(
        "[worker.web]\nshell = \"echo no; exit 1\"\nbackoff = { first = \"1ms\", max = \"2ms\", give_up = 3 }\n",
    );
    up.until("web: given up after 3 tries");
    let status = up.status("web");
    assert_eq!((&status["state"], &status["restarts"]), (&"failed".into(), &2.into()), "{status}");
    // What it printed is read by another thread than the one that sees it end.
    while up.status("web")["last_exit"]["last_line"] != "no" {
        std::thread::yield_now();
    }
    up.ask(&["start", "web"]);
    up.until("web: exited 1");
    up.until("web: given up after 3 tries");
    up.down();
    assert_eq!(up.printed("web"), ["no"; 6]);
}

#[test]
#[serial]
fn codes_that_are_no_failure() {
    let worker = |name: &str, code: u8| {
        format!("[worker.{name}]\nshell = \"exit {code}\"\nsuccess_codes = [0, 3]\nbackoff.give_up = 1\n")
    };
    let mut up = Up::start(&[worker("three", 3), worker("four", 4)].concat());
    up.until("all workers are up, done, or given up");
    assert_eq!(up.status("three")["state"], "done");
    assert_eq!(up.status("four")["state"], "failed");
    up.down();
}

#[test]
#[serial]
fn what_needs_a_failed_worker_waits_for_it() {
    let folder = Folder::new();
    let ok = folder.join("ok").display().to_string();
    let workers = format!(
        "[worker.db]\nshell = \"test -e {ok} || exit 1; echo ok; exec sleep 1000\"\nready = {{ line = \"ok\" }}\nrestart = \"never\"\n\
         [worker.web]\ncommand = [\"sleep\", \"1000\"]\nneeds = [\"db\"]\n"
    );
    let path = configure(&folder, &workers);
    let mut up = Up::of(folder, path);
    up.until("db: failed");
    let web = up.status("web");
    assert_eq!((&web["state"], &web["why"]), (&"waiting".into(), &"waits for db".into()), "{web}");
    up.folder.write("ok", "");
    up.must(&["start", "db"]);
    up.ready("web");
    up.down();
}

#[test]
#[serial]
fn instances_are_workers_of_their_own() {
    let mut up = Up::start(
        "[worker.web]\nshell = \"echo I am {n}; exec sleep 1000\"\nready = { line = \"I am\" }\ninstances = 2\n",
    );
    up.until("all workers are up");
    let both = up.must(&["status", "--json", "web"]);
    let both: serde_json::Value = serde_json::from_str(&both).unwrap();
    let names: Vec<_> = both["workers"].as_array().unwrap().iter().map(|worker| &worker["name"]).collect();
    assert_eq!(names, ["web.1", "web.2"]);
    let second = up.pid_of("web.2");
    up.must(&["stop", "web.1"]);
    assert_eq!(up.ask(&["status", "web.1"]).code(), 3);
    assert_eq!(up.ask(&["status", "web.2"]).code(), 0);
    assert_eq!(up.ask(&["status", "web.3"]).code(), 4);
    up.must(&["start", "web"]);
    assert_eq!(up.status("web.1")["state"], "up");
    assert_eq!(up.pid_of("web.2"), second);
    up.down();
    assert_eq!((up.printed("web.1"), up.printed("web.2")), (vec!["I am 1".into(); 2], vec!["I am 2".into()]));
}

/// Who does not run keeps nobody from a signal that is meant for all of them, and is named.
#[test]
#[serial]
fn a_signal_is_for_all_that_run() {
    let asked = "trap 'echo asked' USR1; echo here; while :; do sleep 1000 & wait; done";
    let mut up = Up::start(&format!(
        "[worker.down]\ncommand = [\"sleep\", \"1000\"]\n[worker.web]\nshell = \"{asked}\"\nready = {{ line = \"here\" }}\n"
    ));
    up.until("all workers are up");
    up.must(&["stop", "down"]);
    let nobody = up.ask(&["signal", "KILL", "web", "nobody"]);
    assert_eq!((nobody.code(), nobody.text()), (1, ""));
    let some = up.ask(&["signal", "USR1", "down", "web"]);
    let sent = format!("sent SIGUSR1 to web (pid {})\n", up.pid_of("web"));
    assert_eq!((some.code(), some.text()), (1, sent.as_str()));
    assert!(some.stderr.contains("down is not running"), "{some:?}");
    up.until_logged("web", "asked");
    up.down();
}

#[test]
#[serial]
fn who_is_named_twice_is_meant_once() {
    let mut up = Up::start(
        "[worker.a]\ncommand = [\"/nonexistent/x\"]\nbackoff.first = \"1m\"\nbackoff.max = \"1m\"\n[worker.b]\ncommand = [\"sleep\", \"1000\"]\n",
    );
    up.ready("b");
    assert_eq!(up.must(&["restart", "--no-wait", "a", "b", "a"]), "starting a\nstarting b\n");
    assert_eq!(up.status("a")["restarts"], 1);
    up.down();
}
