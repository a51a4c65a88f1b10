//! Which time of a log is wanted: what a person writes for it, and which archives can be passed over for it.

use super::stamp;
use crate::clock::Wall;
use crate::config::unit::parse_duration;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned, civil};
use std::time::Duration;

/// A piece of time, both ends included; an end that is not there is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// From here.
    pub since: Option<Wall>,
    /// Up to here.
    pub until: Option<Wall>,
}

impl Span {
    /// Whether all of time is wanted.
    #[must_use]
    pub fn is_everything(self) -> bool {
        self == Span::default()
    }

    /// Whether a line of that time is wanted; one of no known time is only where everything is.
    #[must_use]
    pub fn has(self, time: Option<Wall>) -> bool {
        let Some(time) = time else { return self.is_everything() };
        self.since.is_none_or(|since| since <= time) && self.until.is_none_or(|until| time <= until)
    }

    /// Whether a file can hold lines that are wanted: one that was `closed` then (none is still written), the file before it
    /// having been closed at `before`. Archives are closed to the second, rounded down.
    #[must_use]
    pub fn reaches(self, before: Option<Wall>, closed: Option<Wall>) -> bool {
        let ended = |closed: Wall| self.since.is_some_and(|since| closed.after(Duration::from_secs(1)) <= since);
        let later = |time: Wall| self.until.is_some_and(|until| until < time);
        // Where the clock was set back, what was closed early began late.
        let begins_later = before.is_some_and(later) && closed.is_none_or(later);
        !closed.is_some_and(ended) && !begins_later
    }
}

/// Reads a time: a duration is so long ago, `01:02` or `01:02:03` is today, a date or a date and time is local where it has
/// no offset; a stamp copied from a log is that stamp's.
///
/// # Errors
/// What is wrong with it, and what can be written.
pub fn parse(text: &str, now: Wall, zone: &TimeZone) -> Result<Wall, String> {
    let text = text.trim();
    let wrong = |what: String| {
        format!("{what}; write a duration (10m is ten minutes ago), 01:02, 2026-11-21 or 2026-11-21T01:02:03Z")
    };
    if let Some((time, _)) = stamp::parse(format!("{text} ").as_bytes()) {
        return Ok(time);
    }
    if !text.contains([':', '-']) {
        let ago = parse_duration(text).map_err(|e| wrong(e.text))?;
        return Ok(Wall(now.0.saturating_sub(i64::try_from(ago.as_micros()).unwrap_or(i64::MAX))));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(Wall(time.as_microsecond()));
    }
    let today = || Timestamp::from_microsecond(now.0).unwrap_or_default().to_zoned(zone.clone()).date();
    let local = match text.parse::<civil::Time>() {
        Ok(time) if !text.contains('-') => Ok(today().to_datetime(time)),
        _ => text.parse::<civil::DateTime>(),
    };
    let zoned = local.and_then(|local| local.to_zoned(zone.clone()));
    zoned
        .map(|zoned: Zoned| Wall(zoned.timestamp().as_microsecond()))
        .map_err(|_| wrong(format!("{text:?} is not a time")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn times_as_people_write_them() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        // 2026-11-21T02:15:23+01:00.
        let now = Wall(1_795_223_723 * SECOND);
        let ago = |text: &str| parse(text, now, &zone).map(|time| (now.0 - time.0) / SECOND);
        assert_eq!(ago("10m"), Ok(600));
        assert_eq!(ago("1.5h"), Ok(5400));
        assert_eq!(ago("02:15"), Ok(23));
        assert_eq!(ago("02:15:20"), Ok(3));
        assert_eq!(ago("2026-11-21"), Ok(2 * 3600 + 15 * 60 + 23));
        assert_eq!(ago("2026-11-21 02:15"), Ok(23));
        assert_eq!(ago("2026-11-21T02:15:22"), Ok(1));
        assert_eq!(ago("2026-11-21T01:15:22Z"), Ok(1));
        assert_eq!(ago("2026-11-21T02:15:22+01:00"), Ok(1));
        assert_eq!(ago("2026-11-21T01:15:22.000000Z"), Ok(1));
        assert_eq!(ago("@400000006b00f0b500000000"), Ok(0));
        assert_eq!(ago("2026-07-01"), Ok((now.0 / SECOND) - 1_782_856_800), "summer time");
        for text in ["", "10", "10x", "yesterday", "25:00", "2026-02-30", "12:00 yesterday", "-5m", "@4000"] {
            let error = parse(text, now, &zone).unwrap_err();
            assert!(error.contains("write a duration"), "{text}: {error}");
        }
    }

    #[test]
    fn archives_that_cannot_hold_what_is_wanted() {
        let at = |second: i64| Some(Wall(second * SECOND));
        let since = Span { since: at(100), until: None };
        assert!(!since.reaches(None, at(99)), "closed before 100.0");
        assert!(since.reaches(None, at(100)) && since.reaches(at(50), None));
        let until = Span { since: None, until: at(100) };
        assert!(until.reaches(None, at(200)) && until.reaches(at(100), at(200)) && until.reaches(at(100), None));
        assert!(!until.reaches(at(101), at(200)) && !until.reaches(at(101), None));
        assert!(until.reaches(at(101), at(90)), "A12: the clock was set back");
        assert!(Span::default().reaches(at(1), at(0)) && Span::default().has(None) && !since.has(None));
        assert!(since.has(at(100)) && !since.has(at(99)) && until.has(at(100)) && !until.has(at(101)));
    }
}
