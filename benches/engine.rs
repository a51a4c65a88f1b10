//! What decides over tasks and triggers, by itself: `cargo bench --bench engine`. Items are events that it is told; nothing is
//! stored and nothing started.
//!
//! | stage | what is measured |
//! |---|---|
//! | `tasks` | tasks of all classes in 10 queues,  and 100 slots: each is put, fetched, begun and ended |
//! | `triggers` | a signal for the workers of so many triggers, of which one waits for it, and its start and end |

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use quell::clock::{Now, Tick, Wall};
use quell::task::priority::Slots;
use quell::task::queue::{Effect, QueueId, Queues, Slot};
use quell::task::trigger::{Condition, Event, Triggers, What};
use quell::task::{Class, Task, TaskId};
use std::time::Duration;

const QUEUES: u32 = 10;
const SLOTS: u32 = 10;
const TASKS: u64 = 10_000;
/// A task is put, fetched and ended.
const EVENTS_A_TASK: u64 = 3;
const MAX_WAIT: Duration = Duration::from_secs(300);

fn main() {
    divan::main();
}

#[divan::bench]
fn tasks(bencher: Bencher) {
    bencher.counter(ItemsCount::new(TASKS * EVENTS_A_TASK)).bench_local(|| {
        let mut queues = Queues::new();
        let ids: Vec<_> = (0..QUEUES).map(|_| queues.add_queue(MAX_WAIT, false)).collect();
        for queue in &ids {
            let crew = queues.add_crew(vec![*queue], Slots { total: SLOTS, high: 1 });
            (0..SLOTS).for_each(|number| queues.room(Slot { crew, number }, 1));
        }
        (1..=TASKS).map(|id| work(&mut queues, &ids, id)).sum::<usize>()
    });
}

/// Puts a task, and does what is to be done: how many tasks were done.
fn work(queues: &mut Queues, ids: &[QueueId], id: u64) -> usize {
    let (queue, class) = (ids[id as usize % ids.len()], Class::ALL[id as usize % Class::ALL.len()]);
    let (mut effects, mut done) = (Vec::new(), 0);
    queues.fresh(queue, class, TaskId(id));
    let mut stored = Some(id);
    loop {
        queues.settle(Wall(id as i64), &mut effects);
        if effects.is_empty() {
            return done;
        }
        for effect in effects.drain(..) {
            match effect {
                Effect::Fetch { queue: of, class: wanted, .. } => {
                    let found = stored.take_if(|_| of == queue && wanted == class);
                    queues.fetched(of, wanted, found.map(|id| task(id, class)).into_iter().collect());
                }
                Effect::Begin { slot, task, .. } => {
                    queues.free(slot, task.class);
                    done += 1;
                }
                // None of the queues is shared.
                Effect::Wish { .. } | Effect::Release { .. } => {}
            }
        }
    }
}

fn task(id: u64, class: Class) -> Task {
    Task { id: TaskId(id), class, attempt: 0, put: Wall(0), trace: None, payload: Box::default() }
}

#[divan::bench(args = [1, 20, 100])]
fn triggers(bencher: Bencher, count: usize) {
    let waits = |number: usize| Condition::Fire(format!("name-{number}").into());
    let mut all: Vec<_> = (0..count).map(|number| Triggers::new([(0, waits(number))])).collect();
    let (mut effects, mut second) = (Vec::new(), 0);
    bencher.counter(ItemsCount::new(3u32)).bench_local(|| {
        // Slowly enough for the guard.
        second += 1;
        let now = Now { tick: Tick(second * 1_000_000_000), wall: Wall(second as i64 * 1_000_000) };
        for triggers in &mut all {
            triggers.step(Event::Happened(What::Fire("name-0")), now, |_| 0, &mut effects);
        }
        for event in [Event::Started, Event::Ended] {
            all[0].step(event, now, |_| 0, &mut effects);
        }
        black_box(effects.drain(..).count())
    });
}
