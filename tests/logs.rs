//! `quell logs`: what is shown of a log directory, while others write there.

use crate::harness::{
    Done, Folder, LIMIT, archives, contents, feed, finish, names, quell, read_until, wait, wait_until,
};
use crate::numbered::{lines, numbers};
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use quell::clock::Wall;
use quell::log::name::{Archive, Packed};
use quell::log::stamp::Stamp;
use quell::sys::fd::{self, Interest};
use quell::sys::time;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

fn logs(dir: &Path, args: &[&str]) -> Command {
    let mut command = quell();
    command.arg("logs").arg("--dir").arg(dir).args(args);
    command
}

fn shown(dir: &Path, args: &[&str]) -> Done {
    finish(&mut logs(dir, args))
}

/// Writes a log directory and ends.
fn logged(dir: &Path, args: &[&str], input: &[u8]) {
    let done = feed(quell().arg("log").args(args).arg(dir), input);
    assert_eq!((done.code(), done.stderr.as_str()), (0, ""));
}

/// A writer of small files that goes on.
struct Writer(Child, ChildStdin);

impl Writer {
    fn start(dir: &Path, compress: &str) -> Writer {
        let mut command = quell();
        command.args(["log", "--rotate", "4KiB", "--stamp", "none", "--sync", "rotation", "--compress", compress]);
        let mut child = command.arg(dir).stdin(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        Writer(child, stdin)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.1.write_all(bytes).unwrap();
    }

    fn end(mut self) {
        drop(self.1);
        assert_eq!(wait(&mut self.0).code(), Some(0));
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        wait(&mut self.0);
    }
}

/// A reader that goes on.
struct Follower {
    child: Child,
    /// None when nobody reads it any more.
    stdout: Option<ChildStdout>,
    shown: Vec<u8>,
}

impl Follower {
    fn start(command: &mut Command) -> Follower {
        let mut child = command.arg("-f").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Follower { stdout: child.stdout.take(), child, shown: Vec::new() }
    }

    fn wait_for(&mut self, end: &[u8]) {
        let stdout = self.stdout.as_mut().unwrap();
        let mut chunk = vec![0; 64 << 10];
        while !self.shown.ends_with(end) {
            let [ready] = fd::wait([Some((stdout.as_fd(), Interest::Read))], Some(LIMIT)).unwrap();
            let last = || String::from_utf8_lossy(&self.shown[self.shown.len().saturating_sub(300)..]).into_owned();
            assert!(ready, "waited in vain for {:?} after {:?}", String::from_utf8_lossy(end), last());
            let bytes = stdout.read(&mut chunk).unwrap();
            assert!(bytes > 0, "the end came after {:?}", last());
            self.shown.extend_from_slice(&chunk[..bytes]);
        }
    }

    fn send(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Ends it by a signal: all that it has shown.
    fn interrupt(mut self) -> Vec<u8> {
        self.send(Signal::SIGINT);
        assert_eq!(wait(&mut self.child).signal(), Some(libc::SIGINT));
        assert_eq!(self.said(), "");
        self.stdout.take().unwrap().read_to_end(&mut self.shown).unwrap();
        std::mem::take(&mut self.shown)
    }

    /// What it has said on standard error, after its end.
    fn said(&mut self) -> String {
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A10: over hundreds of rotations, in step with the writer and as fast as it can write.
fn follow(compress: &str, burst: u32) {
    let folder = Folder::new();
    let dir = folder.join("not/yet");
    let mut follower = Follower::start(&mut logs(&dir, &["-n", "100000"]));
    let mut writer = Writer::start(&dir, compress);
    let mut next = 1;
    for step in [1, 200, 5, 500, 93, 1].repeat(4).into_iter().chain([burst]) {
        let new = lines(next..=next + step - 1);
        writer.write(&new);
        follower.wait_for(&new[new.len().saturating_sub(40)..]);
        next += step;
    }
    // It sleeps, and what it was reading is many archives back when it wakes up; it may be compressed, too.
    let before = archives(&dir).len();
    follower.send(Signal::SIGSTOP);
    let new = lines(next..=next + 1999);
    writer.write(&new);
    wait_until(&dir, "archives", || {
        let all = archives(&dir);
        all.len() > before + 15 && (compress == "none" || all[before + 2].ends_with(".zst"))
    });
    follower.send(Signal::SIGCONT);
    follower.wait_for(&new[new.len() - 40..]);
    next += 2000;
    writer.end();
    assert!(archives(&dir).len() > if compress == "none" { 200 } else { 50 });
    let all = follower.interrupt();
    assert!(numbers(&all, compress) == (1..next).collect::<Vec<_>>(), "{} of {next} lines", all.len());
}

#[test]
fn nothing_is_missed_or_doubled_over_rotations() {
    follow("none", 20_000);
}

#[test]
fn nothing_is_missed_or_doubled_while_archives_are_compressed() {
    // Whoever compresses has the lowest priority of all on this machine.
    follow("zstd", 2000);
}

/// What a killed writer leaves is read as it stands there, once.
#[test]
fn a_killed_writer_is_followed_through_its_next_lives() {
    let folder = Folder::new();
    let dir = folder.join("log");
    let mut follower = Follower::start(&mut logs(&dir, &["-n", "100000"]));
    for life in 0..5 {
        let mut writer = Writer::start(&dir, if life % 2 == 0 { "none" } else { "zstd" });
        let new = lines(life * 1000 + 1..=life * 1000 + 1000);
        writer.write(&new);
        follower.wait_for(&new[new.len() - 40..]);
        writer.write(b"half a line");
        writer.kill();
    }
    let mut writer = Writer::start(&dir, "none");
    writer.write(b"panicked at line 009990\n");
    follower.wait_for(b"panicked at line 009990\n");
    writer.end();
    assert!(follower.interrupt() == contents(&dir));
    // Whatever an archive is called, it is in its place.
    let all = archives(&dir);
    let plain: Vec<_> = all.iter().filter(|name| name.ends_with(".s")).collect();
    for name in plain.iter().take(3) {
        std::fs::rename(dir.join(name), dir.join(name.replace("Z.s", "Z.u"))).unwrap();
    }
    assert!(shown(&dir, &[]).stdout == contents(&dir));
}

/// A directory that gives way to another: both are read to their ends.
#[test]
fn a_directory_that_is_replaced() {
    let folder = Folder::new();
    let dir = folder.join("log");
    let mut follower = Follower::start(&mut logs(&dir, &["-n", "100000"]));
    for round in 1..4 {
        let mut writer = Writer::start(&dir, "none");
        let new = lines(round * 1000 + 1..=round * 1000 + 200);
        writer.write(&new);
        follower.wait_for(&new[new.len() - 40..]);
        let aside = folder.join(&format!("aside {round}"));
        std::fs::rename(&dir, &aside).unwrap();
        writer.write(&lines(round * 1000 + 201..=round * 1000 + 400));
        writer.end();
    }
    logged(&dir, &["--stamp", "none"], &lines(1..=1));
    follower.wait_for(&lines(1..=1));
    let expected: Vec<u32> = (1..4).flat_map(|round| round * 1000 + 1..=round * 1000 + 400).chain([1]).collect();
    assert_eq!(numbers(&follower.interrupt(), "replaced"), expected);
    std::fs::remove_dir_all(&dir).unwrap();
}

/// Whoever gives `current` a name of his own, or removes it, doubles no line.
#[test]
fn others_rotate_too() {
    let folder = Folder::new();
    folder.write(&archive(1, 0).to_string(), "first\n");
    let path = folder.write("current", "one\n");
    let mut follower = Follower::start(&mut logs(folder.path(), &["-n", "9"]));
    follower.wait_for(b"one\n");
    std::fs::rename(&path, folder.join("current.1")).unwrap();
    folder.write("current", "two\n");
    follower.wait_for(b"two\n");
    std::fs::remove_file(&path).unwrap();
    folder.write("current", "three\n");
    follower.wait_for(b"three\n");
    std::fs::rename(&path, folder.join(&archive(2, 0).to_string())).unwrap();
    folder.write("current", "four\n");
    follower.wait_for(b"four\n");
    assert_eq!(follower.interrupt(), b"first\none\ntwo\nthree\nfour\n");
}

/// Half a line is waited for; when it is taken back, it was never there.
#[test]
fn a_torn_line_is_waited_for() {
    let folder = Folder::new();
    let path = folder.write("current", "old\none\nha");
    let mut file = File::options().append(true).open(&path).unwrap();
    let mut follower = Follower::start(&mut logs(folder.path(), &["-n", "1"]));
    follower.wait_for(b"one\n");
    file.write_all(b"lf\nha").unwrap();
    follower.wait_for(b"half\n");
    file.set_len("old\none\nhalf\n".len() as u64).unwrap();
    file.write_all(b"two\n").unwrap();
    follower.wait_for(b"two\n");
    assert_eq!(follower.interrupt(), b"one\nhalf\ntwo\n");
    file.write_all(b"the end").unwrap();
    assert_eq!(shown(folder.path(), &["-n", "2"]).text(), "two\nthe end\n");
}

fn archive(sequence: u64, closed: i64) -> Archive {
    Archive { closed: Wall(closed * 1_000_000), sequence, clean: true, packed: Packed::No }
}

fn pack(folder: &Folder, sequence: u64, bytes: &[u8]) -> String {
    let name = archive(sequence, 1_795_223_723).with(true, Packed::Zstd).to_string();
    folder.write(&name, zstd::encode_all(bytes, 1).unwrap());
    name
}

/// A14: an archive that is a thousand times its size is streamed; one that asks for much memory is refused, and said.
#[test]
fn a_decompression_bomb() {
    let folder = Folder::new();
    let bytes: usize = 48 << 20;
    let mut encoder =
        zstd::Encoder::new(File::create(folder.join(&archive(1, 0).with(true, Packed::Zstd).to_string())).unwrap(), 1)
            .unwrap();
    (0..bytes >> 20).for_each(|_| encoder.write_all(&[b'x'; 1 << 20]).unwrap());
    encoder.finish().unwrap();
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(b"wide\n").unwrap();
    encoder.flush().unwrap();
    let wide = archive(2, 0).with(true, Packed::Zstd).to_string();
    folder.write(&wide, encoder.finish().unwrap());
    folder.write("current", "last\n");
    // Too little memory for all of it.
    let script = "ulimit -v 60000; exec \"$0\" logs --dir \"$1\"";
    let done = finish(Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_quell")]).arg(folder.path()));
    assert_eq!(done.code(), 1, "{}", done.stderr);
    assert!(done.stderr.contains(&wide) && done.stderr.lines().count() == 1, "{}", done.stderr);
    let all: Vec<_> = done.stdout.split_inclusive(|byte| *byte == b'\n').collect();
    let longest = all.iter().map(|line| line.len()).max().unwrap();
    assert!(longest <= (1 << 20) + 100, "{longest}");
    assert_eq!(done.stdout.iter().filter(|byte| **byte == b'x').count(), bytes);
    assert_eq!(*all.last().unwrap(), b"last\n");
    assert_eq!(shown(folder.path(), &["-n", "1"]).text(), "last\n");
}

/// One that is broken is said with its name, and the rest is shown.
#[test]
fn a_corrupt_archive() {
    let folder = Folder::new();
    pack(&folder, 1, &lines(1..=100));
    let broken = pack(&folder, 2, &lines(101..=100_000));
    let path = folder.join(&broken);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    folder.write("current", lines(100_001..=100_010));
    let done = shown(folder.path(), &[]);
    assert!(done.code() == 1 && done.stderr.contains(&broken) && done.stderr.lines().count() == 1, "{}", done.stderr);
    assert!(done.stdout.starts_with(&lines(1..=200)) && done.stdout.ends_with(&lines(100_001..=100_010)));
    let done = shown(folder.path(), &["-n", "10"]);
    assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "it lies before what is asked for");
    assert!(done.stdout == lines(100_001..=100_010));
}

#[test]
fn the_last_lines_from_any_archive() {
    for compressed in [false, true] {
        let folder = Folder::new();
        logged(folder.path(), &["--rotate", "4KiB", "--compress", "none", "--stamp", "none"], &lines(1..=1000));
        for name in archives(folder.path()).iter().filter(|_| compressed) {
            let packed = zstd::encode_all(&std::fs::read(folder.join(name)).unwrap()[..], 1).unwrap();
            folder.write(&format!("{name}.zst"), packed);
            std::fs::remove_file(folder.join(name)).unwrap();
        }
        for n in [0, 1, 5, 93, 94, 95, 200, 501, 999, 1000, 5000] {
            let done = shown(folder.path(), &["-n", &n.to_string()]);
            assert_eq!((done.code(), done.stderr.as_str()), (0, ""));
            assert!(done.stdout == lines(1001 - n.min(1000)..=1000), "{n}: {}", done.text());
        }
        let routine: Vec<_> = (1..=1000).filter(|number| number % 10 > 0).collect();
        for n in [0, 3, 200, 600, 5000] {
            let done = shown(folder.path(), &["-n", &n.to_string(), "--class", "routine"]);
            let expected = &routine[routine.len().saturating_sub(n)..];
            assert_eq!(numbers(&done.stdout, "routine"), expected, "{n}");
        }
        // Nothing of what lies before is opened.
        std::fs::write(folder.join(&archives(folder.path())[0]), "broken").unwrap();
        let done = shown(folder.path(), &["-n", "500"]);
        assert!(done.code() == 0 && done.stdout == lines(501..=1000));
    }
}

fn stamped(stamp: &Stamp, second: i64, text: &str) -> String {
    let mut line = Vec::new();
    stamp.write(Wall(second * 1_000_000), &mut line);
    String::from_utf8(line).unwrap() + text + "\n"
}

/// Archives that cannot hold what is wanted are not opened.
#[test]
fn by_time_over_archives() {
    let folder = Folder::new();
    let now = time::now().wall.seconds();
    let zone = quell::sys::time::local_zone();
    let stamps = [Stamp::Utc, Stamp::Local(zone), Stamp::Tai64n, Stamp::Utc];
    for (hour, stamp) in (1..).zip(&stamps) {
        let begin = now - (5 - hour) * 3600;
        let text: String =
            (0..60).map(|minute| stamped(stamp, begin + minute * 60, &format!("{hour}:{minute}"))).collect();
        match hour {
            4 => folder.write("current", text),
            _ => folder.write(&archive(hour as u64, begin + 3599).to_string(), text),
        };
    }
    let count = |args: &[&str]| {
        let done = shown(folder.path(), args);
        assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "{args:?}");
        done.text().lines().count()
    };
    assert_eq!(count(&[]), 240);
    // Lines are from 1 to 240 minutes old.
    assert_eq!(count(&["--since", "12570s"]), 209);
    assert_eq!(count(&["--since", "30s"]), 0);
    assert_eq!(count(&["--since", stamped(&Stamp::Tai64n, now - 7200, "").trim_end()]), 120);
    assert_eq!(count(&["--until", "8970s"]), 91);
    assert_eq!(count(&["--since", "3h", "--until", "2h", "-n", "7"]), 7);
    // An error where one of the others is opened.
    let broken = archives(folder.path());
    for name in [&broken[0], &broken[1]] {
        std::fs::remove_file(folder.join(name)).unwrap();
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    assert_eq!(count(&["--since", "7170s"]), 119);
    let done = shown(folder.path(), &["--since", "4h"]);
    assert!(done.code() == 1 && done.stderr.contains(&broken[1]), "{}", done.stderr);

    let bare = Folder::new();
    bare.write("current", "no stamp\n");
    let done = shown(bare.path(), &["--since", "10m"]);
    assert!(done.code() == 1 && done.text().is_empty() && done.stderr.contains("have no stamps"), "{}", done.stderr);
    let done = shown(bare.path(), &["--since", "soon"]);
    assert!(done.code() == 2 && done.stderr.contains("write a duration"), "{}", done.stderr);
}

/// B3: what a terminal would obey is shown to it, and passed to anything else as it is.
#[test]
fn escapes_at_a_terminal() {
    let folder = Folder::new();
    let evil = b"\x1b]0;title\x07 \x9b2J\xff\ttab\r\n";
    folder.write("current", [&evil[..], b"panicked at x\nquell: started pid 1 (x)\n"].concat());
    assert_eq!(&shown(folder.path(), &["-n", "3"]).stdout[..evil.len()], evil);
    let at_terminal = |variables: &[(&str, &str)]| {
        let pty = openpty(None, None).unwrap();
        let mut command = logs(folder.path(), &[]);
        command.env_remove("NO_COLOR").env("TERM", "xterm").envs(variables.iter().copied());
        let mut child = command.stdout(pty.slave.try_clone().unwrap()).spawn().unwrap();
        let text = read_until(&mut File::from(pty.master), "pid 1 (x)");
        assert_eq!(wait(&mut child).code(), Some(0));
        text.trim_end().to_owned()
    };
    let expected = "\\u{1b}]0;title\\u{7} \\x9b2J\\xff\ttab\r\npanicked at x\r\nquell: started pid 1 (x)";
    assert_eq!(at_terminal(&[("NO_COLOR", "1")]), expected);
    let expected =
        expected.replace("panicked at x", "\x1b[31mpanicked at x\x1b[0m").replace("quell: ", "\x1b[2mquell: ");
    assert!(at_terminal(&[]).starts_with(&expected), "{:?}", at_terminal(&[]));
}

/// Whoever reads the output leaves: quell follows, even where nothing happens any more.
#[test]
fn a_reader_that_leaves() {
    let folder = Folder::new();
    logged(folder.path(), &["--stamp", "none"], &lines(1..=20));
    let mut follower = Follower::start(&mut logs(folder.path(), &[]));
    follower.wait_for(&lines(20..=20));
    assert!(follower.shown == lines(11..=20), "ten lines before what comes");
    drop(follower.stdout.take());
    assert_eq!((wait(&mut follower.child).code(), follower.said().as_str()), (Some(0), ""));
    let script = "\"$0\" logs --dir \"$1\" | head -n 1";
    logged(folder.path(), &["--stamp", "none"], &lines(21..=40_000));
    let done = finish(
        Command::new("bash").args(["-o", "pipefail", "-c", script, env!("CARGO_BIN_EXE_quell")]).arg(folder.path()),
    );
    assert_eq!((done.code(), done.stderr.as_str()), (0, ""));
}

/// What was critical is there when all else has been purged; the rest of a traceback is, too.
#[test]
fn by_class() {
    let folder = Folder::new();
    let list = folder.write("my.list", "heartbeat\n%class anomaly\nslow query\n");
    let dir = folder.join("log");
    let input = "one\npanicked at x\n  at y\nslow query\nheartbeat 1\ntwo\n";
    logged(&dir, &["--stamp", "tai64n"], input.as_bytes());
    let of = |classes: &str| {
        let done = shown(&dir, &["-l", list.to_str().unwrap(), "--class", classes]);
        assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "{classes}");
        done.text().lines().map(|line| line.split_once(' ').unwrap().1.to_owned() + "\n").collect::<String>()
    };
    assert_eq!(of("noise"), "heartbeat 1\n");
    assert_eq!(of("routine"), "one\ntwo\n");
    assert_eq!(of("critical,routine"), "one\npanicked at x\n  at y\ntwo\n");
    std::fs::remove_file(dir.join("current")).unwrap();
    assert_eq!(of("critical"), "panicked at x\n  at y\n");
    assert_eq!(of("routine"), "");
    folder.write("log/current", "one\npanicked at x\ntwo\npanicked at y\n  at z\nthree\n");
    let done = shown(&dir, &["--class", "critical,routine", "-n", "3"]);
    assert_eq!(done.text(), "panicked at y\n  at z\nthree\n");
    let done = shown(&dir, &["-l", "no such list"]);
    assert_eq!(done.code(), 2, "{}", done.stderr);
}

/// A configuration with a worker, and one that has two instances.
fn configured(folder: &Folder) -> String {
    let dir = folder.join("logs");
    let worker = |name: &str, more: &str| format!("[worker.{name}]\ncommand = [\"/bin/true\"]\n{more}\n");
    let text = format!("[log]\ndir = {dir:?}\n\n{}{}", worker("web", "instances = 2"), worker("mail", ""));
    folder.write("quell.toml", text).to_str().unwrap().to_owned()
}

#[test]
fn workers_of_a_configuration() {
    let folder = Folder::new();
    let config = configured(&folder);
    let of = |args: &[&str]| finish(quell().args(["logs", "-c", &config]).args(args));
    let done = of(&["web"]);
    assert_eq!((done.code(), done.text()), (0, ""), "nothing was logged yet");
    assert!(done.stderr.contains("nothing was logged yet"), "{}", done.stderr);
    for (log, parity) in [("web.1", 1), ("web.2", 0)] {
        std::fs::create_dir_all(folder.join("logs").join(log)).unwrap();
        let text: String =
            (0..20).filter(|n| n % 2 == parity).map(|n| stamped(&Stamp::Utc, n, &format!("line {n}"))).collect();
        folder.write(&format!("logs/{log}/current"), text);
    }
    let merged = |text: &str, names: [&str; 2]| {
        let expected: Vec<_> = (0..20)
            .map(|n| format!("{} | {} line {n}", names[n % 2], &stamped(&Stamp::Utc, n as i64, "")[..27]))
            .collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    };
    merged(of(&["web"]).text(), ["web.2", "web.1"]);
    merged(of(&["web.2", "web", "web.1"]).text(), ["web.2", "web.1"]);
    assert_eq!(of(&["web", "-n", "3"]).text(), of(&["web"]).text().split_inclusive('\n').skip(17).collect::<String>());
    assert!(of(&["web.2"]).text().starts_with("1970-01-01T00:00:00.000000Z line 0\n"));
    let done = of(&["wbe"]);
    assert!(done.code() == 1 && done.stderr.contains("did you mean \"web\"?"), "{}", done.stderr);
    assert_eq!((of(&["web.3"]).code(), of(&["web", "--until", "1h", "-f"]).code()), (1, 2));
    assert_eq!(of(&[]).text().lines().count(), 20, "those of all workers");
    // A mistake in the file is no reason to hide what stands in the log.
    let text = std::fs::read_to_string(&config).unwrap();
    folder.write("quell.toml", format!("{text}restrat = \"always\"\n"));
    let done = of(&["web.2"]);
    assert!(done.code() == 0 && !done.text().is_empty() && done.stderr.contains("1 mistake in "), "{done:?}");
    folder.write("quell.toml", text);
    // Without stamps there is no order but that of the names.
    folder.write("logs/web.1/current", "a\nb\n");
    let done = of(&["web", "-n", "11"]);
    assert!(done.text().starts_with("web.1 | b\nweb.2 | 1970") && done.stderr.contains("no stamps"), "{done:?}");
}

/// Several logs are followed together, those that do not exist yet too.
#[test]
fn several_are_followed() {
    let folder = Folder::new();
    let config = configured(&folder);
    let mut follower = Follower::start(quell().args(["logs", "-c", &config, "web", "mail"]));
    for round in 0..3 {
        for name in ["mail", "web.2", "web.1"] {
            let text = format!("{name} {round}");
            logged(&folder.join("logs").join(name), &["--rotate", "4KiB"], format!("{text}\n").as_bytes());
            follower.wait_for(format!("{text}\n").as_bytes());
        }
    }
    let text = String::from_utf8(follower.interrupt()).unwrap();
    assert_eq!(text.lines().count(), 9, "{text}");
    assert!(text.lines().all(|line| line.split(" | ").next().unwrap().trim() == line.split(' ').rev().nth(1).unwrap()));
}

/// A reader that comes and goes leaves no trace, and waits for no lock.
#[test]
fn a_reader_disturbs_nobody() {
    let folder = Folder::new();
    let mut writer = Writer::start(folder.path(), "none");
    writer.write(&lines(1..=500));
    wait_until(folder.path(), "the last line", || {
        std::fs::read(folder.join("current")).is_ok_and(|bytes| bytes.ends_with(&lines(500..=500)))
    });
    assert!(shown(folder.path(), &[]).stdout == lines(1..=500));
    writer.end();
    let before = names(folder.path());
    assert!(shown(folder.path(), &[]).stdout == lines(1..=500));
    assert_eq!(names(folder.path()), before);
    let empty = Folder::new();
    let done = shown(empty.path(), &[]);
    assert_eq!((done.code(), done.text()), (0, ""));
    assert!(names(empty.path()).is_empty());
    assert_eq!(shown(&empty.join("missing"), &[]).code(), 1);
}

/// While nothing is written, a follower makes no system call.
#[cfg(feature = "full-tests")]
#[test]
fn an_idle_follower_makes_no_system_call() {
    let (folder, aside) = (Folder::new(), Folder::new());
    logged(folder.path(), &["--stamp", "none"], b"one\n");
    let trace = aside.join("trace");
    let mut command = Command::new("strace");
    command.args(["-ttt", "-o"]).arg(&trace).args([env!("CARGO_BIN_EXE_quell"), "logs", "--dir"]).arg(folder.path());
    let mut follower = Follower::start(&mut command);
    follower.wait_for(b"one\n");
    let seconds = || time::now().wall.0 as f64 / 1e6;
    let from = seconds();
    let stdout = follower.stdout.as_ref().unwrap().as_fd();
    let span = std::time::Duration::from_secs(3);
    assert_eq!(fd::wait([Some((stdout, Interest::Read))], Some(span)).unwrap(), [false]);
    let to = seconds();
    logged(folder.path(), &["--stamp", "none"], b"two\n");
    follower.wait_for(b"two\n");
    let trace = std::fs::read_to_string(trace).unwrap();
    let at = |line: &&str| (from + 0.5..to).contains(&line.split(' ').next().unwrap().parse().unwrap());
    let calls: Vec<_> = trace.lines().filter(at).collect();
    assert!(trace.contains("inotify_add_watch") && calls.is_empty(), "{calls:#?}");
}
