//! What is done on a real server, by one host and by several.

#![allow(clippy::disallowed_methods)]

use super::super::order::{Ending, How, Key, Limits, Link, NewTask, OnKey, Source, Which};
use super::super::tally::{Counts, Tally};
use super::*;
use crate::clock::Wall;
use crate::config::values::Durable;
use crate::sys::poller::Poller;
use crate::sys::time;
use crate::task::{Class, State as Stands, Task, TaskId};
use ::redis::Value;
use serial_test::serial;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server of the test's own; it ends with it.
struct Redis {
    _folder: TempDir,
    child: Child,
    url: String,
}

impl Redis {
    fn start() -> Redis {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        assert!(said.any(|line| line.unwrap().contains("Ready to accept connections")));
        Redis { _folder: folder, child, url: format!("redis://127.0.0.1:{port}/0") }
    }

    /// A command, by a connection of its own.
    fn command(&self, words: &[&str]) -> Value {
        let mut connection = Server::of(&self.url).unwrap().connect(None).unwrap();
        let mut command = ::redis::cmd(words[0]);
        words[1..].iter().for_each(|word| _ = command.arg(word));
        command.query(&mut connection).unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A host that works there.
struct Host {
    store: Shared,
    said: Receiver<FromStore>,
    _poller: Poller,
    tickets: u64,
    counts: Option<Counts>,
}

fn queue() -> Arc<str> {
    "q".into()
}

fn task(payload: &str) -> NewTask {
    NewTask {
        class: Class::Normal,
        key: None,
        delay: Duration::ZERO,
        trace: Some("00-1-2-3".into()),
        payload: payload.as_bytes().into(),
    }
}

fn keyed(payload: &str, on: OnKey) -> NewTask {
    NewTask { key: Some(Key { name: "k".into(), on }), ..task(payload) }
}

fn put(tasks: Vec<NewTask>) -> Put {
    let limits = Limits { tasks: 5, bytes: 1000 };
    Put { queue: queue(), durable: Durable::Always, limits, tasks, start: 0, awaited: false, now: Wall(0) }
}

impl Host {
    /// Comes, and waits until the server is there.
    fn come(redis: &Redis, name: &str) -> Host {
        let (told, said) = channel();
        let poller = Poller::new().unwrap();
        let store = Shared::open(&redis.url, name, told, Arc::new(poller.waker(0).unwrap())).unwrap();
        let mut host = Host { store, said, _poller: poller, tickets: 0, counts: None };
        host.until(|said| matches!(said, FromStore::Link(Link::Up { .. })).then_some(()));
        host
    }

    fn until<T>(&mut self, find: impl Fn(&FromStore) -> Option<T>) -> T {
        loop {
            let said = self.said.recv_timeout(PATIENCE).unwrap();
            if let FromStore::Counts(counts) = &said {
                self.counts = Some(counts.clone());
            }
            if let Some(found) = find(&said) {
                return found;
            }
        }
    }

    fn send(&mut self, order: Order) -> Ticket {
        self.tickets += 1;
        self.store.send(Ticket(self.tickets), order);
        Ticket(self.tickets)
    }

    fn answer(&mut self, ticket: Ticket) -> Reply {
        self.until(|said| match said {
            FromStore::Reply(of, reply) if *of == ticket => Some(reply.clone()),
            _ => None,
        })
    }

    fn ask(&mut self, order: Order) -> Reply {
        let ticket = self.send(order);
        self.answer(ticket)
    }

    fn changes(&mut self, order: Order) -> u64 {
        match self.ask(order) {
            Reply::Changed { tasks, .. } => tasks,
            other => panic!("{other:?}"),
        }
    }

    fn put(&mut self, tasks: Vec<NewTask>) -> Vec<Placed> {
        match self.ask(Order::Put(put(tasks))) {
            Reply::Put(placed) => placed,
            other => panic!("{other:?}"),
        }
    }

    /// Wishes for a task; the answer comes when there is one.
    fn wish(&mut self) -> Ticket {
        let source = |class| Source { queue: queue(), class, max_wait: PATIENCE };
        self.send(Order::Take { by: 0, from: Class::ALL.map(source).into() })
    }

    fn taken(&mut self, ticket: Ticket) -> Task {
        match self.answer(ticket) {
            Reply::Taken { task: Some(task), .. } => task,
            other => panic!("{other:?}"),
        }
    }

    fn take(&mut self) -> Task {
        let ticket = self.wish();
        self.taken(ticket)
    }

    fn lease(&mut self, id: TaskId) -> Option<u32> {
        match self.ask(Order::Lease { ids: vec![id], ahead: false }) {
            Reply::Leased(leased) => leased[0].1,
            other => panic!("{other:?}"),
        }
    }

    fn end(&mut self, id: TaskId, ending: Ending) -> u64 {
        self.changes(Order::End { id, ending, now: Wall(0) })
    }

    fn stands(&mut self, id: TaskId) -> Option<Stands> {
        match self.ask(Order::Show { id }) {
            Reply::Shown(shown) => shown.map(|shown| shown.entry.state),
            other => panic!("{other:?}"),
        }
    }

    fn listed(&mut self, state: Option<Stands>, after: TaskId, max: u32) -> (Vec<TaskId>, bool) {
        match self.ask(Order::List { queue: None, state, after, max }) {
            Reply::Listed { tasks, more } => (tasks.into_iter().map(|entry| entry.id).collect(), more),
            other => panic!("{other:?}"),
        }
    }

    /// How the queue stands, now that it is asked for.
    fn tally(&mut self) -> Tally {
        self.changes(Order::Look);
        self.counts.as_ref().map(|counts| counts.tally).unwrap_or_default()
    }
}

fn done() -> Ending {
    Ending::Done { result: Some("fine".into()) }
}

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
    while host.changes(Order::Due { now: Wall(0) }) == 0 {}
    assert_eq!(host.take().attempt, 1);
    assert_eq!(host.lease(id), Some(2));
    assert_eq!((host.end(id, done()), host.end(id, done())), (1, 0), "it ends once");
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

/// E5: what a host had that has died is named and waits again when it comes back, its tries counted.
#[test]
#[serial]
fn a_host_that_comes_back_gives_back_what_it_had() {
    let redis = Redis::start();
    let id = {
        let mut dead = Host::come(&redis, "one");
        let id = dead.put(vec![task("a")])[0].id;
        dead.take();
        dead.lease(id);
        // It says nothing more, and knows nothing more.
        id
    };
    let (told, said) = channel();
    let poller = Poller::new().unwrap();
    let store = Shared::open(&redis.url, "one", told, Arc::new(poller.waker(0).unwrap())).unwrap();
    let mut host = Host { store, said, _poller: poller, tickets: 0, counts: None };
    let returned = host.until(|said| match said {
        FromStore::Returned { tasks, host: None } => Some(tasks[0].clone()),
        _ => None,
    });
    assert_eq!((returned.id, &*returned.queue, returned.attempt), (id, "q", 1));
    assert_eq!(host.take().attempt, 1);
    host.store.stop();
}

/// E5: what a host had that is gone for good goes to others, when it has said nothing for long enough; and what it says then is
/// not heard.
#[test]
#[serial]
fn what_a_dead_host_had_goes_to_others() {
    let redis = Redis::start();
    let server = Server::of(&redis.url).unwrap();
    let mut dead = Session::open(&server, "dead").unwrap();
    let id = put_shared(&redis.url, &put(vec![task("a")])).unwrap()[0].id;
    let source = Source { queue: queue(), class: Class::Normal, max_wait: PATIENCE };
    dead.call(&Call::take("dead", &[source])).unwrap();
    dead.call(&Call::new("lease").arg("dead").arg(id)).unwrap();
    let mut alive = Session::open(&server, "alive").unwrap();
    let mut back = |idle: u64| {
        let call = Call::new("refresh").arg("alive").arg(idle);
        let [_, back] = call::fields(alive.call(&call).unwrap().0);
        call::returned(back).iter().map(|(task, host)| (task.id, host.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(back(60_000), []);
    assert_eq!(back(0), [(id, "dead".to_owned())]);
    let refresh = Call::new("refresh").arg("dead").arg(60_000).arg(id);
    let [lost, _] = call::fields(dead.call(&refresh).unwrap().0);
    assert_eq!(call::items(lost).len(), 1, "it is told");
    let end = Order::End { id, ending: done(), now: Wall(0) };
    let (answer, _) = dead.call(&Call::of(&end, "dead", Wall(0)).unwrap()).unwrap();
    assert_eq!(call::reply(&end, answer), Reply::Changed { tasks: 0, more: false });
    let mut host = Host::come(&redis, "two");
    assert_eq!(host.take().attempt, 1);
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
