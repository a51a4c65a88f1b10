//! `quell source try`: what a worker waits for, looked at for a while; nothing is started.

use super::config::count;
use super::{End, Failure, ask, talk};
use crate::clock::{Now, Tick, earliest};
use crate::config::kind::nearest;
use crate::config::load::{Config, Named};
use crate::config::tables::{QueueEvent, Worker, WorkerEvent};
use crate::config::typed::{FromText, Item};
use crate::config::unit::show_duration;
use crate::control::event::{Event as Happening, Kind};
use crate::control::queue::{QueueStatus, Totals};
use crate::control::record::Source;
use crate::control::reply::Reply;
use crate::control::request::{OfQueue, Request};
use crate::control::status::{State, Status};
use crate::render;
use crate::runtime::client::{Client, NoAnswer};
use crate::supervisor::spec;
use crate::sys::alarm::Alarm;
use crate::sys::fd::{self, Interest};
use crate::sys::time;
use crate::task::trigger::{Event, What};
use crate::task::watch::{Answer, Watches};
use clap::{Args, Subcommand};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

/// Look at what starts a worker
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    what: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Try(Try),
}

/// Show for a while what would start a worker; nothing is started
#[derive(Debug, Args)]
#[command(after_help = "\
The configuration need not be the one that is in force. Schedules go by the clock. All else comes from the supervisor that runs:
its queues, its workers, signals and what is fired; lines, files and connections as far as it waits for them itself. Each start
is taken to last 1s.

Example:
  quell source try publish --for 1m -c new.toml")]
struct Try {
    #[command(flatten)]
    ask: ask::Options,
    /// The worker
    name: String,
    /// So long
    #[arg(long = "for", value_name = "DURATION", value_parser = ask::duration, default_value = "10s")]
    span: Duration,
}

/// So long after something has happened to a queue the store has counted it: all that happens meanwhile is looked at once.
const COUNTED: Duration = Duration::from_millis(100);
/// So long a start is taken to last.
const RUN: Duration = Duration::from_secs(1);

impl Options {
    pub(super) fn execute(&self) -> Result<End, Failure> {
        let Verb::Try(options) = &self.what;
        options.execute()
    }
}

impl Try {
    fn execute(&self) -> Result<End, Failure> {
        let checked = self.ask.config().load_clean()?;
        let mut shadow = Shadow::new(&checked.loaded.config, &self.name)?;
        let mut told = self.attach(&mut shadow)?;
        let end = time::now().tick.after(self.span);
        let span = show_duration(self.span);
        talk::answer(format!("looking for {span} at what would start {}\n", self.name).as_bytes())?;
        shadow.tell(Event::Look)?;
        let alarm = Alarm::new().map_err(|e| Failure::new(format!("cannot wait for a time: {e}")))?;
        loop {
            let now = time::now();
            if now.tick >= end {
                break;
            }
            let next = shadow.due(now)?;
            let left = earliest([Some(end), next]).map_or(self.span, |at| at.until(now.tick));
            let Some(client) = &mut told else {
                let set = alarm.set(shadow.watches.alarm());
                let waited = set.and_then(|()| fd::wait([Some((alarm.as_fd(), Interest::Read))], Some(left)));
                waited.map_err(|e| Failure::new(format!("cannot wait for a time: {e}")))?;
                alarm.heard();
                continue;
            };
            match client.reply(Some(left), None) {
                Ok(Some(Reply::Event(event))) => shadow.heard(&event)?,
                Ok(Some(other)) => return ask::show(other),
                Err(NoAnswer::Late { .. }) => {}
                Ok(None) | Err(NoAnswer::Ended { .. }) => {
                    tracing::warn!("the supervisor has ended: only schedules are looked at from here on");
                    told = None;
                    (shadow.asks, shadow.look_at) = (None, None);
                }
                Err(e) => return Err(e.into()),
            }
        }
        let text = format!("{} in {span}; nothing was started\n", count(shadow.starts, "start"));
        talk::answer(text.as_bytes())?;
        Ok(End::Code(0))
    }

    /// Has the supervisor tell what happens, where one runs.
    fn attach(&self, shadow: &mut Shadow<'_>) -> Result<Option<Client>, Failure> {
        let mut told = match self.ask.connect()? {
            Ok(client) => client,
            Err(e @ NoAnswer::NotRunning { .. }) => {
                tracing::warn!("{e}: only schedules are looked at");
                return Ok(None);
            }
            Err(e) => return Err(e.into()),
        };
        // The last event, which there always is, shows that we are told what comes behind it.
        told.ask(&Request::Events { follow: true, since: None, last: Some(1), record: true }, Some(ask::SOON))?;
        shadow.asks = Some(self.ask.connect()??);
        shadow.queues = shadow.stats()?;
        Ok(Some(told))
    }
}

/// What a worker waits for, beside the real one.
struct Shadow<'a> {
    config: &'a Config,
    named: &'a Named<Worker>,
    watches: Watches,
    /// Who is asked how queues stand, and how they stood.
    asks: Option<Client>,
    queues: BTreeMap<String, QueueStatus>,
    /// So many tasks were put since they were looked at before that: they have waited, be it that they have begun since.
    put: BTreeMap<String, u64>,
    /// When they are looked at once more: what a try has come to is counted a little after it is told.
    look_at: Option<Tick>,
    /// When the last start is taken to be over.
    rests_at: Option<Tick>,
    starts: usize,
}

impl<'a> Shadow<'a> {
    fn new(config: &'a Config, name: &str) -> Result<Shadow<'a>, Failure> {
        let named = config.worker(name).ok_or_else(|| {
            let near = nearest(name, config.workers.iter().map(|worker| worker.name.as_str()));
            let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            Failure::usage(format!("there is no worker {name:?}{near}"))
        })?;
        if named.keys.start_on.value.is_empty() {
            return Err(Failure::usage(format!("{name} waits for nothing: it has no `start_on`")));
        }
        let mut watches = Watches::default();
        watches.add(name, spec::waits_for(&named.keys), time::now().wall);
        let queues = BTreeMap::new();
        Ok(Shadow {
            config,
            named,
            watches,
            asks: None,
            queues,
            put: BTreeMap::new(),
            look_at: None,
            rests_at: None,
            starts: 0,
        })
    }

    /// Does what is due; when there is something to do again.
    fn due(&mut self, now: Now) -> Result<Option<Tick>, Failure> {
        if self.look_at.take_if(|at| *at <= now.tick).is_some() {
            self.look()?;
        }
        if self.rests_at.take_if(|at| *at <= now.tick).is_some() {
            self.tell(Event::Ended)?;
        }
        if self.watches.alarm().is_some_and(|at| at <= now.wall) {
            self.tell(Event::Clock)?;
        }
        if self.watches.deadline().is_some_and(|at| at <= now.tick) {
            self.tell(Event::Look)?;
        }
        let alarm = self.watches.alarm().map(|at| now.tick.after(at.until(now.wall)));
        Ok(earliest([self.look_at, self.rests_at, self.watches.deadline(), alarm]))
    }

    fn tell(&mut self, event: Event<'_>) -> Result<(), Failure> {
        let now = time::now();
        let put = |queue: &str| self.put.get(queue).copied().unwrap_or_default();
        let waiting = |queue: &str| self.queues.get(queue).map_or(0, |status| startable(status).max(put(queue)));
        for asked in self.watches.tell(event, None, now, waiting) {
            match asked.what {
                Answer::Start => {
                    self.watches.tell(Event::Started, None, now, |_| 0);
                    self.rests_at = Some(now.tick.after(RUN));
                    self.would(&format!("would start: {}", asked.why), 1)?;
                }
                Answer::Tripped => self.would(&asked.to_string(), 0)?,
            }
        }
        Ok(())
    }

    /// Says what would be.
    fn would(&mut self, text: &str, starts: usize) -> Result<(), Failure> {
        self.starts += starts;
        let event = Happening::new(time::now().wall, Kind::Starting, text).of(self.named.name.as_str());
        talk::answer(render::event::line(&event).as_bytes())
    }

    /// Something has happened to the real ones.
    fn heard(&mut self, event: &Happening) -> Result<(), Failure> {
        if let Some(source) = &event.source {
            return self.came(source);
        }
        if matches!(event.kind, Kind::Began | Kind::Tried | Kind::Task) {
            self.look_soon();
        }
        let Some(name) = event.worker.as_deref() else { return Ok(()) };
        let whole = name.rsplit_once('.').map_or(name, |(whole, _)| whole);
        let worker = if self.config.worker(name).is_some() { name } else { whole };
        let by_task = self.config.worker(worker).is_some_and(|named| spec::is_by_task(&named.keys));
        let worker_event = match event.kind {
            // Of those the tries are told, not each process.
            Kind::Tried if by_task => WorkerEvent::Exit,
            Kind::Exited => WorkerEvent::Exit,
            Kind::Ready => WorkerEvent::Ready,
            // It is said of each start that fails, too.
            Kind::Failed if self.has_failed(name)? => WorkerEvent::Failed,
            _ => return Ok(()),
        };
        self.tell(Event::Happened(What::Worker { worker, event: worker_event }))
    }

    /// Something has come from outside.
    fn came(&mut self, source: &Source) -> Result<(), Failure> {
        match source {
            Source { queue: Some(_), .. } | Source { id: Some(_), .. } => {
                self.look_soon();
                Ok(())
            }
            Source { line: Some(line), worker, .. } => {
                let worker = worker.as_deref().unwrap_or_default();
                self.tell(Event::Happened(What::Line { worker, line: line.as_bytes() }))
            }
            Source { path: Some(path), .. } => self.tell(Event::Happened(What::Path(Path::new(&**path)))),
            Source { signal: Some(name), .. } => self.tell(Event::Happened(What::Signal(name))),
            Source { fire: Some(name), .. } => self.tell(Event::Happened(What::Fire(name))),
            Source { socket: Some(address), .. } => {
                let items = self.named.keys.start_on.value.iter().filter_map(|Item(item, _)| item.socket.value.clone());
                match items.into_iter().find(|known| known.to_text() == **address) {
                    Some(known) => self.tell(Event::Happened(What::Socket(&known))),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Has the queues looked at a little later.
    fn look_soon(&mut self) {
        let soon = time::now().tick.after(COUNTED);
        self.look_at = self.asks.as_ref().map(|_| self.look_at.map_or(soon, |at| at.min(soon)));
    }

    /// What the supervisor says, while it is there.
    fn ask(&mut self, request: &Request) -> Result<Option<Reply>, Failure> {
        let Some(client) = &mut self.asks else { return Ok(None) };
        match client.ask(request, Some(ask::SOON)) {
            Ok(reply) => Ok(Some(reply)),
            Err(NoAnswer::Ended { .. }) => {
                self.asks = None;
                Ok(None)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Whether a worker is not tried any more.
    fn has_failed(&mut self, name: &str) -> Result<bool, Failure> {
        let Ok(target) = name.parse() else { return Ok(false) };
        let reply = self.ask(&Request::Status { workers: vec![target] })?;
        let is_so = |status: &Status| status.workers.iter().any(|worker| worker.state == State::Failed);
        Ok(matches!(reply, Some(Reply::Status(status)) if is_so(&status)))
    }

    /// How the queues stand now; as they stood where nobody says so.
    fn stats(&mut self) -> Result<BTreeMap<String, QueueStatus>, Failure> {
        match self.ask(&Request::Queue { queue: None, what: OfQueue::Stats })? {
            Some(Reply::Queues(queues)) => Ok(queues.into_iter().map(|of| (of.queue.name.clone(), of)).collect()),
            Some(other) => Err(ask::failure(other)),
            None => Ok(self.queues.clone()),
        }
    }

    /// Looks what has happened to the queues since they were looked at last, and when the next of their tasks is due.
    fn look(&mut self) -> Result<(), Failure> {
        let stats = self.stats()?;
        let next_due = stats.values().filter_map(|status| status.next_due).min().filter(|_| self.asks.is_some());
        let now = time::now();
        self.look_at = next_due.map(|due| now.tick.after(due.until(now.wall)).after(COUNTED));
        let before = std::mem::replace(&mut self.queues, stats);
        let changed: Vec<_> =
            before.iter().filter_map(|(name, old)| Some((old, self.queues.get(name)?.clone()))).collect();
        for (old, new) in changed {
            let queue = new.queue.name.as_str();
            let added = added(old, &new);
            if added > 0 && spec::is_by_task(&self.named.keys) && self.named.keys.given().any(|of| of == queue) {
                let tasks = count(added as usize, "task");
                self.would(&format!("would begin {tasks} of {queue} as slots are free"), added as usize)?;
            }
            self.put = BTreeMap::from([(queue.to_owned(), added)]);
            for event in news(old, &new) {
                self.tell(Event::Happened(What::Queue { queue, event }))?;
            }
            self.put.clear();
        }
        Ok(())
    }
}

/// How many tasks of a queue can be started.
fn startable(status: &QueueStatus) -> u64 {
    if status.queue.paused { 0 } else { status.queue.waiting.total() }
}

/// How many tasks can be started, or could be meanwhile, that could not: they were put and are not delayed, they are due, the
/// queue goes on.
fn added(old: &QueueStatus, new: &QueueStatus) -> u64 {
    let put = new.totals.put.saturating_sub(old.totals.put);
    let delayed = new.queue.delayed.saturating_sub(old.queue.delayed);
    let put = if new.queue.paused { 0 } else { put.saturating_sub(delayed) };
    put.max(startable(new).saturating_sub(startable(old)))
}

/// What has happened to a queue that stood otherwise before.
fn news(old: &QueueStatus, new: &QueueStatus) -> impl Iterator<Item = QueueEvent> {
    let more = |of: fn(&Totals) -> u64| of(&new.totals) > of(&old.totals);
    let left = |status: &QueueStatus| status.queue.waiting.total() + status.queue.delayed + status.queue.running;
    let news = [
        (added(old, new) > 0, QueueEvent::Added),
        (more(|totals| totals.done), QueueEvent::Done),
        (more(|totals| totals.failed), QueueEvent::Failed),
        (more(|totals| totals.buried), QueueEvent::Buried),
        (left(new) == 0 && (left(old) > 0 || more(|totals| totals.put)), QueueEvent::Empty),
    ];
    news.into_iter().filter(|(is_so, _)| *is_so).map(|(_, event)| event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(waiting: u64, delayed: u64, paused: bool, put: u64, done: u64) -> QueueStatus {
        let json = serde_json::json!({
            "name": "jobs", "waiting": { "high": 0, "normal": waiting, "low": 0 }, "delayed": delayed, "running": 0,
            "buried": 0, "damaged": 0, "paused": paused, "why": null, "done": done, "bytes": 0, "oldest_ms": null,
            "next_due_us": null, "limits": { "tasks": 9, "bytes": 9 },
            "totals": { "put": put, "done": done, "failed": 0, "buried": 0 }, "workers": [], "store": "ready",
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_is_news() {
        let news = |old, new| super::news(&old, &new).collect::<Vec<_>>();
        let empty = || queue(0, 0, false, 0, 0);
        let came_and_went = [QueueEvent::Added, QueueEvent::Done, QueueEvent::Empty];
        assert_eq!(news(empty(), queue(0, 0, false, 1, 1)), came_and_went, "though it was not seen");
        assert_eq!(news(empty(), queue(0, 1, false, 1, 0)), [], "it is not due yet");
        assert_eq!(news(queue(0, 1, false, 1, 0), queue(1, 0, false, 1, 0)), [QueueEvent::Added], "it is due");
        assert_eq!(news(empty(), queue(1, 0, true, 1, 0)), [], "it is paused");
        assert_eq!(news(queue(2, 0, true, 2, 0), queue(2, 0, false, 2, 0)), [QueueEvent::Added], "it goes on");
        assert_eq!(added(&queue(2, 0, true, 2, 0), &queue(2, 0, false, 2, 0)), 2);
    }
}
