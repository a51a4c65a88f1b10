//! Tasks: from the store to the slots of workers, and what became of them back to the store.
//!
//! `task::queue` decides which task goes where. A slot is a worker of the supervisor's like any other, with one life for each
//! task: it is stopped, killed and swept as others are, and its task is over when nothing of that life is left.

use super::asked::Asked;
use super::{Up, Worker, at_once, specs};
use crate::clock::{Now, Tick, earliest};
use crate::config::tables::QueueEvent;
use crate::control::event::{Event as Happening, Kind};
use crate::control::queue::{End as Ended, Outcome as Came, Totals};
use crate::control::reply::{Code, Reply as Answer};
use crate::runtime::launch::Errand;
use crate::runtime::payload::{Payload, Payloads};
use crate::runtime::store::{Counts, FromStore, How, Order, Placed, Reply, Store, StoreError, Ticket};
use crate::supervisor::Phase;
use crate::task::priority::Slots;
use crate::task::queue::{Effect, FETCH_TASKS, QueueId, Queues, Slot};
use crate::task::trigger::What;
use crate::task::{Class, Task, TaskId};
use crate::worker::WorkerId;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// Payloads of so many bytes are fetched at once, and of one task in any case.
const FETCH_BYTES: u64 = 1 << 20;
/// How long to leave a store alone that has failed.
const TROUBLE: Duration = Duration::from_secs(1);

/// Queues, and those who work on their tasks.
#[derive(Debug)]
pub(super) struct Tasks {
    store: Store,
    said: Receiver<FromStore>,
    pub(super) payloads: Payloads,
    pub(super) desk: Queues,
    /// All queues that there have been since the start; those of the configuration have limits.
    pub(super) queues: Vec<Known>,
    pub(super) crews: Vec<Crew>,
    /// How often the desk was made anew: what was asked for an earlier one is not for this one.
    pub(super) generation: u64,
    /// Workers that are to take no tasks, as somebody has said.
    closed: HashSet<Box<str>>,
    /// What each order is for that has not been answered.
    asked: HashMap<Ticket, Asked>,
    tickets: u64,
    /// Orders that the store was not given yet.
    orders: Vec<(Ticket, Order)>,
    /// When each task that has a time has had it.
    pub(super) deadlines: BTreeSet<(Tick, WorkerId)>,
    /// When the next delayed task is due.
    pub(super) due: Option<Tick>,
    /// The store has failed, and is left alone until then; what it is to be told again.
    pub(super) trouble: Option<(Tick, String)>,
    pub(super) untold: Vec<Asked>,
    /// How it has failed, as was said; none once it has stored something.
    complaint: Option<String>,
}

/// What is known of a queue.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) name: Arc<str>,
    /// None where the configuration does not have it any more.
    pub(super) place: Option<usize>,
    pub(super) counts: Option<Counts>,
    pub(super) totals: Totals,
    /// When what has been kept long enough was deleted last.
    pub(super) purged: Option<Tick>,
}

/// The slots of a worker.
#[derive(Debug)]
pub(super) struct Crew {
    /// The worker, by its name in the configuration.
    pub(super) worker: Box<str>,
    pub(super) slots: Vec<WorkerId>,
    pub(super) queues: Vec<QueueId>,
}

/// The task that a slot has.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) task: Task,
    pub(super) queue: QueueId,
    /// Where the process finds what is to be done; none before the try has begun.
    pub(super) payload: Option<Payload>,
    /// When it has had its time.
    pub(super) until: Option<Tick>,
    /// It has had it.
    pub(super) late: bool,
    /// A process was started for it.
    pub(super) began: bool,
}

impl Held {
    /// What its process is told, and what it reads.
    pub(super) fn errand(&self) -> Option<(Errand<'_>, &Payload)> {
        let payload = self.payload.as_ref()?;
        Some((Errand { task: &self.task, payload: payload.path() }, payload))
    }
}

impl Tasks {
    /// Nothing is arranged yet.
    pub(super) fn new(store: Store, said: Receiver<FromStore>, payloads: Payloads) -> Tasks {
        Tasks {
            store,
            said,
            payloads,
            desk: Queues::new(),
            queues: Vec::new(),
            crews: Vec::new(),
            generation: 0,
            closed: HashSet::new(),
            asked: HashMap::new(),
            tickets: 0,
            orders: Vec::new(),
            deadlines: BTreeSet::new(),
            due: None,
            trouble: None,
            untold: Vec::new(),
            complaint: None,
        }
    }

    /// Has an order for the store: it goes out with the others of this turn, to share a commit with them.
    pub(super) fn order(&mut self, asked: Asked, order: Order) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.asked.insert(ticket, asked);
        self.orders.push((ticket, order));
    }

    /// Gives the store the orders that there are.
    pub(super) fn send(&mut self) {
        if !self.orders.is_empty() {
            self.store.send(std::mem::take(&mut self.orders));
        }
    }

    /// A queue by its name.
    pub(super) fn named(&self, name: &str) -> Option<QueueId> {
        let at = self.queues.iter().position(|queue| *queue.name == *name)?;
        Some(QueueId(at as u32))
    }

    pub(super) fn queue(&mut self, id: QueueId) -> &mut Known {
        &mut self.queues[id.0 as usize]
    }

    /// A queue that may not have been heard of.
    fn heard_of(&mut self, name: &Arc<str>) -> QueueId {
        self.named(name).unwrap_or_else(|| {
            let (name, totals) = (name.clone(), Totals::default());
            self.queues.push(Known { name, place: None, counts: None, totals, purged: None });
            QueueId(self.queues.len() as u32 - 1)
        })
    }

    /// Counts what was put.
    pub(super) fn count_put(&mut self, queue: QueueId, placed: &[Placed]) {
        let new = placed.iter().filter(|placed| !matches!(placed.how, How::There)).count();
        self.queue(queue).totals.put += new as u64;
    }

    /// Whether a worker takes tasks.
    pub(super) fn is_open(&self, worker: &str) -> bool {
        !self.closed.contains(worker)
    }

    /// How many tasks of a queue can be started.
    pub(super) fn waiting(&self, queue: &str) -> u64 {
        let known = self.queues.iter().find(|known| *known.name == *queue);
        let counts = known.and_then(|known| known.counts.as_ref()).filter(|counts| !counts.paused);
        counts.map_or(0, |counts| counts.tally.waiting.iter().sum())
    }

    /// What the change of a queue to these counts means to those who wait for that.
    fn news(&mut self, counts: &Counts) -> Vec<QueueEvent> {
        let left =
            |counts: &Counts| counts.tally.waiting.iter().sum::<u64>() + counts.tally.delayed + counts.tally.running;
        let id = self.heard_of(&counts.queue);
        let had = self.queue(id).counts.as_ref().map_or(0, left);
        let added = counts.fresh.iter().any(Option::is_some).then_some(QueueEvent::Added);
        added.into_iter().chain((had > 0 && left(counts) == 0).then_some(QueueEvent::Empty)).collect()
    }

    /// Why no task is begun, while the store fails.
    pub(super) fn why(&self) -> Option<&str> {
        self.trouble.as_ref().map(|(_, why)| why.as_str())
    }

    /// When there is something to do that nothing else brings.
    pub(super) fn deadline(&self) -> Option<Tick> {
        earliest([self.deadlines.first().map(|(at, _)| *at), self.due, self.trouble.as_ref().map(|(at, _)| *at)])
    }

    /// A queue has changed.
    pub(super) fn counted(&mut self, counts: Counts, now: Now) {
        let id = self.heard_of(&counts.queue);
        if (id.0 as usize) < self.desk.queues() {
            self.desk.pause(id, counts.paused);
            for (class, first) in Class::ALL.into_iter().zip(counts.fresh) {
                if let Some(first) = first {
                    self.desk.fresh(id, class, first);
                }
            }
        }
        self.queue(id).counts = Some(counts);
        self.await_due(now);
    }

    /// Has the next delayed task waited for.
    fn await_due(&mut self, now: Now) {
        let next_due = self.queues.iter().filter_map(|queue| queue.counts.as_ref()?.next_due).min();
        self.due = next_due.map(|at| now.tick.after(at.until(now.wall)));
    }

    /// Gives the orders again that must be carried out and could not be.
    pub(super) fn tell_again(&mut self) {
        for asked in std::mem::take(&mut self.untold) {
            if let Some(order) = asked.again() {
                self.order(asked, order);
            }
        }
    }

    /// Ends the store, when all that it was told is done. What has failed is tried a last time.
    pub(super) fn stop(mut self) {
        self.tell_again();
        self.send();
        self.store.stop();
    }
}

impl Up<'_> {
    /// Arranges who works on which tasks, as the configuration in force has it. What is being worked on goes on.
    pub(super) fn arrange_tasks(&mut self) {
        let Some(tasks) = &mut self.tasks else { return };
        let config = &self.configuration.loaded.config;
        tasks.queues.iter_mut().for_each(|queue| queue.place = None);
        for (place, queue) in config.queues.iter().enumerate() {
            let id = tasks.heard_of(&queue.name.as_str().into());
            tasks.queue(id).place = Some(place);
        }
        tasks.generation += 1;
        (tasks.desk, tasks.crews) = (Queues::new(), Vec::new());
        for queue in &tasks.queues {
            let max_wait = queue.place.map_or(Duration::MAX, |place| config.queues[place].keys.max_wait.value);
            let id = tasks.desk.add_queue(max_wait);
            tasks.desk.pause(id, queue.counts.as_ref().is_some_and(|counts| counts.paused));
        }
        self.workers.values_mut().for_each(|worker| worker.slot = None);
        for (table, named) in config.workers.iter().enumerate() {
            let queues: Vec<_> = named.keys.given().filter_map(|queue| tasks.named(queue)).collect();
            if queues.is_empty() {
                continue;
            }
            let is_of = |worker: &Worker| worker.leaving.is_none() && worker.table == table;
            let slots = self.workers.iter_mut().filter(|(_, worker)| is_of(worker));
            let slots: Vec<_> = slots.collect();
            let total = slots.len() as u32;
            let high = named.keys.slots.high.value.0 as u32;
            let crew = tasks.desk.add_crew(queues.clone(), Slots { total, high });
            let by_task = specs::is_by_task(&named.keys);
            tasks.desk.open(crew, !(by_task && tasks.closed.contains(&*named.name)));
            let mut ids = Vec::with_capacity(slots.len());
            for (number, (id, worker)) in (0..).zip(slots) {
                let slot = Slot { crew, number };
                let told = worker.talk.iter().flat_map(|talk| talk.session.all()).map(|entry| entry.task.class);
                let classes = worker.task.iter().map(|held| held.task.class).chain(told);
                classes.for_each(|class| tasks.desk.occupy(slot, class));
                if by_task {
                    tasks.desk.room(slot, 1);
                }
                worker.slot = Some(slot);
                ids.push(*id);
            }
            tasks.crews.push(Crew { worker: named.name.as_str().into(), slots: ids, queues });
        }
        let ids: Vec<_> = self.workers.iter().filter(|(_, worker)| worker.talk.is_some()).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.seat(id));
    }

    /// Gives tasks to slots that are free.
    pub(super) fn serve_tasks(&mut self, now: Now) {
        if self.supervisor.phase() == Phase::Stopping {
            return;
        }
        let Some(tasks) = self.tasks.as_mut().filter(|tasks| tasks.trouble.is_none()) else { return };
        let mut effects = Vec::new();
        tasks.desk.settle(now.wall, &mut effects);
        let (mut leases, mut all_ahead) = (Vec::new(), true);
        for effect in effects {
            match effect {
                Effect::Fetch { queue, class, after } => {
                    let name = tasks.queue(queue).name.clone();
                    let (tasks_max, bytes_max) = (FETCH_TASKS, FETCH_BYTES);
                    let order = Order::Fetch { queue: name, class, after, tasks_max, bytes_max, now: now.wall };
                    tasks.order(Asked::Fetch { generation: tasks.generation, queue, class }, order);
                }
                Effect::Begin { slot, queue, task } => {
                    let id = tasks.crews[slot.crew.0 as usize].slots[slot.number as usize];
                    let Some(worker) = self.workers.get_mut(&id) else { continue };
                    leases.push((id, task.id));
                    all_ahead &= worker.take(task, queue, now.tick);
                }
            }
        }
        if !leases.is_empty() {
            let ids = leases.iter().map(|(_, task)| *task).collect();
            tasks.order(Asked::Lease(leases), Order::Lease { ids, ahead: all_ahead });
        }
    }

    /// Gives the store the orders that there are.
    pub(super) fn send_orders(&mut self) {
        self.tasks.iter_mut().for_each(Tasks::send);
    }

    /// Takes what the store has said.
    pub(super) fn store_said(&mut self, now: Now) {
        while let Some(said) = self.tasks.as_ref().and_then(|tasks| tasks.said.try_recv().ok()) {
            let Some(tasks) = &mut self.tasks else { return };
            match said {
                FromStore::Counts(counts) => {
                    let (queue, news, paused) = (counts.queue.clone(), tasks.news(&counts), counts.paused);
                    tasks.counted(counts, now);
                    if paused {
                        self.give_back_of(&queue, now);
                    }
                    news.into_iter().for_each(|event| self.happened(What::Queue { queue: &queue, event }, now));
                    self.room_for_files(&queue);
                }
                FromStore::Reply(ticket, reply) => {
                    if let Some(asked) = tasks.asked.remove(&ticket) {
                        self.store_replied(asked, reply, now);
                    }
                }
                FromStore::Ended => return self.store_ended(now),
            }
        }
    }

    /// Nobody stores tasks any more: whoever waits for that is told.
    fn store_ended(&mut self, now: Now) {
        let asked = self.tasks.take().map(|tasks| tasks.asked).unwrap_or_default();
        let text = "the store of tasks has ended: no task is begun any more";
        self.say(Happening::new(now.wall, Kind::Warning, text));
        for client in asked.into_values().filter_map(Asked::client) {
            self.server.reply(&self.poller, client, &Answer::failed(Code::Failed, text), now.tick);
        }
    }

    fn store_replied(&mut self, asked: Asked, reply: Reply, now: Now) {
        let Some(tasks) = &mut self.tasks else { return };
        match (asked, reply) {
            (Asked::Fetch { generation, queue, class }, Reply::Fetched { tasks: found, damaged }) => {
                if generation == tasks.generation {
                    tasks.desk.fetched(queue, class, found);
                }
                self.say_damaged(queue, &damaged, now);
            }
            (Asked::Fetch { generation, queue, class }, Reply::Failed(error)) => {
                if generation == tasks.generation {
                    tasks.desk.refused(queue, class);
                }
                self.store_failed(&error, now);
            }
            (Asked::Lease(leases), Reply::Leased(leased)) => {
                tasks.complaint = None;
                for ((id, task), (_, attempt)) in leases.into_iter().zip(leased) {
                    self.leased(id, task, attempt, now);
                }
            }
            (Asked::Lease(leases), Reply::Failed(error)) => {
                leases.into_iter().for_each(|(id, task)| self.not_leased(id, task));
                self.store_failed(&error, now);
            }
            (Asked::Worker(putter, queue), reply) => self.put_replied(putter, queue, &reply, now),
            (asked @ (Asked::End(_) | Asked::Arrived(..)), Reply::Failed(error)) => {
                tasks.untold.push(asked);
                self.store_failed(&error, now);
            }
            (Asked::Arrived(source, order), Reply::Arrived(taken)) => {
                let told = if let Order::Arrived(arrived) = *order { arrived.files.len() } else { 0 };
                self.files_taken(&source, told, taken, now);
            }
            (Asked::End(_), _) => tasks.complaint = None,
            (Asked::Gone(id), Reply::Shown(None)) => {
                self.task_ended(id, &Came { end: Ended::Dropped, text: None });
            }
            // The calendar's clock is behind the one by which that was waited for.
            (Asked::Due, Reply::Changed { tasks: 0, .. }) => tasks.await_due(now),
            (Asked::Purge(order), Reply::Changed { more: true, .. }) => {
                tasks.order(Asked::Purge(order.clone()), *order);
            }
            (Asked::Due, Reply::Failed(error)) => {
                tasks.due = Some(now.tick.after(TROUBLE));
                self.store_failed(&error, now);
            }
            (Asked::Client(client, wanted), reply) => self.tell_client(client, wanted, reply, now),
            (Asked::Begun(client, wanted, seated), reply) => {
                let stored = at_once::begun(&reply);
                self.tell_client(client, wanted, reply, now);
                self.begin_seated(seated, &stored, now);
            }
            // What came of the others is in the counts.
            _ => {}
        }
    }

    /// The store could not do something that it has to do: it is told again a little later.
    fn store_failed(&mut self, error: &StoreError, now: Now) {
        let Some(tasks) = &mut self.tasks else { return };
        let text = error.to_string();
        tasks.trouble = Some((now.tick.after(TROUBLE), text.clone()));
        if tasks.complaint.replace(text.clone()).is_none_or(|known| known != text) {
            self.say(Happening::new(now.wall, Kind::Warning, text));
        }
    }

    fn say_damaged(&mut self, queue: QueueId, damaged: &[TaskId], now: Now) {
        let Some(tasks) = self.tasks.as_mut().filter(|_| !damaged.is_empty()) else { return };
        let ids: Vec<_> = damaged.iter().map(ToString::to_string).collect();
        let (name, ids) = (tasks.queue(queue).name.clone(), ids.join(", "));
        let text = format!("queue {name}: not what was put, and set aside: {ids}");
        self.say(Happening::new(now.wall, Kind::Warning, text));
    }

    /// Workers are to take tasks, or are to take none: those of these that have slots. What to say of that, each once.
    pub(super) fn open_crews(&mut self, ids: &[WorkerId], open: bool) -> Vec<String> {
        let mut lines = Vec::new();
        let Some(tasks) = &mut self.tasks else { return lines };
        for worker in ids.iter().filter_map(|id| self.workers.get(id)) {
            // One that stays takes tasks whenever it runs.
            let Some(slot) = worker.slot.filter(|_| worker.is_by_task(&self.configuration)) else { continue };
            tasks.desk.open(slot.crew, open);
            match open {
                true => _ = tasks.closed.remove(&worker.of),
                false => _ = tasks.closed.insert(worker.of.clone()),
            }
            lines.push(format!("{} takes tasks", worker.of));
        }
        lines.dedup();
        lines
    }
}
