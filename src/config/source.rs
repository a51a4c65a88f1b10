//! The texts of configuration files, and places in them.

use std::ops::Range;

/// A piece of one file: which, and from byte to byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Index of the file among the sources.
    pub file: u32,
    /// Its first byte.
    pub start: u32,
    /// The byte behind its last.
    pub end: u32,
}

impl Place {
    /// A piece of a file.
    #[must_use]
    pub fn new(file: u32, bytes: Range<usize>) -> Place {
        Place { file, start: bytes.start as u32, end: bytes.end as u32 }
    }

    /// From byte to byte.
    #[must_use]
    pub fn bytes(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A file that was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its path, as the user would write it.
    pub name: String,
    /// What it holds; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// Where its lines begin.
    lines: Vec<u32>,
}

impl Source {
    /// The line of a byte, from 1, and where it begins.
    #[must_use]
    pub fn line(&self, byte: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start as usize <= byte);
        (line, self.lines[line - 1] as usize)
    }
}

/// Every file that was read, in the order of reading.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// Adds a file; its index.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> u32 {
        let text = text.into();
        let newlines = memchr::memchr_iter(b'\n', text.as_bytes()).map(|newline| newline as u32 + 1);
        let lines = std::iter::once(0).chain(newlines).collect();
        self.0.push(Source { name: name.into(), text, lines });
        self.0.len() as u32 - 1
    }

    /// A file by its index.
    #[must_use]
    pub fn get(&self, file: u32) -> &Source {
        &self.0[file as usize]
    }

    /// The index of a file by its name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<u32> {
        self.0.iter().position(|source| source.name == name).map(|at| at as u32)
    }

    /// All files.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }

    /// The line and column, in characters, that a place begins at; both from 1.
    #[must_use]
    pub fn position(&self, place: Place) -> (usize, usize) {
        let source = self.get(place.file);
        let byte = (place.start as usize).min(source.text.len());
        let (line, start) = source.line(byte);
        (line, 1 + String::from_utf8_lossy(&source.text.as_bytes()[start..byte]).chars().count())
    }

    /// The text from a place on, as far as its table goes: up to the next header.
    #[must_use]
    pub fn reach(&self, from: Place) -> &str {
        let rest = &self.get(from.file).text[from.start as usize..];
        &rest[..memchr::memmem::find(rest.as_bytes(), b"\n[").unwrap_or(rest.len())]
    }

    /// Where a text stands in quotes at or after a place, in the same table; the place itself where it does not.
    #[must_use]
    pub fn quoted(&self, text: &str, from: Place) -> Place {
        let reach = self.reach(from).as_bytes();
        let is_quoted = |at: &usize| {
            let before = at.checked_sub(1).map(|before| reach[before]);
            matches!(before, Some(b'"' | b'\'')) && reach.get(at + text.len()) == before.as_ref()
        };
        memchr::memmem::find_iter(reach, text).find(is_quoted).map_or(from, |at| {
            let start = from.start as usize + at - 1;
            Place::new(from.file, start..start + text.len() + 2)
        })
    }

    /// The place as people write it: `a.toml:4:1`.
    #[must_use]
    pub fn show(&self, place: Place) -> String {
        let (line, column) = self.position(place);
        format!("{}:{line}:{column}", self.get(place.file).name)
    }

    /// The file and line of a place: `a.toml:4`.
    #[must_use]
    pub fn show_line(&self, place: Place) -> String {
        format!("{}:{}", self.get(place.file).name, self.position(place).0)
    }
}

/// The line and column, in characters, of a byte in a text; both from 1.
#[must_use]
pub fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..byte.min(text.len())];
    let start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    let line = 1 + memchr::memchr_iter(b'\n', before).count();
    (line, 1 + String::from_utf8_lossy(&before[start..]).chars().count())
}

/// The bytes of the line, counted from 1, without its newline; the end of the text where there are not so many.
#[must_use]
pub fn line_bytes(text: &str, line: usize) -> Range<usize> {
    let start = match line {
        0 | 1 => 0,
        _ => memchr::memchr_iter(b'\n', text.as_bytes()).nth(line - 2).map_or(text.len(), |newline| newline + 1),
    };
    let end = memchr::memchr(b'\n', &text.as_bytes()[start..]).map_or(text.len(), |newline| start + newline);
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_in_their_table() {
        let mut sources = Sources::default();
        let text = "[a]\nb = [\"cd\", 'c', \"c\"]\nd = \"\"\n[e]\nf = \"x\"\n";
        sources.add("a.toml", text);
        let from = Place::new(0, 4..5);
        let found = |what: &str| &text[sources.quoted(what, from).bytes()];
        assert_eq!((found("c"), found("cd"), found(""), found("x")), ("'c'", "\"cd\"", "\"\"", "b"));
    }

    #[test]
    fn positions_count_characters() {
        let text = "a = 1\nü = “x”\n";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, text.find('x').unwrap_or(0)), (2, 6));
        assert_eq!(position(text, text.len()), (3, 1));
        assert_eq!(line_bytes(text, 1), 0..5);
        assert_eq!(&text[line_bytes(text, 2)], "ü = “x”");
        assert_eq!(line_bytes(text, 9), text.len()..text.len());
    }
}
