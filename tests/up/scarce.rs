//! What there is too little of: processes, descriptors, memory, room on the disk.

use super::{Up, children, configure, processes, until};
use crate::disk::mount;
use crate::harness::{Folder, Ledger, contents};
use crate::numbered::{lines, numbers};
use serial_test::serial;
use std::path::{Path, PathBuf};
use std::process::Command;

const SLEEP: &str = "command = [\"sleep\", \"1000\"]\n";

/// C8: where no process can be made, that is tried again later.
#[test]
#[serial]
fn no_process_can_be_made() {
    for error in ["EAGAIN", "ENOMEM"] {
        let folder = Folder::new();
        configure(&folder, &format!("[worker.web]\n{SLEEP}backoff.first = \"1ms\"\n"));
        let inject = format!("inject=clone:error={error}:when=1..3");
        let mut up = Up::below(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=clone", "-e", &inject], folder);
        for _ in 0..3 {
            up.until("web: cannot fork: ");
            up.until("web: starts again in");
        }
        up.ready("web");
        assert_eq!(up.status("web")["why"], serde_json::Value::Null);
        up.must(&["down"]);
        assert_eq!(up.end().code(), Some(0));
    }
}

/// C9: where there are too few descriptors for all workers, those that there are enough for run, and the others follow when
/// there are more.
#[test]
#[serial]
fn too_few_descriptors() {
    let folder = Folder::new();
    let worker = |n: u32| {
        let restart = if n < 9 { "never" } else { "always" };
        format!("[worker.w{n}]\n{SLEEP}restart = \"{restart}\"\nbackoff = {{ first = \"10ms\", max = \"20ms\" }}\n")
    };
    configure(&folder, &(1..=10).map(worker).collect::<String>());
    let mut up = Up::below(&["prlimit", "--nofile=48:48"], folder);
    up.until("w10: starts again in");
    assert!(up.heard.iter().any(|line| line.contains("w10: ") && line.contains("Too many open files")));
    for child in children(up.pid()) {
        super::Watched::new(child.pid).kill();
    }
    up.until("all workers are up");
    assert_eq!((up.status("w9")["state"].as_str(), up.status("w10")["state"].as_str()), (Some("up"), Some("up")));
    up.down();
}

/// A control group that may use so much memory; gone when it is dropped.
struct Cage(PathBuf);

impl Cage {
    fn new(bytes: u64) -> Cage {
        let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let ours =
            groups.lines().find_map(|line| line.split_once(":memory:")).expect("a memory controller, version 1").1;
        let path = format!("/sys/fs/cgroup/memory/{ours}/quell-test-{}", std::process::id());
        std::fs::create_dir(&path).unwrap();
        std::fs::write(format!("{path}/memory.limit_in_bytes"), bytes.to_string()).unwrap();
        Cage(path.into())
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        // It can go when the last process in it has.
        until("the group is empty", || std::fs::remove_dir(&self.0).is_ok());
    }
}

/// C10: whom the kernel has killed for want of memory is named; another that was killed is not.
#[test]
#[serial]
fn memory_runs_out() {
    let cage = Cage::new(16 << 20);
    let mut up = Up::start(&format!(
        "[worker.hog]\nshell = \"echo $$$$ >{}/cgroup.procs; exec tail /dev/zero\"\nrestart = \"never\"\n\
         [worker.web]\n{SLEEP}restart = \"never\"\n",
        cage.0.display()
    ));
    up.until("hog: killed by SIGKILL");
    up.until("hog: perhaps killed by the kernel: memory has run out");
    super::Watched::new(up.pid_of("web")).kill();
    up.until("web: killed by SIGKILL");
    up.down();
    assert!(!up.heard.iter().any(|line| line.contains("web: probably")), "{:#?}", up.heard);
}

/// C5: a fork bomb, each process of it in a session of its own, is ended to the last. Each is heavy, so that its end takes
/// a while, in which it cannot be asked whose it is.
#[test]
#[serial]
fn a_fork_bomb_is_ended() {
    const SOMEBODY: u32 = 64_322;
    let bomb = "import os,signal,time\nheavy = bytearray([1]) * (64 << 20)\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('armed', flush=True)\nwhile True:\n  try:\n    os.fork() or os.setsid()\n  except OSError:\n    time.sleep(0.01)\n";
    let folder = Folder::new();
    let script = folder.write("bomb.py", bomb);
    let run = format!(
        "command = [\"setpriv\", \"--reuid\", \"{SOMEBODY}\", \"prlimit\", \"--nproc=120\", \"python3\", \"{}\"]\n",
        script.display()
    );
    let open = Command::new("chmod").arg("755").arg(folder.path()).status().unwrap();
    assert!(open.success());
    configure(
        &folder,
        &format!("[worker.bomb]\n{run}ready = {{ line = \"armed\" }}\nstop.grace = \"50ms\"\n[worker.web]\n{SLEEP}"),
    );
    let path = folder.join("quell.toml");
    let mut up = Up::of(folder, path);
    up.ready("bomb");
    let owner = |pid: i32| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(format!("/proc/{pid}")).map_or(0, |found| found.uid())
    };
    let bombs = || processes().into_iter().filter(|seen| owner(seen.pid) == SOMEBODY && seen.state != "Z").count();
    until("it has spread", || bombs() > 100);
    let web = up.pid_of("web");
    up.must(&["stop", "bomb"]);
    assert_eq!(bombs(), 0);
    assert_eq!(up.pid_of("web"), web);
    up.down();
}

/// A small file system in memory in the place of a worker's log folder; gone when it is dropped.
struct Small(PathBuf);

impl Small {
    fn new(at: &Path) -> Small {
        std::fs::create_dir_all(at).unwrap();
        mount(&["-t", "tmpfs", "-o", "size=2m,mode=700", "none"], at);
        Small(at.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().unwrap();
    }
}

const LINES: u32 = 20_000;

/// A worker that prints more than there is room for, and one that logs elsewhere.
fn full(overflow: &str) -> (Up, Small) {
    let folder = Folder::new();
    let small = Small::new(&folder.join("small"));
    std::fs::write(small.0.join("filler"), vec![0; 1536 << 10]).unwrap();
    let input = folder.write("input", lines(1..=LINES));
    let path = configure(
        &folder,
        &format!(
            "[worker.much]\nshell = \"cat {}; exec sleep 1000\"\n\
             log = {{ dir = \"{}\", overflow = \"{overflow}\", compress = \"none\", stamp = \"none\" }}\n\
             [worker.web]\n{SLEEP}\n",
            input.display(),
            small.0.display()
        ),
    );
    (Up::of(folder, path), small)
}

/// B8: under `block` a worker waits for a disk that is full, and nobody else does; nothing is lost.
#[test]
#[serial]
fn a_full_disk_holds_up_its_own_workers_only() {
    let (mut up, small) = full("block");
    up.until("No space left on device");
    let much = up.status("much");
    assert!(much["why"].as_str().unwrap().contains("No space left on device"), "{much}");
    up.must(&["restart", "web"]);
    assert_eq!(up.status("much")["pid"], much["pid"]);
    std::fs::remove_file(small.0.join("filler")).unwrap();
    let kept = |up: &Up| up.status("much")["lines"]["kept"]["lines"].as_u64().unwrap();
    until("all is kept", || kept(&up) == u64::from(LINES));
    up.down();
    let dir = small.0.join("much");
    assert_eq!(numbers(&contents(&dir), "block"), (1..=LINES).collect::<Vec<_>>());
    assert_eq!(Ledger::of(&dir).lines("dropped"), 0);
}

/// B8: under `drop` a worker does not wait for a full disk, and what is lost is counted.
#[test]
#[serial]
fn a_full_disk_loses_what_is_counted() {
    let (mut up, small) = full("drop");
    up.until("all workers are up");
    let count = |up: &Up, what: &str| up.status("much")["lines"][what]["lines"].as_u64().unwrap();
    until("all is read", || count(&up, "in") == u64::from(LINES));
    assert!(count(&up, "dropped") > 0);
    std::fs::remove_file(small.0.join("filler")).unwrap();
    up.down();
    let dir = small.0.join("much");
    let there = numbers(&contents(&dir), "drop");
    assert!(there.is_sorted_by(|a, b| a < b));
    let ledger = Ledger::of(&dir);
    assert!(ledger.lines("dropped") > 0 && ledger.lines("written") >= there.len() as u64, "{:?}", ledger.value());
}
