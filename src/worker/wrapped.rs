//! The life of one wrapped command, as `run` leads it: what each event means in each state. A table, pure; `runtime::wrap`
//! carries out the effects.
//!
//! | | exit | output ends | signal | grace over | none left |
//! |---|---|---|---|---|---|
//! | Running | → Sweeping or Draining | noted | passed on | KILL | – |
//! | Sweeping | impossible | noted | to the rest | KILL the rest | → Draining |
//! | Draining | impossible | → Done | leave at once, if it asks to end | – | – |
//! | Done | impossible | – | – | – | – |

use super::outcome::Outcome;
use crate::clock::Tick;
use std::time::Duration;

/// How long descendants have between TERM and KILL where `--grace` is not given.
pub const DESCENDANTS_GRACE: Duration = Duration::from_secs(5);

/// What `run` was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// KILL so long after a signal that asks to end was passed on.
    pub grace: Option<Duration>,
    /// Stop what outlives the command.
    pub kill_descendants: bool,
    /// ALRM rotates the log, and is not passed on.
    pub has_log: bool,
}

/// Where the life stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The command runs.
    Running,
    /// It has ended; its descendants are being stopped.
    Sweeping(Outcome),
    /// All that should end has; what they printed is read.
    Draining(Outcome),
    /// Nothing is left to do.
    Done(Outcome),
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The command ended.
    Exit(Outcome),
    /// It has stopped, as it was asked to (`asked_to_stop`).
    Stopped,
    /// All its output was read, or given up.
    OutputEnded,
    /// A signal came.
    Signal {
        /// Its number.
        number: i32,
        /// The kernel sent it: where a key did that, the whole group has it, the command too.
        from_terminal: bool,
    },
    /// The deadline has passed.
    Deadline,
    /// No descendant is left.
    NoneLeft,
}

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send the command a signal.
    Forward(i32),
    /// Continue the command, unless whoever continued us (`fg`: the whole group) has.
    Continue,
    /// Stop ourselves, as the suspend key does.
    StopSelf,
    /// Rotate the log.
    Rotate,
    /// Send every descendant a signal.
    Sweep(i32),
    /// Read what is left, and say `OutputEnded`.
    Drain,
    /// Give up the output that is left, and say `OutputEnded`.
    Release,
}

/// How far a suspension is. The command stops first and we after it, or the shell that waits for us alone would have the
/// terminal back while the command still reads from it. A command that does not stop for the signal does not stop us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suspend {
    /// None is under way.
    Not,
    /// The command was asked to stop.
    Asked,
    /// Both have stopped, since the last signal to continue.
    Both,
}

/// A wrapped command's life.
#[derive(Clone, Copy, Debug)]
pub struct Wrapped {
    policy: Policy,
    /// Where it stands.
    pub state: State,
    /// When to do something about what has not ended.
    pub deadline: Option<Tick>,
    output_ended: bool,
    suspend: Suspend,
}

impl Wrapped {
    /// A command that has been started.
    #[must_use]
    pub fn new(policy: Policy) -> Wrapped {
        Wrapped { policy, state: State::Running, deadline: None, output_ended: false, suspend: Suspend::Not }
    }

    /// What an event leads to.
    pub fn step(&mut self, event: Event, now: Tick, effects: &mut Vec<Effect>) {
        match (self.state, event) {
            (State::Running, Event::Exit(outcome)) => self.ended(outcome, now, effects),
            (State::Running | State::Sweeping(_), Event::OutputEnded) => self.output_ended = true,
            (State::Running, Event::Signal { number, from_terminal }) => {
                self.signal(number, from_terminal, now, effects)
            }
            (State::Running, Event::Stopped) => {
                self.suspend = Suspend::Both;
                effects.push(Effect::StopSelf);
            }
            (State::Running, Event::Deadline) => {
                self.deadline = None;
                effects.push(Effect::Forward(libc::SIGKILL));
            }
            (State::Sweeping(_), Event::Signal { number, from_terminal }) => match number {
                libc::SIGTSTP => effects.push(Effect::StopSelf),
                libc::SIGALRM if self.policy.has_log => effects.push(Effect::Rotate),
                _ if !from_terminal => effects.push(Effect::Sweep(number)),
                _ => {}
            },
            (State::Sweeping(_), Event::Deadline) => {
                self.deadline = None;
                effects.push(Effect::Sweep(libc::SIGKILL));
            }
            (State::Sweeping(outcome), Event::NoneLeft) => self.drain(outcome, effects),
            (State::Draining(outcome), Event::OutputEnded) => self.state = State::Done(outcome),
            (State::Draining(_), Event::Signal { number, .. }) => match number {
                libc::SIGTSTP => effects.push(Effect::StopSelf),
                libc::SIGALRM if self.policy.has_log => effects.push(Effect::Rotate),
                _ if asks_to_end(number) => effects.push(Effect::Release),
                _ => {}
            },
            (_, Event::Stopped)
            | (State::Running, Event::NoneLeft)
            | (State::Draining(_), Event::Deadline | Event::NoneLeft)
            | (State::Done(_), Event::OutputEnded | Event::Signal { .. } | Event::Deadline | Event::NoneLeft) => {}
            (State::Sweeping(_) | State::Draining(_) | State::Done(_), Event::Exit(_)) => {
                unreachable!("a process ends once")
            }
        }
    }

    /// Whether the command is expected to stop.
    #[must_use]
    pub fn asked_to_stop(&self) -> bool {
        self.state == State::Running && self.suspend == Suspend::Asked
    }

    fn ended(&mut self, outcome: Outcome, now: Tick, effects: &mut Vec<Effect>) {
        self.deadline = None;
        if self.policy.kill_descendants {
            self.state = State::Sweeping(outcome);
            self.deadline = Some(now.after(self.policy.grace.unwrap_or(DESCENDANTS_GRACE)));
            effects.push(Effect::Sweep(libc::SIGTERM));
        } else {
            self.drain(outcome, effects);
        }
    }

    fn drain(&mut self, outcome: Outcome, effects: &mut Vec<Effect>) {
        self.deadline = None;
        if self.output_ended {
            self.state = State::Done(outcome);
        } else {
            self.state = State::Draining(outcome);
            effects.push(Effect::Drain);
        }
    }

    fn signal(&mut self, number: i32, from_terminal: bool, now: Tick, effects: &mut Vec<Effect>) {
        if number == libc::SIGALRM && self.policy.has_log {
            effects.push(Effect::Rotate);
            return;
        }
        if number == libc::SIGCONT && std::mem::replace(&mut self.suspend, Suspend::Not) == Suspend::Both {
            effects.push(Effect::Continue);
            return;
        }
        // A hang-up goes to the session's leader alone, and an alarm to whoever set it.
        let to_the_group = matches!(number, libc::SIGINT | libc::SIGQUIT | libc::SIGTSTP | libc::SIGWINCH);
        if !(from_terminal && to_the_group) {
            effects.push(Effect::Forward(number));
            if asks_to_end(number) && self.deadline.is_none() {
                self.deadline = self.policy.grace.map(|grace| now.after(grace));
            }
        }
        if number == libc::SIGTSTP {
            self.suspend = Suspend::Asked;
        }
    }
}

fn asks_to_end(number: i32) -> bool {
    matches!(number, libc::SIGTERM | libc::SIGINT | libc::SIGQUIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVER: Outcome = Outcome::Exited(3);

    fn run(policy: Policy, events: &[Event]) -> (State, Vec<Effect>) {
        let (mut life, mut effects) = (Wrapped::new(policy), Vec::new());
        events.iter().for_each(|event| life.step(*event, Tick(0), &mut effects));
        (life.state, effects)
    }

    fn sent(number: i32) -> Event {
        Event::Signal { number, from_terminal: false }
    }

    #[test]
    fn exit_and_output_end_in_either_order() {
        let plain = Policy::default();
        assert_eq!(run(plain, &[Event::Exit(OVER)]), (State::Draining(OVER), vec![Effect::Drain]));
        assert_eq!(run(plain, &[Event::Exit(OVER), Event::OutputEnded]).0, State::Done(OVER));
        assert_eq!(run(plain, &[Event::OutputEnded, Event::Exit(OVER)]), (State::Done(OVER), vec![]));
    }

    #[test]
    fn a_key_at_the_terminal_is_not_passed_on_twice() {
        let key = Event::Signal { number: libc::SIGINT, from_terminal: true };
        assert_eq!(run(Policy::default(), &[key]).1, []);
        let hangup = Event::Signal { number: libc::SIGHUP, from_terminal: true };
        assert_eq!(run(Policy::default(), &[hangup]).1, [Effect::Forward(libc::SIGHUP)]);
        assert_eq!(run(Policy::default(), &[sent(libc::SIGINT)]).1, [Effect::Forward(libc::SIGINT)]);
        let stop = Event::Signal { number: libc::SIGTSTP, from_terminal: true };
        assert_eq!(run(Policy::default(), &[stop]).1, []);
        assert_eq!(run(Policy::default(), &[sent(libc::SIGTSTP)]).1, [Effect::Forward(libc::SIGTSTP)]);
    }

    #[test]
    fn we_stop_after_the_command() {
        let stop = Event::Signal { number: libc::SIGTSTP, from_terminal: true };
        let cont = sent(libc::SIGCONT);
        assert_eq!(run(Policy::default(), &[stop, Event::Stopped]).1, [Effect::StopSelf]);
        assert_eq!(run(Policy::default(), &[stop, Event::Stopped, cont]).1, [Effect::StopSelf, Effect::Continue]);
        assert_eq!(run(Policy::default(), &[cont]).1, [Effect::Forward(libc::SIGCONT)]);
        assert_eq!(run(Policy::default(), &[stop, cont]).1, [Effect::Forward(libc::SIGCONT)], "it did not stop");
    }

    #[test]
    fn kill_follows_only_with_grace() {
        let grace = Policy { grace: Some(Duration::from_secs(1)), ..Policy::default() };
        let mut life = Wrapped::new(grace);
        let mut effects = Vec::new();
        life.step(sent(libc::SIGHUP), Tick(0), &mut effects);
        assert_eq!(life.deadline, None, "HUP asks for a reload");
        life.step(sent(libc::SIGTERM), Tick(0), &mut effects);
        assert_eq!(life.deadline, Some(Tick(1_000_000_000)));
        life.step(sent(libc::SIGTERM), Tick(5), &mut effects);
        assert_eq!(life.deadline, Some(Tick(1_000_000_000)), "a second TERM wins no time");
        life.step(Event::Deadline, Tick(1_000_000_000), &mut effects);
        assert_eq!(effects.last(), Some(&Effect::Forward(libc::SIGKILL)));
        let mut without = Wrapped::new(Policy::default());
        without.step(sent(libc::SIGTERM), Tick(0), &mut effects);
        assert_eq!(without.deadline, None);
    }

    #[test]
    fn alarm_rotates_where_there_is_a_log() {
        let log = Policy { has_log: true, ..Policy::default() };
        assert_eq!(run(log, &[sent(libc::SIGALRM)]).1, [Effect::Rotate]);
        assert_eq!(run(Policy::default(), &[sent(libc::SIGALRM)]).1, [Effect::Forward(libc::SIGALRM)]);
    }

    #[test]
    fn descendants_are_stopped_then_killed_then_drained() {
        let sweep = Policy { kill_descendants: true, ..Policy::default() };
        let events = [Event::Exit(OVER), Event::Deadline, Event::NoneLeft, Event::OutputEnded];
        let expected = vec![Effect::Sweep(libc::SIGTERM), Effect::Sweep(libc::SIGKILL), Effect::Drain];
        assert_eq!(run(sweep, &events), (State::Done(OVER), expected));
    }

    #[test]
    fn a_signal_while_draining_leaves_at_once() {
        let events = [Event::Exit(OVER), sent(libc::SIGTERM)];
        assert_eq!(run(Policy::default(), &events).1, [Effect::Drain, Effect::Release]);
    }

    /// Every state that can be reached, with every event: no signal is sent to a command that has ended, nothing is done
    /// once all is done, and the end can be reached from everywhere.
    #[test]
    fn every_reachable_state_holds() {
        let signals = [libc::SIGTERM, libc::SIGHUP, libc::SIGTSTP, libc::SIGCONT, libc::SIGALRM];
        let signals = signals
            .into_iter()
            .flat_map(|number| [true, false].map(|from_terminal| Event::Signal { number, from_terminal }));
        let events: Vec<_> = signals
            .chain([Event::Exit(OVER), Event::OutputEnded, Event::Deadline, Event::NoneLeft, Event::Stopped])
            .collect();
        for bits in 0..8u8 {
            let grace = (bits & 1 > 0).then_some(Duration::from_secs(1));
            let policy = Policy { grace, kill_descendants: bits & 2 > 0, has_log: bits & 4 > 0 };
            let key = |life: &Wrapped| (life.state, life.deadline, life.output_ended, life.suspend);
            let mut todo = vec![Wrapped::new(policy)];
            let mut seen = vec![key(&todo[0])];
            while let Some(life) = todo.pop() {
                for &event in &events {
                    let possible = match event {
                        Event::Exit(_) => life.state == State::Running,
                        Event::Stopped => life.asked_to_stop(),
                        _ => true,
                    };
                    if !possible {
                        continue;
                    }
                    let (mut next, mut effects) = (life, Vec::new());
                    next.step(event, Tick(0), &mut effects);
                    let forwards = effects.iter().any(|e| matches!(e, Effect::Forward(_) | Effect::Continue));
                    assert!(!forwards || life.state == State::Running, "{life:?} {event:?}");
                    assert!(!matches!(life.state, State::Done(_)) || effects.is_empty(), "{life:?} {event:?}");
                    assert!(!matches!(next.state, State::Done(_)) || next.deadline.is_none());
                    if !seen.contains(&key(&next)) {
                        seen.push(key(&next));
                        todo.push(next);
                    }
                }
                let (mut end, mut effects) = (life, Vec::new());
                if life.state == State::Running {
                    end.step(Event::Exit(OVER), Tick(0), &mut effects);
                }
                for event in [Event::NoneLeft, Event::OutputEnded] {
                    end.step(event, Tick(0), &mut effects);
                }
                assert_eq!(end.state, State::Done(OVER), "no end from {life:?}");
            }
        }
    }
}
