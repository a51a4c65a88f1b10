//! What a worker leaves behind, or what escaped its group: found by what it carries in its environment, and ended with the
//! life that it belongs to.

use super::Up;
use crate::clock::Now;
use crate::control::event::{Event as Happening, Kind};
use crate::runtime::orphans::{self, Killed, Orphan};
use crate::supervisor::Event;
use crate::sys::{proc, reap};
use crate::worker::WorkerId;
use crate::worker::lifecycle::{self, State};
use crate::worker::outcome::Outcome;
use std::collections::HashSet;

/// What is being ended.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// Main processes that were reaped in this turn, and how they ended.
    pub(super) ended: Vec<(WorkerId, Outcome)>,
    /// Lives of which something may be left.
    lives: HashSet<WorkerId>,
    /// Who has had the stop signal.
    had: HashSet<(i32, u64)>,
    /// Who could not be killed, as that was said.
    refused: HashSet<String>,
    /// Lives that are to be killed, all at once.
    doomed: HashSet<WorkerId>,
}

impl Up<'_> {
    /// Finds out what is left of lives whose main process has ended, looking once for all of them, and only when a child has
    /// ended: nothing else changes what is left.
    pub(super) fn sweep(&mut self, now: Now, child_ended: bool) {
        let ended = std::mem::take(&mut self.swept.ended);
        if ended.is_empty() && (self.swept.lives.is_empty() || !child_ended) {
            return;
        }
        let found = orphans::sweep(self.state.mark(), &self.mains);
        for (id, outcome) in ended {
            let left = self.runs_command(id) || found.iter().any(|orphan| self.is_of(orphan, id));
            if left {
                self.swept.lives.insert(id);
            }
            self.step(Event::Exit { id, outcome, left }, now);
            self.forget_life(id, left);
        }
        for id in self.swept.lives.clone() {
            // What is left beside a stop command may be just what that is about to end.
            if self.runs_command(id) {
                continue;
            }
            let mine: Vec<_> = found.iter().filter(|orphan| self.is_of(orphan, id)).collect();
            if mine.is_empty() {
                self.forget_life(id, false);
                self.step(Event::Life(id, lifecycle::Event::NoneLeft), now);
            } else if mine.iter().any(|orphan| !self.swept.had.contains(&orphan.key())) {
                self.step(Event::Life(id, lifecycle::Event::Found), now);
            }
        }
    }

    /// Nothing is known of a life any more that is over.
    fn forget_life(&mut self, id: WorkerId, left: bool) {
        if left {
            return;
        }
        self.swept.lives.remove(&id);
        if self.swept.lives.is_empty() {
            self.swept.had.clear();
            self.swept.refused.clear();
        }
        // What is known of a life that goes on stays.
        if self.workers.get(&id).is_some_and(|worker| worker.process.is_some()) {
            return;
        }
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let (main, nonce) = (worker.main.take(), worker.nonce);
        // Another life's process may have been given the number meanwhile.
        if let Some(main) = main.filter(|main| self.mains.get(main).is_some_and(|life| life.nonce == nonce)) {
            self.mains.remove(&main);
            self.register.over(main);
        }
    }

    /// Whether the stop or reload command of a worker runs: it is part of the life that it was started in.
    fn runs_command(&self, id: WorkerId) -> bool {
        self.workers.get(&id).is_some_and(|worker| worker.command.is_some())
    }

    /// One that is ending cannot be asked any more whose it is, and may be anybody's until it has ended.
    fn is_of(&self, orphan: &Orphan, id: WorkerId) -> bool {
        let Some(life) = &orphan.life else { return orphan.stat.is_ending };
        self.workers.get(&id).is_some_and(|worker| life.worker == *worker.name && life.nonce == worker.nonce)
    }

    /// Sends the stop signal: to the main process's group, or to what is left where that process is gone. A stop command that
    /// still runs has had its time, and gets TERM.
    pub(super) fn signal_life(&mut self, id: WorkerId, now: Now) {
        let Some(worker) = self.workers.get(&id) else { return };
        let number = self.configuration.stop_signal(worker);
        if let Some(command) = &worker.command
            && let Err(e) = command.signal_group(libc::SIGTERM)
        {
            tracing::warn!("{}: cannot signal its stop command: {e}", worker.name);
        }
        if let Some(process) = &worker.process {
            if let Err(e) = process.signal_group(number) {
                let text = format!("cannot be signalled: {e}");
                let name = worker.name.clone();
                self.say(Happening::new(now.wall, Kind::Warning, text).of(name));
            }
            return;
        }
        let mut found = orphans::sweep(self.state.mark(), &self.mains);
        found.retain(|orphan| self.is_of(orphan, id));
        for orphan in found {
            if self.swept.had.insert(orphan.key())
                && let Err(e) = orphan.signal(number)
            {
                tracing::warn!("cannot signal {}: {e}", orphan.stat.named());
            }
        }
    }

    /// Lives that are to be killed are killed together: the tree is walked once for all of them.
    pub(super) fn doom(&mut self, id: WorkerId) {
        self.swept.doomed.insert(id);
    }

    pub(super) fn kill_doomed(&mut self, now: Now) {
        let doomed = std::mem::take(&mut self.swept.doomed);
        if doomed.is_empty() {
            return;
        }
        let guilty: HashSet<(String, u64)> = doomed
            .iter()
            .filter_map(|id| self.workers.get(id))
            .map(|worker| (worker.name.to_string(), worker.nonce))
            .collect();
        // The main processes and the commands by their descriptors, whatever /proc shows.
        let workers = doomed.iter().filter_map(|id| self.workers.get(id));
        for process in workers.flat_map(|worker| worker.process.iter().chain(&worker.command)) {
            let killed = process.signal_group(libc::SIGKILL).and_then(|()| process.signal(libc::SIGKILL));
            if let Err(e) = killed {
                tracing::warn!("cannot kill pid {}: {e}", process.pid());
            }
        }
        let is_guilty = |life: &orphans::Life| guilty.contains(&(life.worker.clone(), life.nonce));
        let Killed { refused, .. } = orphans::kill_tree(self.state.mark(), &self.mains, is_guilty);
        for (who, e) in refused {
            let text = format!("cannot kill {who}: {e}");
            // It is tried again and again, and said once.
            if self.swept.refused.insert(text.clone()) {
                self.say(Happening::new(now.wall, Kind::Warning, text));
            }
        }
        // What was no child of ours never comes by when it ends; look again with the next one that does, or the deadline.
        self.swept.lives.extend(doomed.iter().filter(|id| self.workers.get(id).is_some_and(|w| w.process.is_none())));
    }

    /// Who of these lives is still there, those of each in turn: looked for once for all of them.
    pub(super) fn left_of_each(&self, ids: &[WorkerId]) -> Vec<Vec<proc::Named>> {
        let found = if ids.is_empty() { Vec::new() } else { orphans::sweep(self.state.mark(), &self.mains) };
        ids.iter().map(|id| self.left_among(&found, *id)).collect()
    }

    fn left_among(&self, found: &[Orphan], id: WorkerId) -> Vec<proc::Named> {
        let mut left: Vec<_> = found.iter().filter(|orphan| self.is_of(orphan, id)).map(|o| o.stat.named()).collect();
        let known = self.workers.get(&id).into_iter().flat_map(|worker| worker.process.iter().chain(&worker.command));
        left.extend(known.filter_map(|process| proc::stat(process.pid())).map(|stat| stat.named()));
        left
    }

    pub(super) fn say_survivors(&mut self, id: WorkerId, now: Now) {
        let left: Vec<_> = self.left_of_each(&[id]).iter().flatten().map(ToString::to_string).collect();
        let name = self.name(id);
        let who = if left.is_empty() { "something that cannot be seen".to_owned() } else { left.join(", ") };
        let text = format!("still there though killed: {who}");
        if self.workers.get(&id).is_some_and(|worker| worker.why.as_deref() != Some(&text)) {
            self.say(Happening::new(now.wall, Kind::Survivors, text.as_str()).of(name));
        }
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.why = Some(text.into());
        }
        // It may have ended without anybody telling us; the main process does tell.
        if self.workers.get(&id).is_some_and(|worker| worker.process.is_none()) {
            self.swept.lives.insert(id);
            self.sweep(now, true);
        }
    }

    /// At the very end: who is left, of whatever life.
    pub(super) fn name_survivors(&mut self, now: Now) {
        let left: Vec<_> = orphans::sweep(self.state.mark(), &self.mains);
        let left: Vec<_> =
            left.iter().filter(|orphan| orphan.life.is_some()).map(|o| o.stat.named().to_string()).collect();
        if !left.is_empty() {
            let text = format!("left behind: {}", left.join(", "));
            self.say(Happening::new(now.wall, Kind::Survivors, text));
        }
        while let Ok(reap::Adopted::Reaped(_)) = reap::reap_adopted(|_| false) {}
    }

    /// Whether something of a worker is being ended, and how far that is.
    pub(super) fn is_stopping(&self, id: WorkerId) -> bool {
        self.supervisor.member(id).is_some_and(|member| matches!(member.life.state, State::Stopping(_)))
    }
}
