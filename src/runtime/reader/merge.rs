//! Several logs put together by their stamps.

use super::Reader;
use crate::clock::Wall;
use crate::log::stamp;

/// A line of one of the logs, or a piece of one that is too long.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Which log.
    pub source: usize,
    /// All bytes, with the stamp and the newline, where it has them.
    pub bytes: &'a [u8],
    /// How many of them are the stamp and its space.
    pub stamp_bytes: usize,
    /// The time of its stamp, or of the last that came before it in its log.
    pub time: Option<Wall>,
    /// The line begins with it.
    pub first: bool,
    /// The line ends with it.
    pub last: bool,
}

/// The lines of several logs: the earliest first; where the stamps of one log are not in order, as they stand there. Lines
/// without a stamp, and none before them, come first.
pub struct Merge {
    readers: Vec<Reader>,
    heads: Vec<Head>,
    /// Stamps are looked for.
    stamps: bool,
    /// The log whose line was given out last, and whether there is more of that line.
    last: Option<(usize, bool)>,
}

/// What stands next in one of them.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    is_there: bool,
    stamp_bytes: usize,
    time: Option<Wall>,
}

impl Merge {
    /// Puts these together. Stamps are looked for where somebody wants to know them, or there are several logs.
    #[must_use]
    pub fn new(readers: Vec<Reader>, stamps: bool) -> Merge {
        let heads = vec![Head::default(); readers.len()];
        Merge { stamps: stamps || readers.len() > 1, readers, heads, last: None }
    }

    /// The logs.
    pub fn readers(&mut self) -> &mut [Reader] {
        &mut self.readers
    }

    /// The next line; none while there is none in any of them.
    pub fn next_line(&mut self) -> Option<Line<'_>> {
        let begun = self.last.take();
        for (source, (reader, head)) in self.readers.iter_mut().zip(&mut self.heads).enumerate() {
            if begun.is_some_and(|(last, _)| last == source) {
                head.is_there = false;
            }
            if !head.is_there && reader.advance() {
                head.take(reader, self.stamps);
            }
        }
        let heads = &self.heads;
        let goes_on = begun.filter(|(source, more)| *more && heads[*source].is_there).map(|(source, _)| source);
        let earliest = || (0..heads.len()).filter(|source| heads[*source].is_there).min_by_key(|at| heads[*at].time);
        let source = goes_on.or_else(earliest)?;
        let Head { stamp_bytes, time, .. } = self.heads[source];
        let (first, last) = self.readers[source].edges();
        self.last = Some((source, !last));
        Some(Line { source, bytes: self.readers[source].bytes(), stamp_bytes, time, first, last })
    }
}

impl Head {
    fn take(&mut self, reader: &Reader, stamps: bool) {
        let (first, _) = reader.edges();
        let stamp = stamp::parse(reader.bytes()).filter(|_| stamps && first);
        self.is_there = true;
        self.stamp_bytes = stamp.map_or(0, |(_, bytes)| bytes);
        self.time = stamp.map(|(time, _)| time).or(self.time);
    }
}
