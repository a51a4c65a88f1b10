//! What an earlier supervisor has left: processes, which are not touched, and tasks, which are taken over.

use super::stores::{HERE, StoreId};
use super::{LEFT, Up};
use crate::clock::Now;
use crate::config::tables::QueueEvent;
use crate::control::event::{Event as Happening, Kind};
use crate::control::queue::{End as Ended, Outcome as Came};
use crate::runtime::leftovers::{self, Leftover};
use crate::runtime::store::{Counts, Ending, Order, Returned};
use crate::sys::fd::Interest;
use crate::sys::proc::Named;
use crate::sys::reap::Process;
use crate::task::TaskId;
use crate::task::outcome::{self, End, Retry, Verdict};

/// Tasks that were under way when the last supervisor ended.
#[derive(Debug, Default)]
pub(super) struct Legacy {
    /// Those that wait again, until they are taken back.
    pub(super) returned: Vec<Returned>,
    /// Those that are still being worked on, and by whom.
    pub(super) held: Vec<Returned>,
    pub(super) at_work: Vec<AtWork>,
    /// Queues with tasks that are to be done, which are elsewhere by the configuration, or nowhere.
    pub(super) stranded: Vec<Counts>,
}

/// A process that goes on though its supervisor is gone, and the task that it works on.
#[derive(Debug)]
pub(super) struct AtWork {
    pub(super) task: TaskId,
    process: Process,
    who: Named,
    /// Its end is waited for.
    awaited: bool,
}

/// Those of the processes that were left that work on tasks.
pub(super) fn at_work(left: &[Leftover]) -> Vec<AtWork> {
    let open = |leftover: &Leftover| {
        let task = leftover.task?;
        let opened = leftover.open().inspect_err(|e| tracing::error!("cannot wait for the end of {leftover}: {e}"));
        Some(AtWork { task, process: opened.ok()??, who: leftover.process.clone(), awaited: false })
    };
    left.iter().filter_map(open).collect()
}

impl Up<'_> {
    /// Says which processes an earlier supervisor has left.
    pub(super) fn say_what_was_left(&mut self, left: &[Leftover], now: Now) {
        for leftover in left {
            let text = format!("an earlier quell left {leftover} running; it is not touched");
            self.say(Happening::new(now.wall, Kind::Orphan, text));
        }
    }

    /// Takes over the tasks that were under way when the last supervisor ended: they wait again. Those that are still being worked
    /// on do so when that has ended.
    pub(super) fn take_over(&mut self, now: Now) {
        let Some(tasks) = &mut self.tasks else { return };
        let (returned, stranded) =
            (std::mem::take(&mut tasks.legacy.returned), std::mem::take(&mut tasks.legacy.stranded));
        for Counts { queue, tally, .. } in stranded {
            let left = tally.left();
            let text =
                format!("{left} tasks of {queue} wait in the state directory, where the configuration has it no more");
            self.say(Happening::new(now.wall, Kind::Warning, text));
        }
        let Some(tasks) = &mut self.tasks else { return };
        let mut texts = Vec::new();
        for AtWork { task, process, who, awaited } in tasks.legacy.at_work.iter_mut().filter(|at| !at.awaited) {
            *awaited = true;
            texts.push(format!("task {task} is still being worked on by {who}; it waits again when that has ended"));
            if let Err(e) = self.poller.add(&*process, LEFT | process.pid() as usize, Interest::Read) {
                tracing::error!("cannot wait for the end of {who}: {e}");
            }
        }
        texts.into_iter().for_each(|text| self.say(Happening::new(now.wall, Kind::Task, text)));
        returned.into_iter().for_each(|returned| self.take_back(HERE, returned, "when quell ended", now));
    }

    /// A process that an earlier supervisor has left has ended: its task is nobody's, unless others go on with it.
    pub(super) fn left_ended(&mut self, pid: i32, now: Now) {
        let Some(tasks) = &mut self.tasks else { return };
        let legacy = &mut tasks.legacy;
        let Some(ended) = legacy.at_work.extract_if(.., |at| at.process.pid() == pid).next() else { return };
        // A descriptor that epoll does not know is as much out of it as one that was taken out.
        let _ = self.poller.remove(&ended.process);
        if legacy.at_work.iter().any(|at| at.task == ended.task) {
            return;
        }
        let mut since = leftovers::find(&self.state, &[]);
        since.retain(|leftover| leftover.task == Some(ended.task));
        legacy.at_work.extend(at_work(&since));
        if legacy.at_work.iter().any(|at| at.task == ended.task) {
            return self.take_over(now);
        }
        let held = legacy.held.iter().position(|held| held.id == ended.task);
        if let Some(returned) = held.map(|at| legacy.held.swap_remove(at)) {
            tasks.end(returned.id, Ending::Return, now);
            self.take_back(HERE, returned, "when quell ended", now);
        }
    }

    /// A task was under way when quell ended, which counts as a try: it waits again, or is given up, so that what takes quell
    /// down with it is tried as often as any other and no more.
    pub(super) fn take_back(&mut self, store: StoreId, returned: Returned, whose: &str, now: Now) {
        let Returned { id, queue, attempt } = returned;
        let workers = self.configuration.loaded.config.workers.iter();
        let of_queue = workers.filter(|named| named.keys.given().any(|name| *name == *queue));
        let retry = of_queue.map(|named| Retry::from(&named.keys.retry)).max_by_key(|retry| retry.tries);
        let verdict =
            retry.map(|retry| outcome::decide(End::Lost { why: "quell ended".into() }, attempt, &retry, id.0));
        let known = self.tasks.as_mut().and_then(|tasks| Some((tasks.named(&queue)?, tasks)));
        let text = match (verdict, known) {
            (Some(Verdict::Buried { why }), Some((of, tasks))) => {
                let text = format!("task {id} of {queue} is buried: {why}; `quell queue kick {id}` tries it again");
                let came = Came { end: Ended::Buried, text: Some(why.as_ref().into()) };
                let order = Order::Bury { id, why, now: now.wall };
                tasks.order(store, super::asked::Asked::End(Box::new(order.clone())), order);
                self.tell_fate(of, id, &[QueueEvent::Failed, QueueEvent::Buried], Some(came), now);
                text
            }
            _ => format!("task {id} of {queue} was under way {whose} (try {attempt}); it waits again"),
        };
        self.say(Happening::new(now.wall, Kind::Task, text));
    }
}
