//! The first of many literals in a block: which engine serves how many.
//!
//! Every engine gives the same answer: the leftmost occurrence, and where several patterns begin there, the one that
//! stands first. Teddy (packed SIMD comparison) is the fastest by far up to 64 patterns; beyond that an automaton.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind, Span, packed};
use memchr::memmem;

/// The most patterns that Teddy takes without slowing down.
const TEDDY_PATTERNS_MAX: usize = 64;

/// An occurrence of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) start: usize,
    /// Index of the pattern.
    pub(crate) pattern: usize,
}

#[derive(Debug)]
pub(crate) enum Searcher {
    /// No pattern.
    Never,
    /// One pattern.
    One(Box<memmem::Finder<'static>>),
    /// Up to 64.
    Teddy(packed::Searcher),
    /// Any number.
    Automaton(AhoCorasick),
}

impl Searcher {
    pub(crate) fn new<P: AsRef<[u8]>>(patterns: &[P]) -> Searcher {
        match patterns {
            [] => Searcher::Never,
            [one] => Searcher::One(Box::new(memmem::Finder::new(one.as_ref()).into_owned())),
            many => Searcher::teddy(many).unwrap_or_else(|| Searcher::automaton(many)),
        }
    }

    fn teddy<P: AsRef<[u8]>>(patterns: &[P]) -> Option<Searcher> {
        if patterns.len() > TEDDY_PATTERNS_MAX {
            return None;
        }
        let mut config = packed::Config::new();
        let mut builder = config.match_kind(packed::MatchKind::LeftmostFirst).only_teddy(true).builder();
        builder.extend(patterns.iter().map(AsRef::as_ref)).build().map(Searcher::Teddy)
    }

    fn automaton<P: AsRef<[u8]>>(patterns: &[P]) -> Searcher {
        let built = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(patterns)
            .expect("fewer than 2^31 bytes of patterns");
        Searcher::Automaton(built)
    }

    /// The first occurrence at or after `from`.
    pub(crate) fn find(&self, haystack: &[u8], from: usize) -> Option<Hit> {
        let span = Span::from(from..haystack.len());
        match self {
            Searcher::Never => None,
            Searcher::One(finder) => finder.find(&haystack[from..]).map(|at| Hit { start: from + at, pattern: 0 }),
            Searcher::Teddy(teddy) => teddy.find_in(haystack, span).map(|m| Hit::new(m.start(), m.pattern())),
            Searcher::Automaton(ac) => {
                let input = aho_corasick::Input::new(haystack).span(span);
                ac.find(input).map(|m| Hit::new(m.start(), m.pattern()))
            }
        }
    }

    /// The engine's name, for `-v`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Searcher::Never => "none",
            Searcher::One(_) => "memmem",
            Searcher::Teddy(_) => "teddy",
            Searcher::Automaton(_) => "aho-corasick",
        }
    }
}

impl Hit {
    fn new(start: usize, pattern: aho_corasick::PatternID) -> Hit {
        Hit { start, pattern: pattern.as_usize() }
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
        for from in 0..=haystack.len() {
            assert_eq!(
                searcher.find(haystack, from),
                naive(patterns, haystack, from),
                "{} from {from}",
                searcher.name()
            );
        }
    }

    #[test]
    fn the_number_of_patterns_chooses_the_engine() {
        let names = |n: usize| Searcher::new(&(0..n).map(|i| format!("pattern {i}")).collect::<Vec<_>>()).name();
        assert_eq!([names(0), names(1), names(20), names(64)], ["none", "memmem", "teddy", "teddy"]);
        assert_ne!(names(65), "teddy");
    }

    proptest! {
        #[test]
        fn every_engine_finds_what_a_naive_search_finds(
            patterns in prop::collection::vec(prop::collection::vec(prop::sample::select(&b"ab \xff"[..]), 1..5), 0..90),
            haystack in prop::collection::vec(prop::sample::select(&b"abc \xff"[..]), 0..120),
        ) {
            check(&patterns, &haystack);
        }
    }
}
