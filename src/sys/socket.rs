//! Whether an address can be listened on, and whether somebody listens there.

use nix::errno::Errno;
use std::io;
use std::mem::size_of;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

/// The addresses of a host and port; a name server that does not answer is not waited for any longer than this.
///
/// # Errors
/// As getaddrinfo(3); `TimedOut`.
pub fn addresses(host: &str, port: u16, patience: Duration) -> io::Result<Vec<SocketAddr>> {
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let (sender, receiver) = mpsc::channel();
    super::thread::spawn("resolve", move || {
        // Nobody listens any more where it took too long.
        let _ = sender.send((bare.as_str(), port).to_socket_addrs().map(Iterator::collect));
    })?;
    receiver.recv_timeout(patience).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Binds an address and lets go of it at once, without listening: nobody can connect meanwhile.
///
/// # Errors
/// As bind(2): EADDRINUSE where somebody listens there.
pub fn try_bind(address: SocketAddr) -> io::Result<()> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: plain numbers; the descriptor is new, and nobody else's.
    let socket = unsafe {
        let fd = Errno::result(libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0))?;
        OwnedFd::from_raw_fd(fd)
    };
    let (fd, yes): (_, libc::c_int) = (socket.as_raw_fd(), 1);
    // SAFETY: the pointers and lengths are those of `yes` and of the addresses, which outlive the calls.
    unsafe {
        let reuse = libc::SO_REUSEADDR;
        let length = size_of::<libc::c_int>() as libc::socklen_t;
        Errno::result(libc::setsockopt(fd, libc::SOL_SOCKET, reuse, (&raw const yes).cast(), length))?;
        let bound = match address {
            SocketAddr::V4(v4) => {
                let raw = libc::sockaddr_in {
                    sin_family: family as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                    sin_zero: [0; 8],
                };
                libc::bind(fd, (&raw const raw).cast(), size_of_val(&raw) as libc::socklen_t)
            }
            SocketAddr::V6(v6) => {
                let raw = libc::sockaddr_in6 {
                    sin6_family: family as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: v6.scope_id(),
                };
                libc::bind(fd, (&raw const raw).cast(), size_of_val(&raw) as libc::socklen_t)
            }
        };
        Errno::result(bound)?;
    }
    Ok(())
}

/// Whether somebody takes connections at a socket in the file system; it never waits.
#[must_use]
pub fn answers(path: &Path) -> bool {
    match mio::net::UnixStream::connect(path) {
        Ok(_) => true,
        // Its backlog is full, or it is of another type.
        Err(e) => e.kind() == io::ErrorKind::WouldBlock || e.raw_os_error() == Some(libc::EPROTOTYPE),
    }
}

/// Where somebody may take connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// At an address.
    Tcp(SocketAddr),
    /// At a socket in the file system.
    Unix(PathBuf),
}

/// A connection that is being made, for no other use than to see whether it is.
#[derive(Debug)]
pub enum Connecting {
    /// To an address.
    Tcp(mio::net::TcpStream),
    /// To a socket in the file system.
    Unix(mio::net::UnixStream),
}

/// Begins to connect, without waiting.
///
/// # Errors
/// As connect(2), where it fails at once; `WouldBlock` where the socket's backlog is full.
pub fn connect(target: &Target) -> io::Result<Connecting> {
    Ok(match target {
        Target::Tcp(address) => Connecting::Tcp(mio::net::TcpStream::connect(*address)?),
        Target::Unix(path) => Connecting::Unix(mio::net::UnixStream::connect(path)?),
    })
}

impl Connecting {
    /// Whether it is made by now.
    ///
    /// # Errors
    /// Why it will not be, as connect(2).
    pub fn outcome(&self) -> io::Result<bool> {
        let (error, peer) = match self {
            Connecting::Tcp(stream) => (stream.take_error()?, stream.peer_addr().map(drop)),
            Connecting::Unix(stream) => (stream.take_error()?, stream.peer_addr().map(drop)),
        };
        match (error, peer) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => Ok(true),
            (None, Err(e)) if e.kind() == io::ErrorKind::NotConnected => Ok(false),
            (None, Err(e)) => Err(e),
        }
    }
}

impl AsFd for Connecting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Connecting::Tcp(stream) => stream.as_fd(),
            Connecting::Unix(stream) => stream.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    #[test]
    fn what_is_listened_on_cannot_be_bound() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(host) else { continue };
            let address = listener.local_addr().unwrap();
            assert_eq!(try_bind(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
            drop(listener);
            try_bind(address).unwrap();
        }
        assert_eq!(addresses("127.0.0.1", 80, Duration::from_secs(5)).unwrap().len(), 1);
        assert_eq!(addresses("[::1]", 80, Duration::from_secs(5)).unwrap().len(), 1);
    }

    #[test]
    fn a_socket_that_nobody_holds_does_not_answer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        assert!(!answers(&path));
        let listener = UnixListener::bind(&path).unwrap();
        assert!(answers(&path));
        drop(listener);
        assert!(!answers(&path));
    }
}
