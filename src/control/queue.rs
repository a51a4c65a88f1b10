//! How queues and their tasks are, as clients are told; keys and words are as in [`status`](super::status).

use super::payload::Payload;
use super::status::words;
use crate::clock::Wall;
use crate::config::tables::QueueEvent;
use crate::task::{self, Class, TaskId};
use serde::{Deserialize, Serialize};

/// So much of a payload stands in a list of tasks, in bytes.
pub const HEAD_BYTES_MAX: usize = 256;
/// So much of it stands where one task is shown.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// A queue in short, as it stands in the status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Tasks that can be started.
    pub waiting: ByClass,
    /// Tasks that are not due yet.
    pub delayed: u64,
    /// Tasks that a worker has.
    pub running: u64,
    /// Tasks that were given up.
    pub buried: u64,
    /// Tasks that are set aside: the disk does not hold what was put.
    pub damaged: u64,
    /// No task is started until it is resumed.
    pub paused: bool,
    /// Why it is not as it should be: `no space left on device`.
    pub why: Option<String>,
}

/// Tasks of each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByClass {
    /// Before all others.
    pub high: u64,
    /// Most.
    pub normal: u64,
    /// When there is little else.
    pub low: u64,
}

/// All that is known of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStatus {
    /// What the status has, too.
    #[serde(flatten)]
    pub queue: Queue,
    /// Tasks that are done and whose results are kept.
    pub done: u64,
    /// What is stored of its tasks.
    pub bytes: u64,
    /// How long the oldest one has waited of those that can be started.
    pub oldest_ms: Option<u64>,
    /// When the next delayed one is due.
    #[serde(rename = "next_due_us")]
    pub next_due: Option<Wall>,
    /// Beyond these a put is refused.
    pub limits: Limits,
    /// What has happened since quell was started.
    pub totals: Totals,
    /// Who does its tasks.
    pub workers: Vec<Consumer>,
    /// How the store is that holds them.
    pub store: Store,
}

/// The limits of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Tasks.
    pub tasks: u64,
    /// Bytes of payloads.
    pub bytes: u64,
}

/// Counters; a try that fails counts each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Tasks that were put.
    pub put: u64,
    /// Tasks that were done.
    pub done: u64,
    /// Tries that failed.
    pub failed: u64,
    /// Tasks that were given up.
    pub buried: u64,
}

/// A worker that does tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    /// Its name.
    pub worker: String,
    /// How many tasks it does at once.
    pub slots: u32,
    /// How many it does now.
    pub busy: u32,
}

/// How a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Store {
    /// It is being opened.
    Opening,
    /// It takes and gives tasks.
    Ready,
    /// It cannot be written, and is tried again.
    Failing,
    /// It is on another machine, which cannot be reached.
    Lost,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It can be started.
    Waiting,
    /// It waits until it is due.
    Delayed,
    /// A worker has it.
    Running,
    /// It is done.
    Done,
    /// It was given up.
    Buried,
    /// The disk does not hold what was put; it is set aside.
    Damaged,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A task, as a list has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRow {
    /// Its number.
    pub id: TaskId,
    /// Its queue.
    pub queue: String,
    /// How urgent it is.
    pub class: Class,
    /// Where it stands.
    pub state: State,
    /// How many tries were begun.
    pub attempt: u32,
    /// When it was put.
    #[serde(rename = "put_us")]
    pub put: Wall,
    /// When it is due, where it is delayed.
    #[serde(rename = "due_us")]
    pub due: Option<Wall>,
    /// When it was done, buried or set aside.
    #[serde(rename = "ended_us")]
    pub ended: Option<Wall>,
    /// What makes it the same task as another.
    pub key: Option<String>,
    /// Who has it.
    pub worker: Option<String>,
    /// Why the last try failed, or why it was buried.
    pub why: Option<String>,
    /// How long its payload is, or was.
    pub payload_bytes: u64,
    /// Its payload, or the beginning of it; none is kept of a task that is done.
    pub payload: Option<Payload>,
}

/// Some tasks, in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPage {
    /// They.
    pub tasks: Vec<TaskRow>,
    /// There are others behind the last.
    pub more: bool,
    /// Servers that cannot be reached: what they have is not among these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// A task in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDetail {
    /// What a list has, with more of the payload.
    #[serde(flatten)]
    pub row: TaskRow,
    /// Which trace it belongs to.
    pub trace: Option<String>,
    /// What its worker said when it was done.
    pub result: Option<String>,
}

/// What became of a payload that was put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The task.
    pub id: TaskId,
    /// Whether it is a new one.
    pub what: Placement,
    /// How it ended; none where that was not waited for, or not long enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// Whether a task is a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// It is.
    New,
    /// One with its key is there already; that stays, and this one was left out.
    There,
    /// It has taken the place of one with its key.
    Replaced,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// In a word.
    pub end: End,
    /// Its result, or why it was buried.
    pub text: Option<String>,
}

/// The ends that a task can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// It is done.
    Done,
    /// It was given up.
    Buried,
    /// Somebody dropped it.
    Dropped,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}

words!(Store: Opening "opening", Ready "ready", Failing "failing", Lost "lost");
words!(State: Waiting "waiting", Delayed "delayed", Running "running", Done "done", Buried "buried", Damaged "damaged");
words!(Placement: New "new", There "there", Replaced "replaced");
words!(End: Done "done", Buried "buried", Dropped "dropped");

impl ByClass {
    /// Of all classes.
    #[must_use]
    pub fn total(self) -> u64 {
        self.high.saturating_add(self.normal).saturating_add(self.low)
    }
}

impl Totals {
    /// Counts what has happened to a task; that it was added is counted where it is put.
    pub fn count(&mut self, event: QueueEvent) {
        match event {
            QueueEvent::Done => self.done += 1,
            QueueEvent::Failed => self.failed += 1,
            QueueEvent::Buried => self.buried += 1,
            QueueEvent::Added | QueueEvent::Empty => {}
        }
    }
}

impl From<task::State> for State {
    fn from(state: task::State) -> State {
        match state {
            task::State::Waiting => State::Waiting,
            task::State::Delayed => State::Delayed,
            task::State::Running => State::Running,
            task::State::Done => State::Done,
            task::State::Buried => State::Buried,
            task::State::Damaged => State::Damaged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;
    use std::fmt::Debug;

    /// The keys are a promise: one may come, none may go.
    #[track_caller]
    fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, json: &str) {
        assert_eq!(serde_json::to_string(value).unwrap(), json);
        assert_eq!(&serde_json::from_str::<T>(json).unwrap(), value);
    }

    fn queue() -> Queue {
        Queue {
            name: "thumbs".into(),
            waiting: ByClass { high: 1, normal: 20, low: 3 },
            delayed: 4,
            running: 2,
            buried: 1,
            damaged: 0,
            paused: false,
            why: None,
        }
    }

    const QUEUE: &str = concat!(
        r#""name":"thumbs","waiting":{"high":1,"normal":20,"low":3},"delayed":4,"running":2,"buried":1,"#,
        r#""damaged":0,"paused":false,"why":null"#
    );

    #[test]
    fn a_queue() {
        check(&queue(), &format!("{{{QUEUE}}}"));
        let status = QueueStatus {
            queue: queue(),
            done: 7,
            bytes: 4096,
            oldest_ms: Some(1500),
            next_due: Some(Wall(9)),
            limits: Limits { tasks: 1_000_000, bytes: 1 << 30 },
            totals: Totals { put: 38, done: 7, failed: 5, buried: 1 },
            workers: vec![Consumer { worker: "thumbs.1".into(), slots: 4, busy: 2 }],
            store: Store::Ready,
        };
        let rest = concat!(
            r#""done":7,"bytes":4096,"oldest_ms":1500,"next_due_us":9,"limits":{"tasks":1000000,"bytes":1073741824},"#,
            r#""totals":{"put":38,"done":7,"failed":5,"buried":1},"#,
            r#""workers":[{"worker":"thumbs.1","slots":4,"busy":2}],"store":"ready""#,
        );
        check(&status, &format!("{{{QUEUE},{rest}}}"));
        assert_eq!((queue().waiting.total(), ByClass { high: u64::MAX, normal: 1, low: 1 }.total()), (24, u64::MAX));
    }

    #[test]
    fn a_task() {
        let row = TaskRow {
            id: TaskId(17),
            queue: "thumbs".into(),
            class: Class::High,
            state: State::Damaged,
            attempt: 2,
            put: Wall(5),
            due: None,
            ended: Some(Wall(9)),
            key: Some("in/a.png".into()),
            worker: None,
            why: Some("exited 3".into()),
            payload_bytes: 1000,
            payload: Some(b"in/a"[..].into()),
        };
        let json = concat!(
            r#""id":17,"queue":"thumbs","class":"high","state":"damaged","attempt":2,"put_us":5,"due_us":null,"#,
            r#""ended_us":9,"key":"in/a.png","worker":null,"why":"exited 3","payload_bytes":1000,"payload":"in/a""#,
        );
        let page = |missing| TaskPage { tasks: vec![row.clone()], more: true, missing };
        check(&page(Vec::new()), &format!(r#"{{"tasks":[{{{json}}}],"more":true}}"#));
        let missing = vec!["redis://h:6379/0".to_owned()];
        check(&page(missing), &format!(r#"{{"tasks":[{{{json}}}],"more":true,"missing":["redis://h:6379/0"]}}"#));
        let detail = TaskDetail { row, trace: None, result: Some("3 pages".into()) };
        check(&detail, &format!(r#"{{{json},"trace":null,"result":"3 pages"}}"#));
    }

    #[test]
    fn what_was_put() {
        check(&Placed { id: TaskId(1), what: Placement::There, outcome: None }, r#"{"id":1,"what":"there"}"#);
        let outcome = Some(Outcome { end: End::Buried, text: Some("exited 65".into()) });
        check(
            &Placed { id: TaskId(1), what: Placement::New, outcome },
            r#"{"id":1,"what":"new","outcome":{"end":"buried","text":"exited 65"}}"#,
        );
    }

    #[test]
    fn words_are_those_of_the_json() {
        let quoted = |word: &str| format!("\"{word}\"");
        for state in task::State::ALL {
            assert_eq!((State::from(state).word(), quoted(state.word())), (state.word(), json(&State::from(state))));
        }
        for store in [Store::Opening, Store::Ready, Store::Failing, Store::Lost] {
            assert_eq!(json(&store), quoted(store.word()));
        }
        for what in [Placement::New, Placement::There, Placement::Replaced] {
            assert_eq!(json(&what), quoted(what.word()));
        }
        for end in [End::Done, End::Buried, End::Dropped] {
            assert_eq!(json(&end), quoted(end.word()));
        }
    }

    fn json(value: &impl Serialize) -> String {
        serde_json::to_string(value).unwrap()
    }

    #[test]
    fn a_newer_supervisor_is_understood() {
        let placed: Placed =
            serde_json::from_str(r#"{"id":1,"what":"moved","outcome":{"end":"lent","text":null,"to":2}}"#).unwrap();
        assert_eq!((placed.what, placed.outcome.unwrap().end), (Placement::Unknown, End::Unknown));
        assert_eq!(serde_json::from_str::<State>("\"split\"").unwrap(), State::Unknown);
    }
}
