//! Changes in directories (inotify): whoever waits for one makes no system call meanwhile.

use super::fd::retry;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags as Flags, InitFlags, Inotify, WatchDescriptor};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// Files in it are written to, made or renamed, and the directory itself goes.
const CONTENTS: Flags = Flags::IN_MODIFY
    .union(Flags::IN_CREATE)
    .union(Flags::IN_MOVED_TO)
    .union(Flags::IN_DELETE_SELF)
    .union(Flags::IN_MOVE_SELF)
    .union(Flags::IN_ONLYDIR);
/// Something gets a name in it, or it goes; said once.
const APPEARANCE: Flags = Flags::IN_CREATE
    .union(Flags::IN_MOVED_TO)
    .union(Flags::IN_DELETE_SELF)
    .union(Flags::IN_MOVE_SELF)
    .union(Flags::IN_ONLYDIR)
    .union(Flags::IN_ONESHOT);
/// Files in it are whole: closed after they were written to, or moved there; and the directory itself goes.
const ARRIVALS: Flags = Flags::IN_CLOSE_WRITE
    .union(Flags::IN_MOVED_TO)
    .union(Flags::IN_DELETE_SELF)
    .union(Flags::IN_MOVE_SELF)
    .union(Flags::IN_ONLYDIR);
/// It goes, be it a link.
const WAY: Flags = Flags::IN_DELETE_SELF.union(Flags::IN_MOVE_SELF).union(Flags::IN_DONT_FOLLOW);
/// The watch is over, or its directory is no longer where it was.
const GONE: Flags = Flags::IN_IGNORED.union(Flags::IN_DELETE_SELF).union(Flags::IN_MOVE_SELF).union(Flags::IN_UNMOUNT);

/// Directories that are watched.
#[derive(Debug)]
pub struct Watches(Inotify);

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Watch(WatchDescriptor);

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where; none where the kernel has lost count, and anything may have changed anywhere.
    pub watch: Option<Watch>,
    /// The directory is no longer where it was, or it is watched no more.
    pub gone: bool,
    /// What it happened to in the directory.
    pub name: Option<OsString>,
}

impl Watches {
    /// None yet.
    ///
    /// # Errors
    /// As inotify_init1(2).
    pub fn new() -> io::Result<Watches> {
        Ok(Watches(Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?))
    }

    /// Watches what is in a directory.
    ///
    /// # Errors
    /// As inotify_add_watch(2).
    pub fn contents(&self, path: &Path) -> io::Result<Watch> {
        retry(|| self.0.add_watch(path, CONTENTS)).map(Watch)
    }

    /// Watches for files that are whole in a directory. Of a directory each set of watches watches for one sort of thing:
    /// another takes its place.
    ///
    /// # Errors
    /// As inotify_add_watch(2).
    pub fn arrivals(&self, path: &Path) -> io::Result<Watch> {
        retry(|| self.0.add_watch(path, ARRIVALS)).map(Watch)
    }

    /// Watches no more. What is over already may be forgotten, too.
    pub fn forget(&self, Watch(watch): Watch) {
        // EINVAL is all that there is, and says that it is over.
        let _ = self.0.rm_watch(watch);
    }

    /// Watches a directory until something gets a name in it.
    ///
    /// # Errors
    /// As inotify_add_watch(2).
    pub fn appearance(&self, path: &Path) -> io::Result<Watch> {
        retry(|| self.0.add_watch(path, APPEARANCE)).map(Watch)
    }

    /// Watches a directory, or a link itself: that it is moved or removed, and nothing else.
    ///
    /// # Errors
    /// As inotify_add_watch(2).
    pub fn way(&self, path: &Path) -> io::Result<Watch> {
        retry(|| self.0.add_watch(path, WAY)).map(Watch)
    }

    /// What has happened since it was last asked; some of it, where much has: then the descriptor stays readable.
    ///
    /// # Errors
    /// As read(2).
    pub fn changes(&self) -> io::Result<Vec<Change>> {
        let events = match self.0.read_events() {
            Err(Errno::EAGAIN | Errno::EINTR) => Vec::new(),
            events => events?,
        };
        let change = |event: nix::sys::inotify::InotifyEvent| Change {
            watch: (!event.mask.contains(Flags::IN_Q_OVERFLOW)).then_some(Watch(event.wd)),
            gone: event.mask.intersects(GONE),
            name: event.name,
        };
        Ok(events.into_iter().map(change).collect())
    }
}

impl AsFd for Watches {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd::{self, Interest};

    fn gone(watches: &Watches, watch: Watch) -> Vec<bool> {
        let [ready] = fd::wait([Some((watches.as_fd(), Interest::Read))], Some(std::time::Duration::ZERO)).unwrap();
        let changes = watches.changes().unwrap();
        assert!(ready != changes.is_empty() && changes.iter().all(|change| change.watch == Some(watch)));
        changes.iter().map(|change| change.gone).collect()
    }

    #[test]
    fn what_happens_in_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("dir");
        let watches = Watches::new().unwrap();
        assert_eq!(watches.contents(&dir).unwrap_err().kind(), io::ErrorKind::NotFound);
        let above = watches.appearance(folder.path()).unwrap();
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert_eq!(gone(&watches, above), [false, true], "once");
        let inside = watches.contents(&dir).unwrap();
        std::fs::write(dir.join("file"), "x").unwrap();
        assert_eq!(gone(&watches, inside), [false, false]);
        std::fs::rename(&dir, folder.path().join("moved")).unwrap();
        assert_eq!(gone(&watches, inside), [true]);
    }

    #[test]
    fn files_that_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let watches = Watches::new().unwrap();
        let watch = watches.arrivals(folder.path()).unwrap();
        let names = || {
            let changes = watches.changes().unwrap();
            changes.into_iter().filter_map(|change| change.name?.into_string().ok()).collect::<Vec<_>>()
        };
        let file = std::fs::File::create(folder.path().join("a")).unwrap();
        std::fs::create_dir(folder.path().join("dir")).unwrap();
        assert_eq!(names(), [""; 0]);
        drop(file);
        std::fs::rename(folder.path().join("a"), folder.path().join("b")).unwrap();
        assert_eq!(names(), ["a", "b"]);
        watches.forget(watch);
        std::fs::write(folder.path().join("c"), "").unwrap();
        assert!(watches.changes().unwrap().iter().all(|change| change.gone));
    }
}
