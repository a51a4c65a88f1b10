//! How lines are logged.

use crate::config::keys::Builtin::{Inside, Nothing, Rule, Value};
use crate::config::keys::{Set, table};
use crate::config::policy::{Retain, Rotate, Sync};
use crate::config::typed::{Choice, words};
use crate::config::values::{PathName, Redaction, Size, SizeOrOff};
use std::time::Duration;

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
