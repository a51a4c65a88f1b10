#![allow(clippy::disallowed_methods)]

use super::scene::{ids, put, queue, task};
use super::*;
use crate::clock::Wall;
use crate::config::values::Durable;
use crate::sys::poller::Poller;
use crate::task::{State, TaskId};
use serial_test::serial;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// A store with its thread, and what it says.
struct House {
    store: Store,
    said: Receiver<FromStore>,
    poller: Poller,
    opened: Opened,
    tickets: u64,
}

impl House {
    fn open(folder: &TempDir) -> House {
        let (told, said) = channel();
        let poller = Poller::new().unwrap();
        let (store, opened) = Store::open(folder.path(), &[], told, Arc::new(poller.waker(0).unwrap())).unwrap();
        House { store, said, poller, opened, tickets: 0 }
    }

    fn send(&mut self, order: Order) -> Ticket {
        self.tickets += 1;
        self.store.send(vec![(Ticket(self.tickets), order)]);
        Ticket(self.tickets)
    }

    fn next(&self) -> FromStore {
        self.said.recv_timeout(PATIENCE).unwrap()
    }

    /// The next reply, and to what.
    fn reply(&self) -> (Ticket, Reply) {
        loop {
            if let FromStore::Reply(ticket, reply) = self.next() {
                return (ticket, reply);
            }
        }
    }

    fn ask(&mut self, order: Order) -> Reply {
        let sent = self.send(order);
        let (ticket, reply) = self.reply();
        assert_eq!(ticket, sent);
        reply
    }
}

fn placed(reply: Reply) -> Vec<TaskId> {
    match reply {
        Reply::Put(placed) => ids(&placed),
        other => panic!("{other:?}"),
    }
}

fn put_one(durable: Durable) -> Order {
    Order::Put(Put { durable, ..put(vec![task("x")]) })
}

#[test]
fn orders_are_answered_and_counts_follow() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(&folder);
    assert_eq!(house.opened, Opened { queues: vec![], returned: vec![], held: vec![] });
    let sent = house.send(put_one(Durable::Always));
    assert_eq!(house.poller.wait(Some(PATIENCE)).unwrap().count(), 1);
    assert!(matches!(house.next(), FromStore::Reply(ticket, Reply::Put(_)) if ticket == sent));
    match house.next() {
        FromStore::Counts(counts) => {
            assert_eq!((&*counts.queue, counts.tally.waiting), ("q", [0, 1, 0]));
            assert_eq!(counts.fresh, [None, Some(TaskId(1)), None]);
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(house.ask(Order::Look), Reply::Changed { .. }));
    house.store.stop();
    assert!(matches!(house.said.recv(), Ok(FromStore::Ended)), "counts that have not changed are not said again");
}

#[test]
fn a_patient_put_is_answered_in_time_or_with_company() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(&folder);
    assert_eq!(placed(house.ask(put_one(Durable::After(Duration::from_millis(20))))), [TaskId(1)]);
    let hour = house.send(put_one(Durable::After(Duration::from_secs(3600))));
    assert_eq!(placed(house.ask(put_one(Durable::Never))), [TaskId(2)], "it waits for nobody");
    house.send(put_one(Durable::Always));
    assert_eq!(house.reply(), (hour, Reply::Put(vec![Placed { id: TaskId(3), state: State::Waiting, how: How::New }])));
    house.send(put_one(Durable::After(Duration::from_secs(3600))));
    house.store.stop();
    let House { said, .. } = house;
    let replies = said.iter().filter(|said| matches!(said, FromStore::Reply(..)));
    assert_eq!(replies.count(), 2, "at the end all are answered");
    let house = House::open(&folder);
    assert_eq!(house.opened.queues[0].tally.waiting, [0, 5, 0]);
    house.store.stop();
}

/// E5: what was leased when a supervisor ended, however it ended, is said by the next one.
#[test]
fn a_store_that_is_opened_again_says_what_was_running() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(&folder);
    house.ask(Order::Put(Put { start: 1, ..put(vec![task("a"), task("b")]) }));
    house.store.stop();
    let house = House::open(&folder);
    assert_eq!(house.opened.returned, [Returned { id: TaskId(1), queue: queue(), attempt: 1 }]);
    assert_eq!(house.opened.queues[0].tally.waiting, [0, 2, 0]);
    house.store.stop();
}

#[test]
fn what_another_process_puts_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(&folder);
    assert_eq!(placed(house.ask(put_one(Durable::Never))), [TaskId(1)]);
    let theirs = put_directly(folder.path(), &put(vec![task("y"), task("z")])).unwrap();
    assert_eq!(ids(&theirs), [TaskId(2), TaskId(3)]);
    house.send(Order::Look);
    let counts = std::iter::repeat_with(|| house.next()).find_map(|said| match said {
        FromStore::Counts(counts) if counts.tally.waiting[1] == 3 => Some(counts),
        _ => None,
    });
    assert_eq!(counts.unwrap().fresh[1], Some(TaskId(2)));
    assert_eq!(placed(house.ask(put_one(Durable::Never))), [TaskId(4)]);
    house.store.stop();
}

/// Some processes put while a supervisor puts, leases and ends: none loses anything, and no number is given twice.
#[test]
fn direct_writers_beside_an_open_store() {
    const WRITERS: usize = 3;
    const PUTS: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(&folder);
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        let write = || {
            let puts = (0..PUTS).map(|_| put_directly(folder.path(), &put(vec![task("y"), task("z")])).unwrap());
            puts.flat_map(|placed| ids(&placed)).collect::<Vec<_>>()
        };
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(write)).collect();
        for _ in 0..PUTS {
            let ours = placed(house.ask(Order::Put(Put { start: 1, ..put(vec![task("x"), task("x")]) })));
            let end = Order::End { id: ours[0], ending: Ending::Done { result: None }, now: Wall(1) };
            assert_eq!(house.ask(end), Reply::Changed { tasks: 1, more: false });
            all.extend(ours);
        }
        all.extend(writers.into_iter().flat_map(|writer| writer.join().unwrap()));
    });
    all.sort();
    let tasks = ((WRITERS + 1) * PUTS * 2) as u64;
    assert_eq!(all, (1..=tasks).map(TaskId).collect::<Vec<_>>());
    house.store.stop();
    let house = House::open(&folder);
    let tally = house.opened.queues[0].tally;
    assert_eq!((tally.waiting[1], tally.done, tally.running), (tasks - PUTS as u64, PUTS as u64, 0));
    house.store.stop();
}

/// The first of some that come at once makes the database; the others find it.
#[test]
fn many_make_a_new_database_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let placed: Vec<_> = std::thread::scope(|scope| {
        let writers: Vec<_> =
            (0..6).map(|_| scope.spawn(|| put_directly(path, &put(vec![task("x")])).unwrap())).collect();
        writers.into_iter().flat_map(|writer| ids(&writer.join().unwrap())).collect()
    });
    assert_eq!(placed.iter().collect::<std::collections::BTreeSet<_>>().len(), 6);
}

/// One order that cannot be done does not keep those beside it from being done.
#[test]
fn a_group_that_fails_is_done_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(&folder);
    house.ask(put_one(Durable::Never));
    let other = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
    let no = "CREATE TRIGGER no BEFORE INSERT ON task WHEN new.payload = x'21' BEGIN SELECT RAISE(ABORT, 'no'); END";
    other.execute_batch(no).unwrap();
    drop(other);
    // The patient ones go with the last.
    let held = |text| Order::Put(Put { durable: Durable::After(PATIENCE), ..put(vec![task(text)]) });
    let [first, bad, last] = [held("held"), held("!"), put_one(Durable::Always)].map(|order| house.send(order));
    assert!(matches!(house.reply(), (ticket, Reply::Put(_)) if ticket == first));
    assert!(
        matches!(house.reply(), (ticket, Reply::Failed(e)) if ticket == bad && e.to_string().ends_with("used: no"))
    );
    assert!(matches!(house.reply(), (ticket, Reply::Put(placed)) if ticket == last && placed[0].id == TaskId(3)));
    house.store.stop();
}

fn descriptors() -> Vec<String> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let mut open: Vec<_> = entries
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .map(|path| path.display().to_string())
        .filter(|path| path.contains("store.db"))
        .collect();
    open.sort();
    open
}

/// A store that is stopped, one that is dropped, and a direct put leave no descriptor, no thread and one file.
#[test]
#[serial]
fn nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let ours = |path: &String| path.starts_with(folder.path().to_str().unwrap());
    let mut house = House::open(&folder);
    house.ask(put_one(Durable::Always));
    assert!(descriptors().iter().any(ours));
    house.store.stop();
    put_directly(folder.path(), &put(vec![task("x")])).unwrap();
    let House { store, said, .. } = House::open(&folder);
    drop(store.orders);
    assert!(matches!(said.recv_timeout(PATIENCE), Ok(FromStore::Ended)));
    store.thread.join().unwrap();
    assert!(!descriptors().iter().any(ours), "{:?}", descriptors());
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["store.db"]);
}
