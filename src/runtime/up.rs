//! The control plane of `up`: many workers from one file.
//!
//! It sleeps until a process ends, a signal or a request comes, something is ready or a deadline passes. What that means is
//! decided by `supervisor`; here the effects are carried out, and what comes of them is fed back. It touches no log and
//! waits for no disk: that is the output planes' part. After the start nothing fails it; an error is an event.

mod answer;
mod arrivals;
mod asked;
mod at_once;
mod begin;
mod due;
mod events;
mod heard;
mod left;
mod lines;
mod not_yet;
mod picture;
mod planes;
mod process;
mod ready;
mod record;
mod reload;
mod replies;
mod sockets;
mod specs;
mod stores;
mod sweep;
mod talk;
mod tasks;
mod tries;
mod triggers;

use crate::clock::{Now, Tick};
use crate::config::load::{Loaded, Named, WorkerLog};
use crate::config::tables::Worker as Table;
use crate::control::event::{Event as Happening, Kind};
use crate::control::record::{Ask, Source};
use crate::runtime::activation::{Activation, SocketId};
use crate::runtime::launch::{Here, Subject, folder_of};
use crate::runtime::lists::Shelf;
use crate::runtime::orphans::Life;
use crate::runtime::register::Register;
use crate::runtime::server::Server;
use crate::runtime::state::State;
use crate::supervisor::{Effect, Event, Supervisor};
use crate::sys::notify::Mailbox;
use crate::sys::oom::OomKills;
use crate::sys::poller::Poller;
use crate::sys::reap::Process;
use crate::sys::signal::{self, Inherited, Signals};
use crate::sys::spawn::Lows;
use crate::sys::time;
use crate::sys::usage::Usage;
use crate::task::Task;
use crate::task::queue::Slot;
use crate::task::trigger;
use crate::worker::WorkerId;
use crate::worker::outcome::Outcome;
use answer::Pending;
use arrivals::Drops;
use events::Events;
use planes::Planes;
use ready::Ready;
use reload::Leaving;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io;
use std::path::PathBuf;
use sweep::Swept;
use talk::Talk;
use tasks::{Held, Tasks};
use triggers::Watches;

pub use begin::{BeginError, begin};
pub use events::HAPPENED;
pub use not_yet::not_yet;

/// The tokens of what there is one of; the server's come behind them, and each worker's above those.
const SIGNALS: usize = 0;
const THREADS: usize = 1;
const NOTIFY: usize = 2;
const ALARM: usize = 3;
const SERVER: usize = 16;
/// How many lives begin at most before anything else is looked at: each takes half a millisecond.
const SPAWNS_A_TURN: usize = 16;
/// A worker's tokens: which of its descriptors it is, above its number.
const WORKER_BITS: u32 = 32;
const EXIT: usize = 1 << WORKER_BITS;
const COMMAND: usize = 2 << WORKER_BITS;
const READY: usize = 3 << WORKER_BITS;
const TASKS: usize = 4 << WORKER_BITS;
/// A socket that starts a worker, likewise.
const SOCKET: usize = 5 << WORKER_BITS;
/// A process that an earlier supervisor has left, above its own number.
const LEFT: usize = 6 << WORKER_BITS;

/// A configuration that was checked, with the lists that it names.
#[derive(Debug)]
pub struct Configuration {
    /// The files and what they say.
    pub loaded: Loaded,
    /// The lists.
    pub shelf: Shelf,
    /// What relative names are relative to.
    pub folder: PathBuf,
    /// The name of the file.
    pub path: String,
}

/// Reads the configuration anew; what is wrong with it, as shown to people.
pub type Load<'a> = dyn FnMut() -> Result<Configuration, String> + 'a;

/// One worker: its processes, and what is told of it.
#[derive(Debug)]
struct Worker {
    /// `web`, or `web.2`.
    name: Box<str>,
    /// The name of its log directory, where that is not its own: slots share one.
    log: Option<Box<str>>,
    /// The table that it is made of, that one's place in the configuration in force, and its own number there.
    of: Box<str>,
    table: usize,
    /// What was in force for it, where it is not in the configuration any more.
    leaving: Option<Box<Leaving>>,
    instance: Option<u32>,
    /// The number of its life.
    nonce: u64,
    /// The number of its newest life, as its log counts.
    life: u32,
    /// How many of its lives the output plane has not done with: it holds their pipes.
    undrained: u32,
    /// The number of the process that the life began with, until nothing of it is left.
    main: Option<i32>,
    /// None once it is reaped.
    process: Option<Process>,
    /// Its stop command, while that runs.
    command: Option<Process>,
    /// The signal that this life was sent last because somebody asked for that.
    passed: Option<i32>,
    ready: Ready,
    /// Since when it is in its state.
    since: Now,
    starts: u32,
    restarts: u32,
    /// Why it is not as it should be.
    why: Option<Box<str>>,
    last: Option<Box<Last>>,
    /// The last line of a life whose output ended before it did, by that one's number.
    spoke: Option<Box<(u32, String)>>,
    snapshot: Option<Box<(Tick, super::plane::Snapshot)>>,
    /// What its process used when that was last looked at, and in which life.
    usage: Cell<Option<(Tick, u64, Usage)>>,
    /// Which slot it is, where it is one of a worker that is given tasks.
    slot: Option<Slot>,
    /// The task that its process is for.
    task: Option<Box<Held>>,
    /// What is said with its process about tasks, where it is one that stays.
    talk: Option<Box<Talk>>,
}

/// How a life ended.
#[derive(Debug)]
struct Last {
    /// Its number, as the output plane counts.
    life: u32,
    outcome: Outcome,
    /// It ended of the signal that somebody had it sent, or stopped with.
    asked: bool,
    /// Somebody, or what was set, has it stopped.
    ordered: bool,
    at: Now,
    lasted: std::time::Duration,
    line: Option<String>,
    /// Nobody asked for it, and it is no success.
    failed: bool,
}

/// All of it.
struct Up<'a> {
    inherited: &'a Inherited,
    signals: &'a mut Signals,
    load: &'a mut Load<'a>,
    poller: Poller,
    state: State,
    here: Here,
    lows: Option<Lows>,
    configuration: Configuration,
    supervisor: Supervisor,
    workers: BTreeMap<WorkerId, Worker>,
    /// Whose process this is, of those that were started and not reaped.
    pids: HashMap<i32, WorkerId>,
    /// Which life began with this process; kept until nothing is left of that life.
    mains: HashMap<i32, Life>,
    /// Where that is written down.
    register: Register,
    planes: Planes,
    server: Server,
    events: Events,
    /// Logs of workers that were removed, until they are closed.
    closing: HashMap<WorkerId, PathBuf>,
    mailbox: Mailbox,
    /// Workers whose readiness is looked for by connecting.
    probing: HashSet<WorkerId>,
    pending: Vec<Pending>,
    effects: VecDeque<Effect>,
    /// Lives that are to begin.
    spawns: VecDeque<WorkerId>,
    /// How many lives may still begin in this turn.
    spawns_left: usize,
    swept: Swept,
    /// None where no configuration had queues yet.
    tasks: Option<Tasks>,
    watches: Watches,
    activation: Activation,
    /// None where no file was ever waited for.
    drops: Option<Drops>,
    oom: OomKills,
    nonce: u64,
    /// When all workers should be ready; none once that was so, or was said.
    start_by: Option<Tick>,
    /// The code to leave with, when the logs are finished.
    ended: Option<u8>,
    since: Now,
}

impl Worker {
    /// Whether it is started for each task anew, and by nothing else.
    fn is_by_task(&self, configuration: &Configuration) -> bool {
        self.slot.is_some() && specs::is_by_task(&configuration.table(self).keys)
    }

    /// The tasks that it is working on.
    fn at_hand(&self) -> impl Iterator<Item = &Task> {
        let told = self.talk.iter().flat_map(|talk| talk.session.given()).map(|entry| &entry.task);
        self.task.iter().map(|held| &held.task).chain(told)
    }

    /// The name of its log directory.
    fn log_name(&self) -> &str {
        self.log.as_deref().unwrap_or(&self.name)
    }

    /// Sends its process a signal, because somebody asked for that: whom, where it runs, and what came of it.
    fn pass(&mut self, signal: i32) -> Option<(i32, io::Result<()>)> {
        let process = self.process.as_ref()?;
        self.passed = Some(signal);
        Some((process.pid(), process.signal(signal)))
    }
}

impl Last {
    /// It in words.
    fn describe(&self) -> String {
        match self.asked {
            true => self.outcome.describe_asked(signal::name, self.lasted),
            false => self.outcome.describe(signal::name, self.lasted),
        }
    }
}

impl Configuration {
    /// The table of a worker.
    fn table<'a>(&'a self, worker: &'a Worker) -> &'a Named<Table> {
        worker.leaving.as_ref().map_or_else(|| &self.loaded.config.workers[worker.table], |leaving| &leaving.table)
    }

    /// What is in force for its log.
    fn log<'a>(&'a self, worker: &'a Worker) -> &'a WorkerLog {
        worker.leaving.as_ref().map_or_else(|| &self.loaded.config.logs[worker.table], |leaving| &leaving.log)
    }

    /// The signal that it is told to stop by.
    fn stop_signal(&self, worker: &Worker) -> i32 {
        signal::number(self.table(worker).keys.stop.signal.value.0).unwrap_or(libc::SIGTERM)
    }

    /// What a process of it is made of.
    fn subject<'a>(&'a self, worker: &'a Worker) -> Subject<'a> {
        let folder =
            worker.leaving.as_ref().map_or_else(|| self.folder(worker.table), |leaving| leaving.folder.clone());
        Subject { table: self.table(worker), folder, instance: worker.instance, nonce: worker.nonce }
    }

    /// The folder of the file that a table stands in.
    fn folder(&self, table: usize) -> PathBuf {
        folder_of(self.loaded.config.workers[table].place, &self.loaded.sources, &self.folder)
    }

    /// What is said of a worker, for it to be kept.
    fn leaving(&self, table: usize) -> Leaving {
        let config = &self.loaded.config;
        Leaving { table: config.workers[table].clone(), log: config.logs[table].clone(), folder: self.folder(table) }
    }
}

impl Up<'_> {
    /// Runs until everything is at rest; quell's exit code.
    fn run(mut self) -> u8 {
        let ids: Vec<_> = self.supervisor.members().map(|(id, _)| id).filter(|id| self.starts(*id)).collect();
        let now = time::now();
        self.start_by = Some(now.tick.after(self.configuration.loaded.config.quell.start_timeout.value));
        // What becomes of the first workers is what others wait for.
        self.arrange_triggers(now);
        self.step(Event::Start(&ids), now);
        self.take_over(now);
        self.settle(now);
        self.tell(trigger::Event::Look, None, now);
        self.arrange_drops(now);
        self.settle(now);
        self.serve_tasks(now);
        crate::sys::memory::release_start_pages();
        crate::sys::thread::short_turns();
        loop {
            let now = time::now();
            if let Some(code) = self.ended.filter(|_| self.planes.are_over(now.tick)) {
                return self.leave(code, now);
            }
            self.spawns_left = SPAWNS_A_TURN;
            self.attend(now);
            self.send_orders();
            let timeout = match self.server.has_backlog() || !self.spawns.is_empty() {
                true => Some(std::time::Duration::ZERO),
                false => self.deadline().map(|at| at.until(now.tick)),
            };
            let waited = self.poller.wait(timeout).map(Iterator::collect::<Vec<_>>);
            let tokens = waited.unwrap_or_else(|e| {
                // Nothing would ever wake us again.
                tracing::error!("cannot wait for events: {e}; everything is stopped");
                self.step(Event::Kill, now);
                Vec::new()
            });
            self.turn(&tokens, time::now());
        }
    }

    /// Looks at what came: exits first, so that no signal is sent to a process that is gone; requests before deadlines, so
    /// that what was just stopped is not started again in the same turn.
    fn turn(&mut self, tokens: &[usize], now: Now) {
        let of = |kind: usize| {
            let mine = move |token: &&usize| **token & !(EXIT - 1) == kind;
            tokens.iter().filter(mine).map(|token| WorkerId((token & (EXIT - 1)) as u32))
        };
        for id in of(EXIT) {
            self.reap(id, now);
        }
        for id in of(COMMAND) {
            self.reap_command(id, now);
        }
        for id in of(LEFT) {
            self.left_ended(id.0 as i32, now);
        }
        let received: Vec<_> = match tokens.contains(&SIGNALS) {
            true => self.signals.received().map(|signal| signal.number).collect(),
            false => Vec::new(),
        };
        let child_ended = received.contains(&libc::SIGCHLD);
        if child_ended {
            self.reap_adopted(now);
        }
        self.sweep(now, child_ended);
        self.settle(now);
        for number in received {
            self.signal(number, now);
        }
        self.settle(now);
        for id in of(READY) {
            self.look_ready(id, now);
        }
        for id in of(TASKS) {
            self.hear(id, now);
        }
        for id in of(SOCKET) {
            self.connected(SocketId(id.0), now);
        }
        if tokens.contains(&NOTIFY) {
            self.notified(now);
        }
        self.settle(now);
        for token in tokens {
            if self.server.owns(*token) {
                self.server.ready(*token);
            }
        }
        let mut arrived = Vec::new();
        self.server.turn(&self.poller, now.tick, &mut arrived);
        for (client, request) in arrived {
            self.answer(client, request, now);
            self.settle(now);
        }
        self.forget_gone();
        self.due(tokens.contains(&ALARM), now);
        if tokens.contains(&THREADS) {
            self.planes_said(now);
            self.settle(now);
            self.stores_said(now);
            self.drops_said(now);
        }
        // Before any life begins, which takes its time: the store is at work meanwhile.
        self.serve_tasks(now);
        self.settle(now);
        self.serve_tasks(now);
        self.answer_pending(now);
    }

    fn step(&mut self, event: Event<'_>, now: Now) {
        let mut effects = Vec::new();
        self.supervisor.step(event, now.tick, &mut effects);
        self.effects.extend(effects);
    }

    /// Carries out what is to be done, and what comes of that. Lives begin last: when too many are to begin for one turn,
    /// the others wait, and nothing else behind them.
    fn settle(&mut self, now: Now) {
        loop {
            while let Some(effect) = self.effects.pop_front() {
                self.carry_out(effect, now);
            }
            let Some(id) = self.spawns.pop_front_if(|_| self.spawns_left > 0) else { break };
            self.spawns_left -= 1;
            self.send_orders();
            self.spawn(id, now);
        }
        self.kill_doomed(now);
    }

    fn carry_out(&mut self, effect: Effect, now: Now) {
        match effect {
            Effect::Life(id, effect) => self.carry_out_life(id, effect, now),
            Effect::Changed(id, state) => {
                self.changed(id, state, now);
                self.trigger_state(id, state, now);
            }
            Effect::Gone(id) => self.gone(id, now),
            Effect::Started => {
                self.start_by = None;
                let text = "all workers are up, done, or given up";
                self.say(Happening::new(now.wall, Kind::Quell, text));
            }
            Effect::Essential(id) => {
                let name = self.name(id);
                let text = format!("{name} is essential and has ended, so quell ends");
                self.say(Happening::new(now.wall, Kind::Quell, text));
            }
            Effect::StopTimedOut => {
                let text = "the time for stopping is over: what is left is killed";
                self.say(Happening::new(now.wall, Kind::Warning, text));
            }
            Effect::End(code) => {
                // Requests are answered until the logs are finished: a disk may have to be waited for.
                self.ended = Some(code);
                self.planes.finish(now.tick);
            }
        }
    }

    fn signal(&mut self, number: i32, now: Now) {
        let name = signal::name(number);
        match number {
            libc::SIGCHLD => {}
            libc::SIGTERM | libc::SIGINT | libc::SIGQUIT => {
                let again = self.supervisor.phase() == crate::supervisor::Phase::Stopping;
                let text =
                    if again { format!("{name} again: killing what is left") } else { format!("{name}: going down") };
                self.say(Happening::new(now.wall, Kind::Quell, text));
                if !again {
                    self.record_source(|| Some(Source { ask: Some(Ask::Down), ..Source::default() }), now);
                }
                self.step(if again { Event::Kill } else { Event::Shutdown }, now);
            }
            libc::SIGHUP => drop(self.reload(now)),
            _ if self.signal_is_waited_for(&name, now) => {}
            libc::SIGUSR1 => self.planes.reopen_all(self.workers.keys()),
            libc::SIGALRM => self.planes.rotate_all(self.workers.keys()),
            _ => self.say(Happening::new(now.wall, Kind::Quell, format!("{name} means nothing here"))),
        }
    }

    fn name(&self, id: WorkerId) -> Box<str> {
        self.workers.get(&id).map_or_else(|| "?".into(), |worker| worker.name.clone())
    }

    /// Ends: whoever asked for it is told.
    fn leave(mut self, code: u8, now: Now) -> u8 {
        self.name_survivors(now);
        if !self.planes.join() {
            let text = "the disk does not answer: the last lines may be lost";
            self.say(Happening::new(now.wall, Kind::Warning, text));
        }
        self.stop_tasks(now);
        self.say(Happening::new(now.wall, Kind::Quell, "down"));
        self.answer_down(now);
        self.server.shutdown(&self.poller, time::now().tick);
        code
    }
}
