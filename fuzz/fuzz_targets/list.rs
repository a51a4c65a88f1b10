//! Holds that any bytes are read as a list or refused: nothing panics, every mistake, rule, sample and warning stands in
//! a line that there is, and what is read compiles, is looked through for oddities, and can be written again.
//!
//! The input is text: form feeds part it into files, of which the first is read. So the seeds are lists that a person can
//! read, and a mutation of one file does not move the borders of the others.

#![no_main]

use libfuzzer_sys::fuzz_target;
use quell::line::lint;
use quell::line::list::{self, List, Mistake, Place};
use quell::line::rules::RuleSet;

/// More files than this are never asked for, however lists include each other.
const INCLUDES_MAX: usize = 256;
/// So many includes bring what is in the file; each further one brings nothing, so that an input stays quick to read.
const INCLUDES_FULL: usize = 12;

fuzz_target!(|input: &[u8]| {
    let files: Vec<&[u8]> = input.split(|byte| *byte == b'\x0c').collect();
    let mut includes = 0;
    // A file's name is its number; what is no such number cannot be read.
    let mut resolve = |name: &str, from: &str| {
        assert!(line(&files, from, 1).is_some(), "{from:?} was never read");
        includes += 1;
        assert!(includes <= INCLUDES_MAX, "lists that include each other are read on and on");
        let bytes = name.parse().ok().and_then(|number: usize| files.get(number)).copied();
        let bytes = bytes.ok_or_else(|| format!("there is no file {name:?}"))?;
        Ok((name.to_owned(), if includes > INCLUDES_FULL { Vec::new() } else { bytes.to_vec() }))
    };
    match list::parse("0", files[0], &mut resolve) {
        Ok(list) => check_list(&files, list),
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            mistakes.iter().for_each(|mistake| check_mistake(&files, mistake));
        }
    }
});

/// The bytes of a line; none where the file or the line does not exist.
fn line<'a>(files: &[&'a [u8]], name: &str, number: u32) -> Option<&'a [u8]> {
    let file = files.get(name.parse::<usize>().ok()?)?;
    file.split(|byte| *byte == b'\n').nth(number.checked_sub(1)? as usize)
}

fn place_exists(files: &[&[u8]], place: &Place) -> bool {
    line(files, &place.list, place.line).is_some()
}

fn check_mistake(files: &[&[u8]], mistake: &Mistake) {
    let line =
        line(files, &mistake.place.list, mistake.place.line).unwrap_or_else(|| panic!("no such place: {mistake}"));
    let characters = String::from_utf8_lossy(line).chars().count();
    assert!((1..=characters + 1).contains(&mistake.column), "no such column: {mistake}");
    assert!(!mistake.what.is_empty() && !mistake.remedy.is_empty(), "{mistake}");
}

fn check_list(files: &[&[u8]], list: List) {
    for sample in &list.samples {
        assert!(place_exists(files, &sample.place), "no such place: {}", sample.place);
    }
    for rule in &list.rules {
        assert!(place_exists(files, &rule.place), "no such place: {}", rule.place);
        assert!(!rule.parts.is_empty() && (rule.stdout || rule.stderr), "{rule:?}");
        for part in &rule.parts {
            for spelling in &part.spellings {
                check_escape(spelling);
            }
        }
    }
    for warning in lint::check(&list.rules, &list.samples) {
        assert!(place_exists(files, &warning.place), "no such place: {warning}");
    }
    let count = list.rules.len();
    assert_eq!(RuleSet::new(list.rules).rules().len(), count);
}

/// A literal that came out of a list can be written into one, and means the same there.
fn check_escape(literal: &[u8]) {
    let written = list::escape(literal).unwrap_or_else(|| panic!("{literal:?} cannot be in a list"));
    let list =
        list::parse("t", &written, &mut |_, _| Err(String::new())).unwrap_or_else(|m| panic!("{written:?}: {m:?}"));
    let [rule] = &list.rules[..] else { panic!("{written:?} is not one rule") };
    let [part] = &rule.parts[..] else { panic!("{written:?} is not one part") };
    assert!(part.spellings == [literal] && !part.at_start && !part.at_end, "{written:?} means {part:?}");
}
