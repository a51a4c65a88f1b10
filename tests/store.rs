//! The store of tasks on a disk that is full.

use crate::disk::Disk;
use quell::clock::Wall;
use quell::config::values::Durable;
use quell::runtime::store::{
    Arrived, Ending, File, FromStore, Limits, NewTask, Order, Put, PutError, Reply, Store, StoreError, Ticket,
    put_directly,
};
use quell::sys::poller::Poller;
use quell::task::{Class, TaskId};
use serial_test::serial;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const LIMITS: Limits = Limits { tasks: 1_000_000, bytes: 1 << 30 };
const PATIENCE: Duration = Duration::from_secs(20);

fn put(durable: Durable) -> Put {
    let payload = vec![b'x'; 5000].into();
    let task = NewTask { class: Class::Normal, key: None, delay: Duration::ZERO, trace: None, payload };
    Put { queue: "q".into(), durable, limits: LIMITS, tasks: vec![task], start: 0, awaited: false, now: Wall(0) }
}

const FILES: usize = 40;

fn arrived(durable: Durable) -> Arrived {
    let path = |file: usize| Path::new(&format!("/{}/{file}", "x".repeat(500))).into();
    let files = (0..FILES).map(|file| File { key: file.to_string().into(), path: path(file) }).collect();
    let (queue, limits, gone, after) = ("q".into(), LIMITS, Vec::new(), "".into());
    Arrived { queue, durable, limits, files, gone, after, now: Wall(0) }
}

fn ask(store: &Store, said: &Receiver<FromStore>, order: Order) -> Reply {
    store.send(vec![(Ticket(1), order)]);
    loop {
        if let FromStore::Reply(_, reply) = said.recv_timeout(PATIENCE).unwrap() {
            return reply;
        }
    }
}

fn open(folder: &Path) -> (Store, Receiver<FromStore>, u64) {
    let (told, said) = channel();
    let waker = Poller::new().unwrap().waker(0).unwrap();
    let (store, opened) = Store::open(folder, &[], told, Arc::new(waker)).unwrap();
    let waiting = opened.queues.iter().map(|counts| counts.tally.waiting[1]).sum();
    (store, said, waiting)
}

/// E6: a full disk refuses the put and loses nothing; what runs can end, and when there is room again puts are stored.
#[test]
#[serial]
fn a_full_disk_refuses_a_put() {
    for durable in [Durable::Always, Durable::Never] {
        let disk = Disk::new("size=1m");
        let filler = disk.0.write("filler", vec![0; 300 << 10]);
        let (store, said, _) = open(disk.0.path());
        let mut stored = 0;
        let refusal = loop {
            match ask(&store, &said, Order::Put(put(durable))) {
                Reply::Put(_) => stored += 1,
                Reply::Failed(error) => break error,
                other => panic!("{other:?}"),
            }
        };
        assert!(matches!(refusal, StoreError::NoSpace { .. } | StoreError::Failed { .. }), "{refusal}");
        assert!(stored > 10, "{stored}");
        assert!(matches!(put_directly(disk.0.path(), &put(durable)), Err(PutError::Store(_))));
        let arrived = arrived(durable);
        assert!(matches!(ask(&store, &said, Order::Arrived(arrived.clone())), Reply::Failed(_)));
        std::fs::remove_file(filler).unwrap();
        // The files are as new as before.
        match ask(&store, &said, Order::Arrived(arrived.clone())) {
            Reply::Arrived(taken) => assert_eq!((taken.files, taken.put), (FILES, FILES)),
            other => panic!("{other:?}"),
        }
        stored += FILES as u64;
        assert!(matches!(ask(&store, &said, Order::Put(put(durable))), Reply::Put(_)));
        stored += 1;
        assert_eq!(
            ask(&store, &said, Order::Lease { ids: vec![TaskId(1)], ahead: false }),
            Reply::Leased(vec![(TaskId(1), Some(1))])
        );
        let end = Order::End { id: TaskId(1), ending: Ending::Done { result: None }, now: Wall(1) };
        assert_eq!(ask(&store, &said, end), Reply::Changed { tasks: 1, more: false });
        store.stop();
        let (store, said, waiting) = open(disk.0.path());
        assert_eq!(waiting, stored - 1);
        let fetch = Order::Fetch {
            queue: "q".into(),
            class: Class::Normal,
            after: TaskId(0),
            tasks_max: 10_000,
            bytes_max: u64::MAX,
            now: Wall(2),
        };
        match ask(&store, &said, fetch) {
            Reply::Fetched { tasks, damaged } => assert_eq!((tasks.len() as u64, damaged), (waiting, vec![])),
            other => panic!("{other:?}"),
        }
        store.stop();
    }
}
