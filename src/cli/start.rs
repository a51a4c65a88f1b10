//! `quell start`, `stop` and `restart`: what workers should do.

use super::{End, Failure, ask};
use crate::control::request::{Request, Target};
use clap::Args;

pub(super) const START: &str = "\
Examples:
  quell start web
  quell start --all --timeout 30s";
pub(super) const STOP: &str = "\
A worker that was stopped stays down until it is started again, or quell is.

Examples:
  quell stop web.2
  quell stop web --no-wait";
pub(super) const RESTART: &str = "\
Examples:
  quell restart web db
  quell restart --all";

#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    #[command(flatten)]
    ask: ask::Options,
    #[command(flatten)]
    waiting: ask::Waiting,
    /// Every worker
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Workers, or one of their instances, as web.2
    #[arg(value_name = "NAME", required_unless_present = "all")]
    names: Vec<Target>,
}

/// What is done to them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Start,
    Stop,
    Restart,
}

impl Options {
    pub(super) fn execute(&self, change: Change) -> Result<End, Failure> {
        let (workers, patience) = (self.names.clone(), self.waiting.patience());
        let request = match change {
            Change::Start => Request::Start { workers, patience },
            Change::Stop => Request::Stop { workers, patience },
            Change::Restart => Request::Restart { workers, patience },
        };
        self.ask.carry_out(&request, self.waiting.longest())
    }
}
