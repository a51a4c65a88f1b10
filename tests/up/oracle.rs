//! What was promised of tasks and what was done of them, written down outside of quell: a client notes each task whose put was
//! acknowledged, and the workers say of each try which task it is, which try, and what is to be done.

use super::{Up, until};
use crate::harness::{Dice, Folder, LIMIT, finish, quell};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use quell::control::put::Put;
use quell::control::queue::QueueStatus;
use quell::control::reply::Reply;
use quell::control::request::{Name, OfQueue, Patience, ROWS_MAX, Request};
use quell::runtime::client::Client;
use quell::sys::fd::{self, Interest};
use quell::sys::reap::Process;
use quell::task::{Class, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a payload says whose worker dies of it.
pub const POISON: &str = "poison";
const GOOD: &str = "good";
/// Behind the last try.
const END: &str = "end\n";
const QUEUE: &str = "jobs";
const EAR: &str = "ear";
/// One in so many.
const POISON_IN: usize = 1000;
/// A worker that has died of poison is back at once.
const AT_ONCE: &str = "restart = \"always\"\nbackoff = { first = \"1ms\", max = \"5ms\" }";

const EXEC: &str = r#"
read what rest < "$QUELL_PAYLOAD"
echo "$QUELL_TASK $QUELL_ATTEMPT $what" >> 'EAR'
case $what in poison) kill -9 $$$$ ;; esac
"#;

const LINES: &str = r#"
import os, signal, sys
fd = int(os.environ['QUELL_TASK_FD'])
tasks, outcomes = os.fdopen(os.dup(fd)), os.fdopen(fd, 'w', 1)
ear = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
for line in tasks:
    id, attempt, trace, what = line.rstrip('\n').split(' ', 3)
    os.write(ear, f'{id} {attempt} {what}\n'.encode())
    if what == 'poison':
        os.kill(os.getpid(), signal.SIGKILL)
    outcomes.write(f'ok {id}\n')
"#;

/// Who does the tasks.
#[derive(Clone, Copy)]
pub enum Hands {
    /// A process for each task, so many at once.
    Exec { slots: u32 },
    /// So many workers that stay.
    Lines { instances: u32 },
}

/// What is known.
#[derive(Debug, Default)]
pub struct Known {
    /// The tasks whose put was acknowledged.
    pub acknowledged: BTreeSet<u64>,
    /// The tries of each task that was begun, in the order in which they were told of.
    pub tries: BTreeMap<u64, Vec<u32>>,
    /// The tasks that are poison, of those that were begun.
    pub poison: BTreeSet<u64>,
    /// How many supervisors have come that take puts.
    supervisors: u64,
    /// No more is put.
    is_enough: bool,
}

/// Where all of it is written down.
pub struct Oracle {
    shared: Arc<Shared>,
    /// What the workers write to is in it.
    folder: Folder,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    known: Mutex<Known>,
    changed: Condvar,
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// What is known, by whoever has failed since, too.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something holds, for as long as anything goes on.
    fn until(&self, what: &str, mut holds: impl FnMut(&Known) -> bool) -> MutexGuard<'_, Known> {
        let mut known = self.lock();
        while !holds(&known) {
            let (now, waited) = self.changed.wait_timeout(known, LIMIT).unwrap_or_else(PoisonError::into_inner);
            let count = now.acknowledged.len();
            assert!(!waited.timed_out(), "waited in vain: {what}; {count} acknowledged, {} begun", now.tries.len());
            known = now;
        }
        known
    }

    /// Takes what workers say.
    fn listen(&self, mut ear: File) {
        let (mut heard, mut room) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            let bytes = ear.read(&mut room).unwrap();
            heard.extend_from_slice(&room[..bytes]);
            let whole = heard.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let text = String::from_utf8(heard.drain(..whole).collect()).unwrap();
            self.change(|known| text.lines().filter(|line| *line != END.trim_end()).for_each(|line| known.note(line)));
            if text.ends_with(END) {
                return;
            }
        }
    }

    /// Puts tasks over a connection that is held open, and over another when a supervisor is gone; never many more than are
    /// begun.
    fn put(&self, socket: &Path, mut dice: Dice, ahead: usize) {
        let (mut client, mut served) = (None, 0);
        loop {
            let known = self.until("there is room for more tasks", |known| {
                known.is_enough
                    || (known.acknowledged.len() < known.tries.len() + ahead
                        && (client.is_some() || known.supervisors > served))
            });
            if known.is_enough {
                return;
            }
            served = if client.is_some() { served } else { known.supervisors };
            drop(known);
            let payloads = (0..=dice.roll(16)).map(|_| if dice.roll(POISON_IN) == 0 { POISON } else { GOOD });
            let payloads: Vec<_> = payloads.collect();
            let asked = client.take().map_or_else(|| Client::connect(socket), Ok);
            // Killed again meanwhile, or in the midst of it: whether these tasks are stored is not known, and need not be.
            let Ok(mut asking) = asked else { continue };
            let Ok(ids) = put(&mut asking, &payloads) else { continue };
            client = Some(asking);
            self.change(|known| known.acknowledged.extend(ids));
        }
    }
}

impl Known {
    /// `ID TRY WHAT`.
    fn note(&mut self, line: &str) {
        let [id, attempt, what] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("a worker said {line:?}") };
        let id = id.parse().unwrap();
        self.tries.entry(id).or_default().push(attempt.parse().unwrap());
        if what == POISON {
            self.poison.insert(id);
        }
    }

    /// How many good tasks were done once more than they need be, each time that they were.
    pub fn duplicates(&self) -> usize {
        let good = self.tries.iter().filter(|(id, _)| !self.poison.contains(id));
        good.map(|(_, tries)| tries.len() - 1).sum()
    }
}

impl Oracle {
    pub fn new() -> Oracle {
        let folder = Folder::new();
        let ear = folder.join(EAR);
        mkfifo(&ear, Mode::S_IRWXU).unwrap();
        // Written to as well, so that it has no end when no worker has it open.
        let file = OpenOptions::new().read(true).write(true).open(&ear).unwrap();
        let shared = Arc::new(Shared::default());
        let listening = shared.clone();
        let reader = Some(std::thread::spawn(move || listening.listen(file)));
        Oracle { shared, folder, reader }
    }

    /// The tables of a queue and of its worker, which says of each task which it is and what is to be done, and dies of poison.
    pub fn tables(&self, hands: Hands, durable: &str, keys: &str) -> String {
        let ear = self.folder.join(EAR).display().to_string();
        let worker = match hands {
            Hands::Exec { slots } => {
                let script = serde_json::to_string(&EXEC.replace("EAR", &ear)).unwrap();
                format!("shell = {script}\nslots = {{ total = {slots} }}")
            }
            Hands::Lines { instances } => {
                let script = self.folder.write("worker.py", LINES);
                let command = serde_json::to_string(&["python3", script.to_str().unwrap(), &ear]).unwrap();
                format!("command = {command}\nprotocol = \"lines\"\ninstances = {instances}\n{AT_ONCE}")
            }
        };
        format!(
            "[queue.{QUEUE}]\ndurable = \"{durable}\"\n\
             [worker.hands]\nstart_on = [{{ queue = \"{QUEUE}\" }}]\n{worker}\n{keys}\n"
        )
    }

    /// A supervisor takes puts.
    pub fn served(&self) {
        self.shared.change(|known| known.supervisors += 1);
    }

    /// Waits until something holds.
    pub fn until(&self, what: &str, holds: impl FnMut(&Known) -> bool) -> MutexGuard<'_, Known> {
        self.shared.until(what, holds)
    }

    /// Notes what was acknowledged.
    pub fn acknowledge(&self, ids: impl IntoIterator<Item = u64>) {
        self.shared.change(|known| known.acknowledged.extend(ids));
    }

    /// Puts tasks until it is enough, but never more than so many ahead of the workers.
    pub fn putter(&self, socket: PathBuf, seed: u64, ahead: usize) -> JoinHandle<()> {
        let shared = self.shared.clone();
        std::thread::spawn(move || shared.put(&socket, Dice(seed), ahead))
    }

    /// Those who put come to their end.
    pub fn enough(&self) {
        self.shared.change(|known| known.is_enough = true);
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.enough();
        OpenOptions::new().write(true).open(self.folder.join(EAR)).unwrap().write_all(END.as_bytes()).unwrap();
        // If it has panicked that was shown.
        let _ = self.reader.take().map(JoinHandle::join);
    }
}

/// A moment, be it short or long, in which quell lives on.
pub fn moment(up: &Up, dice: &mut Dice, longest: Duration) {
    let supervisor = Process::open(up.pid()).unwrap();
    let moment = longest * dice.roll(1000) as u32 / 1000;
    let [ended] = fd::wait([Some((supervisor.as_fd(), Interest::Read))], Some(moment)).unwrap();
    assert!(!ended, "quell has ended by itself");
}

fn queue() -> Name {
    QUEUE.parse().unwrap()
}

/// Puts tasks: their numbers, once they are acknowledged.
///
/// # Errors
/// The reply that is no acknowledgement, or that there is none.
pub fn put(client: &mut Client, payloads: &[&str]) -> Result<Vec<u64>, String> {
    let put = Put {
        queue: queue(),
        class: Class::Normal,
        key: None,
        delay_ms: None,
        trace: None,
        payloads: payloads.iter().map(|payload| payload.as_bytes().into()).collect(),
        patience: Patience::default(),
    };
    match client.ask(&Request::Put(put), Some(LIMIT)) {
        Ok(Reply::Put { tasks }) => Ok(tasks.into_iter().map(|task| task.id.0).collect()),
        Ok(other) => Err(format!("{other:?}")),
        Err(e) => Err(e.to_string()),
    }
}

/// Puts a task past the supervisor, or through it where one has come: the numbers that were acknowledged.
pub fn put_by_command(config: &Path) -> Vec<u64> {
    let done = finish(quell().args(["put", QUEUE, GOOD, GOOD, "-c"]).arg(config));
    done.text().lines().map(|id| id.parse().unwrap()).collect()
}

/// What a supervisor knows of the queue.
pub fn stats(client: &mut Client) -> QueueStatus {
    let asked = Request::Queue { queue: Some(queue()), what: OfQueue::Stats };
    match client.ask(&asked, Some(LIMIT)).unwrap() {
        Reply::Queues(mut queues) => queues.remove(0),
        other => panic!("{other:?}"),
    }
}

/// All tasks of the store, however they stand.
pub fn stored(client: &mut Client) -> BTreeSet<u64> {
    let (mut ids, mut after) = (BTreeSet::new(), TaskId(0));
    loop {
        let list = OfQueue::List { state: None, after: Some(after), max: Some(ROWS_MAX) };
        let reply = client.ask(&Request::Queue { queue: Some(queue()), what: list }, Some(LIMIT)).unwrap();
        let Reply::Tasks(page) = reply else { panic!("{reply:?}") };
        ids.extend(page.tasks.iter().map(|row| row.id.0));
        match page.tasks.last() {
            Some(last) if page.more => after = last.id,
            _ => return ids,
        }
    }
}

/// Waits until nothing is left to be done: how the queue stands then.
pub fn at_rest(client: &mut Client) -> QueueStatus {
    let mut now = stats(client);
    until("nothing is left to be done", || {
        now = stats(client);
        let waiting = now.queue.waiting;
        waiting.high + waiting.normal + waiting.low + now.queue.delayed + now.queue.running == 0
    });
    now
}
