//! What must hold however long it goes on: many restarts, many shutdowns of trees that do not want to go. A hundredth of
//! both; all of them with `QUELL_TEST_WHOLE=1`, which also tells what it measured.

use super::{Up, children, configure, descriptors, until};
use crate::harness::{Folder, archives, running};
use serial_test::serial;
use std::io::Write;
use std::time::{Duration, Instant};

const RESTARTS: u32 = 100_000;
const SHUTDOWNS: u32 = 1000;
/// Before anything is measured.
const WARM: u32 = 1000;
/// So long nothing changes where nothing is being done.
const QUIET: Duration = Duration::from_millis(300);
const MIB: u64 = 1 << 20;

pub(super) fn is_whole() -> bool {
    std::env::var_os("QUELL_TEST_WHOLE").is_some()
}

pub(super) fn share(whole: u32) -> u32 {
    if is_whole() { whole } else { whole / 100 }
}

/// Tells what was measured.
pub(super) fn report(text: &str) {
    if is_whole() {
        // Past the capture of tests that succeed.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

/// What a supervisor holds while nothing of its workers runs.
#[derive(Debug)]
struct Held {
    descriptors: usize,
    children: usize,
    resident: u64,
}

impl Held {
    fn by(up: &Up) -> Held {
        let pid = up.pid();
        until("no child is left", || children(pid).is_empty());
        // The last lives' pipes are read out and the last archives compressed, when there have been as few descriptors as
        // ever for a while.
        let (mut least, mut since) = (usize::MAX, Instant::now());
        until("what the last lives took is given back", || {
            let now = descriptors(pid).len();
            if now != least {
                since = Instant::now();
            }
            least = least.min(now);
            since.elapsed() > QUIET
        });
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        Held {
            descriptors: least,
            children: children(pid).len(),
            resident: resident.unwrap().parse::<u64>().unwrap() << 10,
        }
    }
}

/// A worker that ends at once is started again and again: it takes no more of anything.
#[test]
#[serial]
fn restarts() {
    let mut up = Up::start(
        "[worker.brief]\ncommand = [\"/bin/true\"]\nrestart = \"always\"\nbackoff = { first = \"0s\", max = \"0s\" }\n\
         log = { rotate = \"16KiB\", retain.routine = \"1d, 64KiB\" }\n",
    );
    let many = |up: &mut Up, count: u32| {
        for _ in 0..count {
            up.until("brief: exited 0");
            up.forget();
        }
        up.must(&["stop", "brief"]);
        Held::by(up)
    };
    // All that is made once is there by then: the log has been rotated, and what compresses it has had as much to do as it
    // ever has.
    let before = many(&mut up, WARM);
    let dir = up.folder.join("log/brief");
    assert!(archives(&dir).iter().any(|name| name.ends_with(".zst")), "{:?}", archives(&dir));
    up.must(&["start", "brief", "--no-wait"]);
    let count = share(RESTARTS);
    let began = Instant::now();
    let after = many(&mut up, count);
    report(&format!("{count} restarts in {:?}: before {before:?}, after {after:?}", began.elapsed()));
    assert_eq!((after.descriptors, after.children), (before.descriptors, before.children));
    assert!(after.resident <= before.resident + MIB, "before {before:?}, after {after:?}");
    up.down();
}

/// A tree of 200: all ignore TERM and hold the pipe; some are in sessions of their own, some have lost their parents, some
/// both. It says when it is grown.
const TREE: &str = r#"
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
here, there = os.pipe()

def stay():
    os.write(there, b"x")
    while True:
        signal.pause()

for n in range(200):
    if os.fork():
        if n % 4 > 1:
            os.wait()
        continue
    if n % 2:
        os.setsid()
    if n % 4 > 1 and os.fork():
        os._exit(0)
    stay()

grown = 0
while grown < 200:
    grown += len(os.read(here, 200))
print("grown", flush=True)
while True:
    signal.pause()
"#;

const GRACE: Duration = Duration::from_millis(200);

/// C4, C5: trees that do not want to go are ended to the last process, again and again.
#[test]
#[serial]
fn shutdowns() {
    let folder = Folder::new();
    let tree = folder.write("tree.py", TREE).display().to_string();
    let worker = format!(
        "[worker.tree]\ncommand = [\"python3\", \"{tree}\"]\nready = {{ line = \"grown\" }}\nstop.grace = \"{}ms\"\n",
        GRACE.as_millis()
    );
    let path = configure(&folder, &worker);
    let mut up = Up::of(folder, path);
    up.ready("tree");
    let mut took = Vec::new();
    for n in 0..share(SHUTDOWNS) {
        if n > 0 {
            up.must(&["start", "tree"]);
        }
        let began = Instant::now();
        up.must(&["stop", "tree"]);
        took.push(began.elapsed());
        let left = running(&tree);
        assert!(left.is_empty(), "shutdown {n}: {left:?} are left");
    }
    until("all are reaped", || children(up.pid()).is_empty());
    took.sort();
    let [median, longest] = [took[took.len() / 2], took[took.len() - 1]].map(|took| took.saturating_sub(GRACE));
    report(&format!("{} shutdowns: grace and {median:?}, grace and {longest:?} at most", took.len()));
    up.down();
}
