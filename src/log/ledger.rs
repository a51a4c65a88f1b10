//! The ledger: what became of every line and every byte.
//!
//! For each stream, at any moment, `in = written + suppressed + dropped + buffered`, in lines and in bytes of the
//! worker's own (stamps, marks and summaries stand outside). Suppressed is broken down by rule. What is buffered is what
//! is left over; whoever holds the bytes checks that it holds just so many (`Ledger::buffered`).

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::{AddAssign, SubAssign};
use std::sync::{Arc, LazyLock};

/// The longest suppression summary, with its stamp and newline: rotation leaves this much room for it.
pub const SUMMARY_BYTES_MAX: usize = 1024;
/// What of it the stamp, the label and the newline leave for the text.
const SUMMARY_TEXT_BYTES_MAX: usize = SUMMARY_BYTES_MAX - 128;
/// How many rules a summary names.
const SUMMARY_RULES_MAX: usize = 5;
/// How much of a pattern it shows.
const SUMMARY_PATTERN_CHARS: usize = 40;

/// Lines and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Lines; one that came in pieces is one.
    pub lines: u64,
    /// Bytes, newlines included.
    pub bytes: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Count) {
        self.lines += other.lines;
        self.bytes += other.bytes;
    }
}

impl SubAssign for Count {
    fn sub_assign(&mut self, other: Count) {
        self.lines = self.lines.saturating_sub(other.lines);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// What became of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Read. A line counts once it is whole, its bytes at once.
    #[serde(rename = "in")]
    pub read: Count,
    /// Handed to the kernel: `write` returned.
    pub written: Count,
    /// Left out by a rule.
    pub suppressed: Count,
    /// Lost, for a reason that was said.
    pub dropped: Count,
    /// Read, and not yet any of these.
    #[serde(default)]
    pub buffered: Count,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.read += other.read;
        self.written += other.written;
        self.suppressed += other.suppressed;
        self.dropped += other.dropped;
        self.balance();
    }

    fn balance(&mut self) {
        self.buffered = self.read;
        self.buffered -= self.written;
        self.buffered -= self.suppressed;
        self.buffered -= self.dropped;
    }
}

/// A rule that lines are counted under; `--only` counts as one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RuleKey {
    /// Name of the list, or the option.
    pub list: String,
    /// Line in it; 0 for `--only`.
    pub line: u32,
    /// As written; bytes that are not UTF-8 are shown as U+FFFD.
    pub pattern: String,
}

/// The rules that lines are counted under, in their order: made once, shared by all ledgers that count under them.
pub type RuleKeys = Arc<[Arc<RuleKey>]>;

/// What is counted where no rule is named.
static ONLY: LazyLock<Arc<RuleKey>> =
    LazyLock::new(|| Arc::new(RuleKey { list: "--only".into(), line: 0, pattern: String::new() }));

/// A rule in force under which nothing has been counted.
const UNCOUNTED: u32 = u32::MAX;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RuleCount {
    #[serde(flatten)]
    rule: RuleKey,
    #[serde(flatten)]
    total: Count,
}

/// The form in which it is stored and shown.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    #[serde(rename = "in")]
    read: Count,
    written: Count,
    suppressed: Suppressed,
    dropped: Count,
    buffered: Count,
    streams: BTreeMap<Cow<'static, str>, Tally>,
    #[serde(default, skip_serializing_if = "is_zero")]
    sequence: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    critical_sequence: u64,
    #[serde(default, skip_serializing_if = "is_false")]
    unclean: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Suppressed {
    #[serde(flatten)]
    total: Count,
    by_rule: Vec<RuleCount>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// A rule that has counted.
#[derive(Debug)]
struct Counted {
    rule: Arc<RuleKey>,
    total: Count,
    /// Its total at the last summary.
    at_summary: Count,
}

impl Counted {
    fn since_summary(&self) -> Count {
        let mut since = self.total;
        since -= self.at_summary;
        since
    }
}

/// The counters of one worker, continued from run to run where they are stored. One that has suppressed nothing holds
/// nothing but its tallies, however many rules there are.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Streams in use, then streams that only earlier runs had.
    streams: Vec<(Cow<'static, str>, Tally)>,
    /// The rules in force.
    keys: RuleKeys,
    counted: Vec<Counted>,
    /// Place in `counted` of each rule in force, the last of them `--only`; empty until one of them counts.
    slots: Box<[u32]>,
    /// The highest sequence given to an archive: of the directory, of its critical folder.
    pub sequences: [u64; 2],
    /// An earlier run was killed: what it counted since its last rotation is not in here.
    pub unclean: bool,
}

impl Ledger {
    /// An empty ledger for these streams.
    #[must_use]
    pub fn new(streams: &[&'static str]) -> Ledger {
        let streams = streams.iter().map(|name| (Cow::Borrowed(*name), Tally::default())).collect();
        Ledger { streams, ..Ledger::default() }
    }

    /// Goes on from a stored ledger; what has been counted before stays counted.
    ///
    /// # Errors
    /// When it is not a ledger.
    pub fn resume(&mut self, json: &[u8]) -> Result<(), serde_json::Error> {
        let stored: Document = serde_json::from_slice(json)?;
        for (name, mut tally) in stored.streams {
            // What was still buffered when that run ended never came to anything: it is in no file.
            tally.dropped += tally.buffered;
            match self.streams.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => known.add(&tally),
                None => self.streams.push((name, tally)),
            }
        }
        for RuleCount { rule, total } in stored.suppressed.by_rule {
            let slot = self.place_of(Arc::new(rule));
            self.counted[slot].total += total;
            self.counted[slot].at_summary += total;
        }
        self.slots = Box::default();
        self.sequences = [stored.sequence, stored.critical_sequence];
        self.unclean = stored.unclean;
        Ok(())
    }

    /// Counts under these rules from now on. What other rules have counted stays.
    pub fn attach(&mut self, keys: RuleKeys) {
        self.keys = keys;
        self.slots = Box::default();
    }

    /// The tally of a stream, by its place in `new`.
    pub fn stream(&mut self, index: usize) -> &mut Tally {
        &mut self.streams[index].1
    }

    /// Counts what a rule in force suppressed; no rule is `--only`.
    pub fn suppress(&mut self, stream: usize, rule: Option<u32>, count: Count) {
        let rule = rule.map_or(self.keys.len(), |id| id as usize);
        let slot = match self.slots.get(rule) {
            Some(&slot) if slot != UNCOUNTED => slot as usize,
            _ => self.first_count(rule),
        };
        self.streams[stream].1.suppressed += count;
        self.counted[slot].total += count;
    }

    /// Makes a place for a rule that counts for the first time since it is in force.
    #[cold]
    fn first_count(&mut self, rule: usize) -> usize {
        if self.slots.is_empty() {
            self.slots = vec![UNCOUNTED; self.keys.len() + 1].into();
        }
        let key = self.keys.get(rule).unwrap_or(&ONLY).clone();
        let slot = self.place_of(key);
        self.slots[rule] = slot as u32;
        slot
    }

    /// Where a rule counts: other lists, or the same one named twice, may have brought it before.
    fn place_of(&mut self, rule: Arc<RuleKey>) -> usize {
        self.counted.iter().position(|counted| counted.rule == rule).unwrap_or_else(|| {
            self.counted.push(Counted { rule, total: Count::default(), at_summary: Count::default() });
            self.counted.len() - 1
        })
    }

    /// The rule that has suppressed most lines, if any has.
    #[must_use]
    pub fn top_rule(&self) -> Option<(Arc<RuleKey>, Count)> {
        let top = self.counted.iter().max_by_key(|counted| counted.total.lines)?;
        (top.total.lines > 0).then(|| (top.rule.clone(), top.total))
    }

    /// What must still be held somewhere.
    #[must_use]
    pub fn buffered(&self, stream: usize) -> Count {
        let mut tally = self.streams[stream].1;
        tally.balance();
        tally.buffered
    }

    /// All streams together.
    #[must_use]
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.streams.iter().for_each(|(_, tally)| total.add(tally));
        total
    }

    /// As JSON, one line and its newline. `unclean` marks one that is stored while its writer goes on.
    ///
    /// # Panics
    /// Never: it is made of numbers and strings.
    #[must_use]
    pub fn to_json(&self, unclean: bool) -> Vec<u8> {
        let total = self.total();
        let mut streams: BTreeMap<Cow<'static, str>, Tally> = self.streams.iter().cloned().collect();
        streams.values_mut().for_each(Tally::balance);
        let by_rule = self.by_weight(|counted| counted.total).into_iter();
        let document = Document {
            read: total.read,
            written: total.written,
            suppressed: Suppressed {
                total: total.suppressed,
                by_rule: by_rule.map(|c| RuleCount { rule: RuleKey::clone(&c.rule), total: c.total }).collect(),
            },
            dropped: total.dropped,
            buffered: total.buffered,
            streams,
            sequence: self.sequences[0],
            critical_sequence: self.sequences[1],
            unclean: unclean || self.unclean,
        };
        let mut json = serde_json::to_vec(&document).expect("numbers and strings");
        json.push(b'\n');
        json
    }

    /// For people: the totals, then each rule that suppressed something, heaviest first.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let total = self.total();
        let rows = [
            ("in", total.read),
            ("written", total.written),
            ("suppressed", total.suppressed),
            ("dropped", total.dropped),
            ("buffered", total.buffered),
        ];
        for (name, count) in rows {
            let _ = writeln!(text, "{name:<10} {:>12} lines {:>15} bytes", count.lines, count.bytes);
        }
        for Counted { rule, total, .. } in self.by_weight(|counted| counted.total) {
            let _ = writeln!(text, "{:>23} lines {:>15} bytes  {}", total.lines, total.bytes, rule.show(usize::MAX));
        }
        text
    }

    /// `suppressed 1204 lines: heartbeat:7 "…" 1000, …`, of what was suppressed since `summarised`.
    #[must_use]
    pub fn summary(&self) -> Option<String> {
        let order = self.by_weight(Counted::since_summary);
        let lines: u64 = order.iter().map(|counted| counted.since_summary().lines).sum();
        if lines == 0 {
            return None;
        }
        let noun = if lines == 1 { "line" } else { "lines" };
        let mut text = format!("suppressed {lines} {noun}: ");
        let named = order.len().min(SUMMARY_RULES_MAX);
        let parts = order[..named]
            .iter()
            .map(|counted| format!("{} {}", counted.rule.show(SUMMARY_PATTERN_CHARS), counted.since_summary().lines));
        text.push_str(&parts.collect::<Vec<_>>().join(", "));
        let rest: u64 = order[named..].iter().map(|counted| counted.since_summary().lines).sum();
        if rest > 0 {
            let _ = write!(text, ", {} other rules {rest}", order.len() - named);
        }
        if text.len() > SUMMARY_TEXT_BYTES_MAX {
            text.truncate(text.floor_char_boundary(SUMMARY_TEXT_BYTES_MAX));
            text.push('…');
        }
        Some(text)
    }

    /// The summary has been written: the next one starts from here.
    pub fn summarised(&mut self) {
        self.counted.iter_mut().for_each(|counted| counted.at_summary = counted.total);
    }

    /// Whether a summary is due at the next rotation or end.
    #[must_use]
    pub fn has_summary(&self) -> bool {
        self.counted.iter().any(|counted| counted.since_summary().lines > 0)
    }

    /// The rules with a count, most lines first.
    fn by_weight(&self, count: impl Fn(&Counted) -> Count) -> Vec<&Counted> {
        let mut counted: Vec<_> = self.counted.iter().filter(|counted| count(counted).lines > 0).collect();
        counted.sort_by_key(|counted| std::cmp::Reverse(count(counted).lines));
        counted
    }
}

impl RuleKey {
    /// `heartbeat:7 "text"`, or the name alone where there is no text.
    fn show(&self, chars_max: usize) -> String {
        if self.pattern.is_empty() {
            return self.list.clone();
        }
        let list: String = self.list.chars().take(SUMMARY_PATTERN_CHARS.max(chars_max)).collect();
        let mut pattern: String = self.pattern.chars().take(chars_max).flat_map(char::escape_debug).collect();
        if self.pattern.chars().nth(chars_max).is_some() {
            pattern.push('…');
        }
        format!("{list}:{} \"{pattern}\"", self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(line: u32) -> Arc<RuleKey> {
        Arc::new(RuleKey { list: "t".into(), line, pattern: format!("pattern {line}") })
    }

    fn count(lines: u64, bytes: u64) -> Count {
        Count { lines, bytes }
    }

    #[test]
    fn resumes_where_it_was_stored() {
        let mut ledger = Ledger::new(&["stdout", "stderr"]);
        ledger.attach([key(1), key(2)].into());
        ledger.stream(0).read += count(10, 100);
        ledger.stream(0).written += count(6, 60);
        ledger.suppress(0, Some(1), count(3, 30));
        assert_eq!(ledger.buffered(0), count(1, 10));
        ledger.sequences = [7, 0];
        let stored = ledger.to_json(true);

        let mut next = Ledger::new(&["stdout"]);
        next.stream(0).read += count(2, 4);
        next.stream(0).dropped += count(2, 4);
        next.resume(&stored).unwrap();
        assert_eq!(next.total().read, count(12, 104), "what came before the file could be read counts, too");
        next = Ledger::new(&["stdout"]);
        next.resume(&stored).unwrap();
        assert!(next.unclean);
        assert_eq!(next.sequences, [7, 0]);
        assert_eq!(next.total().dropped, count(1, 10), "what was buffered at a kill is lost, and counted");
        next.attach([key(2), key(3)].into());
        next.suppress(0, Some(0), count(1, 5));
        next.suppress(0, None, count(2, 8));
        let json: serde_json::Value = serde_json::from_slice(&next.to_json(false)).unwrap();
        assert_eq!(json["suppressed"]["by_rule"][0]["lines"], 4);
        assert_eq!(json["suppressed"]["by_rule"][1]["list"], "--only");
        assert_eq!(json["streams"]["stderr"]["in"]["lines"], 0);
        assert!(next.resume(b"{\"in\":3").is_err());
    }

    #[test]
    fn what_never_counts_takes_no_room() {
        let mut ledger = Ledger::new(&["stdin"]);
        ledger.attach((0..1000).map(key).collect());
        assert!(ledger.counted.is_empty() && ledger.slots.is_empty());
        ledger.attach([key(3), key(4), key(3)].into());
        (0..3).for_each(|rule| ledger.suppress(0, Some(rule), count(1, 1)));
        ledger.suppress(0, None, count(1, 1));
        assert_eq!(ledger.counted.len(), 3, "the same rule twice is one");
        assert_eq!(ledger.top_rule(), Some((key(3), count(2, 2))));
        ledger.attach([key(4)].into());
        ledger.suppress(0, Some(0), count(2, 2));
        assert_eq!(ledger.top_rule(), Some((key(4), count(3, 3))), "it counts on under other lists");
    }

    #[test]
    fn summaries_start_anew() {
        let mut ledger = Ledger::new(&["stdin"]);
        ledger.attach((1..9).map(key).collect());
        assert_eq!(ledger.summary(), None);
        (0..8).for_each(|rule| ledger.suppress(0, Some(rule), count(u64::from(rule) + 1, 9)));
        let text = ledger.summary().unwrap();
        assert!(text.starts_with("suppressed 36 lines: t:8 \"pattern 8\" 8, t:7"), "{text}");
        assert!(text.ends_with("t:4 \"pattern 4\" 4, 3 other rules 6"), "{text}");
        ledger.summarised();
        assert_eq!(ledger.summary(), None);
    }

    #[test]
    fn a_summary_is_bounded() {
        let mut ledger = Ledger::new(&["stdin"]);
        let long = |line| Arc::new(RuleKey { list: "é".repeat(500), line, pattern: "\u{1}".repeat(5000) });
        ledger.attach((0..9).map(long).collect());
        (0..9).for_each(|rule| ledger.suppress(0, Some(rule), count(1, 1)));
        assert!(ledger.summary().unwrap().len() < SUMMARY_BYTES_MAX - 100);
    }
}
