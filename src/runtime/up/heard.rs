//! What workers that stay say (`protocol = "lines"`): how their tasks have ended, and what they put.

use super::Up;
use super::asked::Asked;
use crate::clock::Now;
use crate::control::event::{Event as Happening, Kind};
use crate::control::record::average;
use crate::runtime::store::{NewTask, Order, Reply};
use crate::task::outcome::End;
use crate::task::protocol::{self, LINE_BYTES_MAX, Said, Unknown};
use crate::task::queue::QueueId;
use crate::task::{Class, TaskId};
use crate::worker::WorkerId;
use memchr::memchr;
use std::io::ErrorKind;
use std::time::Duration;

/// So often a socket is read in one turn, so that no worker keeps the others waiting.
const READS_A_TURN: usize = 8;

/// Who has put something: a life of a worker, and the task that it was at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Putter {
    id: WorkerId,
    nonce: u64,
    by: Option<TaskId>,
    /// How long its payloads are on average, in bytes.
    bytes: u64,
}

impl Up<'_> {
    /// A worker has said something, or can be told more.
    pub(super) fn hear(&mut self, id: WorkerId, now: Now) {
        self.send(id, now);
        for _ in 0..READS_A_TURN {
            let Some(talk) = self.talk(id).filter(|talk| talk.puts.is_none()) else { return };
            match talk.read() {
                Ok(1..) => self.understand(id, now),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Ok(0) | Err(_) => return self.hung_up(id, now),
            }
        }
        // The rest waits for the next turn.
        self.await_talk(id);
    }

    /// Does what the lines say that were heard, and gives it what it can have then.
    pub(super) fn understand(&mut self, id: WorkerId, now: Now) {
        while self.understand_some(id, now) {}
        self.give(id, now);
    }

    /// Does what the next lines say, up to what the worker puts, with that: whether there may be more.
    fn understand_some(&mut self, id: WorkerId, now: Now) -> bool {
        let Some(talk) = self.talk(id).filter(|talk| talk.puts.is_none()) else { return false };
        let mut heard = std::mem::take(&mut talk.heard);
        let (mut at, mut put) = (0, None);
        while let Some(end) = memchr(b'\n', &heard[at..]) {
            let skips = self.talk(id).is_some_and(|talk| std::mem::take(&mut talk.skips));
            match protocol::parse(&heard[at..at + end]) {
                _ if skips => {}
                Ok(Said::Put { queue, payload }) => {
                    // Those that come one after the other are stored together.
                    let (known, payloads) = put.get_or_insert_with(|| (queue, Vec::new()));
                    if *known != queue {
                        break;
                    }
                    payloads.push(payload);
                }
                _ if put.is_some() => break,
                Ok(said) => self.said(id, said, now),
                Err(unknown) => self.stray(id, &unknown.to_string(), now),
            }
            at += end + 1;
        }
        let goes_on = put.is_some();
        if let Some((queue, payloads)) = put {
            self.put_for(id, queue, &payloads, now);
        }
        heard.drain(..at);
        let is_too_long = heard.len() > LINE_BYTES_MAX && !goes_on;
        if is_too_long {
            self.stray(id, &Unknown::TooLong(heard.len()).to_string(), now);
            heard = Vec::new();
        }
        let Some(talk) = self.talk(id) else { return false };
        talk.skips |= is_too_long;
        talk.heard = heard;
        goes_on
    }

    fn said(&mut self, id: WorkerId, said: Said<'_>, now: Now) {
        let into = |text: std::borrow::Cow<'_, str>| Box::<str>::from(text);
        match said {
            Said::Ok { id: task, result } => self.said_end(id, task, End::Done { result: result.map(into) }, now),
            Said::Fail { id: task, why } => {
                let why = why.map_or_else(|| "its worker says so".into(), into);
                self.said_end(id, task, End::Failed { why }, now);
            }
            Said::Retry { id: task, delay } => {
                let why = "its worker wants another try".into();
                self.said_end(id, task, End::Retry { after: Some(delay), why }, now);
            }
            Said::Bury { id: task, why } => self.said_end(id, task, End::Bury { why: into(why) }, now),
            Said::Beat { id: task } => {
                if self.talk(id).is_some_and(|talk| !talk.session.beat(task, now.tick)) {
                    self.stray(id, &format!("it does not have task {task}"), now);
                }
            }
            Said::Ready { credit } => {
                if let Some(talk) = self.talk(id) {
                    talk.session.ready(credit);
                }
                self.seat(id);
            }
            // Those are gathered.
            Said::Put { .. } => {}
        }
    }

    /// A worker says how one of its tasks has ended.
    pub(super) fn said_end(&mut self, id: WorkerId, task: TaskId, end: End, now: Now) {
        let Some(talk) = self.talk(id) else { return };
        let Some(entry) = talk.session.end(task, now.tick) else {
            return self.stray(id, &format!("it does not have task {task}"), now);
        };
        talk.emptied = false;
        // What belongs to the task could not be stored: so it is not done.
        let refused =
            talk.refused.extract_if(.., |(of, _)| *of == task).fold(None, |first, (_, why)| first.or(Some(why)));
        let end = match (refused, end) {
            (Some(why), End::Done { .. }) => End::Failed { why },
            (_, end) => end,
        };
        self.unseat(id, entry.task.class);
        self.seat(id);
        self.conclude(id, &entry.task, entry.queue, Some(end), now);
    }

    /// A worker was not understood: that is said the first time, and each time that there are ten times as many.
    fn stray(&mut self, id: WorkerId, why: &str, now: Now) {
        let Some(talk) = self.talk(id) else { return };
        talk.strays += 1;
        let strays = talk.strays;
        if 10_u64.pow(strays.ilog10()) == strays {
            let count = if strays == 1 { String::new() } else { format!(" ({strays} times by now)") };
            let text = format!("said something on its task socket that is ignored{count}: {why}");
            let name = self.name(id);
            self.say(Happening::new(now.wall, Kind::Warning, text).of(name));
        }
    }

    /// Has what a worker puts stored; what it says behind that waits for it.
    fn put_for(&mut self, id: WorkerId, queue: &str, payloads: &[&[u8]], now: Now) {
        let trace = self.talk(id).and_then(|talk| talk.session.first()).and_then(|entry| entry.task.trace.clone());
        let task = |payload: &&[u8]| {
            let (class, key, delay) = (Class::Normal, None, Duration::ZERO);
            NewTask { class, key, delay, trace: trace.clone(), payload: (*payload).into() }
        };
        let tasks = payloads.iter().map(task).collect();
        let known = self.tasks.as_ref().and_then(|tasks| tasks.named(queue));
        let order = known.and_then(|known| Some((known, self.put_order(known, tasks, false, now)?)));
        let Some((worker, (tasks, (known, order)))) = self.workers.get_mut(&id).zip(self.tasks.as_mut().zip(order))
        else {
            let by = self.talk(id).and_then(|talk| talk.session.first()).map(|entry| entry.task.id);
            return self.put_refused(id, by, queue, "the configuration has no such queue", now);
        };
        if let Some(talk) = &mut worker.talk {
            talk.puts = Some(now.tick);
        }
        let by = worker.talk.as_ref().and_then(|talk| talk.session.first()).map(|entry| entry.task.id);
        let store = tasks.queue(known).store;
        let bytes = average(payloads.iter().map(|payload| payload.len()));
        tasks.order(store, Asked::Worker(Putter { id, nonce: worker.nonce, by, bytes }, known), Order::Put(order));
    }

    /// What a worker has put is stored, or is not.
    pub(super) fn put_replied(&mut self, putter: Putter, queue: QueueId, reply: &Reply, now: Now) {
        let Putter { id, nonce, by, bytes } = putter;
        let Some(tasks) = &mut self.tasks else { return };
        let why = match reply {
            Reply::Full(full) => Some(full.to_string()),
            Reply::Failed(error) => Some(error.to_string()),
            Reply::Put(placed) => {
                tasks.count_put(queue, placed);
                self.record_put_by_worker(queue, bytes, placed, now);
                None
            }
            _ => None,
        };
        let is_its = self.workers.get(&id).is_some_and(|worker| worker.nonce == nonce);
        if let Some(why) = why {
            let name: Box<str> = self.queue_name(queue).into();
            self.put_refused(id, by.filter(|_| is_its), &name, &why, now);
        }
        let Some(talk) = self.talk(id).filter(|_| is_its) else { return };
        if let Some(since) = talk.puts.take() {
            talk.session.excuse(since, now.tick);
        }
        self.understand(id, now);
        self.hear(id, now);
        match self.supervisor.member(id).map(|member| member.life.is_at_rest()) {
            Some(true) => self.end_talk(id, now),
            Some(false) => {}
            None => self.gone(id, now),
        }
        self.hold_by_disk(id, now);
    }

    fn put_refused(&mut self, id: WorkerId, by: Option<TaskId>, queue: &str, why: &str, now: Now) {
        let text = format!("what it has put into {queue} is refused: {why}");
        if let Some((talk, by)) = self.talk(id).zip(by) {
            talk.refused.push((by, text.as_str().into()));
        }
        let name = self.name(id);
        self.say(Happening::new(now.wall, Kind::Warning, text).of(name));
    }
}
