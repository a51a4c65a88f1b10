//! What needs strace, valgrind, root or a real server. A missing need fails here; nothing is skipped.

use crate::harness::{Folder, Ledger, contents, feed, finish, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use quell::sys::fd::{self, Interest};
use quell::sys::time;
use serial_test::serial;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::Duration;

const QUELL: &str = env!("CARGO_BIN_EXE_quell");

/// At its end quell has closed all that it opened.
#[test]
#[serial]
fn every_descriptor_is_closed() {
    let folder = Folder::new();
    let log = folder.join("log");
    let log = log.to_str().unwrap();
    // Not `run`: this valgrind knows no pidfd_open(2). See `descriptors::run_closes_what_it_opened`.
    let verbs: [&[&str]; 2] =
        [&["filter", "-e", "beat"], &["log", "--tee", "--rotate", "4KiB", "--compress", "none", log]];
    let input = b"some line\nbeat\npanicked at x\n".repeat(400);
    for verb in verbs {
        let mut command = Command::new("valgrind");
        command.args(["--track-fds=yes", "--error-exitcode=99", "--trace-children=no", QUELL]).args(verb);
        let done = feed(&mut command, &input);
        assert_eq!(done.code(), 0, "{verb:?}: {}", done.stderr);
        assert!(done.stderr.contains("FILE DESCRIPTORS: "), "{verb:?}: {}", done.stderr);
        let lines: Vec<_> = done.stderr.lines().collect();
        for pair in lines.windows(2).filter(|pair| pair[0].contains("Open file descriptor")) {
            assert!(pair[1].contains("<inherited from parent>"), "{verb:?}: {}", done.stderr);
        }
    }
}

/// Between the start of the command and its end, quell makes no system call.
#[test]
#[serial]
fn an_idle_quell_makes_no_system_call() {
    let folder = Folder::new();
    let trace = folder.join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-ttt", "-o"]).arg(&trace).args([QUELL, "run", "--", "sleep", "5"]);
    assert_eq!(finish(&mut command).code(), 0);
    let trace = std::fs::read_to_string(trace).unwrap();
    let calls: Vec<(f64, &str)> = trace
        .lines()
        .map(|line| {
            let at = line.split_whitespace().nth(1).unwrap();
            (at.parse().unwrap(), line)
        })
        .collect();
    let slept = calls.iter().position(|(_, line)| line.contains("nanosleep(")).unwrap();
    let woke = calls.iter().position(|(_, line)| line.contains("exited with 0")).unwrap();
    let (from, to) = (calls[slept].0 + 1.0, calls[woke].0 - 1.0);
    assert!(to - from > 2.0);
    let between: Vec<_> = calls.iter().filter(|(at, _)| (from..to).contains(at)).collect();
    assert!(between.is_empty(), "{between:#?}");
}

/// The same holds of `quell up` with queues, and with triggers of each sort; of threads that wait for files, and of those that
/// store tasks, too.
#[test]
#[serial]
fn an_idle_supervisor_with_triggers_makes_no_system_call() {
    let folder = Folder::new();
    let trace = folder.join("trace");
    let path = folder.path().display();
    let queues: String = (0..10).map(|n| format!("[queue.q{n}]\n")).collect();
    let takers = (0..10).map(|n| {
        format!(
            "[worker.t{n}]\ncommand = [\"true\"]\nstart_on = [{{ queue = \"q{n}\" }}, \
             {{ path = \"{path}/in/{n}-*\", queue = \"q{n}\" }}]\n"
        )
    });
    let waiters = (0..4).map(|n| {
        let more = n + 4;
        format!(
            "[worker.w{n}]\ncommand = [\"true\"]\nstart_on = [{{ path = \"{path}/missing/{n}/*\" }}, {{ line = \"text {n}\" }}, \
             {{ schedule = \"0 0 1 1 *\" }}, {{ fire = \"it\" }}, {{ signal = \"USR2\" }}, {{ queue = \"q{n}\", event = \"empty\" }}, \
             {{ queue = \"q{more}\", depth = 9 }}, {{ queue = \"q{more}\", batch = 9, every = \"1s\" }}, {{ worker = \"idle\" }}, \
             {{ socket = \"{path}/{n}.sock\", idle_stop = \"1s\" }}]\n"
        )
    });
    let workers: String = takers.chain(waiters).collect();
    let config = format!(
        "quell.state = \"{path}/state\"\nlog.dir = \"{path}/log\"\n{queues}{workers}[worker.idle]\ncommand = [\"sleep\", \"1000\"]\n"
    );
    std::fs::create_dir(folder.join("in")).unwrap();
    folder.write("quell.toml", config);
    let mut command = Command::new("strace");
    command.args(["-f", "-ttt", "-o"]).arg(&trace).args([QUELL, "up", "-c"]).arg(folder.join("quell.toml"));
    let running = crate::harness::start(&mut command);
    let text = || std::fs::read_to_string(&trace).unwrap_or_default();
    wait_until(folder.path(), "the sleep", || text().contains("nanosleep("));
    let seconds = || time::now().wall.0 as f64 / 1e6;
    // The time is what is looked at: nothing is to happen in it.
    let (never, _end) = fd::pipe().unwrap();
    let idle = |span: u64| fd::wait([Some((never.as_fd(), Interest::Read))], Some(Duration::from_secs(span))).unwrap();
    idle(2);
    let from = seconds();
    idle(3);
    let to = seconds();
    let all = text();
    let of = |line: &str| line.split_whitespace().nth(1).and_then(|at| at.parse::<f64>().ok());
    let calls: Vec<_> = all.lines().filter(|line| of(line).is_some_and(|at| (from..to).contains(&at))).collect();
    let quell = finish(Command::new(QUELL).args(["down", "-c"]).arg(folder.join("quell.toml")));
    assert_eq!((quell.code(), running.done().code()), (0, 0));
    assert!(all.contains("inotify_add_watch") && all.contains("timerfd_settime") && calls.is_empty(), "{calls:#?}");
}

fn get(path: &str, agent: &str, port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: {agent}\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

/// A real nginx, its access log on stdout: probes that succeed are dropped and counted, all else is kept.
#[test]
#[serial]
fn nginx_with_its_probes() {
    let folder = Folder::new();
    let port = 18_473;
    let config = format!(
        "daemon off; pid {0}/pid; error_log stderr;\nevents {{}}\nhttp {{ access_log /dev/stdout; server {{\n\
         listen 127.0.0.1:{port}; location /health {{ return 200 ok; }} location /sick {{ return 503; }}\n\
         location / {{ return 200 hi; }} }} }}\n",
        folder.path().display()
    );
    let config = folder.write("nginx.conf", config);
    let log = folder.join("log");
    let mut command = Command::new(QUELL);
    command.args(["run", "--log"]).arg(&log).args(["-l", "k8s-probes", "--", "nginx", "-c"]).arg(&config);
    let running = crate::harness::start(&mut command);
    wait_until(folder.path(), "nginx", || folder.join("pid").exists());
    for _ in 0..50 {
        assert!(get("/health", "kube-probe/1.29", port).contains("200 OK"));
    }
    assert!(get("/sick", "kube-probe/1.29", port).contains("503"));
    assert!(get("/shop", "curl/8", port).contains("hi"));
    kill(Pid::from_raw(running.pid()), Signal::SIGQUIT).unwrap();
    assert_eq!(running.done().code(), 0);
    let text = String::from_utf8(contents(&log)).unwrap();
    assert!(text.contains("GET /sick") && text.contains("GET /shop") && !text.contains("GET /health"), "{text}");
    assert_eq!(Ledger::of(&log).lines("suppressed"), 50);
}
