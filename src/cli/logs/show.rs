//! What a line looks like: byte for byte as it is, or so that a terminal can have it.

use super::super::config::wants_colour;
use crate::line::Class;
use crate::line::text::make_visible;
use crate::log::record::{CUT_MARK, is_own};
use crate::runtime::reader::merge::Line;
use std::io::IsTerminal;

const RED: &[u8] = b"\x1b[31m";
const YELLOW: &[u8] = b"\x1b[33m";
const DIM: &[u8] = b"\x1b[2m";
const PLAIN: &[u8] = b"\x1b[0m";

/// Where lines go to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// A terminal: what it would obey is shown instead.
    pub(super) terminal: bool,
    /// Lines are coloured by their class.
    pub(super) colour: bool,
}

impl Form {
    /// What standard output takes.
    pub(super) fn of_stdout() -> Form {
        let stdout = std::io::stdout();
        Form { terminal: stdout.is_terminal(), colour: wants_colour(&stdout) }
    }
}

/// Lines that were made ready to be written.
#[derive(Debug)]
pub(super) struct Show {
    form: Form,
    /// What stands before each line of each log; nothing where there is one log.
    prefixes: Vec<String>,
    /// Of each log: how its line under way is coloured.
    colours: Vec<&'static [u8]>,
    out: Vec<u8>,
}

impl Show {
    /// For logs of these names.
    pub(super) fn new<'a>(form: Form, names: impl ExactSizeIterator<Item = &'a str> + Clone) -> Show {
        let width = names.clone().map(|name| name.chars().count()).max().unwrap_or(0);
        let colours = vec![&b""[..]; names.len()];
        let prefix = |name| format!("{name:width$} | ");
        let prefixes = if names.len() > 1 { names.map(prefix).collect() } else { Vec::new() };
        Show { form, prefixes, colours, out: Vec::new() }
    }

    /// Adds a line, or a piece of one: each has a newline then, and the mark of a line that goes on before it.
    pub(super) fn line(&mut self, line: &Line<'_>, class: Class) {
        let text = &line.bytes[line.stamp_bytes..];
        if line.first {
            self.out.extend_from_slice(self.prefixes.get(line.source).map_or(b"", |prefix| prefix.as_bytes()));
            self.colours[line.source] = match class {
                _ if !self.form.colour => b"",
                _ if is_own(text) => DIM,
                Class::Critical => RED,
                Class::Anomaly => YELLOW,
                _ => b"",
            };
        }
        let (bytes, end) = match line.bytes.strip_suffix(b"\n") {
            Some(bytes) => (bytes, &b"\n"[..]),
            None if line.last => (line.bytes, &b"\n"[..]),
            None => (line.bytes, CUT_MARK),
        };
        let colour = self.colours[line.source];
        self.out.extend_from_slice(colour);
        match self.form.terminal {
            // At the end of a line it moves nothing that is still to be seen.
            true => make_visible(bytes.strip_suffix(b"\r").unwrap_or(bytes), &mut self.out),
            false => self.out.extend_from_slice(bytes),
        }
        self.out.extend_from_slice(if colour.is_empty() { b"" } else { PLAIN });
        self.out.extend_from_slice(end);
    }

    /// How many bytes are ready.
    pub(super) fn bytes(&self) -> usize {
        self.out.len()
    }

    /// All that is ready.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(form: Form, names: &[&str], lines: &[(usize, &str, bool, bool, Class)]) -> String {
        let mut show = Show::new(form, names.iter().copied());
        for (source, text, first, last, class) in lines {
            let stamp_bytes = if text.starts_with("T ") { 2 } else { 0 };
            let (bytes, time) = (text.as_bytes(), None);
            show.line(&Line { source: *source, bytes, stamp_bytes, time, first: *first, last: *last }, *class);
        }
        String::from_utf8(show.take()).unwrap()
    }

    #[test]
    fn as_it_is() {
        let form = Form { terminal: false, colour: false };
        let lines = [(0, "T \x1b[1m\r\n", true, true, Class::Critical), (0, "torn", true, true, Class::Routine)];
        assert_eq!(shown(form, &["web"], &lines), "T \x1b[1m\r\ntorn\n");
        let lines = [(0, "a\n", true, true, Class::Routine), (1, "b", true, false, Class::Routine)];
        assert_eq!(shown(form, &["web", "worker"], &lines), "web    | a\nworker | b \\\n");
    }

    /// B3.
    #[test]
    fn as_a_terminal_can_have_it() {
        let form = Form { terminal: true, colour: true };
        let lines = [
            (0, "T \x1b[1m\tx\r\n", true, true, Class::Critical),
            (0, "slow \\\n", true, true, Class::Anomaly),
            (0, "T quell: started\n", true, true, Class::Routine),
            (0, "long", true, false, Class::Critical),
            (0, "er\r\n", false, true, Class::Routine),
        ];
        let expected = "\x1b[31mT \\u{1b}[1m\tx\x1b[0m\n\x1b[33mslow \\\x1b[0m\n\x1b[2mT quell: started\x1b[0m\n\
            \x1b[31mlong\x1b[0m \\\n\x1b[31mer\x1b[0m\n";
        assert_eq!(shown(form, &["web"], &lines), expected);
    }
}
