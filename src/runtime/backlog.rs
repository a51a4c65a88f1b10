//! Records on their way to the disk, and what is remembered while it does not take them.

use crate::clock::Tick;
use crate::log::ledger::Count;
use crate::log::record::Batch;
use std::time::Duration;

/// Records that the disk did not take yet.
#[derive(Debug)]
pub struct Waiting {
    /// What they hold.
    pub batch: Batch,
    /// All of them.
    pub records: Vec<u8>,
    /// How many bytes of them are out.
    pub written: usize,
    /// The critical ones of them.
    pub critical: Vec<u8>,
    /// How many bytes of those are out.
    pub critical_written: usize,
    /// When it is tried again.
    pub retry_at: Tick,
    /// How long was waited before that.
    pub backoff: Duration,
}

impl Waiting {
    /// What is left of a batch; it is tried again after so long.
    pub fn new(left: &Outgoing<'_>, backoff: Duration, now: Tick) -> Waiting {
        let Outgoing { batch, records, written, critical, critical_written } = *left;
        let (records, critical) = (records.to_vec(), critical.to_vec());
        Waiting { batch, records, written, critical, critical_written, retry_at: now.after(backoff), backoff }
    }
}

/// Records that are being written: how far both copies have come.
pub struct Outgoing<'a> {
    /// What they hold.
    pub batch: Batch,
    /// All of them.
    pub records: &'a [u8],
    /// How many bytes of them are out.
    pub written: usize,
    /// The critical ones of them.
    pub critical: &'a [u8],
    /// How many bytes of those are out.
    pub critical_written: usize,
}

/// A time in which the disk took no more, from the first failure to the next success.
#[derive(Debug)]
pub struct Trouble {
    /// When it began.
    pub since: Tick,
    /// What failed first.
    pub error: String,
    /// What was lost in it.
    pub dropped: Count,
    /// Not said in the log before that.
    pub say_after: Tick,
}
