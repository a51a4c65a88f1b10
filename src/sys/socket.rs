//! Sockets: whether an address can be listened on, and what the control socket needs of the kernel.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::io;
use std::mem::size_of;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// The addresses of a host and port; a name server that does not answer is not waited for any longer than this.
///
/// # Errors
/// As getaddrinfo(3); `TimedOut`.
pub fn addresses(host: &str, port: u16, patience: Duration) -> io::Result<Vec<SocketAddr>> {
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
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
    bind(address).map(drop)
}

/// Listens at an address; accepting blocks, as it does where nobody has said otherwise.
///
/// # Errors
/// As bind(2) and listen(2): EADDRINUSE where somebody listens there.
pub fn listen_at(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = bind(address)?;
    start_listening(&socket)?;
    Ok(socket)
}

fn bind(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let socket = stream_socket(family)?;
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
    Ok(socket)
}

fn start_listening(socket: &OwnedFd) -> io::Result<()> {
    // SAFETY: plain numbers.
    Errno::result(unsafe { libc::listen(socket.as_raw_fd(), BACKLOG) })?;
    Ok(())
}

/// Makes a listening socket as it was when it was new, whatever somebody to whom it was lent has made of it: accepting
/// blocks, and connections are taken in though they were shut down.
///
/// # Errors
/// As fcntl(2) and listen(2).
pub fn renew(socket: &OwnedFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(socket, FcntlArg::F_GETFL)?);
    if flags.contains(OFlag::O_NONBLOCK) {
        fcntl(socket, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    }
    start_listening(socket)
}

fn stream_socket(family: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers; the descriptor is new, and nobody else's.
    unsafe {
        let fd = Errno::result(libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Whether somebody takes connections at a socket in the file system; it never waits.
#[must_use]
pub fn answers(path: &Path) -> bool {
    match connect(path) {
        Ok(_) => true,
        // Its backlog is full, or it is of another type.
        Err(e) => e.kind() == io::ErrorKind::WouldBlock || e.raw_os_error() == Some(libc::EPROTOTYPE),
    }
}

/// Whether a socket in the file system is one that nobody listens at any more; it never waits.
#[must_use]
pub fn is_dead(path: &Path) -> bool {
    connect(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
}

/// Connects to a socket in the file system; neither this nor what is done with the descriptor ever waits.
///
/// # Errors
/// As connect(2); `WouldBlock` where too many wait to be accepted already.
pub fn connect(path: &Path) -> io::Result<OwnedFd> {
    mio::net::UnixStream::connect(path).map(OwnedFd::from)
}

/// The two ends of a connection: ours, on which nothing ever waits, and one for a child.
///
/// # Errors
/// As socketpair(2).
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = nix::sys::socket::socketpair(
        nix::sys::socket::AddressFamily::Unix,
        nix::sys::socket::SockType::Stream,
        None,
        nix::sys::socket::SockFlag::SOCK_CLOEXEC,
    )?;
    nix::fcntl::fcntl(&ours, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
    Ok((ours, theirs))
}

/// Says nothing more through a socket: whoever reads the other end comes to its end.
///
/// # Errors
/// As shutdown(2).
pub fn say_no_more(socket: impl AsFd) -> io::Result<()> {
    Ok(nix::sys::socket::shutdown(socket.as_fd().as_raw_fd(), nix::sys::socket::Shutdown::Write)?)
}

/// How many may wait to be accepted.
const BACKLOG: libc::c_int = 1024;

/// Listens at a path where nothing is, without ever blocking. It has its mode before anybody can connect, whatever the umask.
///
/// # Errors
/// As bind(2) and listen(2); `InvalidInput` for a path that is too long for a socket.
pub fn listen(path: &Path, mode: u32) -> io::Result<UnixListener> {
    let socket = stream_socket(libc::AF_UNIX)?;
    let mut address = libc::sockaddr_un { sun_family: libc::AF_UNIX as libc::sa_family_t, sun_path: [0; 108] };
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() || bytes.len() >= address.sun_path.len() || bytes.contains(&0) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a socket cannot have such a path (unix(7))"));
    }
    address.sun_path.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from as libc::c_char);
    // SAFETY: the pointer and length are those of `address`, which outlives the call.
    let bound = unsafe {
        libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as libc::socklen_t)
    };
    Errno::result(bound)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    start_listening(&socket)?;
    let listener = UnixListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The process at the other end of a socket in the file system: the one that connected, or that listened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its number; 0 where our pid namespace does not know it.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
}

/// Who is at the other end (SO_PEERCRED).
///
/// # Errors
/// As getsockopt(2).
pub fn peer(socket: impl AsFd) -> io::Result<Peer> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the pointers and the length are those of `peer`, which outlives the call.
    let got = unsafe {
        let fd = socket.as_fd().as_raw_fd();
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, (&raw mut peer).cast(), &raw mut length)
    };
    Errno::result(got)?;
    Ok(Peer { pid: peer.pid, uid: peer.uid })
}

/// Whether the other end is closed both ways; it may be closed for writing only, and still read.
#[must_use]
pub fn has_hung_up(socket: impl AsFd) -> bool {
    super::fd::wait([Some((socket.as_fd(), super::fd::Interest::None))], Some(Duration::ZERO)).is_ok_and(|[over]| over)
}

/// The number that stands for users whom our user namespace does not know; none where it knows all.
#[must_use]
pub fn unknown_user() -> Option<u32> {
    // user_namespaces(7): the first namespace maps each number to itself.
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    if map.split_whitespace().eq(["0", "0", "4294967295"]) {
        return None;
    }
    let number = std::fs::read_to_string("/proc/sys/kernel/overflowuid").ok().and_then(|text| text.trim().parse().ok());
    Some(number.unwrap_or(65534))
}

/// A connection that is being made; nothing waits for it.
#[derive(Debug)]
pub struct Connecting(mio::net::TcpStream);

impl Connecting {
    /// Begins.
    ///
    /// # Errors
    /// As connect(2), but never EINPROGRESS.
    pub fn begin(address: SocketAddr) -> io::Result<Connecting> {
        mio::net::TcpStream::connect(address).map(Connecting)
    }

    /// Whether it is made; false while that is not known.
    ///
    /// # Errors
    /// Why it will not be.
    pub fn outcome(&self) -> io::Result<bool> {
        if let Some(e) = self.0.take_error()? {
            return Err(e);
        }
        match self.0.peer_addr() {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(e) => Err(e),
        }
    }
}

impl AsFd for Connecting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::unix::net::UnixStream;

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
        assert!(!answers(&path) && !is_dead(&path));
        let listener = UnixListener::bind(&path).unwrap();
        assert!(answers(&path) && !is_dead(&path));
        drop(listener);
        assert!(!answers(&path) && is_dead(&path));
    }

    #[test]
    fn the_other_end_is_known() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let us = Peer { pid: std::process::id() as i32, uid: super::super::identity::ours() };
        assert_eq!(peer(&ours).unwrap(), us);
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(!has_hung_up(&ours));
        drop(theirs);
        assert!(has_hung_up(&ours));
    }
}
