//! The sections and keys of a supervisord.conf, each with its place: as Python's ConfigParser reads them for supervisord.

use super::Left;

/// `[name]` and what follows it. A section that is opened again goes on.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) entries: Vec<Entry>,
}

/// A key in lower case, and its value without comments. A value that goes on over lines has newlines in it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Section {
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(super) fn left(&self, what: impl Into<String>) -> Left {
        Left { line: self.line, column: self.column, what: what.into() }
    }
}

impl Entry {
    /// Something about this key.
    pub(super) fn left(&self, what: impl std::fmt::Display) -> Left {
        Left { line: self.line, column: self.column, what: format!("`{}`: {what}", self.key) }
    }
}

#[derive(Default)]
struct Parser {
    sections: Vec<Section>,
    left: Vec<Left>,
    /// The section that the lines belong to.
    section: Option<usize>,
    /// The key in it that lines with more leading blanks than its own continue.
    entry: Option<usize>,
    /// The leading blanks of that key.
    indent: u32,
}

/// The sections of a text, and what in it is none of a section's.
pub(super) fn parse(text: &str) -> (Vec<Section>, Vec<Left>) {
    let mut parser = Parser::default();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        parser.line(number, line);
    }
    for entry in parser.sections.iter_mut().flat_map(|section| &mut section.entries) {
        entry.value.truncate(entry.value.trim_end().len());
    }
    (parser.sections, parser.left)
}

impl Parser {
    fn line(&mut self, number: u32, line: &str) {
        let without = without_comment(line);
        let content = without.trim();
        let indent = line.chars().take_while(|c| c.is_whitespace()).count() as u32;
        if content.is_empty() {
            // A blank line is part of a value that goes on after it; a comment is not.
            if let Some(entry) = self.current().filter(|_| without.len() == line.len()) {
                entry.value.push('\n');
            }
            return;
        }
        if indent > self.indent
            && let Some(entry) = self.current()
        {
            entry.value.push('\n');
            entry.value.push_str(content);
            return;
        }
        self.indent = indent;
        let header = content.strip_prefix('[').and_then(|rest| rest.rsplit_once(']')).map(|(name, _)| name);
        if let Some(name) = header.filter(|name| !name.is_empty()) {
            self.open(name, number, indent + 1);
            return;
        }
        let column = indent + 1;
        let mut leave = |what: &str| self.left.push(Left { line: number, column, what: what.into() });
        match (content.split_once(['=', ':']), self.section) {
            (_, None) => leave("stands before the first [section]; put it into one, or remove it"),
            (None, _) => leave("neither `key = value`, nor a [section], nor a comment; write it as one of them"),
            (Some((key, value)), Some(section)) => {
                let (key, value) = (key.trim().to_lowercase(), value.trim().to_owned());
                self.enter(section, Entry { key, value, line: number, column });
            }
        }
    }

    fn current(&mut self) -> Option<&mut Entry> {
        self.sections.get_mut(self.section?)?.entries.get_mut(self.entry?)
    }

    fn open(&mut self, name: &str, line: u32, column: u32) {
        let known = self.sections.iter().position(|section| section.name == name);
        self.section = known.or(Some(self.sections.len()));
        self.entry = None;
        if known.is_none() {
            self.sections.push(Section { name: name.to_owned(), line, column, entries: Vec::new() });
        }
    }

    fn enter(&mut self, section: usize, entry: Entry) {
        let entries = &mut self.sections[section].entries;
        if let Some(at) = entries.iter().position(|earlier| earlier.key == entry.key) {
            let what = format!("line {} says it again, which counts; remove this one", entry.line);
            self.left.push(entries.remove(at).left(what));
        }
        entries.push(entry);
        self.entry = Some(entries.len() - 1);
    }
}

/// A line up to a `;` or `#` that stands first or after a blank.
fn without_comment(line: &str) -> &str {
    let mut after_blank = true;
    for (at, c) in line.char_indices() {
        if after_blank && matches!(c, ';' | '#') {
            return &line[..at];
        }
        after_blank = c.is_whitespace();
    }
    line
}
