//! Kills of quell and of its workers, at any moment: each task whose put was acknowledged is done, and no more of them twice
//! than a kill had under way. A hundredth of it; all of it with `QUELL_TEST_WHOLE=1`, which also tells what it measured.

use super::long::{report, share};
use super::oracle::{Hands, Oracle, at_rest, moment, put_by_command};
use super::{Up, children, configure};
use crate::harness::{Dice, Folder};
use nix::sys::signal::Signal;
use quell::control::queue::QueueStatus;
use quell::runtime::client::Client;
use quell::sys::reap::Process;
use serial_test::serial;
use std::collections::HashSet;
use std::time::{Duration, Instant};

const KILLS: u32 = 1000;
/// So many at once.
const HANDS: u32 = 4;
/// A task that is under way when quell is killed has had a try, whatever it did: none is to have so many by bad luck.
const TRIES: usize = 8;
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
        self.count_under_way();
        let config = self.up.folder.join("quell.toml");
        let past = (self.dice.roll(4) == 0).then(|| std::thread::spawn(move || put_by_command(&config)));
        self.up = self.up.again();
        self.up.until("all workers are up");
        past.into_iter().for_each(|past| self.oracle.acknowledge(past.join().unwrap()));
        if self.dice.roll(8) == 0 {
            self.kills += 1;
            return self.kill_quell();
        }
        self.oracle.served();
        self
    }

    /// Adds what this supervisor has found under way, which it may say at any time of its life: some lived on for a moment.
    fn count_under_way(&mut self) {
        self.under_way += self.up.heard().iter().filter(|line| line.contains("quell ended")).count();
    }

    /// Holds what was done against what was promised, when nothing is left to be done; in short, what has happened.
    fn judge(&self, left: &QueueStatus) -> String {
        let ended = (left.done + left.queue.buried) as usize;
        let known = self.oracle.until("all that has ended was told of", |known| known.tries.len() == ended);
        let lost: Vec<_> = known.acknowledged.iter().filter(|id| !known.tries.contains_key(id)).collect();
        assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), known.acknowledged.len());
        for (id, tries) in &known.tries {
            let distinct: HashSet<_> = tries.iter().collect();
            assert_eq!(distinct.len(), tries.len(), "task {id}: a try was made twice: {tries:?}");
            assert!(tries.iter().all(|attempt| *attempt as usize <= TRIES), "task {id}: {tries:?}");
        }
        let (duplicates, poison) = (known.duplicates(), known.poison.len());
        assert!(duplicates <= self.under_way, "{duplicates} done once more, of {} under way", self.under_way);
        assert_eq!((left.queue.buried as usize, left.queue.damaged), (poison, 0));
        format!(
            "{} kills over {ended} tasks: {duplicates} done once more, of {} under way; {poison} of poison",
            self.kills, self.under_way
        )
    }
}

/// Kills so often over so many tasks, and looks at what has come of it.
fn kill_over(hands: Hands, kills: u32, tasks: usize) {
    let (folder, oracle) = (Folder::new(), Oracle::new());
    let retry = format!("retry = {{ tries = {TRIES}, first = \"1ms\", max = \"10ms\" }}");
    let path = configure(&folder, &oracle.tables(hands, "never", &retry));
    let socket = folder.join("state/quell.sock");
    let mut up = Up::of(folder, path);
    up.until("all workers are up");
    oracle.served();
    let putter = oracle.putter(socket.clone(), 7, AHEAD);
    let between = tasks / kills as usize;
    let mut scene = Scene { up, oracle, dice: Dice(0x9e37_79b9_7f4a_7c15), kills: 0, under_way: 0 };
    let began = Instant::now();
    for number in 0..kills as usize {
        let count = number * between + scene.dice.roll(between);
        drop(scene.oracle.until("more are begun", |known| known.tries.len() > count));
        scene = scene.kill();
    }
    drop(scene.oracle.until("all are begun", |known| known.tries.len() >= tasks));
    scene.oracle.enough();
    putter.join().unwrap();
    let took = began.elapsed();
    let left = at_rest(&mut Client::connect(&socket).unwrap());
    scene.up.down();
    scene.count_under_way();
    let said = scene.judge(&left);
    report(&format!("in {took:?} {said}"));
}

/// E2, E3, E4: whatever is killed, and whenever, no task is lost whose put was acknowledged; no more of them are done twice
/// than were under way at the kills, no try of a task is made twice, and what kills its worker is tried so often and no more.
#[test]
#[serial]
fn kills() {
    kill_over(Hands::Lines { instances: HANDS }, share(KILLS), share(1_000_000) as usize);
}

/// E2, E3, E4: the same where each task has a process of its own.
#[test]
#[serial]
fn kills_of_processes_with_one_task() {
    kill_over(Hands::Exec { slots: HANDS }, share(KILLS), share(200_000) as usize);
}
