//! The output plane with many workers, as a supervisor uses it: pipes in, log directories out, messages both ways.

use crate::harness::{Folder, Ledger, contents, names};
use quell::line::list;
use quell::line::rules::RuleSet;
use quell::log::settings::{Overflow, Settings, Sync};
use quell::log::stamp::Stamp;
use quell::runtime::directory::{OnDisk, Owning};
use quell::runtime::keeper::Keepers;
use quell::runtime::plane::{FromPlane, Plane, Snapshot, Spec, ToPlane, WorkerId};
use quell::runtime::sorting::{Kept, Sorting};
use quell::sys::fd;
use quell::sys::poller::Poller;
use serial_test::serial;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(30);

/// A plane, and the supervisor's ends of all that leads to it.
struct House {
    plane: Plane,
    news: Receiver<FromPlane>,
    logs: PathBuf,
    /// The number of each worker's newest life.
    lives: RefCell<HashMap<u32, u32>>,
    /// The plane wakes it; it must not go before the plane.
    _poller: Poller,
}

/// The ends that a worker writes to.
struct Ends {
    stdout: File,
    stderr: File,
}

fn sorting(patterns: &[&str]) -> Sorting {
    let text = patterns.join("\n");
    let list = list::parse("test", text.as_bytes(), &mut |_, _| Err("nothing is included here".into())).unwrap();
    Sorting::new(Arc::new(RuleSet::new(list.rules)), Kept::default())
}

fn spec(dir: &str, patterns: &[&str]) -> Spec {
    Spec {
        label: dir.into(),
        dir: dir.into(),
        settings: Arc::new(Settings {
            rotate: "64MiB".parse().unwrap(),
            routine: "7d,1GiB".parse().unwrap(),
            critical: "90d,256MiB".parse().unwrap(),
            stamp: Stamp::None,
            compress: false,
            sync: Sync::After(Duration::from_secs(10)),
            overflow: Overflow::Block,
        }),
        sorting: sorting(patterns),
        line_bytes_max: 1 << 20,
        latency: Duration::from_millis(5),
        ready: None,
        watchwords: None,
    }
}

impl House {
    fn new(logs: &Path) -> House {
        let Owning::Ours(root) = OnDisk::own(logs).unwrap() else { panic!("nobody else writes here") };
        let poller = Poller::new().unwrap();
        let (told, news) = channel();
        let waker = Arc::new(poller.waker(0).unwrap());
        let plane = Plane::start(Some(Arc::new(root)), Vec::new(), Keepers::new(), told, waker).unwrap();
        House { plane, news, logs: logs.to_owned(), lives: RefCell::default(), _poller: poller }
    }

    fn attach(&self, worker: u32, spec: Spec) {
        self.lives.borrow_mut().insert(worker, 0);
        self.plane.send(ToPlane::Attach(WorkerId(worker), Box::new(spec)));
    }

    fn begin(&self, worker: u32, mark: &str) -> Ends {
        let (stdout, stdout_end) = fd::pipe().unwrap();
        let (stderr, stderr_end) = fd::pipe().unwrap();
        let life = self
            .lives
            .borrow_mut()
            .get_mut(&worker)
            .map(|life| {
                *life += 1;
                *life
            })
            .unwrap_or(1);
        let (worker, mark) = (WorkerId(worker), Some(mark.into()));
        self.plane.send(ToPlane::Begin { worker, life, tag: None, stdout, stderr, mark });
        let file = |end: OwnedFd| File::from(end);
        Ends { stdout: file(stdout_end), stderr: file(stderr_end) }
    }

    fn drain(&self, worker: u32, window: Duration, mark: &str) {
        let (life, mark) = (self.lives.borrow().get(&worker).copied().unwrap_or(1), Some(mark.into()));
        self.plane.send(ToPlane::Drain { worker: WorkerId(worker), life, window, mark });
    }

    /// Waits for something that the plane says; what comes before is passed over.
    fn hear<T>(&self, what: &str, mut is_it: impl FnMut(FromPlane) -> Option<T>) -> T {
        loop {
            let news = self.news.recv_timeout(LIMIT).unwrap_or_else(|e| panic!("waited for {what}: {e}"));
            if let Some(found) = is_it(news) {
                return found;
            }
        }
    }

    fn hear_ended(&self, expected: (u32, u32)) {
        self.hear("the end of output", |news| match news {
            FromPlane::OutputEnded { worker, life, .. } => ((worker.0, life) == expected).then_some(()),
            _ => None,
        });
    }

    fn snapshot(&self, workers: &[u32]) -> Vec<Snapshot> {
        self.plane.send(ToPlane::Snapshot(7, workers.iter().copied().map(WorkerId).collect()));
        self.hear("a snapshot", |news| match news {
            FromPlane::Snapshot { ticket, workers } => {
                assert_eq!(ticket, 7);
                Some(workers.into_iter().map(|(_, snapshot)| snapshot).collect())
            }
            _ => None,
        })
    }

    /// Asks until something holds of a worker.
    fn until(&self, worker: u32, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let end = Instant::now() + LIMIT;
        let mut asked = std::iter::repeat_with(|| self.snapshot(&[worker]).remove(0));
        let found = asked.find(|snapshot| holds(snapshot) || Instant::now() > end).unwrap();
        assert!(holds(&found), "{what} never came: {found:?}");
        found
    }

    fn text(&self, worker: &str) -> String {
        String::from_utf8(contents(&self.logs.join(worker))).unwrap()
    }

    /// Finishes: what each worker's ledger says.
    fn finish(self) -> Vec<Ledger> {
        self.plane.send(ToPlane::Finish);
        self.plane.join();
        let all: Vec<_> = self.news.try_iter().collect();
        assert!(matches!(all.last(), Some(FromPlane::Ended)), "the last of all");
        let mut ledgers: Vec<_> = all
            .iter()
            .filter_map(|news| match news {
                FromPlane::Detached { worker, ledger, .. } => Some((*worker, ledger.to_json(false))),
                _ => None,
            })
            .collect();
        ledgers.sort();
        ledgers.iter().map(|(_, json)| Ledger::new(std::str::from_utf8(json).unwrap())).collect()
    }
}

/// A restart needs only the exit: what the old life still prints is read beside the new one, and never glued to it.
#[test]
fn lives_are_kept_apart() {
    let folder = Folder::new();
    let house = House::new(folder.path());
    house.attach(1, spec("web", &["beat"]));
    let mut old = house.begin(1, "started pid 10");
    old.stdout.write_all(b"beat\nold half ").unwrap();
    house.until(1, "the old half", |s| s.tally.read.bytes == 14);
    house.drain(1, LIMIT, "exited 0 (pid 10)");
    let mut new = house.begin(1, "started pid 11");
    new.stdout.write_all(b"new half ").unwrap();
    new.stderr.write_all(b"and an error\n").unwrap();
    house.until(1, "the new half", |s| s.tally.read.bytes == 14 + 22);
    old.stdout.write_all(b"is whole\n").unwrap();
    drop(old);
    house.hear_ended((1, 1));
    new.stdout.write_all(b"is whole, too\nno newline").unwrap();
    drop(new);
    house.hear_ended((1, 2));
    house.drain(1, LIMIT, "exited 3 (pid 11)");
    let logs = house.logs.clone();
    let snapshot = house.snapshot(&[1, 99]);
    assert_eq!(snapshot.len(), 1, "of those that are attached");
    assert_eq!(snapshot[0].last_line.as_deref(), Some("no newline"));
    let (rule, count) = snapshot[0].top_rule.clone().unwrap();
    assert_eq!((rule.pattern.as_str(), count.lines), ("beat", 1));
    let ledger = house.finish().remove(0);
    assert_eq!((ledger.lines("in"), ledger.lines("suppressed"), ledger.lines("written")), (5, 1, 4));
    let text = String::from_utf8(contents(&logs.join("web"))).unwrap();
    let expected = [
        "quell: started pid 10",
        "quell: started pid 11",
        "and an error",
        "old half is whole",
        "quell: exited 0 (pid 10)",
        "new half is whole, too",
        "no newline \\",
        "quell: exited 3 (pid 11)",
    ];
    assert_eq!(text.lines().take(8).collect::<Vec<_>>(), expected, "{text}");
    assert_eq!(snapshot[0].log_bytes as usize, text.find("quell: suppressed").unwrap());
}

/// The readiness line counts before it is sorted, in each life anew.
#[test]
fn the_line_of_readiness_may_be_noise() {
    let folder = Folder::new();
    let house = House::new(folder.path());
    house.attach(4, Spec { ready: Some(b"accepting".to_vec()), ..spec("db", &["accepting"]) });
    for life in 1..3 {
        let mut ends = house.begin(4, "started");
        ends.stderr.write_all(b"now accepting connections\naccepting\n").unwrap();
        house.hear("readiness", |news| match news {
            FromPlane::Ready { worker: WorkerId(4), life: in_life } => (in_life == life).then_some(()),
            _ => None,
        });
        drop(ends);
        house.hear_ended((4, life));
    }
    assert_eq!(house.finish()[0].lines("suppressed"), 4);
}

/// B6: a pipe that is held is drained until it falls silent, then given up, and the mark comes after all of it.
#[test]
fn a_held_pipe_is_given_up() {
    let folder = Folder::new();
    let house = House::new(folder.path());
    house.attach(1, spec("web", &[]));
    let mut ends = house.begin(1, "started");
    ends.stdout.write_all(b"one\n").unwrap();
    house.drain(1, Duration::from_millis(50), "exited");
    house.hear_ended((1, 1));
    assert_eq!(house.text("web"), "quell: started\none\nquell: exited\n");
    assert_eq!(ends.stdout.write_all(b"two\n").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    let held = house.begin(1, "started");
    house.drain(1, LIMIT, "exited");
    house.plane.send(ToPlane::Release(WorkerId(1)));
    house.hear_ended((1, 2));
    drop(held);
    house.finish();
}

/// A4: a link in place of a worker's directory is not followed. Under `block` its lines wait until there is a directory.
#[test]
fn a_link_in_place_of_a_directory() {
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    let link = folder.join("web");
    std::os::unix::fs::symlink(elsewhere.path(), &link).unwrap();
    let house = House::new(folder.path());
    house.attach(1, spec("web", &[]));
    house.hear("trouble", |news| match news {
        FromPlane::LogTrouble { worker: WorkerId(1), text } => text.contains("cannot log to").then_some(()),
        _ => None,
    });
    let mut ends = house.begin(1, "started");
    ends.stdout.write_all(b"kept\n").unwrap();
    let snapshot = &house.snapshot(&[1])[0];
    assert!(snapshot.waiting.is_some() && snapshot.tally.read.bytes == 0, "{snapshot:?}");
    std::fs::remove_file(link).unwrap();
    house.until(1, "the line", |s| s.tally.written.lines == 1 && s.waiting.is_none());
    assert_eq!(house.text("web"), "kept\n");
    house.finish();
    assert_eq!(names(elsewhere.path()), Vec::<String>::new());
}

/// A1: where a log cannot be opened, under `drop` the lines are dropped and counted; noise counts as noise.
#[test]
fn a_log_that_cannot_be_opened_drops_and_counts() {
    let folder = Folder::new();
    let blocked = folder.write("web", "no directory");
    let mut settings = spec("web", &["beat"]);
    Arc::make_mut(&mut settings.settings).overflow = Overflow::Drop;
    let house = House::new(folder.path());
    house.attach(1, settings);
    let mut ends = house.begin(1, "started");
    ends.stdout.write_all(b"lost\nbeat\n").unwrap();
    house.until(1, "the loss", |s| s.tally.dropped.lines == 1 && s.tally.suppressed.lines == 1);
    std::fs::remove_file(blocked).unwrap();
    house.until(1, "the log", |s| s.waiting.is_none());
    ends.stdout.write_all(b"kept\n").unwrap();
    house.until(1, "the line", |s| s.tally.written.lines == 1);
    let ledger = house.finish().remove(0);
    assert_eq!((ledger.lines("in"), ledger.lines("dropped"), ledger.lines("written")), (3, 1, 1));
}

/// A1: a disk that is full for many workers: under `block` all wait, little is held for each, and nothing is lost.
#[cfg(feature = "full-tests")]
#[test]
#[serial]
fn a_disk_that_is_full_for_many() {
    const WORKERS: u32 = 40;
    const LINES: usize = 600;
    let disk = crate::disk::Disk::new("size=4m");
    let house = House::new(&disk.0.join("logs"));
    let line = format!("{}\n", "x".repeat(99));
    let mut all = Vec::new();
    for worker in 0..WORKERS {
        house.attach(worker, spec(&format!("w{worker}"), &[]));
        all.push(house.begin(worker, "started"));
    }
    let ids: Vec<_> = (0..WORKERS).collect();
    house.snapshot(&ids);
    // It fills up before all is said.
    let filler = disk.0.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    for ends in &mut all {
        // As much as a pipe holds.
        ends.stdout.write_all(line.repeat(LINES).as_bytes()).unwrap();
    }
    for worker in &ids {
        house.until(*worker, "the wait", |s| s.waiting.is_some());
    }
    let held: u64 = house.snapshot(&ids).iter().map(|s| s.tally.buffered.bytes).sum();
    assert!(held < 1 << 20, "{held} bytes are held");
    std::fs::remove_file(filler).unwrap();
    for worker in &ids {
        house.until(*worker, "all lines", |s| s.tally.written.lines == LINES as u64 && s.waiting.is_none());
    }
    assert!(house.finish().iter().all(|ledger| ledger.lines("dropped") == 0));
}

/// A reload applies in place, at a line's end; rotation and reopening do their work while lines come.
#[test]
fn reload_rotate_and_reopen() {
    let folder = Folder::new();
    let house = House::new(folder.path());
    house.attach(1, spec("web", &["beat"]));
    let mut ends = house.begin(1, "started");
    ends.stdout.write_all(b"beat\nplain\nha").unwrap();
    house.until(1, "the half", |s| s.tally.read.bytes == 13);
    let mut anew = spec("web", &["plain"]);
    Arc::make_mut(&mut anew.settings).stamp = Stamp::Tai64n;
    house.plane.send(ToPlane::Reload(WorkerId(1), Box::new(anew)));
    ends.stdout.write_all(b"lf\nbeat\nplain\n").unwrap();
    house.until(1, "the rest", |s| s.tally.read.lines == 5);
    let text = house.text("web");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[..2], ["quell: started", "plain"]);
    assert!(lines[2].starts_with("@4") && lines[2].ends_with(" half") && lines[3].ends_with(" beat"), "{text}");
    house.plane.send(ToPlane::Rotate(WorkerId(1)));
    house.plane.send(ToPlane::Mark(WorkerId(1), "marked".into()));
    house.snapshot(&[1]);
    let dir = folder.join("web");
    assert!(std::fs::read_to_string(dir.join("current")).unwrap().ends_with("quell: marked\n"));
    std::fs::rename(dir.join("current"), dir.join("moved away")).unwrap();
    house.plane.send(ToPlane::Reopen(WorkerId(1)));
    ends.stdout.write_all(b"beat\n").unwrap();
    house.until(1, "the line", |s| s.tally.read.lines == 6);
    assert!(std::fs::read_to_string(dir.join("current")).unwrap().ends_with(" beat\n"));
    assert!(std::fs::read_to_string(dir.join("moved away")).unwrap().ends_with("quell: marked\n"));
    house.finish();
}

/// A3: a worker's directory, or that of all workers, that somebody removed is made anew.
#[test]
fn removed_directories_are_made_anew() {
    let folder = Folder::new();
    let logs = folder.join("logs");
    let house = House::new(&logs);
    for worker in [1, 2] {
        house.attach(worker, spec(&format!("w{worker}"), &[]));
    }
    let mut ends = [1, 2].map(|worker| house.begin(worker, "started"));
    house.snapshot(&[1, 2]);
    std::fs::remove_dir_all(&logs).unwrap();
    for worker in [1, 2] {
        house.plane.send(ToPlane::Reopen(WorkerId(worker)));
        ends[worker as usize - 1].stdout.write_all(b"on it goes\n").unwrap();
        house.until(worker, "the line", |s| s.tally.written.lines == 1);
        assert_eq!(house.text(&format!("w{worker}")), "on it goes\n");
    }
    assert!(logs.join("lock").exists(), "it is locked anew");
    assert_eq!(house.finish().len(), 2);
    assert_eq!(Ledger::of(&logs.join("w1")).lines("written"), 1);
}

/// B1, B8: unfinished lines share one budget: when there are too many, the longest are cut, and nothing is lost.
#[test]
fn unfinished_lines_share_a_budget() {
    const STREAMS: u32 = 40;
    const LINE_BYTES: usize = 500_000;
    let folder = Folder::new();
    let house = House::new(folder.path());
    let part = vec![b'x'; LINE_BYTES / 2];
    let mut all = Vec::new();
    for worker in 0..STREAMS {
        house.attach(worker, spec(&format!("w{worker}"), &[]));
        all.push(house.begin(worker, "started"));
    }
    for half in 1..3 {
        for (worker, ends) in (0..).zip(&mut all) {
            ends.stdout.write_all(&part).unwrap();
            house.until(worker, "the half", |s| s.tally.read.bytes == half * part.len() as u64);
        }
    }
    let ids: Vec<_> = (0..STREAMS).collect();
    let held: u64 = house.snapshot(&ids).iter().map(|s| s.tally.buffered.bytes).sum();
    assert!(held < 10 << 20, "{held} bytes are held back");
    all.iter_mut().for_each(|ends| ends.stdout.write_all(b"end\n").unwrap());
    drop(all);
    (0..STREAMS).for_each(|worker| {
        house.until(worker, "the end", |s| s.tally.written.bytes == LINE_BYTES as u64 + 4);
    });
    let ledgers = house.finish();
    assert!(ledgers.iter().all(|ledger| ledger.lines("in") == 1 && ledger.lines("written") == 1));
    let xs = |dir: &str| contents(&folder.join(dir)).iter().filter(|b| **b == b'x').count();
    assert!(ids.iter().all(|worker| xs(&format!("w{worker}")) == LINE_BYTES));
}

/// B12: workers that flood hold up neither another one's line nor an answer.
#[test]
#[serial]
fn a_flood_delays_nobody() {
    const FLOODING: u32 = 8;
    let folder = Folder::new();
    let house = House::new(folder.path());
    let flood = b"a line that nobody reads, for there are so many of them\n".repeat(146);
    let mut floods = Vec::new();
    for worker in 0..FLOODING {
        house.attach(worker, spec(&format!("w{worker}"), &["nobody reads"]));
        let mut ends = house.begin(worker, "started");
        let flood = flood.clone();
        // It ends when its pipe is given up.
        floods.push(std::thread::spawn(move || while ends.stdout.write_all(&flood).is_ok() {}));
    }
    house.attach(99, Spec { ready: Some(b"hello".to_vec()), ..spec("quiet", &[]) });
    house.until(0, "the flood", |s| s.tally.suppressed.lines > 1000);
    let mut ends = house.begin(99, "started");
    ends.stdout.write_all(b"hello\n").unwrap();
    house.hear("readiness", |news| matches!(news, FromPlane::Ready { worker: WorkerId(99), .. }).then_some(()));
    let ids: Vec<_> = (0..FLOODING).collect();
    let before = house.snapshot(&ids);
    house.until(0, "some more", |s| s.tally.read.lines > before[0].tally.read.lines + 200_000);
    let shares: Vec<_> = house
        .snapshot(&ids)
        .iter()
        .zip(&before)
        .map(|(now, was)| now.tally.read.lines - was.tally.read.lines)
        .collect();
    let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
    assert!(least * 4 > *most, "each has its turn: {shares:?}");
    house.finish();
    floods.into_iter().for_each(|flood| flood.join().unwrap());
}

/// Set for the process that does nothing else than hold a plane, and how many workers that has.
const CENSUS: &str = "QUELL_TEST_PLANE_CENSUS";
const WORKERS: u32 = 1000;
const FIRST: u32 = 8;

/// A thousand logged workers at rest: 3 KiB and 3 descriptors for each, however long their list is. The census is taken in
/// a process of its own: this test, started once more.
#[test]
#[serial]
fn a_worker_at_rest_takes_little() {
    if std::env::var_os(CENSUS).is_some() {
        return census();
    }
    let mut itself = Command::new(std::env::current_exe().unwrap());
    itself.args(["--exact", "plane::a_worker_at_rest_takes_little", "--nocapture"]).env(CENSUS, "1");
    let done = crate::harness::finish(&mut itself);
    assert!(done.status.success() && done.text().contains("1 passed"), "{done:?}");
}

fn census() {
    let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap().1;
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, limit, limit).unwrap();
    let folder = Folder::new();
    let patterns: Vec<_> = (0..20).map(|n| format!("pattern {n} of some length or other")).collect();
    let shared = spec("", &patterns.iter().map(String::as_str).collect::<Vec<_>>());
    let house = House::new(folder.path());
    let begin = |worker: u32| {
        house.attach(worker, Spec { dir: format!("w{worker}"), ..shared.clone() });
        let mut ends = house.begin(worker, "started pid 1234");
        writeln!(ends.stdout, "a line of some hundred bytes, as a worker prints one when it starts and has not")
            .unwrap();
        house.until(worker, "the line", |s| s.tally.written.lines == 1);
        ends
    };
    // The first few bring up what there is one of, and the code that was given back with the first line.
    let mut all: Vec<_> = (0..FIRST).map(begin).collect();
    let (bytes, open) = (own_bytes(), names(Path::new("/proc/self/fd")).len());
    all.extend((FIRST..FIRST + WORKERS).map(begin));
    let each = (own_bytes() - bytes) / u64::from(WORKERS);
    // Two ends of each worker's are the test's own.
    let descriptors = (names(Path::new("/proc/self/fd")).len() - open) / WORKERS as usize - 2;
    assert!(each <= 3 << 10, "{each} bytes for each worker");
    assert!(descriptors <= 3, "{descriptors} descriptors for each worker");
    drop(all);
    house.finish();
}

/// What this process takes of the machine's memory for itself. The pages of its program come and go with what is run.
fn own_bytes() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
