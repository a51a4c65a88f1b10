//! When `current` becomes an archive, and the steps by which it does.

use crate::clock::Wall;
pub use crate::config::policy::Rotate as Policy;

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
