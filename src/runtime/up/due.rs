//! What the clock brings: when the loop is to wake though nothing happens, and what is done then.

use super::Up;
use super::tasks::Tasks;
use crate::clock::{Now, Tick, earliest};
use crate::supervisor::Event;

impl Up<'_> {
    /// When there is something to do that nothing else brings.
    pub(super) fn deadline(&self) -> Option<Tick> {
        let pending = self.pending.iter().filter_map(|pending| pending.deadline).min();
        let tasks = self.tasks.as_ref().and_then(Tasks::deadline);
        let own = earliest([self.start_by, tasks, self.watches.deadline(), self.watches.idle_deadline(), pending]);
        let others = [self.server.deadline(), self.probe_deadline(), self.planes.deadline(), self.register.deadline()];
        earliest([self.supervisor.deadline(), own, earliest(others)])
    }

    /// Does what is due. `rang`: so is something by the calendar.
    pub(super) fn due(&mut self, rang: bool, now: Now) {
        if self.supervisor.deadline().is_some_and(|at| at <= now.tick) {
            self.step(Event::Deadline, now);
        }
        self.probe_due(now);
        self.register.due(now.tick);
        self.tasks_due(now);
        self.triggers_due(rang, now);
        if self.start_by.is_some_and(|at| at <= now.tick) {
            self.say_not_started(now);
        }
        self.settle(now);
        if self.server.deadline().is_some_and(|at| at <= now.tick) {
            self.server.due(&self.poller, now.tick);
        }
    }
}
