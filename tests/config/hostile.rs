//! Files that are none, readers that are gone, signals, control characters, variables that are not set.

use super::{at, quell_in, says};
use crate::harness::{Folder, feed, finish, start};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

const WORKER: &str = "[worker.w]\ncommand = [\"/bin/true\"]\n";

#[test]
fn a_signal_ends_the_verbs_that_take_none() {
    let folder = Folder::new();
    // It waits for the end of its standard input.
    let mut running = start(quell_in(folder.path()).args(["check", "-c", "/dev/stdin"]).stdin(Stdio::piped()));
    let stdin = running.stdin();
    let status = format!("/proc/{}/status", running.pid());
    crate::harness::wait_until(std::path::Path::new("/proc"), "the mask", || {
        std::fs::read_to_string(&status).unwrap().contains("\nSigBlk:\t0000000000000000\n")
    });
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(running.pid()), nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(running.done().status.signal(), Some(libc::SIGTERM));
    drop(stdin);
}

#[test]
fn only_regular_files_are_read_and_a_pipe_as_the_main_one() {
    let folder = Folder::new();
    nix::unistd::mkfifo(&folder.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (name, why) in [("pipe", "it is not a regular file"), ("/dev/zero", "it is not a regular file")] {
        let done = at(&folder, &["check", "-c", name]);
        assert_eq!((done.code(), &*done.stderr), (2, &*format!("quell: cannot read {name}: {why}\n")));
        let done = at(&folder, &["import", "--format", "procfile", name]);
        assert_eq!((done.code(), &*done.stderr), (2, &*format!("quell: cannot read {name}: {why}\n")));
    }
    let big = std::fs::File::create(folder.join("big.toml")).unwrap();
    big.set_len((16 << 20) + 1).unwrap();
    let done = at(&folder, &["check", "-c", "big.toml"]);
    assert_eq!((done.code(), &*done.stderr), (2, "quell: cannot read big.toml: it has more than 16 MiB\n"));
    folder.write("quell.toml", format!("include = [\"pip*\"]\n{WORKER}lists = [\"./pipe\"]\n"));
    let done = at(&folder, &["check"]);
    let text = done.text();
    assert!(done.code() == 1 && text.contains("cannot read pipe: it is not a regular file"), "{text}");
    assert!(text.contains("/pipe: it is not a regular file"), "{text}");
    let done = feed(quell_in(folder.path()).args(["check", "-c", "/dev/stdin"]), WORKER.as_bytes());
    assert_eq!((done.code(), done.text()), (0, "/dev/stdin: 1 worker and 0 queues, no mistake\n"));
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let folder = Folder::new();
    folder.write("quell.toml", WORKER);
    folder.write("Procfile", "web: true\n");
    let verbs: [&[&str]; 8] = [
        &["schema"],
        &["import", "Procfile"],
        &["init", "-o", "-", "--", "true"],
        &["check"],
        &["explain"],
        &["plan"],
        &["test"],
        &["completions", "bash"],
    ];
    for args in verbs {
        // The harness gives it a pipe, which a shell puts aside.
        let shell = |to: &str| {
            let line = format!("\"$0\" {} {to}", args.join(" "));
            let mut command = quell_in(folder.path());
            let program = command.get_program().to_owned();
            command = std::process::Command::new("/bin/sh");
            super::undisturbed(&mut command, folder.path());
            finish(command.arg("-c").arg(line).arg(program))
        };
        let done = shell("> /dev/full");
        let text = "quell: cannot write to standard output: No space left on device (os error 28)\n";
        assert_eq!((done.code(), &*done.stderr), (1, text), "{args:?}");
    }
    // A reader that has gone is no failure.
    let (reader, writer) = nix::unistd::pipe().unwrap();
    drop(reader);
    let mut command = quell_in(folder.path());
    let status = command.arg("schema").stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn control_characters_are_shown_as_such() {
    let folder = Folder::new();
    folder.write("quell.toml", format!("{WORKER}needs = [\"\\u001b]0;x\\u0007\"]\nlists = [\"./\\u009b2J.list\"]\n"));
    folder.write("b.toml", format!("include = [\"i/*.toml\"]\n{WORKER}"));
    std::fs::create_dir(folder.join("i")).unwrap();
    folder.write("i/\u{1b}[2J.toml", "[worker.v]\ncommand = [\"/bin/true\"]\n");
    for args in [&["check"][..], &["check", "--host"], &["explain", "-c", "b.toml"], &["plan", "-c", "b.toml"]] {
        let done = at(&folder, args);
        let all = format!("{}{}", done.text(), done.stderr);
        assert!(!all.contains(|c: char| c.is_control() && c != '\n'), "{args:?}: {all:?}");
        assert!(all.contains("\\u{1b}"), "{args:?}: {all}");
    }
}

#[test]
fn what_is_not_known_is_not_shown_as_if_it_were() {
    let folder = Folder::new();
    folder.write("quell.toml", "[worker.w]\ncommand = [\"/bin/true\"]\nstop.grace = \"${QUELL_TEST_G}\"\n");
    folder.write("gone.toml", format!("include = [\"conf.d/*.toml\"]\n{WORKER}"));
    assert!(says(&folder, &["check"]).ends_with("no mistake\n"));
    let verbs: [&[&str]; 4] = [&["explain"], &["explain", "line", "x"], &["test"], &["plan"]];
    for args in verbs {
        let done = at(&folder, args);
        let whole = done.stderr.contains("variable `QUELL_TEST_G` is not set") && done.stderr.contains("quell.toml:3:");
        assert!(done.code() == 1 && done.text().is_empty() && whole, "{args:?}: {done:?}");
        let done = at(&folder, &[args, &["-c", "gone.toml"]].concat());
        let whole = done.stderr.contains("0 files match conf.d/*.toml") && done.stderr.contains("gone.toml:1:");
        assert!(done.code() == 1 && done.text().is_empty() && whole, "{args:?}: {done:?}");
    }
}
