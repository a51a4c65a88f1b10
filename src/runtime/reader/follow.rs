//! Waiting for more of several logs: without looking, without a system call while nothing happens.

use super::Reader;
use crate::sys::fd::{self, Interest};
use crate::sys::watch::{Watch, Watches};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// Wakes readers when something changes where they read.
#[derive(Debug)]
pub struct Follower {
    watches: Watches,
    /// Whom a change wakes.
    readers: HashMap<Watch, Vec<usize>>,
    /// Whether each reader is watched for.
    is_watched: Vec<bool>,
}

impl Follower {
    /// For so many readers.
    ///
    /// # Errors
    /// As inotify_init1(2).
    pub fn new(readers: usize) -> io::Result<Follower> {
        Ok(Follower { watches: Watches::new()?, readers: HashMap::new(), is_watched: vec![false; readers] })
    }

    /// Watches for those that are not watched for. True when there was one: something may have changed before, so all that
    /// there is must be read once more before anything is waited for.
    ///
    /// # Errors
    /// As inotify_add_watch(2).
    pub fn attend(&mut self, readers: &mut [Reader]) -> io::Result<bool> {
        let mut any = false;
        for (index, reader) in readers.iter_mut().enumerate().filter(|(index, _)| !self.is_watched[*index]) {
            let watch = self.nearest(reader.path())?;
            let woken = self.readers.entry(watch).or_default();
            if !woken.contains(&index) {
                woken.push(index);
            }
            reader.wake(false);
            any = true;
        }
        self.is_watched.fill(true);
        Ok(any)
    }

    /// Waits for a change, and wakes whom it concerns. False when whoever reads the output has gone.
    ///
    /// # Errors
    /// As poll(2) and read(2).
    pub fn wait(&mut self, readers: &mut [Reader], output: BorrowedFd<'_>) -> io::Result<bool> {
        // What has no reader any more shows an error, whatever is waited for.
        let fds = [Some((self.watches.as_fd(), Interest::Read)), Some((output, Interest::None))];
        let [_, closed] = fd::wait(fds, None)?;
        for change in self.watches.changes()? {
            let all = || (0..readers.len()).collect();
            let woken: Vec<usize> =
                change.watch.map_or_else(all, |watch| self.readers.get(&watch).cloned().unwrap_or_default());
            for index in woken {
                readers[index].wake(change.gone);
                self.is_watched[index] &= !change.gone;
            }
        }
        Ok(!closed)
    }

    /// Watches a directory or, where it is missing, the nearest above it: until something appears there.
    fn nearest(&self, path: &Path) -> io::Result<Watch> {
        let mut above = None;
        loop {
            let mut found = self.watches.contents(path);
            let is_there = found.is_ok();
            for ancestor in path.ancestors().skip(1) {
                let is_missing =
                    |e: &io::Error| matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
                if !found.as_ref().is_err_and(is_missing) {
                    break;
                }
                let ancestor = if ancestor.as_os_str().is_empty() { Path::new(".") } else { ancestor };
                found = self.watches.appearance(ancestor);
            }
            let watch = found?;
            // Once more, for it may have appeared before it was watched for.
            if is_there || above == Some(watch) {
                return Ok(watch);
            }
            above = Some(watch);
        }
    }
}
