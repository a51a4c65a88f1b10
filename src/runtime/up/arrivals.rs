//! Files that start a worker or become tasks: from the thread that sees them come to the triggers and to the store.

use super::Up;
use super::asked::Asked;
use super::stores::HERE;
use super::tasks::Tasks;
use crate::clock::Now;
use crate::config::load::Config;
use crate::config::tables::Queue;
use crate::control::event::{Event as Happening, Kind};
use crate::runtime::arrivals::{Arrivals, Came, FromArrivals, Source, ToArrivals, Wanted};
use crate::runtime::store::{Arrived, Limits, Order, Taken};
use crate::task::trigger::{Event, What};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

/// The longest path (limits.h, PATH_MAX): room for so many bytes holds one task for a file, whatever it is called.
const PATH_BYTES_MAX: u64 = 4096;

/// Files that are waited for.
#[derive(Debug)]
pub(super) struct Drops {
    thread: Arrivals,
    said: Receiver<FromArrivals>,
    crowds: Vec<Crowd>,
}

/// More files of a source than its queue could hold.
#[derive(Debug)]
struct Crowd {
    source: Arc<Source>,
    /// So many may come next; where this is 0, they wait for room.
    room: usize,
}

/// What the configuration waits for, each once.
fn sources(config: &Config) -> Vec<Arc<Source>> {
    let mut sources: Vec<Arc<Source>> = Vec::new();
    for (named, item) in config.triggers() {
        let Some(files) = item.path.value.clone() else { continue };
        let wanted = match &item.queue.value {
            Some(queue) => Wanted::Tasks(queue.0.as_str().into()),
            None => Wanted::Start(named.name.as_str().into()),
        };
        let source = Arc::new(Source { files, wanted });
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    sources
}

/// What a queue may hold.
fn limits(keys: &Queue) -> Limits {
    Limits { tasks: keys.max_tasks.value.0.unsigned_abs(), bytes: keys.max_bytes.value.0 }
}

impl Tasks {
    /// The keys of a queue, where the configuration has it.
    fn keys<'a>(&self, queue: &str, config: &'a Config) -> Option<&'a Queue> {
        let known = self.queues.iter().find(|known| *known.name == *queue)?;
        Some(&config.queues[known.place?].keys)
    }

    /// How many files a queue has room for.
    fn room(&self, queue: &str, config: &Config) -> usize {
        let Some(limits) = self.keys(queue, config).map(limits) else { return 0 };
        let counts = self.queues.iter().find(|known| *known.name == *queue).and_then(|known| known.counts.as_ref());
        let tally = counts.map(|counts| counts.tally).unwrap_or_default();
        let bytes = limits.bytes.saturating_sub(tally.bytes) / PATH_BYTES_MAX;
        // A queue that holds nothing may be too small for the longest path, and not for others.
        let least = u64::from(tally.stored() == 0);
        usize::try_from(limits.tasks.saturating_sub(tally.stored()).min(bytes.max(least))).unwrap_or(usize::MAX)
    }
}

impl Up<'_> {
    /// Has the files waited for that the configuration in force waits for; where nothing stores tasks, those alone that start a
    /// worker.
    pub(super) fn arrange_drops(&mut self, now: Now) {
        let mut sources = sources(&self.configuration.loaded.config);
        sources.retain(|source| self.tasks.is_some() || matches!(source.wanted, Wanted::Start(_)));
        if self.drops.is_none() && !sources.is_empty() {
            match self.open_drops() {
                Ok(drops) => self.drops = Some(drops),
                Err(e) => {
                    let text = format!("cannot wait for files: {e}; the next reload tries it again");
                    self.say(Happening::new(now.wall, Kind::Warning, text));
                }
            }
        }
        let Some(drops) = &mut self.drops else { return };
        drops.crowds.retain(|crowd| sources.contains(&crowd.source));
        drops.thread.send(ToArrivals::Arrange(sources));
        let queues: Vec<_> =
            self.tasks.iter().flat_map(|tasks| &tasks.queues).map(|known| known.name.clone()).collect();
        // A queue may hold more from now on.
        queues.iter().for_each(|queue| self.room_for_files(queue));
    }

    fn open_drops(&self) -> io::Result<Drops> {
        let (told, said) = channel();
        Ok(Drops { thread: Arrivals::start(told, self.planes.waker())?, said, crowds: Vec::new() })
    }

    /// Takes what has come.
    pub(super) fn drops_said(&mut self, now: Now) {
        while let Some(said) = self.drops.as_ref().and_then(|drops| drops.said.try_recv().ok()) {
            match said {
                FromArrivals::Came(came) => self.files_came(came, now),
                FromArrivals::Trouble(text) => self.say(Happening::new(now.wall, Kind::Warning, text)),
                FromArrivals::Ended => {
                    self.drops = None;
                    let text = "who waited for files has ended: none is waited for until the next reload";
                    self.say(Happening::new(now.wall, Kind::Warning, text));
                }
            }
        }
    }

    fn files_came(&mut self, came: Came, now: Now) {
        let Came { source, files, gone, after } = came;
        match &source.wanted {
            Wanted::Start(worker) => {
                let pattern = source.files.path();
                self.record_happened(What::Path(&pattern), now);
                self.tell(Event::Happened(What::Path(&pattern)), Some(worker), now);
                if let Some(drops) = &self.drops {
                    drops.thread.send(ToArrivals::Started(source.clone()));
                }
            }
            Wanted::Tasks(queue) => {
                let config = &self.configuration.loaded.config;
                let Some(tasks) = &mut self.tasks else { return };
                // Where the configuration has the queue no more, it waits for these files no more.
                let Some(keys) = tasks.keys(queue, config) else { return };
                let (queue, durable, limits) = (queue.clone(), keys.durable.value, limits(keys));
                let order = Order::Arrived(Arrived { queue, durable, limits, files, gone, after, now: now.wall });
                tasks.order(HERE, Asked::Arrived(source.clone(), Box::new(order.clone())), order);
            }
        }
    }

    /// The store has taken files, of so many that were told.
    pub(super) fn files_taken(&mut self, source: &Arc<Source>, told: usize, taken: Taken, now: Now) {
        let Wanted::Tasks(queue) = &source.wanted else { return };
        let (put, files) = (taken.put, source.files.path());
        let known = self.tasks.as_mut().and_then(|tasks| Some((tasks.named(queue)?, tasks)));
        known.into_iter().for_each(|(id, tasks)| tasks.queue(id).totals.put += put as u64);
        if put > 0 {
            let text = format!("{put} put into {queue}: files {}", files.display());
            self.note(Happening::new(now.wall, Kind::Task, text));
        }
        let Some(drops) = &mut self.drops else { return };
        let crowd = drops.crowds.iter().position(|crowd| Arc::ptr_eq(&crowd.source, source));
        let before = crowd.map(|at| drops.crowds.swap_remove(at).room);
        // Where all were taken that there was room for, there may be more of them.
        let room = (taken.full.is_some() || before.is_some_and(|room| told >= room)).then_some(0);
        let why = taken.full.filter(|_| before.is_none());
        let is_full = taken.full.is_some();
        drops.crowds.extend(room.map(|room| Crowd { source: source.clone(), room }));
        drops.thread.send(ToArrivals::Taken(source.clone(), taken, room));
        if let Some(why) = why {
            let text = format!("files {} wait for room in {queue}: {why}", files.display());
            self.say(Happening::new(now.wall, Kind::Warning, text));
        }
        // Of one that was full, what is known was so before: how it stands now is told next.
        if !is_full {
            self.room_for_files(queue);
        }
    }

    /// A queue has changed: files that wait for room may come, as many as there is room for.
    pub(super) fn room_for_files(&mut self, queue: &str) {
        let Some((drops, tasks)) = self.drops.as_mut().zip(self.tasks.as_ref()) else { return };
        let is_of = |crowd: &&mut Crowd| matches!(&crowd.source.wanted, Wanted::Tasks(of) if **of == *queue);
        for crowd in drops.crowds.iter_mut().filter(is_of).filter(|crowd| crowd.room == 0) {
            crowd.room = tasks.room(queue, &self.configuration.loaded.config);
            if crowd.room > 0 {
                drops.thread.send(ToArrivals::Room(crowd.source.clone(), crowd.room));
            }
        }
    }
}
