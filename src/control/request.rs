//! What a client may ask for: a closed set. Names are names, never paths, and never code.

use super::put::Put;
use crate::config::name;
use crate::config::values::SIGNALS;
use crate::task::{State, TaskId};
use serde::{Deserialize, Serialize};

/// What a text type has that is checked by its `TryFrom<String>`: it is read from a text, and given back as one.
macro_rules! checked_text {
    ($name:ident) => {
        impl $name {
            /// As it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<$name, String> {
                $name::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> String {
                text.0
            }
        }
    };
}
pub(super) use checked_text;

/// The most tasks that one reply lists.
pub const ROWS_MAX: u32 = 1000;

/// One request. No workers means all of them; a signal alone has to name some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How things are; answered by [`Status`](super::status::Status).
    Status {
        /// Which workers.
        #[serde(default)]
        workers: Vec<Target>,
    },
    /// Workers are wanted up, and what they need.
    Start {
        /// Which.
        workers: Vec<Target>,
        /// Until they are ready.
        patience: Patience,
    },
    /// Workers are wanted down.
    Stop {
        /// Which.
        workers: Vec<Target>,
        /// Until they are gone.
        patience: Patience,
    },
    /// Workers are stopped and started.
    Restart {
        /// Which.
        workers: Vec<Target>,
        /// Until they are ready again.
        patience: Patience,
    },
    /// A signal for workers.
    Signal {
        /// Which.
        workers: Vec<Target>,
        /// Which signal.
        signal: Signal,
    },
    /// The configuration is read anew, and what changed is applied.
    Reload {
        /// Only say what would be done; answered by a plan.
        #[serde(default)]
        dry_run: bool,
        /// Until what is started anew is ready.
        patience: Patience,
    },
    /// The logs of workers are rotated.
    Rotate {
        /// Whose.
        #[serde(default)]
        workers: Vec<Target>,
    },
    /// The logs of workers are opened anew, by their names.
    Reopen {
        /// Whose.
        #[serde(default)]
        workers: Vec<Target>,
    },
    /// What happened, and, if wanted, what happens from now on.
    Events {
        /// Go on until the client leaves.
        #[serde(default)]
        follow: bool,
        /// Only what came after the event of this number.
        #[serde(default)]
        since: Option<u64>,
        /// Only so many of those that are remembered, the last ones.
        #[serde(default)]
        last: Option<u32>,
        /// With all that a recording has; that is not remembered, and comes to those who follow.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        record: bool,
    },
    /// Tasks for a queue; answered by [`Reply::Put`](super::reply::Reply::Put).
    Put(Put),
    /// A queue is looked at, or changed as a whole.
    Queue {
        /// Which; none means all of them where it is only looked at.
        #[serde(default)]
        queue: Option<Name>,
        /// What is asked of it.
        what: OfQueue,
    },
    /// One task is looked at, or changed.
    Task {
        /// Its number.
        id: TaskId,
        /// What is asked of it.
        what: OfTask,
    },
    /// What waits for this name is started, as if it had happened.
    Fire {
        /// The name, as `start_on` has it.
        name: Name,
    },
    /// All workers are stopped, and quell ends.
    Down {
        /// Until it has.
        patience: Patience,
    },
}

/// What can be asked of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum OfQueue {
    /// Its tasks, by their numbers; answered by [`Reply::Tasks`](super::reply::Reply::Tasks).
    List {
        /// Only those that stand so.
        #[serde(default)]
        state: Option<State>,
        /// Only those behind this one.
        #[serde(default)]
        after: Option<TaskId>,
        /// At most so many, and never more than [`ROWS_MAX`].
        #[serde(default)]
        max: Option<u32>,
    },
    /// What is known of it; answered by [`Reply::Queues`](super::reply::Reply::Queues).
    Stats,
    /// All its tasks are dropped that wait, are delayed or buried.
    Drain,
    /// No task of it is started.
    Pause,
    /// Its tasks are started again.
    Resume,
    /// Those that are buried or delayed are tried at once, as if they were new.
    Kick,
    /// Somebody else has put tasks into its store: they are looked for.
    Look,
}

/// What can be asked of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OfTask {
    /// What is known of it; answered by [`Reply::Task`](super::reply::Reply::Task).
    Show,
    /// It is tried at once, as if it were new.
    Kick,
    /// It is given up.
    Bury,
    /// It goes, and nothing stays of it.
    Drop,
}

/// Whether a request is answered when it was taken, or when it has had its effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patience {
    /// The answer comes with the effect.
    pub wait: bool,
    /// The longest wait in milliseconds; none is as long as it takes. What was begun goes on when it is over.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

/// A worker, or one of its instances: `web`, `web.2`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target(String);

/// A queue, or what `quell fire` says: a name, and nothing but a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A signal, by its place among `SIGNALS`: the numbers differ between machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub struct Signal(usize);

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(json: &[u8]) -> Result<Request, String> {
        match serde_json::from_slice(json).map_err(|e| e.to_string())? {
            Request::Signal { workers, .. } if workers.is_empty() => Err("a signal for whom? name workers".into()),
            Request::Queue { queue: None, what } if !what.is_harmless() => Err("which queue? name one".into()),
            Request::Put(put) => put.check().map(|()| Request::Put(put)),
            request => Ok(request),
        }
    }
}

impl OfQueue {
    /// Whether it may be asked of all queues at once: it changes nothing.
    #[must_use]
    pub fn is_harmless(self) -> bool {
        matches!(self, OfQueue::List { .. } | OfQueue::Stats | OfQueue::Look)
    }
}

impl Target {
    /// Whether this worker is meant; its `instance` is its number, none where it is the only one.
    #[must_use]
    pub fn means(&self, worker: &str, instance: Option<u32>) -> bool {
        let number = || self.0.strip_prefix(worker)?.strip_prefix('.')?.parse::<u32>().ok();
        self.0 == worker || instance.is_some_and(|instance| number() == Some(instance))
    }
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Target, String> {
        let number = |tail: &str| tail.parse::<u32>().is_ok();
        let worker = text.rsplit_once('.').filter(|(_, tail)| number(tail)).map_or(&*text, |(worker, _)| worker);
        name::check(worker).map_err(|e| format!("{text:?} is no worker: {e}"))?;
        Ok(Target(text))
    }
}

checked_text!(Target);

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Name, String> {
        name::check(&text).map_err(|e| format!("{text:?} is no name: {e}"))?;
        Ok(Name(text))
    }
}

checked_text!(Name);

impl Signal {
    /// The name, without SIG.
    #[must_use]
    pub fn name(self) -> &'static str {
        SIGNALS[self.0]
    }
}

impl std::str::FromStr for Signal {
    type Err = String;

    /// Reads `TERM`, `SIGTERM` or `term`.
    fn from_str(text: &str) -> Result<Signal, String> {
        let upper = text.to_ascii_uppercase();
        let short = upper.strip_prefix("SIG").unwrap_or(&upper);
        let known = SIGNALS.iter().position(|name| *name == short);
        known.map(Signal).ok_or_else(|| format!("no signal is called {text:?}; write TERM, HUP, USR1, … (signal(7))"))
    }
}

impl TryFrom<String> for Signal {
    type Error = String;

    fn try_from(text: String) -> Result<Signal, String> {
        text.parse()
    }
}

impl From<Signal> for &'static str {
    fn from(signal: Signal) -> &'static str {
        signal.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::put::{Key, OnKey};
    use crate::task::Class;

    #[test]
    fn a_request_and_its_json() {
        let check = |json: &str| {
            let request = Request::parse(json.as_bytes()).unwrap();
            assert_eq!(serde_json::to_string(&request).unwrap(), json);
        };
        check(r#"{"status":{"workers":[]}}"#);
        check(r#"{"start":{"workers":["web","web.2"],"patience":{"wait":true,"timeout_ms":1500}}}"#);
        check(r#"{"signal":{"workers":["web"],"signal":"HUP"}}"#);
        check(r#"{"reload":{"dry_run":true,"patience":{"wait":false,"timeout_ms":null}}}"#);
        check(r#"{"events":{"follow":true,"since":7,"last":null}}"#);
        check(r#"{"down":{"patience":{"wait":true,"timeout_ms":null}}}"#);
        assert_eq!(Request::parse(br#"{"rotate":{}}"#), Ok(Request::Rotate { workers: Vec::new() }));
    }

    #[test]
    fn what_is_said_of_tasks() {
        let check = |json: &str, expected: Request| {
            assert_eq!(Request::parse(json.as_bytes()).as_ref(), Ok(&expected));
            assert_eq!(serde_json::to_string(&expected).unwrap(), json);
        };
        let queue = |what| Request::Queue { queue: Some("thumbs".parse().unwrap()), what };
        let list = OfQueue::List { state: Some(State::Buried), after: Some(TaskId(17)), max: None };
        check(r#"{"queue":{"queue":"thumbs","what":{"list":{"state":"buried","after":17,"max":null}}}}"#, queue(list));
        check(r#"{"queue":{"queue":"thumbs","what":"pause"}}"#, queue(OfQueue::Pause));
        check(r#"{"queue":{"queue":null,"what":"stats"}}"#, Request::Queue { queue: None, what: OfQueue::Stats });
        check(r#"{"task":{"id":17,"what":"kick"}}"#, Request::Task { id: TaskId(17), what: OfTask::Kick });
        check(r#"{"fire":{"name":"deploy"}}"#, Request::Fire { name: "deploy".parse().unwrap() });
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let json = format!(
            "{}{}{}",
            r#"{"put":{"queue":"thumbs","class":"high","key":{"key":"a b","on":"replace"},"delay_ms":1500,"trace":""#,
            trace,
            r#"","payloads":[{"base64":"/w=="}],"patience":{"wait":true,"timeout_ms":9}}}"#
        );
        let put = Put {
            queue: "thumbs".parse().unwrap(),
            class: Class::High,
            key: Some(Key { key: "a b".into(), on: OnKey::Replace }),
            delay_ms: Some(1500),
            trace: Some(trace.parse().unwrap()),
            payloads: vec![b"\xff"[..].into()],
            patience: Patience { wait: true, timeout_ms: Some(9) },
        };
        check(&json, Request::Put(put.clone()));
        let least = r#"{"put":{"queue":"thumbs","payloads":["x"]}}"#;
        let plain = Put {
            class: Class::Normal,
            key: None,
            delay_ms: None,
            trace: None,
            payloads: vec![b"x"[..].into()],
            patience: Patience::default(),
            ..put
        };
        assert_eq!(Request::parse(least.as_bytes()), Ok(Request::Put(plain)));
    }

    /// F8: names, not paths, come over the wire. And nothing but what the set has.
    #[test]
    fn what_is_refused() {
        for json in [
            "",
            "3",
            "\"down\"",
            r#"{"exec":{"command":["sh"]}}"#,
            r#"{"status":{"workers":["../x"]}}"#,
            r#"{"status":{"workers":[".2"]}}"#,
            r#"{"status":{"worker":["x"]}}"#,
            r#"{"status":{},"down":{"patience":{"wait":true}}}"#,
            r#"{"stop":{"patience":{"wait":true}}}"#,
            r#"{"signal":{"workers":[],"signal":"KILL"}}"#,
            r#"{"signal":{"workers":["a"],"signal":"9"}}"#,
            r#"{"put":{"queue":"../x","payloads":["x"]}}"#,
            r#"{"put":{"queue":"x","payloads":[]}}"#,
            r#"{"put":{"queue":"x","payloads":["x"],"klass":"high"}}"#,
            r#"{"put":{"queue":"x","payloads":["x"],"class":"highest"}}"#,
            r#"{"put":{"queue":"x","payloads":["x","y"],"key":{"key":"k"}}}"#,
            r#"{"put":{"queue":"x","payloads":["x"],"trace":"a b"}}"#,
            r#"{"queue":{"what":"drain"}}"#,
            r#"{"queue":{"queue":"x","what":{"list":{"sate":"done"}}}}"#,
            r#"{"task":{"id":-1,"what":"show"}}"#,
            r#"{"task":{"id":1,"what":"list"}}"#,
            r#"{"fire":{"name":"a b"}}"#,
        ] {
            assert!(Request::parse(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn who_is_meant() {
        let means = |target: &str, worker, instance| target.parse::<Target>().unwrap().means(worker, instance);
        assert!(means("web", "web", None) && means("web", "web", Some(2)) && means("web.2", "web", Some(2)));
        assert!(!means("web.2", "web", Some(1)) && !means("web.2", "web", None) && !means("we", "web", None));
        assert!(means("web.2", "web.2", None) && !means("web.2", "web.22", None));
        assert!(format!("{}.12", "x".repeat(64)).parse::<Target>().is_ok());
    }

    #[test]
    fn signals_by_any_spelling() {
        for text in ["TERM", "SIGTERM", "term", "SigTerm"] {
            assert_eq!(text.parse::<Signal>().unwrap().name(), "TERM");
        }
        assert!("TREM".parse::<Signal>().is_err() && "15".parse::<Signal>().is_err());
    }
}
