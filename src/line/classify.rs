//! What each line is: a block of whole lines in, runs of one class out.
//!
//! Three searches walk the block side by side, each looking for its next hit: a plain noise rule, a watched rule, an
//! ESC byte. Where only a plain rule hits a line, the line is noise; where anything else does, the line is decided alone
//! (`RuleSet::matches`); what no search hits is routine and is passed over in one piece, however many lines it has.
//! After a critical or anomaly line each line is looked at by itself, until one comes that does not continue it.

use super::list::Effect;
use super::rules::{Matches, RuleId, RuleSet, Scratch};
use super::text::{is_continuation, strip_ansi, without_newline};
use super::{Class, Stream};
use memchr::{memchr, memchr_iter, memmem, memrchr};
use std::ops::Range;

/// What one line is, and the rule under which it is counted if it is noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Its class; lines that a `%class drop` rule matches are noise too.
    pub class: Class,
    /// For noise: the rule that matches leftmost.
    pub rule: Option<RuleId>,
}

impl Verdict {
    const ROUTINE: Verdict = Verdict { class: Class::Routine, rule: None };
}

/// Neighbouring whole lines of one verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where in the block.
    pub range: Range<usize>,
    /// What they are.
    pub verdict: Verdict,
    /// How many lines.
    pub lines: u64,
}

/// What one stream's next line may follow: kept by the caller from block to block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Follow {
    /// The class that a continuation line takes: that of the critical or anomaly line before it.
    group: Option<Class>,
    /// A Python traceback is open: the first line that is not indented names the exception and belongs to it.
    traceback: bool,
    /// The verdict on a line whose first piece has been seen.
    piece: Option<Verdict>,
}

/// The header of a Python traceback, whose last line, the exception, is the one that is not indented.
const TRACEBACK: &[u8] = b"Traceback (most recent call last)";

/// Sorts a block of whole lines into runs, which cover the block in order. `runs` is cleared first.
pub fn classify(
    set: &RuleSet,
    block: &[u8],
    stream: Stream,
    follow: &mut Follow,
    scratch: &mut Scratch,
    runs: &mut Vec<Run>,
) {
    runs.clear();
    let mut cursor = Cursor { set, block, stream, follow, scratch, runs, at: 0 };
    cursor.group();
    let mut plain = Next::new(block, |from| set.plain.find(block, from).map(|hit| (hit.start, hit.pattern)));
    let mut watch = Next::new(block, |from| set.watch.find(block, from).map(|hit| (hit.start, 0)));
    let mut escape = Next::new(block, |from| memchr(0x1b, &block[from..]).map(|at| (from + at, 0)));
    while cursor.at < block.len() {
        let (noise, doubt) = (plain.from(cursor.at), watch.from(cursor.at).0.min(escape.from(cursor.at).0));
        let hit = noise.0.min(doubt);
        if hit == block.len() {
            cursor.routine(hit);
            break;
        }
        let start = memrchr(b'\n', &block[cursor.at..hit]).map_or(cursor.at, |newline| cursor.at + newline + 1);
        cursor.routine(start);
        let end = line_end(block, hit);
        if doubt < end {
            cursor.exact(end);
            cursor.group();
        } else {
            cursor.push(end, Verdict { class: Class::Noise, rule: Some(set.plain_rule(noise.1)) }, 1);
        }
    }
}

/// Decides a line that came in pieces by its first piece; later pieces share the verdict.
pub fn classify_piece(
    set: &RuleSet,
    piece: &[u8],
    stream: Stream,
    last: bool,
    follow: &mut Follow,
    scratch: &mut Scratch,
) -> Verdict {
    let verdict = follow.piece.unwrap_or_else(|| decide(set, piece, stream, follow, scratch));
    follow.piece = (!last).then_some(verdict);
    verdict
}

/// Decides one line (its newline, if it has one, is not looked at).
pub fn decide(set: &RuleSet, line: &[u8], stream: Stream, follow: &mut Follow, scratch: &mut Scratch) -> Verdict {
    let line = without_newline(line);
    if memchr(0x1b, line).is_none() {
        let found = set.matches(line, stream, scratch);
        return follow.step(line, found);
    }
    let mut text = std::mem::take(&mut scratch.plain_text);
    strip_ansi(line, &mut text);
    let found = set.matches(&text, stream, scratch);
    let verdict = follow.step(&text, found);
    scratch.plain_text = text;
    verdict
}

/// The effect that decides a line by itself, with nothing before it: what samples are held to. None is routine.
pub fn decide_effect(set: &RuleSet, line: &[u8], stream: Stream, scratch: &mut Scratch) -> Option<Effect> {
    let mut text = Vec::new();
    strip_ansi(without_newline(line), &mut text);
    let found = set.matches(&text, stream, scratch);
    match found.raised {
        _ if found.drop && !found.keep => Some(Effect::Drop),
        Some(Class::Critical) => Some(Effect::Critical),
        Some(_) => Some(Effect::Anomaly),
        None if found.keep => Some(Effect::Keep),
        None => found.suppressor.map(|_| Effect::Noise),
    }
}

impl Follow {
    /// Whether a line has begun whose end has not come.
    #[must_use]
    pub fn is_mid_line(&self) -> bool {
        self.piece.is_some()
    }

    /// The verdict on a line in which these rules matched, after what came before it.
    fn step(&mut self, text: &[u8], found: Matches) -> Verdict {
        let closes = self.traceback && !text.is_empty() && !is_continuation(text);
        let group = self.group.filter(|_| closes || is_continuation(text));
        let suppressed = Verdict { class: Class::Noise, rule: found.suppressor.map(|(_, rule)| rule) };
        if found.drop && !found.keep {
            if group.is_none() {
                *self = Follow::default();
            }
            return suppressed;
        }
        let raised = found.raised.max(group);
        let header = memmem::find(text, TRACEBACK).is_some();
        self.group = raised;
        self.traceback = raised.is_some() && (header || (self.traceback && group.is_some() && !closes));
        match raised {
            Some(class) => Verdict { class, rule: None },
            None if found.suppressor.is_some() && !found.keep => suppressed,
            None => Verdict::ROUTINE,
        }
    }

    /// Whether the line must be looked at by itself, for it may continue a group.
    fn may_continue(&self, line: &[u8]) -> bool {
        self.group.is_some() && (self.traceback || is_continuation(line) || line.first() == Some(&0x1b))
    }
}

/// The next hit of one search, looked for again only when it has been passed.
struct Next<F> {
    find: F,
    hit: (usize, usize),
    end: usize,
}

impl<F: Fn(usize) -> Option<(usize, usize)>> Next<F> {
    fn new(block: &[u8], find: F) -> Next<F> {
        let end = block.len();
        let hit = find(0).unwrap_or((end, 0));
        Next { find, hit, end }
    }

    /// The first hit at or after `at` (the block's end when there is none), and its pattern.
    fn from(&mut self, at: usize) -> (usize, usize) {
        if self.hit.0 < at {
            self.hit = (self.find)(at).unwrap_or((self.end, 0));
        }
        self.hit
    }
}

/// Walks one block; everything before `at` is in `runs`.
struct Cursor<'a> {
    set: &'a RuleSet,
    block: &'a [u8],
    stream: Stream,
    follow: &'a mut Follow,
    scratch: &'a mut Scratch,
    runs: &'a mut Vec<Run>,
    at: usize,
}

impl Cursor<'_> {
    /// The lines up to `end` are routine; they end any group.
    fn routine(&mut self, end: usize) {
        if self.at < end {
            let lines = memchr_iter(b'\n', &self.block[self.at..end]).count() as u64;
            self.push(end, Verdict::ROUTINE, lines);
        }
    }

    /// Decides the one line up to `end`.
    fn exact(&mut self, end: usize) {
        let line = &self.block[self.at..end];
        let verdict = decide(self.set, line, self.stream, self.follow, self.scratch);
        self.push(end, verdict, 1);
    }

    /// Decides the lines that may continue a critical or anomaly line; at the first that does not, the group is over.
    fn group(&mut self) {
        while self.at < self.block.len() && self.follow.may_continue(&self.block[self.at..]) {
            self.exact(line_end(self.block, self.at));
        }
        if self.at < self.block.len() {
            self.follow.group = None;
            self.follow.traceback = false;
        }
    }

    fn push(&mut self, end: usize, verdict: Verdict, lines: u64) {
        let range = self.at..end;
        self.at = end;
        match self.runs.last_mut() {
            Some(last) if last.verdict == verdict => {
                last.range.end = end;
                last.lines += lines;
            }
            _ => self.runs.push(Run { range, verdict, lines }),
        }
    }
}

/// The end of the line that holds `at`: behind its newline, or the block's end.
fn line_end(block: &[u8], at: usize) -> usize {
    memchr(b'\n', &block[at..]).map_or(block.len(), |newline| at + newline + 1)
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
