//! Another configuration in the place of the one in force: only what changed is touched, and on any mistake nothing is.

use super::begin::{self, BeginError};
use super::specs::{self, Sortings};
use super::{Configuration, Up, Worker};
use crate::clock::Now;
use crate::config::load::{Named, WorkerLog};
use crate::config::plan::{self, Action};
use crate::config::tables::Worker as Table;
use crate::control::event::{Event as Happening, Kind};
use crate::runtime::plane::ToPlane;
use crate::runtime::{leftovers, places};
use crate::supervisor::{Event, Phase};
use crate::sys::signal;
use crate::task::trigger;
use crate::worker::WorkerId;
use crate::worker::lifecycle::{State, Want};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

/// What came of it: what was done, and which workers are to be up, in a later life than this.
pub(super) type Reloaded = (Vec<String>, Vec<(WorkerId, u64)>);

/// A worker that the configuration in force wants.
pub(super) struct Wanted {
    /// `web`, or `web.2`.
    name: String,
    /// The place of its table in the configuration, and its number there.
    table: usize,
    instance: Option<u32>,
    /// The name of its log directory, which the slots of a worker share.
    log: String,
    /// The folder of its log directory.
    pub(super) root: PathBuf,
}

/// What a configuration says of a worker, kept when another takes its place.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) table: Named<Table>,
    pub(super) log: WorkerLog,
    /// The folder of the file that the table stood in.
    pub(super) folder: PathBuf,
}

impl Up<'_> {
    /// What a reload would do.
    pub(super) fn plan(&mut self) -> Result<String, String> {
        let new = (self.load)()?;
        let steps = plan::plan(&self.configuration.loaded.config, &new.loaded.config);
        Ok(plan::to_text(&steps, &new.loaded.sources))
    }

    /// Reads the configuration anew and applies it.
    pub(super) fn reload(&mut self, now: Now) -> Result<Reloaded, String> {
        let reloaded = self.try_reload(now);
        if let Err(text) = &reloaded {
            let first = text.lines().next().unwrap_or_default();
            let said = format!("not reloaded, what was in force stays: {first}");
            self.say(Happening::new(now.wall, Kind::Warning, said));
        }
        reloaded
    }

    fn try_reload(&mut self, now: Now) -> Result<Reloaded, String> {
        if self.supervisor.phase() == Phase::Stopping {
            return Err("quell is going down".into());
        }
        let new = (self.load)()?;
        let old = std::mem::replace(&mut self.configuration, new);
        let taken = self.wanted().into_iter().find(|wanted| {
            let log = wanted.root.join(&wanted.log);
            self.closing.values().any(|closing| *closing == log)
        });
        if let Some(wanted) = taken {
            self.configuration = old;
            return Err(format!("{} is still being removed; reload again when it is gone", wanted.name));
        }
        for wanted in self.wanted() {
            if let Err(e) = self.planes.open(&wanted.root) {
                self.configuration = old;
                return Err(format!("cannot log to {}: {e}", wanted.root.display()));
            }
        }
        let listening = match begin::listen(&self.activation, &self.configuration) {
            Ok(listening) => listening,
            Err(text) => {
                self.configuration = old;
                return Err(text);
            }
        };
        if let Err(e) = self.open_stores(now) {
            self.configuration = old;
            return Err(e.to_string());
        }
        self.activation.arrange(listening, &self.configuration.loaded.config, &self.poller);
        let steps = plan::plan(&old.loaded.config, &self.configuration.loaded.config);
        let lines: Vec<_> =
            plan::to_text(&steps, &self.configuration.loaded.sources).lines().map(str::to_owned).collect();
        self.supervisor.set_stop_timeout(self.configuration.loaded.config.quell.stop_timeout.value);
        let text = if lines.is_empty() {
            "reloaded: nothing changed".to_owned()
        } else {
            format!("reloaded: {}", lines.join("; "))
        };
        self.say(Happening::new(now.wall, Kind::Reload, text));
        let changed: HashSet<&str> =
            steps.iter().filter(|step| step.action == Action::Restart).map(|step| step.name.as_str()).collect();
        let lives = self.apply(&old, &changed, now);
        self.arrange_tasks();
        self.arrange_triggers(now);
        self.tell(trigger::Event::Look, None, now);
        self.arrange_drops(now);
        self.take_over(now);
        Ok((lines, lives))
    }

    /// Opens the stores of queues that are new.
    fn open_stores(&mut self, now: Now) -> Result<(), BeginError> {
        let (configuration, waker) = (&self.configuration, self.planes.waker());
        match &mut self.tasks {
            Some(tasks) => begin::open_shared(tasks, configuration, &self.state, waker),
            None => {
                // Nobody works on a task but who was left by an earlier supervisor.
                let left = leftovers::find(&self.state, &[]);
                self.tasks = begin::tasks(configuration, &self.state, &left, waker, now)?;
                Ok(())
            }
        }
    }

    /// Takes in, changes and lets go of workers, as the configuration in force has it. Those whose table is among `changed`
    /// are started anew.
    fn apply(&mut self, old: &Configuration, changed: &HashSet<&str>, now: Now) -> Vec<(WorkerId, u64)> {
        let staying = self.workers.iter().filter(|(_, worker)| worker.leaving.is_none());
        let known: HashMap<Box<str>, WorkerId> = staying.map(|(id, worker)| (worker.name.clone(), *id)).collect();
        let (mut stays, mut fresh) = (HashSet::new(), Vec::new());
        for wanted in self.wanted() {
            match known.get(wanted.name.as_str()) {
                // What logs elsewhere from now on is another worker.
                Some(id) if self.planes.root(*id) == Some(&wanted.root) => {
                    stays.insert(*id);
                    if let Some(worker) = self.workers.get_mut(id) {
                        worker.table = wanted.table;
                    }
                }
                _ => fresh.push(wanted),
            }
        }
        let gone: Vec<_> = known.values().filter(|id| !stays.contains(id)).copied().collect();
        for id in &gone {
            let Some(worker) = self.workers.get_mut(id) else { continue };
            worker.leaving = Some(Box::new(old.leaving(worker.table)));
            let log = self.planes.log(*id).filter(|log| !stays.iter().any(|id| self.planes.log(*id) == Some(*log)));
            self.closing.extend(log.zip(self.planes.root(*id)).map(|(log, root)| (log, root.join(worker.log_name()))));
        }
        let mut sortings = Sortings::default();
        stays.iter().for_each(|id| self.respec(*id, &mut sortings));
        let fresh: Vec<_> = fresh.into_iter().filter_map(|wanted| self.add(wanted, &mut sortings, now)).collect();
        let mut effects = Vec::new();
        self.supervisor.rewire(now.tick, &mut effects);
        self.effects.extend(effects);
        self.step(Event::Remove(&gone), now);
        let restarted: Vec<_> = stays.iter().copied().filter(|id| self.is_to_restart(*id, changed)).collect();
        let mut lives: Vec<_> = restarted.iter().filter_map(|id| Some((*id, self.workers.get(id)?.nonce))).collect();
        self.step(Event::Restart(&restarted), now);
        let starting: Vec<_> = fresh.into_iter().filter(|id| self.starts(*id)).collect();
        lives.extend(starting.iter().map(|id| (*id, 0)));
        self.step(Event::Start(&starting), now);
        for id in stays.into_iter().filter(|id| !restarted.contains(id)) {
            self.tell_to_reload(id, now);
        }
        lives
    }

    /// The workers that are wanted, each instance by itself.
    pub(super) fn wanted(&self) -> Vec<Wanted> {
        let config = &self.configuration.loaded.config;
        let mut wanted = Vec::new();
        for (table, named) in config.workers.iter().enumerate().filter(|(_, named)| named.keys.enabled.value) {
            // Without a state directory there is no supervisor.
            let root = places::logs(&config.logs[table], Some(self.state.path())).unwrap_or_default();
            let has_slots = named.keys.given().next().is_some();
            for (name, instance) in specs::instances(named) {
                let log = if has_slots { named.name.clone() } else { name.clone() };
                wanted.push(Wanted { name, table, instance, log, root: root.clone() });
            }
        }
        wanted
    }

    /// Whether a worker that stays is started anew: one that changed, unless somebody has stopped it. What failed is tried
    /// at once in its new form.
    fn is_to_restart(&self, id: WorkerId, changed: &HashSet<&str>) -> bool {
        let Some((member, worker)) = self.supervisor.member(id).zip(self.workers.get(&id)) else { return false };
        // What is done, or waits for what it needs, stays as it is.
        let is_on = member.desired == Want::Up && member.life.state != State::Down;
        is_on && changed.contains(&*worker.of)
    }

    /// Takes a worker in; it is not started.
    pub(super) fn add(&mut self, wanted: Wanted, sortings: &mut Sortings, now: Now) -> Option<WorkerId> {
        let Wanted { name, table, instance, log, root } = wanted;
        let plane = match self.planes.open(&root) {
            Ok(plane) => plane,
            Err(e) => {
                let text = format!("cannot log to {}: {e}; it is not started", root.display());
                self.say(Happening::new(now.wall, Kind::Failed, text).of(name.as_str()));
                return None;
            }
        };
        let configuration = &mut self.configuration;
        let config = &configuration.loaded.config;
        let (named, logging) = (&config.workers[table], &config.logs[table]);
        let seed = now.tick.0 ^ u64::from(std::process::id()) << 32 ^ self.workers.len() as u64;
        let id = self.supervisor.add(specs::spec(config, named), seed);
        let beside = |(_, worker): &(&WorkerId, &Worker)| worker.leaving.is_none() && *worker.log_name() == *log;
        let mut logging_there = self.workers.iter().filter(beside).map(|(id, _)| *id);
        match logging_there.find(|other| self.planes.root(*other) == Some(&root)) {
            Some(other) => self.planes.share(other, id),
            None => {
                let sorting = sortings.of(&named.keys, &mut configuration.shelf);
                let sorting = (sorting, sortings.vocabulary.of(config, &named.name));
                self.planes.attach(plane, id, specs::plane_spec(&logging.whole, &named.keys, &log, sorting));
            }
        }
        let worker = Worker {
            log: (log != name).then(|| log.into()),
            name: name.into(),
            of: named.name.as_str().into(),
            table,
            leaving: None,
            instance,
            nonce: 0,
            life: 0,
            undrained: 0,
            main: None,
            process: None,
            command: None,
            passed: None,
            ready: super::Ready::None,
            since: now,
            starts: 0,
            restarts: 0,
            why: None,
            last: None,
            spoke: None,
            snapshot: None,
            usage: Cell::new(None),
            slot: None,
            task: None,
            talk: None,
        };
        self.workers.insert(id, worker);
        Some(id)
    }

    /// Puts what the configuration now says in force for a worker that stays.
    fn respec(&mut self, id: WorkerId, sortings: &mut Sortings) {
        let Some(worker) = self.workers.get(&id) else { return };
        let configuration = &mut self.configuration;
        let config = &configuration.loaded.config;
        let (named, log) = (&config.workers[worker.table], &config.logs[worker.table]);
        self.supervisor.respec(id, specs::spec(config, named));
        if self.planes.log(id) == Some(id) {
            let sorting = sortings.of(&named.keys, &mut configuration.shelf);
            let sorting = (sorting, sortings.vocabulary.of(config, &named.name));
            let spec = specs::plane_spec(&log.whole, &named.keys, worker.log_name(), sorting);
            self.planes.send(id, |log| ToPlane::Reload(log, Box::new(spec)));
        }
    }

    /// Tells a worker that goes on as it was that files which it reads may have changed.
    fn tell_to_reload(&mut self, id: WorkerId, now: Now) {
        let Some(worker) = self.workers.get(&id) else { return };
        let Some(process) = &worker.process else { return };
        let Some(reload) = self.configuration.table(worker).keys.reload.value.as_ref().map(|item| &item.0) else {
            return;
        };
        let told = match (&reload.signal.value, &reload.command.value) {
            (Some(name), _) => {
                let number = signal::number(name.0).unwrap_or(libc::SIGHUP);
                process.signal(number).map_err(|e| e.to_string())
            }
            (None, Some(command)) => self.run_command(id, &command.clone()),
            (None, None) => return,
        };
        if let Err(text) = told {
            let name = self.name(id);
            self.say(Happening::new(now.wall, Kind::Warning, format!("cannot be told to reload: {text}")).of(name));
        }
    }

    /// A worker that was removed is at rest: what it has in hand is anybody's. While something that it has put is being stored, it
    /// stays, for what it has said behind that.
    pub(super) fn gone(&mut self, id: WorkerId, now: Now) {
        self.end_talk(id, now);
        if self.puts(id) {
            return;
        }
        self.give_back(&[id], now);
        self.planes.detach(id);
        self.workers.remove(&id);
    }

    /// Whether it starts with quell.
    pub(super) fn starts(&self, id: WorkerId) -> bool {
        self.workers.get(&id).is_some_and(|worker| specs::starts(self.configuration.table(worker)))
    }
}
