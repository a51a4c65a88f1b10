//! Points in time, as plain numbers.
//!
//! Nothing here asks what time it is: `sys::time` reads the clocks once a turn, everything else is handed the result.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A point on the monotonic clock, in nanoseconds. Deadlines are made of these, so that a clock that is set moves none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(pub u64);

impl Tick {
    /// The tick `wait` after this one.
    #[must_use]
    pub fn after(self, wait: Duration) -> Tick {
        Tick(self.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long it is from `now` until this tick; zero when it has passed.
    #[must_use]
    pub fn until(self, now: Tick) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(now.0))
    }
}

/// A point on the calendar, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Wall(pub i64);

impl Wall {
    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Microseconds within the second, 0 to 999 999.
    #[must_use]
    pub fn micros(self) -> u32 {
        self.0.rem_euclid(1_000_000) as u32
    }

    /// The time `span` later.
    #[must_use]
    pub fn after(self, span: Duration) -> Wall {
        Wall(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long it is from `now` until this time; zero when it has passed.
    #[must_use]
    pub fn until(self, now: Wall) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(now.0)).unwrap_or(0))
    }
}

/// Both clocks, read together: one turn of a loop sees one `Now`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// The monotonic clock.
    pub tick: Tick,
    /// The calendar.
    pub wall: Wall,
}

/// The earliest of some deadlines, none of which need exist.
#[must_use]
pub fn earliest<const N: usize>(deadlines: [Option<Tick>; N]) -> Option<Tick> {
    deadlines.into_iter().flatten().min()
}
