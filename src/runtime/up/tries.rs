//! A try: begun when the store has it, over when nothing of its process is left.

use super::asked::Asked;
use super::stores::Standing;
use super::talk::exit_of;
use super::tasks::Held;
use super::{Up, Worker};
use crate::clock::{Now, Tick, Wall};
use crate::config::tables::QueueEvent;
use crate::control::event::{Event as Happening, Kind};
use crate::control::queue::{End as Ended, Outcome as Came};
use crate::runtime::store::{Ending, Order};
use crate::supervisor::{Event, Phase};
use crate::task::outcome::{self, End, Retry, Verdict};
use crate::task::queue::QueueId;
use crate::task::trigger::What;
use crate::task::{Task, TaskId};
use crate::worker::WorkerId;
use crate::worker::lifecycle::{self, State, Want};
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
        if self.events.are_recorded() {
            let (task, queue) = (held.task.clone(), held.queue);
            self.record_begun(id, &task, queue, now);
        }
        self.step(Event::Start(&[id]), now);
    }

    /// The store has said whether the try of a task begins that a slot was chosen for.
    pub(super) fn leased(&mut self, id: WorkerId, task: TaskId, attempt: Option<u32>, now: Now) {
        match attempt {
            _ if !self.holds(id, task) => self.task_leased(id, task, attempt, now),
            Some(attempt) => self.begin_task(id, attempt, now),
            // Somebody has dropped it meanwhile.
            None => drop(self.let_go(id)),
        }
    }

    /// Whether this is the task that a slot has.
    fn holds(&self, id: WorkerId, task: TaskId) -> bool {
        self.workers.get(&id).and_then(|worker| worker.task.as_ref()).is_some_and(|held| held.task.id == task)
    }

    /// The store could not begin the try of a task that a slot was chosen for.
    pub(super) fn not_leased(&mut self, id: WorkerId, task: TaskId) {
        let refused = self.talk(id).and_then(|talk| talk.session.refused(task));
        let (queue, task) = match refused {
            Some(entry) => {
                self.unseat(id, entry.task.class);
                (entry.queue, entry.task)
            }
            None => match self.holds(id, task).then(|| self.let_go(id)).flatten() {
                Some(held) => (held.queue, held.task),
                None => return,
            },
        };
        if let Some(tasks) = &mut self.tasks {
            tasks.desk.fresh(queue, task.class, task.id);
        }
    }

    /// A slot has come to rest: its task is over.
    pub(super) fn slot_rests(&mut self, id: WorkerId, now: Now) {
        let Some((worker, member)) = self.workers.get(&id).zip(self.supervisor.member(id)) else { return };
        let Some(held) = &worker.task else { return };
        let why = || worker.why.clone().unwrap_or_else(|| "it could not be started".into());
        let said = match &worker.last {
            _ if !held.began && member.life.state == State::Failed => Some(End::Failed { why: why() }),
            last => last.as_ref().filter(|_| held.began).map(|last| End::of_exit(exit_of(last.outcome))),
        };
        let asked = held.began && member.life.end == Some(lifecycle::End::Asked);
        let timeout = self.configuration.table(worker).keys.timeout.value.unwrap_or_default();
        let end = End::of_life(held.late.then_some(timeout), asked, said);
        self.end_task(id, end, now);
    }

    /// Gives back the tasks of slots that will not work on them.
    pub(super) fn give_back(&mut self, ids: &[WorkerId], now: Now) {
        for id in ids {
            let rests = self.supervisor.member(*id).is_none_or(|member| member.life.is_at_rest());
            let leased = |worker: &Worker| worker.task.as_ref().is_some_and(|held| held.payload.is_some());
            if rests && self.workers.get(id).is_some_and(leased) {
                self.end_task(*id, None, now);
            }
        }
    }

    /// A try is over; none is one that somebody has ended, by no fault of the task's: one that had not begun counts for none.
    pub(super) fn end_task(&mut self, id: WorkerId, end: Option<End>, now: Now) {
        let Some(held) = self.let_go(id) else { return };
        if end.is_some() || held.began {
            return self.conclude(id, &held.task, held.queue, end, now);
        }
        self.record_tried(id, &held.task, held.queue, None, now);
        self.tasks.iter_mut().for_each(|tasks| tasks.end(held.task.id, Ending::Unbegun, now));
    }

    /// What becomes of a task that a worker has no more, and who is told.
    pub(super) fn conclude(&mut self, id: WorkerId, task: &Task, of: QueueId, end: Option<End>, now: Now) {
        self.record_tried(id, task, of, end.as_ref(), now);
        let Some((worker, tasks)) = self.workers.get(&id).zip(self.tasks.as_mut()) else { return };
        let retry = Retry::from(&self.configuration.table(worker).keys.retry);
        let Task { id: task, attempt, .. } = *task;
        let verdict = outcome::conclude(end, attempt, &retry, task.0);
        let text = verdict.as_ref().and_then(|verdict| verdict.describe(task, attempt, retry.tries));
        let events = verdict.as_ref().map_or(&[][..], Verdict::events);
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
        tasks.end(task, ending, now);
        self.purge(of, now);
        self.tell_fate(of, task, events, came, now);
        if let Some(text) = text {
            let name = self.name(id);
            self.say(Happening::new(now.wall, Kind::Task, text).of(name));
        }
    }

    /// This has happened to a task, whoever had it, if anybody, and it has come to this end, if to any: that is counted, and told
    /// to those who wait for such a thing.
    pub(super) fn tell_fate(&mut self, of: QueueId, task: TaskId, events: &[QueueEvent], came: Option<Came>, now: Now) {
        let Some(tasks) = &mut self.tasks else { return };
        let known = tasks.queue(of);
        let queue = known.name.clone();
        events.iter().for_each(|event| known.totals.count(*event));
        for event in events {
            self.happened(What::Queue { queue: &queue, event: *event }, now);
        }
        if let Some(came) = came {
            self.task_ended(task, &came);
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
            tasks.desk.free(slot, held.task.class);
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
        let (queue, store) = (known.name.clone(), known.store);
        let order = Order::Purge { queue, before, done_max: RESULTS_MAX };
        tasks.order(store, Asked::Purge(Box::new(order.clone())), order);
    }

    /// Does what is due: tasks that have had their time, delayed ones whose time has come, a store that is to be tried again.
    pub(super) fn tasks_due(&mut self, now: Now) {
        let Some(tasks) = &mut self.tasks else { return };
        tasks.queues.iter_mut().for_each(|queue| _ = queue.trouble.take_if(|at| *at <= now.tick));
        for store in tasks.stores.ids() {
            let backend = tasks.stores.get_mut(store);
            let is_due = backend.due.take_if(|at| *at <= now.tick).is_some();
            if matches!(backend.standing, Standing::Failing(until, _) if until <= now.tick) {
                backend.standing = Standing::Ready;
                tasks.tell_again(store);
            }
            if is_due {
                tasks.order(store, Asked::Due, Order::Due { now: now.wall });
            }
        }
        while let Some((_, id)) = self.tasks.as_mut().and_then(|tasks| late(&mut tasks.deadlines, now.tick)) {
            let Some(held) = self.workers.get_mut(&id).and_then(|worker| worker.task.as_mut()) else {
                self.talk_is_due(id, now);
                continue;
            };
            held.late = true;
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
