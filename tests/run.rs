//! `quell run`: a command goes through quell as if quell were not there.

use crate::harness::{Folder, Ledger, contents, feed, finish, names, quell, read_until, start, wait};
use nix::sys::signal::Signal;
use serial_test::serial;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

fn sh(script: &str) -> Command {
    let mut command = quell();
    command.args(["run", "--", "sh", "-c", script]);
    command
}

/// D8: every exit code comes through.
#[test]
#[serial]
fn all_exit_codes() {
    for code in 0..=255 {
        assert_eq!(finish(&mut sh(&format!("exit {code}"))).code(), code);
    }
}

/// D8: where a signal ended the command, quell dies of it, without a core file.
#[test]
#[serial]
fn fatal_signals() {
    for signal in
        ["HUP", "INT", "QUIT", "ILL", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM"]
    {
        let done = finish(&mut sh(&format!("ulimit -c 0; kill -{signal} $$; sleep 10")));
        let number = done.status.signal().unwrap_or_else(|| panic!("{signal}: {done:?}"));
        assert_eq!(number, Signal::iterator().find(|s| s.as_str() == format!("SIG{signal}")).unwrap() as i32);
        assert!(!done.status.core_dumped());
    }
    let done = finish(&mut sh("kill -40 $$; sleep 10"));
    assert_eq!(done.status.signal(), Some(40), "a real-time signal");
    let done = finish(Command::new("sh").args([
        "-c",
        "\"$0\" run -- sh -c 'kill -TERM $$'; echo $?",
        env!("CARGO_BIN_EXE_quell"),
    ]));
    assert_eq!(done.text(), "143\n");
}

/// C7: a command that cannot be executed says which step failed and why.
#[test]
fn what_cannot_be_executed_says_why() {
    let folder = Folder::new();
    let script = |name: &str, text: &str, mode: u32| {
        let path = folder.write(name, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let cases = [
        ("no-such-program-anywhere".to_owned(), 127, "not found in PATH"),
        ("/no/such/program".to_owned(), 127, "no such file"),
        (script("gone", "#!/no/such/interpreter -x\n", 0o755), 127, "its interpreter /no/such/interpreter does not"),
        (script("crlf", "#!/bin/sh\r\n", 0o755), 127, "ends in CR LF"),
        (script("plain", "echo hi\n", 0o755), 126, "no #! line"),
        (folder.path().to_str().unwrap().to_owned(), 126, "it is a directory"),
    ];
    for (program, code, expected) in cases {
        let done = finish(quell().args(["run", "--", &program]));
        assert_eq!(done.code(), code, "{program}: {done:?}");
        assert!(done.stderr.starts_with("quell: cannot execute ") && done.stderr.contains(expected), "{done:?}");
        assert_eq!(done.text(), "");
    }
    assert_eq!(finish(quell().args(["run"])).code(), 125);
}

#[test]
fn streams_stay_apart_and_lines_stay_whole() {
    let done = finish(&mut sh("echo out; echo err >&2; printf 'no newline'"));
    assert_eq!((done.text(), done.stderr.as_str()), ("out\nno newline", "err\n"));
    let folder = Folder::new();
    folder.write("s.list", "%stream stderr\nchatter\n");
    let list = folder.join("s.list");
    let script = "echo chatter; echo chatter >&2; echo kept >&2";
    let done = finish(quell().args(["run", "-l", list.to_str().unwrap(), "--", "sh", "-c", script]));
    assert_eq!((done.text(), done.stderr.as_str()), ("chatter\n", "kept\n"));
}

#[test]
fn arguments_environment_and_input_are_the_users() {
    let done = finish(quell().args(["run", "printf", "%s|", "a b", "--log", "$HOME", "*", "", "-v"]));
    assert_eq!(done.text(), "a b|--log|$HOME|*||-v|");
    let done = feed(quell().args(["run", "--", "sh", "-c", "cat; echo $X"]).env("X", "y"), b"from stdin\n");
    assert_eq!(done.text(), "from stdin\ny\n");
}

#[test]
fn a_log_has_marks_and_both_streams_and_a_ledger() {
    let folder = Folder::new();
    let dir = folder.join("log");
    let script = "echo one; echo beat; echo two >&2; exit 3";
    let args = ["--stamp", "none", "-e", "beat", "--stats=json", "--", "sh", "-c", script];
    let done = finish(quell().args(["run", "--log"]).arg(&dir).args(args));
    assert_eq!((done.code(), done.text()), (3, ""));
    let text = String::from_utf8(contents(&dir)).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("quell: started pid ") && lines[0].ends_with(" (sh)"), "{text}");
    let mut middle = lines[1..3].to_vec();
    middle.sort_unstable();
    assert_eq!(middle, ["one", "two"]);
    assert!(lines[3].starts_with("quell: exited 3 after ") && lines[3].ends_with("ms (sh)"), "{text}");
    assert!(lines[4].starts_with("quell: suppressed 1 line: -e:1 \"beat\" 1"), "{text}");
    let (shown, stored) = (done.ledger(), Ledger::of(&dir));
    assert_eq!((shown.lines("in"), shown.lines("suppressed")), (3, 1));
    assert_eq!(stored.value()["streams"]["stderr"]["in"]["lines"], 1);

    let args = ["--tee", "--marks", "off", "--name", "web", "--", "echo", "again"];
    let done = finish(quell().args(["run", "--log"]).arg(&dir).args(args));
    assert_eq!(done.text(), "again\n");
    assert!(contents(&dir).ends_with(b"Z again\n"));
    assert_eq!(Ledger::of(&dir).lines("in"), 4);
}

/// C12: a core dump is said in the mark.
#[test]
fn a_signal_is_named_in_the_mark() {
    let folder = Folder::new();
    finish(quell().args(["run", "--log"]).arg(folder.join("l")).args(["--", "sh", "-c", "kill -SEGV $$"]));
    let text = String::from_utf8(contents(&folder.join("l"))).unwrap();
    assert!(text.contains("quell: killed by SIGSEGV"), "{text}");
}

/// B7: a reader who leaves ends the command by SIGPIPE, as it would without quell.
#[test]
fn a_reader_who_leaves_ends_the_command() {
    let mut child = quell().args(["run", "--", "yes"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    read_until(&mut stdout, "y\n");
    drop(stdout);
    assert_eq!(wait(&mut child).signal(), Some(libc::SIGPIPE));
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
    assert_eq!(stderr, "");
}

/// B7: with a log the lines still have somewhere to go.
#[test]
fn a_reader_who_leaves_does_not_end_a_logged_command() {
    let folder = Folder::new();
    let mut command = quell();
    command.args(["run", "--tee", "--stamp", "none", "--marks", "off", "--log"]).arg(folder.path());
    let mut child = command.args(["--", "seq", "200000"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(wait(&mut child).code(), Some(0));
    assert_eq!(contents(folder.path()).iter().filter(|b| **b == b'\n').count(), 200_000);
}

/// B6: a descendant that holds the pipe is waited for as long as it speaks, then let go, and named.
#[test]
#[serial]
fn a_pipe_that_is_held_is_released_and_the_holder_named() {
    let args = ["run", "--drain", "200ms", "--", "sh", "-c", "sleep 1000 & echo $!; exit 5"];
    let done = finish(quell().args(args));
    assert_eq!(done.code(), 5);
    let pid: i32 = done.text().trim().parse().unwrap();
    assert!(done.stderr.contains(&format!("held open by sleep (pid {pid})")), "{done:?}");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// B6: what descendants print after the command's end is read.
#[test]
fn what_a_descendant_prints_after_the_end_is_read() {
    let done = finish(&mut sh("(sleep 0.1; echo late) & exit 0"));
    assert!(done.text().contains("late"), "{done:?}");
}

#[test]
#[serial]
fn descendants_are_stopped_where_that_is_wanted() {
    let script = "trap '' TERM; (sh -c 'trap \"\" TERM; echo stubborn $$; while :; do sleep 100; done' &) ; sleep 100 & echo tame $!; exit 4";
    let mut command = quell();
    command.args(["run", "--kill-descendants", "--grace", "200ms", "--", "sh", "-c", script]);
    let done = finish(&mut command);
    assert_eq!(done.code(), 4, "{done:?}");
    for line in done.text().lines() {
        let pid = line.split(' ').nth(1).unwrap();
        assert!(!std::path::Path::new("/proc").join(pid).exists(), "{line} still lives");
    }
}

#[test]
fn a_failure_of_our_own_is_125() {
    let folder = Folder::new();
    let file = folder.write("file", "");
    let done = finish(quell().args(["run", "--log"]).arg(&file).args(["--", "touch"]).arg(folder.join("made")));
    assert_eq!(done.code(), 125);
    assert_eq!(names(folder.path()), ["file"], "nothing was started");
    let done = finish(quell().args(["run", "-l", "no-such-list", "--", "true"]));
    assert_eq!(done.code(), 125);
}

/// F12: what quell says of itself shows neither arguments nor environment.
#[test]
fn arguments_are_never_shown() {
    let folder = Folder::new();
    let args = ["--kill-descendants", "--", "sh", "-c", "exit 0", "CANARY-secret"];
    let done =
        finish(quell().args(["-vv", "run", "--log"]).arg(folder.path()).args(args).env("TOKEN", "CANARY-secret"));
    assert!(!done.stderr.contains("CANARY") && !String::from_utf8(contents(folder.path())).unwrap().contains("CANARY"));
}

#[test]
fn a_start_is_undone_where_the_command_is_missing() {
    let folder = Folder::new();
    let done = start(quell().args(["run", "--log"]).arg(folder.path()).args(["--", "/no/such"])).done();
    assert_eq!(done.code(), 127);
    assert_eq!(contents(folder.path()), b"");
    assert!(Ledger::of(folder.path()).value().get("unclean").is_none());
}

/// What was read or still stands in the pipes is not given up because its reader is slow, however short the drain window.
#[test]
fn a_slow_reader_gets_all_after_the_commands_end() {
    for log in [false, true] {
        let folder = Folder::new();
        let mut command = quell();
        command.args(["run", "--drain", "1ms"]);
        if log {
            command.args(["--tee", "--log"]).arg(folder.path());
        }
        let mut child = command.args(["--", "seq", "30000"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        // The command has ended, or waits for a pipe that is full: only reading goes on from here.
        let mut got = Vec::new();
        let mut chunk = [0; 512];
        loop {
            match std::io::Read::read(&mut stdout, &mut chunk).unwrap() {
                0 => break,
                bytes => got.extend_from_slice(&chunk[..bytes]),
            }
            std::thread::yield_now();
        }
        assert_eq!(got.iter().filter(|b| **b == b'\n').count(), 30_000);
        assert_eq!(wait(&mut child).code(), Some(0));
    }
}

/// Both streams on one pipe: no line is cut into by another.
#[test]
fn two_streams_on_one_pipe_keep_their_lines_whole() {
    let script = "\"$0\" run -- sh -c 'seq -f \"out %08.0f xxxxxxxxxxxxxxxxxxxxxxxx\" 40000 & \
                  seq -f \"err %08.0f yyyyyyyyyyyyyyyyyyyyyyyy\" 40000 >&2; wait' 2>&1";
    let done = finish(Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_quell")]));
    let lines: Vec<_> = done.text().lines().collect();
    assert_eq!(lines.len(), 80_000);
    assert!(lines.iter().all(|line| line.len() == 37), "{:?}", lines.iter().find(|line| line.len() != 37));
}

/// With nobody reading, a second TERM is not needed: what is left is given up and counted.
#[test]
#[serial]
fn a_stalled_run_ends_when_told() {
    let mut command = quell();
    command.args(["run", "--stats=json", "--", "yes"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    read_until(&mut stdout, "y\n");
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    let mut stderr = child.stderr.take().unwrap();
    // The command has ended by the first; the second says not to wait for the reader.
    loop {
        nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
        let [said] = quell::sys::fd::wait(
            [Some((std::os::fd::AsFd::as_fd(&stderr), quell::sys::fd::Interest::Read))],
            Some(std::time::Duration::from_millis(50)),
        )
        .unwrap();
        if said {
            break;
        }
    }
    let text = read_until(&mut stderr, "}}}\n");
    Ledger::new(text.lines().find(|line| line.starts_with('{')).unwrap());
    assert_eq!(wait(&mut child).signal(), Some(libc::SIGTERM));
}

/// A parent that ignores SIGCHLD does not cost the command its exit code.
#[test]
#[serial]
fn an_ignored_sigchld_loses_no_status() {
    let script = "trap '' CHLD; exec \"$0\" run -- sh -c 'exit 3'";
    let done = finish(Command::new("bash").args(["-c", script, env!("CARGO_BIN_EXE_quell")]));
    assert_eq!(done.code(), 3, "{done:?}");
}

/// What quell's process had as children before it became quell is not the command's, and is left alone.
#[test]
#[serial]
fn children_from_before_are_left_alone() {
    let script = "sleep 1000 > /dev/null 2>&1 & echo $!; exec \"$0\" run --kill-descendants -- true";
    let done = finish(Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_quell")]).stderr(Stdio::null()));
    let pid: i32 = done.text().trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).expect("it still lives");
}

#[test]
fn options_of_a_log_want_a_log() {
    for args in [["--rotate", "16MiB"], ["--retain", "routine=1d"], ["--stamp", "none"]] {
        let done = finish(quell().arg("run").args(args).args(["--", "true"]));
        assert!(done.code() == 125 && done.stderr.contains("add --log DIR"), "{done:?}");
    }
    let done = finish(quell().args(["run", "--", "echo", "hi"]).stdin(Stdio::null()));
    assert_eq!(done.text(), "hi\n");
}

/// B12: a stream that floods keeps no other one waiting.
#[test]
#[serial]
fn a_flood_keeps_no_other_stream_waiting() {
    let mut command = sh("yes flood & read x; echo $x >&2; kill $!");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    read_until(&mut stdout, "flood\nflood");
    let drain = std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()).unwrap());
    child.stdin.take().unwrap().write_all(b"said\n").unwrap();
    read_until(child.stderr.as_mut().unwrap(), "said");
    assert_eq!(wait(&mut child).code(), Some(0));
    assert!(drain.join().unwrap() > 0);
}
