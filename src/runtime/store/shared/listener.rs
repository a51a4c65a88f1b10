//! The thread that waits at the server until something comes. It is told where to wait, says what has come, and is told again.
//!
//! Wherever it waits, it waits for the bell of its host too: whoever rings that wakes it, be it there already or on its way.

use super::call::{fields, items, text};
use super::keeper::Message;
use super::server::{Server, Trouble, trouble};
use super::wishes::Stream;
use super::{GROUP, PERIOD, bell};
use crate::sys::thread;
use ::redis::{Connection, Value, cmd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// What has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The bell, by the entry of its stream.
    Bell(String),
    /// A task: where it comes from, the entry of its stream, and its number.
    Task(Stream, String, String),
}

/// The listener, as its keeper sees it. When it is dropped, the thread ends with its next word.
#[derive(Debug)]
pub(super) struct Listener {
    jobs: Sender<Vec<Stream>>,
}

struct Ear {
    connection: Connection,
    host: Arc<str>,
    /// In which session of its keeper's.
    session: u64,
    jobs: Receiver<Vec<Stream>>,
    told: Sender<Message>,
}

impl Listener {
    /// Connects, and starts the thread. It tells `told` what it hears in this session.
    pub(super) fn start(
        server: &Server,
        host: Arc<str>,
        session: u64,
        told: Sender<Message>,
    ) -> Result<Listener, Trouble> {
        let connection = server.connect(None)?;
        let (jobs, inbox) = channel();
        let mut ear = Ear { connection, host, session, jobs: inbox, told };
        let thread = thread::spawn("listener", move || ear.run());
        // It ends by itself; nobody waits for that.
        thread.map(drop).map_err(|e| Trouble::Lost(format!("cannot start a thread: {e}")))?;
        Ok(Listener { jobs })
    }

    /// Waits for what comes there, once.
    pub(super) fn wait_at(&self, streams: Vec<Stream>) {
        // One that has ended has told why.
        let _ = self.jobs.send(streams);
    }
}

impl Ear {
    fn run(&mut self) {
        while let Ok(streams) = self.jobs.recv() {
            let heard = self.listen(&streams).map_err(Trouble::text);
            let is_over = heard.is_err();
            if self.told.send(Message::Heard(self.session, heard)).is_err() || is_over {
                return;
            }
        }
    }

    /// Waits until something comes, for one period at most.
    fn listen(&mut self, streams: &[Stream]) -> Result<Vec<Heard>, Trouble> {
        let mut command = cmd("XREADGROUP");
        command.arg("GROUP").arg(GROUP).arg(&*self.host).arg("COUNT").arg(1);
        command.arg("BLOCK").arg(PERIOD.as_millis() as u64).arg("STREAMS").arg(bell(&self.host));
        let keys: Vec<_> = streams.iter().map(key).collect();
        keys.iter().for_each(|key| _ = command.arg(key));
        (0..=keys.len()).for_each(|_| _ = command.arg(">"));
        let answer: Value = command.query(&mut self.connection).map_err(trouble)?;
        let mut heard = Vec::new();
        for stream in items(answer) {
            let [name, entries] = fields(stream);
            let at = keys.iter().position(|key| key == text(&name));
            for entry in items(entries) {
                let [entry, pairs] = fields(entry);
                let [_, id] = fields(pairs);
                let entry = text(&entry).to_owned();
                heard.push(match at {
                    Some(at) => Heard::Task(streams[at].clone(), entry, text(&id).to_owned()),
                    None => Heard::Bell(entry),
                });
            }
        }
        Ok(heard)
    }
}

/// The name of a stream at the server.
fn key((queue, class): &Stream) -> String {
    format!("quell:queue:{queue}:{}", class.word())
}
