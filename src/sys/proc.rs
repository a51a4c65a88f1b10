//! What `/proc` tells: who holds a pipe, who is whose child. Where there is no `/proc`, nobody is found.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// A process, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its number.
    pub pid: i32,
    /// The name of its program.
    pub name: String,
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// Whether there is a `/proc` to look into.
#[must_use]
pub fn is_there() -> bool {
    fs::exists("/proc/self/stat").unwrap_or(false)
}

/// The processes other than ourselves that hold an end of one of these pipes.
#[must_use]
pub fn pipe_holders(inodes: &[u64]) -> Vec<Named> {
    holders("pipe", inodes)
}

/// The processes other than ourselves that hold one of these sockets.
#[must_use]
pub fn socket_holders(inodes: &[u64]) -> Vec<Named> {
    holders("socket", inodes)
}

fn holders(kind: &str, inodes: &[u64]) -> Vec<Named> {
    if inodes.is_empty() {
        return Vec::new();
    }
    let links: Vec<_> = inodes.iter().map(|inode| format!("{kind}:[{inode}]")).collect();
    let holds = |pid: i32| {
        let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        fds.flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|to| links.iter().any(|link| to.as_os_str() == link.as_str())))
    };
    let ourselves = std::process::id() as i32;
    pids().filter(|pid| *pid != ourselves && holds(*pid)).map(named).collect()
}

/// The inodes of the sockets that listen where this address is wanted: there, or everywhere on its port.
#[must_use]
pub fn listeners(wanted: SocketAddr) -> Vec<u64> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    tables
        .iter()
        .flat_map(|table| table.lines())
        .filter_map(listener)
        .filter(|(at, _)| meet(*at, wanted))
        .map(|(_, inode)| inode)
        .collect()
}

/// The inodes of the sockets that are bound to this path.
#[must_use]
pub fn bound(path: &Path) -> Vec<u64> {
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let row = |line: &str| {
        // Num RefCount Protocol Flags Type St Inode Path; the path goes to the line's end.
        let mut rest = line;
        let mut fields = [""; 7];
        for field in &mut fields {
            let trimmed = rest.trim_start_matches(' ');
            (*field, rest) = trimmed.split_once(' ')?;
        }
        (Path::new(rest) == path).then(|| fields[6].parse().ok())?
    };
    table.lines().filter_map(row).collect()
}

/// The address and inode of a listening socket, from a line of `/proc/net/tcp` or `tcp6` (proc_pid_net(5)).
fn listener(line: &str) -> Option<(SocketAddr, u64)> {
    const LISTEN: &str = "0A";
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    if *state != LISTEN {
        return None;
    }
    let (host, port) = local.split_once(':')?;
    // Words of four bytes, each as this machine writes a number.
    let words = host.as_bytes().chunks(8).map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok());
    let bytes: Vec<u8> = words.collect::<Option<Vec<_>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect();
    let ip = match <[u8; 4]>::try_from(&bytes[..]) {
        Ok(v4) => IpAddr::from(v4),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(&bytes[..]).ok()?),
    };
    Some((SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?), inode.parse().ok()?))
}

/// Whether two addresses cannot both be listened on.
fn meet(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip().to_canonical(), other.ip().to_canonical());
    one.port() == other.port() && (a == b || a.is_unspecified() || b.is_unspecified())
}

/// The children of a process that have not ended.
#[must_use]
pub fn children(parent: i32) -> Vec<Named> {
    pids().filter(|pid| parent_of(*pid) == Some(parent)).map(named).collect()
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The parent of a process that has not ended. The name in `stat` may hold blanks and brackets: what counts stands
/// behind the last bracket.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok();
    parent.filter(|_| !matches!(state, "Z" | "X"))
}

fn named(pid: i32) -> Named {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Named { pid, name: name.trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_line_of_the_table_of_sockets() {
        let line = "   0: 0100007F:B809 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 5489 1";
        let on = |text: &str| text.parse::<SocketAddr>().unwrap();
        if cfg!(target_endian = "little") {
            assert_eq!(listener(line), Some((on("127.0.0.1:47113"), 5489)));
        }
        assert_eq!(listener(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(listener("  sl  local_address rem_address   st tx_queue"), None);
        assert!(meet(on("127.0.0.1:80"), on("0.0.0.0:80")) && meet(on("[::]:80"), on("127.0.0.1:80")));
        assert!(!meet(on("127.0.0.1:80"), on("127.0.0.2:80")) && !meet(on("127.0.0.1:80"), on("127.0.0.1:81")));
    }

    #[test]
    fn listeners_are_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(listeners(listener.local_addr().unwrap()).len(), 1);
    }
}
