//! A log directory as its readers see it: every line once, in order, from the oldest archive to `current` and, where it is
//! followed, on through all rotations. No lock is taken, and no writer is held up.
//!
//! A reader holds the file that it reads open. At its end it asks the kernel what the file is called by now: as long as
//! that is `current`, more may come. A file with another name is finished with once there is a newer one; then it is read
//! to its end once more, and its sequence says which archives come next, however many rotations there were meanwhile.
//!
//! `catalog` says what is in a directory, `content` reads a file whatever its form, `last` finds where its last lines begin,
//! `merge` puts several logs together by their stamps, `select` says which lines are wanted, `follow` waits for more.

mod catalog;
mod content;
pub mod follow;
mod last;
pub mod merge;
pub mod select;

use crate::line::frame::{Block, Cut};
use crate::log::name::{Archive, CURRENT};
use crate::log::span::Span;
use crate::sys::dir::Dir;
use content::Content;
use memchr::memchr;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The longest line that is given out in one piece: as long as writers let them become unless they are told otherwise, with
/// room for stamp and mark.
pub const LINE_BYTES_MAX: usize = (1 << 20) + 64;

/// What could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// A file.
    #[error("cannot read {}: {error}; the rest of it is left out", path.display())]
    Unread {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Archives that retention has taken before they were read.
    #[error("archives {first:06} to {last:06} of {} were purged before they could be read", path.display())]
    Purged {
        /// The directory.
        path: PathBuf,
        /// The sequence of the first.
        first: u64,
        /// The sequence of the last.
        last: u64,
    },
    /// A file that somebody has truncated.
    #[error("somebody truncated {}; it is read from its beginning", path.display())]
    Truncated {
        /// Which.
        path: PathBuf,
    },
}

impl Trouble {
    /// Whether something that is there could not be read.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        matches!(self, Trouble::Unread { .. })
    }
}

/// Reads one log directory.
pub struct Reader {
    path: PathBuf,
    span: Span,
    follows: bool,
    /// None while there is none.
    dir: Option<Dir>,
    /// Archives to be read, and then the file that was written when they were listed, as far as it had come.
    ahead: VecDeque<Archive>,
    current: Option<(File, u64)>,
    /// The highest sequence in that list.
    newest: u64,
    /// Archives up to this sequence lie behind.
    passed: u64,
    open: Option<Content>,
    /// Where to begin in the next file.
    start: last::Start,
    block: Block,
    /// Whole lines that were cut from the block, and not given out yet.
    lines: Range<usize>,
    /// What a file that is left has behind its last newline.
    rest: Option<Piece>,
    piece: Piece,
    /// There is nothing more until something changes.
    idle: bool,
    /// The directory has gone from its path.
    moved: bool,
    troubles: Vec<Trouble>,
}

/// A line, or a piece of one that is too long.
#[derive(Clone, Debug, Default)]
struct Piece {
    range: Range<usize>,
    first: bool,
    last: bool,
}

impl Reader {
    /// Reads what a directory holds now. One that follows waits for all that comes, and for the directory too.
    ///
    /// # Errors
    /// What the directory says; `NotFound` where there is none and none is waited for.
    pub fn open(path: &Path, span: Span, follows: bool) -> io::Result<Reader> {
        let mut reader = Reader::new(path.to_owned(), span, follows);
        reader.look()?;
        match reader.dir.is_none() && !follows {
            true => Err(io::ErrorKind::NotFound.into()),
            false => Ok(reader),
        }
    }

    /// A log without a line, where nothing was ever written.
    #[must_use]
    pub fn nowhere(path: &Path) -> Reader {
        Reader::new(path.to_owned(), Span::default(), false)
    }

    fn new(path: PathBuf, span: Span, follows: bool) -> Reader {
        Reader {
            path,
            span,
            follows,
            dir: None,
            ahead: VecDeque::new(),
            current: None,
            newest: 0,
            passed: 0,
            open: None,
            start: last::Start::default(),
            block: Block::new(LINE_BYTES_MAX),
            lines: 0..0,
            rest: None,
            piece: Piece::default(),
            idle: false,
            moved: false,
            troubles: Vec::new(),
        }
    }

    /// Another that reads the same files, and ends with them. To be called before anything was read.
    ///
    /// # Errors
    /// As open(2) and dup(2).
    pub fn again(&self) -> io::Result<Reader> {
        let current = self.current.as_ref().map(|(file, bytes)| Ok::<_, io::Error>((file.try_clone()?, *bytes)));
        Ok(Reader {
            dir: self.dir.as_ref().map(Dir::again).transpose()?,
            ahead: self.ahead.clone(),
            current: current.transpose()?,
            newest: self.newest,
            passed: self.passed,
            ..Reader::new(self.path.clone(), self.span, false)
        })
    }

    /// Passes over all but the last lines: how many are left, fewer where there are fewer. Nothing is read that lies before
    /// them, but for the beginning of a compressed archive. To be called before anything was read.
    ///
    /// # Errors
    /// As read(2), of `current`; an archive that cannot be read has no lines here.
    pub fn keep_last(&mut self, lines: u64) -> io::Result<u64> {
        let mut left = 0;
        if let Some((file, bytes)) = &self.current {
            let end = if self.follows { last::whole(file, *bytes)? } else { *bytes };
            self.start = last::of_file(file, end, lines)?;
            left = self.start.left;
        }
        let mut kept = self.ahead.len();
        while let Some(dir) = self.dir.as_ref().filter(|_| left < lines && kept > 0) {
            kept -= 1;
            let content = Content::archive(dir, self.ahead[kept]).ok().flatten();
            self.start = content.and_then(|c| c.last_lines(lines - left).ok()).unwrap_or_default();
            left += self.start.left;
        }
        self.keep_archives(self.ahead.len() - kept);
        Ok(left)
    }

    /// Passes over all but the last archives; false when there are no more than so many. To be called before anything was
    /// read.
    pub fn keep_archives(&mut self, archives: usize) -> bool {
        let passed = self.ahead.len().saturating_sub(archives);
        self.ahead.drain(..passed).for_each(|archive| self.passed = archive.sequence);
        passed > 0
    }

    /// Whether the directory holds neither archives nor a file that is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ahead.is_empty() && self.current.is_none()
    }

    /// Where the log is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What could not be read since it was last asked.
    pub fn troubles(&mut self) -> impl Iterator<Item = Trouble> {
        self.troubles.drain(..)
    }

    /// Something has changed; `moved`: perhaps the directory's place.
    pub fn wake(&mut self, moved: bool) {
        self.idle = false;
        self.moved |= moved;
    }

    /// Goes on to the next line, or piece of one; false when there is none, for now or for ever.
    pub fn advance(&mut self) -> bool {
        loop {
            match self.cut() {
                Some(piece) if self.start.lines > 0 => self.start.lines -= u64::from(piece.last),
                Some(piece) => {
                    self.piece = piece;
                    return true;
                }
                None if self.idle => return false,
                None => self.fill(),
            }
        }
    }

    /// The line, or the piece, with its newline if it has one.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.block.bytes(self.piece.range.clone())
    }

    /// Whether a line begins with this piece, and whether one ends with it.
    #[must_use]
    pub fn edges(&self) -> (bool, bool) {
        (self.piece.first, self.piece.last)
    }

    fn cut(&mut self) -> Option<Piece> {
        if self.lines.is_empty() {
            match self.block.cut() {
                None => return self.rest.take(),
                Some(Cut::Lines(range)) => self.lines = range,
                Some(Cut::Piece { range, first, last }) => return Some(Piece { range, first, last }),
            }
        }
        let lines = self.block.bytes(self.lines.clone());
        let end = self.lines.start + memchr(b'\n', lines).map_or(lines.len(), |newline| newline + 1);
        let range = self.lines.start..end;
        self.lines.start = end;
        Some(Piece { range, first: true, last: true })
    }

    /// Reads on; what cannot be read is noted, and passed over.
    fn fill(&mut self) {
        let Some(content) = &mut self.open else {
            if let Err(error) = self.open_next() {
                self.idle = true;
                self.troubles.push(Trouble::Unread { path: self.path.clone(), error });
            }
            return;
        };
        let name = content.name();
        let result = match content.read(self.block.room()) {
            Ok(0) => self.end(),
            Ok(bytes) => {
                self.block.read(bytes);
                Ok(())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            self.troubles.push(Trouble::Unread { path: self.path.join(name), error });
            // What is still written may be readable when there is more of it.
            match self.is_newest() {
                true => self.idle = true,
                false => self.leave(),
            }
        }
    }

    /// Whether more may come in the open file.
    fn is_newest(&self) -> bool {
        let is_open = self.open.as_ref().is_some_and(|content| content.can_grow() && !content.finished);
        self.follows && is_open && self.is_empty()
    }

    /// The end of the open file, for now or for good.
    fn end(&mut self) -> io::Result<()> {
        let is_newest = self.is_newest();
        let Some(content) = self.open.as_mut().filter(|_| is_newest) else {
            self.leave();
            return Ok(());
        };
        let (name, is_unlinked) = content.called()?;
        // A writer may take half a line back, so it is read anew when there is more of it.
        content.go_back(self.block.forget());
        if content.was_cut()? {
            self.troubles.push(Trouble::Truncated { path: self.path.join(&name) });
        }
        let is_current = name == CURRENT && !is_unlinked;
        match (!is_current && self.has_newer(&name)?) || self.has_moved() {
            // What was written before there was a newer one is still to be read.
            true => self.open.iter_mut().for_each(|content| content.finished = true),
            false => self.idle = true,
        }
        Ok(())
    }

    /// Whether there is a newer file than the one that is called so.
    fn has_newer(&self, name: &str) -> io::Result<bool> {
        let Some(dir) = &self.dir else { return Ok(false) };
        let sequence = Archive::parse(name).map_or(self.passed, |archive| archive.sequence);
        let is_newer = |archive: &Archive| archive.sequence > sequence;
        Ok(dir.file_bytes(CURRENT)?.is_some() || catalog::archives(dir)?.iter().any(is_newer))
    }

    /// Whether another directory has taken the place of ours, and is written to.
    fn has_moved(&mut self) -> bool {
        self.moved &= self.dir.as_ref().is_some_and(|dir| !dir.is_at(&self.path));
        self.moved && Dir::open(&self.path).and_then(|dir| dir.file_bytes(CURRENT)).is_ok_and(|found| found.is_some())
    }

    /// Is finished with the open file.
    fn leave(&mut self) {
        self.rest = self.block.rest().map(|(range, first)| Piece { range, first, last: true });
        self.start = last::Start::default();
        let Some(content) = self.open.take() else { return };
        let Some((name, is_unlinked)) = content.called().ok().filter(|_| content.can_grow()) else { return };
        match Archive::parse(&name) {
            Some(archive) => self.passed = archive.sequence,
            // It is still what is written, but in a directory that was moved.
            None if name == CURRENT && !is_unlinked => self.dir = None,
            // Somebody removed it, or gave it a name of his own.
            None => {}
        }
    }

    /// Opens the next file, or finds out that there is none.
    fn open_next(&mut self) -> io::Result<()> {
        if self.is_empty() && self.follows {
            self.look()?;
        }
        let start = self.start.bytes;
        if let Some(archive) = self.ahead.pop_front() {
            let content = self.dir.as_ref().map_or(Ok(None), |dir| Content::archive(dir, archive));
            let begun = content.and_then(|mut content| {
                content.iter_mut().try_for_each(|content| content.pass_over(start)).map(|()| content)
            });
            match begun {
                Ok(None) => self.note_purged(archive.sequence, archive.sequence),
                Ok(content) => self.open = content,
                Err(error) => {
                    self.troubles.push(Trouble::Unread { path: self.path.join(archive.to_string()), error });
                }
            }
            if self.open.is_none() {
                self.start = last::Start::default();
            }
            self.passed = archive.sequence;
        } else if let Some((file, bytes)) = self.current.take() {
            let mut content = Content::current(file, if self.follows { u64::MAX } else { bytes });
            content.pass_over(start)?;
            self.open = Some(content);
            self.passed = self.newest;
        } else {
            self.idle = true;
        }
        Ok(())
    }

    /// Finds out what has come since what was listed last.
    fn look(&mut self) -> io::Result<()> {
        loop {
            if self.dir.is_none() {
                match Dir::open(&self.path) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
                    dir => (self.dir, self.passed, self.moved) = (Some(dir?), 0, false),
                }
            }
            let Some(dir) = &self.dir else { return Ok(()) };
            let catalog::Listing { archives, current } = catalog::list(dir)?;
            self.newest = archives.last().map_or(0, |archive| archive.sequence);
            // Where everything was removed, a writer may count from the beginning again.
            self.passed = self.passed.min(self.newest);
            let gap = archives.iter().map(|archive| archive.sequence).find(|sequence| *sequence > self.passed);
            if let Some(next) = gap.filter(|next| self.passed > 0 && *next > self.passed + 1) {
                self.note_purged(self.passed + 1, next - 1);
            }
            let mut before = None;
            for archive in archives {
                if archive.sequence > self.passed && self.span.reaches(before, Some(archive.closed)) {
                    self.ahead.push_back(archive);
                }
                before = Some(archive.closed);
            }
            self.current = current.filter(|_| self.span.reaches(before, None));
            if !self.is_empty() || !self.has_moved() {
                return Ok(());
            }
            // All of the old directory has been read.
            self.dir = None;
        }
    }

    fn note_purged(&mut self, first: u64, last: u64) {
        self.troubles.push(Trouble::Purged { path: self.path.clone(), first, last });
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
