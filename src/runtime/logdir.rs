//! A log directory as its one writer sees it: lines go in; files are rotated, synced and purged; a disk that takes no
//! more is answered as the policy says.
//!
//! The order when the disk is full: the oldest routine archives go first; for critical lines the oldest critical ones go
//! last; then the writer waits (`block`) or drops and counts (`drop`). A file that failed in any other way is rotated
//! away, never called clean, and the next one is tried.

mod trouble;

use super::accounts;
use super::backlog::{Outgoing, Trouble, Waiting};
use super::directory::Directory;
use super::keeper::{Keeper, Keepers};
use super::series::{Closed, Series, Short};
use super::syncer::{Job, Notice, Which};
use crate::clock::{Now, Tick, earliest};
use crate::log::ledger::{Count, Ledger, SUMMARY_BYTES_MAX};
use crate::log::name::{CRITICAL, CURRENT};
use crate::log::record::{self, Batch, last_record_end};
use crate::log::settings::{Overflow, Settings, Sync};
use crate::log::stamp::Stamp;
use std::io;
use std::sync::Arc;
use std::time::Duration;

const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// The log directory.
#[derive(Debug)]
pub struct LogDir<D: Directory> {
    main: Series<D>,
    critical: Option<Box<Series<D>>>,
    label: Arc<str>,
    settings: Arc<Settings>,
    keeper: Keeper<D>,
    waiting: Option<Box<Waiting>>,
    trouble: Option<Box<Trouble>>,
    /// What is to be told of the trouble, to whoever asks.
    news: Option<String>,
    /// What had been read when the ledger was last stored.
    stored: Count,
}

impl<D: Directory> LogDir<D> {
    /// Opens the directory, whose lock the caller holds, and goes on with what is in it: files, sequence and ledger. It is
    /// made where it does not exist. `label` is its name in messages.
    ///
    /// # Errors
    /// What the directory says.
    pub fn open(
        dir: Arc<D>,
        label: Arc<str>,
        settings: Arc<Settings>,
        ledger: &mut Ledger,
        keepers: &mut Keepers<D>,
        now: Now,
    ) -> io::Result<LogDir<D>> {
        accounts::resume(&*dir, ledger)?;
        let folder = Arc::new(D::below(&dir, CRITICAL));
        let critical = match folder.open() {
            Ok(_) => Some(Box::new(Series::open(folder, settings.rotate, ledger.sequences[1], now)?)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        let main = Series::open(dir.clone(), settings.rotate, ledger.sequences[0], now)?;
        let keeper = keepers.keep(dir, settings.clone())?;
        let stored = ledger.total().read;
        let mut logdir =
            LogDir { main, critical, label, settings, keeper, waiting: None, trouble: None, news: None, stored };
        if let Some(series) = &mut logdir.critical {
            series.rest();
        }
        // From now on a kill is seen; before the first line, so that there is none without this.
        logdir.remember_sequences(ledger);
        accounts::store(&**logdir.main.dir(), &ledger.to_json(true), false)?;
        Ok(logdir)
    }

    /// Goes by other settings from now on. What waits is answered by them, too.
    pub fn reload(&mut self, settings: Arc<Settings>) {
        self.main.reload(settings.rotate);
        if let Some(series) = &mut self.critical {
            series.reload(settings.rotate);
        }
        self.keeper.reload(settings.clone());
        self.settings = settings;
    }

    /// The files that are written and the archives, in bytes; these as last looked at.
    pub fn bytes(&self) -> u64 {
        self.main.bytes() + self.critical.as_ref().map_or(0, |series| series.bytes()) + self.keeper.archived()
    }

    /// Why the disk takes no more, while it does not.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_ref().map(|trouble| trouble.error.as_str())
    }

    /// What has come of the trouble, once.
    pub fn take_news(&mut self) -> Option<String> {
        self.news.take()
    }

    /// What stands before each record.
    pub fn stamp(&self) -> &Stamp {
        &self.settings.stamp
    }

    /// Appends records; `critical` are those of them that are critical or anomalies. What the disk does not take waits
    /// (`is_waiting`) or is dropped. Nothing may be waiting.
    pub fn append(&mut self, batch: Batch, records: &[u8], critical: &[u8], ledger: &mut Ledger, now: Now) {
        debug_assert!(self.waiting.is_none(), "records would overtake those that wait");
        let mut outgoing = Outgoing { batch, records, written: 0, critical, critical_written: 0 };
        if !self.attempt(&mut outgoing, ledger, now) {
            self.waiting = Some(Box::new(Waiting::new(&outgoing, RETRY_FIRST, now.tick)));
        }
    }

    /// Whether the disk takes no more for now: nothing must be read, for it could not be written.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Writes a line of quell's own: a mark, a summary, a notice. It is lost where the disk is full.
    pub fn own_line(&mut self, text: &str, ledger: &mut Ledger, now: Now) {
        if self.waiting.is_none() {
            self.rotate_if_due(Which::Main, ledger, now);
            self.own_record(text, now);
        }
    }

    /// When there is something to do that no line and no message brings.
    pub fn deadline(&self, now: Now) -> Option<Tick> {
        if let Some(waiting) = &self.waiting {
            return Some(waiting.retry_at);
        }
        let critical = self.critical.as_ref().and_then(|series| series.deadline(now));
        earliest([self.main.deadline(now), critical])
    }

    /// Does what is due: a file that is old enough, a write that failed.
    pub fn due(&mut self, ledger: &mut Ledger, now: Now) {
        if self.waiting.as_ref().is_some_and(|w| w.retry_at <= now.tick) {
            self.retry(ledger, now);
        }
        if self.waiting.is_none() {
            Which::BOTH.into_iter().for_each(|which| self.rotate_if_due(which, ledger, now));
        }
    }

    /// Tries again to write what waits.
    pub fn retry(&mut self, ledger: &mut Ledger, now: Now) {
        let Some(mut waiting) = self.waiting.take() else { return };
        let Waiting { batch, written, critical_written, .. } = *waiting;
        let (records, critical) = (&waiting.records[..], &waiting.critical[..]);
        let mut outgoing = Outgoing { batch, records, written, critical, critical_written };
        if !self.attempt(&mut outgoing, ledger, now) {
            (waiting.written, waiting.critical_written) = (outgoing.written, outgoing.critical_written);
            waiting.backoff = (waiting.backoff * 2).min(RETRY_MAX);
            waiting.retry_at = now.tick.after(waiting.backoff);
            self.waiting = Some(waiting);
        }
    }

    /// Rotates now, if there is anything to rotate.
    pub fn rotate(&mut self, ledger: &mut Ledger, now: Now) {
        if self.waiting.is_some() {
            return;
        }
        if !self.main.is_empty() {
            self.rotate_series(Which::Main, ledger, now);
        }
        if self.critical.as_ref().is_some_and(|series| !series.is_empty()) {
            self.rotate_series(Which::Critical, ledger, now);
        }
    }

    /// Opens the files anew, and the directory too where another has its name now.
    ///
    /// # Errors
    /// What the directory says; then all stays as it was.
    pub fn reopen(&mut self, now: Now) -> io::Result<()> {
        if let Some(mut waiting) = self.waiting.take() {
            // A record that is half out goes into the new file as a whole.
            self.take_back(Which::Main, &waiting.records, waiting.written);
            self.take_back(Which::Critical, &waiting.critical, waiting.critical_written);
            waiting.written = last_record_end(&waiting.records, waiting.written);
            waiting.critical_written = last_record_end(&waiting.critical, waiting.critical_written);
            self.waiting = Some(waiting);
        }
        self.reopen_files(now)
    }

    fn reopen_files(&mut self, now: Now) -> io::Result<()> {
        self.main.reopen(now)?;
        self.critical = None;
        Ok(())
    }

    /// Tries once more, and drops what still waits.
    pub fn give_up(&mut self, ledger: &mut Ledger, now: Now) {
        self.retry(ledger, now);
        if let Some(waiting) = self.waiting.take() {
            self.drop_rest(waiting.batch, &waiting.records, waiting.written, ledger);
        }
    }

    /// Writes the summary and the ledger and closes the files; what still waits is dropped. `done` is called, in another
    /// thread, when all of it is durable.
    pub fn finish(mut self, ledger: &mut Ledger, now: Now, done: Notice) {
        self.give_up(ledger, now);
        if let Some(trouble) = &mut self.trouble {
            trouble.say_after = now.tick;
            self.say_dropped(now);
        }
        self.summarise(ledger, now);
        self.store(ledger, false);
        self.keeper.finish(done);
    }

    /// One attempt to write what is left of a batch; false when some of it must wait. The copies of critical lines go
    /// first, so that what is counted as written stands in both files.
    fn attempt(&mut self, out: &mut Outgoing<'_>, ledger: &mut Ledger, now: Now) -> bool {
        let blocks = self.settings.overflow == Overflow::Block;
        self.say_dropped(now);
        let copied = self.push(Which::Critical, out.critical, &mut out.critical_written, ledger, now);
        if let Err(e) = &copied {
            self.troubled(e, now);
            if blocks {
                return false;
            }
            self.take_back(Which::Critical, out.critical, out.critical_written);
            out.critical_written = out.critical.len();
        }
        if let Some(series) = &mut self.critical {
            series.rest();
        }
        match self.push(Which::Main, out.records, &mut out.written, ledger, now) {
            Ok(()) => {
                ledger.stream(out.batch.stream).written += out.batch.count;
                if copied.is_ok() {
                    self.relieved(now);
                }
                true
            }
            Err(e) => {
                self.troubled(&e, now);
                if !blocks {
                    self.drop_rest(out.batch, out.records, out.written, ledger);
                }
                !blocks
            }
        }
    }

    /// Appends records to a series, rotating where it is due, and making room where there is none.
    fn push(
        &mut self,
        which: Which,
        records: &[u8],
        written: &mut usize,
        ledger: &mut Ledger,
        now: Now,
    ) -> io::Result<()> {
        if *written == records.len() {
            return Ok(());
        }
        self.open_critical(which, ledger, now)?;
        self.keeper.owe(which);
        while *written < records.len() {
            // Files change between records only.
            if last_record_end(records, *written) == *written {
                self.rotate_if_due(which, ledger, now);
                self.look_for(which, ledger, now)?;
            }
            let reserved = self.reserved(which, ledger);
            match self.series(which).append(&records[*written..], Some(reserved), now) {
                Ok(more) => *written += more,
                Err(Short { written: more, error }) => {
                    *written += more;
                    if !self.relieve(which, &error, records, written, ledger, now) {
                        return Err(error);
                    }
                }
            }
        }
        match self.settings.sync {
            Sync::Always => self.sync_now(which, ledger, now),
            Sync::After(_) => self.keeper.dirty(which),
            Sync::Rotation => {}
        }
        Ok(())
    }

    /// Makes room, or a new file, after a write that failed: whether it is worth another try.
    fn relieve(
        &mut self,
        which: Which,
        error: &io::Error,
        records: &[u8],
        written: &mut usize,
        ledger: &mut Ledger,
        now: Now,
    ) -> bool {
        match error.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => self.trim(which),
            _ if self.series(which).is_empty() => false,
            _ => {
                // Only what is truncated away here is written again.
                let whole = last_record_end(records, *written);
                self.take_back(which, records, *written);
                *written = whole;
                let Ok(closed) = self.series(which).give_up_file(now) else { return false };
                tracing::error!("{error}; the next file is tried");
                self.hand_over(which, closed, ledger);
                true
            }
        }
    }

    /// Deletes the oldest routine archive; for critical lines, when there is none, the oldest critical one.
    fn trim(&mut self, which: Which) -> bool {
        let for_critical = self.critical.as_deref().filter(|_| which == Which::Critical);
        for series in [Some(&self.main), for_critical].into_iter().flatten() {
            if let Ok(Some(archive)) = series.remove_oldest() {
                tracing::warn!("{}: the disk is full: deleted {archive} to make room", self.label);
                return true;
            }
        }
        false
    }

    /// Counts the rest of a batch as dropped, and cuts a half record off the file.
    fn drop_rest(&mut self, batch: Batch, records: &[u8], written: usize, ledger: &mut Ledger) {
        self.take_back(Which::Main, records, written);
        let whole = batch.count_of(records, last_record_end(records, written));
        let mut lost = batch.count;
        lost -= whole;
        let tally = ledger.stream(batch.stream);
        tally.written += whole;
        tally.dropped += lost;
        if let Some(trouble) = &mut self.trouble {
            trouble.dropped += lost;
        }
    }

    fn take_back(&mut self, which: Which, records: &[u8], written: usize) {
        let half = written - last_record_end(records, written);
        if half > 0
            && let Err(e) = self.series(which).take_back(half as u64)
        {
            tracing::error!("cannot cut off a half line: {e}");
        }
    }

    fn rotate_if_due(&mut self, which: Which, ledger: &mut Ledger, now: Now) {
        let due = match which {
            Which::Main => self.main.is_due(self.reserved(which, ledger), now),
            Which::Critical => self.critical.as_ref().is_some_and(|series| series.is_due(0, now)),
        };
        if due {
            self.rotate_series(which, ledger, now);
        }
    }

    fn rotate_series(&mut self, which: Which, ledger: &mut Ledger, now: Now) {
        if which == Which::Main {
            self.summarise(ledger, now);
        }
        match self.series(which).rotate(now) {
            Ok(closed) => self.hand_over(which, closed, ledger),
            Err(e) => tracing::warn!("cannot rotate {}: {e}", self.series(which).dir().path().display()),
        }
        if which == Which::Critical {
            self.series(which).rest();
        }
    }

    fn hand_over(&mut self, which: Which, closed: Option<Closed<D::File>>, ledger: &mut Ledger) {
        if let Some(closed) = closed {
            self.keeper.send(Job::Closed(which, closed));
        }
        self.store(ledger, true);
    }

    fn store(&mut self, ledger: &mut Ledger, unclean: bool) {
        self.remember_sequences(ledger);
        // Where nothing was counted, what is stored says the same; only that this is a clean end is new.
        let counted = ledger.total().read;
        let durable = unclean || std::mem::replace(&mut self.stored, counted) != counted;
        self.keeper.send(Job::Ledger { json: ledger.to_json(unclean), durable });
    }

    fn remember_sequences(&self, ledger: &mut Ledger) {
        let critical = self.critical.as_ref().map_or(ledger.sequences[1], |series| series.sequence());
        ledger.sequences = [self.main.sequence(), critical];
    }

    fn summarise(&mut self, ledger: &mut Ledger, now: Now) {
        if let Some(text) = ledger.summary()
            && self.own_record(&text, now)
        {
            ledger.summarised();
        }
    }

    /// Whether it could be written.
    fn own_record(&mut self, text: &str, now: Now) -> bool {
        let record = record::own(text, &self.settings.stamp, now.wall);
        if let Err(Short { written, error }) = self.main.append(&record, None, now) {
            tracing::debug!("cannot write {text:?}: {error}");
            self.take_back(Which::Main, &record, written);
            return false;
        }
        if matches!(self.settings.sync, Sync::After(_)) {
            self.keeper.dirty(Which::Main);
        }
        true
    }

    fn sync_now(&mut self, which: Which, ledger: &mut Ledger, now: Now) {
        if let Err(e) = self.series(which).sync() {
            tracing::error!("{e}; lines may not be durable, and the next file is tried");
            match self.series(which).give_up_file(now) {
                Ok(closed) => self.hand_over(which, closed, ledger),
                Err(e) => tracing::error!("cannot open another: {e}"),
            }
        }
    }

    /// Room that is left for the summary line when the file is closed.
    fn reserved(&self, which: Which, ledger: &Ledger) -> u64 {
        if which == Which::Main && ledger.has_summary() { SUMMARY_BYTES_MAX as u64 } else { 0 }
    }

    /// Makes anew what somebody removed.
    fn look_for(&mut self, which: Which, ledger: &Ledger, now: Now) -> io::Result<()> {
        if !self.main.is_there(now)? {
            tracing::warn!("somebody removed {}; it is made anew", self.main.dir().path().join(CURRENT).display());
            self.reopen_files(now)?;
        }
        self.open_critical(which, ledger, now)?;
        if which == Which::Critical && !self.series(which).is_there(now)? {
            self.critical = None;
            self.open_critical(which, ledger, now)?;
        }
        Ok(())
    }

    fn open_critical(&mut self, which: Which, ledger: &Ledger, now: Now) -> io::Result<()> {
        if which == Which::Critical && self.critical.is_none() {
            let folder = Arc::new(D::below(self.main.dir(), CRITICAL));
            self.critical = Some(Box::new(Series::open(folder, self.settings.rotate, ledger.sequences[1], now)?));
        }
        Ok(())
    }

    fn series(&mut self, which: Which) -> &mut Series<D> {
        match (which, &mut self.critical) {
            (Which::Critical, Some(series)) => series,
            _ => &mut self.main,
        }
    }
}

#[cfg(test)]
#[path = "logdir_tests.rs"]
mod tests;
