//! The model: every state that can be reached, with every event that the world can bring, under every policy.

use super::*;
use std::collections::{HashMap, HashSet};

/// What is really there, as no life sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
struct World {
    main: bool,
    rest: bool,
    command: bool,
    /// It is not known yet whether the main process could be started.
    unsure: bool,
}

impl World {
    fn is_empty(self) -> bool {
        !self.main && !self.rest && !self.command
    }
}

/// What the world does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Act {
    /// An event comes from outside, or time passes.
    Tell(Event),
    SpawnFails,
    Spawns,
    /// The main process starts another.
    Fork,
    MainEnds {
        success: bool,
    },
    RestEnds,
    CommandEnds {
        success: bool,
    },
    /// Deep in the tree somebody dies: its children are ours now.
    HandsOn,
}

/// A mistake that might be made: what it does to a step that was right.
type Bug = fn(Event, &Life, &mut Life, &mut Vec<Effect>);

#[derive(Clone, Copy)]
struct Model {
    policy: Policy,
    bug: Option<Bug>,
}

const NOW: Tick = Tick(1_000_000_000_000);

impl Model {
    fn step(&self, life: &mut Life, event: Event, effects: &mut Vec<Effect>) {
        let before = *life;
        life.step(event, &self.policy, NOW, effects);
        if let Some(bug) = self.bug {
            bug(event, &before, life, effects);
        }
        // Which of the waits it is does not matter, nor does how often it ended beyond what anybody counts.
        life.seed = 1;
        life.ends = life.ends.min(self.policy.backoff.give_up.map_or(1, |tries| tries + 1));
    }

    fn acts(life: &Life, world: World) -> Vec<Act> {
        let mut events = vec![
            Event::Want(Want::Up),
            Event::Want(Want::Down),
            Event::Clear(true),
            Event::Clear(false),
            Event::Restart,
            Event::Ready,
            Event::Kill,
        ];
        if life.deadline.is_some() {
            events.push(Event::Deadline);
        }
        let mut acts: Vec<_> = events.into_iter().map(Act::Tell).collect();
        if world.unsure {
            acts.extend([Act::SpawnFails, Act::Spawns]);
            return acts;
        }
        if world.main {
            acts.extend([Act::Fork, Act::MainEnds { success: true }, Act::MainEnds { success: false }]);
        }
        if world.rest {
            acts.extend([Act::RestEnds, Act::HandsOn]);
        }
        if world.command {
            acts.extend([Act::CommandEnds { success: true }, Act::CommandEnds { success: false }]);
        }
        acts
    }

    /// Does an act: what comes of it. What is wrong with it is the error.
    fn act(&self, life: Life, world: World, act: Act) -> Result<(Life, World), String> {
        let (mut life, mut world) = (life, world);
        let events = match act {
            Act::Tell(event) => vec![event],
            Act::Fork => {
                world.rest = true;
                Vec::new()
            }
            // What was to be done to it finds nobody.
            Act::SpawnFails => {
                world = World::default();
                vec![Event::SpawnFailed]
            }
            Act::Spawns => {
                world.unsure = false;
                Vec::new()
            }
            Act::MainEnds { success } => {
                world.main = false;
                vec![Event::Exit { success, left: !world.is_empty() }]
            }
            Act::RestEnds => {
                world.rest = false;
                if world.is_empty() { vec![Event::NoneLeft] } else { Vec::new() }
            }
            // What is left beside the command is looked at when that has ended.
            Act::CommandEnds { success } => {
                world.command = false;
                let ended = Event::CommandEnded { success };
                let then = if world.is_empty() { Event::NoneLeft } else { Event::Found };
                if world.main { vec![ended] } else { vec![ended, then] }
            }
            Act::HandsOn => vec![Event::Found],
        };
        for event in events {
            let (mut next, mut effects) = (life, Vec::new());
            self.step(&mut next, event, &mut effects);
            self.is_right(&life, world, event, &next, &effects)
                .map_err(|what| format!("{what}: {life:?} {world:?} {act:?} -> {next:?} {effects:?}"))?;
            world.command |= effects.contains(&Effect::StopCommand);
            if effects.contains(&Effect::Spawn) {
                (world.main, world.unsure) = (true, true);
            }
            life = next;
        }
        self.holds(&life, world).map(|()| (life, world))
    }

    /// What is so of any step.
    fn is_right(
        &self,
        life: &Life,
        world: World,
        event: Event,
        next: &Life,
        effects: &[Effect],
    ) -> Result<(), &'static str> {
        let spawns = effects.iter().filter(|effect| **effect == Effect::Spawn).count();
        if spawns > 1 || (spawns == 1 && !world.is_empty()) {
            return Err("two lives at once");
        }
        if spawns == 1 && event == Event::SpawnFailed && life.end != Some(End::Asked) {
            return Err("a start that fails is tried again in the same breath");
        }
        if effects.iter().any(|effect| *effect != Effect::Spawn) && world.is_empty() {
            return Err("something is sent to a life that is over");
        }
        if effects.contains(&Effect::Survivors) && !matches!(life.state, State::Stopping(Rung::Kill)) {
            return Err("a survivor of nothing");
        }
        let asked = matches!(event, Event::Want(_) | Event::Restart | Event::Clear(_)) || life.end == Some(End::Asked);
        let again = match next.end.or(life.end) {
            _ if asked => true,
            _ if life.state == State::Backoff => true,
            _ => match (event, self.policy.restart) {
                (_, Restart::Never) => false,
                (Event::Exit { success: true, .. } | Event::NoneLeft, Restart::OnFailure) => {
                    life.end == Some(End::Failure)
                }
                _ => true,
            },
        };
        if spawns == 1 && !again {
            return Err("a start that nobody wanted");
        }
        if let (State::Stopping(was), State::Stopping(is)) = (life.state, next.state)
            && is < was
        {
            return Err("a stop went back");
        }
        if let Some(tries) = self.policy.backoff.give_up
            && next.ends >= tries
            && next.state != State::Failed
            && event != Event::Want(Want::Down)
            && life.ends < tries
        {
            return Err("it does not give up");
        }
        Ok(())
    }

    /// What is so at any time.
    fn holds(&self, life: &Life, world: World) -> Result<(), String> {
        let runs = matches!(life.state, State::Starting | State::Up);
        let rules = [
            ("it knows whether its process is there", life.main == world.main),
            ("it runs or is being stopped where something is there", !world.main || !life.is_at_rest()),
            ("rest is rest", !(world.rest || world.command) || !life.is_at_rest()),
            ("what runs has a process", !runs || world.main),
            ("what runs is wanted", !runs || life.want == Want::Up),
            ("what waits is wanted", life.state != State::Backoff || life.want == Want::Up),
            (
                "what is wanted and can be does not lie",
                life.state != State::Down || life.want == Want::Down || !life.clear,
            ),
            (
                "what ends by itself has no deadline",
                !matches!(life.state, State::Down | State::Up | State::Failed) || life.deadline.is_none(),
            ),
            (
                "what does not has one",
                !matches!(life.state, State::Starting | State::Stopping(_) | State::Backoff) || life.deadline.is_some(),
            ),
        ];
        match rules.into_iter().find(|(_, holds)| !holds) {
            Some((rule, _)) => Err(format!("not so: {rule}: {life:?} {world:?}")),
            None => Ok(()),
        }
    }

    /// From here a stop comes to rest, though nothing ends before it is killed.
    fn stops(&self, life: Life, world: World) -> Result<(), String> {
        let (mut life, mut world) = (life, world);
        let mut events = vec![Event::Want(Want::Down)];
        for _ in 0..8 {
            let mut effects = Vec::new();
            for event in events.drain(..) {
                self.step(&mut life, event, &mut effects);
            }
            if life.is_at_rest() {
                return match life.state {
                    State::Down => Ok(()),
                    state => Err(format!("stopped, and yet {state:?}")),
                };
            }
            if effects.contains(&Effect::Kill) {
                let main = std::mem::take(&mut world).main;
                events.push(if main { Event::Exit { success: false, left: false } } else { Event::NoneLeft });
            } else if life.deadline.is_some() {
                events.push(Event::Deadline);
            }
        }
        Err(format!("no rest: {life:?} {world:?}"))
    }

    /// Walks all that can be reached: how many states that are, or what is wrong.
    fn walk(&self) -> Result<usize, String> {
        let start = (Life::new(1), World::default());
        let (mut todo, mut seen) = (vec![start], HashSet::from([start]));
        let mut visited: HashMap<State, usize> = HashMap::new();
        while let Some((life, world)) = todo.pop() {
            *visited.entry(life.state).or_default() += 1;
            self.stops(life, world)?;
            for act in Model::acts(&life, world) {
                let next = self.act(life, world, act)?;
                if seen.insert(next) {
                    todo.push(next);
                }
            }
        }
        Ok(visited.len().max(seen.len()))
    }
}

fn policies() -> Vec<Policy> {
    let second = Duration::from_secs(1);
    let mut all = Vec::new();
    for restart in [Restart::Always, Restart::OnFailure, Restart::Never] {
        for stop_command in [false, true] {
            for give_up in [None, Some(1), Some(2)] {
                for first in [Duration::ZERO, second] {
                    // The model's time stands still: no life is long enough, or each is.
                    for reset in [second, Duration::ZERO] {
                        let backoff = Backoff { first, max: 4 * second, reset, give_up };
                        all.push(Policy { restart, backoff, start_timeout: second, grace: second, stop_command });
                    }
                }
            }
        }
    }
    all
}

fn check(bug: Option<Bug>) -> Result<usize, String> {
    policies().into_iter().try_fold(0, |states, policy| Ok(states + Model { policy, bug }.walk()?))
}

/// C14: never two lives, never a signal to a life that is over, what runs is wanted, rest can be reached from everywhere.
#[test]
fn every_reachable_state_holds() {
    let states = check(None).unwrap();
    assert!(states > 1000, "only {states} states were reached");
}

/// Mistakes, each of which the model must find.
const BUGS: [(&str, Bug); 16] = [
    ("a start that fails is not noted once it is to stop", |event, before, life, _| {
        if event == Event::SpawnFailed && matches!(before.state, State::Stopping(_)) {
            *life = *before;
        }
    }),
    ("a stop command is forgotten with the process that it ended", |event, before, life, _| {
        if matches!(event, Event::Exit { .. }) && before.state == State::Stopping(Rung::Command) {
            (life.state, life.deadline, life.want) = (State::Down, None, Want::Down);
        }
    }),
    ("a wanted worker is started though its last life is not over", |event, _, life, effects| {
        if event == Event::Want(Want::Up) && matches!(life.state, State::Stopping(_)) {
            (life.state, life.main) = (State::Starting, true);
            effects.push(Effect::Spawn);
        }
    }),
    ("what is left behind is forgotten", |event, _, life, effects| {
        if matches!(event, Event::Exit { left: true, .. }) {
            (life.state, life.deadline, life.want) = (State::Down, None, Want::Down);
            effects.clear();
        }
    }),
    ("the exit is not noted", |event, before, life, _| {
        if matches!(event, Event::Exit { .. }) && matches!(before.state, State::Stopping(_)) {
            life.main = true;
        }
    }),
    ("a stop is forgotten while the worker starts", |event, before, life, effects| {
        if event == Event::Want(Want::Down) && before.state == State::Starting {
            *life = *before;
            effects.clear();
        }
    }),
    ("a second stop signal follows the end", |event, _, _, effects| {
        if event == (Event::Exit { success: true, left: false }) {
            effects.push(Effect::Signal);
        }
    }),
    ("no deadline to a stop", |_, _, life, _| {
        if matches!(life.state, State::Stopping(Rung::Signal)) {
            life.deadline = None;
        }
    }),
    ("KILL is never sent", |_, _, life, effects| {
        if life.state == State::Stopping(Rung::Kill) {
            life.state = State::Stopping(Rung::Signal);
            effects.retain(|effect| *effect != Effect::Kill);
        }
    }),
    ("a deadline is left behind by readiness", |event, before, life, _| {
        if event == Event::Ready {
            life.deadline = before.deadline;
        }
    }),
    ("a worker that was stopped comes back after its wait", |event, before, life, _| {
        if event == Event::Want(Want::Down) && before.state == State::Backoff {
            *life = *before;
        }
    }),
    ("`never` is taken for `on-failure`", |event, before, life, effects| {
        if event == (Event::Exit { success: false, left: false })
            && life.state == State::Failed
            && before.end.is_none()
            && life.ends == 0
            && life.clear
        {
            (life.state, life.main, life.want, life.deadline) = (State::Starting, true, Want::Up, Some(NOW));
            effects.push(Effect::Spawn);
        }
    }),
    ("readiness makes a life of nothing", |event, before, life, _| {
        if event == Event::Ready && before.state == State::Down {
            life.state = State::Up;
        }
    }),
    ("a start that became possible is lost", |event, _, life, effects| {
        if event == Event::Clear(true) && life.state == State::Starting && life.started == NOW {
            (life.state, life.deadline, life.main) = (State::Down, None, false);
            effects.clear();
        }
    }),
    ("it does not give up", |_, before, life, _| {
        if life.state == State::Failed && before.state != State::Failed && life.ends > 0 {
            (life.state, life.want, life.deadline) = (State::Backoff, Want::Up, Some(NOW));
        }
    }),
    ("two starts for one end", |event, _, _, effects| {
        if event == Event::Deadline && effects.contains(&Effect::Spawn) {
            effects.push(Effect::Spawn);
        }
    }),
];

/// A model that finds nothing proves nothing: each of these mistakes is found.
#[test]
fn every_seeded_bug_is_found() {
    for (name, bug) in BUGS {
        assert!(check(Some(bug)).is_err(), "not found: {name}");
    }
}

fn policy() -> Policy {
    let backoff = Backoff {
        first: Duration::from_millis(200),
        max: Duration::from_secs(30),
        reset: Duration::from_secs(60),
        give_up: None,
    };
    Policy {
        restart: Restart::OnFailure,
        backoff,
        start_timeout: Duration::from_secs(60),
        grace: Duration::from_secs(10),
        stop_command: false,
    }
}

/// C13: the waits grow to their cap, differ between workers, and begin anew after a healthy time.
#[test]
fn a_crash_loop_is_slowed() {
    let waits = |seed: u64, lived: Duration| {
        let (mut life, mut effects, mut now) = (Life::new(seed), Vec::new(), Tick(0));
        let policy = policy();
        life.step(Event::Clear(true), &policy, now, &mut effects);
        life.step(Event::Want(Want::Up), &policy, now, &mut effects);
        let mut waits = Vec::new();
        for _ in 0..12 {
            life.step(Event::Ready, &policy, now, &mut effects);
            now = now.after(lived);
            life.step(Event::Exit { success: false, left: false }, &policy, now, &mut effects);
            let at = life.deadline.unwrap();
            waits.push(at.until(now));
            now = at;
            life.step(Event::Deadline, &policy, now, &mut effects);
        }
        waits
    };
    let short = waits(7, Duration::from_millis(1));
    for (wait, whole) in
        short.iter().zip([200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000, 30_000])
    {
        assert!((whole * 3 / 4..=whole).contains(&(wait.as_millis() as u64)), "{wait:?} of {whole} ms");
    }
    assert_ne!(short, waits(8, Duration::from_millis(1)), "workers that fell together rise together");
    assert!(waits(7, Duration::from_secs(61)).iter().all(|wait| wait.as_millis() <= 200));
}

#[test]
fn a_stop_has_each_rung_once() {
    let policy = Policy { stop_command: true, ..policy() };
    let (mut life, mut effects) = (Life::new(1), Vec::new());
    for event in [Event::Clear(true), Event::Want(Want::Up), Event::Ready, Event::Want(Want::Down)] {
        life.step(event, &policy, Tick(0), &mut effects);
    }
    for _ in 0..3 {
        life.step(Event::Deadline, &policy, Tick(0), &mut effects);
    }
    let expected = [Effect::Spawn, Effect::StopCommand, Effect::Signal, Effect::Kill, Effect::Survivors, Effect::Kill];
    assert_eq!(effects, expected);
    life.step(Event::Exit { success: false, left: false }, &policy, Tick(0), &mut effects);
    assert_eq!((life.state, life.deadline), (State::Down, None));
}

#[test]
fn what_is_done_is_not_what_failed() {
    let end = |success, restart| {
        let policy = Policy { restart, ..policy() };
        let (mut life, mut effects) = (Life::new(1), Vec::new());
        for event in [Event::Clear(true), Event::Want(Want::Up), Event::Exit { success, left: false }] {
            life.step(event, &policy, Tick(0), &mut effects);
        }
        (life.state, life.is_done())
    };
    assert_eq!(end(true, Restart::OnFailure), (State::Down, true));
    assert_eq!(end(true, Restart::Always), (State::Backoff, false));
    assert_eq!(end(false, Restart::OnFailure), (State::Backoff, false));
    assert_eq!(end(false, Restart::Never), (State::Failed, false));
}
