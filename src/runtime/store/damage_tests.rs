//! Databases that are not what was written.
#![allow(clippy::disallowed_methods)]

use super::database::Database;
use super::error::StoreError;
use super::order::{NewTask, Order, Reply};
use super::scene::{Scene, queue, task};
use crate::clock::Wall;
use crate::task::{Class, State, Task, TaskId};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const TASKS: u64 = 24;

fn payload(id: u64) -> String {
    format!("payload {id} ").repeat(20)
}

/// A database with some tasks, each of a commit of its own, and what was put.
fn filled() -> (Scene, BTreeMap<TaskId, Task>) {
    let mut scene = Scene::new();
    for id in 1..=TASKS {
        scene.put(vec![NewTask { trace: Some(format!("trace {id}").into()), ..task(&payload(id)) }]);
    }
    let tasks = scene.fetch(Class::Normal, 0).into_iter().map(|task| (task.id, task)).collect();
    (scene, tasks)
}

/// What a supervisor finds after a crash: what is handed out, what is said to be damaged, and what is counted so.
struct Found {
    tasks: Vec<Task>,
    damaged: Vec<TaskId>,
    counted: u64,
}

fn found(folder: &Path) -> Result<Found, StoreError> {
    let mut database = Database::open(folder)?;
    database.recover(&[])?;
    let order = Order::Fetch {
        queue: queue(),
        class: Class::Normal,
        after: TaskId(0),
        tasks_max: 1000,
        bytes_max: u64::MAX,
        now: Wall(1),
    };
    match database.transact(false, |tx| tx.work(&order))? {
        Reply::Fetched { tasks, damaged } => {
            let counted = database.news().map(|counts| counts.tally.damaged).sum();
            Ok(Found { tasks, damaged, counted })
        }
        other => panic!("{other:?}"),
    }
}

/// E1: a log that ends anywhere holds the commits before its end, whole, and nothing else.
#[test]
fn a_torn_log_loses_its_end_alone() {
    let (scene, tasks) = filled();
    let [database, log] = ["store.db", "store.db-wal"].map(|name| fs::read(scene.path().join(name)).unwrap());
    let mut known = 0;
    for cut in (0..log.len()).step_by(2039).chain([log.len() - 1, log.len()]) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("store.db"), &database).unwrap();
        fs::write(folder.path().join("store.db-wal"), &log[..cut]).unwrap();
        let found = found(folder.path()).unwrap();
        assert!(found.damaged.is_empty());
        let whole = tasks.values().take(found.tasks.len());
        assert!(whole.eq(&found.tasks), "{cut}: {:?}", found.tasks);
        assert!(found.tasks.len() >= known, "{cut}: a longer log holds more");
        known = found.tasks.len();
    }
    assert_eq!(known as u64, TASKS);
}

/// E1: a byte that flipped in a payload is found; the task is set aside, counted and named, and the others are handed out.
#[test]
fn a_flipped_payload_is_set_aside() {
    let (scene, tasks) = filled();
    let file = closed(scene);
    for id in [1, 7, TASKS] {
        let payload = payload(id);
        let at = file.windows(payload.len()).rposition(|window| window == payload.as_bytes()).unwrap();
        for offset in [0, 100, payload.len() - 1] {
            let found = found(flipped(&file, at + offset).path()).unwrap();
            assert_eq!((found.damaged, found.counted), (vec![TaskId(id)], 1));
            let others = tasks.values().filter(|task| task.id != TaskId(id));
            assert!(others.eq(&found.tasks));
        }
    }
}

/// E1: wherever a byte flips, what is handed out is what was put, or the database is said to be damaged.
#[test]
fn a_flipped_byte_is_never_handed_out() {
    let (scene, tasks) = filled();
    let file = closed(scene);
    let mut refused = 0;
    for at in (0..file.len()).step_by(211) {
        match found(flipped(&file, at).path()) {
            Ok(found) => assert!(found.tasks.iter().all(|task| tasks.get(&task.id) == Some(task)), "{at}"),
            Err(StoreError::Damaged { .. } | StoreError::Foreign { .. } | StoreError::Failed { .. }) => refused += 1,
            Err(StoreError::Newer { .. }) => assert!((60..64).contains(&at), "{at}"),
            Err(error) => panic!("{at}: {error}"),
        }
    }
    assert!(refused > 0);
}

/// A damaged task can be looked at and dropped.
#[test]
fn a_damaged_task_stays_until_it_is_dropped() {
    let mut scene = Scene::new();
    scene.put(vec![task("body"), task("other")]);
    scene.database.transact(false, |tx| tx.conn.execute("UPDATE task SET payload = x'00' WHERE id = 1", [])).unwrap();
    let (tasks, damaged) = scene.fetch_some(Class::Normal, 0, 9, 99);
    assert_eq!((tasks.len(), damaged), (1, vec![TaskId(1)]));
    assert_eq!(scene.state(TaskId(1)), Some(State::Damaged));
    assert_eq!(scene.lease(TaskId(1)), None);
    assert_eq!(scene.tally().damaged, 1);
    assert_eq!(scene.changes(&Order::Drop { id: TaskId(1) }), 1);
    assert_eq!(scene.tally().damaged, 0);
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    let refused = |make: &dyn Fn(&rusqlite::Connection)| {
        let scene = Scene::new();
        let folder = scene.folder;
        scene.database.close().unwrap();
        let path = folder.path().join("store.db");
        let conn = rusqlite::Connection::open(&path).unwrap();
        make(&conn);
        drop(conn);
        let before = fs::read(&path).unwrap();
        let error = Database::open(folder.path()).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), before);
        error
    };
    let newer = refused(&|conn| conn.execute_batch("PRAGMA user_version = 9").unwrap());
    assert!(matches!(newer, StoreError::Newer { found: 9, .. }));
    assert!(newer.to_string().contains("its schema is 9, this one knows 3"), "{newer}");
    let foreign = refused(&|conn| conn.execute_batch("PRAGMA application_id = 1").unwrap());
    assert!(foreign.to_string().contains("another program"), "{foreign}");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("store.db"), "no database, but long enough to be taken for one ".repeat(30)).unwrap();
    let garbage = Database::open(folder.path()).unwrap_err();
    assert!(matches!(garbage, StoreError::Damaged { .. }));
    assert!(garbage.to_string().contains(".recover"), "{garbage}");
    let missing = Database::open(&folder.path().join("none")).unwrap_err();
    assert!(missing.to_string().contains("none/store.db cannot be used"), "{missing}");
}

/// The file of a database that was closed in good order.
fn closed(scene: Scene) -> Vec<u8> {
    let folder = scene.folder;
    scene.database.close().unwrap();
    assert!(!folder.path().join("store.db-wal").exists());
    fs::read(folder.path().join("store.db")).unwrap()
}

fn flipped(file: &[u8], at: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = file.to_vec();
    bytes[at] ^= 0x10;
    fs::write(folder.path().join("store.db"), bytes).unwrap();
    folder
}
