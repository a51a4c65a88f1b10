//! A configuration of 1,000 workers: all of its mistakes, and no other.

use super::{at, thousand};
use crate::harness::Folder;

/// What is written, what stands there instead, in which worker's table, and a piece of what is said.
const MISTAKES: [(&str, &str, usize, &str); 9] = [
    ("command =", "comand =", 3, "did you mean `command`?"),
    ("\"/srv/app\"", "\"~/app\"", 101, "`~` is not expanded"),
    ("\"heartbeat\"", "\"heartbeat", 150, "a comma is missing"),
    ("restart = \"always\"", "restart = \"alway\"", 222, "did you mean \"always\"?"),
    ("grace = \"20s\"", "grace = 20", 333, "20 what?"),
    ("needs = [\"w", "needs = [\"v", 444, "no worker is called `v434`"),
    ("tries = 3", "tries = 0", 559, "out of range"),
    ("}", "", 700, "never closes"),
    ("timeout = \"1m\"", "timeouts = \"1m\"", 909, "did you mean `timeout`?"),
];

#[test]
fn of_a_thousand_workers_exactly_the_wrong_ones_are_reported() {
    let folder = Folder::new();
    thousand::write(folder.path()).unwrap();
    let done = at(&folder, &["check", "--strict"]);
    assert_eq!((done.code(), done.text()), (0, "quell.toml: 1000 workers and 20 queues, no mistake\n"));

    let mut text = thousand::text();
    for (right, wrong, worker, _) in MISTAKES {
        let table = text.find(&format!("[worker.w{worker}]\n")).unwrap();
        let start = table + text[table..].find(right).unwrap();
        text.replace_range(start..start + right.len(), wrong);
    }
    let lines: Vec<_> = text.lines().collect();
    let line_of = |wrong: &str, worker: usize| {
        let table = lines.iter().position(|line| *line == format!("[worker.w{worker}]")).unwrap();
        let wrong = if wrong.is_empty() { "env = " } else { wrong };
        table + lines[table..].iter().position(|line| line.contains(wrong)).unwrap() + 1
    };
    let mut expected: Vec<_> =
        MISTAKES.iter().map(|(_, wrong, worker, said)| ("quell.toml", line_of(wrong, *worker), *said)).collect();
    // The tenth: a list that several workers use.
    folder.write("lists/7.list", "job 7-1 was \\quiet\n");
    expected.push(("lists/7.list", 1, "escape"));
    folder.write("quell.toml", &text);
    let done = at(&folder, &["check", "--json"]);
    let reports: serde_json::Value = serde_json::from_str(done.text()).unwrap();
    let reports = reports.as_array().unwrap();
    let found =
        reports.iter().map(|report| (report["file"].as_str().unwrap(), report["line"].as_u64().unwrap() as usize));
    let found: Vec<_> = found.collect();
    assert_eq!(found, expected.iter().map(|(file, line, _)| (*file, *line)).collect::<Vec<_>>(), "{}", done.text());
    for (report, (_, _, said)) in reports.iter().zip(&expected) {
        let text = format!("{} {}", report["message"].as_str().unwrap(), report["help"].as_str().unwrap());
        assert!(text.contains(said), "{said}: {text}");
    }
}
