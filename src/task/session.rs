//! What one persistent worker (`protocol = "lines"`) has in hand, and what is kept ready for it. Pure.
//!
//! A task is begun in three steps: it is leased, which the store commits before the worker hears of it; it is given; it is
//! ended. A worker is given as many tasks at once as it says (`ready`), one where it says nothing. While a lease takes as
//! long as many tasks do, waiting for it would be most of the time: so as many are leased ahead as the worker does
//! meanwhile. One that takes longer over a task than the store over a lease has none ahead, and what is urgent is next.

use super::queue::QueueId;
use super::{Class, Task, TaskId};
use crate::clock::Tick;
use std::collections::VecDeque;
use std::time::Duration;

/// So many tasks are leased ahead at most.
pub const AHEAD_MAX: u32 = 64;
/// What is leased ahead is given back when the task before it takes longer than this, and than so many leases.
const LINGER: Duration = Duration::from_millis(10);
const LINGER_LEASES: u32 = 8;
/// How much the last one counts in what tasks and leases take: one in so many parts.
const PARTS: u32 = 8;

/// A task that a worker has, or is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The task.
    pub task: Task,
    /// From where.
    pub queue: QueueId,
    /// Since when it is being leased.
    asked: Tick,
    /// The store has its lease.
    leased: bool,
}

/// What a worker has in hand.
#[derive(Debug)]
pub struct Session {
    credit: u32,
    /// Those that were given, the first one first.
    given: VecDeque<Entry>,
    /// Those that are to be given, as they were chosen.
    ahead: VecDeque<Entry>,
    /// Since when the first of the given is the first, or has last said that it is.
    since: Tick,
    /// Since when nothing has ended of what it was given.
    began: Tick,
    /// What it is at takes so much longer than others that none is kept for it meanwhile.
    lingers: bool,
    /// What one task takes, and one lease.
    task_takes: Option<Duration>,
    lease_takes: Duration,
}

/// What was in hand when a worker came to its end.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// What it was at.
    pub first: Option<Entry>,
    /// What else it had.
    pub given: Vec<Entry>,
    /// Leased, and never given.
    pub unbegun: Vec<Entry>,
    /// Being leased.
    pub leasing: Vec<Entry>,
}

impl Default for Session {
    fn default() -> Session {
        let (given, ahead) = (VecDeque::new(), VecDeque::new());
        let (since, began, task_takes, lease_takes) = (Tick(0), Tick(0), None, Duration::ZERO);
        Session { credit: 1, given, ahead, since, began, lingers: false, task_takes, lease_takes }
    }
}

impl Session {
    /// How many tasks it can have, with those that are leased ahead.
    #[must_use]
    pub fn room(&self) -> u32 {
        let ahead = match self.task_takes {
            None => 0,
            Some(_) if self.lingers => 0,
            Some(takes) => (2 * self.lease_takes).as_nanos() / takes.as_nanos().max(1),
        };
        self.credit + u32::try_from(ahead).unwrap_or(AHEAD_MAX).min(AHEAD_MAX)
    }

    /// It can be given so many tasks at once.
    pub fn ready(&mut self, credit: u32) {
        self.credit = credit;
    }

    /// Whether it has room for a task that it has not got, so that the next lease is waited for.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.given.len() + self.ahead.len() < self.credit as usize
    }

    /// Whether it is given one task at a time.
    #[must_use]
    pub fn is_one_by_one(&self) -> bool {
        self.credit == 1
    }

    /// A task was chosen for it, and is being leased.
    pub fn take(&mut self, task: Task, queue: QueueId, now: Tick) {
        self.ahead.push_back(Entry { task, queue, asked: now, leased: false });
    }

    /// The store has the lease of a task, for this try; false where it is not known here any more.
    pub fn leased(&mut self, id: TaskId, attempt: u32, now: Tick) -> bool {
        let Some(entry) = self.ahead.iter_mut().find(|entry| entry.task.id == id) else { return false };
        (entry.task.attempt, entry.leased) = (attempt, true);
        let took = now.until(entry.asked);
        self.lease_takes = smooth(self.lease_takes, took);
        true
    }

    /// A task could not be leased.
    pub fn refused(&mut self, id: TaskId) -> Option<Entry> {
        let at = self.ahead.iter().position(|entry| entry.task.id == id)?;
        self.ahead.remove(at)
    }

    /// The next task that it is to be given, which it then has: one of class high before all others.
    pub fn next(&mut self, now: Tick) -> Option<&mut Entry> {
        if self.given.len() >= self.credit as usize {
            return None;
        }
        let is_due = |entry: &Entry| entry.leased;
        let high = self.ahead.iter().position(|entry| is_due(entry) && entry.task.class == Class::High);
        let at = high.or_else(|| self.ahead.iter().position(is_due))?;
        let entry = self.ahead.remove(at)?;
        if self.given.is_empty() {
            (self.since, self.began) = (now, now);
        }
        self.given.push_back(entry);
        self.given.back_mut()
    }

    /// Whether there is a task that it could be given now.
    #[must_use]
    pub fn has_next(&self) -> bool {
        self.given.len() < self.credit as usize && self.ahead.iter().any(|entry| entry.leased)
    }

    /// It has said how one of its tasks ended.
    pub fn end(&mut self, id: TaskId, now: Tick) -> Option<Entry> {
        let at = self.given.iter().position(|entry| entry.task.id == id)?;
        let took = now.until(self.began);
        self.task_takes = Some(self.task_takes.map_or(took, |takes| smooth(takes, took)));
        (self.began, self.lingers) = (now, false);
        // The time of the first goes on, whatever the others come to meanwhile.
        if at == 0 {
            self.since = now;
        }
        self.given.remove(at)
    }

    /// It still works on one of its tasks; false where it has none of this number.
    pub fn beat(&mut self, id: TaskId, now: Tick) -> bool {
        let is_first = self.first().is_some_and(|entry| entry.task.id == id);
        if is_first {
            self.since = now;
        }
        is_first || self.given.iter().any(|entry| entry.task.id == id)
    }

    /// From then until now it could not be heard: that is not of its time.
    pub fn excuse(&mut self, from: Tick, now: Tick) {
        self.since = self.since.after(now.until(self.since.max(from)));
    }

    /// What it is at: of those that it was given, the first.
    #[must_use]
    pub fn first(&self) -> Option<&Entry> {
        self.given.front()
    }

    /// Since when it is at that, or has last said that it is.
    #[must_use]
    pub fn since(&self) -> Option<Tick> {
        self.first().map(|_| self.since)
    }

    /// All that it was given.
    pub fn given(&self) -> impl Iterator<Item = &Entry> {
        self.given.iter()
    }

    /// All that it has, or is to have.
    pub fn all(&self) -> impl Iterator<Item = &Entry> {
        self.given.iter().chain(&self.ahead)
    }

    /// It has come to its end.
    #[must_use]
    pub fn close(self) -> Left {
        let mut given = self.given.into_iter();
        let first = given.next();
        let (unbegun, leasing) = self.ahead.into_iter().partition(|entry| entry.leased);
        Left { first, given: given.collect(), unbegun, leasing }
    }

    /// When what is kept for it is to be given back, unless it is done with what it is at before.
    #[must_use]
    pub fn lingers_at(&self) -> Option<Tick> {
        let waits = !self.lingers && !self.has_next() && self.ahead.iter().any(|entry| entry.leased);
        waits.then(|| self.began.after((LINGER_LEASES * self.lease_takes).max(LINGER)))
    }

    /// What it is at takes longer than others did: what was kept for it, which others can do.
    pub fn linger(&mut self) -> Vec<Entry> {
        self.lingers = true;
        self.give_back()
    }

    /// What was leased ahead and not given: it will not be.
    pub fn give_back(&mut self) -> Vec<Entry> {
        let (leased, leasing) = std::mem::take(&mut self.ahead).into_iter().partition(|entry| entry.leased);
        self.ahead = leasing;
        Vec::from(leased)
    }
}

/// What something takes, after one time more.
fn smooth(takes: Duration, took: Duration) -> Duration {
    (takes * (PARTS - 1) + took) / PARTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Wall;

    fn task(id: u64, class: Class) -> Task {
        Task { id: TaskId(id), class, attempt: 0, put: Wall(0), trace: None, payload: Box::default() }
    }

    fn at(micros: u64) -> Tick {
        Tick(micros * 1000)
    }

    fn given(session: &mut Session, now: Tick) -> Vec<u64> {
        std::iter::from_fn(|| session.next(now).map(|entry| entry.task.id.0)).collect()
    }

    /// A session with tasks that are leased.
    fn session(ids: impl IntoIterator<Item = (u64, Class)>) -> Session {
        let mut session = Session::default();
        for (id, class) in ids {
            session.take(task(id, class), QueueId(0), at(0));
            assert!(session.leased(TaskId(id), 1, at(0)));
        }
        session
    }

    #[test]
    fn one_at_a_time_unless_it_says_otherwise() {
        let mut session = session((1..=5).map(|id| (id, Class::Normal)));
        assert_eq!(given(&mut session, at(0)), [1]);
        assert!(!session.has_next());
        assert_eq!(session.end(TaskId(2), at(1)), None, "it does not have that");
        assert_eq!(session.end(TaskId(1), at(1)).map(|entry| entry.task.attempt), Some(1));
        assert!(session.has_next());
        session.ready(3);
        assert_eq!(given(&mut session, at(1)), [2, 3, 4]);
        assert!(session.end(TaskId(4), at(2)).is_some(), "in whatever order");
        assert_eq!(given(&mut session, at(2)), [5]);
    }

    #[test]
    fn what_is_not_leased_is_not_given_and_high_comes_first() {
        let mut session = session([(1, Class::Low), (2, Class::Normal)]);
        session.take(task(3, Class::High), QueueId(0), at(0));
        session.ready(2);
        assert_eq!(given(&mut session, at(0)), [1, 2]);
        assert!(session.end(TaskId(2), at(1)).is_some());
        session.take(task(4, Class::Low), QueueId(0), at(1));
        assert!(session.leased(TaskId(4), 1, at(2)) && session.leased(TaskId(3), 2, at(2)));
        assert!(!session.leased(TaskId(9), 1, at(2)));
        assert_eq!(given(&mut session, at(2)), [3]);
        session.take(task(5, Class::Low), QueueId(0), at(2));
        assert_eq!(session.refused(TaskId(5)).map(|entry| entry.task.id), Some(TaskId(5)));
        session.take(task(6, Class::Low), QueueId(0), at(2));
        assert_eq!(session.all().count(), 4);
        let left = session.close();
        let ids = |entries: &[Entry]| entries.iter().map(|entry| entry.task.id.0).collect::<Vec<_>>();
        assert_eq!(left.first.map(|entry| entry.task.id), Some(TaskId(1)));
        assert_eq!((ids(&left.given), ids(&left.unbegun), ids(&left.leasing)), (vec![3], vec![4], vec![6]));
    }

    #[test]
    fn a_fast_worker_has_tasks_ahead_and_a_slow_one_has_none() {
        let run = |lease: u64, takes: u64| {
            let mut session = Session::default();
            for id in 1..100 {
                let now = at(id * 100_000);
                session.take(task(id, Class::Normal), QueueId(0), now);
                session.leased(TaskId(id), 1, Tick(now.0 + lease * 1000));
                assert_eq!(given(&mut session, now), [id]);
                assert!(session.end(TaskId(id), Tick(now.0 + takes * 1000)).is_some());
            }
            session.room()
        };
        assert_eq!(Session::default().room(), 1);
        assert_eq!(run(500, 10_000), 1);
        assert!((8..=11).contains(&run(500, 100)));
        assert_eq!(run(500, 1), 1 + AHEAD_MAX);
    }

    #[test]
    fn the_time_of_a_task_begins_when_it_is_the_first() {
        let mut session = session([(1, Class::Low), (2, Class::Low)]);
        session.ready(2);
        assert_eq!(session.since(), None);
        assert_eq!(given(&mut session, at(5)), [1, 2]);
        assert_eq!(session.since(), Some(at(5)));
        assert!(session.beat(TaskId(2), at(6)) && !session.beat(TaskId(3), at(6)));
        assert_eq!(session.since(), Some(at(5)), "it is not at that");
        assert!(session.beat(TaskId(1), at(7)));
        assert_eq!(session.since(), Some(at(7)));
        assert!(session.end(TaskId(1), at(9)).is_some());
        assert_eq!(session.since(), Some(at(9)));
    }

    #[test]
    fn a_task_that_hangs_has_its_time_though_others_end() {
        let mut session = session((1..=3).map(|id| (id, Class::Low)));
        session.ready(2);
        assert_eq!(given(&mut session, at(5)), [1, 2]);
        assert!(session.end(TaskId(2), at(6)).is_some());
        assert_eq!(given(&mut session, at(6)), [3]);
        assert!(session.end(TaskId(3), at(7)).is_some());
        assert_eq!(session.since(), Some(at(5)));
        session.excuse(at(8), at(10));
        assert_eq!(session.since(), Some(at(7)), "but for what it had to wait for");
        session.excuse(at(4), at(20));
        assert_eq!(session.since(), Some(at(20)), "it was not longer at it");
    }

    #[test]
    fn nothing_waits_behind_a_task_that_takes_long() {
        let mut session = session((1..=3).map(|id| (id, Class::Low)));
        session.task_takes = Some(Duration::from_micros(50));
        session.lease_takes = Duration::from_millis(1);
        assert_eq!(session.lingers_at(), None, "it is at nothing");
        assert_eq!(given(&mut session, at(0)), [1]);
        assert_eq!((session.room(), session.lingers_at()), (41, Some(at(10_000))));
        assert!(session.beat(TaskId(1), at(5000)));
        assert_eq!(session.lingers_at(), Some(at(10_000)), "it is at the same");
        assert_eq!(session.linger().len(), 2);
        assert_eq!((session.room(), session.lingers_at()), (1, None));
        assert!(session.end(TaskId(1), at(20_000)).is_some());
        assert_eq!(session.task_takes.unwrap().as_micros(), 2543);
    }

    #[test]
    fn what_was_only_leased_can_be_given_back() {
        let mut session = session((1..=3).map(|id| (id, Class::Low)));
        session.take(task(4, Class::Low), QueueId(0), at(0));
        assert_eq!(given(&mut session, at(0)), [1]);
        assert_eq!(session.give_back().len(), 2);
        assert_eq!(session.all().count(), 2, "the one at hand, and the one whose lease is to come");
    }
}
