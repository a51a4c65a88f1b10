//! What the plane keeps of each worker: its output path, and the lives whose pipes are open.

use super::pump::{Pump, Watched};
use super::{Snapshot, Spec, WorkerId};
use crate::clock::{Now, Tick, earliest};
use crate::line::Stream;
use crate::log::ledger::Ledger;
use crate::log::settings::Settings;
use crate::runtime::directory::{Directory, OnDisk};
use crate::runtime::keeper::Keepers;
use crate::runtime::logdir::LogDir;
use crate::runtime::output::Output;
use crate::runtime::pace::LATENCY;
use crate::runtime::reactor::{Reactor, Token};
use crate::runtime::tag::Tag;
use crate::runtime::workspace::Workspace;
use crate::sys::fd::{self, Interest};
use crate::sys::proc::{self, Named};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// A pipe that never falls silent is released after so many drain windows.
const DRAIN_WINDOWS_MAX: u32 = 10;
/// How long to wait before a log that could not be opened is tried again: first, and at most.
const OPEN_RETRY_FIRST: Duration = Duration::from_millis(100);
const OPEN_RETRY_MAX: Duration = Duration::from_secs(10);

/// A worker.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) id: WorkerId,
    pub(super) output: Output<OnDisk>,
    pub(super) latency: Duration,
    pub(super) ready: Option<Arc<[u8]>>,
    pub(super) lives: Vec<Life>,
    /// What was read waits to be written.
    pub(super) held_up: bool,
    /// Passing output on failed.
    pub(super) failed: bool,
    pub(super) unopened: Option<Box<Unopened>>,
    /// Its outlets, where they may be full.
    pub(super) outlets: Vec<Token>,
    label: Arc<str>,
}

/// One life of a worker, as long as one of its pipes is open.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) number: u32,
    /// Its pipes; none when one is closed.
    pub(super) pumps: [Option<Token>; 2],
    pub(super) drain: Option<Box<Drain>>,
    /// The output is given up: what cannot be written is not waited for.
    pub(super) released: bool,
    /// It has said that it is ready, or is not asked.
    pub(super) answered: bool,
    /// What is in its pipes is to be read, and then to be said.
    pub(super) empties: bool,
    pub(super) holders: Vec<Named>,
}

/// What is read after the end of a life's process.
#[derive(Debug)]
pub(super) struct Drain {
    window: Duration,
    /// Moved on by each chunk.
    until: Tick,
    /// Not moved on by anything.
    by: Tick,
    pub(super) mark: Option<String>,
}

/// A log that could not be opened yet.
#[derive(Debug)]
pub(super) struct Unopened {
    dir: Arc<OnDisk>,
    pub(super) settings: Arc<Settings>,
    error: String,
    retry_at: Tick,
    backoff: Duration,
}

impl Drain {
    pub(super) fn new(window: Duration, mark: Option<String>, now: Tick) -> Drain {
        Drain { window, until: now.after(window), by: now.after(window * DRAIN_WINDOWS_MAX), mark }
    }

    /// Something was read.
    pub(super) fn moves_on(&mut self, now: Tick) {
        self.until = now.after(self.window);
    }

    /// It was not the worker who was silent, but whoever should take its lines: the window begins anew.
    fn begin_anew(&mut self, now: Tick) {
        (self.until, self.by) = (now.after(self.window), now.after(self.window * DRAIN_WINDOWS_MAX));
    }

    fn over_at(&self) -> Tick {
        self.until.min(self.by)
    }
}

impl Life {
    pub(super) fn is_open(&self) -> bool {
        self.pumps.iter().any(Option::is_some)
    }

    /// Whether its drain is over.
    pub(super) fn is_drained(&self, now: Tick) -> bool {
        self.drain.as_ref().is_some_and(|drain| drain.over_at() <= now)
    }

    /// Who holds its pipes open; what cannot be seen is said so.
    pub(super) fn find_holders(&mut self, reactor: &Reactor<Watched>, label: &str) {
        let open = self.pumps.iter().flatten().filter_map(|token| reactor.get(*token));
        let open: Vec<_> = open.filter_map(|pipe| fd::inode(pipe).ok()).collect();
        self.holders = proc::pipe_holders(&open);
        if open.is_empty() || (self.holders.is_empty() && proc::is_there()) {
            return;
        }
        let names: Vec<_> = self.holders.iter().map(ToString::to_string).collect();
        let who = if names.is_empty() { "a process that cannot be seen".to_owned() } else { names.join(", ") };
        tracing::warn!("{label} has ended, but its output is still held open by {who}; no longer reading it");
    }
}

impl Served {
    /// A worker whose output path there is already.
    pub(super) fn adopted(id: WorkerId, label: Arc<str>, output: Output<OnDisk>) -> Served {
        Served {
            id,
            output,
            latency: LATENCY,
            ready: None,
            lives: Vec::new(),
            held_up: false,
            failed: false,
            unopened: None,
            outlets: Vec::new(),
            label,
        }
    }

    /// A worker whose log is in this directory, not opened yet.
    pub(super) fn new(id: WorkerId, spec: Spec, dir: Arc<OnDisk>) -> Served {
        let Spec { label, settings, sorting, line_bytes_max, latency, ready, watchwords, .. } = spec;
        let streams = vec![(Stream::Stdout, None), (Stream::Stderr, None)];
        let ledger = Ledger::new(&["stdout", "stderr"]);
        let mut output = Output::new(sorting, streams, ledger, None, line_bytes_max).with_last_line();
        output.look_out_for(watchwords);
        output.miss_log(settings.overflow);
        let mut served = Served::adopted(id, label, output);
        (served.latency, served.ready) = (latency, ready.map(Into::into));
        let (error, retry_at) = (String::new(), Tick(0));
        served.unopened = Some(Box::new(Unopened { dir, settings, error, retry_at, backoff: OPEN_RETRY_FIRST }));
        served
    }

    /// The name in messages.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Everything but the directory and the name is so from now on.
    pub(super) fn reload(&mut self, spec: Spec, reactor: &mut Reactor<Watched>) {
        let Spec { settings, sorting, line_bytes_max, latency, ready, watchwords, .. } = spec;
        if let Some(unopened) = &mut self.unopened {
            unopened.settings = settings.clone();
        }
        self.output.reload_all(sorting, settings, line_bytes_max);
        self.output.look_out_for(watchwords);
        (self.latency, self.ready) = (latency, ready.map(Into::into));
        for token in self.lives.iter().flat_map(|life| &life.pumps).flatten() {
            if let Some(Watched::Pipe(pump)) = reactor.get_mut(*token) {
                pump.pace.reload(latency);
            }
        }
    }

    /// Tries to open the log that is not open yet, when it is time: the trouble with it that is to be told.
    pub(super) fn open_log(&mut self, room: &mut Workspace, keepers: &mut Keepers<OnDisk>, now: Now) -> Option<String> {
        let mut unopened = self.unopened.take_if(|unopened| unopened.retry_at <= now.tick)?;
        let Unopened { dir, settings, .. } = &*unopened;
        let (dir, label, settings) = (dir.clone(), self.label.clone(), settings.clone());
        let open = |ledger: &mut Ledger| LogDir::open(dir, label, settings, ledger, keepers, now);
        let Err(e) = self.output.open_log(room, open, now) else {
            let again = !unopened.error.is_empty();
            return again.then(|| format!("writing to {}", unopened.dir.path().display()));
        };
        let error = e.to_string();
        let remedy = unopened.settings.overflow.remedy();
        let text = format!("cannot log to {}: {error}; {remedy}", unopened.dir.path().display());
        let is_news = unopened.error != error;
        unopened.error = error;
        unopened.retry_at = now.tick.after(unopened.backoff);
        unopened.backoff = (unopened.backoff * 2).min(OPEN_RETRY_MAX);
        self.unopened = Some(unopened);
        is_news.then_some(text)
    }

    /// A life begins: its pipes are read from now on.
    pub(super) fn begin(
        &mut self,
        (number, tag): (u32, Option<Arc<Tag>>),
        pipes: [OwnedFd; 2],
        worker: u32,
        room: &mut Workspace,
        reactor: &mut Reactor<Watched>,
        now: Now,
    ) {
        let mut pumps = [None; 2];
        for ((stream, pipe), token) in pipes.into_iter().enumerate().zip(&mut pumps) {
            let place = self.output.begin(room, stream, worker);
            if let Some(tag) = &tag {
                self.output.tag_lines(place, tag.clone());
            }
            if let Some(text) = &self.ready {
                self.output.await_line(place, text.clone());
            }
            let pump = Pump::new(pipe, worker, number, place, self.latency);
            match reactor.add(Watched::Pipe(pump), Interest::Read) {
                Ok(added) => *token = Some(added),
                Err(e) => {
                    tracing::error!("{}: cannot wait for output: {e}", self.label);
                    self.output.end(room, place, now);
                }
            }
        }
        let answered = self.ready.is_none();
        self.lives.reserve_exact(1);
        let (drain, released, empties, holders) = (None, false, false, Vec::new());
        self.lives.push(Life { number, pumps, drain, released, answered, empties, holders });
    }

    pub(super) fn life(&mut self, number: u32) -> Option<&mut Life> {
        self.lives.iter_mut().find(|life| life.number == number)
    }

    /// What was held up is not any more: who was not silent of his own will gets his time again.
    pub(super) fn drains_begin_anew(&mut self, now: Tick) {
        self.lives.iter_mut().filter_map(|life| life.drain.as_mut()).for_each(|drain| drain.begin_anew(now));
    }

    /// When there is something to do for it that no descriptor brings.
    pub(super) fn deadline(&self, now: Now) -> Option<Tick> {
        let drains = self.lives.iter().filter(|life| life.is_open() && !self.held_up);
        let drained = drains.filter_map(|life| life.drain.as_ref()).map(|drain| drain.over_at()).min();
        let open = self.unopened.as_ref().map(|unopened| unopened.retry_at);
        earliest([self.output.deadline(now), drained, open])
    }

    /// How it stands.
    pub(super) fn snapshot(&self) -> Snapshot {
        let log = self.output.log();
        let unopened = self.unopened.as_ref().map(|unopened| unopened.error.as_str());
        Snapshot {
            tally: self.output.ledger().total(),
            top_rule: self.output.ledger().top_rule(),
            log_bytes: log.map_or(0, LogDir::bytes),
            last_line: self.output.last_line().map(|line| String::from_utf8_lossy(line).into_owned()),
            waiting: unopened.or(log.and_then(LogDir::trouble)).map(str::to_owned),
        }
    }
}

/// Has the outlets of a worker told when there is room in them again.
///
/// # Errors
/// As dup(2) and epoll_ctl(2).
pub(super) fn watch_outlets(
    output: &Output<OnDisk>,
    worker: u32,
    reactor: &mut Reactor<Watched>,
) -> io::Result<Vec<Token>> {
    let outlets = (0..output.streams()).filter_map(|stream| output.pass(stream)?.outlet());
    outlets
        .filter(|outlet| outlet.can_block())
        .map(|outlet| {
            let fd = outlet.as_fd().try_clone_to_owned()?;
            reactor.add(Watched::Outlet { fd, worker }, Interest::Write)
        })
        .collect()
}
