//! What each line is: a block of whole lines in, runs of one class out.
//!
//! Three searches walk the block side by side, each looking for its next hit: a plain noise rule, a watched rule, an
//! ESC byte. Where only a plain rule hits a line, the line is noise; where anything else does, the line is decided alone
//! (`RuleSet::matches`); what no search hits is routine and is passed over in one piece, however many lines it has.
//! After a critical or anomaly line each line is looked at by itself, until one comes that does not continue it.

use super::list::Effect;
use super::rules::{Matches, RuleId, RuleSet, Scratch};
use super::search::{Hit, Scan};
use super::text::{is_continuation, strip_ansi, without_newline};
use super::{Class, Stream};
use memchr::{memchr, memchr_iter, memmem, memrchr};
use std::ops::Range;
use std::sync::LazyLock;

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

/// Neighbouring whole lines of one verdict; of noise, one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where in the block.
    pub range: Range<usize>,
    /// What they are.
    pub verdict: Verdict,
}

impl Run {
    /// How many lines of its block it is.
    #[must_use]
    pub fn lines(&self, block: &[u8]) -> u64 {
        match self.verdict.class {
            Class::Noise => 1,
            _ => count_lines(&block[self.range.clone()]),
        }
    }
}

/// How many whole lines there are.
#[must_use]
pub fn count_lines(lines: &[u8]) -> u64 {
    memchr_iter(b'\n', lines).count() as u64
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
static TRACEBACK_FINDER: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(TRACEBACK));

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
    let searches = set.searches();
    let (plain, watch) = (searches.plain.scan(block), searches.watch.scan(block));
    let mut cursor = Cursor { set, block, stream, follow, scratch, runs, at: 0, plain, watch, escape: None };
    cursor.group();
    while cursor.at < block.len() {
        let doubt = cursor.watch.from(cursor.at).start.min(cursor.escape());
        let noise = cursor.plain.from(cursor.at);
        let hit = noise.start.min(doubt);
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
            cursor.push(end, Verdict { class: Class::Noise, rule: Some(searches.plain_rule(noise.pattern)) });
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
            if group.is_none() || closes {
                *self = Follow::default();
            }
            return suppressed;
        }
        let raised = found.raised.max(group);
        self.group = raised;
        let goes_on = self.traceback && group.is_some() && !closes;
        self.traceback = raised.is_some() && (goes_on || TRACEBACK_FINDER.find(text).is_some());
        match raised {
            Some(class) => Verdict { class, rule: None },
            None if found.suppressor.is_some() && !found.keep => suppressed,
            None => Verdict::ROUTINE,
        }
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
    plain: Scan<'a>,
    watch: Scan<'a>,
    /// The next ESC, once it was looked for; the block's end where there is none.
    escape: Option<usize>,
}

impl Cursor<'_> {
    /// The lines up to `end` are routine; they end any group.
    fn routine(&mut self, end: usize) {
        if self.at < end {
            self.push(end, Verdict::ROUTINE);
        }
    }

    /// The next ESC; the block's end where there is none.
    fn escape(&mut self) -> usize {
        match self.escape {
            Some(at) if at >= self.at => at,
            _ => *self.escape.insert(memchr(0x1b, &self.block[self.at..]).map_or(self.block.len(), |at| self.at + at)),
        }
    }

    /// Decides the one line up to `end`.
    fn exact(&mut self, end: usize) {
        let (set, at, block) = (self.set, self.at, self.block);
        let line = &block[at..end];
        let verdict = if self.escape() < end {
            decide(set, line, self.stream, self.follow, self.scratch)
        } else {
            let here = |hit: Hit| (hit.start < end).then(|| Hit { start: hit.start - at, ..hit });
            let (plain, watch) = (here(self.plain.from(at)), here(self.watch.from(at)));
            let text = without_newline(line);
            self.follow.step(text, set.matches_from(text, plain, watch, self.stream, self.scratch))
        };
        self.push(end, verdict);
    }

    /// Decides the lines that may continue a critical or anomaly line; at the first that does not, the group is over.
    fn group(&mut self) {
        while self.at < self.block.len() && self.may_continue() {
            self.exact(line_end(self.block, self.at));
        }
        if self.at < self.block.len() {
            self.follow.group = None;
            self.follow.traceback = false;
        }
    }

    /// Whether the next line must be looked at by itself, for it may continue a group. What a line with an ESC in it begins
    /// with is not known before that is passed over.
    fn may_continue(&mut self) -> bool {
        let rest = &self.block[self.at..];
        self.follow.group.is_some()
            && (self.follow.traceback || is_continuation(rest) || self.escape() < line_end(self.block, self.at))
    }

    fn push(&mut self, end: usize, verdict: Verdict) {
        let range = self.at..end;
        self.at = end;
        match self.runs.last_mut() {
            Some(last) if last.verdict == verdict && verdict.class != Class::Noise => last.range.end = end,
            _ => self.runs.push(Run { range, verdict }),
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
