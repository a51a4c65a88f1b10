//! `quell down`: the end.

use super::{End, Failure, ask};
use crate::control::reply::Reply;
use crate::control::request::Request;
use crate::runtime::client::NoAnswer;
use crate::sys::fd::{self, Interest};
use crate::sys::reap::Process;
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
        let request = Request::Down { patience: self.waiting.patience() };
        let reply = match client.ask(&request, self.waiting.longest()) {
            // It was about to leave, and has: that is what it was asked for.
            Err(NoAnswer::Ended { .. }) if ends(supervisor.as_ref())? => Reply::Done { lines: vec!["down".into()] },
            reply => reply?,
        };
        let end = ask::show(reply)?;
        if !self.waiting.no_wait {
            // Its answer is the last but one of what it does: whoever starts it again at once must find its lock free.
            ends(supervisor.as_ref())?;
        }
        Ok(end)
    }
}

/// Waits for the end of a process; false where that does not come soon, or it is not known.
fn ends(process: Option<&Process>) -> Result<bool, Failure> {
    let Some(process) = process else { return Ok(false) };
    let over = fd::wait([Some((process.as_fd(), Interest::Read))], Some(ask::SOON));
    let [over] = over.map_err(|e| Failure::new(format!("cannot wait for the supervisor's end: {e}")))?;
    Ok(over)
}
