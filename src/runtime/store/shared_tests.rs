//! What is done on a real server, by one host and by several.

#![allow(clippy::disallowed_methods)]

use super::super::order::{Ending, How, Limits, NewTask, OnKey, Source, Which};
use super::super::tally::Tally;
use super::scene::*;
use super::*;
use crate::clock::Wall;
use crate::sys::time;
use crate::task::{Class, State as Stands, TaskId};
use ::redis::Value;
use serial_test::serial;

#[test]
#[serial]
fn a_task_is_put_taken_tried_again_and_done() {
    let redis = Redis::start();
    let mut host = Host::come(&redis, "one");
    let id = host.put(vec![task("hello")])[0].id;
    let had = host.take();
    assert_eq!((had.id, had.attempt, &*had.payload, had.trace.as_deref()), (id, 0, &b"hello"[..], Some("00-1-2-3")));
    assert!(time::now().wall.until(had.put) < PATIENCE);
    assert_eq!((host.lease(id), host.lease(id)), (Some(1), None), "a try begins once");
    let later = Ending::Again { due: Wall(50_000), why: Some("busy".into()) };
    assert_eq!((host.end(id, later), host.stands(id)), (1, Some(Stands::Delayed)));
    let due = host.counts.as_ref().unwrap().next_due.unwrap();
    let wait = due.until(time::now().wall);
    assert!(wait <= Duration::from_millis(50), "{wait:?}");
    host.until_due();
    assert_eq!(host.take().attempt, 1);
    assert_eq!(host.lease(id), Some(2));
    assert_eq!((host.end(id, done()), host.end(id, done())), (1, 1), "as told twice where an answer was lost");
    assert_eq!(host.tally(), Tally { done: 1, ..Tally::default() });
    match host.ask(Order::Show { id }) {
        Reply::Shown(Some(shown)) => {
            assert_eq!((shown.entry.said.as_deref(), shown.payload, shown.entry.attempt), (Some("fine"), None, 2));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(redis.command(&["XLEN", "quell:queue:q:normal"]), Value::Int(0));
    host.store.stop();
}

/// Whoever waits is given the next task at once, and one task is given to one of them.
#[test]
#[serial]
fn who_waits_is_woken() {
    let redis = Redis::start();
    let (mut one, mut two) = (Host::come(&redis, "one"), Host::come(&redis, "two"));
    let wishes = [one.wish(), two.wish()];
    // What was not read before is read at once by whoever begins to wait later.
    put_shared(&redis.url, &put(vec![task("a"), task("b")])).unwrap();
    let had = [one.taken(wishes[0]), two.taken(wishes[1])];
    assert_ne!(had[0].id, had[1].id);
    assert_eq!(two.lease(had[0].id), None, "it is another's");
    let third = two.wish();
    assert_eq!(one.end(had[0].id, Ending::Return), 1);
    assert_eq!((two.taken(third).id, two.lease(had[0].id)), (had[0].id, Some(1)), "what never began was not tried");
    one.store.stop();
    two.store.stop();
}

/// Whoever waits for a task is told what another has made of it, of one that was there already too.
#[test]
#[serial]
fn who_waits_for_the_end_hears_of_it() {
    let redis = Redis::start();
    let (mut one, mut two) = (Host::come(&redis, "one"), Host::come(&redis, "two"));
    let awaited = |tasks| Order::Put(Put { awaited: true, ..put(tasks) });
    let there = two.put(vec![keyed("a", OnKey::DropNew)])[0].id;
    assert!(matches!(one.ask(awaited(vec![keyed("b", OnKey::DropNew)])), Reply::Put(placed) if placed[0].id == there));
    let had = two.take();
    assert_eq!((had.id, two.lease(there), two.end(there, done())), (there, Some(1), 1));
    let over = |host: &mut Host| match host.until(|said| match said {
        FromStore::Over(over) => Some(over.clone()),
        _ => None,
    })[..]
    {
        [ref over] => (over.id, over.state, over.said.clone()),
        ref more => panic!("{more:?}"),
    };
    assert_eq!(over(&mut one), (there, Some(Stands::Done), Some("fine".into())));
    let Reply::Put(placed) = one.ask(awaited(vec![task("c")])) else { panic!() };
    assert_eq!(two.changes(Order::Drop { id: placed[0].id }), 1);
    assert_eq!(over(&mut one), (placed[0].id, None, None));
    assert_eq!(redis.command(&["KEYS", "quell:watch:*"]), Value::Array(Vec::new()));
    one.store.stop();
    two.store.stop();
    assert_eq!(redis.command(&["LLEN", "quell:over:one"]), Value::Int(0), "what was heard is kept no more");
}

#[test]
#[serial]
fn a_wish_that_is_withdrawn_gets_nothing() {
    let redis = Redis::start();
    let (mut one, mut two) = (Host::come(&redis, "one"), Host::come(&redis, "two"));
    let first = one.wish();
    let nothing = one.send(Order::Take { by: 0, from: Vec::new() });
    assert_eq!(one.answer(first), Reply::Changed { tasks: 0, more: false });
    assert_eq!(one.answer(nothing), Reply::Changed { tasks: 0, more: false });
    let id = one.put(vec![task("a")])[0].id;
    assert_eq!(two.take().id, id);
    one.store.stop();
    two.store.stop();
}

#[test]
#[serial]
fn what_is_put_is_bounded_and_keyed() {
    let redis = Redis::start();
    let mut host = Host::come(&redis, "one");
    let first = host.put(vec![keyed("a", OnKey::DropNew), task("b")]).remove(0);
    let there = host.put(vec![keyed("cc", OnKey::DropNew)]).remove(0);
    assert_eq!((there.id, there.how, there.state), (first.id, How::There, Stands::Waiting));
    let new = host.put(vec![keyed("ddd", OnKey::Replace)]).remove(0);
    assert_eq!((new.how, host.stands(first.id)), (How::Replaced(vec![first.id]), None));
    let full = host.ask(Order::Put(put((0..4).map(|_| task("x")).collect())));
    assert_eq!(full, Reply::Full(super::super::Full::Tasks { wanted: 6, max: 5 }));
    let big = "x".repeat(997);
    let full = host.ask(Order::Put(put(vec![task(&big)])));
    assert_eq!(full, Reply::Full(super::super::Full::Bytes { wanted: 1001, max: 1000 }));
    assert_eq!(host.put(vec![task(""), task(""), task("")]).len(), 3);
    let replaced = host.put(vec![keyed("e", OnKey::Replace)]).remove(0);
    assert_eq!(replaced.how, How::Replaced(vec![new.id]), "a full queue takes what takes another's place");
    assert_eq!(host.tally(), Tally { waiting: [0, 5, 0], bytes: 2, ..Tally::default() });
    assert!(put_shared(&redis.url, &put(vec![task("")])).unwrap_err().to_string().contains("max_tasks"));
    host.store.stop();
}

#[test]
#[serial]
fn by_hand() {
    let redis = Redis::start();
    let mut host = Host::come(&redis, "one");
    let delayed = NewTask { delay: PATIENCE, ..task("b") };
    let ids: Vec<_> = host.put(vec![task("a"), delayed, task("c"), task("d")]).iter().map(|one| one.id).collect();
    assert_eq!(host.take().id, ids[0]);
    assert_eq!(host.lease(ids[0]), Some(1));
    let bury = |id| Order::Bury { id, why: "by hand".into(), now: Wall(0) };
    assert_eq!([ids[0], ids[1], ids[2]].map(|id| host.changes(bury(id))), [0, 1, 1]);
    assert_eq!(host.listed(Some(Stands::Buried), TaskId(0), 1), (vec![ids[1]], true));
    assert_eq!(host.listed(Some(Stands::Buried), ids[1], 9), (vec![ids[2]], false));
    assert_eq!(host.listed(None, TaskId(0), 9), (ids.clone(), false));
    assert_eq!(host.changes(Order::Kick(Which::Task(ids[1]))), 1);
    assert_eq!(host.changes(Order::Kick(Which::Queue(queue()))), 1);
    assert_eq!(host.tally(), Tally { waiting: [0, 3, 0], running: 1, bytes: 4, ..Tally::default() });
    assert_eq!([ids[0], ids[1]].map(|id| host.changes(Order::Drop { id })), [0, 1]);
    assert_eq!(host.changes(Order::Drain { queue: queue() }), 2);
    assert_eq!(host.end(ids[0], done()), 1);
    let purge = |done_max| Order::Purge { queue: queue(), before: Wall(0), done_max };
    assert_eq!((host.changes(purge(1)), host.changes(purge(0))), (0, 1));
    assert_eq!(host.tally(), Tally::default());
    assert_eq!(redis.command(&["EXISTS", &format!("quell:task:{}", ids[0])]), Value::Int(0));
    host.store.stop();
}

/// A queue that is paused gives nothing, to those either who have waited before; and all hear of it when it goes on.
#[test]
#[serial]
fn a_pause_holds_everywhere() {
    let redis = Redis::start();
    let (mut one, mut two) = (Host::come(&redis, "one"), Host::come(&redis, "two"));
    let pause = |paused| Order::Pause { queue: queue(), paused };
    let wish = two.wish();
    one.changes(pause(true));
    two.until(|said| matches!(said, FromStore::Counts(counts) if counts.paused).then_some(()));
    let id = one.put(vec![task("a")])[0].id;
    assert_eq!((one.stands(id), one.tally().waiting), (Some(Stands::Waiting), [0, 1, 0]));
    one.changes(pause(false));
    assert_eq!(two.taken(wish).id, id);
    one.store.stop();
    two.store.stop();
}

/// Low that has waited for its time comes before what was put later; until then it comes last.
#[test]
#[serial]
fn low_is_promoted() {
    let redis = Redis::start();
    let mut host = Host::come(&redis, "one");
    let low = || NewTask { class: Class::Low, ..task("low") };
    host.put(vec![low()]);
    host.put(vec![low(), task("normal")]);
    let take = |max_wait| {
        let from = [Class::Normal, Class::Low].map(|class| Source { queue: queue(), class, max_wait });
        Order::Take { by: 0, from: from.into() }
    };
    let had = |host: &mut Host, max_wait| match host.ask(take(max_wait)) {
        Reply::Taken { task: Some(task), .. } => task.class,
        other => panic!("{other:?}"),
    };
    let ages = [Duration::ZERO, PATIENCE, Duration::ZERO].map(|max_wait| had(&mut host, max_wait));
    assert_eq!(ages, [Class::Low, Class::Normal, Class::Low]);
    host.store.stop();
}

/// E1: what is not what was put is set aside, and the next wish is for the next.
#[test]
#[serial]
fn a_payload_that_was_changed_is_set_aside() {
    let redis = Redis::start();
    let mut host = Host::come(&redis, "one");
    let ids = host.put(vec![task("a"), task("b")]);
    redis.command(&["HSET", &format!("quell:task:{}", ids[0].id), "payload", "z"]);
    let ticket = host.wish();
    assert_eq!(host.answer(ticket), Reply::Taken { queue: queue(), id: ids[0].id, task: None });
    assert_eq!(host.stands(ids[0].id), Some(Stands::Damaged));
    assert_eq!(host.take().id, ids[1].id);
    host.store.stop();
}

/// What is about many tasks is done in steps, each of which holds the server up for a moment only.
#[test]
#[serial]
fn steps() {
    let redis = Redis::start();
    let mut host = Host::come(&redis, "one");
    let many = Put { limits: Limits { tasks: 10_000, bytes: 10_000 }, ..put(vec![task(""); 1500]) };
    assert!(matches!(host.ask(Order::Put(many)), Reply::Put(placed) if placed.len() == 1500));
    let drain = || Order::Drain { queue: queue() };
    assert_eq!(host.ask(drain()), Reply::Changed { tasks: 1000, more: true });
    assert_eq!(host.ask(drain()), Reply::Changed { tasks: 500, more: false });
    assert_eq!(host.tally(), Tally::default());
    host.store.stop();
}
