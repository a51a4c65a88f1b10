//! `quell schema`: the configuration's JSON schema.

use super::{End, Failure, talk};
use crate::config::schema;
use clap::Args;

/// Print the JSON schema of the configuration, for editors
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  quell schema > quell.schema.json    and  #:schema ./quell.schema.json  as the first line of quell.toml")]
pub(super) struct Options {}

impl Options {
    pub(super) fn execute(&self) -> Result<End, Failure> {
        talk::answer(format!("{:#}\n", schema::schema()).as_bytes())?;
        Ok(End::Code(0))
    }
}
