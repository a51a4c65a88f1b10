//! Whether a worker takes connections yet: tried while it starts, at a growing pace, and never afterwards.

use crate::clock::Tick;
use crate::config::values::Address;
use crate::sys::socket::{self, Connecting, Target};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Between two tries at first, and at most.
const FIRST: Duration = Duration::from_millis(10);
const MOST: Duration = Duration::from_millis(250);
/// So long a try may last: one that nobody refuses and nobody takes hides whoever comes later, or elsewhere.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where connections may be taken; one of them is enough. Look it up when the configuration is loaded, not at a start: a
/// name server may take its time, and is waited for so long.
///
/// # Errors
/// As getaddrinfo(3); `TimedOut`.
pub fn targets(address: &Address, patience: Duration) -> io::Result<Vec<Target>> {
    match address {
        Address::Unix(path) => Ok(vec![Target::Unix(path.clone())]),
        Address::Tcp(host, port) => {
            Ok(socket::addresses(host, *port, patience)?.into_iter().map(Target::Tcp).collect())
        }
    }
}

/// Tries to connect to a worker that starts: owned by its start, and dropped with it.
#[derive(Debug)]
pub struct Probe {
    targets: Vec<Target>,
    /// Which of them is next.
    next: usize,
    pause: Duration,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// The next try is then.
    Pausing(Tick),
    /// One is under way, and given up then.
    Trying(Tick),
    Done,
}

/// A connection that is being made; wait for it to be writable, then ask `Probe::settle`.
#[derive(Debug)]
pub struct Attempt(Connecting);

impl AsFd for Attempt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// How it stands with a worker.
#[derive(Debug)]
pub enum Answer {
    /// It takes connections: let go of the probe.
    Ready,
    /// Wait for this one too, in place of any before.
    Wait(Attempt),
    /// Not yet: until the deadline.
    NotYet,
}

impl Probe {
    /// A probe whose first try is due at once.
    #[must_use]
    pub fn new(targets: Vec<Target>, now: Tick) -> Probe {
        Probe { targets, next: 0, pause: FIRST, state: State::Pausing(now) }
    }

    /// When `due` is to be called; none when there is nothing left to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Tick> {
        match self.state {
            State::Pausing(at) | State::Trying(at) => Some(at),
            State::Done => None,
        }
    }

    /// The deadline has passed: gives up the attempt under way, which its owner drops, or begins the next.
    pub fn due(&mut self, now: Tick) -> Answer {
        match self.state {
            State::Pausing(at) if at <= now => self.begin(now),
            State::Trying(at) if at <= now => self.failed(now),
            _ => Answer::NotYet,
        }
    }

    /// The attempt is writable, or broken: what came of it.
    pub fn settle(&mut self, attempt: &Attempt, now: Tick) -> Answer {
        match (&self.state, attempt.0.outcome()) {
            (State::Trying(_), Ok(true)) => self.ready(),
            (State::Trying(_), Err(_)) => self.failed(now),
            _ => Answer::NotYet,
        }
    }

    fn begin(&mut self, now: Tick) -> Answer {
        let Some(target) = self.targets.get(self.next) else { return self.failed(now) };
        match socket::connect(target) {
            Ok(attempt) => match attempt.outcome() {
                Ok(true) => self.ready(),
                Ok(false) => {
                    self.state = State::Trying(now.after(PATIENCE));
                    Answer::Wait(Attempt(attempt))
                }
                Err(_) => self.failed(now),
            },
            Err(_) => self.failed(now),
        }
    }

    fn ready(&mut self) -> Answer {
        self.state = State::Done;
        Answer::Ready
    }

    /// The next target follows at once; after the last, a pause.
    fn failed(&mut self, now: Tick) -> Answer {
        self.next += 1;
        if self.next < self.targets.len() {
            return self.begin(now);
        }
        self.next = 0;
        self.state = State::Pausing(now.after(self.pause));
        self.pause = (self.pause * 2).min(MOST);
        Answer::NotYet
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd::{self, Interest};
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    const LIMIT: Duration = Duration::from_secs(60);

    /// Follows a probe to its next pause or its end.
    fn follow(probe: &mut Probe, mut now: Tick) -> (bool, Tick) {
        let mut answer = probe.due(now);
        loop {
            match answer {
                Answer::Ready => return (true, now),
                Answer::NotYet => return (false, now),
                Answer::Wait(attempt) => {
                    let [ready] = fd::wait([Some((attempt.as_fd(), Interest::Write))], Some(LIMIT)).unwrap();
                    assert!(ready);
                    now = now.after(Duration::from_millis(1));
                    answer = probe.settle(&attempt, now);
                }
            }
        }
    }

    fn port_of(listener: &TcpListener) -> Address {
        Address::Tcp("127.0.0.1".into(), listener.local_addr().unwrap().port())
    }

    #[test]
    fn a_port_is_tried_until_somebody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port_of(&listener);
        drop(listener);
        let mut probe = Probe::new(targets(&address, LIMIT).unwrap(), Tick(0));
        let mut pauses = Vec::new();
        let mut now = Tick(0);
        for _ in 0..7 {
            let (ready, then) = follow(&mut probe, now);
            assert!(!ready);
            now = probe.deadline().unwrap();
            pauses.push(now.until(then).as_millis());
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 250, 250]);
        assert!(matches!(probe.due(Tick(now.0 - 1)), Answer::NotYet));
        let Address::Tcp(_, port) = address else { unreachable!() };
        let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        assert!(follow(&mut probe, now).0);
        assert_eq!(probe.deadline(), None);
    }

    #[test]
    fn one_of_several_places_is_enough() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut all = targets(&Address::Unix(path.clone()), LIMIT).unwrap();
        all.extend(targets(&port_of(&listener), LIMIT).unwrap());
        assert!(follow(&mut Probe::new(all.clone(), Tick(0)), Tick(0)).0);
        drop(listener);
        assert!(!follow(&mut Probe::new(all.clone(), Tick(0)), Tick(0)).0);
        let _listener = UnixListener::bind(&path).unwrap();
        assert!(follow(&mut Probe::new(all, Tick(0)), Tick(0)).0);
    }

    #[test]
    fn an_attempt_that_hangs_is_given_up() {
        let second = Duration::from_secs(1);
        let mut probe = Probe { state: State::Trying(Tick(0).after(second)), ..Probe::new(Vec::new(), Tick(0)) };
        assert!(matches!(probe.due(Tick(0)), Answer::NotYet));
        assert!(matches!(probe.due(Tick(0).after(second)), Answer::NotYet));
        assert_eq!(probe.deadline(), Some(Tick(0).after(second + FIRST)));
    }
}
