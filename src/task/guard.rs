//! Holds back what is caught in a loop: what comes too often in a window waits, and twice as long each time that it goes on as
//! soon as it is let go.

use crate::clock::Tick;
use std::collections::VecDeque;
use std::time::Duration;

/// The longest that anything is held back.
pub const HOLD_MAX: Duration = Duration::from_secs(300);
/// Who has not come too often for so many windows is not caught in a loop any more.
const QUIET: u32 = 2;

/// What is known of something that may be caught in a loop.
#[derive(Clone, Debug)]
pub struct Guard {
    max: usize,
    window: Duration,
    /// When it came in the last window, the oldest first.
    times: VecDeque<Tick>,
    /// Until when it is held back.
    held: Option<Tick>,
    /// How long it was held back the last time, and until when.
    last: Option<(Duration, Tick)>,
}

/// It has come too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tripped {
    /// It is held back until then.
    pub until: Tick,
    /// It goes on as before: that was said.
    pub again: bool,
}

impl Guard {
    /// Lets something through so many times in a window.
    #[must_use]
    pub fn new(max: usize, window: Duration) -> Guard {
        Guard { max, window, times: VecDeque::new(), held: None, last: None }
    }

    /// Whether it is held back.
    pub fn holds(&mut self, now: Tick) -> bool {
        if self.held.is_some_and(|until| until <= now) {
            self.held = None;
            self.times.clear();
        }
        self.held.is_some()
    }

    /// Until when it is held back.
    #[must_use]
    pub fn held(&self) -> Option<Tick> {
        self.held
    }

    /// Lets it through once.
    ///
    /// # Errors
    /// It came too often.
    pub fn admit(&mut self, now: Tick) -> Result<(), Tripped> {
        while self.times.front().is_some_and(|time| time.after(self.window) <= now) {
            self.times.pop_front();
        }
        if self.times.len() < self.max {
            self.times.push_back(now);
            return Ok(());
        }
        let goes_on = self.last.filter(|(_, until)| now < until.after(self.window * QUIET));
        let hold = goes_on.map_or(self.window, |(hold, _)| (hold * 2).min(HOLD_MAX));
        let until = now.after(hold);
        (self.held, self.last) = (Some(until), Some((hold, until)));
        Err(Tripped { until, again: goes_on.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Tick {
        Tick(0).after(Duration::from_secs(secs))
    }

    /// Three in a second are let through: each more of a loop waits twice as long, until it has been quiet.
    #[test]
    fn who_goes_on_waits_longer() {
        let mut guard = Guard::new(3, Duration::from_secs(1));
        let mut trip = |at: Tick| {
            assert!(!guard.holds(at));
            assert_eq!([(); 3].map(|()| guard.admit(at)), [Ok(()); 3]);
            let tripped = guard.admit(at).unwrap_err();
            assert!(guard.holds(at) && guard.held() == Some(tripped.until));
            (tripped.until, tripped.again)
        };
        assert_eq!(trip(secs(0)), (secs(1), false));
        assert_eq!(trip(secs(1)), (secs(3), true));
        let mut at = secs(3);
        for hold in [4, 8, 16, 32, 64, 128, 256, 300, 300] {
            let until = at.after(Duration::from_secs(hold));
            assert_eq!(trip(at), (until, true));
            at = until;
        }
        let quiet = at.after(Duration::from_secs(2));
        assert_eq!(trip(quiet), (quiet.after(Duration::from_secs(1)), false));
    }
}
