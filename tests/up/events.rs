//! What happened, told in order.

use super::Up;
use crate::harness::{quell, start};
use serde_json::Value;
use serial_test::serial;

#[test]
#[serial]
fn whoever_follows_sees_all_in_order() {
    let mut up = Up::start("[worker.web]\ncommand = [\"sleep\", \"1000\"]\n");
    up.ready("web");
    let mut follow = quell();
    follow.args(["events", "-f", "-n", "1000", "--json", "-c"]).arg(up.folder.join("quell.toml"));
    let follower = start(&mut follow);
    up.must(&["restart", "web"]);
    up.must(&["stop", "web"]);
    up.must(&["start", "web"]);
    up.must(&["reload"]);
    let before = up.must(&["events"]);
    up.must(&["down"]);
    let told = follower.done();
    let events: Vec<Value> = told.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: Vec<_> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>(), "{told:?}");
    let kinds = |worker: &Value| -> Vec<&str> {
        let mine = events.iter().filter(|event| event["worker"] == *worker);
        mine.map(|event| event["kind"].as_str().unwrap()).collect()
    };
    let life = ["started", "ready", "stopping", "exited"];
    let all = [&life[..], &life[..], &["stopped"], &life[..]].concat();
    assert_eq!(kinds(&"web".into()), all, "{told:?}");
    assert_eq!(kinds(&Value::Null), ["quell", "quell", "reload", "quell", "quell"], "{told:?}");
    assert!(before.lines().count() < events.len() && before.contains("web"), "{before}");
    up.end();
}
