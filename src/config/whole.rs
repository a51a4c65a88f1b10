//! Where statements end that never close: where the next one begins.
//!
//! An inline table without its `}`, or a string in one without its quote, takes all that follows for its own, and the
//! parser finds a mistake in each further line. Such statements are taken out; what is wrong with each is looked for in it
//! alone.

use super::syntax::{is_bare, line_around, statements_of};
use std::borrow::Cow;
use std::ops::Range;
use toml::de::DeTable;

/// The text of a file without the statements that never close.
#[derive(Debug)]
pub struct Whole<'a> {
    /// With blanks for them, so that all else has its place.
    pub text: Cow<'a, str>,
    /// They.
    pub unclosed: Vec<Range<usize>>,
}

/// Each takes another look at the file, so only so many are looked for.
const LOOKS_MAX: usize = 16;

/// The parser is called anew for each bracket in an open one, and loses count of them where it meets mistakes.
pub const OPEN_MAX: usize = 100;

/// Where in a text more brackets are open than a configuration can have.
#[must_use]
pub fn too_deep(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut open, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        match bytes[at] {
            b'#' => at += line_around(&text[at..], 0).end,
            quote @ (b'"' | b'\'') => {
                at = behind_string(bytes, at, quote);
                continue;
            }
            b'[' => open.push(b']'),
            b'{' => open.push(b'}'),
            byte if open.last() == Some(&byte) => drop(open.pop()),
            _ => {}
        }
        if open.len() > OPEN_MAX {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// The byte behind a string; one that does not close ends with its line, or with the text where it can have several.
fn behind_string(bytes: &[u8], start: usize, quote: u8) -> usize {
    let long = bytes[start..].starts_with(&[quote; 3]);
    let mut at = start + if long { 3 } else { 1 };
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quote == b'"' => at += 1,
            b'\n' if !long => return at,
            byte if byte == quote && !long => return at + 1,
            byte if byte == quote && bytes[at..].starts_with(&[quote; 3]) => return at + 3,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Takes out the statements that never close.
#[must_use]
pub fn whole(text: &str) -> Whole<'_> {
    let mut whole = Whole { text: text.into(), unclosed: Vec::new() };
    let mut mistakes = Mistakes::of(text);
    let mut passed = 0;
    for _ in 0..LOOKS_MAX {
        let Some(piece) = mistakes.unclosed(&whole.text).nth(passed) else { break };
        let (before, rest) = (&whole.text[..piece.start], &whole.text[piece.end..]);
        let without = format!("{before}{}{rest}", " ".repeat(piece.len()));
        let fewer = Mistakes::of(&without);
        // Where as many mistakes are left, it was not this one that took the others for its own.
        if fewer.count < mistakes.count && Mistakes::of(&alone(text, &piece)).count > 0 {
            (whole.text, mistakes) = (without.into(), fewer);
            whole.unclosed.push(piece);
        } else {
            passed += 1;
        }
    }
    whole
}

/// A piece of a text, with blanks for what stands before it and nothing behind it.
#[must_use]
pub fn alone(text: &str, piece: &Range<usize>) -> String {
    format!("{}{}", " ".repeat(piece.start), &text[piece.clone()])
}

/// The mistakes of syntax in a text.
struct Mistakes {
    count: usize,
    /// The statements of several lines that have one, in their order.
    statements: Vec<Range<usize>>,
}

impl Mistakes {
    fn of(text: &str) -> Mistakes {
        let (root, errors) = DeTable::parse_recoverable(text);
        let errors = errors.iter().filter(|error| error.message() != "duplicate key");
        let mut places: Vec<_> = errors.map(|error| error.span().unwrap_or_default().start).collect();
        places.sort_unstable();
        let mut statements = Vec::new();
        if !places.is_empty() {
            statements_of(root.get_ref(), &mut statements);
        }
        let has_mistake =
            |s: &Range<usize>| places[places.partition_point(|at| *at < s.start)..].first() <= Some(&s.end);
        statements.retain(|s| text.get(s.clone()).is_some_and(|text| text.contains('\n')) && has_mistake(s));
        statements.sort_by_key(|s| s.start);
        Mistakes { count: places.len(), statements }
    }

    /// The statements that may not close, each up to the end of what is its own.
    fn unclosed(&self, text: &str) -> impl Iterator<Item = Range<usize>> {
        self.statements.iter().filter_map(|statement| {
            let start = line_around(text, statement.start).start;
            let mut lines = text[statement.start..].match_indices('\n').map(|(at, _)| statement.start + at + 1);
            let next = lines.find(|at| begins_statement(&text[line_around(text, *at)]))?;
            // Comments above the next one are not its own.
            let mut end = start;
            let mut at = start;
            for line in text[start..next].split_inclusive('\n') {
                at += line.len();
                if !line.trim().is_empty() && !line.trim().starts_with('#') {
                    end = at - 1;
                }
            }
            Some(start..end)
        })
    }
}

/// Whether a line looks as if a table or a key began there.
fn begins_statement(line: &str) -> bool {
    let header = line.split('#').next().unwrap_or(line).trim_end();
    let name = header.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let name = name.map(|name| name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name));
    name.is_some_and(|name| is_bare(&name.replace(['"', ' '], "")))
        || line.split_once('=').is_some_and(|(key, _)| is_bare(key.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unclosed(text: &str) -> Vec<&str> {
        whole(text).unclosed.into_iter().map(|piece| &text[piece]).collect()
    }

    #[test]
    fn a_statement_ends_where_the_next_begins() {
        assert_eq!(unclosed("a = { b = \"c }\n# d\nd = 1\n\n[e]\nf = 2\n"), ["a = { b = \"c }"]);
        assert_eq!(unclosed("a = [1, 2\n\n[[b]]\nc = [\n  3,\nd = 4\n"), ["a = [1, 2", "c = [\n  3,"]);
        assert_eq!(
            unclosed("a = [{ b = 1 }, { c = 2 ]\n\nd = [1\n# e\n[f.\"g.h\"] # i\n"),
            ["a = [{ b = 1 }, { c = 2 ]", "d = [1"]
        );
    }

    #[test]
    fn what_closes_is_left_alone() {
        let lines = "a = {\n  b = 1,\n  c = flase,\n  d = 2,\n}\ne = [\n  1,\n  2,\n]\n";
        assert_eq!(unclosed(lines), [""; 0]);
        assert_eq!(
            unclosed("a = [\n  { b = \"c },\n  { b = \"d\" },\n]\ne = 1\n"),
            ["a = [\n  { b = \"c },\n  { b = \"d\" },\n]"]
        );
        assert_eq!(unclosed("a = yes\nb = \"c\n[d]\ne = 1\n"), [""; 0]);
        assert_eq!(unclosed("a = [1, 2"), [""; 0]);
    }

    #[test]
    fn brackets_are_counted() {
        let nested = |count: usize| format!("a = {}", "[".repeat(count));
        assert_eq!((too_deep(&nested(OPEN_MAX)), too_deep(&nested(OPEN_MAX + 1))), (None, Some(4 + OPEN_MAX)));
        assert!(too_deep(&"a = { b = \"c }\n[d]\n".repeat(OPEN_MAX + 1)).is_some());
        let closed = "a = [{}] # [\nb = \"[\\\"[\"\nc = '[\\'\nd = \"\"\"\n[[\"\n\"\"\"\n[e]\n";
        assert_eq!(too_deep(&closed.repeat(OPEN_MAX + 1)), None);
    }

    /// What an open quotation spoils, wherever it stands.
    #[test]
    fn without_it_all_else_is_read() {
        let spoilt = |text: &str, piece: &str| {
            let whole = whole(text);
            assert_eq!(whole.text.len(), text.len());
            let broken: Vec<_> = whole.unclosed.iter().map(|piece| &text[piece.clone()]).collect();
            assert_eq!(broken, [piece]);
            assert!(DeTable::parse(&whole.text).is_ok(), "{}", whole.text);
        };
        spoilt("b = { c = \"it's\", d = \"x }\ne = 2\n", "b = { c = \"it's\", d = \"x }");
        spoilt("b = [\"x,\n \"y\",\n]\ne = 2\n", "b = [\"x,\n \"y\",\n]");
        spoilt("b = [\"x\nc = 2\n", "b = [\"x");
        spoilt("b = [\"x\n[t]\nc = 2", "b = [\"x");
    }
}
