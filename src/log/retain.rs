//! Which archives have lived long enough.

use super::name::Archive;
use crate::clock::Wall;
pub use crate::config::policy::Retain as Policy;

/// An archive in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What its name says.
    pub archive: Archive,
    /// Its size.
    pub bytes: u64,
}

/// The archives to purge now. `reserved` bytes of the limit belong to the file being written.
///
/// They come oldest first: an archive is purged before any with a higher sequence is, when space is what is wanted.
#[must_use]
pub fn expired(stored: &[Stored], policy: Policy, reserved: u64, now: Wall) -> Vec<Stored> {
    let mut by_age: Vec<_> = stored.to_vec();
    by_age.sort_by_key(|s| s.archive.sequence);
    let too_old = |s: &Stored| policy.age.is_some_and(|age| s.archive.closed.after(age) <= now);
    let mut excess = policy.bytes.map_or(0, |limit| {
        let total: u64 = by_age.iter().filter(|s| !too_old(s)).map(|s| s.bytes).sum();
        total.saturating_sub(limit.saturating_sub(reserved))
    });
    by_age.retain(|s| {
        let over = excess > 0 && !too_old(s);
        if over {
            excess = excess.saturating_sub(s.bytes);
        }
        over || too_old(s)
    });
    by_age
}

/// When the next of these archives is too old; none while none can be.
#[must_use]
pub fn next_expiry(stored: &[Stored], policy: Policy) -> Option<Wall> {
    let age = policy.age?;
    stored.iter().map(|s| s.archive.closed.after(age)).min()
}

#[cfg(test)]
mod tests {
    use super::super::name::Packed;
    use super::*;

    fn stored(sequence: u64, closed_s: i64, bytes: u64) -> Stored {
        let closed = Wall(closed_s * 1_000_000);
        Stored { archive: Archive { closed, sequence, clean: true, packed: Packed::No }, bytes }
    }

    fn gone(all: &[Stored], policy: &str, reserved: u64, now_s: i64) -> Vec<u64> {
        let policy = policy.parse().unwrap();
        expired(all, policy, reserved, Wall(now_s * 1_000_000)).iter().map(|s| s.archive.sequence).collect()
    }

    #[test]
    fn by_age_and_by_size() {
        let all = [stored(3, 300, 10), stored(1, 100, 10), stored(2, 200, 10)];
        assert_eq!(gone(&all, "forever", 0, 9999), [0; 0]);
        assert_eq!(gone(&all, "150s", 0, 250), [1]);
        assert_eq!(gone(&all, "150s", 0, 249), [0; 0]);
        assert_eq!(gone(&all, "20B", 0, 0), [1]);
        assert_eq!(gone(&all, "20B", 1, 0), [1, 2]);
        assert_eq!(gone(&all, "5B", 10, 0), [1, 2, 3]);
        assert_eq!(gone(&all, "150s,20B", 0, 260), [1], "what age takes makes room");
        assert_eq!(gone(&all, "150s,10B", 0, 260), [1, 2]);
    }

    /// A12.
    #[test]
    fn order_is_by_sequence_when_clocks_jumped() {
        let all = [stored(1, 900, 10), stored(2, 100, 10)];
        assert_eq!(gone(&all, "10B", 0, 1000), [1]);
        assert_eq!(gone(&all, "200s", 0, 1000), [2]);
        assert_eq!(next_expiry(&all, "200s".parse().unwrap()), Some(Wall(300_000_000)));
        assert_eq!(next_expiry(&all, "1GiB".parse().unwrap()), None);
        assert_eq!(next_expiry(&[], "1d".parse().unwrap()), None);
    }
}
