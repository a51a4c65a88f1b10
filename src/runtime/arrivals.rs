//! Files that are waited for: a thread that watches folders (inotify(7)), looks at what comes into them, and tells the control
//! plane, which touches no disk. It sleeps until something happens, and looks at nothing again and again.
//!
//! What is said here; `backlog` is what is still to be looked at for each pattern, `rewritten` what comes too often, `watched`
//! its folder, `work` the loop.
//!
//! A file has come when it was closed after somebody wrote to it, or was moved into the folder. When a folder is first looked
//! at, and after the kernel has lost count (IN_Q_OVERFLOW), what is in it has come, but for what is being written: the end of
//! that is told. A file is known by its inode and the time of its last change: written to anew, it is another.

mod backlog;
mod rewritten;
mod watched;
mod work;

use super::outbox::Outbox;
use super::store::{File, Taken};
use crate::config::values::FilePattern;
use crate::sys::poller::Waker;
use crate::sys::thread;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use work::Work;

/// Files that are waited for, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Which.
    pub files: FilePattern,
    /// What for.
    pub wanted: Wanted,
}

/// What files are waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A task for each, in this queue.
    Tasks(Arc<str>),
    /// A start of this worker, which sees for itself.
    Start(Box<str>),
}

/// What the control plane says.
#[derive(Debug)]
pub enum ToArrivals {
    /// These are waited for from now on, and no others. Answers name the source that was told, not another that is like it.
    Arrange(Vec<Arc<Source>>),
    /// What was told last of a source has been dealt with; only then is more told, and so many, where that is known. Files that
    /// were not taken come again; which of those that are remembered are gone is told with those that come next.
    Taken(Arc<Source>, Taken, Option<usize>),
    /// A worker that sees for itself is started, or will be: more may be told.
    Started(Arc<Source>),
    /// There is room for so many more files of a source.
    Room(Arc<Source>, usize),
}

/// What the thread says.
#[derive(Debug)]
pub enum FromArrivals {
    /// Files have come.
    Came(Came),
    /// A folder cannot be watched, or can be again.
    Trouble(String),
    /// The thread has come to its end; the last of all messages.
    Ended,
}

/// Files that have come.
#[derive(Debug)]
pub struct Came {
    /// What they were waited for.
    pub source: Arc<Source>,
    /// They, some at a time. Some of them may have been told before. Of those that a worker sees for itself, one.
    pub files: Vec<File>,
    /// Files that need not be remembered any more.
    pub gone: Vec<File>,
    /// Behind this key the next of those that are remembered are to be told.
    pub after: Box<str>,
}

/// The thread, as the control plane sees it. Dropped, it ends by itself, as soon as no disk holds it up.
#[derive(Debug)]
pub struct Arrivals {
    orders: Option<Sender<ToArrivals>>,
    waker: Arc<Waker>,
}

impl Arrivals {
    /// Starts the thread. What it says goes to `told`, and `on_news` is woken.
    ///
    /// # Errors
    /// As inotify_init1(2), epoll_create1(2) and pthread_create(3).
    pub fn start(told: Sender<FromArrivals>, on_news: Arc<Waker>) -> io::Result<Arrivals> {
        let (orders, inbox) = channel();
        let (work, waker) = Work::new(inbox, Outbox::new(told, on_news, FromArrivals::Ended))?;
        // Nobody waits for its end: the disk that it may wait for is none of quell's.
        drop(thread::spawn("arrivals", move || work.run())?);
        Ok(Arrivals { orders: Some(orders), waker })
    }

    /// Says something to it.
    pub fn send(&self, order: ToArrivals) {
        // It listens until this is dropped. If it has died of a panic, `FromArrivals::Ended` was told.
        if self.orders.as_ref().is_some_and(|orders| orders.send(order).is_ok()) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Err(e) = self.waker.wake() {
            tracing::error!("cannot wake who waits for files: {e}");
        }
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.orders = None;
        self.wake();
    }
}

#[cfg(test)]
#[path = "arrivals_tests.rs"]
mod tests;
