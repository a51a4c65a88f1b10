//! What starts a worker that waits for something: its `start_on`. `task::trigger` decides; here it is told what happens, and
//! what it asks for is done.

use super::sockets::Sockets;
use super::{ALARM, Up, Worker, specs};
use crate::clock::{Now, Tick, Wall};
use crate::config::tables::WorkerEvent;
use crate::control::event::{Event as Happening, Kind};
use crate::supervisor::{Event, Phase};
use crate::sys::alarm::Alarm;
use crate::sys::fd::Interest;
use crate::task::trigger::{self, What};
use crate::task::watch::{self, Answer, Asked};
use crate::worker::WorkerId;
use crate::worker::lifecycle::State;
use std::io;

/// An alarm that rings only when the clock is set.
const NEVER: Wall = Wall(i64::MAX);

/// All triggers, and the alarm of their schedules.
#[derive(Debug, Default)]
pub(super) struct Watches {
    pub(super) all: watch::Watches,
    /// The sockets of those who wait for connections, by their names.
    pub(super) sockets: Vec<(Box<str>, Sockets)>,
    /// None where nobody ever waited for the calendar; and when it rings.
    alarm: Option<Alarm>,
    rings: Option<Wall>,
    /// What is to be waited for may be other than what is.
    pub(super) stale: bool,
    /// What cannot be waited for, and whose it is, as was said.
    troubles: Vec<Trouble>,
}

/// Why something cannot be waited for, and for whom, where it is for one worker.
pub(super) type Trouble = (Option<Box<str>>, String);

impl Watches {
    /// When there is something to do that nothing else brings.
    pub(super) fn deadline(&self) -> Option<Tick> {
        self.all.deadline()
    }

    /// When it is to be seen which workers are idle.
    pub(super) fn idle_deadline(&self) -> Option<Tick> {
        self.sockets.iter().filter_map(|(_, sockets)| Some(sockets.idle?.deadline())).min()
    }

    /// Whether somebody has stopped a worker, so that what it waits for does not start it.
    pub(super) fn holds(&self, worker: &str) -> bool {
        self.all.holds(worker)
    }
}

impl Up<'_> {
    /// Puts the triggers of the configuration in force. Those that stay as they were know what has happened before. Whoever is
    /// at rest is to be told to look.
    pub(super) fn arrange_triggers(&mut self, now: Now) {
        let config = &self.configuration.loaded.config;
        let mut watches = watch::Watches::default();
        for named in config.workers.iter().filter(|named| named.keys.enabled.value) {
            watches.add(&named.name, specs::waits_for(&named.keys), now.wall);
        }
        let runs = |id: &WorkerId| {
            let state = self.supervisor.member(*id).map(|member| member.life.state);
            !matches!(state, None | Some(State::Down | State::Failed))
        };
        let is_of = |worker: &Worker, name: &str| *worker.of == *name;
        watches.succeed(std::mem::take(&mut self.watches.all), now, |name| {
            self.workers.iter().any(|(id, worker)| is_of(worker, name) && runs(id))
        });
        let sockets = config.workers.iter().filter(|named| watches.knows(&named.name));
        let sockets = sockets.map(|named| (named.name.as_str().into(), Sockets::of(named)));
        self.watches.sockets = sockets.filter(|(_, sockets)| sockets.are_some()).collect();
        for (worker, sockets) in &mut self.watches.sockets {
            sockets.mind(watches.runs(worker), now);
        }
        self.watches.all = watches;
        self.watches.stale = true;
    }

    /// Tells the triggers what has happened.
    pub(super) fn happened(&mut self, what: What<'_>, now: Now) {
        self.record_happened(what, now);
        self.tell(trigger::Event::Happened(what), None, now);
    }

    /// The triggers of a worker are told where it stands, and all of them what has become of it.
    pub(super) fn trigger_state(&mut self, id: WorkerId, state: State, now: Now) {
        let Some(of) = self.watched(id) else { return };
        if matches!(state, State::Down | State::Backoff | State::Failed) {
            self.renew_sockets(id, now);
        }
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
        self.workers.get(&id).filter(|_| !self.watches.all.is_empty()).map(|worker| worker.of.clone())
    }

    /// What is due by the clock.
    pub(super) fn triggers_due(&mut self, rang: bool, now: Now) {
        if rang {
            self.watches.alarm.iter().for_each(Alarm::heard);
            self.watches.rings = None;
            if let Some(tasks) = &mut self.tasks {
                tasks.stores.ids().for_each(|store| tasks.await_due(store, now));
            }
            self.tell(trigger::Event::Clock, None, now);
        }
        if self.watches.deadline().is_some_and(|at| at <= now.tick) {
            self.tell(trigger::Event::Look, None, now);
        }
        if self.watches.idle_deadline().is_some_and(|at| at <= now.tick) {
            self.idle_due(now);
        }
    }

    /// Fires a name: who waits for it and is not started, because somebody has stopped it; none where nobody waits for it.
    pub(super) fn fire(&mut self, name: &str, now: Now) -> Option<Vec<Box<str>>> {
        let triggers = self.configuration.loaded.config.triggers();
        let waits = triggers.filter(|(_, item)| item.fire.value.as_ref().is_some_and(|fire| fire.0 == *name));
        let mut waits: Vec<Box<str>> = waits.map(|(named, _)| named.name.as_str().into()).collect();
        if waits.is_empty() {
            return None;
        }
        self.happened(What::Fire(name), now);
        waits.dedup();
        waits.retain(|worker| self.watches.holds(worker));
        Some(waits)
    }

    /// Whether a worker waits for this signal; if one does, it is told.
    pub(super) fn signal_is_waited_for(&mut self, name: &str, now: Now) -> bool {
        let short = name.strip_prefix("SIG").unwrap_or(name);
        let mut triggers = self.configuration.loaded.config.triggers();
        let known = triggers.any(|(_, item)| item.signal.value.as_ref().is_some_and(|signal| signal.0 == short));
        drop(triggers);
        if known {
            self.happened(What::Signal(short), now);
        }
        known
    }

    /// Workers that somebody stops are not started by what they wait for, until somebody starts them.
    pub(super) fn hold_triggers(&mut self, ids: &[WorkerId], held: bool, now: Now) {
        for id in ids {
            if let Some(worker) = self.workers.get(id) {
                self.watches.all.hold(&worker.of, held, now.wall);
            }
        }
        self.watches.stale = true;
    }

    /// Tells all triggers, or those of `only` one worker, what has happened.
    pub(super) fn tell(&mut self, event: trigger::Event<'_>, only: Option<&str>, now: Now) {
        let tasks = self.tasks.as_ref();
        let waiting = |queue: &str| tasks.map_or(0, |tasks| tasks.waiting(queue));
        let asked = self.watches.all.tell(event, only, now, waiting);
        let Watches { all, sockets, .. } = &mut self.watches;
        // Whether a worker runs, that worker alone is told.
        for (worker, sockets) in sockets.iter_mut().filter(|(worker, _)| only == Some(worker)) {
            sockets.mind(all.runs(worker), now);
        }
        // Nothing is started any more when quell goes down.
        let is_going_on = self.supervisor.phase() != Phase::Stopping;
        for asked in asked.into_iter().filter(|_| is_going_on) {
            match asked.what {
                Answer::Start => self.start_because(&asked, now),
                Answer::Tripped => {
                    self.say(Happening::new(now.wall, Kind::Warning, asked.to_string()).of(asked.worker));
                }
            }
        }
        self.watches.stale = true;
    }

    /// Waits for what the triggers wait for, and for nothing else. Once a turn, however much has happened in it.
    pub(super) fn attend(&mut self, now: Now) {
        if !std::mem::take(&mut self.watches.stale) {
            return;
        }
        let mut troubles = self.attend_sockets();
        troubles.extend(self.set_alarm());
        let before = std::mem::replace(&mut self.watches.troubles, troubles);
        let fresh = self.watches.troubles.iter().filter(|trouble| !before.contains(trouble)).cloned();
        for (worker, text) in fresh.collect::<Vec<_>>() {
            let warning = Happening::new(now.wall, Kind::Warning, text);
            self.say(worker.into_iter().fold(warning, Happening::of));
        }
    }

    fn start_because(&mut self, asked: &Asked, now: Now) {
        let mine = |known: &Worker| {
            known.of == asked.worker && known.leaving.is_none() && !known.is_by_task(&self.configuration)
        };
        let ids: Vec<_> = self.workers.iter().filter(|(_, known)| mine(known)).map(|(id, _)| *id).collect();
        self.say(Happening::new(now.wall, Kind::Starting, asked.to_string()).of(asked.worker.clone()));
        self.step(Event::Start(&ids), now);
    }

    /// Has the next time of a schedule told; and a clock that is set, where tasks wait for a time of the calendar.
    fn set_alarm(&mut self) -> Option<Trouble> {
        let has_delayed = self.tasks.as_ref().is_some_and(|tasks| tasks.has_delayed());
        let next = self.watches.all.alarm().or(has_delayed.then_some(NEVER));
        if next == self.watches.rings {
            return None;
        }
        self.watches.rings = next;
        let e = self.alarm().and_then(|alarm| alarm.set(next)).err()?;
        // With the next change it is tried again.
        self.watches.rings = None;
        Some((None, format!("cannot wait for the time of a schedule: {e}")))
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
