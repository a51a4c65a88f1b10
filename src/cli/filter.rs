//! `quell filter`: standard input to standard output, without the noise.

use super::{End, Failure, Stats, lists, show_stats};
use crate::line::Stream;
use crate::log::ledger::Ledger;
use crate::runtime::directory::OnDisk;
use crate::runtime::intake::{self, Ended};
use crate::runtime::keeper::Keepers;
use crate::runtime::output::Output;
use crate::runtime::pass::Pass;
use crate::sys::fd::{self, Outlet};
use crate::sys::signal::{Inherited, Signals};
use clap::Args;

/// Copy standard input to standard output without its noise, byte for byte
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tail -F app.log | quell filter -l heartbeat -l cache
  ./server 2>&1 | quell filter -e 'GET /healthz && \" 200' --stats
  quell filter --only critical,anomaly --tag < app.log")]
pub(super) struct Options {
    #[command(flatten)]
    lists: lists::Options,
    /// Put the class before each line
    #[arg(long)]
    tag: bool,
    /// Show the ledger on stderr at the end
    #[arg(long, value_enum, value_name = "FORM", num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    stats: Option<Stats>,
}

impl Options {
    pub(super) fn execute(&self, inherited: &Inherited) -> Result<End, Failure> {
        let sorting = self.lists.load()?;
        let outlet = Outlet::new(fd::stdout()).map_err(|e| Failure::new(format!("cannot write to stdout: {e}")))?;
        let streams = vec![(Stream::Stdout, Some(Pass::new(outlet, true)))];
        let ledger = Ledger::new(&["stdin"]);
        let output: Output<OnDisk> =
            Output::new(sorting, streams, ledger, None, self.lists.line_bytes_max()).tagged(self.tag);
        let mut signals = Signals::take(inherited, &[libc::SIGINT, libc::SIGTERM])
            .map_err(|e| Failure::new(format!("cannot take signals: {e}")))?;
        let (ended, ledger) = intake::run(output, Keepers::new(), &mut signals, || None)
            .map_err(|e| Failure::new(format!("cannot wait for input: {e}")))?;
        show_stats(self.stats, &ledger);
        match ended {
            Ended::Input | Ended::Closed => Ok(End::Code(0)),
            Ended::Signal(number) => Ok(End::Signal(number)),
            Ended::Failed(e) => Err(Failure::new(format!("cannot go on: {e}"))),
        }
    }
}
