//! What is wrong with a configuration: one report for each mistake, with its place, drawn as rustc draws its own.

use super::source::{Place, Sources};
use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::Write;
use std::ops::Range;

/// How much a report weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing starts with it.
    Error,
    /// Said; `--strict` makes it a mistake.
    Warning,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How much it weighs.
    pub severity: Severity,
    /// The guilty piece.
    pub place: Place,
    /// What is wrong.
    pub text: String,
    /// What to do, in words.
    pub help: Option<String>,
    /// What to write instead, where that is certain: a piece and its replacement.
    pub fix: Option<(Place, String)>,
    /// Other pieces that have to do with it, and what they are.
    pub also: Vec<(Place, String)>,
}

impl Report {
    /// A mistake.
    pub fn error(place: Place, text: impl Into<String>) -> Report {
        Report { severity: Severity::Error, place, text: short(text), help: None, fix: None, also: Vec::new() }
    }

    /// A warning.
    pub fn warning(place: Place, text: impl Into<String>) -> Report {
        Report { severity: Severity::Warning, ..Report::error(place, text) }
    }

    /// The same, with what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Report {
        self.help = Some(short(help));
        self
    }

    /// The same, with what to write instead.
    #[must_use]
    pub fn fix(mut self, place: Place, with: impl Into<String>) -> Report {
        let with = with.into();
        // What nobody would read nobody would take.
        if with.len() <= TEXT_MAX {
            self.fix = Some((place, with));
        }
        self
    }

    /// The same, with another piece that has to do with it.
    #[must_use]
    pub fn also(mut self, place: Place, what: impl Into<String>) -> Report {
        self.also.push((place, what.into()));
        self
    }
}

/// So much of a text is shown, so many reports, and so many of one line.
const TEXT_MAX: usize = 1000;
const REPORTS_MAX: usize = 1000;
const LINE_REPORTS_MAX: usize = 20;

/// A text that can be read.
fn short(text: impl Into<String>) -> String {
    let mut text = text.into();
    if text.len() > TEXT_MAX {
        text.truncate(text.floor_char_boundary(TEXT_MAX));
        text.push('…');
    }
    text
}

/// Keeps as many reports as somebody can read, and says how many more there are.
pub fn cut(sources: &Sources, reports: &mut Vec<Report>) {
    if reports.len() <= LINE_REPORTS_MAX {
        return;
    }
    let (all, mut last, mut of_line) = (reports.len(), None, 0);
    let mut more = None;
    reports.retain(|report| {
        let line = (report.place.file, sources.get(report.place.file).line(report.place.start as usize).0);
        of_line = if last == Some(line) { of_line + 1 } else { 1 };
        last = Some(line);
        if of_line > LINE_REPORTS_MAX {
            more.get_or_insert(report.place);
        }
        of_line <= LINE_REPORTS_MAX
    });
    let more = reports.get(REPORTS_MAX).map(|report| report.place).or(more);
    reports.truncate(REPORTS_MAX);
    if let Some(place) = more {
        let left = all - reports.len();
        reports.push(
            Report::error(place, format!("{left} more reports, of which this is the first, are not shown"))
                .help("mend some, and look again"),
        );
    }
}

/// Orders reports by their places and leaves out what is said twice.
pub fn sort(reports: &mut Vec<Report>) {
    reports.sort_by(|a, b| (a.place, a.severity, &a.text).cmp(&(b.place, b.severity, &b.text)));
    reports.dedup();
}

/// Draws reports for people.
#[must_use]
pub fn to_text(sources: &Sources, reports: &[Report], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    reports.iter().fold(String::new(), |mut text, report| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}\n", renderer.render(&groups(sources, report)));
        text
    })
}

/// A text that goes to a terminal: control characters, but for the newline and the tab, as `\u{1b}`.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_hidden = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(is_hidden) {
        return text.into();
    }
    text.chars()
        .fold(String::with_capacity(text.len() + 8), |mut shown, c| {
            if is_hidden(c) {
                shown.extend(c.escape_unicode())
            } else {
                shown.push(c)
            }
            shown
        })
        .into()
}

/// A piece of a file, each byte where it was: the renderer shows C0 and DEL itself, but not C1.
fn aligned(text: &str) -> Cow<'_, str> {
    let is_hidden = |c: char| ('\u{80}'..='\u{9f}').contains(&c);
    // Two bytes, as they have.
    if text.contains(is_hidden) { text.replace(is_hidden, "\u{b7}").into() } else { text.into() }
}

/// The lines of a file that a report is about: to draw a report, all that it is given is looked through.
struct Window<'a> {
    name: &'a str,
    text: &'a str,
    /// Where it begins.
    start: usize,
    /// The number of its first line.
    line: usize,
}

impl<'a> Window<'a> {
    /// The lines of these places, which are in one file.
    fn new(sources: &'a Sources, places: impl IntoIterator<Item = Place>) -> Window<'a> {
        let whole = places.into_iter().reduce(|a, b| Place { start: a.start.min(b.start), end: a.end.max(b.end), ..a });
        let whole = whole.unwrap_or(Place { file: 0, start: 0, end: 0 });
        let source = sources.get(whole.file);
        let bytes = source.text.as_bytes();
        let (line, start) = source.line(whole.start as usize);
        let end = whole.end as usize;
        let end = memchr::memchr(b'\n', &bytes[end..]).map_or(bytes.len(), |newline| end + newline + 1);
        Window { name: &source.name, text: &source.text[start..end], start, line }
    }

    fn snippet<T: Clone>(&self) -> Snippet<'a, T> {
        Snippet::source(aligned(self.text)).path(visible(self.name)).line_start(self.line)
    }

    fn span(&self, place: Place) -> Range<usize> {
        let bytes = place.bytes();
        bytes.start - self.start..bytes.end - self.start
    }
}

fn groups<'a>(sources: &'a Sources, report: &'a Report) -> Vec<Group<'a>> {
    let level = match report.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let here = report.also.iter().filter(|(place, _)| place.file == report.place.file);
    let window = Window::new(sources, here.clone().map(|(place, _)| *place).chain([report.place]));
    let snippet = window.snippet().annotation(AnnotationKind::Primary.span(window.span(report.place)));
    let snippet = here.fold(snippet, |snippet, (place, what)| {
        snippet.annotation(AnnotationKind::Context.span(window.span(*place)).label(visible(what)))
    });
    let mut group = level.primary_title(visible(&report.text)).element(snippet);
    for (place, what) in report.also.iter().filter(|(place, _)| place.file != report.place.file) {
        let window = Window::new(sources, [*place]);
        let snippet =
            window.snippet().annotation(AnnotationKind::Context.span(window.span(*place)).label(visible(what)));
        group = group.element(snippet);
    }
    let mut groups = vec![];
    match (&report.help, &report.fix) {
        (help, Some((place, with))) => {
            groups.push(group);
            let title = Level::HELP.secondary_title(visible(help.as_deref().unwrap_or("write")));
            let window = Window::new(sources, [*place]);
            groups.push(title.element(window.snippet().patch(Patch::new(window.span(*place), visible(with)))));
        }
        (Some(help), None) => groups.push(group.element(Level::HELP.message(visible(help)))),
        (None, None) => groups.push(group),
    }
    groups
}

/// A report for editors and CI; lines and columns from 1, columns in characters.
#[derive(Debug, Serialize)]
struct Plain<'a> {
    severity: Severity,
    #[serde(flatten)]
    at: Spot<'a>,
    message: &'a str,
    help: Option<&'a str>,
    fix: Option<Fix<'a>>,
    also: Vec<Note<'a>>,
}

#[derive(Debug, Serialize)]
struct Spot<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
}

#[derive(Debug, Serialize)]
struct Fix<'a> {
    #[serde(flatten)]
    at: Spot<'a>,
    replacement: &'a str,
}

#[derive(Debug, Serialize)]
struct Note<'a> {
    #[serde(flatten)]
    at: Spot<'a>,
    message: &'a str,
}

/// The reports as one JSON array, for editors and CI.
#[must_use]
pub fn to_json(sources: &Sources, reports: &[Report]) -> String {
    let spot = |place: Place| {
        let (line, column) = sources.position(place);
        let (end_line, end_column) = sources.position(Place { start: place.end, ..place });
        Spot { file: &sources.get(place.file).name, line, column, end_line, end_column }
    };
    let plain = |report: &Report| {
        let value = Plain {
            severity: report.severity,
            at: spot(report.place),
            message: &report.text,
            help: report.help.as_deref(),
            fix: report.fix.as_ref().map(|(place, with)| Fix { at: spot(*place), replacement: with }),
            also: report.also.iter().map(|(place, what)| Note { at: spot(*place), message: what }).collect(),
        };
        serde_json::to_value(value).unwrap_or_default()
    };
    format!("{:#}\n", serde_json::Value::Array(reports.iter().map(plain).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_as_a_command() {
        let evil = "\u{1b}]0;x\u{7}\u{9b}31m\u{7f}\r\n";
        let mut sources = Sources::default();
        let file = sources.add(evil, format!("# {evil}a = 1 # \u{9b}2J\n"));
        let at = sources.get(file).text.find("a =").unwrap();
        let place = Place::new(file, at..at + 1);
        let report = Report::error(place, evil).help(evil).also(place, evil);
        let fixed = report.clone().fix(place, evil);
        let text = to_text(&sources, &[report, fixed], false);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        assert!(text.contains("\\u{1b}]0;x\\u{7}\\u{9b}31m\\u{7f}"), "{text}");
        assert_eq!((&*visible("a\tü\n"), &*visible("\u{85}")), ("a\tü\n", "\\u{85}"));
    }
}
