//! The tasks of one queue, in memory: what the store would do with them.

use crate::clock::Wall;
use crate::config::tables::QueueEvent;
use crate::control::put::{Key, OnKey};
use crate::task::tally::{Counts, Tally};
use crate::task::{Class, State, Task, TaskId};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// A queue's tasks.
#[derive(Debug)]
pub(super) struct Pile {
    pub(super) name: Arc<str>,
    tasks_max: u64,
    bytes_max: u64,
    pub(super) tally: Tally,
    /// As it was told last.
    told: Option<Counts>,
    /// So many were deleted that were not done.
    pub(super) dropped: u64,
    /// So many tasks were put and begun at once since then.
    begun: u64,
    paused: bool,
    fresh: [Option<TaskId>; Class::ALL.len()],
    changed: bool,
    /// All but the done.
    tasks: HashMap<TaskId, Stored>,
    waiting: [BTreeSet<TaskId>; Class::ALL.len()],
    delayed: BTreeSet<(Wall, TaskId)>,
    /// Those that wait, are delayed or run, by what they are about.
    keys: HashMap<Box<str>, BTreeSet<TaskId>>,
}

/// A task.
#[derive(Debug)]
struct Stored {
    class: Class,
    /// None before it has come.
    state: Option<State>,
    attempt: u32,
    put: Wall,
    /// Since when it can be started, or from when on.
    since: Wall,
    /// When it is due, where it is delayed.
    due: Wall,
    bytes: u64,
    key: Option<Box<str>>,
}

/// A task to put.
#[derive(Clone, Debug, Default)]
pub(super) struct New {
    pub(super) id: TaskId,
    pub(super) class: Class,
    pub(super) attempt: u32,
    pub(super) delay: Duration,
    pub(super) bytes: u64,
    pub(super) key: Option<Key>,
    /// It begins at once.
    pub(super) begins: bool,
}

/// What becomes of a task after a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    /// It is tried again at this time.
    Again(Wall),
    Buried,
}

/// A task that begins a try.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leased {
    pub(super) attempt: u32,
    /// Since when it could have begun.
    pub(super) since: Wall,
}

impl Pile {
    pub(super) fn new(name: &str, tasks_max: u64, bytes_max: u64) -> Pile {
        Pile {
            name: name.into(),
            tasks_max,
            bytes_max,
            tally: Tally::default(),
            told: None,
            dropped: 0,
            begun: 0,
            paused: false,
            fresh: [None; 3],
            changed: false,
            tasks: HashMap::new(),
            waiting: Default::default(),
            delayed: BTreeSet::new(),
            keys: HashMap::new(),
        }
    }

    /// How many can be started, with those that were begun at once.
    pub(super) fn startable(&self) -> u64 {
        if self.paused { 0 } else { self.tally.startable() + self.begun }
    }

    /// When the next delayed one is due.
    pub(super) fn next_due(&self) -> Option<Wall> {
        self.delayed.first().map(|(due, _)| *due)
    }

    /// How it stands now, and what of that is news, where it has changed. Whoever was told of that says so: `told`.
    pub(super) fn counts(&mut self) -> Option<(Counts, Vec<QueueEvent>)> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let counts = Counts {
            queue: self.name.clone(),
            paused: self.paused,
            tally: self.tally,
            fresh: std::mem::take(&mut self.fresh),
            next_due: self.next_due(),
        };
        let news = counts.news(self.told.as_ref(), self.begun).collect();
        self.told = Some(counts.clone());
        Some((counts, news))
    }

    /// Whether tasks can be started of which nobody was told.
    pub(super) fn has_untold(&self) -> bool {
        self.fresh.iter().any(Option::is_some)
    }

    /// All have been told how it stands.
    pub(super) fn told(&mut self) {
        self.begun = 0;
    }

    /// Takes a task in; false where another of its key is there already.
    ///
    /// # Errors
    /// Why the queue is full.
    pub(super) fn put(&mut self, new: New, now: Wall) -> Result<bool, String> {
        let gone = match &new.key {
            Some(Key { key, on: OnKey::DropNew }) if self.keys.contains_key(key.as_str()) => return Ok(false),
            Some(Key { key, on: OnKey::Replace }) => self.pending(key),
            _ => Vec::new(),
        };
        let bytes_gone: u64 = gone.iter().map(|id| self.tasks[id].bytes).sum();
        let tasks = self.tally.stored() - gone.len() as u64 + 1;
        let bytes = self.tally.bytes - bytes_gone + new.bytes;
        if tasks > self.tasks_max || bytes > self.bytes_max {
            return Err(format!("{} is full: with this it would hold {tasks} tasks and {bytes} bytes", self.name));
        }
        gone.into_iter().for_each(|id| self.remove(id));
        let (state, since) = match new.delay {
            Duration::ZERO if new.begins => (State::Running, now),
            Duration::ZERO => (State::Waiting, now),
            delay => (State::Delayed, now.after(delay)),
        };
        self.begun += u64::from(new.begins);
        let key: Option<Box<str>> = new.key.map(|key| key.key.into());
        let New { id, class, bytes, .. } = new;
        let attempt = new.attempt + u32::from(new.begins);
        self.tasks.insert(id, Stored { class, state: None, attempt, put: now, since, due: since, bytes, key });
        self.enter(id, state);
        Ok(true)
    }

    /// Those of a key that may be replaced.
    fn pending(&self, key: &str) -> Vec<TaskId> {
        let of_key = self.keys.get(key).into_iter().flatten().copied();
        of_key.filter(|id| matches!(self.tasks[id].state, Some(State::Waiting | State::Delayed))).collect()
    }

    /// The next waiting tasks of a class behind this one.
    pub(super) fn fetch(&self, class: Class, after: TaskId, most: usize) -> Vec<Task> {
        let behind = self.waiting[class as usize].range(TaskId(after.0 + 1)..).take(most);
        let task = |id: &TaskId| {
            let Stored { attempt, put, .. } = self.tasks[id];
            Task { id: *id, class, attempt, put, trace: None, payload: Box::default() }
        };
        behind.map(task).collect()
    }

    /// A waiting task begins a try; none where it does not wait any more.
    pub(super) fn lease(&mut self, id: TaskId) -> Option<Leased> {
        let task = self.tasks.get_mut(&id).filter(|task| task.state == Some(State::Waiting))?;
        task.attempt += 1;
        let leased = Leased { attempt: task.attempt, since: task.since };
        self.enter(id, State::Running);
        Some(leased)
    }

    /// A running task's try is over.
    pub(super) fn end(&mut self, id: TaskId, ending: Ending, now: Wall) {
        let Some(task) = self.tasks.get_mut(&id).filter(|task| task.state == Some(State::Running)) else { return };
        match ending {
            Ending::Done => {
                self.leave(id);
                self.tasks.remove(&id);
                self.tally.done += 1;
            }
            Ending::Again(due) => {
                task.since = due.max(now);
                self.enter(id, if due > now { State::Delayed } else { State::Waiting });
            }
            Ending::Buried => self.enter(id, State::Buried),
        }
    }

    /// Delayed tasks that are due wait from now on.
    pub(super) fn due(&mut self, now: Wall) {
        while let Some((_, id)) = self.delayed.first().copied().filter(|(due, _)| *due <= now) {
            self.enter(id, State::Waiting);
        }
    }

    /// Somebody pauses it, or has it go on.
    pub(super) fn pause(&mut self, paused: bool) {
        (self.paused, self.changed) = (paused, true);
    }

    /// Buried and delayed tasks, or one of them, wait from now on, as if they had never been tried.
    pub(super) fn kick(&mut self, only: Option<TaskId>, now: Wall) {
        for id in self.those(only, &[State::Buried, State::Delayed]) {
            if let Some(task) = self.tasks.get_mut(&id) {
                (task.attempt, task.since) = (0, now);
            }
            self.enter(id, State::Waiting);
        }
    }

    /// A task that waits or is delayed is given up.
    pub(super) fn bury(&mut self, id: TaskId) {
        self.those(Some(id), &[State::Waiting, State::Delayed])
            .into_iter()
            .for_each(|id| self.enter(id, State::Buried));
    }

    /// All tasks that do not run, or one of them, are deleted.
    pub(super) fn remove_resting(&mut self, only: Option<TaskId>) {
        let resting = [State::Waiting, State::Delayed, State::Buried];
        self.those(only, &resting).into_iter().for_each(|id| self.remove(id));
    }

    /// The tasks that stand so, in their order.
    fn those(&self, only: Option<TaskId>, states: &[State]) -> Vec<TaskId> {
        let is_so = |id: &TaskId| {
            self.tasks.get(id).is_some_and(|task| task.state.is_some_and(|state| states.contains(&state)))
        };
        match only {
            Some(id) => Some(id).filter(is_so).into_iter().collect(),
            None => {
                let mut ids: Vec<_> = self.tasks.keys().copied().filter(is_so).collect();
                ids.sort_unstable();
                ids
            }
        }
    }

    /// A task comes to another state.
    fn enter(&mut self, id: TaskId, to: State) {
        self.leave(id);
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.state = Some(to);
        self.tally.add(to, task.class, 1, task.bytes);
        match to {
            State::Waiting => {
                self.waiting[task.class as usize].insert(id);
                let first = &mut self.fresh[task.class as usize];
                *first = Some(first.map_or(id, |first| first.min(id)));
            }
            State::Delayed => {
                task.due = task.since;
                self.delayed.insert((task.due, id));
            }
            _ => {}
        }
        if let Some(key) = task.key.as_ref().filter(|_| matches!(to, State::Waiting | State::Delayed | State::Running))
        {
            self.keys.entry(key.clone()).or_default().insert(id);
        }
    }

    /// A task is in no state.
    fn leave(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(&id) else { return };
        self.changed = true;
        let Some(state) = task.state else { return };
        self.tally.remove(state, task.class, task.bytes);
        self.waiting[task.class as usize].remove(&id);
        self.delayed.remove(&(task.due, id));
        if let Some(key) = &task.key
            && let Some(ids) = self.keys.get_mut(key)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.keys.remove(key);
            }
        }
    }

    fn remove(&mut self, id: TaskId) {
        self.leave(id);
        self.tasks.remove(&id);
        self.dropped += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pile() -> Pile {
        Pile::new("jobs", 3, 100)
    }

    fn new(id: u64) -> New {
        New { id: TaskId(id), ..New::default() }
    }

    fn keyed(id: u64, on: OnKey) -> New {
        New { key: Some(Key { key: "k".into(), on }), ..new(id) }
    }

    fn waiting(pile: &Pile) -> Vec<u64> {
        pile.fetch(Class::Normal, TaskId(0), 9).iter().map(|task| task.id.0).collect()
    }

    #[test]
    fn a_task_comes_is_worked_on_and_goes() {
        let mut pile = pile();
        assert_eq!(pile.put(new(1), Wall(5)), Ok(true));
        let (counts, news) = pile.counts().unwrap();
        assert_eq!((counts.tally.startable(), counts.fresh[1], news), (1, Some(TaskId(1)), vec![QueueEvent::Added]));
        assert!(pile.counts().is_none(), "nothing has changed");
        assert_eq!(pile.lease(TaskId(1)), Some(Leased { attempt: 1, since: Wall(5) }));
        assert!(pile.lease(TaskId(1)).is_none());
        pile.end(TaskId(1), Ending::Again(Wall(20)), Wall(10));
        assert_eq!((pile.next_due(), pile.startable()), (Some(Wall(20)), 0));
        pile.due(Wall(19));
        assert_eq!(pile.startable(), 0);
        pile.due(Wall(20));
        assert_eq!((pile.next_due(), pile.startable()), (None, 1));
        assert_eq!(pile.lease(TaskId(1)), Some(Leased { attempt: 2, since: Wall(20) }));
        pile.end(TaskId(1), Ending::Buried, Wall(30));
        pile.kick(None, Wall(40));
        assert_eq!(pile.lease(TaskId(1)), Some(Leased { attempt: 1, since: Wall(40) }));
        pile.end(TaskId(1), Ending::Done, Wall(50));
        let tally = pile.counts().unwrap().0.tally;
        assert_eq!((tally.done, tally.left(), tally.stored()), (1, 0, 0));
    }

    #[test]
    fn of_one_key_there_is_one_that_waits() {
        let mut pile = pile();
        assert_eq!(pile.put(keyed(1, OnKey::DropNew), Wall(0)), Ok(true));
        assert_eq!(pile.put(keyed(2, OnKey::DropNew), Wall(0)), Ok(false));
        assert_eq!(pile.put(keyed(3, OnKey::Replace), Wall(0)), Ok(true));
        assert_eq!(waiting(&pile), [3]);
        pile.lease(TaskId(3)).unwrap();
        assert_eq!(pile.put(keyed(4, OnKey::DropNew), Wall(0)), Ok(false));
        assert_eq!(pile.put(keyed(5, OnKey::Replace), Wall(0)), Ok(true));
        pile.end(TaskId(3), Ending::Done, Wall(0));
        assert_eq!(waiting(&pile), [5]);
        pile.remove_resting(None);
        assert_eq!(pile.put(keyed(6, OnKey::DropNew), Wall(0)), Ok(true));
    }

    #[test]
    fn a_full_queue_takes_nothing() {
        let mut pile = pile();
        (1..=3).for_each(|id| assert_eq!(pile.put(new(id), Wall(0)), Ok(true)));
        assert!(pile.put(new(4), Wall(0)).is_err_and(|why| why.contains("4 tasks")));
        pile.bury(TaskId(2));
        assert!(pile.put(new(4), Wall(0)).is_err(), "what is buried is still there");
        pile.remove_resting(Some(TaskId(2)));
        assert!(pile.put(New { bytes: 101, ..new(4) }, Wall(0)).is_err());
        assert_eq!(pile.put(New { delay: Duration::from_secs(1), ..new(4) }, Wall(0)), Ok(true));
        assert_eq!(waiting(&pile), [1, 3]);
        pile.kick(Some(TaskId(4)), Wall(0));
        pile.pause(true);
        assert_eq!((waiting(&pile), pile.startable()), (vec![1, 3, 4], 0));
    }
}
