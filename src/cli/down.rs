//! `quell down`: the end.

use super::{End, Failure, ask};
use crate::control::request::Request;
use crate::sys::fd::{self, Interest};
use clap::Args;
use std::os::fd::AsFd;

/// Stop all workers, in the reverse order of their needs, and quell itself
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quell down
  quell down --timeout 30s || quell status")]
pub(super) struct Options {
    #[command(flatten)]
    ask: ask::Options,
    #[command(flatten)]
    waiting: ask::Waiting,
}

impl Options {
    pub(super) fn execute(&self) -> Result<End, Failure> {
        let mut client = self.ask.connect()??;
        let supervisor = client.supervisor();
        let reply = client.ask(&Request::Down { patience: self.waiting.patience() }, self.waiting.longest())?;
        let end = ask::show(reply)?;
        // Its answer is the last but one of what it does: whoever starts it again at once must find its lock free.
        if let (false, Some(process)) = (self.waiting.no_wait, supervisor) {
            let over = fd::wait([Some((process.as_fd(), Interest::Read))], Some(ask::SOON));
            over.map_err(|e| Failure::new(format!("cannot wait for the supervisor's end: {e}")))?;
        }
        Ok(end)
    }
}
