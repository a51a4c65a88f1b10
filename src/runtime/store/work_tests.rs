use super::super::database::Database;
use super::super::order::{Entry, Full, How, Limits, NewTask, OnKey, Placed, Put};
use super::super::scene::{ROOMY, Scene, ids, keyed, put, queue, task};
use super::super::tally::Tally;
use super::*;
use crate::task::State;
use std::time::Duration;

fn done(result: &str) -> Ending {
    Ending::Done { result: Some(result.into()) }
}

fn delayed(payload: &str, micros: u64) -> NewTask {
    NewTask { delay: Duration::from_micros(micros), ..task(payload) }
}

fn listed(scene: &mut Scene, state: Option<State>, after: u64, max: u32) -> (Vec<Entry>, bool) {
    let order = Order::List { queue: Some(queue()), state, after: TaskId(after), max };
    match scene.tell(&order) {
        Reply::Listed { tasks, more } => (tasks, more),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_waits_is_listed_by_number_whatever_its_class() {
    let mut scene = Scene::new();
    let of = |class| NewTask { class, ..task("x") };
    scene.put(Class::ALL.into_iter().chain(Class::ALL).map(of).collect());
    scene.lease(TaskId(2));
    let waiting = |scene: &mut Scene, after, max| {
        let (tasks, more) = listed(scene, Some(State::Waiting), after, max);
        (tasks.iter().map(|task| task.id.0).collect::<Vec<_>>(), more)
    };
    assert_eq!(waiting(&mut scene, 0, 9), (vec![1, 3, 4, 5, 6], false));
    assert_eq!(waiting(&mut scene, 1, 2), (vec![3, 4], true));
}

#[test]
fn a_task_is_put_fetched_leased_and_done() {
    let mut scene = Scene::new();
    let trace: Box<str> = "00-1-2-01".into();
    let high = NewTask { class: Class::High, trace: Some(trace.clone()), ..task("first") };
    let placed = scene.put(vec![high, task("second")]);
    assert_eq!(ids(&placed), [TaskId(1), TaskId(2)]);
    assert!(placed.iter().all(|placed| placed.state == State::Waiting && placed.how == How::New));
    let counts = scene.counts();
    assert_eq!(counts.fresh, [Some(TaskId(1)), Some(TaskId(2)), None]);
    assert_eq!(counts.tally, Tally { waiting: [1, 1, 0], bytes: 11, ..Tally::default() });
    let wanted = Task {
        id: TaskId(1),
        class: Class::High,
        attempt: 0,
        put: Wall(0),
        trace: Some(trace),
        payload: b"first".as_slice().into(),
    };
    assert_eq!(scene.fetch(Class::High, 0), [wanted]);
    assert_eq!(scene.fetch(Class::High, 1), []);
    assert_eq!(scene.lease(TaskId(1)), Some(1));
    assert_eq!(scene.lease(TaskId(1)), None, "it is running");
    assert_eq!(scene.fetch(Class::High, 0), []);
    assert!(scene.end(TaskId(1), done("fine"), 5));
    assert!(!scene.end(TaskId(1), done("again"), 6), "it is done");
    assert_eq!(scene.tally(), Tally { waiting: [0, 1, 0], done: 1, bytes: 6, ..Tally::default() });
    match scene.tell(&Order::Show { id: TaskId(1) }) {
        Reply::Shown(Some(shown)) => {
            assert_eq!((shown.payload, shown.entry.said.as_deref()), (None, Some("fine")));
            assert_eq!((shown.entry.ended, shown.entry.attempt, shown.entry.bytes), (Some(Wall(5)), 1, 5));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(scene.tell(&Order::Show { id: TaskId(9) }), Reply::Shown(None));
}

#[test]
fn what_starts_at_once_is_running_from_its_put_on() {
    let mut scene = Scene::new();
    let order = Put { start: 2, ..put(vec![task("a"), delayed("b", 10), task("c"), task("d")]) };
    let Reply::Put(placed) = scene.tell(&Order::Put(order)) else { panic!() };
    let states: Vec<_> = placed.iter().map(|placed| placed.state).collect();
    assert_eq!(states, [State::Running, State::Delayed, State::Running, State::Waiting]);
    let (running, _) = listed(&mut scene, Some(State::Running), 0, 9);
    assert_eq!(
        running.iter().map(|entry| (entry.id, entry.attempt)).collect::<Vec<_>>(),
        [(TaskId(1), 1), (TaskId(3), 1)]
    );
}

#[test]
fn a_full_queue_refuses_all_of_a_put() {
    let mut scene = Scene::new();
    let limits = Limits { tasks: 3, bytes: 10 };
    let two = |payload: &str| Order::Put(Put { limits, ..put(vec![task(payload), task(payload)]) });
    assert!(matches!(scene.tell(&two("1")), Reply::Put(_)));
    let full = Full::Tasks { wanted: 4, max: 3 };
    assert_eq!(scene.tell(&two("1")), Reply::Full(full));
    assert!(full.to_string().contains("max_tasks"));
    let large = Order::Put(Put { limits, ..put(vec![task("123456789")]) });
    assert_eq!(scene.tell(&large), Reply::Full(Full::Bytes { wanted: 11, max: 10 }));
    assert_eq!(scene.tally().stored(), 2);
    // What is done holds no place; what is buried does.
    for (id, ending) in [(1, Ending::Buried { why: None }), (2, done(""))] {
        scene.lease(TaskId(id));
        assert!(scene.end(TaskId(id), ending, 1));
    }
    assert!(matches!(scene.tell(&two("1")), Reply::Put(_)));
    assert_eq!(scene.tell(&two("1")), Reply::Full(Full::Tasks { wanted: 5, max: 3 }));
}

#[test]
fn a_key_is_held_while_a_task_is_not_ended() {
    let mut scene = Scene::new();
    let new = |scene: &mut Scene| scene.put(vec![keyed("n", "k", OnKey::DropNew)]).remove(0);
    assert_eq!(new(&mut scene), Placed { id: TaskId(1), state: State::Waiting, how: How::New });
    assert_eq!(new(&mut scene), Placed { id: TaskId(1), state: State::Waiting, how: How::There });
    scene.lease(TaskId(1));
    assert_eq!(new(&mut scene), Placed { id: TaskId(1), state: State::Running, how: How::There });
    scene.end(TaskId(1), done(""), 1);
    assert_eq!(new(&mut scene), Placed { id: TaskId(2), state: State::Waiting, how: How::New });
    let mut other = put(vec![keyed("n", "k", OnKey::DropNew)]);
    other.queue = "other".into();
    assert!(matches!(scene.tell(&Order::Put(other)), Reply::Put(placed) if placed[0].how == How::New));
}

#[test]
fn a_replaced_task_is_gone_and_a_running_one_goes_on() {
    let mut scene = Scene::new();
    let both = vec![keyed("1", "k", OnKey::Replace), keyed("2", "k", OnKey::Replace)];
    let placed = scene.put(both.clone());
    assert_eq!(placed[1], Placed { id: TaskId(2), state: State::Waiting, how: How::Replaced(vec![TaskId(1)]) });
    assert_eq!(scene.state(TaskId(1)), None);
    scene.lease(TaskId(2));
    assert_eq!(scene.put(vec![keyed("3", "k", OnKey::Replace)])[0].how, How::New);
    assert_eq!(scene.tally(), Tally { waiting: [0, 1, 0], running: 1, bytes: 2, ..Tally::default() });
    // In a queue that is full there is room for what takes another's place, and for nothing else.
    let limits = Limits { tasks: 2, ..ROOMY };
    let last = Order::Put(Put { limits, ..put(both) });
    assert!(matches!(scene.tell(&last), Reply::Put(placed) if placed[1].how == How::Replaced(vec![TaskId(4)])));
    let more =
        Order::Put(Put { limits, ..put(vec![keyed("5", "k", OnKey::Replace), keyed("6", "x", OnKey::DropNew)]) });
    assert_eq!(scene.tell(&more), Reply::Full(Full::Tasks { wanted: 3, max: 2 }));
    assert_eq!(scene.tally().stored(), 2);
    assert_eq!(scene.fetch(Class::Normal, 0)[0].id, TaskId(5));
    assert_eq!(ids(&scene.put(vec![task("7")])), [TaskId(6)], "a put that was refused has used up no number");
}

#[test]
fn a_delayed_task_waits_when_it_is_due() {
    let mut scene = Scene::new();
    scene.put(vec![delayed("later", 20), delayed("soon", 10)]);
    assert_eq!(scene.counts().next_due, Some(Wall(10)));
    assert_eq!(scene.changes(&Order::Due { now: Wall(9) }), 0);
    assert_eq!(scene.changes(&Order::Due { now: Wall(10) }), 1);
    let counts = scene.counts();
    assert_eq!((counts.next_due, counts.fresh[1]), (Some(Wall(20)), Some(TaskId(2))));
    assert_eq!(scene.fetch(Class::Normal, 0)[0].id, TaskId(2));
    scene.lease(TaskId(2));
    let again = |due| Ending::Again { due: Wall(due), why: Some("busy".into()) };
    assert!(scene.end(TaskId(2), again(15), 12));
    assert_eq!(scene.counts().next_due, Some(Wall(15)));
    assert_eq!(scene.changes(&Order::Due { now: Wall(30) }), 2);
    assert_eq!(scene.lease(TaskId(2)), Some(2));
    assert!(scene.end(TaskId(2), again(31), 31));
    assert_eq!(scene.state(TaskId(2)), Some(State::Waiting), "it was due already");
    assert_eq!(scene.counts().next_due, None);
}

#[test]
fn a_returned_task_waits_with_its_try_counted() {
    let mut scene = Scene::new();
    scene.put(vec![task("x")]);
    scene.lease(TaskId(1));
    assert!(scene.end(TaskId(1), Ending::Return, 1));
    assert_eq!(scene.fetch(Class::Normal, 0)[0].attempt, 1);
    assert_eq!(scene.lease(TaskId(1)), Some(2));
}

#[test]
fn by_hand() {
    let mut scene = Scene::new();
    scene.put(vec![task("a"), delayed("b", 10), task("c"), task("d")]);
    let bury = |id| Order::Bury { id: TaskId(id), why: "by hand".into(), now: Wall(3) };
    scene.lease(TaskId(4));
    assert_eq!([1, 2, 4, 9].map(|id| scene.changes(&bury(id))), [1, 1, 0, 0]);
    let (buried, more) = listed(&mut scene, Some(State::Buried), 0, 1);
    assert_eq!((buried[0].id, buried[0].said.as_deref(), more), (TaskId(1), Some("by hand"), true));
    assert_eq!(listed(&mut scene, Some(State::Buried), 1, 1).0[0].id, TaskId(2));
    assert_eq!(listed(&mut scene, None, 1, 9).0.len(), 3);
    assert_eq!(scene.changes(&Order::Kick(Which::Task(TaskId(1)))), 1);
    assert_eq!(scene.changes(&Order::Kick(Which::Task(TaskId(3)))), 0, "it waits");
    scene.put(vec![delayed("e", 10)]);
    assert_eq!(listed(&mut scene, Some(State::Delayed), 0, 9).0[0].id, TaskId(5));
    assert_eq!(scene.changes(&Order::Kick(Which::Queue(queue()))), 2);
    assert_eq!(scene.tally(), Tally { waiting: [0, 4, 0], running: 1, bytes: 5, ..Tally::default() });
    assert_eq!([4, 5].map(|id| scene.changes(&Order::Drop { id: TaskId(id) })), [0, 1]);
    assert_eq!(scene.changes(&Order::Drain { queue: queue() }), 3);
    assert_eq!(scene.tally(), Tally { running: 1, bytes: 1, ..Tally::default() });
    assert!(!scene.counts().paused);
    scene.tell(&Order::Pause { queue: queue(), paused: true });
    scene.again();
    assert!(scene.counts().paused);
}

#[test]
fn results_are_purged_by_age_and_by_number() {
    let mut scene = Scene::new();
    scene.put((0..6).map(|_| task("x")).collect());
    for id in 1..=5 {
        scene.lease(TaskId(id));
        let ending = if id == 1 { Ending::Buried { why: None } } else { done("") };
        assert!(scene.end(TaskId(id), ending, id as i64));
    }
    let purge = |before, done_max| Order::Purge { queue: queue(), before: Wall(before), done_max };
    assert_eq!(scene.changes(&purge(1, 9)), 0);
    assert_eq!(scene.changes(&purge(3, 9)), 2);
    assert_eq!(scene.changes(&purge(0, 1)), 2);
    assert_eq!(scene.tally(), Tally { waiting: [0, 1, 0], done: 1, bytes: 1, ..Tally::default() });
    assert_eq!(scene.state(TaskId(5)), Some(State::Done), "the newest stays");
    assert_eq!(scene.changes(&Order::Purge { queue: "none".into(), before: Wall(9), done_max: 0 }), 0);
}

#[test]
fn what_is_about_many_tasks_is_done_in_steps() {
    let mut scene = Scene::new();
    scene.put((0..=STEP_MAX).map(|_| delayed("x", 1)).collect());
    let steps = |scene: &mut Scene, order: Order, more: u64| {
        assert_eq!(scene.tell(&order), Reply::Changed { tasks: STEP_MAX, more: true });
        assert_eq!(scene.tell(&order), Reply::Changed { tasks: more, more: false });
    };
    steps(&mut scene, Order::Due { now: Wall(1) }, 1);
    steps(&mut scene, Order::Drain { queue: queue() }, 1);
    assert_eq!(scene.tally(), Tally::default());
}

#[test]
fn a_fetch_is_bounded() {
    let mut scene = Scene::new();
    scene.put(vec![task("1234"), task("1234"), task("1234")]);
    let fetched = |scene: &mut Scene, tasks, bytes| scene.fetch_some(Class::Normal, 0, tasks, bytes).0.len();
    assert_eq!(fetched(&mut scene, 2, 100), 2);
    assert_eq!(fetched(&mut scene, 9, 5), 2);
    assert_eq!(fetched(&mut scene, 9, 0), 1);
    assert_eq!(fetched(&mut scene, 0, 9), 0);
}

/// E5: what was running under a supervisor that is gone waits again, its try counted, and is named.
#[test]
fn what_was_running_returns() {
    let mut scene = Scene::new();
    scene.put(vec![task("a"), task("b"), task("c")]);
    scene.lease(TaskId(2));
    let returned = scene.again();
    assert_eq!(
        returned.iter().map(|task| (task.id, &*task.queue, task.attempt)).collect::<Vec<_>>(),
        [(TaskId(2), "q", 1)]
    );
    assert_eq!(scene.fetch(Class::Normal, 0).len(), 3);
    assert_eq!(scene.lease(TaskId(2)), Some(2));
    assert_eq!(scene.tally().running, 1);
}

#[test]
fn an_order_that_fails_undoes_those_beside_it() {
    let mut scene = Scene::new();
    let failed = scene.database.transact(false, |tx| {
        tx.work(&Order::Put(put(vec![task("x")])))?;
        tx.conn.execute_batch("SELECT nonsense")
    });
    assert!(failed.unwrap_err().to_string().contains("nonsense"));
    assert_eq!(scene.tally(), Tally::default());
    assert_eq!(ids(&scene.put(vec![task("x")])), [TaskId(1)]);
}

/// Nothing that is done for each task looks at all tasks.
#[test]
fn every_statement_has_its_index() {
    let mut scene = Scene::new();
    let explain = |sql: &str| {
        let database: &mut Database = &mut scene.database;
        database
            .transact(false, |tx| {
                let mut plan = tx.conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let count = plan.parameter_count();
                let unbound = rusqlite::params_from_iter(vec![rusqlite::types::Null; count]);
                let lines = plan.query_map(unbound, |row| row.get::<_, String>(3))?;
                Ok(lines.collect::<Result<Vec<_>>>()?.join("\n"))
            })
            .unwrap()
    };
    let mut explain = explain;
    for sql in table::statements().filter(|sql| !sql.contains("json_each")).chain([FETCH]) {
        let plan = explain(sql);
        assert!(plan.contains("SEARCH task") && !plan.contains("SCAN"), "{sql}\n{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
    }
}
