//! Datagrams by which processes say how they are (sd_notify(3)), and who says it: the kernel adds the sender's number.

use super::fd::retry;
use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, setsockopt, sockopt};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// The longest datagram that is read; the rest of a longer one is cut off.
const BYTES_MAX: usize = 4096;

/// The socket, at its path until it is dropped.
#[derive(Debug)]
pub struct Mailbox {
    socket: UnixDatagram,
    path: PathBuf,
}

/// A datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Who sent it.
    pub pid: i32,
    /// What it says.
    pub text: String,
}

impl Mailbox {
    /// Binds the path, in the place of what an earlier one left there: hold the lock of the state directory.
    ///
    /// # Errors
    /// As unlink(2), socket(2) and bind(2).
    pub fn bind(path: &Path) -> io::Result<Mailbox> {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let socket = UnixDatagram::bind(path)?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, sockopt::PassCred, &true)?;
        Ok(Mailbox { socket, path: path.to_owned() })
    }

    /// The next datagram whose sender is known; none when there is none. Descriptors that come with one are closed.
    pub fn next(&self) -> Option<Note> {
        loop {
            match self.receive() {
                Ok(Some(note)) => return Some(note),
                Ok(None) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_) => return None,
            }
        }
    }

    fn receive(&self) -> io::Result<Option<Note>> {
        let mut bytes = [0; BYTES_MAX];
        let mut room = cmsg_space!(UnixCredentials, [i32; 64]);
        let (length, pid) = retry(|| {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
            let message = recvmsg::<()>(self.socket.as_raw_fd(), &mut parts, Some(&mut room), flags)?;
            let mut pid = None;
            for control in message.cmsgs()? {
                match control {
                    ControlMessageOwned::ScmCredentials(who) => pid = Some(who.pid()),
                    ControlMessageOwned::ScmRights(fds) => fds.into_iter().for_each(|fd| {
                        // SAFETY: it has come with this message, and nobody else has it.
                        drop(unsafe { OwnedFd::from_raw_fd(fd) });
                    }),
                    _ => {}
                }
            }
            Ok((message.bytes, pid))
        })?;
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        Ok(pid.filter(|pid| *pid > 0).map(|pid| Note { pid, text }))
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        // Somebody may have been faster.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CVE-2016-7796: an empty datagram is one, and what stands behind it is read.
    #[test]
    fn what_is_sent_is_read_with_its_sender() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify.sock");
        let mailbox = Mailbox::bind(&path).unwrap();
        assert_eq!(mailbox.next(), None);
        let sender = UnixDatagram::unbound().unwrap();
        for bytes in [&b""[..], b"READY=1\nSTATUS=up", b"\xff\0", &[b'x'; 10_000]] {
            sender.send_to(bytes, &path).unwrap();
        }
        let notes: Vec<_> = std::iter::from_fn(|| mailbox.next()).collect();
        assert!(notes.iter().all(|note| note.pid == std::process::id() as i32));
        let texts: Vec<_> = notes.iter().map(|note| note.text.as_str()).collect();
        assert_eq!(texts[..3], ["", "READY=1\nSTATUS=up", "\u{fffd}\0"]);
        assert_eq!(texts[3].len(), BYTES_MAX);
        drop(mailbox);
        assert!(!path.exists());
    }
}
