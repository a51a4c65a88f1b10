//! A try: begun when the store has it, over when nothing of its process is left.

use super::asked::Asked;
use super::tasks::Held;
use super::{Up, Worker};
use crate::clock::{Now, Tick, Wall};
use crate::control::event::{Event as Happening, Kind};
use crate::control::queue::{End as Ended, Outcome as Came};
use crate::runtime::store::{Ending, Order};
use crate::supervisor::{Event, Phase};
use crate::task::Task;
use crate::task::outcome::{self, End, Exit, Retry, Verdict};
use crate::task::queue::QueueId;
use crate::task::trigger::What;
use crate::worker::WorkerId;
use crate::worker::lifecycle::{self, State, Want};
use crate::worker::outcome::Outcome;
use std::collections::BTreeSet;
use std::time::Duration;

/// How often at most what has been kept long enough is deleted; not while nothing happens.
const PURGE_EVERY: Duration = Duration::from_secs(60);
/// How many results of a queue are kept at most.
const RESULTS_MAX: u64 = 1_000_000;

impl Up<'_> {
    /// The try of a task that a slot has is stored: its process may begin.
    pub(super) fn begin_task(&mut self, id: WorkerId, attempt: u32, now: Now) {
        let Some((worker, tasks)) = self.workers.get_mut(&id).zip(self.tasks.as_mut()) else { return };
        let named = worker
            .leaving
            .as_deref()
            .map_or_else(|| &self.configuration.loaded.config.workers[worker.table], |leaving| &leaving.table);
        let Some(held) = &mut worker.task else { return };
        held.task.attempt = attempt;
        let is_gone = worker.slot.is_none() || !tasks.is_open(&worker.of);
        if is_gone || self.supervisor.phase() == Phase::Stopping {
            return self.end_task(id, None, now);
        }
        match tasks.payloads.hold(held.task.id, &held.task.payload) {
            Ok(payload) => held.payload = Some(payload),
            Err(e) => {
                let why = format!("its payload cannot be handed over: {e}").into();
                return self.end_task(id, Some(End::Failed { why }), now);
            }
        }
        held.until = named.keys.timeout.value.map(|timeout| now.tick.after(timeout));
        tasks.deadlines.extend(held.until.map(|until| (until, id)));
        self.record_begun(id, now);
        self.step(Event::Start(&[id]), now);
    }

    /// A slot has come to rest: its task is over.
    pub(super) fn slot_rests(&mut self, id: WorkerId, now: Now) {
        let Some((worker, member)) = self.workers.get(&id).zip(self.supervisor.member(id)) else { return };
        let Some(held) = &worker.task else { return };
        let end = match &worker.last {
            _ if held.late => {
                Some(End::of_timeout(self.configuration.table(worker).keys.timeout.value.unwrap_or_default()))
            }
            _ if !held.began && member.life.state == State::Failed => {
                Some(End::Failed { why: worker.why.clone().unwrap_or_else(|| "it could not be started".into()) })
            }
            Some(last) if held.began && member.life.end != Some(lifecycle::End::Asked) => {
                Some(End::of_exit(match last.outcome {
                    Outcome::Exited(code) => Exit::Code(code),
                    Outcome::Signalled { number, .. } => Exit::Signal(number),
                }))
            }
            _ => None,
        };
        self.end_task(id, end, now);
    }

    /// Gives back the tasks of slots that will not work on them.
    pub(super) fn give_back(&mut self, ids: &[WorkerId], now: Now) {
        for id in ids {
            let rests = self.supervisor.member(*id).is_some_and(|member| member.life.is_at_rest());
            let leased = |worker: &Worker| worker.task.as_ref().is_some_and(|held| held.payload.is_some());
            if rests && self.workers.get(id).is_some_and(leased) {
                self.end_task(*id, None, now);
            }
        }
    }

    /// A try is over; none is one that somebody has ended, by no fault of the task's.
    fn end_task(&mut self, id: WorkerId, end: Option<End>, now: Now) {
        let Some(worker) = self.workers.get(&id) else { return };
        let retry = Retry::from(&self.configuration.table(worker).keys.retry);
        let name = worker.name.clone();
        let Some(held) = self.let_go(id) else { return };
        self.record_tried(id, &held, end.as_ref(), now);
        let Some(tasks) = self.tasks.as_mut() else { return };
        let Task { id: task, attempt, .. } = held.task;
        let verdict = end.map(|end| outcome::decide(end, attempt, &retry, task.0));
        let text = verdict.as_ref().and_then(|verdict| verdict.describe(task, attempt, retry.tries));
        let events = verdict.as_ref().map_or(&[][..], Verdict::events);
        let known = tasks.queue(held.queue);
        let queue = known.name.clone();
        events.iter().for_each(|event| known.totals.count(*event));
        let mut came = None;
        let ending = match verdict {
            None => Ending::Return,
            Some(Verdict::Done { result }) => {
                came = Some(Came { end: Ended::Done, text: result.as_deref().map(Into::into) });
                Ending::Done { result }
            }
            Some(Verdict::Again { after, why }) => Ending::Again { due: now.wall.after(after), why: Some(why) },
            Some(Verdict::Buried { why }) => {
                came = Some(Came { end: Ended::Buried, text: Some(why.as_ref().into()) });
                Ending::Buried { why: Some(why) }
            }
        };
        let order = Order::End { id: task, ending, now: now.wall };
        tasks.order(Asked::End(Box::new(order.clone())), order);
        self.purge(held.queue, now);
        for event in events {
            self.happened(What::Queue { queue: &queue, event: *event }, now);
        }
        if let Some(came) = came {
            self.task_ended(task, &came);
        }
        if let Some(text) = text {
            self.say(Happening::new(now.wall, Kind::Task, text).of(name));
        }
    }

    /// A slot has its task no more, and can take another.
    pub(super) fn let_go(&mut self, id: WorkerId) -> Option<Box<Held>> {
        let (worker, tasks) = self.workers.get_mut(&id).zip(self.tasks.as_mut())?;
        let held = worker.task.take()?;
        if let Some(until) = held.until {
            tasks.deadlines.remove(&(until, id));
        }
        if let Some(slot) = worker.slot {
            tasks.desk.free(slot);
        }
        Some(held)
    }

    /// Has what was kept long enough deleted.
    fn purge(&mut self, queue: QueueId, now: Now) {
        let Some(tasks) = &mut self.tasks else { return };
        let known = tasks.queue(queue);
        let Some(place) = known.place else { return };
        if known.purged.is_some_and(|at| now.tick.until(at) < PURGE_EVERY) {
            return;
        }
        known.purged = Some(now.tick);
        let keep_done = self.configuration.loaded.config.queues[place].keys.keep_done.value;
        let before = Wall(now.wall.0.saturating_sub(keep_done.as_micros() as i64));
        let order = Order::Purge { queue: tasks.queue(queue).name.clone(), before, done_max: RESULTS_MAX };
        tasks.order(Asked::Purge(Box::new(order.clone())), order);
    }

    /// Does what is due: tasks that have had their time, delayed ones whose time has come, a store that is to be tried again.
    pub(super) fn tasks_due(&mut self, now: Now) {
        let Some(tasks) = &mut self.tasks else { return };
        if tasks.trouble.take_if(|(at, _)| *at <= now.tick).is_some() {
            for order in std::mem::take(&mut tasks.untold) {
                tasks.order(Asked::End(Box::new(order.clone())), order);
            }
        }
        if tasks.due.take_if(|at| *at <= now.tick).is_some() {
            tasks.order(Asked::Due, Order::Due { now: now.wall });
        }
        while let Some((_, id)) = self.tasks.as_mut().and_then(|tasks| late(&mut tasks.deadlines, now.tick)) {
            if let Some(held) = self.workers.get_mut(&id).and_then(|worker| worker.task.as_mut()) {
                held.late = true;
            }
            // Wanted down, too, or its end would be followed by a start.
            self.step(Event::Life(id, lifecycle::Event::Kill), now);
            self.step(Event::Life(id, lifecycle::Event::Want(Want::Down)), now);
            if self.supervisor.member(id).is_some_and(|member| member.life.is_at_rest()) {
                self.slot_rests(id, now);
            }
        }
    }
}

/// The next task that has had its time.
fn late(deadlines: &mut BTreeSet<(Tick, WorkerId)>, now: Tick) -> Option<(Tick, WorkerId)> {
    deadlines.first().copied().filter(|(at, _)| *at <= now).inspect(|first| _ = deadlines.remove(first))
}
