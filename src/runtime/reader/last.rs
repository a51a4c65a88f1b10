//! Where the last lines of a file begin.

use memchr::{memchr_iter, memrchr_iter};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// How much is looked at together.
const CHUNK_BYTES: usize = 64 << 10;

/// A place in a file: behind so many bytes, and then so many lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) bytes: u64,
    pub(super) lines: u64,
    /// How many lines there are from here on.
    pub(super) left: u64,
}

/// In the first `end` bytes of a file as written: it is looked at from its end.
///
/// # Errors
/// As pread(2).
pub(super) fn of_file(file: &File, end: u64, wanted: u64) -> io::Result<Start> {
    if wanted == 0 {
        return Ok(Start { bytes: end, ..Start::default() });
    }
    // The newline at the very end does not stand before a line.
    let is_torn = end > 0 && whole(file, end)? < end;
    let nth = wanted.saturating_add(u64::from(!is_torn));
    let (bytes, found) = behind_newline(file, end, nth)?;
    let left = if found == nth { wanted } else { found + u64::from(is_torn) };
    Ok(Start { bytes, lines: 0, left })
}

/// The end of the last whole line in the first `end` bytes.
///
/// # Errors
/// As pread(2).
pub(super) fn whole(file: &File, end: u64) -> io::Result<u64> {
    behind_newline(file, end, 1).map(|(at, _)| at)
}

/// The place behind the `nth` newline before `end`, and how many there are from there on; the beginning where there are
/// fewer.
fn behind_newline(file: &File, mut end: u64, nth: u64) -> io::Result<(u64, u64)> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut found = 0;
    while end > 0 && found < nth {
        let start = end.saturating_sub(CHUNK_BYTES as u64);
        let chunk = &mut chunk[..(end - start) as usize];
        file.read_exact_at(chunk, start)?;
        for at in memrchr_iter(b'\n', chunk) {
            found += 1;
            if found == nth {
                return Ok((start + at as u64 + 1, found));
            }
        }
        end = start;
    }
    Ok((0, found))
}

/// In a stream, which has to be read for that. What cannot be read of it has no lines.
pub(super) fn of_stream(mut stream: impl Read, wanted: u64) -> Start {
    let mut chunk = vec![0; CHUNK_BYTES];
    let (mut lines, mut is_torn) = (0, false);
    while let Ok(bytes @ 1..) = stream.read(&mut chunk) {
        lines += memchr_iter(b'\n', &chunk[..bytes]).count() as u64;
        is_torn = chunk[bytes - 1] != b'\n';
    }
    lines += u64::from(is_torn);
    let left = lines.min(wanted);
    Start { bytes: 0, lines: lines - left, left }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    proptest! {
        #[test]
        fn the_last_lines(
            lines in prop::collection::vec(prop::sample::select(vec!["\n", "a\n", "bc\n", "long"]), 0..9),
            repeated in prop::sample::select(vec![1, 40_000]),
            wanted in 0u64..12,
        ) {
            let text = lines.concat().repeat(repeated);
            let all: Vec<_> = text.split_inclusive('\n').collect();
            let expected = all[all.len().saturating_sub(wanted as usize)..].concat();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let start = of_file(&file, text.len() as u64, wanted).unwrap();
            prop_assert_eq!(&text[start.bytes as usize..], &expected);
            prop_assert_eq!((start.lines, start.left), (0, wanted.min(all.len() as u64)));
            let start = of_stream(text.as_bytes(), wanted);
            prop_assert_eq!(all[start.lines as usize..].concat(), expected);
            prop_assert_eq!(start.left, wanted.min(all.len() as u64));
            let whole = whole(&file, text.len() as u64).unwrap();
            prop_assert_eq!(whole as usize, text.rfind('\n').map_or(0, |at| at + 1));
        }
    }
}
