//! `quell signal`: a signal for workers.

use super::{End, Failure, ask};
use crate::control::request::{Request, Signal, Target};
use clap::Args;

/// Send a signal to the main process of workers
#[derive(Debug, Args)]
#[command(after_help = "\
What is wanted of a worker stays as it is: one that ends of the signal is started again, if its restart says so. One that does
not run is named, and the exit code is 1; the others have the signal all the same.

Examples:
  quell signal HUP web
  quell signal USR1 web.2 db")]
pub(super) struct Options {
    #[command(flatten)]
    ask: ask::Options,
    /// The signal's name, as TERM or SIGTERM
    signal: Signal,
    /// Workers, or one of their instances, as web.2
    #[arg(value_name = "NAME", required = true)]
    names: Vec<Target>,
}

impl Options {
    pub(super) fn execute(&self) -> Result<End, Failure> {
        let request = Request::Signal { workers: self.names.clone(), signal: self.signal };
        self.ask.carry_out(&request, Some(ask::SOON))
    }
}
