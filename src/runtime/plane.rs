//! The output plane: a thread that reads the pipes of many workers and writes what is kept of their lines. It never waits
//! for the control plane, nor that for it; both send messages. `run` is the case of one worker.
//!
//! What is said here; `turn` is its loop, `orders` what each message does, `served` what it keeps of each worker.

mod orders;
mod pump;
mod queue;
mod served;
mod turn;

use super::directory::OnDisk;
use super::keeper::Keepers;
use super::lookout::Watchwords;
use super::outbox::Outbox;
use super::output::Output;
use super::reactor::Reactor;
use super::sorting::Sorting;
use super::tag::Tag;
use crate::log::ledger::{Count, Ledger, RuleKey, Tally};
use crate::log::settings::Settings;
use crate::sys::poller::Waker;
use crate::sys::proc::Named;
use crate::sys::thread;
pub use crate::worker::WorkerId;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use turn::Work;

/// How a worker's output is dealt with.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its name in messages.
    pub label: Arc<str>,
    /// The name of its log directory, in the plane's.
    pub dir: String,
    /// How its log is kept; workers whose logs are kept alike share it.
    pub settings: Arc<Settings>,
    /// What its lines are sorted by; workers with the same lists share it.
    pub sorting: Sorting,
    /// Longer lines are kept in pieces.
    pub line_bytes_max: usize,
    /// The longest that a line waits in the pipe.
    pub latency: Duration,
    /// What the line holds by which the worker says that it is ready.
    pub ready: Option<Vec<u8>>,
    /// What somebody waits for in its lines.
    pub watchwords: Option<Arc<Watchwords>>,
}

/// What the control plane says. All but the last concerns one worker; one that is not attached is passed over.
#[derive(Debug)]
pub enum ToPlane {
    /// A worker whose lines come here from now on. Its log is opened here; where it cannot be, that is told
    /// (`FromPlane::LogTrouble`) and tried again, and meanwhile its pipes are not read, or its lines are dropped, as its
    /// settings say. A directory must not be attached again before `FromPlane::Detached`.
    Attach(WorkerId, Box<Spec>),
    /// A life of it begins. Others may still be read.
    Begin {
        /// Whose.
        worker: WorkerId,
        /// Its number, which no other life of this worker has.
        life: u32,
        /// Which task its lines are of, where they are of any.
        tag: Option<Arc<Tag>>,
        /// Its standard output: the reading end, which does not block.
        stdout: OwnedFd,
        /// Its standard error.
        stderr: OwnedFd,
        /// Written into the log before what it prints.
        mark: Option<String>,
    },
    /// Read what a life has printed, now. Answered by `FromPlane::Emptied`, when all of that is sorted.
    Empty(WorkerId, u32),
    /// The process of a life has ended: what is left is read, until it falls silent for so long.
    Drain {
        /// Whose.
        worker: WorkerId,
        /// Which life.
        life: u32,
        /// How long.
        window: Duration,
        /// Written into the log after that.
        mark: Option<String>,
    },
    /// The pipes of its lives that have ended are given up.
    Release(WorkerId),
    /// Write this into the log.
    Mark(WorkerId, String),
    /// All but the directory and the name is so from now on: at a line's end, and in place. A readiness line is looked for from the
    /// next life on.
    Reload(WorkerId, Box<Spec>),
    /// Rotate its log.
    Rotate(WorkerId),
    /// Open its log's files anew.
    Reopen(WorkerId),
    /// Give up its pipes, write this into the log, and finish that. Answered by `FromPlane::Detached`.
    Detach(WorkerId, Option<String>),
    /// Answered by `FromPlane::Snapshot`, with this number and those of the workers that are attached.
    Snapshot(u64, Vec<WorkerId>),
    /// Detach all workers, and end.
    Finish,
}

/// What the output plane says.
#[derive(Debug)]
pub enum FromPlane {
    /// All pipes of a life are closed, and what came out of them is dealt with, unless it was given up.
    OutputEnded {
        /// Whose.
        worker: WorkerId,
        /// Which life.
        life: u32,
        /// Who held them open, where they were given up for that.
        holders: Vec<Named>,
        /// The end of the last line that the worker printed, as in a snapshot.
        last_line: Option<String>,
    },
    /// The line by which it says that it is ready was printed, be it noise.
    Ready {
        /// Who.
        worker: WorkerId,
        /// In which life.
        life: u32,
    },
    /// What it has printed before it was asked to be emptied is sorted.
    Emptied {
        /// Whose.
        worker: WorkerId,
        /// In which life.
        life: u32,
    },
    /// A line was printed that somebody waits for, be it noise: which, the watchwords know. Told again when that was taken.
    Spotted(Arc<Watchwords>),
    /// Its log cannot be written, or can be again. This has been said on stderr, too.
    LogTrouble {
        /// Whose.
        worker: WorkerId,
        /// What.
        text: String,
    },
    /// What was asked for.
    Snapshot {
        /// The number of the question.
        ticket: u64,
        /// Each worker that is attached.
        workers: Vec<(WorkerId, Snapshot)>,
    },
    /// It is no more, and all of its log is durable, as far as the disk answers.
    Detached {
        /// Who.
        worker: WorkerId,
        /// What was counted.
        ledger: Box<Ledger>,
        /// Output could not be passed on, though its reader had not left.
        failed: bool,
    },
    /// The thread has come to its end; the last of all messages.
    Ended,
}

/// How the output of a worker stands.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What became of its lines, all streams together.
    pub tally: Tally,
    /// The rule that has suppressed most lines.
    pub top_rule: Option<(Arc<RuleKey>, Count)>,
    /// Its log on the disk: the archives as last looked at.
    pub log_bytes: u64,
    /// The end of the last line that it printed, at most 256 bytes; what is not UTF-8 is shown as U+FFFD.
    pub last_line: Option<String>,
    /// Why its pipes are not read for now, or its lines dropped.
    pub waiting: Option<String>,
}

/// A worker whose output path there is before the plane starts.
#[derive(Debug)]
pub struct Opened {
    /// Who.
    pub worker: WorkerId,
    /// Its name in messages.
    pub label: Arc<str>,
    /// Where its lines go.
    pub output: Output<OnDisk>,
}

/// The output plane, as the control plane sees it. Dropped, it finishes by itself.
#[derive(Debug)]
pub struct Plane {
    mailbox: Mailbox,
    thread: Option<JoinHandle<()>>,
}

impl Plane {
    /// Starts the thread. `root` is the directory of logs that it holds, with its lock; `opened` are workers whose output
    /// paths there are already, with what keeps their logs. What it says goes to `told`, and `on_news` is woken.
    ///
    /// # Errors
    /// As epoll_create1(2) and pthread_create(3).
    pub fn start(
        root: Option<Arc<OnDisk>>,
        opened: Vec<Opened>,
        keepers: Keepers<OnDisk>,
        told: Sender<FromPlane>,
        on_news: Arc<Waker>,
    ) -> io::Result<Plane> {
        let reactor = Reactor::new()?;
        let (messages, inbox) = channel();
        let mailbox = Mailbox { messages, waker: Arc::new(reactor.waker()?), awake: Arc::default() };
        let outbox = Outbox::new(told, on_news, FromPlane::Ended);
        let is_of_many = root.is_some();
        let mut work = Work::new(root, keepers, reactor, (mailbox.clone(), inbox), outbox);
        for Opened { worker, label, output } in opened {
            work.adopt(worker, label, output)?;
        }
        let thread = thread::spawn("output", move || {
            if is_of_many {
                thread::gives_way();
            }
            work.run();
        })?;
        Ok(Plane { mailbox, thread: Some(thread) })
    }

    /// Says something to the output plane.
    pub fn send(&self, message: ToPlane) {
        self.mailbox.send(Message::Order(message));
    }

    /// Waits for its end, after `Finish`.
    pub fn join(mut self) {
        // A panic has been said, and `FromPlane::Ended` told.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.mailbox.send(Message::Abandoned);
    }
}

/// What the plane is told: by the control plane, or by one of its own keepers.
#[derive(Debug)]
enum Message {
    Order(ToPlane),
    /// The log of this worker is durable.
    Durable(WorkerId),
    /// The control plane is there no more.
    Abandoned,
}

/// Where the plane gets its messages. It is woken once for all that come while it is at work.
#[derive(Clone, Debug)]
struct Mailbox {
    messages: Sender<Message>,
    waker: Arc<Waker>,
    /// It was woken, and has not looked since.
    awake: Arc<AtomicBool>,
}

impl Mailbox {
    fn send(&self, message: Message) {
        // It listens until it is told to finish.
        if self.messages.send(message).is_ok()
            && !self.awake.swap(true, Ordering::AcqRel)
            && let Err(e) = self.waker.wake()
        {
            tracing::error!("cannot wake the output plane: {e}");
        }
    }

    /// What is sent from now on wakes again. To be called before the messages are looked at.
    fn look(&self) {
        self.awake.store(false, Ordering::Release);
    }
}
