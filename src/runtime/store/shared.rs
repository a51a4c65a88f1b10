//! The other store of tasks: queues that several supervisors share, on a Redis server (6.2 or later). The control plane sends it the
//! same orders as the embedded one and is told the same, by a thread of its own for each server; and it is told how the way
//! there is.
//!
//! What is done at the server stands in `tasks.lua`, one script: each call is a transaction. `call` makes calls of orders, and
//! replies of what comes back; `server` has the way there, `keeper` the thread that calls, `listener` the one that waits for
//! tasks in XREADGROUP, `wishes` who wants them.
//!
//! A task that waits is an entry in the stream of its class. Whoever has read it by the consumer group has the lease: one
//! consumer for each host and state directory. A lease is kept alive by XCLAIM once in a period, and taken from whoever has not
//! done that for long, by XAUTOCLAIM; so a task is done twice only where its host was cut off for longer, or died with it
//! (redis.io/docs/latest/develop/data-types/streams).

mod call;
mod keeper;
mod listener;
mod server;
mod wishes;

pub use server::{Places, UrlError};

use super::OpenError;
use super::direct::PutError;
use super::error::StoreError;
use super::order::{FromStore, Order, Put, Reply, Ticket};
use crate::runtime::outbox::Outbox;
use crate::runtime::store::order::Placed;
use crate::sys::poller::Waker;
use crate::sys::thread;
use call::Call;
use keeper::{Keeper, Message, State};
use server::{Server, Session, Trouble};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// How often a host says that it lives and that its tasks are its own. The only timer of a quell that has nothing to do.
const PERIOD: Duration = Duration::from_secs(10);
/// A host that has not said so for so long is taken for dead: its tasks wait again.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How long the end of quell waits for a server.
const STOP_WAIT: Duration = Duration::from_secs(10);
/// The consumer group of all streams.
const GROUP: &str = "quell";

/// A shared store, as the control plane sees it. Dropped without `stop`, it goes on until its process ends.
#[derive(Debug)]
pub struct Shared {
    orders: Sender<Message>,
    stopped: Receiver<()>,
    name: Arc<str>,
}

impl Shared {
    /// Starts to look for the server of a URL, and works there as this host, of which there must be no other: `places` are those
    /// where it works already. What it says goes to `told`, and `on_news` is woken.
    ///
    /// # Errors
    /// The URL names no server; or as pthread_create(3).
    pub fn open(
        url: &str,
        host: &str,
        places: Places,
        told: Sender<FromStore>,
        on_news: Arc<Waker>,
    ) -> Result<Shared, OpenError> {
        let server = Server::of(url)?;
        let name = server.name.clone();
        let (orders, inbox) = channel();
        let (done, stopped) = channel();
        let outbox = Outbox::new(told, on_news, FromStore::Ended);
        let (host, state, told) = (host.into(), State::default(), orders.clone());
        let keeper = Keeper { server, host, inbox, told, outbox, places, state };
        thread::spawn("store", move || {
            keeper.run();
            // Whoever waits for it may have given up.
            let _ = done.send(());
        })?;
        Ok(Shared { orders, stopped, name })
    }

    /// Its server, without what is secret in its URL.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Tells the store to do something. The reply has this ticket.
    pub fn send(&self, ticket: Ticket, order: Order) {
        // It listens until it is stopped. If its thread has died of a panic, `FromStore::Ended` was told.
        let _ = self.orders.send(Message::Order(ticket, order));
    }

    /// Ends the store, when all that it was told is done; gives up on a server that does not answer.
    pub fn stop(self) {
        let _ = self.orders.send(Message::Stop);
        if self.stopped.recv_timeout(STOP_WAIT) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("{} does not answer; tasks that have ended may be done again", self.name);
        }
    }
}

/// Puts tasks into a queue on the server of a URL, all of them or none.
///
/// # Errors
/// The queue cannot hold them, or the server cannot be reached, or does not do it.
pub fn put_shared(url: &str, put: &Put) -> Result<Vec<Placed>, PutError> {
    let server = Server::of(url)?;
    let name = server.name.clone();
    let failed = |trouble, is_asked| match trouble {
        Trouble::Lost(why) if is_asked => StoreError::Cut { server: name.clone(), why },
        Trouble::Lost(why) => StoreError::Lost { server: name.clone(), why },
        Trouble::Refused(why) => StoreError::Refused { server: name.clone(), why },
    };
    let mut session = Session::open(&server, "").map_err(|trouble| failed(trouble, false))?;
    let (answer, _) = session.call(&Call::put(put, "")).map_err(|trouble| failed(trouble, true))?;
    match call::reply(&Order::Put(put.clone()), answer) {
        Reply::Put(placed) => Ok(placed),
        Reply::Full(full) => Err(full.into()),
        other => Err(StoreError::Refused { server: name, why: format!("it answered {other:?}") }.into()),
    }
}

/// The server of a URL, without what is secret in it: one name for all ways to write the same.
///
/// # Errors
/// It names none.
pub fn server_name(url: &str) -> Result<Arc<str>, UrlError> {
    Ok(Server::of(url)?.name)
}

/// Whether a task of this number is on a server whose tasks have their numbers at this place; nought is no server's.
#[must_use]
pub fn is_at_place(number: u64, place: u64) -> bool {
    server::place_of(number) == place
}

/// The stream that wakes a host.
fn bell(host: &str) -> String {
    format!("quell:bell:{host}")
}

#[cfg(all(test, feature = "full-tests"))]
mod loss_tests;
#[cfg(all(test, feature = "full-tests"))]
mod scene;
#[cfg(all(test, feature = "full-tests"))]
#[path = "shared_tests.rs"]
mod tests;
