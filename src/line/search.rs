//! The first of many literals in a block: which engine serves how many.
//!
//! Every engine gives the same answer: the leftmost occurrence, and where several patterns begin there, the one that
//! stands first. Teddy (packed SIMD comparison) is the fastest by far up to 64 patterns. Beyond that the longer ones go
//! into a shift table, which is the faster the longer its shortest pattern is; the short ones are searched for beside it.

use super::shift::ShiftTable;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind, Span, packed};
use memchr::memmem;

/// The most patterns that Teddy takes without slowing down.
const TEDDY_PATTERNS_MAX: usize = 64;

/// An occurrence of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Where it begins.
    pub start: usize,
    /// Index of the pattern.
    pub pattern: usize,
}

/// Patterns, compiled for searching.
#[derive(Debug)]
pub struct Searcher {
    engines: Vec<Part>,
}

/// Some of the patterns, and the engine for them.
#[derive(Debug)]
struct Part {
    engine: Engine,
    /// The index of each of its patterns among all; in rising order.
    patterns: Vec<u32>,
}

#[derive(Debug)]
enum Engine {
    /// One pattern.
    One(Box<memmem::Finder<'static>>),
    /// Up to 64.
    Teddy(packed::Searcher),
    /// Any number, none short.
    Shift(ShiftTable),
    /// Any number.
    Automaton(AhoCorasick),
}

impl Searcher {
    /// Compiles patterns, none of them empty.
    #[must_use]
    pub fn new<P: AsRef<[u8]>>(patterns: &[P]) -> Searcher {
        let bytes = |index: &u32| patterns[*index as usize].as_ref();
        let all = 0..patterns.len() as u32;
        let is_long =
            |index: &u32| patterns.len() > TEDDY_PATTERNS_MAX && bytes(index).len() >= ShiftTable::PATTERN_BYTES_MIN;
        let (long, short): (Vec<u32>, Vec<u32>) = all.partition(is_long);
        let part = |patterns: Vec<u32>, engine: fn(&[&[u8]]) -> Engine| {
            let texts: Vec<_> = patterns.iter().map(bytes).collect();
            (!patterns.is_empty()).then(|| Part { engine: engine(&texts), patterns })
        };
        let engines = [part(long, |texts| Engine::Shift(ShiftTable::new(texts))), part(short, Engine::for_few)];
        Searcher { engines: engines.into_iter().flatten().collect() }
    }

    /// The first occurrence at or after `from`.
    #[must_use]
    pub fn find(&self, haystack: &[u8], from: usize) -> Option<Hit> {
        self.engines.iter().filter_map(|part| part.find(haystack, from)).min()
    }

    /// Walks over a block, from hit to hit.
    #[must_use]
    pub fn scan<'a>(&'a self, haystack: &'a [u8]) -> Scan<'a> {
        let unknown = Hit { start: 0, pattern: UNKNOWN };
        Scan { engines: &self.engines, haystack, next: [unknown; ENGINES_MAX] }
    }

    /// The engines' names, for `-v`.
    #[must_use]
    pub fn name(&self) -> String {
        let names: Vec<_> = self.engines.iter().map(|part| part.engine.name()).collect();
        if names.is_empty() { "none".into() } else { names.join(" and ") }
    }
}

/// How many bytes of a pattern Teddy compares at once, before it looks at the rest.
const TEDDY_HEAD_BYTES: usize = 4;

/// Where to begin to look for patterns, of those that may be looked for by an end of theirs: `(index, bytes to leave out)`.
/// What Teddy serves is cut so that few different bytes begin the literals (`ERRO` for ` ERROR ` and `[ERROR]`): each such
/// head costs a look at all that resembles it. Half of a pattern stays, or its end would be found in other words.
#[must_use]
pub fn cuts(patterns: &[&[u8]], may_cut: impl Fn(usize) -> bool) -> Vec<(usize, usize)> {
    let mut cuts = Vec::new();
    if patterns.len() > TEDDY_PATTERNS_MAX {
        return cuts;
    }
    // Each head that a pattern could have, at the first place where it does.
    let mut left: Vec<(usize, usize, &[u8])> = Vec::new();
    for at in (0..patterns.len()).filter(|at| may_cut(*at)) {
        let bytes = patterns[at].len();
        let heads = patterns[at][..bytes.min(bytes / 2 + TEDDY_HEAD_BYTES)].windows(TEDDY_HEAD_BYTES).enumerate();
        let firsts = heads.filter(|(cut, head)| memmem::find(patterns[at], head) == Some(*cut));
        left.extend(firsts.map(|(cut, head)| (at, cut, head)));
    }
    let mut heads: Vec<_> = left.iter().map(|(_, _, head)| *head).collect();
    heads.sort_unstable();
    heads.dedup();
    let place = |head: &[u8]| heads.partition_point(|other| *other < head);
    let mut left: Vec<_> = left.into_iter().map(|(at, cut, head)| (at, cut, place(head))).collect();
    let mut shares = vec![0; heads.len()];
    left.iter().for_each(|(_, _, head)| shares[*head] += 1);
    // The head that most of them share, then the one that most of the rest share.
    while let Some(&(_, _, chosen)) = left.iter().rev().max_by_key(|(_, _, head)| shares[*head]) {
        let found: Vec<_> =
            left.iter().filter(|(_, _, head)| *head == chosen).map(|(at, cut, _)| (*at, *cut)).collect();
        left.retain(|(at, _, head)| {
            let stays = found.iter().all(|(other, _)| other != at);
            shares[*head] -= usize::from(!stays);
            stays
        });
        cuts.extend(found);
    }
    cuts
}

/// There is one for long patterns and one for short ones.
const ENGINES_MAX: usize = 2;
/// The pattern of a hit that has not been looked for.
const UNKNOWN: usize = usize::MAX;

/// The next hit of each engine in a block, looked for again only when it has been passed.
#[derive(Debug)]
pub struct Scan<'a> {
    engines: &'a [Part],
    haystack: &'a [u8],
    next: [Hit; ENGINES_MAX],
}

impl Scan<'_> {
    /// The first occurrence at or after `from`, which never goes back; at the haystack's end where there is none.
    #[inline]
    pub fn from(&mut self, from: usize) -> Hit {
        let none = Hit { start: self.haystack.len(), pattern: UNKNOWN };
        let mut first = none;
        for (part, next) in self.engines.iter().zip(&mut self.next) {
            if next.start < from || (next.pattern == UNKNOWN && next.start == 0) {
                *next = part.find(self.haystack, from).unwrap_or(none);
            }
            first = first.min(*next);
        }
        first
    }
}

impl Part {
    fn find(&self, haystack: &[u8], from: usize) -> Option<Hit> {
        let (start, pattern) = self.engine.find(haystack, from)?;
        Some(Hit { start, pattern: self.patterns[pattern] as usize })
    }
}

impl Engine {
    fn for_few(patterns: &[&[u8]]) -> Engine {
        match patterns {
            [one] => Engine::One(Box::new(memmem::Finder::new(one).into_owned())),
            many => Engine::teddy(many).unwrap_or_else(|| Engine::automaton(many)),
        }
    }

    fn teddy(patterns: &[&[u8]]) -> Option<Engine> {
        if patterns.len() > TEDDY_PATTERNS_MAX {
            return None;
        }
        let mut config = packed::Config::new();
        let mut builder = config.match_kind(packed::MatchKind::LeftmostFirst).only_teddy(true).builder();
        builder.extend(patterns).build().map(Engine::Teddy)
    }

    fn automaton(patterns: &[&[u8]]) -> Engine {
        let built = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(patterns)
            .expect("fewer than 2^31 bytes of patterns");
        Engine::Automaton(built)
    }

    fn find(&self, haystack: &[u8], from: usize) -> Option<(usize, usize)> {
        let span = Span::from(from..haystack.len());
        match self {
            Engine::One(finder) => finder.find(&haystack[from..]).map(|at| (from + at, 0)),
            Engine::Teddy(teddy) => teddy.find_in(haystack, span).map(|m| (m.start(), m.pattern().as_usize())),
            Engine::Shift(table) => table.find(haystack, from).map(|(start, id)| (start, id as usize)),
            Engine::Automaton(ac) => {
                let input = aho_corasick::Input::new(haystack).span(span);
                ac.find(input).map(|m| (m.start(), m.pattern().as_usize()))
            }
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Engine::One(_) => "memmem",
            Engine::Teddy(_) => "teddy",
            Engine::Shift(_) => "shift table",
            Engine::Automaton(_) => "aho-corasick",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(patterns: &[Vec<u8>], haystack: &[u8], from: usize) -> Option<Hit> {
        (from..haystack.len()).find_map(|start| {
            let pattern = patterns.iter().position(|p| haystack[start..].starts_with(p))?;
            Some(Hit { start, pattern })
        })
    }

    fn check(patterns: &[Vec<u8>], haystack: &[u8]) {
        let searcher = Searcher::new(patterns);
        let mut scan = searcher.scan(haystack);
        for from in 0..=haystack.len() {
            let expected = naive(patterns, haystack, from);
            assert_eq!(searcher.find(haystack, from), expected, "{} from {from}", searcher.name());
            assert_eq!(Some(scan.from(from)).filter(|hit| hit.start < haystack.len()), expected, "scan from {from}");
        }
    }

    #[test]
    fn the_patterns_choose_the_engine() {
        let names = |n: usize| Searcher::new(&(0..n).map(|i| format!("pattern {i}")).collect::<Vec<_>>()).name();
        assert_eq!([names(0), names(1), names(20), names(64)], ["none", "memmem", "teddy", "teddy"]);
        assert_eq!(names(65), "shift table");
        let mixed: Vec<_> =
            (0..200).map(|i| if i < 30 { format!("p{i:02}") } else { format!("pattern {i}") }).collect();
        assert_eq!(Searcher::new(&mixed).name(), "shift table and teddy");
        assert_eq!(Searcher::new(&(0..200).map(|i| format!("p{i:03}")).collect::<Vec<_>>()).name(), "aho-corasick");
    }

    fn words(lengths: std::ops::Range<usize>, counts: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Vec<u8>>> {
        let word = prop::collection::vec(prop::sample::select(&b"ab \xff"[..]), lengths);
        prop::collection::vec(word, counts)
    }

    proptest! {
        #[test]
        fn every_engine_finds_what_a_naive_search_finds(
            patterns in words(1..5, 0..90),
            haystack in prop::collection::vec(prop::sample::select(&b"abc \xff"[..]), 0..120),
        ) {
            check(&patterns, &haystack);
        }

        /// The haystack is made of patterns and pieces of them, so that long ones occur.
        #[test]
        fn so_do_the_engines_for_many(
            long in words(8..20, 65..120),
            short in words(1..8, 0..80),
            picks in prop::collection::vec((any::<prop::sample::Index>(), 0usize..4, 0usize..3), 0..12),
        ) {
            let patterns: Vec<_> = short.into_iter().chain(long).collect();
            let mut haystack = Vec::new();
            for (pick, skip, cut) in picks {
                let pattern = pick.get(&patterns);
                haystack.extend(&pattern[skip.min(pattern.len())..pattern.len().saturating_sub(cut).max(skip.min(pattern.len()))]);
            }
            check(&patterns, &haystack);
        }
    }
}
