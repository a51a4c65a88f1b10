//! What stands in a log file: `[STAMP ]bytes\n` for each line, and which of those bytes are the worker's own.

use super::ledger::Count;
use super::stamp::stamp_lines;
use memchr::{memchr_iter, memrchr};

/// What ends a record whose line goes on, in the next record or nowhere.
pub const CUT_MARK: &[u8] = b" \\\n";

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

/// The end of the last whole record in the first `bytes` of some records.
#[must_use]
pub fn last_record_end(records: &[u8], bytes: usize) -> usize {
    memrchr(b'\n', &records[..bytes]).map_or(0, |newline| newline + 1)
}

/// Adds records for bytes of a stream; where they do not end a line, the last record is marked as cut.
pub fn push_records(stamp: &[u8], bytes: &[u8], out: &mut Vec<u8>) {
    stamp_lines(stamp, bytes, out);
    if !bytes.ends_with(b"\n") {
        out.extend_from_slice(CUT_MARK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workers_own_bytes() {
        let mut records = Vec::new();
        push_records(b"STAMP ", b"one\nthree\n", &mut records);
        let count = Count { lines: 2, bytes: 10 };
        let batch = Batch { stream: 0, count, prefix_bytes: 6, single: false };
        assert_eq!(batch.count_of(&records, records.len()), count);
        let end = last_record_end(&records, records.len() - 1);
        assert_eq!((end, batch.count_of(&records, end)), (10, Count { lines: 1, bytes: 4 }));
        assert_eq!(batch.count_of(&records, last_record_end(&records, 3)), Count::default());
    }

    #[test]
    fn what_is_cut_is_marked() {
        let mut records = Vec::new();
        push_records(b"S ", b"no newline", &mut records);
        assert_eq!(records, b"S no newline \\\n");
    }
}
