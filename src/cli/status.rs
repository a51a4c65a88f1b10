//! `quell status`: how the workers are.

use super::{End, Failure, ask, talk};
use crate::control::reply::{Code, Reply};
use crate::control::request::{Request, Target};
use crate::control::status::{State, Status, Worker};
use crate::render::{status, worker};
use crate::runtime::client::NoAnswer;
use crate::sys::{fd, time, tty};
use clap::Args;

/// The codes that init scripts have for it (Linux Standard Base, "Init Script Actions").
const NOT_RUNNING: u8 = 3;
const UNKNOWN: u8 = 4;

/// Show how workers are: all as a table, named ones in full
#[derive(Debug, Args)]
#[command(after_help = "\
With names the exit code is that of an init script: 0 when all of them run, or are done; 3 when one does not, or no supervisor
runs; 4 when that cannot be told, or there is no such worker.

Examples:
  quell status
  quell status web
  quell status --json | jq -r '.workers[] | select(.state != \"up\").name'")]
pub(super) struct Options {
    #[command(flatten)]
    ask: ask::Options,
    /// The status as JSON; times in microseconds since 1970 (_us), spans in milliseconds (_ms)
    #[arg(long)]
    json: bool,
    /// Workers, or one of their instances, as web.2 [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<Target>,
}

impl Options {
    pub(super) fn execute(&self) -> Result<End, Failure> {
        let request = Request::Status { workers: self.names.clone() };
        let reply = match self.ask.connect()? {
            Ok(mut client) => client.ask(&request, Some(ask::SOON)),
            Err(e) => Err(e),
        };
        match reply {
            Ok(Reply::Status(status)) => self.show(&status),
            Ok(Reply::Failed { code, text, .. }) => {
                Err(self.failure(text, if code == Code::NoSuchWorker { UNKNOWN } else { super::EXIT_FAILURE }))
            }
            Ok(_) => Err(self.failure("the supervisor answers something else".into(), UNKNOWN)),
            Err(e @ NoAnswer::NotRunning { .. }) => Err(self.failure(e.to_string(), NOT_RUNNING)),
            Err(e) => Err(self.failure(e.to_string(), UNKNOWN)),
        }
    }

    /// The code is for those who ask for workers by name.
    fn failure(&self, text: String, code: u8) -> Failure {
        Failure { text, code: if self.names.is_empty() { super::EXIT_FAILURE } else { code } }
    }

    fn show(&self, status: &Status) -> Result<End, Failure> {
        let now = time::now().wall;
        let text = match (self.json, &self.names[..]) {
            (true, _) => {
                let json = serde_json::to_string(status);
                json.map_err(|e| Failure::new(format!("cannot show the status: {e}")))? + "\n"
            }
            (false, []) => status::table(status, now, tty::columns(fd::stdout())),
            (false, _) => status.workers.iter().map(|worker| worker::long(worker, now)).collect::<Vec<_>>().join("\n"),
        };
        talk::answer(text.as_bytes())?;
        let worst = status.workers.iter().map(code).max().unwrap_or(0);
        Ok(End::Code(if self.names.is_empty() { 0 } else { worst }))
    }
}

/// What an init script says of it.
fn code(worker: &Worker) -> u8 {
    match worker.state {
        State::Up | State::Done => 0,
        State::Starting | State::Stopping if worker.pid.is_some() => 0,
        State::Unknown => UNKNOWN,
        _ => NOT_RUNNING,
    }
}
