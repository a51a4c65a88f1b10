//! Whether a worker takes connections at an address: tried while it starts, at growing intervals, and never afterwards.

use crate::clock::Tick;
use crate::config::values::Address;
use crate::sys::socket::{self, Connecting};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// How long to wait after an attempt, at first and at most.
const WAIT_FIRST: Duration = Duration::from_millis(10);
const WAIT_MAX: Duration = Duration::from_millis(250);
/// How long a connection may take to be made: longer than a retry of a lost packet.
const PENDING_MAX: Duration = Duration::from_secs(2);
/// How long a name server is waited for; most addresses are numbers and need none.
const RESOLVE: Duration = Duration::from_millis(250);

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It takes connections.
    Ready,
    /// It is not known yet: the socket is to be waited on, for room to write.
    Pending,
    /// Not now.
    Refused,
}

/// The attempts to reach one address.
#[derive(Debug)]
pub struct Probe {
    address: Address,
    /// What a host's name stands for, tried in turn.
    numbers: Vec<SocketAddr>,
    tried: usize,
    connecting: Option<Connecting>,
    again: Option<Tick>,
    /// When the next attempt is due if this one comes to nothing.
    not_before: Tick,
    wait: Duration,
}

impl Probe {
    /// One that has not tried yet.
    #[must_use]
    pub fn new(address: Address) -> Probe {
        Probe {
            address,
            numbers: Vec::new(),
            tried: 0,
            connecting: None,
            again: None,
            not_before: Tick(0),
            wait: WAIT_FIRST,
        }
    }

    /// Tries once.
    pub fn attempt(&mut self, now: Tick) -> Attempt {
        self.connecting = None;
        self.not_before = now.after(self.wait);
        self.wait = (self.wait * 2).min(WAIT_MAX);
        let attempt = match &self.address {
            Address::Unix(path) if socket::answers(path) => Attempt::Ready,
            Address::Unix(_) => Attempt::Refused,
            Address::Tcp(host, port) => {
                if self.numbers.is_empty() {
                    self.numbers = socket::addresses(host, *port, RESOLVE).unwrap_or_default();
                }
                self.reach_next()
            }
        };
        match attempt {
            Attempt::Ready => self.again = None,
            Attempt::Pending => self.again = Some(now.after(PENDING_MAX)),
            Attempt::Refused => self.again = Some(self.not_before),
        }
        attempt
    }

    fn reach_next(&mut self) -> Attempt {
        if self.numbers.is_empty() {
            return Attempt::Refused;
        }
        self.tried += 1;
        match Connecting::begin(self.numbers[self.tried % self.numbers.len()]) {
            Ok(connecting) => {
                self.connecting = Some(connecting);
                self.look()
            }
            Err(_) => Attempt::Refused,
        }
    }

    /// Looks what became of an attempt that was pending.
    pub fn look(&mut self) -> Attempt {
        match self.connecting.as_ref().map(Connecting::outcome) {
            None => Attempt::Refused,
            Some(Ok(true)) => {
                (self.connecting, self.again) = (None, None);
                Attempt::Ready
            }
            Some(Ok(false)) => Attempt::Pending,
            Some(Err(_)) => {
                (self.connecting, self.again) = (None, Some(self.not_before));
                Attempt::Refused
            }
        }
    }

    /// The socket of an attempt that is pending.
    #[must_use]
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.connecting.as_ref().map(AsFd::as_fd)
    }

    /// When to try again.
    #[must_use]
    pub fn deadline(&self) -> Option<Tick> {
        self.again
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd::{Interest, wait};
    use std::net::TcpListener;

    fn settled(probe: &mut Probe, now: Tick) -> Attempt {
        let attempt = probe.attempt(now);
        if attempt != Attempt::Pending {
            return attempt;
        }
        let [ready] = wait([probe.socket().map(|fd| (fd, Interest::Write))], Some(Duration::from_secs(60))).unwrap();
        assert!(ready);
        probe.look()
    }

    #[test]
    fn an_address_that_is_taken_into_use() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut probe = Probe::new(Address::Tcp("127.0.0.1".into(), port));
        assert_eq!(settled(&mut probe, Tick(0)), Attempt::Refused);
        assert_eq!(probe.deadline(), Some(Tick(10_000_000)));
        assert_eq!(settled(&mut probe, Tick(0)), Attempt::Refused);
        assert_eq!(probe.deadline(), Some(Tick(20_000_000)), "it is tried less often");
        let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        assert_eq!(settled(&mut probe, Tick(0)), Attempt::Ready);
        assert_eq!(probe.deadline(), None, "and never afterwards");
    }

    #[test]
    fn a_socket_in_the_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let mut probe = Probe::new(Address::Unix(path.clone()));
        assert_eq!(probe.attempt(Tick(0)), Attempt::Refused);
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(probe.attempt(Tick(0)), Attempt::Ready);
    }
}
