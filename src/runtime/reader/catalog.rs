//! What a log directory holds at one moment, while its writer goes on.

use crate::log::name::{Archive, CURRENT, Packed};
use crate::sys::dir::Dir;
use crate::sys::peek;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;

/// How often it is looked anew while names change under our eyes.
const LOOKS_MAX: usize = 64;

/// The files of a series.
#[derive(Debug)]
pub(super) struct Listing {
    /// All archives in reading order, each once.
    pub(super) archives: Vec<Archive>,
    /// The file that is written, and how many bytes it had; all archives are older than it.
    pub(super) current: Option<(File, u64)>,
}

/// Lists a directory.
///
/// # Errors
/// As openat(2) and getdents(2).
pub(super) fn list(dir: &Dir) -> io::Result<Listing> {
    let mut looks = 0;
    loop {
        looks += 1;
        let current = current(dir)?;
        let archives = archives(dir)?;
        // A rotation in between would have put this file, or lines before it, among the archives.
        let is_still = |(file, _): &(File, u64)| peek::name_of(file).is_ok_and(|name| name == (CURRENT.into(), false));
        if current.as_ref().is_none_or(is_still) || looks == LOOKS_MAX {
            return Ok(Listing { archives, current });
        }
    }
}

/// The archives in reading order, each once: while one is compressed, it is there twice.
///
/// # Errors
/// As openat(2) and getdents(2).
pub(super) fn archives(dir: &Dir) -> io::Result<Vec<Archive>> {
    let mut before = names(dir)?;
    // A file that is renamed while a directory is read can be missed. It is not missed twice.
    for _ in 0..LOOKS_MAX {
        let now = names(dir)?;
        if now.keys().eq(before.keys()) {
            break;
        }
        before = now;
    }
    Ok(before.into_values().collect())
}

fn names(dir: &Dir) -> io::Result<BTreeMap<(u64, i64), Archive>> {
    let names = match dir.names() {
        // The directory itself is gone, and held open by us alone.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names?,
    };
    let archives = names.into_iter().filter_map(|name| Archive::parse(&name));
    let whole = archives.filter(|archive| archive.packed != Packed::Unfinished);
    Ok(whole.map(|archive| ((archive.sequence, archive.closed.0), archive)).collect())
}

fn current(dir: &Dir) -> io::Result<Option<(File, u64)>> {
    let file = match dir.read(CURRENT) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let found = file.metadata()?;
    Ok(found.is_file().then_some((file, found.len())))
}
