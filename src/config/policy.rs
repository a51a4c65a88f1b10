//! What is written of when a log is rotated, how long it is kept and when it is made durable.

use super::unit::{UnitError, is_size, parse_duration, parse_size, show_size, write_duration, write_size};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The smallest size at which files may be rotated; a summary line must fit beside the lines that it sums up.
pub const ROTATE_BYTES_MIN: u64 = 4096;

/// When to rotate: at a size, at an age, at whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Rotate {
    /// The size in bytes that no file exceeds by more than a line.
    pub bytes: Option<u64>,
    /// How long after its first line a file is closed.
    pub age: Option<Duration>,
}

impl FromStr for Rotate {
    type Err = String;

    /// Reads `64MiB or 1d`, `64MiB`, `1d` or `never`.
    fn from_str(text: &str) -> Result<Rotate, String> {
        let mut policy = Rotate::default();
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

impl fmt::Display for Rotate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_parts(f, self.bytes.map(write_size), self.age.map(write_duration), " or ", "never")
    }
}

/// How long and how much to keep, whichever is reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Retain {
    /// An archive is purged so long after it was closed.
    pub age: Option<Duration>,
    /// The oldest archives are purged while all of them, and the file being written, take more bytes.
    pub bytes: Option<u64>,
}

impl FromStr for Retain {
    type Err = String;

    /// Reads `7d,1GiB`, `7d`, `1GiB` or `forever`.
    fn from_str(text: &str) -> Result<Retain, String> {
        let mut policy = Retain::default();
        if text.trim() == "forever" {
            return Ok(policy);
        }
        for part in text.split(',') {
            let doubled = if is_size(part) {
                policy.bytes.replace(parse_size(part).map_err(|e| e.to_string())?).is_some()
            } else {
                policy.age.replace(parse_duration(part).map_err(|e| e.to_string())?).is_some()
            };
            if doubled {
                return Err(format!("{text:?} says it twice; write one duration, one size, or one of each"));
            }
        }
        Ok(policy)
    }
}

impl fmt::Display for Retain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_parts(f, self.age.map(write_duration), self.bytes.map(write_size), ", ", "forever")
    }
}

fn write_parts(
    f: &mut fmt::Formatter<'_>,
    first: Option<String>,
    second: Option<String>,
    between: &str,
    neither: &str,
) -> fmt::Result {
    let parts: Vec<_> = [first, second].into_iter().flatten().collect();
    f.write_str(if parts.is_empty() { neither.to_owned() } else { parts.join(between) }.as_str())
}

/// When what was written is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// When a file is closed.
    Rotation,
    /// After each write.
    Always,
    /// So long after the first unsynced write.
    After(Duration),
}

impl FromStr for Sync {
    type Err = UnitError;

    /// Reads `rotation`, `always` or a duration.
    fn from_str(text: &str) -> Result<Sync, UnitError> {
        match text {
            "rotation" => Ok(Sync::Rotation),
            "always" => Ok(Sync::Always),
            other => parse_duration(other).map(Sync::After),
        }
    }
}

impl fmt::Display for Sync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sync::Rotation => f.write_str("rotation"),
            Sync::Always => f.write_str("always"),
            Sync::After(span) => f.write_str(&write_duration(*span)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rotation() {
        let both = Rotate { bytes: Some(64 << 20), age: Some(Duration::from_secs(86400)) };
        assert_eq!("64MiB or 1d".parse(), Ok(both));
        assert_eq!("1d or 64MiB".parse(), Ok(both));
        assert_eq!("64MiB".parse(), Ok(Rotate { age: None, ..both }));
        assert_eq!("never".parse(), Ok(Rotate::default()));
        for wrong in ["", "64", "64MiB or", "1d or 2d", "1KiB", "10ms", "64MiB and 1d"] {
            assert!(wrong.parse::<Rotate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn retention() {
        assert!("7d,1GiB".parse::<Retain>().is_ok() && "7d, 1GiB".parse::<Retain>().is_ok());
        for wrong in ["", "7", "7d,7d", "1GiB,2GiB", "7d 1GiB"] {
            assert!(wrong.parse::<Retain>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(
            bytes in prop::option::of(4096u64..1 << 50),
            seconds in prop::option::of(1u64..1_000_000_000),
        ) {
            let age = seconds.map(Duration::from_secs);
            let (rotate, retain) = (Rotate { bytes, age }, Retain { age, bytes });
            prop_assert_eq!(rotate.to_string().parse(), Ok(rotate));
            prop_assert_eq!(retain.to_string().parse(), Ok(retain));
            let sync = age.map_or(Sync::Rotation, Sync::After);
            prop_assert_eq!(sync.to_string().parse(), Ok(sync));
        }
    }
}
