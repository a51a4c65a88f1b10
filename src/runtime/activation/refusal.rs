//! Why an address cannot be listened on, as a mistake in the configuration that names it.

use crate::config::report::Report;
use crate::config::source::Place;
use crate::sys::netstat;
use crate::sys::proc::{self, Named};
use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// A name that leads nowhere.
pub(in crate::runtime) fn host(name: &str, error: &io::Error, place: Place) -> Report {
    let report = Report::error(place, format!("host `{name}` has no address: {error}"));
    report.help("write an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all")
}

/// An address of the network; none where it is in use by this process alone.
pub(in crate::runtime) fn tcp(
    address: SocketAddr,
    error: &io::Error,
    place: Place,
    running: Option<i32>,
) -> Option<Report> {
    let text = |why: &str| format!("cannot listen on {address}: {why}");
    Some(match error.kind() {
        io::ErrorKind::AddrInUse => {
            let sockets = netstat::listeners(address);
            let holders = proc::socket_holders(&sockets);
            if is_running(&holders, running) {
                return None;
            }
            if proc::holds_socket(&sockets) {
                let report = Report::error(place, text("quell itself listens there, on another of its addresses"));
                return Some(report.help(
                    "let one address stand for both; where one takes the other's place, reload without either first",
                ));
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

/// A path; none where it is in use by this process alone.
pub(in crate::runtime) fn unix(path: &Path, error: &io::Error, place: Place, running: Option<i32>) -> Option<Report> {
    if error.kind() != io::ErrorKind::AddrInUse {
        return Some(Report::error(place, format!("cannot listen there: {error}")).help("choose another path"));
    }
    let holders = proc::socket_holders(&netstat::bound(path));
    if is_running(&holders, running) {
        return None;
    }
    let text = format!("cannot listen on {}: it is in use, {}", path.display(), held_by(&holders));
    Some(Report::error(place, text).help("stop what holds it, or choose another path"))
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

    #[test]
    fn holders_are_named() {
        let named = |pid: i32, name: &str| Named { pid, name: name.into() };
        assert_eq!(held_by(&[named(812, "nginx")]), "held by pid 812 (nginx)");
        assert_eq!(held_by(&[named(812, "nginx"), named(813, "nginx")]), "held by pid 812 (nginx) and 1 more");
        assert!(is_running(&[named(1, "a"), named(2, "b")], Some(2)) && !is_running(&[named(1, "a")], None));
    }
}
