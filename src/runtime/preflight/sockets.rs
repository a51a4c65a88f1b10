//! Whether quell can listen where it is to listen.

use super::Scene;
use super::folders;
use super::who::Who;
use crate::config::report::Report;
use crate::config::source::Place;
use crate::config::values::Address;
use crate::runtime::activation::refusal;
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
    let config = scene.config;
    let metrics = config.quell.metrics.value.iter().zip(config.quell.metrics.place);
    let workers = config.workers.iter().filter(|worker| worker.keys.enabled.value);
    let mut hosts = BTreeMap::new();
    let mut resolver = Resolver { patience: PATIENCE };
    for (address, key) in metrics.chain(workers.flat_map(|worker| worker.keys.sockets())) {
        let place = scene.values.of(key);
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

fn tcp(host: &str, found: &io::Result<Vec<SocketAddr>>, place: Place, running: Option<i32>) -> Option<Report> {
    let addresses = match found {
        Ok(addresses) => addresses,
        Err(e) => {
            return Some(refusal::host(host, e, place));
        }
    };
    // One of a name's addresses is enough.
    let tried: Vec<_> = addresses.iter().map(|address| (*address, socket::try_bind(*address))).collect();
    if tried.iter().any(|(_, bound)| bound.is_ok()) {
        return None;
    }
    let (address, error) = tried.into_iter().find_map(|(address, bound)| Some((address, bound.err()?)))?;
    refusal::tcp(address, &error, place, running)
}

fn unix(path: &Path, place: Place, running: Option<i32>) -> Option<Report> {
    match socket::answers(path) {
        true => refusal::unix(path, &io::ErrorKind::AddrInUse.into(), place, running),
        false => unix_place(path, place),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

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
