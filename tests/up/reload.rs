//! Another configuration: only what changed is touched.

use super::{Up, configure};
use crate::harness::Folder;
use nix::sys::signal::Signal;
use serial_test::serial;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

fn worker(name: &str, seconds: u32) -> String {
    format!("[worker.{name}]\ncommand = [\"sleep\", \"{seconds}\"]\n")
}

#[test]
#[serial]
fn only_what_changed_restarts() {
    let mut up = Up::start(&[worker("a", 1000), worker("b", 1000), worker("c", 1000)].concat());
    ["a", "b", "c"].into_iter().for_each(|name| up.ready(name));
    let (a, b) = (up.pid_of("a"), up.pid_of("b"));
    configure(&up.folder, &[worker("a", 1000), worker("b", 1001), worker("d", 1000)].concat());
    let plan = up.must(&["reload", "--dry-run"]);
    for line in ["- stop c", "~ restart b: command changed", "+ start d"] {
        assert!(plan.contains(line), "{plan}");
    }
    assert_eq!(up.pid_of("b"), b, "a dry run changes nothing");
    up.must(&["reload"]);
    assert_eq!(up.pid_of("a"), a);
    assert_ne!(up.pid_of("b"), b);
    assert_eq!(up.status("d")["state"], "up");
    assert_eq!(up.ask(&["status", "c"]).code(), 4);
    up.down();
}

/// F1: with any mistake all stays as it was.
#[test]
#[serial]
fn a_mistake_changes_nothing() {
    let mut up = Up::start(&worker("a", 1000));
    up.ready("a");
    let a = up.pid_of("a");
    configure(&up.folder, "[worker.a]\ncommand = [\"sleep\", \"1001\"]\nrestrat = \"always\"\n");
    let refused = up.ask(&["reload"]);
    assert_eq!(refused.code(), 1);
    assert!(refused.stderr.contains("restrat") && refused.stderr.contains("quell.toml:"), "{refused:?}");
    assert_eq!(up.pid_of("a"), a);
    up.down();
}

/// What failed is tried at once when its table was mended; what somebody stopped stays down.
#[test]
#[serial]
fn what_was_mended_is_tried_again() {
    let failing = "[worker.a]\nshell = \"exit 1\"\nrestart = \"never\"\n";
    let mut up = Up::start(&[failing.to_owned(), worker("b", 1000)].concat());
    up.until("a: failed");
    up.must(&["stop", "b"]);
    configure(&up.folder, &["[worker.a]\nshell = \"exec sleep 1000\"\n".to_owned(), worker("b", 1001)].concat());
    let done = up.must(&["reload"]);
    assert!(done.contains("started a (pid "), "{done}");
    assert_eq!(up.status("b")["state"], "down");
    up.down();
}

/// C14: a worker that may start at last, by the same reload that gives it another command, which cannot be executed.
#[test]
#[serial]
fn a_start_that_fails_is_overtaken_by_a_restart() {
    let need = "[worker.db]\ncommand = [\"sleep\", \"1000\"]\nready = \"notify\"\n";
    let mut up = Up::start(&format!("{need}[worker.web]\ncommand = [\"sleep\", \"1000\"]\nneeds = [\"db\"]\n"));
    up.until("db: started");
    configure(&up.folder, &format!("{need}[worker.web]\ncommand = [\"/nonexistent/x\"]\n"));
    up.must(&["reload", "--no-wait"]);
    up.until("web: cannot execute /nonexistent/x");
    assert_eq!(up.status("web")["state"], "backoff");
    up.down();
}

/// A reload that mends a worker that was given up starts it.
#[test]
#[serial]
fn what_failed_is_started_by_what_mends_it() {
    let done = "[worker.done]\nkind = \"oneshot\"\ncommand = [\"true\"]\n";
    let mut up = Up::start(&format!("[worker.web]\ncommand = [\"false\"]\nbackoff.give_up = 1\n{done}"));
    up.until("all workers are up, done, or given up");
    configure(&up.folder, &(worker("web", 1000) + done));
    assert!(up.must(&["reload"]).contains("started web"));
    assert_eq!(up.status("web")["state"], "up");
    assert_eq!(up.status("done")["state"], "done");
    up.down();
}

#[test]
#[serial]
fn nothing_is_reloaded_on_the_way_down() {
    let held = "[worker.web]\nshell = \"trap '' TERM; echo deaf; while :; do sleep 1000; done\"\nready = { line = \"deaf\" }\nneeds = [\"db\"]\n";
    let mut up = Up::start(&(worker("db", 1000) + held));
    up.ready("web");
    up.signal(Signal::SIGTERM);
    up.until("web: told to stop");
    configure(&up.folder, &(worker("db", 1001) + held));
    up.signal(Signal::SIGHUP);
    up.until("not reloaded, what was in force stays: quell is going down");
    up.signal(Signal::SIGTERM);
    assert!(up.end().success());
    assert_eq!(up.heard().iter().filter(|line| line.contains("db: started")).count(), 1);
}

/// A log folder that cannot be used is a mistake as any other: nothing changes.
#[test]
#[serial]
fn a_log_folder_that_cannot_be_used_changes_nothing() {
    let mut up = Up::start(&worker("a", 1000));
    up.ready("a");
    let a = up.pid_of("a");
    up.folder.write("file", "");
    let own = format!("[worker.a.log]\ndir = \"{}\"\n", up.folder.join("file/log").display());
    configure(&up.folder, &(worker("a", 1000) + &own));
    let refused = up.ask(&["reload"]);
    assert_eq!(refused.code(), 1);
    assert!(refused.stderr.contains("cannot log to"), "{refused:?}");
    assert_eq!(up.pid_of("a"), a);
    up.down();
}

/// What is removed is stopped by the command beside the file that named it, though another file has that one's place by then.
#[test]
#[serial]
fn what_is_removed_keeps_its_folder() {
    let folder = Folder::new();
    for name in ["a", "b"] {
        std::fs::create_dir(folder.join(name)).unwrap();
        let stop = format!("#!/bin/sh\necho the stop of {name} >&2\nkill $MAINPID\n");
        let stop = folder.write(&format!("{name}/stop"), stop);
        std::fs::set_permissions(stop, Permissions::from_mode(0o755)).unwrap();
        folder.write(&format!("{name}/{name}.toml"), worker(name, 1000) + "stop.command = [\"./stop\"]\n");
    }
    let path = configure(&folder, "include = [\"a/*.toml\", \"b/*.toml\"]\n");
    let mut up = Up::of(folder, path);
    up.until("all workers are up");
    configure(&up.folder, "include = [\"b/*.toml\"]\n");
    up.must(&["reload"]);
    up.until("the stop of a");
    up.must(&["down"]);
    up.until("the stop of b");
    up.end();
}
