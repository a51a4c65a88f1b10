//! `quell import`: another program's configuration as ours.

use super::{End, Failure, talk};
use crate::config::import::{Translation, procfile, supervisord};
use crate::config::report::visible;
use crate::runtime::lists::CONFIG_BYTES_MAX;
use crate::sys::fd;
use crate::sys::peek::{self, Pipes};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};

/// Translate a Procfile or a supervisord.conf
#[derive(Debug, Args)]
#[command(after_help = "\
The configuration goes to standard output, what could not be translated to standard error, each with its place.

Examples:
  quell import Procfile > quell.toml
  quell import /etc/supervisor/supervisord.conf > quell.toml")]
pub(super) struct Options {
    /// What it is [default: told by its name]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The file
    file: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Procfile,
    Supervisord,
}

impl Options {
    pub(super) fn execute(&self) -> Result<End, Failure> {
        let name = self.file.display();
        let format = self.format.or_else(|| told_by(&self.file)).ok_or_else(|| {
            Failure::usage(format!("{name} is no Procfile and no *.conf by its name; say what it is with --format"))
        })?;
        let bytes = peek::whole(&self.file, CONFIG_BYTES_MAX, Pipes::Taken)
            .map_err(|e| Failure::usage(format!("cannot read {name}: {e}")))?;
        let text = String::from_utf8(bytes).map_err(|e| {
            Failure::usage(format!(
                "{name} is not UTF-8 from byte {} on; save it as UTF-8",
                e.utf8_error().valid_up_to()
            ))
        })?;
        let whole =
            std::path::absolute(&self.file).map_err(|e| Failure::new(format!("cannot tell where we are: {e}")))?;
        let folder = whole.parent().unwrap_or(Path::new("/")).to_string_lossy();
        let Translation { text, left } = match format {
            Format::Procfile => procfile(&text, &folder),
            Format::Supervisord => supervisord(&text, &folder),
        };
        talk::answer(text.as_bytes())?;
        let left: String =
            left.iter().map(|left| format!("{name}:{}:{}: {}\n", left.line, left.column, left.what)).collect();
        talk::write_all(fd::stderr(), visible(&left).as_bytes());
        Ok(End::Code(0))
    }
}

fn told_by(file: &Path) -> Option<Format> {
    let name = file.file_name()?.to_string_lossy();
    if name.starts_with("Procfile") {
        return Some(Format::Procfile);
    }
    [".conf", ".ini"].iter().any(|end| name.ends_with(end)).then_some(Format::Supervisord)
}
