//! What a recording has beyond what everybody is told: what came from outside, and each try of a task. With that a run can be
//! gone through again. Keys and words are as in [`status`](super::status); what is not said is left out.

use super::put::{Key, Put};
use super::request::{OfQueue, OfTask, Request, Target};
use crate::clock::Wall;
use crate::config::typed::FromText;
use crate::config::unit::show_duration;
use crate::task::outcome::End;
use crate::task::trigger::What;
use crate::task::{Class, Task, TaskId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// The version of a recording's lines. A later one may have other keys and words; one that gives them another meaning has
/// another number.
pub const VERSION: u32 = 1;

/// The first line of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Always `recording`.
    pub kind: Box<str>,
    /// As [`VERSION`].
    pub version: u32,
    /// When it begins.
    #[serde(rename = "at_us")]
    pub at: Wall,
    /// Who has written it.
    pub quell: Box<str>,
}

impl Header {
    /// That of a recording which begins now.
    #[must_use]
    pub fn new(at: Wall) -> Header {
        Header { kind: "recording".into(), version: VERSION, at, quell: env!("CARGO_PKG_VERSION").into() }
    }
}

/// Something that came from outside, in the words of `source` in a `[[test]]`: one of `queue`, `worker`, `line`, `path`,
/// `socket`, `signal`, `fire`, `ask`, `clock_ms`, and what belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Source {
    /// A task was put into this queue; beside `ask`, what it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<Box<str>>,
    /// How urgent it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Its number; beside `ask`, which task that is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<TaskId>,
    /// How many tries of it were begun before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// What makes it the same task as another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// It is not due before so many milliseconds have passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// How long its payload is; of several, on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// So many of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Something happened to this worker; beside `queue`, who is at work on the task already; beside `line`, whose line; beside `ask`, which one that is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<Box<str>>,
    /// What: `exit`, `ready`, `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Box<str>>,
    /// A line was printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<Box<str>>,
    /// There is a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Box<str>>,
    /// Somebody connects to this address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<Box<str>>,
    /// quell was sent this signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<Box<str>>,
    /// `quell fire`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fire: Option<Box<str>>,
    /// Somebody asks for something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask: Option<Ask>,
    /// The calendar's clock was set, so many milliseconds forward or back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_ms: Option<i64>,
}

/// What somebody can ask for: verbs of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// A worker is wanted up.
    Start,
    /// It is wanted down.
    Stop,
    /// It is stopped and started.
    Restart,
    /// It is at rest, since it has no connections, or has ended: it is started again by what it waits for.
    Idle,
    /// No task of a queue is started.
    Pause,
    /// They are again.
    Resume,
    /// All that wait are dropped.
    Drain,
    /// A task is tried at once, or all of a queue that were given up or are delayed.
    Kick,
    /// A task is given up.
    Bury,
    /// A task is dropped.
    Drop,
    /// Everything is stopped.
    Down,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A try of a task: that it begins, or how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// The task.
    pub id: TaskId,
    /// Its queue.
    pub queue: Box<str>,
    /// How urgent it is.
    pub class: Class,
    /// Which try it is.
    pub attempt: u32,
    /// When the task was put.
    #[serde(rename = "put_us")]
    pub put: Wall,
    /// How the try ended; none where it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<TryEnd>,
}

/// How a try ended: `"end":{"failed":{"why":"exit 3"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TryEnd {
    /// The task is done.
    Done {},
    /// The worker wants it tried again.
    Retry {
        /// After so many milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_ms: Option<u64>,
        /// Why.
        why: Box<str>,
    },
    /// The worker gives it up.
    Bury {
        /// Why.
        why: Box<str>,
    },
    /// It failed.
    Failed {
        /// Why.
        why: Box<str>,
    },
    /// It was given back, by no fault of its own.
    Lost {},
}

impl Try {
    /// A try of this task, which is of this queue.
    #[must_use]
    pub fn of(task: &Task, queue: &str, end: Option<TryEnd>) -> Try {
        let Task { id, class, attempt, put, .. } = *task;
        Try { id, queue: queue.into(), class, attempt, put, end }
    }
}

impl From<&End> for TryEnd {
    fn from(end: &End) -> TryEnd {
        match end {
            End::Done { .. } => TryEnd::Done {},
            End::Retry { after, why } => {
                let ms = |after: Duration| u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                TryEnd::Retry { after_ms: after.map(ms), why: why.clone() }
            }
            End::Bury { why } => TryEnd::Bury { why: why.clone() },
            End::Failed { why } => TryEnd::Failed { why: why.clone() },
            End::Lost { .. } => TryEnd::Lost {},
        }
    }
}

impl TryEnd {
    /// What the worker has said by it; none where the task was given back.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        Some(match self {
            TryEnd::Done {} => End::Done { result: None },
            TryEnd::Retry { after_ms, why } => {
                End::Retry { after: after_ms.map(Duration::from_millis), why: why.clone() }
            }
            TryEnd::Bury { why } => End::Bury { why: why.clone() },
            TryEnd::Failed { why } => End::Failed { why: why.clone() },
            TryEnd::Lost {} => return None,
        })
    }
}

impl Ask {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Ask::Start => "start",
            Ask::Stop => "stop",
            Ask::Restart => "restart",
            Ask::Idle => "idle",
            Ask::Pause => "pause",
            Ask::Resume => "resume",
            Ask::Drain => "drain",
            Ask::Kick => "kick",
            Ask::Bury => "bury",
            Ask::Drop => "drop",
            Ask::Down => "down",
            Ask::Unknown => "unknown",
        }
    }
}

impl Source {
    /// Something that happened, where that came from outside.
    #[must_use]
    pub fn of(what: What<'_>) -> Option<Source> {
        let text = |text: &str| Some(text.into());
        Some(match what {
            What::Line { worker, line } => {
                Source { worker: text(worker), line: text(&String::from_utf8_lossy(line)), ..Source::default() }
            }
            What::Path(path) => Source { path: text(&path.to_string_lossy()), ..Source::default() },
            What::Socket(address) => Source { socket: text(&address.to_text()), ..Source::default() },
            What::Signal(name) => Source { signal: text(name), ..Source::default() },
            What::Fire(name) => Source { fire: text(name), ..Source::default() },
            // These follow from others.
            What::Queue { .. } | What::Worker { .. } => return None,
        })
    }

    /// A task of a put.
    #[must_use]
    pub fn put(put: &Put) -> Source {
        Source {
            queue: Some(put.queue.as_str().into()),
            class: Some(put.class),
            key: put.key.clone(),
            delay_ms: put.delay_ms,
            bytes: Some(average(put.payloads.iter().map(|payload| payload.as_bytes().len()))),
            ..Source::default()
        }
    }

    /// What a client asks for that has an effect; but for a put, of which more is known when it is stored.
    #[must_use]
    pub fn asked(request: &Request) -> Vec<Source> {
        let asked = |ask: Ask| Source { ask: Some(ask), ..Source::default() };
        let workers = |ask: Ask, workers: &[Target]| match workers {
            [] => vec![asked(ask)],
            _ => workers.iter().map(|one| Source { worker: Some(one.as_str().into()), ..asked(ask) }).collect(),
        };
        match request {
            Request::Start { workers: of, .. } => workers(Ask::Start, of),
            Request::Stop { workers: of, .. } => workers(Ask::Stop, of),
            Request::Restart { workers: of, .. } => workers(Ask::Restart, of),
            Request::Down { .. } => vec![asked(Ask::Down)],
            Request::Queue { queue: Some(queue), what } => {
                let ask = match what {
                    OfQueue::Drain => Ask::Drain,
                    OfQueue::Pause => Ask::Pause,
                    OfQueue::Resume => Ask::Resume,
                    OfQueue::Kick => Ask::Kick,
                    OfQueue::List { .. } | OfQueue::Stats | OfQueue::Look => return Vec::new(),
                };
                vec![Source { queue: Some(queue.as_str().into()), ..asked(ask) }]
            }
            Request::Task { id, what } => {
                let ask = match what {
                    OfTask::Kick => Ask::Kick,
                    OfTask::Bury => Ask::Bury,
                    OfTask::Drop => Ask::Drop,
                    OfTask::Show => return Vec::new(),
                };
                vec![Source { id: Some(*id), ..asked(ask) }]
            }
            _ => Vec::new(),
        }
    }
}

/// What so many bytes each are on average, rounded up.
#[must_use]
pub fn average(bytes: impl ExactSizeIterator<Item = usize>) -> u64 {
    let count = bytes.len().max(1) as u64;
    bytes.map(|bytes| bytes as u64).sum::<u64>().div_ceil(count)
}

/// It in words.
impl fmt::Display for Try {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Try { id, queue, class, attempt, end, .. } = self;
        write!(f, "task {id} of {queue} ({}), try {attempt}: ", class.word())?;
        match end {
            None => f.write_str("begins"),
            Some(TryEnd::Done {}) => f.write_str("done"),
            Some(TryEnd::Retry { why, .. }) => write!(f, "to be tried again ({why})"),
            Some(TryEnd::Bury { why }) => write!(f, "given up ({why})"),
            Some(TryEnd::Failed { why }) => write!(f, "failed ({why})"),
            Some(TryEnd::Lost {}) => f.write_str("given back"),
        }
    }
}

/// It in words.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source { ask: Some(ask), id: Some(id), .. } => write!(f, "{} {id}", ask.word()),
            Source { ask: Some(ask), worker, queue, .. } => match worker.as_ref().or(queue.as_ref()) {
                Some(name) => write!(f, "{} {name}", ask.word()),
                None => f.write_str(ask.word()),
            },
            Source { line: Some(line), worker, .. } => {
                write!(f, "{} prints {line:?}", worker.as_deref().unwrap_or("a worker"))
            }
            Source { path: Some(path), .. } => write!(f, "the file {path}"),
            Source { socket: Some(address), .. } => write!(f, "a connection to {address}"),
            Source { signal: Some(name), .. } => write!(f, "SIG{}", name.strip_prefix("SIG").unwrap_or(name)),
            Source { fire: Some(name), .. } => write!(f, "fire {name}"),
            Source { clock_ms: Some(ms), .. } => {
                let span = show_duration(Duration::from_millis(ms.unsigned_abs()));
                write!(f, "the clock is set {} by {span}", if *ms < 0 { "back" } else { "forward" })
            }
            Source { queue: Some(queue), count, id, class, worker, .. } => {
                match (count, id) {
                    (Some(count @ 2..), _) => write!(f, "{count} tasks for {queue}")?,
                    (_, Some(id)) => write!(f, "task {id} for {queue}")?,
                    _ => write!(f, "a task for {queue}")?,
                }
                write!(f, " ({})", class.unwrap_or_default().word())?;
                worker.iter().try_for_each(|worker| write!(f, ", which {worker} has"))
            }
            Source { worker: Some(worker), event, .. } => {
                write!(f, "{worker}: {}", event.as_deref().unwrap_or("exit"))
            }
            _ => f.write_str("nothing"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tables::WorkerEvent;
    use crate::config::values::Address;
    use serde::de::DeserializeOwned;
    use std::path::Path;

    /// The keys are a promise: one may come, none may go.
    #[track_caller]
    fn check<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(value: &T, json: &str) {
        assert_eq!(serde_json::to_string(value).unwrap(), json);
        assert_eq!(&serde_json::from_str::<T>(json).unwrap(), value);
    }

    #[test]
    fn what_is_put() {
        let put = r#"{"put":{"queue":"jobs","class":"low","delay_ms":9,"payloads":["12345","123",""]}}"#;
        let Ok(Request::Put(put)) = Request::parse(put.as_bytes()) else { panic!() };
        check(&Source::put(&put), r#"{"queue":"jobs","class":"low","delay_ms":9,"bytes":3}"#);
    }

    #[test]
    fn sources_and_their_json() {
        let said = |json: &str| {
            let source: Source = serde_json::from_str(json).unwrap();
            check(&source, json);
            source.to_string()
        };
        assert_eq!(said(r#"{"queue":"jobs","class":"high","id":7}"#), "task 7 for jobs (high)");
        assert_eq!(
            said(r#"{"queue":"jobs","key":{"key":"a","on":"replace"},"delay_ms":5}"#),
            "a task for jobs (normal)"
        );
        assert_eq!(said(r#"{"queue":"jobs","bytes":5,"count":3}"#), "3 tasks for jobs (normal)");
        assert_eq!(said(r#"{"queue":"jobs","id":7,"worker":"jobs.2"}"#), "task 7 for jobs (normal), which jobs.2 has");
        assert_eq!(said(r#"{"worker":"web","event":"failed"}"#), "web: failed");
        assert_eq!(said(r#"{"worker":"web","line":"disk \"a\" full"}"#), r#"web prints "disk \"a\" full""#);
        assert_eq!(said(r#"{"path":"/in/a.csv"}"#), "the file /in/a.csv");
        assert_eq!(said(r#"{"socket":"[::1]:80"}"#), "a connection to [::1]:80");
        assert_eq!(said(r#"{"signal":"USR1"}"#), "SIGUSR1");
        assert_eq!(said(r#"{"fire":"publish"}"#), "fire publish");
        assert_eq!(said(r#"{"queue":"jobs","ask":"pause"}"#), "pause jobs");
        assert_eq!(said(r#"{"id":7,"ask":"kick"}"#), "kick 7");
        assert_eq!(said(r#"{"ask":"down"}"#), "down");
        assert_eq!(said(r#"{"clock_ms":-3600000}"#), "the clock is set back by 1h");
    }

    #[test]
    fn what_happens_and_what_is_asked_for() {
        let of = |what: What<'_>| Source::of(what).map(|source| source.to_string());
        assert_eq!(of(What::Fire("a")).as_deref(), Some("fire a"));
        assert_eq!(of(What::Signal("HUP")).as_deref(), Some("SIGHUP"));
        let address = Address::Tcp("127.0.0.1".into(), 80);
        assert_eq!(of(What::Socket(&address)).as_deref(), Some("a connection to 127.0.0.1:80"));
        assert_eq!(of(What::Path(Path::new("/a"))).as_deref(), Some("the file /a"));
        assert_eq!(of(What::Line { worker: "web", line: b"x" }).as_deref(), Some("web prints \"x\""));
        assert_eq!(of(What::Worker { worker: "web", event: WorkerEvent::Exit }), None);
        let asked = |json: &str| {
            let sources = Source::asked(&Request::parse(json.as_bytes()).unwrap());
            sources.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let patience = r#""patience":{"wait":false}"#;
        for word in ["start", "stop", "restart"] {
            let all = asked(&format!(r#"{{"{word}":{{"workers":[],{patience}}}}}"#));
            let two = asked(&format!(r#"{{"{word}":{{"workers":["web","db.2"],{patience}}}}}"#));
            assert_eq!((all, two), (vec![word.to_owned()], vec![format!("{word} web"), format!("{word} db.2")]));
        }
        assert_eq!(asked(&format!(r#"{{"down":{{{patience}}}}}"#)), ["down"]);
        for word in ["pause", "resume", "drain", "kick"] {
            assert_eq!(asked(&format!(r#"{{"queue":{{"queue":"jobs","what":"{word}"}}}}"#)), [format!("{word} jobs")]);
        }
        for word in ["kick", "bury", "drop"] {
            assert_eq!(asked(&format!(r#"{{"task":{{"id":7,"what":"{word}"}}}}"#)), [format!("{word} 7")]);
        }
        assert!(asked(r#"{"task":{"id":7,"what":"show"}}"#).is_empty() && asked(r#"{"status":{}}"#).is_empty());
    }

    #[test]
    fn tries_and_their_json() {
        let put = Wall(5);
        let it = Try { id: TaskId(7), queue: "jobs".into(), class: Class::Low, attempt: 2, put, end: None };
        let json = r#""id":7,"queue":"jobs","class":"low","attempt":2,"put_us":5"#;
        check(&it, &format!("{{{json}}}"));
        let why = || "exit 3".into();
        let ends = [
            (TryEnd::Done {}, r#"{"done":{}}"#),
            (TryEnd::Retry { after_ms: Some(90), why: why() }, r#"{"retry":{"after_ms":90,"why":"exit 3"}}"#),
            (TryEnd::Bury { why: why() }, r#"{"bury":{"why":"exit 3"}}"#),
            (TryEnd::Failed { why: why() }, r#"{"failed":{"why":"exit 3"}}"#),
            (TryEnd::Lost {}, r#"{"lost":{}}"#),
        ];
        for (end, said) in ends {
            check(&Try { end: Some(end.clone()), ..it.clone() }, &format!(r#"{{{json},"end":{said}}}"#));
            assert_eq!(end.end().as_ref().map_or(TryEnd::Lost {}, TryEnd::from), end);
        }
    }

    #[test]
    fn the_header() {
        let header = Header::new(Wall(7));
        assert_eq!(serde_json::from_str::<Header>(&serde_json::to_string(&header).unwrap()).unwrap(), header);
        assert_eq!((&*header.kind, header.version), ("recording", VERSION));
    }

    #[test]
    fn words_are_those_of_the_json() {
        use Ask::{Bury, Down, Drain, Drop, Idle, Kick, Pause, Restart, Resume, Start, Stop};
        for ask in [Start, Stop, Restart, Idle, Pause, Resume, Drain, Kick, Bury, Drop, Down] {
            assert_eq!(serde_json::to_string(&ask).unwrap(), format!("{:?}", ask.word()));
        }
        assert_eq!(serde_json::from_str::<Ask>("\"levitate\"").unwrap(), Ask::Unknown);
    }
}
