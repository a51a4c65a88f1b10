//! Whether quell can listen where it is to listen.

use super::Scene;
use super::folders;
use super::who::Who;
use crate::config::report::Report;
use crate::config::source::Place;
use crate::config::values::Address;
use crate::sys::proc::{self, Named};
use crate::sys::{peek, socket};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

/// The longest that a name server is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at every address that quell is to listen on.
pub(super) fn check(state: Option<&Path>, scene: &mut Scene<'_>) {
    let running = state.and_then(supervisor);
    let mut seen: BTreeMap<&Address, Place> = BTreeMap::new();
    let config = scene.config;
    let workers = config.workers.iter().filter(|worker| worker.keys.enabled.value);
    let triggers = workers.flat_map(|worker| worker.keys.start_on.value.iter().map(|item| &item.0.socket));
    let mut hosts = BTreeMap::new();
    let mut resolver = Resolver { patience: PATIENCE };
    for wanted in [&config.quell.metrics].into_iter().chain(triggers) {
        let (Some(address), Some(key)) = (&wanted.value, wanted.place) else { continue };
        let place = scene.values.of(key);
        if let Some(first) = seen.get(address) {
            let report = Report::error(place, format!("{} is listened on already", show(address)));
            scene.add(report.help("choose another address for one of them").also(*first, "here"));
            continue;
        }
        seen.insert(address, place);
        let report = match address {
            Address::Tcp(host, port) => {
                let found = hosts.entry((host, *port)).or_insert_with(|| resolver.addresses(host, *port));
                tcp(host, found, place, running)
            }
            Address::Unix(path) => unix(path, place, running),
        };
        report.into_iter().for_each(|report| scene.add(report));
    }
    // Where clients reach quell, one that runs already may answer: it is the one that a reload is for.
    if let (Some(path), Some(key)) = (&config.quell.socket.value, config.quell.socket.place) {
        let report = unix_place(&path.0, scene.values.of(key));
        report.into_iter().for_each(|report| scene.add(report));
    }
}

/// Looks names up, and loses its patience with a name server that does not answer.
struct Resolver {
    patience: Duration,
}

impl Resolver {
    fn addresses(&mut self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found = socket::addresses(host, port, self.patience);
        if found.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::TimedOut) {
            self.patience = Duration::from_millis(100);
        }
        found
    }
}

/// The supervisor that holds this state directory, which need not be an obstacle to itself.
fn supervisor(state: &Path) -> Option<i32> {
    let head = peek::head(&state.join(crate::log::name::LOCK), 256).ok()?;
    let text = String::from_utf8(head).ok()?;
    text.split_once("(pid ")?.1.split_once(')')?.0.parse().ok()
}

fn show(address: &Address) -> String {
    match address {
        Address::Tcp(host, port) => format!("{host}:{port}"),
        Address::Unix(path) => path.display().to_string(),
    }
}

fn tcp(host: &str, found: &io::Result<Vec<SocketAddr>>, place: Place, running: Option<i32>) -> Option<Report> {
    let addresses = match found {
        Ok(addresses) => addresses,
        Err(e) => {
            let report = Report::error(place, format!("host `{host}` has no address: {e}"));
            return Some(report.help("write an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all"));
        }
    };
    // One of a name's addresses is enough.
    let tried: Vec<_> = addresses.iter().map(|address| (*address, socket::try_bind(*address))).collect();
    if tried.iter().any(|(_, bound)| bound.is_ok()) {
        return None;
    }
    let (address, error) = tried.into_iter().find_map(|(address, bound)| Some((address, bound.err()?)))?;
    let text = |why: &str| format!("cannot listen on {address}: {why}");
    Some(match error.kind() {
        io::ErrorKind::AddrInUse => {
            let holders = proc::socket_holders(&proc::listeners(address));
            if is_running(&holders, running) {
                return None;
            }
            let report = Report::error(place, text(&format!("it is in use, {}", held_by(&holders))));
            report.help("stop what holds it, or choose another port (`ss -ltnp` lists them)")
        }
        io::ErrorKind::AddrNotAvailable => {
            let report = Report::error(place, text("this machine has no such address"));
            report.help("write one that `ip address` shows, or 0.0.0.0 for all")
        }
        io::ErrorKind::PermissionDenied => {
            let report = Report::error(place, text("only root may listen on this port"));
            report.help("choose a port from 1024 on, or see net.ipv4.ip_unprivileged_port_start")
        }
        _ => Report::error(place, text(&error.to_string())).help("choose another address"),
    })
}

fn unix(path: &Path, place: Place, running: Option<i32>) -> Option<Report> {
    if !socket::answers(path) {
        return unix_place(path, place);
    }
    let holders = proc::socket_holders(&proc::bound(path));
    if is_running(&holders, running) {
        return None;
    }
    let text = format!("cannot listen on {}: it is in use, {}", path.display(), held_by(&holders));
    Some(Report::error(place, text).help("stop what holds it, or choose another path"))
}

/// Whether a socket can be made there, in place of one that nobody holds any more.
fn unix_place(path: &Path, place: Place) -> Option<Report> {
    let text = |why: String| format!("cannot listen on {}: {why}", path.display());
    if std::fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
        let report = Report::error(place, text("there is something that is no socket".into()));
        return Some(report.help("choose another path, or remove it"));
    }
    let ourselves = Who::ourselves();
    let obstacle = folders::usable(path.parent()?).err()?;
    let report = Report::error(place, text(obstacle.against(&ourselves.name)));
    Some(report.help("choose a path in a folder that quell can write"))
}

fn is_running(holders: &[Named], running: Option<i32>) -> bool {
    holders.iter().any(|holder| Some(holder.pid) == running)
}

fn held_by(holders: &[Named]) -> String {
    match holders {
        [] => "by a process that we may not see".into(),
        [Named { pid, name }, others @ ..] => {
            let others = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
            format!("held by pid {pid} ({name}){others}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn holders_are_named() {
        let named = |pid: i32, name: &str| Named { pid, name: name.into() };
        assert_eq!(held_by(&[named(812, "nginx")]), "held by pid 812 (nginx)");
        assert_eq!(held_by(&[named(812, "nginx"), named(813, "nginx")]), "held by pid 812 (nginx) and 1 more");
        assert!(is_running(&[named(1, "a"), named(2, "b")], Some(2)) && !is_running(&[named(1, "a")], None));
    }

    #[test]
    fn sockets_in_the_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { file: 0, start: 0, end: 0 };
        let path = folder.path().join("socket");
        assert_eq!(unix(&path, place, None), None);
        let listener = UnixListener::bind(&path).unwrap();
        assert!(unix(&path, place, None).unwrap().text.contains("in use"));
        assert_eq!(unix_place(&path, place), None);
        drop(listener);
        assert_eq!(unix(&path, place, None), None);
        let file = folder.path().join("file");
        std::fs::write(&file, "quell (pid 77)\n").unwrap();
        assert!(unix(&file, place, None).unwrap().text.contains("no socket"));
        std::fs::rename(&file, folder.path().join("lock")).unwrap();
        assert_eq!(supervisor(folder.path()), Some(77));
    }
}
