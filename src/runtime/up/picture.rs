//! How things are: the one status, made of what the supervisor knows, what the planes last said, and `/proc`.

use super::events::how;
use super::{Last, Up, Worker};
use crate::clock::Now;
use crate::control::status;
use crate::control::status::{
    Count, Exit, Lines, Log, Process as Shown, Quell, Rule, Rung, StartedFor, State, Status, Stop, Wanted,
    Worker as Picture,
};
use crate::log::ledger;
use crate::supervisor::Member;
use crate::sys::proc::Named;
use crate::sys::reap::Process;
use crate::sys::usage;
use crate::worker::WorkerId;
use crate::worker::lifecycle::{self, Want};
use crate::worker::outcome::Outcome;
use std::collections::HashMap;
use std::time::Duration;

pub(super) fn word(state: State) -> &'static str {
    state.word()
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn count(count: ledger::Count) -> Count {
    Count { lines: count.lines, bytes: count.bytes }
}

/// What a process used so lately is not looked at again.
const USAGE_FRESH: Duration = Duration::from_millis(200);
/// What is shown of it is never older.
const USAGE_OLDEST: Duration = Duration::from_secs(2);
/// How many processes a status looks at where what is known of them is not too old: under a flood a thousand looks cost
/// the loop its turn, and who asks again and again is to be answered at once.
const USAGE_LOOKS: usize = 8;

impl Up<'_> {
    pub(super) fn picture(&self, ids: &[WorkerId], now: Now) -> Status {
        let phase = match self.supervisor.phase() {
            crate::supervisor::Phase::Starting => status::Phase::Starting,
            crate::supervisor::Phase::Running => status::Phase::Running,
            crate::supervisor::Phase::Stopping => status::Phase::Stopping,
        };
        let quell = Quell {
            pid: std::process::id() as i32,
            version: env!("CARGO_PKG_VERSION").into(),
            since: self.since.wall,
            phase,
            config: self.configuration.path.clone(),
            state: self.state.path().display().to_string(),
        };
        self.look_at_usage(ids, now);
        let stopping: Vec<_> = ids.iter().copied().filter(|id| self.is_stopping(*id)).collect();
        let mut left: HashMap<_, _> = stopping.iter().copied().zip(self.left_of_each(&stopping)).collect();
        let workers = ids.iter().filter_map(|id| {
            let (member, worker) = self.supervisor.member(*id).zip(self.workers.get(id))?;
            let stop = stop_of(member, left.remove(id).unwrap_or_default());
            Some(self.picture_of(*id, member, worker, stop, now))
        });
        Status { quell, workers: workers.collect(), queues: self.queues_in_short() }
    }

    /// Looks at what the processes of these workers use, at those first that nobody has looked at for longest.
    fn look_at_usage(&self, ids: &[WorkerId], now: Now) {
        let seen = |worker: &Worker| worker.usage.get().filter(|(_, nonce, _)| *nonce == worker.nonce);
        let age = |worker: &Worker| seen(worker).map_or(Duration::MAX, |(at, ..)| now.tick.until(at));
        let workers = ids.iter().filter_map(|id| self.workers.get(id));
        let mut old: Vec<_> = workers
            .filter_map(|worker| Some((age(worker), worker.process.as_ref()?.pid(), worker)))
            .filter(|(age, ..)| *age >= USAGE_FRESH)
            .collect();
        old.sort_by_key(|(age, ..)| std::cmp::Reverse(*age));
        let due = old.iter().enumerate().take_while(|(n, (age, ..))| *n < USAGE_LOOKS || *age >= USAGE_OLDEST);
        for (_, (_, pid, worker)) in due {
            worker.usage.set(usage::of(*pid).map(|usage| (now.tick, worker.nonce, usage)));
        }
    }

    pub(super) fn shown_state(&self, id: WorkerId) -> State {
        let Some(member) = self.supervisor.member(id) else { return State::Down };
        let by_task = |worker: &&Worker| worker.is_by_task(&self.configuration);
        if let Some(worker) = self.workers.get(&id).filter(by_task).filter(|_| member.life.is_at_rest()) {
            let is_open = self.tasks.as_ref().is_some_and(|tasks| tasks.is_open(&worker.of));
            return if is_open { State::Waiting } else { State::Down };
        }
        match member.life.state {
            lifecycle::State::Down if self.waits_for_event(id) => State::Waiting,
            lifecycle::State::Down if member.life.is_done() => State::Done,
            lifecycle::State::Down if member.desired == Want::Up => State::Waiting,
            lifecycle::State::Down => State::Down,
            lifecycle::State::Starting => State::Starting,
            lifecycle::State::Up => State::Up,
            lifecycle::State::Stopping(_) => State::Stopping,
            lifecycle::State::Backoff => State::Backoff,
            lifecycle::State::Failed => State::Failed,
        }
    }

    fn waits_for_event(&self, id: WorkerId) -> bool {
        let waits = |worker| !self.configuration.table(worker).keys.start_on.value.is_empty();
        self.workers.get(&id).is_some_and(|worker| waits(worker) && !self.watches.holds(&worker.of))
    }

    /// Whether somebody has stopped a worker.
    fn is_held(&self, member: &Member, worker: &Worker) -> bool {
        if worker.is_by_task(&self.configuration) {
            return self.tasks.as_ref().is_some_and(|tasks| !tasks.is_open(&worker.of));
        }
        let waits = !self.configuration.table(worker).keys.start_on.value.is_empty();
        if waits { self.watches.holds(&worker.of) } else { member.desired == Want::Down }
    }

    /// What a slot is about.
    fn task_of(&self, worker: &Worker) -> Option<String> {
        worker.slot?;
        let queues = || self.configuration.table(worker).keys.given().collect::<Vec<_>>().join(", ");
        let at_hand: Vec<_> = worker.at_hand().collect();
        Some(match &at_hand[..] {
            [task] => format!("task {}, try {}", task.id, task.attempt),
            [first, ..] => format!("{} tasks, the first is {}", at_hand.len(), first.id),
            [] => format!("waits for tasks of {}", queues()),
        })
    }

    fn why(&self, id: WorkerId, worker: &Worker) -> Option<String> {
        if let Some(text) = self.task_of(worker) {
            return Some(text);
        }
        let waiting = worker.snapshot.as_ref().and_then(|snapshot| snapshot.1.waiting.clone());
        match self.shown_state(id) {
            State::Waiting => {
                let needs: Vec<_> = self.supervisor.waits_for(id).collect();
                match (needs.is_empty(), self.waits_for_disk(id)) {
                    (false, _) => Some(format!("waits for {}", needs.join(", "))),
                    (true, Some(disk)) => Some(disk),
                    (true, None) if self.waits_for_event(id) => Some("waits for its start_on".into()),
                    (true, None) => worker.why.as_deref().map(Into::into),
                }
            }
            _ => worker.why.as_deref().map(Into::into).or(waiting),
        }
    }

    fn picture_of(&self, id: WorkerId, member: &Member, worker: &Worker, stop: Option<Stop>, now: Now) -> Picture {
        let pid = worker.process.as_ref().map(Process::pid);
        let usage = worker.usage.get().map(|(.., usage)| usage).filter(|_| pid.is_some());
        let snapshot = worker.snapshot.as_deref();
        let lines = snapshot.map(|(_, snapshot)| {
            let tally = &snapshot.tally;
            Lines {
                read: count(tally.read),
                kept: count(tally.written),
                suppressed: count(tally.suppressed),
                dropped: count(tally.dropped),
                top_rule: snapshot.top_rule.as_ref().map(|(rule, count)| Rule {
                    list: rule.list.clone(),
                    line: rule.line,
                    pattern: rule.pattern.clone(),
                    lines: count.lines,
                }),
            }
        });
        let log = self.planes.root(id).map(|root| Log {
            dir: root.join(worker.log_name()).display().to_string(),
            bytes: snapshot.map_or(0, |(_, snapshot)| snapshot.log_bytes),
        });
        let started_for = self.watches.all.last(&worker.of);
        let held_back = self.watches.all.held_back(&worker.of).filter(|until| *until > now.tick);
        let next = member.life.deadline.filter(|_| member.life.state == lifecycle::State::Backoff);
        Picture {
            name: worker.name.to_string(),
            state: self.shown_state(id),
            wanted: if member.desired == Want::Up { Wanted::Up } else { Wanted::Down },
            held: self.is_held(member, worker),
            since: worker.since.wall,
            ready: member.is_ready(),
            pid,
            restarts: worker.restarts.into(),
            why: self.why(id, worker),
            next_start_ms: next.map(|at| ms(at.until(now.tick))),
            started_for: started_for.map(|last| StartedFor { why: last.why.to_string(), at: last.at }),
            held_back_ms: held_back.map(|until| ms(until.until(now.tick))),
            last_exit: worker.last.as_deref().map(exit),
            memory_bytes: usage.as_ref().map(|usage| usage.memory_bytes),
            cpu_ms: usage.map(|usage| usage.cpu_ms),
            lines: lines.unwrap_or_default(),
            log,
            output_age_ms: snapshot.map(|(at, _)| ms(now.tick.until(*at))),
            stop,
        }
    }
}

/// How far its stop has gone, and who of it is left.
fn stop_of(member: &Member, left: Vec<Named>) -> Option<Stop> {
    let lifecycle::State::Stopping(rung) = member.life.state else { return None };
    let rung = match rung {
        lifecycle::Rung::Command => Rung::Command,
        lifecycle::Rung::Signal if !member.life.main => Rung::Sweep,
        lifecycle::Rung::Signal => Rung::Signal,
        lifecycle::Rung::Kill => Rung::Kill,
    };
    let blockers = left.into_iter().map(|left| Shown { pid: left.pid, name: left.name });
    Some(Stop { rung, blockers: blockers.collect() })
}

/// How it ended.
fn exit(last: &Last) -> Exit {
    Exit {
        how: how(last.outcome),
        core: matches!(last.outcome, Outcome::Signalled { core: true, .. }),
        asked: last.asked,
        at: last.at.wall,
        lasted_ms: ms(last.lasted),
        last_line: last.line.clone(),
    }
}
