//! `quell plan`: what a configuration would do to what runs.

use super::config::{self, load_clean_file};
use super::{End, Failure, talk};
use crate::config::plan;
use clap::Args;
use std::path::PathBuf;

/// What a start, or a change of the configuration, would do; nothing is done
#[derive(Debug, Args)]
#[command(after_help = "\
+ a worker is started, - stopped, ~ restarted; = something takes force without a restart; ! when quell is started anew.

Examples:
  quell plan                                   what a start would do
  quell plan --from /etc/quell/quell.toml -c new.toml")]
pub(super) struct Options {
    #[command(flatten)]
    config: config::Options,
    /// The configuration that is in force
    #[arg(long, value_name = "OLD")]
    from: Option<PathBuf>,
}

impl Options {
    pub(super) fn execute(&self) -> Result<End, Failure> {
        let new = self.config.load_clean()?.loaded;
        let steps = match &self.from {
            Some(old) => plan::plan(&load_clean_file(old)?.loaded.config, &new.config),
            None => plan::start(&new.config),
        };
        let text = match steps[..] {
            [] => "nothing changes\n".into(),
            _ => plan::to_text(&steps, &new.sources),
        };
        talk::answer(text.as_bytes())?;
        Ok(End::Code(0))
    }
}
