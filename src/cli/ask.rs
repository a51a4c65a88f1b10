//! How a verb asks the supervisor: where that is found, how long it is waited for, what is shown of its answer.

use super::{End, Failure, config, talk};
use crate::config::report::visible;
use crate::config::unit::parse_duration;
use crate::control::reply::Reply;
use crate::control::request::{Patience, Request};
use crate::runtime::client::{Client, NoAnswer};
use crate::runtime::places;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// How long the supervisor is waited for where it has nothing to wait for.
pub(super) const SOON: Duration = Duration::from_secs(10);
const SOMETHING_ELSE: &str = "the supervisor answers something else";

#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    #[command(flatten)]
    config: config::Options,
    /// The supervisor's socket [default: $QUELL_SOCKET, else the configuration's]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

// No doc comment: clap would take it for what the verb does.
// Whether a verb waits for what it asks for.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Waiting {
    /// Do not wait until it is done
    #[arg(long)]
    pub(super) no_wait: bool,
    /// The longest wait; what was begun goes on then
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "no_wait")]
    timeout: Option<Duration>,
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|e| e.to_string())
}

/// A span as messages have it.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl From<NoAnswer> for Failure {
    fn from(error: NoAnswer) -> Failure {
        Failure::new(error.to_string())
    }
}

impl Options {
    /// Connects to the supervisor.
    ///
    /// # Errors
    /// There is none; or the configuration cannot be read that says where it is.
    pub(super) fn connect(&self) -> Result<Result<Client, NoAnswer>, Failure> {
        Ok(Client::connect(&self.path()?))
    }

    /// Asks for something to be done, and shows what was.
    ///
    /// # Errors
    /// It was not.
    pub(super) fn carry_out(&self, request: &Request, patience: Option<Duration>) -> Result<End, Failure> {
        show(self.connect()??.ask(request, patience)?)
    }

    /// The configuration that is meant.
    pub(super) fn config(&self) -> &config::Options {
        &self.config
    }

    /// Whether a supervisor is named by its socket, and not by its configuration.
    pub(super) fn names_socket(&self) -> bool {
        self.socket.is_some() || named_by_env().is_some()
    }

    /// The socket of the supervisor that is meant.
    ///
    /// # Errors
    /// The configuration cannot be read that says where it is.
    pub(super) fn path(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.socket {
            return Ok(path.clone());
        }
        if let Some(path) = named_by_env() {
            return Ok(path);
        }
        let nowhere = || Failure::usage("there is no home directory to look for a supervisor in; name its --socket");
        places::socket(&self.config.quell()?).ok_or_else(nowhere)
    }
}

impl Waiting {
    /// What the supervisor is told of it.
    pub(super) fn patience(&self) -> Patience {
        Patience { wait: !self.no_wait, timeout_ms: self.timeout.map(millis) }
    }

    /// How long its answer may take: it says itself when a wait is over.
    pub(super) fn longest(&self) -> Option<Duration> {
        match (self.no_wait, self.timeout) {
            (true, _) => Some(SOON),
            (false, timeout) => timeout.map(|timeout| timeout.saturating_add(SOON)),
        }
    }
}

fn named_by_env() -> Option<PathBuf> {
    std::env::var_os("QUELL_SOCKET").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Why there is no answer of the sort that was asked for.
pub(super) fn failure(reply: Reply) -> Failure {
    match reply {
        Reply::Failed { text, .. } => Failure::new(text),
        _ => Failure::new(SOMETHING_ELSE),
    }
}

/// Shows an answer: what was done on standard output, what was not as the failure.
///
/// # Errors
/// It was not done.
pub(super) fn show(reply: Reply) -> Result<End, Failure> {
    let (lines, failure) = match reply {
        Reply::Done { lines } => (lines, None),
        Reply::Plan { text } if text.is_empty() => (vec!["nothing changes".to_owned()], None),
        Reply::Plan { text } => (vec![text.trim_end().to_owned()], None),
        Reply::Failed { text, done, .. } => (done, Some(text)),
        _ => (Vec::new(), Some(SOMETHING_ELSE.to_owned())),
    };
    let text: String = lines.iter().map(|line| format!("{}\n", visible(line))).collect();
    talk::answer(text.as_bytes())?;
    failure.map_or(Ok(End::Code(0)), |text| Err(Failure::new(text)))
}
