//! Tasks: from the store to the slots of workers, and what became of them back to the store.
//!
//! `task::queue` decides which task goes where. A slot is a worker of the supervisor's like any other, with one life for each
//! task: it is stopped, killed and swept as others are, and its task is over when nothing of that life is left.

use super::asked::Asked;
use super::left::Legacy;
use super::stores::{HERE, Standing, StoreId, Stores};
use super::{Configuration, Up, Worker, specs};
use crate::clock::{Now, Tick, earliest};
use crate::config::tables::QueueEvent;
use crate::config::values;
use crate::control::event::{Event as Happening, Kind};
use crate::control::queue::Totals;
use crate::runtime::launch::Errand;
use crate::runtime::payload::{Payload, Payloads};
use crate::runtime::store::{Counts, Ending, FromStore, How, Order, Placed, Reply, Source, Ticket};
use crate::supervisor::{Phase, Supervisor};
use crate::task::priority::Slots;
use crate::task::queue::{CrewId, Effect, FETCH_BYTES, FETCH_TASKS, QueueId, Queues, Slot};
use crate::task::{Class, Task, TaskId};
use crate::worker::WorkerId;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Queues, and those who work on their tasks.
#[derive(Debug)]
pub(super) struct Tasks {
    pub(super) stores: Stores,
    /// What the last supervisor had begun.
    pub(super) legacy: Legacy,
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
    pub(super) asked: HashMap<Ticket, Asked>,
    tickets: u64,
    /// When each task that has a time has had it.
    pub(super) deadlines: BTreeSet<(Tick, WorkerId)>,
}

/// What is known of a queue.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) name: Arc<str>,
    /// Where its tasks are.
    pub(super) store: StoreId,
    /// None where the configuration does not have it any more.
    pub(super) place: Option<usize>,
    pub(super) counts: Option<Counts>,
    /// So many tasks were put and begun at once since it was counted: with the next counts they have been added, and waited.
    pub(super) begun: u64,
    pub(super) totals: Totals,
    /// When what has been kept long enough was deleted last.
    pub(super) purged: Option<Tick>,
    /// What it holds cannot be read, and is looked at again then; how long that was left alone last.
    pub(super) trouble: Option<Tick>,
    pub(super) left_alone: Duration,
}

/// The slots of a worker.
#[derive(Debug)]
pub(super) struct Crew {
    /// The worker, by its name in the configuration.
    pub(super) worker: Box<str>,
    /// A process is started for each of its tasks.
    by_task: bool,
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
    /// When it has had its time, which begins with its process.
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
    pub(super) fn new(stores: Stores, payloads: Payloads) -> Tasks {
        Tasks {
            stores,
            legacy: Legacy::default(),
            payloads,
            desk: Queues::new(),
            queues: Vec::new(),
            crews: Vec::new(),
            generation: 0,
            closed: HashSet::new(),
            asked: HashMap::new(),
            tickets: 0,
            deadlines: BTreeSet::new(),
        }
    }

    /// Has an order for a store: it goes out with the others of this turn, to share a commit with them.
    pub(super) fn order(&mut self, store: StoreId, asked: Asked, order: Order) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.asked.insert(ticket, asked);
        self.stores.get_mut(store).orders.push((ticket, order));
    }

    /// A queue by its name.
    pub(super) fn named(&self, name: &str) -> Option<QueueId> {
        let at = self.queues.iter().position(|queue| *queue.name == *name)?;
        Some(QueueId(at as u32))
    }

    pub(super) fn queue(&mut self, id: QueueId) -> &mut Known {
        &mut self.queues[id.0 as usize]
    }

    /// A queue that may not have been heard of. It stays in the store where it was first.
    fn heard_of(&mut self, name: &Arc<str>, store: StoreId) -> QueueId {
        self.named(name).unwrap_or_else(|| {
            let (name, totals) = (name.clone(), Totals::default());
            let (place, counts, purged, trouble, left_alone) = (None, None, None, None, Duration::ZERO);
            self.queues.push(Known { name, store, place, counts, begun: 0, totals, purged, trouble, left_alone });
            QueueId(self.queues.len() as u32 - 1)
        })
    }

    /// Takes in the queues of a configuration; their stores were opened.
    pub(super) fn take_in_queues(&mut self, configuration: &Configuration) {
        self.queues.iter_mut().for_each(|queue| queue.place = None);
        for (place, queue) in configuration.loaded.config.queues.iter().enumerate() {
            let store = match &queue.keys.store.value {
                values::Store::Embedded => HERE,
                values::Store::Redis(url) => self.stores.at(url).unwrap_or(HERE),
            };
            let id = self.heard_of(&queue.name.as_str().into(), store);
            self.queue(id).place = Some(place);
        }
    }

    /// Whether the configuration in force has a queue of this name in this store.
    pub(super) fn works_on(&self, name: &str, store: StoreId) -> bool {
        self.queues.iter().any(|known| *known.name == *name && known.store == store && known.place.is_some())
    }

    /// The queue that a store says something of; none where that is another's, or nobody's here.
    pub(super) fn counted_of(&mut self, store: StoreId, counts: &Counts) -> Option<QueueId> {
        let id = match store {
            HERE => self.heard_of(&counts.queue, HERE),
            _ => self.named(&counts.queue)?,
        };
        (self.queue(id).store == store).then_some(id)
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
        let Some(known) = self.queues.iter().find(|known| *known.name == *queue) else { return 0 };
        let counts = known.counts.as_ref().filter(|counts| !counts.paused);
        counts.map_or(0, |counts| counts.tally.startable() + known.begun)
    }

    /// What the change of a queue to these counts means to those who wait for that.
    pub(super) fn news(&mut self, id: QueueId, counts: &Counts) -> Vec<QueueEvent> {
        let known = self.queue(id);
        counts.news(known.counts.as_ref(), known.begun).collect()
    }

    /// When there is something to do that nothing else brings.
    pub(super) fn deadline(&self) -> Option<Tick> {
        let trouble = self.queues.iter().filter_map(|queue| queue.trouble).min();
        earliest([self.deadlines.first().map(|(at, _)| *at), self.stores.deadline(), trouble])
    }

    /// A queue has changed, as a store says.
    pub(super) fn counted(&mut self, store: StoreId, counts: Counts, now: Now) {
        let Some(id) = self.counted_of(store, &counts) else { return };
        if (id.0 as usize) < self.desk.queues() {
            for (class, first) in Class::ALL.into_iter().zip(counts.fresh) {
                if let Some(first) = first {
                    self.desk.fresh(id, class, first);
                }
            }
        }
        self.queue(id).counts = Some(counts);
        self.await_due(store, now);
    }

    /// Has the next delayed task of a store waited for.
    pub(super) fn await_due(&mut self, store: StoreId, now: Now) {
        let of_it = self.queues.iter().filter(|queue| queue.store == store);
        let next_due = of_it.filter_map(|queue| queue.counts.as_ref()?.next_due).min();
        let is_lost = matches!(self.stores.get(store).standing, Standing::Lost(_));
        let due = next_due.filter(|_| !is_lost).map(|at| now.tick.after(at.until(now.wall)));
        self.stores.get_mut(store).due = due;
    }

    /// Whether tasks wait for their time.
    pub(super) fn has_delayed(&self) -> bool {
        self.stores.ids().any(|store| self.stores.get(store).due.is_some())
    }

    /// Has nobody begin tasks of queues that are paused or cannot be read, or whose store cannot say that they have begun; nor with workers that
    /// are to take none, or that would have to wait before they could start.
    pub(super) fn hold(&mut self, supervisor: &Supervisor) {
        for (id, queue) in (0..).map(QueueId).zip(&self.queues) {
            if (id.0 as usize) < self.desk.queues() {
                let is_paused = queue.counts.as_ref().is_some_and(|counts| counts.paused);
                let is_held = queue.trouble.is_some() || !self.stores.get(queue.store).is_ready();
                self.desk.pause(id, is_paused || is_held);
            }
        }
        let goes_down = supervisor.phase() == Phase::Stopping;
        for (id, crew) in (0..).map(CrewId).zip(&self.crews) {
            let waits = || crew.slots.first().is_some_and(|slot| supervisor.is_held_up(*slot));
            let takes_none = crew.by_task && (self.closed.contains(&crew.worker) || waits());
            self.desk.open(id, !goes_down && !takes_none);
        }
    }

    /// Has a crew be given a task of shared queues as it wishes; of no queue where it wishes for none.
    fn wish(&mut self, crew: CrewId, from: &[(QueueId, Class)], configuration: &Configuration) {
        for store in self.stores.ids().filter(|store| store.is_shared()) {
            let source = |(queue, class): &(QueueId, Class)| {
                let known = &self.queues[queue.0 as usize];
                let keys = known.place.map(|place| &configuration.loaded.config.queues[place].keys);
                let max_wait = keys.map_or(Duration::MAX, |keys| keys.max_wait.value);
                (known.store == store).then(|| Source { queue: known.name.clone(), class: *class, max_wait })
            };
            let from = from.iter().filter_map(source).collect();
            self.order(store, Asked::Wish { generation: self.generation, crew }, Order::Take { by: crew.0, from });
        }
    }

    /// Gives a store the orders again that must be carried out and could not be.
    pub(super) fn tell_again(&mut self, store: StoreId) {
        for asked in std::mem::take(&mut self.stores.get_mut(store).untold) {
            if let Some(order) = asked.again() {
                self.order(store, asked, order);
            }
        }
    }

    /// Ends the stores, when all that they were told is done. What has failed is tried a last time: the tasks whose tries are
    /// over, and of which that could not be stored.
    pub(super) fn stop(mut self) -> Vec<TaskId> {
        self.stores.ids().for_each(|store| self.tell_again(store));
        for said in self.stores.stop() {
            if let FromStore::Reply(ticket, reply) = said
                && !matches!(reply, Reply::Failed(_))
            {
                self.asked.remove(&ticket);
            }
        }
        let lost = self.asked.into_values().filter_map(|asked| match asked.again() {
            Some(Order::End { id, .. }) => Some(id),
            _ => None,
        });
        let mut lost: Vec<_> = lost.collect();
        lost.sort_unstable();
        lost
    }
}

impl Up<'_> {
    /// Arranges who works on which tasks, as the configuration in force has it. What is being worked on goes on.
    pub(super) fn arrange_tasks(&mut self) {
        let Some(tasks) = &mut self.tasks else { return };
        let config = &self.configuration.loaded.config;
        tasks.take_in_queues(&self.configuration);
        for crew in (0..tasks.crews.len() as u32).map(CrewId) {
            tasks.wish(crew, &[], &self.configuration);
        }
        tasks.generation += 1;
        (tasks.desk, tasks.crews) = (Queues::new(), Vec::new());
        for queue in &tasks.queues {
            let max_wait = queue.place.map_or(Duration::MAX, |place| config.queues[place].keys.max_wait.value);
            tasks.desk.add_queue(max_wait, queue.store.is_shared());
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
            tasks.crews.push(Crew { worker: named.name.as_str().into(), by_task, slots: ids, queues });
        }
        let ids: Vec<_> = self.workers.iter().filter(|(_, worker)| worker.talk.is_some()).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.seat(id));
    }

    /// Gives tasks to slots that are free.
    pub(super) fn serve_tasks(&mut self, now: Now) {
        if self.supervisor.phase() == Phase::Stopping {
            let crews = self.tasks.iter().flat_map(|tasks| &tasks.crews);
            let slots: Vec<_> = crews.flat_map(|crew| crew.slots.iter().copied()).collect();
            self.give_back(&slots, now);
        }
        let Some(tasks) = &mut self.tasks else { return };
        tasks.hold(&self.supervisor);
        let mut effects = Vec::new();
        tasks.desk.settle(now.wall, &mut effects);
        let mut leases = BTreeMap::new();
        for effect in effects {
            match effect {
                Effect::Fetch { queue, class, after } => {
                    let name = tasks.queue(queue).name.clone();
                    let (tasks_max, bytes_max) = (FETCH_TASKS, FETCH_BYTES);
                    let order = Order::Fetch { queue: name, class, after, tasks_max, bytes_max, now: now.wall };
                    tasks.order(HERE, Asked::Fetch { generation: tasks.generation, queue, class }, order);
                }
                Effect::Begin { slot, queue, task } => {
                    let id = tasks.crews[slot.crew.0 as usize].slots[slot.number as usize];
                    let Some(worker) = self.workers.get_mut(&id) else { continue };
                    let (leases, all_ahead) = leases.entry(tasks.queue(queue).store).or_insert((Vec::new(), true));
                    leases.push((id, task.id));
                    *all_ahead &= worker.take(task, queue, now.tick);
                }
                Effect::Wish { crew, from } => tasks.wish(crew, &from, &self.configuration),
                Effect::Release { id, .. } => tasks.end(id, Ending::Return, now),
            }
        }
        for (store, (leases, ahead)) in leases {
            let ids = leases.iter().map(|(_, task)| *task).collect();
            tasks.order(store, Asked::Lease(leases), Order::Lease { ids, ahead });
        }
    }

    /// Gives the stores the orders that there are.
    pub(super) fn send_orders(&mut self) {
        self.tasks.iter_mut().for_each(|tasks| tasks.stores.send());
    }

    /// Ends the stores; what they could not store is done again by the next supervisor.
    pub(super) fn stop_tasks(&mut self, now: Now) {
        let lost = self.tasks.take().map(Tasks::stop).unwrap_or_default();
        if !lost.is_empty() {
            let ids: Vec<_> = lost.iter().map(ToString::to_string).collect();
            let text =
                format!("what became of these tasks is not stored, and they are tried again: {}", ids.join(", "));
            self.say(Happening::new(now.wall, Kind::Warning, text));
        }
    }

    /// Workers are to take tasks, or are to take none: those of these that have slots. What to say of that, each once.
    pub(super) fn open_crews(&mut self, ids: &[WorkerId], open: bool) -> Vec<String> {
        let mut lines = Vec::new();
        let Some(tasks) = &mut self.tasks else { return lines };
        for worker in ids.iter().filter_map(|id| self.workers.get(id)) {
            // One that stays takes tasks whenever it runs.
            if !worker.is_by_task(&self.configuration) {
                continue;
            }
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
