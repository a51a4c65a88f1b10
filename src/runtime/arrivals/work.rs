//! The loop of the thread: what it is told first, then what has happened in the folders, then what is to be looked at.

use super::watched::{Folders, Watched};
use super::{FromArrivals, Source, ToArrivals};
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
const WAYS: usize = 3;

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
        let folders = Folders { files: Watches::new()?, above: Watches::new()?, ways: Watches::new()? };
        poller.add(&folders.files, FILES, Interest::Read)?;
        poller.add(&folders.above, ABOVE, Interest::Read)?;
        poller.add(&folders.ways, WAYS, Interest::Read)?;
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
            false => self.sources.iter().filter_map(Watched::deadline).min().map(|at| at.until(now)),
        };
        if let Err(e) = self.poller.wait(wait).map(drop) {
            tracing::error!("cannot wait for files: {e}");
            return false;
        }
        let now = time::now().tick;
        let goes_on = self.orders(now);
        self.changes(now);
        self.settle(|watched| watched.retry.is_some_and(|at| at <= now), true, now);
        for watched in &mut self.sources {
            let came = watched.advance(now);
            watched.take_news().into_iter().for_each(|text| self.outbox.tell(FromArrivals::Trouble(text)));
            came.into_iter().for_each(|came| self.outbox.tell(FromArrivals::Came(came)));
        }
        goes_on
    }

    /// Takes what was said; false when no more will be.
    fn orders(&mut self, now: Tick) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(ToArrivals::Arrange(sources)) => self.arrange(sources, now),
                Ok(ToArrivals::Taken(source, taken, room)) => {
                    self.of(&source).into_iter().for_each(|watched| watched.taken(&taken, room));
                }
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

    /// The one that was told of, not one that has come in its place since.
    fn of(&mut self, source: &Arc<Source>) -> Option<&mut Watched> {
        self.sources.iter_mut().find(|watched| Arc::ptr_eq(&watched.source, source))
    }

    fn arrange(&mut self, sources: Vec<Arc<Source>>, now: Tick) {
        let mut before = std::mem::take(&mut self.sources);
        for source in sources {
            let known = before.iter().position(|watched| watched.source == source);
            self.sources.push(known.map_or_else(|| Watched::new(source), |at| before.swap_remove(at)));
        }
        self.settle_all(false, now);
        self.forget(before.iter().filter_map(|watched| watched.watch));
    }

    /// Watches all folders where they are now, and the ways there.
    fn settle_all(&mut self, anew: bool, now: Tick) {
        // What the ways led over before need not be found out.
        let fresh = Watches::new().and_then(|ways| self.poller.add(&ways, WAYS, Interest::Read).map(|()| ways));
        match fresh {
            Ok(ways) => self.folders.ways = ways,
            Err(e) => tracing::warn!("cannot watch the ways to folders anew: {e}"),
        }
        self.settle(|_| true, anew, now);
    }

    fn settle(&mut self, which: impl Fn(&Watched) -> bool, anew: bool, now: Tick) {
        let mut before = Vec::new();
        for watched in self.sources.iter_mut().filter(|watched| which(watched)) {
            before.extend(watched.watch);
            watched.settle(&self.folders, anew, now);
        }
        self.forget(before.into_iter());
    }

    /// Watches no folder any more that was watched and is not now.
    fn forget(&self, before: impl Iterator<Item = Watch>) {
        let is_watched = |watch: &Watch| self.sources.iter().any(|watched| watched.watch == Some(*watch));
        before.filter(|watch| !is_watched(watch)).for_each(|watch| self.folders.files.forget(watch));
    }

    /// Takes all that has happened: it is told once that there is something (epoll(7), edge-triggered).
    fn changes(&mut self, now: Tick) {
        while let Some(changes) = changes(&self.folders.files) {
            changes.into_iter().for_each(|change| self.changed(change, now));
        }
        let is_told = |watches: &Watches| std::iter::from_fn(|| changes(watches)).count() > 0;
        if is_told(&self.folders.ways) {
            self.settle_all(false, now);
        }
        if is_told(&self.folders.above) {
            self.settle(Watched::is_missing, false, now);
        }
    }

    fn changed(&mut self, change: Change, now: Tick) {
        let Some(watch) = change.watch else {
            // The kernel has lost count: of what has come, and of what has become of the folders.
            return self.settle_all(true, now);
        };
        let there = |watched: &Watched| watched.watch == Some(watch);
        if change.gone {
            // It is no longer where it was: another may have taken its place.
            self.folders.files.forget(watch);
            self.settle(there, true, now);
        } else if let Some(name) = change.name {
            let there = self.sources.iter_mut().filter(|watched| there(watched));
            there.for_each(|watched| watched.note(name.clone()));
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
