#![allow(clippy::disallowed_methods)]

use super::super::order::{OnKey, Order};
use super::super::scene::{Scene, ids, keyed, put, task};
use super::*;
use crate::task::Class;
use std::time::Duration;

#[test]
fn a_synced_commit_waits_for_the_disk_and_no_other_does() {
    const NORMAL: i64 = 1;
    const FULL: i64 = 2;
    let mut scene = Scene::new();
    for (synced, level) in [(false, NORMAL), (true, FULL), (true, FULL), (false, NORMAL)] {
        let found = scene.database.transact(synced, |tx| tx.conn.query_row("PRAGMA synchronous", [], |row| row.get(0)));
        assert_eq!(found, Ok(level));
    }
}

/// What failed is not counted, and nobody hears that it was.
#[test]
fn what_was_not_done_is_no_news() {
    let mut scene = Scene::new();
    scene.put(vec![task("x")]);
    let before = scene.counts();
    let failed = scene.database.transact(false, |tx| -> Result<()> {
        assert!(tx.put(&put(vec![task("lost")]))?.is_ok());
        Err(rusqlite::Error::InvalidQuery)
    });
    assert!(failed.is_err());
    assert_eq!(scene.database.news().count(), 0);
    assert_eq!(scene.counts().tally, before.tally);
}

/// What the log held when the disk failed is in the database before anything else is committed.
#[test]
fn after_a_failure_of_the_disk_the_log_is_begun_anew() {
    let mut scene = Scene::new();
    scene.put((0..100).map(|_| task(&"x".repeat(1000))).collect());
    let log = scene.path().join("store.db-wal");
    assert!(std::fs::metadata(&log).unwrap().len() > 100_000);
    let failure = ffi::Error::new(ffi::SQLITE_IOERR_FSYNC);
    let failed = scene.database.transact(true, |tx| -> Result<()> {
        assert!(tx.put(&put(vec![task("lost")]))?.is_ok());
        Err(rusqlite::Error::SqliteFailure(failure, None))
    });
    assert!(matches!(failed, Err(StoreError::Failed { .. })));
    // As long as somebody reads what the log holds, nothing is committed.
    let other = Connection::open(scene.path().join("store.db")).unwrap();
    other.execute_batch("BEGIN; SELECT * FROM task").unwrap();
    scene.database.conn.busy_timeout(Duration::ZERO).unwrap();
    let refused = scene.database.transact(false, |tx| tx.work(&Order::Look));
    assert!(matches!(refused, Err(StoreError::Busy { .. })), "{refused:?}");
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(ids(&scene.put(vec![task("next")])), [TaskId(101)]);
    assert!(std::fs::metadata(&log).unwrap().len() < 100_000);
}

#[test]
fn a_database_that_another_holds_is_waited_for_in_vain() {
    let mut scene = Scene::new();
    let other = Connection::open(scene.path().join("store.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    scene.database.conn.busy_timeout(Duration::ZERO).unwrap();
    let busy = scene.database.transact(false, |tx| tx.work(&Order::Look)).unwrap_err();
    assert!(busy.to_string().ends_with("store.db has been locked by another process for 5 s"), "{busy}");
    drop(other);
    assert!(scene.database.transact(false, |tx| tx.work(&Order::Look)).is_ok());
}

/// Books that were written wrongly are counted anew when a supervisor begins.
#[test]
fn what_is_counted_wrong_is_counted_anew() {
    let mut scene = Scene::new();
    scene.put(vec![task("x")]);
    let other = Connection::open(scene.path().join("store.db")).unwrap();
    other.execute_batch("UPDATE queue SET waiting_normal = 5, done = 7").unwrap();
    assert_eq!((scene.counts().tally.waiting[1], scene.counts().tally.done), (5, 7));
    scene.again();
    assert_eq!((scene.counts().tally.waiting[1], scene.counts().tally.done), (1, 0));
}

/// A database of the first version, which did not know of files.
#[test]
fn an_older_database_is_brought_up_to_date() {
    let mut scene = Scene::new();
    scene.put(vec![task("kept")]);
    scene.database.transact(false, |tx| tx.conn.execute_batch("DROP TABLE seen; PRAGMA user_version = 1")).unwrap();
    scene.again();
    let version = |conn: &Connection| conn.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    assert_eq!(scene.database.transact(false, |tx| version(tx.conn)).unwrap(), 3);
    let seen = "INSERT INTO seen (queue, key, path) VALUES (1, 'key', x'2F')";
    assert_eq!(scene.database.transact(false, |tx| tx.conn.execute(seen, [])).unwrap(), 1);
    assert_eq!(scene.fetch(Class::Normal, 0).len(), 1);
}

/// A database of the second version, which knew files by the number of their device as well: they are known without it.
#[test]
fn files_are_known_without_their_device() {
    let mut scene = Scene::new();
    scene.put(vec![keyed("/in/a", "fd01:2a:17.5", OnKey::DropNew), keyed("x", "a:b", OnKey::DropNew)]);
    let before =
        "INSERT INTO seen VALUES (1, 'fd01:2a:17.5', x'2F'), (1, 'fd02:2a:17.5', x'2F'), (1, 'fd01:2b:17.5', x'2F');
                  PRAGMA user_version = 2";
    scene.database.transact(false, |tx| tx.conn.execute_batch(before)).unwrap();
    scene.again();
    let keys = |tx: &mut Transaction<'_>, sql: &str| {
        let mut keys = tx.conn.prepare(sql)?;
        keys.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>>>()
    };
    let found = scene.database.transact(false, |tx| {
        Ok([keys(tx, "SELECT key FROM seen ORDER BY key")?, keys(tx, "SELECT key FROM task ORDER BY id")?])
    });
    assert_eq!(found.unwrap(), [["2a:17.5", "2b:17.5"], ["2a:17.5", "a:b"]]);
}
