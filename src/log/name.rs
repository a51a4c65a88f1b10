//! The names in a log directory, and which of them are ours to touch.
//!
//! An archive is `@20261121T010203.000042Z.s`: the UTC time at which it was closed, a sequence number that is never
//! reset (reading order goes by it, for clocks jump), and `.s`, or `.u` when it was not closed cleanly: it was never
//! known to be on the disk as a whole. `.zst` follows when it is compressed. Whatever does not match to the letter is
//! foreign and is never renamed, rewritten or deleted.

use crate::clock::Wall;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use std::fmt;

/// The file that is being written.
pub const CURRENT: &str = "current";
/// The folder of critical and anomaly lines.
pub const CRITICAL: &str = "critical";
/// The counters.
pub const LEDGER: &str = "ledger.json";
/// The counters while they are being written.
pub const LEDGER_NEW: &str = "ledger.json.new";
/// Held by the one writer of the directory.
pub const LOCK: &str = "lock";

/// An archive, as its name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Archive {
    /// When it was closed, to the second.
    pub closed: Wall,
    /// Its place in reading order.
    pub sequence: u64,
    /// Synced as a whole before it got its name (`.s`, not `.u`).
    pub clean: bool,
    /// Whether it is compressed, or on the way to it.
    pub packed: Packed,
}

/// How far the compression of an archive has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Packed {
    /// As written.
    No,
    /// Being compressed; to be thrown away when found at start.
    Unfinished,
    /// Compressed and synced.
    Zstd,
}

impl Archive {
    /// Reads a name; none when it is not an archive's.
    #[must_use]
    pub fn parse(name: &str) -> Option<Archive> {
        let rest = name.strip_prefix('@')?;
        let (date, rest) = (rest.get(..15)?, rest.get(15..)?.strip_prefix('.')?);
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (sequence, suffix) = rest.split_at(digits);
        let (clean, packed) = match suffix {
            "Z.s" => (true, Packed::No),
            "Z.u" => (false, Packed::No),
            "Z.s.zst" => (true, Packed::Zstd),
            "Z.u.zst" => (false, Packed::Zstd),
            "Z.s.zst.new" => (true, Packed::Unfinished),
            "Z.u.zst.new" => (false, Packed::Unfinished),
            _ => return None,
        };
        let closed = DateTime::strptime("%Y%m%dT%H%M%S", date).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
        let archive =
            Archive { closed: Wall(closed.as_second() * 1_000_000), sequence: sequence.parse().ok()?, clean, packed };
        (archive.to_string() == name).then_some(archive)
    }

    /// The same archive in another state of closing or compression.
    #[must_use]
    pub fn with(self, clean: bool, packed: Packed) -> Archive {
        Archive { clean, packed, ..self }
    }
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closed = Timestamp::from_second(self.closed.seconds()).unwrap_or_default();
        let clean = if self.clean { 's' } else { 'u' };
        let packed = match self.packed {
            Packed::No => "",
            Packed::Unfinished => ".zst.new",
            Packed::Zstd => ".zst",
        };
        write!(f, "@{}.{:06}Z.{clean}{packed}", closed.strftime("%Y%m%dT%H%M%S"), self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let closed = Wall(1_795_223_723_000_000);
        let archive = Archive { closed, sequence: 42, clean: true, packed: Packed::No };
        assert_eq!(archive.to_string(), "@20261121T011523.000042Z.s");
        for clean in [true, false] {
            for packed in [Packed::No, Packed::Unfinished, Packed::Zstd] {
                let archive = archive.with(clean, packed);
                assert_eq!(Archive::parse(&archive.to_string()), Some(archive));
            }
        }
        let late = Archive { sequence: 1_234_567, ..archive };
        assert_eq!(Archive::parse(&late.to_string()), Some(late), "a seventh digit, not a wrap");
    }

    #[test]
    fn what_only_looks_like_ours_is_foreign() {
        for name in [
            "",
            "@",
            "current",
            "@20261121T001523.000042Z",
            "@20261121T001523.000042Z.s.gz",
            "@20261121T001523.42Z.s",
            "@20261121T001523.0000042Z.s",
            "@20261131T001523.000042Z.s",
            "@20261121T001523.000042Z.s ",
            "@20261121T001523.000042Z.s.old",
            " @20261121T001523.000042Z.s",
            "@20261121T001523.00004éZ.s",
            "@2026112éT00153.000042Z.s",
            "@20261121T001523.99999999999999999999999Z.s",
        ] {
            assert_eq!(Archive::parse(name), None, "{name}");
        }
    }
}
