//! Whose are the processes below us: those of a worker that have lost their parent are handed to us (a subreaper), and all
//! of them look alike. Each carries in its environment which life of which worker it comes from; where it has hidden that,
//! the session that it is in says it, and what it hangs below. Without `/proc` nobody is found.

use super::launch::{SUPERVISOR, WORKER};
use crate::sys::proc::{self, Named, Stat};
use crate::sys::reap::Process;
use std::collections::{HashMap, HashSet};
use std::io;

/// Rounds of stopping what forks faster than it is found, until it is killed as far as it was.
const ROUNDS_MAX: usize = 64;
/// So many rounds without anything new are the end, though something does not stop (it waits for a disk).
const QUIET_ROUNDS: usize = 3;
/// How often what was born meanwhile is looked for again.
const PASSES_MAX: usize = 4;

/// One life of one worker, from a start to the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Life {
    /// The worker's name, with its number where there are several.
    pub worker: String,
    /// The number of its life.
    pub nonce: u64,
}

impl Life {
    /// As it stands in the environment: `NAME.NONCE`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Life> {
        let (worker, nonce) = text.rsplit_once('.')?;
        Some(Life { worker: worker.to_owned(), nonce: nonce.parse().ok()? })
    }
}

impl std::fmt::Display for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.worker, self.nonce)
    }
}

/// A process below us that is no worker's main one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// What is known of it.
    pub stat: Stat,
    /// Whose it is, where that can be known.
    pub life: Option<Life>,
}

/// Whose process that is, by its environment; none where it is nobody's of the state directory with this mark.
#[must_use]
pub fn whose(pid: i32, mark: &str) -> Option<Life> {
    let [worker, supervisor] = proc::variables(pid, [WORKER, SUPERVISOR]);
    // A worker may be a supervisor itself, whose own workers are none of ours.
    worker.filter(|_| supervisor.as_deref() == Some(mark)).and_then(|worker| Life::parse(&worker))
}

/// All children that are no mains, and what is below them, each behind its parent; those that have ended are left out.
/// `mains` are the processes that the workers began with, and those of stop and reload commands. One that has ended may
/// stay among them as long as its session is to be known.
#[must_use]
pub fn sweep(mark: &str, mains: &HashMap<i32, Life>) -> Vec<Orphan> {
    let ourselves = std::process::id() as i32;
    let found = proc::descendants(ourselves, |pid| mains.contains_key(&pid));
    assign(found, mains, |pid| whose(pid, mark))
}

/// Whose each is: a process counts with the one that it is below.
fn assign(found: Vec<Stat>, mains: &HashMap<i32, Life>, whose: impl Fn(i32) -> Option<Life>) -> Vec<Orphan> {
    let mut lives: HashMap<i32, Life> = HashMap::new();
    let mut orphans = Vec::with_capacity(found.len());
    for stat in found {
        let known = mains.get(&stat.pid).or_else(|| lives.get(&stat.parent)).cloned();
        let life = known.or_else(|| whose(stat.pid)).or_else(|| mains.get(&stat.session).cloned());
        if let Some(life) = &life {
            lives.insert(stat.pid, life.clone());
        }
        orphans.push(Orphan { stat, life });
    }
    orphans
}

impl Orphan {
    /// Signals it, if it is still the process that was found: its number may have been given to another since. Whether it
    /// was there.
    ///
    /// # Errors
    /// As pidfd_open(2) and pidfd_send_signal(2).
    pub fn signal(&self, number: i32) -> io::Result<bool> {
        let process = match Process::open(self.stat.pid) {
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => return Ok(false),
            process => process?,
        };
        // The descriptor holds whoever has the number now; is it still this one, it stays this one.
        let is_same = proc::stat(self.stat.pid).is_some_and(|now| now.started == self.stat.started);
        if is_same {
            process.signal(number)?;
        }
        Ok(is_same)
    }

    /// Its number and when it began: what no other process has.
    #[must_use]
    pub fn key(&self) -> (i32, u64) {
        (self.stat.pid, self.stat.started)
    }
}

/// What came of killing.
#[derive(Debug, Default)]
pub struct Killed {
    /// Who was killed.
    pub killed: Vec<Named>,
    /// Who could not be, and why.
    pub refused: Vec<(Named, io::Error)>,
    /// Nothing new was found at the end. Where it is not so, it forks faster than it is killed: try again.
    pub is_complete: bool,
}

/// Kills what is left of lives, main processes and all. They are stopped first, until nothing new appears: what forks is
/// found by nobody who kills one after the other. It takes a bounded time, and reaps nobody.
#[must_use]
pub fn kill_tree(mark: &str, mains: &HashMap<i32, Life>, is_guilty: impl Fn(&Life) -> bool) -> Killed {
    let innocent: HashMap<i32, Life> =
        mains.iter().filter(|(_, life)| !is_guilty(life)).map(|(pid, life)| (*pid, life.clone())).collect();
    let look = || {
        let ourselves = std::process::id() as i32;
        let found = proc::descendants(ourselves, |pid| innocent.contains_key(&pid));
        let mut orphans = assign(found, mains, |pid| whose(pid, mark));
        orphans.retain(|orphan| orphan.life.as_ref().is_some_and(&is_guilty));
        orphans
    };
    let mut killed = Killed::default();
    let mut done = HashSet::new();
    for _ in 0..PASSES_MAX {
        let stopped = stop(look, &done);
        killed.is_complete = stopped.is_empty();
        if killed.is_complete {
            break;
        }
        for orphan in stopped {
            done.insert(orphan.key());
            match orphan.signal(libc::SIGKILL) {
                Ok(true) => killed.killed.push(orphan.stat.named()),
                Ok(false) => {}
                Err(e) => killed.refused.push((orphan.stat.named(), e)),
            }
        }
    }
    killed
}

/// Stops all that is found, until nothing new is; all but those that are done with.
fn stop(look: impl Fn() -> Vec<Orphan>, done: &HashSet<(i32, u64)>) -> Vec<Orphan> {
    let mut stopped: HashMap<(i32, u64), Orphan> = HashMap::new();
    let mut quiet = 0;
    for _ in 0..ROUNDS_MAX {
        let mut found = look();
        found.retain(|orphan| !done.contains(&orphan.key()));
        // One that is not stopped yet may be in the middle of a fork.
        let is_settled = found.iter().all(|orphan| orphan.stat.is_stopped);
        let before = stopped.len();
        for orphan in found {
            stopped.entry(orphan.key()).or_insert_with(|| {
                // A refusal is told when it is killed.
                let _ = orphan.signal(libc::SIGSTOP);
                orphan
            });
        }
        quiet = if stopped.len() == before { quiet + 1 } else { 0 };
        if quiet == QUIET_ROUNDS || (quiet > 0 && is_settled) {
            break;
        }
    }
    stopped.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(worker: &str, nonce: u64) -> Life {
        Life { worker: worker.into(), nonce }
    }

    fn stat(pid: i32, parent: i32, session: i32) -> Stat {
        Stat {
            pid,
            name: format!("p{pid}"),
            parent,
            session,
            started: 0,
            is_stopped: false,
            is_ending: false,
            has_ended: false,
        }
    }

    #[test]
    fn lives_in_an_environment() {
        assert_eq!(Life::parse("web.17"), Some(life("web", 17)));
        assert_eq!(Life::parse("web.api.2.17"), Some(life("web.api.2", 17)));
        assert_eq!((Life::parse("web"), Life::parse("web.x"), Life::parse("")), (None, None, None));
    }

    #[test]
    fn a_process_counts_with_the_one_above_it() {
        let mains = HashMap::from([(10, life("a", 1)), (20, life("b", 2))]);
        let found = vec![
            stat(30, 1, 30),
            stat(31, 30, 31),
            stat(40, 1, 20),
            stat(50, 1, 50),
            stat(10, 1, 10),
            stat(11, 10, 10),
        ];
        let whose = |pid| (pid == 30).then(|| life("c", 3));
        let lives: Vec<_> = assign(found, &mains, whose).into_iter().map(|orphan| orphan.life).collect();
        let (a, b, c) = (Some(life("a", 1)), Some(life("b", 2)), Some(life("c", 3)));
        assert_eq!(lives, [c.clone(), c, b, None, a.clone(), a]);
    }

    #[test]
    fn what_forks_is_stopped_until_nothing_new_appears() {
        let round = std::cell::Cell::new(0);
        // None of them is there to be signalled: the numbers are above any that the kernel gives.
        let born = |pid: i32| Orphan { stat: stat(i32::MAX - pid, 1, 1), life: None };
        let look = || {
            round.set(round.get() + 1);
            (0..=round.get().min(5)).map(born).collect()
        };
        let done = HashSet::from([born(0).key()]);
        assert_eq!(stop(look, &done).len(), 5);
        assert_eq!(round.get(), 5 + QUIET_ROUNDS as i32);
        // What never ends is left in the end.
        let endless = || {
            round.set(round.get() + 1);
            (0..=round.get()).map(born).collect()
        };
        round.set(0);
        assert_eq!(stop(endless, &done).len(), ROUNDS_MAX);
    }
}
