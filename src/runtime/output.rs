//! The output path: bytes of some streams in; kept lines out to a log directory, to inherited descriptors, or both;
//! every line and byte in the ledger. `filter`, `log` and `run` all end here; only who reads differs.

use super::directory::Directory;
use super::logdir::LogDir;
use super::pass::Pass;
use crate::clock::{Now, Tick};
use crate::line::classify::{Follow, Run, classify, classify_piece, count_lines};
use crate::line::frame::{Block, Cut, Tail};
use crate::line::rules::{RuleSet, Scratch};
use crate::line::{Class, Stream};
use crate::log::ledger::{Count, Ledger, RuleKey};
use crate::log::record::{Batch, CUT_MARK};
use crate::log::stamp::stamp_lines;
use crate::sys::fd::{self, Outlet};
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;

/// Width of a tag: the longest class and a blank.
const TAG_BYTES: usize = 9;

/// The classes that are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept([bool; Class::ALL.len()]);

impl Default for Kept {
    /// All but noise.
    fn default() -> Kept {
        Kept(Class::ALL.map(|class| class != Class::Noise))
    }
}

impl FromIterator<Class> for Kept {
    fn from_iter<I: IntoIterator<Item = Class>>(classes: I) -> Kept {
        let mut kept = Kept(Default::default());
        classes.into_iter().for_each(|class| kept.0[class as usize] = true);
        kept
    }
}

impl Kept {
    fn has(self, class: Class) -> bool {
        self.0[class as usize]
    }
}

/// The rules that lines are sorted by, and what each is called in the ledger.
#[derive(Clone, Debug)]
pub struct Sorting {
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// Which classes are let through.
    pub kept: Kept,
}

impl Sorting {
    fn keys(&self) -> Vec<RuleKey> {
        let key = |rule: &crate::line::list::Rule| RuleKey {
            list: rule.place.list.to_string(),
            line: rule.place.line,
            pattern: String::from_utf8_lossy(&rule.text).into_owned(),
        };
        self.rules.rules().iter().map(key).collect()
    }
}

/// One stream that is read.
#[derive(Debug)]
struct Source {
    stream: Stream,
    follow: Follow,
    tail: Tail,
    pass: Option<Pass>,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brought {
    /// So many bytes.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The end of the stream.
    End,
}

/// The output path of one worker.
#[derive(Debug)]
pub struct Output<D: Directory> {
    sorting: Sorting,
    /// What comes into force when no line is half sorted.
    next_sorting: Option<Sorting>,
    tag: bool,
    sources: Vec<Source>,
    /// The outlets of all sources are one file: a line that is half out on one holds up all.
    one_outlet: bool,
    ledger: Ledger,
    log: Option<LogDir<D>>,
    block: Block,
    /// The source whose bytes are in the block.
    loaded: usize,
    buffers: Buffers,
}

/// Room that is used again for each block.
#[derive(Debug, Default)]
struct Buffers {
    scratch: Scratch,
    runs: Vec<Run>,
    stamp: Vec<u8>,
    stamped: Vec<u8>,
    critical: Vec<u8>,
    tagged: Vec<u8>,
}

impl<D: Directory> Output<D> {
    /// An output path for these streams, each with the outlet that its kept lines are passed on to, if any. The ledger
    /// has the streams in the same order.
    pub fn new(
        sorting: Sorting,
        streams: Vec<(Stream, Option<Pass>)>,
        mut ledger: Ledger,
        log: Option<LogDir<D>>,
        line_bytes_max: usize,
    ) -> Output<D> {
        ledger.attach(sorting.keys());
        let source = |(stream, pass)| Source { stream, follow: Follow::default(), tail: Tail::default(), pass };
        let sources: Vec<_> = streams.into_iter().map(source).collect();
        let files =
            sources.iter().map(|s| s.pass.as_ref().and_then(Pass::outlet).map(Outlet::file)).collect::<Vec<_>>();
        Output {
            sorting,
            next_sorting: None,
            tag: false,
            one_outlet: files.windows(2).all(|pair| pair[0] == pair[1]),
            sources,
            ledger,
            log,
            block: Block::new(line_bytes_max),
            loaded: 0,
            buffers: Buffers::default(),
        }
    }

    /// Puts the class before each line that is passed on.
    #[must_use]
    pub fn tagged(mut self, tag: bool) -> Output<D> {
        self.tag = tag;
        self
    }

    /// Reads a stream once, and does all that can be done with what came. The stream must not be stalled.
    ///
    /// # Errors
    /// As read(2).
    pub fn read(&mut self, source: usize, from: impl AsFd, now: Now) -> io::Result<Brought> {
        self.focus(source);
        debug_assert!(!self.is_stalled(source), "read although nothing can be written");
        let bytes = match fd::read(from, self.block.room()) {
            Ok(0) => return Ok(Brought::End),
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Brought::Nothing),
            Err(e) => return Err(e),
        };
        self.block.read(bytes);
        self.ledger.stream(source).read.bytes += bytes as u64;
        self.pump(source, now);
        Ok(Brought::Bytes(bytes))
    }

    /// Takes what the end of a stream leaves: a line without newline. The stream must not be stalled.
    pub fn end(&mut self, source: usize, now: Now) {
        self.focus(source);
        if let Some((range, first)) = self.block.rest() {
            self.piece(source, range, first, true, now);
        }
    }

    /// Whether a stream must not be read, for what came before it could not be written yet.
    pub fn is_stalled(&self, source: usize) -> bool {
        let waits = |source: &Source| source.pass.as_ref().is_some_and(|pass| pass.waits_for().is_some());
        self.log.as_ref().is_some_and(LogDir::is_waiting)
            || waits(&self.sources[source])
            || (self.one_outlet && self.sources.iter().any(waits))
    }

    /// Where the kept lines of a stream are passed on to.
    pub fn pass(&self, source: usize) -> Option<&Pass> {
        self.sources[source].pass.as_ref()
    }

    /// The failure that closed an outlet, once.
    pub fn take_failure(&mut self, source: usize) -> Option<io::Error> {
        self.sources[source].pass.as_mut()?.take_failure()
    }

    /// Whether nothing takes the lines of a stream any more.
    pub fn is_closed(&self, source: usize) -> bool {
        self.log.is_none() && self.pass(source).is_none_or(Pass::is_closed)
    }

    /// Goes on writing after a wait.
    pub fn flush(&mut self, now: Now) {
        for source in 0..self.sources.len() {
            if let Some(pass) = &mut self.sources[source].pass {
                pass.flush(&mut self.ledger);
            }
        }
        self.pump_all(now);
    }

    /// When there is something to do that no descriptor brings.
    pub fn deadline(&self, now: Now) -> Option<Tick> {
        self.log.as_ref().and_then(|log| log.deadline(now))
    }

    /// Does what is due.
    pub fn due(&mut self, now: Now) {
        if let Some(log) = &mut self.log
            && log.deadline(now).is_some_and(|at| at <= now.tick)
        {
            log.due(&mut self.ledger, now);
            self.pump_all(now);
        }
    }

    /// Sorts by other rules from now on; a line whose first piece has been sorted is sorted to its end by the old ones.
    pub fn reload(&mut self, sorting: Sorting) {
        self.next_sorting = Some(sorting);
        self.settle_sorting();
    }

    fn settle_sorting(&mut self) {
        if self.sources.iter().any(|source| source.follow.is_mid_line()) {
            return;
        }
        if let Some(sorting) = self.next_sorting.take() {
            self.ledger.attach(sorting.keys());
            self.sorting = sorting;
        }
    }

    /// Rotates the log, where there is one.
    pub fn rotate(&mut self, now: Now) {
        if let Some(log) = &mut self.log {
            log.rotate(&mut self.ledger, now);
        }
    }

    /// Opens the log's files anew.
    pub fn reopen(&mut self, now: Now) {
        if let Some(Err(e)) = self.log.as_mut().map(|log| log.reopen(now)) {
            tracing::error!("cannot reopen the log: {e}; the open file is kept");
        }
    }

    /// Writes a line of quell's own into the log.
    pub fn own_line(&mut self, text: &str, now: Now) {
        if let Some(log) = &mut self.log {
            log.own_line(text, &mut self.ledger, now);
        }
    }

    /// Whether there is a log.
    pub fn has_log(&self) -> bool {
        self.log.is_some()
    }

    /// Ends all streams: what still waits to be written is dropped and counted.
    pub fn end_all(&mut self, now: Now) {
        for source in 0..self.sources.len() {
            self.focus(source);
            self.pump(source, now);
            while self.is_stalled(source) {
                self.give_up(source, now);
                self.pump(source, now);
            }
            self.end(source, now);
            self.give_up(source, now);
        }
    }

    /// Ends it all, and closes the log. The ledger is what is left.
    pub fn finish(mut self, now: Now) -> Ledger {
        self.end_all(now);
        if let Some(log) = self.log.take() {
            log.finish(&mut self.ledger, now);
        }
        self.ledger
    }

    /// Puts a stream's unfinished line into the block.
    fn focus(&mut self, source: usize) {
        if self.loaded != source {
            self.block.stash(&mut self.sources[self.loaded].tail);
            self.block.load(&mut self.sources[source].tail);
            self.loaded = source;
        }
    }

    fn pump_all(&mut self, now: Now) {
        for source in 0..self.sources.len() {
            if !self.is_stalled(source) && (source == self.loaded || !self.sources[source].tail.is_empty()) {
                self.focus(source);
                self.pump(source, now);
            }
        }
    }

    /// Sorts and writes what stands in the block, until it is done or something stalls.
    fn pump(&mut self, source: usize, now: Now) {
        while !self.is_stalled(source) {
            match self.block.cut() {
                None => return,
                Some(Cut::Lines(range)) => self.lines(source, range, now),
                Some(Cut::Piece { range, first, last }) => {
                    self.piece(source, range, first, last, now);
                    self.settle_sorting();
                }
            }
        }
    }

    /// Gives up what a stream waits to write, so that its end can be dealt with.
    fn give_up(&mut self, source: usize, now: Now) {
        if let Some(pass) = &mut self.sources[source].pass {
            pass.give_up(&mut self.ledger);
        }
        if let Some(log) = &mut self.log {
            log.give_up(&mut self.ledger, now);
        }
    }

    /// Whole lines.
    fn lines(&mut self, index: usize, range: Range<usize>, now: Now) {
        let Source { stream, follow, pass, .. } = &mut self.sources[index];
        let Buffers { scratch, runs, stamp, stamped, critical, tagged } = &mut self.buffers;
        classify(&self.sorting.rules, self.block.bytes(range.clone()), *stream, follow, scratch, runs);

        let lines = self.block.bytes(range.clone());
        runs.retain(|run| {
            let kept = self.sorting.kept.has(run.verdict.class);
            if !kept {
                let count = Count { lines: run.lines(lines), bytes: run.range.len() as u64 };
                self.ledger.stream(index).read.lines += count.lines;
                self.ledger.suppress(index, run.verdict.rule, count);
            }
            kept
        });
        if runs.is_empty() {
            return;
        }
        stamp.clear();
        critical.clear();
        tagged.clear();
        if let Some(log) = &self.log {
            log.stamp().write(now.wall, stamp);
            for run in runs.iter().filter(|run| run.verdict.class >= Class::Anomaly) {
                stamp_lines(stamp, &lines[run.range.clone()], critical);
            }
        }
        if self.tag {
            runs.iter().for_each(|run| stamp_lines(&tag(run.verdict.class), &lines[run.range.clone()], tagged));
        }
        let bytes = self.block.bytes_mut(range);
        let closed_up = close_up(bytes, runs);
        let plain = &bytes[closed_up];
        let count = Count { lines: count_lines(plain), bytes: plain.len() as u64 };
        self.ledger.stream(index).read.lines += count.lines;
        let mut batch = Batch { stream: index, count, prefix_bytes: stamp.len(), single: false };
        if let Some(log) = &mut self.log {
            stamped.clear();
            if !stamp.is_empty() {
                stamp_lines(stamp, plain, stamped);
            }
            log.append(batch, if stamp.is_empty() { plain } else { stamped }, critical, &mut self.ledger, now);
        }
        if let Some(pass) = pass.as_mut().filter(|pass| !pass.is_closed() || self.log.is_none()) {
            batch.prefix_bytes = if self.tag { TAG_BYTES } else { 0 };
            pass.write(batch, if self.tag { tagged } else { plain }, &mut self.ledger);
        }
    }

    /// A piece of a line over the cap, or a line that the end of its stream cut off.
    fn piece(&mut self, index: usize, range: Range<usize>, first: bool, last: bool, now: Now) {
        let Source { stream, follow, pass, .. } = &mut self.sources[index];
        let Buffers { scratch, stamp, .. } = &mut self.buffers;
        let bytes = self.block.bytes(range.clone());
        let verdict = classify_piece(&self.sorting.rules, bytes, *stream, last, follow, scratch);
        let count = Count { lines: u64::from(first), bytes: bytes.len() as u64 };
        self.ledger.stream(index).read.lines += count.lines;
        if !self.sorting.kept.has(verdict.class) {
            self.ledger.suppress(index, verdict.rule, count);
            return;
        }
        let batch = Batch { stream: index, count, prefix_bytes: 0, single: true };
        if let Some(log) = &mut self.log {
            stamp.clear();
            log.stamp().write(now.wall, stamp);
            let mark = if bytes.ends_with(b"\n") { b"" } else { CUT_MARK };
            self.block.between(stamp, range.clone(), mark, |record| {
                let critical = if verdict.class >= Class::Anomaly { record } else { b"" };
                log.append(batch, record, critical, &mut self.ledger, now);
            });
        }
        if let Some(pass) = pass.as_mut().filter(|pass| !pass.is_closed() || self.log.is_none()) {
            let tag = tag(verdict.class);
            let tag = if self.tag && first { &tag[..] } else { b"" };
            self.block.between(tag, range, b"", |bytes| pass.write(batch, bytes, &mut self.ledger));
        }
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
