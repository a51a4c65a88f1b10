//! What comes from outside, and whom it is told.

use super::world::World;
use crate::clock::Tick;
use crate::config::load::Named;
use crate::config::tables::{self, WorkerEvent};
use crate::config::typed::{FromText, Item, Words};
use crate::config::values::Address;
use crate::control::record::{Ask, Source};
use crate::supervisor::{Event, spec};
use crate::task::idle::Idle;
use crate::task::queue::QueueId;
use crate::task::trigger::{self, What};
use crate::worker::WorkerId;
use crate::worker::outcome::Outcome;
use std::path::PathBuf;
use std::time::Duration;

/// What is known of the connections of a worker that is stopped for want of them.
#[derive(Debug)]
pub(super) struct Idling {
    span: Duration,
    addresses: Vec<Address>,
    /// None while it does not run.
    idle: Option<Idle>,
}

impl Idling {
    /// That of a worker, where it is one.
    pub(super) fn of(named: &Named<tables::Worker>) -> Option<Idling> {
        let items = || named.keys.start_on.value.iter().map(|Item(item, _)| item);
        let span = items().filter_map(|item| item.idle_stop.value).max()?;
        let addresses = items().filter_map(|item| item.socket.value.clone()).collect();
        Some(Idling { span, addresses, idle: None })
    }
}

impl World<'_> {
    /// Something comes from outside; what names nobody does nothing.
    pub(super) fn give(&mut self, source: &Source) {
        match source {
            Source { ask: Some(ask), .. } => self.asked(*ask, source),
            Source { line: Some(line), worker, .. } => {
                self.line(worker.as_deref().unwrap_or_default(), line);
            }
            Source { path: Some(path), .. } => self.file(path),
            Source { socket: Some(address), .. } => self.connection(address),
            Source { signal: Some(name), .. } => self.happened(What::Signal(name.strip_prefix("SIG").unwrap_or(name))),
            Source { fire: Some(name), .. } => self.happened(What::Fire(name)),
            Source { clock_ms: Some(ms), .. } => self.set_clock(*ms),
            Source { queue: Some(queue), .. } => {
                if let Some(queue) = self.queue_named(queue) {
                    self.put(queue, source, true);
                }
            }
            Source { worker: Some(worker), event, .. } => self.worker_event(worker, event.as_deref()),
            _ => {}
        }
    }

    /// Something happens to a worker. Where it runs, an exit is the end of its process.
    fn worker_event(&mut self, worker: &str, event: Option<&str>) {
        let event = event.unwrap_or(WorkerEvent::Exit.word());
        let Some(at) = WorkerEvent::WORDS.iter().position(|word| *word == event) else { return };
        let meant = self.meant(Some(worker));
        let worker = meant.first().map_or(worker, |id| &self.config.workers[self.workers[id.0 as usize].table].name);
        let running: Vec<_> = meant.into_iter().filter(|id| self.runs(*id)).collect();
        match WorkerEvent::VALUES[at] {
            WorkerEvent::Exit if !running.is_empty() => {
                running.into_iter().for_each(|id| self.end_now(id, Outcome::Exited(0)));
            }
            event => self.happened(What::Worker { worker, event }),
        }
    }

    fn runs(&self, id: WorkerId) -> bool {
        self.supervisor.member(id).is_some_and(|member| member.life.main)
    }

    /// A worker prints a line: who waits for it is told, but for itself.
    fn line(&mut self, worker: &str, line: &str) {
        let config = self.config;
        let speaker = self.meant(Some(worker)).first().map(|id| self.workers[id.0 as usize].table);
        let worker = speaker.map_or(worker, |table| &config.workers[table].name);
        let mut told: Vec<&str> = Vec::new();
        for (waits, _) in spec::awaited(config, worker).filter(|(_, text)| line.contains(text)) {
            if !told.contains(&waits) {
                told.push(waits);
                let what = What::Line { worker, line: line.as_bytes() };
                self.told_triggers(trigger::Event::Happened(what), Some(waits));
            }
        }
    }

    /// There is a file: whoever waits for one that matches is told, or is given a task for it.
    fn file(&mut self, path: &str) {
        let whole = self.folder.join(path);
        let config = self.config;
        let mut told: Vec<PathBuf> = Vec::new();
        let name = whole.file_name().unwrap_or_default().to_string_lossy();
        let waits = || items(config).filter_map(|item| Some((item, item.path.value.as_ref()?)));
        // A recording has the pattern itself.
        let is_pattern = waits().any(|(_, pattern)| pattern.path() == whole);
        for (item, pattern) in waits() {
            let matches = whole.parent() == Some(&pattern.folder) && pattern.matches(&name);
            let pattern = pattern.path();
            let is_it = if is_pattern { pattern == whole } else { matches };
            if !is_it {
                continue;
            }
            match item.queue.value.as_ref().and_then(|queue| self.queue_named(&queue.0)) {
                Some(queue) => self.put(queue, &Source::default(), false),
                None if told.contains(&pattern) => {}
                None => {
                    self.happened(What::Path(&pattern));
                    told.push(pattern);
                }
            }
        }
    }

    /// Somebody connects.
    fn connection(&mut self, address: &str) {
        let config = self.config;
        let mut addresses = items(config).filter_map(|item| item.socket.value.as_ref());
        let Some(known) = addresses.find(|known| known.to_text() == *address) else { return };
        let mut all = self.idles.iter_mut().map(|(_, idling)| idling);
        let is_of = |idling: &&mut Idling| idling.addresses.contains(known);
        match all.find(is_of).and_then(|idling| idling.idle.as_mut()) {
            Some(idle) => idle.came(),
            None => self.happened(What::Socket(known)),
        }
    }

    /// Takes note of which workers run that are stopped for want of connections.
    pub(super) fn mind_idle(&mut self) {
        for (table, idling) in &mut self.idles {
            let (runs, now) = (self.watches.runs(&self.config.workers[*table].name), self.now.tick);
            idling.idle = runs.then(|| idling.idle.unwrap_or_else(|| Idle::new(idling.span, now)));
        }
    }

    /// When it is to be seen which workers are idle.
    pub(super) fn idle_deadline(&self) -> Option<Tick> {
        self.idles.iter().filter_map(|(_, idling)| Some(idling.idle?.deadline())).min()
    }

    /// Stops workers that have been without a connection for so long. A connection takes no time.
    pub(super) fn idle_due(&mut self) {
        for at in 0..self.idles.len() {
            let (table, now) = (self.idles[at].0, self.now.tick);
            let ids = self.meant(Some(&self.config.workers[table].name));
            let is_needed =
                |id: &WorkerId| self.supervisor.is_needed(*id) || !self.workers[id.0 as usize].tasks.is_empty();
            let is_needed = ids.iter().any(is_needed);
            let idle = self.idles[at].1.idle.as_mut().filter(|idle| idle.deadline() <= now);
            if idle.is_some_and(|idle| idle.over(is_needed, now)) {
                self.step(Event::Stop(&ids));
            }
        }
    }

    /// Somebody asks for something, as by the command line's verbs.
    fn asked(&mut self, ask: Ask, source: &Source) {
        let now = self.now.wall;
        let ids = self.meant(source.worker.as_deref());
        let (slots, others): (Vec<_>, Vec<_>) = ids.iter().partition(|id| self.worker(**id).by_task);
        let queues = match (&source.queue, source.id) {
            (_, Some(id)) => self.places.get(&id).copied().into_iter().collect::<Vec<_>>(),
            (Some(name), None) => self.queue_named(name).map(|id| id.0 as usize).into_iter().collect(),
            (None, None) => Vec::new(),
        };
        match ask {
            Ask::Start => {
                self.open_crews(&slots, true);
                self.hold(&others, false);
                self.step(Event::Start(&others));
            }
            Ask::Restart => {
                self.open_crews(&slots, true);
                self.step(Event::Stop(&slots));
                self.hold(&others, false);
                others.iter().for_each(|id| self.worker(*id).why = Some("somebody asked".into()));
                self.step(Event::Restart(&others));
            }
            Ask::Stop => {
                self.open_crews(&ids, false);
                self.hold(&ids, true);
                self.step(Event::Stop(&ids));
            }
            Ask::Idle => self.step(Event::Stop(&ids)),
            Ask::Down => self.step(Event::Shutdown),
            Ask::Pause | Ask::Resume => {
                for at in queues {
                    self.piles[at].pause(ask == Ask::Pause);
                    self.desk.pause(QueueId(at as u32), ask == Ask::Pause);
                }
            }
            Ask::Kick => queues.into_iter().for_each(|at| self.piles[at].kick(source.id, now)),
            Ask::Bury => {
                let id = source.id.unwrap_or_default();
                queues.into_iter().for_each(|at| self.piles[at].bury(id));
            }
            Ask::Drain | Ask::Drop => queues.into_iter().for_each(|at| self.piles[at].remove_resting(source.id)),
            Ask::Unknown => {}
        }
    }

    /// Workers that somebody stops are not started by what they wait for, until somebody starts them.
    fn hold(&mut self, ids: &[WorkerId], held: bool) {
        for id in ids {
            let of = self.worker(*id).of.clone();
            self.watches.hold(&of, held, self.now.wall);
            if !held && !self.runs(*id) {
                self.worker(*id).why = Some("somebody asked".into());
            }
        }
    }
}

/// All items of `start_on`.
fn items(config: &crate::config::load::Config) -> impl Iterator<Item = &tables::Trigger> {
    let enabled = config.workers.iter().filter(|named| named.keys.enabled.value);
    enabled.flat_map(|named| named.keys.start_on.value.iter().map(|Item(item, _)| item))
}
