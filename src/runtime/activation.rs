//! Sockets that are listened on for workers (sd_listen_fds(3)): bound before any worker starts, kept from one life to the
//! next, lent to each and given to none.
//!
//! Connections are accepted by the worker alone. Those that come while it does not run wait in the socket's own queue, so
//! that none is lost between a life and the next.

pub(super) mod refusal;

use super::place;
use crate::config::load::Config;
use crate::config::report::Report;
use crate::config::source::{Place, Sources};
use crate::config::tables::Worker;
use crate::config::values::Address;
use crate::sys::fd::Interest;
use crate::sys::netstat;
use crate::sys::poller::Poller;
use crate::sys::socket;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// The longest that a name server is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Whoever may read and write a file of the worker's may connect to its socket.
const MODE: u32 = 0o666;

/// A socket's number: never another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketId(pub u32);

/// All of them.
#[derive(Debug, Default)]
pub struct Activation {
    sockets: Vec<(SocketId, Listening)>,
    next: u32,
}

/// A socket that is listened on.
#[derive(Debug)]
pub struct Listening {
    address: Address,
    socket: OwnedFd,
    at: At,
    /// Whether its next connection is waited for.
    watched: bool,
}

/// Where it stands.
#[derive(Debug)]
enum At {
    Tcp(SocketAddr),
    Unix(place::Place),
}

impl Activation {
    /// Listens where a configuration asks for it and nobody listens yet.
    ///
    /// # Errors
    /// The mistakes of the configuration that this shows; then nothing is listened on that was not before.
    pub fn listen(&self, config: &Config, sources: &Sources) -> Result<Vec<Listening>, Vec<Report>> {
        let (mut fresh, mut reports) = (Vec::new(), Vec::new());
        for (worker, address, key) in wanted(config) {
            if self.find(address).is_some() {
                continue;
            }
            let place = sources.quoted(&address.to_string(), key);
            match Listening::new(address, mode(worker), place) {
                Ok(listening) => fresh.push(listening),
                Err(report) => reports.push(*report),
            }
        }
        if reports.is_empty() { Ok(fresh) } else { Err(reports) }
    }

    /// Takes these in, and lets go of those that the configuration does not name any more.
    pub fn arrange(&mut self, fresh: Vec<Listening>, config: &Config, poller: &Poller) {
        for listening in fresh {
            self.sockets.push((SocketId(self.next), listening));
            self.next += 1;
        }
        for (_, listening) in &mut self.sockets {
            match wanted(config).find(|(_, address, _)| **address == listening.address) {
                Some((worker, ..)) => listening.set_mode(mode(worker)),
                None => listening.unwatch(poller),
            }
        }
        self.sockets.retain(|(_, listening)| wanted(config).any(|(_, address, _)| *address == listening.address));
    }

    /// The sockets of a worker, in the order in which it gets them.
    pub fn of<'a>(&'a self, worker: &'a Worker) -> impl Iterator<Item = BorrowedFd<'a>> {
        worker.sockets().filter_map(|(address, _)| Some(self.find(address)?.1.socket.as_fd()))
    }

    /// The address of a socket whose next connection is waited for.
    #[must_use]
    pub fn watched(&self, id: SocketId) -> Option<&Address> {
        let of = |(known, listening): &&(SocketId, Listening)| *known == id && listening.watched;
        self.sockets.iter().find(of).map(|(_, listening)| &listening.address)
    }

    /// Waits for the next connection to an address, or does not. One that waits already is told at once. `token` makes a
    /// token of a socket's number.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn watch(
        &mut self,
        address: &Address,
        wanted: bool,
        poller: &Poller,
        token: impl Fn(SocketId) -> usize,
    ) -> io::Result<()> {
        let found = self.sockets.iter_mut().find(|(_, listening)| listening.address == *address);
        let Some((id, listening)) = found else { return Ok(()) };
        if !wanted {
            listening.unwatch(poller);
        } else if !listening.watched {
            poller.add(&listening.socket, token(*id), Interest::Read)?;
            listening.watched = true;
        }
        Ok(())
    }

    /// Makes the socket of an address as it was when it was new, whatever the last life of its worker has made of it.
    ///
    /// # Errors
    /// As fcntl(2) and listen(2).
    pub fn renew(&self, address: &Address) -> io::Result<()> {
        self.find(address).map_or(Ok(()), |(_, listening)| socket::renew(&listening.socket))
    }

    /// Whether somebody has accepted a connection to this address and not closed it yet.
    ///
    /// # Errors
    /// Where `/proc` does not tell.
    pub fn has_connection(&self, address: &Address) -> io::Result<bool> {
        match (self.find(address).map(|(_, listening)| &listening.at), address) {
            (Some(At::Tcp(at)), _) => netstat::has_connection(*at),
            (_, Address::Unix(path)) => netstat::has_connection_by_path(path),
            _ => Ok(false),
        }
    }

    fn find(&self, address: &Address) -> Option<&(SocketId, Listening)> {
        self.sockets.iter().find(|(_, listening)| listening.address == *address)
    }
}

/// All addresses that a configuration names, whose they are, and where they stand.
fn wanted(config: &Config) -> impl Iterator<Item = (&Worker, &Address, Place)> {
    let enabled = config.workers.iter().filter(|worker| worker.keys.enabled.value);
    enabled.flat_map(|named| named.keys.sockets().map(|(address, place)| (&named.keys, address, place)))
}

/// What a socket's mode would be if the worker had made it.
fn mode(worker: &Worker) -> u32 {
    MODE & !worker.umask.value.0
}

impl Listening {
    fn new(address: &Address, mode: u32, key: Place) -> Result<Listening, Box<Report>> {
        let (socket, at) = match address {
            Address::Tcp(host, port) => tcp(host, *port, key)?,
            Address::Unix(path) => unix(path, mode, key)?,
        };
        Ok(Listening { address: address.clone(), socket, at, watched: false })
    }

    fn set_mode(&self, mode: u32) {
        if let At::Unix(place) = &self.at
            && let Err(e) = place.set_mode(mode)
        {
            tracing::warn!("cannot give {} the mode {mode:04o}: {e}", self.address);
        }
    }

    fn unwatch(&mut self, poller: &Poller) {
        if std::mem::take(&mut self.watched) {
            // A descriptor that epoll does not know is as much out of it as one that was taken out.
            let _ = poller.remove(&self.socket);
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let At::Unix(place) = &self.at {
            place.remove();
        }
    }
}

/// Listens on the first of a name's addresses on which that is possible.
fn tcp(host: &str, port: u16, key: Place) -> Result<(OwnedFd, At), Box<Report>> {
    let addresses = socket::addresses(host, port, PATIENCE).map_err(|e| Box::new(refusal::host(host, &e, key)))?;
    let mut refused = None;
    for address in addresses {
        match socket::listen_at(address) {
            Ok(socket) => return Ok((socket, At::Tcp(address))),
            Err(e) => refused = refused.or_else(|| refusal::tcp(address, &e, key, None)),
        }
    }
    let nothing = || refusal::host(host, &io::ErrorKind::NotFound.into(), key);
    Err(Box::new(refused.unwrap_or_else(nothing)))
}

fn unix(path: &Path, mode: u32, key: Place) -> Result<(OwnedFd, At), Box<Report>> {
    let listening = place::listen(path, mode).and_then(|(listener, place)| {
        let socket = OwnedFd::from(listener);
        socket::renew(&socket)?;
        Ok((socket, At::Unix(place)))
    });
    listening.map_err(|e| {
        let report = refusal::unix(path, &e, key, None);
        Box::new(report.unwrap_or_else(|| Report::error(key, e.to_string())))
    })
}
