//! `quell up` and its clients, as their users meet them.

#![allow(unreachable_pub)]

mod arrivals;
#[cfg(feature = "full-tests")]
mod crash;
mod death;
#[cfg(feature = "full-tests")]
mod durable;
mod essential;
mod events;
#[cfg(feature = "full-tests")]
mod hang;
mod lines;
mod lives;
mod logs;
#[cfg(feature = "full-tests")]
mod long;
#[cfg(feature = "full-tests")]
mod loopback;
#[cfg(feature = "full-tests")]
mod namespaces;
#[cfg(feature = "full-tests")]
mod oracle;
mod pipeline;
mod ready;
#[cfg(feature = "full-tests")]
mod redis;
mod reload;
#[cfg(feature = "full-tests")]
mod scarce;
#[cfg(feature = "full-tests")]
mod services;
mod sockets;
mod status;
mod stop;
mod surroundings;
mod tasks;
mod terminal;
mod told;
mod triggers;

use crate::harness::{Done, Folder, LIMIT, finish, names, quell, wait, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use quell::sys::fd::{self, Interest};
use quell::sys::reap::Process;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

/// A supervisor in a folder of its own; killed, and all of its workers with it, when it is dropped.
pub struct Up {
    pub folder: Folder,
    child: Child,
    said: Receiver<String>,
    heard: Vec<String>,
    reader: Option<JoinHandle<()>>,
}

/// A configuration whose state and logs are in the test's own folder. Further keys of `quell` and `log` come first, dotted.
pub fn configure(folder: &Folder, workers: &str) -> PathBuf {
    let path = folder.path().display();
    let head = format!("quell.state = \"{path}/state\"\nlog.dir = \"{path}/log\"\n");
    folder.write("quell.toml", head + workers)
}

/// A client's verb, to the supervisor of this folder's configuration.
pub fn ask(folder: &Folder, verb: &[&str]) -> Done {
    let mut command = quell();
    finish(command.args(verb).arg("-c").arg(folder.join("quell.toml")))
}

impl Up {
    /// Starts the workers of a configuration, without waiting for them.
    pub fn start(workers: &str) -> Up {
        let folder = Folder::new();
        let path = configure(&folder, workers);
        Up::of(folder, path)
    }

    /// Starts those of a configuration that stands in the folder already.
    pub fn of(folder: Folder, path: PathBuf) -> Up {
        let mut command = quell();
        command.args(["up", "-c"]).arg(path);
        Up::by(command, folder)
    }

    /// Starts those of the folder's configuration below another program, as `unshare` or `strace`: these words come before
    /// quell's own.
    #[cfg(feature = "full-tests")]
    pub fn below(words: &[&str], folder: Folder) -> Up {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args([env!("CARGO_BIN_EXE_quell"), "up", "-c"]).arg(folder.join("quell.toml"));
        command.stdin(Stdio::null());
        Up::by(command, folder)
    }

    /// Starts what a command starts.
    pub fn by(mut command: Command, folder: Folder) -> Up {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (sender, said) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let reader = std::thread::spawn(move || {
            for line in stderr.lines() {
                // The test may listen no more.
                let _ = sender.send(line.unwrap());
            }
        });
        Up { folder, child, said, heard: Vec::new(), reader: Some(reader) }
    }

    /// Starts another supervisor of the same configuration, after this one has ended.
    pub fn again(mut self) -> Up {
        assert!(self.child.try_wait().unwrap().is_some(), "the first one still runs");
        let folder = std::mem::replace(&mut self.folder, Folder::new());
        let path = folder.join("quell.toml");
        Up::of(folder, path)
    }

    /// Waits until it says something that holds this, and gives back the line.
    pub fn until(&mut self, text: &str) -> String {
        loop {
            let line = self.said.recv_timeout(LIMIT);
            let line = line.unwrap_or_else(|e| panic!("{e}: it never said {text:?}, but: {:#?}", self.heard));
            self.heard.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Waits until a worker is said to be ready.
    pub fn ready(&mut self, worker: &str) {
        self.until(&format!("quell: {worker}: ready"));
    }

    /// What it has said so far, in order.
    pub fn heard(&mut self) -> &[String] {
        self.heard.extend(self.said.try_iter());
        &self.heard
    }

    /// Forgets what it has said until now.
    pub fn forget(&mut self) {
        self.heard.clear();
    }

    /// The supervisor's number, also where it runs below another program, and whatever number it has there.
    pub fn pid(&self) -> i32 {
        let mut looked_at = vec![self.child.id() as i32];
        while let Some(pid) = looked_at.pop() {
            let program = std::fs::read_link(format!("/proc/{pid}/exe"));
            if program.is_ok_and(|program| program == std::path::Path::new(env!("CARGO_BIN_EXE_quell"))) {
                return pid;
            }
            looked_at.extend(children(pid).iter().map(|child| child.pid));
        }
        self.child.id() as i32
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// A client's verb.
    pub fn ask(&self, verb: &[&str]) -> Done {
        ask(&self.folder, verb)
    }

    /// The same, where it has to work.
    pub fn must(&self, verb: &[&str]) -> String {
        let done = self.ask(verb);
        assert_eq!(done.code(), 0, "{verb:?}: {done:?}");
        done.text().to_owned()
    }

    /// What `status --json` says of a worker.
    pub fn status(&self, worker: &str) -> serde_json::Value {
        let done = self.ask(&["status", "--json", worker]);
        let status: serde_json::Value = serde_json::from_str(done.text()).unwrap_or_else(|e| panic!("{e}: {done:?}"));
        status["workers"][0].clone()
    }

    pub fn pid_of(&self, worker: &str) -> i32 {
        self.status(worker)["pid"].as_i64().unwrap_or_else(|| panic!("{worker} does not run")) as i32
    }

    /// Waits until a worker's log holds this.
    pub fn until_logged(&self, worker: &str, text: &str) {
        let dir = self.folder.join("log").join(worker);
        let current = dir.join("current");
        wait_until(&dir, text, || std::fs::read_to_string(&current).is_ok_and(|log| log.contains(text)));
    }

    /// What a worker printed, without quell's own lines and the stamps.
    pub fn printed(&self, worker: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join("log").join(worker).join("current")).unwrap();
        let lines = text.lines().map(|line| line.split_once(' ').map_or(line, |(_, rest)| rest));
        lines.filter(|line| !line.starts_with("quell: ")).map(str::to_owned).collect()
    }

    /// Waits for its end, however that comes.
    pub fn end(&mut self) -> ExitStatus {
        let status = wait(&mut self.child);
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.heard();
        status
    }

    /// Ends it in order; nothing may be left.
    pub fn down(&mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.end();
        assert_eq!(status.code(), Some(0), "{:#?}", self.heard);
        assert!(!self.folder.join("state/quell.sock").exists(), "the socket is left");
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if self.reader.is_some() {
            // What it runs below may let go of it when it is killed.
            let _ = kill(Pid::from_raw(self.pid()), Signal::SIGKILL);
            let _ = self.child.kill();
            let _ = self.child.wait();
            self.reader.take().map(JoinHandle::join);
        }
        if std::thread::panicking() {
            let heard: Vec<_> = self.said.try_iter().collect();
            self.heard.extend(heard);
            // The test's own output, which is shown where it fails.
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "it said: {:#?}", self.heard);
        }
    }
}

/// Whether a process is there, ended or not.
pub fn is_there(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_ok()
}

/// A process that is watched by a descriptor, so that its number can be nobody else's.
pub struct Watched(Process);

impl Watched {
    pub fn new(pid: i32) -> Watched {
        Watched(Process::open(pid).unwrap())
    }

    /// Waits for its end.
    pub fn ends(&self) {
        let [ended] = fd::wait([Some((self.0.as_fd(), Interest::Read))], Some(LIMIT)).unwrap();
        assert!(ended, "{} does not end", self.0.pid());
    }

    pub fn has_ended(&self) -> bool {
        let [ended] = fd::wait([Some((self.0.as_fd(), Interest::Read))], Some(std::time::Duration::ZERO)).unwrap();
        ended
    }

    pub fn pid(&self) -> i32 {
        self.0.pid()
    }

    pub fn kill(&self) {
        self.0.signal(libc::SIGKILL).unwrap();
    }
}

/// A process as `/proc/PID/stat` has it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub pid: i32,
    pub name: String,
    pub parent: i32,
    /// A letter: `Z` for a zombie, `T` for one that is stopped.
    pub state: String,
}

/// All processes.
pub fn processes() -> Vec<Seen> {
    let pids = names(std::path::Path::new("/proc")).into_iter().filter_map(|name| name.parse().ok());
    pids.filter_map(|pid: i32| {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat).into_owned();
        let (name, rest) = stat.split_once(" (")?.1.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let state = fields.next()?.to_owned();
        Some(Seen { pid, name: name.to_owned(), parent: fields.next()?.parse().ok()?, state })
    })
    .collect()
}

/// The children of a process, zombies among them.
pub fn children(pid: i32) -> Vec<Seen> {
    processes().into_iter().filter(|seen| seen.parent == pid).collect()
}

/// The processes that carry in their environment that they are of the supervisor in this folder.
pub fn carriers(folder: &std::path::Path) -> Vec<Seen> {
    let state = std::fs::metadata(folder.join("state")).unwrap();
    let mark = format!("QUELL_SUPERVISOR={:x}.{:x}", state.dev(), state.ino());
    let carries = |seen: &Seen| {
        let environ = std::fs::read(format!("/proc/{}/environ", seen.pid)).unwrap_or_default();
        environ.split(|b| *b == 0).any(|one| one == mark.as_bytes())
    };
    processes().into_iter().filter(carries).collect()
}

/// What the descriptors of a process are, as `/proc` has them.
#[cfg(feature = "full-tests")]
pub fn descriptors(pid: i32) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    entries.filter_map(|entry| Some(std::fs::read_link(entry.ok()?.path()).ok()?.display().to_string())).collect()
}

/// Looks again and again until something holds that nobody announces.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + LIMIT;
    while !holds() {
        assert!(std::time::Instant::now() < end, "waited in vain: {what}");
        std::thread::yield_now();
    }
}
