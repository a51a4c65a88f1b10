//! The database itself: its tables, its settings, and whether a file is one of ours.

use super::error::StoreError;
use super::table::word;
use rusqlite::{Connection, ErrorCode, OpenFlags, Result};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The schema that this quell writes (`PRAGMA user_version`).
pub(super) const VERSION: i64 = 3;
/// Says that the file is ours (`PRAGMA application_id`): "quel".
const APPLICATION: i64 = 0x7175_656C;
/// How long another process may hold the database.
pub(super) const BUSY_WAIT: Duration = Duration::from_secs(5);
/// More than there are different statements, so that each is compiled once.
const STATEMENTS_MAX: usize = 64;

/// What holds for the connection, not for the file. A checkpoint waits for the disk, so it is made for 16 MiB at once
/// and not for four; what a large put leaves of the log is given back.
const SETTINGS: &str = "
PRAGMA wal_autocheckpoint = 4096;
PRAGMA journal_size_limit = 67108864;
PRAGMA temp_store = MEMORY;
PRAGMA cell_size_check = ON;
";

/// The counts of a queue stand beside its name, so that whoever puts need not count. Each partial index holds only what is
/// looked for by it: a task that runs is in none, unless it has a key.
const TABLES: &str = concat!(
    "
CREATE TABLE queue (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    paused INTEGER NOT NULL DEFAULT 0,
    waiting_high INTEGER NOT NULL DEFAULT 0,
    waiting_normal INTEGER NOT NULL DEFAULT 0,
    waiting_low INTEGER NOT NULL DEFAULT 0,
    delayed INTEGER NOT NULL DEFAULT 0,
    running INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0,
    buried INTEGER NOT NULL DEFAULT 0,
    damaged INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE task (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue INTEGER NOT NULL,
    class TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    put_us INTEGER NOT NULL,
    due_us INTEGER,
    ended_us INTEGER,
    key TEXT,
    trace TEXT,
    said TEXT,
    payload BLOB
) STRICT;
CREATE INDEX task_waiting ON task (queue, class, id) WHERE state = '",
    word!(Waiting),
    "';
CREATE INDEX task_due ON task (queue, due_us) WHERE state = '",
    word!(Delayed),
    "';
CREATE INDEX task_ended ON task (queue, state, ended_us) WHERE ended_us IS NOT NULL;
CREATE INDEX task_key ON task (queue, key) WHERE key IS NOT NULL AND ended_us IS NULL;
"
);

/// What version 2 has more: the files that tasks were put for, each by what it is known by, and where it was seen.
const SEEN: &str = "
CREATE TABLE IF NOT EXISTS seen (
    queue INTEGER NOT NULL,
    key TEXT NOT NULL,
    path BLOB NOT NULL,
    PRIMARY KEY (queue, key)
) STRICT, WITHOUT ROWID;
";

/// What version 3 has less: the number of the device, with which the key of a file began.
const WITHOUT_DEVICE: &str = "
UPDATE task SET key = substr(key, instr(key, ':') + 1) WHERE key IS NOT NULL AND ended_us IS NULL
    AND EXISTS (SELECT 1 FROM seen WHERE seen.queue = task.queue AND seen.key = task.key);
UPDATE OR REPLACE seen SET key = substr(key, instr(key, ':') + 1);
";

/// Opens the database, made where there is none.
pub(super) fn open(path: &Arc<Path>) -> std::result::Result<Connection, StoreError> {
    let failed = |e| StoreError::of(path, &e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(failed)?;
    conn.busy_timeout(BUSY_WAIT).map_err(failed)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    match whose(&conn).map_err(failed)? {
        Whose::Ours(1..=VERSION) => {}
        Whose::Ours(found) => return Err(StoreError::Newer { path: path.clone(), found }),
        Whose::Foreign => return Err(StoreError::Foreign { path: path.clone() }),
        Whose::Nobodys => {}
    }
    let journal = log_ahead(&conn).map_err(failed)?;
    if journal != "wal" {
        let why = format!("its file system does not allow a write-ahead log (the journal is {journal:?})");
        return Err(StoreError::Failed { path: path.clone(), why });
    }
    create(&conn).map_err(failed)?;
    conn.execute_batch(SETTINGS).map_err(failed)?;
    Ok(conn)
}

/// Has it keep a write-ahead log: what journal it keeps then. Where another process is at the same this fails at once, whatever
/// the busy timeout: that one is waited for, and then there is nothing left to change.
fn log_ahead(conn: &Connection) -> Result<String> {
    let change = || conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
    match change() {
        Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
            conn.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?;
            change()
        }
        done => done,
    }
}

/// Who has made a database.
enum Whose {
    Nobodys,
    Ours(i64),
    Foreign,
}

fn whose(conn: &Connection) -> Result<Whose> {
    let number = |pragma: &str| conn.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    // Looked at last: whoever makes the tables marks the file in the same transaction.
    Ok(match (number("PRAGMA application_id")?, tables) {
        (APPLICATION, _) => Whose::Ours(number("PRAGMA user_version")?),
        (0, 0) => Whose::Nobodys,
        _ => Whose::Foreign,
    })
}

/// Makes the tables that an earlier version did not have, unless another process was faster.
fn create(conn: &Connection) -> Result<()> {
    if let Whose::Ours(VERSION) = whose(conn)? {
        return Ok(());
    }
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let ours = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};");
    let made = match whose(conn) {
        Ok(Whose::Ours(VERSION)) => Ok(()),
        Ok(Whose::Ours(_)) => [SEEN, WITHOUT_DEVICE, &ours].into_iter().try_for_each(|sql| conn.execute_batch(sql)),
        Ok(_) => [TABLES, SEEN, &ours].into_iter().try_for_each(|sql| conn.execute_batch(sql)),
        Err(e) => Err(e),
    };
    made.and_then(|()| conn.execute_batch("COMMIT"))
}
