//! What is said to the store and what it says.

use super::database::Returned;
use super::error::StoreError;
use super::tally::Counts;
use crate::clock::Wall;
use crate::config::values::Durable;
use crate::task::{Class, State, Task, TaskId};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long what nobody waits for waits for company: each commit costs as much as many tasks do.
const COMPANY_WAIT: Duration = Duration::from_micros(500);

/// Names an order among those that were not answered yet; whoever sends it chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Something for the store to do. Each is answered by one `Reply`, once what it did is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Store tasks, all or none of them; answered by `Reply::Put` or `Reply::Full`.
    Put(Put),
    /// Files have come: a task is stored for each that was not seen before, as far as the queue can hold them; answered by
    /// `Reply::Arrived`.
    Arrived(Arrived),
    /// These waiting tasks begin a try; answered by `Reply::Leased`.
    Lease {
        /// Which.
        ids: Vec<TaskId>,
        /// Nobody waits for that: whoever is to work on them has others to do first.
        ahead: bool,
    },
    /// A running task's try has ended. Whatever is not running is left as it is.
    End {
        /// Which.
        id: TaskId,
        /// What becomes of it.
        ending: Ending,
        /// When.
        now: Wall,
    },
    /// The next waiting tasks of a class, the oldest first; answered by `Reply::Fetched`.
    Fetch {
        /// Of which queue.
        queue: Arc<str>,
        /// Of which class.
        class: Class,
        /// Only those behind this one; `TaskId(0)` is before all.
        after: TaskId,
        /// So many at most.
        tasks_max: u32,
        /// No more when their payloads have so many bytes; one in any case.
        bytes_max: u64,
        /// When.
        now: Wall,
    },
    /// A crew can take a task; answered by `Reply::Taken` when there is one, be that now or later. This takes the place of what
    /// the crew has asked for before, which is answered by `Reply::Changed`, and so is this where it asks for nothing. Only of
    /// stores that several supervisors share.
    Take {
        /// Who.
        by: u32,
        /// From where: of the first of these that has one.
        from: Vec<Source>,
    },
    /// Delayed tasks that are due wait from now on. Where there are many, some: `more` says so, and so does their queue's
    /// `next_due`.
    Due {
        /// When.
        now: Wall,
    },
    /// Tasks by their numbers; answered by `Reply::Listed`.
    List {
        /// Of one queue, or of all.
        queue: Option<Arc<str>>,
        /// Those in one state, or all.
        state: Option<State>,
        /// Only those behind this one.
        after: TaskId,
        /// So many at most.
        max: u32,
    },
    /// All of a task; answered by `Reply::Shown`.
    Show {
        /// Which.
        id: TaskId,
    },
    /// Buried and delayed tasks wait from now on, as if they had never been tried.
    Kick(Which),
    /// A task that is waiting or delayed is given up.
    Bury {
        /// Which.
        id: TaskId,
        /// Why.
        why: Box<str>,
        /// When.
        now: Wall,
    },
    /// A task that is not running is deleted.
    Drop {
        /// Which.
        id: TaskId,
    },
    /// All tasks of a queue are deleted but the running ones and the results of the done. Where there are many, some.
    Drain {
        /// Of which queue.
        queue: Arc<str>,
    },
    /// A queue is paused, or goes on. That is stored, and shown in its counts; whoever starts tasks heeds it.
    Pause {
        /// Which.
        queue: Arc<str>,
        /// Paused or going on.
        paused: bool,
    },
    /// What has stayed long enough is deleted: done, buried and damaged tasks. Where there are many, some.
    Purge {
        /// Of which queue.
        queue: Arc<str>,
        /// What ended before this.
        before: Wall,
        /// And the oldest of more than so many done ones.
        done_max: u64,
    },
    /// Another process may have put something. That is noticed at each order anyway; this one does nothing else.
    Look,
}

/// Where a task can be taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Of which queue.
    pub queue: Arc<str>,
    /// Of which class.
    pub class: Class,
    /// A low task that has waited so long counts as a normal one.
    pub max_wait: Duration,
}

/// Tasks to store in a queue, all or none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// Which queue; it is made where there is none of this name.
    pub queue: Arc<str>,
    /// When this is durable. It is answered then.
    pub durable: Durable,
    /// What the queue may hold.
    pub limits: Limits,
    /// What is put, in this order.
    pub tasks: Vec<NewTask>,
    /// So many of those that have no delay, the first ones, are running from now on, in their first try.
    pub start: u32,
    /// Somebody waits for what becomes of them: a store that several supervisors share says so by `FromStore::Over`, whoever does
    /// them.
    pub awaited: bool,
    /// When.
    pub now: Wall,
}

/// Files that have come, each of which a task is to be stored for, but never two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// In which queue.
    pub queue: Arc<str>,
    /// When these tasks are durable.
    pub durable: Durable,
    /// What the queue may hold.
    pub limits: Limits,
    /// The files, in this order. One that was seen under another path is the same file: a task for it that has not ended
    /// gets the new path.
    pub files: Vec<File>,
    /// These are there no more, and need not be remembered where they were last seen at that path.
    pub gone: Vec<File>,
    /// Some of those that are remembered are to be told: behind this key.
    pub after: Box<str>,
    /// When.
    pub now: Wall,
}

/// What became of files that have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// So many of them have been dealt with, the first ones.
    pub files: usize,
    /// For so many of these a task was stored: the others were seen before.
    pub put: usize,
    /// Why not all of them were taken, if not.
    pub full: Option<Full>,
    /// Files that are remembered, those behind the key: whoever looks which of them are gone need not look at all at once.
    /// There are some more of them than tasks were stored, none where the last of them has been told.
    pub known: Vec<File>,
}

/// A file that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// What it is known by, as long as it is not written to.
    pub key: Box<str>,
    /// Where it is.
    pub path: Box<Path>,
}

/// What a queue may hold, all but its done tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// So many tasks.
    pub tasks: u64,
    /// Payloads of so many bytes together.
    pub bytes: u64,
}

/// A task to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTask {
    /// How urgent it is.
    pub class: Class,
    /// What it is about, where there are not to be two tasks for that.
    pub key: Option<Key>,
    /// How long it waits before it can be started.
    pub delay: Duration,
    /// Which trace it belongs to.
    pub trace: Option<Box<str>>,
    /// What is to be done.
    pub payload: Box<[u8]>,
}

/// What a task is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key; keys of two queues have nothing to do with each other.
    pub name: Box<str>,
    /// What to do where there is a task of that key.
    pub on: OnKey,
}

/// What to do where there is a task of the same key in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnKey {
    /// The new one is dropped while another is waiting, delayed or running.
    DropNew,
    /// Another that is waiting or delayed is deleted. One that is running goes on, and the new one waits beside it.
    Replace,
}

/// What becomes of a task after a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is done; its payload is deleted.
    Done {
        /// What the worker says of it.
        result: Option<Box<str>>,
    },
    /// It is tried again.
    Again {
        /// When.
        due: Wall,
        /// Why it was not done.
        why: Option<Box<str>>,
    },
    /// It is given up.
    Buried {
        /// Why.
        why: Option<Box<str>>,
    },
    /// It waits again; its try counts as begun.
    Return,
    /// It waits again, as if it had not been leased: nobody was given it.
    Unbegun,
}

/// One task, or all of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// One.
    Task(TaskId),
    /// All of a queue. Where there are many, some.
    Queue(Arc<str>),
}

/// What the store says.
#[derive(Clone, Debug)]
pub enum FromStore {
    /// An order was done, or was not; in the order in which they were.
    Reply(Ticket, Reply),
    /// A queue has changed; said after the replies to the orders that changed it.
    Counts(Counts),
    /// The way to a store that several supervisors share.
    Link(Link),
    /// Tasks that somebody had wait again, their tries counted. Only of a store that several supervisors share.
    Returned {
        /// Which.
        tasks: Vec<Returned>,
        /// Who had them, where that is another.
        host: Option<Box<str>>,
    },
    /// A task that was taken here is another's by now. Only of a store that several supervisors share.
    Strayed(TaskId),
    /// What has become of tasks that somebody here waits for, and that others have ended. Only of a store that is shared.
    Over(Vec<Over>),
    /// The thread has come to its end; the last of all messages.
    Ended,
}

/// What has become of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    /// Which.
    pub id: TaskId,
    /// Done or buried; none where it was dropped.
    pub state: Option<State>,
    /// Its result, or why it was buried.
    pub said: Option<Box<str>>,
}

/// How the way to a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// It is there.
    Up {
        /// Which numbers the tasks there have: those of this place.
        place: u64,
        /// What makes it lose tasks.
        doubts: Vec<String>,
    },
    /// There is none, and another is tried to be found.
    Lost {
        /// Why.
        why: String,
    },
}

/// The answer to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The tasks are stored: where each is, in the order of the put.
    Put(Vec<Placed>),
    /// None of them is: the queue cannot hold them.
    Full(Full),
    /// The first files have been dealt with.
    Arrived(Taken),
    /// Each task of the lease, with the number of the try that has begun; none where it was not waiting any more.
    Leased(Vec<(TaskId, Option<u32>)>),
    /// The next waiting tasks.
    Fetched {
        /// The oldest first.
        tasks: Vec<Task>,
        /// Those that were set aside, since what is stored is not what was put.
        damaged: Vec<TaskId>,
    },
    /// A task is the crew's, and nobody else's.
    Taken {
        /// Of which queue.
        queue: Arc<str>,
        /// Its number.
        id: TaskId,
        /// It; none where it is not what was put, and was set aside.
        task: Option<Task>,
    },
    /// Tasks by their numbers.
    Listed {
        /// The lowest first.
        tasks: Vec<Entry>,
        /// There are others behind them.
        more: bool,
    },
    /// All of a task, where there is one of that number.
    Shown(Option<Box<Shown>>),
    /// So many tasks were changed, or queues.
    Changed {
        /// How many.
        tasks: u64,
        /// There may be others left, for another order of the same kind.
        more: bool,
    },
    /// Nothing of it was done, but where the error says otherwise.
    Failed(StoreError),
}

/// Where a task of a put is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its number, or that of the task that was there already.
    pub id: TaskId,
    /// Where it stands.
    pub state: State,
    /// How it came there.
    pub how: How,
}

/// How a task of a put came to where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// It is new.
    New,
    /// Another of the same key was there already.
    There,
    /// It is new, and these of the same key are gone.
    Replaced(Vec<TaskId>),
}

/// Why a put is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// There would be too many tasks.
    #[error("the queue is full: with these it would hold {wanted} tasks, and `max_tasks` is {max}")]
    Tasks {
        /// How many it would hold.
        wanted: u64,
        /// How many it may.
        max: u64,
    },
    /// Their payloads would be too large.
    #[error("the queue is full: with these it would hold {wanted} bytes, and `max_bytes` is {max}")]
    Bytes {
        /// How many bytes it would hold.
        wanted: u64,
        /// How many it may.
        max: u64,
    },
}

/// A task in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub id: TaskId,
    /// Its queue.
    pub queue: Arc<str>,
    /// How urgent it is.
    pub class: Class,
    /// Where it stands.
    pub state: State,
    /// How many tries were begun.
    pub attempt: u32,
    /// The size of its payload as it was put, in bytes.
    pub bytes: u64,
    /// When it was put.
    pub put: Wall,
    /// When it is due, where it is delayed.
    pub due: Option<Wall>,
    /// When it was done, buried or set aside.
    pub ended: Option<Wall>,
    /// What it is about.
    pub key: Option<Box<str>>,
    /// The result of a done task; of any other why it was tried again or buried.
    pub said: Option<Box<str>>,
    /// The first 257 bytes of its payload; none where it is done.
    pub head: Option<Box<[u8]>>,
}

/// All of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What a list shows.
    pub entry: Entry,
    /// Which trace it belongs to.
    pub trace: Option<Box<str>>,
    /// What is to be done, as it is stored; none where it is done.
    pub payload: Option<Box<[u8]>>,
}

impl Order {
    /// Whether its commit is to be durable before it is answered.
    pub(super) fn is_synced(&self) -> bool {
        self.durable().is_some_and(|durable| durable != Durable::Never)
    }

    /// How long it may wait for others before it is committed.
    pub(super) fn patience(&self) -> Option<Duration> {
        match (self, self.durable()) {
            (_, Some(Durable::After(wait))) => Some(wait),
            (Order::End { .. } | Order::Lease { ahead: true, .. }, _) => Some(COMPANY_WAIT),
            _ => None,
        }
    }

    /// When that is durable which it puts, if it puts anything.
    fn durable(&self) -> Option<Durable> {
        match self {
            Order::Put(put) => Some(put.durable),
            Order::Arrived(arrived) => Some(arrived.durable),
            _ => None,
        }
    }
}

impl Limits {
    /// Whether a queue may hold so much.
    pub(super) fn allow(self, tasks: u64, bytes: u64) -> Result<(), Full> {
        if tasks > self.tasks {
            Err(Full::Tasks { wanted: tasks, max: self.tasks })
        } else if bytes > self.bytes {
            Err(Full::Bytes { wanted: bytes, max: self.bytes })
        } else {
            Ok(())
        }
    }
}
