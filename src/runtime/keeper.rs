//! The keepers of log directories: what may block long is done by them, so that no writer waits for it. There is one set
//! of them for all directories that one thread writes to, and each of them is one thread: the syncer (`super::syncer`)
//! and the compressor (`super::compressor`). Both sleep until there is something to do.

use super::directory::Directory;
use super::syncer::{Charge, Job, LogId, Notice, Shared, Syncer, Which};
use crate::log::settings::Settings;
use crate::sys::{thread, time};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How many closed files may wait for their sync before the writer waits for the disk.
const CLOSED_WAITING_MAX: usize = 16;
/// How long the end of quell waits for a disk.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// The keepers, as the thread sees them that writes what they keep.
#[derive(Debug)]
pub struct Keepers<D: Directory> {
    lane: Option<Lane<D>>,
    thread: Option<SyncerThread>,
    kept: u32,
}

/// How a job gets to the syncer.
#[derive(Debug)]
enum Lane<D: Directory> {
    /// By a channel, to a thread. Of closed files it holds only so many, each with a permit.
    Thread { jobs: Sender<(LogId, Job<D>)>, permits: SyncSender<()> },
    /// By a call, so that a test sees the steps in one order.
    #[cfg(test)]
    Inline(Arc<std::sync::Mutex<Syncer<D>>>),
}

#[derive(Debug)]
struct SyncerThread {
    stopped: Receiver<()>,
    handle: JoinHandle<()>,
}

impl<D: Directory> Keepers<D> {
    /// Keepers that keep nothing; their threads start when they are first needed.
    #[must_use]
    pub fn new() -> Keepers<D> {
        Keepers { lane: None, thread: None, kept: 0 }
    }

    /// Keepers without threads.
    #[cfg(test)]
    pub(super) fn inline() -> Keepers<D> {
        Keepers { lane: Some(Lane::Inline(Arc::default())), thread: None, kept: 0 }
    }

    /// Keeps a directory that nobody writes to yet, from now until `Keeper::finish`.
    ///
    /// # Errors
    /// As pthread_create(3).
    pub fn keep(&mut self, dir: Arc<D>, settings: Arc<Settings>) -> io::Result<Keeper<D>> {
        let lane = match &self.lane {
            Some(lane) => lane.clone(),
            None => self.start()?,
        };
        let shared: Arc<Shared> = Arc::default();
        let keeper = Keeper { id: LogId(self.kept), lane, shared: shared.clone() };
        self.kept += 1;
        keeper.send(Job::Keep(Box::new(Charge::new(dir, settings, shared))));
        Ok(keeper)
    }

    fn start(&mut self) -> io::Result<Lane<D>> {
        let (jobs, inbox) = channel();
        let (permits, dealt_with) = sync_channel(CLOSED_WAITING_MAX);
        let (done, stopped) = channel();
        let handle = thread::spawn("syncer", move || {
            thread::gives_way();
            let mut syncer = Syncer::new();
            sync_loop(&mut syncer, &inbox, &dealt_with);
            // Whoever waits for it may have given up.
            let _ = done.send(());
            drop(syncer);
            let _ = done.send(());
        })?;
        self.thread = Some(SyncerThread { stopped, handle });
        Ok(self.lane.insert(Lane::Thread { jobs, permits }).clone())
    }

    /// Ends the threads, when all that was kept has been finished; gives up on a disk that hangs.
    pub fn stop(self) {
        drop(self.lane);
        if let Some(SyncerThread { stopped, handle }) = self.thread {
            // It says so twice: when all is durable, and when the compressor has let go.
            if stopped.recv_timeout(STOP_WAIT).is_err() {
                tracing::error!("the disk does not answer; the last lines may not be durable");
            } else if stopped.recv_timeout(STOP_WAIT).is_ok() {
                drop(handle.join());
            }
        }
    }
}

impl<D: Directory> Default for Keepers<D> {
    fn default() -> Keepers<D> {
        Keepers::new()
    }
}

/// The keepers of one log directory, as its writer sees them.
#[derive(Debug)]
pub struct Keeper<D: Directory> {
    id: LogId,
    lane: Lane<D>,
    shared: Arc<Shared>,
}

impl<D: Directory> Keeper<D> {
    /// Hands a job over. Waits only where so many closed files wait for their sync that the disk cannot keep up.
    pub fn send(&self, job: Job<D>) {
        match &self.lane {
            Lane::Thread { jobs, permits } => {
                // The syncer ends only when nobody can send any more.
                if matches!(job, Job::Closed(..)) {
                    let _ = permits.send(());
                }
                let _ = jobs.send((self.id, job));
            }
            #[cfg(test)]
            Lane::Inline(syncer) => syncer.lock().unwrap().work(self.id, job, crate::clock::Now::default()),
        }
    }

    /// Goes by other settings from now on.
    pub fn reload(&self, settings: Arc<Settings>) {
        self.send(Job::Reload(settings));
    }

    /// `current` was written to: says so once, until it has been synced.
    pub fn dirty(&self, which: Which) {
        if !self.shared.dirty[which as usize].swap(true, Ordering::AcqRel) {
            self.send(Job::Dirty(which));
        }
    }

    /// Lines of the worker's are being written to `current`: it is synced at the end, whatever else happens.
    pub fn owe(&self, which: Which) {
        self.shared.owed[which as usize].store(true, Ordering::Release);
    }

    /// What the archives hold, in bytes, as last looked at.
    #[must_use]
    pub fn archived(&self) -> u64 {
        self.shared.archived.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum()
    }

    /// Makes all durable, and calls this then, in another thread.
    pub fn finish(self, done: Notice) {
        self.send(Job::Finish(done));
    }
}

fn sync_loop<D: Directory>(syncer: &mut Syncer<D>, inbox: &Receiver<(LogId, Job<D>)>, permits: &Receiver<()>) {
    loop {
        let job = match syncer.deadline() {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => inbox.recv_timeout(at.until(time::now().tick)),
        };
        let now = time::now();
        match job {
            Ok((id, job)) => {
                let is_closed = matches!(job, Job::Closed(..));
                syncer.work(id, job, now);
                if is_closed {
                    let _ = permits.try_recv();
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        syncer.due(now);
    }
}

impl<D: Directory> Clone for Lane<D> {
    fn clone(&self) -> Lane<D> {
        match self {
            Lane::Thread { jobs, permits } => Lane::Thread { jobs: jobs.clone(), permits: permits.clone() },
            #[cfg(test)]
            Lane::Inline(syncer) => Lane::Inline(syncer.clone()),
        }
    }
}
