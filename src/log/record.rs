//! What stands in a log file: `[STAMP ]bytes\n` for each line, and which of those bytes are the worker's own.

use super::ledger::Count;
use super::stamp::Stamp;
use crate::clock::Wall;
use memchr::{memchr_iter, memrchr};

/// What ends a record whose line goes on, in the next record or nowhere.
pub const CUT_MARK: &[u8] = b" \\\n";
/// What quell's own lines begin with, behind the stamp.
const OWN: &[u8] = b"quell: ";

/// Some records of one stream on their way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The stream's place in the ledger.
    pub stream: usize,
    /// What the records hold of the worker's own.
    pub count: Count,
    /// Bytes before each line that are not the worker's.
    pub prefix_bytes: usize,
    /// It is one record that is no whole line: it counts when all of it is out, or not at all.
    pub single: bool,
}

impl Batch {
    /// What the first bytes of the records hold of the worker's own, where they end in whole records.
    #[must_use]
    pub fn count_of(&self, records: &[u8], bytes: usize) -> Count {
        if bytes == records.len() {
            return self.count;
        }
        if self.single {
            return Count::default();
        }
        let lines = memchr_iter(b'\n', &records[..bytes]).count();
        Count { lines: lines as u64, bytes: (bytes - lines * self.prefix_bytes) as u64 }
    }
}

/// A record of quell's own: a mark, a summary, a notice.
#[must_use]
pub fn own(text: &str, stamp: &Stamp, now: Wall) -> Vec<u8> {
    let mut record = Vec::new();
    stamp.write(now, &mut record);
    record.extend_from_slice(OWN);
    record.extend_from_slice(text.as_bytes());
    record.push(b'\n');
    record
}

/// Whether quell itself has written a record; what stands behind its stamp.
#[must_use]
pub fn is_own(text: &[u8]) -> bool {
    text.starts_with(OWN)
}

/// The end of the last whole record in the first `bytes` of some records.
#[must_use]
pub fn last_record_end(records: &[u8], bytes: usize) -> usize {
    memrchr(b'\n', &records[..bytes]).map_or(0, |newline| newline + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workers_own_bytes() {
        let records = b"STAMP one\nSTAMP three\n";
        let count = Count { lines: 2, bytes: 10 };
        let batch = Batch { stream: 0, count, prefix_bytes: 6, single: false };
        assert_eq!(batch.count_of(records, records.len()), count);
        let end = last_record_end(records, records.len() - 1);
        assert_eq!((end, batch.count_of(records, end)), (10, Count { lines: 1, bytes: 4 }));
        assert_eq!(batch.count_of(records, last_record_end(records, 3)), Count::default());
    }
}
