use super::super::list::{self, Place, Rule};
use super::*;
use proptest::prelude::*;

fn set(text: &[u8]) -> RuleSet {
    RuleSet::new(list::parse("t", text, &mut |_, _| Err(String::new())).unwrap_or_else(|m| panic!("{m:?}")).rules)
}

/// `(class, line of the rule)` of each line of a block.
fn classes(set: &RuleSet, block: &[u8]) -> Vec<(Class, u32)> {
    each(set, &[block], Stream::Stdout).into_iter().map(|v| flat(set, v)).collect()
}

fn flat(set: &RuleSet, verdict: Verdict) -> (Class, u32) {
    (verdict.class, verdict.rule.map_or(0, |id| set.rules()[id as usize].place.line))
}

/// The verdict on each line of a stream that comes in these blocks.
fn each(set: &RuleSet, blocks: &[&[u8]], stream: Stream) -> Vec<Verdict> {
    let (mut follow, mut scratch, mut runs) = (Follow::default(), Scratch::default(), Vec::new());
    let mut all = Vec::new();
    for block in blocks {
        classify(set, block, stream, &mut follow, &mut scratch, &mut runs);
        let mut at = 0;
        for run in &runs {
            assert_eq!(run.range.start, at, "runs cover the block in order");
            at = run.range.end;
            let lines = block[run.range.clone()].split_inclusive(|b| *b == b'\n').count();
            assert_eq!(run.lines(block), lines as u64);
            all.extend(std::iter::repeat_n(run.verdict, lines));
        }
        assert_eq!(at, block.len());
    }
    all
}

use Class::*;

#[test]
fn precedence_is_keep_drop_critical_anomaly_noise() {
    let rules =
        set(b"cache update\n!cache update lost\n%class critical\nfailed\n%class anomaly\nslow\n%class drop\nharmless");
    let check = |line: &[u8], expected: (Class, u32)| assert_eq!(classes(&rules, line), [expected], "{line:?}");
    check(b"cache update ok\n", (Noise, 1));
    check(b"cache update failed\n", (Critical, 0));
    check(b"cache update slow\n", (Anomaly, 0));
    check(b"cache update slow and failed\n", (Critical, 0));
    check(b"failed, but harmless\n", (Noise, 8));
    check(b"cache update lost\n", (Routine, 0));
    check(b"cache update lost, failed, harmless\n", (Critical, 0));
    check(b"cache update lost, harmless\n", (Routine, 0));
    check(b"anything else\n", (Routine, 0));
    check(b"\n", (Routine, 0));
}

#[test]
fn anchors_and_carriage_returns() {
    let rules = set(b"^beat\nidle$\n^all of it$\nGET && 200$");
    let check = |line: &[u8], rule: u32| {
        let class = if rule == 0 { Routine } else { Noise };
        assert_eq!(classes(&rules, line), [(class, rule)], "{line:?}");
    };
    check(b"beat\n", 1);
    check(b" beat\n", 0);
    check(b"heartbeat then ^beat\n", 0);
    check(b"worker idle\n", 2);
    check(b"worker idle\r\n", 2);
    check(b"worker idle\r\r\n", 0);
    check(b"worker idle.\n", 0);
    check(b"idle and idle\n", 2);
    check(b"all of it\n", 3);
    check(b"all of it all of it\n", 0);
    check(b"GET / 200\n", 4);
    check(b"200 GET / 200\r\n", 4);
    check(b"GET / 200 x\n", 0);
    let rules = set(b"aa$ && 2s");
    assert_eq!(classes(&rules, b"2sbaaaaa\n"), [(Noise, 1)], "it holds at an overlap of its own");
}

#[test]
fn counted_under_the_leftmost_rule_and_ties_under_the_first() {
    let rules = set(b"bbbb\naaaa\naaaaa\nzzzz && cccc\ndddd\nddd && x");
    assert_eq!(classes(&rules, b"aaaaa bbbb\n"), [(Noise, 2)]);
    assert_eq!(classes(&rules, b"cccc bbbb zzzz\n"), [(Noise, 4)], "an AND rule at its leftmost part");
    assert_eq!(classes(&rules, b"cccc bbbb\n"), [(Noise, 1)]);
    assert_eq!(classes(&rules, b"dddd x\n"), [(Noise, 5)]);
}

#[test]
fn streams() {
    let rules = set(b"%stream stderr\nchatter\n%stream any\nbeat ok");
    assert_eq!(
        each(&rules, &[b"chatter\nbeat ok\n"], Stream::Stdout).iter().map(|v| v.class).collect::<Vec<_>>(),
        [Routine, Noise]
    );
    assert_eq!(
        each(&rules, &[b"chatter\nbeat ok\n"], Stream::Stderr).iter().map(|v| v.class).collect::<Vec<_>>(),
        [Noise, Noise]
    );
}

#[test]
fn slower_looks_at_every_number() {
    let rules = set(b"%slower 2s took=\nrequest done");
    let class = |line: &[u8]| classes(&rules, line)[0].0;
    assert_eq!(class(b"request done took=1999ms\n"), Noise);
    assert_eq!(class(b"request done took=2000ms\n"), Anomaly);
    assert_eq!(class(b"took=1ms then took= 3.5 s\n"), Anomaly);
    assert_eq!(class(b"took=soon\n"), Routine);
    assert_eq!(class(b"took=5\n"), Anomaly);
}

#[test]
fn traces_stay_with_their_head() {
    let rules = set(b"noise\n%class critical\nERROR\n%class drop\nharmless");
    let block = b"ERROR x\n\tat noise\nCaused by: y\n\tat harmless\n\tat z\n... 5 more\nnoise\n\tat b\nfine\n\tat c\n";
    let expected = [Critical, Critical, Critical, Noise, Critical, Critical, Noise, Routine, Routine, Routine];
    assert_eq!(classes(&rules, block).iter().map(|c| c.0).collect::<Vec<_>>(), expected);
}

#[test]
fn a_python_traceback_ends_with_its_exception() {
    let rules = set(b"%class critical\nTraceback (most recent call last)");
    let block = b"Traceback (most recent call last):\n  File \"x\"\n    f()\nValueError: bad\nnext line\n";
    let expected = [Critical, Critical, Critical, Critical, Routine];
    assert_eq!(classes(&rules, block).iter().map(|c| c.0).collect::<Vec<_>>(), expected);
    let rules = set(b"%class critical\nTraceback\n%class drop\nharmless");
    let block = b"Traceback (most recent call last)\n  File x\nValueError: harmless\nlistening\n";
    let classes: Vec<_> = classes(&rules, block).iter().map(|c| c.0).collect();
    assert_eq!(classes, [Critical, Critical, Noise, Routine], "a dropped one ends it, too");
}

#[test]
fn colour_hides_nothing() {
    let rules = set(b"^beat ok\n%class critical\n ERROR \n\\ ERROR\\ ");
    let block = b"\x1b[32mbeat\x1b[0m ok\n\x1b[1m\x1b[31m ERROR \x1b[0m x\n\x1b[2m\tat y\nplain\n";
    assert_eq!(classes(&rules, block).iter().map(|c| c.0).collect::<Vec<_>>(), [Noise, Critical, Critical, Routine]);
    let block = b" ERROR x\n... \x1b[1m5 more\nCaused\x1b[0m by: y\nCaused\x1b[0m it\n... 3 more\n";
    let expected = [Critical, Critical, Critical, Routine, Routine];
    assert_eq!(classes(&rules, block).iter().map(|c| c.0).collect::<Vec<_>>(), expected, "within a trace, too");
}

#[test]
fn pieces_share_the_first_verdict() {
    let rules = set(b"beat ok\n%class critical\nFATAL");
    let (mut follow, mut scratch) = (Follow::default(), Scratch::default());
    let mut piece =
        |bytes: &[u8], last| classify_piece(&rules, bytes, Stream::Stdout, last, &mut follow, &mut scratch).class;
    assert_eq!([piece(b"beat ok", false), piece(b"FATAL", false), piece(b"x\n", true)], [Noise; 3]);
    assert_eq!([piece(b"FATAL", false), piece(b"beat ok\n", true)], [Critical; 2]);
}

// The oracle: one line at a time, one rule at a time, nothing compiled.

#[derive(Default)]
struct Naive {
    group: Option<Class>,
    traceback: bool,
}

impl Naive {
    fn line(&mut self, rules: &[Rule], raw: &[u8], stream: Stream) -> (Class, u32) {
        let mut text = Vec::new();
        strip_ansi(raw.strip_suffix(b"\n").unwrap_or(raw), &mut text);
        let hits: Vec<_> = rules.iter().filter_map(|r| Some((naive_rule(r, &text, stream)?, r))).collect();
        let has = |effect| hits.iter().any(|(_, r)| r.effect == effect);
        let keep = has(Effect::Keep);
        let leftmost = hits
            .iter()
            .filter(|(_, r)| matches!(r.effect, Effect::Noise | Effect::Drop))
            .min_by_key(|(at, r)| (*at, r.place.line))
            .map_or(0, |(_, r)| r.place.line);
        let indented = is_continuation(&text);
        let closes = self.traceback && !text.is_empty() && !indented;
        let joined = if indented || closes { self.group } else { None };
        if has(Effect::Drop) && !keep {
            if joined.is_none() || closes {
                *self = Naive::default();
            }
            return (Noise, leftmost);
        }
        let own = if has(Effect::Critical) { Some(Critical) } else { has(Effect::Anomaly).then_some(Anomaly) };
        let class = own.max(joined);
        let header = text.windows(TRACEBACK.len()).any(|w| w == TRACEBACK);
        self.traceback = class.is_some() && (header || (self.traceback && joined.is_some() && !closes));
        self.group = class;
        match class {
            Some(class) => (class, 0),
            None if leftmost > 0 && !keep => (Noise, leftmost),
            None => (Routine, 0),
        }
    }
}

/// Where the rule's leftmost part occurs first, when all occur.
fn naive_rule(rule: &Rule, text: &[u8], stream: Stream) -> Option<usize> {
    if !(if stream == Stream::Stdout { rule.stdout } else { rule.stderr }) {
        return None;
    }
    let starts = rule.parts.iter().map(|part| {
        (0..text.len()).find(|&at| {
            part.spellings.iter().any(|spelling| {
                let end = at + spelling.len();
                text[at..].starts_with(spelling)
                    && (!part.at_start || at == 0)
                    && (!part.at_end || end == text.len() || &text[end..] == b"\r")
            })
        })
    });
    starts.collect::<Option<Vec<_>>>()?.into_iter().min()
}

fn literal() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(vec![
        &b"a"[..],
        b"b",
        b"ab",
        b"ba",
        b"aab",
        b"beat",
        b"eat",
        b"ERR",
        b" ",
        b"\t",
        b"x\r",
        b"Caused by:",
        b"at",
        TRACEBACK,
    ])
    .prop_map(<[u8]>::to_vec)
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let part = (literal(), prop::bool::weighted(0.1), prop::bool::weighted(0.1), prop::bool::weighted(0.1)).prop_map(
        |(bytes, at_start, at_end, any_case)| {
            let mut spellings = vec![bytes];
            if any_case {
                let upper = spellings[0].to_ascii_uppercase();
                spellings.push(upper);
            }
            list::Part { spellings, at_start, at_end }
        },
    );
    let effect = prop::sample::select(vec![
        Effect::Noise,
        Effect::Noise,
        Effect::Noise,
        Effect::Noise,
        Effect::Keep,
        Effect::Drop,
        Effect::Critical,
        Effect::Anomaly,
    ]);
    let streams = prop::sample::select(vec![(true, true), (true, true), (true, true), (true, false), (false, true)]);
    let rule = (effect, prop::collection::vec(part, 1..3), streams);
    prop::collection::vec(rule, 0..9).prop_map(|all| {
        let numbered = (1..).zip(all);
        numbered
            .map(|(line, (effect, parts, (stdout, stderr)))| Rule {
                effect,
                parts,
                stdout,
                stderr,
                slower: None,
                expect: None,
                place: Place { list: "t".into(), line },
                text: Box::default(),
            })
            .collect()
    })
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        &b"a"[..],
        b"b",
        b"c",
        b"beat",
        b"ERR",
        b" ",
        b"\t",
        b"\r",
        b"\x1b[1m",
        b"\x1b",
        b"at",
        b"Caused by:",
        b"... 3 more",
        TRACEBACK,
    ]);
    prop::collection::vec(word, 0..6).prop_map(|words| [words.concat(), b"\n".to_vec()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// B13.
    #[test]
    fn blocks_are_classified_as_a_naive_reading_line_by_line_would(
        rules in rules(),
        lines in prop::collection::vec(line(), 0..30),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        stderr: bool,
    ) {
        let stream = if stderr { Stream::Stderr } else { Stream::Stdout };
        let mut naive = Naive::default();
        let expected: Vec<_> = lines.iter().map(|line| naive.line(&rules, line, stream)).collect();
        let mut cuts: Vec<_> = cuts.iter().map(|i| i.index(lines.len() + 1)).chain([0, lines.len()]).collect();
        cuts.sort_unstable();
        let blocks: Vec<Vec<u8>> = cuts.windows(2).map(|w| lines[w[0]..w[1]].concat()).collect();
        let set = RuleSet::new(rules);
        let blocks: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
        let found: Vec<_> = each(&set, &blocks, stream).into_iter().map(|v| flat(&set, v)).collect();
        prop_assert_eq!(found, expected);
    }
}
