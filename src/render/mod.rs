//! What people are shown of what is known. Pure: plain data in, text out.

pub mod columns;
pub mod event;
pub mod queue;
pub mod simulation;
pub mod status;
pub mod worker;

use crate::clock::Wall;
use crate::config::report::visible;
use crate::config::unit::show_duration;
use std::fmt::Write;

/// Where the values of fields begin.
const INDENT: usize = 14;

/// A text that is to stay within one line, its control characters made visible.
fn one_line(text: &str) -> String {
    visible(text).replace('\n', "\\n").replace('\t', " ")
}

/// How long ago something was; a clock that was set back makes it no time at all.
fn ago(at: Wall, now: Wall) -> String {
    show_duration(now.until(at))
}

/// A heading and its fields, one a line; those without a value are left out.
fn listed(heading: &str, fields: impl IntoIterator<Item = (&'static str, Option<String>)>) -> String {
    let mut text = format!("{heading}\n");
    for (name, value) in fields {
        if let Some(value) = value {
            writeln!(text, "  {name:<width$}{value}", width = INDENT - 2)
                .expect("a String takes what is written to it");
        }
    }
    text
}

/// `9999`, `12.3k`, `4.5M`.
fn short(count: u64) -> String {
    const STEPS: [(&str, u64); 3] = [("G", 1_000_000_000), ("M", 1_000_000), ("k", 10_000)];
    let scale = |unit: &str, from: u64| if unit == "k" { 1_000 } else { from };
    STEPS.iter().find(|(_, from)| count >= *from).map_or(count.to_string(), |(unit, from)| {
        let tenths = count / (scale(unit, *from) / 10);
        format!("{}.{}{unit}", tenths / 10, tenths % 10)
    })
}

/// `66%`, rounded down but never to nothing; none of nothing.
fn percent(part: u64, whole: u64) -> Option<String> {
    match (u128::from(part) * 100).checked_div(u128::from(whole))? {
        0 if part > 0 => Some("<1%".into()),
        percent => Some(format!("{percent}%")),
    }
}
