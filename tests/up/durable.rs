//! The disk that tasks are stored on: the power fails, or no space is left. What was acknowledged is there afterwards. A
//! fiftieth of the power cuts; all of them with `QUELL_TEST_WHOLE=1`, which also tells what it measured.

use super::Up;
use super::long::{is_whole, report};
use super::loopback::Disk;
use super::oracle::{Hands, Oracle, at_rest, moment, put, stored};
use crate::harness::{Dice, Folder, quell, wait};
use nix::sys::signal::Signal;
use quell::runtime::client::Client;
use serial_test::serial;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// So many put at once, so that they share commits.
const PUTTERS: u64 = 4;
/// So many tasks wait at most.
const AHEAD: usize = 200;
/// So many more are acknowledged between two power cuts, at most.
const BETWEEN: usize = 150;
/// So long after that the power fails, at most.
const MOMENT: Duration = Duration::from_millis(20);

fn cuts() -> u32 {
    if is_whole() { 200 } else { 4 }
}

/// A configuration whose state is on another disk.
fn configure(folder: &Folder, state: &Path, tables: &str) -> PathBuf {
    let log = folder.join("log");
    let head = format!("quell.state = \"{}\"\nlog.dir = \"{}\"\n", state.display(), log.display());
    folder.write("quell.toml", head + tables)
}

/// What was acknowledged is stored.
fn check(acknowledged: &BTreeSet<u64>, state: &Path) {
    let there = stored(&mut Client::connect(&state.join("quell.sock")).unwrap());
    let lost: Vec<_> = acknowledged.difference(&there).collect();
    assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), acknowledged.len());
}

/// E2: the power fails again and again while tasks are put and done. Each whose put was acknowledged is in the store, and all
/// of them are done in the end.
#[test]
#[serial]
fn power_cuts() {
    let (folder, oracle) = (Folder::new(), Oracle::new());
    let disk = Disk::new(&folder);
    let state = disk.at.join("state");
    let path = configure(&folder, &state, &oracle.tables(Hands::Exec { slots: 2 }, "always", ""));
    let socket = state.join("quell.sock");
    let putters: Vec<_> = (1..=PUTTERS).map(|seed| oracle.putter(socket.clone(), seed, AHEAD)).collect();
    let (mut up, mut dice, began) = (Up::of(folder, path), Dice(0x9e37_79b9_7f4a_7c15), Instant::now());
    for _ in 0..cuts() {
        up.until("all workers are up");
        let before = oracle.until("what is known", |_| true).acknowledged.clone();
        check(&before, &state);
        oracle.served();
        let count = before.len() + dice.roll(BETWEEN);
        drop(oracle.until("more are acknowledged", |known| known.acknowledged.len() > count));
        moment(&up, &mut dice, MOMENT);
        disk.cut();
        up.signal(Signal::SIGKILL);
        up.end();
        disk.restore();
        up = up.again();
    }
    oracle.enough();
    putters.into_iter().for_each(|putter| putter.join().unwrap());
    up.until("all workers are up");
    let known = oracle.until("what is known", |_| true);
    let acknowledged = known.acknowledged.clone();
    drop(known);
    check(&acknowledged, &state);
    let left = at_rest(&mut Client::connect(&socket).unwrap());
    assert_eq!(left.queue.damaged, 0);
    drop(oracle.until("all are done", |known| known.acknowledged.iter().all(|id| known.tries.contains_key(id))));
    report(&format!("{} power cuts in {:?}: {} tasks acknowledged", cuts(), began.elapsed(), acknowledged.len()));
    up.down();
}

/// E2: the power fails while tasks are put where no supervisor runs: the next one finds those whose numbers were printed.
#[test]
#[serial]
fn a_power_cut_while_no_supervisor_runs() {
    let (folder, oracle) = (Folder::new(), Oracle::new());
    let disk = Disk::new(&folder);
    let state = disk.at.join("state");
    let path = configure(&folder, &state, &oracle.tables(Hands::Exec { slots: 1 }, "always", ""));
    let mut command = quell();
    command.args(["put", "jobs", "--stdin", "-c"]).arg(&path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Until it has gone.
    let feeder = std::thread::spawn(move || while stdin.write_all(b"good\n").is_ok() {});
    let mut printed = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap().parse().unwrap());
    let mut acknowledged: BTreeSet<u64> = printed.by_ref().take(1000).collect();
    disk.cut();
    acknowledged.extend(printed);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(wait(&mut child).code(), Some(1), "{said}");
    assert!(said.contains("store.db"), "{said}");
    feeder.join().unwrap();
    disk.restore();
    let mut up = Up::of(folder, path);
    up.until("all workers are up");
    check(&acknowledged, &state);
    up.down();
}

/// E6: no space is left on the disk: the put is refused and says why, nothing is lost that was acknowledged, what is under way
/// waits, and all goes on when there is space again.
#[test]
#[serial]
fn a_full_disk() {
    let (folder, oracle) = (Folder::new(), Oracle::new());
    let disk = crate::disk::Disk::new("size=2m,mode=700");
    let state = disk.0.path().to_owned();
    let filler = disk.0.write("filler", vec![0; 1 << 20]);
    let path = configure(&folder, &state, &oracle.tables(Hands::Exec { slots: 1 }, "always", ""));
    let mut up = Up::of(folder, path);
    up.until("all workers are up");
    up.must(&["queue", "pause", "jobs"]);
    let mut client = Client::connect(&state.join("quell.sock")).unwrap();
    let large = "good ".repeat(1000);
    let refusal = loop {
        match put(&mut client, &[&large]) {
            Ok(ids) => oracle.acknowledge(ids),
            Err(refusal) => break refusal,
        }
    };
    assert!(refusal.contains("Full") && refusal.contains("no space is left on the disk"), "{refusal}");
    let refused = up.ask(&["put", "jobs", &large]);
    assert!(refused.code() == 1 && refused.stderr.contains("no space is left on the disk"), "{refused:?}");
    let acknowledged = oracle.until("what is known", |_| true).acknowledged.clone();
    assert!(acknowledged.len() > 10, "{acknowledged:?}");
    check(&acknowledged, &state);
    std::fs::remove_file(filler).unwrap();
    oracle.acknowledge(put(&mut client, &[&large]).unwrap());
    up.must(&["queue", "resume", "jobs"]);
    drop(oracle.until("all are done", |known| known.acknowledged.iter().all(|id| known.tries.contains_key(id))));
    let left = at_rest(&mut client);
    assert_eq!((left.done as usize, left.queue.buried), (acknowledged.len() + 1, 0));
    up.down();
}
