//! The output path: bytes of some streams in; kept lines out to a log directory, to inherited descriptors, or both;
//! every line and byte in the ledger. `filter`, `log`, `run` and `up` all end here; only who reads differs. What becomes
//! of the lines in a block is in `super::route`.

use super::directory::Directory;
use super::logdir::LogDir;
use super::lookout::Watchwords;
use super::pass::Pass;
use super::sorting::Sorting;
use super::syncer::Notice;
use super::tag::Tag;
use super::workspace::{TailId, Workspace};
use crate::clock::{Now, Tick};
use crate::line::Stream;
use crate::line::classify::Follow;
use crate::line::frame::Cut;
use crate::log::ledger::Ledger;
use crate::log::settings::{Overflow, Settings};
use crate::sys::fd::{self, Outlet};
use crate::task::TaskId;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

/// The longest that stands between a stamp and a line, in bytes: with the longest stamp it fits beside the block.
pub const TAG_BYTES_MAX: usize = 24;

/// One stream that is read, or one of a worker's earlier lives that has not ended yet.
#[derive(Debug)]
pub(super) struct Source {
    /// Its place in the ledger.
    pub(super) stream: usize,
    pub(super) follow: Follow,
    tail: TailId,
    /// It has ended; what is left of it is dealt with as soon as it can be.
    ended: bool,
    /// What a line must hold to be the one that is waited for.
    pub(super) awaited: Option<Arc<[u8]>>,
    /// Such a line has come.
    pub(super) answered: bool,
    /// Which task its lines are of, where that may be asked; and which it was at the last read, as it stands before them in
    /// the log, behind the stamp.
    tag: Option<Arc<Tag>>,
    task: Option<TaskId>,
    pub(super) prefix: Box<[u8]>,
}

impl Source {
    /// What was read is of this task.
    fn is_of(&mut self, task: Option<TaskId>) {
        if std::mem::replace(&mut self.task, task) != task {
            self.prefix = task.map(|task| format!("[{task}] ").into_bytes().into()).unwrap_or_default();
            debug_assert!(self.prefix.len() <= TAG_BYTES_MAX);
        }
    }
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

/// What is decided anew at a line's end.
#[derive(Debug)]
struct Reload {
    sorting: Sorting,
    settings: Option<Arc<Settings>>,
    line_bytes_max: Option<usize>,
}

/// The output path of one worker. What it works with is its thread's (`Workspace`).
#[derive(Debug)]
pub struct Output<D: Directory> {
    pub(super) sorting: Sorting,
    /// What comes into force when no line is half sorted.
    reload: Option<Box<Reload>>,
    pub(super) tag: bool,
    line_bytes_max: usize,
    /// What is read, by the places that `begin` gave.
    pub(super) sources: Vec<Option<Source>>,
    /// As the ledger has them; each with the outlet that its kept lines are passed on to, if any.
    pub(super) streams: Box<[(Stream, Option<Box<Pass>>)]>,
    /// The outlets of all streams are one file: a line that is half out on one holds up all.
    one_outlet: bool,
    pub(super) ledger: Ledger,
    pub(super) log: Option<Box<LogDir<D>>>,
    /// There is to be a log, but it could not be opened yet: nothing is read, or what is kept is dropped.
    pub(super) missing: Option<Overflow>,
    /// The end of the last line that was read, where that is kept.
    pub(super) last: Option<Vec<u8>>,
    pub(super) lookout: Lookout,
}

/// What is looked for in all lines, and whether something was found that is to be told.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    watchwords: Option<Arc<Watchwords>>,
    spotted: bool,
}

impl Lookout {
    pub(super) fn look(&mut self, lines: &[u8]) {
        self.spotted |= self.watchwords.as_ref().is_some_and(|watchwords| watchwords.look(lines));
    }
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
        ledger.attach(sorting.keys.clone());
        let files = |(_, pass): &(_, Option<Pass>)| pass.as_ref().and_then(Pass::outlet).map(Outlet::file);
        let files: Vec<_> = streams.iter().map(files).collect();
        Output {
            sorting,
            reload: None,
            tag: false,
            line_bytes_max,
            sources: Vec::new(),
            one_outlet: files.windows(2).all(|pair| pair[0].is_some() && pair[0] == pair[1]),
            streams: streams.into_iter().map(|(stream, pass)| (stream, pass.map(Box::new))).collect(),
            ledger,
            log: log.map(Box::new),
            missing: None,
            last: None,
            lookout: Lookout::default(),
        }
    }

    /// Puts the class before each line that is passed on.
    #[must_use]
    pub fn tagged(mut self, tag: bool) -> Output<D> {
        self.tag = tag;
        self
    }

    /// Keeps the last line that was read, for `last_line`.
    #[must_use]
    pub fn with_last_line(mut self) -> Output<D> {
        self.last = Some(Vec::new());
        self
    }

    /// Looks for these in all lines from now on.
    pub fn look_out_for(&mut self, watchwords: Option<Arc<Watchwords>>) {
        self.lookout = Lookout { watchwords, spotted: false };
    }

    /// What was looked for, where something was found that is to be told; once.
    pub fn take_spotted(&mut self) -> Option<Arc<Watchwords>> {
        std::mem::take(&mut self.lookout.spotted).then(|| self.lookout.watchwords.clone()).flatten()
    }

    /// A stream begins: its place, until `end`. `owner` is what `Workspace::excess` calls it.
    pub fn begin(&mut self, room: &mut Workspace, stream: usize, owner: u32) -> usize {
        let place = self.sources.iter().position(Option::is_none).unwrap_or(self.sources.len());
        let tail = room.claim(owner);
        let (follow, prefix) = (Follow::default(), Box::default());
        let (ended, awaited, answered, tag, task) = (false, None, false, None, None);
        let source = Source { stream, follow, tail, ended, awaited, answered, tag, task, prefix };
        if place == self.sources.len() {
            self.sources.reserve_exact(1);
            self.sources.push(None);
        }
        self.sources[place] = Some(source);
        place
    }

    /// The lines of a stream are of the task that this says, and have its number before them in the log.
    pub fn tag_lines(&mut self, place: usize, tag: Arc<Tag>) {
        self.source(place).tag = Some(tag);
    }

    /// Looks for a line that holds this, of whatever class; `has_answered` says when it has come.
    pub fn await_line(&mut self, place: usize, text: Arc<[u8]>) {
        self.source(place).awaited = Some(text);
    }

    /// Whether the line that was waited for has come.
    pub fn has_answered(&self, place: usize) -> bool {
        self.sources[place].as_ref().is_some_and(|source| source.answered)
    }

    /// Reads a stream once, and does all that can be done with what came. The stream must not be stalled.
    ///
    /// # Errors
    /// As read(2).
    pub fn read(&mut self, room: &mut Workspace, place: usize, from: impl AsFd, now: Now) -> io::Result<Brought> {
        debug_assert!(!self.is_stalled(place), "read although nothing can be written");
        self.focus(room, place);
        let tag = self.source(place).tag.clone();
        let _reading = tag.as_deref().map(Tag::reading);
        let read_bytes_max = room.read_bytes_max;
        let bytes = match fd::read(from, &mut room.block.room()[..read_bytes_max]) {
            Ok(0) => return Ok(Brought::End),
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Brought::Nothing),
            Err(e) => return Err(e),
        };
        room.block.read(bytes);
        let source = self.source(place);
        source.is_of(tag.as_deref().and_then(Tag::task));
        let stream = source.stream;
        self.ledger.stream(stream).read.bytes += bytes as u64;
        self.pump(room, place, now);
        Ok(Brought::Bytes(bytes))
    }

    /// A stream has ended: a line without newline is taken, now or when what holds it up is over. Its place is another's
    /// after that.
    pub fn end(&mut self, room: &mut Workspace, place: usize, now: Now) {
        self.source(place).ended = true;
        self.pump_on(room, place, now);
    }

    /// Whether a stream must not be read, for what came before it could not be written yet.
    pub fn is_stalled(&self, place: usize) -> bool {
        let stream = self.sources[place].as_ref().map(|source| source.stream);
        self.is_log_stalled()
            || stream.is_some_and(|stream| self.waits(stream))
            || (self.one_outlet && (0..self.streams.len()).any(|stream| self.waits(stream)))
    }

    /// Whether any stream is stalled.
    pub fn is_held_up(&self) -> bool {
        self.is_log_stalled() || (0..self.streams.len()).any(|stream| self.waits(stream))
    }

    fn is_log_stalled(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.is_waiting()) || self.missing == Some(Overflow::Block)
    }

    fn waits(&self, stream: usize) -> bool {
        self.pass(stream).is_some_and(|pass| pass.waits_for().is_some())
    }

    /// Where the kept lines of a stream, by its place in the ledger, are passed on to.
    pub fn pass(&self, stream: usize) -> Option<&Pass> {
        self.streams[stream].1.as_deref()
    }

    /// How many streams there can be at a time in one life.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// The failure that closed an outlet, once.
    pub fn take_failure(&mut self) -> Option<io::Error> {
        self.streams.iter_mut().find_map(|(_, pass)| pass.as_mut()?.take_failure())
    }

    /// Whether nothing takes the lines of a stream, by its place in the ledger, any more.
    pub fn is_closed(&self, stream: usize) -> bool {
        self.log.is_none() && self.missing.is_none() && self.pass(stream).is_none_or(Pass::is_closed)
    }

    /// Goes on writing after a wait.
    pub fn flush(&mut self, room: &mut Workspace, now: Now) {
        let mut flushed = false;
        for (_, pass) in &mut self.streams {
            if let Some(pass) = pass.as_mut().filter(|pass| pass.waits_for().is_some()) {
                pass.flush(&mut self.ledger);
                flushed = true;
            }
        }
        if flushed {
            self.pump_all(room, now);
        }
    }

    /// When there is something to do that no descriptor brings.
    pub fn deadline(&self, now: Now) -> Option<Tick> {
        self.log.as_ref().and_then(|log| log.deadline(now))
    }

    /// Does what is due.
    pub fn due(&mut self, room: &mut Workspace, now: Now) {
        if let Some(log) = &mut self.log
            && log.deadline(now).is_some_and(|at| at <= now.tick)
        {
            log.due(&mut self.ledger, now);
            self.pump_all(room, now);
        }
    }

    /// There is to be a log, and it cannot be opened yet.
    pub fn miss_log(&mut self, overflow: Overflow) {
        self.missing = Some(overflow);
    }

    /// Tries to open the log that is missing.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub fn open_log(
        &mut self,
        room: &mut Workspace,
        open: impl FnOnce(&mut Ledger) -> io::Result<LogDir<D>>,
        now: Now,
    ) -> io::Result<()> {
        self.log = Some(Box::new(open(&mut self.ledger)?));
        self.missing = None;
        self.pump_all(room, now);
        Ok(())
    }

    /// Compiles its rules now, not with the first line.
    pub fn compile(&self) {
        self.sorting.rules.compile();
    }

    /// Sorts by other rules from now on; a line whose first piece has been sorted is sorted to its end by the old ones.
    pub fn reload(&mut self, sorting: Sorting) {
        self.reload = Some(Box::new(Reload { sorting, settings: None, line_bytes_max: None }));
        self.settle_reload();
    }

    /// The same, and the log is kept otherwise.
    pub fn reload_all(&mut self, sorting: Sorting, settings: Arc<Settings>, line_bytes_max: usize) {
        let (settings, line_bytes_max) = (Some(settings), Some(line_bytes_max));
        self.reload = Some(Box::new(Reload { sorting, settings, line_bytes_max }));
        self.settle_reload();
    }

    fn settle_reload(&mut self) {
        if self.sources.iter().flatten().any(|source| source.follow.is_mid_line()) {
            return;
        }
        let Some(reload) = self.reload.take() else { return };
        let Reload { sorting, settings, line_bytes_max } = *reload;
        self.ledger.attach(sorting.keys.clone());
        self.sorting = sorting;
        self.line_bytes_max = line_bytes_max.unwrap_or(self.line_bytes_max);
        if let Some(settings) = settings {
            self.missing = self.missing.map(|_| settings.overflow);
            if let Some(log) = &mut self.log {
                log.reload(settings);
            }
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

    /// The log.
    pub fn log(&self) -> Option<&LogDir<D>> {
        self.log.as_deref()
    }

    /// What has come of trouble with the log, once.
    pub fn take_news(&mut self) -> Option<String> {
        self.log.as_mut()?.take_news()
    }

    /// What was counted.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The end of the last line that was read, where that is kept; no more than 256 bytes of it.
    pub fn last_line(&self) -> Option<&[u8]> {
        self.last.as_deref().filter(|last| !last.is_empty())
    }

    /// Ends all streams: what still waits to be written is dropped and counted.
    pub fn end_all(&mut self, room: &mut Workspace, now: Now) {
        for place in 0..self.sources.len() {
            if self.sources[place].is_some() {
                self.end(room, place, now);
            }
            while self.sources[place].is_some() {
                self.give_up(now);
                self.pump_on(room, place, now);
            }
        }
        self.give_up(now);
    }

    /// Ends it all, and closes the log: `done` is called when it is durable. The ledger is what is left.
    pub fn finish(mut self, room: &mut Workspace, now: Now, done: Notice) -> Ledger {
        self.end_all(room, now);
        match self.log.take() {
            Some(log) => log.finish(&mut self.ledger, now, done),
            None => done(),
        }
        self.ledger
    }

    /// Gives out an unfinished line as a piece, for there are too many of them.
    pub fn cut_short(&mut self, room: &mut Workspace, tail: TailId, now: Now) {
        let is_it = |source: &Option<Source>| source.as_ref().is_some_and(|source| source.tail == tail);
        let Some(place) = self.sources.iter().position(is_it) else { return };
        self.focus(room, place);
        self.pump(room, place, now);
        if !self.is_stalled(place)
            && let Some(Cut::Piece { range, first, last }) = room.block.cut_short()
        {
            self.piece(room, place, range, first, last, now);
        }
    }

    fn source(&mut self, place: usize) -> &mut Source {
        self.sources[place].as_mut().expect("a place is used from `begin` to `end`")
    }

    /// Puts a stream's unfinished line into the block.
    fn focus(&mut self, room: &mut Workspace, place: usize) {
        let line_bytes_max = self.line_bytes_max;
        room.focus(self.source(place).tail, line_bytes_max);
    }

    fn pump_all(&mut self, room: &mut Workspace, now: Now) {
        (0..self.sources.len()).for_each(|place| self.pump_on(room, place, now));
    }

    /// Goes on with what a stream has left, as far as that can be written, and to its end when it has ended.
    fn pump_on(&mut self, room: &mut Workspace, place: usize, now: Now) {
        let Some(source) = &self.sources[place] else { return };
        let (tail, ended) = (source.tail, source.ended);
        if self.is_stalled(place) {
            return;
        }
        if room.holds(tail) {
            self.focus(room, place);
            self.pump(room, place, now);
        }
        if ended && !self.is_stalled(place) {
            if room.holds(tail) {
                self.focus(room, place);
                if let Some((range, first)) = room.block.rest() {
                    self.piece(room, place, range, first, true, now);
                }
            }
            room.release(tail);
            self.sources[place] = None;
            self.settle_reload();
        }
    }

    /// Sorts and writes what stands in the block, until it is done or something stalls.
    fn pump(&mut self, room: &mut Workspace, place: usize, now: Now) {
        while !self.is_stalled(place) {
            match room.block.cut() {
                None => return,
                Some(Cut::Lines(range)) => self.lines(room, place, range, now),
                Some(Cut::Piece { range, first, last }) => {
                    self.piece(room, place, range, first, last, now);
                    self.settle_reload();
                }
            }
        }
    }

    /// Gives up what waits to be written, so that what comes after it can be dealt with.
    fn give_up(&mut self, now: Now) {
        self.missing = self.missing.map(|_| Overflow::Drop);
        for (_, pass) in &mut self.streams {
            if let Some(pass) = pass {
                pass.give_up(&mut self.ledger);
            }
        }
        if let Some(log) = &mut self.log {
            log.give_up(&mut self.ledger, now);
        }
    }
}
