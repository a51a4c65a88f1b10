//! The last events, for whoever asks later.

use super::event::Event;
use std::collections::VecDeque;

/// How many events are remembered.
pub const EVENTS_MAX: usize = 256;

/// The last events, in their order, numbered without a gap.
#[derive(Debug, Default)]
pub struct History {
    events: VecDeque<Event>,
    /// The number of the last one.
    last: u64,
}

impl History {
    /// Numbers an event and remembers it; the oldest may be forgotten for it.
    pub fn add(&mut self, event: Event) -> &Event {
        self.last += 1;
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(Event { seq: self.last, ..event });
        &self.events[self.events.len() - 1]
    }

    /// The number of the last event; 0 before the first.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.last
    }

    /// What is remembered behind the event of this number, at most the last `most` of it.
    pub fn after(&self, seq: u64, most: Option<u32>) -> impl Iterator<Item = &Event> {
        let most = most.map_or(usize::MAX, |most| most as usize);
        let newer = usize::try_from(self.last.saturating_sub(seq)).unwrap_or(usize::MAX);
        self.events.range(self.events.len().saturating_sub(newer.min(most))..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Wall;
    use crate::control::event::Kind;

    #[test]
    fn the_last_ones_are_remembered() {
        let mut history = History::default();
        let numbers = |history: &History, since, most| history.after(since, most).map(|e| e.seq).collect::<Vec<_>>();
        assert!(numbers(&history, 0, None).is_empty());
        for number in 1..=300 {
            assert_eq!(history.add(Event::new(Wall(0), Kind::Warning, "")).seq, number);
        }
        assert_eq!(numbers(&history, 0, None), (45..=300).collect::<Vec<_>>());
        assert_eq!(numbers(&history, 298, None), [299, 300]);
        assert_eq!(numbers(&history, 298, Some(1)), [300]);
        assert!(numbers(&history, 300, None).is_empty());
        assert!(numbers(&history, 1000, None).is_empty(), "a number of another supervisor's");
        assert!(numbers(&history, 0, Some(0)).is_empty());
    }
}
