//! Who waits for whom: instances of one worker are one to those that need it.

use super::{Effect, Phase, Supervisor};
use crate::clock::Tick;
use crate::worker::WorkerId;
use crate::worker::lifecycle::{self, Want};
use std::collections::HashMap;

/// The instances of one worker.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// The worker; the last instance may be gone though others still need it.
    pub(super) worker: Box<str>,
    pub(super) members: Vec<WorkerId>,
    pub(super) needs: Vec<usize>,
    pub(super) needed_by: Vec<usize>,
    /// How many are wanted, are ready, are not at rest.
    pub(super) wanted: usize,
    pub(super) ready: usize,
    pub(super) active: usize,
    /// What it needs is wanted, and so on down.
    on: bool,
}

impl Group {
    pub(super) fn is_ready(&self) -> bool {
        self.wanted > 0 && self.ready >= self.wanted
    }
}

impl Supervisor {
    /// Works out anew who needs whom.
    pub fn rewire(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        self.groups.clear();
        let mut named: HashMap<Box<str>, usize> = HashMap::new();
        for (id, member) in &mut self.members {
            let at = *named.entry(member.spec.worker.clone()).or_insert(self.groups.len());
            member.group = Some(at);
            if at == self.groups.len() {
                self.groups.push(Group { worker: member.spec.worker.clone(), ..Group::default() });
            }
            let group = &mut self.groups[at];
            group.members.push(*id);
            group.wanted += usize::from(member.counted.wanted);
            group.ready += usize::from(member.counted.ready);
            group.active += usize::from(member.counted.active);
        }
        for at in 0..self.groups.len() {
            let first = &self.members[&self.groups[at].members[0]];
            // What is not there cannot be waited for; a configuration in which that is so is refused.
            let needs: Vec<_> = first.spec.needs.iter().filter_map(|name| named.get(name).copied()).collect();
            needs.iter().for_each(|need| self.groups[*need].needed_by.push(at));
            self.groups[at].needs = needs;
        }
        self.reconsider(now, effects);
        for at in 0..self.groups.len() {
            self.clear(at, now, effects);
        }
    }

    /// Whether anybody runs who needs a worker.
    #[must_use]
    pub fn is_needed(&self, id: WorkerId) -> bool {
        let group = self.members.get(&id).and_then(|member| member.group);
        group.is_some_and(|at| self.groups[at].needed_by.iter().any(|dependent| self.groups[*dependent].active > 0))
    }

    /// Whether a worker would have to wait if it were started: for what it needs and is wanted, or for who had its place before.
    #[must_use]
    pub fn is_held_up(&self, id: WorkerId) -> bool {
        let stands = self.members.get(&id).filter(|member| !member.life.clear && !member.held);
        let Some(at) = stands.and_then(|member| member.group) else { return false };
        let waits = |need: &usize| self.groups[*need].wanted > 0 && !self.groups[*need].is_ready();
        let is_removed = |id: &WorkerId| self.members.get(id).is_some_and(|member| member.removed);
        self.groups[at].needs.iter().any(waits) || self.groups[at].members.iter().any(is_removed)
    }

    /// The workers, of those that one needs, which keep it from starting.
    pub fn waits_for(&self, id: WorkerId) -> impl Iterator<Item = &str> {
        let group = self.members.get(&id).and_then(|member| member.group);
        let needs = group.into_iter().flat_map(|at| self.groups[at].needs.iter());
        let waited = needs.filter(|need| !self.groups[**need].is_ready());
        waited.map(|need| &*self.groups[*need].worker)
    }

    /// Tells the members of a group whether what they need is ready, what they take the place of is gone, and nothing else
    /// holds them.
    pub(super) fn clear(&mut self, at: usize, now: Tick, effects: &mut Vec<Effect>) {
        let group = &self.groups[at];
        let clear = group.needs.iter().all(|need| self.groups[*need].is_ready())
            && group.members.iter().all(|id| self.members.get(id).is_none_or(|member| !member.removed));
        for id in self.groups[at].members.clone() {
            let Some(member) = self.members.get(&id) else { continue };
            let clear = clear && !member.held;
            if member.life.clear != clear {
                self.live(id, lifecycle::Event::Clear(clear), now, effects);
            }
        }
    }

    /// Works out which groups are wanted with all that they need, and tells those for whom that is news.
    pub(super) fn reconsider(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        let running = self.phase != Phase::Stopping;
        self.groups.iter_mut().for_each(|group| group.on = running);
        // Off spreads to whoever needs it; needs have no cycles.
        let mut off: Vec<_> = (0..self.groups.len()).filter(|at| self.groups[*at].wanted == 0).collect();
        while let Some(at) = off.pop() {
            for dependent in self.groups[at].needed_by.clone() {
                if std::mem::replace(&mut self.groups[dependent].on, false) {
                    off.push(dependent);
                }
            }
        }
        for at in 0..self.groups.len() {
            self.stop_group(at, now, effects);
            if !self.groups[at].on {
                continue;
            }
            for id in self.groups[at].members.clone() {
                let Some(member) = self.members.get_mut(&id) else { continue };
                if member.desired == Want::Up && member.told == Want::Down {
                    member.told = Want::Up;
                    self.live(id, lifecycle::Event::Want(Want::Up), now, effects);
                }
            }
        }
    }

    /// Stops the members of a group that are to be down: those that run, once nobody runs who needs them.
    pub(super) fn stop_group(&mut self, at: usize, now: Tick, effects: &mut Vec<Effect>) {
        let up = |id: &WorkerId| self.is_to_be_up(*id, at);
        let group = &self.groups[at];
        let needed = group.needed_by.iter().any(|dependent| self.groups[*dependent].active > 0);
        let held = needed && !group.members.iter().any(up);
        let down: Vec<_> = group.members.iter().filter(|id| !up(id)).copied().collect();
        for id in down {
            if let Some(member) = self.members.get_mut(&id)
                && member.told == Want::Up
                && (member.life.is_at_rest() || !held)
            {
                member.told = Want::Down;
                self.live(id, lifecycle::Event::Want(Want::Down), now, effects);
            }
        }
    }

    fn is_to_be_up(&self, id: WorkerId, at: usize) -> bool {
        self.groups[at].on && self.members.get(&id).is_some_and(|member| member.desired == Want::Up)
    }
}
