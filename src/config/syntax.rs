//! TOML text to a tree with a place for each key and value; every mistake of syntax once, none twice.
//!
//! `toml` goes on after a mistake and reports what it meets there, too. What it says about one statement (a key and its
//! value) has one cause, so it becomes one report: the string that never closes rather than the brackets that are missing
//! because of it. A broken statement is not decoded.

use super::report::Report;
use super::source::Place;
use super::whole::{Slip, alone, foreign, is_invisible, set_above, slip, variable};
use std::collections::HashMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and where it stands.
pub type Node<'a> = Spanned<DeValue<'a>>;

/// A file's tree, as far as it could be read.
#[derive(Debug)]
pub struct Document<'a> {
    /// The tree.
    pub root: DeTable<'a>,
    /// The mistakes.
    pub reports: Vec<Report>,
    /// Pieces in which nothing is certain.
    broken: Vec<Range<usize>>,
    /// Where the tables begin that they are in.
    broken_tables: Vec<usize>,
    /// How much was read, where too much is wrong with the rest.
    read: usize,
}

impl<'a> Document<'a> {
    fn new(root: DeTable<'a>, read: usize) -> Document<'a> {
        Document { root, reports: Vec::new(), broken: Vec::new(), broken_tables: Vec::new(), read }
    }

    /// Says that the rest, from a line on, has mistakes that are not told.
    fn cut(&mut self, file: u32, text: &str, at: usize) {
        let line = line_around(text, at);
        let report =
            Report::error(Place::new(file, line.clone()), "too many mistakes of syntax: what follows is not looked at");
        let broken = line.start..text.len();
        let report = report.help("mend those above, and check again");
        self.add(text, Finding { statement: line, broken, rank: Rank::Odd, report });
    }

    fn add(&mut self, text: &str, finding: Finding) {
        self.broken_tables.push(text[..finding.broken.start].rfind("\n[").map_or(0, |newline| newline + 1));
        self.broken.push(finding.broken);
        self.reports.push(finding.report);
    }

    /// Says what is wrong with statements that were taken out, because they never close.
    pub fn add_unclosed(&mut self, file: u32, text: &str, unclosed: &[Range<usize>]) {
        if self.read < text.len() {
            self.cut(file, text, self.read);
        }
        for piece in unclosed {
            let alone = alone(text, piece);
            let (root, errors) = DeTable::parse_recoverable(&alone);
            let statements = std::slice::from_ref(piece);
            let reader = Reader { file, text: &alone, root: root.get_ref(), statements };
            let findings = errors.iter().take(MISTAKES_MAX).map(|error| (error.span().unwrap_or_default(), error));
            let findings = findings.map(|(span, error)| reader.finding(error.message(), reader.within(span)));
            if let Some(cause) = findings.min_by_key(|finding| finding.rank) {
                self.add(text, Finding { broken: piece.clone(), ..cause });
            }
        }
    }

    /// Whether a piece is part of a mistake of syntax, so that nothing else is to be said of it.
    #[must_use]
    pub fn is_broken(&self, piece: &Range<usize>) -> bool {
        self.broken.iter().any(|broken| broken.start <= piece.end && piece.start < broken.end)
    }

    /// Whether a mistake of syntax stands below a table's header, or in a table.
    #[must_use]
    pub fn is_broken_in(&self, table: &Range<usize>) -> bool {
        self.broken_tables.contains(&table.start) || self.is_broken(table)
    }

    /// The pieces in which nothing is certain.
    #[must_use]
    pub fn broken(&self) -> &[Range<usize>] {
        &self.broken
    }
}

/// The text of a file; of bytes that are no UTF-8, with replacements, and the report on the first of them.
#[must_use]
pub fn text_of(file: u32, bytes: Vec<u8>) -> (String, Option<Report>) {
    match String::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(e) => {
            let at = e.utf8_error().valid_up_to();
            let byte = e.as_bytes()[at];
            let replaced = at..at + char::REPLACEMENT_CHARACTER.len_utf8();
            let report = Report::error(Place::new(file, replaced), format!("byte 0x{byte:02X} is not UTF-8"))
                .help("save the file as UTF-8, for example with `iconv -f latin1 -t utf8`");
            (String::from_utf8_lossy(e.as_bytes()).into_owned(), Some(report))
        }
    }
}

/// More mistakes of syntax than this in one file are not told apart.
const MISTAKES_MAX: usize = 200;

/// Parses a file.
#[must_use]
pub fn parse(file: u32, text: &str) -> Document<'_> {
    if let Some((line, what, help)) = foreign(text) {
        let mut document = Document::new(DeTable::new(), text.len());
        let report = Report::error(Place::new(file, line.clone()), what).help(help);
        document.add(text, Finding { statement: line, broken: 0..text.len(), rank: Rank::Odd, report });
        return document;
    }
    let (root, errors) = DeTable::parse_recoverable(text);
    let root = root.into_inner();
    let mut errors: Vec<_> = errors.iter().map(|error| (error.span().unwrap_or_default(), error.message())).collect();
    errors.sort_by_key(|(span, _)| span.start);
    let mut statements = Vec::new();
    if !errors.is_empty() {
        statements_of(&root, &mut statements);
        statements.sort_by_key(|s| s.start);
    }
    let reader = Reader { file, text, root: &root, statements: &statements };
    let (mut found, mut at): (Vec<Finding>, HashMap<_, usize>) = Default::default();
    let (mut rest, mut twice) = (None, 0);
    for (span, message) in errors {
        let finding = reader.finding(message, reader.within(span));
        // What stands in a table that stands there twice is no further mistake.
        if message == "duplicate key" {
            if finding.statement.start < twice {
                continue;
            }
            twice = finding.broken.end;
        }
        match at.get(&finding.statement) {
            Some(at) if finding.rank < found[*at].rank => found[*at] = finding,
            Some(_) => {}
            None if found.len() >= MISTAKES_MAX => {
                rest = Some(finding.statement.start);
                break;
            }
            None => {
                at.insert(finding.statement.clone(), found.len());
                found.push(finding);
            }
        }
    }
    let mut document = Document::new(root, text.len());
    found.into_iter().for_each(|finding| document.add(text, finding));
    if let Some(at) = rest {
        document.cut(file, text, at);
        document.read = usize::MAX;
    }
    document
}

/// Of all that is found in a statement, the one with the lowest rank is its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Unclosed,
    Odd,
    Other(usize),
}

#[derive(Debug)]
struct Finding {
    statement: Range<usize>,
    broken: Range<usize>,
    rank: Rank,
    report: Report,
}

/// From the first byte of each key to the last of its value, headers aside.
pub(super) fn statements_of(table: &DeTable<'_>, statements: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        match value.get_ref() {
            DeValue::Table(inner) if value.span().start < key.span().start => statements_of(inner, statements),
            DeValue::Array(items) if value.span().start < key.span().start => {
                let tables = items.iter().filter_map(|item| item.get_ref().as_table());
                tables.for_each(|inner| statements_of(inner, statements));
            }
            DeValue::Table(inner) if value.span() == key.span() => statements_of(inner, statements),
            _ => statements.push(key.span().start..value.span().end),
        }
    }
}

/// What is needed to understand one of the parser's errors.
struct Reader<'a> {
    file: u32,
    text: &'a str,
    root: &'a DeTable<'a>,
    statements: &'a [Range<usize>],
}

impl Reader<'_> {
    fn within(&self, span: Range<usize>) -> Range<usize> {
        span.start.min(self.text.len())..span.end.min(self.text.len())
    }

    fn finding(&self, message: &str, at: Range<usize>) -> Finding {
        let line = line_around(self.text, at.start);
        let behind = self.statements.partition_point(|s| s.start <= at.start);
        let statement = self.statements[..behind].last().filter(|s| at.start <= s.end);
        let statement = statement.map_or(line.clone(), |s| line_around(self.text, s.start).start..s.end.max(line.end));
        if let Some(report) = self.odd_character(&statement) {
            return Finding { broken: statement.clone(), statement, rank: Rank::Odd, report };
        }
        let slip = slip(&self.text[line.clone()], at.start - line.start, message).map(|slip| self.slip(slip, &line));
        let is_string = slip.is_none() && message.contains("string, expected");
        let unclosed = if is_string { self.unclosed(&at) } else { None };
        let rank = match () {
            () if slip.is_some() => Rank::Odd,
            () if unclosed.is_some() => Rank::Unclosed,
            () => Rank::Other(at.start),
        };
        let report = slip.or(unclosed).unwrap_or_else(|| self.report(message, &at, &line));
        let header = self.text[line.clone()].trim();
        let header = message.starts_with("unclosed table")
            || header.starts_with('[')
            || header.ends_with(']') && !header.contains('=');
        // What follows a broken header belongs to nothing.
        let next = self.text[line.end..].match_indices("\n[").next().map_or(self.text.len(), |(at, _)| line.end + at);
        let broken = if header && statement == line { line.start..next } else { statement.clone() };
        Finding { broken, statement, rank, report }
    }

    /// A report on what is wrong with a line.
    fn slip(&self, slip: Slip, line: &Range<usize>) -> Report {
        let place = |at: Range<usize>| self.place(line.start + at.start..line.start + at.end);
        let report = Report::error(place(slip.at), slip.text).help(slip.help);
        slip.fix.into_iter().fold(report, |report, (at, with)| report.fix(place(at), with))
    }

    /// A line without the blanks around it: there may be other lines where there are blanks for them.
    fn code(&self, line: &Range<usize>) -> Range<usize> {
        let text = &self.text[line.clone()];
        let start = line.end - text.trim_start().len();
        start..start + text.trim().len()
    }

    fn place(&self, bytes: Range<usize>) -> Place {
        Place::new(self.file, bytes)
    }

    /// The first character outside strings and comments that looks like another.
    fn odd_character(&self, lines: &Range<usize>) -> Option<Report> {
        let mut quote = None;
        for (at, c) in self.text[lines.clone()].char_indices() {
            let at = lines.start + at;
            match (quote, c) {
                (Some(open), _) if c == open => quote = None,
                (Some(_), '\n') => quote = None,
                (None, '"' | '\'') => quote = Some(c),
                (None, '#') => return None,
                (None, '“' | '”' | '„' | '‘' | '’' | '«' | '»') => {
                    return Some(self.smart_quote(at, c, lines.end));
                }
                (None, c) if !c.is_ascii() && (c.is_whitespace() || is_invisible(c)) => {
                    let place = self.place(at..at + c.len_utf8());
                    let what = format!("invisible character U+{:04X} between words", c as u32);
                    let report = Report::error(place, what);
                    return Some(match c.is_whitespace() {
                        true => report.help("use a plain space").fix(place, " "),
                        false => report.help("remove it").fix(place, ""),
                    });
                }
                _ => {}
            }
        }
        None
    }

    fn smart_quote(&self, at: usize, opening: char, end: usize) -> Report {
        let plain = if matches!(opening, '‘' | '’') { '\'' } else { '"' };
        let place = self.place(at..at + opening.len_utf8());
        let report = Report::error(place, format!("{opening} is not {plain}"));
        let inner = at + opening.len_utf8();
        let line_end = self.text[inner..end].find('\n').map_or(end, |newline| inner + newline);
        match self.text[inner..line_end].char_indices().find(|(_, c)| "“”„‘’«»\"'".contains(*c)) {
            Some((length, closing)) => {
                let whole = self.place(at..inner + length + closing.len_utf8());
                let text = &self.text[inner..inner + length];
                report.help("write plain quotes").fix(whole, format!("{plain}{text}{plain}"))
            }
            None => report.help("write plain quotes").fix(place, plain.to_string()),
        }
    }

    /// A string that is opened and never closes.
    fn unclosed(&self, at: &Range<usize>) -> Option<Report> {
        let opening = string_that_ends(self.root, at.start).unwrap_or(at.start);
        let quotes = self.text[opening..].chars().take_while(|c| matches!(c, '"' | '\'')).take(3).count();
        let quote = &self.text[opening..opening + if quotes == 3 { 3 } else { quotes.min(1) }];
        let report =
            Report::error(self.place(opening..opening + quote.len()), "a string is opened here and never closes");
        (!quote.is_empty()).then(|| report.help(format!("write {quote} where it ends")))
    }

    /// What an error of the parser means, and what to do.
    fn report(&self, message: &str, at: &Range<usize>, line: &Range<usize>) -> Report {
        let place = self.place(at.clone());
        let raw = &self.text[at.clone()];
        let line_text = self.text[line.clone()].trim();
        let code = self.code(line);
        let insert = |what: &str, with: &str| Report::error(place, what).help(format!("add `{with}`")).fix(place, with);
        // What is missing is missing behind what stands before, which may be on another line.
        let behind = |what: &str, with: &str| {
            let end = self.text[..at.start].trim_end().len();
            let place = self.place(end..end);
            Report::error(place, what).help(format!("add `{with}`")).fix(place, with)
        };
        match message {
            "duplicate key" => self.duplicate(at, raw),
            m if ["invalid boolean", "invalid float", "string values must"].iter().any(|what| m.starts_with(what)) => {
                self.word(at.start, raw)
            }
            m if m.starts_with("missing escaped value") || m.contains("unicode value") => self.escape(at),
            m if m.starts_with("unclosed table") => insert("the table's name never closes", "]"),
            m if m.starts_with("unclosed array table") => insert("the table's name never closes", "]]"),
            m if m.starts_with("unclosed array") => behind("the list never closes", "]"),
            m if m.starts_with("unclosed inline table") => behind("the table never closes", "}"),
            m if m.starts_with("missing comma") => behind("a comma is missing", ","),
            m if m.starts_with("missing key for inline table") && line_text.starts_with(['{', '[', ']']) => {
                behind("the table never closes", "}")
            }
            m if m.starts_with("invalid inline table element") && line_text.starts_with(['{', '[', ']']) => {
                behind("the table never closes", "}")
            }
            m if m.starts_with("unexpected leading zero") => {
                let digits = self.text[at.start..].chars().take_while(char::is_ascii_digit).collect::<String>();
                let whole = self.place(at.start..at.start + digits.len());
                let report = Report::error(whole, format!("TOML has no number {digits} with a zero in front"));
                report.help("write an octal number as a string").fix(whole, format!("\"{digits}\""))
            }
            m if m.starts_with("key with no value") && line_text.ends_with(']') => {
                let start = self.place(line.start..line.start);
                Report::error(self.place(line.clone()), "a table's name that never opens").fix(start, "[")
            }
            m if m.starts_with("key with no value") => {
                Report::error(self.place(code), format!("`{line_text}` has no value")).help("write `key = value`")
            }
            m if m.starts_with("extra `=`") => Report::error(place, "one `=` too many").fix(place, ""),
            m if m.contains("quoted keys") || m.contains("unquoted key") => {
                Report::error(place, "a key is made of letters, digits, `-` and `_`").help("quote any other")
            }
            other => Report::error(place, format!("not TOML: {other}")).help("see https://toml.io"),
        }
    }

    /// A word that stands where a value should.
    fn word(&self, start: usize, raw: &str) -> Report {
        // A variable, up to what ends a value.
        let length = raw.len() + if raw.ends_with('$') { variable(&self.text[start + raw.len()..]) } else { 0 };
        let raw = &self.text[start..start + length];
        let place = self.place(start..start + length);
        if raw.is_empty() {
            return Report::error(place, "no value behind `=`").help("write a value, or remove the key");
        }
        let lower = raw.to_lowercase();
        let line = line_around(self.text, start);
        if matches!(lower.as_str(), "null" | "none" | "nil") && self.text[line.start..start].trim_end().ends_with('=') {
            let report = Report::error(place, format!("TOML has no `{raw}`"));
            return report.help("remove the key: what is not set has no value").fix(self.place(self.code(&line)), "");
        }
        let meant = match lower.as_str() {
            "yes" | "on" => Some("true"),
            "no" | "off" => Some("false"),
            _ => ["true", "false"].into_iter().find(|word| strsim::damerau_levenshtein(word, &lower) <= 2),
        };
        match meant {
            Some(word) => Report::error(place, format!("`{raw}` is no value"))
                .help(format!("did you mean `{word}`?"))
                .fix(place, word),
            None => {
                let quoted = toml::Value::from(raw).to_string();
                Report::error(place, format!("`{raw}` is not quoted")).help("write text in quotes").fix(place, quoted)
            }
        }
    }

    fn escape(&self, at: &Range<usize>) -> Report {
        let backslash = self.text[..at.start].rfind('\\').unwrap_or(at.start.saturating_sub(1));
        let escape: String = self.text[backslash..].chars().take(2).collect();
        let place = self.place(backslash..backslash + escape.len());
        let report = Report::error(place, format!("TOML takes `{escape}` for an escape, and knows none like it"));
        let literal = node_around(self.root, at.start).map(Spanned::span).and_then(|span| {
            let inner = self.text[span.clone()].strip_prefix('"')?.strip_suffix('"')?;
            (!inner.contains(['\'', '\n']) && !inner.starts_with('"')).then(|| (span.clone(), format!("'{inner}'")))
        });
        match literal {
            Some((span, text)) => report.help("in '…' a backslash is itself").fix(self.place(span), text),
            None => report.help("write `\\\\` for a backslash"),
        }
    }

    /// A key that stands in its table for the second time.
    fn duplicate(&self, at: &Range<usize>, raw: &str) -> Report {
        let place = self.place(at.clone());
        let header = |byte: usize| self.text[..byte].rfind("\n[").map_or(0, |newline| newline + 1);
        let is_header = self.text[line_around(self.text, at.start)].trim_start().starts_with('[');
        let report = match is_header {
            true => Report::error(place, format!("the table of `{raw}` stands here twice")).help("merge them"),
            false => Report::error(place, format!("`{raw}` is set twice")).help("keep one"),
        };
        // The tree holds the first one's place, but for headers, where it holds the last one's.
        let first = if is_header {
            let line = line_around(self.text, at.start);
            let name = self.text[line.clone()].trim();
            let same = self.text.find(name).filter(|first| *first < line.start);
            if same.is_none()
                && let Some(first) = set_above(self.text, name, line.start)
            {
                let report = Report::error(place, format!("`{raw}` is set above, and has a table here, too"));
                return report.help("write all of it in one place").also(self.place(first), "set here");
            }
            same.map(|first| first..first + name.len())
        } else {
            let mut keys = Vec::new();
            keys_of(self.root, raw, &mut keys);
            let same = |key: &&Range<usize>| key.end <= at.start && header(key.start) == header(at.start);
            keys.iter().filter(same).max_by_key(|key| key.start).cloned()
        };
        first.into_iter().fold(report, |report, first| report.also(self.place(first), "also here"))
    }
}

/// All keys of this name.
fn keys_of(table: &DeTable<'_>, name: &str, keys: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        if key.get_ref() == name {
            keys.push(key.span());
        }
        match value.get_ref() {
            DeValue::Table(inner) => keys_of(inner, name, keys),
            DeValue::Array(items) => {
                items.iter().filter_map(|item| item.get_ref().as_table()).for_each(|inner| keys_of(inner, name, keys));
            }
            _ => {}
        }
    }
}

/// The innermost value that a byte stands in.
fn node_around<'t, 'a>(table: &'t DeTable<'a>, byte: usize) -> Option<&'t Node<'a>> {
    fn within<'t, 'a>(node: &'t Node<'a>, byte: usize) -> Option<&'t Node<'a>> {
        let inner = match node.get_ref() {
            DeValue::Table(inner) => node_around(inner, byte),
            DeValue::Array(items) => items.iter().find_map(|item| within(item, byte)),
            _ => None,
        };
        inner.or_else(|| (node.span().start <= byte && byte <= node.span().end).then_some(node))
    }
    table.iter().find_map(|(_, value)| within(value, byte))
}

/// Where the string begins whose end is here.
fn string_that_ends(table: &DeTable<'_>, end: usize) -> Option<usize> {
    let node = node_around(table, end)?;
    fn find(node: &Node<'_>, end: usize) -> Option<usize> {
        match node.get_ref() {
            DeValue::Array(items) => items.iter().find_map(|item| find(item, end)),
            DeValue::Table(inner) => inner.iter().find_map(|(_, value)| find(value, end)),
            DeValue::String(_) if node.span().end == end => Some(node.span().start),
            _ => None,
        }
    }
    find(node, end)
}

/// The line that a byte stands in, without its newline.
pub(super) fn line_around(text: &str, byte: usize) -> Range<usize> {
    let start = text[..byte].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[byte..].find('\n').map_or(text.len(), |newline| byte + newline);
    start..end
}

/// Whether a text can be a key without quotes.
pub(super) fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
#[path = "syntax_tests.rs"]
mod tests;
