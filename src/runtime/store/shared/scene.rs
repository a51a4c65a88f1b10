//! A real server, and hosts that work there, for tests.

#![allow(clippy::disallowed_methods)]

use super::super::order::{Ending, Key, Limits, Link, NewTask, OnKey, Source};
use super::super::tally::{Counts, Tally};
use super::*;
use crate::clock::Wall;
use crate::config::values::Durable;
use crate::sys::poller::Poller;
use crate::task::{Class, State as Stands, Task, TaskId};
use ::redis::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A server of the test's own; it ends with it.
pub(super) struct Redis {
    _folder: TempDir,
    pub(super) child: Child,
    pub(super) url: String,
}

impl Redis {
    pub(super) fn start() -> Redis {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        assert!(said.any(|line| line.unwrap().contains("Ready to accept connections")));
        Redis { _folder: folder, child, url: format!("redis://127.0.0.1:{port}/0") }
    }

    /// A command, by a connection of its own.
    pub(super) fn command(&self, words: &[&str]) -> Value {
        let mut connection = Server::of(&self.url).unwrap().connect(None).unwrap();
        let mut command = ::redis::cmd(words[0]);
        words[1..].iter().for_each(|word| _ = command.arg(word));
        command.query(&mut connection).unwrap()
    }

    /// Ends the connections that have called this last, or wait in it.
    pub(super) fn cut(&self, called: &str) {
        let list = self.command(&["CLIENT", "LIST"]);
        for line in call::text(&list).lines().filter(|line| line.contains(&format!(" cmd={called} "))) {
            self.command(&["CLIENT", "KILL", "ID", line.split([' ', '=']).nth(1).unwrap()]);
        }
    }

    pub(super) fn session(&self, host: &str) -> Session {
        Session::open(&Server::of(&self.url).unwrap(), host).unwrap()
    }
}

/// What a host takes for lost that has heard nothing for so many milliseconds.
pub(super) fn claim(session: &mut Session, host: &str, idle: u64) -> Vec<(TaskId, String)> {
    let [_, back] = call::fields(session.call(&Call::new("refresh").arg(host).arg(idle)).unwrap().0);
    call::returned(back).iter().map(|(task, host)| (task.id, host.to_string())).collect()
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A host that works there.
pub(super) struct Host {
    pub(super) store: Shared,
    said: Receiver<FromStore>,
    _poller: Poller,
    tickets: u64,
    pub(super) counts: Option<Counts>,
}

pub(super) fn queue() -> Arc<str> {
    "q".into()
}

pub(super) fn task(payload: &str) -> NewTask {
    NewTask {
        class: Class::Normal,
        key: None,
        delay: Duration::ZERO,
        trace: Some("00-1-2-3".into()),
        payload: payload.as_bytes().into(),
    }
}

pub(super) fn keyed(payload: &str, on: OnKey) -> NewTask {
    NewTask { key: Some(Key { name: "k".into(), on }), ..task(payload) }
}

pub(super) fn put(tasks: Vec<NewTask>) -> Put {
    let limits = Limits { tasks: 5, bytes: 1000 };
    Put { queue: queue(), durable: Durable::Always, limits, tasks, start: 0, awaited: false, now: Wall(0) }
}

impl Host {
    /// Comes, and waits until the server is there.
    pub(super) fn come(redis: &Redis, name: &str) -> Host {
        let mut host = Host::start(&redis.url, name, Places::default());
        host.until_up();
        host
    }

    pub(super) fn start(url: &str, name: &str, places: Places) -> Host {
        let (told, said) = channel();
        let poller = Poller::new().unwrap();
        let store = Shared::open(url, name, places, told, Arc::new(poller.waker(0).unwrap())).unwrap();
        Host { store, said, _poller: poller, tickets: 0, counts: None }
    }

    pub(super) fn until<T>(&mut self, find: impl Fn(&FromStore) -> Option<T>) -> T {
        loop {
            let said = self.said.recv_timeout(PATIENCE).unwrap();
            if let FromStore::Counts(counts) = &said {
                self.counts = Some(counts.clone());
            }
            if let Some(found) = find(&said) {
                return found;
            }
        }
    }

    pub(super) fn send(&mut self, order: Order) -> Ticket {
        self.tickets += 1;
        self.store.send(Ticket(self.tickets), order);
        Ticket(self.tickets)
    }

    pub(super) fn answer(&mut self, ticket: Ticket) -> Reply {
        self.until(|said| match said {
            FromStore::Reply(of, reply) if *of == ticket => Some(reply.clone()),
            _ => None,
        })
    }

    pub(super) fn ask(&mut self, order: Order) -> Reply {
        let ticket = self.send(order);
        self.answer(ticket)
    }

    pub(super) fn changes(&mut self, order: Order) -> u64 {
        match self.ask(order) {
            Reply::Changed { tasks, .. } => tasks,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn put(&mut self, tasks: Vec<NewTask>) -> Vec<Placed> {
        match self.ask(Order::Put(put(tasks))) {
            Reply::Put(placed) => placed,
            other => panic!("{other:?}"),
        }
    }

    /// Wishes for a task; the answer comes when there is one.
    pub(super) fn wish(&mut self) -> Ticket {
        let source = |class| Source { queue: queue(), class, max_wait: PATIENCE };
        self.send(Order::Take { by: 0, from: Class::ALL.map(source).into() })
    }

    pub(super) fn taken(&mut self, ticket: Ticket) -> Task {
        match self.answer(ticket) {
            Reply::Taken { task: Some(task), .. } => task,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn take(&mut self) -> Task {
        let ticket = self.wish();
        self.taken(ticket)
    }

    /// Takes and begins it.
    pub(super) fn begin(&mut self) -> TaskId {
        let id = self.take().id;
        assert!(self.lease(id).is_some());
        id
    }

    /// Waits until something is due.
    pub(super) fn until_due(&mut self) {
        while self.changes(Order::Due { now: Wall(0) }) == 0 {}
    }

    pub(super) fn until_up(&mut self) {
        self.until(|said| matches!(said, FromStore::Link(Link::Up { .. })).then_some(()));
    }

    pub(super) fn lease(&mut self, id: TaskId) -> Option<u32> {
        match self.ask(Order::Lease { ids: vec![id], ahead: false }) {
            Reply::Leased(leased) => leased[0].1,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn end(&mut self, id: TaskId, ending: Ending) -> u64 {
        self.changes(Order::End { id, ending, now: Wall(0) })
    }

    pub(super) fn stands(&mut self, id: TaskId) -> Option<Stands> {
        match self.ask(Order::Show { id }) {
            Reply::Shown(shown) => shown.map(|shown| shown.entry.state),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn listed(&mut self, state: Option<Stands>, after: TaskId, max: u32) -> (Vec<TaskId>, bool) {
        match self.ask(Order::List { queue: None, state, after, max }) {
            Reply::Listed { tasks, more } => (tasks.into_iter().map(|entry| entry.id).collect(), more),
            other => panic!("{other:?}"),
        }
    }

    /// How the queue stands, now that it is asked for.
    pub(super) fn tally(&mut self) -> Tally {
        self.changes(Order::Look);
        self.counts.as_ref().map(|counts| counts.tally).unwrap_or_default()
    }
}

pub(super) fn done() -> Ending {
    Ending::Done { result: Some("fine".into()) }
}
