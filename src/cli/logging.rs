//! The options of a log directory, for `log` and `run`.

use super::Failure;
use crate::config::name;
use crate::log::ledger::Ledger;
use crate::log::name::LOCK;
use crate::log::settings::{Overflow, Settings, Sync};
use crate::log::stamp::Stamp;
use crate::log::{retain, rotate};
use crate::runtime::directory::{OnDisk, Owning};
use crate::runtime::keeper::Keepers;
use crate::runtime::logdir::LogDir;
use crate::sys::dir::Dir;
use crate::sys::time;
use clap::{Args, ValueEnum};
use std::path::Path;
use std::time::Duration;

#[derive(Debug, Args)]
#[group(skip)]
#[command(next_help_heading = "The log directory")]
pub(super) struct Options {
    /// When a file is closed: a size, a duration, or both with "or"; or "never"
    #[arg(long, value_name = "WHEN", default_value = "64MiB or 1d")]
    rotate: rotate::Policy,
    /// How long and how much to keep of a class, whichever is reached first; "forever" is no limit [default:
    /// routine=7d,1GiB and critical=90d,256MiB]
    #[arg(long, value_name = "CLASS=AGE,SIZE", value_parser = parse_retain)]
    retain: Vec<(Kind, retain::Policy)>,
    /// The time before each line
    #[arg(long, value_enum, default_value = "utc")]
    stamp: StampKind,
    /// How archives are compressed
    #[arg(long, value_enum, default_value = "zstd")]
    compress: Compress,
    /// When lines are made durable: "rotation", "always", or so long after the first that is not
    #[arg(long, value_name = "WHEN", default_value = "10s", value_parser = parse_sync)]
    sync: Sync,
    /// Pass kept lines on, too
    #[arg(long)]
    pub(super) tee: bool,
    /// When the disk is full: wait, or drop lines and count them
    #[arg(long, value_enum, default_value = "block")]
    overflow: OverflowKind,
    /// The name in marks and messages [default: the directory's, or the command's]
    #[arg(long, value_parser = name::check)]
    pub(super) name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Routine,
    Critical,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StampKind {
    /// Nothing
    None,
    /// 2026-11-21T01:02:03.000042Z
    Utc,
    /// 2026-11-21T02:02:03.000042+01:00
    Local,
    /// @400000006a… as tai64nlocal reads it
    Tai64n,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Compress {
    None,
    Zstd,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OverflowKind {
    Block,
    Drop,
}

fn parse_retain(text: &str) -> Result<(Kind, retain::Policy), String> {
    let (class, policy) = text.split_once('=').ok_or("write routine=… or critical=…, as in routine=7d,1GiB")?;
    let kind = match class {
        "routine" => Kind::Routine,
        "critical" => Kind::Critical,
        _ => return Err(format!("no class {class:?} is retained; write routine=… or critical=…")),
    };
    Ok((kind, policy.parse()?))
}

fn parse_sync(text: &str) -> Result<Sync, String> {
    text.parse().map_err(|e| format!("{e}; or \"rotation\", or \"always\""))
}

fn built_in<T: std::str::FromStr<Err = String>>(text: &str) -> T {
    text.parse().expect("the built-in policy is well-formed")
}

impl Options {
    /// An option that was given, other than as it is built in; for a command that has no log.
    pub(super) fn given(&self) -> Option<&'static str> {
        let options = [
            ("--rotate", self.rotate != built_in("64MiB or 1d")),
            ("--retain", !self.retain.is_empty()),
            ("--stamp", !matches!(self.stamp, StampKind::Utc)),
            ("--compress", !matches!(self.compress, Compress::Zstd)),
            ("--sync", self.sync != Sync::After(Duration::from_secs(10))),
            ("--tee", self.tee),
            ("--overflow", !matches!(self.overflow, OverflowKind::Block)),
        ];
        options.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
    }

    /// Opens and locks the directory, and has it kept.
    ///
    /// # Errors
    /// When the options contradict each other, another writes there, or the file system says no.
    pub(super) fn open(
        &self,
        path: &Path,
        label: &str,
        ledger: &mut Ledger,
        keepers: &mut Keepers<OnDisk>,
    ) -> Result<LogDir<OnDisk>, Failure> {
        let settings = self.settings()?;
        let failed = |e: std::io::Error| Failure::new(format!("cannot log to {}: {e}", path.display()));
        let taken = |holder: &str| {
            let holder = if holder.is_empty() { "another process" } else { holder };
            Failure::new(format!("{} is being written by {holder}; two writers would lose lines", path.display()))
        };
        let dir = match OnDisk::own(path).map_err(failed)? {
            Owning::Ours(dir) => dir,
            Owning::Taken(holder) => return Err(taken(&holder)),
        };
        // `up` holds one lock for all directories below its own.
        if let Ok(parent) = Dir::open(&path.join(".."))
            && let Ok(Some(holder)) = parent.lock_holder(LOCK)
        {
            return Err(taken(&holder));
        }
        LogDir::open(dir.into(), label.into(), settings.into(), ledger, keepers, time::now()).map_err(failed)
    }

    fn settings(&self) -> Result<Settings, Failure> {
        let given = |kind| self.retain.iter().rev().find(|(k, _)| *k == kind).map(|(_, policy)| *policy);
        let routine = given(Kind::Routine).unwrap_or_else(|| built_in("7d,1GiB"));
        let critical = given(Kind::Critical).unwrap_or_else(|| built_in("90d,256MiB"));
        for (name, policy) in [("routine", routine), ("critical", critical)] {
            if let (Some(total), Some(file)) = (policy.bytes, self.rotate.bytes)
                && total < file
            {
                let text = format!("--retain {name} keeps less than one file; keep at least what --rotate makes of it");
                return Err(Failure::usage(text));
            }
        }
        // What is never rotated never gets old enough to be purged.
        let rotate = rotate::Policy { age: self.rotate.age.or(routine.age), ..self.rotate };
        Ok(Settings {
            rotate,
            routine,
            critical,
            stamp: match self.stamp {
                StampKind::None => Stamp::None,
                StampKind::Utc => Stamp::Utc,
                StampKind::Local => Stamp::Local(time::local_zone()),
                StampKind::Tai64n => Stamp::Tai64n,
            },
            compress: matches!(self.compress, Compress::Zstd),
            sync: self.sync,
            overflow: match self.overflow {
                OverflowKind::Block => Overflow::Block,
                OverflowKind::Drop => Overflow::Drop,
            },
        })
    }
}
