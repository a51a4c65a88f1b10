//! Many lives: who starts before whom, who stops after whom, and when quell itself is done. Pure: `runtime::up` carries
//! out the effects and feeds back what came of them.
//!
//! A worker starts when what it needs is ready, and is stopped before what it needs. Whoever needs a worker that is
//! stopped on purpose is stopped before it, and held until that is wanted again; a worker that crashes takes nobody with
//! it. Instances of one worker are one to those that need it.

mod needs;
pub mod news;
pub mod spec;

use crate::clock::{Tick, earliest};
use crate::worker::WorkerId;
use crate::worker::lifecycle::{self, End, Life, Policy, State, Want};
use crate::worker::outcome::Outcome;
use needs::Group;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long what was killed at the end may still be there before quell leaves without it.
const LEAVE_AFTER_KILL: Duration = Duration::from_secs(5);

/// What the configuration says of a worker, as far as others matter to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The worker that this is an instance of; itself where it has none.
    pub worker: Box<str>,
    /// Its life.
    pub policy: Policy,
    /// Workers that must be ready before it starts.
    pub needs: Vec<Box<str>>,
    /// Its end ends quell.
    pub essential: bool,
    /// It is ready when it has done its work.
    pub oneshot: bool,
    /// Exit codes that are no failure.
    pub success_codes: Vec<u8>,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Somebody asks for these, and so for what they need.
    Start(&'a [WorkerId]),
    /// Somebody asks for their end.
    Stop(&'a [WorkerId]),
    /// Somebody asks for other lives of them.
    Restart(&'a [WorkerId]),
    /// They are no longer in the configuration.
    Remove(&'a [WorkerId]),
    /// No life of it may begin for now, whatever it needs; or one may again.
    Hold(WorkerId, bool),
    /// It could not be started; a shell would say this code.
    SpawnFailed(WorkerId, u8),
    /// Its process was reaped.
    Exit {
        /// Whose.
        id: WorkerId,
        /// How it ended.
        outcome: Outcome,
        /// Something of this life is left.
        left: bool,
    },
    /// What else happened to a life.
    Life(WorkerId, lifecycle::Event),
    /// Everything is to end.
    Shutdown,
    /// Everything is to end at once.
    Kill,
    /// Time has passed.
    Deadline,
}

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// To a worker.
    Life(WorkerId, lifecycle::Effect),
    /// It has come to another state.
    Changed(WorkerId, State),
    /// It was removed, and is at rest: it is known no more.
    Gone(WorkerId),
    /// All that was wanted at the start is ready, has done its work, or has failed.
    Started,
    /// An essential worker has ended, and so does quell.
    Essential(WorkerId),
    /// The time for stopping is over: what is left is killed.
    StopTimedOut,
    /// Everything is at rest: quell ends with this code.
    End(u8),
}

/// One worker.
#[derive(Clone, Debug)]
pub struct Member {
    /// What the configuration says.
    pub spec: Spec,
    /// Its life.
    pub life: Life,
    /// What the user wants of it.
    pub desired: Want,
    /// No life of it may begin for now.
    pub held: bool,
    /// What its life was told last.
    told: Want,
    group: Option<usize>,
    /// How its last process ended, as a code.
    code: u8,
    removed: bool,
    /// It has been ready, or has given up, once.
    settled: bool,
    counted: Counted,
}

/// What a member counts for in its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    wanted: bool,
    ready: bool,
    active: bool,
    deadline: Option<Tick>,
}

/// What quell itself is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not all workers have been up yet.
    Starting,
    /// As it should be.
    Running,
    /// Everything goes down.
    Stopping,
}

/// All workers.
#[derive(Debug)]
pub struct Supervisor {
    members: BTreeMap<WorkerId, Member>,
    groups: Vec<Group>,
    deadlines: BTreeSet<(Tick, WorkerId)>,
    next: u32,
    phase: Phase,
    unsettled: usize,
    stop_timeout: Duration,
    /// When everything has to be at rest.
    stop_by: Option<Tick>,
    killed: bool,
    code: u8,
    ended: bool,
}

impl Supervisor {
    /// Without workers. `stop_timeout` bounds the whole stop.
    #[must_use]
    pub fn new(stop_timeout: Duration) -> Supervisor {
        Supervisor {
            members: BTreeMap::new(),
            groups: Vec::new(),
            deadlines: BTreeSet::new(),
            next: 0,
            phase: Phase::Starting,
            unsettled: 0,
            stop_timeout,
            stop_by: None,
            killed: false,
            code: 0,
            ended: false,
        }
    }

    /// Takes a worker in, at rest. `rewire` when all have come that belong together.
    pub fn add(&mut self, spec: Spec, seed: u64) -> WorkerId {
        let id = WorkerId(self.next);
        self.next += 1;
        let member = Member {
            spec,
            life: Life::new(seed),
            desired: Want::Down,
            held: false,
            told: Want::Down,
            group: None,
            code: 0,
            removed: false,
            settled: true,
            counted: Counted::default(),
        };
        self.members.insert(id, member);
        id
    }

    /// Puts another specification in force for a worker that goes on. `rewire` when all have been told.
    pub fn respec(&mut self, id: WorkerId, spec: Spec) {
        if let Some(member) = self.members.get_mut(&id) {
            member.spec = spec;
            // Whether it is a oneshot says what ready means.
            member.counted.ready = member.counted.wanted && member.is_ready();
        }
    }

    /// How long the whole stop may take from now on.
    pub fn set_stop_timeout(&mut self, stop_timeout: Duration) {
        self.stop_timeout = stop_timeout;
    }

    /// What an event leads to.
    pub fn step(&mut self, event: Event<'_>, now: Tick, effects: &mut Vec<Effect>) {
        match event {
            Event::Start(ids) => self.start(ids, now, effects),
            Event::Stop(ids) | Event::Remove(ids) => {
                for id in ids {
                    let Some(member) = self.members.get_mut(id) else { continue };
                    member.desired = Want::Down;
                    member.removed |= matches!(event, Event::Remove(_));
                    let group = member.group;
                    self.count(*id, now, effects);
                    if let Some(at) = group.filter(|_| matches!(event, Event::Remove(_))) {
                        self.clear(at, now, effects);
                    }
                }
                self.reconsider(now, effects);
            }
            Event::Restart(ids) => {
                let stopping = self.phase == Phase::Stopping;
                let told = |id: &&WorkerId| self.members.get(id).is_some_and(|member| member.told == Want::Up);
                let running: Vec<_> = ids.iter().filter(|id| !stopping && told(id)).copied().collect();
                for id in running {
                    self.live(id, lifecycle::Event::Restart, now, effects);
                }
                // The others; and of those that run, what they need, and what was to be stopped and was held.
                self.start(ids, now, effects);
            }
            Event::Hold(id, held) => {
                let Some(member) = self.members.get_mut(&id) else { return };
                member.held = held;
                if let Some(at) = member.group {
                    self.clear(at, now, effects);
                }
            }
            Event::SpawnFailed(id, code) => {
                let Some(member) = self.members.get_mut(&id) else { return };
                member.code = code;
                self.live(id, lifecycle::Event::SpawnFailed, now, effects);
            }
            Event::Exit { id, outcome, left } => {
                let Some(member) = self.members.get_mut(&id) else { return };
                member.code = outcome.code();
                let success = member.is_success(outcome);
                self.live(id, lifecycle::Event::Exit { success, left }, now, effects);
            }
            Event::Life(id, event) => self.live(id, event, now, effects),
            Event::Shutdown => self.shutdown(0, now, effects),
            Event::Kill => self.kill(now, effects),
            Event::Deadline => self.deadline_passed(now, effects),
        }
        self.finish(effects);
    }

    /// When something is to be done that nothing else brings.
    #[must_use]
    pub fn deadline(&self) -> Option<Tick> {
        earliest([self.deadlines.first().map(|(at, _)| *at), self.stop_by])
    }

    /// A worker.
    #[must_use]
    pub fn member(&self, id: WorkerId) -> Option<&Member> {
        self.members.get(&id)
    }

    /// All workers, in the order in which they came.
    pub fn members(&self) -> impl Iterator<Item = (WorkerId, &Member)> {
        self.members.iter().map(|(id, member)| (*id, member))
    }

    /// What quell itself is about.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    fn start(&mut self, ids: &[WorkerId], now: Tick, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Stopping {
            return;
        }
        let mut todo = Vec::new();
        for id in ids {
            self.desire(*id, now, effects);
            let group = self.members.get(id).and_then(|member| member.group);
            todo.extend(group.into_iter().flat_map(|at| self.groups[at].needs.iter().copied()));
        }
        // What they need is asked for with them, unless some of that is wanted already.
        let mut seen = BTreeSet::new();
        while let Some(need) = todo.pop() {
            if seen.insert(need) {
                if self.groups[need].wanted == 0 {
                    for id in self.groups[need].members.clone() {
                        self.desire(id, now, effects);
                    }
                }
                todo.extend(&self.groups[need].needs);
            }
        }
        self.reconsider(now, effects);
        for id in ids {
            let rests = |member: &Member| member.told == Want::Up && member.life.is_at_rest();
            if self.members.get(id).is_some_and(rests) {
                self.live(*id, lifecycle::Event::Want(Want::Up), now, effects);
            }
        }
    }

    fn desire(&mut self, id: WorkerId, now: Tick, effects: &mut Vec<Effect>) {
        if let Some(member) = self.members.get_mut(&id) {
            member.desired = Want::Up;
            if self.phase == Phase::Starting && member.settled && !member.is_ready() {
                member.settled = false;
                self.unsettled += 1;
            }
        }
        self.count(id, now, effects);
    }

    /// Ends everything, what needs others first, with this exit code.
    fn shutdown(&mut self, code: u8, now: Tick, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Stopping {
            return;
        }
        (self.phase, self.code, self.stop_by) = (Phase::Stopping, code, Some(now.after(self.stop_timeout)));
        self.reconsider(now, effects);
    }

    fn kill(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        self.shutdown(0, now, effects);
        if self.ended || std::mem::replace(&mut self.killed, true) {
            return;
        }
        self.stop_by = Some(now.after(LEAVE_AFTER_KILL));
        let all: Vec<_> = self.members.iter().filter(|(_, m)| !m.life.is_at_rest()).map(|(id, _)| *id).collect();
        for id in all {
            if let Some(member) = self.members.get_mut(&id) {
                member.told = Want::Down;
            }
            // Wanted down first, or its end would be followed by a start.
            self.live(id, lifecycle::Event::Kill, now, effects);
            self.live(id, lifecycle::Event::Want(Want::Down), now, effects);
        }
    }

    fn deadline_passed(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        while let Some((_, id)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            self.live(id, lifecycle::Event::Deadline, now, effects);
        }
        if self.stop_by.is_some_and(|at| at <= now) {
            if self.killed {
                self.end(effects);
            } else {
                effects.push(Effect::StopTimedOut);
                self.kill(now, effects);
            }
        }
    }

    fn end(&mut self, effects: &mut Vec<Effect>) {
        if !std::mem::replace(&mut self.ended, true) {
            self.stop_by = None;
            effects.push(Effect::End(self.code));
        }
    }

    fn finish(&mut self, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Starting && self.unsettled == 0 {
            self.phase = Phase::Running;
            effects.push(Effect::Started);
        }
        if self.phase == Phase::Stopping && self.groups.iter().all(|group| group.active == 0) {
            self.end(effects);
        }
    }

    /// Steps a life, and what follows from it for others.
    fn live(&mut self, id: WorkerId, event: lifecycle::Event, now: Tick, effects: &mut Vec<Effect>) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let before = member.life.state;
        let mut asked = Vec::new();
        member.life.step(event, &member.spec.policy, now, &mut asked);
        effects.extend(asked.into_iter().map(|effect| Effect::Life(id, effect)));
        let (life, spec) = (&member.life, &member.spec);
        if life.state != before {
            effects.push(Effect::Changed(id, life.state));
        }
        let over = life.state == State::Failed || (life.is_done() && life.want == Want::Down);
        let by_itself = over && before != life.state && life.end != Some(End::Asked);
        let ends_quell = by_itself && spec.essential && self.phase != Phase::Stopping;
        let code = member.code;
        self.count(id, now, effects);
        if ends_quell {
            effects.push(Effect::Essential(id));
            self.shutdown(code, now, effects);
        }
    }

    /// Counts a member anew, and tells those whom that concerns.
    fn count(&mut self, id: WorkerId, now: Tick, effects: &mut Vec<Effect>) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let old = member.counted;
        let new = Counted {
            wanted: member.desired == Want::Up,
            ready: member.desired == Want::Up && member.is_ready(),
            active: !member.life.is_at_rest(),
            deadline: member.life.deadline,
        };
        member.counted = new;
        let gave_up = member.life.state == State::Failed;
        if !member.settled && (new.ready || gave_up || !new.wanted) {
            member.settled = true;
            self.unsettled -= 1;
        }
        let gone = member.removed && !new.active;
        if old.deadline != new.deadline {
            old.deadline.map(|at| self.deadlines.remove(&(at, id)));
            new.deadline.map(|at| self.deadlines.insert((at, id)));
        }
        let Some(at) = member.group else { return };
        let group = &mut self.groups[at];
        let (was_ready, was_active) = (group.is_ready(), group.active > 0);
        group.wanted = group.wanted + usize::from(new.wanted) - usize::from(old.wanted);
        group.ready = group.ready + usize::from(new.ready) - usize::from(old.ready);
        group.active = group.active + usize::from(new.active) - usize::from(old.active);
        let (is_ready, is_active) = (group.is_ready(), group.active > 0);
        if was_ready != is_ready {
            for dependent in self.groups[at].needed_by.clone() {
                self.clear(dependent, now, effects);
            }
        }
        if was_active && !is_active {
            for need in self.groups[at].needs.clone() {
                self.stop_group(need, now, effects);
            }
        }
        if gone {
            self.forget(id, at, now, effects);
        }
    }

    fn forget(&mut self, id: WorkerId, at: usize, now: Tick, effects: &mut Vec<Effect>) {
        self.groups[at].members.retain(|member| *member != id);
        if let Some(member) = self.members.remove(&id) {
            member.counted.deadline.map(|at| self.deadlines.remove(&(at, id)));
            effects.push(Effect::Gone(id));
        }
        self.clear(at, now, effects);
    }
}

impl Member {
    /// Whether that end is a failure that nobody has asked for.
    #[must_use]
    pub fn has_failed(&self, outcome: Outcome) -> bool {
        matches!(self.life.state, State::Starting | State::Up) && !self.is_success(outcome)
    }

    fn is_success(&self, outcome: Outcome) -> bool {
        matches!(outcome, Outcome::Exited(code) if self.spec.success_codes.contains(&code))
    }

    /// Whether those that need it may start: it is up, or has done its work.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        if self.spec.oneshot { self.life.is_done() } else { self.life.state == State::Up }
    }
}

#[cfg(test)]
mod tests;
