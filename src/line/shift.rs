//! The first of thousands of literals, by a shift table (Wu and Manber, "A fast algorithm for multi-pattern searching",
//! TR-94-17, University of Arizona, 1994).
//!
//! A window as long as the shortest literal moves over the text. The last bytes in it say how far it can move before they
//! could be part of the beginning of a literal; where that is not at all, the literals that begin here are looked up.

use super::prefix::Prefixes;

/// How many bytes at the window's end are looked at together.
const GRAM_BYTES: usize = 4;
/// How many bytes at the window's start are looked at before any literal is.
const HEAD_BYTES: usize = 8;
/// The longest move, and so the longest window but for the gram.
const MOVE_MAX: usize = 64;
/// Slots of the table for each different gram of the literals' beginnings, so that most of the text's grams meet an empty one.
const SLOTS_PER_GRAM: usize = 8;
/// The smallest and the largest table have so many bits in their index.
const SLOT_BITS_MIN: u32 = 10;
const SLOT_BITS_MAX: u32 = 18;

/// Literals of at least `ShiftTable::PATTERN_BYTES_MIN` bytes, to be searched for.
#[derive(Debug)]
pub(crate) struct ShiftTable {
    window: usize,
    /// For each hash of a gram: how far the window can move.
    moves: Vec<u8>,
    moves_shift: u32,
    /// For each hash of a head: whether a literal begins with such a one. One bit each.
    heads: Vec<u64>,
    heads_shift: u32,
    prefixes: Prefixes,
}

impl ShiftTable {
    /// The shortest literal that is taken.
    pub(crate) const PATTERN_BYTES_MIN: usize = HEAD_BYTES;

    /// Takes literals, at least one, none shorter than `PATTERN_BYTES_MIN`.
    pub(crate) fn new<P: AsRef<[u8]>>(patterns: &[P]) -> ShiftTable {
        let shortest = patterns.iter().map(|p| p.as_ref().len()).min().unwrap_or(0);
        assert!(shortest >= Self::PATTERN_BYTES_MIN, "a literal is too short for this search");
        let window = shortest.min(MOVE_MAX + GRAM_BYTES - 1);
        let longest_move = window - GRAM_BYTES + 1;
        // As small as it can be: each move waits for a look into it.
        let mut grams: Vec<_> = patterns.iter().flat_map(|p| p.as_ref()[..window].windows(GRAM_BYTES)).collect();
        grams.sort_unstable();
        grams.dedup();
        let bits = (grams.len() * SLOTS_PER_GRAM).ilog2().clamp(SLOT_BITS_MIN, SLOT_BITS_MAX);
        let head_bits = (patterns.len() * SLOTS_PER_GRAM).ilog2().clamp(SLOT_BITS_MIN, SLOT_BITS_MAX);
        let mut table = ShiftTable {
            window,
            moves: vec![longest_move as u8; 1 << bits],
            moves_shift: 32 - bits,
            heads: vec![0; 1 << (head_bits - 6)],
            heads_shift: 64 - head_bits,
            prefixes: Prefixes::new(patterns),
        };
        for pattern in patterns {
            let pattern = pattern.as_ref();
            for end in GRAM_BYTES..=window {
                let slot = table.gram(pattern, end);
                table.moves[slot] = table.moves[slot].min((window - end) as u8);
            }
            let (word, bit) = table.head(pattern, 0);
            table.heads[word] |= bit;
        }
        table
    }

    /// The first place at or after `from` where a literal begins, and the lowest number of those that do.
    pub(crate) fn find(&self, text: &[u8], from: usize) -> Option<(usize, u32)> {
        let mut end = from + self.window;
        while end <= text.len() {
            let ahead = self.moves[self.gram(text, end)];
            if ahead == 0 {
                let start = end - self.window;
                let (word, bit) = self.head(text, start);
                if self.heads[word] & bit != 0
                    && let Some(id) = self.prefixes.of(&text[start..]).min()
                {
                    return Some((start, id));
                }
                end += 1;
            }
            end += usize::from(ahead);
        }
        None
    }

    /// The slot of the gram that ends at `end`.
    #[inline]
    fn gram(&self, text: &[u8], end: usize) -> usize {
        let gram = text[end - GRAM_BYTES..end].first_chunk().map_or(0, |gram| u32::from_le_bytes(*gram));
        (gram.wrapping_mul(0x9e37_79b1) >> self.moves_shift) as usize
    }

    /// Where the bit of the head at `start` is.
    #[inline]
    fn head(&self, text: &[u8], start: usize) -> (usize, u64) {
        let head = text[start..start + HEAD_BYTES].first_chunk().map_or(0, |head| u64::from_le_bytes(*head));
        let hash = head.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.heads_shift;
        ((hash >> 6) as usize, 1 << (hash & 63))
    }
}
