//! The time before each line.

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
}
