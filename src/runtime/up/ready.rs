//! How a worker that has started comes to be ready.

use super::Up;
use super::specs::{Readiness, readiness};
use crate::clock::Now;
use crate::supervisor::Event;
use crate::sys::fd;
use crate::worker::WorkerId;
use crate::worker::lifecycle;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;

/// What is waited for.
#[derive(Debug, Default)]
pub(super) enum Ready {
    /// Nothing, or what comes by itself: a line, a datagram.
    #[default]
    None,
    /// A newline.
    Fd(OwnedFd),
}

impl Up<'_> {
    /// A worker runs now: it is ready, or that is waited for.
    pub(super) fn await_ready(&mut self, id: WorkerId, now: Now) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let Some(named) = self.configuration.loaded.config.worker(&worker.of) else { return };
        match readiness(&named.keys) {
            Readiness::Start => self.step(Event::Life(id, lifecycle::Event::Ready), now),
            Readiness::Tcp(_) | Readiness::Notify | Readiness::Line(_) | Readiness::Fd => {}
        }
    }

    /// Something came through a worker's descriptor for that.
    pub(super) fn look_ready(&mut self, id: WorkerId, now: Now) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let Ready::Fd(pipe) = &worker.ready else { return };
        let mut bytes = [0; 64];
        loop {
            match fd::read(pipe, &mut bytes) {
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
    }

    /// Nothing is waited for any more.
    pub(super) fn stop_awaiting(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if let Ready::Fd(pipe) = std::mem::take(&mut worker.ready) {
            // A descriptor that epoll does not know is as much out of it as one that was taken out.
            let _ = self.poller.remove(&pipe);
        }
    }
}
