//! When `current` becomes an archive, and the steps by which it does.

use crate::clock::Wall;
use crate::config::unit::{is_size, parse_duration, parse_size, show_size};
use std::str::FromStr;
use std::time::Duration;

/// The smallest size at which files may be rotated; a summary line must fit beside the lines that it sums up.
pub const ROTATE_BYTES_MIN: u64 = 4096;

/// When to rotate: at a size, at an age, at whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Policy {
    /// The size in bytes that no file exceeds by more than a line.
    pub bytes: Option<u64>,
    /// How long after its first line a file is closed.
    pub age: Option<Duration>,
}

impl Policy {
    /// Whether a file with so many bytes, the first written at `since`, is due.
    #[must_use]
    pub fn is_due(&self, bytes: u64, since: Option<Wall>, now: Wall) -> bool {
        bytes > 0 && (self.room(bytes) == Some(0) || self.due_at(since).is_some_and(|due| due <= now))
    }

    /// How many bytes may still be written; none is no limit.
    #[must_use]
    pub fn room(&self, bytes: u64) -> Option<u64> {
        self.bytes.map(|limit| limit.saturating_sub(bytes))
    }

    /// When a file whose first line was written at `since` is old enough.
    #[must_use]
    pub fn due_at(&self, since: Option<Wall>) -> Option<Wall> {
        Some(since?.after(self.age?))
    }
}

impl FromStr for Policy {
    type Err = String;

    /// Reads `64MiB or 1d`, `64MiB`, `1d` or `never`.
    fn from_str(text: &str) -> Result<Policy, String> {
        let mut policy = Policy::default();
        if text.trim() == "never" {
            return Ok(policy);
        }
        for part in text.split(" or ") {
            let doubled = if is_size(part) {
                let bytes = parse_size(part).map_err(|e| e.to_string())?;
                if bytes < ROTATE_BYTES_MIN {
                    return Err(format!("{part} is too small; rotate at {} or more", show_size(ROTATE_BYTES_MIN)));
                }
                policy.bytes.replace(bytes).is_some()
            } else {
                let age = parse_duration(part).map_err(|e| e.to_string())?;
                if age < Duration::from_secs(1) {
                    return Err(format!("{part} is too short; rotate after a second or more"));
                }
                policy.age.replace(age).is_some()
            };
            if doubled {
                return Err(format!(
                    "{text:?} says it twice; write one size, one duration, or one of each with \"or\""
                ));
            }
        }
        Ok(policy)
    }
}

/// How far a rotation has come. A step that fails is tried again later, and lines go on into the file that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// No rotation is under way: the open file is `current`.
    Settled,
    /// `current` has its archive's name, and there is no new one yet: the open file is the archive.
    Renamed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        let both = Policy { bytes: Some(64 << 20), age: Some(Duration::from_secs(86400)) };
        assert_eq!("64MiB or 1d".parse(), Ok(both));
        assert_eq!("1d or 64MiB".parse(), Ok(both));
        assert_eq!("64MiB".parse(), Ok(Policy { age: None, ..both }));
        assert_eq!("never".parse(), Ok(Policy::default()));
        for wrong in ["", "64", "64MiB or", "1d or 2d", "1KiB", "10ms", "64MiB and 1d"] {
            assert!(wrong.parse::<Policy>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn due() {
        let policy: Policy = "4KiB or 10s".parse().unwrap();
        let at = |s: i64| Wall(s * 1_000_000);
        assert!(!policy.is_due(0, None, at(100)), "an empty file is never rotated");
        assert!(!policy.is_due(4095, Some(at(0)), at(9)));
        assert!(policy.is_due(4096, Some(at(0)), at(0)));
        assert!(policy.is_due(1, Some(at(0)), at(10)));
        assert!(!policy.is_due(1, Some(at(20)), at(10)), "a clock that was set back rotates nothing");
    }
}
