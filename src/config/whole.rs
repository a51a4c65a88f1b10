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
    if foreign(text).is_some() {
        return Whole { text: text.into(), unclosed: Vec::new() };
    }
    let text = &text[..readable(text)];
    let mut whole = Whole { text: text.into(), unclosed: Vec::new() };
    let mut mistakes = Mistakes::of(text);
    // A key without a value takes what follows with it, too.
    let lines: Vec<_> =
        mistakes.lone.iter().map(|at| line_around(text, *at)).filter(|line| is_lone(&text[line.clone()])).collect();
    if !lines.is_empty() {
        let mut bytes = text.to_owned();
        lines.iter().for_each(|line| bytes.replace_range(line.clone(), &" ".repeat(line.len())));
        mistakes = Mistakes::of(&bytes);
        (whole.text, whole.unclosed) = (bytes.into(), lines);
    }
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

/// Files up to here are read whole, whatever is wrong with them; of more, pieces so long are looked at first.
const PIECE: usize = 4096;
/// The parser copies the text for each mistake: what follows so many is not read.
const MISTAKES_MAX: usize = 400;

/// How much of a text is read: all, or up to where far too much is wrong.
fn readable(text: &str) -> usize {
    let (mut start, mut count) = (0, 0);
    while text.len() > 4 * PIECE && start < text.len() {
        let end = (start + PIECE).min(text.len());
        let end = memchr::memchr(b'\n', &text.as_bytes()[end..]).map_or(text.len(), |newline| end + newline + 1);
        count += DeTable::parse_recoverable(&text[start..end]).1.len();
        // A piece may begin in a string, so that all in it is wrong; the text from its beginning is not.
        if count > MISTAKES_MAX {
            return if DeTable::parse_recoverable(&text[..end]).1.len() > MISTAKES_MAX / 2 { end } else { text.len() };
        }
        start = end;
    }
    text.len()
}

/// Whether a line without a `=` behind its key is meant to be a key.
fn is_lone(line: &str) -> bool {
    let line = line.trim();
    !line.starts_with('[') && (!line.ends_with(']') || line.contains(['=', ':']))
}

/// A file that is another program's: its first line, what it is, and what to do.
#[must_use]
pub fn foreign(text: &str) -> Option<(Range<usize>, &'static str, &'static str)> {
    if text.contains('\r') && !text.contains('\n') {
        let first = 0..text.find('\r').unwrap_or(0);
        return Some((first, "lines end in a carriage return alone", "replace each: `tr '\\r' '\\n'`"));
    }
    let lines = || {
        let lines = text.lines().map(|line| (line.as_ptr() as usize - text.as_ptr() as usize, line.trim_end()));
        lines.filter(|(_, line)| !line.is_empty() && !line.trim_start().starts_with(['#', ';']))
    };
    let place = |(at, line): (usize, &str)| at..at + line.len();
    let is_header = |line: &str| line.starts_with('[');
    let count = lines().count();
    let pair =
        |line: &str| line.trim_start().trim_start_matches("- ").split_once(':').is_some_and(|(key, _)| is_bare(key));
    let is_yaml = |line: &str| pair(line) || line.trim_start().starts_with("- ") || line == "---";
    if count > 1 && !lines().any(|(_, line)| is_header(line)) {
        let first = lines().find(|(_, line)| is_yaml(line)).map(place)?;
        let is_command = |line: &str| line.split_once(": ").is_some_and(|(name, _)| is_bare(name));
        return if lines().all(|(_, line)| is_command(line)) {
            Some((first, "this is a Procfile, not TOML", "`quell import Procfile > quell.toml` translates it"))
        } else if 2 * lines().filter(|(_, line)| is_yaml(line)).count() > count {
            Some((first, "this is YAML, not TOML", "write TOML; `quell init -- CMD` begins a file"))
        } else {
            None
        };
    }
    let valid = |line: &str| line.contains('=') && DeTable::parse(line).is_ok();
    let program = lines().find(|(_, line)| line.starts_with("[program:") || *line == "[supervisord]");
    if let Some(first) = program.filter(|_| 2 * lines().filter(|(_, line)| valid(line)).count() <= count) {
        let help = "`quell import supervisord.conf > quell.toml` translates it";
        return Some((place(first), "this is a supervisord.conf, not TOML", help));
    }
    let is_unit = |line: &str| matches!(line, "[Unit]" | "[Service]" | "[Install]" | "[Timer]" | "[Socket]");
    let first = lines().find(|(_, line)| is_unit(line))?;
    let all = lines().filter(|(_, line)| is_header(line)).all(|(_, line)| is_unit(line));
    all.then(|| (place(first), "this is a systemd unit, not TOML", "write TOML; `quell init -- CMD` begins a file"))
}

/// The mistakes of syntax in a text.
struct Mistakes {
    count: usize,
    /// Where keys have no value, the first few.
    lone: Vec<usize>,
    /// The statements of several lines that have one, in their order.
    statements: Vec<Range<usize>>,
}

impl Mistakes {
    fn of(text: &str) -> Mistakes {
        let (root, errors) = DeTable::parse_recoverable(text);
        let errors = errors.iter().filter(|error| error.message() != "duplicate key");
        let lone = errors.clone().filter(|error| error.message().starts_with("key with no value"));
        let lone = lone.map(|error| error.span().unwrap_or_default().start).take(MISTAKES_MAX / 2).collect();
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
        Mistakes { count: places.len(), lone, statements }
    }

    /// The statements that may not close, each up to the end of what is its own.
    fn unclosed(&self, text: &str) -> impl Iterator<Item = Range<usize>> {
        self.statements.iter().filter_map(|statement| {
            let start = line_around(text, statement.start).start;
            let mut lines = text[statement.start..].match_indices('\n').map(|(at, _)| statement.start + at + 1);
            let first = &text[line_around(text, statement.start)];
            let indent = |line: &str| line.len() - line.trim_start().len();
            // The keys of a table that is open are its own.
            let is_own = |line: &str| {
                first.trim_end().ends_with('{') && indent(line) > indent(first) && !line.trim_start().starts_with('[')
            };
            let next = lines.find(|at| {
                let line = &text[line_around(text, *at)];
                begins_statement(line) && !is_own(line)
            })?;
            // Comments above the next one are not its own.
            let mut end = start;
            let mut at = start;
            for line in text[start..next].split_inclusive('\n') {
                at += line.len();
                if !line.trim().is_empty() && !line.trim().starts_with('#') {
                    end = at - 1;
                }
            }
            let last = &text[line_around(text, end)];
            (!first.trim_end().ends_with('{') || !last.trim_start().starts_with('}')).then_some(start..end)
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

/// The line in the table around a table that sets its name, too.
#[must_use]
pub fn set_above(text: &str, header: &str, end: usize) -> Option<Range<usize>> {
    let (around, name) = header.strip_prefix('[')?.strip_suffix(']')?.rsplit_once('.')?;
    let around = format!("[{around}]");
    let mut at = text[..end].rfind(&around)? + around.len();
    for line in text[at..end].split_inclusive('\n') {
        let code = line.trim();
        if code.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(['.', '='])) {
            return Some(at..at + line.trim_end().len());
        }
        if code.starts_with('[') {
            break;
        }
        at += line.len();
    }
    None
}

/// Whether a character cannot be seen.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' | '\u{202a}'..='\u{202e}')
}

/// What people write in a line that is not TOML: which piece of it, and what to write instead.
#[derive(Debug)]
pub struct Slip {
    /// The guilty piece of the line.
    pub at: Range<usize>,
    /// What is wrong.
    pub text: String,
    /// What to do.
    pub help: &'static str,
    /// What to write instead.
    pub fix: Option<(Range<usize>, String)>,
}

impl Slip {
    fn new(at: Range<usize>, text: impl Into<String>, help: &'static str, with: impl Into<String>) -> Slip {
        Slip { fix: Some((at.clone(), with.into())), at, text: text.into(), help }
    }
}

/// What is wrong with a line in which the parser says something of a byte, where it is a habit from elsewhere.
#[must_use]
pub fn slip(line: &str, at: usize, message: &str) -> Option<Slip> {
    let start = line.len() - line.trim_start().len();
    let code = line.trim();
    if let Some(mark) = ["//", ";", "--"].into_iter().find(|mark| code.starts_with(mark)) {
        let text = format!("a comment begins with `#`, not `{mark}`");
        return Some(Slip::new(start..start + mark.len(), text, "write `#`", "#"));
    }
    if code.starts_with('[') {
        return header(line, start, message);
    }
    let before = code.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).filter(|end| *end > 0);
    let key_end = start + before.unwrap_or(0);
    let sign_at = line.len() - line[key_end..].trim_start().len();
    let sign = [":=", "=>", "->", "+="].into_iter().find(|sign| line[sign_at..].starts_with(sign));
    match sign {
        Some(sign) if before.is_some() => {
            let text = format!("a key and its value stand around `=`, not `{sign}`");
            return Some(Slip::new(sign_at..sign_at + sign.len(), text, "write `=`", "="));
        }
        None if before.is_some() && line[sign_at..].starts_with(':') => {
            return Some(colon(line, start, key_end, sign_at));
        }
        _ => {}
    }
    if message.starts_with("key with no value")
        && let Some((key, _)) = line.split_once('=')
    {
        let key = key.trim();
        let at = start..start + key.len();
        let joined = key.split_whitespace().collect::<Vec<_>>().join("_");
        return is_bare(&joined)
            .then(|| Slip::new(at, format!("there is a blank in the key `{key}`"), "write `_`", joined));
    }
    value(line, at, message)
}

/// A key or a table's name, and a colon.
fn colon(line: &str, start: usize, key_end: usize, at: usize) -> Slip {
    let rest = line[at + 1..].trim();
    let name = &line[start..key_end];
    let text = "a key and its value stand around `=`, not `:`";
    if rest.is_empty() || rest.starts_with('#') {
        let table = if matches!(name, "worker" | "quell" | "log" | "queue") { "" } else { "worker." };
        let mut slip = Slip::new(at..at + 1, "a table begins with its name in brackets, not with `:`", "write", "");
        slip.fix = Some((start..at + 1, format!("[{table}{name}]")));
        slip.help = "write its name in brackets";
        return slip;
    }
    let mut slip = Slip::new(at..at + 1, text, "write `=`", " =");
    if DeTable::parse(&format!("a = {rest}")).is_err() && !rest.contains(['"', '\'']) {
        slip.fix = Some((at..line.trim_end().len(), format!(" = {}", toml::Value::from(rest))));
    }
    slip
}

/// A table's name that is none, or something behind it.
fn header(line: &str, start: usize, message: &str) -> Option<Slip> {
    let Some(close) = line.find(']') else {
        let end = line.find('#').unwrap_or(line.len());
        let end = line[..end].trim_end().len();
        let closing = if line[start..].starts_with("[[") { "]]" } else { "]" };
        let is_name = is_bare(line[start..end].trim_start_matches('['));
        let slip = Slip::new(end..end, "the table's name never closes", "close it", closing);
        return is_name.then_some(slip);
    };
    let open = start + line[start..].bytes().take_while(|byte| *byte == b'[').count();
    let name = line.get(open..close)?;
    let joined = name.split([' ', ':', '/']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(".");
    let table = joined.strip_prefix("program.").map_or(joined.clone(), |name| format!("worker.{name}"));
    if !is_bare(name) && is_bare(&joined) && !name.starts_with(' ') && !name.ends_with(' ') {
        return Some(Slip::new(
            open..close,
            format!("`{name}` is no table's name"),
            "write a dot between its parts",
            table,
        ));
    }
    let end = close + line[close..].bytes().take_while(|byte| *byte == b']').count();
    let rest = end + line[end..].len() - line[end..].trim_start().len();
    if !message.starts_with("unexpected key or value") || rest == line.len() {
        return None;
    }
    let slip = Slip::new(end..rest, "", "write it on the next line", "\n");
    Some(Slip { at: rest..line.trim_end().len(), text: "a key stands behind a table's name".into(), ..slip })
}

/// What is wrong with a value, or behind it.
fn value(line: &str, at: usize, message: &str) -> Option<Slip> {
    let rest = line.get(at..)?;
    let first = rest.chars().next()?;
    if first.is_control() && first != '\t' && first != '\r' && message.contains("string") {
        let text = format!("control character U+{:04X} in a string", first as u32);
        let escape = format!("\\u{:04X}", first as u32);
        let slip = Slip::new(at..at + first.len_utf8(), text, "write it as `\\u` and its number, in \"…\"", escape);
        let fix = slip.fix.filter(|_| message.contains("basic"));
        return Some(Slip { fix, ..slip });
    }
    let is_value = message.starts_with("string values must be quoted");
    if is_value
        && first == '('
        && let Some(close) = rest.rfind(')')
    {
        let list = format!("[{}]", &rest[1..close]);
        return Some(Slip::new(
            at..at + close + 1,
            "a list stands in `[` and `]`, not in `(` and `)`",
            "write brackets",
            list,
        ));
    }
    if message.starts_with("missing assignment") && first == ':' {
        return Some(Slip { at: at..at + 1, ..pairs(line, at) });
    }
    if let Some(slip) = quotes(line, at) {
        return Some(slip);
    }
    if !message.starts_with("unexpected key or value") {
        return None;
    }
    let odd = rest.bytes().take_while(|byte| b";,]})".contains(byte)).count();
    let behind = rest[odd..].trim_start();
    let text = format!("`{}` too many behind the value", &rest[..odd]);
    (odd > 0 && (behind.is_empty() || behind.starts_with('#'))).then(|| Slip::new(at..at + odd, text, "remove it", ""))
}

/// Colons where a table has `=`, all of them.
fn pairs(line: &str, at: usize) -> Slip {
    let (mut quote, mut last, mut text) = (None, at, String::new());
    for (index, c) in line[at..].char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') => break,
            (None, ':') => {
                text += &line[last..at + index];
                text += " =";
                last = at + index + 1;
            }
            _ => {}
        }
    }
    Slip::new(at..last, "a key and its value stand around `=`, not `:`", "write `=`", text)
}

/// Quotes in quotes of the same kind: the first ends the string.
fn quotes(line: &str, at: usize) -> Option<Slip> {
    let quote = line[..at].chars().next_back().filter(|c| matches!(c, '"' | '\''))?;
    let open = line[..at - 1].rfind(quote)?;
    line[at..].chars().next().filter(|c| c.is_alphanumeric() || "/$-.".contains(*c))?;
    let before = line[open + 1..at - 1].trim_end();
    if let Some(string) = before.strip_suffix(',') {
        // The quote that ends it here was to begin the next one.
        let end = open + 1 + string.len();
        return Some(Slip::new(end..end, "a quote or a comma is missing", "close the string", quote));
    }
    let ends = |end: &usize| {
        let behind = line[end + 1..].trim_start();
        behind.is_empty() || behind.starts_with([',', ']', '}', '#'])
    };
    let close = line[at..].match_indices(quote).map(|(end, _)| at + end).find(ends)?;
    let inner = &line[open + 1..close];
    let other = if quote == '"' { '\'' } else { '"' };
    let text = format!("`{quote}` ends the string here, and more of it follows");
    let slip = Slip::new(open..close + 1, text, "write other quotes around it", format!("{other}{inner}{other}"));
    let fix = slip.fix.filter(|_| !inner.contains([other, '\\']));
    Some(Slip { at: at - 1..at, fix, ..slip })
}

/// How much of a text, behind a `$`, is a variable in a value.
#[must_use]
pub fn variable(text: &str) -> usize {
    let braced = if text.starts_with('{') { text.find(['}', '\n']).unwrap_or(text.len()) } else { 0 };
    braced + text[braced..].find([',', ']', '#', '\n', ' ']).unwrap_or(text.len() - braced)
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
