//! Strings that never close, taken out before a file is parsed, so that the lines behind them are looked at, too.
//!
//! A parser that goes on behind an open quotation takes the next lines for parts of a list or a table. Here each such
//! statement becomes blanks, as many as it had bytes, so that every place behind it stays where it was.

use super::report::Report;
use super::source::Place;
use std::borrow::Cow;
use std::ops::Range;
use toml::de::DeTable;

/// So many open quotations are looked for one by one; a file with more is no configuration.
const OPEN_MAX: usize = 32;

/// A text without its open quotations.
#[derive(Debug)]
pub struct Repaired<'a> {
    /// The text, each such statement blank.
    pub text: Cow<'a, str>,
    /// A report for each.
    pub reports: Vec<Report>,
    /// The statements.
    pub broken: Vec<Range<usize>>,
}

/// Takes them out.
#[must_use]
pub fn repair(file: u32, text: &str) -> Repaired<'_> {
    let mut repaired = Repaired { text: Cow::Borrowed(text), reports: Vec::new(), broken: Vec::new() };
    while repaired.broken.len() < OPEN_MAX
        && let Some((opening, statement)) = first_open(&repaired.text)
    {
        let quote = &text[opening..=opening];
        let report = Report::error(Place::new(file, opening..opening + 1), "a string is opened here and never closes");
        repaired.reports.push(report.help(format!("write {quote} where it ends")));
        let blank = |c: char| if c == '\n' { "\n".to_owned() } else { " ".repeat(c.len_utf8()) };
        let blanks: String = text[statement.clone()].chars().map(blank).collect();
        repaired.text.to_mut().replace_range(statement.clone(), &blanks);
        repaired.broken.push(statement);
    }
    repaired
}

/// The first quotation that is still open at its line's end, and the lines that it spoils.
fn first_open(text: &str) -> Option<(usize, Range<usize>)> {
    let (_, errors) = DeTable::parse_recoverable(text);
    let open = errors.iter().filter(|e| {
        e.message().starts_with("invalid basic string") || e.message().starts_with("invalid literal string")
    });
    open.filter_map(|e| {
        let at = e.span()?.start.min(text.len());
        let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
        let opening = start + opening(&text[start..end])?;
        Some((opening, start..spoilt(text, start, opening, end)))
    })
    .min_by_key(|(opening, _)| *opening)
}

/// Where in a line the quotation begins that does not end there.
fn opening(line: &str) -> Option<usize> {
    let mut open: Option<(usize, char)> = None;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match open {
            Some(_) if escaped => escaped = false,
            Some((_, '"')) if c == '\\' => escaped = true,
            Some((_, quote)) if c == quote => open = None,
            Some(_) => {}
            None if c == '#' => return None,
            None if matches!(c, '"' | '\'') => open = Some((at, c)),
            None => {}
        }
    }
    open.map(|(at, _)| at)
}

/// The end of the statement that a quotation spoils: its line's, or that of the list which is opened there and goes on.
fn spoilt(text: &str, start: usize, opening: usize, end: usize) -> usize {
    let depth = |piece: &str| -> i64 {
        piece.chars().map(|c| i64::from(matches!(c, '[' | '{')) - i64::from(matches!(c, ']' | '}'))).sum()
    };
    let mut open = depth(&text[start..opening]) + depth(&text[opening..end]).min(0);
    let mut end = end;
    while open > 0 && end < text.len() {
        let next = text[end + 1..].find('\n').map_or(text.len(), |newline| end + 1 + newline);
        let line = &text[end + 1..next];
        if begins_anew(line) {
            break;
        }
        open += depth(line);
        end = next;
    }
    end
}

/// Whether a line begins a statement or a table, and so is no part of what stands before it.
fn begins_anew(line: &str) -> bool {
    let line = line.trim_start();
    let is_key = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.\"' ".contains(c));
    line.starts_with('[') && line.trim_end().ends_with(']') && !line.contains([',', '"'])
        || line.split_once('=').is_some_and(|(key, _)| is_key(key.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, opening: &str, spoilt: &str) {
        let repaired = repair(0, text);
        assert_eq!(repaired.text.len(), text.len());
        let found: Vec<_> =
            repaired.reports.iter().map(|report| &text[report.place.start as usize..][..opening.len()]).collect();
        assert_eq!(found, [opening]);
        assert_eq!(&text[repaired.broken[0].clone()], spoilt);
        assert!(DeTable::parse(&repaired.text).is_ok(), "{}", repaired.text);
    }

    #[test]
    fn one_statement_is_taken_out() {
        check("a = 1\nb = \"x\nc = 2\n", "\"x", "b = \"x");
        check("b = ['x', 'y]\nc = 2\n", "'y", "b = ['x', 'y]");
        check("b = { c = \"it's\", d = \"x }\ne = 2\n", "\"x", "b = { c = \"it's\", d = \"x }");
        check("b = [\"x,\n \"y\",\n]\ne = 2\n", "\"x", "b = [\"x,\n \"y\",\n]");
        check("b = [\"x\nc = 2\n", "\"x", "b = [\"x");
        check("b = [\"x\n[t]\nc = 2", "\"x", "b = [\"x");
    }

    #[test]
    fn what_closes_stays() {
        let text = "a = \"it's # no comment\"\nb = 'c:\\'\nd = \"\"\"\n\"x\n\"\"\"\n# \"\n";
        assert_eq!(repair(0, text).text, text);
    }
}
