//! What happened: remembered, said on stderr, told to those who follow.

use super::Up;
use crate::clock::Now;
use crate::config::report::visible;
use crate::config::unit::show_duration;
use crate::control::event::{Event, Kind};
use crate::control::history::History;
use crate::control::reply::Reply;
use crate::control::status::Ended;
use crate::runtime::server::ClientId;
use crate::supervisor::{Member, Phase};
use crate::sys::signal;
use crate::worker::WorkerId;
use crate::worker::lifecycle::{End, Life, Rung, State, Want};
use crate::worker::outcome::Outcome;

/// The target of what is told of workers, which is no note on something else.
pub const HAPPENED: &str = "happened";

/// What happened, and who wants to know.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) history: History,
    pub(super) followers: Vec<ClientId>,
}

impl Up<'_> {
    /// Says that something happened, on stderr too.
    pub(super) fn say(&mut self, event: Event) {
        let worker = event.worker.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        let text = visible(&event.text);
        match event.kind {
            Kind::Failed | Kind::Oom | Kind::Survivors | Kind::LogTrouble | Kind::Warning => {
                tracing::warn!("{worker}{text}");
            }
            _ => tracing::info!(target: HAPPENED, "{worker}{text}"),
        }
        self.note(event);
    }

    /// Remembers what happened, and tells those who follow.
    pub(super) fn note(&mut self, event: Event) {
        let reply = Reply::Event(self.events.history.add(event).clone());
        let now = crate::sys::time::now().tick;
        for client in &self.events.followers {
            self.server.reply(&self.poller, *client, &reply, now);
        }
    }

    /// The time for the whole start is over: who holds it up. They are waited for on.
    pub(super) fn say_not_started(&mut self, now: Now) {
        self.start_by = None;
        let held_up = |(id, member): (WorkerId, &Member)| {
            let waits = member.desired == Want::Up && !member.is_ready() && member.life.state != State::Failed;
            waits.then(|| self.name(id))
        };
        let names: Vec<_> = self.supervisor.members().filter_map(held_up).collect();
        if self.supervisor.phase() == Phase::Starting && !names.is_empty() {
            let text = format!("the start takes longer than it should; not ready yet: {}", names.join(", "));
            self.say(Event::new(now.wall, Kind::Warning, text));
        }
    }

    /// A worker has come to another state.
    pub(super) fn changed(&mut self, id: WorkerId, state: State, now: Now) {
        let disk = self.waits_for_disk(id);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.since = now;
        match state {
            State::Starting => {}
            State::Up => {
                self.seat(id);
                self.give(id, now);
            }
            State::Stopping(_) => self.seat(id),
            State::Down | State::Backoff | State::Failed => self.end_talk(id, now),
        }
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.is_by_task(&self.configuration) || worker.task.is_some() {
            if matches!(state, State::Down | State::Failed) {
                self.slot_rests(id, now);
            }
            // The task is told of, not each process; but a stop is worth telling.
            if !matches!(state, State::Stopping(_)) {
                return;
            }
        }
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if state == State::Up {
            worker.why = None;
        }
        let has_command = self.configuration.table(worker).keys.stop.command.value.is_some();
        let (name, pid) = (worker.name.clone(), worker.process.as_ref().map(crate::sys::reap::Process::pid));
        let Some(member) = self.supervisor.member(id) else { return };
        let late = is_late(state, &member.life).then(|| {
            let text = format!("not ready after {}", show_duration(member.spec.policy.start_timeout));
            worker.why = Some(text.as_str().into());
            text + ": "
        });
        let late = late.unwrap_or_default();
        // What was said since: the state that is announced may be over by now.
        let (kind, text) = match state {
            State::Up if member.life.started == now.tick && member.spec.oneshot => return,
            State::Up => (Kind::Ready, "ready".to_owned()),
            State::Backoff => {
                let wait = member.life.deadline.map_or_else(Default::default, |at| at.until(now.tick));
                (Kind::Backoff, format!("starts again in {}", show_duration(wait)))
            }
            State::Failed => {
                let text = match member.spec.policy.backoff.give_up {
                    Some(tries) if member.life.ends >= tries => format!("given up after {tries} tries"),
                    _ => "failed; it is not started again".to_owned(),
                };
                worker.why.get_or_insert_with(|| text.as_str().into());
                (Kind::Failed, text)
            }
            State::Stopping(Rung::Signal) if member.life.main => (Kind::Stopping, late + "told to stop"),
            State::Stopping(Rung::Command) if !has_command => {
                (Kind::Stopping, late + "told that there is no more to do")
            }
            State::Stopping(Rung::Command) => (Kind::Stopping, late + "its stop command is run"),
            State::Stopping(Rung::Kill) => (Kind::Killed, "does not end: killed".to_owned()),
            State::Stopping(Rung::Signal) => (Kind::Stopping, "what it left behind is told to stop".to_owned()),
            State::Down if member.life.is_done() => (Kind::Stopped, "done".to_owned()),
            State::Down if self.supervisor.phase() == Phase::Stopping => return,
            State::Down => disk.map_or_else(|| (Kind::Stopped, "down".to_owned()), |text| (Kind::LogTrouble, text)),
            State::Starting => return,
        };
        let event = Event::new(now.wall, kind, text).of(name);
        self.say(match pid {
            Some(pid) => event.pid(pid),
            None => event,
        });
    }
}

/// Whether a stop begins because the worker was not ready in time.
fn is_late(state: State, life: &Life) -> bool {
    matches!(state, State::Stopping(Rung::Command | Rung::Signal)) && life.main && life.end == Some(End::Failure)
}

/// As it goes over the wire.
pub(super) fn how(outcome: Outcome) -> Ended {
    match outcome {
        Outcome::Exited(code) => Ended::Code(code),
        Outcome::Signalled { number, .. } => Ended::Signal(signal::name(number)),
    }
}
