//! What is told of a worker that has come to another state.

use super::{Member, Phase};
use crate::clock::Tick;
use crate::config::unit::show_duration;
use crate::control::event::Kind;
use crate::worker::lifecycle::{End, Rung, State};

/// It in words, and what sort of thing it is; none where nobody need know. What was said since counts: the state that is
/// announced may be over by now. Where it has no stop command, it is told that there is no more to do.
#[must_use]
pub fn of_state(state: State, member: &Member, has_command: bool, phase: Phase, now: Tick) -> Option<(Kind, String)> {
    let life = &member.life;
    let late = || late(state, member).map(|text| text + ": ").unwrap_or_default();
    Some(match state {
        State::Starting => return None,
        State::Up if life.started == now && member.spec.oneshot => return None,
        State::Up => (Kind::Ready, "ready".to_owned()),
        State::Backoff => {
            let wait = life.deadline.map_or_else(Default::default, |at| at.until(now));
            (Kind::Backoff, format!("starts again in {}", show_duration(wait)))
        }
        State::Failed => (
            Kind::Failed,
            match member.spec.policy.backoff.give_up {
                Some(tries) if life.ends >= tries => format!("given up after {tries} tries"),
                _ => "failed; it is not started again".to_owned(),
            },
        ),
        State::Stopping(Rung::Signal) if life.main => (Kind::Stopping, late() + "told to stop"),
        State::Stopping(Rung::Command) if !has_command => (Kind::Stopping, late() + "told that there is no more to do"),
        State::Stopping(Rung::Command) => (Kind::Stopping, late() + "its stop command is run"),
        State::Stopping(Rung::Kill) => (Kind::Killed, "does not end: killed".to_owned()),
        State::Stopping(Rung::Signal) => (Kind::Stopping, "what it left behind is told to stop".to_owned()),
        State::Down if life.is_done() => (Kind::Stopped, "done".to_owned()),
        State::Down if phase == Phase::Stopping => return None,
        State::Down => (Kind::Stopped, "down".to_owned()),
    })
}

/// That a stop begins because the worker was not ready in time, where it is so.
#[must_use]
pub fn late(state: State, member: &Member) -> Option<String> {
    let stops = matches!(state, State::Stopping(Rung::Command | Rung::Signal));
    let is_late = stops && member.life.main && member.life.end == Some(End::Failure);
    is_late.then(|| format!("not ready after {}", show_duration(member.spec.policy.start_timeout)))
}
