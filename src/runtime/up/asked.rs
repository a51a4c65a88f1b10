//! What clients ask of queues and tasks, and what the store's replies come to for them.

use super::answer::{Goal, Pending};
use super::at_once::Seated;
use super::heard::Putter;
use super::stores::{HERE, StoreId};
use super::tasks::{Known, Tasks};
use super::{Up, Worker};
use crate::clock::Now;
use crate::config::tables::QueueEvent;
use crate::control::payload::Payload;
use crate::control::put::{OnKey as Clash, Put};
use crate::control::queue::{
    ByClass, Consumer, End, HEAD_BYTES_MAX, Limits as Shown, Outcome, PAYLOAD_BYTES_MAX, Placed, Placement,
    Queue as Brief, QueueStatus, TaskDetail, TaskPage, TaskRow,
};
use crate::control::record;
use crate::control::reply::{Code, Reply as Answer};
use crate::control::request::{Name, OfQueue, OfTask, Patience, ROWS_MAX};
use crate::runtime::arrivals::Source;
use crate::runtime::server::ClientId;
use crate::runtime::store::{self, Entry, How, Key, Limits, NewTask, OnKey, Order, Reply, StoreError, Which};
use crate::task::queue::{CrewId, QueueId};
use crate::task::{Class, State, TaskId};
use crate::worker::WorkerId;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Why a task is buried that somebody buries.
const BY_HAND: &str = "somebody asked for it";

/// What an order is for.
#[derive(Debug)]
pub(super) enum Asked {
    /// For the desk of this generation.
    Fetch {
        generation: u64,
        queue: QueueId,
        class: Class,
    },
    /// What a crew of the desk of this generation wishes for.
    Wish {
        generation: u64,
        crew: CrewId,
    },
    /// A try of each of these tasks begins, in these slots.
    Lease(Vec<(WorkerId, TaskId)>),
    /// A try is over; the order, should it have to be given again.
    End(Box<Order>),
    /// Files have come; the order, should it have to be given again.
    Arrived(Arc<Source>, Box<Order>),
    Due,
    /// What was kept long enough is deleted; the order, should some be left.
    Purge(Box<Order>),
    /// What has become of a task that somebody waits for.
    Gone(TaskId),
    /// For a worker that has put something.
    Worker(Putter, QueueId),
    /// For a client.
    Client(ClientId, Wanted),
    /// For a client who has put what starts at once.
    Begun(ClientId, Wanted, Seated),
}

impl Asked {
    /// The client who waits for it.
    pub(super) fn client(self) -> Option<ClientId> {
        match self {
            Asked::Client(client, _) | Asked::Begun(client, ..) => Some(client),
            _ => None,
        }
    }

    /// The order that is to be given again where it has failed.
    pub(super) fn again(&self) -> Option<Order> {
        match self {
            Asked::End(order) | Asked::Arrived(_, order) => Some((**order).clone()),
            _ => None,
        }
    }
}

/// What a client wants to know.
#[derive(Debug)]
pub(super) enum Wanted {
    /// Where what it put is; and what becomes of it, if it waits for that. What it is, where somebody records that.
    Put(QueueId, Patience, Option<Box<record::Source>>),
    Tasks(Box<Page>),
    Task(TaskId),
    /// Of which queue it is, to have it buried.
    Bury(TaskId),
    /// Of one task: whether there was something to change, and what to say then.
    Changed(TaskId, &'static str),
    /// Whether this task was buried, of this queue, where that is known here.
    Buried(Option<QueueId>, TaskId),
    /// Of a whole queue: how many were changed so far, by what, and what to say then.
    Many(u64, Box<Order>, String),
    Done(String),
}

/// Tasks by their numbers, from one store after the other: each has higher ones than the one before.
#[derive(Debug)]
pub(super) struct Page {
    found: Vec<Entry>,
    /// Where they could not be looked for.
    missing: Vec<String>,
    /// Where else they are looked for.
    left: Vec<StoreId>,
    /// Of one queue, or of all; in one state, or all; behind this one, and so many at most.
    queue: Option<Arc<str>>,
    state: Option<State>,
    after: TaskId,
    max: u32,
}

impl Page {
    /// What the next store is asked.
    fn order(&self) -> Order {
        let Page { queue, state, after, .. } = self;
        let max = self.max.saturating_sub(self.found.len() as u32);
        Order::List { queue: queue.clone(), state: *state, after: *after, max }
    }
}

type Refusal = (Code, String);

impl Up<'_> {
    /// The queue of this name, where the configuration has it.
    fn queue_named(&self, name: &Name) -> Result<QueueId, Refusal> {
        let known = self.tasks.as_ref().map(|tasks| &tasks.queues[..]).unwrap_or_default();
        let names = || known.iter().filter(|queue| queue.place.is_some()).map(|queue| &*queue.name);
        let found = known.iter().position(|queue| queue.place.is_some() && *queue.name == *name.as_str());
        found.map(|at| QueueId(at as u32)).ok_or_else(|| {
            let near = crate::config::kind::nearest(name.as_str(), names());
            let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            (Code::NoSuchQueue, format!("there is no queue {:?}{near}", name.as_str()))
        })
    }

    /// Has tasks stored; answered when they are.
    pub(super) fn put(&mut self, client: ClientId, put: Put, now: Now) -> Result<Option<Answer>, Refusal> {
        let id = self.queue_named(&put.queue)?;
        let recorded = self.events.are_recorded().then(|| Box::new(record::Source::put(&put)));
        let on = |on| if on == Clash::Replace { OnKey::Replace } else { OnKey::DropNew };
        let key = put.key.map(|key| Key { name: key.key.into(), on: on(key.on) });
        let delay = Duration::from_millis(put.delay_ms.unwrap_or(0));
        let trace: Option<Box<str>> = put.trace.map(|trace| trace.as_str().into());
        let task = |payload: Payload| {
            let (key, trace, payload) = (key.clone(), trace.clone(), payload.into());
            NewTask { class: put.class, key, delay, trace, payload }
        };
        let order = self.put_order(id, put.payloads.into_iter().map(task).collect(), put.patience.wait, now);
        if let Some(order) = order {
            self.order_put(client, Wanted::Put(id, put.patience, recorded), id, order, now);
        }
        Ok(None)
    }

    /// What has tasks stored in a queue of the configuration.
    pub(super) fn put_order(&self, id: QueueId, tasks: Vec<NewTask>, awaited: bool, now: Now) -> Option<store::Put> {
        let known = self.tasks.as_ref()?.queues.get(id.0 as usize)?;
        let keys = &self.configuration.loaded.config.queues[known.place?].keys;
        let limits = Limits { tasks: keys.max_tasks.value.0.unsigned_abs(), bytes: keys.max_bytes.value.0 };
        let (queue, durable) = (known.name.clone(), keys.durable.value);
        Some(store::Put { queue, durable, limits, tasks, start: 0, awaited, now: now.wall })
    }

    /// Does something with a queue; the answer, if it is there at once.
    pub(super) fn of_queue(
        &mut self,
        client: ClientId,
        name: Option<&Name>,
        what: OfQueue,
        now: Now,
    ) -> Result<Option<Answer>, Refusal> {
        let id = name.map(|name| self.queue_named(name)).transpose()?;
        if what == OfQueue::Stats {
            return Ok(Some(Answer::Queues(self.queues_shown(id, now))));
        }
        let none = || (Code::NoSuchQueue, "there are no queues in the configuration".to_owned());
        let tasks = self.tasks.as_mut().ok_or_else(none)?;
        let named = id.map(|id| tasks.queue(id).name.clone());
        let mut store = id.map_or(HERE, |id| tasks.queue(id).store);
        let (order, wanted) = match what {
            OfQueue::List { state, after, max } => {
                let (after, max) = (after.unwrap_or_default(), max.unwrap_or(ROWS_MAX).min(ROWS_MAX));
                let mut left = if named.is_none() { tasks.stores.by_number() } else { vec![store] };
                store = left.remove(0);
                let page = Page { found: Vec::new(), missing: Vec::new(), left, queue: named, state, after, max };
                (page.order(), Wanted::Tasks(Box::new(page)))
            }
            OfQueue::Look => (Order::Look, Wanted::Done("looked".into())),
            _ => {
                let queue = named.ok_or_else(|| (Code::BadRequest, "which queue? name one".to_owned()))?;
                Tasks::change(queue, what)
            }
        };
        tasks.order(store, Asked::Client(client, wanted), order);
        Ok(None)
    }

    /// Does something with a task; answered when it is done.
    pub(super) fn of_task(&mut self, client: ClientId, id: TaskId, what: OfTask) -> Result<Option<Answer>, Refusal> {
        let Some(tasks) = &mut self.tasks else {
            return Err((Code::NoSuchTask, "there are no queues in the configuration".into()));
        };
        let store = tasks.stores.of_task(id).ok_or_else(|| match tasks.stores.unknown() {
            Some(server) => (Code::Failed, format!("no store here has task {id}, and {server} was not reached yet")),
            None => (Code::NoSuchTask, format!("there is no task {id}")),
        })?;
        let (order, wanted) = match what {
            OfTask::Show => (Order::Show { id }, Wanted::Task(id)),
            OfTask::Kick => (Order::Kick(Which::Task(id)), Wanted::Changed(id, "kicked")),
            OfTask::Bury => (Order::Show { id }, Wanted::Bury(id)),
            OfTask::Drop => (Order::Drop { id }, Wanted::Changed(id, "dropped")),
        };
        tasks.order(store, Asked::Client(client, wanted), order);
        Ok(None)
    }

    /// Answers a client what the store has replied.
    pub(super) fn tell_client(&mut self, client: ClientId, wanted: Wanted, store: StoreId, reply: Reply, now: Now) {
        let answer = self.answer_of_store(client, wanted, store, reply, now);
        self.answer_client(client, answer, now);
    }

    /// Answers a client, where there is an answer by now.
    pub(super) fn answer_client(&mut self, client: ClientId, answer: Option<Answer>, now: Now) {
        if let Some(answer) = answer {
            self.server.reply(&self.poller, client, &answer, now.tick);
        }
    }

    /// What a client is answered of what a store has said; none where that takes longer.
    pub(super) fn answer_of_store(
        &mut self,
        client: ClientId,
        wanted: Wanted,
        store: StoreId,
        reply: Reply,
        now: Now,
    ) -> Option<Answer> {
        Some(match (wanted, reply) {
            (Wanted::Tasks(mut page), Reply::Failed(error)) if page.queue.is_none() && error.is_lost() => {
                page.missing.push(self.tasks.as_ref()?.stores.get(store).name().to_owned());
                return self.listed(client, page, false);
            }
            (_, Reply::Failed(error)) => {
                let code = if matches!(error, StoreError::NoSpace { .. }) { Code::Full } else { Code::Failed };
                Answer::failed(code, error.to_string())
            }
            (_, Reply::Full(full)) => Answer::failed(Code::Full, full.to_string()),
            (Wanted::Put(queue, patience, recorded), Reply::Put(placed)) => {
                self.record_put(recorded, &placed, now);
                return self.placed(client, queue, patience, &placed, now);
            }
            (Wanted::Tasks(mut page), Reply::Listed { tasks, more }) => {
                page.found.extend(tasks);
                return self.listed(client, page, more);
            }
            (Wanted::Task(_), Reply::Shown(Some(shown))) => {
                let result = shown.entry.said.clone().filter(|_| shown.entry.state == State::Done);
                let payload = shown.payload.map(|payload| Payload::head(&payload, PAYLOAD_BYTES_MAX));
                let row = TaskRow { payload, ..self.row(shown.entry) };
                let (trace, result) = (shown.trace.map(Into::into), result.map(Into::into));
                Answer::Task(Box::new(TaskDetail { row, trace, result }))
            }
            (Wanted::Bury(id), Reply::Shown(Some(shown))) => {
                let tasks = self.tasks.as_mut()?;
                let wanted = Wanted::Buried(tasks.named(&shown.entry.queue), id);
                let order = Order::Bury { id, why: BY_HAND.into(), now: now.wall };
                tasks.order(store, Asked::Client(client, wanted), order);
                return None;
            }
            (Wanted::Buried(of, id), Reply::Changed { tasks: 1.., .. }) => self.buried(of, id, now),
            (Wanted::Task(id) | Wanted::Bury(id), _) => {
                Answer::failed(Code::NoSuchTask, format!("there is no task {id}"))
            }
            (Wanted::Changed(id, _) | Wanted::Buried(_, id), Reply::Changed { tasks: 0, .. }) => {
                let text = format!("there is no task {id} of which that can be done; `quell queue show {id}` says why");
                Answer::failed(Code::NoSuchTask, text)
            }
            (Wanted::Changed(id, done), _) => {
                if done == "dropped" {
                    self.task_ended(id, &Outcome { end: End::Dropped, text: None });
                }
                Answer::Done { lines: vec![format!("{done} {id}")] }
            }
            (Wanted::Many(before, order, done), Reply::Changed { tasks: changed, more: true }) => {
                let wanted = Wanted::Many(before + changed, order.clone(), done);
                self.tasks.as_mut()?.order(store, Asked::Client(client, wanted), *order);
                return None;
            }
            (Wanted::Many(before, _, done), Reply::Changed { tasks: changed, .. }) => {
                self.look_who_is_gone();
                Answer::Done { lines: vec![format!("{} tasks {done}", before + changed)] }
            }
            (Wanted::Done(done), _) => Answer::Done { lines: vec![done] },
            (wanted, reply) => {
                tracing::error!("the store has answered {wanted:?} by {reply:?}");
                Answer::failed(Code::Failed, "the store has answered something else")
            }
        })
    }

    /// Somebody has buried a task.
    fn buried(&mut self, of: Option<QueueId>, id: TaskId, now: Now) -> Answer {
        let came = Outcome { end: End::Buried, text: Some(BY_HAND.into()) };
        match of {
            Some(of) => self.tell_fate(of, id, &[QueueEvent::Buried], Some(came), now),
            None => self.task_ended(id, &came),
        }
        Answer::Done { lines: vec![format!("buried {id}")] }
    }

    /// A store has said what it has of a list: the next is asked, or the client is told.
    fn listed(&mut self, client: ClientId, mut page: Box<Page>, more: bool) -> Option<Answer> {
        if more || page.left.is_empty() {
            let tasks = page.found.into_iter().map(|entry| self.row(entry)).collect();
            return Some(Answer::Tasks(TaskPage { tasks, more, missing: page.missing }));
        }
        let (next, order) = (page.left.remove(0), page.order());
        self.tasks.as_mut()?.order(next, Asked::Client(client, Wanted::Tasks(page)), order);
        None
    }

    /// Tasks are stored: the client is told, or waits for what becomes of them.
    fn placed(
        &mut self,
        client: ClientId,
        queue: QueueId,
        patience: Patience,
        placed: &[store::Placed],
        now: Now,
    ) -> Option<Answer> {
        for placed in placed {
            if let How::Replaced(old) = &placed.how {
                old.iter().for_each(|old| self.task_ended(*old, &Outcome { end: End::Dropped, text: None }));
            }
        }
        self.tasks.as_mut()?.count_put(queue, placed);
        // What was there may have come to its end since, while nobody waited for that.
        let there = placed.iter().filter(|placed| patience.wait && placed.how == How::There);
        self.look_what_became(there.map(|placed| placed.id).collect());
        let placed: Vec<_> = placed.iter().map(shown).collect();
        if !patience.wait {
            return Some(Answer::Put { tasks: placed });
        }
        let left: HashSet<_> = placed.iter().map(|placed| placed.id).collect();
        let deadline = patience.timeout_ms.map(|ms| now.tick.after(Duration::from_millis(ms)));
        let goal = Goal::Tasks { placed, left, came: HashMap::new() };
        self.pending.push(Pending { client, goal, deadline });
        None
    }

    /// A task has come to its end: whoever waits for that is told.
    pub(super) fn task_ended(&mut self, id: TaskId, outcome: &Outcome) {
        for pending in &mut self.pending {
            if let Goal::Tasks { left, came, .. } = &mut pending.goal
                && left.remove(&id)
            {
                came.insert(id, outcome.clone());
            }
        }
    }

    /// Tasks may have ended, and it is not known which: those that somebody waits for are looked for.
    pub(super) fn look_who_is_gone(&mut self) {
        let left = self.pending.iter().filter_map(|pending| match &pending.goal {
            Goal::Tasks { left, .. } => Some(left),
            _ => None,
        });
        self.look_what_became(left.flatten().copied().collect());
    }

    fn look_what_became(&mut self, ids: Vec<TaskId>) {
        let Some(tasks) = &mut self.tasks else { return };
        let mut gone = Vec::new();
        for id in ids {
            match tasks.stores.of_task(id) {
                Some(store) => tasks.order(store, Asked::Gone(id), Order::Show { id }),
                // A server that has lost all begins its numbers elsewhere.
                None if tasks.stores.unknown().is_none() => gone.push(id),
                None => {}
            }
        }
        gone.into_iter().for_each(|id| self.task_ended(id, &Outcome { end: End::Dropped, text: None }));
    }

    /// A task, as a list has it.
    fn row(&self, entry: Entry) -> TaskRow {
        let has = |worker: &&Worker| worker.at_hand().any(|task| task.id == entry.id);
        let ended = matches!(entry.state, State::Done);
        TaskRow {
            id: entry.id,
            queue: entry.queue.to_string(),
            class: entry.class,
            state: entry.state.into(),
            attempt: entry.attempt,
            put: entry.put,
            due: entry.due,
            ended: entry.ended,
            key: entry.key.map(Into::into),
            worker: self.workers.values().find(has).map(|worker| worker.name.to_string()),
            why: entry.said.filter(|_| !ended).map(Into::into),
            payload_bytes: entry.bytes,
            payload: entry.head.map(|head| Payload::head(&head, HEAD_BYTES_MAX)),
        }
    }

    /// Queues of the configuration in short, for the status.
    pub(super) fn queues_in_short(&self) -> Vec<Brief> {
        let tasks = self.tasks.iter().flat_map(|tasks| tasks.queues.iter().map(move |queue| (tasks, queue)));
        tasks.filter(|(_, queue)| queue.place.is_some()).map(|(tasks, queue)| brief(tasks, queue)).collect()
    }

    /// All that is known of queues.
    fn queues_shown(&self, only: Option<QueueId>, now: Now) -> Vec<QueueStatus> {
        let Some(tasks) = &self.tasks else { return Vec::new() };
        let wanted = (0..).map(QueueId).zip(&tasks.queues).filter(|(id, _)| only.is_none_or(|only| only == *id));
        let mut shown = Vec::new();
        for (id, known) in wanted {
            let Some(place) = known.place else { continue };
            let keys = &self.configuration.loaded.config.queues[place].keys;
            let counts = known.counts.as_ref();
            let tally = counts.map(|counts| counts.tally).unwrap_or_default();
            let crews = tasks.crews.iter().filter(|crew| crew.queues.contains(&id));
            let busy = |id: &&WorkerId| self.workers.get(id).is_some_and(|worker| worker.at_hand().next().is_some());
            let workers = crews.map(|crew| Consumer {
                worker: crew.worker.to_string(),
                slots: crew.slots.len() as u32,
                busy: crew.slots.iter().filter(busy).count() as u32,
            });
            shown.push(QueueStatus {
                queue: brief(tasks, known),
                done: tally.done,
                bytes: tally.bytes,
                oldest_ms: tasks.desk.oldest(id).map(|put| now.wall.until(put).as_millis() as u64),
                next_due: counts.and_then(|counts| counts.next_due),
                limits: Shown { tasks: keys.max_tasks.value.0.unsigned_abs(), bytes: keys.max_bytes.value.0 },
                totals: known.totals,
                workers: workers.collect(),
                store: tasks.stores.get(known.store).shown(),
            });
        }
        shown
    }
}

impl Tasks {
    /// What the store is to do with a queue as a whole.
    fn change(queue: Arc<str>, what: OfQueue) -> (Order, Wanted) {
        let many = |order: Order, done: String| (order.clone(), Wanted::Many(0, Box::new(order), done));
        match what {
            OfQueue::Drain => {
                let done = format!("of {queue} dropped");
                many(Order::Drain { queue }, done)
            }
            OfQueue::Kick => {
                let done = format!("of {queue} kicked");
                many(Order::Kick(Which::Queue(queue)), done)
            }
            _ => {
                let paused = what == OfQueue::Pause;
                let done = if paused { format!("paused {queue}") } else { format!("resumed {queue}") };
                (Order::Pause { queue, paused }, Wanted::Done(done))
            }
        }
    }
}

/// A queue in short.
fn brief(tasks: &Tasks, queue: &Known) -> Brief {
    let counts = queue.counts.as_ref();
    let tally = counts.map(|counts| counts.tally).unwrap_or_default();
    let [high, normal, low] = tally.waiting;
    Brief {
        name: queue.name.to_string(),
        waiting: ByClass { high, normal, low },
        delayed: tally.delayed,
        running: tally.running,
        buried: tally.buried,
        damaged: tally.damaged,
        paused: counts.is_some_and(|counts| counts.paused),
        why: tasks.stores.get(queue.store).why(),
    }
}

/// Where a payload is that was put, as clients are told.
fn shown(placed: &store::Placed) -> Placed {
    let what = match placed.how {
        How::New => Placement::New,
        How::There => Placement::There,
        How::Replaced(_) => Placement::Replaced,
    };
    Placed { id: placed.id, what, outcome: None }
}
