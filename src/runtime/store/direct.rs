//! Putting tasks where no supervisor runs: whoever puts writes the database.

use super::database::Database;
use super::error::StoreError;
use super::order::{Full, Placed, Put};
use super::shared::UrlError;
use crate::config::values::Durable;
use std::path::Path;

/// Why tasks could not be put. None of them is stored then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// The queue cannot hold them.
    #[error(transparent)]
    Full(#[from] Full),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The URL of the queue's store names no server.
    #[error(transparent)]
    Url(#[from] UrlError),
}

/// Puts tasks into the database of a state directory, which must be there: all of them in one transaction, which is
/// durable unless `put.durable` says `never`. A supervisor that runs there, or that starts meanwhile, does no harm; it
/// learns of them by its next order, so tell it.
///
/// # Errors
/// As `PutError` says; where another process holds the database, after five seconds.
pub fn put_directly(state: &Path, put: &Put) -> Result<Vec<Placed>, PutError> {
    let mut database = Database::open(state)?;
    let placed = database.transact(put.durable != Durable::Never, |tx| tx.put(put))?;
    // What was committed is stored, whatever comes of tidying up.
    if let Err(e) = database.close() {
        tracing::warn!("{e}");
    }
    Ok(placed?)
}
