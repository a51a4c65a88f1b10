//! How a worker ended, in words and as an exit code.

use crate::config::unit::show_duration;
use std::time::Duration;

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It exited with this code.
    Exited(u8),
    /// This signal ended it.
    Signalled {
        /// The signal's number.
        number: i32,
        /// It left a core dump.
        core: bool,
    },
}

impl Outcome {
    /// The code by which a shell knows it: its own, or 128 and the signal.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Outcome::Exited(code) => code,
            Outcome::Signalled { number, .. } => 128u8.saturating_add(u8::try_from(number).unwrap_or(127)),
        }
    }

    /// `exited 3 after 1.2s`, `killed by SIGSEGV (core dumped) after 5ms`. The signal's name is the caller's.
    #[must_use]
    pub fn describe(self, signal_name: impl Fn(i32) -> String, lasted: Duration) -> String {
        let lasted = show_duration(lasted);
        match self {
            Outcome::Exited(code) => format!("exited {code} after {lasted}"),
            Outcome::Signalled { number, core } => {
                let core = if core { " (core dumped)" } else { "" };
                format!("killed by {}{core} after {lasted}", signal_name(number))
            }
        }
    }

    /// The same of an end that somebody has asked for: `stopped (SIGTERM) after 1.2s`.
    #[must_use]
    pub fn describe_asked(self, signal_name: impl Fn(i32) -> String, lasted: Duration) -> String {
        match self {
            Outcome::Exited(_) => self.describe(signal_name, lasted),
            Outcome::Signalled { number, core } => {
                let core = if core { ", core dumped" } else { "" };
                format!("stopped ({}{core}) after {}", signal_name(number), show_duration(lasted))
            }
        }
    }

    /// Whether this signal ended it.
    #[must_use]
    pub fn is_of(self, signal: i32) -> bool {
        matches!(self, Outcome::Signalled { number, .. } if number == signal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_words() {
        let killed = Outcome::Signalled { number: 11, core: true };
        assert_eq!((Outcome::Exited(3).code(), killed.code()), (3, 139));
        let words = |o: Outcome| o.describe(|n| format!("SIG{n}"), Duration::from_millis(1250));
        assert_eq!(words(Outcome::Exited(3)), "exited 3 after 1.2s");
        assert_eq!(words(killed), "killed by SIG11 (core dumped) after 1.2s");
        let asked = |o: Outcome| o.describe_asked(|n| format!("SIG{n}"), Duration::from_millis(1250));
        assert_eq!(asked(Outcome::Exited(3)), "exited 3 after 1.2s");
        assert_eq!(asked(Outcome::Signalled { number: 15, core: false }), "stopped (SIG15) after 1.2s");
        assert_eq!(asked(killed), "stopped (SIG11, core dumped) after 1.2s");
        assert!(killed.is_of(11) && !killed.is_of(15) && !Outcome::Exited(11).is_of(11));
    }
}
