//! The lives of simulated workers: how long they run, and how they end.

use super::script::Life;
use super::world::{Timer, World};
use crate::clock::Tick;
use crate::config::tables::WorkerEvent;
use crate::config::values::SIGNALS;
use crate::control::event::{Event as Happening, Kind};
use crate::control::status::Ended;
use crate::supervisor::{Event, news};
use crate::task::outcome::{End as Fate, Exit};
use crate::worker::WorkerId;
use crate::worker::lifecycle::{self, End, State};
use crate::worker::outcome::Outcome;
use std::collections::VecDeque;
use std::time::Duration;

/// A life or a try for which nothing is said lasts so long, where it is one that ends by itself.
pub(super) const RUN: Duration = Duration::from_secs(1);

impl World<'_> {
    pub(super) fn carry_out_life(&mut self, id: WorkerId, effect: lifecycle::Effect) {
        let stop = self.config.workers[self.worker(id).table].keys.stop.signal.value.0;
        let stopped = self.worker(id).life.and_then(|life| life.stopped);
        match effect {
            lifecycle::Effect::Spawn => self.spawn(id),
            lifecycle::Effect::StopCommand if !self.has_stop_command(id) => self.tell_no_more(id),
            lifecycle::Effect::StopCommand => {
                self.end_now(id, stopped.unwrap_or(Outcome::Exited(0)));
                self.step(Event::Life(id, lifecycle::Event::CommandEnded { success: true }));
            }
            lifecycle::Effect::Signal => self.end_now(id, stopped.unwrap_or_else(|| by_signal(stop))),
            lifecycle::Effect::Kill => self.end_now(id, by_signal("KILL")),
            // Nobody outlives what kills it here.
            lifecycle::Effect::Survivors => {}
        }
    }

    /// A process begins.
    fn spawn(&mut self, id: WorkerId) {
        let life = self.life_of(id);
        let (tick, table) = (self.now.tick, self.worker(id).table);
        let worker = self.worker(id);
        let again = if worker.starts > 0 { "it had ended" } else { "others need it" };
        let why = worker.why.take().unwrap_or_else(|| again.into());
        worker.life = Some(life);
        worker.starts += 1;
        worker.exit_at = life.lasts.map(|lasts| tick.after(lasts));
        let is_ready = life.ready == Some(Duration::ZERO);
        worker.ready_at = life.ready.filter(|_| !is_ready).map(|ready| tick.after(ready));
        worker.is_over = false;
        let (is_told, exit_at, ready_at) = (!worker.by_task, worker.exit_at, worker.ready_at);
        self.timers.extend(exit_at.map(|at| (at, Timer::Exit(id))));
        self.timers.extend(ready_at.map(|at| (at, Timer::Ready(id))));
        self.summary.started(table, &why, tick);
        if is_told {
            self.tell_of(id, Kind::Started, "started");
        }
        if is_ready {
            self.step(Event::Life(id, lifecycle::Event::Ready));
        }
    }

    /// How the life that begins will be: as it was, as it is said, or as such a worker's are.
    fn life_of(&mut self, id: WorkerId) -> Life {
        let oneshot = self.supervisor.member(id).is_some_and(|member| member.spec.oneshot);
        let worker = &self.workers[id.0 as usize];
        if let Some(held) = worker.tasks.first().filter(|_| worker.by_task)
            && let Some(tried) = &held.tried
        {
            let outcome = Outcome::Exited(u8::from(!matches!(tried.end.end(), Some(Fate::Done { .. }))));
            return Life { outcome, ..Life::lasting(tried.lasts) };
        }
        // Others need one that was at rest: that is no life that was recorded, and nothing comes of it before it is stopped.
        if self.now.tick == Tick(0) && self.script.down.contains(&worker.name) {
            return Life { ready: None, ..Life::lasting(None) };
        }
        if let Some(life) = self.script.lives.get_mut(&worker.name).and_then(VecDeque::pop_front) {
            return life;
        }
        let worker = &self.workers[id.0 as usize];
        match self.run_of(id) {
            // Of one that stays, it says how its tries are.
            Some(run) if worker.slot.is_some() && !worker.by_task => Life { ready: run.ready, ..Life::lasting(None) },
            Some(run) => run,
            None => Life::lasting((oneshot || worker.by_task).then_some(RUN)),
        }
    }

    /// What is said of lives or tries of a worker.
    pub(super) fn run_of(&self, id: WorkerId) -> Option<Life> {
        let worker = &self.workers[id.0 as usize];
        self.runs.get(&worker.name).or_else(|| self.runs.get(&worker.of)).copied()
    }

    fn has_stop_command(&self, id: WorkerId) -> bool {
        let table = self.workers[id.0 as usize].table;
        self.config.workers[table].keys.stop.command.value.is_some()
    }

    /// A process that runs ends now, unless it does so by itself in this very moment.
    pub(super) fn end_now(&mut self, id: WorkerId, outcome: Outcome) {
        let tick = self.now.tick;
        let worker = self.worker(id);
        let Some(life) = worker.life.as_mut().filter(|_| worker.exit_at.is_none_or(|at| at > tick)) else { return };
        life.outcome = outcome;
        let before = worker.exit_at.replace(tick);
        before.map(|before| self.timers.remove(&(before, Timer::Exit(id))));
        self.timers.insert((tick, Timer::Exit(id)));
    }

    /// A process has ended.
    pub(super) fn exit(&mut self, id: WorkerId) {
        let now = self.now;
        let worker = self.worker(id);
        let (table, ready_at) = (worker.table, worker.ready_at.take());
        worker.exit_at = None;
        let Some(life) = worker.life.take() else { return };
        ready_at.map(|at| self.timers.remove(&(at, Timer::Ready(id))));
        let outcome = life.outcome;
        self.worker(id).last = Some(outcome);
        let Some(member) = self.supervisor.member(id) else { return };
        let stop = by_signal(self.config.workers[table].keys.stop.signal.value.0);
        let asked = member.life.end == Some(End::Asked) && outcome == stop;
        let lasted = now.tick.until(member.life.started);
        let failed = !asked && member.has_failed(outcome);
        self.summary.workers[table].failures += u64::from(failed);
        if !self.worker(id).by_task {
            let text = match asked {
                true => outcome.describe_asked(signal_name, lasted),
                false => outcome.describe(signal_name, lasted),
            };
            let name = self.worker(id).name.clone();
            self.tell(Happening::new(now.wall, Kind::Exited, text).of(name).ended(how(outcome), lasted));
        }
        self.trigger_event(id, WorkerEvent::Exit);
        self.step(Event::Exit { id, outcome, left: false });
    }

    /// A worker has come to another state.
    pub(super) fn changed(&mut self, id: WorkerId, state: State) {
        match state {
            State::Starting => {}
            State::Up | State::Stopping(_) => self.seat(id),
            State::Down | State::Backoff | State::Failed if !self.worker(id).by_task => self.end_talk(id),
            State::Down | State::Failed => self.slot_rests(id),
            State::Backoff => {}
        }
        if self.worker(id).by_task && !matches!(state, State::Stopping(_)) {
            return;
        }
        let (phase, now, has_command) = (self.supervisor.phase(), self.now.tick, self.has_stop_command(id));
        let member = self.supervisor.member(id);
        let news = member.and_then(|member| news::of_state(state, member, has_command, phase, now));
        if let Some((kind, text)) = news {
            self.tell_of(id, kind, text);
        }
    }
}

/// An end by this signal. Its number is Linux's on most machines, and stands for its name alone.
fn by_signal(name: &str) -> Outcome {
    let at = SIGNALS.iter().position(|known| *known == name).unwrap_or_default();
    Outcome::Signalled { number: at as i32 + 1, core: false }
}

fn signal_name(number: i32) -> String {
    let name = usize::try_from(number - 1).ok().and_then(|at| SIGNALS.get(at));
    name.map_or_else(|| number.to_string(), |name| format!("SIG{name}"))
}

fn how(outcome: Outcome) -> Ended {
    match outcome {
        Outcome::Exited(code) => Ended::Code(code),
        Outcome::Signalled { number, .. } => Ended::Signal(signal_name(number)),
    }
}

/// How a process ended, as it is written.
pub(super) fn outcome_of(ended: &Ended) -> Option<Outcome> {
    match ended {
        Ended::Code(code) => Some(Outcome::Exited(*code)),
        Ended::Signal(name) => {
            let short = name.strip_prefix("SIG").unwrap_or(name);
            SIGNALS.contains(&short).then(|| by_signal(short))
        }
    }
}

/// How a process has ended, for what is to be thought of its task.
pub(super) fn exit_of(outcome: Outcome) -> Exit {
    match outcome {
        Outcome::Exited(code) => Exit::Code(code),
        Outcome::Signalled { number, .. } => Exit::Signal(number),
    }
}
