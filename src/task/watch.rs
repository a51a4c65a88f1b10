//! What all workers wait for, side by side: who is told what happens, who is asked to start, and who is held.

use super::trigger::{Condition, Effect, Event, STARTS_MAX, Triggers, WINDOW};
use crate::clock::{Now, Tick, Wall};
use crate::config::tables;
use std::fmt;

/// The triggers of all workers.
#[derive(Debug, Default)]
pub struct Watches(Vec<Watch>);

/// The triggers of one worker.
#[derive(Debug)]
struct Watch {
    worker: Box<str>,
    triggers: Triggers,
    /// What each of its conditions waits for in words, and the item that it is of, with its number.
    words: Vec<(usize, Box<str>)>,
    items: Vec<(usize, tables::Trigger)>,
    /// Somebody has stopped the worker: it is not started but by somebody.
    held: bool,
}

/// What came of something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The worker that it is about.
    pub worker: Box<str>,
    /// What it waited for.
    pub why: Box<str>,
    /// It is to be started; or that has started it too often, and waits now.
    pub what: Answer,
}

/// Whether a worker is to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is.
    Start,
    /// It is caught in a loop, and is not for now.
    Tripped,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (why, seconds) = (&self.why, WINDOW.as_secs());
        match self.what {
            Answer::Start => write!(f, "starts: {why}"),
            Answer::Tripped => write!(
                f,
                "started more than {STARTS_MAX} times in {seconds} s by what it waits for ({why}): that waits now"
            ),
        }
    }
}

impl Watches {
    /// Takes in what a worker waits for: items of its `start_on` by their numbers, schedules from `now` on. A worker without
    /// any is not watched.
    pub fn add<'a>(&mut self, worker: &str, items: impl IntoIterator<Item = (usize, &'a tables::Trigger)>, now: Wall) {
        // What was checked can be read.
        let condition = |(at, item)| Some((Condition::of(item, now).ok().flatten()?, (at, item.clone())));
        let (conditions, items): (Vec<_>, Vec<(usize, tables::Trigger)>) =
            items.into_iter().filter_map(condition).unzip();
        if !conditions.is_empty() {
            let numbers = || items.iter().map(|(at, _)| *at);
            let words = numbers().zip(conditions.iter().map(|condition| condition.to_string().into())).collect();
            let triggers = Triggers::new(numbers().zip(conditions));
            self.0.push(Watch { worker: worker.into(), triggers, words, items, held: false });
        }
    }

    /// Takes the place of others. Who was held is, and who waits for the same as before knows what has happened; those who
    /// do not, or were not there, are named.
    pub fn succeed(&mut self, before: Watches) -> Vec<Box<str>> {
        let mut fresh = Vec::new();
        let mut before = before.0;
        for watch in &mut self.0 {
            let known = before.iter().position(|known| known.worker == watch.worker).map(|at| before.swap_remove(at));
            watch.held = known.as_ref().is_some_and(|known| known.held);
            match known.filter(|known| known.items == watch.items) {
                Some(known) => watch.triggers = known.triggers,
                None => fresh.push(watch.worker.clone()),
            }
        }
        fresh
    }

    /// Whether nobody waits for anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who waits for something.
    pub fn workers(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|watch| &*watch.worker)
    }

    /// Whether somebody has stopped a worker, so that what it waits for does not start it.
    #[must_use]
    pub fn holds(&self, worker: &str) -> bool {
        self.0.iter().any(|watch| watch.held && *watch.worker == *worker)
    }

    /// Whether it would be news that what an item waits for has happened.
    #[must_use]
    pub fn awaits(&self, worker: &str, item: usize) -> bool {
        self.open().any(|watch| *watch.worker == *worker && watch.triggers.awaits(item))
    }

    /// Whether a worker runs.
    #[must_use]
    pub fn runs(&self, worker: &str) -> bool {
        self.0.iter().any(|watch| *watch.worker == *worker && watch.triggers.runs())
    }

    /// Somebody stops a worker, or starts it again.
    pub fn hold(&mut self, worker: &str, held: bool) {
        self.0.iter_mut().filter(|watch| *watch.worker == *worker).for_each(|watch| watch.held = held);
    }

    /// Tells all, or `only` one worker's, what has happened. `waiting` says how many tasks of a queue could be started now.
    pub fn tell(
        &mut self,
        event: Event<'_>,
        only: Option<&str>,
        now: Now,
        waiting: impl Fn(&str) -> u64,
    ) -> Vec<Asked> {
        let mut asked = Vec::new();
        let mut effects = Vec::new();
        for watch in self.0.iter_mut().filter(|watch| only.is_none_or(|only| *watch.worker == *only)) {
            // Whoever is held is told of its starts and nothing else, so that nothing is asked for.
            if !watch.held || matches!(event, Event::Started) {
                watch.triggers.step(event, now, &waiting, &mut effects);
            }
            asked.extend(effects.drain(..).map(|effect| watch.asked(effect)));
        }
        asked
    }

    /// When there is something to do that nothing else brings: `Look` is to be told.
    #[must_use]
    pub fn deadline(&self) -> Option<Tick> {
        self.open().filter_map(|watch| watch.triggers.deadline()).min()
    }

    /// When the next time of a schedule comes: `Clock` is to be told.
    #[must_use]
    pub fn alarm(&self) -> Option<Wall> {
        self.open().filter_map(|watch| watch.triggers.alarm()).min()
    }

    fn open(&self) -> impl Iterator<Item = &Watch> {
        self.0.iter().filter(|watch| !watch.held)
    }
}

impl Watch {
    fn asked(&self, effect: Effect) -> Asked {
        let (why, what) = match effect {
            Effect::Start { why } => (why, Answer::Start),
            Effect::Tripped { why, .. } => (why, Answer::Tripped),
        };
        let words = self.words.iter().find(|(at, _)| *at == why);
        Asked { worker: self.worker.clone(), why: words.map(|(_, words)| words.clone()).unwrap_or_default(), what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::Table;
    use crate::config::tables::Trigger;
    use crate::config::typed::Text;
    use crate::task::trigger::What;

    fn fire(name: &str) -> Trigger {
        let mut trigger = Trigger::initial();
        trigger.fire.value = Some(Text(name.into()));
        trigger
    }

    fn fired(watches: &mut Watches, name: &str) -> Vec<String> {
        let asked = watches.tell(Event::Happened(What::Fire(name)), None, Now::default(), |_| 0);
        asked.iter().map(|asked| format!("{}: {asked}", asked.worker)).collect()
    }

    #[test]
    fn each_is_told_and_who_is_held_is_not_asked() {
        let (a, b) = (fire("a"), fire("b"));
        let mut watches = Watches::default();
        watches.add("nobody", [], Wall(0));
        assert!(watches.is_empty());
        watches.add("one", [(0, &a), (3, &b)], Wall(0));
        watches.add("two", [(0, &b)], Wall(0));
        assert_eq!(watches.workers().collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(fired(&mut watches, "b"), ["one: starts: fired: b", "two: starts: fired: b"]);
        for worker in ["one", "two"] {
            assert!(watches.tell(Event::Ended, Some(worker), Now::default(), |_| 0).is_empty());
        }
        watches.hold("two", true);
        assert!(watches.holds("two") && !watches.holds("one"));
        assert_eq!(fired(&mut watches, "b"), ["one: starts: fired: b"]);
        watches.hold("two", false);
        watches.tell(Event::Ended, Some("one"), Now::default(), |_| 0);
        assert_eq!(fired(&mut watches, "a"), ["one: starts: fired: a"]);
    }

    #[test]
    fn a_loop_is_named() {
        let trigger = fire("a");
        let mut watches = Watches::default();
        watches.add("it", [(0, &trigger)], Wall(0));
        for _ in 0..STARTS_MAX {
            assert_eq!(fired(&mut watches, "a").len(), 1);
            watches.tell(Event::Ended, None, Now::default(), |_| 0);
        }
        let said = fired(&mut watches, "a");
        assert!(said[0].contains("more than 200 times in 2 s by what it waits for (fired: a)"), "{said:?}");
        assert_eq!(watches.deadline(), Some(Tick(0).after(WINDOW)));
    }
}
