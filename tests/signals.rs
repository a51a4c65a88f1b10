//! Signals: what quell takes, passes on, and leaves as it found it.

use crate::harness::{Folder, archives, contents, finish, quell, read_until, running, wait, wait_until};
use nix::sys::signal::{SigHandler, Signal, kill};
use nix::unistd::Pid;
use serial_test::serial;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A command under quell that says `ready`, and the signals that it gets.
fn listening(args: &[&str]) -> (Child, ChildStdout) {
    const SCRIPT: &str = "for s in INT TERM HUP QUIT USR1 USR2 WINCH CONT ALRM; do trap \"echo got $s\" $s; done
        echo ready; while :; do sleep 4242 & wait; done";
    let mut command = quell();
    command.args(["run"]).args(args).args(["--", "sh", "-c", SCRIPT]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    read_until(&mut stdout, "ready\n");
    (child, stdout)
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

fn end(mut child: Child, stdout: ChildStdout) {
    // KILL cannot be passed on: quell dies, and the command's next word finds nobody.
    child.kill().unwrap();
    wait(&mut child);
    drop(stdout);
    clean_up();
}

/// Ends what the killed leave behind: the script, and what it waits for.
fn clean_up() {
    for pattern in ["for s in INT TERM HUP QUIT USR1 USR2 WINCH CONT ALRM", "sleep 4242"] {
        for pid in running(pattern) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

#[test]
#[serial]
fn signals_sent_to_quell_are_passed_on() {
    let (child, mut stdout) = listening(&[]);
    for signal in ["HUP", "USR1", "USR2", "WINCH", "CONT", "ALRM", "QUIT", "INT", "TERM"] {
        send(&child, format!("SIG{signal}").parse().unwrap());
        read_until(&mut stdout, &format!("got {signal}\n"));
    }
    end(child, stdout);
}

#[test]
#[serial]
fn alarm_rotates_where_there_is_a_log() {
    let folder = Folder::new();
    let (child, stdout) = listening(&["--tee", "--log", folder.path().to_str().unwrap()]);
    send(&child, Signal::SIGALRM);
    wait_until(folder.path(), "an archive", || !archives(folder.path()).is_empty());
    end(child, stdout);
    assert!(!String::from_utf8_lossy(&contents(folder.path())).contains("got ALRM"));
}

#[test]
#[serial]
fn kill_follows_where_grace_is_given() {
    let (mut child, stdout) = listening(&["--grace", "100ms"]);
    send(&child, Signal::SIGTERM);
    assert_eq!(wait(&mut child).signal(), Some(libc::SIGKILL));
    drop(stdout);
    clean_up();
}

#[test]
#[serial]
fn a_suspended_command_is_suspended_with_quell() {
    let mut command = quell();
    command.args(["run", "--", "sh", "-c", "echo ready $$; exec sleep 1000"]).stdout(Stdio::piped()).process_group(0);
    let mut child = command.spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let text = read_until(&mut stdout, "\n");
    let inner: i32 = text.trim_start_matches("ready ").trim().parse().unwrap();
    send(&child, Signal::SIGTSTP);
    let stopped =
        nix::sys::wait::waitpid(Pid::from_raw(child.id() as i32), Some(nix::sys::wait::WaitPidFlag::WUNTRACED));
    assert!(matches!(stopped, Ok(nix::sys::wait::WaitStatus::Stopped(_, Signal::SIGTSTP))), "{stopped:?}");
    let state = |pid: i32| {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().rsplit(") ").next().unwrap()[..1].to_owned()
    };
    assert_eq!(state(inner), "T", "the command stops before quell does");
    send(&child, Signal::SIGCONT);
    send(&child, Signal::SIGTERM);
    assert_eq!(wait(&mut child).signal(), Some(libc::SIGTERM));
}

/// D2, F14: a worker sees 0, 1 and 2, and mask and dispositions as quell's parent had set them.
#[test]
#[serial]
fn a_worker_sees_what_quells_parent_had_set() {
    let extra: Vec<_> = (0..20).map(|_| nix::unistd::dup(std::io::stdin()).unwrap()).collect();
    let worker = |argv: &[&str]| {
        let mut command = quell();
        command.args(["run", "--"]).args(argv);
        // SAFETY: only async-signal-safe calls are made between fork and exec.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(|| {
                let mut mask = nix::sys::signal::SigSet::empty();
                mask.add(Signal::SIGUSR2);
                mask.add(Signal::SIGCHLD);
                mask.thread_set_mask()?;
                nix::sys::signal::signal(Signal::SIGHUP, SigHandler::SigIgn)?;
                nix::sys::signal::signal(Signal::SIGQUIT, SigHandler::SigIgn)?;
                Ok(())
            });
        }
        finish(&mut command)
    };
    // `ls` has the directory itself open, as 3.
    assert_eq!(worker(&["ls", "/proc/self/fd"]).text(), "0\n1\n2\n3\n");
    drop(extra);
    // No shell here: dash clears the mask that it is started with.
    let done = worker(&["grep", "-E", "SigBlk|SigIgn", "/proc/self/status"]);
    let field = |status: &str, name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        u64::from_str_radix(line.split('\t').nth(1).unwrap(), 16).unwrap()
    };
    let bits = |numbers: &[i32]| numbers.iter().map(|n| 1u64 << (n - 1)).sum::<u64>();
    assert_eq!(field(done.text(), "SigBlk"), bits(&[libc::SIGUSR2, libc::SIGCHLD]));
    // What this test was started with counts too; SIGPIPE is default.
    let ours = field(&std::fs::read_to_string("/proc/self/status").unwrap(), "SigIgn") & !bits(&[libc::SIGPIPE]);
    assert_eq!(field(done.text(), "SigIgn"), ours | bits(&[libc::SIGHUP, libc::SIGQUIT]));
}

#[test]
#[serial]
fn what_was_ignored_at_start_stays_ignored() {
    let script = "trap '' HUP; exec \"$0\" run -- sh -c 'kill -HUP $PPID; kill -HUP $$; echo survived'";
    let done = finish(Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_quell")]));
    assert_eq!((done.code(), done.text()), (0, "survived\n"));
}

/// An interrupt of `filter` shows the ledger, and then kills.
#[test]
#[serial]
fn an_interrupted_filter_still_accounts() {
    let mut command = quell();
    command.args(["filter", "--stats"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    stdin.write_all(b"one\n").unwrap();
    read_until(&mut stdout, "one\n");
    stdin.write_all(b"half").unwrap();
    send(&child, Signal::SIGTERM);
    assert_eq!(wait(&mut child).signal(), Some(libc::SIGTERM));
    read_until(&mut stdout, "half");
    read_until(&mut child.stderr.take().unwrap(), "written               2 lines");
}

/// C11: statuses are not stolen: a command reaps its own children, and quell reaps it alone.
#[test]
#[serial]
fn statuses_are_not_stolen() {
    let script = "for i in 1 2 3 4 5 6 7 8 9; do sh -c \"exit $i\" & wait $!; [ $? = $i ] || echo stolen; done; exit 9";
    let done = finish(quell().args(["run", "--kill-descendants", "--", "sh", "-c", script]));
    assert_eq!((done.code(), done.text()), (9, ""));
}

/// D1: a signal that comes at any moment of the start ends quell, and leaves no command behind.
#[test]
#[serial]
fn a_signal_at_any_moment_of_the_start() {
    for delay in (0..50).map(|tenth| std::time::Duration::from_micros(100 * tenth)) {
        let mut child = quell().args(["run", "--", "sleep", "4243"]).spawn().unwrap();
        let start = std::time::Instant::now();
        while start.elapsed() < delay {
            std::hint::spin_loop();
        }
        send(&child, Signal::SIGTERM);
        assert_eq!(wait(&mut child).signal(), Some(libc::SIGTERM), "after {delay:?}");
        assert_eq!(running("sleep 4243"), [], "after {delay:?}");
    }
}
