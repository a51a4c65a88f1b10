//! What happened: remembered, said on stderr, told to those who follow.

use super::Up;
use crate::clock::Now;
use crate::config::report::visible;
use crate::control::event::{Event, Kind};
use crate::control::history::History;
use crate::control::reply::Reply;
use crate::control::status::Ended;
use crate::runtime::server::ClientId;
use crate::supervisor::{Member, Phase, news};
use crate::sys::signal;
use crate::worker::WorkerId;
use crate::worker::lifecycle::{State, Want};
use crate::worker::outcome::Outcome;

/// The target of what is told of workers, which is no note on something else.
pub const HAPPENED: &str = "happened";

/// What happened, and who wants to know.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) history: History,
    pub(super) followers: Vec<ClientId>,
    /// Those of them who record it.
    pub(super) recorders: Vec<ClientId>,
}

impl Events {
    /// Whether somebody records what happens.
    pub(super) fn are_recorded(&self) -> bool {
        !self.recorders.is_empty()
    }

    /// A client is there no more.
    pub(super) fn forget(&mut self, gone: ClientId) {
        self.followers.retain(|follower| *follower != gone);
        self.recorders.retain(|recorder| *recorder != gone);
    }
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
        if let Some(late) = news::late(state, member) {
            worker.why = Some(late.into());
        }
        let news = news::of_state(state, member, has_command, self.supervisor.phase(), now.tick);
        let Some((kind, text)) = news else { return };
        if state == State::Failed {
            worker.why.get_or_insert_with(|| text.as_str().into());
        }
        let (kind, text) = match disk {
            Some(text) if state == State::Down && !member.life.is_done() => (Kind::LogTrouble, text),
            _ => (kind, text),
        };
        let event = Event::new(now.wall, kind, text).of(name);
        self.say(match pid {
            Some(pid) => event.pid(pid),
            None => event,
        });
    }
}

/// As it goes over the wire.
pub(super) fn how(outcome: Outcome) -> Ended {
    match outcome {
        Outcome::Exited(code) => Ended::Code(code),
        Outcome::Signalled { number, .. } => Ended::Signal(signal::name(number)),
    }
}
