//! Whether there is room: on the disks for what is to be kept, and for the descriptors.

use super::{Scene, folders};
use crate::config::load::{Named, WorkerLog};
use crate::config::report::Report;
use crate::config::source::Place;
use crate::config::tables::{Protocol, Ready, Worker};
use crate::config::unit::write_size;
use crate::runtime::places;
use crate::sys::limits::{Ceiling, Resource};
use crate::sys::peek;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What quell itself holds: standard streams, epoll, signals, store, lock, listener, some clients.
const OWN_DESCRIPTORS: i64 = 20;
/// Of a process: the ends of its pipes, its pidfd, and its log's files and folder.
const PROCESS_DESCRIPTORS: i64 = 2 + 1 + 3;
/// A folder of logs with more entries is not added up to its end.
const ENTRIES_MAX: usize = 100_000;

/// Says whether there can be fewer descriptors than are needed. The soft limit is raised at a start: the hard one decides.
pub(super) fn descriptors(scene: &mut Scene<'_>) {
    let Ok(Ceiling { hard, .. }) = Resource::Descriptors.ours() else { return };
    let workers: Vec<_> = scene.config.workers.iter().filter(|worker| worker.keys.enabled.value).collect();
    let processes: i64 = workers.iter().map(|worker| processes(&worker.keys)).sum();
    let needed = OWN_DESCRIPTORS + workers.iter().map(|worker| needs(&worker.keys)).sum::<i64>();
    let Some(most) = workers.iter().rev().max_by_key(|worker| needs(&worker.keys)) else { return };
    if u64::try_from(needed).unwrap_or(0) <= hard {
        return;
    }
    let keys = &most.keys;
    let key = match keys.instances.place {
        None => keys.slots.total.place.filter(|_| processes > 1),
        set => set,
    };
    let place = key.map_or(most.place, |key| scene.values.of(key));
    let text = format!("{processes} processes need {needed} descriptors, and quell may have {hard}");
    let remedy = "raise the hard limit, which root alone can (LimitNOFILE= in a unit), or run fewer";
    scene.add(Report::error(place, text).help(remedy));
}

/// How many processes of a worker run at once.
fn processes(keys: &Worker) -> i64 {
    let by_slots = keys.protocol.value.0 == Protocol::Exec && keys.consumes().next().is_some();
    if by_slots { keys.slots.total.value.0.max(keys.instances.value.0) } else { keys.instances.value.0 }
}

/// How many descriptors quell holds for a worker.
fn needs(keys: &Worker) -> i64 {
    // The socket, and its pipes once more.
    let tasks = if keys.protocol.value.0 == Protocol::Lines { 3 } else { 0 };
    let readiness = match &keys.ready.value {
        Ready::By(item) => i64::from(item.0.fd.value.is_some()),
        Ready::Word(_) => 0,
    };
    processes(keys) * (PROCESS_DESCRIPTORS + tasks + readiness) + keys.sockets().count() as i64
}

/// What may be kept on one file system.
struct Claim {
    /// A folder of it that exists.
    folder: PathBuf,
    wanted: u64,
    /// What the logs take already.
    used: u64,
    /// The share that is largest, and where it is set.
    largest: u64,
    place: Place,
    logs: usize,
}

/// Says which file systems have less room than may be kept on them.
pub(super) fn disks(state: Option<&Path>, scene: &mut Scene<'_>) {
    let mut claims: BTreeMap<u64, Claim> = BTreeMap::new();
    let all = scene.config.workers.iter().zip(&scene.config.logs);
    for (worker, log) in all.filter(|(worker, _)| worker.keys.enabled.value) {
        add(worker, log, state, scene, &mut claims);
    }
    for claim in claims.into_values() {
        let Ok(free) = peek::free_bytes(&claim.folder) else { continue };
        if claim.wanted <= free.saturating_add(claim.used) {
            continue;
        }
        let folder = claim.folder.display();
        let used = if claim.used == 0 {
            String::new()
        } else {
            format!(", beside {} of logs that lie there", gib(claim.used))
        };
        let text = format!(
            "up to {} of logs may be kept in {folder}, and {} are free there{used}",
            gib(claim.wanted),
            gib(free)
        );
        let help = match claim.logs {
            1 => format!("keep less than {}, or put the log elsewhere", write_size(claim.largest)),
            logs => {
                format!("keep less than {} for each of {logs} logs, or put them elsewhere", write_size(claim.largest))
            }
        };
        scene.add(Report::warning(claim.place, text).help(help));
    }
}

fn add(
    worker: &Named<Worker>,
    log: &WorkerLog,
    state: Option<&Path>,
    scene: &Scene<'_>,
    claims: &mut BTreeMap<u64, Claim>,
) {
    let retain = &log.whole.retain;
    let parts = [&retain.routine, &retain.critical].map(|part| (part.value.bytes.unwrap_or(0), part.place));
    if !parts.iter().all(|(_, key)| scene.values.is_sound(*key)) || !scene.values.is_sound(log.whole.dir.place) {
        return;
    }
    let Some(dir) = places::logs(log, state) else { return };
    let names = places::log_names(worker);
    let folder = folders::nearest_existing(&dir);
    let Ok(found) = std::fs::metadata(folder) else { return };
    let each = parts.iter().fold(0u64, |sum, (bytes, _)| sum.saturating_add(*bytes));
    let (largest, key) = if parts[1].0 > parts[0].0 { parts[1] } else { parts[0] };
    let place = key.map_or(worker.place, |key| scene.values.of(key));
    let claim = claims.entry(found.dev()).or_insert_with(|| Claim {
        folder: folder.to_owned(),
        wanted: 0,
        used: 0,
        largest,
        place,
        logs: 0,
    });
    claim.wanted = claim.wanted.saturating_add(each.saturating_mul(names.len() as u64));
    claim.used = names.iter().map(|name| used(&dir.join(name))).fold(claim.used, u64::saturating_add);
    claim.logs += names.len();
    if largest > claim.largest {
        (claim.largest, claim.place) = (largest, place);
    }
}

/// What a log takes on the disk.
fn used(log: &Path) -> u64 {
    [log.to_owned(), log.join("critical")].iter().fold(0, |sum, folder| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(ENTRIES_MAX);
        let files = entries.filter_map(|entry| entry.metadata().ok()).filter(std::fs::Metadata::is_file);
        files.fold(sum, |sum, file| sum.saturating_add(file.blocks() * 512))
    })
}

fn gib(bytes: u64) -> String {
    let tenths = u128::from(bytes) * 10 / (1 << 30);
    if tenths < 100 { format!("{}.{} GiB", tenths / 10, tenths % 10) } else { format!("{} GiB", tenths / 10) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        assert_eq!(gib(0), "0.0 GiB");
        assert_eq!(gib(3 << 29), "1.5 GiB");
        assert_eq!(gib(20 << 30), "20 GiB");
        assert_eq!(gib(900 << 40), "921600 GiB");
    }

    #[test]
    fn what_a_log_takes() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(used(&folder.path().join("none")), 0);
        std::fs::create_dir(folder.path().join("critical")).unwrap();
        std::fs::write(folder.path().join("current"), vec![b'x'; 9000]).unwrap();
        std::fs::write(folder.path().join("critical/current"), vec![b'x'; 9000]).unwrap();
        assert!((18_000..100_000).contains(&used(folder.path())));
    }
}
