//! Another configuration: only what changed is touched.

use super::{Up, configure};
use serial_test::serial;

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
