//! `quell put`: tasks for a queue.

mod direct;
mod lines;

use super::config::count;
use super::{End, Failure, ask, talk};
use crate::clock::Tick;
use crate::control::put::{Key, OnKey, Put};
use crate::control::queue::{self, Placed, Placement};
use crate::control::reply::Reply;
use crate::control::request::{Name, Patience, Request};
use crate::render;
use crate::runtime::client::{Client, NoAnswer};
use crate::sys::time;
use crate::task::Class;
use clap::Args;
use direct::Direct;
use lines::Lines;
use std::ffi::OsString;
use std::time::Duration;

/// Put tasks into a queue, and print their numbers, one a line
#[derive(Debug, Args)]
#[command(after_help = "\
Each payload is a task, and so is each line with --stdin; none is longer than a request, 64 KiB of JSON: put the path of what
is longer. More than that goes in several requests, each of which is stored whole or not at all. What is printed is stored as durably as the queue asks for. With --wait each line says how its task ended, and the
exit code is 1 unless all of them are done. TRACEPARENT, where it is set, goes with the tasks.

Where no supervisor runs the tasks are stored for the next one, as the configuration has the queue; --wait needs one, and so does
whoever names one by --socket or QUELL_SOCKET.

Examples:
  quell put thumbs in/a.png in/b.png
  find in -name '*.png' | quell put thumbs --stdin --class low
  quell put mail --key digest --on-key replace --delay 10m '{\"to\":\"all\"}'
  quell put thumbs --wait --timeout 1m in/a.png")]
pub(super) struct Options {
    #[command(flatten)]
    ask: ask::Options,
    /// How urgent they are: high, normal or low
    #[arg(long, value_name = "CLASS", default_value = "normal")]
    class: Class,
    /// What the task is about, where the queue is not to hold two for that
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Where there is one with this key: drop-new (the default) or replace
    #[arg(long, value_name = "WHAT", requires = "key")]
    on_key: Option<OnKey>,
    /// They are not due before this has passed
    #[arg(long, value_name = "DURATION", value_parser = ask::duration)]
    delay: Option<Duration>,
    /// Each line of standard input is a task
    #[arg(long, conflicts_with_all = ["payloads", "key"])]
    stdin: bool,
    /// Wait until they have ended; with --stdin, more are put when those before have
    #[arg(long)]
    wait: bool,
    /// The longest wait; the tasks stay
    #[arg(long, value_name = "DURATION", value_parser = ask::duration, requires = "wait")]
    timeout: Option<Duration>,
    /// The queue
    queue: Name,
    /// What is to be done; what begins with a dash stands behind --
    #[arg(value_name = "PAYLOAD")]
    payloads: Vec<OsString>,
}

/// The way that tasks take.
enum Way {
    /// Through a supervisor.
    Asked(Client),
    /// Past where one would be.
    Direct(Direct),
}

/// Tasks on their way, and what became of those before.
struct Session {
    way: Way,
    wait: bool,
    deadline: Option<Tick>,
    /// How many were stored.
    stored: u64,
    /// How many of them were waited for, and are not done.
    undone: u64,
}

impl Options {
    pub(super) fn execute(&self) -> Result<End, Failure> {
        if self.payloads.is_empty() && !self.stdin {
            let text = "put what? name a payload, or give a task a line with --stdin; `quell put --help` has examples";
            return Err(Failure::usage(text));
        }
        let put = self.put();
        if !self.stdin {
            put.check().map_err(Failure::usage)?;
        }
        let deadline = self.timeout.map(|timeout| time::now().tick.after(timeout));
        let mut session = Session { way: self.way()?, wait: self.wait, deadline, stored: 0, undone: 0 };
        let result = if self.stdin { session.put_lines(&put) } else { session.put(put) };
        result.map_err(|failure| session.interrupted(failure))?;
        session.end()
    }

    fn way(&self) -> Result<Way, Failure> {
        match self.ask.connect()? {
            Ok(client) => Ok(Way::Asked(client)),
            Err(NoAnswer::NotRunning { .. }) if !self.wait && !self.ask.names_socket() => {
                Direct::new(&self.ask, &self.queue).map(Way::Direct)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// What is put, as far as the command line says it.
    fn put(&self) -> Put {
        Put {
            queue: self.queue.clone(),
            class: self.class,
            key: self.key.clone().map(|key| Key { key, on: self.on_key.unwrap_or_default() }),
            delay_ms: self.delay.map(ask::millis),
            // What is no trace is nobody's (W3C Trace Context, section 3.2.4).
            trace: std::env::var("TRACEPARENT").ok().and_then(|trace| trace.parse().ok()),
            payloads: self.payloads.iter().map(|payload| payload.as_encoded_bytes().into()).collect(),
            patience: Patience::default(),
        }
    }
}

impl Way {
    /// What can be put at once: what a request carries, or all of it.
    fn pieces(&self, put: Put) -> Result<Vec<Put>, Failure> {
        match self {
            Way::Asked(_) => put.split().map_err(|e| Failure::new(format!("a task that does not fit: {e}"))),
            Way::Direct(_) => Ok(vec![put]),
        }
    }

    fn put(&mut self, put: Put, longest: Option<Duration>) -> Result<Vec<Placed>, Failure> {
        match self {
            Way::Asked(client) => match client.ask(&Request::Put(put), longest)? {
                Reply::Put { tasks } => Ok(tasks),
                other => Err(ask::failure(other)),
            },
            Way::Direct(direct) => {
                let tasks = direct.put(&put)?;
                if let Some(client) = direct.ring(&put.queue) {
                    *self = Way::Asked(client);
                }
                Ok(tasks)
            }
        }
    }
}

impl Session {
    /// Puts a task for each line of standard input.
    fn put_lines(&mut self, put: &Put) -> Result<(), Failure> {
        let mut lines = Lines::default();
        while let Some(payloads) = lines.batch()? {
            self.put(Put { payloads, ..put.clone() })?;
        }
        Ok(())
    }

    /// Puts tasks, in as many pieces as it takes, and shows what became of them.
    fn put(&mut self, put: Put) -> Result<(), Failure> {
        for put in self.way.pieces(put)? {
            let (patience, longest) = self.patience();
            let tasks = self.way.put(Put { patience, ..put }, longest)?;
            self.show(&tasks)?;
        }
        Ok(())
    }

    /// What the supervisor is told of how long it may take, and how long it may take for us.
    fn patience(&self) -> (Patience, Option<Duration>) {
        if !self.wait {
            return (Patience::default(), Some(ask::SOON));
        }
        let left = self.deadline.map(|deadline| deadline.until(time::now().tick));
        let patience = Patience { wait: true, timeout_ms: left.map(ask::millis) };
        (patience, left.map(|left| left.saturating_add(ask::SOON)))
    }

    fn show(&mut self, tasks: &[Placed]) -> Result<(), Failure> {
        let is_done = |task: &Placed| task.outcome.as_ref().is_some_and(|outcome| outcome.end == queue::End::Done);
        self.stored += tasks.len() as u64;
        self.undone += tasks.iter().filter(|task| self.wait && !is_done(task)).count() as u64;
        for task in tasks.iter().filter(|task| task.what == Placement::There) {
            tracing::info!("task {} has this key already; nothing was put", task.id);
        }
        let text: String = tasks.iter().map(render::queue::placed).collect();
        talk::answer(text.as_bytes())
    }

    /// The failure, and that it was not the first thing that happened.
    fn interrupted(&self, failure: Failure) -> Failure {
        match self.stored {
            0 => failure,
            stored => {
                let before = count(stored as usize, "task");
                Failure { text: format!("{}; before that, {before} were put", failure.text), ..failure }
            }
        }
    }

    fn end(&self) -> Result<End, Failure> {
        match self.undone {
            0 => Ok(End::Code(0)),
            undone => Err(Failure::new(format!("{undone} of {} not done", count(self.stored as usize, "task")))),
        }
    }
}
