//! What is still to be looked at of one source, and whether more may be told of it. Pure: it holds names, and is told what
//! became of them.

use super::{File, Taken};
use std::collections::{HashSet, VecDeque};
use std::ffi::OsString;

/// So many files are told at once.
const BATCH_MAX: usize = 1000;
/// More names than these are not kept: the folder is looked through instead.
const NAMES_MAX: usize = 1 << 16;

/// What is still to be looked at.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// The names that were told of, each once, the oldest first.
    names: VecDeque<OsString>,
    held: HashSet<OsString>,
    /// The folder is to be looked through.
    scan: bool,
    /// Something was told, and was not taken yet.
    told: bool,
    /// There is room for so many; for any number where this is none.
    room: Option<usize>,
    /// Files that are gone, to be told with those that come next.
    pub(super) gone: Vec<File>,
    /// Behind this key the next that are remembered are to be told.
    pub(super) after: Box<str>,
}

impl Backlog {
    /// A file has come.
    pub(super) fn note(&mut self, name: OsString) {
        if self.held.len() >= NAMES_MAX {
            self.look_through();
        } else if self.held.insert(name.clone()) {
            self.names.push_back(name);
        }
    }

    /// The folder is to be looked through, from its beginning: that has all names.
    pub(super) fn look_through(&mut self) {
        self.forget_names();
        self.scan = true;
    }

    fn forget_names(&mut self) {
        self.names.clear();
        self.held.clear();
    }

    /// Whether the folder is to be looked through; said once.
    pub(super) fn begin_scan(&mut self) -> bool {
        std::mem::take(&mut self.scan)
    }

    /// How many files may be told now.
    pub(super) fn may_tell(&self) -> usize {
        if self.told { 0 } else { self.room.unwrap_or(BATCH_MAX).min(BATCH_MAX) }
    }

    /// The next name to look at.
    pub(super) fn next_name(&mut self) -> Option<OsString> {
        let name = self.names.pop_front()?;
        self.held.remove(&name);
        Some(name)
    }

    /// Whether nothing is to be looked at.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.scan
    }

    /// Files are told.
    pub(super) fn tell(&mut self) {
        self.told = true;
    }

    /// One start is enough for all that have come.
    pub(super) fn tell_all(&mut self) {
        self.forget_names();
        self.scan = false;
        self.told = true;
    }

    /// What was told has been dealt with: `left` are the names of those that were not taken, `gone` the files that are gone of
    /// those that are remembered.
    pub(super) fn taken(&mut self, left: Vec<OsString>, taken: &Taken, gone: Vec<File>) {
        self.told = false;
        let told = taken.files + left.len();
        self.room = match self.room {
            _ if taken.full.is_some() => Some(0),
            // There was no more room, but there may have been more files.
            Some(room) if told >= room => Some(0),
            _ => None,
        };
        for name in left.into_iter().rev() {
            if self.held.insert(name.clone()) {
                self.names.push_front(name);
            }
        }
        self.after = taken.known.last().map(|file| file.key.clone()).unwrap_or_default();
        self.gone.extend(gone);
    }

    /// The start has been seen to.
    pub(super) fn started(&mut self) {
        self.told = false;
    }

    /// There is room for so many.
    pub(super) fn has_room(&mut self, files: usize) {
        self.room = self.room.map(|_| files);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::store::Full;

    fn names(backlog: &mut Backlog) -> Vec<String> {
        std::iter::from_fn(|| backlog.next_name()).map(|name| name.into_string().unwrap()).collect()
    }

    fn taken(files: usize, is_full: bool) -> Taken {
        let full = is_full.then_some(Full::Tasks { wanted: 2, max: 1 });
        Taken { files, put: files, full, known: Vec::new() }
    }

    #[test]
    fn each_name_once_until_it_was_looked_at() {
        let mut backlog = Backlog::default();
        ["b", "a", "b"].into_iter().for_each(|name| backlog.note(name.into()));
        assert_eq!(backlog.next_name(), Some("b".into()));
        backlog.note("b".into());
        assert_eq!((names(&mut backlog), backlog.is_empty()), (vec!["a".into(), "b".into()], true));
    }

    #[test]
    fn too_many_names_are_a_folder_to_be_looked_through() {
        let mut backlog = Backlog::default();
        (0..NAMES_MAX).for_each(|name| backlog.note(name.to_string().into()));
        assert!(!backlog.begin_scan());
        backlog.note("one more".into());
        assert!(!backlog.is_empty() && backlog.begin_scan() && !backlog.begin_scan());
        assert!(backlog.is_empty());
        // What comes while it is looked through may come too late for that.
        backlog.note("another".into());
        assert_eq!(names(&mut backlog), ["another"]);
    }

    #[test]
    fn nothing_is_told_until_what_was_told_is_taken_and_has_room() {
        let mut backlog = Backlog::default();
        assert_eq!(backlog.may_tell(), BATCH_MAX);
        backlog.tell();
        assert_eq!(backlog.may_tell(), 0);
        backlog.note("d".into());
        backlog.taken(vec!["b".into(), "c".into()], &taken(1, true), Vec::new());
        assert_eq!(backlog.may_tell(), 0, "the queue is full");
        backlog.has_room(2);
        assert_eq!(backlog.may_tell(), 2);
        assert_eq!(names(&mut backlog), ["b", "c", "d"]);
        backlog.tell();
        backlog.taken(Vec::new(), &taken(2, false), Vec::new());
        assert_eq!(backlog.may_tell(), 0, "as many as there was room for");
        backlog.has_room(5);
        backlog.tell();
        backlog.taken(Vec::new(), &taken(4, false), Vec::new());
        assert_eq!(backlog.may_tell(), BATCH_MAX, "there was room for more");
    }
}
