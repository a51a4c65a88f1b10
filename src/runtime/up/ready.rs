//! How a worker that has started comes to be ready.

use super::specs::{Readiness, readiness};
use super::{NOTIFY, READY, Up};
use crate::clock::{Now, Tick};
use crate::runtime::notify::{self, Notice};
use crate::runtime::probe::{Attempt, Probe};
use crate::supervisor::Event;
use crate::sys::fd::{self, Interest};
use crate::sys::notify::Note;
use crate::sys::proc;
use crate::worker::WorkerId;
use crate::worker::lifecycle;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;

/// So many datagrams are read in one turn, so that nobody who sends many keeps the others waiting.
const NOTES_A_TURN: usize = 64;
/// So often a descriptor is read in one turn that is to bring a newline, likewise.
const READS_A_TURN: usize = 16;

/// What is waited for.
#[derive(Debug, Default)]
pub(super) enum Ready {
    /// Nothing, or what comes by itself: a line, a datagram.
    #[default]
    None,
    /// A newline.
    Fd(OwnedFd),
    /// A connection.
    Tcp(Box<Probe>),
}

impl Up<'_> {
    /// A worker runs now: it is ready, or that is waited for.
    pub(super) fn await_ready(&mut self, id: WorkerId, now: Now) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        match readiness(&self.configuration.table(worker).keys) {
            Readiness::Start => self.step(Event::Life(id, lifecycle::Event::Ready), now),
            Readiness::Tcp(address) => {
                worker.ready = Ready::Tcp(Box::new(Probe::new(address)));
                self.probing.insert(id);
                self.probe(id, now);
            }
            Readiness::Notify | Readiness::Line(_) | Readiness::Fd => {}
        }
    }

    /// Something came through a worker's descriptor for that.
    pub(super) fn look_ready(&mut self, id: WorkerId, now: Now) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let pipe = match &mut worker.ready {
            Ready::None => return,
            Ready::Tcp(probe) => {
                let attempt = probe.look();
                return self.probed(id, attempt, now);
            }
            Ready::Fd(pipe) => pipe,
        };
        let mut bytes = [0; 64];
        for _ in 0..READS_A_TURN {
            match fd::read(&*pipe, &mut bytes) {
                Ok(read @ 1..) if bytes[..read].contains(&b'\n') => {
                    self.stop_awaiting(id);
                    return self.step(Event::Life(id, lifecycle::Event::Ready), now);
                }
                Ok(1..) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                // It will never come: the start's timeout says so.
                Ok(0) | Err(_) => return self.stop_awaiting(id),
            }
        }
        // The rest waits for the next turn. Where it cannot be told anew, what is written next tells it.
        let _ = self.poller.change(&*pipe, READY | id.0 as usize, Interest::Read);
    }

    /// Nothing is waited for any more.
    pub(super) fn stop_awaiting(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        self.probing.remove(&id);
        if let Ready::Fd(pipe) = std::mem::take(&mut worker.ready) {
            // A descriptor that epoll does not know is as much out of it as one that was taken out.
            let _ = self.poller.remove(&pipe);
        }
    }

    /// Tries to connect to a worker.
    fn probe(&mut self, id: WorkerId, now: Now) {
        let Some(Ready::Tcp(probe)) = self.workers.get_mut(&id).map(|worker| &mut worker.ready) else { return };
        if let Some(socket) = probe.socket() {
            // As above.
            let _ = self.poller.remove(socket);
        }
        let attempt = probe.attempt(now.tick);
        if let (Attempt::Pending, Some(socket)) = (attempt, probe.socket()) {
            // Where it cannot be waited on it is tried again.
            let _ = self.poller.add(socket, READY | id.0 as usize, Interest::Write);
        }
        self.probed(id, attempt, now);
    }

    fn probed(&mut self, id: WorkerId, attempt: Attempt, now: Now) {
        if attempt == Attempt::Ready {
            self.stop_awaiting(id);
            self.step(Event::Life(id, lifecycle::Event::Ready), now);
        }
    }

    /// Tries again where it is time to.
    pub(super) fn probe_due(&mut self, now: Now) {
        let due = |id: &WorkerId| self.probe_at(*id).is_some_and(|at| at <= now.tick);
        let due: Vec<_> = self.probing.iter().copied().filter(due).collect();
        due.into_iter().for_each(|id| self.probe(id, now));
    }

    pub(super) fn probe_deadline(&self) -> Option<Tick> {
        self.probing.iter().filter_map(|id| self.probe_at(*id)).min()
    }

    fn probe_at(&self, id: WorkerId) -> Option<Tick> {
        match &self.workers.get(&id)?.ready {
            Ready::Tcp(probe) => probe.deadline(),
            _ => None,
        }
    }

    /// Takes what workers have said (sd_notify(3)).
    pub(super) fn notified(&mut self, now: Now) {
        for _ in 0..NOTES_A_TURN {
            let Some(note) = self.mailbox.next() else { return };
            self.take_note(&note, now);
        }
        // The rest waits for the next turn. Where it cannot be told anew, the next datagram tells it.
        let _ = self.poller.change(&self.mailbox, NOTIFY, Interest::Read);
    }

    fn take_note(&mut self, note: &Note, now: Now) {
        // Whoever is in a worker's session speaks for it.
        let session = || proc::stat(note.pid).map(|stat| stat.session);
        let main = self.pids.get(&note.pid).or_else(|| self.pids.get(&session()?)).copied();
        let Some(id) = main.filter(|id| self.awaits_note(*id)) else {
            return tracing::debug!("pid {} is no worker that says when it is ready", note.pid);
        };
        for notice in notify::parse(&note.text) {
            match notice {
                Notice::Ready => self.step(Event::Life(id, lifecycle::Event::Ready), now),
                Notice::Status(status) => {
                    if let Some(worker) = self.workers.get_mut(&id) {
                        worker.why = Some(status.into());
                    }
                }
                Notice::Stopping => {}
                Notice::MainPid => tracing::debug!("{}: MAINPID is not followed", self.name(id)),
            }
        }
    }

    fn awaits_note(&self, id: WorkerId) -> bool {
        let is_notify = |worker| readiness(&self.configuration.table(worker).keys) == Readiness::Notify;
        self.workers.get(&id).is_some_and(is_notify)
    }
}
