//! What `quell status` says, and with which code.

use super::Up;
use serial_test::serial;

#[test]
#[serial]
fn codes_as_scripts_expect_them() {
    let mut up =
        Up::start("[worker.web]\ncommand = [\"sleep\", \"1000\"]\n[worker.db]\ncommand = [\"sleep\", \"1000\"]\n");
    up.ready("web");
    up.ready("db");
    let code = |verb: &[&str]| up.ask(verb).code();
    assert_eq!(code(&["status"]), 0);
    assert_eq!(code(&["status", "web", "db"]), 0);
    assert_eq!(code(&["status", "nobody"]), 4);
    up.must(&["stop", "web"]);
    assert_eq!(code(&["status", "web"]), 3);
    assert_eq!(code(&["status"]), 0);
    up.must(&["start", "web"]);
    assert_eq!(code(&["status", "web"]), 0);
    up.down();
    assert_eq!(up.ask(&["status", "web"]).code(), 3);
}

/// An end that somebody has asked for does not look like a crash, nor a crash as if somebody had asked for it.
#[test]
#[serial]
fn ends_that_were_asked_for() {
    let mut up = Up::start("[worker.web]\ncommand = [\"sleep\", \"1000\"]\nbackoff.first = \"1ms\"\n");
    let check = |up: &mut Up, text: &str, signal: &str, asked: bool| {
        up.until(&format!("web: {text} after "));
        let exit = up.status("web")["last_exit"].clone();
        assert_eq!((&exit["signal"], &exit["asked"]), (&signal.into(), &asked.into()), "{exit}");
        let shown = up.ask(&["status", "web"]);
        assert!(shown.text().contains(&format!("last exit   {text} after ")), "{shown:?}");
    };
    up.ready("web");
    up.must(&["signal", "TERM", "web"]);
    check(&mut up, "stopped (SIGTERM)", "SIGTERM", true);
    up.ready("web");
    up.must(&["restart", "web"]);
    check(&mut up, "stopped (SIGTERM)", "SIGTERM", true);
    super::Watched::new(up.pid_of("web")).kill();
    check(&mut up, "killed by SIGKILL", "SIGKILL", false);
    up.ready("web");
    up.must(&["stop", "web"]);
    check(&mut up, "stopped (SIGTERM)", "SIGTERM", true);
    up.down();
}

#[test]
#[serial]
fn lines_are_counted_by_rule() {
    let mut up = Up::start(
        "[worker.web]\nshell = \"echo one; echo heartbeat ok; echo heartbeat ok; echo ERROR two; echo ready; exec sleep 1000\"\nlists = [\"./beat.list\"]\nready = { line = \"ready\" }\n",
    );
    // A list that is not there is a mistake.
    assert_ne!(up.end().code(), Some(0));
    let folder = crate::harness::Folder::new();
    folder.write("beat.list", "heartbeat ok\n");
    let path = super::configure(
        &folder,
        "[worker.web]\nshell = \"echo one; echo heartbeat ok; echo heartbeat ok; echo ERROR two; echo ready; exec sleep 1000\"\nlists = [\"./beat.list\"]\nready = { line = \"ready\" }\n",
    );
    let mut up = Up::of(folder, path);
    up.ready("web");
    let status = up.status("web");
    let lines = &status["lines"];
    assert_eq!((&lines["in"]["lines"], &lines["kept"]["lines"]), (&5.into(), &3.into()), "{status}");
    assert_eq!(lines["suppressed"]["lines"], 2);
    assert_eq!(lines["top_rule"]["pattern"], "heartbeat ok");
    up.down();
    assert_eq!(up.printed("web"), ["one", "ERROR two", "ready"]);
}
