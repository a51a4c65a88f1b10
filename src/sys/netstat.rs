//! What `/proc/net` tells of sockets: who listens where, and whether anybody is connected there (proc_pid_net(5)).

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// The tables of TCP sockets. Where the machine has no IPv6 there is no second one.
const TCP: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
const UNIX: &str = "/proc/net/unix";

/// The inodes of the sockets that listen where this address is wanted: there, or everywhere on its port.
#[must_use]
pub fn listeners(wanted: SocketAddr) -> Vec<u64> {
    let tables = TCP.map(|path| fs::read_to_string(path).unwrap_or_default());
    let rows = tables.iter().flat_map(|table| table.lines()).filter_map(tcp_row);
    rows.filter(|row| row.listens && meet(row.local, wanted)).map(|row| row.inode).collect()
}

/// The inodes of the sockets that are bound to this path.
#[must_use]
pub fn bound(path: &Path) -> Vec<u64> {
    let table = fs::read_to_string(UNIX).unwrap_or_default();
    let rows = table.lines().filter_map(unix_row);
    rows.filter(|row| row.path == path).map(|row| row.inode).collect()
}

/// Whether a process has a connection that was made to this address. One that nobody has accepted yet is none.
///
/// # Errors
/// As open(2) and read(2): where there is no `/proc`.
pub fn has_connection(at: SocketAddr) -> io::Result<bool> {
    let [first, second] = TCP.map(fs::read_to_string);
    let (first, second) = (first?, second.unwrap_or_default());
    let mut rows = first.lines().chain(second.lines()).filter_map(tcp_row);
    // What no process holds has no inode.
    Ok(rows.any(|row| !row.listens && row.inode != 0 && meet(row.local, at)))
}

/// The same of a socket in the file system.
///
/// # Errors
/// As `has_connection`.
pub fn has_connection_by_path(path: &Path) -> io::Result<bool> {
    let table = fs::read_to_string(UNIX)?;
    let mut rows = table.lines().filter_map(unix_row);
    Ok(rows.any(|row| row.connected && row.path == path))
}

struct TcpRow {
    local: SocketAddr,
    listens: bool,
    inode: u64,
}

/// A line of `/proc/net/tcp` or `tcp6`.
fn tcp_row(line: &str) -> Option<TcpRow> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_ascii_whitespace();
    let (local, state, inode) = (fields.nth(1)?, fields.nth(1)?, fields.nth(5)?);
    let (host, port) = local.split_once(':')?;
    // Words of four bytes, each as this machine writes a number.
    let mut bytes = [0; 16];
    let mut words = host.as_bytes().chunks(8).zip(bytes.chunks_mut(4));
    words.try_for_each(|(word, to)| {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        to.copy_from_slice(&word.to_ne_bytes());
        Some(())
    })?;
    let ip = match host.len() {
        8 => IpAddr::from(<[u8; 4]>::try_from(&bytes[..4]).ok()?),
        32 => IpAddr::from(bytes),
        _ => return None,
    };
    let local = SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?);
    Some(TcpRow { local, listens: state == LISTEN, inode: inode.parse().ok()? })
}

struct UnixRow<'a> {
    path: &'a Path,
    connected: bool,
    inode: u64,
}

/// A line of `/proc/net/unix`.
fn unix_row(line: &str) -> Option<UnixRow<'_>> {
    const CONNECTED: &str = "03";
    // Num RefCount Protocol Flags Type St Inode Path; the path goes to the line's end.
    let mut rest = line;
    let mut fields = [""; 7];
    for field in &mut fields {
        let trimmed = rest.trim_start_matches(' ');
        (*field, rest) = trimmed.split_once(' ')?;
    }
    Some(UnixRow { path: Path::new(rest), connected: fields[5] == CONNECTED, inode: fields[6].parse().ok()? })
}

/// Whether two addresses cannot both be listened on.
fn meet(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip().to_canonical(), other.ip().to_canonical());
    one.port() == other.port() && (a == b || a.is_unspecified() || b.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serial_test::serial;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn lines_of_the_tables() {
        let line = "   0: 0100007F:B809 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 5489 1";
        let on = |text: &str| text.parse::<SocketAddr>().unwrap();
        if cfg!(target_endian = "little") {
            let row = tcp_row(line).unwrap();
            assert_eq!((row.local, row.listens, row.inode), (on("127.0.0.1:47113"), true, 5489));
            let six = "   0: 00000000000000000000000001000000:B809 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 7 1";
            assert_eq!(tcp_row(six).unwrap().local, on("[::1]:47113"));
        }
        assert!(!tcp_row(&line.replace(" 0A ", " 01 ")).unwrap().listens);
        assert!(tcp_row("  sl  local_address rem_address   st tx_queue").is_none());
        assert!(meet(on("127.0.0.1:80"), on("0.0.0.0:80")) && meet(on("[::]:80"), on("127.0.0.1:80")));
        assert!(!meet(on("127.0.0.1:80"), on("127.0.0.2:80")) && !meet(on("127.0.0.1:80"), on("127.0.0.1:81")));
        let row = unix_row("0000000000000000: 00000003 00000000 00000000 0001 03 17532 /run/a b").unwrap();
        assert_eq!((row.path, row.connected, row.inode), (Path::new("/run/a b"), true, 17532));
    }

    #[test]
    #[serial]
    fn listeners_and_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        assert_eq!(listeners(at).len(), 1);
        let client = TcpStream::connect(at).unwrap();
        assert!(!has_connection(at).unwrap(), "nobody has accepted it");
        let accepted = listener.accept().unwrap();
        assert!(has_connection(at).unwrap());
        drop(client);
        assert!(has_connection(at).unwrap(), "who was hung up on still has it");
        drop(accepted);
        assert!(!has_connection(at).unwrap());
    }

    #[test]
    #[serial]
    fn connections_by_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a socket");
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(bound(&path).len(), 1);
        let client = UnixStream::connect(&path).unwrap();
        assert!(!has_connection_by_path(&path).unwrap(), "nobody has accepted it");
        let accepted = listener.accept().unwrap();
        assert!(has_connection_by_path(&path).unwrap());
        drop(client);
        assert!(has_connection_by_path(&path).unwrap(), "who was hung up on still has it");
        drop(accepted);
        assert!(!has_connection_by_path(&path).unwrap());
    }
}
