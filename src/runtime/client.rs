//! The other end of the control socket: asks, and waits for the answer, for so long and no longer.

use crate::control::frame::{self, Decoder, REPLY_BYTES_MAX, REQUEST_BYTES_MAX};
use crate::control::reply::Reply;
use crate::control::request::Request;
use crate::sys::fd::{self, Interest};
use crate::sys::reap::Process;
use crate::sys::{socket, time};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;

/// A connection to a supervisor. It serves any number of requests, one after the other.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    socket: OwnedFd,
    heard: Decoder,
    room: Box<[u8]>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Nobody listens.
    #[error("no supervisor runs here: {why} at {}", path.display())]
    NotRunning {
        /// The socket.
        path: PathBuf,
        /// What is there instead.
        why: &'static str,
    },
    /// Somebody else's.
    #[error("{}: only root and the user that quell runs as may ask it", path.display())]
    Denied {
        /// The socket.
        path: PathBuf,
    },
    /// It takes longer than was waited for.
    #[error("the supervisor at {} does not answer", path.display())]
    Late {
        /// The socket.
        path: PathBuf,
    },
    /// The connection ended.
    #[error("the supervisor at {} ended the connection without an answer", path.display())]
    Ended {
        /// The socket.
        path: PathBuf,
    },
    /// It says something that this version does not know.
    #[error("the supervisor at {} speaks another language: {why}", path.display())]
    Foreign {
        /// The socket.
        path: PathBuf,
        /// What cannot be understood.
        why: String,
    },
    /// The request is larger than any that is taken.
    #[error("the request is {0}")]
    TooLarge(#[from] frame::TooLarge),
    /// Anything else.
    #[error("{}: {error}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
}

impl Client {
    /// Connects to a supervisor's socket.
    ///
    /// # Errors
    /// Nobody is there, or nobody who lets us in.
    pub fn connect(path: &Path) -> Result<Client, NoAnswer> {
        let at = || path.to_owned();
        let nobody = |why| NoAnswer::NotRunning { path: path.to_owned(), why };
        let socket = socket::connect(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => nobody("there is no socket"),
            io::ErrorKind::ConnectionRefused => nobody("nobody listens"),
            io::ErrorKind::PermissionDenied => NoAnswer::Denied { path: at() },
            io::ErrorKind::WouldBlock => NoAnswer::Late { path: at() },
            _ => NoAnswer::Io { path: at(), error },
        })?;
        Ok(Client {
            path: at(),
            socket,
            heard: Decoder::new(REPLY_BYTES_MAX),
            room: vec![0; READ_BYTES].into_boxed_slice(),
        })
    }

    /// Asks, and gives back the first reply; it waits for at most so long.
    ///
    /// # Errors
    /// There is none.
    pub fn ask(&mut self, request: &Request, patience: Option<Duration>) -> Result<Reply, NoAnswer> {
        self.send(request)?;
        match self.reply(patience, None)? {
            Some(reply) => Ok(reply),
            None => Err(NoAnswer::Ended { path: self.path.clone() }),
        }
    }

    /// Asks.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn send(&mut self, request: &Request) -> Result<(), NoAnswer> {
        let mut bytes = Vec::new();
        frame::encode(request, REQUEST_BYTES_MAX, &mut bytes)?;
        let mut unsent = &bytes[..];
        while !unsent.is_empty() {
            match fd::write(&self.socket, unsent) {
                Ok(written) => unsent = &unsent[written..],
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let room = fd::wait([Some((self.socket.as_fd(), Interest::Write))], None);
                    room.map_err(|e| self.failed(e))?;
                }
                // Whoever turned us away may have said why.
                Err(e) if is_over(&e) => return Ok(()),
                Err(e) => return Err(self.failed(e)),
            }
        }
        Ok(())
    }

    /// The next reply, for at most so long. None when `heeded`, where somebody listens to us, was closed first.
    ///
    /// # Errors
    /// There is none.
    pub fn reply(
        &mut self,
        patience: Option<Duration>,
        heeded: Option<BorrowedFd<'_>>,
    ) -> Result<Option<Reply>, NoAnswer> {
        let deadline = patience.map(|patience| time::now().tick.after(patience));
        let foreign = |why: String| NoAnswer::Foreign { path: self.path.clone(), why };
        loop {
            if let Some(json) = self.heard.message().map_err(|e| foreign(e.to_string()))? {
                return serde_json::from_slice(json).map(Some).map_err(|e| foreign(e.to_string()));
            }
            match fd::read(&self.socket, &mut self.room) {
                Ok(0) => return Err(NoAnswer::Ended { path: self.path.clone() }),
                Ok(bytes) => self.heard.push(&self.room[..bytes]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let left = deadline.map(|deadline| deadline.until(time::now().tick));
                    if left == Some(Duration::ZERO) {
                        return Err(NoAnswer::Late { path: self.path.clone() });
                    }
                    let heeded = heeded.map(|fd| (fd, Interest::None));
                    let woken = fd::wait([Some((self.socket.as_fd(), Interest::Read)), heeded], left);
                    if let [_, true] = woken.map_err(|e| self.failed(e))? {
                        return Ok(None);
                    }
                }
                Err(e) if is_over(&e) => return Err(NoAnswer::Ended { path: self.path.clone() }),
                Err(e) => return Err(self.failed(e)),
            }
        }
    }

    /// The supervisor's process, if it can be seen from here.
    #[must_use]
    pub fn supervisor(&self) -> Option<Process> {
        // While the connection stands nobody else can have its number.
        let peer = socket::peer(&self.socket).ok().filter(|peer| peer.pid > 0)?;
        Process::open(peer.pid).ok()
    }

    fn failed(&self, error: io::Error) -> NoAnswer {
        NoAnswer::Io { path: self.path.clone(), error }
    }
}

fn is_over(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}
