//! Connections that start workers, and workers that are stopped for want of them.
//!
//! A socket is watched only while its next connection would be news. That starts its worker, which accepts it, and quell looks
//! away; when the worker is at rest it looks again, and is told at once where somebody waits. A worker with `idle_stop` is
//! looked at once more in each such span: whether a connection has come, by the first of them alone, and at its end whether
//! any is open.

use super::triggers::{Trouble, Watches};
use super::{SOCKET, Up, Worker};
use crate::clock::Now;
use crate::config::load::Named;
use crate::config::tables::Worker as Table;
use crate::config::unit::show_duration;
use crate::config::values::Address;
use crate::control::event::{Event as Happening, Kind};
use crate::control::record::{Ask, Source};
use crate::runtime::activation::SocketId;
use crate::supervisor::{Event, Phase};
use crate::task::idle::Idle;
use crate::task::trigger::What;
use crate::worker::WorkerId;
use std::time::Duration;

/// The sockets of a worker.
#[derive(Debug)]
pub(super) struct Sockets {
    /// Which item of `start_on` each is, and its address.
    addresses: Vec<(usize, Address)>,
    /// How long the worker goes on without a connection.
    span: Option<Duration>,
    /// None while it does not run, or goes on for ever.
    pub(super) idle: Option<Idle>,
}

impl Sockets {
    /// Those of a worker. It is idle when it is so by the longest `idle_stop` that it has.
    pub(super) fn of(named: &Named<Table>) -> Sockets {
        let items = || named.keys.start_on.value.iter().map(|item| &item.0).enumerate();
        let addresses = items().filter_map(|(at, item)| Some((at, item.socket.value.clone()?)));
        let span = items().filter_map(|(_, item)| item.idle_stop.value).max();
        Sockets { addresses: addresses.collect(), span, idle: None }
    }

    /// Whether there are any.
    pub(super) fn are_some(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// Takes note of whether the worker runs.
    pub(super) fn mind(&mut self, runs: bool, now: Now) {
        self.idle = match self.span.filter(|_| runs) {
            Some(span) => self.idle.or_else(|| Some(Idle::new(span, now.tick))),
            None => None,
        };
    }

    /// Whether the next connection to an address is waited for: to start the worker, or to see that it is not idle.
    fn asks(&self, awaited: bool) -> bool {
        awaited || self.idle.is_some_and(|idle| idle.asks())
    }
}

impl Up<'_> {
    /// Watches the sockets whose next connection would be news, and no others.
    pub(super) fn attend_sockets(&mut self) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        let Watches { all, sockets, .. } = &mut self.watches;
        for (worker, sockets) in sockets {
            for (item, address) in &sockets.addresses {
                let asks = sockets.asks(all.awaits(worker, *item));
                let token = |SocketId(id)| SOCKET | id as usize;
                if let Err(e) = self.activation.watch(address, asks, &self.poller, token) {
                    let text = format!("cannot wait for connections to {address}: {e}");
                    troubles.push((Some(worker.clone()), text));
                }
            }
        }
        troubles
    }

    /// Makes the sockets of a worker as they were when they were new, whatever its last life has made of them, where no other
    /// instance of it has them.
    pub(super) fn renew_sockets(&mut self, id: WorkerId, now: Now) {
        let Some(worker) = self.workers.get(&id).filter(|worker| worker.leaving.is_none()) else { return };
        let mut addresses = self.configuration.table(worker).keys.sockets().map(|(address, _)| address).peekable();
        let is_other = |(other, known): &(&WorkerId, &Worker)| **other != id && known.of == worker.of;
        let runs = |id: WorkerId| self.supervisor.member(id).is_some_and(|member| !member.life.is_at_rest());
        if addresses.peek().is_none() || self.workers.iter().filter(is_other).any(|(other, _)| runs(*other)) {
            return;
        }
        let failed = |address| Some((address, self.activation.renew(address).err()?));
        let name = worker.of.clone();
        let texts = addresses.filter_map(failed).map(|(at, e)| format!("cannot make the socket {at} as it was: {e}"));
        for text in texts.collect::<Vec<_>>() {
            self.say(Happening::new(now.wall, Kind::Warning, text).of(name.clone()));
        }
    }

    /// A connection has come to a socket that was watched.
    pub(super) fn connected(&mut self, id: SocketId, now: Now) {
        let Some(address) = self.activation.watched(id).cloned() else { return };
        if self.supervisor.phase() == Phase::Stopping {
            return;
        }
        let of = |sockets: &Sockets| sockets.addresses.iter().any(|(_, known)| *known == address);
        let mine = self.watches.sockets.iter_mut().find(|(_, sockets)| of(sockets));
        let idle = mine.and_then(|(_, sockets)| sockets.idle.as_mut());
        match idle {
            Some(idle) => {
                idle.came();
                self.watches.stale = true;
            }
            None => self.happened(What::Socket(&address), now),
        }
    }

    /// Stops workers that have been without a connection for so long, and begins another span for the others.
    pub(super) fn idle_due(&mut self, now: Now) {
        let (mut idle_for, mut blind) = (Vec::new(), Vec::new());
        for (name, sockets) in &mut self.watches.sockets {
            let Some((idle, span)) = sockets.idle.as_mut().filter(|idle| idle.deadline() <= now.tick).zip(sockets.span)
            else {
                continue;
            };
            let mine = self.workers.iter().filter(|(_, worker)| worker.of == *name && worker.leaving.is_none());
            let ids: Vec<WorkerId> = mine.map(|(id, _)| *id).collect();
            let looked: Result<Vec<bool>, _> =
                sockets.addresses.iter().map(|(_, address)| self.activation.has_connection(address)).collect();
            match looked {
                Ok(open) => {
                    // Who is needed is not idle, nor is who has a task.
                    let has_task =
                        |id: &WorkerId| self.workers.get(id).is_some_and(|worker| worker.at_hand().next().is_some());
                    let is_needed = |id: &WorkerId| self.supervisor.is_needed(*id) || has_task(id);
                    let open = open.contains(&true) || ids.iter().any(is_needed);
                    if idle.over(open, now.tick) {
                        idle_for.push((name.clone(), ids, span));
                    }
                }
                Err(e) => {
                    (sockets.idle, sockets.span) = (None, None);
                    blind.push((name.clone(), e));
                }
            }
        }
        for (worker, e) in blind {
            let text = format!("cannot see whether it has connections, and is not stopped for want of them: {e}");
            self.say(Happening::new(now.wall, Kind::Warning, text).of(worker));
        }
        for (worker, ids, span) in idle_for {
            let text = format!("no connection for {}", show_duration(span));
            self.say(Happening::new(now.wall, Kind::Stopping, text).of(worker.clone()));
            self.record_source(
                || Some(Source { ask: Some(Ask::Idle), worker: Some(worker), ..Source::default() }),
                now,
            );
            self.step(Event::Stop(&ids), now);
        }
        self.watches.stale = true;
    }
}
