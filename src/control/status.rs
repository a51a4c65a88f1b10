//! The one picture of what runs. `quell status`, its JSON and every later view show this.
//!
//! Times are microseconds since the epoch (`…_us`), spans milliseconds (`…_ms`). A reader skips keys that it does not
//! know, and takes a word that it does not know for `unknown`: it may be older than the supervisor.

use super::queue::Queue;
use crate::clock::Wall;
use serde::{Deserialize, Serialize};

/// quell itself, its workers, and its queues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The supervisor.
    pub quell: Quell,
    /// Those that were asked for, in the order of the configuration.
    pub workers: Vec<Worker>,
    /// All queues, in the order of the configuration.
    #[serde(default)]
    pub queues: Vec<Queue>,
}

/// The supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quell {
    /// Its process.
    pub pid: i32,
    /// Its version.
    pub version: String,
    /// When it was started.
    #[serde(rename = "since_us")]
    pub since: Wall,
    /// What it is about.
    pub phase: Phase,
    /// The path of its configuration.
    pub config: String,
    /// The path of its state directory.
    pub state: String,
}

/// What the supervisor is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Not all workers have been up yet.
    Starting,
    /// As it should be.
    Running,
    /// Everything goes down.
    Stopping,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}

/// One worker; each instance is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// `web`, or `web.2` where it has instances.
    pub name: String,
    /// What it does.
    pub state: State,
    /// What it should do.
    pub wanted: Wanted,
    /// Somebody has stopped it: only somebody starts it again.
    #[serde(default)]
    pub held: bool,
    /// When it came to this state.
    #[serde(rename = "since_us")]
    pub since: Wall,
    /// Whether it has said that it serves, in the way that its `ready` asks for.
    pub ready: bool,
    /// Its main process.
    pub pid: Option<i32>,
    /// How often it was started after it had ended, since quell was started.
    pub restarts: u64,
    /// Why it is not as it should be: `waits for db`, `cannot change to /srv/app: …`.
    pub why: Option<String>,
    /// When in backoff: how long until the next start.
    pub next_start_ms: Option<u64>,
    /// What its `start_on` has started it for the last time.
    #[serde(default)]
    pub started_for: Option<StartedFor>,
    /// How long something that it waits for is held back still, which has started it too often.
    #[serde(default)]
    pub held_back_ms: Option<u64>,
    /// How it ended the last time.
    pub last_exit: Option<Exit>,
    /// Memory of its processes, in bytes.
    pub memory_bytes: Option<u64>,
    /// CPU time that its processes have used.
    pub cpu_ms: Option<u64>,
    /// What became of what it printed.
    pub lines: Lines,
    /// Its log directory.
    pub log: Option<Log>,
    /// How old `lines` and `log` are; none where nobody has told of them yet.
    pub output_age_ms: Option<u64>,
    /// When stopping: how far that is, and who holds it up.
    pub stop: Option<Stop>,
}

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nothing, as wanted.
    Down,
    /// It runs, and is not ready yet.
    Starting,
    /// It runs, and is ready.
    Up,
    /// It was told to end.
    Stopping,
    /// It ended, and is started again a little later.
    Backoff,
    /// It is not tried any more.
    Failed,
    /// A oneshot that has done its work.
    Done,
    /// For those that it needs, or for what starts it.
    Waiting,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}

/// What a worker should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// Run.
    Up,
    /// Nothing.
    Down,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}

/// What a worker was started for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedFor {
    /// It in words.
    pub why: String,
    /// When that happened.
    #[serde(rename = "at_us")]
    pub at: Wall,
}

/// The end of a worker's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// `"code":3` or `"signal":"SIGKILL"`.
    #[serde(flatten)]
    pub how: Ended,
    /// It left a core dump.
    #[serde(default)]
    pub core: bool,
    /// It ended of the signal that somebody had it sent, or stopped with: it is no crash.
    #[serde(default)]
    pub asked: bool,
    /// When.
    #[serde(rename = "at_us")]
    pub at: Wall,
    /// How long it had run.
    pub lasted_ms: u64,
    /// The last line that it had printed, cut short, as it is: whoever shows it makes its control characters visible.
    pub last_line: Option<String>,
}

/// What ended a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// Itself, with this code.
    Code(u8),
    /// A signal, by its name with SIG.
    Signal(String),
}

/// Lines and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Lines.
    pub lines: u64,
    /// Bytes, newlines included.
    pub bytes: u64,
}

/// What became of a worker's lines: what was read is kept, suppressed, dropped, or still on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// Read.
    #[serde(rename = "in")]
    pub read: Count,
    /// Written to its log.
    pub kept: Count,
    /// Left out by a rule.
    pub suppressed: Count,
    /// Lost, for a reason that was said.
    pub dropped: Count,
    /// The rule that left out most.
    pub top_rule: Option<Rule>,
}

/// A rule of a list, and how much it left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The list.
    pub list: String,
    /// The line in it.
    pub line: u32,
    /// The rule as written.
    pub pattern: String,
    /// How many lines it left out.
    pub lines: u64,
}

/// A log directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Its path.
    pub dir: String,
    /// Its size, archives included.
    pub bytes: u64,
}

/// How far a stop is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The step of the ladder.
    pub rung: Rung,
    /// Processes that are still there.
    pub blockers: Vec<Process>,
}

/// The steps by which a worker is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// Its stop command runs.
    Command,
    /// It has its stop signal, and its grace.
    Signal,
    /// It was killed.
    Kill,
    /// It has ended; what it left behind is cleared away.
    Sweep,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A process by number and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its name, as the kernel has it (comm).
    pub name: String,
}

/// Each word of a state, as `--json` has it.
macro_rules! words {
    ($type:ident: $($variant:ident $word:literal),*) => {
        impl $type {
            /// The word for it, as JSON has it.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $($type::$variant => $word,)*
                    $type::Unknown => "unknown",
                }
            }
        }
    };
}
pub(super) use words;

words!(Phase: Starting "starting", Running "running", Stopping "stopping");
words!(State: Down "down", Starting "starting", Up "up", Stopping "stopping", Backoff "backoff", Failed "failed", Done "done", Waiting "waiting");
words!(Rung: Command "command", Signal "signal", Kill "kill", Sweep "sweep");
words!(Wanted: Up "up", Down "down");

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: impl Serialize) -> String {
        serde_json::to_string(&value).unwrap()
    }

    #[test]
    fn words_are_those_of_the_json() {
        let quoted = |word: &str| format!("\"{word}\"");
        use State::{Backoff, Done, Down, Failed, Starting, Stopping, Up, Waiting};
        for state in [Down, Starting, Up, Stopping, Backoff, Failed, Done, Waiting, State::Unknown] {
            assert_eq!(json(state), quoted(state.word()));
        }
        for phase in [Phase::Starting, Phase::Running, Phase::Stopping] {
            assert_eq!(json(phase), quoted(phase.word()));
        }
        for rung in [Rung::Command, Rung::Signal, Rung::Kill, Rung::Sweep] {
            assert_eq!(json(rung), quoted(rung.word()));
        }
        for wanted in [Wanted::Up, Wanted::Down] {
            assert_eq!(json(wanted), quoted(wanted.word()));
        }
    }

    /// The keys that `--json` has. They are a promise: one may come, none may go.
    #[test]
    fn keys() {
        let how = Ended::Signal("SIGKILL".into());
        let exit = Exit { how, core: false, asked: true, at: Wall(5), lasted_ms: 1200, last_line: None };
        let count = |lines| Count { lines, bytes: 10 * lines };
        let rule = Rule { list: "probes".into(), line: 3, pattern: "GET /".into(), lines: 2 };
        let worker = Worker {
            name: "web.2".into(),
            state: State::Stopping,
            wanted: Wanted::Down,
            held: true,
            since: Wall(7),
            ready: false,
            pid: Some(12),
            restarts: 1,
            why: None,
            next_start_ms: None,
            started_for: Some(StartedFor { why: "fired: it".into(), at: Wall(4) }),
            held_back_ms: Some(2000),
            last_exit: Some(exit),
            memory_bytes: Some(4096),
            cpu_ms: Some(10),
            lines: Lines {
                read: count(3),
                kept: count(1),
                suppressed: count(2),
                dropped: count(0),
                top_rule: Some(rule),
            },
            log: Some(Log { dir: "/var/log/quell/web.2".into(), bytes: 9 }),
            output_age_ms: Some(3),
            stop: Some(Stop { rung: Rung::Signal, blockers: vec![Process { pid: 13, name: "sh".into() }] }),
        };
        let expected = concat!(
            r#"{"name":"web.2","state":"stopping","wanted":"down","held":true,"since_us":7,"ready":false,"pid":12,"#,
            r#""restarts":1,"why":null,"next_start_ms":null,"started_for":{"why":"fired: it","at_us":4},"held_back_ms":2000,"#,
            r#""last_exit":{"signal":"SIGKILL","core":false,"asked":true,"at_us":5,"lasted_ms":1200,"#,
            r#""last_line":null},"memory_bytes":4096,"cpu_ms":10,"lines":{"in":{"lines":3,"bytes":30},"#,
            r#""kept":{"lines":1,"bytes":10},"suppressed":{"lines":2,"bytes":20},"dropped":{"lines":0,"bytes":0},"#,
            r#""top_rule":{"list":"probes","line":3,"pattern":"GET /","lines":2}},"#,
            r#""log":{"dir":"/var/log/quell/web.2","bytes":9},"output_age_ms":3,"#,
            r#""stop":{"rung":"signal","blockers":[{"pid":13,"name":"sh"}]}}"#,
        );
        assert_eq!(json(&worker), expected);
        assert_eq!(serde_json::from_str::<Worker>(expected).unwrap(), worker);
    }

    #[test]
    fn a_newer_supervisor_is_understood() {
        let json = r#"{"pid":1,"version":"9","since_us":0,"phase":"upgrading","config":"","state":"","mood":"fine"}"#;
        assert_eq!(serde_json::from_str::<Quell>(json).unwrap().phase, Phase::Unknown);
    }
}
