//! What would happen: `quell simulate`, `quell test` with sources, and a real run that is gone through again.

use crate::harness::{Folder, feed, finish, quell, read_until, start, wait, wait_until};
use crate::up::{Up, configure};
use nix::sys::signal::Signal;
use serde_json::Value;
use serial_test::serial;
use std::path::Path;
use std::process::Command;

fn here() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/simulate"))
}

/// `quell simulate`, in the folder of the samples.
fn simulate(words: &[&str]) -> Command {
    let mut command = quell();
    command.current_dir(here()).arg("simulate").args(words);
    command
}

#[test]
fn a_pipeline_as_it_is_shown() {
    let expected = std::fs::read_to_string(here().join("expected.txt")).unwrap();
    let shown = finish(&mut simulate(&["events.jsonl"]));
    assert_eq!((shown.text(), shown.code()), (expected.as_str(), 0), "{}", shown.stderr);
    let events = std::fs::read(here().join("events.jsonl")).unwrap();
    assert_eq!(feed(&mut simulate(&["-"]), &events).text(), expected);
}

#[test]
fn programs_read_the_same() {
    let shown = finish(&mut simulate(&["--json", "events.jsonl"]));
    let lines: Vec<Value> = shown.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (summary, events) = lines.split_last().unwrap();
    assert_eq!(summary["summary"]["queues"][0]["longest_wait_ms"], serde_json::json!([0, 400, 800]));
    assert_eq!(summary["summary"]["expectations"][0]["met"], true);
    let numbers: Vec<_> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
}

#[test]
fn mistakes_and_what_does_not_come() {
    let wrong = feed(&mut simulate(&["-"]), b"{\"source\":{\"queue\":\"thumb\"}}\n{\"at\":\"1s\"\n");
    assert!(wrong.code() == 1 && wrong.stderr.contains("2 mistakes in standard input"), "{wrong:?}");
    assert!(
        wrong.stderr.contains("did you mean \"thumbs\"?") && wrong.stderr.contains("standard input:2:10"),
        "{wrong:?}"
    );
    let unmet = feed(&mut simulate(&["-"]), b"{\"source\":{\"fire\":\"publish\"},\"expect\":{\"start\":\"alert\"}}\n");
    assert!(unmet.code() == 1 && unmet.text().ends_with("1 expectation, 1 not met\n"), "{unmet:?}");
    assert!(unmet.text().contains("alert was not started: publish was started instead"), "{unmet:?}");
    let none = finish(&mut simulate(&["nowhere.jsonl"]));
    assert!(none.code() == 2 && none.stderr.contains("cannot read nowhere.jsonl"), "{none:?}");
}

#[test]
fn schedules_alone() {
    let shown = finish(&mut simulate(&["--until", "10m"]));
    assert_eq!(shown.text().matches("publish  starts: its time has come").count(), 5, "{shown:?}");
    assert!(finish(&mut simulate(&[])).text().contains("\n0ms simulated"), "nothing else is waited for");
}

#[test]
fn tests_with_a_source() {
    let folder = Folder::new();
    let config = std::fs::read_to_string(here().join("quell.toml")).unwrap();
    let test = |source: &str, expect: &str| format!("[[test]]\nsource = {{ {source} }}\nexpect = {{ {expect} }}\n");
    let good = [
        test("queue = \"thumbs\", class = \"high\"", "start = \"thumbs\", within = \"50ms\""),
        test("path = \"in/a.png\"", "start = \"thumbs\", within = \"50ms\""),
        test("queue = \"thumbs\"", "start = \"publish\", within = \"1s\""),
        test("fire = \"publish\"", "start = \"publish\""),
        test("worker = \"web\", event = \"failed\"", "start = \"alert\", within = \"50ms\""),
    ];
    folder.write("quell.toml", config.clone() + &good.concat());
    let run = || finish(quell().current_dir(folder.path()).arg("test"));
    let passed = run();
    assert_eq!((passed.text(), passed.code()), ("5 tests, all passed\n", 0), "{passed:?}");
    let bad = [
        test("queue = \"thumbs\"", "start = \"publish\", within = \"50ms\""),
        test("path = \"in/a.txt\"", "start = \"thumbs\""),
    ];
    folder.write("quell.toml", config + &bad.concat());
    let failed = run();
    assert_eq!(failed.code(), 1);
    for part in [
        "publish was not started within 50ms: it was started after 1s",
        "thumbs was not started: nothing was started",
        "quell.toml:27:1",
        "quell.toml:30:1",
        "2 tests, 2 expectations failed",
    ] {
        assert!(failed.text().contains(part), "{part}: {}", failed.text());
    }
}

/// What is asked for that nobody could do, or that is too late, is no test that has passed.
#[test]
fn tests_that_cannot_pass() {
    let folder = Folder::new();
    let run = |text: String| {
        folder.write("quell.toml", text);
        finish(quell().current_dir(folder.path()).arg("test"))
    };
    let worker = "[worker.it]\nshell = \"true\"\nstart_on = [{ fire = \"it\" }]\n";
    let of = |source: &str| format!("{worker}[[test]]\nsource = {{ {source} }}\nexpect = {{ start = \"it\" }}\n");
    let cases = [
        ("worker = \"it\", event = \"died\"", "\"died\" does not happen here"),
        ("class = \"high\"", "does not say what comes"),
        ("fire = \"it\", class = \"high\"", "`class` has no meaning beside `fire`"),
        ("socket = \"/run/it\"", "it was not started: nothing was started"),
    ];
    for (source, says) in cases {
        let done = run(of(source));
        let said = done.text().to_owned() + &done.stderr;
        assert!(done.code() != 0 && said.contains(says), "{source}: {said}");
    }
    let once = "[worker.once]\nshell = \"true\"\nkind = \"oneshot\"\nessential = true\n";
    let done = run(of("fire = \"it\"") + once);
    assert!(done.code() == 1 && done.text().contains("quell had ended by then"), "{}", done.text());
}

/// What was begun or started, by whom and for what, in order.
fn starts(lines: &str) -> Vec<String> {
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let is_start = |event: &Value| event["kind"] == "began" || event["kind"] == "starting";
    events.filter(is_start).map(|event| format!("{}: {}", event["worker"], event["text"])).collect()
}

/// The recorded run of a real supervisor, gone through again, has the same starts in the same order.
#[test]
#[serial]
fn a_real_run_is_gone_through_again() {
    let mut up = Up::start(
        "[queue.jobs]\ndurable = \"never\"\n\
         [worker.jobs]\nshell = \"read seconds code; sleep $$seconds; exit $$code\"\nstart_on = [{ queue = \"jobs\" }]\n\
         slots = { total = 2, high = 1 }\nretry = { tries = 2, first = \"200ms\" }\n\
         [worker.publish]\nshell = \"sleep 0.3\"\n\
         start_on = [{ queue = \"jobs\", event = \"empty\" }, { fire = \"publish\" }, { signal = \"USR2\" }]\n\
         [worker.alert]\nshell = \"true\"\nstart_on = [{ queue = \"jobs\", event = \"buried\" }]\n\
         [worker.after]\nshell = \"true\"\nstart_on = [{ worker = \"publish\" }]\n\
         [worker.web]\nshell = \"exec sleep 1000\"\n",
    );
    up.until("all workers are up");
    up.must(&["queue", "pause", "jobs"]);
    // This one is there before the recording is.
    up.must(&["put", "jobs", "--class", "low", "0.3 0"]);
    let recorder = start(quell().args(["events", "--record", "run.jsonl"]).current_dir(up.folder.path()));
    let path = up.folder.join("run.jsonl");
    let recorded = || std::fs::read_to_string(&path).unwrap_or_default();
    wait_until(up.folder.path(), "a recording", || recorded().contains("web"));
    up.must(&["put", "jobs", "0.4 0", "0.1 1"]);
    up.must(&["put", "jobs", "--class", "high", "0.7 0"]);
    up.must(&["put", "jobs", "--key", "k", "--delay", "2s", "0 0"]);
    up.must(&["put", "jobs", "--key", "k", "0 0"]);
    up.must(&["queue", "resume", "jobs"]);
    up.until("publish: starts: there is nothing left in jobs");
    up.must(&["fire", "publish"]);
    up.until("after: done");
    up.until("after: done");
    up.must(&["restart", "web"]);
    up.must(&["stop", "publish"]);
    up.must(&["down"]);
    up.end();
    let done = recorder.done();
    assert_eq!(done.code(), 0, "{done:?}");
    let again = finish(quell().args(["simulate", "--json", "run.jsonl"]).current_dir(up.folder.path()));
    assert_eq!(again.code(), 0, "{again:?}");
    let (real, simulated) = (starts(&recorded()), starts(again.text()));
    assert_eq!(real.len(), 11, "{real:#?}");
    assert_eq!(simulated, real);
    let twice = finish(quell().args(["events", "--record", "run.jsonl"]).current_dir(up.folder.path()));
    assert_eq!(twice.code(), 1, "no supervisor runs: {twice:?}");
}

/// A recording that begins and ends in the midst of things: a try and a stop that were before it, a try that is not over, a
/// task that is buried twice, a worker that stays, a file, a line, a signal that ends quell.
#[test]
#[serial]
fn what_a_recording_cuts_is_as_it_was() {
    let folder = Folder::new();
    let ran = folder.join("ran");
    let workers = "[queue.jobs]\ndurable = \"never\"\n[queue.mail]\ndurable = \"never\"\n\
         [worker.jobs]\nshell = \"read seconds code; > RAN; sleep $$seconds; exit $$code\"\n\
         start_on = [{ queue = \"jobs\" }]\nslots = { total = 2 }\nretry = { tries = 1 }\n\
         [worker.mail]\nprotocol = \"lines\"\nstart_on = [{ queue = \"mail\" }]\n\
         shell = 'while read -r id rest <&3; do sleep 0.2; echo \"ok $$id\" >&3; done'\n\
         [worker.depth]\nshell = \"sleep 0.1\"\nstart_on = [{ queue = \"jobs\", depth = 1 }]\n\
         [worker.buried]\nshell = \"true\"\nstart_on = [{ queue = \"jobs\", event = \"buried\" }]\n\
         [worker.sent]\nshell = \"sleep 0.1\"\nstart_on = [{ queue = \"mail\", event = \"empty\" }]\n\
         [worker.files]\nshell = \"rm -f RAN.csv/*\"\nstart_on = [{ path = \"ran.csv/*.csv\" }]\n\
         [worker.prints]\nshell = \"echo disk full\"\nstart_on = [{ fire = \"print\" }]\n\
         [worker.lines]\nshell = \"true\"\nstart_on = [{ line = \"disk full\", worker = \"prints\" }]\n\
         [worker.held]\nshell = \"true\"\nstart_on = [{ fire = \"print\" }]\n";
    std::fs::create_dir_all(folder.join("ran.csv")).unwrap();
    let path = configure(&folder, &workers.replace("RAN", ran.to_str().unwrap()));
    let mut up = Up::of(folder, path);
    up.until("all workers are up");
    up.must(&["stop", "held"]);
    up.must(&["put", "jobs", "1.5 0"]);
    up.until("depth: starts: a task waits in jobs");
    up.until("depth: done");
    wait_until(up.folder.path(), "a try", || ran.exists());
    let recorder = start(quell().args(["events", "--record", "run.jsonl"]).current_dir(up.folder.path()));
    let path = up.folder.join("run.jsonl");
    let recorded = || std::fs::read_to_string(&path).unwrap_or_default();
    wait_until(up.folder.path(), "a recording", || recorded().contains("which jobs.1 has"));
    up.must(&["put", "jobs", "0.2 3"]);
    up.until("is buried: exit 3");
    up.until("buried: done");
    up.must(&["queue", "kick", "2"]);
    up.until("is buried: exit 3");
    up.until("buried: done");
    // Whoever waits for tasks of a queue is started when it goes on.
    up.must(&["queue", "pause", "mail"]);
    up.must(&["put", "mail", "a", "b"]);
    up.must(&["queue", "resume", "mail"]);
    up.until("sent: done");
    up.must(&["queue", "pause", "mail"]);
    up.must(&["put", "mail", "c"]);
    up.must(&["queue", "resume", "mail"]);
    up.until("sent: done");
    up.folder.write("ran.csv/a.csv", "");
    up.until("files: done");
    up.must(&["fire", "print"]);
    up.until("lines: done");
    std::fs::remove_file(&ran).unwrap();
    up.must(&["put", "jobs", "1000 0"]);
    wait_until(up.folder.path(), "a try", || ran.exists());
    up.signal(Signal::SIGTERM);
    up.end();
    let done = recorder.done();
    assert_eq!(done.code(), 0, "{done:?}");
    let again = finish(quell().args(["simulate", "--json", "run.jsonl"]).current_dir(up.folder.path()));
    assert_eq!(again.code(), 0, "{again:?}");
    let (real, simulated) = (starts(&recorded()), starts(again.text()));
    let (old, simulated) = simulated.split_at(1);
    assert_eq!(old, ["\"jobs.1\": \"task 1 of jobs (normal), try 1: begins\""]);
    assert_eq!(simulated, real, "{}", recorded());
    for (worker, starts) in [("held", 0), ("buried", 2), ("depth", 3), ("sent", 2), ("files", 1), ("lines", 1)] {
        let of_it = real.iter().filter(|line| line.starts_with(&format!("\"{worker}\"")));
        assert_eq!(of_it.count(), starts, "{worker}: {real:#?}");
    }
}

/// What would start a worker of a configuration that is not in force, beside the supervisor that runs.
#[test]
#[serial]
fn a_source_is_tried_beside_the_real_ones() {
    let mut up = Up::start(
        "[queue.jobs]\ndurable = \"never\"\n[worker.jobs]\nshell = \"true\"\nstart_on = [{ queue = \"jobs\" }]\n\
         [worker.web]\nshell = \"true\"\nstart_on = [{ fire = \"deploy\" }]\n",
    );
    up.until("all workers are up");
    let old = std::fs::read_to_string(up.folder.join("quell.toml")).unwrap();
    let new = "[worker.new]\nshell = \"true\"\n\
        start_on = [{ queue = \"jobs\", event = \"empty\" }, { worker = \"web\" }, { schedule = \"* * * * *\" }]\n";
    up.folder.write("new.toml", old + new);
    let mut trying = quell();
    trying.args(["source", "try", "new", "--for", "6s", "-c", "new.toml"]).current_dir(up.folder.path());
    let mut child = trying.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut said = child.stdout.take().unwrap();
    let mut shown = read_until(&mut said, "looking for 6.0s at what would start new\n");
    up.must(&["put", "jobs", "a"]);
    shown += &read_until(&mut said, "would start: there is nothing left in jobs\n");
    up.must(&["fire", "deploy"]);
    shown += &read_until(&mut said, "would start: web: exit\n");
    shown += &read_until(&mut said, "nothing was started\n");
    assert!(wait(&mut child).success() && shown.lines().count() >= 4, "{shown}");
    let refused = finish(quell().args(["source", "try", "neu", "-c", "new.toml"]).current_dir(up.folder.path()));
    assert!(refused.code() == 2 && refused.stderr.contains("did you mean new?"), "{refused:?}");
    up.down();
    let alone =
        finish(quell().args(["source", "try", "new", "--for", "1ms", "-c", "new.toml"]).current_dir(up.folder.path()));
    assert!(alone.code() == 0 && alone.stderr.contains("only schedules are looked at"), "{alone:?}");
}
