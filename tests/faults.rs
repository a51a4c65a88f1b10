//! Faults from outside, into the real program: it is killed, and its calls fail, at the n-th call of each kind; disks are
//! full. An oracle that shares no code with quell reads what is left: numbered lines.
//!
//! Every thirteenth point is tried, and the first of each kind; all of them with `QUELL_TEST_WHOLE=1`.

use crate::harness::{Done, Folder, Ledger, archives, contents, finish, names};
use crate::numbered::{lines, numbers};
use serial_test::serial;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

const QUELL: &str = env!("CARGO_BIN_EXE_quell");
const LINES: u32 = 2000;

/// The points to try: every `n` until `hit` says that there is no such call any more.
fn points(mut hit: impl FnMut(usize) -> bool) -> usize {
    let step = if std::env::var_os("QUELL_TEST_WHOLE").is_some() { 1 } else { 13 };
    (0..).map(|n| 1 + n * step).take_while(|n| hit(*n)).count()
}

/// `quell log` on numbered lines, with small files, under strace with these options.
fn log_under_strace(folder: &Folder, options: &[&str], args: &[&str]) -> Done {
    let input = folder.write("input", lines(1..=LINES));
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-qq", "-s", "0", "-o"]).arg(folder.join("trace")).args(options);
    command.args([QUELL, "log", "--rotate", "4KiB", "--compress", "none", "--stamp", "none"]).args(args);
    finish(command.arg(folder.join("log")).stdin(File::open(input).unwrap()))
}

/// How many bytes write(2) is known to have put into the main log before the kill.
fn acknowledged(trace: &Path) -> usize {
    let mut pending = HashMap::new();
    let mut bytes = 0;
    for row in std::fs::read_to_string(trace).unwrap().lines() {
        let (thread, call) = row.split_once(' ').unwrap();
        if call.trim_start().starts_with("write(") {
            pending.insert(thread, call.contains("/log/current>"));
        }
        let returned = call.rsplit_once(" = ").and_then(|(_, result)| result.trim().parse::<usize>().ok());
        if call.contains("write") && pending.get(thread) == Some(&true) {
            bytes += returned.unwrap_or(0);
        }
    }
    bytes
}

/// A6, A7, A8: killed at any call of a rotating log, and started again, it has lost no written line, doubled none and glued
/// none; critical lines stand in both places.
#[test]
#[serial]
fn a_kill_at_any_call_loses_nothing_that_was_written() {
    let mut killed = 0;
    for call in ["write", "openat", "renameat", "fsync", "fdatasync", "unlinkat", "fchmod", "mkdirat", "ftruncate"] {
        killed += points(|n| {
            let folder = Folder::new();
            let context = format!("killed at {call} {n}");
            let trace = format!("trace=write,{call}");
            let inject = format!("inject={call}:signal=KILL:when={n}");
            let done = log_under_strace(&folder, &["-e", &trace, "-e", &inject], &[]);
            if done.status.signal().is_none() {
                assert_eq!(done.code(), 0, "{context}: {}", done.stderr);
                return false;
            }
            let log = folder.join("log");
            let written = acknowledged(&folder.join("trace"));
            let before = present(&log);
            let found = numbers(whole(&before), &context);
            let last = found.last().copied().unwrap_or(0);
            assert!(before.len() >= written, "{context}: {written} bytes written, {} there", before.len());
            assert_eq!(found, (1..=last).collect::<Vec<_>>(), "{context}");

            let rest = folder.write("rest", lines(last + 1..=LINES));
            let mut again = Command::new(QUELL);
            again.args(["log", "--rotate", "4KiB", "--compress", "none", "--stamp", "none"]).arg(&log);
            let done = finish(again.stdin(File::open(rest).unwrap()));
            assert_eq!(done.code(), 0, "{context}: {}", done.stderr);
            assert_eq!(numbers(&contents(&log), &context), (1..=LINES).collect::<Vec<_>>(), "{context}");
            let critical: BTreeSet<u32> = numbers(&contents(&log.join("critical")), &context).into_iter().collect();
            assert_eq!(critical, (10..=LINES).step_by(10).collect(), "{context}");
            let left: Vec<_> = names(&log).into_iter().filter(|name| name.ends_with(".new")).collect();
            assert_eq!(left, Vec::<String>::new(), "{context}: temporary files are cleaned up");
            Ledger::of(&log);
            true
        });
    }
    assert!(killed >= 20, "{killed} points");
}

/// What stands in the archives and in `current`, where there is one.
fn present(log: &Path) -> Vec<u8> {
    let mut all: Vec<u8> = archives(log).iter().flat_map(|name| std::fs::read(log.join(name)).unwrap()).collect();
    all.extend(std::fs::read(log.join("current")).unwrap_or_default());
    all
}

/// The bytes up to the last newline.
fn whole(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1)]
}

/// A1, A2, A11, C9, D3: each call of the log fails once, or from some point on, with each error: there is no panic and no
/// hang, no line is doubled or glued, and the ledger says just what is there.
#[test]
#[serial]
fn errors_at_any_call_are_survived_and_accounted_for() {
    let calls =
        ["write", "openat", "renameat", "fsync", "fdatasync", "unlinkat", "fchmod", "mkdirat", "ftruncate", "read"];
    let mut tried = 0;
    for (call, error) in calls.into_iter().flat_map(|call| ERRORS.map(|error| (call, error))) {
        for lasting in ["", "+"] {
            tried += points(|n| one_error(call, error, n, lasting));
        }
    }
    assert!(tried >= 100, "{tried} points");
}

const ERRORS: [&str; 5] = ["ENOSPC", "EIO", "EINTR", "EAGAIN", "EMFILE"];

/// One point of the sweep; false when there was no such call.
fn one_error(call: &str, error: &str, n: usize, lasting: &str) -> bool {
    if lasting == "+" && matches!(error, "EINTR" | "EAGAIN") {
        return false; // An interruption for good is no fault of any kernel.
    }
    let folder = Folder::new();
    let context = format!("{call} {n}{lasting} {error}");
    let trace = format!("trace={call}");
    let inject = format!("inject={call}:error={error}:when={n}{lasting}");
    // What concerns the directory's files; what is synced bears other names by then.
    let [dir, current, critical, copies] =
        ["log", "log/current", "log/critical", "log/critical/current"].map(|p| folder.join(p));
    let mut options = vec!["-e", &trace, "-e", &inject];
    let paths = [&dir, &current, &critical, &copies].map(|path| path.to_str().unwrap());
    let input = folder.join("input");
    let sync = matches!(call, "fsync" | "fdatasync" | "fchmod" | "ftruncate");
    for path in paths.iter().filter(|_| !sync && call != "read") {
        options.extend(["-P", path]);
    }
    if call == "read" {
        options.extend(["-P", input.to_str().unwrap()]);
    }
    let done = log_under_strace(&folder, &options, &["--overflow", "drop", "--stats=json"]);
    let injected = std::fs::read_to_string(folder.join("trace")).unwrap().contains("(INJECTED)");
    assert!(!done.stderr.contains("panicked at src") && done.status.signal().is_none(), "{context}: {}", done.stderr);
    let log = folder.join("log");
    let found = numbers(&present(&log), &context);
    assert!(found.is_sorted_by(|a, b| a < b), "{context}: {found:?}");
    if let Some(ledger) = done.stderr.lines().find(|line| line.starts_with('{')).map(Ledger::new) {
        let there = found.len() as u64;
        // To make room, an archive goes: what stood in it had been written.
        let trimmed = done.stderr.contains("deleted @");
        assert!(
            ledger.lines("written") == there || (trimmed && ledger.lines("written") > there),
            "{context}: {}",
            done.stderr
        );
        assert!(ledger.lines("in") == u64::from(LINES) || call == "read", "{context}: {}", done.stderr);
        assert!(ledger.lines("dropped") == 0 || done.stderr.contains("dropped"), "{context}: {}", done.stderr);
    } else {
        assert!(done.code() != 0 && done.stderr.contains("quell: "), "{context}: {}", done.stderr);
    }
    injected
}
