//! The syncer of some log directories: it makes files durable, gives archives their clean names, purges what has lived
//! long enough and stores the ledgers. An expiry is a deadline, not something that is looked for.

use super::accounts;
use super::compressor::Compressor;
use super::deadlines::Deadlines;
use super::directory::{Append, Directory};
use super::series::{Closed, archives};
use crate::clock::{Now, Tick, earliest};
use crate::log::name::{Archive, CRITICAL, CURRENT, LEDGER, Packed};
use crate::log::retain::{self, Stored};
use crate::log::settings::{Settings, Sync};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How long after a critical line it is durable.
const CRITICAL_SYNC: Duration = Duration::from_secs(1);
/// How long to wait before an archive that could not be deleted is tried again.
const PURGE_RETRY: Duration = Duration::from_secs(60);

/// Which of the two series of a log directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// All kept lines.
    Main,
    /// Critical and anomaly lines again.
    Critical,
}

impl Which {
    /// Main and critical.
    pub const BOTH: [Which; 2] = [Which::Main, Which::Critical];
}

/// Names a log directory among those that the same keepers keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogId(pub u32);

/// Something for the syncer to do for one log directory.
pub enum Job<D: Directory> {
    /// It is kept from now on.
    Keep(Box<Charge<D>>),
    /// A file became an archive.
    Closed(Which, Closed<D::File>),
    /// `current` was written to and is not durable.
    Dirty(Which),
    /// Store these counters, so that they last over a loss of power, too, or without waiting for the disk.
    Ledger {
        /// As JSON.
        json: Vec<u8>,
        /// Whether to wait.
        durable: bool,
    },
    /// It is kept otherwise from now on.
    Reload(Arc<Settings>),
    /// Make the worker's lines durable, say so, and keep it no more.
    Finish(Notice),
}

/// What is called when all of a log is durable.
pub type Notice = Box<dyn FnOnce() + Send>;

/// A log directory, as the syncer knows it.
#[derive(Debug)]
pub struct Charge<D: Directory> {
    dir: Arc<D>,
    settings: Arc<Settings>,
    shared: Arc<Shared>,
    /// Archives that were not compressed when this began. What is rotated since then comes as a job.
    leftover: Vec<(Which, Archive)>,
}

/// What a log's writer and its syncer both look at.
#[derive(Debug, Default)]
pub struct Shared {
    /// `current` was written to, and is to be synced in time.
    pub dirty: [AtomicBool; 2],
    /// It holds lines of the worker's that are not durable: it is synced at the end, too.
    pub owed: [AtomicBool; 2],
    /// What the archives hold, in bytes, as last looked at.
    pub archived: [AtomicU64; 2],
}

/// What comes due for a log directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Sync(Which),
    Purge,
}

/// The syncer's work, without its thread.
#[derive(Debug)]
pub struct Syncer<D: Directory> {
    charges: BTreeMap<LogId, Charge<D>>,
    compressor: Option<Compressor<D>>,
    due: Deadlines<(LogId, Due)>,
}

impl<D: Directory> Charge<D> {
    /// A directory that nobody writes to yet.
    pub fn new(dir: Arc<D>, settings: Arc<Settings>, shared: Arc<Shared>) -> Charge<D> {
        let mut leftover = Vec::new();
        for which in Which::BOTH.into_iter().filter(|_| settings.compress) {
            let stored = folder(&dir, which).ok().flatten().and_then(|dir| archives(&dir).ok()).unwrap_or_default();
            let plain = stored.iter().filter(|s| s.archive.packed == Packed::No);
            leftover.extend(plain.map(|s| (which, s.archive)));
        }
        Charge { dir, settings, shared, leftover }
    }

    /// Makes `current` durable. The flags go down first: what is written meanwhile raises them again.
    fn sync(&self, which: Which) {
        let [dirty, owed] =
            [&self.shared.dirty, &self.shared.owed].map(|flags| flags[which as usize].swap(false, Ordering::AcqRel));
        if !dirty && !owed {
            return;
        }
        let synced = folder(&self.dir, which).and_then(|dir| dir.map_or(Ok(()), |dir| dir.append(CURRENT)?.sync()));
        if let Err(e) = synced {
            let path = self.dir.path();
            tracing::error!("cannot sync {}/{CURRENT}: {e}; its last lines may not be durable", path.display());
        }
    }

    /// Syncs a closed file, gives it its clean name, and makes that durable: the archive that it is then.
    fn close(&self, which: Which, closed: &Closed<D::File>) -> io::Result<Option<Archive>> {
        let Some(dir) = folder(&self.dir, which)? else { return Ok(None) };
        closed.file.sync()?;
        if closed.failed {
            return Ok(Some(closed.archive));
        }
        let clean = closed.archive.with(true, Packed::No);
        match dir.rename(&closed.archive.to_string(), &clean.to_string()) {
            // Purged meanwhile, as the oldest of too many.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            renamed => renamed?,
        }
        dir.sync()?;
        Ok(Some(clean))
    }

    /// Purges what has lived long enough: when the next will have.
    fn purge(&self, now: Now) -> Option<Tick> {
        let next = Which::BOTH.map(|which| {
            let purged = self.purge_series(which, now);
            purged.inspect_err(|e| tracing::warn!("cannot purge {}: {e}", self.dir.path().display())).ok().flatten()
        });
        earliest(next)
    }

    fn purge_series(&self, which: Which, now: Now) -> io::Result<Option<Tick>> {
        let Some(dir) = folder(&self.dir, which)? else { return Ok(None) };
        let policy = match which {
            Which::Main => self.settings.routine,
            Which::Critical => self.settings.critical,
        };
        let stored = archives(&dir)?;
        // Some of the limit belongs to the file that is being written.
        let reserved = self.settings.rotate.bytes.unwrap_or(0);
        let gone = retain::expired(&stored, policy, reserved, now.wall);
        let mut retry = None;
        for Stored { archive, .. } in &gone {
            match dir.remove(&archive.to_string()) {
                Ok(()) => tracing::debug!("purged {archive}"),
                Err(e) => {
                    tracing::warn!("cannot purge {archive}: {e}");
                    retry = Some(now.tick.after(PURGE_RETRY));
                }
            }
        }
        let left: Vec<_> = stored.into_iter().filter(|s| !gone.contains(s)).collect();
        self.shared.archived[which as usize].store(left.iter().map(|s| s.bytes).sum(), Ordering::Relaxed);
        let next = retain::next_expiry(&left, policy).map(|at| now.tick.after(at.until(now.wall)));
        Ok(earliest([next, retry]))
    }
}

/// The directory of a series, held open; none where no critical line was ever written.
pub(super) fn folder<D: Directory>(dir: &Arc<D>, which: Which) -> io::Result<Option<D>> {
    match which {
        Which::Main => dir.open().map(Some),
        Which::Critical => match D::below(dir, CRITICAL).open() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        },
    }
}

impl<D: Directory> Syncer<D> {
    /// A syncer that keeps nothing yet.
    #[must_use]
    pub fn new() -> Syncer<D> {
        Syncer { charges: BTreeMap::new(), compressor: None, due: Deadlines::new() }
    }

    /// Does a job.
    pub fn work(&mut self, id: LogId, job: Job<D>, now: Now) {
        match (job, self.charges.get_mut(&id)) {
            (Job::Keep(charge), _) => self.keep(id, *charge, now),
            (Job::Finish(done), _) => {
                self.finish(id);
                done();
            }
            // Whoever keeps a log says so first.
            (_, None) => {}
            (Job::Reload(settings), Some(charge)) => {
                charge.settings = settings;
                self.purge(id, now);
            }
            (Job::Closed(which, closed), Some(charge)) => {
                match charge.close(which, &closed) {
                    Ok(archive) => archive.into_iter().for_each(|archive| self.compress(id, which, archive)),
                    Err(e) => {
                        let archive = closed.archive;
                        tracing::error!("cannot close {archive} cleanly: {e}; its last lines may not be durable");
                    }
                }
                self.purge(id, now);
            }
            (Job::Dirty(which), Some(charge)) => {
                let wait = match (which, charge.settings.sync) {
                    (Which::Critical, _) => Some(CRITICAL_SYNC),
                    (Which::Main, Sync::After(wait)) => Some(wait),
                    (Which::Main, Sync::Rotation | Sync::Always) => None,
                };
                self.due.set((id, Due::Sync(which)), wait.map(|wait| now.tick.after(wait)));
            }
            (Job::Ledger { json, durable }, Some(charge)) => {
                if let Err(e) = accounts::store(&*charge.dir, &json, durable) {
                    tracing::warn!("cannot store {}: {e}", charge.dir.path().join(LEDGER).display());
                }
            }
        }
    }

    /// What is to be done at start: purge what expired meanwhile, compress what earlier runs left.
    fn keep(&mut self, id: LogId, mut charge: Charge<D>, now: Now) {
        let leftover = std::mem::take(&mut charge.leftover);
        self.charges.insert(id, charge);
        self.purge(id, now);
        leftover.into_iter().for_each(|(which, archive)| self.compress(id, which, archive));
    }

    fn finish(&mut self, id: LogId) {
        if let Some(charge) = self.charges.remove(&id) {
            // What quell itself has added at the end is not worth waiting for the disk, a thousand times.
            let owed = |which: &Which| charge.shared.owed[*which as usize].load(Ordering::Acquire);
            Which::BOTH.into_iter().filter(owed).for_each(|which| charge.sync(which));
        }
        for due in [Due::Sync(Which::Main), Due::Sync(Which::Critical), Due::Purge] {
            self.due.set((id, due), None);
        }
    }

    /// When there is something to do that nobody sends.
    #[must_use]
    pub fn deadline(&self) -> Option<Tick> {
        self.due.first()
    }

    /// Does what is due.
    pub fn due(&mut self, now: Now) {
        while let Some((id, due)) = self.due.pop(now.tick) {
            match due {
                Due::Sync(which) => self.charges.get(&id).into_iter().for_each(|charge| charge.sync(which)),
                Due::Purge => self.purge(id, now),
            }
        }
    }

    fn purge(&mut self, id: LogId, now: Now) {
        if let Some(charge) = self.charges.get(&id) {
            self.due.set((id, Due::Purge), charge.purge(now));
        }
    }

    fn compress(&mut self, id: LogId, which: Which, archive: Archive) {
        let Some(charge) = self.charges.get(&id).filter(|charge| charge.settings.compress) else { return };
        let compressor = self.compressor.get_or_insert_with(Compressor::default);
        if let Err(e) = compressor.take(charge.dir.clone(), which, archive) {
            tracing::warn!("cannot start the compressor: {e}; {archive} stays as it is");
        }
    }
}

impl<D: Directory> Default for Syncer<D> {
    fn default() -> Syncer<D> {
        Syncer::new()
    }
}

impl<D: Directory> fmt::Debug for Job<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Job::Keep(_) => "Keep",
            Job::Closed(..) => "Closed",
            Job::Dirty(_) => "Dirty",
            Job::Ledger { .. } => "Ledger",
            Job::Reload(_) => "Reload",
            Job::Finish(_) => "Finish",
        };
        f.write_str(name)
    }
}
