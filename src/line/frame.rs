//! Where lines end: what was read in, whole lines out, whatever the chunks were.
//!
//! One `Block` serves all streams of a thread. It keeps three indices, `taken ≤ searched ≤ filled`: what has been given
//! out, how far there is known to be no newline, and how far bytes were read. Between reads the unfinished line stands
//! at the front; a stream that rests stashes it in its own `Tail`.
//!
//! A line longer than the cap is given out in pieces of exactly that many bytes, wherever the reads fell.

use memchr::{memchr, memrchr};
use std::ops::Range;

/// How much is read at once.
pub const READ_BYTES: usize = 256 * 1024;

/// Room before and behind the bytes, for what is put beside a range (`Block::between`).
const EDGE_BYTES: usize = 64;

/// What can be taken from a block: a range of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Whole lines, none longer than the cap, each with its newline.
    Lines(Range<usize>),
    /// A piece of a line longer than the cap. The last piece ends in the newline.
    Piece {
        /// Where it is.
        range: Range<usize>,
        /// The line begins with it.
        first: bool,
        /// The line ends with it.
        last: bool,
    },
}

/// What a stream that rests has left: its unfinished line, and before that what could not be written yet.
#[derive(Debug, Default)]
pub struct Tail {
    bytes: Vec<u8>,
    mid_line: bool,
}

impl Tail {
    /// How many bytes are held back.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is held back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// The buffer that lines are cut from.
#[derive(Debug)]
pub struct Block {
    bytes: Vec<u8>,
    /// Everything before has been given out.
    taken: usize,
    /// There is no newline in `taken..searched`.
    searched: usize,
    /// Everything before has been read.
    filled: usize,
    /// What stands at `taken` goes on with a line whose first piece has been given out.
    mid_line: bool,
    line_bytes_max: usize,
}

/// The room for so many bytes that are held back, and what is read behind them.
fn room_bytes(held: usize) -> usize {
    EDGE_BYTES + held + READ_BYTES + EDGE_BYTES
}

impl Block {
    /// A block for lines of up to `line_bytes_max` bytes (newline not counted). Memory is used as far as it is filled.
    ///
    /// # Panics
    /// If the cap is zero.
    #[must_use]
    pub fn new(line_bytes_max: usize) -> Block {
        assert!(line_bytes_max > 0, "a line has at least one byte");
        let bytes = vec![0; room_bytes(line_bytes_max + 1)];
        let start = EDGE_BYTES;
        Block { bytes, taken: start, searched: start, filled: start, mid_line: false, line_bytes_max }
    }

    /// Room for the next read; call `read` with how much of it was filled.
    pub fn room(&mut self) -> &mut [u8] {
        self.bytes.copy_within(self.taken..self.filled, EDGE_BYTES);
        self.searched -= self.taken - EDGE_BYTES;
        self.filled -= self.taken - EDGE_BYTES;
        self.taken = EDGE_BYTES;
        &mut self.bytes[self.filled..self.filled + READ_BYTES]
    }

    /// So many bytes of `room` now hold what was read.
    pub fn read(&mut self, bytes: usize) {
        self.filled += bytes;
        debug_assert!(self.filled <= self.bytes.len() - EDGE_BYTES);
    }

    /// The bytes of a cut.
    #[must_use]
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// The bytes of a cut, for closing them up in place.
    pub fn bytes_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        &mut self.bytes[range]
    }

    /// Looks at the bytes of a cut with others beside them, at most 64 on each side. A long piece is not copied for that.
    pub fn between<T>(&mut self, before: &[u8], range: Range<usize>, after: &[u8], look: impl FnOnce(&[u8]) -> T) -> T {
        let (start, end) = (range.start - before.len(), range.end + after.len());
        // What stands before has been given out, or is the edge; what stands behind comes back.
        self.bytes[start..range.start].copy_from_slice(before);
        let mut behind = [0; EDGE_BYTES];
        behind[..after.len()].copy_from_slice(&self.bytes[range.end..end]);
        self.bytes[range.end..end].copy_from_slice(after);
        let seen = look(&self.bytes[start..end]);
        self.bytes[range.end..end].copy_from_slice(&behind[..after.len()]);
        seen
    }

    /// How many bytes are held back because their line is not finished.
    #[must_use]
    pub fn held(&self) -> usize {
        self.filled - self.taken
    }

    /// The next lines or piece, until there is none and more must be read.
    pub fn cut(&mut self) -> Option<Cut> {
        if self.mid_line {
            return self.cut_rest();
        }
        let newline = memrchr(b'\n', &self.bytes[self.searched..self.filled]).map(|at| self.searched + at);
        let end = match newline {
            Some(at) => self.end_within_cap(at + 1),
            None => {
                self.searched = self.filled;
                self.taken
            }
        };
        if end > self.taken {
            let range = self.take(end);
            return Some(Cut::Lines(range));
        }
        (self.held() > self.line_bytes_max).then(|| {
            self.mid_line = true;
            let range = self.take(self.taken + self.line_bytes_max);
            Cut::Piece { range, first: true, last: false }
        })
    }

    /// The unfinished line, as a piece, though it is not over the cap: where many streams have such lines, one of them
    /// must make room. To be called when there is nothing else to take.
    pub fn cut_short(&mut self) -> Option<Cut> {
        (self.held() > 0).then(|| {
            let first = !std::mem::replace(&mut self.mid_line, true);
            Cut::Piece { range: self.take(self.filled), first, last: false }
        })
    }

    /// What is left at the end of the stream: a line without newline, or the rest of one. True when the line begins
    /// with it.
    pub fn rest(&mut self) -> Option<(Range<usize>, bool)> {
        let first = !std::mem::take(&mut self.mid_line);
        (self.held() > 0).then(|| (self.take(self.filled), first))
    }

    /// Gives back what is held of an unfinished line, to be read again: so many bytes.
    pub fn forget(&mut self) -> usize {
        let held = self.held();
        self.filled = self.taken;
        self.searched = self.taken;
        held
    }

    /// Whether the line under way had pieces before.
    #[must_use]
    pub fn mid_line(&self) -> bool {
        self.mid_line
    }

    /// Puts at the front what a stream has left, whose lines have up to `line_bytes_max` bytes. The block must hold
    /// nothing.
    pub fn load(&mut self, tail: &mut Tail, line_bytes_max: usize) {
        debug_assert_eq!(self.held(), 0, "another stream's tail is still in the block");
        let Tail { bytes, mid_line } = std::mem::take(tail);
        // A stream that could not be written has whole lines in its tail, too.
        let room = room_bytes(bytes.len().max(line_bytes_max + 1));
        if room > self.bytes.len() {
            self.bytes = vec![0; room];
        }
        let end = EDGE_BYTES + bytes.len();
        self.bytes[EDGE_BYTES..end].copy_from_slice(&bytes);
        (self.taken, self.searched, self.filled) = (EDGE_BYTES, EDGE_BYTES, end);
        (self.mid_line, self.line_bytes_max) = (mid_line, line_bytes_max);
    }

    /// Takes out what is left, so that another stream can be read.
    pub fn stash(&mut self, tail: &mut Tail) {
        tail.bytes.extend_from_slice(&self.bytes[self.taken..self.filled]);
        if tail.bytes.is_empty() {
            tail.bytes = Vec::new();
        }
        tail.mid_line = std::mem::take(&mut self.mid_line);
        (self.taken, self.searched, self.filled) = (EDGE_BYTES, EDGE_BYTES, EDGE_BYTES);
    }

    fn take(&mut self, end: usize) -> Range<usize> {
        let range = self.taken..end;
        self.taken = end;
        self.searched = self.searched.max(end);
        range
    }

    /// The next piece of a line whose first piece has been given out.
    fn cut_rest(&mut self) -> Option<Cut> {
        let held = &self.bytes[self.taken..self.filled];
        let window = &held[..held.len().min(self.line_bytes_max + 1)];
        let (length, last) = match memchr(b'\n', window) {
            Some(newline) => (newline + 1, true),
            None if held.len() > self.line_bytes_max => (self.line_bytes_max, false),
            None => return None,
        };
        self.mid_line = !last;
        let range = self.take(self.taken + length);
        Some(Cut::Piece { range, first: false, last })
    }

    /// The end of the whole lines in `taken..end` that come before the first line over the cap.
    fn end_within_cap(&self, end: usize) -> usize {
        let mut start = self.taken;
        while end - start > self.line_bytes_max + 1 {
            let window = start + self.line_bytes_max + 1;
            match memrchr(b'\n', &self.bytes[start..window]) {
                Some(newline) => start += newline + 1,
                None => return start,
            }
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a block gives for a stream in these chunks: `(bytes, is a piece, first, last)`, lines one by one.
    fn frames(cap: usize, chunks: &[&[u8]], stash: bool) -> Vec<(Vec<u8>, bool, bool, bool)> {
        let (mut block, mut tail, mut out) = (Block::new(cap), Tail::default(), Vec::new());
        for chunk in chunks {
            block.room()[..chunk.len()].copy_from_slice(chunk);
            block.read(chunk.len());
            if stash {
                // Nothing of it can be written yet.
                block.stash(&mut tail);
                block.load(&mut tail, cap);
            }
            while let Some(cut) = block.cut() {
                match cut {
                    Cut::Lines(range) => {
                        let lines = block.bytes(range).split_inclusive(|b| *b == b'\n');
                        out.extend(lines.map(|line| (line.to_vec(), false, true, true)));
                    }
                    Cut::Piece { range, first, last } => out.push((block.bytes(range).to_vec(), true, first, last)),
                }
            }
        }
        if let Some((range, first)) = block.rest() {
            out.push((block.bytes(range).to_vec(), !first, first, false));
        }
        out
    }

    #[test]
    fn what_is_put_beside_a_piece_leaves_no_trace() {
        let mut block = Block::new(4);
        block.room()[..9].copy_from_slice(b"abcdefgh\n");
        block.read(9);
        for (expected, mark) in [(&b"[abcd]"[..], &b"]"[..]), (b"[efgh\n", b"")] {
            let Some(Cut::Piece { range, .. }) = block.cut() else { panic!("a line over the cap") };
            assert_eq!(block.between(b"[", range, mark, <[u8]>::to_vec), expected);
        }
    }

    #[test]
    fn a_line_that_must_make_room_is_a_piece() {
        let mut block = Block::new(100);
        let feed = |block: &mut Block, bytes: &[u8]| {
            block.room()[..bytes.len()].copy_from_slice(bytes);
            block.read(bytes.len());
        };
        feed(&mut block, b"abc");
        assert_eq!((block.cut(), block.held()), (None, 3));
        let Some(Cut::Piece { range, first: true, last: false }) = block.cut_short() else { panic!("a first piece") };
        assert_eq!(block.bytes(range), b"abc");
        assert_eq!(block.cut_short(), None);
        feed(&mut block, b"d\ne\n");
        let Some(Cut::Piece { range, first: false, last: true }) = block.cut() else { panic!("the last piece") };
        assert_eq!(block.bytes(range), b"d\n");
        assert!(matches!(block.cut(), Some(Cut::Lines(range)) if block.bytes(range.clone()) == b"e\n"));
    }

    #[test]
    fn a_block_grows_with_the_longest_cap() {
        let (mut block, mut tail) = (Block::new(4), Tail::default());
        block.load(&mut tail, 4 * READ_BYTES);
        for _ in 0..4 {
            block.room().fill(b'x');
            block.read(READ_BYTES);
            assert_eq!(block.cut(), None);
        }
        block.stash(&mut tail);
        assert_eq!(tail.len(), 4 * READ_BYTES);
        block.load(&mut tail, 4);
        assert_eq!(tail.len(), 0);
        assert!(matches!(block.cut(), Some(Cut::Piece { range, first: true, .. }) if range.len() == 4));
    }

    #[test]
    fn whole_lines_only() {
        let got = frames(100, &[b"one\ntw", b"o\nthree", b"", b"\n\nend"], false);
        let lines: Vec<_> = got.iter().map(|f| f.0.as_slice()).collect();
        assert_eq!(lines, [&b"one\n"[..], b"two\n", b"three\n", b"\n", b"end"]);
    }

    #[test]
    fn long_lines_come_in_pieces() {
        let got = frames(4, &[b"abcd\nabcdefghi\nxy\nabcdefgh\nabcdefgh"], false);
        let shape: Vec<_> = got.iter().map(|(b, piece, first, last)| (b.as_slice(), *piece, *first, *last)).collect();
        let expected = [
            (&b"abcd\n"[..], false, true, true),
            (b"abcd", true, true, false),
            (b"efgh", true, false, false),
            (b"i\n", true, false, true),
            (b"xy\n", false, true, true),
            (b"abcd", true, true, false),
            (b"efgh\n", true, false, true),
            (b"abcd", true, true, false),
            (b"efgh", true, false, false),
        ];
        assert_eq!(shape, expected);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(
            bytes in prop::collection::vec(prop::sample::select(&b"ab\n\n\0"[..]), 0..200),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
            cap in 1usize..12,
            stash: bool,
        ) {
            let mut cuts: Vec<_> = cuts.iter().map(|i| i.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            let got = frames(cap, &chunks, stash);
            prop_assert_eq!(got.iter().flat_map(|f| f.0.clone()).collect::<Vec<_>>(), bytes.clone(), "nothing lost");
            prop_assert_eq!(&got, &frames(cap, &[&bytes], false));
            for (frame, piece, _, last) in &got {
                let content = frame.strip_suffix(b"\n").unwrap_or(frame);
                prop_assert!(content.len() <= cap && !content.contains(&b'\n') && !content.is_empty() || !piece || *last);
            }
        }
    }
}
