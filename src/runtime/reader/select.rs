//! Which lines of a log are wanted: by their time, and by what the lists in force now make of them.

use super::merge::Line;
use crate::line::classify::{Follow, classify_piece};
use crate::line::rules::{RuleSet, Scratch};
use crate::line::text::without_newline;
use crate::line::{Class, Stream};
use crate::log::record::{CUT_MARK, is_own};
use crate::log::span::Span;
use std::sync::Arc;

/// By what the lines of one log are classified.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The rules in force.
    pub rules: Arc<RuleSet>,
    /// The cap of its writer: a line over it stands there in pieces so long.
    pub line_bytes_max: usize,
}

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Lines of this time.
    pub span: Span,
    /// Lines of these classes; none is all.
    pub classes: Vec<Class>,
}

/// Sorts the lines of several logs.
pub struct Select {
    wanted: Wanted,
    sources: Vec<Source>,
}

/// One of the logs.
struct Source {
    /// None where nobody wants to know the class.
    rules: Option<Rules>,
    follow: Follow,
    scratch: Scratch,
    /// What became of the line that the next piece belongs to.
    class: Option<Class>,
    seen: Seen,
}

/// Whether a log has stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    Lines,
    Stamps,
}

impl Wanted {
    /// Whether every line is.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.classes.is_empty() && self.span.is_everything()
    }
}

impl Select {
    /// Sorts logs, each by its rules; where there are none, all lines are routine.
    #[must_use]
    pub fn new(wanted: Wanted, rules: Vec<Option<Rules>>) -> Select {
        let source = |rules| Source {
            rules,
            follow: Follow::default(),
            scratch: Scratch::default(),
            class: None,
            seen: Seen::Nothing,
        };
        Select { wanted, sources: rules.into_iter().map(source).collect() }
    }

    /// The class of a line that is wanted; none of one that is not.
    pub fn class(&mut self, line: &Line<'_>) -> Option<Class> {
        let Select { wanted: Wanted { span, classes }, sources } = self;
        let source = &mut sources[line.source];
        if line.first {
            source.seen = match line.time {
                Some(_) => Seen::Stamps,
                None if source.seen == Seen::Nothing => Seen::Lines,
                None => source.seen,
            };
            let in_span = span.has(line.time);
            let class = in_span.then(|| source.classify(&line.bytes[line.stamp_bytes..]));
            source.class = class.filter(|class| classes.is_empty() || classes.contains(class));
        }
        source.class
    }

    /// The logs that have lines, but no stamps so far.
    pub fn without_stamps(&self) -> impl Iterator<Item = usize> {
        (0..self.sources.len()).filter(|source| self.sources[*source].seen == Seen::Lines)
    }
}

impl Source {
    fn classify(&mut self, text: &[u8]) -> Class {
        let Some(Rules { rules, line_bytes_max }) = &self.rules else { return Class::Routine };
        // They stand between the worker's lines and end no group of them.
        if is_own(text) {
            return Class::Routine;
        }
        // A mark behind fewer bytes is the worker's own, or what a crash has cut.
        let goes_on = text.len() >= line_bytes_max + CUT_MARK.len() && text.ends_with(CUT_MARK);
        let text = without_newline(text);
        // The log does not say which stream a line came from.
        classify_piece(rules, text, Stream::Stdout, !goes_on, &mut self.follow, &mut self.scratch).class
    }
}
