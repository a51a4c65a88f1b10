//! Deadlines of many things: the next one is found without looking through all of them.

use crate::clock::Tick;
use std::collections::{BTreeMap, BTreeSet};

/// At most one deadline for each key.
#[derive(Debug)]
pub struct Deadlines<K> {
    at: BTreeMap<K, Tick>,
    order: BTreeSet<(Tick, K)>,
}

impl<K: Copy + Ord> Deadlines<K> {
    /// None at all.
    #[must_use]
    pub fn new() -> Deadlines<K> {
        Deadlines { at: BTreeMap::new(), order: BTreeSet::new() }
    }

    /// Moves the deadline of a key, or takes it away.
    pub fn set(&mut self, key: K, at: Option<Tick>) {
        let before = match at {
            Some(at) => self.at.insert(key, at),
            None => self.at.remove(&key),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.order.remove(&(before, key));
        }
        if let Some(at) = at {
            self.order.insert((at, key));
        }
    }

    /// The deadline of a key.
    #[must_use]
    pub fn of(&self, key: K) -> Option<Tick> {
        self.at.get(&key).copied()
    }

    /// The first of all.
    #[must_use]
    pub fn first(&self) -> Option<Tick> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes out the first that has passed.
    pub fn pop(&mut self, now: Tick) -> Option<K> {
        let (_, key) = *self.order.first().filter(|(at, _)| *at <= now)?;
        self.set(key, None);
        Some(key)
    }
}

impl<K: Copy + Ord> Default for Deadlines<K> {
    fn default() -> Deadlines<K> {
        Deadlines::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_one_deadline() {
        let mut deadlines = Deadlines::new();
        assert_eq!((deadlines.first(), deadlines.pop(Tick(9))), (None, None));
        for (key, at) in [('a', 5), ('b', 3), ('c', 4), ('b', 6), ('d', 1)] {
            deadlines.set(key, Some(Tick(at)));
        }
        deadlines.set('d', None);
        deadlines.set('e', None);
        assert_eq!((deadlines.first(), deadlines.of('b')), (Some(Tick(4)), Some(Tick(6))));
        assert_eq!(deadlines.pop(Tick(3)), None);
        let passed: Vec<_> = std::iter::from_fn(|| deadlines.pop(Tick(5))).collect();
        assert_eq!((passed, deadlines.first()), (vec!['c', 'a'], Some(Tick(6))));
        assert_eq!(deadlines.of('a'), None);
    }
}
