//! When a worker that connections start has nothing to do.
//!
//! The worker takes its connections itself, so that nobody else sees them come and go. What can be seen is that one has come
//! since somebody asked, which is told once, and whether any is open, which takes a look. So time is cut into spans, with a
//! look at the end of each. A worker is idle at the end of a span in which no connection came, at whose beginning none was
//! open, and at whose end none is: it has been without one for at least that span, and for less than two.

use crate::clock::Tick;
use std::time::Duration;

/// A worker's connections, as far as they are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    span: Duration,
    ends: Tick,
    /// There was a connection in this span.
    busy: bool,
}

impl Idle {
    /// A worker that was just started: what it was started for counts as a connection.
    #[must_use]
    pub fn new(span: Duration, now: Tick) -> Idle {
        Idle { span, ends: now.after(span), busy: true }
    }

    /// Whether it would be news that a connection has come.
    #[must_use]
    pub fn asks(&self) -> bool {
        !self.busy
    }

    /// A connection has come.
    pub fn came(&mut self) {
        self.busy = true;
    }

    /// When the span is over.
    #[must_use]
    pub fn deadline(&self) -> Tick {
        self.ends
    }

    /// The span is over, and another begins: whether the worker is idle. `open`: it has a connection.
    pub fn over(&mut self, open: bool, now: Tick) -> bool {
        let was_busy = std::mem::replace(&mut self.busy, open);
        self.ends = now.after(self.span);
        !was_busy && !open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_nanos(10);

    #[test]
    fn a_whole_span_without_a_connection() {
        let mut idle = Idle::new(SPAN, Tick(0));
        assert!(!idle.asks() && idle.deadline() == Tick(10));
        assert!(!idle.over(false, Tick(10)), "it was started for something");
        assert!(idle.asks() && idle.deadline() == Tick(20));
        idle.came();
        assert!(!idle.asks());
        assert!(!idle.over(false, Tick(20)), "one came");
        assert!(!idle.over(true, Tick(31)), "one is open, though nobody saw it come");
        assert!(!idle.asks() && idle.deadline() == Tick(41));
        assert!(!idle.over(false, Tick(41)), "it may have ended just now");
        assert!(idle.over(false, Tick(51)));
    }
}
