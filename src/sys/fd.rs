//! Reading, writing and waiting on descriptors.
//!
//! Inherited descriptors share their flags with whoever else holds them, so O_NONBLOCK is never set on one. An `Outlet`
//! finds another way not to block for each kind of descriptor.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::stat::{self, SFlag};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// What POLLOUT promises of a pipe: room for this many bytes (pipe(7), PIPE_BUF).
const PIPE_BUF: usize = 4096;

/// Descriptor 0.
#[must_use]
pub fn stdin() -> BorrowedFd<'static> {
    // SAFETY: the runtime has opened 0, 1 and 2 before main (std::rt), and nothing in quell closes them.
    unsafe { BorrowedFd::borrow_raw(0) }
}

/// Descriptor 1.
#[must_use]
pub fn stdout() -> BorrowedFd<'static> {
    // SAFETY: as for stdin.
    unsafe { BorrowedFd::borrow_raw(1) }
}

/// Descriptor 2.
#[must_use]
pub fn stderr() -> BorrowedFd<'static> {
    // SAFETY: as for stdin.
    unsafe { BorrowedFd::borrow_raw(2) }
}

/// Does it again as long as a signal interrupts it.
pub fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result.map_err(io::Error::from),
        }
    }
}

/// read(2); 0 is the end.
///
/// # Errors
/// As read(2), but never EINTR.
pub fn read(fd: impl AsFd, into: &mut [u8]) -> io::Result<usize> {
    retry(|| nix::unistd::read(fd.as_fd(), into))
}

/// write(2).
///
/// # Errors
/// As write(2), but never EINTR.
pub fn write(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    retry(|| nix::unistd::write(fd.as_fd(), bytes))
}

/// Writes up to 4096 bytes where there is room for them, without waiting, and without saying whether there was.
pub fn write_if_room(fd: BorrowedFd<'_>, bytes: &[u8]) {
    if let Ok([true]) = wait([Some((fd, Interest::Write))], Some(Duration::ZERO)) {
        let _ = write(fd, &bytes[..bytes.len().min(PIPE_BUF)]);
    }
}

/// A pipe: the end to read from, which does not block, and the end to write to, which does. Neither survives an exec.
///
/// # Errors
/// As pipe2(2).
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((reader, writer))
}

/// How many bytes a pipe holds at most; none where it is no pipe.
#[must_use]
pub fn pipe_bytes(fd: impl AsFd) -> Option<usize> {
    fcntl(fd, FcntlArg::F_GETPIPE_SZ).ok().map(|bytes| bytes as usize)
}

/// Makes a pipe hold so many bytes, and says how many it holds then. What cannot be (a user's pipes hold too much
/// together, more stands in it) leaves it as it was.
#[must_use]
pub fn resize_pipe(fd: impl AsFd, bytes: usize) -> Option<usize> {
    // A refusal is an answer: it stays.
    let _ = fcntl(fd.as_fd(), FcntlArg::F_SETPIPE_SZ(i32::try_from(bytes).unwrap_or(i32::MAX)));
    pipe_bytes(fd)
}

/// How many bytes stand in a pipe, unread (FIONREAD).
///
/// # Errors
/// As ioctl(2): ENOTTY where it is not a pipe, socket or terminal.
pub fn unread(fd: impl AsFd) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, which outlives the call.
    Errno::result(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::FIONREAD, &raw mut bytes) })?;
    Ok(bytes as usize)
}

/// The inode of a descriptor's file: for a pipe, what its other end is known by in `/proc`.
///
/// # Errors
/// As fstat(2).
pub fn inode(fd: impl AsFd) -> io::Result<u64> {
    Ok(stat::fstat(fd)?.st_ino)
}

/// poll(2) on some descriptors: for reading or writing, as asked; true for each that is ready, has hung up or is broken.
///
/// # Errors
/// As poll(2); an interruption is no error: then nothing is ready.
pub fn wait<const N: usize>(
    fds: [Option<(BorrowedFd<'_>, Interest)>; N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    let mut polled = fds.map(|wanted| {
        let (fd, interest) = wanted.unwrap_or((stdin(), Interest::None));
        let flags = match interest {
            Interest::Read => PollFlags::POLLIN,
            Interest::Write => PollFlags::POLLOUT,
            Interest::Both => PollFlags::POLLIN | PollFlags::POLLOUT,
            Interest::None => PollFlags::empty(),
        };
        PollFd::new(fd, flags)
    });
    // Rounded up, so that a deadline has passed when the wait for it is over.
    let millis = timeout.map(|t| i32::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
    let timeout = millis.map_or(PollTimeout::NONE, |ms| PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX));
    match nix::poll::poll(&mut polled, timeout) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Ok([false; N]),
        Err(e) => return Err(e.into()),
    }
    let mut ready = [false; N];
    for at in 0..N {
        ready[at] = fds[at].is_some() && polled[at].revents().is_some_and(|events| !events.is_empty());
    }
    Ok(ready)
}

/// What to wait for on a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Something to read, or the end.
    Read,
    /// Room to write.
    Write,
    /// Either.
    Both,
    /// Nothing.
    None,
}

/// Where bytes are passed on to: an inherited descriptor, written without ever blocking on it.
#[derive(Debug)]
pub struct Outlet {
    inherited: BorrowedFd<'static>,
    file: (u64, u64),
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// Regular files and devices do not block.
    Plain,
    /// A pipe or terminal, opened anew through `/proc`: the flag on it is ours alone.
    Reopened(OwnedFd),
    /// `MSG_DONTWAIT` on each send.
    Socket,
    /// A pipe that could not be reopened (another user's): no more than poll(2) has promised room for.
    Careful,
}

impl Outlet {
    /// Finds the way to write to an inherited descriptor.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn new(inherited: BorrowedFd<'static>) -> io::Result<Outlet> {
        let found = stat::fstat(inherited)?;
        let kind = SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT;
        let way = match kind {
            SFlag::S_IFSOCK => Way::Socket,
            SFlag::S_IFIFO => reopen(inherited).map_or(Way::Careful, Way::Reopened),
            SFlag::S_IFCHR if nix::unistd::isatty(inherited).unwrap_or(false) => {
                reopen(inherited).map_or(Way::Careful, Way::Reopened)
            }
            _ => Way::Plain,
        };
        Ok(Outlet { inherited, file: (found.st_dev, found.st_ino), way })
    }

    /// Writes what there is room for.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; else as write(2).
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.way {
            Way::Plain => write(self.inherited, bytes),
            Way::Reopened(fd) => write(fd, bytes),
            Way::Socket => retry(|| {
                // SAFETY: the pointer and length are those of `bytes`, which outlives the call.
                let sent = unsafe {
                    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
                    libc::send(self.inherited.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags)
                };
                Errno::result(sent).map(|sent| sent as usize)
            }),
            Way::Careful => {
                let [ready] = wait([Some((self.inherited, Interest::Write))], Some(Duration::ZERO))?;
                if !ready {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                write(self.inherited, &bytes[..bytes.len().min(PIPE_BUF)])
            }
        }
    }

    /// Makes a pipe that holds less hold so many bytes, and says whether it does now.
    #[must_use]
    pub fn widen(&self, bytes: usize) -> bool {
        pipe_bytes(self.as_fd()).is_some_and(|held| held < bytes)
            && resize_pipe(self.as_fd(), bytes).is_some_and(|held| held >= bytes)
    }

    /// The device and inode that it leads to.
    #[must_use]
    pub fn file(&self) -> (u64, u64) {
        self.file
    }

    /// Whether writing can ever block.
    #[must_use]
    pub fn can_block(&self) -> bool {
        !matches!(self.way, Way::Plain)
    }

    /// The descriptor to wait on when writing would block.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.way {
            Way::Reopened(fd) => fd.as_fd(),
            _ => self.inherited,
        }
    }
}

/// The same file, opened once more, with flags of its own.
fn reopen(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    retry(|| nix::fcntl::open(path.as_str(), flags, stat::Mode::empty()))
}
