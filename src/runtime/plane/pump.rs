//! The descriptors that the plane waits on: the reading ends of pipes, and outlets that may be full.

use crate::clock::Tick;
use crate::runtime::pace::{Advice, PIPE_BYTES_BUSY, Pace};
use crate::runtime::reactor::{Reactor, Token};
use crate::sys::fd::{self, Interest};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// What the pipe of a busy stream holds that is one of many: as much as is read at once. All pipes of a user together hold
/// so much for 256 of them (pipe(7), pipe-user-pages-soft).
const PIPE_BYTES_ONE_OF_MANY: usize = 256 << 10;

/// Something that the plane waits on.
#[derive(Debug)]
pub(super) enum Watched {
    Pipe(Pump),
    /// Where the lines of this worker, by its place, are passed on to.
    Outlet {
        fd: OwnedFd,
        worker: u32,
    },
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Watched::Pipe(pump) => pump.pipe.as_fd(),
            Watched::Outlet { fd, .. } => fd.as_fd(),
        }
    }
}

/// The reading end of one stream of one life.
#[derive(Debug)]
pub(super) struct Pump {
    pub(super) pipe: OwnedFd,
    /// Whose it is, by its place.
    pub(super) worker: u32,
    /// Which of that worker's lives.
    pub(super) life: u32,
    /// Its place in that worker's output path.
    pub(super) place: usize,
    /// It stands in the queue of those to be read.
    pub(super) queued: bool,
    /// It brought much when it was read last.
    pub(super) says_much: bool,
    pub(super) pace: Pace,
    /// What the pipe holds while it is not busy.
    narrow_bytes: u32,
    /// It is not waited on, but looked at from time to time.
    resting: bool,
}

impl Pump {
    pub(super) fn new(pipe: OwnedFd, worker: u32, life: u32, place: usize, latency: Duration) -> Pump {
        let narrow_bytes = fd::pipe_bytes(&pipe).unwrap_or(0);
        let pace = Pace::new(narrow_bytes, latency);
        let narrow_bytes = narrow_bytes as u32;
        Pump { pipe, worker, life, place, queued: false, says_much: false, pace, narrow_bytes, resting: false }
    }
}

/// What to do with a pump after so many bytes were read: until when it is to be left alone, where that saves wake-ups.
/// `many` says that it is one of many.
pub(super) fn pace(reactor: &mut Reactor<Watched>, token: Token, bytes: usize, many: bool, now: Tick) -> Option<Tick> {
    let Some(Watched::Pipe(pump)) = reactor.get_mut(token) else { return None };
    match pump.pace.read(bytes, now) {
        Advice::Rest(until) => {
            if !std::mem::replace(&mut pump.resting, true) {
                reactor.rest(token);
            }
            Some(until)
        }
        Advice::Widen => {
            let wide_bytes = if many { PIPE_BYTES_ONE_OF_MANY } else { PIPE_BYTES_BUSY };
            pump.pace.widened(fd::resize_pipe(&pump.pipe, wide_bytes).unwrap_or(0));
            None
        }
        Advice::ReadOn => None,
    }
}

/// There is nothing to read: the pump is waited on. After rests its pipe is narrowed again; that of a writer of large
/// pieces stays, for it is empty between any two of them.
///
/// # Errors
/// As epoll_ctl(2).
pub(super) fn quiet(reactor: &mut Reactor<Watched>, token: Token) -> io::Result<()> {
    reactor.would_block(token);
    let Some(Watched::Pipe(pump)) = reactor.get_mut(token) else { return Ok(()) };
    pump.pace.quiet();
    if !std::mem::take(&mut pump.resting) {
        return Ok(());
    }
    let narrow_bytes = pump.narrow_bytes as usize;
    if pump.pace.is_wider_than(narrow_bytes)
        && let Some(holds) = fd::resize_pipe(&pump.pipe, narrow_bytes)
    {
        pump.pace.narrowed(holds);
    }
    reactor.watch(token, Interest::Read)
}
