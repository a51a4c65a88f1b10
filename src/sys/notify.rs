//! Datagrams by which processes say how they are (sd_notify(3)), and who says it: the kernel adds the sender's number.

use super::fd::retry;
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// Room for the sender and for as many descriptors as one message can carry (SCM_MAX_FD, 253), in units that are aligned as
/// such messages are.
type Ancillary = [u64; 160];

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
    /// Binds the path, in the place of a socket that an earlier one left there: hold the lock of the state directory. Its mode
    /// is 0600: workers run as we do.
    ///
    /// # Errors
    /// As unlink(2), socket(2), bind(2) and chmod(2); what is there and is no socket stays there.
    pub fn bind(path: &Path) -> io::Result<Mailbox> {
        if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            std::fs::remove_file(path)?;
        }
        let socket = UnixDatagram::bind(path)?;
        let mailbox = Mailbox { socket, path: path.to_owned() };
        fchmodat(AT_FDCWD, path, Mode::S_IRUSR | Mode::S_IWUSR, FchmodatFlags::FollowSymlink)?;
        mailbox.socket.set_nonblocking(true)?;
        setsockopt(&mailbox.socket, sockopt::PassCred, &true)?;
        Ok(mailbox)
    }

    /// The next datagram whose sender is known; none when there is none. Descriptors that come with one are closed.
    pub fn next(&self) -> Option<Note> {
        let mut bytes = [0; BYTES_MAX];
        loop {
            let (length, pid) = self.receive(&mut bytes).ok()?;
            // It is 0 where the sender is in a namespace that we do not see into.
            if pid > 0 {
                return Some(Note { pid, text: String::from_utf8_lossy(&bytes[..length]).into_owned() });
            }
        }
    }

    /// The next datagram, as much of it as there is room for: its length, and who sent it.
    fn receive(&self, into: &mut [u8]) -> io::Result<(usize, i32)> {
        let mut ancillary: MaybeUninit<Ancillary> = MaybeUninit::uninit();
        let mut part = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
        // SAFETY: all zeroes is a message without parts.
        let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = ancillary.as_mut_ptr().cast();
        message.msg_controllen = mem::size_of::<Ancillary>() as _;
        let bytes = retry(|| {
            // SAFETY: the message points to buffers of the lengths that it says, which outlive the call.
            Errno::result(unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) })
        })?;
        Ok((bytes as usize, sender(&message)))
    }
}

/// Who has sent a message that was received; what descriptors came with it are closed.
fn sender(message: &libc::msghdr) -> i32 {
    let mut pid = 0;
    // SAFETY: the kernel has filled the buffer that the message points to with whole headers, and CMSG_NXTHDR ends with
    // the last; what each carries is read as its type says, unaligned, and only as far as its length goes. The descriptors
    // are new, and nobody else's.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while let Some(found) = header.as_ref() {
            let data = libc::CMSG_DATA(header);
            let length = found.cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
            match (found.cmsg_level, found.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if length >= mem::size_of::<libc::ucred>() => {
                    pid = data.cast::<libc::ucred>().read_unaligned().pid;
                }
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    for at in 0..length / mem::size_of::<libc::c_int>() {
                        drop(OwnedFd::from_raw_fd(data.cast::<libc::c_int>().add(at).read_unaligned()));
                    }
                }
                _ => {}
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
    pid
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
    use serial_test::serial;

    /// Sends bytes and descriptors.
    fn send(path: &Path, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
        use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
        let socket = UnixDatagram::unbound().unwrap();
        let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let control = [ControlMessage::ScmRights(&raw)];
        let control = if fds.is_empty() { &control[..0] } else { &control[..] };
        let parts = [io::IoSlice::new(bytes)];
        let to = UnixAddr::new(path).unwrap();
        sendmsg(socket.as_raw_fd(), &parts, control, MsgFlags::empty(), Some(&to)).unwrap();
    }

    /// F6: an empty datagram is one, and what stands behind it is read (CVE-2016-7796); nonsense is survived, and
    /// descriptors, as many as can come, are closed.
    #[test]
    #[serial]
    fn what_is_sent_is_read_with_its_sender() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify.sock");
        let _left = UnixDatagram::bind(&path).unwrap();
        let mailbox = Mailbox::bind(&path).unwrap();
        assert_eq!(mailbox.next(), None);
        // Copies of this one are sent; what other tests open meanwhile is none.
        let file = |fd: std::path::PathBuf| std::fs::read_link(fd).ok();
        let ours = file(format!("/proc/self/fd/{}", mailbox.as_fd().as_raw_fd()).into());
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().map(|fd| file(fd.unwrap().path()));
        let count = || open().filter(|file| *file == ours).count();
        let before = count();
        let sent: [(&[u8], usize, &str); 5] = [
            (b"", 0, ""),
            (b"FDSTORE=1", 253, "FDSTORE=1"),
            (b"READY=1\nSTATUS=up", 1, "READY=1\nSTATUS=up"),
            (b"\xff\0", 0, "\u{fffd}\0"),
            (&[b'x'; 10_000], 0, &"x".repeat(BYTES_MAX)),
        ];
        for (bytes, fds, _) in sent {
            send(&path, bytes, &vec![mailbox.as_fd(); fds]);
        }
        for (_, _, text) in sent {
            assert_eq!(mailbox.next(), Some(Note { pid: std::process::id() as i32, text: text.into() }));
            assert_eq!(count(), before);
        }
        assert_eq!(mailbox.next(), None);
        drop(mailbox);
        assert!(!path.exists());
        std::fs::write(&path, "").unwrap();
        assert_eq!(Mailbox::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
