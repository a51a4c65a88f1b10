//! What a client is answered.

use super::event::Event;
use super::queue::{Placed, QueueStatus, TaskDetail, TaskPage};
use super::status::Status;
use serde::{Deserialize, Serialize};

/// One reply. Each request has one, but `events`: that is answered by its events and, where it does not follow, by a `Done`
/// behind them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// How things are.
    Status(Status),
    /// It was done.
    Done {
        /// What, one line each: `started db (pid 12)`.
        lines: Vec<String>,
    },
    /// What would be done.
    Plan {
        /// As `quell plan` shows it.
        text: String,
    },
    /// Something that happened.
    Event(Event),
    /// What was put is stored; where it was waited for, it has ended.
    Put {
        /// The task of each payload, in their order.
        tasks: Vec<Placed>,
    },
    /// Tasks of a queue.
    Tasks(TaskPage),
    /// One task.
    Task(Box<TaskDetail>),
    /// Queues, in the order of the configuration.
    Queues(Vec<QueueStatus>),
    /// It was not done, or not all of it.
    Failed {
        /// Why, for programs.
        code: Code,
        /// Why, for people.
        text: String,
        /// What was done nonetheless, as in `Done`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        done: Vec<String>,
    },
}

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The request cannot be understood.
    BadRequest,
    /// There is no worker of that name.
    NoSuchWorker,
    /// There is no queue of that name.
    NoSuchQueue,
    /// There is no task of that number, or none that this can be done to.
    NoSuchTask,
    /// Nothing waits for what was fired.
    NoSuchTrigger,
    /// The queue is full, or what stores it: nothing was put.
    Full,
    /// It took longer than the client would wait; what was begun goes on.
    TimedOut,
    /// It cannot be done now, or not by this client.
    Refused,
    /// Others have taken all the places.
    TooManyClients,
    /// The client did not read fast enough.
    TooSlow,
    /// It was tried, and went wrong.
    Failed,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}

impl Reply {
    /// A failure, in words.
    pub fn failed(code: Code, text: impl Into<String>) -> Reply {
        Reply::Failed { code, text: text.into(), done: Vec::new() }
    }

    /// Whether the request is answered with it; more comes behind an event.
    #[must_use]
    pub fn is_last(&self) -> bool {
        !matches!(self, Reply::Event(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::queue::Placement;
    use crate::task::TaskId;

    #[test]
    fn a_reply_and_its_json() {
        let check = |reply: Reply, json: &str| {
            assert_eq!(serde_json::to_string(&reply).unwrap(), json);
            assert_eq!(serde_json::from_str::<Reply>(json).unwrap(), reply);
        };
        check(
            Reply::Done { lines: vec!["started db (pid 12)".into()] },
            r#"{"done":{"lines":["started db (pid 12)"]}}"#,
        );
        check(Reply::failed(Code::NoSuchWorker, "no x"), r#"{"failed":{"code":"no-such-worker","text":"no x"}}"#);
        check(
            Reply::Put { tasks: vec![Placed { id: TaskId(17), what: Placement::New, outcome: None }] },
            r#"{"put":{"tasks":[{"id":17,"what":"new"}]}}"#,
        );
        check(
            Reply::Tasks(TaskPage { tasks: Vec::new(), more: false, missing: Vec::new() }),
            r#"{"tasks":{"tasks":[],"more":false}}"#,
        );
        check(Reply::Queues(Vec::new()), r#"{"queues":[]}"#);
    }
}
