//! Small facts about the bytes of a line.

use memchr::memchr;

/// The line without its `\n`.
#[must_use]
pub fn without_newline(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

/// Copies `line` to `plain` without its ANSI escape sequences (ECMA-48: CSI, OSC and other strings, two-byte escapes).
///
/// An unfinished sequence ends with the line; a control string runs to BEL or ST.
pub fn strip_ansi(line: &[u8], plain: &mut Vec<u8>) {
    plain.clear();
    let mut rest = line;
    while let Some(at) = memchr(0x1b, rest) {
        plain.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1 + sequence_bytes(&rest[at + 1..])..];
    }
    plain.extend_from_slice(rest);
}

/// Puts a line at the end of `shown` as a terminal may have it: control characters but for the tab as `\u{1b}`, bytes that
/// are not UTF-8 as `\xff`.
pub fn make_visible(line: &[u8], shown: &mut Vec<u8>) {
    for chunk in line.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() && c != '\t' {
                shown.extend(c.escape_unicode().map(|c| c as u8));
            } else {
                shown.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        shown.extend(chunk.invalid().escape_ascii());
    }
}

/// The length of the escape sequence that follows an ESC.
fn sequence_bytes(after: &[u8]) -> usize {
    match after.first() {
        None => 0,
        Some(b'[') => {
            let body = after[1..].iter().take_while(|b| (0x20..0x40).contains(*b)).count();
            let last = after.get(1 + body).is_some_and(|b| (0x40..0x7f).contains(b));
            1 + body + usize::from(last)
        }
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let body = after.iter().take_while(|b| !matches!(b, 0x07 | 0x1b | b'\n' | b'\r')).count();
            match after.get(body) {
                Some(0x07) => body + 1,
                Some(0x1b) if after.get(body + 1) == Some(&b'\\') => body + 2,
                _ => body,
            }
        }
        Some(0x20..0x30) => {
            let body = after.iter().take_while(|b| (0x20..0x30).contains(*b)).count();
            body + usize::from(after.get(body).is_some_and(|b| (0x30..0x7f).contains(b)))
        }
        Some(0x30..0x7f) => 1,
        Some(_) => 0,
    }
}

/// Whether a line continues the one before it, as the lines of a stack trace do: a leading blank, `Caused by:`, or
/// `... 5 more`.
#[must_use]
pub fn is_continuation(line: &[u8]) -> bool {
    match line.first() {
        Some(b' ' | b'\t') => true,
        Some(b'C') => line.starts_with(b"Caused by:"),
        Some(b'.') => line.strip_prefix(b"... ").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ansi_is_passed_over() {
        let check = |line: &[u8], expected: &[u8]| {
            let mut plain = Vec::new();
            strip_ansi(line, &mut plain);
            assert_eq!(plain, expected, "{line:?}");
        };
        check(b"plain", b"plain");
        check(b"\x1b[1;31mERROR\x1b[0m x", b"ERROR x");
        check(b"a\x1b]0;title\x07b", b"ab");
        check(b"a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\b", b"alinkb");
        check(b"a\x1b(Bb\x1b=c\x1b7d", b"abcd");
        check(b"cut\x1b[31", b"cut");
        check(b"cut\x1b", b"cut");
        check(b"\x1b[3\xffx", b"\xffx");
    }

    /// B3: nothing that a terminal would obey is left.
    #[test]
    fn what_a_terminal_may_have() {
        let check = |line: &[u8], expected: &str| {
            let mut shown = Vec::new();
            make_visible(line, &mut shown);
            assert_eq!(String::from_utf8(shown).unwrap(), expected);
        };
        check(b"\tplain \xc3\xbc", "\tplain \u{fc}");
        check(b"\x1b]0;title\x07\x9b2J\x7f\r\0", "\\u{1b}]0;title\\u{7}\\x9b2J\\u{7f}\\u{d}\\u{0}");
        check(b"\xc2\x9b2J \xff\xc3", "\\u{9b}2J \\xff\\xc3");
    }

    #[test]
    fn continuations() {
        for line in [&b"\tat x"[..], b"  File", b"Caused by: y", b"... 12 more"] {
            assert!(is_continuation(line));
        }
        for line in [&b""[..], b"Cause", b"... more", b"x"] {
            assert!(!is_continuation(line));
        }
    }
}
