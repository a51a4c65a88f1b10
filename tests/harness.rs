//! Starting quell, waiting for it, and never for longer than it may take. Nothing here sleeps: it waits for a process to
//! end, for bytes in a pipe, or for a change in a directory.

#![allow(unreachable_pub)]

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::unistd::Pid;
use quell::sys::fd::{self, Interest};
use quell::sys::reap::Process;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longer than anything here takes on a slow machine; only a hang takes longer.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The program, to be given arguments.
pub fn quell() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quell"));
    command.stdin(Stdio::null());
    command
}

/// The same numbers on each run (xorshift64*).
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as usize % below
    }
}

/// What a finished program left.
#[derive(Debug)]
pub struct Done {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Done {
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("{self:?}"))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// The ledger of `--stats=json`, found balanced.
    pub fn ledger(&self) -> Ledger {
        let line = self.stderr.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{self:?}"));
        Ledger::new(line)
    }
}

/// A ledger as JSON.
pub struct Ledger(serde_json::Value);

impl Ledger {
    /// Reads a ledger and checks that it balances, as a whole and for each stream.
    pub fn new(json: &str) -> Ledger {
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        let balanced = |tally: &serde_json::Value, what: &str| {
            for unit in ["lines", "bytes"] {
                let get = |key: &str| tally[key][unit].as_u64().unwrap();
                let sum = get("written") + get("suppressed") + get("dropped") + get("buffered");
                assert_eq!(get("in"), sum, "{what} {unit}: {json}");
            }
        };
        balanced(&value, "all");
        value["streams"].as_object().unwrap().iter().for_each(|(name, tally)| balanced(tally, name));
        let by_rule: u64 =
            value["suppressed"]["by_rule"].as_array().unwrap().iter().map(|r| r["lines"].as_u64().unwrap()).sum();
        assert_eq!(value["suppressed"]["lines"], by_rule, "by rule: {json}");
        Ledger(value)
    }

    pub fn of(dir: &Path) -> Ledger {
        Ledger::new(&std::fs::read_to_string(dir.join("ledger.json")).unwrap())
    }

    pub fn lines(&self, key: &str) -> u64 {
        self.0[key]["lines"].as_u64().unwrap()
    }

    pub fn value(&self) -> &serde_json::Value {
        &self.0
    }
}

/// A program that runs; killed when it is dropped.
pub struct Running {
    child: Child,
    readers: Vec<JoinHandle<Vec<u8>>>,
}

/// Starts a command whose output is collected.
pub fn start(command: &mut Command) -> Running {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let collect = |mut from: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).unwrap();
            bytes
        })
    };
    let readers =
        vec![collect(Box::new(child.stdout.take().unwrap())), collect(Box::new(child.stderr.take().unwrap()))];
    Running { child, readers }
}

impl Running {
    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Waits for its end.
    pub fn done(mut self) -> Done {
        let status = wait(&mut self.child);
        let mut output = self.readers.drain(..).map(|reader| reader.join().unwrap());
        let stdout = output.next().unwrap();
        let stderr = String::from_utf8_lossy(&output.next().unwrap()).into_owned();
        Done { status, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a child's end, but not for ever.
pub fn wait(child: &mut Child) -> ExitStatus {
    let process = Process::open(child.id() as i32).unwrap();
    let [ended] = fd::wait([Some((process.as_fd(), Interest::Read))], Some(LIMIT)).unwrap();
    if !ended {
        child.kill().unwrap();
        panic!("{} hangs", child.id());
    }
    child.wait().unwrap()
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Done {
    start(command).done()
}

/// Runs a command to its end, with this input.
pub fn feed(command: &mut Command, input: &[u8]) -> Done {
    let mut running = start(command.stdin(Stdio::piped()));
    let mut stdin = running.stdin();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // It may leave before it has read all.
        let _ = stdin.write_all(&input);
    });
    let done = running.done();
    writer.join().unwrap();
    done
}

/// A directory of the test's own.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// The names in a directory, sorted; none of one that is not there.
pub fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The archives in a directory, in reading order.
pub fn archives(dir: &Path) -> Vec<String> {
    let mut archives: Vec<_> = names(dir).into_iter().filter(|n| n.starts_with('@') && !n.ends_with(".new")).collect();
    archives.sort_by_key(|name| name.split('.').nth(1).unwrap().to_owned());
    archives
}

/// All that the archives and `current` hold, in reading order.
pub fn contents(dir: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for name in archives(dir).iter().map(String::as_str).chain(["current"]) {
        let bytes = std::fs::read(dir.join(name)).unwrap();
        match name.ends_with(".zst") {
            true => all.extend(zstd::decode_all(&bytes[..]).unwrap()),
            false => all.extend(bytes),
        }
    }
    all
}

/// The processes with this in their command line; zombies have none.
pub fn running(text: &str) -> Vec<Pid> {
    let pids = names(Path::new("/proc")).into_iter().filter_map(|name| name.parse().ok());
    let says = |pid: &i32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).replace('\0', " ").contains(text)
    };
    pids.filter(says).map(Pid::from_raw).collect()
}

/// Waits until something holds of a directory and the folders in it; looks only when something in them changes.
pub fn wait_until(dir: &Path, what: &str, holds: impl Fn() -> bool) {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).unwrap();
    let watch = |path: &Path| {
        let _ =
            inotify.add_watch(path, AddWatchFlags::IN_ALL_EVENTS & !AddWatchFlags::IN_ACCESS & !AddWatchFlags::IN_OPEN);
    };
    let end = Instant::now() + LIMIT;
    loop {
        watch(dir);
        watch(&dir.join("critical"));
        if holds() {
            return;
        }
        let left = end.saturating_duration_since(Instant::now());
        let [changed] = fd::wait([Some((inotify.as_fd(), Interest::Read))], Some(left)).unwrap();
        assert!(changed, "waited in vain for {what}: {:?}", names(dir));
        let _ = inotify.read_events();
    }
}

/// Reads from a pipe until the text has come; all that came.
pub fn read_until(from: &mut (impl Read + AsFd), text: &str) -> String {
    let mut got = Vec::new();
    let mut chunk = [0; 4096];
    while !got.windows(text.len()).any(|window| window == text.as_bytes()) {
        let [ready] = fd::wait([Some((from.as_fd(), Interest::Read))], Some(LIMIT)).unwrap();
        assert!(ready, "waited in vain for {text:?} after {:?}", String::from_utf8_lossy(&got));
        let bytes = from.read(&mut chunk).unwrap();
        assert!(bytes > 0, "the end came before {text:?}: {:?}", String::from_utf8_lossy(&got));
        got.extend_from_slice(&chunk[..bytes]);
    }
    String::from_utf8_lossy(&got).into_owned()
}
