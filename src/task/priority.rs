//! Which class comes next, and which may start at all.
//!
//! Order alone does not help an urgent task while every slot holds a slow one, for what runs is not taken away: so some
//! slots can be kept for class high.

use super::Class;
use std::time::Duration;

/// How many turns each class has in a round, the most urgent first.
pub const SHARES: [u32; 3] = [16, 4, 1];

/// Whose turn it is: deficit round robin (Shreedhar and Varghese, 1996), where each task costs one turn.
///
/// A class that has a task ready takes its turns before a less urgent one; one that has none leaves its turns to the
/// others. A round ends when no class that is ready has a turn left, and with low's turn, so that of any twenty-one tasks
/// that start one after the other at least one is low while low has any. Plain data: it can be written down and gone on
/// with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Turns {
    /// What each class has left in this round.
    left: [u32; 3],
}

impl Default for Turns {
    /// A round that has just begun.
    fn default() -> Turns {
        Turns { left: SHARES }
    }
}

impl Turns {
    /// The class whose task starts next, of those that are `ready`; none where none is, and then no turn is lost.
    pub fn next(&mut self, ready: impl Fn(Class) -> bool) -> Option<Class> {
        let first =
            |turns: &Turns| Class::ALL.into_iter().find(|class| turns.left[*class as usize] > 0 && ready(*class));
        let class = first(self).or_else(|| {
            let round = Turns::default();
            first(&round).inspect(|_| *self = round)
        })?;
        self.left[class as usize] -= 1;
        if class == Class::Low {
            *self = Turns::default();
        }
        Some(class)
    }
}

/// The class that a task counts as when it has waited so long: a low one that has waited `max_wait` is a normal one. None
/// becomes a high one by waiting, for the reserved slots would then be anybody's.
#[must_use]
pub fn promote(class: Class, waited: Duration, max_wait: Duration) -> Class {
    match class {
        Class::Low if waited >= max_wait => Class::Normal,
        class => class,
    }
}

/// How many tasks may run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slots {
    /// All.
    pub total: u32,
    /// Of these, only for class high.
    pub high: u32,
}

impl Slots {
    /// Whether a slot may begin a task of a class, where so many others have tasks of class `high`, and so many have `others`.
    ///
    /// The high ones are in the reserved slots first, and in the others only when those are full. A high task may start
    /// while fewer than `total` are busy; any other while a slot that is not reserved is free, so that normal and low
    /// together never hold more than `total` - `high`. Where more are busy than there are slots (they were made fewer
    /// meanwhile), none starts until enough have ended.
    #[must_use]
    pub fn may_start(self, class: Class, high: u32, others: u32) -> bool {
        match class {
            Class::High => high.saturating_add(others) < self.total,
            Class::Normal | Class::Low => {
                others.saturating_add(high.saturating_sub(self.high)) < self.total.saturating_sub(self.high)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// How many turns each class has of `turns`, where the same classes are always ready.
    fn shares(turns: &mut Turns, ready: [bool; 3], count: usize) -> [usize; 3] {
        let mut had = [0; 3];
        for class in std::iter::repeat_with(|| turns.next(|class| ready[class as usize])).take(count).flatten() {
            had[class as usize] += 1;
        }
        had
    }

    #[test]
    fn a_round() {
        let mut turns = Turns::default();
        let round: Vec<_> = (0..21).map(|_| turns.next(|_| true).unwrap()).collect();
        assert_eq!(round, [vec![Class::High; 16], vec![Class::Normal; 4], vec![Class::Low]].concat());
        assert_eq!(turns, Turns::default());
        assert_eq!(turns.next(|_| false), None);
        assert_eq!(shares(&mut turns, [true, true, false], 200), [160, 40, 0]);
        assert_eq!(shares(&mut turns, [true, false, true], 170), [160, 0, 10]);
        assert_eq!(shares(&mut turns, [false, true, true], 50), [0, 40, 10]);
    }

    proptest! {
        /// Whatever was before: then all have work, and each gets its share.
        #[test]
        fn the_shares_of_a_long_run(before in prop::collection::vec(any::<[bool; 3]>(), 0..100), rounds in 1usize..50) {
            let mut turns = Turns::default();
            for ready in before {
                turns.next(|class| ready[class as usize]);
            }
            let had = shares(&mut turns, [true; 3], 21 * rounds);
            for (had, share) in had.into_iter().zip(SHARES) {
                prop_assert!(had.abs_diff(share as usize * rounds) <= share as usize, "{had}: {share} in {rounds} rounds");
            }
            let mut turns = Turns::default();
            prop_assert_eq!(shares(&mut turns, [true; 3], 21 * rounds), SHARES.map(|share| share as usize * rounds));
        }

        /// No turn is lost while anybody has work, and only those have turns that do.
        #[test]
        fn work_is_done_while_there_is_any(ready in prop::collection::vec(any::<[bool; 3]>(), 0..300)) {
            let mut turns = Turns::default();
            for ready in ready {
                let class = turns.next(|class| ready[class as usize]);
                prop_assert_eq!(class.is_some(), ready.contains(&true));
                prop_assert!(class.is_none_or(|class| ready[class as usize]));
            }
        }

        /// E7: whatever the others do, a class that always has work never waits longer than its share says: low has one of
        /// any 21 turns, normal one of any 37 (16 and the low one, and again 16, and 4 of its own), high one of any 6.
        #[test]
        fn nobody_starves(others in prop::collection::vec(any::<[bool; 3]>(), 0..300), at in 0usize..3) {
            let (class, longest) = (Class::ALL[at], [5, 33, 20][at]);
            let (mut turns, mut waited) = (Turns::default(), 0);
            for mut ready in others {
                ready[at] = true;
                waited = if turns.next(|class| ready[class as usize]) == Some(class) { 0 } else { waited + 1 };
                prop_assert!(waited <= longest, "{class:?} waited for {waited} others");
            }
        }
    }

    /// E7: a class alone has every turn, from whatever state.
    #[test]
    fn a_class_alone() {
        for at in 0..3 {
            let mut turns = Turns::default();
            let mut ready = [false; 3];
            ready[at] = true;
            for _ in 0..100 {
                turns.next(|_| true);
                assert_eq!(shares(&mut turns, ready, 50)[at], 50);
            }
        }
    }

    /// E7.
    #[test]
    fn low_becomes_normal_by_waiting_and_nothing_becomes_high() {
        let (max, less) = (Duration::from_secs(300), Duration::from_micros(299_999_999));
        assert_eq!(promote(Class::Low, less, max), Class::Low);
        assert_eq!(promote(Class::Low, max, max), Class::Normal);
        assert_eq!(promote(Class::Normal, Duration::MAX, max), Class::Normal);
        assert_eq!(promote(Class::High, Duration::MAX, max), Class::High);
        assert_eq!(promote(Class::Low, Duration::ZERO, Duration::ZERO), Class::Normal);
    }

    /// Puts each task into a slot: whether there is one for another.
    fn naive(slots: Slots, class: Class, running: [u32; 3]) -> bool {
        let mut free: Vec<bool> = (0..slots.total).map(|slot| slot < slots.high).collect();
        let mut put = |class: Class| {
            let own = free.iter().position(|reserved| *reserved && class == Class::High);
            let slot = own.or_else(|| free.iter().position(|reserved| !reserved))?;
            Some(free.remove(slot))
        };
        let all_fit = Class::ALL.into_iter().all(|class| (0..running[class as usize]).all(|_| put(class).is_some()));
        all_fit && put(class).is_some()
    }

    /// Every state that can be reached by starting what may start and ending what runs.
    #[test]
    fn slots_are_reserved_in_every_state() {
        for (total, high) in (0..=5).flat_map(|total| (0..=total).map(move |high| (total, high))) {
            let slots = Slots { total, high };
            let (mut seen, mut open) = (HashSet::new(), vec![[0; 3]]);
            while let Some(state) = open.pop() {
                if !seen.insert(state) {
                    continue;
                }
                let running = |class: Class| state[class as usize];
                assert!(
                    state.iter().sum::<u32>() <= total && state[1] + state[2] <= total - high,
                    "{slots:?} {state:?}"
                );
                for class in Class::ALL {
                    let may = slots.may_start(class, state[0], state[1] + state[2]);
                    assert_eq!(may, naive(slots, class, state), "{slots:?} {state:?} {class:?}");
                    let reserved = class == Class::High && running(class) < high;
                    assert!(may || !reserved, "{slots:?} {state:?}: what is reserved is free");
                    let mut next = state;
                    if may {
                        next[class as usize] += 1;
                        open.push(next);
                    }
                    if running(class) > 0 {
                        next = state;
                        next[class as usize] -= 1;
                        open.push(next);
                    }
                }
            }
            assert!(seen.contains(&[total, 0, 0]), "high may take all of them");
        }
    }

    /// Where there are fewer slots than before, what runs goes on, and nothing starts beyond them.
    #[test]
    fn fewer_slots_than_what_runs() {
        for (total, high) in (0..=4).flat_map(|total| (0..=6).map(move |high| (total, high))) {
            for number in 0..7u32.pow(3) {
                let state = [number % 7, number / 7 % 7, number / 49];
                for class in Class::ALL {
                    let may = Slots { total, high }.may_start(class, state[0], state[1] + state[2]);
                    let all: u32 = state.iter().sum();
                    assert!(!may || all < total, "{total} {high} {state:?} {class:?}");
                    assert!(class == Class::High || !may || state[1] + state[2] + high < total);
                }
            }
        }
    }
}
