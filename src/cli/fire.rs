//! `quell fire`: what somebody says has happened.

use super::{End, Failure, ask};
use crate::control::request::{Name, Request};
use clap::Args;

/// Start what waits for a name: workers with { fire = "NAME" } in their start_on
#[derive(Debug, Args)]
#[command(after_help = "\
A worker that runs already is started once more when it has ended, however often this was said meanwhile.

Examples:
  quell fire deploy")]
pub(super) struct Options {
    #[command(flatten)]
    ask: ask::Options,
    /// The name
    name: Name,
}

impl Options {
    pub(super) fn execute(&self) -> Result<End, Failure> {
        self.ask.carry_out(&Request::Fire { name: self.name.clone() }, Some(ask::SOON))
    }
}
