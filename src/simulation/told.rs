//! Workers that stay and are told their tasks (`protocol = "lines"`).

use super::lives::{RUN, exit_of};
use super::tasks::Held;
use super::world::{Timer, World};
use crate::task::TaskId;
use crate::task::outcome::End;
use crate::worker::WorkerId;
use crate::worker::lifecycle::{self, State};
use crate::worker::outcome::Outcome;

impl World<'_> {
    /// How many tasks a worker can have now: as many as it had at once when it was recorded, else one.
    pub(super) fn seat(&mut self, id: WorkerId) {
        let is_up = self.supervisor.member(id).is_some_and(|member| member.life.state == State::Up);
        let worker = &self.workers[id.0 as usize];
        if let Some(slot) = worker.slot.filter(|_| !worker.by_task) {
            let credit = self.script.credits.get(&worker.name).copied().unwrap_or(1);
            self.desk.room(slot, if is_up && !worker.is_over { credit } else { 0 });
        }
    }

    /// It is given a task.
    pub(super) fn give_task(&mut self, id: WorkerId, mut held: Held) {
        let lasts = match &held.tried {
            Some(tried) => tried.lasts,
            None => Some(self.run_of(id).map_or(RUN, |life| life.lasts.unwrap_or(RUN))),
        };
        held.over_at = lasts.map(|lasts| self.now.tick.after(lasts));
        self.timers.extend(held.over_at.map(|at| (at, Timer::Tried(id, held.task.id))));
        let (table, tick) = (self.worker(id).table, self.now.tick);
        self.summary.begun(table, tick);
        self.worker(id).tasks.push(held);
        self.time(id);
    }

    /// It has dealt with a task.
    pub(super) fn tried(&mut self, id: WorkerId, task: TaskId) {
        let outcome = self.run_of(id).map_or(Outcome::Exited(0), |life| life.outcome);
        let tasks = &mut self.worker(id).tasks;
        let Some(at) = tasks.iter().position(|held| held.task.id == task) else { return };
        let held = tasks.remove(at);
        let end = held.tried.as_ref().map_or_else(|| Some(End::of_exit(exit_of(outcome))), |tried| tried.end.end());
        self.end_task(id, held, end);
        self.leave_when_done(id);
    }

    /// It is told that there is no more to do.
    pub(super) fn tell_no_more(&mut self, id: WorkerId) {
        self.worker(id).is_over = true;
        self.seat(id);
        self.leave_when_done(id);
    }

    fn leave_when_done(&mut self, id: WorkerId) {
        let worker = self.worker(id);
        if worker.is_over && worker.tasks.is_empty() {
            self.end_now(id, Outcome::Exited(0));
        }
    }

    /// Its life is over: what it was at has failed with it, unless somebody has ended that; what else it had is given back.
    pub(super) fn end_talk(&mut self, id: WorkerId) {
        let asked = self.supervisor.member(id).is_some_and(|member| member.life.end == Some(lifecycle::End::Asked));
        let timeout = self.config.workers[self.worker(id).table].keys.timeout.value.unwrap_or_default();
        let worker = self.worker(id);
        let (last, tasks) = (worker.last, std::mem::take(&mut worker.tasks));
        let late = std::mem::take(&mut worker.late).then_some(timeout);
        let first = End::of_life(late, asked, last.map(|outcome| End::of_death(exit_of(outcome))));
        let behind = End::behind(first.as_ref());
        let ends = std::iter::once(first).chain(std::iter::repeat(behind));
        for (held, end) in tasks.into_iter().zip(ends) {
            held.over_at.into_iter().for_each(|at| _ = self.timers.remove(&(at, Timer::Tried(id, held.task.id))));
            self.end_task(id, held, end);
        }
        self.seat(id);
    }
}
