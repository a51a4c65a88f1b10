//! A worker: what it is, and how it lives.

use super::{Argv, Retry, ShellText, Slots, Trigger, exactly_one, required};
use crate::config::decode::Cx;
use crate::config::keys::Builtin::{Inside, Nothing, Required, Rule, Value};
use crate::config::keys::{Set, table};
use crate::config::kind::Kind;
use crate::config::source::Place;
use crate::config::syntax::Node;
use crate::config::typed::{Choice, Int, Item, Text, Typed, Variables, words};
use crate::config::values::{
    Absolute, Address, EnvFrom, Identity, Limit, ListName, Needle, Octal, PathName, Percent, SignalName, Size, Tries,
    or_table,
};
use std::time::Duration;
use toml::de::DeValue;

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
        line: Set<Option<Needle>> = Nothing, "", Live, [];
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
        rule: Set<Option<Needle>> = Required, "", Live, [];
        /// The longest silence.
        within: Set<Option<Duration>> = Required, "", Live, [];
        /// What to do then.
        otherwise as "else": Set<Choice<Else>> = Value("\"event\""), "A note harms nobody.", Live, [];
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
        user: Set<Option<Identity>> = Rule("quell's own"), "Only root can be somebody else.", Restart, [];
        /// Its group.
        group: Set<Option<Identity>> = Rule("the user's"), "As login(1) has it.", Restart, [];
        /// Its further groups.
        groups: Set<Option<Vec<Identity>>> = Rule("the user's"), "As login(1) has it.", Restart, [("systemd", "SupplementaryGroups")];
        /// What it may use.
        limits: Limits = Inside, "", Restart, [];
        /// Its share of the CPU, from -20 (most) to 19.
        nice: Set<Int<-20, 19>> = Value("0"), "All alike.", Restart, [("systemd", "Nice")];
        /// How gladly the kernel kills it when memory runs out, from -1000 (never) to 1000.
        oom_score_adj: Set<Int<-1000, 1000>> = Value("0"), "All alike.", Restart, [("systemd", "OOMScoreAdjust")];
        /// It can gain no privileges (prctl(2)).
        no_new_privs: Set<Option<bool>> = Rule("true where `user` is set"), "Who was made less is not to become more.", Restart, [("systemd", "NoNewPrivileges")];
        /// How many of it run, as NAME.1, NAME.2, …; `{n}` in `command` and `env` is the number.
        instances: Set<Int<1, 1000>> = Value("1"), "One name, one process.", Restart,
            [("supervisord", "numprocs"), ("docker-compose", "replicas"), ("docker-compose", "scale"), ("pm2", "exec_mode")];
        /// Whether it is to run for ever, or is done when it exits.
        kind: Set<Option<Choice<WorkerKind>>> = Rule("`service`; with `start_on`, `oneshot`, unless it stays (`lines`)"),
            "What is started by an event ends by itself.", Restart, [("systemd", "Type")];
        /// When it is started again.
        restart: Set<Option<Choice<Restart>>> = Rule("`on-failure`; a oneshot `never`, one that stays `always`"),
            "An end that was meant is an end.", Live, [("supervisord", "autorestart"), ("pm2", "autorestart")];
        /// Exit codes that are no failure.
        success_codes: Set<Vec<Int<0, 255>>> = Value("[0]"), "As exit(3) has it.", Live, [("supervisord", "exitcodes"), ("systemd", "SuccessExitStatus")];
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
