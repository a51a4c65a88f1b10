//! The simulated world: the clock, the workers, and what comes of each moment.

use super::pile::Pile;
use super::script::{Life, START, Script, Step, What as Does};
use super::sources::Idling;
use super::summary::{Expectation, Summary, millis};
use super::tasks::{Crew, Held};
use super::{GOES_ON, Tell, summary};
use crate::clock::{Now, Tick, Wall, earliest};
use crate::config::load::Config;
use crate::config::tables::WorkerEvent;
use crate::control::event::{Event as Happening, Kind};
use crate::supervisor::{Effect, Event, Phase, Supervisor, spec};
use crate::task::TaskId;
use crate::task::queue::{Queues, Slot};
use crate::task::trigger::{self, What};
use crate::task::watch::{Answer, Asked, Watches};
use crate::worker::WorkerId;
use crate::worker::lifecycle::{self, State};
use crate::worker::outcome::Outcome;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::Path;
use std::time::Duration;

/// All of it.
pub(super) struct World<'a> {
    pub(super) config: &'a Config,
    pub(super) folder: &'a Path,
    pub(super) now: Now,
    pub(super) supervisor: Supervisor,
    /// By their ids.
    pub(super) workers: Vec<Worker>,
    /// The instances of each worker, or its slots, by its place in the configuration.
    instances: Vec<Vec<WorkerId>>,
    pub(super) watches: Watches,
    /// Workers that are stopped for want of connections, by their tables.
    pub(super) idles: Vec<(usize, Idling)>,
    pub(super) desk: Queues,
    /// By their ids, and in the order of the configuration.
    pub(super) piles: Vec<Pile>,
    pub(super) crews: Vec<Crew>,
    /// In which queue each task is that is not done.
    pub(super) places: HashMap<TaskId, usize>,
    pub(super) last: TaskId,
    /// When the task has had its time that a worker is at.
    pub(super) deadlines: BTreeSet<(Tick, WorkerId)>,
    pub(super) script: Script,
    pub(super) summary: Summary,
    steps: VecDeque<Step>,
    pub(super) runs: HashMap<Box<str>, Life>,
    pub(super) timers: BTreeSet<(Tick, Timer)>,
    effects: VecDeque<Effect>,
    tell: &'a mut Tell<'a>,
    told: u64,
    over: bool,
}

/// One worker, or one of its slots.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) name: Box<str>,
    /// The table that it is made of.
    pub(super) of: Box<str>,
    pub(super) table: usize,
    pub(super) slot: Option<Slot>,
    /// It is started for each task anew, and by nothing else.
    pub(super) by_task: bool,
    /// What it is working on.
    pub(super) tasks: Vec<Held>,
    /// Since when it is at the first of them, when that has had its time, and whether it has.
    pub(super) since: Tick,
    pub(super) due: Option<Tick>,
    pub(super) late: bool,
    /// It was told that there is no more to do.
    pub(super) is_over: bool,
    pub(super) last: Option<Outcome>,
    /// What it is to be started for.
    pub(super) why: Option<Box<str>>,
    /// The process that runs, and when what is to happen to it does.
    pub(super) life: Option<Life>,
    pub(super) exit_at: Option<Tick>,
    pub(super) ready_at: Option<Tick>,
    pub(super) starts: u64,
}

/// What happens to a process; exits come first, as in a real turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Exit(WorkerId),
    Ready(WorkerId),
    /// One that stays has dealt with a task.
    Tried(WorkerId, TaskId),
}

impl<'a> World<'a> {
    pub(super) fn new(config: &'a Config, folder: &'a Path, mut script: Script, tell: &'a mut Tell<'a>) -> World<'a> {
        let now = Now { tick: Tick(0), wall: script.start.unwrap_or(START) };
        let named = |name: &String| summary::Queue { name: name.as_str().into(), ..summary::Queue::default() };
        let workers = config
            .workers
            .iter()
            .map(|named| summary::Worker { name: named.name.as_str().into(), ..summary::Worker::default() });
        let summary = Summary {
            queues: config.queues.iter().map(|queue| named(&queue.name)).collect(),
            workers: workers.collect(),
            ..Summary::default()
        };
        let steps = std::mem::take(&mut script.steps).into();
        let mut world = World {
            config,
            folder,
            now,
            supervisor: Supervisor::new(config.quell.stop_timeout.value),
            workers: Vec::new(),
            instances: vec![Vec::new(); config.workers.len()],
            watches: Watches::default(),
            idles: Vec::new(),
            desk: Queues::new(),
            piles: Vec::new(),
            crews: Vec::new(),
            places: HashMap::new(),
            last: script.last,
            deadlines: BTreeSet::new(),
            script,
            summary,
            steps,
            runs: HashMap::new(),
            timers: BTreeSet::new(),
            effects: VecDeque::new(),
            tell,
            told: 0,
            over: false,
        };
        world.take_in();
        world
    }

    /// Takes all workers in, and starts those that start with quell.
    fn take_in(&mut self) {
        let mut boot = Vec::new();
        for (table, named) in self.config.workers.iter().enumerate().filter(|(_, named)| named.keys.enabled.value) {
            for (name, _) in spec::instances(named) {
                let id = self.supervisor.add(spec::spec(self.config, named), self.workers.len() as u64);
                let starts = spec::starts(named) && !self.script.down.contains(name.as_str());
                boot.extend(starts.then_some(id));
                self.workers.push(Worker {
                    name: name.into(),
                    of: named.name.as_str().into(),
                    table,
                    slot: None,
                    by_task: spec::is_by_task(&named.keys),
                    tasks: Vec::new(),
                    since: Tick(0),
                    due: None,
                    late: false,
                    is_over: false,
                    last: None,
                    why: starts.then(|| "quell starts".into()),
                    life: None,
                    exit_at: None,
                    ready_at: None,
                    starts: 0,
                });
                self.instances[table].push(id);
            }
            self.watches.add(&named.name, spec::waits_for(&named.keys), self.now.wall);
            let idling = Idling::of(named).filter(|_| !self.script.is_recorded);
            self.idles.extend(idling.map(|idling| (table, idling)));
        }
        let mut effects = Vec::new();
        self.supervisor.rewire(self.now.tick, &mut effects);
        self.effects.extend(effects);
        self.arrange_tasks();
        self.step(Event::Start(&boot));
        self.settle();
        self.told_triggers(trigger::Event::Look, None);
        self.quiet();
    }

    /// Goes on until nothing is left to be done.
    pub(super) fn run(mut self, until: Option<Duration>) -> Summary {
        let last = self.steps.back().map(|step| step.at).unwrap_or_default();
        let end = Tick(0).after(until.unwrap_or_else(|| last.saturating_add(GOES_ON)));
        while !self.over {
            let step = self.steps.front().map(|step| Tick(0).after(step.at));
            let soon = earliest([step, self.own_deadline()]);
            // Without an end, schedules and looks for connections alone would keep it going for ever.
            let alarm = earliest([self.alarm(), self.idle_deadline()]).filter(|_| until.is_some() || soon.is_some());
            let Some(at) = earliest([soon, alarm]) else { break };
            if at > end {
                self.summary.cut = until.is_none();
                self.pass(end);
                break;
            }
            self.pass(at);
            self.turn();
        }
        if until.is_some() && !self.over {
            self.pass(end);
        }
        self.sum_up()
    }

    /// Lets time pass.
    fn pass(&mut self, at: Tick) {
        let span = at.until(self.now.tick);
        self.now = Now { tick: self.now.tick.max(at), wall: self.now.wall.after(span) };
    }

    /// When something is to be done that nothing from outside brings, nor the calendar.
    fn own_deadline(&self) -> Option<Tick> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let late = self.deadlines.first().map(|(at, _)| *at);
        earliest([timer, self.supervisor.deadline(), late, self.due(), self.watches.deadline()])
    }

    /// When the next time of a schedule comes.
    fn alarm(&self) -> Option<Tick> {
        self.watches.alarm().map(|at| self.now.tick.after(at.until(self.now.wall)))
    }

    /// Looks at what came, in the order of a real turn: exits, what comes from outside, deadlines, tasks.
    fn turn(&mut self) {
        let now = self.now;
        while let Some(first) = self.timers.first().copied().filter(|(at, _)| *at <= now.tick) {
            self.timers.remove(&first);
            match first.1 {
                Timer::Exit(id) => self.exit(id),
                Timer::Ready(id) => self.step(Event::Life(id, lifecycle::Event::Ready)),
                Timer::Tried(id, task) => self.tried(id, task),
            }
            self.settle();
        }
        while let Some(step) = self.steps.pop_front_if(|step| Tick(0).after(step.at) <= now.tick) {
            self.take(step);
            self.settle();
        }
        if self.supervisor.deadline().is_some_and(|at| at <= now.tick) {
            self.step(Event::Deadline);
        }
        self.tasks_due();
        self.idle_due();
        self.settle();
        if self.watches.alarm().is_some_and(|at| at <= now.wall) {
            self.told_triggers(trigger::Event::Clock, None);
        }
        if self.watches.deadline().is_some_and(|at| at <= now.tick) {
            self.told_triggers(trigger::Event::Look, None);
        }
        self.quiet();
    }

    /// Carries on until there is nothing left to do at this moment.
    fn quiet(&mut self) {
        loop {
            self.settle();
            let counted = self.count_queues();
            let served = self.serve_tasks();
            if !counted && !served && self.effects.is_empty() {
                return;
            }
        }
    }

    fn take(&mut self, step: Step) {
        match step.what {
            Does::Source(source) => {
                self.summary.sources += 1;
                self.tell(Happening::source(self.now.wall, (*source).clone()));
                self.give(&source);
            }
            Does::Run(worker, life) => _ = self.runs.insert(worker, life),
            Does::Expect(expected) => {
                let since = self.now.tick;
                let expectation = Expectation::new(expected.start, expected.within, since, step.place);
                self.summary.expectations.push(expectation);
            }
        }
    }

    pub(super) fn tell(&mut self, event: Happening) {
        self.told += 1;
        (self.tell)(self.now.tick.until(Tick(0)), &Happening { seq: self.told, ..event });
    }

    /// Tells of a worker.
    pub(super) fn tell_of(&mut self, id: WorkerId, kind: Kind, text: impl Into<Box<str>>) {
        let name = self.worker(id).name.clone();
        self.tell(Happening::new(self.now.wall, kind, text).of(name));
    }

    pub(super) fn worker(&mut self, id: WorkerId) -> &mut Worker {
        &mut self.workers[id.0 as usize]
    }

    /// All workers that are meant: by the table's name, by the instance's, all where there is none.
    pub(super) fn meant(&self, name: Option<&str>) -> Vec<WorkerId> {
        let is_meant = |worker: &Worker| name.is_none_or(|name| *worker.of == *name || *worker.name == *name);
        (0..).map(WorkerId).zip(&self.workers).filter(|(_, worker)| is_meant(worker)).map(|(id, _)| id).collect()
    }

    pub(super) fn step(&mut self, event: Event<'_>) {
        let mut effects = Vec::new();
        self.supervisor.step(event, self.now.tick, &mut effects);
        self.effects.extend(effects);
    }

    pub(super) fn settle(&mut self) {
        while let Some(effect) = self.effects.pop_front() {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        let wall = self.now.wall;
        match effect {
            Effect::Life(id, effect) => self.carry_out_life(id, effect),
            Effect::Changed(id, state) => {
                self.changed(id, state);
                self.trigger_state(id, state);
            }
            Effect::Gone(_) => {}
            Effect::Started => {
                self.tell(Happening::new(wall, Kind::Quell, "all workers are up, done, or given up"));
            }
            Effect::Essential(id) => {
                let text = format!("{} is essential and has ended, so quell ends", self.worker(id).name);
                self.tell(Happening::new(wall, Kind::Quell, text));
            }
            Effect::StopTimedOut => {
                let text = "the time for stopping is over: what is left is killed";
                self.tell(Happening::new(wall, Kind::Warning, text));
            }
            Effect::End(code) => {
                self.summary.exit_code = Some(code);
                self.over = true;
                self.tell(Happening::new(wall, Kind::Quell, "down"));
            }
        }
    }

    /// The triggers of a worker are told where it stands, and all of them what has become of it.
    fn trigger_state(&mut self, id: WorkerId, state: State) {
        if self.watches.is_empty() {
            return;
        }
        let (of, table) = (self.worker(id).of.clone(), self.worker(id).table);
        match state {
            State::Starting => self.told_triggers(trigger::Event::Started, Some(&of)),
            State::Up => self.trigger_event(id, WorkerEvent::Ready),
            State::Down | State::Failed => {
                if state == State::Failed {
                    self.trigger_event(id, WorkerEvent::Failed);
                }
                let rests = |id: &WorkerId| self.supervisor.member(*id).is_none_or(|member| member.life.is_at_rest());
                if self.instances[table].iter().all(rests) {
                    self.told_triggers(trigger::Event::Ended, Some(&of));
                }
            }
            State::Stopping(_) | State::Backoff => {}
        }
    }

    pub(super) fn trigger_event(&mut self, id: WorkerId, event: WorkerEvent) {
        let worker = self.worker(id).of.clone();
        self.happened(What::Worker { worker: &worker, event });
    }

    /// Tells the triggers what has happened.
    pub(super) fn happened(&mut self, what: What<'_>) {
        self.told_triggers(trigger::Event::Happened(what), None);
    }

    pub(super) fn told_triggers(&mut self, event: trigger::Event<'_>, only: Option<&str>) {
        if self.watches.is_empty() {
            return;
        }
        let piles = &self.piles;
        let waiting = |queue: &str| piles.iter().find(|pile| *pile.name == *queue).map_or(0, Pile::startable);
        let asked = self.watches.tell(event, only, self.now, waiting);
        self.mind_idle();
        // Nothing is started any more when quell goes down.
        let is_going_on = self.supervisor.phase() != Phase::Stopping;
        asked.into_iter().filter(|_| is_going_on).for_each(|asked| self.answer(asked));
    }

    fn answer(&mut self, asked: Asked) {
        let kind = if asked.what == Answer::Start { Kind::Starting } else { Kind::Warning };
        self.tell(Happening::new(self.now.wall, kind, asked.to_string()).of(asked.worker.clone()));
        let mut ids = self.meant(Some(&asked.worker));
        ids.retain(|id| !self.worker(*id).by_task);
        match asked.what {
            Answer::Start => {
                ids.iter().for_each(|id| self.worker(*id).why = Some(asked.why.clone()));
                self.step(Event::Start(&ids));
            }
            Answer::Tripped => {
                let table = ids.first().map(|id| self.worker(*id).table);
                table.into_iter().for_each(|table| self.summary.workers[table].tripped += 1);
            }
        }
    }

    fn sum_up(mut self) -> Summary {
        let why = if self.over { "quell had ended by then" } else { "it is expected later than this went on" };
        for step in std::mem::take(&mut self.steps) {
            if let Does::Expect(expected) = step.what {
                let open = Expectation::new(expected.start, expected.within, self.now.tick, step.place);
                self.summary.expectations.push(Expectation { missed: Some(why), ..open });
            }
        }
        self.sum_up_queues();
        self.summary.lasted_ms = millis(self.now.tick.until(Tick(0)));
        self.summary
    }

    /// Somebody sets the calendar's clock.
    pub(super) fn set_clock(&mut self, ms: i64) {
        self.now.wall = Wall(self.now.wall.0.saturating_add(ms.saturating_mul(1000)));
        self.told_triggers(trigger::Event::Clock, None);
    }
}
