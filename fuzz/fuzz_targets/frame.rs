//! Holds that the lines and pieces that a `Block` gives out depend on the bytes and the cap alone: not on where the
//! reads fell, not on when the stream was stashed away and loaded again, nor on when its lines were taken. They are what
//! a plain reading of the whole stream gives, so nothing is lost and no piece is over the cap.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use quell::line::frame::{Block, Cut, READ_BYTES, Tail};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    cap: u8,
    /// Used again from the first when all have been, until the stream is read.
    steps: Vec<Step>,
    /// Comes last, for the last field takes all that is left of the input.
    stream: &'a [u8],
}

/// One read, and what is done with what it brought.
#[derive(Arbitrary, Debug)]
struct Step {
    bytes: u8,
    /// The stream rests as soon as it was read, before anything could be taken.
    rests_at_once: bool,
    /// It rests after so many cuts; if there are fewer, when all are taken.
    rests_after: Option<u8>,
}

/// What was given out: the bytes, whether a line begins with them, whether it ends with them.
type Frame = (Vec<u8>, bool, bool);

fuzz_target!(|input: Input| {
    let cap = usize::from(input.cap) + 1;
    let found = frames(cap, &input.steps, input.stream);
    assert_eq!(found, naive(cap, input.stream), "cap {cap}");
});

fn frames(cap: usize, steps: &[Step], stream: &[u8]) -> Vec<Frame> {
    let (mut block, mut tail, mut out) = (Block::new(cap), Tail::default(), Vec::new());
    let mut steps = steps.iter().cycle();
    let mut unread = stream;
    while !unread.is_empty() {
        let step = steps.next().unwrap_or(&Step { bytes: 0, rests_at_once: false, rests_after: None });
        let (now, later) = unread.split_at(unread.len().min(usize::from(step.bytes) + 1));
        unread = later;
        let room = block.room();
        assert_eq!(room.len(), READ_BYTES);
        room[..now.len()].copy_from_slice(now);
        block.read(now.len());
        if step.rests_at_once {
            rest(&mut block, &mut tail, cap);
        }
        let mut cuts = 0;
        while step.rests_after != Some(cuts) && take(&mut block, &mut out) {
            cuts = cuts.saturating_add(1);
        }
        if step.rests_after.is_some() {
            rest(&mut block, &mut tail, cap);
        }
        // More is read only when there is nothing left to take.
        while take(&mut block, &mut out) {}
        assert!(block.held() <= cap, "{} bytes held back", block.held());
        assert_eq!(block.mid_line(), out.last().is_some_and(|(_, _, last)| !last));
    }
    if let Some((range, first)) = block.rest() {
        out.push((block.bytes(range).to_vec(), first, false));
    }
    assert_eq!(block.held(), 0);
    out
}

/// Another stream has its turn in the block, then this one again.
fn rest(block: &mut Block, tail: &mut Tail, cap: usize) {
    let (held, mid_line) = (block.held(), block.mid_line());
    block.stash(tail);
    assert_eq!((tail.len(), block.held(), block.mid_line()), (held, 0, false));
    let mut other = Tail::default();
    block.load(&mut other, cap);
    block.room()[..6].copy_from_slice(b"x\nrest");
    block.read(6);
    while let Some(cut) = block.cut() {
        assert!(matches!(cut, Cut::Lines(_) | Cut::Piece { .. }));
    }
    block.stash(&mut other);
    block.load(tail, cap);
    assert_eq!((tail.len(), block.held(), block.mid_line()), (0, held, mid_line));
}

/// Takes one cut; false when there is none.
fn take(block: &mut Block, out: &mut Vec<Frame>) -> bool {
    match block.cut() {
        None => return false,
        Some(Cut::Piece { range, first, last }) => out.push((block.bytes(range).to_vec(), first, last)),
        Some(Cut::Lines(range)) => {
            let lines = block.bytes(range).split_inclusive(|byte| *byte == b'\n');
            out.extend(lines.map(|line| (line.to_vec(), true, true)));
        }
    }
    true
}

/// The stream cut at its newlines, and what is over the cap cut every `cap` bytes. A newline goes with what it ends.
fn naive(cap: usize, stream: &[u8]) -> Vec<Frame> {
    let mut out = Vec::new();
    for line in stream.split_inclusive(|byte| *byte == b'\n') {
        let mut left = line;
        while left.strip_suffix(b"\n").unwrap_or(left).len() > cap {
            out.push((left[..cap].to_vec(), left.len() == line.len(), false));
            left = &left[cap..];
        }
        out.push((left.to_vec(), left.len() == line.len(), left.ends_with(b"\n")));
    }
    out
}
