//! Standard input as tasks, one a line: what comes together goes together, and no more of it is held than goes at once.

use super::Failure;
use crate::control::frame::REQUEST_BYTES_MAX;
use crate::control::payload::Payload;
use crate::line::frame::{Block, Cut};
use crate::sys::fd::{self, Interest};
use std::io;
use std::time::Duration;

/// What goes at once: so much, and what one read brings more.
const BATCH_TASKS: usize = 10_000;
const BATCH_BYTES: usize = 4 << 20;
/// How long the next lines are waited for when there are some.
const LATENCY: Duration = Duration::from_millis(5);

/// The lines of standard input.
pub(super) struct Lines {
    block: Block,
    /// How many were given out.
    given: u64,
    ended: bool,
}

/// Lines that go together.
#[derive(Default)]
struct Batch {
    payloads: Vec<Payload>,
    bytes: usize,
}

impl Default for Lines {
    fn default() -> Lines {
        // No longer line fits into a request.
        Lines { block: Block::new(REQUEST_BYTES_MAX), given: 0, ended: false }
    }
}

impl Lines {
    /// The next of them, as soon as there are any; none at the end.
    ///
    /// # Errors
    /// As poll(2) and read(2); a line is too long.
    pub(super) fn batch(&mut self) -> Result<Option<Vec<Payload>>, Failure> {
        let mut batch = Batch::default();
        while !self.ended && !batch.is_full() {
            let patience = (!batch.payloads.is_empty()).then_some(LATENCY);
            let [ready] = fd::wait([Some((fd::stdin(), Interest::Read))], patience).map_err(|e| unread(&e))?;
            match ready {
                true => self.read(&mut batch)?,
                false if batch.payloads.is_empty() => {}
                false => break,
            }
        }
        self.given += batch.payloads.len() as u64;
        Ok((!batch.payloads.is_empty()).then_some(batch.payloads))
    }

    fn read(&mut self, batch: &mut Batch) -> Result<(), Failure> {
        match fd::read(fd::stdin(), self.block.room()) {
            Ok(bytes) => {
                self.block.read(bytes);
                self.ended = bytes == 0;
            }
            // Whoever shares it may have read what was there.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(unread(&e)),
        }
        while let Some(cut) = self.block.cut() {
            let Cut::Lines(range) = cut else {
                let number = self.given + batch.payloads.len() as u64 + 1;
                return Err(Failure::new(format!("line {number} is longer than {REQUEST_BYTES_MAX} bytes")));
            };
            let lines = self.block.bytes(range);
            lines.strip_suffix(b"\n").unwrap_or(lines).split(|byte| *byte == b'\n').for_each(|line| batch.add(line));
        }
        if self.ended
            && let Some((range, _)) = self.block.rest()
        {
            batch.add(self.block.bytes(range));
        }
        Ok(())
    }
}

impl Batch {
    fn add(&mut self, line: &[u8]) {
        self.bytes += line.len();
        self.payloads.push(line.into());
    }

    fn is_full(&self) -> bool {
        self.payloads.len() >= BATCH_TASKS || self.bytes >= BATCH_BYTES
    }
}

fn unread(error: &io::Error) -> Failure {
    Failure::new(format!("cannot read standard input: {error}"))
}
