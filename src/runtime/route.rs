//! What becomes of the lines in a block: each run of them is sorted, counted, and sent to the log, to an outlet, to both or
//! to neither.

use super::directory::Directory;
use super::output::{Output, Source};
use super::workspace::{Buffers, Workspace};
use crate::clock::Now;
use crate::line::Class;
use crate::line::classify::{Run, classify, classify_piece, count_lines};
use crate::log::ledger::Count;
use crate::log::record::{Batch, CUT_MARK};
use crate::log::settings::Overflow;
use crate::log::stamp::stamp_lines;
use memchr::{memmem, memrchr};
use std::ops::Range;

/// Width of a tag: the longest class and a blank.
const TAG_BYTES: usize = 9;
/// How much of the last line is kept, in bytes.
const LAST_BYTES_MAX: usize = 256;

impl<D: Directory> Output<D> {
    /// Whole lines.
    pub(super) fn lines(&mut self, room: &mut Workspace, place: usize, range: Range<usize>, now: Now) {
        let Some(source) = &mut self.sources[place] else { return };
        let Buffers { scratch, runs, .. } = &mut room.buffers;
        let (index, lines) = (source.stream, room.block.bytes(range.clone()));
        source.look_for_answer(lines);
        self.lookout.look(lines);
        remember(&mut self.last, lines);
        classify(&self.sorting.rules, lines, self.streams[index].0, &mut source.follow, scratch, runs);
        runs.retain(|run| {
            let kept = self.sorting.kept.has(run.verdict.class);
            if !kept {
                let count = Count { lines: run.lines(lines), bytes: run.range.len() as u64 };
                self.ledger.stream(index).read.lines += count.lines;
                self.ledger.suppress(index, run.verdict.rule, count);
            }
            kept
        });
        if !runs.is_empty() {
            self.send(room, place, range, now);
        }
    }

    /// Sends the runs that are kept where they are to go.
    fn send(&mut self, room: &mut Workspace, place: usize, range: Range<usize>, now: Now) {
        let Some(Source { stream: index, prefix: task, .. }) = &self.sources[place] else { return };
        let index = *index;
        let Buffers { runs, stamp, stamped, critical, tagged, .. } = &mut room.buffers;
        let lines = room.block.bytes(range.clone());
        stamp.clear();
        critical.clear();
        tagged.clear();
        if let Some(log) = &self.log {
            log.stamp().write(now.wall, stamp);
            stamp.extend_from_slice(task);
            for run in runs.iter().filter(|run| run.verdict.class >= Class::Anomaly) {
                stamp_lines(stamp, &lines[run.range.clone()], critical);
            }
        }
        if self.tag {
            runs.iter().for_each(|run| stamp_lines(&tag(run.verdict.class), &lines[run.range.clone()], tagged));
        }
        let bytes = room.block.bytes_mut(range);
        let closed_up = close_up(bytes, runs);
        let plain = &bytes[closed_up];
        let count = Count { lines: count_lines(plain), bytes: plain.len() as u64 };
        self.count_kept(index, count);
        let mut batch = Batch { stream: index, count, prefix_bytes: stamp.len(), single: false };
        if let Some(log) = &mut self.log {
            stamped.clear();
            if !stamp.is_empty() {
                stamp_lines(stamp, plain, stamped);
            }
            log.append(batch, if stamp.is_empty() { plain } else { stamped }, critical, &mut self.ledger, now);
        }
        if let Some(pass) = self.streams[index].1.as_mut().filter(|pass| !pass.is_closed() || self.log.is_none()) {
            batch.prefix_bytes = if self.tag { TAG_BYTES } else { 0 };
            pass.write(batch, if self.tag { tagged } else { plain }, &mut self.ledger);
        }
    }

    /// A piece of a line over the cap, or a line that the end of its stream cut off.
    pub(super) fn piece(
        &mut self,
        room: &mut Workspace,
        place: usize,
        range: Range<usize>,
        first: bool,
        last: bool,
        now: Now,
    ) {
        let Some(source) = &mut self.sources[place] else { return };
        let Buffers { scratch, stamp, .. } = &mut room.buffers;
        let (index, bytes) = (source.stream, room.block.bytes(range.clone()));
        source.look_for_answer(bytes);
        self.lookout.look(bytes);
        remember(&mut self.last, bytes);
        let stream = self.streams[index].0;
        let verdict = classify_piece(&self.sorting.rules, bytes, stream, last, &mut source.follow, scratch);
        let count = Count { lines: u64::from(first), bytes: bytes.len() as u64 };
        if !self.sorting.kept.has(verdict.class) {
            self.ledger.stream(index).read.lines += count.lines;
            self.ledger.suppress(index, verdict.rule, count);
            return;
        }
        self.count_kept(index, count);
        let batch = Batch { stream: index, count, prefix_bytes: 0, single: true };
        if let Some(log) = &mut self.log {
            stamp.clear();
            log.stamp().write(now.wall, stamp);
            stamp.extend_from_slice(self.sources[place].as_ref().map_or(&[][..], |source| &source.prefix));
            let mark = if bytes.ends_with(b"\n") { b"" } else { CUT_MARK };
            room.block.between(stamp, range.clone(), mark, |record| {
                let critical = if verdict.class >= Class::Anomaly { record } else { b"" };
                log.append(batch, record, critical, &mut self.ledger, now);
            });
        }
        if let Some(pass) = self.streams[index].1.as_mut().filter(|pass| !pass.is_closed() || self.log.is_none()) {
            let tag = tag(verdict.class);
            let tag = if self.tag && first { &tag[..] } else { b"" };
            room.block.between(tag, range, b"", |bytes| pass.write(batch, bytes, &mut self.ledger));
        }
    }

    /// Counts what is kept as read, and as dropped where the log that it should go to is missing.
    fn count_kept(&mut self, index: usize, count: Count) {
        let tally = self.ledger.stream(index);
        tally.read.lines += count.lines;
        if self.missing == Some(Overflow::Drop) {
            tally.dropped += count;
        }
    }
}

impl Source {
    /// Looks for the line that is waited for.
    fn look_for_answer(&mut self, bytes: &[u8]) {
        if self.awaited.as_ref().is_some_and(|text| memmem::find(bytes, text).is_some()) {
            (self.awaited, self.answered) = (None, true);
        }
    }
}

/// Keeps the end of the last of these lines.
fn remember(last: &mut Option<Vec<u8>>, bytes: &[u8]) {
    if let Some(last) = last {
        let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let end = &text[text.len().saturating_sub(LAST_BYTES_MAX)..];
        last.clear();
        last.extend_from_slice(memrchr(b'\n', end).map_or(end, |newline| &end[newline + 1..]));
    }
}

/// Moves the runs of a block together, in place: where they are then. Nothing is moved when nothing lies between them.
fn close_up(block: &mut [u8], runs: &[Run]) -> Range<usize> {
    let start = runs[0].range.start;
    let mut end = start;
    for run in runs {
        if run.range.start != end {
            block.copy_within(run.range.clone(), end);
        }
        end += run.range.len();
    }
    start..end
}

fn tag(class: Class) -> [u8; TAG_BYTES] {
    let mut tag = [b' '; TAG_BYTES];
    tag[..class.name().len()].copy_from_slice(class.name().as_bytes());
    tag
}
