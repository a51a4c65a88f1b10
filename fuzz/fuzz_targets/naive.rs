//! What each line is, as slowly and as plainly as it can be said: nothing compiled, nothing skipped, nothing shared with
//! the code it is held against but the rules as they were read.

use quell::line::classify::Verdict;
use quell::line::list::{Effect, Part, Rule};
use quell::line::{Class, Stream};

pub const TRACEBACK: &[u8] = b"Traceback (most recent call last)";

/// Reads the lines of one stream, in order.
#[derive(Default)]
pub struct Reader {
    /// The class of the trace that the next line may belong to.
    trace: Option<Class>,
    /// The trace is a Python traceback, which its first line without a leading blank ends.
    python: bool,
}

impl Reader {
    /// What a line is, which comes without its newline.
    pub fn line(&mut self, rules: &[Rule], raw: &[u8], stream: Stream) -> Verdict {
        let text = without_colour(raw);
        let hits: Vec<(usize, u32, Effect)> =
            (0..).zip(rules).filter_map(|(id, rule)| Some((place(rule, &text, stream)?, id, rule.effect))).collect();
        let has = |effect| hits.iter().any(|(_, _, other)| *other == effect);
        // Of rules at one place the one that stands first in the list counts.
        let suppressor =
            hits.iter().filter(|hit| matches!(hit.2, Effect::Noise | Effect::Drop)).min_by_key(|hit| (hit.0, hit.1));
        let noise = Verdict { class: Class::Noise, rule: suppressor.map(|hit| hit.1) };

        let indented = continues(&text);
        let exception = self.python && !indented && !text.is_empty();
        let head = if indented || exception { self.trace } else { None };
        if has(Effect::Drop) && !has(Effect::Keep) {
            // A dropped line is passed over: within a trace the trace goes on behind it.
            if head.is_none() || exception {
                *self = Reader::default();
            }
            return noise;
        }
        let own = match (has(Effect::Critical), has(Effect::Anomaly)) {
            (true, _) => Some(Class::Critical),
            (_, true) => Some(Class::Anomaly),
            _ => None,
        };
        let class = own.max(head);
        let opens = occurs(TRACEBACK, &text).next().is_some();
        self.python = class.is_some() && (opens || (self.python && indented));
        self.trace = class;
        match class {
            Some(class) => Verdict { class, rule: None },
            None if suppressor.is_some() && !has(Effect::Keep) => noise,
            None => Verdict { class: Class::Routine, rule: None },
        }
    }
}

/// Where a literal occurs. Most places are settled by its first byte, sooner than by a comparison of the whole.
fn occurs<'a>(literal: &'a [u8], text: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let places = 0..(text.len() + 1).saturating_sub(literal.len());
    places.filter(move |at| text[*at] == literal[0] && text[*at..].starts_with(literal))
}

/// Where the rule matches: the first place of that part of it which comes first. None unless all parts occur.
fn place(rule: &Rule, text: &[u8], stream: Stream) -> Option<usize> {
    let listens = if stream == Stream::Stdout { rule.stdout } else { rule.stderr };
    let places: Option<Vec<usize>> = rule.parts.iter().map(|part| part_place(rule, part, text)).collect();
    places?.into_iter().min().filter(|_| listens)
}

fn part_place(rule: &Rule, part: &Part, text: &[u8]) -> Option<usize> {
    let holds = |at: usize, after: &[u8]| {
        (!part.at_start || at == 0)
            && (!part.at_end || after.is_empty() || after == b"\r")
            && rule.slower.is_none_or(|limit| nanoseconds(after).is_some_and(|found| found >= limit.as_nanos()))
    };
    part.spellings.iter().filter_map(|s| occurs(s, text).find(|at| holds(*at, &text[at + s.len()..]))).min()
}

/// The time that a text begins with: a number, and perhaps a unit behind it, with blanks before each.
fn nanoseconds(text: &[u8]) -> Option<u128> {
    const BLANKS: [char; 2] = [' ', '\t'];
    let text = String::from_utf8_lossy(text);
    let text = text.trim_start_matches(BLANKS);
    let (number, rest) = text.split_at(text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len()));
    let (whole, decimals) = number.trim_end_matches('.').split_once('.').unwrap_or((number.trim_end_matches('.'), "0"));
    let behind = rest.trim_start_matches(BLANKS);
    let word = behind.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or("");
    let scale: u64 = match word {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "m" => 60_000_000_000,
        "s" | "" => 1_000_000_000,
        // It belongs to the number only where it is attached, and then the number is not a time.
        _ if behind.len() < rest.len() => 1_000_000_000,
        _ => return None,
    };
    let part = u128::from(decimals.parse::<u64>().ok()?) * u128::from(scale) / 10u128.pow(decimals.len() as u32);
    let time = u128::from(whole.parse::<u64>().ok()?) * u128::from(scale) + part;
    // What does not fit is a serial number rather than a time.
    (time <= u128::from(u64::MAX)).then_some(time)
}

/// Whether a line belongs to the trace before it: a leading blank, `Caused by:`, `... 5 more`.
fn continues(text: &[u8]) -> bool {
    let elided = text.starts_with(b"... ") && text.get(4).is_some_and(u8::is_ascii_digit);
    text.starts_with(b" ") || text.starts_with(b"\t") || text.starts_with(b"Caused by:") || elided
}

/// The line without its colours: ESC, `[`, bytes from blank to `?`, a byte from `@` to `~`. Whatever begins so is passed
/// over, finished or not. No other escapes are in the lines here.
fn without_colour(raw: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != 0x1b {
            plain.push(byte);
            continue;
        }
        if bytes.next_if_eq(&b'[').is_some() {
            while bytes.next_if(|byte| matches!(byte, b' '..=b'?')).is_some() {}
            bytes.next_if(|byte| matches!(byte, b'@'..=b'~'));
        }
    }
    plain
}
