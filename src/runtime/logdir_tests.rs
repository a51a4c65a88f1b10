//! A model of a directory, in which step n fails, for ever or once, or is the last before a crash; for every n.

use super::*;
use crate::clock::Wall;
use crate::log::name::Archive;
use crate::log::retain;
use crate::runtime::directory::Append;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// The step has half of its effect, and nothing after it has any.
    Crash,
    /// The step fails.
    Once(i32),
    /// The step fails, and so does every later one of its kind.
    Always(i32),
}

#[derive(Debug, Default)]
struct Disk {
    folders: BTreeSet<String>,
    files: BTreeMap<String, Arc<Mutex<Vec<u8>>>>,
    /// What was deleted, to make room.
    trimmed: BTreeMap<String, Arc<Mutex<Vec<u8>>>>,
    step: usize,
    fault: Option<(usize, Fault)>,
    /// The kind of step that fails from now on.
    failing: Option<(&'static str, i32)>,
    crashed: bool,
}

#[derive(Clone, Debug)]
struct Model {
    disk: Arc<Mutex<Disk>>,
    prefix: String,
}

#[derive(Debug)]
struct ModelFile {
    disk: Arc<Mutex<Disk>>,
    bytes: Arc<Mutex<Vec<u8>>>,
}

fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

impl Disk {
    /// Counts a step: how many of `bytes` take effect, or why it fails.
    fn step(&mut self, kind: &'static str, bytes: usize) -> io::Result<usize> {
        if self.crashed {
            return Err(errno(libc::EIO));
        }
        if let Some((_, number)) = self.failing.filter(|(failing, _)| *failing == kind) {
            return Err(errno(number));
        }
        self.step += 1;
        match self.fault.filter(|(at, _)| *at == self.step).map(|(_, fault)| fault) {
            None => Ok(bytes),
            Some(Fault::Crash) => {
                self.crashed = true;
                if bytes > 1 { Ok(bytes / 2) } else { Err(errno(libc::EIO)) }
            }
            // A disk that fills up takes a part of what it is given before it refuses the rest.
            Some(Fault::Once(libc::ENOSPC)) if bytes > 1 => {
                self.fault = Some((self.step + 1, Fault::Once(libc::ENOSPC)));
                Ok((bytes / 3).max(1))
            }
            Some(Fault::Once(number)) => Err(errno(number)),
            Some(Fault::Always(number)) => {
                self.failing = Some((kind, number));
                Err(errno(number))
            }
        }
    }
}

impl Model {
    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn file(&self, bytes: &Arc<Mutex<Vec<u8>>>) -> ModelFile {
        ModelFile { disk: self.disk.clone(), bytes: bytes.clone() }
    }
}

impl Directory for Model {
    type File = ModelFile;

    fn names(&self) -> io::Result<Vec<String>> {
        let disk = self.disk.lock().unwrap();
        let inner = disk.files.keys().filter_map(|key| key.strip_prefix(&self.prefix));
        let mut names: Vec<_> = inner.map(|name| name.split('/').next().unwrap().to_owned()).collect();
        names.dedup();
        Ok(names)
    }
    fn file_bytes(&self, name: &str) -> io::Result<Option<u64>> {
        let disk = self.disk.lock().unwrap();
        Ok(disk.files.get(&self.key(name)).map(|bytes| bytes.lock().unwrap().len() as u64))
    }
    fn append(&self, name: &str) -> io::Result<ModelFile> {
        let mut disk = self.disk.lock().unwrap();
        let key = self.key(name);
        if !disk.files.contains_key(&key) {
            disk.step("open", 1)?;
        }
        Ok(self.file(disk.files.entry(key).or_default()))
    }
    fn create_new(&self, name: &str) -> io::Result<ModelFile> {
        self.append(name)
    }
    fn read(&self, name: &str) -> io::Result<Box<dyn Read>> {
        let disk = self.disk.lock().unwrap();
        let bytes = disk.files.get(&self.key(name)).ok_or(io::ErrorKind::NotFound)?.lock().unwrap().clone();
        Ok(Box::new(io::Cursor::new(bytes)))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        disk.step("rename", 1)?;
        let file = disk.files.remove(&self.key(from)).ok_or(io::ErrorKind::NotFound)?;
        disk.files.insert(self.key(to), file);
        Ok(())
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        disk.step("remove", 1)?;
        let key = self.key(name);
        if let Some(bytes) = disk.files.remove(&key) {
            disk.trimmed.insert(key, bytes);
        }
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        self.disk.lock().unwrap().step("sync", 1).map(drop)
    }
    fn below(parent: &Arc<Model>, name: &str) -> Model {
        Model { disk: parent.disk.clone(), prefix: format!("{}{name}/", parent.prefix) }
    }
    fn make(&self) -> io::Result<()> {
        self.disk.lock().unwrap().folders.insert(self.prefix.clone());
        Ok(())
    }
    fn open(&self) -> io::Result<Model> {
        let there = self.disk.lock().unwrap().folders.contains(&self.prefix);
        if there { Ok(self.clone()) } else { Err(io::ErrorKind::NotFound.into()) }
    }
    fn follow(&self) -> io::Result<bool> {
        Ok(false)
    }
    fn path(&self) -> PathBuf {
        "model".into()
    }
}

impl Append for ModelFile {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.disk.lock().unwrap().step("write", bytes.len())?;
        self.bytes.lock().unwrap().extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }
    fn sync(&self) -> io::Result<()> {
        self.disk.lock().unwrap().step("sync", 1).map(drop)
    }
    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.disk.lock().unwrap().step("truncate", 1)?;
        self.bytes.lock().unwrap().truncate(bytes as usize);
        Ok(())
    }
    fn size(&self) -> io::Result<(u64, bool)> {
        Ok((self.bytes.lock().unwrap().len() as u64, true))
    }
    fn last_byte(&self) -> io::Result<Option<u8>> {
        Ok(self.bytes.lock().unwrap().last().copied())
    }
    fn born(&self) -> Option<i64> {
        None
    }
}

const LINES: usize = 60;
const BATCH: usize = 6;

fn settings(overflow: Overflow, sync: Sync) -> Settings {
    Settings {
        rotate: "4KiB".parse().unwrap(),
        routine: retain::Policy::default(),
        critical: retain::Policy::default(),
        stamp: Stamp::None,
        compress: false,
        sync,
        overflow,
    }
}

fn now(turn: usize) -> Now {
    Now { tick: Tick(turn as u64 * 1_000_000_000), wall: Wall(turn as i64 * 1_000_000) }
}

/// A line of some 300 bytes, so that a file holds about 13.
fn line(number: usize) -> String {
    format!("line {number:04} {}", "x".repeat(300))
}

fn open(model: &Model, overflow: Overflow, sync: Sync, ledger: &mut Ledger) -> io::Result<LogDir<Model>> {
    let settings = Arc::new(settings(overflow, sync));
    LogDir::open(Arc::new(model.clone()), "model".into(), settings, ledger, &mut Keepers::inline(), now(0))
}

/// Writes all lines, every tenth of them critical; gives up when the disk has crashed, or after some time.
fn write_all(log: &mut LogDir<Model>, ledger: &mut Ledger, model: &Model) -> usize {
    let mut turn = 1;
    for batch in (0..LINES).collect::<Vec<_>>().chunks(BATCH) {
        let text = |numbers: &[usize]| numbers.iter().map(|n| line(*n) + "\n").collect::<String>();
        let heavy: Vec<_> = batch.iter().copied().filter(|n| n % 10 == 0).collect();
        let records = text(batch);
        let count = Count { lines: batch.len() as u64, bytes: records.len() as u64 };
        ledger.stream(0).read += count;
        let shape = Batch { stream: 0, count, prefix_bytes: 0, single: false };
        log.append(shape, records.as_bytes(), text(&heavy).as_bytes(), ledger, now(turn));
        for _ in 0..20 {
            turn += 1;
            log.due(ledger, now(turn));
        }
        if log.is_waiting() || model.disk.lock().unwrap().crashed {
            break;
        }
    }
    turn
}

/// All records of a series, in reading order; those of archives that made room too.
fn records(model: &Model, folder: &str) -> Vec<String> {
    let disk = model.disk.lock().unwrap();
    let mut files: Vec<_> = disk
        .trimmed
        .iter()
        .chain(&disk.files)
        .filter_map(|(key, bytes)| {
            let name = key.strip_prefix(folder)?;
            let order = match Archive::parse(name) {
                Some(archive) => archive.sequence,
                None if name == "current" => u64::MAX,
                None => return None,
            };
            Some((order, String::from_utf8(bytes.lock().unwrap().clone()).unwrap()))
        })
        .collect();
    files.sort();
    files.iter().flat_map(|(_, text)| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Every record is a line of ours, whole and in order, none twice, or the marked half of one: the whole ones.
fn whole_lines(records: &[String], context: &str) -> Vec<usize> {
    let mut found = Vec::new();
    for record in records.iter().filter(|record| !record.starts_with("quell: ")) {
        if let Some(half) = record.strip_suffix(" \\") {
            assert!((0..LINES + 9).any(|n| line(n).starts_with(half)), "{context}: glued: {record}");
            continue;
        }
        let number: usize =
            record.get(5..9).and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{context}: {record}"));
        assert_eq!(*record, line(number), "{context}: glued or torn");
        found.push(number);
    }
    assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "{context}: doubled or out of order: {found:?}");
    found
}

/// Runs the workload with a fault at step n, for every n there is.
fn for_every_step(fault: Fault, overflow: Overflow, sync: Sync, check: impl Fn(&Model, &Ledger, &str)) {
    for n in 1.. {
        let model = Model { disk: Arc::default(), prefix: String::new() };
        model.disk.lock().unwrap().fault = Some((n, fault));
        let context = format!("{fault:?} at step {n} ({overflow:?}, {sync:?})");
        let mut ledger = Ledger::new(&["stdin"]);
        if let Ok(mut log) = open(&model, overflow, sync, &mut ledger) {
            let turn = write_all(&mut log, &mut ledger, &model);
            if !model.disk.lock().unwrap().crashed {
                log.finish(&mut ledger, now(turn + 100), Box::new(|| ()));
            }
        }
        let reached = {
            let mut disk = model.disk.lock().unwrap();
            let reached = disk.step >= n;
            (disk.fault, disk.failing, disk.crashed) = (None, None, false);
            reached
        };
        if !reached {
            assert!(n > 60, "the workload has many steps: {n}");
            return;
        }
        check(&model, &ledger, &context);
    }
}

/// After a crash at any step the next start loses, doubles and glues nothing that was written.
#[test]
fn a_crash_at_every_step() {
    for sync in [Sync::Rotation, Sync::Always, Sync::After(Duration::from_secs(1))] {
        for_every_step(Fault::Crash, Overflow::Block, sync, |model, ledger, context| {
            let acknowledged = ledger.total().written.lines as usize;
            let mut next = Ledger::new(&["stdin"]);
            let mut log = open(model, Overflow::Block, sync, &mut next).unwrap_or_else(|e| panic!("{context}: {e}"));
            let record = line(LINES) + "\n";
            let count = Count { lines: 1, bytes: record.len() as u64 };
            next.stream(0).read += count;
            let batch = Batch { stream: 0, count, prefix_bytes: 0, single: false };
            log.append(batch, record.as_bytes(), record.as_bytes(), &mut next, now(500));
            log.finish(&mut next, now(501), Box::new(|| ()));
            let found = whole_lines(&records(model, ""), context);
            assert!(
                (0..acknowledged).all(|n| found.contains(&n)),
                "{context}: {acknowledged} written, {found:?} found"
            );
            assert_eq!(found.last(), Some(&LINES), "{context}: it goes on");
            let heavy = whole_lines(&records(model, "critical/"), context);
            assert!((0..acknowledged).filter(|n| n % 10 == 0).all(|n| heavy.contains(&n)), "{context}: {heavy:?}");
        });
    }
}

/// A1, A11: an error at any step, once: under `block` nothing is lost.
#[test]
fn an_error_at_every_step_loses_nothing_under_block() {
    for number in [libc::ENOSPC, libc::EIO, libc::EMFILE] {
        for_every_step(Fault::Once(number), Overflow::Block, Sync::Rotation, |model, ledger, context| {
            if ledger.total().read.lines == 0 {
                return; // It could not be opened, and said so.
            }
            let found = whole_lines(&records(model, ""), context);
            assert_eq!(found, (0..LINES).collect::<Vec<_>>(), "{context}");
            assert_eq!(ledger.total().written.lines as usize, LINES, "{context}");
            let heavy = whole_lines(&records(model, "critical/"), context);
            assert_eq!(heavy, (0..LINES).step_by(10).collect::<Vec<_>>(), "{context}");
        });
    }
}

/// An error at any step, once or for good, under `drop` and `block`: the ledger says just what is in the files.
#[test]
fn the_ledger_is_equal_to_the_true_loss() {
    for fault in
        [Fault::Once(libc::ENOSPC), Fault::Once(libc::EIO), Fault::Always(libc::ENOSPC), Fault::Always(libc::EIO)]
    {
        for overflow in [Overflow::Drop, Overflow::Block] {
            for sync in [Sync::Rotation, Sync::Always] {
                for_every_step(fault, overflow, sync, |model, ledger, context| {
                    let total = ledger.total();
                    let found = whole_lines(&records(model, ""), context);
                    // Where even truncating fails, a half line may be left: it is marked at the next start.
                    assert_eq!(total.written.lines as usize, found.len(), "{context}: {total:?}");
                    assert_eq!(total.buffered, Count::default(), "{context}: {total:?}");
                    assert_eq!(total.read.lines, total.written.lines + total.dropped.lines, "{context}");
                    assert_eq!(total.read.bytes, total.written.bytes + total.dropped.bytes, "{context}");
                });
            }
        }
    }
}

/// Where a worker has printed nothing, the end waits for no disk, and is a clean one; one that has printed waits.
#[test]
fn an_end_without_lines_syncs_nothing() {
    for lines in [0, 1] {
        let model = Model { disk: Arc::default(), prefix: String::new() };
        let mut ledger = Ledger::new(&["stdin"]);
        let mut log = open(&model, Overflow::Block, Sync::After(Duration::from_secs(10)), &mut ledger).unwrap();
        log.own_line("started", &mut ledger, now(1));
        let record = line(0) + "\n";
        let count = Count { lines, bytes: lines * record.len() as u64 };
        ledger.stream(0).read += count;
        if lines > 0 {
            let batch = Batch { stream: 0, count, prefix_bytes: 0, single: false };
            log.append(batch, record.as_bytes(), b"", &mut ledger, now(2));
        }
        model.disk.lock().unwrap().failing = Some(("sync", libc::EIO));
        log.own_line("exited", &mut ledger, now(3));
        log.finish(&mut ledger, now(4), Box::new(|| ()));
        let disk = model.disk.lock().unwrap();
        let stored = String::from_utf8(disk.files["ledger.json"].lock().unwrap().clone()).unwrap();
        assert_eq!(stored.contains("unclean"), lines > 0, "the store of {lines} lines waited in vain: {stored}");
    }
}
