//! What is said to workers that stay (`protocol = "lines"`): their tasks, and that there are no more. `task::protocol` has the
//! words, `task::session` what each has in hand; what they say is dealt with in `heard`.

use super::asked::Asked;
use super::stores::HERE;
use super::tasks::Tasks;
use super::{TASKS, Up};
use crate::clock::{Now, Tick, earliest};
use crate::control::event::{Event as Happening, Kind};
use crate::runtime::plane::ToPlane;
use crate::runtime::store::{Ending, Order};
use crate::runtime::tag::Tag;
use crate::supervisor::Event;
use crate::sys::fd::{self, Interest};
use crate::sys::socket;
use crate::task::outcome::{End, Exit};
use crate::task::protocol;
use crate::task::session::{Entry, Left, Session};
use crate::task::{Class, TaskId};
use crate::worker::WorkerId;
use crate::worker::lifecycle::{self, State};
use crate::worker::outcome::Outcome;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// So much is read at once.
const READ_BYTES: usize = 4 << 10;
/// More than a socket holds: what is read of a worker that has ended, while others may still write for it.
const READS_AT_THE_END: usize = 256;

/// The socket of one life, and how far we are.
#[derive(Debug)]
pub(super) struct Talk {
    socket: OwnedFd,
    /// What its process prints into: the reading ends, which others read.
    pipes: [OwnedFd; 2],
    pub(super) tag: Arc<Tag>,
    pub(super) session: Session,
    /// What was read and not understood yet; while `skips`, what follows belongs to a line that is too long.
    pub(super) heard: Vec<u8>,
    pub(super) skips: bool,
    unsent: Vec<u8>,
    /// What is waited for on the socket.
    awaited: Interest,
    /// What it has printed is being read: only then is another task said. That was done since its last task.
    empties: bool,
    pub(super) emptied: bool,
    /// Since when something that it has put is being stored: what it says behind that holds only then.
    pub(super) puts: Option<Tick>,
    /// Why something could not be stored that it has put for a task.
    pub(super) refused: Vec<(TaskId, Box<str>)>,
    /// When there is something to do for it that nothing else brings.
    due: Option<Tick>,
    /// It listens no more, and is killed then.
    hung_up: Option<Tick>,
    /// The task that it was at has had its time.
    late: bool,
    /// It is told nothing more.
    is_over: bool,
    /// How often it was not understood.
    pub(super) strays: u64,
}

impl AsFd for Talk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Talk {
    /// Nothing was said yet.
    pub(super) fn new(socket: OwnedFd, pipes: [OwnedFd; 2]) -> Talk {
        Talk {
            socket,
            pipes,
            tag: Arc::default(),
            session: Session::default(),
            heard: Vec::new(),
            skips: false,
            unsent: Vec::new(),
            awaited: Interest::Read,
            empties: false,
            emptied: false,
            puts: None,
            refused: Vec::new(),
            due: None,
            hung_up: None,
            late: false,
            is_over: false,
            strays: 0,
        }
    }

    /// Reads once: how many bytes.
    pub(super) fn read(&mut self) -> io::Result<usize> {
        let mut bytes = [0; READ_BYTES];
        let read = fd::read(&self.socket, &mut bytes)?;
        self.heard.extend_from_slice(&bytes[..read]);
        Ok(read)
    }

    /// Writes what is to be said, as far as there is room; true when that was all.
    fn flush(&mut self) -> bool {
        let mut sent = 0;
        while sent < self.unsent.len() {
            match fd::write(&self.socket, &self.unsent[sent..]) {
                Ok(more) => sent += more,
                // It has ended, which is told otherwise.
                Err(e) if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                    sent = self.unsent.len();
                }
                Err(_) => break,
            }
        }
        self.unsent.drain(..sent);
        self.unsent.is_empty()
    }

    /// When it is killed: the task that it is at has its time, but for what the disk takes; or it listens no more.
    fn killed_at(&self, timeout: Option<Duration>) -> Option<Tick> {
        let since = self.session.since().filter(|_| self.puts.is_none());
        earliest([self.hung_up, since.zip(timeout).map(|(since, timeout)| since.after(timeout))])
    }

    /// Whether all is sorted that it has printed before it said that it was done.
    fn is_read(&self) -> bool {
        let is_empty = |pipe: &OwnedFd| fd::unread(pipe).map_or(true, |bytes| bytes == 0);
        self.pipes.iter().all(is_empty) && !self.tag.is_read()
    }
}

impl Up<'_> {
    pub(super) fn talk(&mut self, id: WorkerId) -> Option<&mut Talk> {
        self.workers.get_mut(&id)?.talk.as_deref_mut()
    }

    /// Tells a worker the tasks that it can have.
    pub(super) fn give(&mut self, id: WorkerId, now: Now) {
        let is_up = self.supervisor.member(id).is_some_and(|member| member.life.state == State::Up)
            && self.workers.get(&id).is_some_and(|worker| worker.process.is_some());
        let is_recorded = self.events.are_recorded();
        while let Some(talk) = self.talk(id).filter(|talk| is_up && !talk.is_over && !talk.empties) {
            let session = &mut talk.session;
            let changes = session.first().is_none() && (talk.tag.task().is_some() || session.has_next());
            if changes && session.is_one_by_one() && !talk.emptied && !talk.is_read() {
                talk.empties = true;
                self.have_emptied(id);
                break;
            }
            let Some(entry) = talk.session.next(now.tick) else { break };
            let begun = is_recorded.then(|| (entry.task.clone(), entry.queue));
            let (task, fits) = (entry.task.id, protocol::write_task(&entry.task, &mut talk.unsent));
            // Where it is tried again, it is fetched again.
            entry.task.payload = Box::default();
            if let Some((task, queue)) = begun {
                self.record_begun(id, &task, queue, now);
            }
            if let Err(unfit) = fits {
                self.said_end(id, task, End::Bury { why: unfit.to_string().into() }, now);
            }
            self.tag(id);
        }
        self.tag(id);
        self.send(id, now);
        self.time_talk(id);
    }

    /// What is printed from now on is of the task that the worker is at.
    fn tag(&mut self, id: WorkerId) {
        if let Some(talk) = self.talk(id).filter(|talk| !talk.empties) {
            talk.tag.set(talk.session.first().map(|entry| entry.task.id));
        }
    }

    fn have_emptied(&self, id: WorkerId) {
        if let Some(worker) = self.workers.get(&id) {
            self.planes.send(id, |log| ToPlane::Empty(log, worker.life));
        }
    }

    /// All that a life had printed is sorted.
    pub(super) fn emptied(&mut self, id: WorkerId, life: u32, now: Now) {
        if self.workers.get(&id).is_some_and(|worker| worker.life == life)
            && let Some(talk) = self.talk(id)
        {
            (talk.empties, talk.emptied) = (false, true);
            self.give(id, now);
        }
    }

    /// Says what is to be said; where there is no room for all of it, that is waited for.
    pub(super) fn send(&mut self, id: WorkerId, now: Now) {
        let Some(talk) = self.workers.get_mut(&id).and_then(|worker| worker.talk.as_deref_mut()) else { return };
        let waited = !talk.unsent.is_empty();
        if talk.flush() && talk.is_over && waited {
            self.say_no_more(id, now);
        }
        let Some(talk) = self.workers.get_mut(&id).and_then(|worker| worker.talk.as_deref_mut()) else { return };
        let interest = if talk.unsent.is_empty() { Interest::Read } else { Interest::Both };
        if std::mem::replace(&mut talk.awaited, interest) != interest {
            self.await_talk(id);
        }
    }

    /// Has a worker's socket told anew, and what is waited for on it.
    pub(super) fn await_talk(&self, id: WorkerId) {
        if let Some(talk) = self.workers.get(&id).and_then(|worker| worker.talk.as_deref()) {
            // Where that cannot be, what it says next tells it.
            let _ = self.poller.change(talk, TASKS | id.0 as usize, talk.awaited);
        }
    }

    /// A task that a worker that stays was chosen for is leased, or is not any more.
    pub(super) fn task_leased(&mut self, id: WorkerId, task: TaskId, attempt: Option<u32>, now: Now) {
        let Some(attempt) = attempt else {
            // Somebody has dropped it meanwhile.
            let refused = self.talk(id).and_then(|talk| talk.session.refused(task));
            return refused.into_iter().for_each(|entry| self.unseat(id, entry.task.class));
        };
        let is_known = self.talk(id).is_some_and(|talk| talk.session.leased(task, attempt, now.tick));
        if !is_known {
            return self.tasks.iter_mut().for_each(|tasks| tasks.end(task, Ending::Unbegun, now));
        }
        let is_over = self.talk(id).is_some_and(|talk| talk.is_over);
        if is_over { self.give_back_ahead(id, now) } else { self.give(id, now) }
    }

    /// What was leased ahead for a worker is anybody's.
    pub(super) fn give_back_ahead(&mut self, id: WorkerId, now: Now) {
        let unbegun = self.talk(id).map(|talk| talk.session.give_back()).unwrap_or_default();
        unbegun.into_iter().for_each(|entry| self.unbegun(id, &entry, now));
    }

    /// What was leased ahead of a queue that is paused is not begun.
    pub(super) fn give_back_of(&mut self, queue: &str, now: Now) {
        let Some(queue) = self.tasks.as_ref().and_then(|tasks| tasks.named(queue)) else { return };
        let of_it = |talk: &Talk| talk.session.all().any(|entry| entry.queue == queue);
        let ids = self.workers.iter().filter(|(_, worker)| worker.talk.as_deref().is_some_and(of_it));
        for id in ids.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.give_back_ahead(id, now);
        }
    }

    /// How many tasks a worker can have now.
    pub(super) fn seat(&mut self, id: WorkerId) {
        let is_up = self.supervisor.member(id).is_some_and(|member| member.life.state == State::Up);
        let Some((worker, tasks)) = self.workers.get(&id).zip(self.tasks.as_mut()) else { return };
        let Some(slot) = worker.slot else { return };
        tasks.desk.room(
            slot,
            match &worker.talk {
                _ if worker.is_by_task(&self.configuration) => 1,
                Some(talk) if is_up && !talk.is_over => talk.session.room(),
                _ => 0,
            },
        );
    }

    /// A worker has one task less.
    pub(super) fn unseat(&mut self, id: WorkerId, class: Class) {
        if let Some((slot, tasks)) = self.workers.get(&id).and_then(|worker| worker.slot).zip(self.tasks.as_mut()) {
            tasks.desk.free(slot, class);
        }
    }

    /// When there is something to do for a worker that nothing else brings.
    fn time_talk(&mut self, id: WorkerId) {
        let Some((worker, tasks)) = self.workers.get_mut(&id).zip(self.tasks.as_mut()) else { return };
        let timeout = self.configuration.table(worker).keys.timeout.value;
        let Some(talk) = &mut worker.talk else { return };
        let due = earliest([talk.killed_at(timeout), talk.session.lingers_at()]);
        tasks.await_talk(id, &mut talk.due, due);
    }

    /// Something is due for a worker: the task that it is at has had its time, or others wait behind it; or it listens no
    /// more, and has not ended.
    pub(super) fn talk_is_due(&mut self, id: WorkerId, now: Now) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let timeout = self.configuration.table(worker).keys.timeout.value;
        let Some(talk) = &mut worker.talk else { return };
        talk.due = None;
        if talk.killed_at(timeout).is_none_or(|at| at > now.tick) {
            if talk.session.lingers_at().is_some_and(|at| at <= now.tick) {
                let unbegun = talk.session.linger();
                self.seat(id);
                unbegun.into_iter().for_each(|entry| self.unbegun(id, &entry, now));
            }
            return self.time_talk(id);
        }
        // That its socket is closed may be told before its end is.
        talk.late |= talk.hung_up.is_none();
        if !talk.late {
            let name = self.name(id);
            let text = "has closed its task socket and goes on: killed";
            self.say(Happening::new(now.wall, Kind::Warning, text).of(name));
        }
        self.step(Event::Life(id, lifecycle::Event::Kill), now);
    }

    /// A worker is to have no more tasks: what it was not given yet goes back, and it learns that there is nothing more. False
    /// where it is none that is told.
    pub(super) fn tell_no_more(&mut self, id: WorkerId, now: Now) -> bool {
        let Some(talk) = self.talk(id) else { return false };
        if !std::mem::replace(&mut talk.is_over, true) {
            let is_sent = talk.flush();
            self.seat(id);
            self.give_back_ahead(id, now);
            if is_sent {
                self.say_no_more(id, now);
            }
        }
        true
    }

    fn say_no_more(&mut self, id: WorkerId, now: Now) {
        let Some(Err(e)) = self.talk(id).map(|talk| socket::say_no_more(&*talk)) else { return };
        // Who has ended knows.
        if e.kind() != ErrorKind::NotConnected {
            let (name, text) = (self.name(id), format!("cannot be told that there is nothing more to do: {e}"));
            self.say(Happening::new(now.wall, Kind::Warning, text).of(name));
        }
    }

    fn unbegun(&mut self, id: WorkerId, entry: &Entry, now: Now) {
        self.unseat(id, entry.task.class);
        if let Some(tasks) = &mut self.tasks {
            tasks.end(entry.task.id, Ending::Unbegun, now);
        }
    }

    /// A worker listens no more. It has as long to end as a stop gives it.
    pub(super) fn hung_up(&mut self, id: WorkerId, now: Now) {
        let is_running = self.workers.get(&id).is_some_and(|worker| worker.process.is_some());
        // Who is killed for having had its time hangs up with that.
        let was_over = self.talk(id).is_none_or(|talk| talk.is_over || talk.late);
        if !is_running || was_over {
            return;
        }
        self.tell_no_more(id, now);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let grace = self.configuration.table(worker).keys.stop.grace.value;
        if let Some(talk) = &mut worker.talk {
            talk.hung_up = Some(now.tick.after(grace));
        }
        self.time_talk(id);
    }

    /// A life of a worker that stays is over: what it had in hand is tried again, or given back. Where something that it has
    /// put is being stored, that comes first, for what it has said behind that may be that it was done.
    pub(super) fn end_talk(&mut self, id: WorkerId, now: Now) {
        for _ in 0..READS_AT_THE_END {
            let Some(talk) = self.talk(id) else { return };
            if talk.puts.is_some() {
                return self.hold_by_disk(id, now);
            }
            if !matches!(talk.read(), Ok(1..)) {
                break;
            }
            self.understand(id, now);
        }
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let Some(mut talk) = worker.talk.take() else { return };
        // A descriptor that epoll does not know is as much out of it as one that was taken out.
        let _ = self.poller.remove(&*talk);
        if let Some(tasks) = &mut self.tasks {
            tasks.await_talk(id, &mut talk.due, None);
        }
        let end = self.end_of_talk(id, &talk);
        let behind = End::behind(end.as_ref());
        let Left { first, given, unbegun, leasing } = talk.session.close();
        for Entry { task, queue, .. } in leasing {
            self.unseat(id, task.class);
            // Be it leased or not, it waits again.
            self.tasks.iter_mut().for_each(|tasks| tasks.desk.fresh(queue, task.class, task.id));
        }
        unbegun.into_iter().for_each(|entry| self.unbegun(id, &entry, now));
        for (entry, end) in
            first.map(|first| (first, end)).into_iter().chain(given.into_iter().map(|entry| (entry, behind.clone())))
        {
            self.unseat(id, entry.task.class);
            self.conclude(id, &entry.task, entry.queue, end, now);
        }
        self.seat(id);
    }

    /// Whether the next life of a worker must wait for what its last one has put.
    pub(super) fn puts(&self, id: WorkerId) -> bool {
        self.workers.get(&id).and_then(|worker| worker.talk.as_ref()).is_some_and(|talk| talk.puts.is_some())
    }

    /// What is to be thought of the task that a worker was at when it ended; none where somebody has ended it.
    fn end_of_talk(&self, id: WorkerId, talk: &Talk) -> Option<End> {
        let worker = self.workers.get(&id)?;
        let timeout = self.configuration.table(worker).keys.timeout.value.unwrap_or_default();
        let last = worker.last.as_ref().filter(|last| last.life == worker.life);
        let asked = last.is_some_and(|last| last.ordered) && talk.hung_up.is_none();
        End::of_life(talk.late.then_some(timeout), asked, last.map(|last| End::of_death(exit_of(last.outcome))))
    }
}

impl Tasks {
    /// Something is due for a worker at another time than it was.
    fn await_talk(&mut self, id: WorkerId, due: &mut Option<Tick>, at: Option<Tick>) {
        if *due == at {
            return;
        }
        if let Some(before) = due.take() {
            self.deadlines.remove(&(before, id));
        }
        self.deadlines.extend(at.map(|at| (at, id)));
        *due = at;
    }

    /// Has the end of a try stored.
    pub(super) fn end(&mut self, id: TaskId, ending: Ending, now: Now) {
        let order = Order::End { id, ending, now: now.wall };
        // A number that nobody has any more is no task's here either.
        let store = self.stores.of_task(id).unwrap_or(HERE);
        self.order(store, Asked::End(Box::new(order.clone())), order);
    }
}

/// How a process has ended, for what is to be thought of its task.
pub(super) fn exit_of(outcome: Outcome) -> Exit {
    match outcome {
        Outcome::Exited(code) => Exit::Code(code),
        Outcome::Signalled { number, .. } => Exit::Signal(number),
    }
}
