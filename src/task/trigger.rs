//! What starts a worker that waits for something: its `start_on`, level-triggered.
//!
//! A condition is a level, which is looked at, or an edge, which leaves a start pending until one follows it. Both are looked
//! at when the worker is at rest: after each of its ends, and whenever something happens. A start serves all that happened
//! before it, so that never more than one is pending:
//!
//! | | happened, look | started | ended |
//! |---|---|---|---|
//! | Rest | looked at; where one is due → Asked | → Running | looked at |
//! | Asked | served by the start to come | → Running | → Rest, and looked at |
//! | Running | an edge is pending | – | → Rest, and looked at |
//!
//! A trigger that starts its worker more than `STARTS_MAX` times in `WINDOW` is caught in a loop. It is held back for as long,
//! without a look at its condition, and longer each time that it goes on (`guard`). The spawn for a leased task is no start by
//! a trigger: who is given the tasks of a queue has no need of the trigger `{ queue }`.

use super::guard::{Guard, Tripped};
use super::schedule::{Schedule, Times};
use crate::clock::{Now, Tick, Wall};
use crate::config::tables::{self, QueueEvent, WorkerEvent};
use crate::config::typed::{Text, Words};
use crate::config::values::Address;
use memchr::memmem;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// So many starts by one trigger are let through in `WINDOW`.
pub const STARTS_MAX: usize = 200;
/// In so long.
pub const WINDOW: Duration = Duration::from_secs(2);

/// What a trigger waits for.
#[derive(Clone, Debug)]
pub enum Condition {
    /// A level: so many tasks wait in a queue.
    Depth {
        /// The queue.
        queue: Box<str>,
        /// So many or more.
        least: u64,
    },
    /// A level: a batch waits in a queue, be it one that is not full.
    Batch {
        /// The queue.
        queue: Box<str>,
        /// So many are a full one.
        full: u64,
        /// One that is not full waits so long for more; for ever where this is none.
        every: Option<Duration>,
    },
    /// Something happens to a task, or to a queue.
    Queue {
        /// The queue.
        queue: Box<str>,
        /// What.
        event: QueueEvent,
    },
    /// Something happens to a worker.
    Worker {
        /// The worker.
        worker: Box<str>,
        /// What.
        event: WorkerEvent,
    },
    /// Somebody prints a line that holds a text.
    Line {
        /// Whose line; anybody's where this is none.
        worker: Option<Box<str>>,
        /// The text.
        text: Box<str>,
    },
    /// A file that matches a pattern.
    Path(PathBuf),
    /// A time of a schedule.
    Schedule(Schedule),
    /// A connection to this address.
    Socket(Address),
    /// A signal to quell, by its name without SIG.
    Signal(&'static str),
    /// `quell fire NAME`.
    Fire(Box<str>),
}

impl Condition {
    /// What an item of `start_on` waits for, a schedule from `now` on. Of what can stand beside `queue`, `batch` counts before
    /// `depth`, and that before `event`. None for a `path` beside a `queue`: it puts tasks, and starts nothing.
    ///
    /// # Errors
    /// Its schedule cannot be read.
    pub fn of(item: &tables::Trigger, now: Wall) -> Result<Option<Condition>, String> {
        let text = |text: &Option<Text>| text.as_ref().map(|text| Box::from(text.0.as_str()));
        let (queue, worker) = (text(&item.queue), text(&item.worker));
        if let Some(needle) = &*item.line {
            return Ok(Some(Condition::Line { worker, text: needle.0.as_str().into() }));
        }
        if let Some(pattern) = &*item.path {
            return Ok(queue.is_none().then(|| Condition::Path(pattern.path())));
        }
        if let Some(schedule) = &*item.schedule {
            return Ok(Some(Condition::Schedule(Schedule::new(Times::new(schedule)?, now))));
        }
        let named = item.socket.value.clone().map(Condition::Socket);
        let named = named.or_else(|| item.signal.map(|signal| Condition::Signal(signal.0)));
        let named = named.or_else(|| text(&item.fire).map(Condition::Fire));
        let of_worker =
            || worker.map(|worker| Condition::Worker { worker, event: word(&item.event, WorkerEvent::Exit) });
        Ok(named.or_else(|| queue.map(|queue| Condition::of_queue(item, queue))).or_else(of_worker))
    }

    fn of_queue(item: &tables::Trigger, queue: Box<str>) -> Condition {
        if let Some(batch) = *item.batch {
            return Condition::Batch { queue, full: batch.0.unsigned_abs(), every: *item.every };
        }
        if let Some(depth) = *item.depth {
            return Condition::Depth { queue, least: depth.0.unsigned_abs() };
        }
        match word(&item.event, QueueEvent::Added) {
            QueueEvent::Added => Condition::Depth { queue, least: 1 },
            event => Condition::Queue { queue, event },
        }
    }

    /// Whether what happened is what an edge waits for, or may have changed a level.
    fn fits(&self, what: &What<'_>) -> bool {
        match (self, what) {
            (Condition::Depth { queue, .. } | Condition::Batch { queue, .. }, What::Queue { queue: of, event }) => {
                **queue == **of && *event == QueueEvent::Added
            }
            (Condition::Queue { queue, event }, What::Queue { queue: of, event: what }) => {
                **queue == **of && event == what
            }
            (Condition::Worker { worker, event }, What::Worker { worker: of, event: what }) => {
                **worker == **of && event == what
            }
            (Condition::Line { worker, text }, What::Line { worker: of, line }) => {
                worker.as_ref().is_none_or(|worker| **worker == **of) && memmem::find(line, text.as_bytes()).is_some()
            }
            (Condition::Path(pattern), What::Path(of)) => pattern == *of,
            (Condition::Socket(address), What::Socket(of)) => address == *of,
            (Condition::Signal(name), What::Signal(of)) => name == of,
            (Condition::Fire(name), What::Fire(of)) => **name == **of,
            _ => false,
        }
    }

    fn is_level(&self) -> bool {
        matches!(self, Condition::Depth { .. } | Condition::Batch { .. })
    }
}

/// What it waits for, in words.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_queue = |event: &QueueEvent| match event {
            QueueEvent::Added => "a task was added to",
            QueueEvent::Done => "a task is done of",
            QueueEvent::Failed => "a try has failed of",
            QueueEvent::Buried => "a task is buried of",
            QueueEvent::Empty => "there is nothing left in",
        };
        match self {
            Condition::Depth { queue, least: 1 } => write!(f, "a task waits in {queue}"),
            Condition::Depth { queue, least } => write!(f, "{least} tasks wait in {queue}"),
            Condition::Batch { queue, .. } => write!(f, "a batch waits in {queue}"),
            Condition::Queue { queue, event } => write!(f, "{} {queue}", of_queue(event)),
            Condition::Worker { worker, event } => write!(f, "{worker}: {}", event.word()),
            Condition::Line { worker: Some(worker), text } => write!(f, "a line of {worker} with {text:?}"),
            Condition::Line { worker: None, text } => write!(f, "a line with {text:?}"),
            Condition::Path(path) => write!(f, "a file {}", path.display()),
            Condition::Schedule(_) => write!(f, "its time has come"),
            Condition::Socket(address) => write!(f, "somebody connects to {address}"),
            Condition::Signal(name) => write!(f, "SIG{name}"),
            Condition::Fire(name) => write!(f, "fired: {name}"),
        }
    }
}

/// The event of an item of `start_on`; where there is none, what is meant most often.
fn word<T: Words>(event: &Option<Text>, otherwise: T) -> T {
    let at = event.as_ref().and_then(|event| T::WORDS.iter().position(|word| *word == event.0));
    at.map_or(otherwise, |at| T::VALUES[at])
}

/// Something that happened, as conditions name it.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// To a task, or to a queue. One that becomes due, or returns, is added once more.
    Queue {
        /// The queue.
        queue: &'a str,
        /// What.
        event: QueueEvent,
    },
    /// To a worker.
    Worker {
        /// The worker.
        worker: &'a str,
        /// What.
        event: WorkerEvent,
    },
    /// A line was printed.
    Line {
        /// By this worker.
        worker: &'a str,
        /// The line, or what of it was found.
        line: &'a [u8],
    },
    /// There is a file that matches this pattern.
    Path(&'a Path),
    /// Somebody connects to this address.
    Socket(&'a Address),
    /// quell was sent this signal.
    Signal(&'a str),
    /// Somebody fires this name.
    Fire(&'a str),
}

/// What happens to the triggers of a worker. To be told in its order: a start serves what was told before it.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Something that they may wait for.
    Happened(What<'a>),
    /// The time of `alarm` has come, or the calendar's clock was set.
    Clock,
    /// The tick of `deadline` has come, or there is another reason to look: the triggers are new, a queue goes on.
    Look,
    /// The worker was started, by whomever.
    Started,
    /// The worker is at rest: it ended, or could not be started, and is not about to be started again by itself.
    Ended,
}

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start the worker; `Started` or `Ended` must follow.
    Start {
        /// Because of this item of `start_on`, counted from 0.
        why: usize,
    },
    /// This item starts the worker in a loop: say so. It is held back, and will be without a word while that goes on.
    Tripped {
        /// The item, counted from 0.
        why: usize,
        /// Until then.
        until: Tick,
    },
}

/// Where the worker stands, as its triggers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It does not run.
    Rest,
    /// A trigger has asked for a start.
    Asked,
    /// It runs.
    Running,
}

/// All that starts one worker.
#[derive(Clone, Debug)]
pub struct Triggers {
    phase: Phase,
    triggers: Vec<Trigger>,
}

/// One item of `start_on`.
#[derive(Clone, Debug)]
struct Trigger {
    /// Which, counted from 0.
    item: usize,
    condition: Condition,
    /// An edge came, and no start has followed it.
    pending: bool,
    /// Since when a batch waits that is not full.
    since: Option<Tick>,
    guard: Guard,
}

impl Triggers {
    /// The triggers of a worker that does not run: each condition, by the number of its item.
    #[must_use]
    pub fn new(conditions: impl IntoIterator<Item = (usize, Condition)>) -> Triggers {
        let trigger = |(item, condition)| Trigger {
            item,
            condition,
            pending: false,
            since: None,
            guard: Guard::new(STARTS_MAX, WINDOW),
        };
        Triggers { phase: Phase::Rest, triggers: conditions.into_iter().map(trigger).collect() }
    }

    /// Takes the place of others, whose worker stands where theirs stood: an item that waits for what an item of theirs has
    /// waited for, as `same` says by their numbers, knows what that one knew.
    pub fn succeed(&mut self, mut before: Triggers, same: impl Fn(usize) -> Option<usize>) {
        self.phase = before.phase;
        for trigger in &mut self.triggers {
            let known = same(trigger.item);
            if let Some(at) = before.triggers.iter().position(|other| Some(other.item) == known) {
                *trigger = Trigger { item: trigger.item, ..before.triggers.swap_remove(at) };
            }
        }
    }

    /// What an event leads to. `waiting` says how many tasks of a queue could be started now.
    pub fn step(&mut self, event: Event<'_>, now: Now, waiting: impl Fn(&str) -> u64, effects: &mut Vec<Effect>) {
        match event {
            Event::Happened(what) => self.triggers.iter_mut().for_each(|trigger| trigger.note(&what, now.tick)),
            Event::Clock => self.triggers.iter_mut().for_each(|trigger| trigger.tell(now.wall)),
            Event::Look => {}
            Event::Started if self.phase == Phase::Running => {}
            Event::Started => {
                self.phase = Phase::Running;
                self.serve();
            }
            Event::Ended => self.phase = Phase::Rest,
        }
        match self.phase {
            Phase::Rest => self.look(now.tick, waiting, effects),
            Phase::Asked => self.serve(),
            Phase::Running => {}
        }
    }

    /// The worker is at rest, and nothing is to start it.
    pub fn rest(&mut self) {
        self.phase = Phase::Rest;
    }

    /// What schedules have waited for until now is not made up for.
    pub fn pass_over(&mut self, now: Wall) {
        self.triggers.iter_mut().for_each(|trigger| _ = trigger.has_come(now));
    }

    /// Until when a trigger is held back that is caught in a loop.
    #[must_use]
    pub fn held_back(&self) -> Option<Tick> {
        self.triggers.iter().filter_map(|trigger| trigger.guard.held()).max()
    }

    /// When `Look` is to be told.
    #[must_use]
    pub fn deadline(&self) -> Option<Tick> {
        let at_rest = self.triggers.iter().filter(|_| self.phase == Phase::Rest);
        at_rest.filter_map(Trigger::deadline).min()
    }

    /// When `Clock` is to be told.
    #[must_use]
    pub fn alarm(&self) -> Option<Wall> {
        let next = |trigger: &Trigger| match &trigger.condition {
            Condition::Schedule(schedule) => schedule.next(),
            _ => None,
        };
        self.triggers.iter().filter_map(next).min()
    }

    /// Whether it would be news that what this item waits for has happened: the worker is at rest, and no start is pending
    /// because of that.
    #[must_use]
    pub fn awaits(&self, item: usize) -> bool {
        let is_new = |trigger: &Trigger| trigger.item == item && !trigger.pending;
        self.phase == Phase::Rest && self.triggers.iter().any(is_new)
    }

    /// Whether the worker runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Asks for a start, if one is due. It is the first one's that is; the others are served by it.
    fn look(&mut self, now: Tick, waiting: impl Fn(&str) -> u64, effects: &mut Vec<Effect>) {
        for trigger in &mut self.triggers {
            if trigger.guard.holds(now) || !trigger.is_due(now, &waiting) {
                continue;
            }
            let why = trigger.item;
            match trigger.guard.admit(now) {
                Ok(()) => {
                    effects.push(Effect::Start { why });
                    self.phase = Phase::Asked;
                    return self.serve();
                }
                Err(Tripped { until, again: false }) => effects.push(Effect::Tripped { why, until }),
                Err(Tripped { again: true, .. }) => {}
            }
        }
    }

    /// A start is about to follow on all that has happened.
    fn serve(&mut self) {
        self.triggers.iter_mut().for_each(|trigger| (trigger.pending, trigger.since) = (false, None));
    }
}

impl Trigger {
    fn note(&mut self, what: &What<'_>, now: Tick) {
        match self.condition.fits(what) {
            true if self.condition.is_level() => self.since = self.since.or(Some(now)),
            true => self.pending = true,
            false => {}
        }
    }

    fn tell(&mut self, now: Wall) {
        self.pending |= self.has_come(now);
    }

    /// Whether the time of a schedule has come; asked once.
    fn has_come(&mut self, now: Wall) -> bool {
        match &mut self.condition {
            Condition::Schedule(schedule) => schedule.is_due(now),
            _ => false,
        }
    }

    fn is_due(&mut self, now: Tick, waiting: impl Fn(&str) -> u64) -> bool {
        match &self.condition {
            Condition::Depth { queue, least } => waiting(queue) >= *least,
            Condition::Batch { queue, full, every } => match waiting(queue) {
                0 => {
                    self.since = None;
                    false
                }
                tasks => {
                    let since = *self.since.get_or_insert(now);
                    tasks >= *full || every.is_some_and(|every| since.after(every) <= now)
                }
            },
            _ => self.pending,
        }
    }

    /// When it is to be looked at though nothing happens.
    fn deadline(&self) -> Option<Tick> {
        match self.condition {
            _ if self.guard.held().is_some() => self.guard.held(),
            Condition::Batch { every, .. } => Some(self.since?.after(every?)),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "trigger_tests.rs"]
mod tests;
