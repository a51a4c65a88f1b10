//! The control socket's server: takes clients in, hands their requests on, sends the answers. It never waits for a client,
//! and no client can make another wait.
//!
//! `ready` only marks; `turn` serves what is marked, within budgets. What was left is told by `has_backlog`: then there is
//! to be another turn at once. A connection carries any number of requests, one after the other.

mod connection;

use crate::clock::{Tick, earliest};
use crate::control::frame::{self, REPLY_BYTES_MAX};
use crate::control::reply::{Code, Reply};
use crate::control::request::Request;
use crate::runtime::place::{self, Place};
use crate::sys::fd::{self, Interest};
use crate::sys::poller::Poller;
use crate::sys::{identity, socket};
use connection::Connection;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

/// How many clients there can be: as many as may idle, and some more.
pub const CLIENTS_MAX: usize = 64 + 16;
/// How many are taken in at one turn.
const ACCEPTS_A_TURN: usize = 16;
/// How long nobody is taken in after the kernel has refused to.
const PAUSE: Duration = Duration::from_secs(1);
/// The bits of a client's number that say where it is.
const SLOT_BITS: u32 = 8;

/// Names a client for as long as quell runs: a number is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(u64);

/// The server.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    place: Place,
    /// A descriptor to let go of, so that whoever comes when there are no more can be turned away.
    reserve: Option<UnixListener>,
    /// Somebody may be waiting to be taken in.
    marked: bool,
    /// Until when nobody is taken in.
    paused: Option<Tick>,
    who: Who,
    token_base: usize,
    clients: Vec<Option<Client>>,
    /// How many have come.
    count: u64,
    gone: Vec<ClientId>,
}

#[derive(Debug)]
struct Client {
    id: ClientId,
    connection: Connection,
    /// Its interest in room to write is known to the poller.
    waits_for_room: bool,
}

/// Who may ask.
#[derive(Clone, Copy, Debug)]
struct Who {
    ours: u32,
    /// Stands for everybody whom our user namespace does not know.
    unknown: Option<u32>,
}

impl Who {
    /// Root and our own user. Root of another user namespace is neither, whatever number it has there.
    fn admits(self, uid: u32) -> bool {
        Some(uid) != self.unknown && (uid == 0 || uid == self.ours)
    }
}

impl ClientId {
    fn slot(self) -> usize {
        (self.0 & ((1 << SLOT_BITS) - 1)) as usize
    }
}

impl Server {
    /// Listens at a path, with the mode 0600, in a folder that is made (0700) where it does not exist. A socket that stands
    /// there is taken away where nobody listens at it: hold the lock of the state directory.
    ///
    /// # Errors
    /// In words, what is wrong with the path.
    pub fn bind(path: &Path) -> io::Result<Server> {
        let (listener, place) = place::listen_alone(path)?;
        Ok(Server {
            reserve: Some(listener.try_clone()?),
            listener,
            place,
            marked: false,
            paused: None,
            who: Who { ours: identity::ours(), unknown: socket::unknown_user() },
            token_base: 0,
            clients: Vec::new(),
            count: 0,
            gone: Vec::new(),
        })
    }

    /// Waits for clients. `CLIENTS_MAX + 1` tokens from `token_base` on are the server's.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn register(&mut self, poller: &Poller, token_base: usize) -> io::Result<()> {
        self.token_base = token_base;
        poller.add(&self.listener, token_base, Interest::Read)
    }

    /// Whether a token is one of the server's.
    #[must_use]
    pub fn owns(&self, token: usize) -> bool {
        (self.token_base..=self.token_base + CLIENTS_MAX).contains(&token)
    }

    /// Marks what is ready; nothing is done yet. A token of a client that is gone marks at most another one.
    pub fn ready(&mut self, token: usize) {
        match token.checked_sub(self.token_base + 1) {
            None => self.marked = true,
            Some(slot) => {
                if let Some(Some(client)) = self.clients.get_mut(slot) {
                    client.connection.mark();
                }
            }
        }
    }

    /// Whether a turn would come to something now.
    #[must_use]
    pub fn has_backlog(&self) -> bool {
        (self.marked && self.paused.is_none()) || self.present().any(|client| client.connection.has_backlog())
    }

    /// Serves what is marked: at most one request of each client, in the order of their places.
    pub fn turn(&mut self, poller: &Poller, now: Tick, arrived: &mut Vec<(ClientId, Request)>) {
        self.accept(poller, now);
        for slot in 0..self.clients.len() {
            if let Some(client) = &mut self.clients[slot]
                && client.connection.has_backlog()
            {
                let request = client.connection.turn(now);
                arrived.extend(request.map(|request| (client.id, request)));
                self.settle(poller, slot);
            }
        }
    }

    /// When `due` is to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Tick> {
        let clients = self.present().filter_map(|client| client.connection.deadline()).min();
        earliest([self.paused, clients])
    }

    /// Gives up on clients whose time is over, and takes others in again after a pause.
    pub fn due(&mut self, poller: &Poller, now: Tick) {
        if self.paused.is_some_and(|until| until <= now) {
            self.paused = None;
            self.reserve = self.reserve.take().or_else(|| self.listener.try_clone().ok());
        }
        for slot in 0..self.clients.len() {
            if let Some(client) = &mut self.clients[slot] {
                client.connection.due(now);
                self.settle(poller, slot);
            }
        }
    }

    /// Sends a client a reply. The last one to its request makes room for its next.
    pub fn reply(&mut self, poller: &Poller, client: ClientId, reply: &Reply, now: Tick) {
        if let Some(Some(found)) = self.clients.get_mut(client.slot())
            && found.id == client
        {
            found.connection.reply(reply, now);
            self.settle(poller, client.slot());
        }
    }

    /// A client follows what happens, and is told more of it than others: more may wait for it.
    pub fn records(&mut self, client: ClientId) {
        if let Some(Some(found)) = self.clients.get_mut(client.slot())
            && found.id == client
        {
            found.connection.records();
        }
    }

    /// Whether a client has left, or was sent away.
    #[must_use]
    pub fn is_gone(&self, client: ClientId) -> bool {
        !self.present().any(|found| found.id == client)
    }

    /// The clients that have left, or were sent away, without the answer that they waited for, since this was last asked.
    pub fn gone(&mut self) -> Vec<ClientId> {
        std::mem::take(&mut self.gone)
    }

    /// Ends: whoever still waits is told, and the socket goes.
    pub fn shutdown(mut self, poller: &Poller, now: Tick) {
        // A descriptor that epoll does not know any more is as much out of it as one that was taken out.
        let _ = poller.remove(&self.listener);
        for slot in 0..self.clients.len() {
            if let Some(client) = &mut self.clients[slot] {
                client.connection.farewell(now);
                self.close(poller, slot);
            }
        }
    }

    fn present(&self) -> impl Iterator<Item = &Client> {
        self.clients.iter().flatten()
    }

    /// Takes in who waits.
    fn accept(&mut self, poller: &Poller, now: Tick) {
        if self.paused.is_some() {
            return;
        }
        for _ in 0..ACCEPTS_A_TURN {
            if !self.marked {
                return;
            }
            match self.listener.accept() {
                Ok((stream, _)) => self.admit(poller, stream, now),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.marked = false,
                Err(e) if [Some(libc::EMFILE), Some(libc::ENFILE)].contains(&e.raw_os_error()) => {
                    self.turn_one_away(now);
                }
                // It has given up waiting; or a signal came.
                Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => {}
                Err(_) => self.pause(now),
            }
        }
    }

    /// There are no descriptors left: whoever waits learns it, and does not make us look again and again.
    fn turn_one_away(&mut self, now: Tick) {
        drop(self.reserve.take());
        match self.listener.accept() {
            Ok((stream, _)) => turn_away(&stream, Code::TooManyClients, "quell has no file descriptors left"),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.marked = false,
            Err(_) => self.pause(now),
        }
        self.reserve = self.listener.try_clone().ok();
        if self.reserve.is_none() {
            self.pause(now);
        }
    }

    fn pause(&mut self, now: Tick) {
        self.paused = Some(now.after(PAUSE));
    }

    /// Gives a client a place, where there is one, or one that somebody has who never asked for anything.
    fn admit(&mut self, poller: &Poller, stream: UnixStream, now: Tick) {
        match socket::peer(&stream) {
            Ok(peer) if self.who.admits(peer.uid) => {}
            _ => return turn_away(&stream, Code::Refused, "only root and the user that quell runs as may ask it"),
        }
        let Some(slot) = self.free_slot(poller, now) else {
            return turn_away(&stream, Code::TooManyClients, "quell has as many clients as it takes");
        };
        let Ok(connection) = Connection::new(stream) else { return };
        if poller.add(connection.stream(), self.token_base + 1 + slot, Interest::Read).is_ok() {
            self.count += 1;
            let id = ClientId(self.count << SLOT_BITS | slot as u64);
            self.clients[slot] = Some(Client { id, connection, waits_for_room: false });
        }
    }

    fn free_slot(&mut self, poller: &Poller, now: Tick) -> Option<usize> {
        if let Some(slot) = self.clients.iter().position(Option::is_none) {
            return Some(slot);
        }
        if self.clients.len() < CLIENTS_MAX {
            self.clients.push(None);
            return Some(self.clients.len() - 1);
        }
        let silent = self.present().filter(|client| !client.connection.has_asked).map(|client| client.id).min()?;
        if let Some(client) = &mut self.clients[silent.slot()] {
            client.connection.close(now, Code::TooManyClients, "another client needs the place");
        }
        self.close(poller, silent.slot());
        Some(silent.slot())
    }

    /// Lets a client go that is done with, and waits for room where there is none.
    fn settle(&mut self, poller: &Poller, slot: usize) {
        let Some(client) = &mut self.clients[slot] else { return };
        let wants_room = client.connection.wants_room();
        if !client.connection.is_over() && wants_room != client.waits_for_room {
            let interest = if wants_room { Interest::Both } else { Interest::Read };
            client.waits_for_room = wants_room;
            if poller.change(client.connection.stream(), self.token_base + 1 + slot, interest).is_ok() {
                return;
            }
            // It could wait for ever.
            return self.close(poller, slot);
        }
        if client.connection.is_over() {
            self.close(poller, slot);
        }
    }

    fn close(&mut self, poller: &Poller, slot: usize) {
        let Some(client) = self.clients[slot].take() else { return };
        // As in `shutdown`.
        let _ = poller.remove(client.connection.stream());
        if client.connection.is_unanswered() {
            self.gone.push(client.id);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.place.remove();
    }
}

/// Tells somebody who is not taken in why, if there is room to.
fn turn_away(stream: &UnixStream, code: Code, text: &str) {
    let mut bytes = Vec::new();
    let fits = frame::encode(&Reply::failed(code, text), REPLY_BYTES_MAX, &mut bytes).is_ok();
    // Nothing was sent there before, so that there is room; and if not, it is gone all the same.
    if fits && stream.set_nonblocking(true).is_ok() {
        let _ = fd::write(stream, &bytes);
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
