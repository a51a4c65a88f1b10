//! The output plane of `run`: a thread that reads the worker's pipes and writes what is kept. It never waits for the
//! control plane, nor that for it; both send messages.

use super::directory::Directory;
use super::output::{Brought, Output};
use super::pace::{Advice, PIPE_BYTES_BUSY, Pace};
use super::reactor::{Reactor, Token};
use crate::clock::{Now, Tick, earliest};
use crate::log::ledger::Ledger;
use crate::sys::fd::{self, Interest};
use crate::sys::poller::Waker;
use crate::sys::{proc, thread, time};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How many reads a stream gets before the next has its turn.
const READS_PER_TURN: usize = 4;
/// How many reads a pipe gets that is given up: more than it can hold.
const RELEASE_READS_MAX: usize = 16;
/// A pipe that never falls silent is released after so many drain windows.
const DRAIN_WINDOWS_MAX: u32 = 10;

/// What the control plane says.
#[derive(Debug)]
pub enum ToPlane {
    /// Write this into the log, and start reading.
    Begin(Option<String>),
    /// The command has ended: read what is left, until it falls silent for so long.
    Drain(Duration),
    /// Give up the pipes.
    Release,
    /// Rotate the log.
    Rotate,
    /// Write this into the log, and finish.
    Finish(Option<String>),
}

/// The output plane, as the control plane sees it.
#[derive(Debug)]
pub struct Plane {
    messages: Sender<ToPlane>,
    waker: Waker,
    thread: JoinHandle<(Ledger, bool)>,
}

impl Plane {
    /// Starts the thread for these pipes, in the order of the output's streams. It reads from `Begin` on. `on_end` is
    /// woken, and `ended` told, when all of them are closed.
    ///
    /// # Errors
    /// As epoll_create1(2) and pthread_create(3).
    pub fn start<D: Directory>(
        output: Output<D>,
        pipes: Vec<OwnedFd>,
        ended: Sender<()>,
        on_end: Arc<Waker>,
    ) -> io::Result<Plane> {
        let mut reactor = Reactor::new()?;
        let waker = reactor.waker()?;
        let (messages, inbox) = channel();
        let mut pumps = Vec::new();
        for (source, pipe) in pipes.into_iter().enumerate() {
            if let Some(outlet) = output.pass(source).and_then(|pass| pass.outlet())
                && outlet.can_block()
            {
                reactor.add(Watched::Outlet(outlet.as_fd().try_clone_to_owned()?), Interest::Write)?;
            }
            let inode = fd::inode(&pipe)?;
            let pipe_bytes = fd::pipe_bytes(&pipe).unwrap_or(0);
            let token = Some(reactor.add(Watched::Pipe(pipe), Interest::Read)?);
            pumps.push(Pump { token, inode, pipe_bytes, pace: Pace::new(pipe_bytes), rest: None });
        }
        let ended = Some(EndNotice { told: ended, wake: on_end });
        let work = Work { output, reactor, pumps, inbox, drain: None, released: false, failed: false, ended };
        let thread = thread::spawn("output", move || work.begin())?;
        Ok(Plane { messages, waker, thread })
    }

    /// Says something to the output plane.
    pub fn send(&self, message: ToPlane) {
        // It listens until it is told to finish.
        if self.messages.send(message).is_ok()
            && let Err(e) = self.waker.wake()
        {
            tracing::error!("cannot wake the output plane: {e}");
        }
    }

    /// Waits for its end, after `Finish`: the ledger, and whether passing output on failed. None when it panicked.
    pub fn join(self) -> Option<(Ledger, bool)> {
        self.thread.join().ok()
    }
}

/// A descriptor that the plane waits on.
#[derive(Debug)]
enum Watched {
    Pipe(OwnedFd),
    Outlet(OwnedFd),
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Watched::Pipe(fd) | Watched::Outlet(fd) => fd.as_fd(),
        }
    }
}

/// The reading end of one stream.
#[derive(Debug)]
struct Pump {
    /// None when it is closed.
    token: Option<Token>,
    inode: u64,
    /// What its pipe holds while it is not busy.
    pipe_bytes: usize,
    pace: Pace,
    /// It is not waited on, but looked at then.
    rest: Option<Tick>,
}

/// What is read after the command's end.
#[derive(Debug)]
struct Drain {
    window: Duration,
    /// Moved on by each chunk.
    until: Tick,
    /// Not moved on by anything.
    by: Tick,
}

impl Drain {
    fn new(window: Duration, now: Now) -> Drain {
        Drain { window, until: now.tick.after(window), by: now.tick.after(window * DRAIN_WINDOWS_MAX) }
    }
}

/// What is left in a pipe that is given up is lost, but not unsaid.
fn say_unread(pipe: &Watched) {
    if let Ok(bytes @ 1..) = fd::unread(pipe) {
        tracing::warn!("{bytes} bytes of output were left unread");
    }
}

struct Work<D: Directory> {
    output: Output<D>,
    reactor: Reactor<Watched>,
    pumps: Vec<Pump>,
    inbox: Receiver<ToPlane>,
    drain: Option<Drain>,
    /// The output is given up: what cannot be written is not waited for.
    released: bool,
    /// Passing output on failed.
    failed: bool,
    ended: Option<EndNotice>,
}

/// Tells the control plane that all streams have ended, when it is dropped: when they have, or in a panic.
struct EndNotice {
    told: Sender<()>,
    wake: Arc<Waker>,
}

impl Drop for EndNotice {
    fn drop(&mut self) {
        // The control plane listens until it has told this one to finish.
        let _ = self.told.send(());
        if let Err(e) = self.wake.wake() {
            tracing::error!("cannot wake the control plane: {e}");
        }
    }
}

impl<D: Directory> Work<D> {
    /// Nothing is read before the start is noted, so that it stands before the first line.
    fn begin(mut self) -> (Ledger, bool) {
        match self.inbox.recv() {
            Ok(ToPlane::Begin(mark)) => {
                if let Some(mark) = mark {
                    self.output.own_line(&mark, time::now());
                }
                self.run()
            }
            _ => self.finish(None),
        }
    }

    fn run(mut self) -> (Ledger, bool) {
        loop {
            let now = time::now();
            let serve = (0..self.pumps.len()).any(|source| self.is_servable(source, now));
            let drain = self.drain.as_ref().filter(|_| !self.is_held_up()).map(|drain| drain.until.min(drain.by));
            let deadline =
                if serve { Some(now.tick) } else { earliest([self.output.deadline(now), drain, self.rest()]) };
            if let Err(e) = self.reactor.wait(deadline.map(|at| at.until(now.tick))) {
                tracing::error!("cannot wait for output: {e}");
                self.release(now);
            }
            let now = time::now();
            match self.messages(now) {
                Some(mark) => return self.finish(mark),
                None => self.turn(now),
            }
        }
    }

    /// Takes all messages; what to write last, when one says to finish.
    fn messages(&mut self, now: Now) -> Option<Option<String>> {
        loop {
            match self.inbox.try_recv() {
                Ok(ToPlane::Drain(window)) => {
                    self.drain = Some(Drain::new(window, now));
                    self.pumps.iter_mut().filter_map(|pump| pump.rest.as_mut()).for_each(|rest| *rest = now.tick);
                }
                Ok(ToPlane::Release) => {
                    self.release(now);
                    self.released = true;
                }
                Ok(ToPlane::Begin(_)) => {}
                Ok(ToPlane::Rotate) => self.output.rotate(now),
                Ok(ToPlane::Finish(mark)) => return Some(mark),
                Err(TryRecvError::Disconnected) => return Some(None),
                Err(TryRecvError::Empty) => return None,
            }
        }
    }

    fn turn(&mut self, now: Now) {
        if let Some(drain) = self.drain.as_mut().filter(|_| (0..self.pumps.len()).any(|s| self.output.is_stalled(s))) {
            // It is not the worker who is silent, but whoever should take its lines.
            *drain = Drain::new(drain.window, now);
        }
        self.output.flush(now);
        self.output.due(now);
        for source in 0..self.pumps.len() {
            self.serve(source, now);
            if let Some(e) = self.output.take_failure(source) {
                tracing::error!("cannot pass output on: {e}");
                self.failed = true;
            }
            if self.output.is_closed(source) {
                self.close(source);
            }
        }
        if !self.is_held_up() && self.drain.as_ref().is_some_and(|drain| drain.until.min(drain.by) <= now.tick) {
            self.say_holders();
            self.release(now);
        }
        if self.pumps.iter().all(|pump| pump.token.is_none()) && (self.released || !self.is_held_up()) {
            self.ended = None;
        }
    }

    /// Whether something that was read waits to be written.
    fn is_held_up(&self) -> bool {
        (0..self.pumps.len()).any(|source| self.output.is_stalled(source))
    }

    fn is_servable(&self, source: usize, now: Now) -> bool {
        let pump = &self.pumps[source];
        let ready = |token| pump.rest.map_or_else(|| self.reactor.is_ready(token), |rest| rest <= now.tick);
        pump.token.is_some_and(ready) && !self.output.is_stalled(source)
    }

    /// When the first rest is over.
    fn rest(&self) -> Option<Tick> {
        let rest = |source: usize| self.pumps[source].rest.filter(|_| !self.output.is_stalled(source));
        (0..self.pumps.len()).filter_map(rest).min()
    }

    /// Reads a stream, up to its share of the turn.
    fn serve(&mut self, source: usize, now: Now) {
        for _ in 0..READS_PER_TURN {
            if !self.is_servable(source, now) {
                return;
            }
            let Some(token) = self.pumps[source].token else { return };
            let Some(pipe) = self.reactor.get(token) else { return };
            match self.output.read(source, pipe, now) {
                Ok(Brought::Bytes(bytes)) => match &mut self.drain {
                    Some(drain) => drain.until = now.tick.after(drain.window),
                    None => self.pace(source, token, bytes, now),
                },
                Ok(Brought::Nothing) => self.quiet(source, token),
                Ok(Brought::End) => {
                    self.output.end(source, now);
                    self.close(source);
                }
                Err(e) => {
                    tracing::error!("cannot read output: {e}");
                    self.close(source);
                }
            }
        }
    }

    /// Lets a stream rest after a read, where that saves wake-ups.
    fn pace(&mut self, source: usize, token: Token, bytes: usize, now: Now) {
        let pump = &mut self.pumps[source];
        match pump.pace.read(bytes, now.tick) {
            Advice::Rest(until) => {
                if pump.rest.replace(until).is_none() {
                    self.reactor.rest(token);
                }
            }
            Advice::Widen => {
                let holds = self.reactor.get(token).and_then(|pipe| fd::resize_pipe(pipe, PIPE_BYTES_BUSY));
                pump.pace.resized(PIPE_BYTES_BUSY, holds.unwrap_or(0));
            }
            Advice::ReadOn => {}
        }
    }

    /// There is nothing to read in a stream: it is waited on. After rests its pipe is narrowed again; that of a writer of
    /// large pieces stays, for it is empty between any two of them.
    fn quiet(&mut self, source: usize, token: Token) {
        self.reactor.would_block(token);
        let pump = &mut self.pumps[source];
        pump.pace.quiet();
        if pump.rest.take().is_none() {
            return;
        }
        if pump.pace.is_wider_than(pump.pipe_bytes)
            && let Some(holds) = self.reactor.get(token).and_then(|pipe| fd::resize_pipe(pipe, pump.pipe_bytes))
        {
            pump.pace.resized(pump.pipe_bytes, holds);
        }
        if let Err(e) = self.reactor.watch(token, Interest::Read) {
            tracing::error!("cannot wait for output: {e}");
            self.close(source);
        }
    }

    fn close(&mut self, source: usize) {
        if let Some(token) = self.pumps[source].token.take() {
            drop(self.reactor.remove(token));
        }
    }

    /// Reads what is in the pipes that are still open, as far as it can be written, and gives them up: whoever writes to
    /// them gets SIGPIPE.
    fn release(&mut self, now: Now) {
        for source in 0..self.pumps.len() {
            for _ in 0..RELEASE_READS_MAX {
                let Some(pipe) = self.pumps[source].token.and_then(|token| self.reactor.get(token)) else { break };
                if self.output.is_stalled(source) {
                    say_unread(pipe);
                    break;
                }
                match self.output.read(source, pipe, now) {
                    Ok(Brought::Bytes(_)) => {}
                    Ok(Brought::Nothing | Brought::End) | Err(_) => break,
                }
            }
            self.close(source);
        }
        self.drain = None;
    }

    fn say_holders(&self) {
        let open: Vec<_> = self.pumps.iter().filter(|pump| pump.token.is_some()).map(|pump| pump.inode).collect();
        if open.is_empty() {
            return;
        }
        let holders = proc::pipe_holders(&open);
        if holders.is_empty() && proc::is_there() {
            return;
        }
        let names: Vec<_> = holders.iter().map(ToString::to_string).collect();
        let who = if names.is_empty() { "a process that cannot be seen".to_owned() } else { names.join(", ") };
        tracing::warn!("the command has ended, but its output is still held open by {who}; no longer reading it");
    }

    fn finish(mut self, mark: Option<String>) -> (Ledger, bool) {
        let now = time::now();
        self.release(now);
        self.output.end_all(now);
        if let Some(mark) = mark {
            self.output.own_line(&mark, now);
        }
        (self.output.finish(now), self.failed)
    }
}
