//! How quell ends: by a signal, by an essential worker, at once.

use super::Up;
use nix::sys::signal::Signal;
use serial_test::serial;

#[test]
#[serial]
fn an_essential_worker_ends_all_with_its_code() {
    let mut up = Up::start(
        "[worker.db]\ncommand = [\"sleep\", \"1000\"]\n[worker.job]\nshell = \"exit 3\"\nneeds = [\"db\"]\nessential = true\n",
    );
    assert_eq!(up.end().code(), Some(3));
    let heard = up.heard().join("\n");
    assert!(heard.contains("job: exited 3 after"), "{heard}");
    assert!(heard.contains("db: stopped (SIGTERM)"), "{heard}");
}

#[test]
#[serial]
fn what_needs_others_starts_after_them_and_stops_before() {
    let worker =
        |name: &str, needs: &str| format!("[worker.{name}]\ncommand = [\"sleep\", \"1000\"]\nneeds = [{needs}]\n");
    let mut up = Up::start(&[worker("web", "\"app\""), worker("app", "\"db\""), worker("db", "")].concat());
    up.ready("web");
    up.down();
    let order = |what: &str| -> Vec<String> {
        let lines = up.heard.iter().filter(|line| line.contains(what));
        lines.map(|line| line.split(": ").nth(1).unwrap().to_owned()).collect()
    };
    assert_eq!(order(": started, pid"), ["db", "app", "web"]);
    assert_eq!(order(": stopped (SIGTERM)"), ["web", "app", "db"]);
}

#[test]
#[serial]
fn a_second_signal_does_not_wait() {
    let mut up = Up::start(
        "[worker.deaf]\nshell = \"trap '' TERM; echo deaf; while :; do sleep 1000; done\"\nready = { line = \"deaf\" }\nstop.grace = \"80s\"\n",
    );
    up.ready("deaf");
    up.signal(Signal::SIGTERM);
    up.until("deaf: told to stop");
    up.signal(Signal::SIGINT);
    assert_eq!(up.end().code(), Some(0));
}

/// Whoever asks for the stop of one is told whom that has stopped with it.
#[test]
#[serial]
fn a_stop_names_those_that_it_takes_along() {
    let worker =
        |name: &str, needs: &str| format!("[worker.{name}]\ncommand = [\"sleep\", \"1000\"]\nneeds = [{needs}]\n");
    let mut up = Up::start(
        &[worker("db", ""), worker("web", "\"db\""), worker("mail", "\"web\""), worker("alone", "")].concat(),
    );
    up.ready("mail");
    let said = "stopped db\nstopped web, which needs db\nstopped mail, which needs web\n";
    assert_eq!(up.must(&["stop", "db"]), said);
    up.down();
}
