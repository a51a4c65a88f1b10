//! The socket that workers tell their state to (sd_notify(3)): who has sent each datagram is the kernel's word.

use super::fd::retry;
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
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

/// A socket for datagrams in the file system; its name is removed when it is dropped.
#[derive(Debug)]
pub struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
}

/// A datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The process that sent it; 0 where it is in no namespace that we see.
    pub pid: i32,
    /// How many of its bytes there are.
    pub bytes: usize,
    /// There were more.
    pub is_cut: bool,
}

impl NotifySocket {
    /// Makes the socket, in place of one that an earlier supervisor has left: only one can have the state directory. Its
    /// mode is 0600: workers run as we do.
    ///
    /// # Errors
    /// As unlink(2) and bind(2); what is there and no socket is left there.
    pub fn bind(path: &Path) -> io::Result<NotifySocket> {
        if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            std::fs::remove_file(path)?;
        }
        let socket = UnixDatagram::bind(path)?;
        let bound = NotifySocket { socket, path: path.to_owned() };
        fchmodat(AT_FDCWD, path, Mode::S_IRUSR | Mode::S_IWUSR, FchmodatFlags::FollowSymlink)?;
        bound.socket.set_nonblocking(true)?;
        let yes: libc::c_int = 1;
        // SAFETY: the pointer and length are those of `yes`, which outlives the call.
        Errno::result(unsafe {
            let length = mem::size_of::<libc::c_int>() as libc::socklen_t;
            libc::setsockopt(
                bound.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PASSCRED,
                (&raw const yes).cast(),
                length,
            )
        })?;
        Ok(bound)
    }

    /// The next datagram, as much of it as there is room for. Descriptors that come with it are closed.
    ///
    /// # Errors
    /// `WouldBlock` where there is none; else as recvmsg(2).
    pub fn receive(&self, into: &mut [u8]) -> io::Result<Datagram> {
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
        let pid = sender(&message);
        Ok(Datagram { pid, bytes: bytes as usize, is_cut: message.msg_flags & libc::MSG_TRUNC != 0 })
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

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        // Nobody can be told.
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

    /// Empty and long datagrams, descriptors by the hundred: none of it stays.
    #[test]
    #[serial]
    fn what_comes_is_taken_and_descriptors_are_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify.sock");
        let _left = UnixDatagram::bind(&path).unwrap();
        let socket = NotifySocket::bind(&path).unwrap();
        let mut buffer = [0; 64];
        assert_eq!(socket.receive(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let count = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = count();
        let pid = std::process::id() as i32;
        for (sent, fds, bytes, is_cut) in [
            (&b"READY=1"[..], 0, 7, false),
            (b"", 0, 0, false),
            (&[b'x'; 4000], 0, 64, true),
            (b"FDSTORE=1", 253, 9, false),
        ] {
            send(&path, sent, &vec![socket.as_fd(); fds]);
            assert_eq!(socket.receive(&mut buffer).unwrap(), Datagram { pid, bytes, is_cut });
            assert_eq!(count(), before);
        }
        drop(socket);
        assert!(!path.exists());
        std::fs::write(&path, "").unwrap();
        assert_eq!(NotifySocket::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
