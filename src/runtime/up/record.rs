//! What those are told who record a run: what came from outside, and each try of a task. While nobody records, that costs
//! nothing.

use super::Up;
use crate::clock::Now;
use crate::control::event::Event;
use crate::control::record::{Source, Try, TryEnd};
use crate::control::reply::Reply;
use crate::runtime::store::{How, Placed};
use crate::task::Task;
use crate::task::outcome::End;
use crate::task::queue::QueueId;
use crate::task::trigger::What;
use crate::worker::WorkerId;

impl Up<'_> {
    /// Tells those who record it what nobody else need know. It has the number of the last event that everybody was told.
    fn record(&mut self, event: Event, now: Now) {
        let reply = Reply::Event(Event { seq: self.events.history.last_seq(), ..event });
        for client in &self.events.recorders {
            self.server.reply(&self.poller, *client, &reply, now.tick);
        }
    }

    /// What came from outside.
    pub(super) fn record_source(&mut self, source: impl FnOnce() -> Option<Source>, now: Now) {
        if self.events.are_recorded()
            && let Some(source) = source()
        {
            self.record(Event::source(now.wall, source), now);
        }
    }

    /// What happened, where that came from outside.
    pub(super) fn record_happened(&mut self, what: What<'_>, now: Now) {
        self.record_source(|| Source::of(what), now);
    }

    /// What somebody has asked for, where that was not refused; what is put is recorded when it is stored.
    pub(super) fn record_asked(&mut self, asked: Vec<Source>, now: Now) {
        asked.into_iter().for_each(|source| self.record(Event::source(now.wall, source), now));
    }

    /// Tasks that are stored now: those whose numbers follow each other are told in one.
    pub(super) fn record_put(&mut self, put: Option<Box<Source>>, placed: &[Placed], now: Now) {
        let Some(put) = put else { return };
        let is_there = |placed: &Placed| placed.how == How::There;
        let is_next = |one: &Placed, next: &Placed| {
            !is_there(one) && !is_there(next) && one.id.0.checked_add(1) == Some(next.id.0)
        };
        for run in placed.chunk_by(is_next) {
            // One that was there already may not be there when this is gone through again.
            let id = run.first().filter(|first| !is_there(first)).map(|first| first.id);
            let count = Some(run.len() as u32).filter(|count| *count > 1);
            self.record_source(|| Some(Source { id, count, ..(*put).clone() }), now);
        }
    }

    /// The same of what a worker has put, of so many bytes each.
    pub(super) fn record_put_by_worker(&mut self, queue: QueueId, bytes: u64, placed: &[Placed], now: Now) {
        let (bytes, queue) = (Some(bytes), Some(self.queue_name(queue).into()));
        let source = || Source { queue: queue.clone(), bytes, ..Source::default() };
        let put = self.events.are_recorded().then(|| Box::new(source()));
        self.record_put(put, placed, now);
    }

    /// A try of a task begins.
    pub(super) fn record_begun(&mut self, id: WorkerId, task: &Task, queue: QueueId, now: Now) {
        self.record_try(id, task, queue, None, now);
    }

    /// A try is over; without an end it was given back.
    pub(super) fn record_tried(&mut self, id: WorkerId, task: &Task, queue: QueueId, end: Option<&End>, now: Now) {
        self.record_try(id, task, queue, Some(end), now);
    }

    fn record_try(&mut self, id: WorkerId, task: &Task, queue: QueueId, over: Option<Option<&End>>, now: Now) {
        if self.events.are_recorded() {
            let end = over.map(|end| end.map_or(TryEnd::Lost {}, TryEnd::from));
            let it = Try::of(task, self.queue_name(queue), end);
            let name = self.name(id);
            self.record(Event::task(now.wall, it).of(name), now);
        }
    }

    pub(super) fn queue_name(&self, id: QueueId) -> &str {
        self.tasks.as_ref().map_or("", |tasks| &tasks.queues[id.0 as usize].name)
    }
}
