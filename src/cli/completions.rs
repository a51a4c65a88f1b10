//! `quell completions`: what a shell needs to complete a command line.

use super::{End, Failure, talk};
use clap::Args;
use clap_complete::Shell;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  quell completions bash > ~/.local/share/bash-completion/completions/quell")]
pub(super) struct Options {
    /// The shell
    shell: Shell,
}

impl Options {
    pub(super) fn execute(&self, mut command: clap::Command) -> Result<End, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "quell", &mut script);
        talk::answer(&script)?;
        Ok(End::Code(0))
    }
}
