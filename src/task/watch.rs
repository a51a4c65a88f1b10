//! What all workers wait for, side by side: who is told what happens, who is asked to start, and who is held.

use super::guard::HOLD_MAX;
use super::trigger::{Condition, Effect, Event, STARTS_MAX, Triggers, WINDOW};
use crate::clock::{Now, Tick, Wall};
use crate::config::tables;
use std::collections::HashMap;
use std::fmt;

/// The triggers of all workers, in the order in which they were taken in.
#[derive(Debug, Default)]
pub struct Watches {
    all: Vec<Watch>,
    by_name: HashMap<Box<str>, usize>,
}

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
    last: Option<Last>,
}

/// What a worker was asked to start for the last time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// What it waited for.
    pub why: Box<str>,
    /// When that happened.
    pub at: Wall,
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
                "started more than {STARTS_MAX} times in {seconds} s by what it waits for ({why}): that waits now, and longer \
                 each time that it goes on, up to {} s",
                HOLD_MAX.as_secs()
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
            self.by_name.insert(worker.into(), self.all.len());
            self.all.push(Watch { worker: worker.into(), triggers, words, items, held: false, last: None });
        }
    }

    /// Takes the place of others. Who was held is, and what is waited for as before knows what has happened. Of those who were
    /// not there, `runs` says whether they run.
    pub fn succeed(&mut self, before: Watches, now: Now, runs: impl Fn(&str) -> bool) {
        let Watches { all, by_name } = before;
        let mut before: Vec<_> = all.into_iter().map(Some).collect();
        for watch in &mut self.all {
            match by_name.get(&watch.worker).and_then(|at| before[*at].take()) {
                Some(known) => {
                    (watch.held, watch.last) = (known.held, known.last);
                    let item = |at: usize| watch.items.iter().find(|(of, _)| *of == at).map(|(_, item)| item);
                    let same = |at| known.items.iter().find(|(_, other)| Some(other) == item(at)).map(|(of, _)| *of);
                    watch.triggers.succeed(known.triggers, same);
                }
                None if runs(&watch.worker) => watch.triggers.step(Event::Started, now, |_| 0, &mut Vec::new()),
                None => {}
            }
        }
    }

    /// Whether nobody waits for anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Who waits for something.
    pub fn workers(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|watch| &*watch.worker)
    }

    /// Whether a worker waits for something.
    #[must_use]
    pub fn knows(&self, worker: &str) -> bool {
        self.by_name.contains_key(worker)
    }

    /// Whether somebody has stopped a worker, so that what it waits for does not start it.
    #[must_use]
    pub fn holds(&self, worker: &str) -> bool {
        self.of(worker).is_some_and(|watch| watch.held)
    }

    /// Whether it would be news that what an item waits for has happened.
    #[must_use]
    pub fn awaits(&self, worker: &str, item: usize) -> bool {
        self.of(worker).is_some_and(|watch| !watch.held && watch.triggers.awaits(item))
    }

    /// Whether a worker runs.
    #[must_use]
    pub fn runs(&self, worker: &str) -> bool {
        self.of(worker).is_some_and(|watch| watch.triggers.runs())
    }

    /// What a worker was asked to start for the last time.
    #[must_use]
    pub fn last(&self, worker: &str) -> Option<&Last> {
        self.of(worker)?.last.as_ref()
    }

    /// Until when something that a worker waits for is held back.
    #[must_use]
    pub fn held_back(&self, worker: &str) -> Option<Tick> {
        self.of(worker)?.triggers.held_back()
    }

    /// Somebody stops a worker, or starts it again. What its schedules have waited for meanwhile is not made up for.
    pub fn hold(&mut self, worker: &str, held: bool, now: Wall) {
        let Some(watch) = self.by_name.get(worker).map(|at| &mut self.all[*at]) else { return };
        if std::mem::replace(&mut watch.held, held) && !held {
            watch.triggers.pass_over(now);
        }
    }

    /// Tells all, or `only` one worker's, what has happened. `waiting` says how many tasks of a queue could be started now.
    pub fn tell(
        &mut self,
        event: Event<'_>,
        only: Option<&str>,
        now: Now,
        waiting: impl Fn(&str) -> u64,
    ) -> Vec<Asked> {
        let told = match only {
            None => &mut self.all[..],
            Some(only) => self.by_name.get(only).map_or(&mut [][..], |at| &mut self.all[*at..=*at]),
        };
        let mut asked = Vec::new();
        let mut effects = Vec::new();
        for watch in told {
            match event {
                // Whoever is held is told where it stands and nothing else, so that nothing is asked for.
                Event::Ended if watch.held => watch.triggers.rest(),
                Event::Happened(_) | Event::Clock | Event::Look if watch.held => {}
                _ => watch.triggers.step(event, now, &waiting, &mut effects),
            }
            asked.extend(effects.drain(..).map(|effect| watch.asked(effect, now.wall)));
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
        self.all.iter().filter(|watch| !watch.held)
    }

    fn of(&self, worker: &str) -> Option<&Watch> {
        self.by_name.get(worker).map(|at| &self.all[*at])
    }
}

impl Watch {
    fn asked(&mut self, effect: Effect, now: Wall) -> Asked {
        let (why, what) = match effect {
            Effect::Start { why } => (why, Answer::Start),
            Effect::Tripped { why, .. } => (why, Answer::Tripped),
        };
        let words = self.words.iter().find(|(at, _)| *at == why);
        let why = words.map(|(_, words)| words.clone()).unwrap_or_default();
        if what == Answer::Start {
            self.last = Some(Last { why: why.clone(), at: now });
        }
        Asked { worker: self.worker.clone(), why, what }
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
        watches.hold("two", true, Wall(0));
        assert!(watches.holds("two") && !watches.holds("one"));
        assert_eq!(fired(&mut watches, "b"), ["one: starts: fired: b"]);
        watches.hold("two", false, Wall(0));
        watches.tell(Event::Ended, Some("one"), Now::default(), |_| 0);
        assert_eq!(fired(&mut watches, "a"), ["one: starts: fired: a"]);
    }

    fn tell(watches: &mut Watches, event: Event<'_>) -> usize {
        watches.tell(event, Some("one"), Now::default(), |_| 0).len()
    }

    /// Who is stopped comes to rest, and what was pending before, or passed meanwhile, is not made up for.
    #[test]
    fn who_is_stopped_is_at_rest_and_begins_anew() {
        let mut hourly = Trigger::initial();
        hourly.schedule.value = Some(crate::config::values::Schedule("0 * * * *".into()));
        let mut watches = Watches::default();
        watches.add("one", [(0, &fire("a")), (1, &hourly)], Wall(0));
        fired(&mut watches, "a");
        assert_eq!(watches.last("one"), Some(&Last { why: "fired: a".into(), at: Wall(0) }));
        tell(&mut watches, Event::Started);
        fired(&mut watches, "a");
        watches.hold("one", true, Wall(0));
        assert_eq!((tell(&mut watches, Event::Ended), watches.runs("one")), (0, false));
        let later = Wall(7_200_000_001);
        watches.hold("one", false, later);
        assert_eq!(tell(&mut watches, Event::Started) + tell(&mut watches, Event::Ended), 0);
        let now = Now { wall: later, ..Now::default() };
        assert!(watches.tell(Event::Clock, None, now, |_| 0).is_empty());
        assert_eq!(watches.alarm(), Some(Wall(10_800_000_000)));
    }

    /// Others take their place: an item that stays knows what it knew, wherever it stands now, and each worker stands where it
    /// stood.
    #[test]
    fn a_change_of_one_item_leaves_the_others() {
        let mut watches = Watches::default();
        watches.add("one", [(0, &fire("a")), (1, &fire("b"))], Wall(0));
        watches.add("two", [(0, &fire("a"))], Wall(0));
        tell(&mut watches, Event::Started);
        fired(&mut watches, "a");
        let mut next = Watches::default();
        next.add("new", [(0, &fire("a"))], Wall(0));
        next.add("one", [(0, &fire("c")), (1, &fire("a"))], Wall(0));
        next.succeed(watches, Now::default(), |worker| worker == "new");
        assert!(next.runs("one") && next.runs("new"));
        let asked = next.tell(Event::Ended, None, Now::default(), |_| 0);
        assert_eq!(asked.iter().map(|asked| (&*asked.worker, &*asked.why)).collect::<Vec<_>>(), [("one", "fired: a")]);
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
