//! What starts a worker that waits for something: its `start_on`. `task::trigger` decides; here it is told what happens, and
//! what it asks for is done.

use super::sockets::Sockets;
use super::{ALARM, Up, Worker, specs};
use crate::clock::{Now, Tick, Wall};
use crate::config::load::Named;
use crate::config::tables::{self, QueueEvent, WorkerEvent};
use crate::config::typed::{Item, Words};
use crate::control::event::{Event as Happening, Kind};
use crate::supervisor::Event;
use crate::sys::alarm::Alarm;
use crate::sys::fd::Interest;
use crate::task::trigger::{self, Condition, Effect, Triggers, What};
use crate::worker::WorkerId;
use crate::worker::lifecycle::State;
use std::io;

/// All triggers.
#[derive(Debug, Default)]
pub(super) struct Watches {
    watches: Vec<Watch>,
    /// None where no schedule ever was; and when it rings.
    alarm: Option<Alarm>,
    rings: Option<Wall>,
}

/// The triggers of one worker.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) worker: Box<str>,
    pub(super) triggers: Triggers,
    pub(super) sockets: Sockets,
    /// What each item of its `start_on` waits for, in words; none where that is not done here.
    items: Vec<Option<String>>,
    /// What they are made of: the items that are waited for here, by their numbers.
    made_of: Vec<(usize, tables::Trigger)>,
    /// Somebody has stopped the worker: it is not started but by somebody.
    pub(super) held: bool,
}

impl Watches {
    /// When there is something to do that nothing else brings.
    pub(super) fn deadline(&self) -> Option<Tick> {
        let open = self.watches.iter().filter(|watch| !watch.held);
        open.filter_map(|watch| watch.triggers.deadline()).min()
    }

    /// When it is to be seen which workers are idle.
    pub(super) fn idle_deadline(&self) -> Option<Tick> {
        self.watches.iter().filter_map(|watch| Some(watch.sockets.idle?.deadline())).min()
    }

    pub(super) fn each(&mut self) -> impl Iterator<Item = &mut Watch> {
        self.watches.iter_mut()
    }

    /// Whether somebody has stopped a worker, so that what it waits for does not start it.
    pub(super) fn holds(&self, worker: &str) -> bool {
        self.watches.iter().any(|watch| watch.held && *watch.worker == *worker)
    }

    fn of(&mut self, worker: &str) -> Option<&mut Watch> {
        self.watches.iter_mut().find(|watch| *watch.worker == *worker)
    }

    /// What each worker waits for, by the configuration.
    fn of_worker(named: &Named<tables::Worker>, now: Now) -> Option<Watch> {
        let leases = specs::is_by_task(&named.keys);
        let (mut conditions, mut items, mut made_of) = (Vec::new(), Vec::new(), Vec::new());
        for (at, Item(item, _)) in named.keys.start_on.value.iter().enumerate() {
            let mine = !(leases && item.is_of_tasks());
            // What was checked can be read.
            let condition = mine.then(|| Condition::of(item, now.wall).ok().flatten()).flatten();
            items.push(condition.as_ref().map(words));
            made_of.extend(condition.is_some().then(|| (at, item.clone())));
            conditions.extend(condition.map(|condition| (at, condition)));
        }
        let triggers = (!conditions.is_empty()).then(|| Triggers::new(conditions))?;
        let sockets = Sockets::of(named);
        Some(Watch { worker: named.name.as_str().into(), triggers, sockets, items, made_of, held: false })
    }
}

impl Up<'_> {
    /// Puts the triggers of the configuration in force. Those that stay as they were know what has happened before.
    pub(super) fn arrange_triggers(&mut self, now: Now) {
        let config = &self.configuration.loaded.config;
        let enabled = config.workers.iter().filter(|named| named.keys.enabled.value);
        let mut watches: Vec<_> = enabled.filter_map(|named| Watches::of_worker(named, now)).collect();
        for watch in &mut watches {
            if let Some(known) = self.watches.of(&watch.worker) {
                watch.held = known.held;
                if known.made_of == watch.made_of {
                    watch.triggers = known.triggers.clone();
                    continue;
                }
            }
            let runs = |worker: &Worker| *worker.of == *watch.worker && worker.process.is_some();
            if self.workers.values().any(runs) {
                watch.triggers.step(trigger::Event::Started, now, |_| 0, &mut Vec::new());
            }
        }
        self.watches.watches = watches;
        self.tell(trigger::Event::Look, None, now);
    }

    /// Tells the triggers what has happened.
    pub(super) fn happened(&mut self, what: What<'_>, now: Now) {
        self.tell(trigger::Event::Happened(what), None, now);
    }

    /// The triggers of a worker are told where it stands, and all of them what has become of it.
    pub(super) fn trigger_state(&mut self, id: WorkerId, state: State, now: Now) {
        let Some(of) = self.watched(id) else { return };
        match state {
            State::Starting => self.tell(trigger::Event::Started, Some(&of), now),
            State::Up => self.trigger_event(id, WorkerEvent::Ready, now),
            State::Down | State::Failed => {
                if state == State::Failed {
                    self.trigger_event(id, WorkerEvent::Failed, now);
                }
                let rests = |id: &WorkerId| self.supervisor.member(*id).is_none_or(|member| member.life.is_at_rest());
                if self.workers.iter().filter(|(_, worker)| worker.of == of).all(|(id, _)| rests(id)) {
                    self.tell(trigger::Event::Ended, Some(&of), now);
                }
            }
            State::Stopping(_) | State::Backoff => {}
        }
    }

    /// Something has happened to a worker.
    pub(super) fn trigger_event(&mut self, id: WorkerId, event: WorkerEvent, now: Now) {
        if let Some(worker) = self.watched(id) {
            self.happened(What::Worker { worker: &worker, event }, now);
        }
    }

    /// The name of a worker, where anybody waits for anything.
    fn watched(&self, id: WorkerId) -> Option<Box<str>> {
        self.workers.get(&id).filter(|_| !self.watches.watches.is_empty()).map(|worker| worker.of.clone())
    }

    /// What is due by the clock.
    pub(super) fn triggers_due(&mut self, rang: bool, now: Now) {
        if rang {
            self.watches.alarm.iter().for_each(Alarm::heard);
            self.watches.rings = None;
            self.tell(trigger::Event::Clock, None, now);
        }
        if self.watches.deadline().is_some_and(|at| at <= now.tick) {
            self.tell(trigger::Event::Look, None, now);
        }
        if self.watches.idle_deadline().is_some_and(|at| at <= now.tick) {
            self.idle_due(now);
        }
    }

    /// Whether anything waits for this to be fired; if so, it is.
    pub(super) fn fire(&mut self, name: &str, now: Now) -> bool {
        let fires =
            |Item(item, _): &Item<tables::Trigger>| item.fire.value.as_ref().is_some_and(|fire| fire.0 == *name);
        let workers = &self.configuration.loaded.config.workers;
        let known = workers.iter().any(|named| named.keys.start_on.value.iter().any(fires));
        if known {
            self.happened(What::Fire(name), now);
        }
        known
    }

    /// Whether a worker waits for this signal; if one does, it is told.
    pub(super) fn signal_is_waited_for(&mut self, name: &str, now: Now) -> bool {
        let short = name.strip_prefix("SIG").unwrap_or(name);
        let waits =
            |Item(item, _): &Item<tables::Trigger>| item.signal.value.as_ref().is_some_and(|signal| signal.0 == short);
        let workers = &self.configuration.loaded.config.workers;
        let known = workers.iter().any(|named| named.keys.start_on.value.iter().any(waits));
        if known {
            self.happened(What::Signal(short), now);
        }
        known
    }

    /// Workers that somebody stops are not started by what they wait for, until somebody starts them.
    pub(super) fn hold_triggers(&mut self, ids: &[WorkerId], held: bool, now: Now) {
        for id in ids {
            let Some(worker) = self.workers.get(id) else { continue };
            if let Some(watch) = self.watches.of(&worker.of) {
                watch.held = held;
            }
        }
        self.set_alarm(now);
        self.attend_sockets(now);
    }

    /// Tells all triggers, or those of `only` one worker, what has happened.
    pub(super) fn tell(&mut self, event: trigger::Event<'_>, only: Option<&str>, now: Now) {
        let tasks = self.tasks.as_ref();
        let waiting = |queue: &str| tasks.map_or(0, |tasks| tasks.waiting(queue));
        let mut asked = Vec::new();
        for watch in self.watches.watches.iter_mut().filter(|watch| only.is_none_or(|only| *watch.worker == *only)) {
            let mut effects = Vec::new();
            // Whoever is held is told of its starts and nothing else, so that nothing is asked for.
            if !watch.held || matches!(event, trigger::Event::Started) {
                watch.triggers.step(event, now, waiting, &mut effects);
            }
            watch.sockets.mind(watch.triggers.runs(), now);
            let text = |why: usize| watch.items.get(why).cloned().flatten().unwrap_or_default();
            asked.extend(effects.into_iter().map(|effect| match effect {
                Effect::Start { why } => (watch.worker.clone(), Some(text(why)), String::new()),
                Effect::Tripped { why, .. } => (watch.worker.clone(), None, text(why)),
            }));
        }
        for (worker, start, trips) in asked {
            match start {
                Some(why) => self.start_because(&worker, &why, now),
                None => {
                    let text = format!(
                        "started more than {} times in {} s by what it waits for ({trips}): that waits now",
                        trigger::STARTS_MAX,
                        trigger::WINDOW.as_secs()
                    );
                    self.say(Happening::new(now.wall, Kind::Warning, text).of(worker));
                }
            }
        }
        self.set_alarm(now);
        self.attend_sockets(now);
    }

    fn start_because(&mut self, worker: &str, why: &str, now: Now) {
        let mine =
            |known: &Worker| *known.of == *worker && known.leaving.is_none() && !known.is_by_task(&self.configuration);
        let ids: Vec<_> = self.workers.iter().filter(|(_, known)| mine(known)).map(|(id, _)| *id).collect();
        self.say(Happening::new(now.wall, Kind::Starting, format!("starts: {why}")).of(worker));
        self.step(Event::Start(&ids), now);
    }

    /// Has the next time of a schedule told.
    fn set_alarm(&mut self, now: Now) {
        let next =
            self.watches.watches.iter().filter(|watch| !watch.held).filter_map(|watch| watch.triggers.alarm()).min();
        if next == self.watches.rings {
            return;
        }
        self.watches.rings = next;
        if let Err(e) = self.alarm().and_then(|alarm| alarm.set(next)) {
            // With the next change it is tried again.
            self.watches.rings = None;
            let text = format!("cannot wait for the time of a schedule: {e}");
            self.say(Happening::new(now.wall, Kind::Warning, text));
        }
    }

    fn alarm(&mut self) -> io::Result<&Alarm> {
        if self.watches.alarm.is_none() {
            let alarm = Alarm::new()?;
            self.poller.add(&alarm, ALARM, Interest::Read)?;
            self.watches.alarm = Some(alarm);
        }
        self.watches.alarm.as_ref().ok_or_else(|| io::Error::other("there is none"))
    }
}

/// What a condition waits for, in words.
fn words(condition: &Condition) -> String {
    let of_queue = |event: &QueueEvent| match event {
        QueueEvent::Added => "a task was added to",
        QueueEvent::Done => "a task is done of",
        QueueEvent::Failed => "a try has failed of",
        QueueEvent::Buried => "a task is buried of",
        QueueEvent::Empty => "there is nothing left in",
    };
    match condition {
        Condition::Depth { queue, least: 1 } => format!("a task waits in {queue}"),
        Condition::Depth { queue, least } => format!("{least} tasks wait in {queue}"),
        Condition::Batch { queue, .. } => format!("a batch waits in {queue}"),
        Condition::Queue { queue, event } => format!("{} {queue}", of_queue(event)),
        Condition::Worker { worker, event } => format!("{worker}: {}", event.word()),
        Condition::Line { worker: Some(worker), text } => format!("a line of {worker} with {text:?}"),
        Condition::Line { worker: None, text } => format!("a line with {text:?}"),
        Condition::Path(path) => format!("a file {}", path.display()),
        Condition::Schedule(_) => "its time has come".into(),
        Condition::Socket(address) => format!("somebody connects to {address}"),
        Condition::Signal(name) => format!("SIG{name}"),
        Condition::Fire(name) => format!("fired: {name}"),
    }
}
