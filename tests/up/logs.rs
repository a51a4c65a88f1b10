//! What workers print, and the files that it stands in.

use super::{Up, Watched, configure};
use crate::harness::{Folder, archives, wait_until};
use nix::sys::signal::Signal;
use serial_test::serial;

/// A worker that prints a word when it starts, and another whenever it gets USR1.
const BELL: &str = "[worker.bell]\nshell = \"trap 'echo beat' USR1; echo up; while :; do sleep 1000 & wait; done\"\nready = { line = \"up\" }\n";

impl Up {
    fn ring(&self) {
        self.must(&["signal", "USR1", "bell"]);
    }

    fn lines(&self, what: &str) -> u64 {
        self.status("bell")["lines"][what]["lines"].as_u64().unwrap()
    }
}

#[test]
#[serial]
fn a_log_that_is_rotated_goes_on() {
    let mut up = Up::start(BELL);
    up.ready("bell");
    let dir = up.folder.join("log/bell");
    up.until_logged("bell", "up");
    up.must(&["rotate", "bell"]);
    wait_until(&dir, "an archive", || archives(&dir).len() == 1);
    up.ring();
    up.until_logged("bell", "beat");
    // The same by its signal, for all.
    up.signal(Signal::SIGALRM);
    wait_until(&dir, "another archive", || archives(&dir).len() == 2);
    up.down();
    let all = String::from_utf8(crate::harness::contents(&dir)).unwrap();
    assert_eq!(all.matches(" up\n").count() + all.matches(" beat\n").count(), 2, "{all}");
}

#[test]
#[serial]
fn a_log_that_was_moved_away_is_opened_anew() {
    let mut up = Up::start(BELL);
    up.ready("bell");
    let dir = up.folder.join("log/bell");
    for (moved, by_signal) in [("first", false), ("second", true)] {
        up.until_logged("bell", if by_signal { "beat" } else { "up" });
        std::fs::rename(dir.join("current"), up.folder.join(moved)).unwrap();
        match by_signal {
            true => up.signal(Signal::SIGUSR1),
            false => drop(up.must(&["reopen", "bell"])),
        }
        wait_until(&dir, "a new file", || dir.join("current").exists());
        up.ring();
        up.until_logged("bell", "beat");
        assert!(!std::fs::read_to_string(up.folder.join("first")).unwrap().contains("beat"));
    }
    up.down();
}

#[test]
#[serial]
fn other_lists_are_put_in_force_in_place() {
    let folder = Folder::new();
    folder.write("beat.list", "beat\n");
    let path = configure(&folder, BELL);
    let mut up = Up::of(folder, path);
    up.ready("bell");
    let bell = up.pid_of("bell");
    configure(&up.folder, &format!("{BELL}lists = [\"./beat.list\"]\n"));
    let plan = up.must(&["reload"]);
    assert!(plan.contains("= bell") && plan.contains("lists"), "{plan}");
    up.ring();
    super::until("a line is suppressed", || up.lines("suppressed") == 1);
    // And back, as init scripts ask for it.
    configure(&up.folder, BELL);
    up.signal(Signal::SIGHUP);
    up.until("quell: reloaded");
    up.ring();
    up.until_logged("bell", " beat");
    assert_eq!((up.pid_of("bell"), up.lines("kept")), (bell, 2));
    up.down();
    assert_eq!(up.printed("bell"), ["up", "beat"]);
}

/// B6: who has hidden whose he is holds a pipe open: it is read until it falls silent, then given up, and he is named.
#[test]
#[serial]
fn whoever_holds_a_pipe_is_named() {
    let mut up = Up::start(
        "[worker.web]\nshell = \"(env -i setsid /bin/sh -c '/bin/sleep 1000 & echo holder=$!'); exit 0\"\nrestart = \"never\"\n",
    );
    let said = up.until("its output is still held open by sleep (pid ");
    let printed = up.printed("web");
    let holder = Watched::new(printed[0].trim_start_matches("holder=").parse().unwrap());
    let text = format!("its output is still held open by sleep (pid {})", holder.pid());
    assert!(said.contains("web") && said.contains(&text), "{said}");
    super::until("it is an event", || up.must(&["events"]).contains(&text));
    assert_eq!(up.status("web")["state"], "done");
    up.down();
    assert!(!holder.has_ended(), "nobody knows that it was the worker's");
    holder.kill();
}

/// B12, F7: while workers print all they can, requests are answered and workers stopped.
#[test]
#[serial]
fn a_flood_holds_up_no_request() {
    let flood = |name: &str| {
        format!(
            "[worker.{name}]\ncommand = [\"yes\", \"a line of which there are many\"]\nlog.rotate = \"1MiB\"\nlog.retain.routine = \"1d, 4MiB\"\nlog.compress = \"none\"\n"
        )
    };
    let mut up = Up::start(&["a", "b", "c", "d"].map(flood).concat());
    up.until("all workers are up");
    for _ in 0..10 {
        assert_eq!(up.ask(&["status", "a", "b", "c", "d"]).code(), 0);
    }
    let before = up.pid_of("a");
    up.must(&["restart", "a"]);
    assert_ne!(up.pid_of("a"), before);
    up.must(&["stop", "b"]);
    assert_eq!(up.ask(&["status", "b"]).code(), 3);
    up.down();
}
