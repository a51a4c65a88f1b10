//! Descriptors with low numbers, kept for the moment of a spawn.
//!
//! A child with a table of descriptors of its own gets a copy of all of ours, only to close them at its exec: with
//! thousands of them that takes longer than all else. One that shares ours can let go of what stands above a number before
//! it has a copy (close_range(2), CLOSE_RANGE_UNSHARE). So what it is to have is put below that number first.

use crate::sys::fd::retry;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// How many descriptors a child can be given: its standard ones, one to be ready by, and a few sockets.
const COUNT: usize = 8;

/// The descriptors; each leads to `/dev/null` while it is not needed.
#[derive(Debug)]
pub struct Lows {
    null: OwnedFd,
    fds: Vec<OwnedFd>,
    /// How many of them are needed.
    taken: Cell<usize>,
}

impl Lows {
    /// Takes the lowest numbers there are: to be called while few are taken. None where the kernel cannot share a table up to
    /// a number (before 5.9).
    ///
    /// # Errors
    /// As open(2).
    pub fn take() -> io::Result<Option<Lows>> {
        // SAFETY: plain numbers; there is no such descriptor to close.
        let known = unsafe { libc::syscall(libc::SYS_close_range, u32::MAX, u32::MAX, 0) };
        if Errno::result(known) == Err(Errno::ENOSYS) {
            return Ok(None);
        }
        let open = || retry(|| nix::fcntl::open(c"/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()));
        let fds = (0..COUNT).map(|_| open()).collect::<io::Result<_>>()?;
        Ok(Some(Lows { null: open()?, fds, taken: Cell::new(0) }))
    }

    /// Above all of them.
    pub(super) fn end(&self) -> RawFd {
        self.fds.iter().map(|fd| fd.as_raw_fd() + 1).max().unwrap_or(0)
    }

    /// Whether there are as many as that.
    pub(super) fn hold(&self, count: usize) -> bool {
        count <= self.fds.len()
    }

    /// Puts descriptors there; their numbers there, in the same order.
    pub(super) fn put(&self, from: &[RawFd]) -> nix::Result<Vec<RawFd>> {
        let mut numbers = Vec::with_capacity(from.len());
        for (from, low) in from.iter().zip(&self.fds) {
            self.taken.set(numbers.len() + 1);
            copy(*from, low)?;
            numbers.push(low.as_raw_fd());
        }
        Ok(numbers)
    }

    /// Lets go of what was put there, or a pipe would not end with those who are to have it.
    pub(super) fn clear(&self) {
        for low in &self.fds[..self.taken.take()] {
            // It could only fail for numbers that are none.
            let _ = copy(self.null.as_raw_fd(), low);
        }
    }
}

fn copy(from: RawFd, to: &OwnedFd) -> nix::Result<()> {
    // SAFETY: plain numbers. The one that is replaced is ours alone, and stays a valid one.
    retry_dup(|| unsafe { libc::dup3(from, to.as_raw_fd(), libc::O_CLOEXEC) })
}

/// dup3(2) can be interrupted, and can meet an open(2) of another thread for the same number.
fn retry_dup(call: impl Fn() -> RawFd) -> nix::Result<()> {
    loop {
        match Errno::result(call()) {
            Err(Errno::EINTR | Errno::EBUSY) => {}
            done => return done.map(drop),
        }
    }
}
