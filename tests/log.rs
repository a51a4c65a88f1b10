//! `quell log`: what stands in the directory.

use crate::harness::{Folder, Ledger, archives, contents, feed, names, quell, read_until, start, wait, wait_until};
use nix::sys::signal::Signal;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

fn log(dir: &Path, args: &[&str]) -> Command {
    let mut command = quell();
    command.arg("log").args(args).arg(dir);
    command
}

/// Plain files, to be compared with what went in.
const PLAIN: [&str; 4] = ["--stamp", "none", "--compress", "none"];

fn plain(dir: &Path, args: &[&str], input: &[u8]) -> crate::harness::Done {
    let done = feed(log(dir, &PLAIN).args(args), input);
    assert_eq!((done.code(), done.stderr.as_str()), (0, ""));
    done
}

fn numbered(count: usize) -> Vec<u8> {
    (0..count).flat_map(|n| format!("line {n:08} {}\n", "x".repeat(n % 60)).into_bytes()).collect()
}

#[test]
fn records_and_stamps() {
    let check = |stamp: &str, shape: &str| {
        let folder = Folder::new();
        let done = feed(&mut log(&folder.join("d"), &["--stamp", stamp]), b"one\ntwo");
        assert_eq!(done.code(), 0, "{done:?}");
        let text = String::from_utf8(contents(&folder.join("d"))).unwrap();
        let digits: String = text.chars().map(|c| if c.is_ascii_hexdigit() { '9' } else { c }).collect();
        assert_eq!(digits, format!("{shape}on9\n{shape}two \\\n"));
    };
    check("utc", "9999-99-99T99:99:99.999999Z ");
    check("tai64n", &format!("@{} ", "9".repeat(24)));
    check("none", "");
    let folder = Folder::new();
    let done = feed(log(&folder.join("d"), &["--stamp", "local"]).env("TZ", "Asia/Kolkata"), b"x\n");
    assert!(done.code() == 0 && String::from_utf8_lossy(&contents(&folder.join("d"))).contains("+05:30 x\n"));
}

/// F11: modes are as documented whatever the umask.
#[test]
fn modes_do_not_depend_on_the_umask() {
    for umask in ["000", "077", "777"] {
        let folder = Folder::new();
        let dir = folder.join("d");
        std::fs::create_dir(&dir).unwrap();
        let script = format!("umask {umask}; exec \"$0\" log --rotate 4KiB --compress none \"$1\"");
        let mut input = b"panicked at x\n".to_vec();
        input.extend(numbered(300));
        let done = feed(Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_quell")]).arg(&dir), &input);
        assert_eq!((done.code(), done.stderr.as_str()), (0, ""));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        for name in archives(&dir).iter().map(String::as_str).chain(["current", "critical/current", "ledger.json"]) {
            assert_eq!(mode(&dir.join(name)), 0o640, "{name}");
        }
        assert_eq!((mode(&dir.join("critical")), mode(&dir.join("lock"))), (0o750, 0o600));
    }
}

#[test]
fn rotation_loses_nothing_and_no_file_is_over_the_size_by_more_than_a_line() {
    let folder = Folder::new();
    let input = numbered(20_000);
    plain(folder.path(), &["--rotate", "10kB"], &input);
    assert!(contents(folder.path()) == input, "what is in the files is what went in");
    let all = archives(folder.path());
    assert!(all.len() > 70 && all.iter().all(|name| name.ends_with(".s")), "{all:?}");
    for name in &all {
        let bytes = std::fs::metadata(folder.join(name)).unwrap().len();
        assert!((10_000..10_080).contains(&bytes), "{name}: {bytes}");
    }
    let sequences: Vec<usize> = all.iter().map(|name| name[17..23].parse().unwrap()).collect();
    assert_eq!(sequences, (1..=all.len()).collect::<Vec<_>>());
}

#[test]
fn a_summary_fits_into_the_file_that_it_sums_up() {
    let folder = Folder::new();
    let input: Vec<u8> =
        numbered(3000).split_inclusive(|b| *b == b'\n').flat_map(|l| [b"beat\n", l].concat()).collect();
    plain(folder.path(), &["--rotate", "10kB", "-e", "beat"], &input);
    let all = archives(folder.path());
    for name in &all {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        assert!(text.len() < 10_080, "{name}: {}", text.len());
        let summary = text.lines().position(|line| line.starts_with("quell: suppressed "));
        assert!(summary.is_none_or(|at| at + 1 == text.lines().count()), "a summary is the last line of {name}");
    }
    let lines = String::from_utf8(contents(folder.path())).unwrap();
    let suppressed: u64 = lines
        .lines()
        .filter_map(|line| line.strip_prefix("quell: suppressed ")?.split(' ').next()?.parse::<u64>().ok())
        .sum();
    assert_eq!(suppressed, 3000);
    assert!(lines.contains(" lines: -e:1 \"beat\" "), "{lines}");
}

#[test]
fn restarts_change_nothing() {
    let folder = Folder::new();
    let input = numbered(2000);
    for chunk in input.split_inclusive(|b| *b == b'\n').collect::<Vec<_>>().chunks(100) {
        plain(folder.path(), &["--rotate", "10kB", "-e", "no such line"], &chunk.concat());
    }
    assert!(contents(folder.path()) == input);
    for name in archives(folder.path()) {
        assert!((10_000..10_080).contains(&std::fs::metadata(folder.join(&name)).unwrap().len()), "{name}");
    }
    let ledger = Ledger::of(folder.path());
    assert_eq!((ledger.lines("in"), ledger.lines("written")), (2000, 2000));
    assert!(ledger.value().get("unclean").is_none());
}

/// A8: a half line that a crash left is ended with a mark, and nothing is glued to it.
#[test]
fn a_half_line_is_ended_with_a_mark() {
    let folder = Folder::new();
    folder.write("current", "whole\nhal");
    plain(folder.path(), &[], b"next\n");
    assert_eq!(contents(folder.path()), b"whole\nhal \\\nnext\n");
}

#[test]
fn a_line_over_the_cap_is_cut_into_marked_pieces() {
    let folder = Folder::new();
    plain(folder.path(), &["--line-max", "4B"], b"abcdefghij\nxy\npanicked\nabcdefgh");
    let expected = "abcd \\\nefgh \\\nij\nxy\npani \\\ncked\nabcd \\\nefgh \\\n";
    assert_eq!(String::from_utf8(contents(folder.path())).unwrap(), expected);
    assert_eq!(Ledger::of(folder.path()).lines("written"), 4);
}

#[test]
fn critical_lines_are_kept_twice() {
    let folder = Folder::new();
    plain(folder.path(), &["-e", "at x"], b"fine\nthread 'main' panicked at x\n\tat x\nat x\n");
    let (both, heavy) = (contents(folder.path()), contents(&folder.join("critical")));
    assert!(both.starts_with(b"fine\nthread 'main' panicked at x\n\tat x\nquell: suppressed 1 line: "), "{both:?}");
    assert_eq!(heavy, b"thread 'main' panicked at x\n\tat x\n");
}

/// A9: a second writer is refused, and told who holds the directory; so is one below a directory that `up` holds.
#[test]
fn there_is_one_writer() {
    let folder = Folder::new();
    let mut first = start(log(folder.path(), &["--tee"]).stdin(Stdio::piped()));
    let stdin = first.stdin();
    wait_until(folder.path(), "the lock", || folder.join("current").exists());
    for dir in [folder.path().to_owned(), folder.join("below")] {
        let second = feed(&mut log(&dir, &[]), b"x\n");
        assert_eq!(second.code(), 1);
        assert!(second.stderr.contains(&format!("is being written by quell (pid {})", first.pid())), "{second:?}");
    }
    drop(stdin);
    assert_eq!(first.done().code(), 0);
    plain(folder.path(), &[], b"x\n");
}

#[test]
fn archives_are_compressed_and_read_back() {
    let folder = Folder::new();
    let input = numbered(5000);
    let mut running = start(log(folder.path(), &["--stamp", "none", "--rotate", "20kB"]).stdin(Stdio::piped()));
    let mut stdin = running.stdin();
    stdin.write_all(&input).unwrap();
    wait_until(folder.path(), "compression", || {
        let all = archives(folder.path());
        all.len() > 8 && all.iter().all(|name| name.ends_with(".s.zst"))
    });
    drop(stdin);
    assert_eq!(running.done().code(), 0);
    assert!(contents(folder.path()) == input);
}

/// A6: what an interrupted compression left is cleaned up, and done again.
#[test]
fn a_compression_that_was_cut_off_is_done_again() {
    let folder = Folder::new();
    folder.write("@20300101T000000.000001Z.s", "one\n");
    folder.write("@20300101T000000.000001Z.s.zst.new", "half");
    folder.write("@20300101T000000.000002Z.u", "two\n");
    folder.write("@20300101T000000.000002Z.u.zst", zstd::encode_all(&b"two\n"[..], 3).unwrap());
    folder.write("@20300101T000000.000003Z.s.zst.new.mine", "not ours");
    let mut running = start(log(folder.path(), &["--stamp", "none"]).stdin(Stdio::piped()));
    let stdin = running.stdin();
    wait_until(folder.path(), "compression", || folder.join("@20300101T000000.000001Z.s.zst").exists());
    drop(stdin);
    assert_eq!(running.done().code(), 0);
    std::fs::remove_file(folder.join("@20300101T000000.000003Z.s.zst.new.mine")).expect("foreign files are left alone");
    assert_eq!(contents(folder.path()), b"one\ntwo\n");
    assert_eq!(archives(folder.path()).len(), 2);
}

/// A log that goes on, with the lines that it has taken on its stdout.
struct Live {
    child: std::process::Child,
    stdin: std::process::ChildStdin,
    stdout: std::process::ChildStdout,
}

impl Live {
    fn new(dir: &Path, args: &[&str]) -> Live {
        let mut command = log(dir, &PLAIN);
        command.args(["--tee"]).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Live { child, stdin, stdout }
    }

    /// Writes a line; when it comes back, it is in the file.
    fn line(&mut self, text: &str) {
        self.lines(text, text);
    }

    /// Writes lines of which these are kept.
    fn lines(&mut self, text: &str, kept: &str) {
        self.stdin.write_all(text.as_bytes()).unwrap();
        read_until(&mut self.stdout, kept);
    }

    fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    fn end(self) -> (Option<i32>, String) {
        let Live { mut child, stdin, stdout } = self;
        drop((stdin, stdout));
        let code = wait(&mut child).code();
        let mut stderr = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
        (code, stderr)
    }
}

#[test]
fn alarm_rotates() {
    let folder = Folder::new();
    let mut live = Live::new(folder.path(), &[]);
    live.line("one\n");
    live.signal(Signal::SIGALRM);
    wait_until(folder.path(), "an archive", || archives(folder.path()).iter().any(|name| name.ends_with(".s")));
    live.line("two\n");
    live.signal(Signal::SIGALRM);
    wait_until(folder.path(), "two archives", || archives(folder.path()).len() == 2);
    live.signal(Signal::SIGALRM);
    assert_eq!(live.end(), (Some(0), String::new()));
    assert_eq!(contents(folder.path()), b"one\ntwo\n");
    assert_eq!(archives(folder.path()).len(), 2, "an empty file is not rotated");
}

#[test]
fn hangup_reads_the_lists_again_and_a_bad_list_changes_nothing() {
    let folder = Folder::new();
    let list = folder.write("my.list", "first noise\n");
    let dir = folder.join("d");
    let mut live = Live::new(&dir, &["-v", "-l", list.to_str().unwrap()]);
    live.lines("first noise\nsecond noise\n", "second noise\n");
    let mut stderr = live.child.stderr.take().unwrap();
    for (text, announced) in [("second noise\n", "lists reloaded"), ("\\q\n", "stay in force")] {
        std::fs::write(&list, text).unwrap();
        live.signal(Signal::SIGHUP);
        read_until(&mut stderr, announced);
    }
    live.child.stderr = Some(stderr);
    live.lines("second noise\nfirst noise\n", "first noise\n");
    assert_eq!(live.end().0, Some(0));
    let text = String::from_utf8(contents(&dir)).unwrap();
    assert!(text.starts_with("second noise\nfirst noise\nquell: suppressed 2 lines"), "{text}");
    assert_eq!(Ledger::of(&dir).lines("suppressed"), 2);
}

#[test]
fn usr1_reopens() {
    let folder = Folder::new();
    let dir = folder.join("d");
    let mut live = Live::new(&dir, &[]);
    live.line("one\n");
    std::fs::rename(dir.join("current"), dir.join("taken-away")).unwrap();
    live.signal(Signal::SIGUSR1);
    wait_until(&dir, "a new file", || dir.join("current").exists());
    live.line("two\n");
    assert_eq!(live.end(), (Some(0), String::new()));
    assert_eq!(std::fs::read(dir.join("taken-away")).unwrap(), b"one\n");
    assert_eq!(contents(&dir), b"two\n");
}

/// A3: a directory that was removed is made anew when it is reopened, and a file at the next rotation.
#[test]
fn what_was_removed_is_made_anew() {
    let folder = Folder::new();
    let dir = folder.join("d");
    let mut live = Live::new(&dir, &[]);
    live.line("one\n");
    std::fs::remove_file(dir.join("current")).unwrap();
    live.signal(Signal::SIGALRM);
    wait_until(&dir, "a new file", || dir.join("current").exists());
    live.line("two\n");
    std::fs::remove_dir_all(&dir).unwrap();
    live.signal(Signal::SIGUSR1);
    wait_until(folder.path(), "a new directory", || dir.join("current").exists());
    live.line("three\n");
    assert_eq!(live.end().0, Some(0));
    assert_eq!(contents(&dir), b"three\n");
}

#[test]
fn term_takes_what_is_in_the_pipe_and_leaves() {
    let folder = Folder::new();
    let mut live = Live::new(folder.path(), &[]);
    live.line("one\n");
    live.signal(Signal::SIGSTOP);
    live.stdin.write_all(b"two\nthree").unwrap();
    live.signal(Signal::SIGTERM);
    live.signal(Signal::SIGCONT);
    // The input stays open: it is the signal that ends it.
    let Live { mut child, stdin, .. } = live;
    assert_eq!(wait(&mut child).code(), Some(0));
    drop(stdin);
    assert_eq!(contents(folder.path()), b"one\ntwo\nthree \\\n");
}

#[test]
fn a_kill_is_seen_in_the_ledger_ever_after() {
    let folder = Folder::new();
    let mut live = Live::new(folder.path(), &[]);
    live.line("one\n");
    live.signal(Signal::SIGKILL);
    assert_eq!(live.end().0, None);
    plain(folder.path(), &[], b"two\n");
    let ledger = Ledger::of(folder.path());
    assert_eq!((ledger.lines("in"), &ledger.value()["unclean"]), (1, &true.into()));
    assert_eq!(contents(folder.path()), b"one\ntwo\n");
}

#[test]
fn a_ledger_that_cannot_be_read_is_put_aside() {
    let folder = Folder::new();
    folder.write("ledger.json", "{\"in\":");
    let done = feed(&mut log(folder.path(), &[]), b"x\n");
    assert!(done.code() == 0 && done.stderr.contains("put aside"), "{done:?}");
    assert_eq!(std::fs::read(folder.join("ledger.json.broken")).unwrap(), b"{\"in\":");
    assert_eq!(Ledger::of(folder.path()).lines("in"), 1);
}

#[test]
fn tee_passes_on_what_is_kept() {
    let folder = Folder::new();
    let done = plain(folder.path(), &["--tee", "-e", "beat"], b"one\nbeat\ntwo");
    assert_eq!(done.text(), "one\ntwo", "byte for byte");
    assert!(contents(folder.path()).starts_with(b"one\ntwo \\\nquell: suppressed 1 line"));
}

#[test]
fn wrong_options_are_refused_before_anything_is_made() {
    let folder = Folder::new();
    for (args, expected) in [
        (["--rotate", "64"], "add a unit"),
        (["--rotate", "1KiB"], "too small"),
        (["--retain", "7d"], "routine=… or critical=…"),
        (["--retain", "routine=1MiB"], "keeps less than one file"),
        (["--sync", "soon"], "not a duration"),
        (["--stamp", "gmt"], "possible values"),
        (["--line-max", "0B"], "at least one byte"),
    ] {
        let done = feed(&mut log(&folder.join("d"), &args), b"x\n");
        assert!(done.code() == 2 && done.stderr.contains(expected), "{expected}: {done:?}");
    }
    assert_eq!(names(folder.path()), [""; 0]);
    let file = folder.write("file", "");
    let done = feed(&mut log(&file, &[]), b"x\n");
    assert!(done.code() == 1 && done.stderr.contains("Not a directory"), "{done:?}");
}

/// A3: the folder of critical lines is made anew too, at the next line that goes there.
#[test]
fn a_critical_folder_that_was_removed_is_made_anew() {
    let folder = Folder::new();
    let mut live = Live::new(folder.path(), &[]);
    live.line("panicked at one\n");
    std::fs::remove_dir_all(folder.join("critical")).unwrap();
    live.line("panicked at two\n");
    assert_eq!(live.end().0, Some(0));
    assert_eq!(contents(folder.path()), b"panicked at one\npanicked at two\n");
    assert_eq!(contents(&folder.join("critical")), b"panicked at two\n");
}

/// A9: a directory that was made anew is locked anew.
#[test]
fn a_directory_made_anew_has_one_writer_too() {
    let folder = Folder::new();
    let dir = folder.join("d");
    let mut live = Live::new(&dir, &["--rotate", "4KiB", "--retain", "routine=12KiB"]);
    live.line("one\n");
    std::fs::rename(&dir, folder.join("away")).unwrap();
    live.signal(Signal::SIGUSR1);
    wait_until(folder.path(), "a new directory", || dir.join("current").exists());
    let second = feed(&mut log(&dir, &[]), b"x\n");
    assert!(second.code() == 1 && second.stderr.contains("is being written by"), "{second:?}");
    for number in 0..40 {
        live.line(&format!("line {number} {}\n", "x".repeat(1000)));
    }
    wait_until(&dir, "the keepers", || {
        let all = archives(&dir);
        all.len() <= 2 && all.iter().all(|name| name.ends_with(".s")) && dir.join("ledger.json").exists()
    });
    assert_eq!(live.end().0, Some(0));
}

/// A line whose first piece was sorted by the old lists is sorted by them to its end, and counted under its rule.
#[test]
fn a_reload_in_the_middle_of_a_long_line() {
    let folder = Folder::new();
    let list = folder.write("my.list", "aaaa\nbbbb\ncccc noise\n");
    let dir = folder.join("d");
    let mut live = Live::new(&dir, &["-v", "--no-levels", "--line-max", "100B", "-l", list.to_str().unwrap()]);
    live.line("begin\n");
    live.stdin.write_all(format!("cccc noise {}", "x".repeat(150)).as_bytes()).unwrap();
    while quell::sys::fd::unread(&live.stdin).unwrap() > 0 {
        std::thread::yield_now();
    }
    std::fs::write(&list, "other\n").unwrap();
    let mut stderr = live.child.stderr.take().unwrap();
    live.signal(Signal::SIGHUP);
    read_until(&mut stderr, "lists reloaded");
    live.child.stderr = Some(stderr);
    live.stdin.write_all(format!("{}\n", "y".repeat(150)).as_bytes()).unwrap();
    live.lines("other\ncccc noise is kept now\n", "cccc noise is kept now\n");
    assert_eq!(live.end().0, Some(0));
    let ledger = Ledger::of(&dir);
    assert_eq!((ledger.lines("in"), ledger.lines("suppressed")), (4, 2));
}

/// What is rotated while the keepers start is compressed once.
#[test]
fn no_archive_is_there_twice() {
    let input: Vec<u8> = (0..60_000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    for _ in 0..10 {
        let folder = Folder::new();
        let done = feed(&mut log(folder.path(), &["--stamp", "none", "--rotate", "32KiB"]), &input);
        assert_eq!((done.code(), done.stderr.as_str()), (0, ""));
        assert!(contents(folder.path()) == input, "{:?}", names(folder.path()));
        assert!(archives(folder.path()).iter().all(|name| name.contains("Z.s")), "{:?}", names(folder.path()));
    }
}
