//! The thread that talks to the server for the control plane.

use super::call::{Call, Row, Taken, fields, items, number, over, reply, returned, taken};
use super::listener::{Heard, Listener};
use super::server::{Places, Server, Session, Trouble};
use super::wishes::{Stream, Wishes};
use super::{IDLE_MAX, PERIOD};
use crate::clock::Tick;
use crate::runtime::outbox::Outbox;
use crate::runtime::store::error::StoreError;
use crate::runtime::store::order::{FromStore, Link, Order, Reply, Ticket};
use crate::runtime::store::tally::Counts;
use crate::sys::time;
use crate::task::TaskId;
use ::redis::Value;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

/// How long to wait before a lost server is looked for again; doubled each time, up to the longest.
const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// So many messages are taken before those are woken who wait for what came of them.
const MESSAGES_MAX: usize = 64;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Message {
    Order(Ticket, Order),
    /// What the listener of a session has heard, or why it hears nothing more.
    Heard(u64, Result<Vec<Heard>, String>),
    Stop,
}

/// The thread.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) server: Server,
    /// As whom it works there.
    pub(super) host: Arc<str>,
    pub(super) inbox: Receiver<Message>,
    /// Where the listener tells what it hears.
    pub(super) told: Sender<Message>,
    pub(super) outbox: Outbox<FromStore>,
    pub(super) places: Places,
    pub(super) state: State,
}

/// What it knows.
#[derive(Debug, Default)]
pub(super) struct State {
    session: Option<Session>,
    /// How many sessions there have been: what was heard in an earlier one is not heard in this.
    sessions: u64,
    listener: Option<Listener>,
    /// Where the listener waits now, and whether the bell was rung to call it away.
    waits_at: Option<(BTreeSet<Stream>, bool)>,
    wishes: Wishes,
    /// Tasks that were taken and have not ended; and those of them that were given to others meanwhile.
    held: BTreeSet<TaskId>,
    strayed: BTreeSet<TaskId>,
    /// When the server has last heard that we live.
    refreshed: Option<Tick>,
    /// What is known of the queues.
    queues: HashMap<Arc<str>, Row>,
    /// Ends of tries that the server has not heard of.
    untold: VecDeque<(Ticket, Order)>,
    /// When there is something to do that nobody asks for: to say that the tasks held are alive, or to look for the server.
    due: Tick,
    /// How often it was looked for in vain, and why it is not there.
    tries: u32,
    lost: Option<String>,
}

impl Keeper {
    pub(super) fn run(mut self) {
        loop {
            let now = time::now().tick;
            // It can talk to itself: so there is nothing else that it ends by than being told.
            let mut message = self.inbox.recv_timeout(self.state.due.until(now)).ok();
            let mut left = MESSAGES_MAX;
            while let Some(next) = message {
                match next {
                    Message::Order(ticket, order) => self.obey(ticket, order),
                    Message::Heard(session, heard) => self.hear(session, heard),
                    Message::Stop => return self.leave(),
                }
                left -= 1;
                message = if left > 0 { self.inbox.try_recv().ok() } else { None };
            }
            if self.state.due <= time::now().tick {
                self.tend();
            }
            self.wait_where_wished();
            self.outbox.deliver();
        }
    }

    /// Does what an order says, or says why not. While the server is lost, wishes stand and ends are kept.
    fn obey(&mut self, ticket: Ticket, order: Order) {
        if let Order::Take { by, from } = order {
            let over = if from.is_empty() { Some(ticket) } else { None };
            let before = self.state.wishes.put(by, ticket, from);
            for ticket in before.into_iter().chain(over) {
                self.reply(ticket, Reply::Changed { tasks: 0, more: false });
            }
            return self.take(by);
        }
        let is_end = matches!(order, Order::End { .. });
        if is_end && self.state.session.is_none() {
            return self.state.untold.push_back((ticket, order));
        }
        let answer = match Call::of(&order, &self.host, time::now().wall) {
            Some(call) => self.call(&call),
            None => Ok(Value::Nil),
        };
        match answer {
            Err(error) if is_end && error.is_lost() => self.state.untold.push_back((ticket, order)),
            Err(error) => {
                // Whoever wanted it begins none of them; they come back by themselves.
                if let Order::Lease { ids, .. } = &order {
                    ids.iter().for_each(|id| self.state.let_go(*id));
                }
                self.reply(ticket, Reply::Failed(error));
            }
            Ok(answer) => {
                let reply = reply(&order, answer);
                match (&order, &reply) {
                    (Order::End { id, .. }, _) => self.state.let_go(*id),
                    (_, Reply::Leased(leased)) => {
                        let gone = leased.iter().filter(|(_, attempt)| attempt.is_none());
                        gone.for_each(|(id, _)| self.state.let_go(*id));
                    }
                    _ => {}
                }
                self.reply(ticket, reply);
            }
        }
    }

    fn reply(&mut self, ticket: Ticket, reply: Reply) {
        self.outbox.tell(FromStore::Reply(ticket, reply));
    }

    /// Calls the script, and says how the queues stand that this has changed.
    fn call(&mut self, call: &Call) -> Result<Value, StoreError> {
        let server = self.server.name.clone();
        let Some(session) = &mut self.state.session else {
            let why = self.state.lost.clone().unwrap_or_else(|| "it was not reached yet".into());
            return Err(StoreError::Lost { server, why });
        };
        match session.call(call) {
            Ok((answer, rows)) => {
                rows.into_iter().for_each(|row| self.count(row));
                Ok(answer)
            }
            Err(Trouble::Refused(why)) => Err(StoreError::Refused { server, why }),
            Err(Trouble::Lost(why)) => {
                self.lose(why.clone());
                Err(StoreError::Cut { server, why })
            }
        }
    }

    /// Says how a queue stands, where that is news.
    fn count(&mut self, row: Row) {
        let before = self.state.queues.insert(row.queue.clone(), row.clone());
        if before.as_ref() == Some(&row) {
            return;
        }
        let had = before.map(|before| before.tally.waiting).unwrap_or_default();
        let fresh = std::array::from_fn(|class| (row.tally.waiting[class] > had[class]).then_some(TaskId(1)));
        let next_due = row.next_due.map(|wait| time::now().wall.after(wait));
        let Row { queue, paused, tally, .. } = row;
        self.outbox.tell(FromStore::Counts(Counts { queue, paused, tally, fresh, next_due }));
    }

    /// Takes what a crew wishes for, if it is there.
    fn take(&mut self, by: u32) {
        while let Some(from) = self.state.wishes.of(by).filter(|_| self.state.session.is_some()) {
            let granted = match self.call(&Call::take(&self.host, from)) {
                Ok(answer) => match taken(answer) {
                    Some(task) if self.resumes(task.id) => continue,
                    task => task.map(Ok),
                },
                // A wish stands until there is a server again.
                Err(error) => Some(error).filter(|error| !error.is_lost()).map(Err),
            };
            let Some((granted, ticket)) = granted.and_then(|granted| Some((granted, self.state.wishes.grant(by)?)))
            else {
                return;
            };
            return match granted {
                Ok(task) => self.hand_out(ticket, task),
                Err(error) => self.reply(ticket, Reply::Failed(error)),
            };
        }
    }

    /// A task that was given to others, and back, while our worker was at it all the time: it is ours again, and no other's.
    fn resumes(&mut self, id: TaskId) -> bool {
        let is_at_hand = self.state.held.contains(&id);
        if is_at_hand {
            match self.call(&Call::new("lease").arg(&self.host).arg(id)) {
                Ok(_) => _ = self.state.strayed.remove(&id),
                Err(e) => tracing::warn!("task {id} is worked on here, and cannot be ours again: {e}"),
            }
        }
        is_at_hand
    }

    fn hand_out(&mut self, ticket: Ticket, Taken { queue, id, task }: Taken) {
        if task.is_some() {
            self.state.held.insert(id);
        } else if let Err(e) = self.call(&Call::new("damaged").arg(id)) {
            tracing::warn!("task {id} is not what was put, and cannot be set aside: {e}");
        }
        self.reply(ticket, Reply::Taken { queue, id, task });
    }

    /// The listener has heard something. What came of nobody's wish goes back.
    fn hear(&mut self, session: u64, heard: Result<Vec<Heard>, String>) {
        let is_of_this = session == self.state.sessions && self.state.session.is_some();
        if is_of_this {
            self.state.waits_at = None;
        } else if let Some((_, rung)) = &mut self.state.waits_at {
            // Who listened before may have heard the bell instead of who listens now.
            *rung = false;
        }
        match heard {
            Err(why) if is_of_this => self.lose(why),
            Err(_) => {}
            // Who listened before may be given something yet: that is ours, whenever it was heard.
            Ok(heard) => heard.into_iter().for_each(|heard| self.hear_one(heard)),
        }
    }

    fn hear_one(&mut self, heard: Heard) {
        // If the server is lost meanwhile, that was said; and what came is given back when it is found again.
        match heard {
            Heard::Bell(entry) => {
                if let Err(e) = self.look_up(&entry) {
                    tracing::debug!("{e}");
                }
            }
            Heard::Task(stream, entry, id) => {
                let (queue, class) = (&stream.0, stream.1.word());
                let call = Call::new("taken").arg(&self.host).arg(queue).arg(class).arg(entry).arg(id);
                let task = match self.call(&call) {
                    Ok(answer) => taken(answer),
                    Err(e) => return tracing::warn!("a task that has come waits until it is taken for lost: {e}"),
                };
                let Some(task) = task.filter(|task| !self.resumes(task.id)) else { return };
                match self.state.wishes.grant_any(&stream) {
                    Some(ticket) => self.hand_out(ticket, task),
                    None => _ = self.call(&Call::give_back(&self.host, task.id)),
                }
            }
        }
    }

    /// Has the listener wait where something is wished for, and nowhere else: what comes of a stream is ours then.
    fn wait_where_wished(&mut self) {
        let is_open = |(queue, _): &Stream| self.state.queues.get(queue).is_none_or(|row| !row.paused);
        let wished: BTreeSet<_> = self.state.wishes.streams().into_iter().filter(is_open).collect();
        let Some(listener) = &self.state.listener else { return };
        match &mut self.state.waits_at {
            None => {
                listener.wait_at(wished.iter().cloned().collect());
                self.state.waits_at = Some((wished, false));
            }
            Some((streams, false)) if *streams != wished => {
                let is_rung = self.call(&Call::new("ring").arg(&self.host)).is_ok();
                // Where the server is lost, so is the listener.
                self.state.waits_at.iter_mut().for_each(|(_, rung)| *rung = is_rung);
            }
            Some(_) => {}
        }
    }

    /// Does what is due: says that we live and that the tasks are ours, or looks for the server.
    fn tend(&mut self) {
        if self.state.session.is_none() {
            return self.look_for_it();
        }
        let now = time::now().tick;
        self.state.due = now.after(PERIOD);
        let idle = if judges(self.state.refreshed, now) { IDLE_MAX.as_millis().to_string() } else { String::new() };
        let call = Call::new("refresh").arg(&self.host).arg(idle).ids(self.state.ours());
        match self.call(&call) {
            Ok(answer) => {
                (self.state.refreshed, self.state.tries) = (Some(now), 0);
                self.learn(answer);
            }
            Err(error) if error.is_lost() => {}
            Err(error) => tracing::error!("{error}: others may take our tasks"),
        }
    }

    /// What became of tasks while we were not looking: which of ours are others' by now, and which wait again.
    fn learn(&mut self, answer: Value) {
        let [lost, back] = fields(answer);
        for id in items(lost).iter().map(number).map(TaskId) {
            self.state.strayed.insert(id);
            self.outbox.tell(FromStore::Strayed(id));
        }
        for (task, host) in returned(back) {
            let host = Some(host).filter(|host| **host != *self.host);
            self.outbox.tell(FromStore::Returned { tasks: vec![task], host });
        }
    }

    /// The server is gone. It is looked for again, after a wait that grows.
    fn lose(&mut self, why: String) {
        let state = &mut self.state;
        (state.session, state.listener, state.waits_at) = (None, None, None);
        let now = time::now().tick;
        let whole = BACKOFF.saturating_mul(1 << state.tries.min(16)).min(BACKOFF_MAX);
        // Up to a quarter less, so that those who have lost it together do not come back together.
        state.due = now.after(whole - whole / 4 * (now.0 / 1000 % 1000) as u32 / 1000);
        state.tries = state.tries.saturating_add(1);
        if state.lost.as_ref() != Some(&why) {
            state.lost = Some(why.clone());
            self.outbox.tell(FromStore::Link(Link::Lost { why }));
        }
    }

    fn look_for_it(&mut self) {
        self.state.sessions += 1;
        let (server, host, told) = (&self.server, self.host.clone(), self.told.clone());
        let found = Session::open(server, &host).and_then(|session| {
            self.places.settle(session.place, &server.name)?;
            let listener = Listener::start(server, host, self.state.sessions, told)?;
            Ok((session, listener))
        });
        match found {
            Err(trouble) => self.lose(trouble.text()),
            Ok((session, listener)) => {
                let (place, doubts) = (session.place, session.doubts.clone());
                (self.state.session, self.state.listener) = (Some(session), Some(listener));
                match self.take_up() {
                    Ok(()) => {
                        // It may be lost again at once: only what goes well for a while makes the waits short again.
                        self.state.lost = None;
                        self.outbox.tell(FromStore::Link(Link::Up { place, doubts }));
                        self.state.wishes.crews().into_iter().for_each(|by| self.take(by));
                    }
                    // A server that does not do that is as good as none.
                    Err(StoreError::Refused { why, .. }) => self.lose(why),
                    Err(error) => tracing::debug!("{error}"),
                }
            }
        }
    }

    /// Goes on where the last session ended: our tasks are alive, what we had and know nothing of waits again, and ends that were
    /// kept are told.
    fn take_up(&mut self) -> Result<(), StoreError> {
        self.state.due = time::now().tick.after(PERIOD);
        let answer = self.call(&Call::new("recover").arg(&self.host).ids(self.state.ours()))?;
        self.learn(answer);
        self.tell_ends();
        // What was rung meanwhile was rung for nobody.
        self.look_up("0-0")
    }

    /// Tells the ends that were kept, while there is a server.
    fn tell_ends(&mut self) {
        while self.state.session.is_some()
            && let Some((ticket, order)) = self.state.untold.pop_front()
        {
            self.obey(ticket, order);
        }
    }

    /// The bell has rung, by this entry: something has changed somewhere.
    fn look_up(&mut self, entry: &str) -> Result<(), StoreError> {
        let answer = self.call(&Call::new("heard").arg(&self.host).arg(entry))?;
        let over = over(answer);
        let count = over.len();
        if count > 0 {
            self.outbox.tell(FromStore::Over(over));
            // The server keeps them until now: the connection could have been lost with the answer.
            self.call(&Call::new("known").arg(&self.host).arg(count))?;
        }
        Ok(())
    }

    /// Ends: what is still ours waits again for others.
    fn leave(mut self) {
        if self.state.session.is_none() && !self.state.untold.is_empty() {
            self.look_for_it();
        }
        self.tell_ends();
        let left = self.state.untold.len();
        if self.state.session.is_none() && left > 0 {
            tracing::error!("{} cannot be told how {left} tasks ended: they are done again", self.server.name);
        }
        if self.state.session.is_some()
            && let Err(e) = self.call(&Call::new("recover").arg(&self.host))
        {
            tracing::warn!("{e}: what was ours is given to others later");
        }
    }
}

impl State {
    /// What is alive as long as we are.
    fn ours(&self) -> impl Iterator<Item = &TaskId> {
        self.held.difference(&self.strayed)
    }

    fn let_go(&mut self, id: TaskId) {
        self.held.remove(&id);
        self.strayed.remove(&id);
    }
}

/// Whether to take others for dead that have said nothing for long: who was away itself does not know whether they could, and
/// leaves them time to come back.
fn judges(refreshed: Option<Tick>, now: Tick) -> bool {
    refreshed.is_some_and(|at| now.until(at) < 2 * PERIOD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_away_judges_nobody() {
        let after = |span| judges(Some(Tick(7)), Tick(7).after(span));
        assert!(!judges(None, Tick(7)) && after(PERIOD) && !after(2 * PERIOD));
    }
}
