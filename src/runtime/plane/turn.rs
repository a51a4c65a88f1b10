//! The loop of the output plane. Each turn takes what is ready, what was said and what is due, then reads the streams that
//! stand in the queue, in turns of a few reads each. No turn looks through all workers, and an idle plane makes none.

use super::pump::{self, Watched};
use super::queue::{self, Queue};
use super::served::{Served, watch_outlets};
use super::{FromPlane, Mailbox, Message, WorkerId};
use crate::clock::{Now, Tick};
use crate::line::frame::READ_BYTES;
use crate::log::ledger::Ledger;
use crate::runtime::deadlines::Deadlines;
use crate::runtime::directory::OnDisk;
use crate::runtime::keeper::Keepers;
use crate::runtime::outbox::Outbox;
use crate::runtime::output::{Brought, Output};
use crate::runtime::reactor::{Reactor, Token};
use crate::runtime::workspace::Workspace;
use crate::sys::memory;
use crate::sys::{fd, time};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// What a stream gets before the next has its turn: so many reads, or so many bytes.
const READS_PER_STREAM: usize = 4;
const BYTES_PER_STREAM: usize = READ_BYTES;
/// Where the output of more workers than this is held up, all that is read is held: it is read in small pieces then.
const HELD_UP_MANY: usize = 8;
const READ_BYTES_HELD_UP: usize = 8 << 10;
/// The pipes of more workers than this are widened less when they are busy.
const MANY: usize = 16;
/// A deadline by the calendar is a little off on the other clock; so much is not worth moving it.
const SLACK: Duration = Duration::from_millis(1);

/// Something that comes due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// A pipe has rested for long enough.
    Rest(Token),
    /// Something of this worker's.
    Worker(u32),
}

/// What to do with a stream after a read.
enum Next {
    /// Read it on.
    ReadOn,
    /// Leave it, until it is ready or its rest is over.
    Leave,
}

/// The plane's thread.
pub(super) struct Work {
    pub(super) root: Option<Arc<OnDisk>>,
    pub(super) keepers: Keepers<OnDisk>,
    pub(super) reactor: Reactor<Watched>,
    pub(super) room: Workspace,
    pub(super) mailbox: Mailbox,
    pub(super) inbox: Receiver<Message>,
    pub(super) outbox: Outbox<FromPlane>,
    /// By their places, which are used again.
    pub(super) workers: Vec<Option<Box<Served>>>,
    pub(super) free: Vec<u32>,
    pub(super) places: HashMap<WorkerId, u32>,
    queue: Queue<Token>,
    pub(super) due: Deadlines<Due>,
    /// Something has been read.
    is_warm: bool,
    /// How many workers are held up.
    pub(super) held_up: usize,
    /// Those whose logs are not known to be durable yet: their ledgers, and whether passing output on failed.
    pub(super) detached: BTreeMap<WorkerId, (Box<Ledger>, bool)>,
}

impl Work {
    pub(super) fn new(
        root: Option<Arc<OnDisk>>,
        keepers: Keepers<OnDisk>,
        reactor: Reactor<Watched>,
        (mailbox, inbox): (Mailbox, Receiver<Message>),
        outbox: Outbox<FromPlane>,
    ) -> Work {
        Work {
            root,
            keepers,
            reactor,
            room: Workspace::default(),
            mailbox,
            inbox,
            outbox,
            workers: Vec::new(),
            free: Vec::new(),
            places: HashMap::new(),
            queue: Queue::new(),
            due: Deadlines::new(),
            is_warm: false,
            held_up: 0,
            detached: BTreeMap::new(),
        }
    }

    /// Takes in a worker whose output path there is already.
    pub(super) fn adopt(&mut self, id: WorkerId, label: Arc<str>, output: Output<OnDisk>) -> io::Result<()> {
        let worker = self.insert(Served::adopted(id, label, output));
        if let Some(served) = &mut self.workers[worker as usize] {
            served.outlets = watch_outlets(&served.output, worker, &mut self.reactor)?;
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, served: Served) -> u32 {
        let worker = self.free.pop().unwrap_or_else(|| {
            self.workers.push(None);
            self.workers.len() as u32 - 1
        });
        self.places.insert(served.id, worker);
        self.workers[worker as usize] = Some(Box::new(served));
        worker
    }

    pub(super) fn run(mut self) {
        let (mut ready, mut goes_on) = (Vec::new(), true);
        while goes_on {
            self.outbox.deliver();
            let now = time::now().tick;
            let wait =
                if self.queue.is_empty() { self.due.first().map(|at| at.until(now)) } else { Some(Duration::ZERO) };
            if let Err(e) = self.reactor.wait(wait, |token| ready.push(token)) {
                tracing::error!("cannot wait for output: {e}");
                break;
            }
            let now = time::now();
            ready.drain(..).for_each(|token| self.told(token, now));
            goes_on = self.orders(now);
            // Whoever has asked for something need not wait until all has been read.
            self.outbox.deliver();
            while let Some(due) = self.due.pop(now.tick) {
                self.come_due(due, now);
            }
            self.turn(now);
        }
        self.finish();
    }

    /// A source is ready.
    fn told(&mut self, token: Token, now: Now) {
        let worker = match self.reactor.get(token) {
            Some(Watched::Pipe(_)) => return self.enqueue(token),
            Some(Watched::Outlet { worker, .. }) => *worker,
            None => return,
        };
        // A full outlet is told again when there is room in it.
        self.reactor.would_block(token);
        if let Some(served) = &mut self.workers[worker as usize] {
            served.output.flush(&mut self.room, now);
            self.enqueue_all(worker);
            self.settle(worker, now);
        }
    }

    fn come_due(&mut self, due: Due, now: Now) {
        match due {
            Due::Rest(token) => self.enqueue(token),
            Due::Worker(worker) => {
                let Some(served) = &mut self.workers[worker as usize] else { return };
                served.output.due(&mut self.room, now);
                self.open_log(worker, now);
                self.release_drained(worker, now);
                self.settle(worker, now);
            }
        }
    }

    /// Reads the streams in the queue, each up to its share, until the turn has had its own.
    fn turn(&mut self, now: Now) {
        let mut turn = self.queue.begin();
        while let Some(token) = self.queue.next(&mut turn) {
            turn.took(self.serve(token, now));
            while let Some((owner, tail)) = self.room.excess(|owner| self.can_cut(owner)) {
                if let Some(served) = &mut self.workers[owner as usize] {
                    served.output.cut_short(&mut self.room, tail, now);
                    self.settle(owner, now);
                }
            }
        }
    }

    fn can_cut(&self, worker: u32) -> bool {
        self.workers[worker as usize].as_ref().is_some_and(|served| !served.output.is_held_up())
    }

    /// Has a pipe read.
    pub(super) fn enqueue(&mut self, token: Token) {
        if let Some(Watched::Pipe(pump)) = self.reactor.get_mut(token)
            && !std::mem::replace(&mut pump.queued, true)
        {
            self.queue.push(token, pump.says_much);
        }
    }

    /// Has all pipes of a worker read: whether there is anything in them shows then.
    pub(super) fn enqueue_all(&mut self, worker: u32) {
        let Some(served) = &self.workers[worker as usize] else { return };
        let tokens: Vec<_> = served.lives.iter().flat_map(|life| life.pumps).flatten().collect();
        for token in tokens {
            self.due.set(Due::Rest(token), None);
            self.enqueue(token);
        }
    }

    /// Reads a stream, up to its share of the turn: how many bytes.
    fn serve(&mut self, token: Token, now: Now) -> usize {
        let Some(Watched::Pipe(pump)) = self.reactor.get_mut(token) else { return 0 };
        pump.queued = false;
        let (worker, life, place) = (pump.worker, pump.life, pump.place);
        let (mut bytes, mut goes_on) = (0, false);
        for reads in 1.. {
            let Some(Watched::Pipe(pump)) = self.reactor.get(token) else { break };
            let Some(served) = self.workers[worker as usize].as_mut().filter(|s| !s.output.is_stalled(place)) else {
                // What holds it up has it read again when it is over.
                break;
            };
            let brought = served.output.read(&mut self.room, place, &pump.pipe, now);
            if let Ok(Brought::Bytes(more)) = brought {
                bytes += more;
                if !std::mem::replace(&mut self.is_warm, true) {
                    // What the start took, and compiling the rules with the first line, is not to stand under the peak.
                    memory::release_start_pages();
                }
            }
            match self.after_read(token, (worker, life, place), brought, now) {
                Next::Leave => break,
                Next::ReadOn if reads >= READS_PER_STREAM || bytes >= BYTES_PER_STREAM => {
                    goes_on = true;
                    break;
                }
                Next::ReadOn => {}
            }
        }
        if let Some(Watched::Pipe(pump)) = self.reactor.get_mut(token) {
            pump.says_much = queue::is_much(bytes);
        }
        if goes_on {
            self.enqueue(token);
        }
        self.settle(worker, now);
        bytes
    }

    fn after_read(
        &mut self,
        token: Token,
        (worker, number, place): (u32, u32, usize),
        brought: io::Result<Brought>,
        now: Now,
    ) -> Next {
        let many = self.places.len() > MANY;
        let Some(served) = &mut self.workers[worker as usize] else { return Next::Leave };
        let (id, answered) = (served.id, served.output.has_answered(place));
        match brought {
            Ok(Brought::Bytes(bytes)) => {
                let Some(life) = served.life(number) else { return Next::Leave };
                if answered && !std::mem::replace(&mut life.answered, true) {
                    self.outbox.tell(FromPlane::Ready { worker: id, life: number });
                }
                if let Some(drain) = &mut life.drain {
                    drain.moves_on(now.tick);
                } else if let Some(until) = pump::pace(&mut self.reactor, token, bytes, many, now.tick) {
                    self.due.set(Due::Rest(token), Some(until));
                    return Next::Leave;
                }
                return Next::ReadOn;
            }
            Ok(Brought::Nothing) => {
                let Err(e) = pump::quiet(&mut self.reactor, token) else { return Next::Leave };
                tracing::error!("{}: cannot wait for output: {e}", served.label());
            }
            Ok(Brought::End) => {}
            Err(e) => tracing::error!("{}: cannot read output: {e}", served.label()),
        }
        self.close(token, now);
        Next::Leave
    }

    /// Closes a pipe; what is left of its stream is dealt with.
    pub(super) fn close(&mut self, token: Token, now: Now) {
        self.due.set(Due::Rest(token), None);
        let Some(Watched::Pipe(pump)) = self.reactor.remove(token) else { return };
        let Some(served) = &mut self.workers[pump.worker as usize] else { return };
        if let Some(life) = served.life(pump.life) {
            life.pumps.iter_mut().filter(|open| **open == Some(token)).for_each(|open| *open = None);
        }
        served.output.end(&mut self.room, pump.place, now);
    }

    /// Reads what is in the pipes of a life that are still open, as far as it can be written, and gives them up: whoever
    /// writes to them gets SIGPIPE.
    pub(super) fn release(&mut self, worker: u32, number: u32, now: Now) {
        let Some(served) = &mut self.workers[worker as usize] else { return };
        let Some(pumps) = served.life(number).map(|life| life.pumps) else { return };
        for token in pumps.into_iter().flatten() {
            let left = self.read_out(worker, token, now);
            if let Some(served) = self.workers[worker as usize].as_ref().filter(|_| left > 0) {
                tracing::warn!("{}: {left} bytes of output were left unread", served.label());
            }
            self.close(token, now);
        }
    }

    /// Reads what is in a pipe, as far as it can be written: how many bytes are left in it. What is written meanwhile is not
    /// waited for: whoever writes may never stop.
    fn read_out(&mut self, worker: u32, token: Token, now: Now) -> usize {
        let (Some(served), Some(Watched::Pipe(pump))) = (&mut self.workers[worker as usize], self.reactor.get(token))
        else {
            return 0;
        };
        let mut left = fd::unread(&pump.pipe).unwrap_or(0);
        while left > 0 && !served.output.is_stalled(pump.place) {
            match served.output.read(&mut self.room, pump.place, &pump.pipe, now) {
                Ok(Brought::Bytes(bytes)) => left = left.saturating_sub(bytes),
                Ok(Brought::Nothing | Brought::End) | Err(_) => left = 0,
            }
        }
        left
    }

    /// Reads what lives have printed of which that was asked, and says so; those whose lines cannot be written now, later.
    fn empty(&mut self, worker: u32, now: Now) {
        let Some(served) = &self.workers[worker as usize] else { return };
        let asked = served.lives.iter().filter(|life| life.empties && !served.held_up);
        for (number, pumps) in asked.map(|life| (life.number, life.pumps)).collect::<Vec<_>>() {
            let left: usize = pumps.into_iter().flatten().map(|token| self.read_out(worker, token, now)).sum();
            if let Some(served) = self.workers[worker as usize].as_mut().filter(|_| left == 0) {
                served.life(number).into_iter().for_each(|life| life.empties = false);
                self.outbox.tell(FromPlane::Emptied { worker: served.id, life: number });
            }
        }
    }

    /// Gives up the pipes of lives that have been silent for long enough.
    fn release_drained(&mut self, worker: u32, now: Now) {
        let Some(served) = &mut self.workers[worker as usize] else { return };
        if served.output.is_held_up() {
            return;
        }
        let label = served.label().to_owned();
        let mut drained = Vec::new();
        for life in served.lives.iter_mut().filter(|life| life.is_open() && life.is_drained(now.tick)) {
            life.find_holders(&self.reactor, &label);
            drained.push(life.number);
        }
        drained.into_iter().for_each(|number| self.release(worker, number, now));
    }

    /// Draws the conclusions after anything was done for a worker.
    pub(super) fn settle(&mut self, worker: u32, now: Now) {
        let Some(served) = &mut self.workers[worker as usize] else { return };
        if let Some(text) = served.output.take_news() {
            self.outbox.tell(FromPlane::LogTrouble { worker: served.id, text });
        }
        if let Some(watchwords) = served.output.take_spotted() {
            self.outbox.tell(FromPlane::Spotted(watchwords));
        }
        if let Some(e) = served.output.take_failure() {
            tracing::error!("cannot pass output on: {e}");
            served.failed = true;
        }
        let closed = (0..served.output.streams()).filter(|stream| served.output.is_closed(*stream));
        let untaken: Vec<_> =
            closed.flat_map(|stream| served.lives.iter().filter_map(move |life| life.pumps[stream])).collect();
        untaken.into_iter().for_each(|token| self.close(token, now));
        self.settle_hold_up(worker, now.tick);
        self.empty(worker, now);
        self.end_lives(worker, now);
        self.schedule(worker, now);
    }

    fn settle_hold_up(&mut self, worker: u32, now: Tick) {
        let Some(served) = &mut self.workers[worker as usize] else { return };
        let is_held_up = served.output.is_held_up();
        if std::mem::replace(&mut served.held_up, is_held_up) == is_held_up {
            return;
        }
        if is_held_up {
            self.count_held_up(self.held_up + 1);
        } else {
            self.count_held_up(self.held_up - 1);
            if let Some(served) = &mut self.workers[worker as usize] {
                served.drains_begin_anew(now);
            }
            self.enqueue_all(worker);
        }
    }

    /// So many workers are held up.
    pub(super) fn count_held_up(&mut self, workers: usize) {
        self.held_up = workers;
        self.room.read_bytes_max = if workers > HELD_UP_MANY { READ_BYTES_HELD_UP } else { READ_BYTES };
    }

    /// Says of the lives that have no open pipe any more that they have ended.
    fn end_lives(&mut self, worker: u32, now: Now) {
        let Some(served) = &mut self.workers[worker as usize] else { return };
        let held_up = served.held_up;
        for life in served.lives.extract_if(.., |life| !life.is_open() && (life.released || !held_up)) {
            if let Some(mark) = life.drain.and_then(|drain| drain.mark) {
                served.output.own_line(&mark, now);
            }
            let last_line = served.output.last_line().map(|line| String::from_utf8_lossy(line).into_owned());
            let (worker, life, holders) = (served.id, life.number, life.holders);
            let ended = FromPlane::OutputEnded { worker, life, holders, last_line };
            self.outbox.tell(ended);
        }
    }

    fn schedule(&mut self, worker: u32, now: Now) {
        let Some(served) = &self.workers[worker as usize] else { return };
        let (at, before) = (served.deadline(now), self.due.of(Due::Worker(worker)));
        let is_same = match (at, before) {
            (Some(at), Some(before)) => at.0.abs_diff(before.0) < SLACK.as_nanos() as u64,
            (at, before) => at == before,
        };
        if !is_same {
            self.due.set(Due::Worker(worker), at);
        }
    }
}
