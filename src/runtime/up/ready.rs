//! How a worker that has started comes to be ready.

use super::specs::{Readiness, readiness};
use super::{READY, Up};
use crate::clock::{Now, Tick};
use crate::runtime::probe::Probe;
use crate::supervisor::Event;
use crate::sys::fd;
use crate::worker::WorkerId;
use crate::worker::lifecycle::{self, State};
use std::os::fd::OwnedFd;

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
        let Some(named) = self.configuration.loaded.config.worker(&worker.of) else { return };
        match readiness(&named.keys) {
            Readiness::Start => self.step(Event::Life(id, lifecycle::Event::Ready), now),
            Readiness::Tcp(address) => {
                worker.ready = Ready::Tcp(Box::new(Probe::new(address, now.tick)));
                self.probing.insert(id);
                self.probe(id, now);
            }
            Readiness::Notify | Readiness::Line(_) | Readiness::Fd => {}
        }
    }
}
