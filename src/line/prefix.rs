//! Which of many literals begin at a given place: sorted, so that one binary search finds them all.

/// Literals, sorted, each with the longest other one that is a prefix of it.
#[derive(Debug)]
pub(crate) struct Prefixes {
    /// All literals, one behind the other, in order.
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    /// The number that each was given by its caller.
    ids: Vec<u32>,
    /// The position of each one's longest prefix; its own position where it has none.
    parents: Vec<u32>,
}

impl Prefixes {
    /// Takes literals; the place of each in `patterns` is its number. Of equal ones the first is a prefix of the others.
    pub(crate) fn new<P: AsRef<[u8]>>(patterns: &[P]) -> Prefixes {
        let mut ids: Vec<u32> = (0..patterns.len() as u32).collect();
        let text = |id: u32| patterns[id as usize].as_ref();
        ids.sort_by_key(|id| (text(*id), *id));
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        let mut parents: Vec<u32> = Vec::new();
        // The chain of prefixes of the literal before.
        let mut open: Vec<u32> = Vec::new();
        for (at, &id) in (0..).zip(&ids) {
            while open.last().is_some_and(|parent| !text(id).starts_with(text(ids[*parent as usize]))) {
                open.pop();
            }
            parents.push(open.last().copied().unwrap_or(at));
            open.push(at);
            bytes.extend_from_slice(text(id));
            ends.push(bytes.len());
        }
        Prefixes { bytes, ends, ids, parents }
    }

    /// The numbers of all literals that `text` begins with, longest first.
    pub(crate) fn of<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = u32> + 'a {
        // Whatever is a prefix of `text` is one of the greatest literal that is not above `text`.
        let below = self.count_while(|pattern| pattern <= text);
        let chain = std::iter::successors(below.checked_sub(1), |at| {
            let parent = self.parents[*at] as usize;
            (parent != *at).then_some(parent)
        });
        chain.skip_while(|at| !text.starts_with(self.pattern(*at))).map(|at| self.ids[at])
    }

    fn pattern(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[at]]
    }

    /// How many literals, from the first, hold what holds for the first of them only.
    fn count_while(&self, holds: impl Fn(&[u8]) -> bool) -> usize {
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = low.midpoint(high);
            if holds(self.pattern(middle)) { low = middle + 1 } else { high = middle }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_what_a_look_at_each_finds(
            patterns in prop::collection::vec(prop::collection::vec(prop::sample::select(&b"ab"[..]), 1..5), 0..30),
            text in prop::collection::vec(prop::sample::select(&b"ab"[..]), 0..8),
        ) {
            let mut found: Vec<_> = Prefixes::new(&patterns).of(&text).collect();
            found.sort_unstable();
            let expected: Vec<_> = (0..patterns.len()).filter(|at| text.starts_with(&patterns[*at])).collect();
            prop_assert_eq!(found, expected.into_iter().map(|at| at as u32).collect::<Vec<_>>());
        }
    }
}
