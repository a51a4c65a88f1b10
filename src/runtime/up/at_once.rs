//! Tasks that start at once: where a slot is free and nothing waits that would come before, a put carries the first try, so that
//! one commit comes before the start, and not three. `task::queue` decides; here what it has seated is kept until it is stored.
//! For those who wait for tasks of the queue it makes no difference: such a task was added, and waited.

use super::asked::{Asked, Wanted};
use super::tasks::Held;
use super::{Up, Worker};
use crate::clock::{Now, Tick};
use crate::config::values::Durable;
use crate::runtime::server::ClientId;
use crate::runtime::store::{Ending, How, NewTask, Order, Put, Reply};
use crate::supervisor::Phase;
use crate::task::queue::QueueId;
use crate::task::{Class, State, Task, TaskId};
use crate::worker::WorkerId;

/// The first tasks of a put, each with the worker that it was seated at; they have no numbers yet.
#[derive(Debug)]
pub(super) struct Seated {
    queue: QueueId,
    /// For the desk of this generation.
    generation: u64,
    since: Tick,
    tasks: Vec<(WorkerId, Task)>,
}

impl Up<'_> {
    /// Has a client's tasks stored, and those of them that can start at once begun with that.
    pub(super) fn order_put(&mut self, client: ClientId, wanted: Wanted, queue: QueueId, mut put: Put, now: Now) {
        let seated = self.seat_put(queue, &put, now);
        let Some(tasks) = &mut self.tasks else { return };
        let store = tasks.queue(queue).store;
        put.start = seated.tasks.len() as u32;
        let asked = match put.start {
            0 => Asked::Client(client, wanted),
            _ => Asked::Begun(client, wanted, seated),
        };
        tasks.order(store, asked, Order::Put(put));
    }

    /// Seats the tasks of a put that can start at once. Those that may wait for the disk with others do not hold a slot for so
    /// long.
    fn seat_put(&mut self, queue: QueueId, put: &Put, now: Now) -> Seated {
        let mut seated = Seated { queue, generation: 0, since: now.tick, tasks: Vec::new() };
        let is_down = self.supervisor.phase() == Phase::Stopping || matches!(put.durable, Durable::After(_));
        let Some(tasks) = self.tasks.as_mut().filter(|_| !is_down) else {
            return seated;
        };
        tasks.hold(&self.supervisor);
        seated.generation = tasks.generation;
        for new in put.tasks.iter().take_while(|new| new.delay.is_zero()) {
            let Some(slot) = tasks.desk.claim(queue, new.class) else { break };
            let id = tasks.crews[slot.crew.0 as usize].slots[slot.number as usize];
            seated.tasks.push((id, first_try(new, put)));
        }
        seated
    }

    /// The put is answered: those of its tasks are begun that are stored, and the seats of the others are free again.
    pub(super) fn begin_seated(&mut self, seated: Seated, stored: &[TaskId], now: Now) {
        let Seated { queue, generation, since, tasks } = seated;
        let is_arranged_anew = self.tasks.as_ref().is_none_or(|tasks| tasks.generation != generation);
        self.tasks.iter_mut().for_each(|tasks| tasks.queue(queue).begun += stored.len() as u64);
        let mut stored = stored.iter();
        for (id, mut task) in tasks {
            let number = stored.next();
            let taker = self.workers.get_mut(&id).filter(|_| !is_arranged_anew);
            let taker = taker.filter(|worker| worker.talk.is_some() || worker.is_by_task(&self.configuration));
            match (number, taker) {
                (Some(number), Some(worker)) => {
                    task.id = *number;
                    worker.take(task, queue, since);
                    self.leased(id, *number, Some(1), now);
                }
                (number, _) => self.leave_seat(id, task.class, number.copied(), is_arranged_anew, now),
            }
        }
    }

    /// A seat is not taken; where its task is stored as begun, it waits.
    fn leave_seat(&mut self, id: WorkerId, class: Class, stored: Option<TaskId>, is_arranged_anew: bool, now: Now) {
        if !is_arranged_anew {
            self.unseat(id, class);
        }
        if let Some((task, tasks)) = stored.zip(self.tasks.as_mut()) {
            tasks.end(task, Ending::Unbegun, now);
        }
    }
}

impl Worker {
    /// Has a task from now on, chosen at this time; whether it has others to do first.
    pub(super) fn take(&mut self, task: Task, queue: QueueId, at: Tick) -> bool {
        match &mut self.talk {
            Some(talk) => {
                let is_ahead = !talk.session.is_idle() && task.class != Class::High;
                talk.session.take(task, queue, at);
                is_ahead
            }
            None => {
                let held = Held { task, queue, payload: None, until: None, late: false, began: false };
                self.task = Some(Box::new(held));
                false
            }
        }
    }
}

/// The tasks of a put that are stored as begun, in its order.
pub(super) fn begun(reply: &Reply) -> Vec<TaskId> {
    let Reply::Put(placed) = reply else { return Vec::new() };
    let begun = placed.iter().filter(|placed| placed.state == State::Running && placed.how != How::There);
    begun.map(|placed| placed.id).collect()
}

/// A task in its first try, without a number.
fn first_try(new: &NewTask, put: &Put) -> Task {
    let NewTask { class, trace, payload, .. } = new;
    Task { id: TaskId(0), class: *class, attempt: 1, put: put.now, trace: trace.clone(), payload: payload.clone() }
}
