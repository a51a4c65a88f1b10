//! The init script of packaging/, as root, with all of its files in a folder of the test's own.

use crate::harness::{Done, Folder, finish, running, start};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use quell::sys::fd::{self, Interest};
use quell::sys::reap::Process;
use serial_test::serial;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::Duration;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/quell.init");

/// A service with one worker, not started yet; stopped when it is dropped.
struct Service {
    folder: Folder,
    /// What the worker's command line has and no other.
    worker: String,
}

impl Service {
    fn new() -> Service {
        let folder = Folder::new();
        // sleep(1) adds up its arguments: one is worth nearly nothing, and found.
        let worker = format!("0.{:09}", std::process::id());
        let path = folder.path().display();
        let quell = env!("CARGO_BIN_EXE_quell");
        folder.write(
            "defaults",
            format!(
                "DAEMON={quell}\nCONFIG={path}/quell.toml\nPIDFILE={path}/pid\nLOGFILE={path}/talk\n\
                 START_TIMEOUT=60\nSTOP_TIMEOUT=60\nANSWER_TIMEOUT=2\n"
            ),
        );
        let service = Service { folder, worker };
        service.configure("");
        service
    }

    /// Writes the configuration; `more` belongs to its worker.
    fn configure(&self, more: &str) {
        let (path, worker) = (self.folder.path().display(), &self.worker);
        self.folder.write(
            "quell.toml",
            format!(
                "[quell]\nstate = \"{path}/state\"\n[log]\ndir = \"{path}/log\"\n\
                 [worker.w]\ncommand = [\"/bin/sleep\", \"86400\", \"{worker}\"]\n{more}\n"
            ),
        );
    }

    /// Runs the script.
    fn run(&self, verb: &str) -> Done {
        finish(Command::new(SCRIPT).arg(verb).env("QUELL_DEFAULTS", self.folder.join("defaults")))
    }

    /// Runs the script, which ends with this code.
    fn expect(&self, verb: &str, code: i32) -> Done {
        let done = self.run(verb);
        let talk = std::fs::read_to_string(self.folder.join("talk")).unwrap_or_default();
        assert_eq!(done.code(), code, "{verb}: {} {}\n{talk}", done.text(), done.stderr);
        done
    }

    /// What the pid file names.
    fn pid(&self) -> Pid {
        Pid::from_raw(std::fs::read_to_string(self.folder.join("pid")).unwrap().trim().parse().unwrap())
    }

    fn workers(&self) -> Vec<Pid> {
        running(&self.worker)
    }

    fn nothing_is_left(&self) {
        assert_eq!(self.workers(), []);
        assert!(!self.folder.join("pid").exists());
        self.expect("status", 3);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.run("stop");
    }
}

/// Waits for the end of a process that is not ours to reap.
fn ended(process: &Process) {
    let [ended] = fd::wait([Some((process.as_fd(), Interest::Read))], Some(Duration::from_secs(60))).unwrap();
    assert!(ended);
}

#[test]
#[serial]
fn the_init_script_starts_reloads_restarts_and_stops() {
    let service = Service::new();
    service.nothing_is_left();
    service.expect("stop", 0);
    service.expect("reload", 7);
    service.expect("try-restart", 0);
    service.nothing_is_left();

    service.expect("start", 0);
    service.expect("status", 0);
    let (quell, workers) = (service.pid(), service.workers());
    assert_eq!(workers.len(), 1);

    service.expect("start", 0);
    service.configure("stop.grace = \"3s\"");
    service.expect("reload", 0);
    service.expect("force-reload", 0);
    assert_eq!((service.pid(), service.workers()), (quell, workers.clone()), "neither was started anew");

    service.expect("restart", 0);
    assert_ne!(service.pid(), quell);
    assert_eq!(service.workers().len(), 1);
    assert_ne!(service.workers(), workers);

    service.expect("stop", 0);
    service.nothing_is_left();
    service.expect("restart", 0);
    service.expect("status", 0);
    service.expect("stop", 0);
    service.nothing_is_left();
}

#[test]
#[serial]
fn the_init_script_leaves_what_runs_when_the_configuration_is_wrong() {
    let service = Service::new();
    service.configure("comand = 3");
    let done = service.expect("start", 6);
    assert!(done.stderr.contains("did you mean `command`"), "{}", done.stderr);
    service.nothing_is_left();

    service.configure("");
    service.expect("start", 0);
    let quell = service.pid();
    service.configure("comand = 3");
    service.expect("restart", 6);
    service.expect("try-restart", 6);
    service.expect("reload", 1);
    service.expect("status", 0);
    assert_eq!((service.pid(), service.workers().len()), (quell, 1));
    // Nor does it keep from stopping.
    service.expect("stop", 0);
    service.configure("");
    service.nothing_is_left();
}

/// What is said by the quell that could not start is shown, and the failure told.
#[test]
#[serial]
fn the_init_script_tells_of_a_start_that_fails() {
    let service = Service::new();
    service.folder.write("state", "a file where a directory is due");
    let done = service.expect("start", 1);
    assert!(done.stderr.contains("ended at once") && done.stderr.contains("state"), "{}", done.stderr);
    std::fs::remove_file(service.folder.join("state")).unwrap();
    service.nothing_is_left();
}

/// The number in a pid file may be anybody's: whoever has it is left alone.
#[test]
#[serial]
fn the_init_script_does_not_trust_a_pid_file() {
    let service = Service::new();
    let stranger = start(Command::new("/bin/sleep").arg("86400"));
    let process = Process::open(stranger.pid()).unwrap();
    for number in [format!("{}\n", stranger.pid()), "4194304\n".into(), "-1\n".into(), "x\n".into(), String::new()] {
        service.folder.write("pid", &number);
        service.expect("status", 1);
        service.expect("stop", 0);
        service.nothing_is_left();
        service.folder.write("pid", &number);
        service.expect("start", 0);
        service.expect("status", 0);
        // Whoever lost the pid file stops it all the same.
        service.folder.write("pid", &number);
        service.expect("status", 0);
        service.expect("stop", 0);
        service.nothing_is_left();
    }
    let [ended] = fd::wait([Some((process.as_fd(), Interest::Read))], Some(Duration::ZERO)).unwrap();
    assert!(!ended, "it was signalled");
}

#[test]
#[serial]
fn the_init_script_after_a_kill_and_with_a_quell_that_is_stuck() {
    let service = Service::new();
    service.expect("start", 0);
    let [worker] = service.workers()[..] else { panic!("{:?}", service.workers()) };
    let (quell, worker) = [service.pid(), worker].map(|pid| Process::open(pid.as_raw()).unwrap()).into();
    kill(service.pid(), Signal::SIGKILL).unwrap();
    ended(&quell);
    ended(&worker);
    service.expect("status", 1);

    service.expect("start", 0);
    let stuck = service.pid();
    kill(stuck, Signal::SIGSTOP).unwrap();
    service.expect("status", 4);
    kill(stuck, Signal::SIGCONT).unwrap();
    service.expect("status", 0);
    service.expect("stop", 0);
    service.nothing_is_left();
}

#[test]
#[serial]
fn the_init_script_is_told_something_wrong() {
    let service = Service::new();
    service.expect("dance", 2);
    service.folder.write("defaults", "DAEMON=/nowhere/quell\n");
    service.expect("start", 5);
    service.expect("status", 3);
    service.expect("stop", 0);
}
