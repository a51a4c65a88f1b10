//! The time before each line: written, and read again.

use crate::clock::Wall;
use jiff::{Timestamp, tz::TimeZone};
use memchr::memchr;
use std::io::Write;

/// TAI-UTC as the programs that read TAI64N labels assume it (cr.yp.to/libtai/tai64.html): ten seconds, fixed.
const TAI_OFFSET: i64 = (1 << 62) + 10;

/// What stands before each line, separated from it by one space.
#[derive(Clone, Debug)]
pub enum Stamp {
    /// Nothing.
    None,
    /// RFC 3339 in UTC, microseconds: `2026-11-21T01:02:03.000042Z`.
    Utc,
    /// RFC 3339 in this zone, microseconds and offset.
    Local(TimeZone),
    /// `@` and 24 hexadecimal digits, as `tai64nlocal` reads them.
    Tai64n,
}

impl Stamp {
    /// Puts the stamp and its space at the end of `out`.
    pub fn write(&self, now: Wall, out: &mut Vec<u8>) {
        let time = Timestamp::from_microsecond(now.0).unwrap_or_default();
        let written = match self {
            Stamp::None => Ok(()),
            Stamp::Utc => write!(out, "{time:.6} "),
            Stamp::Local(zone) => {
                write!(out, "{} ", time.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S.%6f%:z"))
            }
            Stamp::Tai64n => write!(out, "@{:016x}{:08x} ", TAI_OFFSET + now.seconds(), now.micros() * 1000),
        };
        written.expect("a Vec takes what is written to it");
    }
}

/// The length of a TAI64N label and its blank.
const LABEL_BYTES: usize = 26;
/// The length of a date and time with microseconds, before `Z` or an offset.
const TIME_BYTES: usize = 26;

/// The stamp that a line begins with, if it begins with one: its time, and how many bytes it takes with its space. Only
/// what is written to the letter as `Stamp::write` does it is one.
#[must_use]
pub fn parse(line: &[u8]) -> Option<(Wall, usize)> {
    match line.first()? {
        b'@' => Some((parse_label(line.get(..LABEL_BYTES)?)?, LABEL_BYTES)),
        b'0'..=b'9' => parse_time(line),
        _ => None,
    }
}

/// `2026-11-21T01:02:03.000042Z `, or with an offset in the place of the `Z`.
fn parse_time(line: &[u8]) -> Option<(Wall, usize)> {
    let zone = match line.get(TIME_BYTES)? {
        b'Z' => "Z",
        b'+' | b'-' => "+99:99",
        _ => return None,
    };
    let bytes = TIME_BYTES + zone.len() + 1;
    let form = b"9999-99-99T99:99:99.999999".iter().chain(zone.as_bytes()).chain(b" ");
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'9' => byte.is_ascii_digit(),
        b'+' => matches!(byte, b'+' | b'-'),
        _ => byte == form,
    };
    let stamp = line.get(..bytes)?;
    let text = str::from_utf8(&stamp[..bytes - 1]).ok().filter(|_| stamp.iter().zip(form).all(fits))?;
    Some((Wall(text.parse::<Timestamp>().ok()?.as_microsecond()), bytes))
}

/// `@`, 24 hexadecimal digits and a blank.
fn parse_label(label: &[u8]) -> Option<Wall> {
    let digits = label.strip_prefix(b"@")?.strip_suffix(b" ")?;
    let lower = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let text = str::from_utf8(digits).ok().filter(|_| digits.iter().all(lower))?;
    let seconds = i64::try_from(u64::from_str_radix(&text[..16], 16).ok()?).ok()?.checked_sub(TAI_OFFSET)?;
    let micros = i64::from_str_radix(&text[16..], 16).ok().filter(|nanos| *nanos < 1_000_000_000)? / 1000;
    Some(Wall(seconds.checked_mul(1_000_000)?.checked_add(micros)?))
}

/// Copies whole lines to `out`, the stamp before each.
pub fn stamp_lines(stamp: &[u8], mut lines: &[u8], out: &mut Vec<u8>) {
    while !lines.is_empty() {
        let end = memchr(b'\n', lines).map_or(lines.len(), |at| at + 1);
        out.extend_from_slice(stamp);
        out.extend_from_slice(&lines[..end]);
        lines = &lines[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamped(stamp: &Stamp, micros: i64) -> String {
        let mut out = Vec::new();
        stamp.write(Wall(micros), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn forms() {
        let time = 1_795_223_723_000_042;
        assert_eq!(stamped(&Stamp::None, time), "");
        assert_eq!(stamped(&Stamp::Utc, time), "2026-11-21T01:15:23.000042Z ");
        assert_eq!(stamped(&Stamp::Utc, 0), "1970-01-01T00:00:00.000000Z ");
        assert_eq!(stamped(&Stamp::Tai64n, time), "@400000006b00f0b50000a410 ");
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(stamped(&Stamp::Local(zone), time), "2026-11-21T02:15:23.000042+01:00 ");
    }

    /// B4: no line of a worker's can pass for one that quell wrote.
    #[test]
    fn every_physical_line_is_stamped() {
        let mut out = Vec::new();
        stamp_lines(b"T ", b"a\n\nb\rc\n", &mut out);
        assert_eq!(out, b"T a\nT \nT b\rc\n");
    }

    #[test]
    fn what_only_looks_like_a_stamp_is_none() {
        for line in [
            "",
            "2026-11-21T01:15:23.000042Z",
            "2026-11-21T01:15:23.042Z x",
            "2026-11-21 01:15:23.000042Z x",
            "2026-13-21T01:15:23.000042Z x",
            "2026-11-21T01:15:23.000042+1:00 x",
            "2026-11-21T01:15:23.000042+01:00x",
            "@400000006b00f0b50000a41 x",
            "@400000006B00F0B50000A410 x",
            "@400000006b00f0b5ffffffff x",
            "@ffffffffffffffff0000a410 x",
            "\u{ff10}026-11-21T01:15:23.000042Z x",
        ] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(micros in -62_000_000_000_000_000i64..250_000_000_000_000_000) {
            let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
            for stamp in [Stamp::Utc, Stamp::Local(zone), Stamp::Tai64n] {
                let line = stamped(&stamp, micros);
                prop_assert_eq!(parse(format!("{line}text\n").as_bytes()), Some((Wall(micros), line.len())), "{}", line);
            }
        }
    }
}
