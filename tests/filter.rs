//! `quell filter`.

use crate::harness::{Folder, feed, finish, quell, read_until, start, wait};
use std::io::Write;
use std::process::Stdio;

fn filter(args: &[&str], input: &[u8]) -> crate::harness::Done {
    feed(quell().arg("filter").args(args), input)
}

/// B2, B5: NUL, what is no UTF-8, CR LF, and a last line without newline.
#[test]
fn kept_lines_are_byte_for_byte_what_came_in() {
    let input = b"a\0b\r\n\xff\xfe\nnoise\r\n\n\tlast line, no newline";
    let done = filter(&["-e", "noise$"], input);
    assert_eq!(done.stdout, b"a\0b\r\n\xff\xfe\n\n\tlast line, no newline");
    assert_eq!((done.code(), done.stderr.as_str()), (0, ""));
    assert_eq!(filter(&[], b"").stdout, b"");
}

#[test]
fn the_ledger_says_what_became_of_each_line() {
    let done =
        filter(&["-e", "beat", "-e", "probe", "-k", "probe failed", "--stats=json"], b"beat\nprobe\nprobe failed\nx");
    assert_eq!(done.text(), "probe failed\nx");
    let ledger = done.ledger();
    assert_eq!(["in", "written", "suppressed", "dropped", "buffered"].map(|key| ledger.lines(key)), [4, 2, 2, 0, 0]);
    assert_eq!(ledger.value()["suppressed"]["by_rule"][0]["list"], "-e");
    let text = filter(&["-e", "beat", "--stats"], b"beat\nx\n").stderr;
    assert!(text.contains("suppressed            1 lines") && text.contains("-e:1 \"beat\""), "{text}");
}

#[test]
fn only_and_tag() {
    let input = b"fine\npanicked at x\n\tat y\nbeat\n";
    let done = filter(&["-e", "beat", "--tag"], input);
    assert_eq!(done.text(), "routine  fine\ncritical panicked at x\ncritical \tat y\n");
    let done = filter(&["-e", "beat", "--only", "critical", "--stats=json"], input);
    assert_eq!(done.text(), "panicked at x\n\tat y\n");
    let rules: Vec<_> = done.ledger().value()["suppressed"]["by_rule"].as_array().unwrap().clone();
    let mut lists: Vec<_> = rules.iter().map(|r| r["list"].as_str().unwrap()).collect();
    lists.sort_unstable();
    assert_eq!(lists, ["--only", "-e"]);
    assert_eq!(filter(&["-e", "beat", "--only", "noise"], input).text(), "beat\n");
    assert_eq!(filter(&["--no-levels", "--only=critical"], input).text(), "");
    let done = filter(&["--only", "criticl"], b"");
    assert!(done.code() == 2 && done.stderr.contains("the classes are critical"), "{done:?}");
}

#[test]
fn output_appears_when_the_next_read_would_block() {
    let mut child = quell().arg("filter").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    for text in ["one\n", "two\n"] {
        stdin.write_all(text.as_bytes()).unwrap();
        read_until(&mut stdout, text);
    }
    drop(stdin);
    assert!(wait(&mut child).success());
}

#[test]
fn a_reader_who_leaves_is_a_quiet_end() {
    let mut child =
        quell().arg("filter").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    drop(child.stdout.take());
    let writer = std::thread::spawn(move || while stdin.write_all(&[b'\n'; 4096]).is_ok() {});
    assert_eq!(wait(&mut child).code(), Some(0));
    writer.join().unwrap();
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
    assert_eq!(stderr, "");
}

/// B8: a reader that does not read is waited for, and gets all.
#[test]
fn a_slow_reader_loses_nothing() {
    let mut child = quell().arg("filter").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let line = [vec![b'x'; 99], b"\n".to_vec()].concat();
    let input = line.repeat(20_000);
    let writer = std::thread::spawn(move || stdin.write_all(&input).is_ok());
    // The pipes hold far less than what is written: by now, or soon, everything stands still.
    let mut got = Vec::new();
    std::io::Read::read_to_end(&mut child.stdout.take().unwrap(), &mut got).unwrap();
    assert_eq!(got.len(), 2_000_000);
    assert!(writer.join().unwrap() && wait(&mut child).success());
}

/// B1: a line over the cap is let through in pieces, or dropped in pieces, and counts as one.
#[test]
fn a_line_over_the_cap_is_one_line() {
    let long = [vec![b'y'; 5000], b"\nshort\n".to_vec()].concat();
    let done = filter(&["--line-max", "64B", "--stats=json"], &long);
    assert!(done.stdout == long);
    assert_eq!(done.ledger().lines("written"), 2);
    let done = filter(&["--line-max", "64B", "-e", "yyyy", "--stats=json"], &long);
    assert_eq!(done.text(), "short\n");
    assert_eq!(done.ledger().lines("suppressed"), 1);
}

#[test]
fn lists_by_name_by_path_and_with_includes() {
    let folder = Folder::new();
    folder.write("inner.list", "from inner\n");
    let outer = folder.write("outer.list", "%include inner.list\n%include heartbeat\nfrom outer\n");
    let done = filter(&["-l", outer.to_str().unwrap()], b"from inner\nfrom outer\nother\n");
    assert_eq!(done.text(), "other\n");
    assert_eq!(filter(&["-l", "heartbeat"], b"x\n").text(), "x\n");
}

#[test]
fn mistakes_are_all_shown_with_place_and_remedy_and_nothing_is_read() {
    let folder = Folder::new();
    let list = folder.write("bad.list", "fine\nC:\\temp\n%class nois\n");
    let done = filter(&["-l", list.to_str().unwrap(), "-e", "", "-l", "hartbeat", "-l", "./gone.list"], b"x\n");
    assert_eq!((done.code(), done.text()), (2, ""));
    for expected in [
        "bad.list:2:3: unknown escape \\t; the escapes are",
        "bad.list:3:8: no such choice \"nois\"; write one of noise",
        "-e:1:1: an empty pattern would match every line",
        "no shipped list has that name; there are levels, heartbeat",
        "cannot use list \"./gone.list\"",
    ] {
        assert!(done.stderr.contains(expected), "{expected} in {}", done.stderr);
    }
}

#[test]
fn odd_rules_are_warned_of() {
    let folder = Folder::new();
    let list = folder.write("odd.list", "abc\nerror: panicked\npanicked at\n");
    let done = filter(&["-l", list.to_str().unwrap()], b"abc\nx\n");
    assert_eq!(done.text(), "x\n");
    assert!(done.stderr.contains("odd.list:1: under 4 bytes"), "{}", done.stderr);
    assert!(done.stderr.contains("odd.list:3: it is meant to drop noise"), "{}", done.stderr);
    assert_eq!(filter(&["-q", "-l", list.to_str().unwrap()], b"x\n").stderr, "");
}

#[test]
fn help_completions_and_manual_pages() {
    let done = finish(quell().args(["run", "--help"]));
    assert!(done.code() == 0 && done.text().contains("Examples:"), "{done:?}");
    for shell in ["bash", "zsh", "fish"] {
        assert!(finish(quell().args(["completions", shell])).text().contains("quell"));
    }
    let folder = Folder::new();
    assert_eq!(finish(quell().arg("man").arg(folder.path())).code(), 0);
    assert!(folder.join("quell-run.1").exists(), "{:?}", crate::harness::names(folder.path()));
    assert_eq!(finish(quell().arg("--frobnicate")).code(), 2);
    assert_eq!(finish(quell().args(["run", "--frobnicate", "true"])).code(), 125);
}

#[test]
fn own_talk_goes_where_it_is_told_and_harms_nobody() {
    let done = finish(quell().args(["run", "--log-format", "json", "--", "/no/such/program"]));
    let value: serde_json::Value = serde_json::from_str(done.stderr.lines().next().unwrap()).unwrap();
    assert_eq!((done.code(), &value["level"]), (127, &"ERROR".into()));
    let mut child = quell().args(["-v", "filter", "--stats", "-e", "beat"]).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(wait(&mut child).code(), Some(0));
    let done = start(quell().args(["filter", "-vv"])).done();
    assert!(done.stderr.contains("quell: note: "), "{}", done.stderr);
}
