//! Lines passed on to an inherited descriptor, without ever blocking on it: what it does not take waits.

use crate::log::ledger::{Count, Ledger};
use crate::log::record::{Batch, last_record_end};
use crate::runtime::pace::PIPE_BYTES_BUSY;
use crate::sys::fd::Outlet;
use std::io;

/// An outlet, and what it has not taken yet.
#[derive(Debug)]
pub struct Pass {
    outlet: Option<Outlet>,
    waiting: Option<Waiting>,
    /// Whether the ledger's `written` is what goes out here, and not what goes to a log.
    counts: bool,
    /// A full pipe has been asked once to hold more.
    widened: bool,
    /// Why the outlet was closed, when it was not its reader who left.
    failure: Option<io::Error>,
}

#[derive(Debug)]
struct Waiting {
    batch: Batch,
    bytes: Vec<u8>,
    written: usize,
}

impl Pass {
    /// Passes on to this outlet.
    #[must_use]
    pub fn new(outlet: Outlet, counts: bool) -> Pass {
        Pass { outlet: Some(outlet), waiting: None, counts, widened: false, failure: None }
    }

    /// Passes bytes on. Nothing may be waiting.
    pub fn write(&mut self, batch: Batch, bytes: &[u8], ledger: &mut Ledger) {
        debug_assert!(self.waiting.is_none(), "bytes would overtake those that wait");
        let written = self.attempt(batch, bytes, 0, ledger);
        if written < bytes.len() {
            self.waiting = Some(Waiting { batch, bytes: bytes.to_vec(), written });
        }
    }

    /// Goes on with what waits.
    pub fn flush(&mut self, ledger: &mut Ledger) {
        let Some(mut waiting) = self.waiting.take() else { return };
        waiting.written = self.attempt(waiting.batch, &waiting.bytes, waiting.written, ledger);
        if waiting.written < waiting.bytes.len() {
            self.waiting = Some(waiting);
        }
    }

    /// The outlet to wait for, when something waits.
    #[must_use]
    pub fn waits_for(&self) -> Option<&Outlet> {
        self.outlet.as_ref().filter(|_| self.waiting.is_some())
    }

    /// The outlet; none when it is closed.
    #[must_use]
    pub fn outlet(&self) -> Option<&Outlet> {
        self.outlet.as_ref()
    }

    /// Whether it is closed: whoever read it has gone, or writing failed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.outlet.is_none()
    }

    /// The failure that closed it, once; a reader who left is none.
    pub fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Gives up what waits: it is dropped and counted.
    pub fn give_up(&mut self, ledger: &mut Ledger) {
        if let Some(waiting) = self.waiting.take() {
            self.lose(waiting.batch, &waiting.bytes, waiting.written, ledger);
        }
    }

    /// One attempt: how much is out, or, where the outlet is closed, all of it.
    fn attempt(&mut self, batch: Batch, bytes: &[u8], mut written: usize, ledger: &mut Ledger) -> usize {
        while written < bytes.len() {
            let result =
                self.outlet.as_ref().map_or(Err(io::ErrorKind::BrokenPipe.into()), |o| o.write(&bytes[written..]));
            match result {
                Ok(more) => written += more,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if !self.widen() {
                        return written;
                    }
                }
                Err(e) => {
                    self.outlet = None;
                    self.failure = Some(e).filter(|e| e.kind() != io::ErrorKind::BrokenPipe);
                    self.lose(batch, bytes, written, ledger);
                    return bytes.len();
                }
            }
        }
        if self.counts {
            ledger.stream(batch.stream).written += batch.count;
        }
        written
    }

    /// Whether there is room again in an outlet that was full: a reader behind a pipe of 64 KiB has to be waited for, and
    /// woken, at every one of our writes.
    fn widen(&mut self) -> bool {
        !std::mem::replace(&mut self.widened, true)
            && self.outlet.as_ref().is_some_and(|outlet| outlet.widen(PIPE_BYTES_BUSY))
    }

    fn lose(&self, batch: Batch, bytes: &[u8], written: usize, ledger: &mut Ledger) {
        if self.counts {
            let mut lost: Count = batch.count;
            let whole = batch.count_of(bytes, last_record_end(bytes, written));
            lost -= whole;
            let tally = ledger.stream(batch.stream);
            tally.written += whole;
            tally.dropped += lost;
        }
    }
}
