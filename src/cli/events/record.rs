//! `quell events --record`: a file from which a run can be gone through again.

use crate::cli::{End, Failure, ask, talk};
use crate::clock::Wall;
use crate::control::event::Event;
use crate::control::put::{Key, OnKey};
use crate::control::queue::{QueueStatus, State as Stands, TaskPage, TaskRow};
use crate::control::record::{Ask, Header, Source};
use crate::control::reply::Reply;
use crate::control::request::{OfQueue, Request};
use crate::control::status::{State as Runs, Worker};
use crate::runtime::client::{Client, NoAnswer};
use crate::sys::time;
use serde::Serialize;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

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
    let mut behind = Vec::new();
    for event in there_already(&mut ask.connect()??, at, || hear(&mut told, &mut behind))? {
        out.line(&event)?;
    }
    for event in behind {
        out.line(&event)?;
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

/// Takes what has been told meanwhile, or quell would have to keep it.
fn hear(told: &mut Client, behind: &mut Vec<Event>) {
    while let Ok(Some(Reply::Event(event))) = told.reply(Some(Duration::ZERO), None) {
        behind.push(event);
    }
}

/// What has to come first for all that follows to come of it: workers that are not as they would be after a start, tasks that
/// they have, queues that are paused, and all other tasks.
fn there_already(client: &mut Client, at: Wall, mut meanwhile: impl FnMut()) -> Result<Vec<Event>, Failure> {
    let mut first = match client.ask(&Request::Status { workers: Vec::new() }, Some(ask::SOON))? {
        Reply::Status(status) => status.workers.iter().flat_map(|worker| runs(worker, at)).collect::<Vec<_>>(),
        other => return Err(ask::failure(other)),
    };
    let mut rest: Vec<_> = match client.ask(&Request::Queue { queue: None, what: OfQueue::Stats }, Some(ask::SOON))? {
        Reply::Queues(queues) => queues.into_iter().filter(|of| of.queue.paused).map(|of| pauses(of, at)).collect(),
        other => return Err(ask::failure(other)),
    };
    let mut after = None;
    loop {
        let what = OfQueue::List { state: None, after, max: None };
        let TaskPage { tasks, more, .. } = match client.ask(&Request::Queue { queue: None, what }, Some(ask::SOON))? {
            Reply::Tasks(page) => page,
            // There are no queues.
            Reply::Failed { .. } => break,
            other => return Err(ask::failure(other)),
        };
        meanwhile();
        after = tasks.last().map(|task| task.id);
        for source in tasks.iter().flat_map(|task| waits(task, at)) {
            let to = if source.worker.is_some() { &mut first } else { &mut rest };
            to.push(Event::source(at, source));
        }
        if !more {
            break;
        }
    }
    first.extend(rest);
    // What is to happen a little later.
    first.sort_by_key(|event| event.at);
    Ok(first)
}

/// A queue that somebody has paused.
fn pauses(status: QueueStatus, at: Wall) -> Event {
    Event::source(at, Source { ask: Some(Ask::Pause), queue: Some(status.queue.name.into()), ..Source::default() })
}

/// A task that is there already, as if it were put now; what is done is none any more.
fn waits(task: &TaskRow, now: Wall) -> Vec<Source> {
    let is_buried = task.state == Stands::Buried;
    let begun = task.attempt.saturating_sub(u32::from(task.state == Stands::Running));
    let delay = match task.state {
        Stands::Waiting | Stands::Running => None,
        Stands::Delayed => task.due.map(|due| due.until(now)),
        // It is not to begin before it is buried.
        Stands::Buried => Some(Duration::from_secs(1)),
        Stands::Done | Stands::Damaged | Stands::Unknown => return Vec::new(),
    };
    let put = Source {
        queue: Some(task.queue.as_str().into()),
        class: Some(task.class),
        id: Some(task.id),
        attempt: Some(begun).filter(|begun| *begun > 0),
        // If another of this key is there, that runs.
        key: task.key.clone().filter(|_| !is_buried).map(|key| Key { key, on: OnKey::Replace }),
        delay_ms: delay.map(ask::millis),
        bytes: Some(task.payload_bytes),
        worker: task.worker.as_deref().filter(|_| task.state == Stands::Running).map(Into::into),
        ..Source::default()
    };
    let bury = Source { ask: Some(Ask::Bury), id: Some(task.id), ..Source::default() };
    std::iter::once(put).chain(is_buried.then_some(bury)).collect()
}

/// What makes a worker that has just started with quell, or not, one that is as this.
fn runs(worker: &Worker, at: Wall) -> Vec<Event> {
    let asks = |at: Wall, ask: Ask| {
        Event::source(at, Source { ask: Some(ask), worker: Some(worker.name.as_str().into()), ..Source::default() })
    };
    match worker.state {
        _ if worker.held => vec![asks(at, Ask::Stop)],
        Runs::Starting | Runs::Up | Runs::Stopping => vec![asks(at, Ask::Start)],
        Runs::Failed => vec![asks(at, Ask::Idle)],
        Runs::Backoff => {
            let next = Duration::from_millis(worker.next_start_ms.unwrap_or(0));
            vec![asks(at, Ask::Idle), asks(at.after(next.max(Duration::from_micros(1))), Ask::Start)]
        }
        Runs::Down | Runs::Done | Runs::Waiting | Runs::Unknown => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: &str) -> TaskRow {
        let json = format!(
            r#"{{"id":7,"queue":"jobs","class":"low","state":"{state}","attempt":2,"put_us":1,"due_us":9000000,"ended_us":null,
            "key":"k","worker":null,"why":null,"payload_bytes":5,"payload":null}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn tasks_that_are_there() {
        let said = |state: &str| serde_json::to_string(&waits(&row(state), Wall(2_000_000))).unwrap();
        let task = |begun: u32, more: &str| {
            format!(r#"{{"queue":"jobs","class":"low","id":7,"attempt":{begun},{more}"bytes":5}}"#)
        };
        let key = r#""key":{"key":"k","on":"replace"},"#;
        assert_eq!(said("waiting"), format!("[{}]", task(2, key)));
        assert_eq!(said("running"), format!("[{}]", task(1, key)));
        assert_eq!(said("delayed"), format!("[{}]", task(2, &format!("{key}\"delay_ms\":7000,"))));
        assert_eq!(said("buried"), format!("[{},{}]", task(2, "\"delay_ms\":1000,"), r#"{"id":7,"ask":"bury"}"#));
        assert_eq!(said("done"), "[]");
        let running = TaskRow { worker: Some("jobs.2".into()), ..row("running") };
        assert_eq!(waits(&running, Wall(0))[0].worker.as_deref(), Some("jobs.2"));
    }
}
