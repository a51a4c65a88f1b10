//! The register of lives: the main process of each life that may still go on, written down in the state directory. Should
//! quell be killed, the next one can name who is left, though they have overwritten the environment by which they would be
//! known. That is all that it is good for: nobody is signalled by a number from a file.
//!
//! It is written by a thread of its own, for the state directory may be on a disk that hangs; and never synced, for no
//! number in it means anything after a power loss.

use super::orphans::Life;
use super::state::State;
use crate::clock::Tick;
use crate::sys::dir::{Dir, LogFile};
use crate::sys::peek::{self, Pipes};
use crate::sys::proc::{self, Stat};
use crate::sys::thread;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Its name in the state directory, and what it is called until it is whole.
const NAME: &str = "lives";
const NEW: &str = "lives.new";
/// More than this is no register.
const BYTES_MAX: usize = 4 << 20;
/// How many notes may wait for the disk; what comes then is not written down.
const NOTES_MAX: usize = 256;
/// So many lines of lives that are over, beside as many as go on, and it is written anew.
const SPARE_LINES: usize = 64;

/// A life that was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its main process; the session that this one has made has the same number.
    pub main: i32,
    /// When that was started, in ticks since boot.
    pub started: u64,
    /// Whose it is.
    pub life: Life,
}

impl Record {
    /// A line of the register. What was not written to its end is none, or names a life that nobody asks for.
    fn parse(line: &str) -> Option<Record> {
        let mut words = line.split(' ');
        let (main, started) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Record { main, started, life: Life::parse(words.next()?)? })
    }

    /// Whether a process is of this life: the main one, or one of its session, where that number is still the same one's
    /// or nobody's. `stat` looks at processes.
    #[must_use]
    pub fn has(&self, process: &Stat, stat: impl Fn(i32) -> Option<Stat>) -> bool {
        let is_near = process.pid == self.main || process.session == self.main;
        let is_same = || stat(self.main).is_none_or(|leader| leader.started == self.started);
        is_near && process.started >= self.started && is_same()
    }
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.main, self.started, self.life)
    }
}

/// What an earlier supervisor of this state directory has written down; nothing where its numbers mean nothing any more.
#[must_use]
pub fn read(state: &State) -> Vec<Record> {
    let bytes = peek::whole(&state.path().join(NAME), BYTES_MAX, Pipes::Refused).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    match lines.next().zip(proc::realm()) {
        Some((head, realm)) if head == realm => lines.filter_map(Record::parse).collect(),
        _ => Vec::new(),
    }
}

/// A task's life that is over sooner is not written down: what is over so soon costs more than it tells.
const BRIEF: Duration = Duration::from_millis(20);

/// The register, as the control plane sees it: it never waits for it.
#[derive(Debug)]
pub struct Register {
    notes: SyncSender<Note>,
    /// Lives that may be brief ones, the oldest first, and until when that is so.
    young: VecDeque<(Tick, i32, Life)>,
}

/// What there is to write down.
#[derive(Debug)]
enum Note {
    /// A life began with this process.
    Began(i32, Life),
    /// Nothing is left of the life that began with it.
    Over(i32),
}

impl Register {
    /// Begins one anew, with what is `kept` of an earlier one.
    ///
    /// # Errors
    /// As open(2) and pthread_create(3).
    pub fn open(state: &State, kept: Vec<Record>) -> io::Result<Register> {
        let mut book = Book::new(Dir::open(state.path())?, kept);
        let (notes, inbox) = sync_channel(NOTES_MAX);
        // It ends with us, wherever it is by then: nobody waits for the disk that it may wait for.
        drop(thread::spawn("register", move || while book.turn(&inbox) {})?);
        Ok(Register { notes, young: VecDeque::new() })
    }

    /// A life has begun, with a child of ours.
    pub fn began(&self, main: i32, life: Life) {
        self.note(Note::Began(main, life));
    }

    /// The same, of a life that may be over soon.
    pub fn began_task(&mut self, main: i32, life: Life, now: Tick) {
        self.young.push_back((now.after(BRIEF), main, life));
    }

    /// Nothing is left of the life that began with this process.
    pub fn over(&mut self, main: i32) {
        match self.young.iter().position(|(_, young, _)| *young == main) {
            Some(at) => drop(self.young.remove(at)),
            None => self.note(Note::Over(main)),
        }
    }

    /// When there is something to write down.
    #[must_use]
    pub fn deadline(&self) -> Option<Tick> {
        self.young.front().map(|(at, ..)| *at)
    }

    /// Writes down the lives that are not as brief as they might have been.
    pub fn due(&mut self, now: Tick) {
        while let Some((_, main, life)) = self.young.pop_front_if(|(at, ..)| *at <= now) {
            self.note(Note::Began(main, life));
        }
    }

    fn note(&self, note: Note) {
        // Where there is no room, somebody may go unnamed who is left.
        let _ = self.notes.try_send(note);
    }
}

/// The register, as its thread sees it.
#[derive(Debug)]
struct Book {
    dir: Dir,
    /// The lives that go on, by their main processes.
    living: BTreeMap<i32, Record>,
    /// None until it was written as a whole.
    file: Option<LogFile>,
    lines: usize,
}

impl Book {
    fn new(dir: Dir, kept: Vec<Record>) -> Book {
        let living = kept.into_iter().map(|record| (record.main, record)).collect();
        Book { dir, living, file: None, lines: 0 }
    }

    /// Waits for notes and takes all that there are; false when none will come any more.
    fn turn(&mut self, inbox: &Receiver<Note>) -> bool {
        let Ok(first) = inbox.recv() else { return false };
        let notes = std::iter::once(first).chain(inbox.try_iter());
        let begun: Vec<_> = notes.filter_map(|note| self.take(note)).collect();
        if !begun.is_empty()
            && let Err(e) = self.write(&begun)
        {
            // It is written anew with the next note.
            self.file = None;
            tracing::warn!("cannot write down which processes are whose: {e}");
        }
        true
    }

    /// The record that a note makes.
    fn take(&mut self, note: Note) -> Option<Record> {
        match note {
            Note::Began(main, life) => {
                let is_child = |stat: &Stat| stat.parent == std::process::id() as i32;
                let started = proc::stat(main).filter(is_child)?.started;
                let record = Record { main, started, life };
                self.living.insert(main, record.clone());
                Some(record)
            }
            Note::Over(main) => {
                self.living.remove(&main);
                None
            }
        }
    }

    /// Adds lines; writes it anew where most of its lines are of lives that are over.
    fn write(&mut self, begun: &[Record]) -> io::Result<()> {
        self.lines += begun.len();
        match &self.file {
            Some(file) if self.lines <= 2 * self.living.len() + SPARE_LINES => write_all(file, &lines(begun.iter())),
            _ => self.write_anew(),
        }
    }

    fn write_anew(&mut self) -> io::Result<()> {
        self.dir.remove(NEW)?;
        let file = self.dir.create_new(NEW)?;
        let realm = proc::realm().unwrap_or_default();
        write_all(&file, &format!("{realm}\n{}", lines(self.living.values())))?;
        self.dir.rename(NEW, NAME)?;
        (self.file, self.lines) = (Some(file), self.living.len());
        Ok(())
    }
}

fn lines<'a>(records: impl Iterator<Item = &'a Record>) -> String {
    records.map(|record| format!("{record}\n")).collect()
}

fn write_all(file: &LogFile, text: &str) -> io::Result<()> {
    let mut left = text.as_bytes();
    while !left.is_empty() {
        left = &left[file.write(left)?..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(main: i32, started: u64) -> Record {
        Record { main, started, life: Life { worker: "web.2".into(), nonce: 7 } }
    }

    fn stat(pid: i32, session: i32, started: u64) -> Stat {
        Stat {
            pid,
            name: String::new(),
            parent: 1,
            session,
            started,
            is_stopped: false,
            is_ending: false,
            has_ended: false,
        }
    }

    #[test]
    fn a_line() {
        assert_eq!(record(12, 345).to_string(), "12 345 web.2.7");
        assert_eq!(Record::parse("12 345 web.2.7"), Some(record(12, 345)));
        for torn in ["", "12", "12 345", "12 345 we", "12 345 web.", "x 345 web.7"] {
            assert_eq!(Record::parse(torn), None, "{torn}");
        }
    }

    /// C6: who has the number of another now is not taken for it.
    #[test]
    fn whose_a_process_is() {
        let same = |pid: i32| Some(stat(pid, pid, 100));
        let other = |pid: i32| Some(stat(pid, pid, 200));
        let nobody = |_: i32| None;
        let life = record(10, 100);
        assert!(life.has(&stat(10, 10, 100), same) && life.has(&stat(11, 10, 150), same));
        assert!(life.has(&stat(11, 10, 150), nobody), "the main process is gone, the session is not");
        assert!(!life.has(&stat(10, 10, 200), other) && !life.has(&stat(11, 10, 250), other));
        assert!(!life.has(&stat(11, 10, 50), nobody), "it was there before");
        assert!(!life.has(&stat(11, 11, 150), same));
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        assert_eq!(read(&state), []);
        let kept = record(1, 1);
        let mut book = Book::new(Dir::open(state.path()).unwrap(), vec![kept.clone()]);
        for main in 2..1000 {
            let begun = record(main, 5);
            book.living.insert(main, begun.clone());
            book.write(std::slice::from_ref(&begun)).unwrap();
            let written = read(&state);
            assert!(written.contains(&kept) && written.contains(&begun));
            assert!(written.len() <= 4 + SPARE_LINES, "{}", written.len());
            book.take(Note::Over(main));
        }
        // Another boot, or another namespace.
        let text = std::fs::read_to_string(state.path().join(NAME)).unwrap();
        std::fs::write(state.path().join(NAME), format!("x{text}")).unwrap();
        assert_eq!(read(&state), []);
    }
}
