//! `quell init`: a first configuration for a command.

use super::{End, Failure, talk};
use crate::config::init;
use clap::Args;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Write a first configuration for a command
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  quell init -- python3 -u app.py && quell check")]
pub(super) struct Options {
    /// The file to write, which must not exist yet; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "quell.toml")]
    output: PathBuf,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<String>,
}

impl Options {
    pub(super) fn execute(&self) -> Result<End, Failure> {
        let folder = std::env::current_dir().map_err(|e| Failure::new(format!("cannot tell where we are: {e}")))?;
        let text = init::text(&self.command, &folder);
        if self.output == Path::new("-") {
            talk::answer(text.as_bytes())?;
            return Ok(End::Code(0));
        }
        let name = self.output.display();
        let file = std::fs::File::options().write(true).create_new(true).open(&self.output);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => {
                Failure::new(format!("{name} exists already; name another with -o, or remove it"))
            }
            _ => Failure::new(format!("cannot write {name}: {e}")),
        })?;
        tracing::info!("{name} written");
        Ok(End::Code(0))
    }
}
