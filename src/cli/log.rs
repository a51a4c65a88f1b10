//! `quell log`: standard input to a rotated, retention-limited log directory.

use super::{End, Failure, Stats, lists, logging, show_stats};
use crate::config::name;
use crate::line::Stream;
use crate::log::ledger::Ledger;
use crate::runtime::intake::{self, Ended};
use crate::runtime::keeper::Keepers;
use crate::runtime::output::Output;
use crate::runtime::pass::Pass;
use crate::sys::fd::{self, Outlet};
use crate::sys::memory;
use crate::sys::signal::{Inherited, Signals};
use clap::Args;
use std::path::PathBuf;

/// Write standard input to a log directory, rotated and purged
#[derive(Debug, Args)]
#[command(after_help = "\
Signals: ALRM rotates, HUP reads the lists again, USR1 reopens the files; TERM reads what is in the pipe, then leaves.

Examples:
  ./server 2>&1 | quell log /var/log/server
  ./server 2>&1 | quell log -l heartbeat --rotate '16MiB or 1d' --retain routine=7d,1GiB /var/log/server
  ./server 2>&1 | quell log --stamp none --compress none --tee /var/log/server")]
pub(super) struct Options {
    /// The directory; it is made where it does not exist
    dir: PathBuf,
    #[command(flatten)]
    lists: lists::Options,
    #[command(flatten)]
    logging: logging::Options,
    /// Show the ledger on stderr at the end
    #[arg(long, value_enum, value_name = "FORM", num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    stats: Option<Stats>,
}

/// INT and TERM leave; the others do what the help says.
const SIGNALS: [i32; 5] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1, libc::SIGALRM];

impl Options {
    pub(super) fn execute(&self, inherited: &Inherited) -> Result<End, Failure> {
        let sorting = self.lists.load()?;
        // What the command line and the lists took is not to stand under what opening the log takes.
        memory::release_start_pages();
        let mut ledger = Ledger::new(&["stdin"]);
        let name = || name::from_text(&self.dir.file_name().unwrap_or(self.dir.as_os_str()).to_string_lossy());
        let label = self.logging.name.clone().unwrap_or_else(name);
        let mut keepers = Keepers::new();
        let log = self.logging.open(&self.dir, &label, &mut ledger, &mut keepers)?;
        let pass = match self.logging.tee {
            true => Some(Outlet::new(fd::stdout()).map_err(|e| Failure::new(format!("cannot write to stdout: {e}")))?),
            false => None,
        };
        let streams = vec![(Stream::Stdout, pass.map(|outlet| Pass::new(outlet, false)))];
        let output = Output::new(sorting, streams, ledger, Some(log), self.lists.line_bytes_max());
        let mut signals =
            Signals::take(inherited, &SIGNALS).map_err(|e| Failure::new(format!("cannot take signals: {e}")))?;
        let (ended, ledger) = intake::run(output, keepers, &mut signals, || self.lists.reload())
            .map_err(|e| Failure::new(format!("cannot wait for input: {e}")))?;
        show_stats(self.stats, &ledger);
        match ended {
            Ended::Input | Ended::Closed | Ended::Signal(libc::SIGTERM) => Ok(End::Code(0)),
            Ended::Signal(number) => Ok(End::Signal(number)),
            Ended::Failed(e) => Err(Failure::new(format!("cannot go on: {e}"))),
        }
    }
}
