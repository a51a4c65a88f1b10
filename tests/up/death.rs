//! The supervisor itself dies: what becomes of its workers, and what the next one finds.

use super::{Up, Watched, children, configure, until};
use crate::harness::{Folder, finish, quell, wait_until};
use nix::sys::signal::Signal;
use serial_test::serial;
use std::os::unix::fs::symlink;

const WEB: &str = "[worker.web]\ncommand = [\"sleep\", \"1000\"]\n";

/// Starts it, and kills it when its worker runs.
fn killed(config: &str) -> (Up, Watched) {
    let mut up = Up::start(config);
    up.ready("web");
    let web = Watched::new(up.pid_of("web"));
    up.signal(Signal::SIGKILL);
    assert_eq!(up.end().code(), None);
    (up, web)
}

/// C1, C2: workers die with their supervisor, unless it is to leave them; what else was there is no hindrance to the next.
#[test]
#[serial]
fn workers_die_with_their_supervisor() {
    let (up, web) = killed(WEB);
    web.ends();
    assert_eq!(up.ask(&["status", "web"]).code(), 3);
    // F5: the socket of one that is gone is no hindrance.
    assert!(up.folder.join("state/quell.sock").exists());
    let mut next = up.again();
    next.ready("web");
    assert_eq!(next.ask(&["status", "web"]).code(), 0);
    next.down();
    assert!(!next.heard().iter().any(|line| line.contains("an earlier quell")), "{:#?}", next.heard);
}

/// C1, C6: a worker that was left is named by the next supervisor, and not touched.
#[test]
#[serial]
fn workers_that_were_left_are_named_and_not_touched() {
    let (up, web) = killed(&format!("quell.on_supervisor_death = \"leave\"\n{WEB}"));
    assert!(!web.has_ended());
    let mut next = up.again();
    let said = next.until("an earlier quell left");
    assert!(said.contains(&format!("sleep (pid {}) of worker web", web.pid())), "{said}");
    next.ready("web");
    assert_ne!(next.pid_of("web"), web.pid());
    next.down();
    assert!(!web.has_ended());
    web.kill();
    web.ends();
}

/// C1, C6: who has overwritten its environment, and whoever is in its session, is named by what was written down; by every
/// supervisor that follows.
#[test]
#[serial]
fn workers_without_an_environment_are_named() {
    let web = "shell = \"env -i sleep 1001 & exec env -i sleep 1000\"\n";
    let mut up = Up::start(&format!("quell.on_supervisor_death = \"leave\"\n[worker.web]\n{web}"));
    up.ready("web");
    let main = Watched::new(up.pid_of("web"));
    let hides = |pid: i32| std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| environ.is_empty());
    until("both hide whose they are", || {
        hides(main.pid()) && children(main.pid()).first().is_some_and(|child| hides(child.pid))
    });
    let child = Watched::new(children(main.pid())[0].pid);
    let (state, line) = (up.folder.join("state"), format!("{} ", main.pid()));
    wait_until(&state, "its number", || {
        std::fs::read_to_string(state.join("lives"))
            .is_ok_and(|lives| lives.lines().any(|life| life.starts_with(&line)))
    });
    up.signal(Signal::SIGKILL);
    assert_eq!(up.end().code(), None);
    for _ in 0..2 {
        up = up.again();
        up.until("all workers are up");
        for left in [&main, &child] {
            let text = format!("an earlier quell left sleep (pid {}) of worker web running", left.pid());
            assert!(up.heard.iter().any(|line| line.contains(&text)), "{:#?}", up.heard);
        }
        up.down();
        assert!(!main.has_ended() && !child.has_ended());
    }
    for left in [main, child] {
        left.kill();
        left.ends();
    }
}

#[test]
#[serial]
fn one_supervisor_to_a_state_directory() {
    let mut up = Up::start(WEB);
    up.ready("web");
    let second = finish(quell().args(["up", "-c"]).arg(up.folder.join("quell.toml")));
    assert_eq!(second.code(), 1);
    let holder = format!("is in use by quell (pid {}); `quell status` shows", up.pid());
    assert!(second.stderr.contains(&holder), "{second:?}");
    assert_eq!(up.ask(&["status", "web"]).code(), 0);
    up.down();
}

/// F5: what is no socket is not taken for one, and what it points to is not touched.
#[test]
#[serial]
fn a_link_in_the_place_of_the_socket() {
    let folder = Folder::new();
    let mut command = quell();
    command.args(["up", "-c"]).arg(configure(&folder, WEB));
    let target = folder.write("precious", "precious");
    std::fs::create_dir(folder.join("state")).unwrap();
    symlink(&target, folder.join("state/quell.sock")).unwrap();
    let refused = finish(&mut command);
    assert_eq!(refused.code(), 1, "{refused:?}");
    assert!(refused.stderr.contains("quell.sock"), "{refused:?}");
    assert_eq!(std::fs::read_to_string(target).unwrap(), "precious");
}
