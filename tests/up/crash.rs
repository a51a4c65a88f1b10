//! Kills of quell and of its workers, at any moment: each task whose put was acknowledged is done, and no more of them twice
//! than a kill had under way. A hundredth of it; all of it with `QUELL_TEST_WHOLE=1`, which also tells what it measured.

use super::long::{report, share};
use super::oracle::{Oracle, at_rest, moment, put_by_command};
use super::{Up, children, configure};
use crate::harness::{Dice, Folder};
use nix::sys::signal::Signal;
use quell::runtime::client::Client;
use quell::sys::reap::Process;
use serial_test::serial;
use std::time::{Duration, Instant};

const KILLS: u32 = 1000;
const TASKS: u32 = 1_000_000;
const SLOTS: usize = 4;
const TRIES: usize = 3;
/// So many tasks wait at most.
const AHEAD: usize = 2000;
/// So long after a try was told of there is a kill, at most.
const MOMENT: Duration = Duration::from_millis(3);

/// A supervisor that is killed again and again, and what may have come of that.
struct Scene {
    up: Up,
    oracle: Oracle,
    dice: Dice,
    kills: u32,
    /// So many tasks were under way at the kills, and may be done once more.
    under_way: usize,
}

impl Scene {
    /// Kills something.
    fn kill(mut self) -> Scene {
        self.kills += 1;
        moment(&self.up, &mut self.dice, MOMENT);
        match self.dice.roll(2) {
            0 => self.kill_worker(),
            _ => self.kill_quell(),
        }
    }

    fn kill_worker(mut self) -> Scene {
        self.under_way += 1;
        let quell = self.up.pid();
        let mut running = children(quell);
        let worker = loop {
            running.retain(|seen| seen.state != "Z");
            if running.is_empty() {
                running = children(quell);
                continue;
            }
            let seen = running.swap_remove(self.dice.roll(running.len()));
            let worker = Process::open(seen.pid).ok();
            // It may have ended, and its number be another's.
            match worker.filter(|_| children(quell).iter().any(|child| child.pid == seen.pid)) {
                Some(worker) => break worker,
                None => running = children(quell),
            }
        };
        // Or it ends just now.
        let _ = worker.signal(libc::SIGKILL);
        self
    }

    /// Kills the supervisor; another comes, which may be killed before it serves, and tasks may be put past both.
    fn kill_quell(mut self) -> Scene {
        self.up.signal(Signal::SIGKILL);
        self.up.end();
        self.under_way += SLOTS;
        let config = self.up.folder.join("quell.toml");
        let past = (self.dice.roll(4) == 0).then(|| std::thread::spawn(move || put_by_command(&config)));
        self.up = self.up.again();
        if self.dice.roll(4) == 0 {
            self.up.until("quell: up, pid");
            return self.kill_quell();
        }
        self.up.until("all workers are up");
        self.oracle.served();
        past.into_iter().for_each(|past| self.oracle.acknowledge(past.join().unwrap()));
        self
    }
}

/// E2, E3, E4: whatever is killed, and whenever, no task is lost whose put was acknowledged; no more of them are done twice
/// than were under way at the kills, no try of a task is made twice, and what kills its worker is tried so often and no more.
#[test]
#[serial]
fn kills() {
    let (folder, oracle) = (Folder::new(), Oracle::new());
    let retry = format!("retry = {{ tries = {TRIES}, first = \"1ms\", max = \"10ms\" }}");
    let path = configure(&folder, &oracle.exec("never", &format!("slots = {{ total = {SLOTS} }}\n{retry}")));
    let socket = folder.join("state/quell.sock");
    let mut up = Up::of(folder, path);
    up.until("all workers are up");
    oracle.served();
    let putter = oracle.putter(socket.clone(), 7, AHEAD);
    let (kills, tasks) = (share(KILLS), share(TASKS) as usize);
    let between = tasks / kills as usize;
    let mut scene = Scene { up, oracle, dice: Dice(0x9e37_79b9_7f4a_7c15), kills: 0, under_way: 0 };
    let began = Instant::now();
    for number in 0..kills as usize {
        let count = number * between + scene.dice.roll(between);
        drop(scene.oracle.until("more are begun", |known| known.tries.len() > count));
        scene = scene.kill();
    }
    let Scene { mut up, oracle, kills, under_way, .. } = scene;
    drop(oracle.until("all are begun", |known| known.tries.len() >= tasks));
    oracle.enough();
    putter.join().unwrap();
    let took = began.elapsed();
    let left = at_rest(&mut Client::connect(&socket).unwrap());
    up.down();
    let ended = (left.done + left.queue.buried) as usize;
    let known = oracle.until("all that has ended was told of", |known| known.tries.len() == ended);
    let lost: Vec<_> = known.acknowledged.iter().filter(|id| !known.tries.contains_key(id)).collect();
    assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), known.acknowledged.len());
    let duplicates = known.duplicates();
    report(&format!(
        "{} kills over {ended} tasks in {took:?}: {duplicates} done once more, {under_way} were under way; {} of poison",
        kills,
        known.poison.len()
    ));
    assert!(duplicates <= under_way, "{duplicates} done once more, and {under_way} were under way");
    for (id, tries) in &known.tries {
        let distinct: std::collections::HashSet<_> = tries.iter().collect();
        assert_eq!(distinct.len(), tries.len(), "task {id}: a try was made twice: {tries:?}");
        assert!(tries.iter().all(|attempt| *attempt as usize <= TRIES), "task {id}: {tries:?}");
    }
    assert_eq!((left.queue.buried as usize, left.queue.damaged), (known.poison.len(), 0));
}
