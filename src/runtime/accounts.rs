//! The ledger's file in a log directory.

use super::directory::{Append, Directory, write_all};
use crate::log::ledger::Ledger;
use crate::log::name::{LEDGER, LEDGER_NEW};
use std::io::{self, Read};

/// Goes on with the stored ledger. One that cannot be read is put aside, not overwritten.
///
/// # Errors
/// What the directory says.
pub fn resume<D: Directory>(dir: &D, ledger: &mut Ledger) -> io::Result<()> {
    let mut json = Vec::new();
    match dir.read(LEDGER) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?.read_to_end(&mut json)?,
    };
    if let Err(e) = ledger.resume(&json) {
        let aside = format!("{LEDGER}.broken");
        tracing::warn!("{} is no ledger ({e}); it is put aside as {aside}", dir.path().join(LEDGER).display());
        dir.rename(LEDGER, &aside)?;
        ledger.unclean = true;
    }
    Ok(())
}

/// Replaces the ledger at one stroke; `durable` makes it last over a loss of power too.
///
/// # Errors
/// What the directory says.
pub fn store<D: Directory>(dir: &D, json: &[u8], durable: bool) -> io::Result<()> {
    let dir = dir.open()?;
    dir.remove(LEDGER_NEW)?;
    let file = dir.create_new(LEDGER_NEW)?;
    write_all(&file, json)?;
    if durable {
        file.sync()?;
    }
    dir.rename(LEDGER_NEW, LEDGER)
}
