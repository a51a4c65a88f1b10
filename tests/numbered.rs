//! Numbered lines, and what became of them: an oracle that shares no code with quell.

use std::ops::RangeInclusive;

/// Every tenth line is critical.
fn line(number: u32) -> String {
    match number % 10 {
        0 => format!("panicked at line {number:06}\n"),
        _ => format!("line {number:06} with some words behind it\n"),
    }
}

pub(crate) fn lines(range: RangeInclusive<u32>) -> Vec<u8> {
    range.flat_map(|number| line(number).into_bytes()).collect()
}

/// The numbers of the whole lines in some log, in order. What a crash cut is marked; anything else that is not a line as
/// it was written is glued, torn or foreign.
pub(crate) fn numbers(log: &[u8], context: &str) -> Vec<u32> {
    let text = std::str::from_utf8(log).unwrap_or_else(|e| panic!("{context}: {e}"));
    let theirs = |line: &&str| !line.starts_with("quell: ") && !line.ends_with(" \\\n");
    let number = |found: &str| {
        let number = found.split(' ').find_map(|word| word.trim_end().parse().ok()).unwrap_or(0);
        assert_eq!(found, line(number), "{context}");
        number
    };
    text.split_inclusive('\n').filter(theirs).map(number).collect()
}
