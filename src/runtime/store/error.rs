//! Why the store did not do as it was told. Nothing of what it was told has been done then, but where the error says otherwise.

use super::schema;
use rusqlite::ErrorCode;
use std::path::Path;
use std::sync::Arc;

/// Why the store cannot be opened, or did not do as it was told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk is full.
    #[error("no space is left on the disk of {}; nothing was stored", .path.display())]
    NoSpace {
        /// The database.
        path: Arc<Path>,
    },
    /// Another process holds it for longer than is waited.
    #[error("{} has been locked by another process for {} s", .path.display(), schema::BUSY_WAIT.as_secs())]
    Busy {
        /// The database.
        path: Arc<Path>,
    },
    /// What is in the file is no database, or not a whole one.
    #[error(
        "{file} is damaged: {why}. Stop quell, copy it and its -wal file, and save what can be read with \
         `sqlite3 {file} .recover | sqlite3 saved.db`; or move both files away to begin with empty queues",
        file = .path.display()
    )]
    Damaged {
        /// The database.
        path: Arc<Path>,
        /// What SQLite says.
        why: String,
    },
    /// A newer quell has written it.
    #[error(
        "{file} was written by a newer quell: its schema is {found}, this one knows {known}. Run that one; or move the \
         file away to begin with empty queues",
        file = .path.display(),
        known = schema::VERSION
    )]
    Newer {
        /// The database.
        path: Arc<Path>,
        /// Its schema.
        found: i64,
    },
    /// Another program has made it.
    #[error("{} is another program's database; move it away, or choose another `state`", .path.display())]
    Foreign {
        /// The database.
        path: Arc<Path>,
    },
    /// The server of a queue that several supervisors share cannot be reached.
    #[error("{server} cannot be reached: {why}; nothing was done")]
    Lost {
        /// Which.
        server: Arc<str>,
        /// Why.
        why: String,
    },
    /// It was lost when it had been asked, and its answer with it.
    #[error(
        "{server} was lost before it answered: {why}; whether it was done is not known: a put that has a --key can be repeated"
    )]
    Cut {
        /// Which.
        server: Arc<str>,
        /// Why.
        why: String,
    },
    /// That server does not do it.
    #[error("{server} refuses: {why}")]
    Refused {
        /// Which.
        server: Arc<str>,
        /// Why.
        why: String,
    },
    /// It cannot be read, written or locked.
    #[error("{} cannot be used: {why}", .path.display())]
    Failed {
        /// The database.
        path: Arc<Path>,
        /// What SQLite or the system says.
        why: String,
    },
}

impl StoreError {
    /// Whether a server is not there: that is told otherwise, and it is found again.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, StoreError::Lost { .. } | StoreError::Cut { .. })
    }

    /// What an error of SQLite means here (sqlite.org/rescode.html).
    pub(super) fn of(path: &Arc<Path>, error: &rusqlite::Error) -> StoreError {
        let path = path.clone();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::NoSpace { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Damaged { path, why: error.to_string() }
            }
            _ => StoreError::Failed { path, why: error.to_string() },
        }
    }
}
