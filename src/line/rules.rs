//! Lists compiled into one rule set: which rules the fast search can decide by itself, and how the others are decided.
//!
//! Most rules of most lists are plain: one literal, no anchor, noise. A line that only plain rules match is noise, and
//! the leftmost hit is the one it is counted under. All other rules (keep, drop, critical, anomaly, AND, anchored, bound
//! to a stream, `%slower`) are *watched*: one literal of each is looked for, and a line in which one occurs is decided
//! alone and exactly. So two searches that only ever look for the first of some literals decide a whole block.

use super::list::{Effect, Part, Rule};
use super::search::Searcher;
use super::{Class, Stream};
use crate::config::unit;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use std::time::Duration;

/// Index of a rule in its set.
pub type RuleId = u32;

/// Rules, compiled once and shared by all that use the same lists.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    /// The plain noise rules.
    pub(super) plain: Searcher,
    plain_rules: Vec<RuleId>,
    /// One literal of each other rule; a line without one needs no exact decision.
    pub(super) watch: Searcher,
    exact: Option<AhoCorasick>,
    /// For each pattern of `exact`: its part.
    pattern_parts: Vec<u32>,
    /// All parts of the watched rules, rule by rule.
    parts: Vec<PartOf>,
    /// The watched rules, and where their parts begin in `parts`.
    watched: Vec<(RuleId, usize)>,
}

/// What `exact` knows of a part.
#[derive(Debug)]
struct PartOf {
    at_start: bool,
    at_end: bool,
    slower: Option<Duration>,
}

/// Which rules match one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Matches {
    pub(super) keep: bool,
    pub(super) drop: bool,
    /// Critical or anomaly.
    pub(super) raised: Option<Class>,
    /// Where the leftmost noise or drop rule matches, and which it is.
    pub(super) suppressor: Option<(usize, RuleId)>,
}

/// Room for one exact decision; kept between decisions so that none allocates.
#[derive(Debug, Default)]
pub struct Scratch {
    /// For each part, where it first occurred.
    first: Vec<Option<usize>>,
    pub(super) plain_text: Vec<u8>,
}

impl RuleSet {
    /// Compiles rules. Their order decides ties only.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> RuleSet {
        let outranked = rules.iter().any(|r| matches!(r.effect, Effect::Critical | Effect::Anomaly));
        let is_plain = |rule: &Rule| {
            let suppresses = rule.effect == Effect::Noise || (rule.effect == Effect::Drop && !outranked);
            let bare = rule.parts.len() == 1 && !rule.parts[0].at_start && !rule.parts[0].at_end;
            suppresses && bare && rule.stdout && rule.stderr
        };
        let (mut plain, mut plain_rules) = (Vec::new(), Vec::new());
        let (mut watch, mut patterns, mut pattern_parts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut parts, mut watched) = (Vec::new(), Vec::new());
        for (id, rule) in (0..).zip(&rules) {
            if is_plain(rule) {
                plain.extend(&rule.parts[0].spellings);
                plain_rules.resize(plain.len(), id);
                continue;
            }
            watch.extend(&rarest(rule).spellings);
            watched.push((id, parts.len()));
            for part in &rule.parts {
                patterns.extend(&part.spellings);
                pattern_parts.resize(patterns.len(), parts.len() as u32);
                parts.push(PartOf { at_start: part.at_start, at_end: part.at_end, slower: rule.slower });
            }
        }
        let (plain, watch) = (Searcher::new(&plain), Searcher::new(&watch));
        let exact = (!patterns.is_empty()).then(|| {
            AhoCorasick::builder()
                .match_kind(MatchKind::Standard)
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .build(&patterns)
                .expect("fewer than 2^31 bytes of patterns")
        });
        RuleSet { plain, plain_rules, watch, exact, pattern_parts, parts, watched, rules }
    }

    /// The rules, in the order given.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Which engines were chosen: for plain rules and for watched ones.
    #[must_use]
    pub fn engines(&self) -> (&'static str, &'static str) {
        (self.plain.name(), self.watch.name())
    }

    /// The rule of a hit of the plain searcher.
    pub(super) fn plain_rule(&self, pattern: usize) -> RuleId {
        self.plain_rules[pattern]
    }

    /// Every rule that matches one line (without its newline, ANSI sequences removed).
    pub(super) fn matches(&self, text: &[u8], stream: Stream, scratch: &mut Scratch) -> Matches {
        let mut found = Matches::default();
        if let Some(hit) = self.plain.find(text, 0) {
            found.suppressor = Some((hit.start, self.plain_rules[hit.pattern]));
            found.drop = self.rules[self.plain_rules[hit.pattern] as usize].effect == Effect::Drop;
        }
        let Some(exact) = &self.exact else { return found };
        let first = &mut scratch.first;
        first.clear();
        first.resize(self.parts.len(), None);
        let mut any = false;
        for hit in exact.find_overlapping_iter(text) {
            let part = self.pattern_parts[hit.pattern()] as usize;
            if self.parts[part].holds(text, hit.start(), hit.end()) {
                any = true;
                first[part] = Some(first[part].map_or(hit.start(), |at| at.min(hit.start())));
            }
        }
        if any {
            for &(id, parts_at) in &self.watched {
                self.apply(id, &first[parts_at..], stream, &mut found);
            }
        }
        found
    }

    /// Adds what a watched rule does, where all of its parts occurred.
    fn apply(&self, id: RuleId, first: &[Option<usize>], stream: Stream, found: &mut Matches) {
        let rule = &self.rules[id as usize];
        let listens = match stream {
            Stream::Stdout => rule.stdout,
            Stream::Stderr => rule.stderr,
        };
        let all = first[..rule.parts.len()].iter().try_fold(usize::MAX, |least, at| at.map(|at| least.min(at)));
        let Some(start) = all.filter(|_| listens) else { return };
        match rule.effect {
            Effect::Keep => found.keep = true,
            Effect::Critical => found.raised = Some(Class::Critical),
            Effect::Anomaly => found.raised = found.raised.max(Some(Class::Anomaly)),
            Effect::Drop | Effect::Noise => {
                found.drop |= rule.effect == Effect::Drop;
                let this = (start, id);
                found.suppressor = Some(found.suppressor.map_or(this, |other| other.min(this)));
            }
        }
    }
}

impl PartOf {
    /// Whether an occurrence counts: its anchors and, for `%slower`, the number after it.
    fn holds(&self, text: &[u8], start: usize, end: usize) -> bool {
        let ends = || end == text.len() || (end + 1 == text.len() && text[end] == b'\r');
        (!self.at_start || start == 0)
            && (!self.at_end || ends())
            && self.slower.is_none_or(|limit| duration_at(&text[end..]).is_some_and(|found| found >= limit))
    }
}

/// The part that the searcher looks for on behalf of its rule: the longest, for that occurs in the fewest lines.
fn rarest(rule: &Rule) -> &Part {
    rule.parts.iter().max_by_key(|part| part.spellings[0].len()).expect("a rule has a part")
}

/// The duration at the start of `text`, blanks skipped: `12ms`, `0.8 s`, `3` (seconds). Units: ns us ms s m; a number
/// that another unit is attached to is none.
fn duration_at(text: &[u8]) -> Option<Duration> {
    let skip = |text: &[u8], class: fn(&u8) -> bool| text.iter().take_while(|b| class(b)).count();
    let text = &text[skip(text, |b| matches!(b, b' ' | b'\t'))..];
    let digits = skip(text, |b| b.is_ascii_digit() || *b == b'.');
    let number = std::str::from_utf8(&text[..digits]).ok()?.trim_end_matches('.');
    let rest = &text[digits..];
    let blanks = skip(rest, |b| matches!(b, b' ' | b'\t'));
    let letters = skip(&rest[blanks..], u8::is_ascii_alphabetic);
    let unit = match &rest[blanks..blanks + letters] {
        b"ns" => "ns",
        b"us" => "us",
        b"ms" => "ms",
        b"m" => "m",
        b"s" | b"" => "s",
        _ if blanks > 0 => "s",
        _ => return None,
    };
    unit::parse_duration(&format!("{number}{unit}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_a_line() {
        let ms = |text: &str| duration_at(text.as_bytes()).map(|d| d.as_millis());
        assert_eq!(ms("12ms."), Some(12));
        assert_eq!(ms("  0.8 s"), Some(800));
        assert_eq!(ms("3"), Some(3000));
        assert_eq!(ms("3."), Some(3000));
        assert_eq!(ms("2m"), Some(120_000));
        assert_eq!(ms("1500us,"), Some(1));
        assert_eq!(ms("7 rows"), Some(7000));
        assert_eq!(ms("7rows"), None);
        assert_eq!(ms("7000000 ns"), Some(7));
        assert_eq!(ms("x"), None);
        assert_eq!(ms(""), None);
        assert_eq!(ms("99999999999999999999"), None);
    }

    #[test]
    fn a_plain_drop_rule_is_watched_only_where_something_outranks_noise() {
        let rules = |text: &[u8]| super::super::list::parse("t", text, &mut |_, _| Err(String::new())).unwrap().rules;
        assert_eq!(RuleSet::new(rules(b"%class drop\nabcd")).engines(), ("memmem", "none"));
        assert_eq!(RuleSet::new(rules(b"%class drop\nabcd\n%class critical\nefgh")).engines(), ("none", "teddy"));
    }
}
