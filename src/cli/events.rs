//! `quell events`: what happened, and what happens.

mod record;

use super::{End, Failure, ask, talk};
use crate::control::event::Event;
use crate::control::reply::Reply;
use crate::control::request::Request;
use crate::render::event;
use crate::sys::fd;
use clap::Args;
use std::path::PathBuf;

/// How many of the past are shown before what happens from now on.
const BEFORE: u32 = 10;

/// Show what happened to the workers, the oldest first
#[derive(Debug, Args)]
#[command(after_help = "\
quell remembers the last 256 events. As JSON each is one line: at_us (microseconds since 1970), seq (counted from the start
of quell, without a gap), worker (null for quell itself), kind, text; and pid, ended, lasted_ms where they apply.

Examples:
  quell events
  quell events -f
  quell events -f -n 0 --json | jq --unbuffered -r 'select(.kind == \"exited\").worker'
  quell events --record run.jsonl")]
pub(super) struct Options {
    #[command(flatten)]
    ask: ask::Options,
    /// Go on with what happens from now on
    #[arg(short, long)]
    follow: bool,
    /// Only the last so many [default: all; with -f 10]
    #[arg(short = 'n', long = "lines", value_name = "N")]
    last: Option<u32>,
    /// Each as JSON, one a line
    #[arg(long)]
    json: bool,
    /// Write what happens from now on to a file, with all that `quell simulate` needs; - is standard output
    #[arg(long, value_name = "FILE", conflicts_with_all = ["follow", "last", "json"])]
    record: Option<PathBuf>,
}

impl Options {
    pub(super) fn execute(&self) -> Result<End, Failure> {
        if let Some(path) = &self.record {
            return record::record(&self.ask, path);
        }
        let last = self.last.or(self.follow.then_some(BEFORE));
        let mut client = self.ask.connect()??;
        client.send(&Request::Events { follow: self.follow, since: None, last, record: false })?;
        let patience = (!self.follow).then_some(ask::SOON);
        while let Some(reply) = client.reply(patience, Some(fd::stdout()))? {
            match reply {
                Reply::Event(event) => talk::answer(self.line(&event).as_bytes())?,
                other => return ask::show(other),
            }
        }
        // Whoever read this has gone.
        Ok(End::Code(0))
    }

    fn line(&self, event: &Event) -> String {
        match self.json {
            true => serde_json::to_string(event).unwrap_or_default() + "\n",
            false => event::line(event),
        }
    }
}
