//! The verbs that ask a supervisor, against a server that answers as told.

mod direct;
mod queue;

use crate::harness::{Done, quell, start};
use quell::clock::Wall;
use quell::control::event::{Event, Kind};
use quell::control::reply::{Code, Reply};
use quell::control::request::{Patience, Request};
use quell::control::status::{Lines, Phase, Quell, State, Status, Wanted, Worker};
use quell::runtime::server::Server;
use quell::sys::poller::{Poller, Waker};
use quell::sys::time;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use tempfile::TempDir;

const BASE: usize = 1;
const WAKER: usize = 0;

/// A supervisor that does nothing but answer, in a thread of its own.
struct Supervisor {
    /// Goes with it.
    own: Option<TempDir>,
    folder: PathBuf,
    asked: Receiver<Request>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Supervisor {
    fn new(answer: impl Fn(&Request) -> Vec<Reply> + Send + 'static) -> Supervisor {
        let own = tempfile::tempdir().unwrap();
        let mut supervisor = Supervisor::at(own.path(), answer);
        supervisor.own = Some(own);
        supervisor
    }

    /// One whose socket is in this folder.
    fn at(folder: &Path, answer: impl Fn(&Request) -> Vec<Reply> + Send + 'static) -> Supervisor {
        let mut server = Server::bind(&folder.join("quell.sock")).unwrap();
        let poller = Poller::new().unwrap();
        server.register(&poller, BASE).unwrap();
        let waker = poller.waker(WAKER).unwrap();
        let (sender, asked) = channel();
        let thread = Some(std::thread::spawn(move || serve(server, poller, &sender, &answer)));
        Supervisor { own: None, folder: folder.to_owned(), asked, waker, thread }
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("quell.sock")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = quell();
        command.args(args).env("QUELL_SOCKET", self.socket());
        command
    }

    fn run(&self, args: &[&str]) -> Done {
        start(&mut self.command(args)).done()
    }

    /// What a command line asks for.
    #[track_caller]
    fn asked(&self, line: &str) -> Request {
        let done = self.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((done.code(), done.text()), (0, "so be it\n"), "{done:?}");
        self.asked.try_recv().unwrap()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.waker.wake().unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(mut server: Server, mut poller: Poller, asked: &Sender<Request>, answer: &dyn Fn(&Request) -> Vec<Reply>) {
    loop {
        let timeout = server.has_backlog().then_some(std::time::Duration::ZERO);
        let tokens: Vec<_> = poller.wait(timeout).unwrap().collect();
        if tokens.contains(&WAKER) {
            return server.shutdown(&poller, time::now().tick);
        }
        tokens.into_iter().for_each(|token| server.ready(token));
        let mut arrived = Vec::new();
        server.turn(&poller, time::now().tick, &mut arrived);
        for (client, request) in arrived {
            let replies = answer(&request);
            // Before they go out, so that whoever has one finds it. Or has seen enough.
            let _ = asked.send(request);
            for reply in replies {
                server.reply(&poller, client, &reply, time::now().tick);
            }
        }
    }
}

fn agrees(_: &Request) -> Vec<Reply> {
    vec![Reply::Done { lines: vec!["so be it".into()] }]
}

fn worker(name: &str, state: State) -> Worker {
    Worker {
        name: name.into(),
        state,
        wanted: Wanted::Up,
        held: false,
        since: time::now().wall,
        ready: state == State::Up,
        pid: None,
        restarts: 0,
        why: None,
        next_start_ms: None,
        started_for: None,
        held_back_ms: None,
        last_exit: None,
        memory_bytes: None,
        cpu_ms: None,
        lines: Lines::default(),
        log: None,
        output_age_ms: None,
        stop: None,
    }
}

/// Three workers, one of each sort.
fn tells(request: &Request) -> Vec<Reply> {
    let Request::Status { workers } = request else { return agrees(request) };
    let all = [worker("db", State::Up), worker("web", State::Failed), worker("once", State::Done)];
    if workers.iter().any(|name| name.as_str() == "none") {
        return vec![Reply::failed(Code::NoSuchWorker, "there is no worker none")];
    }
    let meant = |worker: &Worker| workers.is_empty() || workers.iter().any(|name| name.means(&worker.name, None));
    let quell = Quell {
        pid: 1,
        version: "1".into(),
        since: time::now().wall,
        phase: Phase::Running,
        config: "/c".into(),
        state: "/s".into(),
    };
    vec![Reply::Status(Status {
        quell,
        workers: all.into_iter().filter(meant).collect(),
        queues: vec![queue::status().queue],
    })]
}

#[test]
fn what_each_verb_asks() {
    let supervisor = Supervisor::new(agrees);
    let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<_>>();
    let patience = Patience { wait: true, timeout_ms: None };
    let some = Patience { timeout_ms: Some(1500), ..patience };
    let none = Patience { wait: false, ..patience };
    let asked = |line: &str| supervisor.asked(line);
    assert_eq!(asked("start web db"), Request::Start { workers: names(&["web", "db"]), patience });
    assert_eq!(asked("start --all --timeout 1500ms"), Request::Start { workers: vec![], patience: some });
    assert_eq!(asked("stop web.2 --no-wait"), Request::Stop { workers: names(&["web.2"]), patience: none });
    assert_eq!(asked("restart web"), Request::Restart { workers: names(&["web"]), patience });
    let signal = "HUP".parse().unwrap();
    assert_eq!(asked("signal SIGHUP web"), Request::Signal { workers: names(&["web"]), signal });
    assert_eq!(asked("reload --dry-run"), Request::Reload { dry_run: true, patience });
    assert_eq!(asked("rotate"), Request::Rotate { workers: vec![] });
    assert_eq!(asked("reopen web"), Request::Reopen { workers: names(&["web"]) });
    assert_eq!(asked("events -n 3"), Request::Events { follow: false, since: None, last: Some(3), record: false });
    assert_eq!(asked("down --no-wait"), Request::Down { patience: none });
}

#[test]
fn command_lines_that_are_wrong() {
    let supervisor = Supervisor::new(agrees);
    for line in
        ["start", "stop --all web", "signal HUP", "signal 9 web", "start ../x", "down --timeout 5", "stop -- -x/y"]
    {
        let done = supervisor.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((done.code(), done.text()), (2, ""), "{line}: {done:?}");
    }
    assert!(supervisor.asked.try_recv().is_err());
}

#[test]
fn what_was_not_done_is_a_failure() {
    let supervisor = Supervisor::new(|_| {
        let text = "web was not ready within 1s\u{1b}[31m".into();
        vec![Reply::Failed { code: Code::TimedOut, text, done: vec!["started db (pid 7)".into()] }]
    });
    let done = supervisor.run(&["start", "web"]);
    assert_eq!((done.code(), done.text()), (1, "started db (pid 7)\n"));
    assert_eq!(done.stderr, "quell: web was not ready within 1s\\u{1b}[31m\n");
}

#[test]
fn plans_are_shown() {
    let plan = |text: &'static str| {
        let supervisor = Supervisor::new(move |_| vec![Reply::Plan { text: text.into() }]);
        supervisor.run(&["reload", "--dry-run"]).text().to_owned()
    };
    assert_eq!(plan(""), "nothing changes\n");
    assert_eq!(
        plan("+ start web: quell.toml:7\n- stop db: removed\n"),
        "+ start web: quell.toml:7\n- stop db: removed\n"
    );
}

#[test]
fn status_and_its_codes() {
    let supervisor = Supervisor::new(tells);
    let code = |names: &[&str]| supervisor.run(&[&["status"], names].concat()).code();
    assert_eq!([code(&[]), code(&["db"]), code(&["once", "db"])], [0, 0, 0]);
    assert_eq!([code(&["web"]), code(&["db", "web"])], [3, 3]);
    assert_eq!(code(&["none"]), 4);
    let table = supervisor.run(&["status"]);
    let lines: Vec<_> = table.text().lines().collect();
    assert!(lines[0].starts_with("quell 1 (pid 1) running") && lines[1].starts_with("NAME  STATE"), "{lines:?}");
    assert!(lines[2].starts_with("db    up") && lines.len() == 8, "{lines:?}");
    assert_eq!(lines[5..], ["", "QUEUE   WAITING  HIGH  BURIED  WHY", "thumbs        6     1       4  paused"]);
    let long = supervisor.run(&["status", "db", "web"]);
    assert!(long.text().starts_with("db\n  state       up for ") && long.text().contains("\n\nweb\n"), "{long:?}");
    let json: serde_json::Value = serde_json::from_slice(&supervisor.run(&["status", "--json"]).stdout).unwrap();
    assert_eq!((&json["workers"][1]["state"], &json["quell"]["phase"]), (&"failed".into(), &"running".into()));
}

#[test]
fn no_supervisor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quell.sock");
    let run = |args: &[&str]| start(quell().args(args).arg("--socket").arg(&path)).done();
    let nobody = || {
        let (all, named, other) = (run(&["status"]), run(&["status", "web"]), run(&["stop", "web"]));
        assert_eq!((all.code(), named.code(), other.code()), (1, 3, 1));
        for done in [all, named, other] {
            assert!(done.stdout.is_empty() && done.stderr.contains("no supervisor runs here"), "{done:?}");
        }
    };
    nobody();
    // And where one was killed.
    drop(UnixListener::bind(&path).unwrap());
    nobody();
    std::fs::remove_file(&path).unwrap();
    // One that ends without an answer.
    let listener = UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || drop(listener.accept()));
    let done = run(&["status", "web"]);
    assert_eq!((done.code(), done.stderr.contains("without an answer")), (4, true), "{done:?}");
    thread.join().unwrap();
}

#[test]
fn the_socket_is_that_of_the_configuration() {
    let supervisor = Supervisor::new(tells);
    let folder = &*supervisor.folder;
    let config = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).unwrap();
        folder.join(name)
    };
    let runs = |config: &Path, here: &Path| {
        let mut command = quell();
        command.args(["status", "db"]).env_remove("QUELL_SOCKET").env_remove("QUELL_CONFIG").current_dir(here);
        if config != here {
            command.arg("-c").arg(config);
        }
        start(&mut command).done().code()
    };
    let broken = "[quell]\nsocket = \"quell.sock\"\n[worker.web]\ncomand = 3\n";
    assert_eq!(runs(&config("a.toml", broken), folder), 0, "mistakes elsewhere do not matter");
    let state = format!("[quell]\nstate = {:?}\n", folder.to_str().unwrap());
    assert_eq!(runs(&config("b.toml", &state), folder), 0);
    config("quell.toml", &state);
    assert_eq!(runs(folder, folder), 0, "the one that is found here");
    assert_eq!(runs(&config("c.toml", "[quell]\nstate = \"/nowhere\"\n"), folder), 3);
    assert_eq!(runs(&folder.join("missing.toml"), folder), 2);
}

fn event(seq: u64) -> Reply {
    let event = Event::new(Wall(1_795_223_723_000_042), Kind::Exited, "exited 3 after 1.2s").of("db");
    Reply::Event(Event { seq, ..event })
}

#[test]
fn events_of_the_past() {
    let supervisor = Supervisor::new(|_| vec![event(1), event(2), Reply::Done { lines: vec![] }]);
    let line = "2026-11-21T01:15:23.000Z  db  exited 3 after 1.2s\n";
    let done = supervisor.run(&["events"]);
    assert_eq!((done.code(), done.text()), (0, &*line.repeat(2)));
    let done = supervisor.run(&["events", "--json"]);
    let seqs: Vec<_> = done.text().lines().map(|line| serde_json::from_str::<Event>(line).unwrap().seq).collect();
    assert_eq!(seqs, [1, 2]);
    let none = Supervisor::new(|_| vec![Reply::Done { lines: vec![] }]);
    assert_eq!(none.run(&["events"]).text(), "");
}

/// B7: whoever follows and is read no more, ends, although nothing happens.
#[test]
fn events_that_nobody_reads_any_more() {
    let supervisor = Supervisor::new(|_| vec![event(1)]);
    let mut command = supervisor.command(&["events", "-f"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut line = [0; 10];
    std::io::Read::read_exact(&mut stdout, &mut line).unwrap();
    drop(stdout);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(
        supervisor.asked.recv().unwrap(),
        Request::Events { follow: true, since: None, last: Some(10), record: false }
    );
}

#[test]
fn events_until_the_end() {
    let supervisor = Supervisor::new(|_| vec![event(1)]);
    let running = start(&mut supervisor.command(&["events", "--follow"]));
    supervisor.asked.recv().unwrap();
    drop(supervisor);
    let done = running.done();
    assert_eq!((done.code(), done.text().lines().count(), &*done.stderr), (0, 1, ""));
}

#[test]
fn a_table_is_as_wide_as_the_terminal() {
    let supervisor = Supervisor::new(tells);
    let size = nix::pty::Winsize { ws_row: 24, ws_col: 24, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = nix::pty::openpty(Some(&size), None).unwrap();
    let mut command = supervisor.command(&["status"]);
    let mut child = command.stdout(pty.slave.try_clone().unwrap()).spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop((command, pty.slave));
    let mut shown = Vec::new();
    // Where nobody holds the other end any more, the end of what it said is an error.
    let _ = std::io::Read::read_to_end(&mut std::fs::File::from(pty.master), &mut shown);
    let shown = String::from_utf8(shown).unwrap();
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!((lines[0], lines[1]), ("quell 1 (pid 1) running…", "NAME  STATE   SINCE"), "{lines:?}");
}

/// The page names every key and word that there is, and its requests are requests.
#[test]
fn the_page_is_complete() {
    let page = include_str!("../docs/control.md");
    let requests: Vec<_> = page.lines().filter(|line| line.starts_with("{\"")).collect();
    assert_eq!(requests.len(), 18);
    for json in requests {
        Request::parse(json.as_bytes()).unwrap_or_else(|e| panic!("{json}: {e}"));
    }
    let names = |word: &str| {
        let word = word.trim_matches('"');
        assert!(page.contains(&format!("`{word}")) || page.contains(&format!(".{word}`")), "{word} is not on the page");
    };
    let Some(Reply::Status(status)) = tells(&Request::Status { workers: vec![] }).pop() else { panic!() };
    let json = serde_json::to_value(&status).unwrap();
    for table in [&json["quell"], &json["workers"][0], &json["workers"][0]["lines"]] {
        table.as_object().unwrap().keys().for_each(|key| names(key));
    }
    let (queue, task) =
        (serde_json::to_value(queue::status()).unwrap(), serde_json::to_value(queue::detail()).unwrap());
    for table in [&queue, &queue["waiting"], &queue["limits"], &queue["totals"], &task] {
        table.as_object().unwrap().keys().for_each(|key| names(key));
    }
    use quell::control::queue::{End, Placement, State as Stands, Store};
    let ends = [End::Done, End::Buried, End::Dropped].map(End::word);
    let places = [Placement::New, Placement::There, Placement::Replaced].map(Placement::word);
    let stores = [Store::Opening, Store::Ready, Store::Failing, Store::Lost].map(Store::word);
    let tasks = [Stands::Waiting, Stands::Delayed, Stands::Running, Stands::Done, Stands::Buried, Stands::Damaged];
    [&ends[..], &places, &stores, &tasks.map(Stands::word)].concat().into_iter().for_each(names);
    for code in [Code::NoSuchQueue, Code::NoSuchTask, Code::NoSuchTrigger, Code::Full, Code::Refused, Code::TimedOut] {
        names(&serde_json::to_string(&code).unwrap());
    }
    use Kind::{Backoff, Exited, Failed, Killed, LogTrouble, Oom, Orphan, Ready, Reload, Signal, Started, Starting};
    use Kind::{Stopped, Stopping, Survivors, Warning};
    for kind in [Starting, Started, Ready, Exited, Backoff, Failed, Stopping, Stopped, Killed, Survivors, Signal] {
        names(&serde_json::to_string(&kind).unwrap());
    }
    for kind in [Kind::Quell, Reload, Oom, LogTrouble, Orphan, Warning, Kind::Source, Kind::Began, Kind::Tried] {
        names(&serde_json::to_string(&kind).unwrap());
    }
}
