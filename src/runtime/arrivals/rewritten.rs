//! Files that are written to again and again: a command that writes its result into the file that it was given makes a new file
//! of it each time, without an end. Pure.

use crate::clock::Tick;
use crate::task::guard::{Guard, Tripped};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

/// A file that is a new one more often than this waits.
pub(super) const REWRITES_MAX: usize = 60;
/// In so long.
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// More files than these are not remembered.
const NAMES_MAX: usize = 1 << 16;

/// What is known of files that came lately, by their names.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    lately: HashMap<OsString, Known>,
    /// Files that wait, each until then.
    held: Vec<(Tick, OsString)>,
}

#[derive(Debug)]
struct Known {
    key: Box<str>,
    seen: Tick,
    guard: Guard,
}

/// Whether a file is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is.
    Tell,
    /// It waits; `is_news` where that was not so before.
    Wait {
        /// It is to be said.
        is_news: bool,
    },
}

impl Rewritten {
    /// A file has come, be it the one that came before.
    pub(super) fn judge(&mut self, name: &OsStr, key: &str, now: Tick) -> Verdict {
        if self.lately.len() >= NAMES_MAX && !self.lately.contains_key(name) {
            self.lately.retain(|_, known| known.guard.held().is_some() || known.seen.after(WINDOW) > now);
            if self.lately.len() >= NAMES_MAX {
                self.lately.clear();
            }
        }
        let fresh = || Known { key: "".into(), seen: now, guard: Guard::new(REWRITES_MAX, WINDOW) };
        let known = self.lately.entry(name.to_owned()).or_insert_with(fresh);
        if *known.key == *key {
            return Verdict::Tell;
        }
        if known.guard.holds(now) {
            return Verdict::Wait { is_news: false };
        }
        match known.guard.admit(now) {
            Ok(()) => {
                (known.key, known.seen) = (key.into(), now);
                Verdict::Tell
            }
            Err(Tripped { until, again }) => {
                self.held.push((until, name.to_owned()));
                Verdict::Wait { is_news: !again }
            }
        }
    }

    /// When a file has waited long enough.
    pub(super) fn deadline(&self) -> Option<Tick> {
        self.held.iter().map(|(until, _)| *until).min()
    }

    /// Files that have waited long enough.
    pub(super) fn due(&mut self, now: Tick) -> impl Iterator<Item = OsString> {
        self.held.extract_if(.., move |(until, _)| *until <= now).map(|(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file is told as often as it is looked at; one that is another each time, so often in a window.
    #[test]
    fn a_loop_waits() {
        let (mut files, name) = (Rewritten::default(), OsStr::new("a"));
        let at = |secs: u64| Tick(0).after(Duration::from_secs(secs));
        assert!((0..1000).all(|_| files.judge(name, "1", at(0)) == Verdict::Tell));
        for key in 1..REWRITES_MAX {
            assert_eq!(files.judge(name, &format!("{key}x"), at(1)), Verdict::Tell);
        }
        assert_eq!(files.judge(name, "new", at(2)), Verdict::Wait { is_news: true });
        assert_eq!(files.judge(name, "newer", at(3)), Verdict::Wait { is_news: false });
        assert_eq!(files.judge(OsStr::new("b"), "1", at(3)), Verdict::Tell);
        assert_eq!((files.deadline(), files.due(at(61)).count()), (Some(at(62)), 0));
        assert_eq!(files.due(at(62)).collect::<Vec<_>>(), ["a"]);
        assert_eq!((files.judge(name, "newer", at(62)), files.deadline()), (Verdict::Tell, None));
        assert!(
            (0..REWRITES_MAX as u64 * 3)
                .all(|n| files.judge(OsStr::new("slow"), &n.to_string(), at(n * 2)) == Verdict::Tell)
        );
    }
}
