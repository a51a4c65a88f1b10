//! Descriptors: their flags are left alone, every kind of input works, and none is left open.

use crate::harness::{Folder, Ledger, finish, quell, read_until, start, wait};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use quell::line::Stream;
use quell::line::rules::RuleSet;
use quell::runtime::keeper::Keepers;
use quell::runtime::output::Output;
use quell::runtime::pass::Pass;
use quell::runtime::sorting::{Kept, Sorting};
use quell::runtime::wrap;
use quell::sys::fd::{self, Outlet};
use quell::sys::signal::{Inherited, Signals};
use quell::worker::outcome::Outcome;
use quell::worker::wrapped::Policy;
use serial_test::serial;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

fn is_nonblocking(fd: impl AsFd) -> bool {
    OFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GETFL).unwrap()).contains(OFlag::O_NONBLOCK)
}

/// B9: O_NONBLOCK is never set on an inherited descriptor, by any verb, while it runs or after.
#[test]
#[serial]
fn inherited_descriptors_keep_their_flags() {
    let folder = Folder::new();
    let log = folder.join("log");
    let verbs: [Vec<&str>; 4] = [
        vec!["filter"],
        vec!["log", "--tee", log.to_str().unwrap()],
        vec!["run", "--", "cat"],
        vec!["run", "--tee", "--log", log.to_str().unwrap(), "--", "cat"],
    ];
    for verb in verbs {
        let (stdin, mut feed) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map(|(r, w)| (r, File::from(w))).unwrap();
        let (mut out, stdout) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map(|(r, w)| (File::from(r), w)).unwrap();
        let copies = (stdin.try_clone().unwrap(), stdout.try_clone().unwrap());
        let mut command = quell();
        let mut child = command.args(&verb).stdin(copies.0).stdout(copies.1).spawn().unwrap();
        drop(command);
        feed.write_all(b"x\n").unwrap();
        read_until(&mut out, "x\n");
        assert!(!is_nonblocking(&stdin) && !is_nonblocking(&stdout), "{verb:?} while it runs");
        drop(feed);
        assert!(wait(&mut child).success());
        assert!(!is_nonblocking(&stdin) && !is_nonblocking(&stdout), "{verb:?} when it has ended");
    }
}

/// An input or output that is non-blocking already is waited for.
#[test]
#[serial]
fn nonblocking_descriptors_are_waited_for() {
    let (stdin, mut feed) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map(|(r, w)| (r, File::from(w))).unwrap();
    let (out, stdout) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
    for fd in [&stdin, &stdout] {
        fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    }
    let mut command = quell();
    let mut child = command.arg("filter").stdin(stdin).stdout(stdout).spawn().unwrap();
    drop(command);
    let input = b"some line or other\n".repeat(20_000);
    let expected = input.clone();
    let writer = std::thread::spawn(move || feed.write_all(&input).unwrap());
    let mut got = Vec::new();
    std::io::Read::read_to_end(&mut File::from(out), &mut got).unwrap();
    writer.join().unwrap();
    assert!(got == expected && wait(&mut child).success());
}

/// B10: every kind of standard input and output works.
#[test]
#[serial]
fn every_kind_of_input_and_output() {
    let folder = Folder::new();
    let path = folder.write("in", "line\n");
    let socket = || {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&ours).write_all(b"line\n").unwrap();
        ours.shutdown(std::net::Shutdown::Write).unwrap();
        (ours, OwnedFd::from(theirs))
    };
    let outputs: [fn(&Folder) -> File; 2] = [
        |f| File::create(f.join("out")).unwrap(),
        |f| File::options().append(true).create(true).open(f.join("out2")).unwrap(),
    ];
    for (at, output) in outputs.iter().enumerate() {
        let done = start(quell().arg("filter").stdin(File::open(&path).unwrap())).done();
        assert_eq!(done.text(), "line\n");
        let (_ours, theirs) = socket();
        let mut child = quell().arg("filter").stdin(theirs).stdout(output(&folder)).spawn().unwrap();
        assert!(wait(&mut child).success());
        let name = ["out", "out2"][at];
        assert_eq!(std::fs::read_to_string(folder.join(name)).unwrap(), "line\n");
    }
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut child =
        quell().arg("filter").stdin(File::open(&path).unwrap()).stdout(OwnedFd::from(theirs)).spawn().unwrap();
    read_until(&mut ours, "line\n");
    assert!(wait(&mut child).success());
    assert_eq!(finish(quell().arg("filter").stdin(Stdio::null())).text(), "");
    let done = finish(quell().arg("filter").stdin(File::open(folder.path()).unwrap()));
    assert!(done.code() == 1 && done.stderr.contains("Is a directory"), "{done:?}");
    let mut child = quell()
        .arg("filter")
        .stdin(File::open(&path).unwrap())
        .stdout(File::options().write(true).open("/dev/full").unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(wait(&mut child).code(), Some(1), "a full device is a failure");
}

/// B11: 0, 1 and 2 closed at start are harmless.
#[test]
#[serial]
fn closed_standard_descriptors() {
    let folder = Folder::new();
    let log = folder.join("log");
    for closing in ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"] {
        let script = format!("exec \"$0\" run --log \"$1\" -- sh -c 'echo hi; exit 7' {closing}");
        let done = finish(Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_quell")]).arg(&log));
        assert_eq!(done.code(), 7, "{closing}: {done:?}");
    }
    assert_eq!(Ledger::of(&log).lines("written"), 5);
}

/// C9: with no descriptor to be had, `run` says so and does not spin.
#[test]
#[serial]
fn no_descriptors_left() {
    for limit in 4..24 {
        let script = format!("ulimit -n {limit}; exec \"$0\" run -- true");
        let done = finish(Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_quell")]));
        assert!(done.code() == 0 || done.code() == 125 || done.code() == 127, "{limit}: {done:?}");
        assert!(done.code() == 0 || !done.stderr.is_empty(), "{limit}: it says why");
    }
}

/// Set for the process in which `run` is called without its program around it.
const CENSUS: &str = "QUELL_TEST_CENSUS";

/// `run` closes all that it opened. It is called here in a process that does nothing else: this test, started once more.
#[test]
#[serial]
fn run_closes_what_it_opened() {
    if std::env::var_os(CENSUS).is_none() {
        let mut itself = Command::new(std::env::current_exe().unwrap());
        itself.args(["--exact", "descriptors::run_closes_what_it_opened"]).env(CENSUS, "1");
        let done = finish(&mut itself);
        assert!(done.status.success() && done.text().contains("1 passed"), "{done:?}");
        return;
    }
    let open = || {
        let mut open: Vec<_> = std::fs::read_dir("/proc/self/fd").unwrap().map(|e| e.unwrap().file_name()).collect();
        open.sort();
        open
    };
    let before = open();
    for script in ["echo out; echo err >&2; exit 3", "sleep 100 & exit 3"] {
        assert_eq!(wrapped(script), Outcome::Exited(3));
        assert_eq!(open(), before, "{script}");
    }
}

/// Runs a script as `quell run` does.
fn wrapped(script: &str) -> Outcome {
    let inherited = Inherited::take().unwrap();
    let mut signals = Signals::take(&inherited, &[libc::SIGTERM, libc::SIGCHLD]).unwrap();
    let command = wrap::Command {
        argv: ["sh", "-c", script].map(Into::into).to_vec(),
        policy: Policy { kill_descendants: true, ..Policy::default() },
        drain: std::time::Duration::from_millis(100),
        marks: false,
        label: "sh".into(),
    };
    let pass = |fd| Some(Pass::new(Outlet::new(fd).unwrap(), true));
    let streams = vec![(Stream::Stdout, pass(fd::stdout())), (Stream::Stderr, pass(fd::stderr()))];
    let sorting = Sorting::new(RuleSet::new(Vec::new()).into(), Kept::default());
    let ledger = quell::log::ledger::Ledger::new(&["stdout", "stderr"]);
    let output = Output::new(sorting, streams, ledger, None, 1000);
    wrap::run(&command, output, Keepers::new(), &inherited, &mut signals).unwrap().outcome
}
