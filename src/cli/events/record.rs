//! `quell events --record`: a file from which a run can be gone through again.

use crate::cli::{End, Failure, ask, talk};
use crate::clock::Wall;
use crate::control::event::Event;
use crate::control::queue::{QueueStatus, State as Stands, TaskPage, TaskRow};
use crate::control::record::{Ask, Header, Source};
use crate::control::reply::Reply;
use crate::control::request::{OfQueue, Request};
use crate::control::status::{State as Runs, Status};
use crate::runtime::client::{Client, NoAnswer};
use crate::sys::time;
use crate::task::State;
use serde::Serialize;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// Records what happens from now on, until the supervisor ends or somebody ends us. What is there already comes first, as if
/// it came at the beginning.
pub(super) fn record(ask: &ask::Options, path: &Path) -> Result<End, Failure> {
    let mut told = ask.connect()??;
    // The last event, which there always is, shows that we are told what comes behind it: so nothing is missed between what
    // is there already and what happens.
    told.ask(&Request::Events { follow: true, since: None, last: Some(1), record: true }, Some(ask::SOON))?;
    let mut out = Out::create(path)?;
    let at = time::now().wall;
    out.line(&Header::new(at))?;
    for source in there_already(&mut ask.connect()??, at)? {
        out.line(&Event::source(at, source))?;
    }
    loop {
        match told.reply(None, None) {
            Ok(Some(Reply::Event(event))) => {
                if !out.line(&event)? {
                    return Ok(End::Code(0));
                }
            }
            Ok(Some(other)) => return ask::show(other),
            Ok(None) | Err(NoAnswer::Ended { .. }) => return Ok(End::Code(0)),
            Err(e) => return Err(e.into()),
        }
    }
}

/// Where it goes.
enum Out {
    Stdout,
    File(File, String),
}

impl Out {
    fn create(path: &Path) -> Result<Out, Failure> {
        if path == Path::new("-") {
            return Ok(Out::Stdout);
        }
        let name = path.display().to_string();
        match File::options().write(true).create_new(true).open(path) {
            Ok(file) => Ok(Out::File(file, name)),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                Err(Failure::new(format!("{name} exists already; name another, or remove it")))
            }
            Err(e) => Err(Failure::new(format!("cannot write {name}: {e}"))),
        }
    }

    /// Writes a line, whole; false when nobody reads it any more.
    fn line(&mut self, line: &impl Serialize) -> Result<bool, Failure> {
        let text = serde_json::to_string(line).unwrap_or_default() + "\n";
        match self {
            Out::Stdout => talk::put(text.as_bytes()),
            Out::File(file, name) => {
                let written = file.write_all(text.as_bytes());
                written.map(|()| true).map_err(|e| Failure::new(format!("cannot write {name}: {e}")))
            }
        }
    }
}

/// What has to come first for all that follows to come of it: queues that are paused, tasks that are left, workers that run
/// though they wait for something, and those that somebody has stopped.
fn there_already(client: &mut Client, now: Wall) -> Result<Vec<Source>, Failure> {
    let mut sources: Vec<_> =
        match client.ask(&Request::Queue { queue: None, what: OfQueue::Stats }, Some(ask::SOON))? {
            Reply::Queues(queues) => queues.into_iter().filter(|of| of.queue.paused).map(pauses).collect(),
            other => return Err(ask::failure(other)),
        };
    sources.extend(tasks(client, now)?);
    match client.ask(&Request::Status { workers: Vec::new() }, Some(ask::SOON))? {
        Reply::Status(status) => sources.extend(runs(&status)),
        other => return Err(ask::failure(other)),
    }
    Ok(sources)
}

/// A queue that somebody has paused.
fn pauses(status: QueueStatus) -> Source {
    Source { ask: Some(Ask::Pause), queue: Some(status.queue.name.into()), ..Source::default() }
}

/// The tasks that are left, in the order of their numbers.
fn tasks(client: &mut Client, now: Wall) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    for state in [State::Waiting, State::Delayed, State::Running] {
        let mut after = None;
        loop {
            let what = OfQueue::List { state: Some(state), after, max: None };
            let TaskPage { tasks, more, .. } =
                match client.ask(&Request::Queue { queue: None, what }, Some(ask::SOON))? {
                    Reply::Tasks(page) => page,
                    // There are no queues.
                    Reply::Failed { .. } => break,
                    other => return Err(ask::failure(other)),
                };
            after = tasks.last().map(|task| task.id);
            sources.extend(tasks.iter().map(|task| waits(task, now)));
            if !more {
                break;
            }
        }
    }
    sources.sort_by_key(|source| source.id);
    Ok(sources)
}

/// A task that is there already.
fn waits(task: &TaskRow, now: Wall) -> Source {
    let begun = task.attempt.saturating_sub(u32::from(task.state == Stands::Running));
    let delay = task.due.filter(|_| task.state == Stands::Delayed).map(|due| now.until(due));
    Source {
        queue: Some(task.queue.as_str().into()),
        class: Some(task.class),
        id: Some(task.id),
        attempt: Some(begun).filter(|begun| *begun > 0),
        delay_ms: delay.map(ask::millis),
        ..Source::default()
    }
}

/// Workers that are not as they would be after a start.
fn runs(status: &Status) -> impl Iterator<Item = Source> {
    status.workers.iter().filter_map(|worker| {
        let ask = match worker.state {
            Runs::Starting | Runs::Up => Ask::Start,
            Runs::Down if worker.last_exit.is_some() => Ask::Stop,
            _ => return None,
        };
        Some(Source { ask: Some(ask), worker: Some(worker.name.as_str().into()), ..Source::default() })
    })
}
