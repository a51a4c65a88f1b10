//! Readiness of many descriptors (epoll, through mio). Edge-triggered: who is told must read or write until it would
//! block, or remember that it has not.

use super::fd::Interest;
use mio::unix::SourceFd;
use mio::{Events, Poll, Token};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// Wakes a `Poller` from another thread.
pub type Waker = mio::Waker;

/// A set of descriptors that are waited on together.
#[derive(Debug)]
pub struct Poller {
    poll: Poll,
    events: Events,
}

impl Poller {
    /// An empty set.
    ///
    /// # Errors
    /// As epoll_create1(2).
    pub fn new() -> io::Result<Poller> {
        Ok(Poller { poll: Poll::new()?, events: Events::with_capacity(64) })
    }

    /// Waits on a descriptor too. Take it out again before it is closed.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn add(&self, fd: impl AsFd, token: usize, interest: Interest) -> io::Result<()> {
        self.poll.registry().register(&mut SourceFd(&fd.as_fd().as_raw_fd()), Token(token), wanted(interest))
    }

    /// Waits for something else on a descriptor. What it is ready for already is told anew.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn change(&self, fd: impl AsFd, token: usize, interest: Interest) -> io::Result<()> {
        self.poll.registry().reregister(&mut SourceFd(&fd.as_fd().as_raw_fd()), Token(token), wanted(interest))
    }

    /// Waits on it no more.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        self.poll.registry().deregister(&mut SourceFd(&fd.as_fd().as_raw_fd()))
    }

    /// A waker; at most one to a set.
    ///
    /// # Errors
    /// As eventfd(2).
    pub fn waker(&self, token: usize) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), Token(token))
    }

    /// Waits until something is ready or the time is over: the tokens of what is. An interruption is no error: the wait is
    /// over, with what the signal has brought.
    ///
    /// # Errors
    /// As epoll_wait(2).
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<impl Iterator<Item = usize> + '_> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                match self.poll.poll(&mut self.events, Some(Duration::ZERO)) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => self.events.clear(),
                    result => result?,
                }
            }
            result => result?,
        }
        Ok(self.events.iter().map(|event| event.token().0))
    }
}

fn wanted(interest: Interest) -> mio::Interest {
    match interest {
        Interest::Write => mio::Interest::WRITABLE,
        Interest::Read | Interest::None => mio::Interest::READABLE,
        Interest::Both => mio::Interest::READABLE | mio::Interest::WRITABLE,
    }
}
