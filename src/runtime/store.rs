//! The store of tasks: one SQLite database for all queues of a state directory, written by a thread of its own. The control
//! plane sends it orders and never waits for the disk; it is woken when they have been done. Queues that several supervisors
//! share are elsewhere: `shared` obeys the same orders.
//!
//! What is said stands in `order`; `group` decides which orders share a commit, `work` and `put` what each does, `table`
//! has every change of a task's state, `books` the counts, `database` the transactions, `schema` the file.
//!
//! A commit is atomic and survives the end of quell however it comes. It survives a loss of power where a put asks for it:
//! then `PRAGMA synchronous` is FULL, and the write-ahead log is synced before the reply; else it is NORMAL. Leases and
//! outcomes need no sync of their own, since a task is done at least once (sqlite.org/wal.html, sqlite.org/pragma.html).

mod arrived;
mod books;
mod checksum;
mod database;
mod direct;
mod error;
mod group;
mod list;
mod order;
mod put;
mod schema;
mod shared;
mod table;
mod work;

pub use database::Returned;
pub use direct::{PutError, put_directly};
pub use error::StoreError;
pub use order::{
    Arrived, Ending, Entry, File, FromStore, Full, How, Key, Limits, Link, NewTask, OnKey, Order, Over, Placed, Put,
    Reply, Shown, Source, Taken, Ticket, Which,
};
pub use shared::{Places, Shared, UrlError, is_at_place, put_shared, server_name};

pub use crate::task::tally::{Counts, Tally};

use super::outbox::Outbox;
use crate::sys::poller::Waker;
use crate::sys::{thread, time};
use crate::task::{TaskId, tally};
use database::Database;
use group::Group;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the end of quell waits for a disk.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// The store, as the control plane sees it. Dropped, it does what it was told and ends by itself.
#[derive(Debug)]
pub struct Store {
    orders: Sender<Vec<(Ticket, Order)>>,
    stopped: Receiver<()>,
    thread: JoinHandle<()>,
}

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A URL names no server.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// There is no thread for it.
    #[error("cannot start the store's thread: {0}")]
    Thread(#[from] io::Error),
}

/// What was found when the store was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// How each queue stands that was ever put to.
    pub queues: Vec<Counts>,
    /// Tasks that were running when the last supervisor ended. They wait again, their tries counted.
    pub returned: Vec<Returned>,
    /// Those of them that are still being worked on: they are left running.
    pub held: Vec<Returned>,
}

impl Store {
    /// Opens the store of a state directory and starts its thread. There must be no other supervisor: whoever has the
    /// directory's lock is alone (`super::state`). The tasks `at_work` are still being worked on. What it says goes to `told`,
    /// and `on_news` is woken.
    ///
    /// # Errors
    /// Why the database cannot be used, and what to do; or as pthread_create(3).
    pub fn open(
        state: &Path,
        at_work: &[TaskId],
        told: Sender<FromStore>,
        on_news: Arc<Waker>,
    ) -> Result<(Store, Opened), OpenError> {
        let mut database = Database::open(state)?;
        let (returned, held) = database.recover(at_work)?;
        let queues = database.news().collect();
        let (orders, inbox) = channel();
        let (done, stopped) = channel();
        let outbox = Outbox::new(told, on_news, FromStore::Ended);
        let keeper = Keeper { database, inbox, group: Group::default(), outbox };
        let thread = thread::spawn("store", move || {
            thread::short_turns();
            keeper.run();
            // Whoever waits for it may have given up.
            let _ = done.send(());
        })?;
        Ok((Store { orders, stopped, thread }, Opened { queues, returned, held }))
    }

    /// Tells the store to do things, which share a commit. Each reply has its ticket.
    pub fn send(&self, orders: Vec<(Ticket, Order)>) {
        // It listens until it is stopped. If its thread has died of a panic, `FromStore::Ended` was told.
        let _ = self.orders.send(orders);
    }

    /// Ends the store, when all that it was told is done; gives up on a disk that hangs.
    pub fn stop(self) {
        drop(self.orders);
        if self.stopped.recv_timeout(STOP_WAIT) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("the disk does not answer; the last outcomes of tasks may not be stored");
        } else {
            // A panic has been said.
            drop(self.thread.join());
        }
    }
}

/// The thread.
#[derive(Debug)]
struct Keeper {
    database: Database,
    inbox: Receiver<Vec<(Ticket, Order)>>,
    group: Group,
    outbox: Outbox<FromStore>,
}

impl Keeper {
    fn run(mut self) {
        let mut is_last = false;
        while !is_last {
            is_last = !self.gather();
            let orders = self.group.take(time::now().tick, is_last);
            if !orders.is_empty() {
                self.commit(&orders);
            }
        }
        if let Err(e) = self.database.close() {
            tracing::error!("{e}");
        }
    }

    /// Waits until there is something to do: all orders that have come by then. False when none can come any more.
    fn gather(&mut self) -> bool {
        let first = match self.group.deadline() {
            None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => self.inbox.recv_timeout(at.until(time::now().tick)),
        };
        let mut orders = match first {
            Ok(orders) => orders,
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        let now = time::now().tick;
        loop {
            orders.into_iter().for_each(|(ticket, order)| self.group.add(ticket, order, now));
            if self.group.is_full() {
                return true;
            }
            let Ok(more) = self.inbox.try_recv() else { return true };
            orders = more;
        }
    }

    /// Does orders in one transaction and answers them. If that fails, each has one of its own: those fail that fail alone.
    fn commit(&mut self, orders: &[(Ticket, Order)]) {
        match self.transact(orders) {
            Ok(replies) => {
                orders
                    .iter()
                    .zip(replies)
                    .for_each(|((ticket, _), reply)| self.outbox.tell(FromStore::Reply(*ticket, reply)));
            }
            // Each would wait as long again for whoever holds it.
            Err(error) if orders.len() == 1 || matches!(error, StoreError::Busy { .. }) => {
                orders
                    .iter()
                    .for_each(|(ticket, _)| self.outbox.tell(FromStore::Reply(*ticket, Reply::Failed(error.clone()))));
            }
            Err(_) => orders.chunks(1).for_each(|order| self.commit(order)),
        }
        self.database.news().for_each(|counts| self.outbox.tell(FromStore::Counts(counts)));
        self.outbox.deliver();
    }

    fn transact(&mut self, orders: &[(Ticket, Order)]) -> Result<Vec<Reply>, StoreError> {
        let synced = orders.iter().any(|(_, order)| order.is_synced());
        self.database.transact(synced, |tx| orders.iter().map(|(_, order)| tx.work(order)).collect())
    }
}

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod scene;

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
