//! The keepers of a log directory: what may block long is done here, so that no writer waits for it.
//!
//! The *syncer* makes files durable, gives archives their clean names, purges what has lived long enough and stores the
//! ledger. The *compressor*, at the lowest priority, compresses archives. Both sleep until there is something to do; an
//! expiry is a deadline, not something that is looked for.

use super::accounts;
use super::directory::{Append, Directory};
use super::series::{Closed, archives};
use crate::clock::{Now, Tick, earliest};
use crate::log::name::{Archive, CRITICAL, CURRENT, LEDGER, Packed};
use crate::log::retain::{self, Stored};
use crate::sys::{thread, time};
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How many closed files may wait for their sync before the writer waits for the disk.
const CLOSED_WAITING_MAX: usize = 16;
/// How long after a critical line it is durable.
const CRITICAL_SYNC: Duration = Duration::from_secs(1);
/// How long to wait before an archive that could not be deleted is tried again.
const PURGE_RETRY: Duration = Duration::from_secs(60);
/// How long the end of quell waits for a disk.
const STOP_WAIT: Duration = Duration::from_secs(10);
/// Compression: level and window, so that it stays below 8 MiB.
const ZSTD_LEVEL: i32 = 3;
const ZSTD_WINDOW_LOG: u32 = 20;

/// Which of the two series of a log directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All kept lines.
    Main,
    /// Critical and anomaly lines again.
    Critical,
}

/// What keepers go by.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// For the archives of all lines.
    pub routine: retain::Policy,
    /// For those of critical and anomaly lines.
    pub critical: retain::Policy,
    /// Bytes of each limit that belong to the file being written.
    pub reserved: u64,
    /// Compress archives.
    pub compress: bool,
    /// How long after the first unsynced write to sync; none is at rotation only.
    pub sync_after: Option<Duration>,
}

/// Something for the syncer.
#[derive(Debug)]
pub enum Job<D: Directory> {
    /// A file became an archive.
    Closed(Which, Closed<D::File>),
    /// `current` was written to and is not durable.
    Dirty(Which),
    /// Store these counters.
    Ledger(Vec<u8>),
    /// The directory is another one now.
    Moved(D),
    /// Finish: make what is dirty durable, then stop.
    Stop,
}

/// The syncer's work, without its thread.
#[derive(Debug)]
pub struct Syncer<D: Directory> {
    dir: D,
    rules: Rules,
    compressor: Option<Compressor<D>>,
    /// Archives that were not compressed when this began. What is rotated since then comes as a job.
    leftover: Vec<(Which, Archive)>,
    sync_at: [Option<Tick>; 2],
    purge_at: Option<Tick>,
    dirty: Arc<[AtomicBool; 2]>,
}

impl Which {
    /// Main and critical.
    pub const BOTH: [Which; 2] = [Which::Main, Which::Critical];
}

impl<D: Directory> Syncer<D> {
    /// A syncer for a directory that nobody writes to yet, and the compressor that it hands archives to.
    pub fn new(dir: D, rules: Rules, dirty: Arc<[AtomicBool; 2]>, compressor: Option<Compressor<D>>) -> Self {
        let mut leftover = Vec::new();
        for which in Which::BOTH {
            let stored = folder(&dir, which).ok().flatten().and_then(|dir| archives(&dir).ok()).unwrap_or_default();
            let plain = stored.iter().filter(|s| s.archive.packed == Packed::No);
            leftover.extend(plain.map(|s| (which, s.archive)));
        }
        Syncer { dir, rules, compressor, leftover, sync_at: [None; 2], purge_at: None, dirty }
    }

    /// What is to be done at start: purge what expired meanwhile, compress what earlier runs left.
    pub fn start(&mut self, now: Now) {
        self.purge(now);
        for (which, archive) in std::mem::take(&mut self.leftover) {
            self.compress(which, archive);
        }
    }

    /// Does a job; false when it was the last.
    pub fn work(&mut self, job: Job<D>, now: Now) -> bool {
        match job {
            Job::Closed(which, closed) => {
                if let Err(e) = self.close(which, &closed) {
                    tracing::error!("cannot close {} cleanly: {e}; its last lines may not be durable", closed.archive);
                }
                self.purge(now);
            }
            Job::Dirty(which) => {
                let wait = match which {
                    Which::Main => self.rules.sync_after,
                    Which::Critical => Some(CRITICAL_SYNC),
                };
                self.sync_at[which as usize] = wait.map(|wait| now.tick.after(wait));
            }
            Job::Ledger(json) => {
                if let Err(e) = accounts::store(&self.dir, &json, true) {
                    tracing::warn!("cannot store {}: {e}", self.dir.path().join(LEDGER).display());
                }
            }
            Job::Moved(dir) => {
                let again = self.compressor.take().map(|_| dir.again()).transpose();
                self.dir = dir;
                match again {
                    Ok(dir) => self.compressor = dir.map(Compressor::new),
                    Err(e) => tracing::warn!("cannot go on compressing in {}: {e}", self.dir.path().display()),
                }
            }
            Job::Stop => {
                Which::BOTH.into_iter().for_each(|which| self.sync(which));
                return false;
            }
        }
        true
    }

    /// When there is something to do that nobody sends.
    pub fn deadline(&self) -> Option<Tick> {
        earliest([self.sync_at[0], self.sync_at[1], self.purge_at])
    }

    /// Does what is due.
    pub fn due(&mut self, now: Now) {
        for which in Which::BOTH {
            if self.sync_at[which as usize].is_some_and(|at| at <= now.tick) {
                self.sync(which);
            }
        }
        if self.purge_at.is_some_and(|at| at <= now.tick) {
            self.purge(now);
        }
    }

    /// Syncs a closed file, gives it its clean name, and makes that durable.
    fn close(&mut self, which: Which, closed: &Closed<D::File>) -> io::Result<()> {
        let Some(dir) = self.folder(which)? else { return Ok(()) };
        closed.file.sync()?;
        let archive = if closed.failed {
            closed.archive
        } else {
            let clean = closed.archive.with(true, Packed::No);
            match dir.rename(&closed.archive.to_string(), &clean.to_string()) {
                // Purged meanwhile, as the oldest of too many.
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
                renamed => renamed?,
            }
            dir.sync()?;
            clean
        };
        self.compress(which, archive);
        Ok(())
    }

    /// Makes `current` durable. The flag goes down first: what is written meanwhile raises it again.
    fn sync(&mut self, which: Which) {
        self.sync_at[which as usize] = None;
        if !self.dirty[which as usize].swap(false, Ordering::AcqRel) {
            return;
        }
        let synced = self.folder(which).and_then(|dir| dir.map_or(Ok(()), |dir| dir.append(CURRENT)?.sync()));
        if let Err(e) = synced {
            tracing::error!(
                "cannot sync {}/{CURRENT}: {e}; its last lines may not be durable",
                self.dir.path().display()
            );
        }
    }

    /// Purges what has lived long enough, and finds out when the next will have.
    fn purge(&mut self, now: Now) {
        self.purge_at = None;
        for which in Which::BOTH {
            match self.purge_series(which, now) {
                Ok(next) => self.purge_at = earliest([self.purge_at, next]),
                Err(e) => tracing::warn!("cannot purge {}: {e}", self.dir.path().display()),
            }
        }
    }

    fn purge_series(&self, which: Which, now: Now) -> io::Result<Option<Tick>> {
        let Some(dir) = self.folder(which)? else { return Ok(None) };
        let policy = match which {
            Which::Main => self.rules.routine,
            Which::Critical => self.rules.critical,
        };
        let stored = archives(&dir)?;
        let gone = retain::expired(&stored, policy, self.rules.reserved, now.wall);
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
        let next = retain::next_expiry(&left, policy).map(|at| now.tick.after(at.until(now.wall)));
        Ok(earliest([next, retry]))
    }

    fn compress(&mut self, which: Which, archive: Archive) {
        if let Some(Err(e)) = self.compressor.as_mut().map(|compressor| compressor.take(which, archive)) {
            tracing::warn!("cannot start the compressor: {e}; {archive} stays as it is");
        }
    }

    fn folder(&self, which: Which) -> io::Result<Option<D>> {
        folder(&self.dir, which)
    }
}

/// The directory of a series; none where no critical line was ever written.
fn folder<D: Directory>(dir: &D, which: Which) -> io::Result<Option<D>> {
    match which {
        Which::Main => dir.again().map(Some),
        Which::Critical if dir.names()?.iter().any(|name| name == CRITICAL) => dir.folder(CRITICAL).map(Some),
        Which::Critical => Ok(None),
    }
}

/// Compresses one archive: into a file of its own, synced, renamed, and only then the original is removed.
///
/// # Errors
/// What the directory says; `Interrupted` when quell stops.
pub fn compress<D: Directory>(dir: &D, archive: Archive, stop: &AtomicBool) -> io::Result<()> {
    let plain = archive.to_string();
    let unfinished = archive.with(archive.clean, Packed::Unfinished).to_string();
    let source = match dir.read(&plain) {
        // Purged meanwhile.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        source => source?,
    };
    dir.remove(&unfinished)?;
    let file = dir.create_new(&unfinished)?;
    let packed = pack(source, &file, stop).and_then(|()| file.sync());
    if let Err(e) = packed {
        dir.remove(&unfinished)?;
        return Err(e);
    }
    dir.rename(&unfinished, &archive.with(archive.clean, Packed::Zstd).to_string())?;
    dir.sync()?;
    dir.remove(&plain)
}

fn pack(mut source: Box<dyn Read>, file: &impl Append, stop: &AtomicBool) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(Appender(file), ZSTD_LEVEL)?;
    encoder.window_log(ZSTD_WINDOW_LOG)?;
    encoder.include_checksum(true)?;
    let mut chunk = vec![0; 64 * 1024];
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match source.read(&mut chunk)? {
            0 => return encoder.finish().map(|_| ()),
            bytes => encoder.write_all(&chunk[..bytes])?,
        }
    }
}

struct Appender<'a, F>(&'a F);

impl<F: Append> Write for Appender<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The keepers, as their writer sees them.
#[derive(Debug)]
pub struct Keepers<D: Directory> {
    lane: Lane<D>,
    dirty: Arc<[AtomicBool; 2]>,
    syncs_by_time: bool,
}

/// How a job gets to the syncer.
#[derive(Debug)]
enum Lane<D: Directory> {
    /// By a channel, to a thread.
    Thread { jobs: SyncSender<Job<D>>, stopped: Receiver<()>, syncer: JoinHandle<()> },
    /// By a call, so that a test sees the steps in one order.
    #[cfg(test)]
    Inline(std::cell::RefCell<Syncer<D>>),
}

impl<D: Directory> Keepers<D> {
    /// Starts them.
    ///
    /// # Errors
    /// As pthread_create(3), or what the directory says.
    pub fn start(dir: &D, rules: Rules) -> io::Result<Keepers<D>> {
        let (jobs, inbox) = sync_channel(CLOSED_WAITING_MAX);
        let (done, stopped) = channel();
        let dirty: Arc<[AtomicBool; 2]> = Arc::default();
        let compressor = if rules.compress { Some(Compressor::new(dir.again()?)) } else { None };
        let mut syncer = Syncer::new(dir.again()?, rules, dirty.clone(), compressor);
        let syncer = thread::spawn("syncer", move || {
            sync_loop(&mut syncer, &inbox);
            // Whoever waits for it may have given up.
            let _ = done.send(());
            drop(syncer);
            let _ = done.send(());
        })?;
        let syncs_by_time = rules.sync_after.is_some();
        Ok(Keepers { lane: Lane::Thread { jobs, stopped, syncer }, dirty, syncs_by_time })
    }

    /// Keepers without threads.
    #[cfg(test)]
    pub(super) fn inline(dir: &D, rules: Rules) -> io::Result<Keepers<D>> {
        let dirty: Arc<[AtomicBool; 2]> = Arc::default();
        let syncer = Syncer::new(dir.again()?, rules, dirty.clone(), None);
        Ok(Keepers { lane: Lane::Inline(syncer.into()), dirty, syncs_by_time: rules.sync_after.is_some() })
    }

    /// Hands a job over. Waits only where so many closed files wait for their sync that the disk cannot keep up.
    pub fn send(&self, job: Job<D>) {
        match &self.lane {
            // The syncer ends only when it is told to.
            Lane::Thread { jobs, .. } => drop(jobs.send(job)),
            #[cfg(test)]
            Lane::Inline(syncer) => drop(syncer.borrow_mut().work(job, Now::default())),
        }
    }

    /// `current` was written to: says so once, until it has been synced.
    pub fn dirty(&self, which: Which) {
        if !self.dirty[which as usize].swap(true, Ordering::AcqRel) {
            self.send(Job::Dirty(which));
        }
    }

    /// `current` is being written to: it is synced at the end, whatever else happens.
    pub fn soil(&self, which: Which) {
        if !self.syncs_by_time {
            self.dirty[which as usize].store(true, Ordering::Release);
        }
    }

    /// Makes all durable and ends the threads; gives up on a disk that hangs.
    pub fn stop(self) {
        self.send(Job::Stop);
        match self.lane {
            Lane::Thread { stopped, syncer, .. } => {
                // It says so twice: when all is durable, and when the compressor has let go.
                if stopped.recv_timeout(STOP_WAIT).is_err() {
                    tracing::error!("the disk does not answer; the last lines may not be durable");
                } else if stopped.recv_timeout(STOP_WAIT).is_ok() {
                    drop(syncer.join());
                }
            }
            #[cfg(test)]
            Lane::Inline(_) => {}
        }
    }
}

/// The compressor's thread, started when the first archive comes. Dropped, it stops in the middle of one: the next start
/// of quell goes on with it.
#[derive(Debug)]
pub struct Compressor<D> {
    stop: Arc<AtomicBool>,
    dir: Option<D>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    archives: Sender<(Which, Archive)>,
    thread: JoinHandle<()>,
}

impl<D: Directory> Compressor<D> {
    /// A compressor for a directory, not started yet.
    pub fn new(dir: D) -> Compressor<D> {
        Compressor { stop: Arc::default(), dir: Some(dir), running: None }
    }

    fn take(&mut self, which: Which, archive: Archive) -> io::Result<()> {
        if let Some(dir) = self.dir.take() {
            let (archives, inbox) = channel();
            let stop = self.stop.clone();
            let thread = thread::spawn("compressor", move || compress_loop(&dir, &inbox, &stop))?;
            self.running = Some(Running { archives, thread });
        }
        if let Some(running) = &self.running {
            // It ends only when it is dropped.
            let _ = running.archives.send((which, archive));
        }
        Ok(())
    }
}

impl<D> Drop for Compressor<D> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(Running { archives, thread }) = self.running.take() {
            drop(archives);
            let _ = thread.join();
        }
    }
}

fn compress_loop<D: Directory>(dir: &D, inbox: &Receiver<(Which, Archive)>, stop: &AtomicBool) {
    thread::lowest_priority();
    while let Ok((which, archive)) = inbox.recv() {
        let packed = folder(dir, which).and_then(|dir| dir.map_or(Ok(()), |dir| compress(&dir, archive, stop)));
        match packed {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return,
            Err(e) => tracing::warn!("cannot compress {archive}: {e}; it stays as it is"),
            Ok(()) => {}
        }
    }
}

fn sync_loop<D: Directory>(syncer: &mut Syncer<D>, inbox: &Receiver<Job<D>>) {
    syncer.start(time::now());
    loop {
        let job = match syncer.deadline() {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => inbox.recv_timeout(at.until(time::now().tick)),
        };
        let now = time::now();
        match job {
            Ok(job) => {
                if !syncer.work(job, now) {
                    return;
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        syncer.due(now);
    }
}
