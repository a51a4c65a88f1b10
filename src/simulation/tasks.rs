//! Tasks: put, given to slots, tried, and what becomes of them.

use super::lives::exit_of;
use super::pile::{Ending, New, Pile};
use super::script::Tried;
use super::world::World;
use crate::clock::{Tick, Wall};
use crate::config::values::{Durable, Store};
use crate::control::event::{Event as Happening, Kind};
use crate::control::queue::ByClass;
use crate::control::record::{Source, Try, TryEnd};
use crate::supervisor::{Event, Phase};
use crate::task::outcome::{self, End, Retry, Verdict};
use crate::task::priority::Slots;
use crate::task::queue::{Effect, FETCH_TASKS, QueueId, Slot};
use crate::task::trigger::What;
use crate::task::{Class, Task, TaskId};
use crate::worker::WorkerId;
use crate::worker::lifecycle::{self, Want};
use std::collections::VecDeque;
use std::time::Duration;

/// The slots of a worker.
#[derive(Debug)]
pub(super) struct Crew {
    slots: Vec<WorkerId>,
}

/// The task that a slot has.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) task: Task,
    queue: QueueId,
    /// How the try went that is gone through again.
    pub(super) tried: Option<Tried>,
    /// When one that stays has dealt with it.
    pub(super) over_at: Option<Tick>,
}

impl World<'_> {
    /// Arranges who works on which tasks.
    pub(super) fn arrange_tasks(&mut self) {
        for queue in &self.config.queues {
            let keys = &queue.keys;
            self.desk.add_queue(keys.max_wait.value, false);
            self.piles.push(Pile::new(&queue.name, keys.max_tasks.value.0.unsigned_abs(), keys.max_bytes.value.0));
        }
        for named in self.config.workers.iter().filter(|named| named.keys.enabled.value) {
            let queues: Vec<_> = named.keys.given().filter_map(|queue| self.queue_named(queue)).collect();
            if queues.is_empty() {
                continue;
            }
            let slots: Vec<_> = self.meant(Some(&named.name));
            let high = named.keys.slots.high.value.0 as u32;
            let crew = self.desk.add_crew(queues, Slots { total: slots.len() as u32, high });
            for (number, id) in (0..).zip(&slots) {
                let slot = Slot { crew, number };
                self.worker(*id).slot = Some(slot);
                if self.worker(*id).by_task {
                    self.desk.room(slot, 1);
                }
            }
            self.crews.push(Crew { slots });
        }
    }

    pub(super) fn queue_named(&self, name: &str) -> Option<QueueId> {
        let at = self.config.queues.iter().position(|queue| queue.name == name)?;
        Some(QueueId(at as u32))
    }

    /// Puts a task, or several. Those that somebody puts begin at once where they would in a real run.
    pub(super) fn put(&mut self, queue: QueueId, source: &Source, by_somebody: bool) {
        let (at, now) = (queue.0 as usize, self.now.wall);
        let keys = &self.config.queues[at].keys;
        let is_shared = keys.store.value != Store::Embedded;
        let waits_for_disk = matches!(keys.durable.value, Durable::After(_));
        let (class, delay) = (source.class.unwrap_or_default(), Duration::from_millis(source.delay_ms.unwrap_or(0)));
        let is_down = self.supervisor.phase() == Phase::Stopping;
        let others_wait = self.piles.iter().any(Pile::has_untold);
        let has = source.worker.as_deref().and_then(|worker| self.seat_of(worker, class));
        let mut is_seated = by_somebody && !others_wait && !(is_shared || waits_for_disk || is_down) && delay.is_zero();
        for number in 0..u64::from(source.count.unwrap_or(1)) {
            let id = source.id.map_or(TaskId(self.last.0 + 1), |first| TaskId(first.0.saturating_add(number)));
            let seat = has.or_else(|| is_seated.then(|| self.desk.claim(queue, class)).flatten());
            is_seated = seat.is_some() && has.is_none();
            let (attempt, bytes) = (source.attempt.unwrap_or(0), source.bytes.unwrap_or(0));
            let new = New { id, class, attempt, delay, bytes, key: source.key.clone(), begins: seat.is_some() };
            let put = self.piles[at].put(new, now);
            if has.is_some() {
                self.piles[at].told();
            }
            match (&put, seat) {
                (Ok(true), Some(slot)) => {
                    let attempt = attempt + 1;
                    let task = Task { id, class, attempt, put: now, trace: None, payload: Box::default() };
                    self.begin_leased(slot, queue, task, now);
                }
                (_, Some(slot)) => self.desk.free(slot, class),
                (_, None) => {}
            }
            match put {
                Ok(true) => {
                    self.last = self.last.max(id);
                    self.places.insert(id, at);
                    self.summary.queues[at].totals.put += 1;
                }
                Ok(false) => {}
                Err(why) => {
                    self.summary.queues[at].refused += 1;
                    self.tell(Happening::new(now, Kind::Warning, why));
                }
            }
        }
    }

    /// The slot of a worker that has a task already.
    fn seat_of(&mut self, worker: &str, class: Class) -> Option<Slot> {
        let worker = self.workers.iter().find(|known| *known.name == *worker)?;
        let slot = worker.slot.filter(|_| worker.by_task || worker.life.is_some())?;
        self.desk.occupy(slot, class);
        Some(slot)
    }

    /// When the next delayed task is due.
    pub(super) fn due(&self) -> Option<Tick> {
        let due = self.piles.iter().filter_map(Pile::next_due).min();
        due.map(|at| self.now.tick.after(at.until(self.now.wall)))
    }

    /// Does what is due: tasks that have had their time, delayed ones whose time has come.
    pub(super) fn tasks_due(&mut self) {
        let now = self.now;
        self.piles.iter_mut().for_each(|pile| pile.due(now.wall));
        while let Some(first) = self.deadlines.first().copied().filter(|(at, _)| *at <= now.tick) {
            self.deadlines.remove(&first);
            let (_, id) = first;
            let worker = self.worker(id);
            (worker.late, worker.due) = (true, None);
            self.step(Event::Life(id, lifecycle::Event::Kill));
            if self.worker(id).by_task {
                // Wanted down, too, or its end would be followed by a start.
                self.step(Event::Life(id, lifecycle::Event::Want(Want::Down)));
            }
        }
    }

    /// When the task that a worker is at has had its time: the first of those that it has. Of a worker that stays, one that is
    /// gone through again has no end: it may have said now and then that it was still at it.
    pub(super) fn time(&mut self, id: WorkerId) {
        let timeout = self.config.workers[self.worker(id).table].keys.timeout.value;
        let worker = self.worker(id);
        let timed = worker.tasks.first().filter(|held| worker.by_task || held.tried.is_none());
        let due = timed.zip(timeout).map(|(_, timeout)| worker.since.after(timeout));
        let before = std::mem::replace(&mut worker.due, due);
        before.map(|at| self.deadlines.remove(&(at, id)));
        self.deadlines.extend(due.map(|at| (at, id)));
    }

    /// Has the desk and the triggers told how queues stand that have changed; whether one has.
    pub(super) fn count_queues(&mut self) -> bool {
        let mut any = false;
        for at in 0..self.piles.len() {
            let Some((counts, news)) = self.piles[at].counts() else { continue };
            any = true;
            let id = QueueId(at as u32);
            self.desk.pause(id, counts.paused);
            for (class, first) in Class::ALL.into_iter().zip(counts.fresh) {
                first.into_iter().for_each(|first| self.desk.fresh(id, class, first));
            }
            for event in news {
                self.happened(What::Queue { queue: &counts.queue, event });
            }
            self.piles[at].told();
        }
        any
    }

    /// Gives tasks to slots that are free; whether it has.
    pub(super) fn serve_tasks(&mut self) -> bool {
        if self.supervisor.phase() == Phase::Stopping {
            return false;
        }
        let mut effects = Vec::new();
        self.desk.settle(self.now.wall, &mut effects);
        let any = !effects.is_empty();
        for effect in effects {
            match effect {
                Effect::Fetch { queue, class, after } => {
                    let found = self.piles[queue.0 as usize].fetch(class, after, FETCH_TASKS as usize);
                    self.desk.fetched(queue, class, found);
                }
                Effect::Begin { slot, queue, task } => self.begin(slot, queue, task),
                // Nobody else is there to share a queue with.
                Effect::Wish { .. } | Effect::Release { .. } => {}
            }
        }
        any
    }

    fn begin(&mut self, slot: Slot, queue: QueueId, mut task: Task) {
        match self.piles[queue.0 as usize].lease(task.id) {
            Some(leased) => {
                task.attempt = leased.attempt;
                self.begin_leased(slot, queue, task, leased.since);
            }
            // Somebody has dropped it meanwhile.
            None => self.desk.free(slot, task.class),
        }
    }

    /// A try begins that could have since then.
    fn begin_leased(&mut self, slot: Slot, queue: QueueId, task: Task, since: Wall) {
        let (now, at) = (self.now, queue.0 as usize);
        let id = self.crews[slot.crew.0 as usize].slots[slot.number as usize];
        self.summary.waited(at, task.class, since, now.wall);
        let begun = Try::of(&task, &self.config.queues[at].name, None);
        let (name, why) = (self.worker(id).name.clone(), format!("a task of {}", begun.queue));
        self.tell(Happening::task(now.wall, begun).of(name));
        let tried = self.script.tries.get_mut(&(task.id, task.attempt)).and_then(VecDeque::pop_front);
        let held = Held { task, queue, tried, over_at: None };
        let worker = self.worker(id);
        if worker.tasks.is_empty() {
            worker.since = now.tick;
        }
        if !worker.by_task {
            return self.give_task(id, held);
        }
        (worker.why, worker.last) = (Some(why.into()), None);
        worker.tasks.push(held);
        self.time(id);
        self.step(Event::Start(&[id]));
    }

    /// A slot has come to rest: its task is over.
    pub(super) fn slot_rests(&mut self, id: WorkerId) {
        let Some(member) = self.supervisor.member(id) else { return };
        let asked = member.life.end == Some(lifecycle::End::Asked);
        let timeout = self.config.workers[self.worker(id).table].keys.timeout.value.unwrap_or_default();
        let worker = self.worker(id);
        let Some(held) = worker.tasks.pop() else { return };
        let late = std::mem::take(&mut worker.late).then_some(timeout);
        let said = match &held.tried {
            Some(tried) => tried.end.end(),
            None => worker.last.map(|outcome| End::of_exit(exit_of(outcome))),
        };
        self.end_task(id, held, End::of_life(late, asked, said));
    }

    /// A try is over; none is one that somebody has ended, by no fault of the task's.
    pub(super) fn end_task(&mut self, id: WorkerId, held: Held, end: Option<End>) {
        let now = self.now;
        let worker = self.worker(id);
        worker.since = now.tick;
        let (table, name, slot) = (worker.table, worker.name.clone(), worker.slot);
        self.time(id);
        slot.into_iter().for_each(|slot| self.desk.free(slot, held.task.class));
        let (task, attempt, at) = (held.task.id, held.task.attempt, held.queue.0 as usize);
        let retry = Retry::from(&self.config.workers[table].keys.retry);
        let said = end.as_ref().map_or(TryEnd::Lost {}, TryEnd::from);
        let tried = Try::of(&held.task, &self.config.queues[at].name, Some(said));
        let verdict = outcome::conclude(end, attempt, &retry, task.0);
        let ending = match &verdict {
            None => Ending::Again(now.wall),
            Some(Verdict::Done { .. }) => Ending::Done,
            Some(Verdict::Again { after, .. }) => Ending::Again(now.wall.after(*after)),
            Some(Verdict::Buried { .. }) => Ending::Buried,
        };
        self.piles[at].end(task, ending, now.wall);
        if ending == Ending::Done {
            self.places.remove(&task);
        }
        self.tell(Happening::task(now.wall, tried).of(name.clone()));
        let Some(verdict) = verdict else { return };
        let queue = self.piles[at].name.clone();
        for event in verdict.events() {
            self.summary.happened(at, *event);
            self.happened(What::Queue { queue: &queue, event: *event });
        }
        if let Some(text) = verdict.describe(task, attempt, retry.tries) {
            self.tell(Happening::new(now.wall, Kind::Task, text).of(name));
        }
    }

    /// Workers are to take tasks, or are to take none: those of these that have slots.
    pub(super) fn open_crews(&mut self, ids: &[WorkerId], open: bool) {
        for id in ids {
            let worker = self.worker(*id);
            // One that stays takes tasks whenever it runs.
            if let Some(slot) = worker.slot.filter(|_| worker.by_task) {
                self.desk.open(slot.crew, open);
            }
        }
    }

    pub(super) fn sum_up_queues(&mut self) {
        for (summed, pile) in self.summary.queues.iter_mut().zip(&self.piles) {
            let [high, normal, low] = pile.tally.waiting;
            summed.waiting = ByClass { high, normal, low };
            (summed.delayed, summed.running) = (pile.tally.delayed, pile.tally.running);
            (summed.given_up, summed.dropped) = (pile.tally.buried, pile.dropped);
        }
    }
}
