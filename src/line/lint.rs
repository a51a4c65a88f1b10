//! Rules that cannot be what was meant: each is a warning, none stops anything.

use super::Stream;
use super::classify::decide_effect;
use super::list::{Effect, Place, Rule, Sample};
use super::rules::{RuleSet, Scratch};
use aho_corasick::AhoCorasick;
use std::collections::HashMap;

/// Shorter literals occur everywhere, and slow the search down.
const LITERAL_BYTES_MIN: usize = 4;

/// A warning: the rule it is about, and what is odd about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where the rule stands.
    pub place: Place,
    /// What is odd.
    pub text: String,
    /// What to do.
    pub remedy: &'static str,
    /// The rule that makes it odd, where one does.
    pub other: Option<Place>,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.text)?;
        self.other.iter().try_for_each(|other| write!(f, " {other}"))?;
        write!(f, "; {}", self.remedy)
    }
}

/// Looks for short, double, subsumed and never matching rules, and for noise rules that match one of the samples that
/// the list `levels` gives of critical lines. In the order of the rules.
#[must_use]
pub fn check(rules: &[Rule], samples: &[Sample]) -> Vec<Warning> {
    let mut warnings: Vec<Odd> = Vec::new();
    short_or_idle(rules, &mut warnings);
    shadowed(rules, &mut warnings);
    hiding(rules, samples, &mut warnings);
    warnings.sort_by_key(|odd| odd.rule);
    let place = |rule: usize| rules[rule].place.clone();
    let warning =
        |odd: Odd| Warning { place: place(odd.rule), text: odd.text, remedy: odd.remedy, other: odd.other.map(place) };
    warnings.into_iter().map(warning).collect()
}

/// What is odd about a rule.
struct Odd {
    rule: usize,
    text: String,
    remedy: &'static str,
    other: Option<usize>,
}

fn short_or_idle(rules: &[Rule], warnings: &mut Vec<Odd>) {
    for (index, rule) in rules.iter().enumerate() {
        let longest = rule.parts.iter().map(|part| part.spellings[0].len()).max().unwrap_or(0);
        if longest < LITERAL_BYTES_MIN {
            let text = format!("under {LITERAL_BYTES_MIN} bytes, so it matches much and is slow");
            warnings.push(Odd { rule: index, text, remedy: "write more of the line", other: None });
        }
        if rule.parts.iter().any(|part| part.spellings[0].contains(&0x1b)) {
            let text = "it holds ESC, which is passed over in lines: it never matches".into();
            warnings.push(Odd { rule: index, text, remedy: "remove it", other: None });
        }
    }
}

/// Rules that match nothing that an earlier or shorter rule of the same effect does not match.
fn shadowed(rules: &[Rule], warnings: &mut Vec<Odd>) {
    let mut seen: HashMap<(Effect, Vec<&super::list::Part>, bool, bool), usize> = HashMap::new();
    let mut doubles = vec![false; rules.len()];
    for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.slower.is_none()) {
        let key = (rule.effect, rule.parts.iter().collect(), rule.stdout, rule.stderr);
        let first = *seen.entry(key).or_insert(index);
        if first != index {
            doubles[index] = true;
            warnings.push(Odd { rule: index, text: "the same as".into(), remedy: "remove one", other: Some(first) });
        }
    }
    let bare: Vec<_> = (0..rules.len()).filter(|index| is_bare(&rules[*index]) && !doubles[*index]).collect();
    let mut patterns = Vec::new();
    let mut owners = Vec::new();
    for &index in &bare {
        patterns.extend(&rules[index].parts[0].spellings);
        owners.resize(patterns.len(), index);
    }
    let Ok(search) = AhoCorasick::new(&patterns) else { return };
    for (index, rule) in rules.iter().enumerate().filter(|(index, rule)| !doubles[*index] && rule.slower.is_none()) {
        let covers = |owner: &usize| {
            let other = &rules[*owner];
            let streams = (other.stdout || !rule.stdout) && (other.stderr || !rule.stderr);
            *owner != index && other.effect == rule.effect && streams
        };
        let within = |text: &Vec<u8>| {
            search.find_overlapping_iter(text).map(|hit| owners[hit.pattern()]).filter(covers).collect::<Vec<_>>()
        };
        // An AND rule is covered by what covers one of its parts, in all its spellings.
        let covering = rule.parts.iter().find_map(|part| {
            let first = within(&part.spellings[0]);
            first.into_iter().find(|owner| part.spellings[1..].iter().all(|text| within(text).contains(owner)))
        });
        if let Some(owner) = covering {
            let text = "every line that it matches is already matched by".into();
            warnings.push(Odd { rule: index, text, remedy: "remove it", other: Some(owner) });
        }
    }
}

/// One literal, anywhere in the line.
fn is_bare(rule: &Rule) -> bool {
    rule.parts.len() == 1 && !rule.parts[0].at_start && !rule.parts[0].at_end && rule.slower.is_none()
}

fn hiding(rules: &[Rule], samples: &[Sample], warnings: &mut Vec<Odd>) {
    let critical: Vec<_> = samples.iter().filter(|s| s.positive && s.effect == Effect::Critical).collect();
    let noise: Vec<_> = (0..rules.len()).filter(|index| rules[*index].effect == Effect::Noise).collect();
    let mut scratch = Scratch::default();
    let mut hits = |set: &RuleSet| {
        let hit = |sample: &&&Sample| decide_effect(set, &sample.line, Stream::Stderr, &mut scratch).is_some();
        critical.iter().filter(hit).copied().collect::<Vec<_>>()
    };
    if hits(&RuleSet::new(noise.iter().map(|index| rules[*index].clone()).collect())).is_empty() {
        return;
    }
    for &index in &noise {
        let found = hits(&RuleSet::new(vec![rules[index].clone()]));
        if let Some(first) = found.first() {
            let (count, line) = (found.len(), String::from_utf8_lossy(&first.line));
            let text = format!("it is meant to drop noise, and matches {count} known errors, such as {line:?}");
            warnings.push(Odd { rule: index, text, remedy: "write more of it", other: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::list::parse;
    use super::*;

    #[test]
    fn odd_rules_are_named() {
        let list = b"abc\nheartbeat\nbeat ok\nheartbeat ok\nheartbeat\nERR && heartbeat x\n%stream stderr\nbeat ok 2\n\
                     %class critical\nbeat ok\n#+ ERR panic x\n%class noise\n%stream any\npanic\n\\x1B[1mx\n";
        let list = parse("t", list, &mut |_, _| Err(String::new())).unwrap();
        let found: Vec<_> = check(&list.rules, &list.samples).iter().map(ToString::to_string).collect();
        let expected = [
            "t:1: under 4 bytes",
            "t:4: every line that it matches is already matched by t:2; remove it",
            "t:5: the same as t:2; remove one",
            "t:6: every line that it matches is already matched by t:2",
            "t:8: every line that it matches is already matched by t:3",
            "t:14: it is meant to drop noise, and matches 1 known errors, such as \"ERR panic x\"",
            "t:15: it holds ESC",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
    }
}
