//! Each form of `start_on`, and the engine against what it promises.

use super::*;
use crate::config::keys::Table;
use crate::config::typed::Int;
use crate::config::values::{self, FilePattern, FreeSignal, Needle};
use proptest::prelude::*;
use std::cell::Cell;

/// An item of `start_on` with some keys set.
fn item(set: impl FnOnce(&mut tables::Trigger)) -> tables::Trigger {
    let mut item = tables::Trigger::initial();
    set(&mut item);
    item
}

fn text(text: &str) -> Option<Text> {
    Some(Text(text.into()))
}

fn condition(set: impl FnOnce(&mut tables::Trigger)) -> Condition {
    Condition::of(&item(set), Wall(0)).unwrap().unwrap()
}

fn files() -> Option<FilePattern> {
    Some(FilePattern { folder: "/in".into(), name: glob::Pattern::new("*").unwrap() })
}

fn fire(name: &str) -> Condition {
    condition(|item| item.fire.value = text(name))
}

fn batch(full: i64, every: Option<Duration>) -> Condition {
    condition(|item| {
        item.queue.value = text("q");
        item.batch.value = Some(Int(full));
        item.every.value = every;
    })
}

const ADDED: Event<'_> = Event::Happened(What::Queue { queue: "q", event: QueueEvent::Added });

/// A worker's triggers, the clocks, and one queue.
struct Bench {
    triggers: Triggers,
    millis: u64,
    waiting: u64,
    /// How often the queue was looked at.
    looks: Cell<u64>,
}

impl Bench {
    fn new(conditions: impl IntoIterator<Item = Condition>) -> Bench {
        let triggers = Triggers::new(conditions.into_iter().enumerate());
        Bench { triggers, millis: 0, waiting: 0, looks: Cell::new(0) }
    }

    fn tell(&mut self, event: Event<'_>) -> Vec<Effect> {
        let mut effects = Vec::new();
        let now = Now { tick: Tick(self.millis * 1_000_000), wall: Wall(self.millis as i64 * 1000) };
        let waiting = |_: &str| {
            self.looks.set(self.looks.get() + 1);
            self.waiting
        };
        self.triggers.step(event, now, waiting, &mut effects);
        effects
    }

    fn fire(&mut self, name: &str) -> Vec<Effect> {
        self.tell(Event::Happened(What::Fire(name)))
    }

    /// When it wants to be looked at, in milliseconds.
    fn deadline(&self) -> Option<u64> {
        self.triggers.deadline().map(|tick| tick.0 / 1_000_000)
    }
}

fn start(why: usize) -> Vec<Effect> {
    vec![Effect::Start { why }]
}

#[test]
fn each_form_and_what_it_waits_for() {
    use {QueueEvent as Q, WorkerEvent as W};
    let address = Address::Tcp("127.0.0.1".into(), 8080);
    let queue = |queue, event| What::Queue { queue, event };
    let worker = |worker, event| What::Worker { worker, event };
    let line = |worker, line: &'static str| What::Line { worker, line: line.as_bytes() };
    let all = [
        queue("q", Q::Added),
        queue("q", Q::Done),
        queue("q", Q::Failed),
        queue("q", Q::Buried),
        queue("q", Q::Empty),
        queue("r", Q::Added),
        worker("w", W::Exit),
        worker("w", W::Ready),
        worker("w", W::Failed),
        worker("v", W::Exit),
        line("w", "now published"),
        line("v", "published"),
        line("w", "publish"),
        What::Path(Path::new("/in/*")),
        What::Path(Path::new("/out/*")),
        What::Socket(&address),
        What::Signal("USR1"),
        What::Signal("USR2"),
        What::Fire("q"),
        What::Fire("w"),
    ];
    type Set<'a> = &'a dyn Fn(&mut tables::Trigger);
    let check = |fits: &[usize], set: Set<'_>| {
        let condition = condition(set);
        let found: Vec<_> = (0..all.len()).filter(|at| condition.fits(&all[*at])).collect();
        assert_eq!(found, fits, "{condition:?}");
    };
    check(&[0], &|item| item.queue.value = text("q"));
    for (at, event) in ["added", "done", "failed", "buried", "empty"].into_iter().enumerate() {
        check(&[at], &|item| (item.queue.value, item.event.value) = (text("q"), text(event)));
    }
    check(&[0], &|item| (item.queue.value, item.depth.value) = (text("q"), Some(Int(100))));
    check(&[0], &|item| (item.queue.value, item.batch.value) = (text("q"), Some(Int(100))));
    check(&[6], &|item| item.worker.value = text("w"));
    for (at, event) in ["exit", "ready", "failed"].into_iter().enumerate() {
        check(&[6 + at], &|item| (item.worker.value, item.event.value) = (text("w"), text(event)));
    }
    check(&[10, 11], &|item| item.line.value = Some(Needle("published".into())));
    check(&[10], &|item| (item.line.value, item.worker.value) = (Some(Needle("published".into())), text("w")));
    check(&[13], &|item| item.path.value = files());
    check(&[15], &|item| item.socket.value = Some(address.clone()));
    check(&[16], &|item| item.signal.value = Some(FreeSignal("USR1")));
    check(&[18], &|item| item.fire.value = text("q"));
    check(&[], &|item| item.schedule.value = Some(values::Schedule("0 3 * * *".into())));

    let files = item(|item| (item.path.value, item.queue.value) = (files(), text("q")));
    assert!(Condition::of(&files, Wall(0)).unwrap().is_none(), "it puts tasks, it starts nothing");
    let never = item(|item| item.schedule.value = Some(values::Schedule("soon".into())));
    assert!(Condition::of(&never, Wall(0)).is_err());
}

#[test]
fn an_event_during_a_run_starts_one_more() {
    let mut bench = Bench::new([fire("a"), fire("b")]);
    assert_eq!(bench.fire("c"), []);
    assert_eq!(bench.fire("b"), start(1));
    assert_eq!(bench.fire("a"), [], "the start to come serves it");
    assert_eq!(bench.tell(Event::Started), []);
    assert_eq!((bench.fire("b"), bench.fire("a"), bench.fire("a")), (vec![], vec![], vec![]));
    assert_eq!(bench.tell(Event::Ended), start(0), "one for all of them");
    assert_eq!((bench.tell(Event::Started), bench.tell(Event::Ended)), (vec![], vec![]));
    assert_eq!(bench.tell(Event::Look), []);
    // Somebody else starts it: what comes during that run is served after it, too.
    assert_eq!((bench.tell(Event::Started), bench.fire("a")), (vec![], vec![]));
    assert_eq!(bench.tell(Event::Ended), start(0));
    // It could not be started: that was the start.
    assert_eq!((bench.tell(Event::Ended), bench.deadline()), (vec![], None));
}

#[test]
fn a_level_is_looked_at_after_each_end() {
    let mut bench = Bench::new([condition(|item| {
        (item.queue.value, item.depth.value) = (text("q"), Some(Int(3)));
    })]);
    assert_eq!(bench.tell(Event::Look), []);
    bench.waiting = 2;
    assert_eq!(bench.tell(ADDED), []);
    bench.waiting = 3;
    assert_eq!(bench.tell(ADDED), start(0));
    let looks = bench.looks.get();
    assert_eq!((bench.tell(Event::Started), bench.tell(ADDED)), (vec![], vec![]));
    assert_eq!(bench.looks.get(), looks, "nobody looks while it runs");
    assert_eq!(bench.tell(Event::Ended), start(0), "it is still so");
    bench.tell(Event::Started);
    bench.waiting = 2;
    assert_eq!((bench.tell(Event::Ended), bench.deadline()), (vec![], None), "what was added is gone");
    bench.waiting = 5;
    assert_eq!(bench.tell(Event::Look), start(0), "whoever tells of it");
}

#[test]
fn a_batch_waits_until_it_is_full_or_long_enough() {
    let mut bench = Bench::new([batch(3, Some(Duration::from_secs(1)))]);
    assert_eq!((bench.tell(Event::Look), bench.deadline()), (vec![], None), "an idle one arms no timer");
    (bench.millis, bench.waiting) = (100, 1);
    assert_eq!((bench.tell(ADDED), bench.deadline()), (vec![], Some(1100)));
    (bench.millis, bench.waiting) = (900, 2);
    assert_eq!((bench.tell(ADDED), bench.deadline()), (vec![], Some(1100)), "after the first");
    (bench.millis, bench.waiting) = (950, 3);
    assert_eq!((bench.tell(ADDED), bench.deadline()), (start(0), None), "it is full");
    bench.tell(Event::Started);
    // The worker takes all; while it runs, another comes.
    bench.millis = 1000;
    assert_eq!((bench.tell(ADDED), bench.deadline()), (vec![], None));
    (bench.millis, bench.waiting) = (1500, 1);
    assert_eq!((bench.tell(Event::Ended), bench.deadline()), (vec![], Some(2000)), "since it came");
    bench.millis = 1999;
    assert_eq!(bench.tell(Event::Look), []);
    bench.millis = 2000;
    assert_eq!((bench.tell(Event::Look), bench.deadline()), (start(0), None), "long enough");
    bench.tell(Event::Started);
    bench.waiting = 7;
    assert_eq!(bench.tell(Event::Ended), start(0), "more than a batch");
    bench.tell(Event::Started);
    bench.waiting = 2;
    assert_eq!((bench.tell(Event::Ended), bench.deadline()), (vec![], Some(3000)), "some are left");
    bench.waiting = 0;
    assert_eq!((bench.tell(Event::Look), bench.deadline()), (vec![], None), "somebody else had them");

    let mut patient = Bench::new([batch(3, None)]);
    patient.waiting = 2;
    assert_eq!((patient.tell(ADDED), patient.deadline()), (vec![], None));
    patient.waiting = 3;
    assert_eq!(patient.tell(ADDED), start(0));
}

#[test]
fn a_schedule_starts_it_once() {
    let hourly = condition(|item| item.schedule.value = Some(values::Schedule("0 * * * *".into())));
    let mut bench = Bench::new([hourly, fire("a")]);
    let hour = 3_600_000;
    let alarm = |bench: &Bench| bench.triggers.alarm().map(|wall| wall.0 / 1000);
    assert_eq!((alarm(&bench), bench.deadline()), (Some(hour), None));
    bench.millis = hour as u64 - 1;
    assert_eq!(bench.tell(Event::Clock), []);
    bench.millis = hour as u64;
    assert_eq!((bench.tell(Event::Clock), alarm(&bench)), (start(0), Some(2 * hour)));
    bench.tell(Event::Started);
    // It runs while the clock is set by several hours.
    bench.millis = 5 * hour as u64 + 1;
    assert_eq!((bench.tell(Event::Clock), alarm(&bench)), (vec![], Some(6 * hour)));
    assert_eq!(bench.tell(Event::Ended), start(0));
    bench.tell(Event::Started);
    assert_eq!((bench.tell(Event::Ended), bench.tell(Event::Clock)), (vec![], vec![]));
}

/// A loop: each run ends at once, and the condition still holds.
#[test]
fn a_loop_is_stopped_and_named() {
    let level = || condition(|item| item.queue.value = text("q"));
    let mut bench = Bench::new([fire("a"), level()]);
    bench.waiting = 1;
    assert_eq!(bench.tell(Event::Look), start(1));
    for _ in 1..STARTS_MAX {
        bench.millis += 1;
        bench.tell(Event::Started);
        assert_eq!(bench.tell(Event::Ended), start(1));
    }
    bench.tell(Event::Started);
    let end = bench.millis + 2000;
    let until = Tick(end * 1_000_000);
    assert_eq!(bench.tell(Event::Ended), [Effect::Tripped { why: 1, until }]);
    let looks = bench.looks.get();
    assert_eq!((bench.tell(ADDED), bench.tell(Event::Look)), (vec![], vec![]), "it is said once");
    assert_eq!(bench.looks.get(), looks, "its condition is not looked at");
    assert_eq!(bench.deadline(), Some(end));
    // The other trigger of the worker is not caught in it.
    assert_eq!(bench.fire("a"), start(0));
    bench.tell(Event::Started);
    assert_eq!(bench.tell(Event::Ended), []);
    bench.millis = end - 1;
    assert_eq!(bench.tell(Event::Look), []);
    bench.millis = end;
    assert_eq!((bench.tell(Event::Look), bench.deadline()), (start(1), None), "the time has passed");

    let mut slow = Bench::new([level()]);
    slow.waiting = 1;
    let mut effects = slow.tell(Event::Look);
    for _ in 0..1000 {
        assert_eq!(effects, start(0), "a hundred a second are no loop");
        slow.millis += 10;
        slow.tell(Event::Started);
        effects = slow.tell(Event::Ended);
    }
}

/// A loop that goes on for an hour whenever it is let go: it is said once, and hardly anything is started any more.
#[test]
fn a_loop_that_goes_on_is_held_back_longer() {
    let mut bench = Bench::new([condition(|item| item.queue.value = text("q"))]);
    bench.waiting = 1;
    let (mut starts, mut said) = (0, 0);
    let mut effects = bench.tell(Event::Look);
    while bench.millis < 3_600_000 {
        match &effects[..] {
            [Effect::Start { .. }] => {
                (starts, bench.millis) = (starts + 1, bench.millis + 1);
                bench.tell(Event::Started);
                effects = bench.tell(Event::Ended);
            }
            other => {
                said += other.len();
                bench.millis = bench.deadline().unwrap();
                effects = bench.tell(Event::Look);
            }
        }
    }
    assert_eq!((said, starts), (1, 19 * STARTS_MAX), "2 s, 4 s, …, 5 min, 5 min");
}

/// An edge that comes while its trigger is held back is not lost.
#[test]
fn a_trigger_that_is_held_back_starts_later() {
    let mut bench = Bench::new([fire("a")]);
    for _ in 0..STARTS_MAX {
        assert_eq!(bench.fire("a"), start(0));
        bench.tell(Event::Started);
        assert_eq!(bench.tell(Event::Ended), []);
    }
    assert!(matches!(bench.fire("a")[..], [Effect::Tripped { why: 0, .. }]));
    assert_eq!(bench.fire("a"), []);
    let mut by_hand = Bench { triggers: bench.triggers.clone(), looks: Cell::new(0), ..bench };
    bench.millis = bench.deadline().unwrap();
    assert_eq!(bench.tell(Event::Look), start(0));
    // Somebody else's start serves it as well.
    assert_eq!((by_hand.tell(Event::Started), by_hand.tell(Event::Ended)), (vec![], vec![]));
    by_hand.millis = bench.millis;
    assert_eq!(by_hand.tell(Event::Look), []);
}

/// What the world does.
#[derive(Clone, Copy, Debug)]
enum Act {
    Fire(usize),
    Put(u64),
    /// What was asked for begins, or somebody starts it by hand.
    Start,
    /// It ends, or could not be started; the worker has taken so many tasks.
    End(u64),
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0usize..2).prop_map(Act::Fire),
        2 => (1u64..4).prop_map(Act::Put),
        3 => Just(Act::Start),
        3 => (0u64..6).prop_map(Act::End),
        1 => (0u64..2000).prop_map(Act::Pass),
    ]
}

proptest! {
    /// For any sequence of events: no start while one is pending or the worker runs; what happens during a run is followed by
    /// exactly one more; none without a cause; and none is missed: at rest, nothing is left to be done.
    #[test]
    fn one_start_for_what_happened(acts in prop::collection::vec(act(), 0..300)) {
        let every = Duration::from_secs(1);
        let mut bench = Bench::new([fire("0"), batch(3, Some(every)), fire("1")]);
        let (mut asked, mut runs) = (false, false);
        // Names fired that no start has followed; since when the oldest task waits that no run began after.
        let (mut owed, mut since) = ([false; 2], None::<u64>);
        for act in acts {
            // So slow that no guard trips.
            bench.millis += 11;
            let effects = match act {
                Act::Fire(name) => {
                    owed[name] |= !asked;
                    bench.fire(["0", "1"][name])
                }
                Act::Put(tasks) => {
                    bench.waiting += tasks;
                    since = since.or((!asked).then_some(bench.millis));
                    bench.tell(ADDED)
                }
                Act::Start if !runs => {
                    (asked, runs, owed, since) = (false, true, [false; 2], None);
                    bench.tell(Event::Started)
                }
                Act::End(taken) if runs || asked => {
                    bench.waiting -= if runs { taken.min(bench.waiting) } else { 0 };
                    (asked, runs) = (false, false);
                    since = if bench.waiting > 0 { since.or(Some(bench.millis)) } else { None };
                    bench.tell(Event::Ended)
                }
                Act::Start | Act::End(_) => continue,
                Act::Pass(millis) => {
                    bench.millis += millis;
                    if bench.deadline().is_none_or(|deadline| deadline > bench.millis) {
                        continue;
                    }
                    bench.tell(Event::Look)
                }
            };
            let long = since.is_some_and(|since| since + 1000 <= bench.millis);
            let causes = [owed[0], bench.waiting >= 3 || long && bench.waiting > 0, owed[1]];
            let due = causes.iter().position(|cause| *cause).filter(|_| !asked && !runs);
            prop_assert_eq!(effects, due.map_or(vec![], start), "{:?}", act);
            if due.is_some() {
                (asked, owed, since) = (true, [false; 2], None);
            }
            let wakes = since.filter(|_| !asked && !runs).map(|since| since + 1000);
            prop_assert_eq!(bench.deadline(), wakes);
        }
    }
}

/// A connection that waits is told once, and asked for again when the worker that it started is at rest.
#[test]
fn a_connection_is_news_at_rest_alone() {
    let address = Address::Tcp("127.0.0.1".into(), 80);
    let mut bench = Bench::new([fire("it"), condition(|item| item.socket.value = Some(address.clone()))]);
    let connects = Event::Happened(What::Socket(&address));
    assert!(bench.triggers.awaits(0) && bench.triggers.awaits(1) && !bench.triggers.awaits(2));
    assert_eq!(bench.tell(connects), [Effect::Start { why: 1 }]);
    assert!(!bench.triggers.awaits(1) && !bench.triggers.runs());
    bench.tell(Event::Started);
    assert!(!bench.triggers.awaits(1) && bench.triggers.runs());
    assert_eq!(bench.tell(Event::Ended), []);
    assert!(bench.triggers.awaits(1) && !bench.triggers.runs());
    for _ in 1..STARTS_MAX {
        assert_eq!(bench.tell(connects), [Effect::Start { why: 1 }]);
        bench.tell(Event::Ended);
    }
    assert!(matches!(bench.tell(connects)[..], [Effect::Tripped { why: 1, .. }]));
    assert!(!bench.triggers.awaits(1), "it is known that somebody waits");
}
