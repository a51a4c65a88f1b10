//! The pipeline of `docs/pipeline`, as the README has it.

use super::{Up, configure, until};
use crate::harness::{Folder, finish};
use quell::sys::fd::{self, Interest};
use serial_test::serial;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::Duration;

const PIPELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/pipeline");

/// A file that comes becomes a task, that one becomes three of two classes, workers that stay do them; one fails, is tried
/// again and buried, is kicked and done; and when there is nothing left it is published. Between all that, nothing happens.
#[test]
#[serial]
fn a_file_becomes_a_page() {
    let folder = Folder::new();
    let at = |name: &str| folder.join(name);
    let text = std::fs::read_to_string(format!("{PIPELINE}/quell.toml")).unwrap();
    let text = text.replace("state = \"state\"", "").replace("dir = \"log\"", "");
    let text = text.replace("/tmp/pipeline", folder.path().to_str().unwrap());
    let quell = format!("{} put -c {} ", env!("CARGO_BIN_EXE_quell"), at("quell.toml").display());
    let text = text.replace("[quell]", "").replace("[log]", "").replace("quell put ", &quell);
    let path = configure(&folder, &text);
    std::fs::copy(format!("{PIPELINE}/pages.py"), at("pages.py")).unwrap();
    ["in", "out"].iter().for_each(|name| std::fs::create_dir(at(name)).unwrap());
    let mut up = Up::of(folder, path);
    up.until("all workers are up");
    let at = |name: &str| up.folder.join(name);
    std::fs::write(at("in/hello.md"), "A few words.\n").unwrap();
    up.until("is buried: [Errno 2] No such file or directory: 'titles', at try 2 of 2");
    up.until("publish: done");
    let list = up.must(&["queue", "list", "pages"]);
    let states: Vec<Vec<&str>> =
        list.lines().skip(1).map(|line| line.split_whitespace().skip(2).take(2).collect()).collect();
    assert_eq!(states, [["done", "high"], ["done", "low"], ["buried", "low"]], "{list}");
    let at = |name: &str| up.folder.join(name);
    std::fs::write(at("titles"), "hello\n").unwrap();
    up.forget();
    up.must(&["queue", "kick", "4"]);
    up.until("publish: done");
    assert_eq!(std::fs::read_to_string(up.folder.join("site")).unwrap(), "<p>A few words.\n</p>\nhello\n\n3 words\n");
    is_idle(&up);
    up.down();
}

/// Neither quell nor a worker makes a system call: for three seconds, and for a minute where all is to be tested.
fn is_idle(up: &Up) {
    let seconds = if std::env::var_os("QUELL_TEST_WHOLE").is_some() { 60 } else { 3 };
    let pids: Vec<_> = [up.pid(), up.pid_of("pages.1"), up.pid_of("pages.2")].iter().map(ToString::to_string).collect();
    let trace = up.folder.join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o"]).arg(&trace);
    pids.iter().for_each(|pid| _ = strace.args(["-p", pid]));
    // Those that waited when strace came are shown as such; only what comes behind that counts.
    let traced = crate::harness::start(&mut strace);
    let calls = || std::fs::read_to_string(&trace).unwrap_or_default().lines().count();
    until("all threads are traced", || calls() >= pids.len());
    let (never, _end) = fd::pipe().unwrap();
    let idle = |span: u64| fd::wait([Some((never.as_fd(), Interest::Read))], Some(Duration::from_secs(span))).unwrap();
    idle(2);
    let before = calls();
    idle(seconds);
    let after = calls();
    finish(Command::new("kill").args(["-INT", &traced.pid().to_string()]));
    traced.done();
    assert_eq!(before, after, "{}", std::fs::read_to_string(&trace).unwrap());
}
