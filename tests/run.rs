//! `quell run`: a command goes through quell as if quell were not there.

use crate::harness::{Folder, Ledger, contents, feed, finish, names, quell, read_until, start, wait};
use nix::sys::signal::Signal;
use serial_test::serial;
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
    let done = finish(&mut sh("(read x < /dev/zero; :) & (sleep 0.1; echo late) & exit 0"));
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
