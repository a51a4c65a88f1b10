//! Which orders go into one commit, and when. Pure: it is told what comes and what time it is.

use super::order::{Order, Ticket};
use crate::clock::{Tick, earliest};

/// With so many orders no others join a commit, so that the first of a flood are answered before its end.
const ORDERS_MAX: usize = 4096;

/// Orders that were not committed yet.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Those that are committed next.
    ready: Vec<(Ticket, Order)>,
    /// Those that may wait for any others, so that many share one commit.
    idle: Patient,
    /// Those that may wait for others which wait for the disk, so that many share that.
    patient: Patient,
}

/// Orders that may wait.
#[derive(Debug, Default)]
struct Patient {
    orders: Vec<(Ticket, Order)>,
    /// When the first of them is out of patience.
    due: Option<Tick>,
}

impl Patient {
    fn is_due(&self, now: Tick) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    fn give(&mut self, to: &mut Vec<(Ticket, Order)>) {
        self.due = None;
        to.append(&mut self.orders);
    }
}

impl Group {
    /// An order has come.
    pub(super) fn add(&mut self, ticket: Ticket, order: Order, now: Tick) {
        let Some(patience) = order.patience() else { return self.ready.push((ticket, order)) };
        let patient = if order.is_synced() { &mut self.patient } else { &mut self.idle };
        patient.due = earliest([patient.due, Some(now.after(patience))]);
        patient.orders.push((ticket, order));
    }

    /// No more goes into the next commit.
    pub(super) fn is_full(&self) -> bool {
        self.ready.len() >= ORDERS_MAX
    }

    /// When there is something to commit, be there another order or not.
    pub(super) fn deadline(&self) -> Option<Tick> {
        earliest([self.idle.due, self.patient.due])
    }

    /// What is committed now: who waits goes with those for whom he waits, when he is out of patience, or with the last.
    pub(super) fn take(&mut self, now: Tick, is_last: bool) -> Vec<(Ticket, Order)> {
        let mut orders = Vec::new();
        if is_last || self.patient.is_due(now) || self.ready.iter().any(|(_, order)| order.is_synced()) {
            self.patient.give(&mut orders);
        }
        if is_last || self.idle.is_due(now) || !(self.ready.is_empty() && orders.is_empty()) {
            self.idle.give(&mut orders);
        }
        orders.append(&mut self.ready);
        orders
    }
}

#[cfg(test)]
mod tests {
    use super::super::order::{Limits, Put};
    use super::*;
    use crate::clock::Wall;
    use crate::config::values::Durable;
    use std::time::Duration;

    fn put(durable: Durable) -> Order {
        let limits = Limits { tasks: 1, bytes: 1 };
        Order::Put(Put {
            queue: "q".into(),
            durable,
            limits,
            tasks: Vec::new(),
            start: 0,
            awaited: false,
            now: Wall(0),
        })
    }

    fn taken(group: &mut Group, now: u64, is_last: bool) -> Vec<u64> {
        group.take(Tick(now), is_last).iter().map(|(ticket, _)| ticket.0).collect()
    }

    #[test]
    fn the_patient_wait_for_their_time_or_for_company() {
        let after = |nanos| put(Durable::After(Duration::from_nanos(nanos)));
        let mut group = Group::default();
        assert_eq!((group.deadline(), taken(&mut group, 0, false)), (None, vec![]));
        group.add(Ticket(1), after(50), Tick(100));
        group.add(Ticket(2), after(30), Tick(110));
        group.add(Ticket(3), put(Durable::Never), Tick(110));
        group.add(Ticket(4), Order::Look, Tick(110));
        assert_eq!(group.deadline(), Some(Tick(140)));
        assert_eq!(taken(&mut group, 139, false), [3, 4]);
        assert_eq!(taken(&mut group, 140, false), [1, 2]);
        assert_eq!(group.deadline(), None);
        group.add(Ticket(5), after(50), Tick(200));
        group.add(Ticket(6), put(Durable::Always), Tick(201));
        assert_eq!(taken(&mut group, 201, false), [5, 6]);
        group.add(Ticket(7), after(50), Tick(300));
        assert_eq!(taken(&mut group, 301, true), [7]);
    }

    #[test]
    fn what_nobody_waits_for_goes_with_any_other() {
        let end =
            || Order::End { id: crate::task::TaskId(1), ending: super::super::order::Ending::Return, now: Wall(0) };
        let mut group = Group::default();
        group.add(Ticket(1), put(Durable::After(Duration::from_secs(1))), Tick(0));
        group.add(Ticket(2), end(), Tick(0));
        assert!(taken(&mut group, 0, false).is_empty());
        group.add(Ticket(3), Order::Look, Tick(0));
        assert_eq!(taken(&mut group, 0, false), [2, 3], "but the disk is not waited for");
        group.add(Ticket(4), end(), Tick(0));
        let due = group.deadline().unwrap();
        assert!(due > Tick(0) && taken(&mut group, due.0, false) == [4]);
        group.add(Ticket(5), end(), Tick(0));
        assert_eq!(taken(&mut group, 0, true), [1, 5]);
    }

    #[test]
    fn a_flood_is_cut() {
        let mut group = Group::default();
        for ticket in 0..ORDERS_MAX as u64 {
            assert!(!group.is_full());
            group.add(Ticket(ticket), Order::Look, Tick(0));
        }
        assert!(group.is_full());
        assert_eq!(taken(&mut group, 0, false).len(), ORDERS_MAX);
        assert!(!group.is_full());
    }
}
