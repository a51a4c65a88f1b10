//! What the stores say, and what comes of it.

use super::answer::Goal;
use super::asked::Asked;
use super::stores::{Standing, StoreId, TROUBLE};
use super::{Up, at_once};
use crate::clock::Now;
use crate::control::event::{Event as Happening, Kind};
use crate::control::queue::{End as Ended, Outcome as Came};
use crate::control::reply::{Code, Reply as Answer};
use crate::runtime::store::{Ending, Entry, FromStore, Link, Order, Over, Reply, StoreError};
use crate::task::queue::{CrewId, QueueId};
use crate::task::trigger::What;
use crate::task::{State, TaskId};
use std::time::Duration;

/// How long at most a queue is left alone that cannot be read.
const TROUBLE_MAX: Duration = Duration::from_secs(300);

impl Up<'_> {
    /// Takes what the stores have said.
    pub(super) fn stores_said(&mut self, now: Now) {
        let ids = self.tasks.iter().flat_map(|tasks| tasks.stores.ids()).collect::<Vec<_>>();
        for store in ids {
            while let Some(said) = self.tasks.as_ref().and_then(|tasks| tasks.stores.get(store).said.try_recv().ok()) {
                self.store_said(store, said, now);
            }
        }
    }

    fn store_said(&mut self, store: StoreId, said: FromStore, now: Now) {
        let Some(tasks) = &mut self.tasks else { return };
        match said {
            FromStore::Counts(counts) => {
                let Some(id) = tasks.counted_of(store, &counts) else { return };
                let (queue, news, paused) = (counts.queue.clone(), tasks.news(id, &counts), counts.paused);
                let had_delayed = tasks.has_delayed();
                tasks.counted(store, counts, now);
                if tasks.has_delayed() != had_delayed {
                    self.watches.stale = true;
                }
                if paused {
                    self.give_back_of(&queue, now);
                }
                news.into_iter().for_each(|event| self.happened(What::Queue { queue: &queue, event }, now));
                self.tasks.iter_mut().for_each(|tasks| tasks.queue(id).begun = 0);
                self.room_for_files(&queue);
            }
            FromStore::Reply(ticket, reply) => {
                if let Some(asked) = tasks.asked.remove(&ticket) {
                    self.store_replied(store, asked, reply, now);
                }
            }
            FromStore::Link(link) => self.link_changed(store, link, now),
            FromStore::Returned { tasks, host } => {
                let whose = host.map_or_else(|| "with us".to_owned(), |host| format!("with {host}, which is gone"));
                tasks.into_iter().for_each(|returned| self.take_back(store, returned, &whose, now));
            }
            FromStore::Strayed(task) => {
                let text = format!("task {task} was given to others: we were taken for dead; it may be done twice");
                self.say(Happening::new(now.wall, Kind::Warning, text));
            }
            FromStore::Over(tasks) => tasks.into_iter().for_each(|over| self.ended_elsewhere(over)),
            FromStore::Ended => self.store_ended(now),
        }
    }

    /// Others have ended a task that somebody here waits for.
    fn ended_elsewhere(&mut self, Over { id, state, said }: Over) {
        let end = match state {
            None => Ended::Dropped,
            Some(State::Done) => Ended::Done,
            Some(_) => Ended::Buried,
        };
        self.task_ended(id, &Came { end, text: said.map(Into::into) });
    }

    /// How a task stands that somebody here waits for, now that it was looked for; none where it is gone.
    fn looked_after(&mut self, id: TaskId, entry: Option<Entry>) {
        let state = entry.as_ref().map(|entry| entry.state);
        if !matches!(state, Some(State::Waiting | State::Delayed | State::Running)) {
            self.ended_elsewhere(Over { id, state, said: entry.and_then(|entry| entry.said) });
        }
    }

    /// The end of a try that a store has not heeded, since the task is another's by now.
    fn say_unheard(&mut self, store: StoreId, order: &Order, reply: &Reply, now: Now) {
        if let (true, Order::End { id, ending, .. }, Reply::Changed { tasks: 0, .. }) =
            (store.is_shared(), order, reply)
            && !matches!(ending, Ending::Return | Ending::Unbegun)
        {
            let text = format!("task {id} has ended here, but was another's by then: what becomes of it there counts");
            self.say(Happening::new(now.wall, Kind::Warning, text));
        }
    }

    /// The way to a store is there, or is lost.
    fn link_changed(&mut self, store: StoreId, link: Link, now: Now) {
        let Some(tasks) = &mut self.tasks else { return };
        let of_it = tasks.queues.iter().filter(|queue| queue.store == store && queue.place.is_some());
        let queues: Vec<_> = of_it.map(|queue| &*queue.name).collect();
        let queues = queues.join(", ");
        let backend = tasks.stores.get_mut(store);
        let server = backend.name().to_owned();
        let (kind, text) = match link {
            Link::Up { place, doubts } => {
                (backend.standing, backend.complaint, backend.place) = (Standing::Ready, None, Some(place));
                tasks.tell_again(store);
                let doubts = doubts.into_iter().map(|doubt| format!("; {doubt}")).collect::<String>();
                (Kind::Quell, format!("{server} is there, with {queues}{doubts}"))
            }
            Link::Lost { why } => {
                let before = std::mem::replace(&mut backend.standing, Standing::Lost(why.clone()));
                // It is said once that it is lost, however often it is looked for in vain.
                if matches!(before, Standing::Lost(_)) {
                    return;
                }
                (Kind::Warning, format!("{server} cannot be reached: {why}; nothing of {queues} is put or begun"))
            }
        };
        tasks.await_due(store, now);
        let is_there = tasks.stores.get(store).is_ready();
        // Of a server that no queue is on any more nothing need be said.
        if !queues.is_empty() {
            self.say(Happening::new(now.wall, kind, text));
        }
        if is_there {
            // What ended meanwhile was told to nobody where the server has lost what it knew.
            self.look_who_is_gone();
        }
    }

    /// Nobody stores tasks any more: whoever waits for that is told.
    fn store_ended(&mut self, now: Now) {
        let asked = self.tasks.take().map(|tasks| tasks.asked).unwrap_or_default();
        let text = "the store of tasks has ended: no task is begun any more";
        self.say(Happening::new(now.wall, Kind::Warning, text));
        let waits = self.pending.extract_if(.., |pending| matches!(pending.goal, Goal::Tasks { .. }));
        let waits: Vec<_> = waits.map(|pending| pending.client).collect();
        for client in asked.into_values().filter_map(Asked::client).chain(waits) {
            self.server.reply(&self.poller, client, &Answer::failed(Code::Failed, text), now.tick);
        }
        self.arrange_drops(now);
    }

    fn store_replied(&mut self, store: StoreId, asked: Asked, reply: Reply, now: Now) {
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
                self.fetch_failed(store, queue, &error, now);
            }
            (Asked::Wish { generation, crew }, reply) => self.wish_answered(store, generation, crew, reply, now),
            (Asked::Lease(leases), Reply::Leased(leased)) => {
                tasks.stores.get_mut(store).complaint = None;
                for ((id, task), (_, attempt)) in leases.into_iter().zip(leased) {
                    self.leased(id, task, attempt, now);
                }
            }
            (Asked::Lease(leases), Reply::Failed(error)) => {
                leases.into_iter().for_each(|(id, task)| self.not_leased(id, task));
                self.store_failed(store, &error, now);
            }
            (Asked::Worker(putter, queue), reply) => self.put_replied(putter, queue, &reply, now),
            (asked @ (Asked::End(_) | Asked::Arrived(..)), Reply::Failed(error)) => {
                tasks.stores.get_mut(store).untold.push(asked);
                self.store_failed(store, &error, now);
            }
            (Asked::Arrived(source, order), Reply::Arrived(taken)) => {
                tasks.stores.get_mut(store).complaint = None;
                let told = if let Order::Arrived(arrived) = *order { arrived.files.len() } else { 0 };
                self.files_taken(&source, told, taken, now);
            }
            (Asked::End(order), reply) => {
                tasks.stores.get_mut(store).complaint = None;
                self.say_unheard(store, &order, &reply, now);
            }
            (Asked::Gone(id), Reply::Shown(shown)) => self.looked_after(id, shown.map(|shown| shown.entry)),
            // The calendar's clock is behind the one by which that was waited for, or another host was faster.
            (Asked::Due, Reply::Changed { tasks: 0, .. }) => tasks.await_due(store, now),
            (Asked::Purge(order), Reply::Changed { more: true, .. }) => {
                tasks.order(store, Asked::Purge(order.clone()), *order);
            }
            (Asked::Due, Reply::Failed(error)) => {
                // One that is lost is asked when it is there again.
                tasks.stores.get_mut(store).due = (!error.is_lost()).then(|| now.tick.after(TROUBLE));
                self.store_failed(store, &error, now);
            }
            (Asked::Client(client, wanted), reply) => self.tell_client(client, wanted, store, reply, now),
            (Asked::Begun(client, wanted, seated), reply) => {
                let stored = at_once::begun(&reply);
                // Whoever waits for a task is known before that begins; being answered can wait until it has.
                let answer = self.answer_of_store(client, wanted, store, reply, now);
                self.begin_seated(seated, &stored, now);
                self.answer_client(client, answer, now);
            }
            // What came of the others is in the counts.
            _ => {}
        }
    }

    /// What a crew has wished for has come, or cannot come; any other answer says that it has wished for something else.
    fn wish_answered(&mut self, store: StoreId, generation: u64, crew: CrewId, reply: Reply, now: Now) {
        let Some(tasks) = &mut self.tasks else { return };
        let is_old = generation != tasks.generation;
        match reply {
            Reply::Taken { id, task: Some(_), .. } if is_old => tasks.end(id, Ending::Return, now),
            Reply::Taken { queue, id, task } => {
                let Some(of) = tasks.named(&queue) else { return };
                let damaged = if task.is_none() { vec![id] } else { Vec::new() };
                if !is_old {
                    tasks.desk.came(crew, task.into_iter().map(|task| (of, task)).collect());
                }
                self.say_damaged(of, &damaged, now);
            }
            Reply::Failed(error) => {
                if !is_old {
                    tasks.desk.came(crew, Vec::new());
                }
                self.store_failed(store, &error, now);
            }
            _ => {}
        }
    }

    /// A store could not do something that it has to do: it is told again a little later. Of one that is lost that was said.
    fn store_failed(&mut self, store: StoreId, error: &StoreError, now: Now) {
        let Some(tasks) = &mut self.tasks else { return };
        let backend = tasks.stores.get_mut(store);
        if error.is_lost() {
            return;
        }
        let text = error.to_string();
        backend.standing = Standing::Failing(now.tick.after(TROUBLE), text.clone());
        if backend.complaint.replace(text.clone()).is_none_or(|known| known != text) {
            self.say(Happening::new(now.wall, Kind::Warning, text));
        }
    }

    /// What waits in a queue could not be read. Where a part of the store is damaged the other queues go on, and this one is looked
    /// at ever more seldom.
    fn fetch_failed(&mut self, store: StoreId, queue: QueueId, error: &StoreError, now: Now) {
        if !matches!(error, StoreError::Damaged { .. }) {
            return self.store_failed(store, error, now);
        }
        let Some(tasks) = &mut self.tasks else { return };
        let known = tasks.queue(queue);
        let is_news = known.left_alone.is_zero();
        known.left_alone = (2 * known.left_alone).clamp(TROUBLE, TROUBLE_MAX);
        known.trouble = Some(now.tick.after(known.left_alone));
        if is_news {
            let text = format!("queue {} cannot be read: {error}", known.name);
            self.say(Happening::new(now.wall, Kind::Warning, text));
        }
    }

    fn say_damaged(&mut self, queue: QueueId, damaged: &[TaskId], now: Now) {
        let Some(tasks) = self.tasks.as_mut().filter(|_| !damaged.is_empty()) else { return };
        let ids: Vec<_> = damaged.iter().map(ToString::to_string).collect();
        let (name, ids) = (tasks.queue(queue).name.clone(), ids.join(", "));
        let text = format!("queue {name}: not what was put, and set aside: {ids}");
        self.say(Happening::new(now.wall, Kind::Warning, text));
        let came = Came { end: Ended::Buried, text: Some("not what was put, and set aside".into()) };
        damaged.iter().for_each(|id| self.task_ended(*id, &came));
    }
}
