//! Lists compiled into one rule set: which rules the fast search can decide by itself, and how the others are decided.
//!
//! Most rules of most lists are plain: one literal, no anchor, noise. A line that only plain rules match is noise, and
//! the leftmost hit is the one it is counted under. All other rules (keep, drop, critical, anomaly, AND, anchored, bound
//! to a stream, `%slower`) are *watched*: one literal of each is looked for, and a line in which one occurs is decided
//! alone and exactly. So two searches that only ever look for the first of some literals decide a whole block.

use super::list::{Effect, Rule};
use super::prefix::Prefixes;
use super::search::{self, Hit, Searcher};
use super::{Class, Stream};
use crate::config::unit;
use memchr::memmem;
use std::ops::Range;
use std::sync::OnceLock;
use std::time::Duration;

/// Index of a rule in its set.
pub type RuleId = u32;

/// Rules, shared by all that use the same lists, and compiled once: when the first line is to be sorted, for many a command
/// prints none.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    searches: OnceLock<Searches>,
}

/// What rules are compiled into.
#[derive(Debug)]
pub(super) struct Searches {
    /// The plain noise rules.
    pub(super) plain: Searcher,
    plain_rules: Vec<RuleId>,
    /// One part of each other rule; a line without one needs no exact decision.
    pub(super) watch: Searcher,
    /// The same literals: which of them begin where the searcher has found the first.
    watch_here: Prefixes,
    /// For each of these literals: what it is the end of.
    spellings: Vec<Spelling>,
    watched: Vec<Watched>,
}

/// A spelling of a watched rule's part.
#[derive(Debug)]
struct Spelling {
    /// Place in `watched`.
    rule: usize,
    /// Place in the part's spellings.
    index: usize,
    /// How many of its bytes stand before the literal that is looked for.
    cut: usize,
}

/// A rule that one of its parts stands for in the search.
#[derive(Debug)]
struct Watched {
    id: RuleId,
    /// Which part that is.
    part: usize,
    /// How the others are found; all of their spellings.
    others: Vec<(usize, Vec<memmem::Finder<'static>>)>,
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
    /// For each watched rule: the last decision in which it was settled.
    settled: Vec<u64>,
    /// The number of the decision.
    decision: u64,
    pub(super) plain_text: Vec<u8>,
}

impl RuleSet {
    /// Takes rules. Their order decides ties only.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> RuleSet {
        RuleSet { rules, searches: OnceLock::new() }
    }

    /// The rules, in the order given.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Which engines were chosen: for plain rules and for watched ones.
    #[must_use]
    pub fn engines(&self) -> (String, String) {
        (self.searches().plain.name(), self.searches().watch.name())
    }

    /// Compiles the rules now, not with the first line.
    pub fn compile(&self) {
        self.searches();
    }

    pub(super) fn searches(&self) -> &Searches {
        self.searches.get_or_init(|| Searches::new(&self.rules))
    }

    /// Every rule that matches one line (without its newline, ANSI sequences removed).
    pub(super) fn matches(&self, text: &[u8], stream: Stream, scratch: &mut Scratch) -> Matches {
        let Searches { plain, watch, .. } = self.searches();
        self.matches_from(text, plain.find(text, 0), watch.find(text, 0), stream, scratch)
    }

    /// The same, where the first hits in the line are known.
    pub(super) fn matches_from(
        &self,
        text: &[u8],
        plain: Option<Hit>,
        watch: Option<Hit>,
        stream: Stream,
        scratch: &mut Scratch,
    ) -> Matches {
        let searches = self.searches();
        let mut found = Matches::default();
        if let Some(hit) = plain {
            let rule = searches.plain_rules[hit.pattern];
            found.suppressor = Some((hit.start, rule));
            found.drop = self.rules[rule as usize].effect == Effect::Drop;
        }
        scratch.decision += 1;
        scratch.settled.resize(searches.watched.len(), 0);
        let mut next = watch;
        while let Some(hit) = next {
            for literal in searches.watch_here.of(&text[hit.start..]) {
                let Spelling { rule: index, index: spelling, cut } = searches.spellings[literal as usize];
                let watched = &searches.watched[index];
                let rule = &self.rules[watched.id as usize];
                let spelling = &rule.parts[watched.part].spellings[spelling];
                let Some(start) = hit.start.checked_sub(cut).filter(|at| text[*at..].starts_with(spelling)) else {
                    continue;
                };
                let settled = &mut scratch.settled[index];
                if *settled == scratch.decision || !rule.holds(watched.part, text, start..start + spelling.len()) {
                    continue;
                }
                // Its other parts occur in the line or do not, wherever this one occurs again.
                *settled = scratch.decision;
                let listens = match stream {
                    Stream::Stdout => rule.stdout,
                    Stream::Stderr => rule.stderr,
                };
                if let Some(start) = watched.leftmost(rule, text, start).filter(|_| listens) {
                    found.add(rule.effect, start, watched.id);
                }
            }
            next = searches.watch.find(text, hit.start + 1);
        }
        found
    }
}

impl Searches {
    fn new(rules: &[Rule]) -> Searches {
        let outranked = rules.iter().any(|r| matches!(r.effect, Effect::Critical | Effect::Anomaly));
        let is_plain = |rule: &Rule| {
            let suppresses = rule.effect == Effect::Noise || (rule.effect == Effect::Drop && !outranked);
            let bare = rule.parts.len() == 1 && !rule.parts[0].at_start && !rule.parts[0].at_end;
            suppresses && bare && rule.stdout && rule.stderr
        };
        let (mut plain, mut plain_rules) = (Vec::new(), Vec::new());
        let (mut watch, mut spellings, mut watched) = (Vec::new(), Vec::new(), Vec::new());
        for (id, rule) in (0..).zip(rules) {
            if is_plain(rule) {
                plain.extend(&rule.parts[0].spellings);
                plain_rules.resize(plain.len(), id);
                continue;
            }
            let part = rarest(rule);
            for (index, spelling) in rule.parts[part].spellings.iter().enumerate() {
                watch.push(spelling.as_slice());
                spellings.push(Spelling { rule: watched.len(), index, cut: 0 });
            }
            watched.push(Watched::new(id, rule, part));
        }
        // Where a rule suppresses, its leftmost occurrence counts, which need not be the one whose cut end is.
        let raises =
            |at: usize| !matches!(rules[watched[spellings[at].rule].id as usize].effect, Effect::Noise | Effect::Drop);
        for (at, cut) in search::cuts(&watch, raises) {
            spellings[at].cut = cut;
            watch[at] = &watch[at][cut..];
        }
        let (plain, watch_here) = (Searcher::new(&plain), Prefixes::new(&watch));
        watch.sort_unstable();
        watch.dedup();
        let watch = Searcher::new(&watch);
        Searches { plain, plain_rules, watch, watch_here, spellings, watched }
    }

    /// The rule of a hit of the plain searcher.
    pub(super) fn plain_rule(&self, pattern: usize) -> RuleId {
        self.plain_rules[pattern]
    }
}

impl Matches {
    /// Adds what a rule does that matches from `start` on.
    fn add(&mut self, effect: Effect, start: usize, id: RuleId) {
        match effect {
            Effect::Keep => self.keep = true,
            Effect::Critical => self.raised = Some(Class::Critical),
            Effect::Anomaly => self.raised = self.raised.max(Some(Class::Anomaly)),
            Effect::Drop | Effect::Noise => {
                self.drop |= effect == Effect::Drop;
                let this = (start, id);
                self.suppressor = Some(self.suppressor.map_or(this, |other| other.min(this)));
            }
        }
    }
}

impl Watched {
    fn new(id: RuleId, rule: &Rule, part: usize) -> Watched {
        let finders =
            |at: usize| rule.parts[at].spellings.iter().map(|s| memmem::Finder::new(s).into_owned()).collect();
        let others = (0..rule.parts.len()).filter(|at| *at != part).map(|at| (at, finders(at))).collect();
        Watched { id, part, others }
    }

    /// The leftmost of the places where the parts first hold, of which one is known; none where one does not.
    fn leftmost(&self, rule: &Rule, text: &[u8], known: usize) -> Option<usize> {
        self.others.iter().try_fold(known, |leftmost, (part, finders)| {
            let first = |finder: &memmem::Finder<'static>| {
                let bytes = finder.needle().len();
                occurrences(finder, text).find(|start| rule.holds(*part, text, *start..start + bytes))
            };
            finders.iter().filter_map(first).min().map(|start| leftmost.min(start))
        })
    }
}

/// Where a literal occurs, its own overlaps included: an anchored one may hold only there.
fn occurrences<'a>(finder: &'a memmem::Finder<'_>, text: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let next = move |from: usize| finder.find(text.get(from..)?).map(|at| from + at);
    std::iter::successors(next(0), move |at| next(at + 1))
}

impl Rule {
    /// Whether an occurrence of a part counts: its anchors and, for `%slower`, the number after it.
    fn holds(&self, part: usize, text: &[u8], at: Range<usize>) -> bool {
        let part = &self.parts[part];
        let ends = || at.end == text.len() || (at.end + 1 == text.len() && text[at.end] == b'\r');
        (!part.at_start || at.start == 0)
            && (!part.at_end || ends())
            && self.slower.is_none_or(|limit| duration_at(&text[at.end..]).is_some_and(|found| found >= limit))
    }
}

/// The part that the searcher looks for on behalf of its rule: the longest, for that occurs in the fewest lines.
fn rarest(rule: &Rule) -> usize {
    (0..rule.parts.len()).max_by_key(|part| rule.parts[*part].spellings[0].len()).expect("a rule has a part")
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
        assert_eq!(RuleSet::new(rules(b"%class drop\nabcd")).engines(), ("memmem".into(), "none".into()));
        assert_eq!(
            RuleSet::new(rules(b"%class drop\nabcd\n%class critical\nefgh")).engines(),
            ("none".into(), "teddy".into())
        );
    }
}
