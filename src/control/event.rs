//! What happened, as one line for people or one object for programs.

use super::record::{Source, Try};
use super::status::Ended;
use crate::clock::Wall;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    #[serde(rename = "at_us")]
    pub at: Wall,
    /// Its number: 1 for the first since quell was started, and none is left out.
    pub seq: u64,
    /// The worker, `web.2` where it has instances; none where it is about quell.
    pub worker: Option<Box<str>>,
    /// What sort of thing.
    pub kind: Kind,
    /// It in words.
    pub text: Box<str>,
    /// The process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// `"ended":{"code":3}` or `"ended":{"signal":"SIGKILL"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    /// How long it had run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasted_ms: Option<u64>,
    /// In a recording: what came from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Box<Source>>,
    /// In a recording: the try of a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Box<Try>>,
}

/// The sorts of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// quell itself: it runs, it goes down.
    Quell,
    /// A worker is about to be started.
    Starting,
    /// Its process runs.
    Started,
    /// It says that it serves.
    Ready,
    /// Its process ended.
    Exited,
    /// It is started again a little later.
    Backoff,
    /// It could not be started, or is not tried any more.
    Failed,
    /// It is told to end.
    Stopping,
    /// It is down, as wanted.
    Stopped,
    /// It was killed, because it did not end.
    Killed,
    /// Processes of it outlived it.
    Survivors,
    /// It was sent a signal that somebody asked for.
    Signal,
    /// A configuration was applied, or refused.
    Reload,
    /// The kernel killed it for want of memory.
    Oom,
    /// Its log cannot be written, or can be again.
    LogTrouble,
    /// A process of it that had escaped was found, or ended.
    Orphan,
    /// A try of a task has failed, or it was given up.
    Task,
    /// Something came from outside; in a recording only.
    Source,
    /// A try of a task begins; in a recording only.
    Began,
    /// A try of a task is over; in a recording only.
    Tried,
    /// Anything else that somebody should know.
    Warning,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}

impl Event {
    /// An event about quell; `of` makes it one of a worker's. Its number comes when it is remembered.
    pub fn new(at: Wall, kind: Kind, text: impl Into<Box<str>>) -> Event {
        let text = text.into();
        Event {
            at,
            seq: 0,
            worker: None,
            kind,
            text,
            pid: None,
            ended: None,
            lasted_ms: None,
            source: None,
            task: None,
        }
    }

    /// Something that came from outside.
    #[must_use]
    pub fn source(at: Wall, source: Source) -> Event {
        Event { source: Some(Box::new(source.clone())), ..Event::new(at, Kind::Source, source.to_string()) }
    }

    /// A try of a task that begins or is over.
    #[must_use]
    pub fn task(at: Wall, task: Try) -> Event {
        let kind = if task.end.is_some() { Kind::Tried } else { Kind::Began };
        let text = task.to_string();
        Event { task: Some(Box::new(task)), ..Event::new(at, kind, text) }
    }

    /// The worker that it is about.
    #[must_use]
    pub fn of(self, worker: impl Into<Box<str>>) -> Event {
        Event { worker: Some(worker.into()), ..self }
    }

    /// The process that it is about.
    #[must_use]
    pub fn pid(self, pid: i32) -> Event {
        Event { pid: Some(pid), ..self }
    }

    /// How that process ended, and how long it had run.
    #[must_use]
    pub fn ended(self, how: Ended, lasted: Duration) -> Event {
        let lasted = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX);
        Event { ended: Some(how), lasted_ms: Some(lasted), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_and_its_json() {
        let check = |event: Event, json: &str| {
            assert_eq!(serde_json::to_string(&event).unwrap(), json);
            assert_eq!(serde_json::from_str::<Event>(json).unwrap(), event);
        };
        check(
            Event::new(Wall(7), Kind::LogTrouble, "disk full"),
            r#"{"at_us":7,"seq":0,"worker":null,"kind":"log-trouble","text":"disk full"}"#,
        );
        check(
            Event::new(Wall(7), Kind::Exited, "exited 3")
                .of("db")
                .pid(12)
                .ended(Ended::Code(3), Duration::from_secs(1)),
            r#"{"at_us":7,"seq":0,"worker":"db","kind":"exited","text":"exited 3","pid":12,"ended":{"code":3},"lasted_ms":1000}"#,
        );
        let newer = r#"{"at_us":7,"seq":1,"worker":null,"kind":"levitated","text":"","height":3}"#;
        assert_eq!(serde_json::from_str::<Event>(newer).unwrap().kind, Kind::Unknown);
    }
}
