//! What is purged, and when.

use crate::harness::{Folder, archives, feed, names, quell, start, wait_until};
use quell::clock::Wall;
use quell::log::name::{Archive, Packed};
use quell::sys::time;
use std::process::Stdio;
use std::time::Duration;

fn name(sequence: u64, closed: Wall) -> String {
    Archive { closed, sequence, clean: true, packed: Packed::No }.to_string()
}

fn ago(span: u64) -> Wall {
    Wall(time::now().wall.0 - span as i64 * 1_000_000)
}

const DECOYS: [&str; 6] = [
    "@20200101T000000.000001Z",
    "@20200101T000000.000001Z.s.gz",
    "@20200101T000000.1Z.s",
    "old.log",
    "current.1",
    "@x.s",
];

/// A13: what only looks like an archive is left alone.
#[test]
fn what_is_past_its_age_is_gone_at_start_and_nothing_else() {
    let folder = Folder::new();
    DECOYS.iter().for_each(|decoy| drop(folder.write(decoy, "not ours")));
    std::fs::create_dir(folder.join("critical")).unwrap();
    std::fs::create_dir(folder.join(&name(9, ago(864_000)))).unwrap();
    std::os::unix::fs::symlink("old.log", folder.join(&name(8, ago(864_000)))).unwrap();
    let (old, young) = (name(1, ago(8 * 86400)), name(2, ago(6 * 86400)));
    folder.write(&old, "old\n");
    folder.write(&young, "young\n");
    folder.write(&format!("critical/{old}"), "old, but critical\n");
    let mut expected = names(folder.path());
    expected.retain(|name| *name != old);
    expected.extend(["current", "ledger.json", "lock"].map(str::to_owned));
    expected.sort();
    let done = feed(quell().args(["log", "--compress", "none"]).arg(folder.path()), b"x\n");
    assert_eq!((done.code(), done.stderr.as_str()), (0, ""));
    assert_eq!(names(folder.path()), expected);
    assert_eq!(archives(&folder.join("critical")), [old]);
}

/// While quell idles, an archive goes within a second of its expiry: that is a deadline, not something looked for.
#[test]
fn what_expires_while_quell_idles_is_purged_at_once() {
    let folder = Folder::new();
    std::fs::create_dir(folder.join("critical")).unwrap();
    let lives = Duration::from_secs(3600);
    let closed = Wall(ago(3600).after(Duration::from_secs(2)).seconds() * 1_000_000);
    let (expiring, staying) = (name(1, closed), name(2, ago(10)));
    for path in [&expiring, &staying, &format!("critical/{expiring}")] {
        folder.write(path, "x\n");
    }
    let mut command = quell();
    command.args(["log", "--compress", "none", "--retain", "routine=1h"]).arg(folder.path()).stdin(Stdio::piped());
    let mut running = start(&mut command);
    let stdin = running.stdin();
    wait_until(folder.path(), "the start", || folder.join("ledger.json").exists());
    wait_until(folder.path(), "the expiry", || !folder.join(&expiring).exists());
    let late = time::now().wall.0 - closed.after(lives).0;
    assert!((0..1_000_000).contains(&late), "{late} us after its expiry");
    assert!(folder.join(&staying).exists() && folder.join("critical").join(&expiring).exists());
    drop(stdin);
    assert_eq!(running.done().code(), 0);
}

#[test]
fn all_files_together_stay_below_the_limit() {
    let folder = Folder::new();
    let input: Vec<u8> = (0..20_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    let args = ["log", "--compress", "none", "--stamp", "none", "--rotate", "8KiB", "--retain", "routine=32KiB"];
    let done = feed(quell().args(args).arg(folder.path()), &input);
    assert_eq!((done.code(), done.stderr.as_str()), (0, ""));
    let bytes = |name: &str| std::fs::metadata(folder.join(name)).unwrap().len();
    let kept = archives(folder.path());
    let total: u64 = kept.iter().map(|name| bytes(name)).sum();
    assert!(kept.len() == 2 && total + bytes("current") < 32 * 1024 + 20, "{kept:?}: {total}");
    assert!(std::fs::read(folder.join("current")).unwrap().ends_with(b"line 19999\n"), "the newest stay");
}
