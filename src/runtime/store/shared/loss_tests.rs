//! What becomes of tasks where hosts die or are cut off, and where the server is full, or is not what it should be.

#![allow(clippy::disallowed_methods)]

use super::super::order::{Link, Source};
use super::super::tally::Tally;
use super::scene::*;
use super::*;
use crate::clock::Wall;
use crate::sys::time;
use crate::task::{Class, State as Stands};
use ::redis::Value;
use serial_test::serial;

/// E5: what a host had that has died is named and waits again when it comes back, its tries counted.
#[test]
#[serial]
fn a_host_that_comes_back_gives_back_what_it_had() {
    let redis = Redis::start();
    let mut dead = Host::come(&redis, "one");
    let id = dead.put(vec![task("a")])[0].id;
    // It says nothing more, and the next one knows nothing of what it had.
    assert_eq!(dead.begin(), id);
    let (mut host, mut other) = (Host::start(&redis.url, "one", Places::default()), Host::come(&redis, "two"));
    let returned = host.until(|said| match said {
        FromStore::Returned { tasks, host: None } => Some(tasks[0].clone()),
        _ => None,
    });
    assert_eq!((returned.id, &*returned.queue, returned.attempt), (id, "q", 1));
    // It can give the task up before anybody else begins it once more.
    let wish = other.wish();
    assert_eq!(host.stands(id), Some(Stands::Delayed));
    other.until_due();
    assert_eq!(other.taken(wish).attempt, 1);
    host.store.stop();
    other.store.stop();
}

/// E5: what a host had that is gone for good goes to others, when it has said nothing for long enough; and what it says then is
/// not heard.
#[test]
#[serial]
fn what_a_dead_host_had_goes_to_others() {
    let redis = Redis::start();
    let mut dead = redis.session("dead");
    let id = put_shared(&redis.url, &put(vec![task("a")])).unwrap()[0].id;
    let source = Source { queue: queue(), class: Class::Normal, max_wait: PATIENCE };
    dead.call(&Call::take("dead", &[source])).unwrap();
    dead.call(&Call::new("lease").arg("dead").arg(id)).unwrap();
    let mut alive = redis.session("alive");
    assert_eq!(claim(&mut alive, "alive", 60_000), []);
    let silent = alive.call(&Call::new("refresh").arg("alive").arg("")).unwrap().0;
    let [_, back] = call::fields(silent);
    assert_eq!(call::returned(back), [], "who was away itself takes nobody for dead");
    assert_eq!(claim(&mut alive, "alive", 0), [(id, "dead".to_owned())]);
    let refresh = Call::new("refresh").arg("dead").arg(60_000).arg(id);
    let [lost, _] = call::fields(dead.call(&refresh).unwrap().0);
    assert_eq!(call::items(lost).len(), 1, "it is told");
    let end = Order::End { id, ending: done(), now: Wall(0) };
    let (answer, _) = dead.call(&Call::of(&end, "dead", Wall(0)).unwrap()).unwrap();
    assert_eq!(call::reply(&end, answer), Reply::Changed { tasks: 0, more: false });
    let mut host = Host::come(&redis, "two");
    host.until_due();
    assert_eq!(host.take().attempt, 1);
    host.store.stop();
}

/// E8: who was away for less than it takes to be taken for dead is as alive as before when it is back.
#[test]
#[serial]
fn a_short_loss_keeps_what_a_host_has() {
    let redis = Redis::start();
    let mut host = Host::come(&redis, "one");
    host.put(vec![task("a")]);
    let id = host.begin();
    // As if it had said nothing for so long.
    let pending = redis.command(&["XPENDING", "quell:queue:q:normal", "quell", "-", "+", "1"]);
    let [first] = call::fields(pending);
    let [entry] = call::fields(first);
    let age = ["0", call::text(&entry), "IDLE", "29000", "JUSTID"];
    redis.command(&[&["XCLAIM", "quell:queue:q:normal", "quell", "one"], &age[..]].concat());
    redis.cut("evalsha");
    redis.cut("xreadgroup");
    host.until_up();
    assert_eq!(claim(&mut redis.session("other"), "other", 20_000), []);
    assert_eq!(host.end(id, done()), 1);
    host.store.stop();
}

/// E8: what comes to who listened before the connection was lost is not left lying.
#[test]
#[serial]
fn who_listened_before_is_heard() {
    let redis = Redis::start();
    let mut host = Host::come(&redis, "one");
    let wish = host.wish();
    // What the listener waits in is what it was told last.
    while !call::text(&redis.command(&["CLIENT", "LIST"])).contains(" flags=b ") {}
    redis.cut("evalsha");
    host.send(Order::Look);
    host.until_up();
    let id = put_shared(&redis.url, &put(vec![task("a")])).unwrap()[0].id;
    assert_eq!(host.taken(wish).id, id);
    host.store.stop();
}

/// E8: what was given to others, and back, while its worker was at it, is no other worker's here; and its end counts.
#[test]
#[serial]
fn who_is_given_its_own_task_goes_on_with_it() {
    let redis = Redis::start();
    let mut host = Host::come(&redis, "one");
    host.put(vec![task("a")]);
    let id = host.begin();
    assert_eq!(claim(&mut redis.session("other"), "other", 0).len(), 1);
    redis.cut("evalsha");
    assert!(matches!(host.ask(Order::Look), Reply::Failed(StoreError::Cut { .. })));
    assert_eq!(host.until(|said| if let FromStore::Strayed(id) = said { Some(*id) } else { None }), id);
    host.until_due();
    let wish = host.wish();
    let next = host.put(vec![task("b")])[0].id;
    let began = time::now().tick;
    assert_eq!(host.taken(wish).id, next);
    assert!(time::now().tick.until(began) < PERIOD / 2, "the bell that was rung for this was heard");
    assert_eq!((host.stands(id), host.end(id, done())), (Some(Stands::Running), 1));
    host.store.stop();
}

/// E8: what has ended is told at the end of quell, too, where the server was away for a moment just then.
#[test]
#[serial]
fn a_stop_tells_what_has_ended() {
    let redis = Redis::start();
    let mut host = Host::come(&redis, "one");
    host.put(vec![task("a")]);
    let id = host.begin();
    redis.cut("evalsha");
    host.send(Order::End { id, ending: done(), now: Wall(0) });
    host.store.stop();
    let mut next = Host::come(&redis, "one");
    assert_eq!(next.stands(id), Some(Stands::Done));
    next.store.stop();
}

/// A host that nobody has heard of for long is forgotten, with all that it had; and it can come back.
#[test]
#[serial]
fn who_is_forgotten_can_come_back() {
    let redis = Redis::start();
    let (mut gone, mut host) = (redis.session("gone"), Host::come(&redis, "one"));
    let Reply::Put(placed) = call::reply(
        &Order::Put(put(vec![task("a")])),
        gone.call(&Call::put(&Put { awaited: true, ..put(vec![task("a")]) }, "gone")).unwrap().0,
    ) else {
        panic!()
    };
    let source = Source { queue: queue(), class: Class::Normal, max_wait: PATIENCE };
    gone.call(&Call::take("gone", &[source])).unwrap();
    gone.call(&Call::give_back("gone", placed[0].id)).unwrap();
    redis.command(&["HSET", "quell:hosts", "gone", "1"]);
    claim(&mut redis.session("other"), "other", 60_000);
    let consumers = redis.command(&["XINFO", "CONSUMERS", "quell:queue:q:normal", "quell"]);
    assert!(!format!("{consumers:?}").contains("gone"), "{consumers:?}");
    assert_eq!(host.changes(Order::Drop { id: placed[0].id }), 1);
    assert_eq!(redis.command(&["KEYS", "quell:*:gone"]), Value::Array(Vec::new()), "nobody tells it anything");
    // Whatever is left of it does not keep it out.
    redis.command(&["XADD", "quell:bell:gone", "*", "ring", "1"]);
    redis.session("gone");
    assert_ne!(redis.command(&["XINFO", "GROUPS", "quell:bell:gone"]), Value::Array(Vec::new()));
    host.store.stop();
}

/// E6: a server whose memory is full refuses what is put, and nothing else: so it does not stay full.
#[test]
#[serial]
fn a_server_whose_memory_is_full() {
    let redis = Redis::start();
    let mut host = Host::come(&redis, "one");
    let ids: Vec<_> = host.put(vec![task("a"), task("b"), task("c")]).iter().map(|placed| placed.id).collect();
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = host.ask(Order::Put(put(vec![task("d")])));
    assert!(matches!(&refused, Reply::Failed(StoreError::Refused { why, .. }) if why.contains("OOM")), "{refused:?}");
    assert_eq!(host.tally().waiting, [0, 3, 0], "nothing of it is there");
    let first = host.begin();
    assert_eq!((first, host.end(first, done())), (ids[0], 1));
    let mut back = redis.session("two");
    back.call(&Call::new("refresh").arg("two").arg("60000")).unwrap();
    assert_eq!((host.changes(Order::Drop { id: ids[1] }), host.changes(Order::Drain { queue: queue() })), (1, 1));
    let purge = Order::Purge { queue: queue(), before: Wall(0), done_max: 0 };
    assert_eq!((host.changes(purge), host.tally()), (1, Tally::default()));
    host.store.stop();
}

/// Two names of one database are one too many: each would give back what is in hand by the other.
#[test]
#[serial]
fn one_database_by_two_names() {
    let redis = Redis::start();
    let places = Places::default();
    let mut host = Host::start(&redis.url, "one", places.clone());
    host.until_up();
    host.put(vec![task("a")]);
    let id = host.begin();
    let mut other = Host::start(&redis.url.replace("127.0.0.1", "localhost"), "one", places);
    let why = other.until(|said| match said {
        FromStore::Link(Link::Lost { why }) => Some(why.clone()),
        _ => None,
    });
    assert!(why.contains(&redis.url) && why.contains("another name"), "{why}");
    assert_eq!(host.end(id, done()), 1);
    host.store.stop();
}

/// What a newer quell has written is left alone.
#[test]
#[serial]
fn a_newer_quell_has_written_it() {
    let redis = Redis::start();
    redis.command(&["SET", "quell:version", "2"]);
    let error = put_shared(&redis.url, &put(vec![task("a")])).unwrap_err().to_string();
    assert!(error.contains("a newer quell has written these tasks"), "{error}");
}
