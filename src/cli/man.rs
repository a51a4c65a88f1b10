//! `quell man`: the manual pages, made from the same table as `--help`.

use super::{End, Failure};
use clap::Args;
use std::path::PathBuf;

/// Write the manual pages into a directory
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  quell man ~/.local/share/man/man1")]
pub(super) struct Options {
    /// The directory; it is made where it does not exist
    dir: PathBuf,
}

impl Options {
    pub(super) fn execute(&self, command: clap::Command) -> Result<End, Failure> {
        let written = std::fs::create_dir_all(&self.dir).and_then(|()| clap_mangen::generate_to(command, &self.dir));
        written.map_err(|e| Failure::new(format!("cannot write to {}: {e}", self.dir.display())))?;
        Ok(End::Code(0))
    }
}
