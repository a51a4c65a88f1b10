//! An event as one line.

use super::one_line;
use crate::clock::Wall;
use crate::control::event::Event;
use jiff::Timestamp;

/// `2026-11-21T01:02:03.000Z  db  exited 3 after 1.2s`, and a newline; the worker is `quell` where it is about none.
#[must_use]
pub fn line(event: &Event) -> String {
    let worker = event.worker.as_deref().unwrap_or("quell");
    format!("{}  {}  {}\n", time(event.at), one_line(worker), one_line(&event.text))
}

/// A time in UTC, with milliseconds.
pub(super) fn time(at: Wall) -> String {
    format!("{:.3}", Timestamp::from_microsecond(at.0).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::event::Kind;

    #[test]
    fn lines() {
        let check = |event: Event, expected: &str| assert_eq!(line(&event), expected);
        let at = Wall(1_795_223_723_000_042);
        check(
            Event::new(at, Kind::Exited, "exited 3 after 1.2s").of("db"),
            "2026-11-21T01:15:23.000Z  db  exited 3 after 1.2s\n",
        );
        check(
            Event::new(at, Kind::Warning, "two\nlines and \u{1b}[31m"),
            "2026-11-21T01:15:23.000Z  quell  two\\nlines and \\u{1b}[31m\n",
        );
    }
}
