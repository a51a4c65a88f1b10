//! Holds that the class of every line, and the rule that noise is counted under, are what a plain reading gives: one line
//! at a time, every rule at every place of it. Neither where the blocks end, nor which search engine serves the list,
//! nor what stands in the lines around makes a difference, but for the lines of a trace, which go with their head.

#![no_main]

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use quell::line::classify::{Follow, classify, classify_piece};
use quell::line::rules::{RuleSet, Scratch};
use quell::line::{Stream, list};

mod naive;

/// Rules and lines are made of the same few words, so that they meet.
#[rustfmt::skip]
const WORDS: [&[u8]; 24] = [
    b"a", b"b", b"ab", b"ba", b"eat", b"beat", b"ERR", b"err", b" ", b"\t", b"\r", b"x", b"at", b"... 3", b"Caused by:",
    naive::TRACEBACK, b"took=", b"5ms", b"2s", b"1.5", b"12", b"\xff", b"\x1b[1m", b"\x1b[",
];
/// The rest of the words would make rules that never match, for they are passed over in lines.
const RULE_WORDS: usize = WORDS.len() - 2;
/// So many rules beside a few more are too many for the engine that serves short lists.
const BULK: usize = 65;
const LINES_MAX: usize = 24;

fuzz_target!(|input: &[u8]| {
    // An input that ends too soon is read as if zeros followed; it is never refused.
    run(&mut Unstructured::new(input)).expect("integers can be read from any bytes");
});

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let (mut text, mut literals) = (Vec::new(), WORDS.map(<[u8]>::to_vec).to_vec());
    for _ in 0..u.int_in_range(0..=9)? {
        rule(u, &mut text, &mut literals)?;
    }
    if u.ratio(1, 4)? {
        bulk(u, &mut text, &mut literals)?;
    }
    let shown = String::from_utf8_lossy(&text).into_owned();
    let rules =
        list::parse("t", &text, &mut |_, _| Err(String::new())).unwrap_or_else(|m| panic!("{m:?} in\n{shown}")).rules;
    let set = RuleSet::new(rules);
    let stream = if u.arbitrary()? { Stream::Stderr } else { Stream::Stdout };
    let (mut expected, mut follow) = (naive::Reader::default(), Follow::default());
    let (mut scratch, mut runs, mut block, mut verdicts) = (Scratch::default(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..LINES_MAX {
        let line = line(u, &literals)?;
        let (ends, piece) = (u.is_empty() || u.ratio(1, 8)?, u.ratio(1, 16)?);
        let naive = expected.line(set.rules(), &line, stream);
        let context = || format!("line {:?} of {stream:?} under\n{shown}", String::from_utf8_lossy(&line));
        if !piece {
            block.extend_from_slice(&line);
            block.push(b'\n');
            verdicts.push(naive);
        }
        if ends || piece {
            classify(&set, &block, stream, &mut follow, &mut scratch, &mut runs);
            let mut lines = verdicts.iter().zip(block.split_inclusive(|byte| *byte == b'\n'));
            let mut at = 0;
            for run in &runs {
                assert_eq!(run.range.start, at, "runs cover the block in order");
                for _ in 0..run.lines(&block) {
                    let (expected, line) = lines.next().expect("a run has no more lines than the block");
                    assert_eq!(&run.verdict, expected, "{:?} in a block under\n{shown}", String::from_utf8_lossy(line));
                    at += line.len();
                }
                assert_eq!(run.range.end, at, "a run ends where its last line does");
            }
            assert_eq!(at, block.len());
            (block, verdicts) = (Vec::new(), Vec::new());
        }
        if piece {
            // It is the beginning of a line over the cap; what follows has no say.
            let mut give = |bytes, last| classify_piece(&set, bytes, stream, last, &mut follow, &mut scratch);
            assert_eq!(give(&line, false), naive, "piece: {}", context());
            assert_eq!(give(&WORDS[u.choose_index(RULE_WORDS)?].repeat(2), true), naive, "later piece: {}", context());
        }
        if u.is_empty() {
            break;
        }
    }
    Ok(())
}

/// Writes a rule, with the `%` lines that say what it is.
fn rule(u: &mut Unstructured<'_>, text: &mut Vec<u8>, literals: &mut Vec<Vec<u8>>) -> Result<()> {
    text.extend(format!("%class {}\n", u.choose(&["noise", "noise", "critical", "anomaly", "drop"])?).bytes());
    text.extend(format!("%stream {}\n", u.choose(&["any", "any", "any", "stdout", "stderr"])?).bytes());
    text.extend(format!("%case {}\n", u.choose(&["exact", "exact", "exact", "any"])?).bytes());
    let prefix = *u.choose(&["", "", "", "", "", "!", "%slower 2s ", "%slower 7ms ", "%expect 9s "])?;
    text.extend(prefix.bytes());
    let slower = prefix.starts_with("%slower");
    let parts = if slower { 1 } else { *u.choose(&[1, 1, 1, 2, 3])? };
    for part in 0..parts {
        let mut literal = Vec::new();
        for _ in 0..u.int_in_range(1..=4)? {
            literal.extend_from_slice(WORDS[u.choose_index(RULE_WORDS)?]);
        }
        let anchors: u8 = u.arbitrary()?;
        text.extend(if part > 0 { &b" && "[..] } else { b"" });
        text.extend(if anchors & 7 == 1 { &b"^"[..] } else { b"" });
        write(&literal, text);
        text.extend(if anchors >> 3 & 7 == 1 && !slower { &b"$"[..] } else { b"" });
        literals.push(literal);
    }
    text.push(b'\n');
    Ok(())
}

/// Writes many rules of one class, without anchors, each of at least so many bytes.
fn bulk(u: &mut Unstructured<'_>, text: &mut Vec<u8>, literals: &mut Vec<Vec<u8>>) -> Result<()> {
    let class = u.choose(&["noise", "critical", "drop"])?;
    text.extend(format!("%class {class}\n%stream any\n%case exact\n").bytes());
    let (first, bytes) = (u.int_in_range(0..=255usize)?, u.int_in_range(5..=12usize)?);
    for number in first..first + BULK {
        let mut literal = Vec::new();
        let mut digits = number;
        while literal.len() < bytes {
            // Small steps in the words bring literals that overlap and that begin with each other.
            literal.extend_from_slice(WORDS[digits % 8]);
            digits = if digits < 8 { number + 1 } else { digits / 8 };
        }
        write(&literal, text);
        text.push(b'\n');
        literals.push(literal);
    }
    Ok(())
}

fn write(literal: &[u8], text: &mut Vec<u8>) {
    let digit = |value: u8| b"0123456789ABCDEF"[usize::from(value)];
    text.extend(literal.iter().flat_map(|byte| [b'\\', b'x', digit(byte >> 4), digit(byte & 15)]));
}

/// Some words and literals of rules, of which a byte may be left out at the beginning or at the end.
fn line(u: &mut Unstructured<'_>, literals: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    for _ in 0..u.int_in_range(0..=6)? {
        let word = &literals[u.choose_index(literals.len())?];
        let cut: u8 = if word.len() > 2 { u.arbitrary()? } else { 0 };
        line.extend_from_slice(&word[usize::from(cut & 7 == 1)..word.len() - usize::from(cut >> 3 & 7 == 1)]);
    }
    Ok(line)
}
