//! The syntax of filter lists: bytes to checked rules, every mistake with its place and its remedy.
//!
//! One literal to a line; comments, keep rules, anchors, AND, sections and options as the README describes them. A list
//! is refused as a whole: a mistake in one line never makes a filter that drops more, or less, than was written.

use crate::config::unit;
use memchr::memchr;
use std::{fmt, sync::Arc, time::Duration};

/// How deep `%include` may nest.
const INCLUDE_DEPTH_MAX: usize = 8;
/// How many files a list may include, by itself or through others.
const INCLUDES_MAX: usize = 256;

/// What a rule does to the lines that it matches. Precedence: keep, drop, critical, anomaly, noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// The line is never dropped.
    Keep,
    /// The line is dropped even where it looks critical.
    Drop,
    /// The line is critical.
    Critical,
    /// The line is an anomaly.
    Anomaly,
    /// The line is dropped, unless a heavier rule matches.
    Noise,
}

impl Effect {
    const SECTIONS: [(&'static str, Effect); 4] = [
        ("noise", Effect::Noise),
        ("drop", Effect::Drop),
        ("critical", Effect::Critical),
        ("anomaly", Effect::Anomaly),
    ];
}

/// Where a rule stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The name of a shipped list, the path of a file, or the option that gave the rule (`-e`, `-k`).
    pub list: Arc<str>,
    /// Line in the file, or which of the options it was; from 1.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.list, self.line)
    }
}

/// One literal of a rule. It holds where any of its spellings occurs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// The spellings; the first is the one that was written. None is empty.
    pub spellings: Vec<Vec<u8>>,
    /// Only at the start of the line.
    pub at_start: bool,
    /// Only at the end of the line, or before a CR there.
    pub at_end: bool,
}

/// One rule: it matches a line of its streams in which every part occurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it does.
    pub effect: Effect,
    /// At least one; all must occur, in any order.
    pub parts: Vec<Part>,
    /// Lines of standard output are looked at.
    pub stdout: bool,
    /// Lines of standard error are looked at.
    pub stderr: bool,
    /// The number after the (only) part must be at least this long a time.
    pub slower: Option<Duration>,
    /// Silence of this rule for so long is an anomaly.
    pub expect: Option<Duration>,
    /// Where it stands.
    pub place: Place,
    /// As it was written, blanks trimmed.
    pub text: Box<[u8]>,
}

/// A sample line: `#+` must get the class of its section, `#-` must not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The section it stands in.
    pub effect: Effect,
    /// True for `#+`.
    pub positive: bool,
    /// The line, without its newline.
    pub line: Box<[u8]>,
    /// Where it stands.
    pub place: Place,
}

/// A checked list, its includes within it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// In the order in which they stand.
    pub rules: Vec<Rule>,
    /// In the order in which they stand.
    pub samples: Vec<Sample>,
}

/// A mistake in a list: `file:line:column: what is wrong; what to do`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}:{column}: {what}; {remedy}")]
pub struct Mistake {
    /// The line.
    pub place: Place,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

/// Finds the list that `%include NAME` in `from` names: its own name, and its bytes; or why it cannot be read.
pub type Resolve<'a> = dyn FnMut(&str, &str) -> Result<(String, Vec<u8>), String> + 'a;

/// Reads a list from its bytes.
///
/// # Errors
/// All mistakes of the list and of its includes.
pub fn parse(name: &str, bytes: &[u8], resolve: &mut Resolve<'_>) -> Result<List, Vec<Mistake>> {
    let mut parser = Parser { list: List::default(), mistakes: Vec::new(), resolve, open: Vec::new(), included: 0 };
    parser.file(name, bytes);
    if parser.mistakes.is_empty() { Ok(parser.list) } else { Err(parser.mistakes) }
}

/// Reads the text of a `-e` or `-k` option: the body of one rule. A leading `#`, `!` or `%` is plain text here, and so are
/// blanks at the edges: a shell has been told to keep them.
///
/// # Errors
/// The mistake in the text.
pub fn parse_rule(option: &str, ordinal: u32, effect: Effect, text: &[u8]) -> Result<Rule, Mistake> {
    let place = Place { list: option.into(), line: ordinal };
    let (start, end) = trim(text, 0);
    let blanks = |bytes: &[u8]| bytes.iter().flat_map(|b| format!("\\x{b:02X}").into_bytes()).collect::<Vec<_>>();
    let kept = [&blanks(&text[..start])[..], &text[start..end], &blanks(&text[end..])].concat();
    let mut rule =
        Line { place: &place, bytes: &kept }.rule((0, kept.len()), &Section { effect, ..Section::default() })?;
    rule.text = text.into();
    Ok(rule)
}

/// Writes a literal so that a list takes it for just these bytes; none when no list can (empty, NUL or LF in it).
#[must_use]
pub fn escape(literal: &[u8]) -> Option<Vec<u8>> {
    if literal.is_empty() || literal.iter().any(|b| matches!(b, 0 | b'\n')) {
        return None;
    }
    let mut out = Vec::with_capacity(literal.len() + 8);
    let last = literal.len() - 1;
    for (at, &byte) in literal.iter().enumerate() {
        let edge = at == 0 || at == last;
        match byte {
            b'\\' | b'&' | b'^' | b'$' => out.extend([b'\\', byte]),
            b'#' | b'!' | b'%' if at == 0 => out.extend([b'\\', byte]),
            b' ' if edge => out.extend(b"\\ "),
            b'\t' | b'\r' | 0xef if edge => out.extend(format!("\\x{byte:02X}").bytes()),
            _ => out.push(byte),
        }
    }
    Some(out)
}

/// What the `%` lines have set so far; ends with the file.
#[derive(Clone)]
struct Section {
    effect: Effect,
    any_case: bool,
    stdout: bool,
    stderr: bool,
}

impl Default for Section {
    fn default() -> Self {
        Section { effect: Effect::Noise, any_case: false, stdout: true, stderr: true }
    }
}

struct Parser<'r, 'f> {
    list: List,
    mistakes: Vec<Mistake>,
    resolve: &'r mut Resolve<'f>,
    /// The files that are being read, each included by the one before.
    open: Vec<Arc<str>>,
    included: usize,
}

impl Parser<'_, '_> {
    fn file(&mut self, name: &str, bytes: &[u8]) {
        let list: Arc<str> = name.into();
        self.open.push(list.clone());
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut section = Section::default();
        for (index, raw) in bytes.split(|b| *b == b'\n').enumerate() {
            let place = Place { list: list.clone(), line: index as u32 + 1 };
            let line = Line { place: &place, bytes: raw.strip_suffix(b"\r").unwrap_or(raw) };
            if let Err(mistake) = self.line(&line, &mut section) {
                self.mistakes.push(mistake);
            }
        }
        self.open.pop();
    }

    fn line(&mut self, line: &Line<'_>, section: &mut Section) -> Result<(), Mistake> {
        let body = trim(line.bytes, 0);
        match line.bytes.get(body.0) {
            Some(b'#') => {
                self.list.samples.extend(line.sample(body.0, section.effect));
                Ok(())
            }
            Some(b'%') => self.directive(line, body, section),
            _ if body.0 == body.1 => Ok(()),
            Some(b'!') => {
                let after = (body.0 + 1, body.1);
                let rule =
                    line.rule(trim_span(line.bytes, after), &Section { effect: Effect::Keep, ..section.clone() });
                self.list.rules.push(rule?);
                Ok(())
            }
            _ => {
                self.list.rules.push(line.rule(body, section)?);
                Ok(())
            }
        }
    }

    fn directive(
        &mut self,
        line: &Line<'_>,
        (start, end): (usize, usize),
        section: &mut Section,
    ) -> Result<(), Mistake> {
        let name_end = (start..end).find(|at| is_blank(line.bytes[*at])).unwrap_or(end);
        let value = trim_span(line.bytes, (name_end, end));
        let text = String::from_utf8_lossy(&line.bytes[value.0..value.1]).into_owned();
        match &line.bytes[start..name_end] {
            b"%class" => section.effect = line.choice(value, &text, &Effect::SECTIONS)?,
            b"%case" => section.any_case = line.choice(value, &text, &[("any", true), ("exact", false)])?,
            b"%stream" => {
                let streams = [("any", (true, true)), ("stdout", (true, false)), ("stderr", (false, true))];
                (section.stdout, section.stderr) = line.choice(value, &text, &streams)?;
            }
            b"%slower" => {
                let (limit, at) = line.duration(value)?;
                let mut rule = line.rule((at, value.1), &Section { effect: Effect::Anomaly, ..section.clone() })?;
                if rule.parts.len() > 1 || rule.parts[0].at_end {
                    return Err(line.mistake(at, "a number follows the text of %slower", "write one part, without $"));
                }
                rule.slower = Some(limit);
                self.list.rules.push(rule);
            }
            b"%expect" => {
                let (limit, at) = line.duration(value)?;
                let mut rule = line.rule((at, value.1), &Section { effect: Effect::Noise, ..section.clone() })?;
                rule.expect = Some(limit);
                self.list.rules.push(rule);
            }
            b"%include" => return self.include(line, value.0, &text),
            other => {
                let known = ["%class", "%case", "%stream", "%slower", "%expect", "%include"];
                let what = format!("unknown {:?}", String::from_utf8_lossy(other));
                let remedy = format!("known are {}; write \\% for a pattern that begins so", known.join(" "));
                return Err(line.mistake(start, &what, &remedy));
            }
        }
        Ok(())
    }

    fn include(&mut self, line: &Line<'_>, at: usize, text: &str) -> Result<(), Mistake> {
        if text.is_empty() {
            return Err(line.mistake(at, "%include of nothing", "name a shipped list or a file"));
        }
        if self.open.len() > INCLUDE_DEPTH_MAX {
            return Err(line.mistake(at, "%include nests too deep", "include the innermost lists here"));
        }
        self.included += 1;
        match self.included {
            ..=INCLUDES_MAX => {}
            more if more == INCLUDES_MAX + 1 => {
                let what = format!("more than {INCLUDES_MAX} files are included");
                return Err(line.mistake(at, &what, "look for lists that include each other many times"));
            }
            _ => return Ok(()), // Said once.
        }
        let (name, bytes) = (self.resolve)(text, &line.place.list)
            .map_err(|why| line.mistake(at, &format!("cannot include {text:?}"), &why))?;
        if self.open.iter().any(|open| **open == *name) {
            return Err(line.mistake(at, &format!("{name} includes itself"), "remove this line"));
        }
        self.file(&name, &bytes);
        Ok(())
    }
}

/// One line of a list, for reading what is in it and for saying where in it a mistake is.
struct Line<'a> {
    place: &'a Place,
    bytes: &'a [u8],
}

impl Line<'_> {
    fn mistake(&self, at: usize, what: &str, remedy: &str) -> Mistake {
        let column = String::from_utf8_lossy(&self.bytes[..at.min(self.bytes.len())]).chars().count() + 1;
        Mistake { place: self.place.clone(), column, what: what.to_owned(), remedy: remedy.to_owned() }
    }

    fn sample(&self, at: usize, effect: Effect) -> Option<Sample> {
        let after = &self.bytes[at + 1..];
        let positive = after.starts_with(b"+");
        let line = after.strip_prefix(b"+").or_else(|| after.strip_prefix(b"-"))?;
        let line = line.strip_prefix(b" ").unwrap_or(line);
        Some(Sample { effect, positive, line: line.into(), place: self.place.clone() })
    }

    fn choice<T: Copy>(&self, (at, _): (usize, usize), text: &str, choices: &[(&str, T)]) -> Result<T, Mistake> {
        choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            self.mistake(at, &format!("no such choice {text:?}"), &format!("write one of {}", names.join(", ")))
        })
    }

    /// A duration, and where the text after it begins.
    fn duration(&self, (start, end): (usize, usize)) -> Result<(Duration, usize), Mistake> {
        let stop = (start..end).find(|at| is_blank(self.bytes[*at])).unwrap_or(end);
        let text = String::from_utf8_lossy(&self.bytes[start..stop]);
        let limit = unit::parse_duration(&text).map_err(|e| self.mistake(start, "no duration here", &e.to_string()))?;
        Ok((limit, trim_span(self.bytes, (stop, end)).0))
    }

    fn rule(&self, (start, end): (usize, usize), section: &Section) -> Result<Rule, Mistake> {
        let parts = self.split(start, end).into_iter().map(|span| self.part(span, section.any_case));
        Ok(Rule {
            effect: section.effect,
            parts: parts.collect::<Result<_, _>>()?,
            stdout: section.stdout,
            stderr: section.stderr,
            slower: None,
            expect: None,
            place: self.place.clone(),
            text: self.bytes[start..end].into(),
        })
    }

    /// The spans between the `&&` that stand alone, blanks trimmed.
    fn split(&self, start: usize, end: usize) -> Vec<(usize, usize)> {
        let blank = |at: usize| self.bytes.get(at).is_some_and(|b| is_blank(*b));
        let mut spans = Vec::new();
        let (mut from, mut at) = (start, start);
        while at + 1 < end {
            let alone = (at == start || blank(at - 1)) && (at + 2 == end || blank(at + 2));
            if alone && &self.bytes[at..at + 2] == b"&&" {
                spans.push(trim_span(self.bytes, (from, at)));
                from = at + 2;
                at += 2;
            } else {
                at += 1 + usize::from(self.bytes[at] == b'\\');
            }
        }
        spans.push(trim_span(self.bytes, (from, end)));
        spans
    }

    fn part(&self, (start, end): (usize, usize), any_case: bool) -> Result<Part, Mistake> {
        let at_start = start < end && self.bytes[start] == b'^';
        let from = start + usize::from(at_start);
        let (bytes, at_end) = self.unescape(from, end)?;
        if bytes.is_empty() {
            return Err(self.mistake(
                start,
                "an empty pattern would match every line",
                "write some text, or remove it",
            ));
        }
        Ok(Part { spellings: if any_case { spellings(&bytes) } else { vec![bytes] }, at_start, at_end })
    }

    /// The bytes meant, and whether an unescaped `$` ended them.
    fn unescape(&self, from: usize, end: usize) -> Result<(Vec<u8>, bool), Mistake> {
        let mut bytes = Vec::with_capacity(end - from);
        let mut at = from;
        while at < end {
            match self.bytes[at] {
                b'$' if at + 1 == end => return Ok((bytes, true)),
                b'\\' => {
                    let (byte, used) = self.escaped(at, end)?;
                    bytes.push(byte);
                    at += used;
                }
                0 => return Err(self.mistake(at, "a NUL byte in a pattern", "save the list as plain text")),
                byte => {
                    bytes.push(byte);
                    at += 1;
                }
            }
        }
        Ok((bytes, false))
    }

    /// The byte that the escape at `at` stands for, and the escape's length.
    fn escaped(&self, at: usize, end: usize) -> Result<(u8, usize), Mistake> {
        const KNOWN: &str = r"the escapes are \# \! \% \^ \$ \& \\ \xHH and a backslash before a blank; write \\ for \";
        match self.bytes[at + 1..end].first() {
            Some(&byte @ (b'#' | b'!' | b'%' | b'^' | b'$' | b'&' | b'\\' | b' ')) => Ok((byte, 2)),
            Some(b'x') => {
                let digits = self.bytes.get(at + 2..(at + 4).min(end)).and_then(|hex| std::str::from_utf8(hex).ok());
                let hex = digits.filter(|hex| hex.len() == 2 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
                match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                    Some(0 | b'\n') => Err(self.mistake(at, r"\x00 and \x0A stand in no line", "remove the escape")),
                    Some(byte) => Ok((byte, 4)),
                    None => Err(self.mistake(at, r"\x wants two hexadecimal digits", r"write \x1B, or \\x for \x")),
                }
            }
            Some(&other) => {
                let shown = String::from_utf8_lossy(&self.bytes[at..at + 2]).into_owned();
                let shown = if other.is_ascii() { shown } else { r"\".to_owned() };
                Err(self.mistake(at, &format!("unknown escape {shown}"), KNOWN))
            }
            None => Err(self.mistake(at, "a backslash at the end of a pattern", KNOWN)),
        }
    }
}

/// As written, lower, Sentence, Title Of Each Word, UPPER; each once. ASCII letters only.
fn spellings(written: &[u8]) -> Vec<Vec<u8>> {
    let lower = written.to_ascii_lowercase();
    let mut sentence = lower.clone();
    if let Some(first) = sentence.iter_mut().find(|b| b.is_ascii_alphabetic()) {
        first.make_ascii_uppercase();
    }
    let mut title = lower.clone();
    for at in 0..title.len() {
        if at == 0 || !lower[at - 1].is_ascii_alphanumeric() {
            title[at].make_ascii_uppercase();
        }
    }
    let mut all = vec![written.to_vec()];
    for spelling in [lower, sentence, title, written.to_ascii_uppercase()] {
        if !all.contains(&spelling) {
            all.push(spelling);
        }
    }
    all
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim(bytes: &[u8], from: usize) -> (usize, usize) {
    trim_span(bytes, (from, bytes.len()))
}

/// The span without the blanks around it; a blank that is escaped stays.
fn trim_span(bytes: &[u8], (mut start, mut end): (usize, usize)) -> (usize, usize) {
    while start < end && is_blank(bytes[start]) {
        start += 1;
    }
    while start < end && is_blank(bytes[end - 1]) && !ends_escaped(&bytes[start..end - 1]) {
        end -= 1;
    }
    (start, end)
}

/// Whether the byte after `before` would be escaped: an odd number of backslashes comes before it.
fn ends_escaped(before: &[u8]) -> bool {
    memchr(b'\\', before).is_some() && before.iter().rev().take_while(|b| **b == b'\\').count() % 2 == 1
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
