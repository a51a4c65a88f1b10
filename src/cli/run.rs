//! `quell run`: a command, its output sorted and logged, its exit code ours.

use super::{End, Failure, Stats, lists, logging, show_stats};
use crate::config::name;
use crate::config::unit::parse_duration;
use crate::line::Stream;
use crate::log::ledger::Ledger;
use crate::runtime::exec::why_not;
use crate::runtime::keeper::Keepers;
use crate::runtime::output::Output;
use crate::runtime::pass::Pass;
use crate::runtime::wrap::{self, Command, WrapError};
use crate::sys::fd::{self, Outlet};
use crate::sys::signal::{Inherited, Signals};
use crate::sys::spawn::{SpawnError, Step};
use crate::worker::outcome::Outcome;
use crate::worker::wrapped::Policy;
use clap::Args;
use nix::errno::Errno;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A failure of quell's own, so that it is not taken for one of the command's.
pub(super) const EXIT_OWN: u8 = 125;
const EXIT_NOT_EXECUTABLE: u8 = 126;
const EXIT_NOT_FOUND: u8 = 127;

/// Run a command, sort what it prints, and exit as it did
#[derive(Debug, Args)]
#[command(after_help = "\
Without --log kept lines of stdout go to stdout, those of stderr to stderr. A signal sent to quell is passed on to the
command; ALRM rotates the log, where there is one. The exit code is the command's; 125 is a failure of quell's own, 126
a command that cannot be executed, 127 one that is not found; where a signal ended the command, quell dies of it too.

Examples:
  quell run -- ./server --port 8080
  quell run --log /var/log/web -l nginx-health -- nginx -g 'daemon off;'
  quell run --log ./log --tee --grace 10s -e 'cache updated' -- python3 app.py")]
pub(super) struct Options {
    /// Write kept lines to this log directory instead
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// KILL the command so long after a TERM, INT or QUIT that was passed on
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    grace: Option<Duration>,
    /// How long output that something holds open after the command's end may be silent
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    drain: Duration,
    /// Stop what outlives the command: TERM, and KILL after --grace (5s)
    #[arg(long)]
    kill_descendants: bool,
    /// Write a line into the log when the command starts and when it ends
    #[arg(long, value_name = "WHEN", default_value = "on", value_parser = ["on", "off"])]
    marks: String,
    /// Show the ledger on stderr at the end
    #[arg(long, value_enum, value_name = "FORM", num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    stats: Option<Stats>,
    #[command(flatten)]
    lists: lists::Options,
    #[command(flatten)]
    logging: logging::Options,
    /// The command and its arguments, exactly as they are
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    command: Vec<OsString>,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|e| e.to_string())
}

/// What is passed on to the command, or acted on.
const SIGNALS: [i32; 11] = [
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
    libc::SIGCONT,
    libc::SIGTSTP,
    libc::SIGALRM,
    libc::SIGCHLD,
];

impl Options {
    pub(super) fn execute(&self, inherited: &Inherited) -> Result<End, Failure> {
        if self.log.is_none()
            && let Some(option) = self.logging.given()
        {
            return Err(Failure::usage(format!("{option} says how a log is kept, but there is none; add --log DIR")));
        }
        let sorting = self.lists.load()?;
        let mut ledger = Ledger::new(&["stdout", "stderr"]);
        let label = self.label();
        let mut keepers = Keepers::new();
        let open = |dir| self.logging.open(dir, &label, &mut ledger, &mut keepers);
        let log = self.log.as_deref().map(open).transpose()?;
        let passes = log.is_none() || self.logging.tee;
        let pass = |fd| match passes {
            true => Ok(Some(Pass::new(Outlet::new(fd)?, log.is_none()))),
            false => Ok(None),
        };
        let outlets = [pass(fd::stdout()), pass(fd::stderr())].into_iter().collect::<io::Result<Vec<_>>>();
        let outlets = outlets.map_err(|e| Failure::new(format!("cannot pass output on: {e}")))?;
        let streams = [Stream::Stdout, Stream::Stderr].into_iter().zip(outlets).collect();

        let mut signals =
            Signals::take(inherited, &SIGNALS).map_err(|e| Failure::new(format!("cannot take signals: {e}")))?;
        let command = Command {
            argv: self.command.clone(),
            policy: Policy { grace: self.grace, kill_descendants: self.kill_descendants, has_log: log.is_some() },
            drain: self.drain,
            marks: log.is_some() && self.marks == "on",
            label,
        };
        let output = Output::new(sorting, streams, ledger, log, self.lists.line_bytes_max());
        let ended = wrap::run(&command, output, keepers, inherited, &mut signals).map_err(|e| self.failure(e))?;
        show_stats(self.stats, &ended.ledger);
        Ok(match ended.outcome {
            // The command did not see that its output found no place.
            Outcome::Exited(0) if ended.failed => End::Code(EXIT_OWN),
            Outcome::Exited(code) => End::Code(code),
            Outcome::Signalled { number, .. } => End::Signal(number),
        })
    }

    fn label(&self) -> String {
        let program = || Path::new(&self.command[0]).file_name().map(OsStr::to_string_lossy);
        self.logging.name.clone().unwrap_or_else(|| name::from_text(&program().unwrap_or_default()))
    }

    fn failure(&self, error: WrapError) -> Failure {
        match error {
            WrapError::Spawn(SpawnError { step: Step::Exec, errno }) => {
                let code = if errno == Errno::ENOENT { EXIT_NOT_FOUND } else { EXIT_NOT_EXECUTABLE };
                let program = Path::new(&self.command[0]);
                let text = format!("cannot execute {}: {}", program.display(), why_not(program, errno));
                Failure { text, code }
            }
            WrapError::Spawn(SpawnError { step, errno }) => {
                let step = if step == Step::Fork { "fork" } else { "set up the descriptors of" };
                Failure { text: format!("cannot {step} the command: {}", errno.desc()), code: EXIT_OWN }
            }
            own @ WrapError::Own { .. } => Failure { text: own.to_string(), code: EXIT_OWN },
        }
    }
}
