//! The loop of the thread: what it is told first, then what has happened in the folders, then what is to be looked at.

use super::watched::{Folders, Place, Watched};
use super::{FromArrivals, Source, Taken, ToArrivals};
use crate::clock::Tick;
use crate::runtime::outbox::Outbox;
use crate::sys::fd::Interest;
use crate::sys::poller::{Poller, Waker};
use crate::sys::time;
use crate::sys::watch::{Change, Watch, Watches};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

const WAKER: usize = 0;
const FILES: usize = 1;
const ABOVE: usize = 2;

/// The thread.
#[derive(Debug)]
pub(super) struct Work {
    inbox: Receiver<ToArrivals>,
    outbox: Outbox<FromArrivals>,
    poller: Poller,
    /// Whoever wakes this may be gone before it wakes, and a descriptor that is closed is not told of (epoll(7)).
    _waker: Arc<Waker>,
    folders: Folders,
    sources: Vec<Watched>,
}

impl Work {
    /// Nothing is waited for yet. With it, what wakes it.
    pub(super) fn new(inbox: Receiver<ToArrivals>, outbox: Outbox<FromArrivals>) -> io::Result<(Work, Arc<Waker>)> {
        let poller = Poller::new()?;
        let waker = Arc::new(poller.waker(WAKER)?);
        let folders = Folders { files: Watches::new()?, above: Watches::new()? };
        poller.add(&folders.files, FILES, Interest::Read)?;
        poller.add(&folders.above, ABOVE, Interest::Read)?;
        let _waker = waker.clone();
        Ok((Work { inbox, outbox, poller, _waker, folders, sources: Vec::new() }, waker))
    }

    pub(super) fn run(mut self) {
        while self.turn() {}
    }

    /// Waits until there is something to do, and does it; false when it is to end.
    fn turn(&mut self) -> bool {
        self.outbox.deliver();
        let now = time::now().tick;
        let wait = match self.sources.iter().any(Watched::has_work) {
            true => Some(Duration::ZERO),
            false => self.deadline().map(|at| at.until(now)),
        };
        if let Err(e) = self.poller.wait(wait).map(drop) {
            tracing::error!("cannot wait for files: {e}");
            return false;
        }
        let now = time::now().tick;
        let goes_on = self.orders(now);
        self.changes(now);
        for watched in &mut self.sources {
            if matches!(watched.place, Place::Refused(at) if at <= now) {
                watched.settle(&self.folders, now);
            }
            let came = watched.advance(now);
            watched.take_news().into_iter().for_each(|text| self.outbox.tell(FromArrivals::Trouble(text)));
            came.into_iter().for_each(|came| self.outbox.tell(FromArrivals::Came(came)));
        }
        goes_on
    }

    /// When a folder is to be tried again.
    fn deadline(&self) -> Option<Tick> {
        let retry = |watched: &Watched| match watched.place {
            Place::Refused(at) => Some(at),
            Place::There(_) | Place::Missing => None,
        };
        self.sources.iter().filter_map(retry).min()
    }

    /// Takes what was said; false when no more will be.
    fn orders(&mut self, now: Tick) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(ToArrivals::Arrange(sources)) => self.arrange(sources, now),
                Ok(ToArrivals::Taken(source, taken)) => self.taken(&source, &taken),
                Ok(ToArrivals::Started(source)) => {
                    self.of(&source).into_iter().for_each(|watched| watched.backlog.started());
                }
                Ok(ToArrivals::Room(source, files)) => {
                    self.of(&source).into_iter().for_each(|watched| watched.backlog.has_room(files));
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn of(&mut self, source: &Source) -> Option<&mut Watched> {
        self.sources.iter_mut().find(|watched| *watched.source == *source)
    }

    fn taken(&mut self, source: &Source, taken: &Taken) {
        self.of(source).into_iter().for_each(|watched| watched.taken(taken));
    }

    fn arrange(&mut self, sources: Vec<Arc<Source>>, now: Tick) {
        let mut before = std::mem::take(&mut self.sources);
        for source in sources {
            let known = before.iter().position(|watched| watched.source == source);
            self.sources.push(match known {
                Some(at) => before.swap_remove(at),
                None => {
                    let mut watched = Watched::new(source);
                    watched.settle(&self.folders, now);
                    watched
                }
            });
        }
        self.forget(before.iter().map(|watched| watched.place));
    }

    /// Watches no folder any more that was watched and is not now.
    fn forget(&self, before: impl Iterator<Item = Place>) {
        for place in before.filter(|place| !self.sources.iter().any(|watched| watched.place == *place)) {
            if let Place::There(watch) = place {
                self.folders.files.forget(watch);
            }
        }
    }

    /// Takes all that has happened: it is told once that there is something (epoll(7), edge-triggered).
    fn changes(&mut self, now: Tick) {
        while let Some(changes) = changes(&self.folders.files) {
            changes.into_iter().for_each(|change| self.changed(change, now));
        }
        let mut appeared = false;
        while changes(&self.folders.above).is_some() {
            appeared = true;
        }
        if appeared {
            let missing = self.sources.iter_mut().filter(|watched| watched.place == Place::Missing);
            missing.for_each(|watched| watched.settle(&self.folders, now));
        }
    }

    fn changed(&mut self, change: Change, now: Tick) {
        let Some(watch) = change.watch else {
            // The kernel has lost count: of what has come, and of what has become of the folders.
            let before: Vec<_> = self.sources.iter().map(|watched| watched.place).collect();
            self.sources.iter_mut().for_each(|watched| watched.settle(&self.folders, now));
            return self.forget(before.into_iter());
        };
        if change.gone {
            self.gone(watch, now);
        } else if let Some(name) = change.name {
            let there = self.sources.iter_mut().filter(|watched| watched.place == Place::There(watch));
            there.for_each(|watched| watched.note(name.clone()));
        }
    }

    /// A folder is no longer where it was: another may have taken its place.
    fn gone(&mut self, watch: Watch, now: Tick) {
        let there = self.sources.iter_mut().filter(|watched| watched.place == Place::There(watch));
        let mut there = there.peekable();
        if there.peek().is_some() {
            self.folders.files.forget(watch);
            there.for_each(|watched| watched.settle(&self.folders, now));
        }
    }
}

/// What has happened; none where nothing has.
fn changes(watches: &Watches) -> Option<Vec<Change>> {
    let changes = watches.changes().unwrap_or_else(|e| {
        tracing::error!("cannot read what has come into folders: {e}");
        Vec::new()
    });
    (!changes.is_empty()).then_some(changes)
}
