//! What is still to be looked at of one source, and whether more may be told of it. Pure: it holds names, and is told what
//! became of them.

use super::File;
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
    /// Files that are gone, to be told with those that come next; some more than `BATCH_MAX` of them, and no more.
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

    /// What was told has been dealt with, and there is room for so many more; for any number where this is none. `left` are the
    /// names of those that were not taken.
    pub(super) fn taken(&mut self, left: Vec<OsString>, room: Option<usize>) {
        (self.told, self.room) = (false, room);
        for name in left.into_iter().rev() {
            if self.held.insert(name.clone()) {
                self.names.push_front(name);
            }
        }
    }

    /// Takes note of those that are gone of these, which are remembered. Where as many are known to be gone as are told at once,
    /// these are told again later.
    pub(super) fn look_back(&mut self, known: &[File], is_gone: impl Fn(&File) -> bool) {
        if self.gone.len() < BATCH_MAX {
            self.gone.extend(known.iter().filter(|file| is_gone(file)).cloned());
            self.after = known.last().map(|file| file.key.clone()).unwrap_or_default();
        }
    }

    /// The start has been seen to.
    pub(super) fn started(&mut self) {
        self.told = false;
    }

    /// There is room for so many.
    pub(super) fn has_room(&mut self, files: usize) {
        self.room = Some(files);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn names(backlog: &mut Backlog) -> Vec<String> {
        std::iter::from_fn(|| backlog.next_name()).map(|name| name.into_string().unwrap()).collect()
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
        backlog.taken(vec!["b".into(), "c".into()], Some(0));
        assert_eq!(backlog.may_tell(), 0, "the queue is full");
        backlog.has_room(2);
        assert_eq!(backlog.may_tell(), 2);
        assert_eq!(names(&mut backlog), ["b", "c", "d"]);
        backlog.tell();
        backlog.taken(Vec::new(), None);
        assert_eq!(backlog.may_tell(), BATCH_MAX, "there was room for more");
    }

    /// However many are gone while others come, no more of them are held than can be told, and none is passed over.
    #[test]
    fn what_is_gone_is_bounded() {
        let mut backlog = Backlog::default();
        let file = |n: usize| File { key: format!("{n:05}").into(), path: Path::new("/in/a").into() };
        let all: Vec<_> = (0..5000).map(file).collect();
        for known in all.chunks(900) {
            let behind = |file: &File| *file.key > *backlog.after;
            let known: Vec<_> = known.iter().filter(|file| behind(file)).cloned().collect();
            backlog.look_back(&known, |_| true);
        }
        assert_eq!((backlog.gone.len(), &*backlog.after), (1800, "01799"));
        backlog.gone.clear();
        backlog.look_back(&all[1800..2000], |file| file.key.ends_with('0'));
        assert_eq!((backlog.gone.len(), &*backlog.after), (20, "01999"));
        backlog.look_back(&[], |_| true);
        assert_eq!(&*backlog.after, "", "it begins anew");
    }
}
