//! What each message makes the output plane do.

use super::served::{Drain, Served};
use super::turn::{Due, Work};
use super::{FromPlane, Message, Spec, ToPlane, WorkerId};
use crate::clock::Now;
use crate::runtime::directory::{Directory, OnDisk};
use crate::runtime::tag::Tag;
use crate::sys::time;
use std::os::fd::OwnedFd;
use std::sync::Arc;

impl Work {
    /// Takes what was said; false when the plane is to end.
    pub(super) fn orders(&mut self, now: Now) -> bool {
        self.mailbox.look();
        while let Ok(message) = self.inbox.try_recv() {
            match message {
                Message::Order(ToPlane::Finish) | Message::Abandoned => return false,
                Message::Order(order) => self.order(order, now),
                Message::Durable(worker) => self.tell_detached(worker),
            }
        }
        true
    }

    fn order(&mut self, order: ToPlane, now: Now) {
        match order {
            ToPlane::Attach(id, spec) => self.attach(id, *spec, now),
            ToPlane::Begin { worker, life, tag, stdout, stderr, mark } => {
                self.with(worker, now, |work, place| work.begin(place, (life, tag), [stdout, stderr], mark, now));
            }
            ToPlane::Empty(worker, life) => self.with(worker, now, |work, place| {
                if let Some(life) = work.workers[place as usize].as_mut().and_then(|served| served.life(life)) {
                    life.empties = true;
                }
            }),
            ToPlane::Drain { worker, life, window, mark } => self.with(worker, now, |work, place| {
                work.drain(place, life, Drain::new(window, mark, now.tick), now);
            }),
            ToPlane::Release(id) => self.with(id, now, |work, place| work.give_up_ended(place, now)),
            ToPlane::Mark(id, text) => self.with_served(id, now, |served| served.output.own_line(&text, now)),
            ToPlane::Reload(id, spec) => self.with(id, now, |work, place| {
                if let Some(served) = &mut work.workers[place as usize] {
                    served.reload(*spec, &mut work.reactor);
                }
            }),
            ToPlane::Rotate(id) => self.with_served(id, now, |served| served.output.rotate(now)),
            ToPlane::Reopen(id) => self.with_served(id, now, |served| served.output.reopen(now)),
            ToPlane::Detach(id, mark) => self.detach(id, mark, now),
            ToPlane::Snapshot(ticket, ids) => self.snapshot(ticket, &ids),
            ToPlane::Finish => {}
        }
    }

    /// Does something for a worker that is attached, and draws the conclusions.
    fn with(&mut self, id: WorkerId, now: Now, act: impl FnOnce(&mut Work, u32)) {
        if let Some(place) = self.places.get(&id).copied() {
            act(self, place);
            self.settle(place, now);
        }
    }

    fn with_served(&mut self, id: WorkerId, now: Now, act: impl FnOnce(&mut Served)) {
        self.with(id, now, |work, place| {
            if let Some(served) = &mut work.workers[place as usize] {
                act(served);
            }
        });
    }

    fn attach(&mut self, id: WorkerId, spec: Spec, now: Now) {
        let Some(root) = &self.root else {
            let text = "there is no directory for its log".to_owned();
            return self.outbox.tell(FromPlane::LogTrouble { worker: id, text });
        };
        let dir = Arc::new(OnDisk::below(root, &spec.dir));
        let place = self.insert(Served::new(id, spec, dir));
        self.open_log(place, now);
        self.settle(place, now);
    }

    /// Opens a log that is not open yet, when it is time to try.
    pub(super) fn open_log(&mut self, place: u32, now: Now) {
        let Some(served) = &mut self.workers[place as usize] else { return };
        if let Some(text) = served.open_log(&mut self.room, &mut self.keepers, now) {
            tracing::warn!("{}: {text}", served.label());
            self.outbox.tell(FromPlane::LogTrouble { worker: served.id, text });
        }
    }

    fn begin(
        &mut self,
        place: u32,
        life: (u32, Option<Arc<Tag>>),
        pipes: [OwnedFd; 2],
        mark: Option<String>,
        now: Now,
    ) {
        if let Some(served) = &mut self.workers[place as usize] {
            if let Some(mark) = mark {
                served.output.own_line(&mark, now);
            }
            served.begin(life, pipes, place, &mut self.room, &mut self.reactor, now);
        }
    }

    /// A life has ended. Where all of its output has, too, only the mark is left to be written.
    fn drain(&mut self, place: u32, life: u32, mut drain: Drain, now: Now) {
        let Some(served) = &mut self.workers[place as usize] else { return };
        match served.life(life) {
            Some(life) => life.drain = Some(Box::new(drain)),
            None => {
                if let Some(mark) = drain.mark.take() {
                    served.output.own_line(&mark, now);
                }
            }
        }
        // What rests is read at once.
        self.enqueue_all(place);
    }

    fn give_up_ended(&mut self, place: u32, now: Now) {
        let Some(served) = &mut self.workers[place as usize] else { return };
        let mut ended = Vec::new();
        for life in served.lives.iter_mut().filter(|life| life.drain.is_some()) {
            life.released = true;
            ended.push(life.number);
        }
        ended.into_iter().for_each(|number| self.release(place, number, now));
    }

    fn detach(&mut self, id: WorkerId, mark: Option<String>, now: Now) {
        let Some(place) = self.places.remove(&id) else { return };
        let lives: Vec<_> = self.workers[place as usize].iter().flat_map(|served| &served.lives).collect();
        let lives: Vec<_> = lives.into_iter().map(|life| life.number).collect();
        lives.into_iter().for_each(|number| self.release(place, number, now));
        let Some(served) = self.workers[place as usize].take() else { return };
        self.due.set(Due::Worker(place), None);
        self.free.push(place);
        self.count_held_up(self.held_up - usize::from(served.held_up));
        served.outlets.iter().for_each(|token| drop(self.reactor.remove(*token)));
        let Served { mut output, failed, .. } = *served;
        output.end_all(&mut self.room, now);
        if let Some(mark) = mark {
            output.own_line(&mark, now);
        }
        let failed = failed | output.take_failure().is_some();
        let mailbox = self.mailbox.clone();
        let durable = Box::new(move || mailbox.send(Message::Durable(id)));
        let ledger = output.finish(&mut self.room, now, durable);
        self.detached.insert(id, (Box::new(ledger), failed));
    }

    fn tell_detached(&mut self, worker: WorkerId) {
        if let Some((ledger, failed)) = self.detached.remove(&worker) {
            self.outbox.tell(FromPlane::Detached { worker, ledger, failed });
        }
    }

    fn snapshot(&mut self, ticket: u64, ids: &[WorkerId]) {
        let one = |id: &WorkerId| {
            let served = self.workers[*self.places.get(id)? as usize].as_ref()?;
            Some((*id, served.snapshot()))
        };
        let workers = ids.iter().filter_map(one).collect();
        self.outbox.tell(FromPlane::Snapshot { ticket, workers });
    }

    /// Detaches all workers, and ends when their logs are durable, or the disk does not answer.
    pub(super) fn finish(mut self) {
        let now = time::now();
        let ids: Vec<_> = self.places.keys().copied().collect();
        ids.into_iter().for_each(|id| self.detach(id, None, now));
        std::mem::take(&mut self.keepers).stop();
        let left: Vec<_> = self.detached.keys().copied().collect();
        left.into_iter().for_each(|worker| self.tell_detached(worker));
    }
}
