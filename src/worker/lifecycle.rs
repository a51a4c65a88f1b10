//! One worker's life under `up`: what each event means in each state. Pure; whoever owns the process carries out the
//! effects, and feeds back what came of them.
//!
//! What is wanted is kept apart from what is: a restart is no state, it is 'wanted up, and at rest'. A life has a main
//! process, and may leave others behind; it is at rest when none of them is left.
//!
//! | | want up, clear | want down | restart | exit | none left | deadline | kill |
//! |---|---|---|---|---|---|---|---|
//! | Down | → Starting | noted | → Starting | impossible | – | – | – |
//! | Starting | noted | → Stopping | → Stopping | → what is next | – | → Stopping | → Kill |
//! | Up | noted | → Stopping | → Stopping | → what is next | – | – | → Kill |
//! | Stopping | noted | noted | noted | → what is next | → what is next | next rung | → Kill |
//! | Backoff | → Starting | → Down | → Starting | impossible | – | → Starting | – |
//! | Failed | → Starting | → Down | → Starting | impossible | – | – | – |
//!
//! What is next: Stopping while something is left of the life; else Starting, Down, Backoff or Failed, by what was
//! wanted and how it ended. A start that fails is an end, in whatever state it is told.

use crate::clock::Tick;
use std::time::Duration;

/// How long what was killed has to be gone before it is killed again, and named.
pub const KILL_AGAIN: Duration = Duration::from_millis(250);
/// The shortest wait after a start that failed. It takes no time, so that without a wait nothing else would ever be done.
pub const SPAWN_AGAIN: Duration = Duration::from_millis(100);

/// When a worker that ended by itself is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Restart {
    /// Whatever happened.
    Always,
    /// When it failed.
    OnFailure,
    /// Not at all.
    Never,
}

/// How long to wait before the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Backoff {
    /// After the first end; doubled for each that follows.
    pub first: Duration,
    /// At most.
    pub max: Duration,
    /// A life of so long makes it begin anew.
    pub reset: Duration,
    /// So many ends in a row, and the worker has failed.
    pub give_up: Option<u32>,
}

/// What the configuration says of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// When it is started again.
    pub restart: Restart,
    /// After how long.
    pub backoff: Backoff,
    /// The longest until it is ready.
    pub start_timeout: Duration,
    /// How long each rung of a stop has.
    pub grace: Duration,
    /// A stop begins with a command.
    pub stop_command: bool,
}

/// How far a stop has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// The stop command runs, or has run.
    Command,
    /// The stop signal was sent.
    Signal,
    /// KILL was sent.
    Kill,
}

/// Where a life stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// At rest, until it is wanted.
    Down,
    /// It runs, and is not ready.
    Starting,
    /// It is ready.
    Up,
    /// It is being ended, or what it left behind is.
    Stopping(Rung),
    /// At rest, until the deadline.
    Backoff,
    /// At rest, until somebody starts it.
    Failed,
}

/// What is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// It is to be at rest.
    Down,
    /// It is to run.
    Up,
}

/// Why a life is over, or about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Somebody asked for it.
    Asked,
    /// It ended by itself, as it should.
    Success,
    /// It ended by itself, as it should not; or it was not ready in time.
    Failure,
}

/// What happens to a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Somebody wants it to run, or to be at rest.
    Want(Want),
    /// What it needs is ready, or no longer is: it starts only when it is.
    Clear(bool),
    /// Somebody wants another life in this one's place.
    Restart,
    /// It could not be started; whatever was asked for meanwhile.
    SpawnFailed,
    /// It is ready.
    Ready,
    /// The main process was reaped. `left`: something else of this life is still there, be it the stop command.
    Exit {
        /// It ended as it should.
        success: bool,
        /// Something of it is left.
        left: bool,
    },
    /// Nothing of this life is left.
    NoneLeft,
    /// Something of this life came to light that had not been seen: whoever dies hands its children on, and the stop command
    /// may end before all that it was to stop.
    Found,
    /// The stop command has ended.
    CommandEnded {
        /// With success.
        success: bool,
    },
    /// The deadline has passed.
    Deadline,
    /// Whatever it does, it is to end now.
    Kill,
}

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Start a life; `SpawnFailed` where that cannot be.
    Spawn,
    /// Run the stop command; `CommandEnded` when it has ended, or cannot be run.
    StopCommand,
    /// Send the stop signal to all that is left of this life.
    Signal,
    /// Kill all that is left of this life.
    Kill,
    /// What was killed is still there: say who.
    Survivors,
}

/// A life. Plain data: it can be written down and gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Life {
    /// What is to be.
    pub want: Want,
    /// What is.
    pub state: State,
    /// What it needs is ready.
    pub clear: bool,
    /// The main process has not been reaped.
    pub main: bool,
    /// When something is to be done that no other event brings.
    pub deadline: Option<Tick>,
    /// Why this life, or the last one, is over.
    pub end: Option<End>,
    /// Ends in a row that were followed, or are to be, by a wait.
    pub ends: u32,
    /// When it was last started.
    pub started: Tick,
    /// Where the jitter comes from.
    seed: u64,
}

impl Life {
    /// A life that has not begun; `seed` makes its waits differ from others'.
    #[must_use]
    pub fn new(seed: u64) -> Life {
        Life {
            want: Want::Down,
            state: State::Down,
            clear: false,
            main: false,
            deadline: None,
            end: None,
            ends: 0,
            started: Tick(0),
            seed,
        }
    }

    /// Whether nothing of it runs.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        matches!(self.state, State::Down | State::Backoff | State::Failed)
    }

    /// Whether its last life ended by itself, as it should, and no other is to follow.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Down && self.end == Some(End::Success)
    }

    /// What an event leads to.
    pub fn step(&mut self, event: Event, policy: &Policy, now: Tick, effects: &mut Vec<Effect>) {
        match (self.state, event) {
            (_, Event::Clear(clear)) => self.clear(clear, now, policy, effects),
            (State::Down | State::Backoff | State::Failed, _) => self.at_rest(event, policy, now, effects),
            (State::Starting | State::Up, _) => self.running(event, policy, now, effects),
            (State::Stopping(rung), _) => self.stopping(rung, event, policy, now, effects),
        }
    }

    /// Down, Backoff, Failed.
    fn at_rest(&mut self, event: Event, policy: &Policy, now: Tick, effects: &mut Vec<Effect>) {
        match (self.state, event) {
            (_, Event::Want(Want::Up) | Event::Restart) => {
                self.want = Want::Up;
                self.ends = 0;
                self.rest(State::Down, None);
                self.start(policy, now, effects);
            }
            (_, Event::Want(Want::Down)) => {
                self.want = Want::Down;
                self.rest(State::Down, None);
            }
            (State::Backoff, Event::Deadline) => {
                self.rest(State::Down, None);
                self.start(policy, now, effects);
            }
            // What comes late changes nothing.
            (_, Event::Deadline | Event::Ready | Event::NoneLeft | Event::Found | Event::Kill) => {}
            (_, Event::CommandEnded { .. } | Event::Clear(_)) => {}
            (_, Event::Exit { .. } | Event::SpawnFailed) => unreachable!("{event:?} of a life in {:?}", self.state),
        }
    }

    /// Starting, Up.
    fn running(&mut self, event: Event, policy: &Policy, now: Tick, effects: &mut Vec<Effect>) {
        match (self.state, event) {
            (State::Starting, Event::Ready) => self.rest(State::Up, None),
            (_, Event::Want(Want::Up)) => self.want = Want::Up,
            (_, Event::Want(Want::Down)) => {
                self.want = Want::Down;
                self.stop(End::Asked, policy, now, effects);
            }
            (_, Event::Restart) => {
                self.want = Want::Up;
                self.stop(End::Asked, policy, now, effects);
            }
            (State::Starting, Event::Deadline) => self.stop(End::Failure, policy, now, effects),
            (_, Event::Exit { success, left }) => {
                self.main = false;
                self.end = Some(if success { End::Success } else { End::Failure });
                match left {
                    true => self.climb(Rung::Signal, policy, now, effects),
                    false => self.next(Duration::ZERO, policy, now, effects),
                }
            }
            (_, Event::SpawnFailed) => {
                self.main = false;
                self.end = Some(End::Failure);
                self.next(SPAWN_AGAIN, policy, now, effects);
            }
            (_, Event::Kill) => {
                self.end = Some(End::Asked);
                self.climb(Rung::Kill, policy, now, effects);
            }
            // What comes late changes nothing; what is below the main process is that one's.
            (_, Event::Ready | Event::Deadline | Event::NoneLeft | Event::Found) => {}
            (_, Event::CommandEnded { .. } | Event::Clear(_)) => {}
        }
    }

    fn stopping(&mut self, rung: Rung, event: Event, policy: &Policy, now: Tick, effects: &mut Vec<Effect>) {
        match (rung, event) {
            (_, Event::Want(want)) => (self.want, self.end) = (want, Some(End::Asked)),
            (_, Event::Restart) => (self.want, self.end) = (Want::Up, Some(End::Asked)),
            (_, Event::Exit { left: false, .. }) => {
                self.main = false;
                self.next(Duration::ZERO, policy, now, effects);
            }
            // The start was still to be carried out when the stop began.
            (_, Event::SpawnFailed) => {
                self.main = false;
                self.next(SPAWN_AGAIN, policy, now, effects);
            }
            // The command has the rest of its time; what is left beside it is told to stop when it has ended.
            (Rung::Command, Event::Exit { left: true, .. }) => self.main = false,
            (Rung::Command, Event::Found) if !self.main => self.climb(Rung::Signal, policy, now, effects),
            (Rung::Signal | Rung::Kill, Event::Exit { left: true, .. }) => {
                self.main = false;
                effects.push(again(rung));
            }
            (Rung::Signal | Rung::Kill, Event::Found) => effects.push(again(rung)),
            (_, Event::NoneLeft) if !self.main => self.next(Duration::ZERO, policy, now, effects),
            (Rung::Command, Event::CommandEnded { success: false }) if self.main => {
                self.climb(Rung::Signal, policy, now, effects);
            }
            (Rung::Command, Event::Deadline) => self.climb(Rung::Signal, policy, now, effects),
            (Rung::Signal, Event::Deadline) => self.climb(Rung::Kill, policy, now, effects),
            (Rung::Kill, Event::Deadline) => {
                effects.push(Effect::Survivors);
                self.climb(Rung::Kill, policy, now, effects);
            }
            (Rung::Command | Rung::Signal, Event::Kill) => self.climb(Rung::Kill, policy, now, effects),
            // What comes late changes nothing; the main process may hand on what it started while it ends.
            (Rung::Kill, Event::Kill) | (Rung::Command, Event::Found) => {}
            (_, Event::Ready | Event::NoneLeft | Event::CommandEnded { .. } | Event::Clear(_)) => {}
        }
    }

    fn clear(&mut self, clear: bool, now: Tick, policy: &Policy, effects: &mut Vec<Effect>) {
        self.clear = clear;
        if self.state == State::Down {
            self.start(policy, now, effects);
        }
    }

    fn rest(&mut self, state: State, deadline: Option<Tick>) {
        (self.state, self.deadline) = (state, deadline);
    }

    /// Starts a life, if one is wanted and may begin.
    fn start(&mut self, policy: &Policy, now: Tick, effects: &mut Vec<Effect>) {
        if self.want == Want::Up && self.clear {
            (self.main, self.end, self.started) = (true, None, now);
            self.rest(State::Starting, Some(now.after(policy.start_timeout)));
            effects.push(Effect::Spawn);
        }
    }

    fn stop(&mut self, end: End, policy: &Policy, now: Tick, effects: &mut Vec<Effect>) {
        self.end = Some(end);
        let first = if policy.stop_command { Rung::Command } else { Rung::Signal };
        self.climb(first, policy, now, effects);
    }

    fn climb(&mut self, rung: Rung, policy: &Policy, now: Tick, effects: &mut Vec<Effect>) {
        let (effect, wait) = match rung {
            Rung::Command => (Effect::StopCommand, policy.grace),
            Rung::Signal => (Effect::Signal, policy.grace),
            Rung::Kill => (Effect::Kill, KILL_AGAIN),
        };
        self.rest(State::Stopping(rung), Some(now.after(wait)));
        effects.push(effect);
    }

    /// Nothing is left of this life: what comes now? Where that is a wait, it is at least so long.
    fn next(&mut self, shortest: Duration, policy: &Policy, now: Tick, effects: &mut Vec<Effect>) {
        self.rest(State::Down, None);
        let again = match self.end {
            Some(End::Asked) => return self.start(policy, now, effects),
            Some(End::Success) => policy.restart == Restart::Always,
            _ => policy.restart != Restart::Never,
        };
        if self.want == Want::Down {
            return;
        }
        if !again {
            self.want = Want::Down;
            if self.end != Some(End::Success) {
                self.rest(State::Failed, None);
            }
            return;
        }
        let Backoff { reset, give_up, .. } = policy.backoff;
        if now.until(self.started) >= reset {
            self.ends = 0;
        }
        self.ends += 1;
        if give_up.is_some_and(|tries| self.ends >= tries) {
            self.want = Want::Down;
            return self.rest(State::Failed, None);
        }
        match self.wait(policy.backoff).max(shortest) {
            Duration::ZERO => self.start(policy, now, effects),
            wait => self.rest(State::Backoff, Some(now.after(wait))),
        }
    }

    /// How long to wait before the next start: doubled with each end, and up to a quarter less, so that workers that fell
    /// together do not rise together.
    fn wait(&mut self, backoff: Backoff) -> Duration {
        let doublings = (self.ends - 1).min(31);
        let whole = backoff.first.saturating_mul(1 << doublings).min(backoff.max);
        // xorshift64 (Marsaglia, 2003).
        self.seed |= 1;
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        whole - whole / 4 * ((self.seed >> 32) as u32 % 1000) / 1000
    }
}

/// What those get who have not had it.
fn again(rung: Rung) -> Effect {
    if rung == Rung::Kill { Effect::Kill } else { Effect::Signal }
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
