//! The one table of keys: what can stand in a configuration, what is in force where it does not, and why.

use super::decode::Cx;
use super::keys::Builtin::{Inside, Nothing, Required, Rule, Value};
use super::keys::{Key, Set, Table, table, walk};
use super::kind::{Form, Kind, join, nearest};
use super::policy::{Retain, Rotate, Sync};
use super::report::Report;
use super::source::Place;
use super::syntax::Node;
use super::typed::{Choice, FromText, Int, Item, Text, Typed, Variables, Words, Wrong, words};
use super::values::{
    Absolute, Address, Durable, EnvFrom, Identity, Limit, ListName, Octal, PathName, Pattern, Percent, Redaction,
    Schedule, SignalName, Size, SizeOrOff, SocketPath, Store, Tries, or_table,
};
use std::time::Duration;
use toml::de::DeValue;

/// The tables of a file and their keys, as the reference page shows them.
pub const TABLES: [(&str, &[Key]); 6] = [
    ("the file itself", Top::KEYS),
    ("[quell]", Quell::KEYS),
    ("[log]", Log::KEYS),
    ("[worker.NAME]", Worker::KEYS),
    ("[queue.NAME]", Queue::KEYS),
    ("[[test]]", Test::KEYS),
];

/// Another program's name for a key: the program, and our key.
#[must_use]
pub fn alias(name: &str) -> Option<(&'static str, String)> {
    let mut found = None;
    for (_, keys) in TABLES {
        walk(keys, "", &mut |full, key| {
            let tool = key.also.iter().find(|(_, theirs)| theirs.eq_ignore_ascii_case(name));
            if let (None, Some((tool, _))) = (&found, tool) {
                found = Some((*tool, full.to_owned()));
            }
        });
    }
    found
}

/// The table that a key belongs to.
#[must_use]
pub fn home(name: &str) -> Option<&'static str> {
    TABLES.into_iter().find(|(_, keys)| keys.iter().any(|key| key.name == name)).map(|(table, _)| table)
}

table! {
    /// What stands above all tables.
    Top "the file" {
        /// Further files, merged; what is defined twice is a mistake that shows both.
        include: Set<Vec<Pattern>> = Nothing, "One file is enough for most.", Live, [("supervisord", "files")];
    }
}

words! {
    /// What becomes of the workers when quell dies.
    OnDeath {
        /// They are killed (PDEATHSIG).
        Kill = "kill",
        /// They go on.
        Leave = "leave",
    }
}

table! {
    /// What is so for quell itself.
    Quell "[quell]" {
        /// The folder of the store and the lock; one supervisor to a state directory.
        state: Set<Option<PathName>> = Rule("as root `/var/lib/quell`, else `$XDG_STATE_HOME/quell`"),
            "Where the system's rules (file-hierarchy(7), XDG) put state.", Anew, [("supervisord", "childlogdir"), ("systemd", "StateDirectory")];
        /// Where clients reach it: `--socket`, `QUELL_SOCKET`, else this.
        socket: Set<Option<SocketPath>> = Rule("`<state>/quell.sock`"),
            "Beside the lock, so that one state directory has one socket.", Anew, [("supervisord", "file"), ("systemd", "ListenStream")];
        /// Where Prometheus finds metrics.
        metrics: Set<Option<Address>> = Nothing, "Nothing listens that was not asked for.", Live, [];
        /// What becomes of the workers when quell dies.
        on_supervisor_death: Set<Choice<OnDeath>> = Value("\"kill\""),
            "A worker that nobody supervises holds its port against the next start.", Anew, [("systemd", "KillMode")];
        /// The longest that the whole start may take.
        start_timeout: Set<Duration> = Value("\"90s\""),
            "As systemd's, so that who waits for quell knows in time.", Live, [("systemd", "DefaultTimeoutStartSec")];
        /// The longest that the whole stop may take.
        stop_timeout: Set<Duration> = Value("\"90s\""),
            "What systemd grants before it kills.", Live, [("systemd", "DefaultTimeoutStopSec")];
    }
}

words! {
    /// What stands before each line.
    StampKind {
        /// Nothing.
        None = "none",
        /// RFC 3339 in UTC.
        Utc = "utc",
        /// RFC 3339 in local time.
        Local = "local",
        /// TAI64N.
        Tai64n = "tai64n",
    }
}

words! {
    /// How archives are compressed.
    Compress {
        /// Not at all.
        None = "none",
        /// By zstd.
        Zstd = "zstd",
    }
}

words! {
    /// What to do when the disk takes no more.
    Overflow {
        /// Slow the worker.
        Block = "block",
        /// Drop lines and count them.
        Drop = "drop",
    }
}

table! {
    /// How long archives are kept.
    Retained "`retain`" {
        /// Archives of routine lines: so long, so much, whichever is reached first.
        routine: Set<Retain> = Value("\"7d, 1GiB\""),
            "A week covers the weekend; a size, or a disk fills first.", Live, [("supervisord", "stdout_logfile_backups")];
        /// Archives of critical and anomaly lines.
        critical: Set<Retain> = Value("\"90d, 256MiB\""),
            "A quarter is how far back people look for an error; there are few.", Live, [];
    }
}

table! {
    /// How lines are logged: for every worker in `[log]`, key by key for one in `[worker.NAME.log]`.
    Log "[log]" {
        /// Each worker logs to `<dir>/<name>`, instances to `<dir>/<name>.N`.
        dir: Set<Option<PathName>> = Rule("as root `/var/log/quell`, else `<state>/log`"),
            "Where logs are looked for.", Restart,
            [("supervisord", "stdout_logfile"), ("supervisord", "logfile"), ("supervisord", "stderr_logfile"), ("systemd", "LogsDirectory"), ("systemd", "StandardOutput"), ("svlogd", "logdir"), ("pm2", "out_file")];
        /// The time before each physical line: RFC 3339 with microseconds, or TAI64N.
        stamp: Set<Choice<StampKind>> = Value("\"utc\""), "Logs of several machines can be put together.", Live, [("svlogd", "t")];
        /// When a file is closed, at a line's end: a size, a duration, or both.
        rotate: Set<Rotate> = Value("\"64MiB or 1d\""), "A file that a pager opens at once, and a day to each.", Live,
            [("supervisord", "stdout_logfile_maxbytes"), ("docker-compose", "max-size"), ("logrotate", "maxsize")];
        /// How long archives are kept.
        retain: Retained = Inside, "", Live, [];
        /// Whether archives are compressed.
        compress: Set<Choice<Compress>> = Value("\"zstd\""), "Logs shrink tenfold, on a thread of lowest priority.", Live, [("logrotate", "compression")];
        /// When the disk is full or writing fails: slow the worker, or drop and count lines, routine first, criticals last.
        overflow: Set<Choice<Overflow>> = Value("\"block\""), "No line is lost unless that was asked for.", Live, [];
        /// When lines are made durable: at `rotation`, `always`, or so long after the first that is not.
        sync: Set<Sync> = Value("\"10s\""), "Ten seconds of routine lines are worth less than the writes; criticals take 1 s.", Live, [];
        /// A line in the log when the worker starts and when it ends.
        marks: Set<bool> = Value("true"), "The log answers when and why by itself.", Live, [];
        /// Longer lines are kept in pieces.
        line_max: Set<Size> = Value("\"1MiB\""), "Bounds memory, and is longer than any line that somebody reads.", Live, [("systemd", "LineMax")];
        /// The longest wait for more output before reading.
        latency: Set<Duration> = Value("\"5ms\""), "One read for many lines, and nobody sees 5 ms.", Live, [];
        /// The flight recorder: the lines before a critical one, suppressed ones among them; `0` is off.
        recorder: Set<SizeOrOff> = Value("\"256KiB\""), "Some thousand lines, for the price of a small buffer.", Live, [];
        /// Fold identical consecutive lines.
        collapse: Set<bool> = Value("false"), "What was printed is what stands there.", Live, [];
        /// What stands between these literals is replaced before anything is written.
        redact: Set<Vec<Redaction>> = Nothing, "Only you know where your secrets stand.", Live, [];
    }
}

words! {
    /// What a worker is.
    WorkerKind {
        /// It is to run for ever.
        Service = "service",
        /// It is done when it exits.
        Oneshot = "oneshot",
    }
}

words! {
    /// When a worker that ended is started again.
    Restart {
        /// Whatever happened.
        Always = "always",
        /// When it failed.
        OnFailure = "on-failure",
        /// Not at all.
        Never = "never",
    }
}

words! {
    /// When a worker is ready that does not say so.
    ReadyWord {
        /// As soon as it runs.
        Start = "start",
        /// When it says so by sd_notify(3).
        Notify = "notify",
    }
}

words! {
    /// How a worker gets its tasks.
    Protocol {
        /// A process for each.
        Exec = "exec",
        /// Lines over a socket to one that stays.
        Lines = "lines",
    }
}

words! {
    /// What to do when an expected line stays away.
    Else {
        /// Note it.
        Event = "event",
        /// Restart the worker.
        Restart = "restart",
        /// Stop the worker.
        Stop = "stop",
    }
}

words! {
    /// What happens to a task or to a queue.
    QueueEvent {
        /// A task was added.
        Added = "added",
        /// A task is done.
        Done = "done",
        /// A try failed.
        Failed = "failed",
        /// A task was given up.
        Buried = "buried",
        /// There is none left.
        Empty = "empty",
    }
}

words! {
    /// What happens to a worker.
    WorkerEvent {
        /// It ended.
        Exit = "exit",
        /// It is ready.
        Ready = "ready",
        /// It was given up.
        Failed = "failed",
    }
}

words! {
    /// A class of tasks.
    Priority {
        /// Before all others, with slots of its own.
        High = "high",
        /// Most.
        Normal = "normal",
        /// When there is nothing else.
        Low = "low",
    }
}

words! {
    /// A class of lines.
    LineClass {
        /// Suppressed and counted.
        Noise = "noise",
        /// Kept for some days.
        Routine = "routine",
        /// Kept long: out of the ordinary.
        Anomaly = "anomaly",
        /// Kept long: an error.
        Critical = "critical",
    }
}

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argv(pub Vec<Text>);

impl Typed for Argv {
    const KIND: Kind = Kind::List(&Text::KIND);

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        if let DeValue::String(text) = node.get_ref() {
            let place = cx.place(node.span());
            let report = Report::error(place, "a command is a list of strings: no shell takes it apart");
            let plain = !text.contains(['"', '\'', '\\', '$', '&', '|', '<', '>', ';', '*', '?', '`', '(']);
            let words: Vec<_> = text.split_whitespace().map(|word| Text(word.into())).collect();
            cx.report(match plain && !words.is_empty() {
                true => report.help("write a list").fix(place, words.print()),
                false => report.help(format!("write a list, or `shell = {}`", cx.raw(node.span()))),
            });
            return None;
        }
        let items = Vec::<Text>::decode(node, cx)?;
        let nodes = node.get_ref().as_array().into_iter().flat_map(|items| items.iter());
        let before = cx.reports.len();
        if items.first().is_none_or(|program| program.0.is_empty()) {
            let report = Report::error(cx.place(node.span()), "a command needs a program");
            cx.report(report.help("write it first, as in [\"/usr/bin/python3\", \"app.py\"]"));
        }
        for (at, (item, node)) in items.iter().zip(nodes).enumerate() {
            if let Some(wrong) = shell_habit(&items, at, &item.0) {
                cx.report(Report::error(cx.place(node.span()), wrong.text).help(wrong.help));
            }
        }
        (cx.reports.len() == before).then_some(Argv(items))
    }

    fn print(&self) -> String {
        self.0.print()
    }
}

table! {
    /// How a worker is stopped: the command, then the signal, then KILL.
    Stop "`stop`" {
        /// A command that asks it to stop.
        command: Set<Option<Argv>> = Nothing, "Most stop at a signal.", Live, [("systemd", "ExecStop")];
        /// The signal to its process group.
        signal: Set<SignalName> = Value("\"TERM\""), "What every program knows.", Live,
            [("supervisord", "stopsignal"), ("systemd", "KillSignal"), ("docker-compose", "stop_signal")];
        /// How long it has before KILL.
        grace: Set<Duration> = Value("\"10s\""), "As docker's; a service that drains longer says so.", Live,
            [("supervisord", "stopwaitsecs"), ("systemd", "TimeoutStopSec"), ("docker-compose", "stop_grace_period"), ("pm2", "kill_timeout")];
    }
}

table! {
    /// How long to wait before the next start.
    Backoff "`backoff`" {
        /// Before the first.
        first: Set<Duration> = Value("\"200ms\""), "A crash by accident is over at once.", Live, [("systemd", "RestartSec"), ("pm2", "restart_delay")];
        /// At most.
        max: Set<Duration> = Value("\"30s\""), "A crash loop costs nothing, and recovers within half a minute.", Live, [("systemd", "RestartMaxDelaySec")];
        /// Healthy for so long, and it begins anew.
        reset: Set<Duration> = Value("\"60s\""), "What ran a minute did start.", Live, [("supervisord", "startsecs"), ("systemd", "StartLimitIntervalSec"), ("pm2", "min_uptime")];
        /// So many tries, and the worker has failed.
        give_up: Set<Tries> = Value("\"never\""), "What it waits for may come back at night.", Live,
            [("supervisord", "startretries"), ("systemd", "StartLimitBurst"), ("pm2", "max_restarts")];
    }
}

table! {
    /// How many at once.
    Slots "`slots`" {
        /// Processes at once; with `protocol = "lines"`, the instances are the slots.
        total: Set<Int<1, 100_000>> = Value("1"), "One after the other is always right.", Live, [];
        /// Of these, only for tasks of class high.
        high: Set<Int<0, 100_000>> = Value("0"), "With one slot there is none to reserve.", Live, [];
    }
}

table! {
    /// How often a task is tried.
    Retry "`retry`" {
        /// So often; then it is buried.
        tries: Set<Int<1, 1_000_000>> = Value("5"), "More do not help what failed five times.", Live, [];
        /// The wait before the second.
        first: Set<Duration> = Value("\"1s\""), "Long enough for a restart of what it needs.", Live, [];
        /// The longest wait.
        max: Set<Duration> = Value("\"10m\""), "Doubling has to end somewhere.", Live, [];
    }
}

table! {
    /// What of a worker is an anomaly.
    Watch "`watch`" {
        /// More memory than this.
        rss: Set<Option<Size>> = Nothing, "Only you know what is much.", Live, [("pm2", "max_memory_restart"), ("systemd", "MemoryHigh")];
        /// More of a core than this.
        cpu: Set<Option<Percent>> = Nothing, "Only you know what is much.", Live, [];
        /// How often it is looked at.
        every: Set<Option<Duration>> = Nothing, "An idle quell does nothing: no look without a reason.", Live, [];
    }
}

table! {
    /// What a process may use (setrlimit(2)).
    Limits "`limits`" {
        /// Address space, in bytes.
        r#as as "as": Set<Option<Limit>> = Nothing, "As quell's own.", Restart, [("systemd", "LimitAS")];
        /// Core dumps, in bytes.
        core: Set<Option<Limit>> = Nothing, "As quell's own.", Restart, [("systemd", "LimitCORE")];
        /// CPU time, in seconds.
        cpu: Set<Option<Limit>> = Nothing, "As quell's own.", Restart, [("systemd", "LimitCPU")];
        /// Data, in bytes.
        data: Set<Option<Limit>> = Nothing, "As quell's own.", Restart, [("systemd", "LimitDATA")];
        /// A file that it writes, in bytes.
        fsize: Set<Option<Limit>> = Nothing, "As quell's own.", Restart, [("systemd", "LimitFSIZE")];
        /// Locked memory, in bytes.
        memlock: Set<Option<Limit>> = Nothing, "As quell's own.", Restart, [("systemd", "LimitMEMLOCK")];
        /// Open descriptors.
        nofile: Set<Option<Limit>> = Nothing, "As quell's own.", Restart, [("systemd", "LimitNOFILE"), ("supervisord", "minfds")];
        /// Processes of its user.
        nproc: Set<Option<Limit>> = Nothing, "As quell's own.", Restart, [("systemd", "LimitNPROC"), ("supervisord", "minprocs")];
        /// Stack, in bytes.
        stack: Set<Option<Limit>> = Nothing, "As quell's own.", Restart, [("systemd", "LimitSTACK")];
    }
}

table! {
    /// How readiness is seen.
    ReadyBy "`ready`", check one_way_to_be_ready {
        /// A line that it prints holds this text.
        line: Set<Option<Text>> = Nothing, "", Live, [];
        /// It writes a newline to this descriptor (s6's way).
        fd: Set<Option<Int<3, 1023>>> = Nothing, "", Restart, [];
        /// It takes connections there.
        tcp: Set<Option<Address>> = Nothing, "", Live, [];
    }
}

or_table! {
    /// When a worker is ready.
    Ready {
        /// By a word.
        Word(Choice<ReadyWord>),
        /// By what it does.
        By(ReadyBy)
    }
}

table! {
    /// How a worker takes on changed files.
    Reload "`reload`", check one_way_to_reload {
        /// This signal to it.
        signal: Set<Option<SignalName>> = Nothing, "", Live, [];
        /// This command.
        command: Set<Option<Argv>> = Nothing, "", Live, [("systemd", "ExecReload")];
    }
}

table! {
    /// A file of variables.
    EnvFileBy "`env_file`", check a_path_at_least {
        /// Its path.
        path: Set<Option<PathName>> = Required, "", Restart, [];
        /// It may be missing.
        optional: Set<bool> = Value("false"), "A file that is named is meant to be there.", Restart, [];
    }
}

or_table! {
    /// A file of variables.
    EnvFile {
        /// By its path alone.
        Path(PathName),
        /// With more.
        By(EnvFileBy)
    }
}

table! {
    /// A suppressed line that must keep coming.
    Expect "`expect`", check rule_and_within {
        /// The rule's text.
        rule: Set<Option<Text>> = Required, "", Live, [];
        /// The longest silence.
        within: Set<Option<Duration>> = Required, "", Live, [];
        /// What to do then.
        otherwise as "else": Set<Choice<Else>> = Value("\"event\""), "A note harms nobody.", Live, [];
    }
}

table! {
    /// What starts a worker.
    Trigger "`start_on`", check one_source {
        /// A queue: a task in it, or what `event`, `depth` or `batch` says; with `path`, where to put a task for each file.
        queue: Set<Option<Text>> = Nothing, "", Live, [];
        /// What must happen to a task, or to a worker.
        event: Set<Option<Text>> = Rule("`added` for a queue, `exit` for a worker"), "What is meant most often.", Live, [];
        /// So many tasks wait.
        depth: Set<Option<Int<1, 1_000_000_000>>> = Nothing, "", Live, [];
        /// So many tasks at once.
        batch: Set<Option<Int<1, 1_000_000>>> = Nothing, "", Live, [];
        /// A batch that is not full waits no longer.
        every: Set<Option<Duration>> = Nothing, "", Live, [];
        /// A worker's end, or what `event` says; with `line`, whose line.
        worker: Set<Option<Text>> = Nothing, "", Live, [];
        /// A line that holds this text.
        line: Set<Option<Text>> = Nothing, "", Live, [];
        /// Files that match.
        path: Set<Option<Pattern>> = Nothing, "", Live, [("systemd", "PathExists"), ("systemd", "PathChanged")];
        /// Times, as crontab(5) writes them.
        schedule: Set<Option<Schedule>> = Nothing, "", Live, [("systemd", "OnCalendar"), ("cron", "cron")];
        /// A connection.
        socket: Set<Option<Address>> = Nothing, "", Restart, [];
        /// Stop after so long without one.
        idle_stop: Set<Option<Duration>> = Nothing, "", Live, [];
        /// A signal to quell.
        signal: Set<Option<SignalName>> = Nothing, "", Live, [];
        /// `quell fire NAME`.
        fire: Set<Option<Text>> = Nothing, "", Live, [];
    }
}

table! {
    /// A worker.
    Worker "[worker.NAME]" {
        /// The program and its arguments; no shell.
        command: Set<Option<Argv>> = Required, "", Restart,
            [("systemd", "ExecStart"), ("docker-compose", "entrypoint"), ("Procfile", "cmd"), ("Procfile", "run"), ("Procfile", "exec"), ("pm2", "script")];
        /// Instead of `command`: what `/bin/sh -c` runs.
        shell: Set<Option<ShellText>> = Nothing, "A shell between quell and the worker is asked for, not given.", Restart, [];
        /// Whether it is wanted at all.
        enabled: Set<bool> = Value("true"), "What is written is meant.", Live, [("supervisord", "autostart"), ("runit", "down")];
        /// The folder it runs in.
        cwd: Set<Absolute> = Value("\"/\""), "No file system is held by accident.", Restart,
            [("supervisord", "directory"), ("systemd", "WorkingDirectory"), ("docker-compose", "working_dir")];
        /// The permission bits that its files do not get.
        umask: Set<Octal> = Value("\"022\""), "Others may read, nobody else may write.", Restart, [("systemd", "UMask")];
        /// Variables.
        env: Set<Variables> = Value("{}"), "", Restart,
            [("supervisord", "environment"), ("systemd", "Environment"), ("docker-compose", "environment")];
        /// A file of NAME=value lines.
        env_file: Set<Option<EnvFile>> = Nothing, "", Restart, [("systemd", "EnvironmentFile"), ("Procfile", "dotenv")];
        /// What is taken from quell's own environment; never NOTIFY_SOCKET, LISTEN_*, QUELL_*.
        env_from: Set<EnvFrom> = Value("\"all\""), "As a shell would.", Restart, [("systemd", "PassEnvironment")];
        /// Whom it runs as.
        user: Set<Option<Identity>> = Rule("quell's own"), "", Restart, [];
        /// Its group.
        group: Set<Option<Identity>> = Rule("the user's"), "", Restart, [];
        /// Its further groups.
        groups: Set<Option<Vec<Identity>>> = Rule("the user's"), "", Restart, [("systemd", "SupplementaryGroups")];
        /// What it may use.
        limits: Limits = Inside, "", Restart, [];
        /// Its share of the CPU, from -20 (most) to 19.
        nice: Set<Int<-20, 19>> = Value("0"), "All alike.", Restart, [("systemd", "Nice")];
        /// How gladly the kernel kills it when memory runs out, from -1000 (never) to 1000.
        oom_score_adj: Set<Int<-1000, 1000>> = Value("0"), "All alike.", Restart, [("systemd", "OOMScoreAdjust")];
        /// It can gain no privileges (prctl(2)).
        no_new_privs: Set<Option<bool>> = Rule("true where `user` is set"), "Who was made less is not to become more.", Restart, [("systemd", "NoNewPrivileges")];
        /// How many of it run, as NAME.1, NAME.2, …; `{n}` in `command` and `env` is the number.
        instances: Set<Int<1, 1000>> = Value("1"), "", Restart,
            [("supervisord", "numprocs"), ("docker-compose", "replicas"), ("docker-compose", "scale"), ("pm2", "exec_mode")];
        /// Whether it is to run for ever, or is done when it exits.
        kind: Set<Option<Choice<WorkerKind>>> = Rule("`service`; with `start_on`, `oneshot`"),
            "What is started by an event ends by itself.", Restart, [("systemd", "Type")];
        /// When it is started again.
        restart: Set<Option<Choice<Restart>>> = Rule("`on-failure`; a oneshot `never`"),
            "An end that was meant is an end.", Live, [("supervisord", "autorestart"), ("pm2", "autorestart")];
        /// Exit codes that are no failure.
        success_codes: Set<Vec<Int<0, 255>>> = Value("[0]"), "", Live, [("supervisord", "exitcodes"), ("systemd", "SuccessExitStatus")];
        /// How long to wait before the next start.
        backoff: Backoff = Inside, "", Live, [];
        /// Workers that are started before it, once they are ready, and stopped after it.
        needs: Set<Vec<Text>> = Nothing, "", Live,
            [("docker-compose", "depends_on"), ("systemd", "Requires"), ("systemd", "After"), ("systemd", "Wants"), ("supervisord", "priority")];
        /// When it is ready: `"start"`, `"notify"`, or a table of `line`, `fd` or `tcp`.
        ready: Set<Ready> = Value("\"start\""), "What does not say when it is ready cannot be waited for.", Restart, [("docker-compose", "healthcheck")];
        /// The longest until it is ready.
        start_timeout: Set<Duration> = Value("\"60s\""), "Longer than a start, shorter than patience.", Live, [("systemd", "TimeoutStartSec")];
        /// How it is stopped.
        stop: Stop = Inside, "", Live, [];
        /// How it takes on files that changed.
        reload: Set<Option<Item<Reload>>> = Nothing, "", Live, [];
        /// Its end ends quell, with its exit code.
        essential: Set<bool> = Value("false"), "One worker's end is not all workers' end.", Live, [];
        /// Lists of rules: shipped ones by name, files by path; `levels` always, unless `"!levels"`.
        lists: Set<Vec<ListName>> = Nothing, "Nothing is noise that nobody called so.", Live, [];
        /// Suppressed lines that must keep coming.
        expect: Set<Vec<Item<Expect>>> = Nothing, "", Live, [];
        /// What of it is an anomaly.
        watch: Watch = Inside, "", Live, [];
        /// What starts it.
        start_on: Set<Vec<Item<Trigger>>> = Nothing, "It starts with quell.", Live, [];
        /// How it gets its tasks.
        protocol: Set<Choice<Protocol>> = Value("\"exec\""), "Any program can do it.", Restart, [];
        /// How many at once.
        slots: Slots = Inside, "", Live, [];
        /// Of one task; the worker is killed, then the task returned.
        timeout: Set<Option<Duration>> = Nothing, "Only you know how long a task may take.", Live, [];
        /// How often a task is tried.
        retry: Retry = Inside, "", Live, [];
    }
}

table! {
    /// A queue of tasks.
    Queue "[queue.NAME]" {
        /// Where tasks are stored.
        store: Set<Store> = Value("\"embedded\""), "Needs nothing else.", Anew, [];
        /// When a put is durable.
        durable: Set<Durable> = Value("\"always\""), "What was accepted is kept.", Live, [];
        /// A put beyond so many is refused.
        max_tasks: Set<Int<1, { i64::MAX }>> = Value("1000000"), "A queue that nobody serves ends before the disk does.", Live, [];
        /// A put beyond so much is refused.
        max_bytes: Set<Size> = Value("\"1GiB\""), "A queue that nobody serves ends before the disk does.", Live, [];
        /// A low task that waits so long becomes a normal one.
        max_wait: Set<Duration> = Value("\"5m\""), "Low is later, not never.", Live, [];
        /// How long results of done and buried tasks stay.
        keep_done: Set<Duration> = Value("\"1d\""), "Until somebody looks the next day.", Live, [];
    }
}

table! {
    /// What comes from a source, in a test.
    Source "`source`" {
        /// A task in this queue.
        queue: Set<Option<Text>> = Nothing, "", Live, [];
        /// Its class.
        class: Set<Option<Choice<Priority>>> = Nothing, "", Live, [];
        /// An event of this worker.
        worker: Set<Option<Text>> = Nothing, "", Live, [];
        /// Which one.
        event: Set<Option<Text>> = Nothing, "", Live, [];
        /// A line.
        line: Set<Option<Text>> = Nothing, "", Live, [];
        /// A file.
        path: Set<Option<Text>> = Nothing, "", Live, [];
        /// A signal.
        signal: Set<Option<SignalName>> = Nothing, "", Live, [];
        /// `quell fire`.
        fire: Set<Option<Text>> = Nothing, "", Live, [];
    }
}

table! {
    /// What is to start, in a test.
    Started "`expect`" {
        /// This worker.
        start: Set<Option<Text>> = Nothing, "", Live, [];
        /// Within this time.
        within: Set<Option<Duration>> = Nothing, "", Live, [];
    }
}

/// What a test expects.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// The class of each line.
    Classes(Vec<Choice<LineClass>>),
    /// A start.
    Start(Item<Started>),
}

impl Typed for Expected {
    const KIND: Kind = Kind::OneOf(&[<Vec<Choice<LineClass>>>::KIND, <Item<Started>>::KIND]);

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::Table(_) => Item::decode(node, cx).map(Expected::Start),
            DeValue::Array(_) => Vec::decode(node, cx).map(Expected::Classes),
            _ => {
                cx.expected(&Self::KIND, node);
                None
            }
        }
    }

    fn print(&self) -> String {
        match self {
            Expected::Classes(classes) => classes.print(),
            Expected::Start(start) => start.print(),
        }
    }
}

table! {
    /// A test of the configuration itself.
    Test "[[test]]", check a_whole_test {
        /// The worker whose lists are tested.
        worker: Set<Option<Text>> = Nothing, "", Live, [];
        /// Lines that it prints.
        lines: Set<Option<Vec<Text>>> = Nothing, "", Live, [];
        /// What happens.
        source: Set<Option<Item<Source>>> = Nothing, "", Live, [];
        /// The classes of the lines, or the start.
        expect: Set<Option<Expected>> = Required, "", Live, [];
    }
}

/// What `/bin/sh -c` runs; a dollar that is no `${NAME}` is the shell's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShellText(pub String);

impl FromText for ShellText {
    const FORM: Form = Form { name: "a shell's command line, in quotes", example: "", pattern: "[^ ]" };
    const DOLLAR: bool = true;

    fn from_text(text: &str, cx: &Cx<'_>) -> Result<Self, Wrong> {
        match text.trim().is_empty() {
            true => Err(Wrong::new("a command line cannot be empty", "write one, or remove the key")),
            false => Text::from_text(text, cx).map(|text| ShellText(text.0)),
        }
    }

    fn to_text(&self) -> String {
        self.0.clone()
    }
}

/// What a shell would have taken out of the arguments.
fn shell_habit(argv: &[Text], at: usize, argument: &str) -> Option<Wrong> {
    const OPERATORS: [&str; 14] =
        ["&&", "||", "|", ">", ">>", "<", "<<", "&", "2>", "2>&1", "&>", ">&2", "1>&2", "2>/dev/null"];
    let whole = argv.iter().map(|word| word.0.as_str()).collect::<Vec<_>>().join(" ");
    let help = format!("write shell = {}", super::typed::quote(&whole));
    if at > 0 && OPERATORS.contains(&argument) {
        return Some(Wrong::new(format!("`{argument}` becomes an argument: no shell reads it"), help));
    }
    if argument == "~" || argument.starts_with("~/") {
        let path = argument.trim_start_matches('~');
        let help = format!("write the whole path, as in \"/home/USER{path}\", or `${{HOME}}{path}`");
        return Some(Wrong::new(format!("`~` is not expanded in {argument:?}"), help));
    }
    if at == 0 && argument.contains(char::is_whitespace) {
        let words: Vec<_> = argument.split_whitespace().map(|word| Text(word.into())).collect();
        let rest = argv.iter().skip(1).cloned();
        let list: Vec<_> = words.into_iter().chain(rest).collect();
        return Some(Wrong::new(
            format!("{argument:?} is taken for one program's name"),
            format!("write {}", list.print()),
        ));
    }
    None
}

/// The names of the keys that are set.
fn set_keys<T: Table>(table: &T) -> Vec<(&'static str, Place)> {
    let fields = T::KEYS.iter().zip(table.fields());
    fields.filter_map(|(key, field)| Some((key.name, field.place()?))).collect()
}

fn exactly_one<T: Table>(table: &T, of: &[&str], place: Place, cx: &mut Cx<'_>) {
    let set: Vec<_> = set_keys(table).into_iter().filter(|(name, _)| of.contains(name)).collect();
    let names = join(of.iter().map(|name| format!("`{name}`")), "or");
    match &set[..] {
        [_] => {}
        [] => {
            cx.report(Report::error(place, format!("{} needs one of its keys", T::NAME)).help(format!("add {names}")))
        }
        [(first, one), (second, another), ..] => {
            let report = Report::error(*another, format!("`{first}` and `{second}` cannot stand together"));
            cx.report(report.help(format!("keep one of {names}")).also(*one, "the other"));
        }
    }
}

fn required<T: Table>(table: &T, names: &[&str], place: Place, cx: &mut Cx<'_>) {
    let set = set_keys(table);
    for name in names.iter().filter(|name| set.iter().all(|(key, _)| key != *name)) {
        let report = Report::error(place, format!("{} has no `{name}`", T::NAME));
        cx.report(report.help(format!("add `{name} = …`")));
    }
}

fn one_way_to_be_ready(ready: &ReadyBy, place: Place, cx: &mut Cx<'_>) {
    exactly_one(ready, &["line", "fd", "tcp"], place, cx);
}

fn one_way_to_reload(reload: &Reload, place: Place, cx: &mut Cx<'_>) {
    exactly_one(reload, &["signal", "command"], place, cx);
}

fn a_path_at_least(file: &EnvFileBy, place: Place, cx: &mut Cx<'_>) {
    required(file, &["path"], place, cx);
}

fn rule_and_within(expect: &Expect, place: Place, cx: &mut Cx<'_>) {
    required(expect, &["rule", "within"], place, cx);
}

fn a_whole_test(test: &Test, place: Place, cx: &mut Cx<'_>) {
    exactly_one(test, &["lines", "source"], place, cx);
    let lists_lines = test.lines.place.is_some();
    required(test, if lists_lines { &["worker", "expect"] } else { &["expect"] }, place, cx);
    match (&test.lines.value, &test.expect.value) {
        (Some(lines), Some(Expected::Classes(classes))) if lines.len() != classes.len() => {
            let text = format!("{} lines, but {} classes", lines.len(), classes.len());
            let report = Report::error(test.expect.or(place), text).help("write one class for each line");
            cx.report(report.also(test.lines.or(place), "the lines"));
        }
        (Some(_), Some(Expected::Start(_))) => {
            let report = Report::error(test.expect.or(place), "lines have classes, they start nothing");
            cx.report(report.help("write a list of classes, as in [\"noise\", \"routine\"]"));
        }
        (None, Some(Expected::Classes(_))) if test.source.place.is_some() => {
            let report = Report::error(test.expect.or(place), "a source starts something, it has no class");
            cx.report(report.help("write what is to start, as in { start = \"web\", within = \"50ms\" }"));
        }
        _ => {}
    }
}

/// What each kind of trigger is known by, and the keys that may stand beside it.
const TRIGGERS: [(&str, &[&str]); 8] = [
    ("line", &["worker"]),
    ("path", &["queue"]),
    ("schedule", &[]),
    ("socket", &["idle_stop"]),
    ("signal", &[]),
    ("fire", &[]),
    ("queue", &["event", "depth", "batch", "every"]),
    ("worker", &["event"]),
];

fn one_source(trigger: &Trigger, place: Place, cx: &mut Cx<'_>) {
    let set = set_keys(trigger);
    let has = |name: &str| set.iter().any(|(key, _)| *key == name);
    let Some((kind, beside)) = TRIGGERS.iter().find(|(kind, _)| has(kind)) else {
        let kinds = join(TRIGGERS.iter().map(|(kind, _)| format!("`{kind}`")), "or");
        cx.report(Report::error(place, "this trigger does not say what it waits for").help(format!("add {kinds}")));
        return;
    };
    for (name, at) in set.iter().filter(|(name, _)| name != kind && !beside.contains(name)) {
        let allowed = join(beside.iter().map(|name| format!("`{name}`")), "and");
        let allowed =
            if allowed.is_empty() { "nothing stands beside it".into() } else { format!("beside it stand {allowed}") };
        cx.report(
            Report::error(*at, format!("`{name}` has no meaning beside `{kind}`"))
                .help(format!("remove it; {allowed}")),
        );
    }
    if has("every") && !has("batch") {
        let report =
            Report::error(trigger.every.or(place), "`every` says how long a batch waits, but there is no `batch`");
        cx.report(report.help("add `batch = 100`, or remove it"));
    }
    match *kind {
        "queue" => event_of(&trigger.event, QueueEvent::WORDS, place, cx),
        "worker" => event_of(&trigger.event, WorkerEvent::WORDS, place, cx),
        _ => {}
    }
}

fn event_of(event: &Set<Option<Text>>, words: &'static [&'static str], place: Place, cx: &mut Cx<'_>) {
    let Some(Text(word)) = event.value.as_ref().filter(|word| !words.contains(&word.0.as_str())) else { return };
    let report = Report::error(event.or(place), format!("{word:?} does not happen here"));
    let near = nearest(word, words.iter().copied()).map(|near| format!("did you mean {near:?}?"));
    cx.report(report.help(near.unwrap_or_else(|| format!("write {}", Kind::Choice(words).describe()))));
}
