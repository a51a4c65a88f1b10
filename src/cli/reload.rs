//! `quell reload`: the configuration is read anew.

use super::{End, Failure, ask};
use crate::control::request::Request;
use clap::Args;

/// Read the configuration anew, and apply what changed; with any mistake the old one stays in force
#[derive(Debug, Args)]
#[command(after_help = "\
Only what changed is touched. The supervisor reads the files that it was started with.

Examples:
  quell reload --dry-run
  quell reload --timeout 1m")]
pub(super) struct Options {
    #[command(flatten)]
    ask: ask::Options,
    #[command(flatten)]
    waiting: ask::Waiting,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Options {
    pub(super) fn execute(&self) -> Result<End, Failure> {
        let request = Request::Reload { dry_run: self.dry_run, patience: self.waiting.patience() };
        self.ask.carry_out(&request, self.waiting.longest())
    }
}
