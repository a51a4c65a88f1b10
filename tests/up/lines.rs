//! Lines that start a worker.

use super::{Up, until};
use crate::harness::Folder;
use nix::sys::stat::Mode;
use serial_test::serial;
use std::fs::File;
use std::io::Write;

/// A worker that says what the test has it say.
struct Speaker(File);

impl Speaker {
    /// Its table. It waits until somebody speaks.
    fn table(folder: &Folder, name: &str, keys: &str) -> String {
        let fifo = folder.join(name);
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        format!("[worker.{name}]\ncommand = [\"cat\", \"{}\"]\n{keys}\n", fifo.display())
    }

    fn new(folder: &Folder, name: &str) -> Speaker {
        Speaker(File::options().write(true).open(folder.join(name)).unwrap())
    }

    fn say(&mut self, lines: &str) {
        self.0.write_all(lines.as_bytes()).unwrap();
    }
}

/// A line starts whoever waits for it, whatever becomes of the line itself: here it is noise. A worker that is named is heard,
/// others are not; a reload changes what is waited for, and whoever speaks goes on.
#[test]
#[serial]
fn a_line_starts_a_worker() {
    let folder = Folder::new();
    let list = folder.write("noise.list", "full\n");
    let speakers = Speaker::table(&folder, "web", &format!("lists = [\"{}\"]", list.display()));
    let speakers = speakers + &Speaker::table(&folder, "db", "");
    let mut up = Up::start(&format!(
        "{speakers}[worker.one]\ncommand = [\"true\"]\nstart_on = [{{ line = \"full\", worker = \"web\" }}]\n\
         [worker.any]\ncommand = [\"echo\", \"full\"]\nstart_on = [{{ line = \"full\" }}]\n"
    ));
    up.until("all workers are up");
    let (mut web, mut db) = (Speaker::new(&folder, "web"), Speaker::new(&folder, "db"));
    db.say("disk full\n");
    up.until("any: starts: a line with \"full\"");
    up.until("any: done");
    web.say("well\ndisk full\n");
    up.until("one: starts: a line of web with \"full\"");
    up.until("one: done");
    let starts = |up: &mut Up, worker: &str| {
        let text = format!("{worker}: starts");
        up.heard().iter().filter(|line| line.contains(&text)).count()
    };
    until("the other is started, too", || starts(&mut up, "any") == 2);
    assert_eq!(up.status("web")["lines"]["suppressed"]["lines"], 1);
    assert_eq!(starts(&mut up, "one"), 1);

    let pid = up.pid_of("db");
    let path = up.folder.join("quell.toml");
    let text = std::fs::read_to_string(&path).unwrap().replace("line = \"full\" }", "line = \"gone\" }");
    std::fs::write(&path, text).unwrap();
    up.must(&["reload"]);
    db.say("full\n");
    db.say("gone\n");
    up.until("any: starts: a line with \"gone\"");
    assert_eq!(up.pid_of("db"), pid);
    assert_eq!(starts(&mut up, "any"), 3);
    up.down();
}

/// However much is printed of it while the worker runs: that starts it once more.
#[test]
#[serial]
fn a_flood_of_lines_starts_one_more() {
    const LINES: u64 = 1_000_000;
    let folder = Folder::new();
    let go = folder.join("go");
    let mut up = Up::start(&format!(
        "[worker.flood]\nshell = \"yes needle | head -n {LINES}\"\nlists = [\"{}\"]\nstart_on = [{{ fire = \"flood\" }}]\n\
         [worker.it]\nshell = \"echo run; while ! test -e {}; do sleep 0.01; done\"\nstart_on = [{{ line = \"needle\" }}]\n",
        folder.write("noise.list", "needle\n").display(),
        go.display()
    ));
    up.until("all workers are up");
    up.must(&["fire", "flood"]);
    up.until("it: starts: a line with \"needle\"");
    until("all of it is read", || up.status("flood")["lines"]["in"]["lines"] == LINES);
    folder.write("go", "");
    up.until("it: done");
    up.until("it: starts: a line with \"needle\"");
    up.until("it: done");
    assert_eq!(up.status("it")["state"], "waiting");
    assert_eq!(up.printed("it"), ["run", "run"]);
    up.down();
}
