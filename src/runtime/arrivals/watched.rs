//! One source: its folder, be it there or not, and the files in it.

use super::backlog::Backlog;
use super::rewritten::{REWRITES_MAX, Rewritten, Verdict, WINDOW};
use super::{Came, File, Source, Taken, Wanted};
use crate::clock::{Tick, earliest};
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

/// The most links that a path leads over (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// What is watched of a source.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) source: Arc<Source>,
    pub(super) backlog: Backlog,
    /// Its folder. Where it has none it is waited for at the nearest folder above, unless it is to be tried again.
    pub(super) watch: Option<Watch>,
    /// When it is tried again, because something could not be done.
    pub(super) retry: Option<Tick>,
    /// Its folder is being looked through.
    scan: Option<ReadDir>,
    /// The names of the files that were told and not taken yet.
    told: Vec<OsString>,
    rewritten: Rewritten,
    /// What could not be done, as was said.
    trouble: Option<String>,
    news: Vec<String>,
}

/// Sets of watches, for one of a folder would end another of the same set: the folders of files, those above the ones that are
/// missing, and what the ways there lead over.
#[derive(Debug)]
pub(super) struct Folders {
    pub(super) files: Watches,
    pub(super) above: Watches,
    pub(super) ways: Watches,
}

impl Watched {
    pub(super) fn new(source: Arc<Source>) -> Watched {
        Watched {
            source,
            backlog: Backlog::default(),
            watch: None,
            retry: None,
            scan: None,
            told: Vec::new(),
            rewritten: Rewritten::default(),
            trouble: None,
            news: Vec::new(),
        }
    }

    /// Watches the folder, or the nearest above it. What is in it has come, where it is another than before, or `anew`.
    pub(super) fn settle(&mut self, folders: &Folders, anew: bool, now: Tick) {
        let source = self.source.clone();
        let path = &source.files.folder;
        let before = self.watch.take();
        self.retry = None;
        // Before it is gone, for it may change on the way.
        watch_way(&folders.ways, path);
        let mut waits_at = None;
        loop {
            match folders.files.arrivals(path) {
                Ok(watch) => {
                    self.watch = Some(watch);
                    if anew || before != self.watch {
                        self.scan = None;
                        self.backlog.look_through();
                    }
                    return;
                }
                Err(e) if is_missing(&e) => self.scan = None,
                Err(e) => return self.refused(&e, now),
            }
            match nearest(&folders.above, path) {
                // Tried twice, for it may have appeared before it was waited for.
                Ok(watch) if waits_at == Some(watch) => return,
                Ok(watch) => waits_at = Some(watch),
                Err(e) => return self.refused(&e, now),
            }
        }
    }

    /// Whether its folder is waited for.
    pub(super) fn is_missing(&self) -> bool {
        self.watch.is_none() && self.retry.is_none()
    }

    /// When there is something to do though nothing happens.
    pub(super) fn deadline(&self) -> Option<Tick> {
        earliest([self.retry, self.rewritten.deadline()])
    }

    fn refused(&mut self, error: &io::Error, now: Tick) {
        self.retry = Some(now.after(RETRY));
        let limit = "the limit of watches is reached (sysctl fs.inotify.max_user_watches)";
        let why = if error.raw_os_error() == Some(libc::ENOSPC) { limit.into() } else { error.to_string() };
        let files = self.source.files.path();
        self.complain(format!("cannot wait for files {}: {why}; that is tried every 10 s", files.display()));
    }

    fn complain(&mut self, text: String) {
        if self.trouble.as_ref() != Some(&text) {
            self.news.push(text.clone());
            self.trouble = Some(text);
        }
    }

    /// All that could not be done has been done.
    fn recover(&mut self) {
        let is_done = self.watch.is_some() && self.retry.is_none() && self.backlog.is_empty() && self.scan.is_none();
        if is_done && self.trouble.take().is_some() {
            self.news.push(format!("files {} are waited for again", self.source.files.path().display()));
        }
    }

    /// What is to be said, once.
    pub(super) fn take_news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
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
        self.rewritten.due(now).for_each(|name| self.backlog.note(name));
        let starts = self.starts();
        let max = self.backlog.may_tell().min(if starts { 1 } else { usize::MAX });
        if max == 0 {
            return None;
        }
        let mut files = Vec::new();
        while files.len() < max
            && let Some(name) = self.backlog.next_name()
        {
            files.extend(self.look(&name, now).map(|(_, file)| file));
        }
        if files.len() < max {
            let mut found = self.scan_on(max - files.len(), now);
            found.sort_by_key(|(changed, _)| *changed);
            files.extend(found.into_iter().map(|(_, file)| file));
        }
        if files.is_empty() {
            self.recover();
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

    /// What was told has been dealt with, and there is so much room. Of the files that are remembered, those are gone that are
    /// not what they were.
    pub(super) fn taken(&mut self, taken: &Taken, room: Option<usize>) {
        let told = std::mem::take(&mut self.told);
        self.backlog.taken(told.get(taken.files..).unwrap_or_default().to_vec(), room);
        self.backlog.look_back(&taken.known, is_gone);
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
                        found.extend(self.look(&name, now));
                    }
                }
            }
        }
        self.scan = Some(scan);
        found
    }

    /// The file of this name, where there is one, and it is to be told.
    fn look(&mut self, name: &OsStr, now: Tick) -> Option<((i64, i64), File)> {
        let path = self.source.files.folder.join(name);
        let found = at(&path).unwrap_or_else(|e| {
            // The folder is looked through then, with all that was missed.
            if self.retry.replace(now.after(RETRY)).is_none() {
                self.complain(format!("cannot look at {}: {e}; that is tried every 10 s", path.display()));
            }
            None
        })?;
        if self.starts() {
            return Some(found);
        }
        match self.rewritten.judge(name, &found.1.key, now) {
            Verdict::Tell => Some(found),
            Verdict::Wait { is_news } => {
                if is_news {
                    self.news.push(format!(
                        "{} was written to anew more than {REWRITES_MAX} times in {} s: it waits now, and longer each time \
                         that it goes on; does its task write to it?",
                        path.display(),
                        WINDOW.as_secs()
                    ));
                }
                None
            }
        }
    }

    /// Whether a worker is started that sees for itself.
    fn starts(&self) -> bool {
        matches!(self.source.wanted, Wanted::Start(_))
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
    // The number of a device is another after a restart of the machine, or of the container (btrfs, overlayfs, NFS).
    let key = || format!("{:x}:{seconds}.{nanos:09}", found.ino()).into();
    Ok(found.is_file().then(|| ((seconds, nanos), File { key: key(), path: path.into() })))
}

/// Watches what the way to a folder leads over, the folders and the links: that one of them goes, or is moved, or gives way to
/// another. What we may not watch stays unwatched.
fn watch_way(ways: &Watches, folder: &Path) {
    let mut paths = vec![folder.to_owned()];
    for _ in 0..=LINKS_MAX {
        let Some(path) = paths.pop() else { return };
        for step in path.ancestors() {
            _ = ways.way(step);
            if let Ok(target) = std::fs::read_link(step) {
                paths.extend(step.parent().map(|folder| folder.join(target)));
            }
        }
    }
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
