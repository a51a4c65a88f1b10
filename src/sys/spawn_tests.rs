//! Real children that say what they find.

use super::*;
use crate::sys::fd::{self, Interest};
use crate::sys::reap::Exit;
use nix::fcntl::OFlag;
use serial_test::serial;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

fn sh(script: &str) -> Program {
    Program {
        files: vec!["/bin/sh".into()],
        argv: ["sh", "-c", script].map(OsString::from).into(),
        env: vec!["PATH=/usr/bin:/bin".into()],
        pid_variable: None,
        cwd: "/".into(),
        umask: 0o022,
        limits: Vec::new(),
        nice: None,
        oom_score_adj: None,
        no_new_privs: false,
        dies_with_us: false,
    }
}

impl Program {
    fn with<const N: usize>(self, argv: [&str; N]) -> Program {
        Program { argv: argv.map(OsString::from).into(), ..self }
    }
}

/// Starts a program with signals blocked, taken and ignored as a supervisor has them, and with these further descriptors.
fn start_with(program: &Program, further: &[(i32, BorrowedFd<'_>)]) -> (Result<Process, SpawnError>, OwnedFd) {
    let inherited = Inherited::take().unwrap();
    // SAFETY: a valid number and disposition; it is put back below.
    let before = unsafe { libc::signal(libc::SIGUSR2, libc::SIG_IGN) };
    let found = Inherited::take().unwrap();
    let signals = Signals::take(&found, &[libc::SIGTERM, libc::SIGCHLD]).unwrap();
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
    let ends = Ends { stdin: None, stdout: writer.as_fd(), stderr: fd::stderr(), further };
    let lows = Lows::take().unwrap();
    let started = spawn_worker(program, &ends, &found, &signals, lows.as_ref());
    // SAFETY: as above.
    unsafe { libc::signal(libc::SIGUSR2, before) };
    inherited.restore().unwrap();
    (started, reader)
}

fn start(program: &Program) -> (Result<Process, SpawnError>, OwnedFd) {
    start_with(program, &[])
}

fn ended(process: &Process) -> Exit {
    let [ready] = fd::wait([Some((process.as_fd(), Interest::Read))], Some(LIMIT)).unwrap();
    assert!(ready, "{process:?} hangs");
    process.reap().unwrap().unwrap()
}

fn read(reader: &OwnedFd) -> String {
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    while let bytes @ 1.. = fd::read(reader, &mut chunk).unwrap() {
        text.extend_from_slice(&chunk[..bytes]);
    }
    String::from_utf8(text).unwrap()
}

/// What a program prints.
fn says(program: &Program) -> String {
    let (process, reader) = start(program);
    let text = read(&reader);
    assert_eq!(ended(&process.unwrap()), Exit::Code(0));
    text
}

/// A program can know its own number from its environment, as it knows all else (sd_listen_fds(3)).
#[test]
#[serial]
fn a_variable_says_the_programs_own_number() {
    let show = Program { pid_variable: Some("LISTEN_PID"), ..sh("echo $$ $LISTEN_PID; exec env") };
    let said = says(&show);
    let (numbers, rest) = said.split_once('\n').unwrap();
    let (own, told) = numbers.split_once(' ').unwrap();
    assert_eq!(own, told);
    assert!(rest.contains(&format!("LISTEN_PID={own}\n")) && rest.contains("PATH=/usr/bin:/bin\n"), "{rest}");
}

/// D2: no signal is blocked, ignored or caught.
#[test]
#[serial]
fn signals_are_as_for_a_new_process() {
    let text = says(&Program { files: vec!["/bin/cat".into()], ..sh("") }.with(["cat", "/proc/self/status"]));
    let sets = text.lines().filter(|line| ["SigBlk", "SigIgn", "SigCgt"].contains(&&line[..6.min(line.len())]));
    // 32 and 33 are the C library's, which lets nobody change what it found.
    let set = |line: &str| u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap() & !(3 << 31);
    assert_eq!(sets.map(set).collect::<Vec<_>>(), [0; 3], "{text}");
}

/// F14: a worker has 0, 1, 2 and what it was given by number, whatever else is open.
#[test]
#[serial]
fn descriptors_are_those_that_were_given() {
    let (held, _writer) = nix::unistd::pipe2(OFlag::empty()).unwrap();
    let list = sh("for fd in /proc/self/fd/*; do echo \"${fd##*/} $(readlink \"$fd\")\"; done; cat /dev/fd/0");
    let (process, reader) = start(&list);
    let text = read(&reader);
    assert_eq!(ended(&process.unwrap()), Exit::Code(0));
    // What the shell has read the folder by is closed when it is looked at.
    let numbers: Vec<_> = text.lines().filter(|line| !line.ends_with(' ')).map(|line| &line[..1]).collect();
    assert_eq!(numbers, ["0", "1", "2"], "{text}");
    assert!(text.contains("0 /dev/null\n"), "{text}");

    // The number asked for may be that of any of ours.
    for number in 3..40 {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
        let script = format!("echo out; echo ready >/proc/self/fd/{number}");
        let (process, stdout) = start_with(&sh(&script), &[(number, writer.as_fd())]);
        drop(writer);
        assert_eq!((read(&stdout).as_str(), read(&reader).as_str()), ("out\n", "ready\n"), "{number}");
        assert_eq!(ended(&process.unwrap()), Exit::Code(0));
    }
    drop(held);
}

#[test]
#[serial]
fn a_worker_is_what_it_was_told_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    let program = Program {
        env: vec!["PATH=/usr/bin:/bin".into(), "A=1 2".into(), "QUELL_WORKER=a.1".into()],
        cwd: path.clone(),
        umask: 0o027,
        limits: vec![(Resource::Descriptors, Ceiling { soft: 100, hard: 200 }), (Resource::Core, Ceiling::fixed(0))],
        nice: Some(7),
        oom_score_adj: Some(300),
        no_new_privs: true,
        ..sh("pwd; umask; ulimit -Sn; ulimit -Hn; ulimit -c; cat /proc/$$/oom_score_adj; \
              grep NoNewPrivs /proc/$$/status; tr '\\0' '\\n' </proc/$$/environ; nice; cat /proc/$$/stat")
    };
    let (process, reader) = start(&program);
    let text = read(&reader);
    let process = process.unwrap();
    assert_eq!(ended(&process), Exit::Code(0));
    let lines: Vec<_> = text.lines().collect();
    let expected = [path.to_str().unwrap(), "0027", "100", "200", "0", "300", "NoNewPrivs:\t1"];
    assert_eq!(lines[..7], expected);
    assert_eq!(lines[7..10], ["PATH=/usr/bin:/bin", "A=1 2", "QUELL_WORKER=a.1"]);
    assert_eq!(lines[10], "7");
    // Its group and session are its own, and no terminal is its.
    let stat: Vec<_> = lines[11].rsplit_once(')').unwrap().1.split_whitespace().collect();
    let pid = process.pid().to_string();
    assert_eq!((stat[2], stat[3], stat[4]), (pid.as_str(), pid.as_str(), "0"));
}

/// C7: what fails on the way to a worker is told, by the step and its errno, and leaves nothing.
#[test]
#[serial]
fn every_step_that_fails_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    std::fs::write(&script, "echo\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let long = OsString::from("x".repeat(200_000));
    let cases = [
        (Program { cwd: "/no/such".into(), ..sh("") }, Step::Directory, Errno::ENOENT),
        (Program { files: vec!["/no/such".into()], ..sh("") }, Step::Exec, Errno::ENOENT),
        (Program { files: Vec::new(), ..sh("") }, Step::Exec, Errno::ENOENT),
        (Program { files: vec![script], ..sh("") }, Step::Exec, Errno::ENOEXEC),
        (Program { files: vec!["/no/such".into(), "/etc".into()], ..sh("") }, Step::Exec, Errno::EACCES),
        (Program { argv: vec!["sh".into(), long], ..sh("") }, Step::Exec, Errno::E2BIG),
        (Program { argv: vec!["a\0b".into()], ..sh("") }, Step::Exec, Errno::EINVAL),
        (Program { oom_score_adj: Some(5000), ..sh("") }, Step::OomScore, Errno::EINVAL),
        (
            Program { limits: vec![(Resource::Descriptors, Ceiling { soft: 2, hard: 1 })], ..sh("") },
            Step::Limit(Resource::Descriptors),
            Errno::EINVAL,
        ),
    ];
    for (program, step, errno) in cases {
        let (started, reader) = start(&program);
        assert_eq!(started.unwrap_err(), SpawnError { step, errno }, "{step:?}");
        assert_eq!(read(&reader), "");
    }
    let none = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(-1), Some(nix::sys::wait::WaitPidFlag::WNOHANG));
    assert_eq!(none, Err(Errno::ECHILD));
    let error = SpawnError { step: Step::Limit(Resource::Stack), errno: Errno::EPERM };
    assert_eq!(error.to_string(), "cannot set its limit `stack`: Operation not permitted");
}

/// C1, C2: a worker that is to die with its supervisor does, wherever it is killed; one that is not goes on. A supervisor's
/// main thread stays, so that no end of another thread kills anybody.
#[test]
#[serial]
fn a_worker_dies_with_its_supervisor() {
    for dies_with_us in [true, false] {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
        let program = Program { dies_with_us, ..sh("echo $$; exec sleep 1000") };
        // SAFETY: the child does what a supervisor does, on the one thread that it has, and never returns.
        let supervisor = unsafe { libc::fork() };
        assert!(supervisor >= 0);
        if supervisor == 0 {
            let inherited = Inherited::take().unwrap();
            let signals = Signals::take(&inherited, &[libc::SIGCHLD]).unwrap();
            let ends = Ends { stdin: None, stdout: writer.as_fd(), stderr: fd::stderr(), further: &[] };
            let worker = spawn_worker(&program, &ends, &inherited, &signals, None);
            // SAFETY: plain calls; it waits to be killed.
            unsafe {
                if worker.is_err() {
                    libc::_exit(1);
                }
                loop {
                    libc::pause();
                }
            }
        }
        drop(writer);
        let mut bytes = [0; 16];
        let filled = fd::read(&reader, &mut bytes).unwrap();
        let pid: i32 = std::str::from_utf8(&bytes[..filled]).unwrap().trim().parse().unwrap();
        let worker = Process::open(pid).unwrap();
        let supervisor = Process::open(supervisor).unwrap();
        supervisor.signal(libc::SIGKILL).unwrap();
        assert_eq!(ended(&supervisor), Exit::Signal { number: libc::SIGKILL, core: false });
        // It takes no time at all where it comes; where it does not, nothing comes at all.
        let patience = if dies_with_us { LIMIT } else { Duration::from_millis(100) };
        let [gone] = fd::wait([Some((worker.as_fd(), Interest::Read))], Some(patience)).unwrap();
        assert_eq!(gone, dies_with_us);
        worker.signal(libc::SIGKILL).unwrap();
        let [gone] = fd::wait([Some((worker.as_fd(), Interest::Read))], Some(LIMIT)).unwrap();
        assert!(gone);
    }
}

/// What was opened for a spawn is closed after it, whether it came about or not. Other tests open and close some meanwhile,
/// but not so many.
#[test]
#[serial]
fn a_spawn_leaves_no_descriptor() {
    const SPAWNS: usize = 300;
    let count = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = count();
    for program in [sh(":"), Program { cwd: "/no/such".into(), ..sh("") }] {
        for _ in 0..SPAWNS {
            let (started, reader) = start(&program);
            if let Ok(process) = &started {
                ended(process);
            }
            drop(reader);
        }
    }
    assert!(count() < before + SPAWNS / 2);
}
