//! `quell rotate` and `reopen`: the files of logs.

use super::{End, Failure, ask};
use crate::control::request::{Request, Target};
use clap::Args;

pub(super) const ROTATE: &str = "\
Examples:
  quell rotate
  quell rotate web";
pub(super) const REOPEN: &str = "\
Examples:
  quell reopen
  quell reopen web.2";

#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    #[command(flatten)]
    ask: ask::Options,
    /// Workers, or one of their instances, as web.2 [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<Target>,
}

/// What is done to them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Rotate,
    Reopen,
}

impl Options {
    pub(super) fn execute(&self, change: Change) -> Result<End, Failure> {
        let workers = self.names.clone();
        let request = match change {
            Change::Rotate => Request::Rotate { workers },
            Change::Reopen => Request::Reopen { workers },
        };
        self.ask.carry_out(&request, Some(ask::SOON))
    }
}
