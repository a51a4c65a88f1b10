//! When to read a pipe again whose writer writes little at a time: not at each line, for that costs both sides a wake-up
//! for each, but when some have come together. Pure: the times and sizes of reads in, what to do out.
//!
//! A line that comes alone is read at once. One that follows within the latency begins a rest, as long as the pipe
//! takes to be a quarter full at the pace of before; a pipe that would be full too soon is worth a larger one.

use crate::clock::Tick;
use std::time::Duration;

/// The longest that a line waits in the pipe where nothing else is asked for.
pub const LATENCY: Duration = Duration::from_millis(5);
/// The shortest rest: what epoll_wait(2) can measure.
const REST_MIN: Duration = Duration::from_millis(1);
/// A read of less is worth waiting before the next one.
const READ_BYTES_SMALL: usize = 16 << 10;
/// What the pipe of a busy stream is made to hold, in bytes: what any user may ask for (pipe(7), pipe-max-size).
pub const PIPE_BYTES_BUSY: usize = 1 << 20;

/// The pace of one pipe.
#[derive(Debug)]
pub struct Pace {
    /// What the pipe holds at most, in bytes.
    capacity: u32,
    /// It was widened, as far as that could be.
    widened: bool,
    last: Option<Tick>,
    /// What came since then in large reads.
    gathered: u32,
    resting: bool,
    /// The longest rest.
    latency: Duration,
}

/// What to do after a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Read on, or wait until there is something to read.
    ReadOn,
    /// Do not look at it until then.
    Rest(Tick),
    /// It could rest if the pipe held more.
    Widen,
}

impl Pace {
    /// A pipe that holds so many bytes, and has not been read. Lines wait in it for `latency` at most.
    #[must_use]
    pub fn new(capacity: usize, latency: Duration) -> Pace {
        Pace { capacity: capacity as u32, widened: false, last: None, gathered: 0, resting: false, latency }
    }

    /// Lines wait so long at most from now on.
    pub fn reload(&mut self, latency: Duration) {
        self.latency = latency;
    }

    /// The pipe was widened, as far as that could be, and holds so many bytes. It is not asked for again.
    pub fn widened(&mut self, capacity: usize) {
        (self.widened, self.capacity) = (true, capacity as u32);
    }

    /// The pipe was narrowed, and holds so many bytes.
    pub fn narrowed(&mut self, capacity: usize) {
        (self.widened, self.capacity) = (false, capacity as u32);
    }

    /// Whether it holds more than so many bytes.
    #[must_use]
    pub fn is_wider_than(&self, bytes: usize) -> bool {
        self.capacity as usize > bytes
    }

    /// So many bytes were read.
    pub fn read(&mut self, bytes: usize, now: Tick) -> Advice {
        self.gathered = self.gathered.saturating_add(bytes as u32);
        if bytes >= READ_BYTES_SMALL {
            // After a rest much has come together, whoever writes: what comes next tells.
            // A pipe that is full holds less than it could where the pieces do not fill its pages.
            return self.widen_if(bytes >= self.capacity as usize / 4 * 3);
        }
        let bytes = std::mem::take(&mut self.gathered);
        let since = self.last.replace(now).map_or(Duration::MAX, |last| now.until(last));
        // A rest lasts somewhat longer than it should.
        let follows = self.resting || since <= self.latency;
        self.resting = false;
        if !follows || since.is_zero() || self.latency < REST_MIN {
            return Advice::ReadOn;
        }
        let fills = Duration::try_from_secs_f64(since.as_secs_f64() * f64::from(self.capacity) / f64::from(bytes));
        let fills = fills.unwrap_or(Duration::MAX);
        if fills < REST_MIN * 3 / 2 {
            return self.widen_if(true);
        }
        self.resting = true;
        Advice::Rest(now.after((fills / 4).clamp(REST_MIN, self.latency)))
    }

    fn widen_if(&self, full: bool) -> Advice {
        if full && (self.capacity as usize) < PIPE_BYTES_BUSY && !self.widened { Advice::Widen } else { Advice::ReadOn }
    }

    /// There was nothing to read.
    pub fn quiet(&mut self) {
        self.resting = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_line_alone_is_read_at_once() {
        let mut pace = Pace::new(65_536, LATENCY);
        for second in 0..3 {
            assert_eq!(pace.read(100, Tick(second * 1000 * MS)), Advice::ReadOn);
        }
    }

    #[test]
    fn lines_that_follow_wait_no_longer_than_the_bound() {
        let mut pace = Pace::new(65_536, LATENCY);
        assert_eq!(pace.read(100, Tick(0)), Advice::ReadOn);
        assert_eq!(pace.read(100, Tick(MS)), Advice::Rest(Tick(6 * MS)));
        assert_eq!(pace.read(500, Tick(6 * MS)), Advice::Rest(Tick(11 * MS)), "the same pace");
        assert_eq!(pace.read(32_000, Tick(8 * MS)), Advice::ReadOn, "it may be a writer of large pieces");
        assert_eq!(pace.read(768, Tick(8 * MS)), Advice::Rest(Tick(9 * MS)), "it is not; 32 KiB came in 2 ms");
        assert_eq!(pace.read(1, Tick(11 * MS)), Advice::Rest(Tick(16 * MS)), "a rest is over late");
        pace.quiet();
        assert_eq!(pace.read(1, Tick(30 * MS)), Advice::ReadOn, "the flood is over");
    }

    #[test]
    fn the_longest_wait_is_the_users() {
        for (latency, rest) in [(0, None), (2, Some(3)), (200, Some(152))] {
            let mut pace = Pace::new(65_536, Duration::from_millis(latency));
            pace.read(109, Tick(0));
            let expected = rest.map_or(Advice::ReadOn, |ms| Advice::Rest(Tick(ms * MS)));
            let advice = pace.read(109, Tick(MS));
            let rounded = match advice {
                Advice::Rest(Tick(at)) => Advice::Rest(Tick(at.div_ceil(MS) * MS)),
                other => other,
            };
            assert_eq!(rounded, expected, "{latency} ms");
        }
    }

    #[test]
    fn a_writer_of_large_pieces_is_read_without_rest() {
        let mut pace = Pace::new(65_536, LATENCY);
        assert_eq!(pace.read(32_768, Tick(0)), Advice::ReadOn);
        assert_eq!(pace.read(8 * 8184, Tick(0)), Advice::Widen, "eight pieces of two pages each fill it");
        pace.widened(PIPE_BYTES_BUSY);
        for ms in 1..9 {
            assert_eq!(pace.read(100_000, Tick(ms * MS)), Advice::ReadOn);
        }
    }

    #[test]
    fn a_pipe_that_fills_too_fast_is_widened_once() {
        let mut pace = Pace::new(65_536, LATENCY);
        pace.read(110, Tick(0));
        assert_eq!(pace.read(110, Tick(1000)), Advice::Widen);
        pace.widened(PIPE_BYTES_BUSY);
        assert_eq!(pace.read(110, Tick(2000)), Advice::Rest(Tick(2000 + 2_383_127)));
        pace.widened(65_536);
        assert_eq!(pace.read(110, Tick(3000)), Advice::ReadOn, "it was refused, and is not asked for again");
    }
}
