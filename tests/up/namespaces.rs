//! In namespaces of its own: as PID 1, and where there is no `/proc`.

use super::{Up, Watched, children, configure, processes, until};
use crate::harness::{Folder, finish};
use nix::sys::signal::Signal;
use serial_test::serial;
use std::process::Command;

/// quell is PID 1 of what these words are put before.
const PID_ONE: [&str; 5] = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];

fn start(words: &[&str], workers: &str) -> Up {
    let folder = Folder::new();
    configure(&folder, workers);
    Up::below(words, folder)
}

/// C15, D7: as PID 1 it reaps whatever is handed to it, takes the signals that the kernel would pass over, and ends with
/// what is right.
#[test]
#[serial]
fn as_pid_one() {
    let orphans = "n=0; while [ $n -lt 50 ]; do (env -i setsid true &); n=$((n+1)); done; echo all; exec sleep 1000";
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let mut up = start(
            &PID_ONE,
            &format!(
                "[worker.web]\nshell = \"{orphans}\"\nready = {{ line = \"all\" }}\nrestart = \"always\"\nbackoff.first = \"1ms\"\n"
            ),
        );
        assert!(up.until("quell: up, pid").ends_with("pid 1"), "{:?}", up.heard);
        up.ready("web");
        let quell = up.pid();
        until("all orphans are reaped", || children(quell).len() == 1);
        let web = Watched::new(children(quell)[0].pid);
        web.kill();
        up.until("web: killed by SIGKILL");
        up.ready("web");
        // What would end anybody else, and means nothing here, or no end.
        for harmless in [Signal::SIGUSR2, Signal::SIGPWR, Signal::SIGPIPE, Signal::SIGHUP] {
            up.signal(harmless);
        }
        up.until("quell: reloaded");
        assert_eq!(up.ask(&["status", "web"]).code(), 0);
        up.signal(signal);
        assert_eq!(up.end().code(), Some(0), "{:#?}", up.heard);
        assert!(up.heard.iter().any(|line| line.contains("web: stopped (SIGTERM)")), "{:#?}", up.heard);
    }
}

/// D7: the code of an essential worker is that of the container.
#[test]
#[serial]
fn as_pid_one_with_an_essential_worker() {
    let mut up = start(&PID_ONE, "[worker.job]\nshell = \"exit 7\"\nessential = true\n");
    assert_eq!(up.end().code(), Some(7));
}

/// C6: a worker that is gone is not signalled by its number, which another process has by now.
#[test]
#[serial]
fn a_number_that_was_given_to_another() {
    let folder = Folder::new();
    let want = folder.join("want").display().to_string();
    // Whoever is started next gets the number that this one is told.
    let set = format!("echo $(($(cat {want}) - 1)) >/proc/sys/kernel/ns_last_pid");
    configure(
        &folder,
        &format!(
            "[worker.gone]\nshell = \"exit 1\"\nrestart = \"never\"\n[worker.set]\nshell = \"{set}\"\nkind = \"oneshot\"\nstart_on = [{{ fire = \"x\" }}]\n\
             [worker.heir]\ncommand = [\"sleep\", \"1000\"]\nstart_on = [{{ fire = \"x\" }}]\n"
        ),
    );
    let mut up = Up::below(&PID_ONE, folder);
    let started = up.until("gone: started, pid ");
    let number = started.rsplit(' ').next().unwrap().to_owned();
    up.until("gone: failed");
    up.folder.write("want", &number);
    up.must(&["start", "set"]);
    up.must(&["start", "heir"]);
    assert_eq!(up.pid_of("heir").to_string(), number);
    assert_ne!(up.ask(&["signal", "TERM", "gone"]).code(), 0);
    up.must(&["stop", "gone"]);
    up.ask(&["restart", "gone"]);
    up.until("gone: failed");
    assert_eq!(up.pid_of("heir").to_string(), number);
    assert_eq!(up.status("heir")["restarts"], 0);
    up.down();
}

/// F13: without `/proc` nobody's children can be told apart; workers and their groups are started, ended and reaped all the
/// same.
#[test]
#[serial]
fn without_proc() {
    let hidden = ["unshare", "--mount", "sh", "-c", "umount -l /proc && exec \"$@\"", "sh"];
    let mut up = start(
        &hidden,
        "[worker.web]\nshell = \"(true &); sleep 1000 & echo group=$!; setsid sleep 1001 & echo escaped=$!; echo all; wait\"\n\
         ready = { line = \"all\" }\nstop.grace = \"200ms\"\nbackoff.first = \"1ms\"\n",
    );
    up.ready("web");
    let quell = up.pid();
    let pid_of = |up: &Up, what: &str| {
        let printed = up.printed("web");
        let mut numbers = printed.iter().filter_map(|line| line.strip_prefix(what)?.parse::<i32>().ok());
        Watched::new(numbers.next_back().unwrap())
    };
    let (group, escaped) = (pid_of(&up, "group="), pid_of(&up, "escaped="));
    let web = Watched::new(up.pid_of("web"));
    web.kill();
    up.until("web: killed by SIGKILL");
    up.ready("web");
    assert_eq!(up.status("web")["restarts"], 1);
    until("no zombie", || !children(quell).iter().any(|child| child.state == "Z"));
    let second = [pid_of(&up, "group="), pid_of(&up, "escaped=")];
    up.must(&["stop", "web"]);
    second[0].ends();
    up.down();
    for left in [group, escaped].iter().chain(&second) {
        left.kill();
    }
}

/// F13: where `/proc` shows everybody their own processes alone, what has escaped is found all the same.
#[test]
#[serial]
fn with_a_proc_that_hides_others() {
    let folder = Folder::new();
    let workers = "[worker.web]\nshell = \"setsid sleep 1001 & echo all; wait\"\nready = { line = \"all\" }\n";
    configure(&folder, workers);
    let done = finish(Command::new("chown").args(["-R", "64321:64321"]).arg(folder.path()));
    assert_eq!(done.code(), 0, "{done:?}");
    let hide =
        "mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid 64321 --regid 64321 --clear-groups \"$@\"";
    let mut up = Up::below(&["unshare", "--mount", "sh", "-c", hide, "sh"], folder);
    up.ready("web");
    until("it has escaped", || processes().iter().any(|seen| seen.name == "sleep" && seen.parent == up.pid_of("web")));
    up.must(&["stop", "web"]);
    assert_eq!(children(up.pid()).len(), 0);
    up.down();
}
