//! Any orders, one after the other, beside a model that is a map in memory.

use super::order::{Ending, Full, How, Limits, NewTask, OnKey, Order, Placed, Put, Reply, Which};
use super::scene::{Scene, keyed, put, queue, task};
use super::tally::Tally;
use crate::clock::Wall;
use crate::task::{Class, State, TaskId};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const LIMITS: Limits = Limits { tasks: 9, bytes: 30 };

#[derive(Clone, Debug)]
struct Modelled {
    class: Class,
    state: State,
    key: Option<Box<str>>,
    attempt: u32,
    bytes: u64,
    due: i64,
    ended: i64,
}

#[derive(Clone, Debug, Default)]
struct Model {
    tasks: BTreeMap<TaskId, Modelled>,
    last: u64,
}

impl Model {
    fn reply(&mut self, order: &Order) -> Reply {
        match order {
            Order::Put(put) => self.put(put),
            Order::Lease { ids, .. } => Reply::Leased(ids.iter().map(|id| (*id, self.lease(*id))).collect()),
            Order::End { id, ending, now } => self.change(&[*id], |task| {
                task.state == State::Running && {
                    match ending {
                        Ending::Done { .. } => (task.state, task.ended) = (State::Done, now.0),
                        Ending::Again { due, .. } if due > now => (task.state, task.due) = (State::Delayed, due.0),
                        Ending::Again { .. } | Ending::Return => task.state = State::Waiting,
                        Ending::Unbegun => (task.state, task.attempt) = (State::Waiting, task.attempt - 1),
                        Ending::Buried { .. } => (task.state, task.ended) = (State::Buried, now.0),
                    }
                    true
                }
            }),
            Order::Due { now } => self.change_all(|task| {
                let is_due = task.state == State::Delayed && task.due <= now.0;
                if is_due {
                    task.state = State::Waiting;
                }
                is_due
            }),
            Order::Kick(Which::Task(id)) => self.change(&[*id], kick),
            Order::Kick(Which::Queue(_)) => self.change_all(kick),
            Order::Bury { id, now, .. } => self.change(&[*id], |task| {
                let may = [State::Waiting, State::Delayed].contains(&task.state);
                if may {
                    (task.state, task.ended) = (State::Buried, now.0);
                }
                may
            }),
            Order::Drop { id } => self.remove(|other, task| other == *id && task.state != State::Running),
            Order::Drain { .. } => self.remove(|_, task| ![State::Running, State::Done].contains(&task.state)),
            Order::Purge { before, .. } => {
                self.remove(|_, task| [State::Done, State::Buried].contains(&task.state) && task.ended < before.0)
            }
            other => panic!("{other:?}"),
        }
    }

    fn put(&mut self, put: &Put) -> Reply {
        let mut trial = self.clone();
        let mut start = put.start;
        let placed = put.tasks.iter().map(|task| trial.place(task, &mut start, put.now)).collect();
        let tally = trial.tally();
        if tally.stored() > LIMITS.tasks {
            Reply::Full(Full::Tasks { wanted: tally.stored(), max: LIMITS.tasks })
        } else if tally.bytes > LIMITS.bytes {
            Reply::Full(Full::Bytes { wanted: tally.bytes, max: LIMITS.bytes })
        } else {
            *self = trial;
            Reply::Put(placed)
        }
    }

    fn place(&mut self, new: &NewTask, start: &mut u32, now: Wall) -> Placed {
        let key = new.key.as_ref().map(|key| key.name.clone());
        let with = |task: &Modelled, states: &[State]| key.is_some() && task.key == key && states.contains(&task.state);
        let mut how = How::New;
        match new.key.as_ref().map(|key| key.on) {
            Some(OnKey::DropNew) => {
                let live = [State::Waiting, State::Delayed, State::Running];
                if let Some((id, task)) = self.tasks.iter().find(|(_, task)| with(task, &live)) {
                    return Placed { id: *id, state: task.state, how: How::There };
                }
            }
            Some(OnKey::Replace) => {
                let pending = [State::Waiting, State::Delayed];
                let of = |state| self.tasks.iter().filter(move |(_, task)| with(task, &[state])).map(|(id, _)| *id);
                let old: Vec<_> = pending.into_iter().flat_map(of).collect();
                self.tasks.retain(|id, _| !old.contains(id));
                how = if old.is_empty() { How::New } else { How::Replaced(old) };
            }
            None => {}
        }
        let state = match (new.delay.is_zero(), *start > 0) {
            (false, _) => State::Delayed,
            (true, false) => State::Waiting,
            (true, true) => State::Running,
        };
        *start -= u32::from(state == State::Running);
        self.last += 1;
        let (attempt, due) = (u32::from(state == State::Running), now.after(new.delay).0);
        let task = Modelled { class: new.class, state, key, attempt, bytes: new.payload.len() as u64, due, ended: 0 };
        self.tasks.insert(TaskId(self.last), task);
        Placed { id: TaskId(self.last), state, how }
    }

    fn lease(&mut self, id: TaskId) -> Option<u32> {
        let task = self.tasks.get_mut(&id).filter(|task| task.state == State::Waiting)?;
        task.state = State::Running;
        task.attempt += 1;
        Some(task.attempt)
    }

    fn change(&mut self, ids: &[TaskId], mut change: impl FnMut(&mut Modelled) -> bool) -> Reply {
        let changed = ids.iter().filter(|id| self.tasks.get_mut(*id).is_some_and(&mut change)).count();
        Reply::Changed { tasks: changed as u64, more: false }
    }

    fn change_all(&mut self, change: impl FnMut(&mut Modelled) -> bool) -> Reply {
        let ids: Vec<_> = self.tasks.keys().copied().collect();
        self.change(&ids, change)
    }

    fn remove(&mut self, goes: impl Fn(TaskId, &Modelled) -> bool) -> Reply {
        let before = self.tasks.len();
        self.tasks.retain(|id, task| !goes(*id, task));
        Reply::Changed { tasks: (before - self.tasks.len()) as u64, more: false }
    }

    fn recover(&mut self) -> usize {
        let mut returned = 0;
        for task in self.tasks.values_mut().filter(|task| task.state == State::Running) {
            task.state = State::Waiting;
            returned += 1;
        }
        returned
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        self.tasks.values().for_each(|task| tally.add(task.state, task.class, 1, task.bytes));
        tally
    }

    fn next_due(&self) -> Option<Wall> {
        let delayed = self.tasks.values().filter(|task| task.state == State::Delayed);
        delayed.map(|task| Wall(task.due)).min()
    }

    fn waiting(&self, class: Class) -> Vec<(TaskId, u32)> {
        let is_next = |task: &Modelled| (task.class, task.state) == (class, State::Waiting);
        self.tasks.iter().filter(|(_, task)| is_next(task)).map(|(id, task)| (*id, task.attempt)).collect()
    }
}

fn kick(task: &mut Modelled) -> bool {
    let may = [State::Buried, State::Delayed].contains(&task.state);
    if may {
        (task.state, task.attempt) = (State::Waiting, 0);
    }
    may
}

fn new_task() -> impl Strategy<Value = NewTask> {
    let key = prop_oneof![3 => Just(None), 1 => Just(Some(OnKey::DropNew)), 1 => Just(Some(OnKey::Replace))];
    (0..3_usize, key, prop::sample::select(vec!["k", "l"]), 0..3_u64, 0..6_usize).prop_map(
        |(class, key, name, delay, bytes)| {
            let payload = "x".repeat(bytes);
            let task = key.map_or_else(|| task(&payload), |on| keyed(&payload, name, on));
            NewTask { class: Class::ALL[class], delay: Duration::from_micros(delay * 7), ..task }
        },
    )
}

fn order(now: i64) -> impl Strategy<Value = Order> {
    let id = || (1..25_u64).prop_map(TaskId);
    let now = Wall(now);
    let ending = prop_oneof![
        3 => Just(Ending::Done { result: Some("r".into()) }),
        1 => (0..20_i64).prop_map(move |wait| Ending::Again { due: Wall(now.0 + wait - 5), why: None }),
        1 => Just(Ending::Buried { why: Some("w".into()) }),
        1 => Just(Ending::Return),
        1 => Just(Ending::Unbegun),
    ];
    prop_oneof![
        6 => (prop::collection::vec(new_task(), 0..4), 0..3_u32)
            .prop_map(move |(tasks, start)| Order::Put(Put { limits: LIMITS, start, now, ..put(tasks) })),
        6 => prop::collection::vec(id(), 0..4).prop_map(|ids| Order::Lease { ids, ahead: false }),
        6 => (id(), ending).prop_map(move |(id, ending)| Order::End { id, ending, now }),
        2 => Just(Order::Due { now }),
        1 => id().prop_map(|id| Order::Kick(Which::Task(id))),
        1 => Just(Order::Kick(Which::Queue(queue()))),
        1 => id().prop_map(move |id| Order::Bury { id, why: "w".into(), now }),
        1 => id().prop_map(|id| Order::Drop { id }),
        1 => Just(Order::Drain { queue: queue() }),
        1 => (0..30_i64).prop_map(move |age| Order::Purge {
            queue: queue(),
            before: Wall(now.0 - age),
            done_max: 1000,
        }),
    ]
}

fn orders() -> impl Strategy<Value = Vec<Order>> {
    (1..60_i64).prop_flat_map(|steps| (0..steps).map(|step| order(step * 4)).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_store_does_what_the_model_does(orders in orders(), reopened in 0..60_usize) {
        let mut scene = Scene::new();
        let mut model = Model::default();
        scene.put(Vec::new());
        for (at, order) in orders.iter().enumerate() {
            prop_assert_eq!(scene.tell(order), model.reply(order), "{:?}", order);
            let counts = scene.counts();
            prop_assert_eq!((counts.tally, counts.next_due), (model.tally(), model.next_due()), "{:?}", order);
            if at == reopened {
                prop_assert_eq!(scene.again().len(), model.recover());
            }
        }
        for class in Class::ALL {
            let fetched: Vec<_> = scene.fetch(class, 0).iter().map(|task| (task.id, task.attempt)).collect();
            prop_assert_eq!(fetched, model.waiting(class));
        }
        scene.tally();
    }
}
