//! One series of log files: `current`, and the archives that it becomes.
//!
//! Rotation renames `current`, opens the next one and hands the old file over to be synced; each step can fail and is
//! tried again later, while lines go on into the file that is open. What a crash leaves behind, `open` reads from the
//! names: nothing but names and the last byte of `current` tells it.

use super::directory::{Append, Directory, write_all};
use crate::clock::{Now, Tick, Wall};
use crate::log::name::{Archive, CURRENT, Packed};
use crate::log::record::CUT_MARK;
use crate::log::retain::Stored;
use crate::log::rotate::{Policy, Step};
use memchr::memchr;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked whether somebody removed the file that is written.
const PRESENCE_EVERY: Duration = Duration::from_secs(1);
/// How long to wait before a rotation that failed is tried again.
const ROTATE_RETRY: Duration = Duration::from_secs(1);

/// A file that has become an archive and is still to be synced.
#[derive(Debug)]
pub struct Closed<F> {
    /// The file.
    pub file: F,
    /// Its name; not clean yet.
    pub archive: Archive,
    /// Writing to it failed: it will never be clean.
    pub failed: bool,
}

/// A write that did not get through.
#[derive(Debug)]
pub struct Short {
    /// How many bytes did.
    pub written: usize,
    /// Why not more.
    pub error: io::Error,
}

/// `current` and its archives.
#[derive(Debug)]
pub struct Series<D: Directory> {
    dir: Arc<D>,
    file: Option<D::File>,
    /// Size of the open file.
    bytes: u64,
    /// When its first line was written; none while it is empty.
    since: Option<Wall>,
    /// The highest sequence that an archive has.
    sequence: u64,
    step: Step,
    /// The name that the open file has when `step` is `Renamed`.
    archive: Option<Archive>,
    /// Writing to the open file failed.
    failed: bool,
    /// The open file ends in half a record, to which nothing must be glued.
    torn: bool,
    policy: Policy,
    rotate_after: Tick,
    look_after: Tick,
}

impl<D: Directory> Series<D> {
    /// Opens the series in a directory, cleaning up what a crash left. `sequence` is the highest that is remembered.
    ///
    /// # Errors
    /// What the directory says.
    pub fn open(dir: Arc<D>, policy: Policy, sequence: u64, now: Now) -> io::Result<Series<D>> {
        dir.make()?;
        let held = dir.open()?;
        let archives = recover(&held)?;
        let sequence = archives.iter().map(|s| s.archive.sequence).fold(sequence, u64::max);
        let mut series = Series {
            dir,
            file: None,
            bytes: 0,
            since: None,
            sequence,
            step: Step::Settled,
            archive: None,
            failed: false,
            torn: false,
            policy,
            rotate_after: Tick(0),
            look_after: now.tick.after(PRESENCE_EVERY),
        };
        series.open_current(&held, now)?;
        let newest = archives.iter().max_by_key(|s| s.archive.sequence).map(|s| s.archive.closed);
        if series.bytes > 0 {
            let born = series.file.as_ref().and_then(Append::born).map(Wall);
            series.since = Some(born.or(newest).unwrap_or(now.wall).min(now.wall));
        }
        Ok(series)
    }

    /// The directory.
    pub fn dir(&self) -> &Arc<D> {
        &self.dir
    }

    /// The highest sequence that an archive has.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether `current` should become an archive before `reserved` more bytes go into it.
    pub fn is_due(&self, reserved: u64, now: Now) -> bool {
        now.tick >= self.rotate_after
            && (self.step == Step::Renamed
                || (self.bytes > 0 && self.policy.is_due(self.bytes + reserved, self.since, now.wall)))
    }

    /// When `current` will be old enough, or a rotation that failed is to be tried again.
    pub fn deadline(&self, now: Now) -> Option<Tick> {
        let due =
            self.policy.due_at(self.since.filter(|_| self.bytes > 0)).map(|due| now.tick.after(due.until(now.wall)));
        let pending = self.step == Step::Renamed;
        due.or(pending.then_some(self.rotate_after)).map(|at| at.max(self.rotate_after))
    }

    /// Appends whole records. Stops before a record that belongs into the next file, where `reserved` bytes of this one
    /// are spoken for: then less than all is written, and a rotation is due. Without `reserved` all goes into this file.
    ///
    /// # Errors
    /// `Short` when the file takes no more: how much was written, and why.
    pub fn append(&mut self, records: &[u8], reserved: Option<u64>, now: Now) -> Result<usize, Short> {
        let end = match reserved.and_then(|reserved| self.policy.room(self.bytes + reserved)) {
            Some(room) if room < records.len() as u64 && now.tick >= self.rotate_after => {
                let from = (room as usize).saturating_sub(1);
                memchr(b'\n', &records[from..]).map_or(records.len(), |at| from + at + 1)
            }
            _ => records.len(),
        };
        if self.torn {
            self.mend().map_err(|error| Short { written: 0, error })?;
        }
        let mut written = 0;
        while written < end {
            let Some(file) = &self.file else { return Err(Short { written, error: io::ErrorKind::NotFound.into() }) };
            match file.write(&records[written..end]) {
                Ok(0) => return Err(Short { written, error: io::ErrorKind::WriteZero.into() }),
                Ok(more) => {
                    written += more;
                    self.bytes += more as u64;
                    self.since.get_or_insert(now.wall);
                }
                Err(error) => return Err(Short { written, error }),
            }
        }
        Ok(written)
    }

    fn mend(&mut self) -> io::Result<()> {
        if let Some(file) = &self.file {
            write_all(file, CUT_MARK)?;
            self.bytes += CUT_MARK.len() as u64;
            self.torn = false;
        }
        Ok(())
    }

    /// Takes back the last bytes written, down to the end of a record. Where that fails, the half record gets a mark
    /// before anything else is written.
    ///
    /// # Errors
    /// As ftruncate(2).
    pub fn take_back(&mut self, bytes: u64) -> io::Result<()> {
        if let Some(file) = &self.file {
            self.torn = true;
            file.truncate(self.bytes - bytes)?;
            self.torn = false;
            self.bytes -= bytes;
            self.since = self.since.filter(|_| self.bytes > 0);
        }
        Ok(())
    }

    /// Makes an archive of `current`, or goes on with doing so; the file that is finished with.
    ///
    /// # Errors
    /// The step that failed. It is tried again after a while, and meanwhile lines go on into the open file.
    pub fn rotate(&mut self, now: Now) -> io::Result<Option<Closed<D::File>>> {
        self.rotate_steps(now).inspect_err(|_| self.rotate_after = now.tick.after(ROTATE_RETRY))
    }

    fn rotate_steps(&mut self, now: Now) -> io::Result<Option<Closed<D::File>>> {
        let dir = self.dir.open()?;
        if self.step == Step::Settled {
            if self.file.is_none() {
                self.open_current(&dir, now)?;
            }
            let closed = Wall(now.wall.seconds() * 1_000_000);
            let archive = Archive { closed, sequence: self.sequence + 1, clean: false, packed: Packed::No };
            match dir.rename(CURRENT, &archive.to_string()) {
                Ok(()) => self.archive = Some(archive),
                // Somebody removed it; its lines are gone, but not through us.
                Err(e) if e.kind() == io::ErrorKind::NotFound => self.archive = None,
                Err(e) => return Err(e),
            }
            self.sequence += 1;
            self.step = Step::Renamed;
        }
        let next = dir.append(CURRENT)?;
        self.step = Step::Settled;
        self.rotate_after = Tick(0);
        self.bytes = next.size()?.0;
        self.since = (self.bytes > 0).then_some(now.wall);
        self.torn = false;
        let file = self.file.replace(next);
        let failed = std::mem::take(&mut self.failed);
        let done = file.zip(self.archive.take());
        Ok(done.map(|(file, archive)| Closed { file, archive, failed }))
    }

    /// The open file can no longer be trusted: it is rotated away and never called clean.
    ///
    /// # Errors
    /// As `rotate`.
    pub fn give_up_file(&mut self, now: Now) -> io::Result<Option<Closed<D::File>>> {
        self.failed = true;
        self.rotate(now)
    }

    /// Closes the file and opens what has its name now; in the directory that has the directory's name now, when that
    /// is another one.
    ///
    /// # Errors
    /// What the directory says. The old file stays open then.
    pub fn reopen(&mut self, now: Now) -> io::Result<()> {
        self.dir.follow()?;
        let dir = self.dir.open()?;
        self.open_current(&dir, now)
    }

    /// Goes by another policy from now on.
    pub fn reload(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Size of the open file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Closes the file; the next append opens it again.
    pub fn rest(&mut self) {
        if self.step == Step::Settled {
            self.file = None;
        }
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// As fdatasync(2).
    pub fn sync(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), Append::sync)
    }

    /// Whether the open file holds nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Deletes the oldest archive, to make room: which it was; none when there is none.
    ///
    /// # Errors
    /// What the directory says.
    pub fn remove_oldest(&self) -> io::Result<Option<Archive>> {
        let dir = self.dir.open()?;
        let oldest = archives(&dir)?.into_iter().map(|stored| stored.archive).min_by_key(|a| a.sequence);
        oldest.map(|archive| dir.remove(&archive.to_string()).map(|()| archive)).transpose()
    }

    /// Opens `current`, and ends the half line that a crash left in it.
    fn open_current(&mut self, dir: &D, now: Now) -> io::Result<()> {
        let file = dir.append(CURRENT)?;
        let mut bytes = file.size()?.0;
        if file.last_byte()?.is_some_and(|last| last != b'\n') {
            write_all(&file, CUT_MARK)?;
            bytes += CUT_MARK.len() as u64;
        }
        self.since = (bytes > 0).then(|| self.since.unwrap_or(now.wall));
        (self.file, self.bytes, self.step, self.archive) = (Some(file), bytes, Step::Settled, None);
        self.torn = false;
        Ok(())
    }

    /// Opens `current` where it rests. False when somebody has removed it, or the directory: then it is to be reopened.
    /// It is looked for once a second at most. To be called between records.
    ///
    /// # Errors
    /// What the directory says.
    pub fn is_there(&mut self, now: Now) -> io::Result<bool> {
        let Some(file) = &self.file else {
            let opened = self.dir.open().and_then(|dir| self.open_current(&dir, now));
            return match opened {
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
                opened => opened.map(|()| true),
            };
        };
        if now.tick < self.look_after || self.step != Step::Settled {
            return Ok(true);
        }
        self.look_after = now.tick.after(PRESENCE_EVERY);
        Ok(file.size()?.1)
    }
}

/// The archives in a directory; what is being compressed is none.
pub(super) fn archives<D: Directory>(dir: &D) -> io::Result<Vec<Stored>> {
    let mut stored = Vec::new();
    for name in dir.names()? {
        let Some(archive) = Archive::parse(&name).filter(|a| a.packed != Packed::Unfinished) else { continue };
        if let Some(bytes) = dir.file_bytes(&name)? {
            stored.push(Stored { archive, bytes });
        }
    }
    Ok(stored)
}

/// Removes what a crash left of a compression: the unfinished copy, or the original of a finished one.
fn recover<D: Directory>(dir: &D) -> io::Result<Vec<Stored>> {
    for name in dir.names()? {
        let Some(archive) = Archive::parse(&name) else { continue };
        let superfluous = match archive.packed {
            Packed::Unfinished => dir.file_bytes(&name)?.is_some(),
            Packed::No => {
                let packed = archive.with(archive.clean, Packed::Zstd).to_string();
                dir.file_bytes(&packed)?.is_some() && dir.file_bytes(&name)?.is_some()
            }
            Packed::Zstd => false,
        };
        if superfluous {
            dir.remove(&name)?;
        }
    }
    archives(dir)
}
