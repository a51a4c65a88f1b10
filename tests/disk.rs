//! Directories that are replaced, and disks that are full or read-only. To have such a disk wants root: those tests are
//! behind the feature `full-tests`.

#![allow(unreachable_pub)]

use crate::harness::{Done, Folder, Ledger, archives, contents, quell, read_until, start};
use crate::numbered::{lines, numbers};
use serial_test::serial;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, Stdio};

/// A file system of its own, in memory; gone when it is dropped.
#[cfg(feature = "full-tests")]
pub(crate) struct Disk(pub(crate) Folder);

#[cfg(feature = "full-tests")]
impl Disk {
    pub(crate) fn new(options: &str) -> Disk {
        let folder = Folder::new();
        mount(&["-t", "tmpfs", "-o", options, "none"], folder.path());
        Disk(folder)
    }
}

#[cfg(feature = "full-tests")]
impl Drop for Disk {
    fn drop(&mut self) {
        std::process::Command::new("umount").arg("-l").arg(self.0.path()).status().unwrap();
    }
}

/// Mounts something; root alone may.
#[cfg(feature = "full-tests")]
pub fn mount(options: &[&str], at: &Path) {
    let status = std::process::Command::new("mount").args(options).arg(at).status().unwrap();
    assert!(status.success(), "mount wants root");
}

/// A log that is fed and listened to.
struct Live {
    child: Child,
    stdin: Option<ChildStdin>,
    stderr: ChildStderr,
}

impl Live {
    fn new(log: &Path, args: &[&str]) -> Live {
        // It is there already, so that its files can be waited for.
        std::fs::create_dir_all(log).unwrap();
        let mut command = quell();
        command.args(["log", "--compress", "none", "--stamp", "none", "--stats=json"]).args(args).arg(log);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take().unwrap());
        Live { child, stdin, stderr }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn end(mut self) -> Done {
        self.stdin = None;
        let mut stderr = String::new();
        self.stderr.read_to_string(&mut stderr).unwrap();
        Done { status: self.child.wait().unwrap(), stdout: Vec::new(), stderr }
    }
}

#[cfg(feature = "full-tests")]
const FILLER_BYTES: usize = 200 << 10;

/// A1: under `block` a full disk stops the reading, and nothing is lost when there is room again.
#[cfg(feature = "full-tests")]
#[test]
#[serial]
fn a_full_disk_stops_the_reading() {
    let disk = Disk::new("size=256k");
    let filler = disk.0.write("filler", vec![0; FILLER_BYTES]);
    let log = disk.0.join("log");
    let mut live = Live::new(&log, &["--overflow", "block"]);
    let mut stdin = live.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&lines(1..=4999)).unwrap());
    read_until(&mut live.stderr, "cannot write to");
    std::fs::remove_file(filler).unwrap();
    writer.join().unwrap();
    let done = live.end();
    assert_eq!(done.code(), 0, "{}", done.stderr);
    assert!(done.stderr.contains("again after"), "{}", done.stderr);
    assert_eq!(numbers(&contents(&log), ""), (1..5000).collect::<Vec<_>>());
    assert_eq!(done.ledger().lines("dropped"), 0);
}

/// A1: under `drop` lines are lost while the disk is full; just so many are counted, and the log says it.
#[cfg(feature = "full-tests")]
#[test]
#[serial]
fn a_full_disk_drops_and_counts() {
    let disk = Disk::new("size=256k");
    let log = disk.0.join("log");
    let mut live = Live::new(&log, &["--overflow", "drop"]);
    live.write(&lines(1..=1));
    crate::harness::wait_until(&log, "the log", || log.join("current").exists());
    let filler = disk.0.write("filler", vec![0; FILLER_BYTES]);
    live.write(&lines(2..=4999));
    read_until(&mut live.stderr, "lines are dropped");
    std::fs::remove_file(filler).unwrap();
    live.write(&lines(5000..=5009));
    let done = live.end();
    assert_eq!(done.code(), 0, "{}", done.stderr);
    let text = contents(&log);
    let found = numbers(&text, "");
    let lost = 5009 - found.len() as u64;
    assert!(lost > 0 && found.is_sorted_by(|a, b| a < b), "{lost} lost");
    assert_eq!(done.ledger().lines("dropped"), lost, "{}", done.stderr);
    let text = String::from_utf8(text).unwrap();
    let said: u64 = text
        .lines()
        .filter_map(|line| line.strip_prefix("quell: dropped ")?.split(' ').next()?.parse::<u64>().ok())
        .sum();
    assert_eq!(said, lost, "{}", done.stderr);
}

/// A1: room is made by deleting routine archives, the oldest first; critical lines stay.
#[cfg(feature = "full-tests")]
#[test]
#[serial]
fn routine_archives_go_first_and_critical_ones_stay() {
    let disk = Disk::new("size=512k");
    let log = disk.0.join("log");
    let mut live = Live::new(&log, &["--rotate", "16KiB"]);
    live.write(&lines(1..=29999));
    let done = live.end();
    assert_eq!(done.code(), 0, "{}", done.stderr);
    assert!(done.stderr.contains("deleted @"), "{}", done.stderr);
    let found = numbers(&contents(&log), "");
    assert_eq!(found, (found[0]..30_000).collect::<Vec<_>>(), "the oldest went");
    let critical: std::collections::BTreeSet<_> = numbers(&contents(&log.join("critical")), "").into_iter().collect();
    assert_eq!(critical, (10..30_000).step_by(10).collect(), "none of these");
    assert_eq!((done.ledger().lines("written"), done.ledger().lines("dropped")), (29_999, 0));
}

/// A5: a log that cannot be written is refused before anything is read.
#[cfg(feature = "full-tests")]
#[test]
#[serial]
fn a_read_only_disk_is_refused_at_the_start() {
    let disk = Disk::new("size=64k");
    mount(&["-o", "remount,ro"], disk.0.path());
    let mut command = quell();
    let done = start(command.arg("log").arg(disk.0.join("log"))).done();
    assert_eq!(done.code(), 1);
    assert!(done.stderr.contains("Read-only file system"), "{}", done.stderr);
}

/// A4: a directory that is replaced by a link is not followed: the one that was opened stays in use.
#[test]
#[serial]
fn a_directory_that_becomes_a_link_is_not_followed() {
    let folder = Folder::new();
    let (log, moved, elsewhere) = (folder.join("log"), folder.join("moved"), folder.join("elsewhere"));
    std::fs::create_dir(&elsewhere).unwrap();
    let mut live = Live::new(&log, &["--rotate", "4KiB"]);
    live.write(&lines(1..=99));
    crate::harness::wait_until(&log, "the log", || log.join("current").exists());
    std::fs::rename(&log, &moved).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &log).unwrap();
    let pid = nix::unistd::Pid::from_raw(live.child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGUSR1).unwrap();
    read_until(&mut live.stderr, "cannot reopen");
    live.write(&lines(100..=1999));
    assert_eq!(live.end().code(), 0);
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert_eq!(numbers(&contents(&moved), ""), (1..2000).collect::<Vec<_>>());
}

/// A15: files that others have laid out under the names of ours are not written through.
#[test]
#[serial]
fn planted_files_are_not_written_through() {
    let folder = Folder::new();
    let (log, victim) = (folder.join("log"), folder.write("victim", "as it was"));
    std::fs::create_dir(&log).unwrap();
    std::os::unix::fs::symlink(&victim, log.join("ledger.json.new")).unwrap();
    let mut live = Live::new(&log, &["--rotate", "4KiB"]);
    live.write(&lines(1..=999));
    assert_eq!(live.end().code(), 0);
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "as it was");
    assert_eq!(Ledger::of(&log).lines("written"), 999);
    let other = Folder::new();
    std::os::unix::fs::symlink(&victim, other.join("current")).unwrap();
    let done = start(quell().arg("log").arg(other.path())).done();
    assert_ne!(done.code(), 0, "{}", done.stderr);
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "as it was");
}

/// A10: whoever reads `current` while it is rotated reads on in the same file, which is never cut.
#[test]
#[serial]
fn a_reader_of_a_rotated_file_is_not_disturbed() {
    let folder = Folder::new();
    let log = folder.join("log");
    let mut live = Live::new(&log, &["--rotate", "4KiB"]);
    live.write(&lines(1..=1));
    crate::harness::wait_until(&log, "a line", || {
        std::fs::metadata(log.join("current")).is_ok_and(|file| file.len() > 0)
    });
    let mut reader = File::open(log.join("current")).unwrap();
    live.write(&lines(2..=999));
    assert_eq!(live.end().code(), 0);
    let mut seen = Vec::new();
    reader.read_to_end(&mut seen).unwrap();
    assert_eq!(seen, std::fs::read(log.join(&archives(&log)[0])).unwrap());
    assert_eq!(numbers(&contents(&log), ""), (1..1000).collect::<Vec<_>>());
}
