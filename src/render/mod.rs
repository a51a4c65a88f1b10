//! What people are shown of what is known. Pure: `control`'s plain data in, text out.

pub mod columns;
pub mod event;
pub mod status;
pub mod worker;

use crate::clock::Wall;
use crate::config::report::visible;
use crate::config::unit::show_duration;

/// A text that is to stay within one line, its control characters made visible.
fn one_line(text: &str) -> String {
    visible(text).replace('\n', "\\n").replace('\t', " ")
}

/// How long ago something was; a clock that was set back makes it no time at all.
fn ago(at: Wall, now: Wall) -> String {
    show_duration(now.until(at))
}

/// `66%`, rounded down but never to nothing; none of nothing.
fn percent(part: u64, whole: u64) -> Option<String> {
    match (u128::from(part) * 100).checked_div(u128::from(whole))? {
        0 if part > 0 => Some("<1%".into()),
        percent => Some(format!("{percent}%")),
    }
}
