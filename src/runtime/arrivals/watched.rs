//! One source: its folder, be it there or not, and the files in it.

use super::backlog::Backlog;
use super::{Came, File, Source, Taken, Wanted};
use crate::clock::Tick;
use crate::sys::peek;
use crate::sys::watch::{Watch, Watches};
use std::ffi::{OsStr, OsString};
use std::fs::ReadDir;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait before a folder is tried again that cannot be watched, though it is there.
const RETRY: Duration = Duration::from_secs(10);
/// So many names of a folder are looked at before anything else is.
const ENTRIES_MAX: usize = 10_000;

/// What is watched of a source.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) source: Arc<Source>,
    pub(super) backlog: Backlog,
    pub(super) place: Place,
    /// Its folder is being looked through.
    scan: Option<ReadDir>,
    /// The names of the files that were told and not taken yet.
    told: Vec<OsString>,
    /// Why it cannot be watched, as was said.
    trouble: Option<String>,
    news: Option<String>,
}

/// Where the next file is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the folder.
    There(Watch),
    /// At the nearest folder above it, until it is there.
    Missing,
    /// It cannot be watched; it is tried again then.
    Refused(Tick),
}

/// Two sets of watches, for one of a folder would end the other: the folders of files, and those above them.
#[derive(Debug)]
pub(super) struct Folders {
    pub(super) files: Watches,
    pub(super) above: Watches,
}

impl Watched {
    pub(super) fn new(source: Arc<Source>) -> Watched {
        let (backlog, place) = (Backlog::default(), Place::Missing);
        Watched { source, backlog, place, scan: None, told: Vec::new(), trouble: None, news: None }
    }

    /// Watches the folder, or the nearest above it. What is in it has come.
    pub(super) fn settle(&mut self, folders: &Folders, now: Tick) {
        let source = self.source.clone();
        let path = &source.files.folder;
        self.scan = None;
        let mut waits_at = None;
        loop {
            match folders.files.arrivals(path) {
                Ok(watch) => {
                    self.place = Place::There(watch);
                    self.backlog.look_through();
                    if self.trouble.take().is_some() {
                        self.news = Some(format!("files {} are waited for again", source.files.path().display()));
                    }
                    return;
                }
                Err(e) if is_missing(&e) => {}
                Err(e) => return self.refused(&e, now),
            }
            match nearest(&folders.above, path) {
                // Tried twice, for it may have appeared before it was waited for.
                Ok(watch) if waits_at == Some(watch) => return self.place = Place::Missing,
                Ok(watch) => waits_at = Some(watch),
                Err(e) => return self.refused(&e, now),
            }
        }
    }

    fn refused(&mut self, error: &io::Error, now: Tick) {
        self.place = Place::Refused(now.after(RETRY));
        let files = self.source.files.path();
        self.complain(format!("cannot wait for files {}: {error}; that is tried every 10 s", files.display()));
    }

    fn complain(&mut self, text: String) {
        if self.trouble.as_ref() != Some(&text) {
            self.news = Some(text.clone());
            self.trouble = Some(text);
        }
    }

    /// What is to be said, once.
    pub(super) fn take_news(&mut self) -> Option<String> {
        self.news.take()
    }

    /// Something has come into the folder.
    pub(super) fn note(&mut self, name: OsString) {
        if self.source.files.matches(&name.to_string_lossy()) {
            self.backlog.note(name);
        }
    }

    /// Whether there is something to look at and somebody to tell.
    pub(super) fn has_work(&self) -> bool {
        self.backlog.may_tell() > 0 && (!self.backlog.is_empty() || self.scan.is_some())
    }

    /// Looks at what has come, as far as that may be told.
    pub(super) fn advance(&mut self, now: Tick) -> Option<Came> {
        let starts = matches!(self.source.wanted, Wanted::Start(_));
        let max = self.backlog.may_tell().min(if starts { 1 } else { usize::MAX });
        if max == 0 {
            return None;
        }
        let mut files = Vec::new();
        while files.len() < max
            && let Some(name) = self.backlog.next_name()
        {
            files.extend(self.look(&name).map(|(_, file)| file));
        }
        if files.len() < max {
            let mut found = self.scan_on(max - files.len(), now);
            found.sort_by_key(|(changed, _)| *changed);
            files.extend(found.into_iter().map(|(_, file)| file));
        }
        if files.is_empty() {
            return None;
        }
        match starts {
            true => {
                self.backlog.tell_all();
                self.scan = None;
            }
            false => self.backlog.tell(),
        }
        self.told = files.iter().filter_map(|file| file.path.file_name().map(OsStr::to_owned)).collect();
        // What was renamed is not gone: it is told under its new name before that.
        let is_all = self.backlog.is_empty() && self.scan.is_none();
        let mut gone = if is_all { std::mem::take(&mut self.backlog.gone) } else { Vec::new() };
        gone.retain(is_gone);
        Some(Came { source: self.source.clone(), files, gone, after: self.backlog.after.clone() })
    }

    /// What was told has been dealt with. Of the files that are remembered, those are gone that are not what they were.
    pub(super) fn taken(&mut self, taken: &Taken) {
        let told = std::mem::take(&mut self.told);
        let left = told.get(taken.files..).unwrap_or_default().to_vec();
        let gone = taken.known.iter().filter(|file| is_gone(file)).cloned().collect();
        self.backlog.taken(left, taken, gone);
    }

    /// Goes on looking through the folder: some of the files in it, each with when it was last changed.
    fn scan_on(&mut self, max: usize, now: Tick) -> Vec<((i64, i64), File)> {
        let source = self.source.clone();
        let files = &source.files;
        if self.backlog.begin_scan() {
            match std::fs::read_dir(&files.folder) {
                Ok(entries) => self.scan = Some(entries),
                // That it is gone is told.
                Err(e) if is_missing(&e) => {}
                Err(e) => self.refused(&e, now),
            }
        }
        let Some(mut scan) = self.scan.take() else { return Vec::new() };
        let mut found = Vec::new();
        for _ in 0..ENTRIES_MAX {
            if found.len() == max {
                break;
            }
            match scan.next() {
                None => return found,
                Some(Err(e)) => {
                    self.refused(&e, now);
                    return found;
                }
                Some(Ok(entry)) => {
                    let name = entry.file_name();
                    // Who writes to it closes it some time, and that is told.
                    if files.matches(&name.to_string_lossy()) && !peek::is_being_written(&entry.path()) {
                        found.extend(self.look(&name));
                    }
                }
            }
        }
        self.scan = Some(scan);
        found
    }

    /// The file of this name, where there is one.
    fn look(&mut self, name: &OsStr) -> Option<((i64, i64), File)> {
        let path = self.source.files.folder.join(name);
        at(&path).unwrap_or_else(|e| {
            self.complain(format!("cannot look at {}: {e}", path.display()));
            None
        })
    }
}

/// Whether a file that is remembered is not there any more, or not what it was.
fn is_gone(file: &File) -> bool {
    at(&file.path).is_ok_and(|found| found.is_none_or(|(_, now)| now.key != file.key))
}

/// The regular file at a path, where there is one, and when it was last changed.
fn at(path: &Path) -> io::Result<Option<((i64, i64), File)>> {
    let found = match std::fs::metadata(path) {
        Err(e) if is_missing(&e) => return Ok(None),
        found => found?,
    };
    let (seconds, nanos) = (found.mtime(), found.mtime_nsec());
    let key = || format!("{:x}:{:x}:{seconds}.{nanos:09}", found.dev(), found.ino()).into();
    Ok(found.is_file().then(|| ((seconds, nanos), File { key: key(), path: path.into() })))
}

/// Watches the nearest folder above a path, until something appears in it.
fn nearest(above: &Watches, path: &Path) -> io::Result<Watch> {
    for ancestor in path.ancestors().skip(1) {
        match above.appearance(ancestor) {
            Err(e) if is_missing(&e) => {}
            found => return found,
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
