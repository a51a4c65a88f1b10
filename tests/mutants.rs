//! The valid configurations with one mistake each, made by the machine: a letter lost, a unit forgotten, a key in another
//! table. None may pass unseen: each is refused, or changes what `plan` and `explain` show.
//!
//! `cargo test mutants -- --nocapture` prints what became of them, kind by kind, and every error on another line.

// What became of them is for people.
#![allow(clippy::print_stdout)]

use crate::harness::Dice;
use quell::config::explain;
use quell::config::load::{Files, Loaded, load};
use quell::config::plan::plan;
use quell::config::report::{Report, Severity};
use quell::config::source::{Place, position};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Where the valid files seem to lie.
const FOLDER: &str = "/etc/quell";
/// The valid configurations, and the files of which each is made.
const CONFIGURATIONS: [(&str, &[&str]); 5] = [
    ("minimal.toml", &["minimal.toml"]),
    ("web.toml", &["web.toml"]),
    ("queues.toml", &["queues.toml"]),
    ("conf.d-main.toml", &["conf.d-main.toml", "conf.d/reports.toml", "conf.d/shop.toml"]),
    ("everything.toml", &["everything.toml", "everything.d/tasks.toml"]),
];

/// The valid files, held in memory.
#[derive(Clone)]
struct Copied(BTreeMap<PathBuf, String>);

impl Copied {
    fn of(names: &[&str]) -> Copied {
        let valid = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/valid");
        let read = |name: &&str| (Path::new(FOLDER).join(name), std::fs::read_to_string(valid.join(name)).unwrap());
        Copied(names.iter().map(read).collect())
    }
}

impl Files for Copied {
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).map(|text| text.as_bytes().to_vec()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn identity(&mut self, path: &Path) -> PathBuf {
        path.to_owned()
    }

    fn matching(&mut self, _: &Path, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let pattern = glob::Pattern::new(&pattern.to_string_lossy()).map_err(io::Error::other)?;
        Ok(self.0.keys().filter(|path| pattern.matches_path(path)).cloned().collect())
    }
}

/// A file with one mistake in it.
struct Mutant {
    kind: &'static str,
    /// The lines that were changed, from 1.
    lines: Vec<usize>,
    text: String,
    /// What was written, and what stands there now.
    what: (String, String),
    /// Why nothing may have changed.
    excuse: Option<Excuse>,
}

/// What makes a mutant the same configuration.
enum Excuse {
    /// What was exchanged is the same.
    Alike,
    /// Neither of these texts, each with a half of what was changed, is another configuration: a key that says what is in
    /// force without it, where it stood and where it stands.
    Halves([String; 2]),
}

/// What can be changed in a file.
struct Parts<'a> {
    text: &'a str,
    /// The words of the tables' names, and the keys.
    keys: Vec<Range<usize>>,
    /// Everything that stands behind a `=`, and the items of lists and tables in it.
    values: Vec<(Range<usize>, Type)>,
    /// Keys that begin a line and their values, and the table that they are in, by its number.
    statements: Vec<(usize, Range<usize>, Range<usize>)>,
    /// Where the tables' names begin.
    headers: Vec<Range<usize>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Type {
    Text,
    Number,
    Flag,
    List,
    Table,
}

fn parts(text: &str) -> Parts<'_> {
    let tree = DeTable::parse(text).unwrap();
    let mut parts = Parts { text, keys: vec![], values: vec![], statements: vec![], headers: vec![] };
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with('[') {
            parts.headers.push(at..at + line.trim_end().len());
            let words = line.trim_matches(['[', ']', '\n']).split('.');
            let start = at + line.len() - line.trim_start_matches('[').len();
            parts.keys.extend(words.scan(start, |start, word| {
                let range = *start..*start + word.len();
                *start += word.len() + 1;
                Some(range)
            }));
        }
        at += line.len();
    }
    parts.table(tree.get_ref());
    parts.keys.sort_by_key(|key| key.start);
    parts.statements.sort_by_key(|(_, key, _)| key.start);
    parts.values.sort_by_key(|(value, _)| value.start);
    parts
}

impl Parts<'_> {
    fn table(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let (key, at) = (key.span(), value.span());
            let is_header = at.start < key.start;
            match value.get_ref() {
                DeValue::Table(inner) if is_header || at == key => self.table(inner),
                DeValue::Array(items) if is_header => {
                    items.iter().for_each(|item| self.table(item.get_ref().as_table().unwrap()))
                }
                _ => {
                    self.keys.push(key.clone());
                    let line = self.text[..key.start].rfind('\n').map_or(0, |newline| newline + 1);
                    let head = &self.text[line..key.start];
                    if let Some(head) = head.strip_suffix('.').filter(|head| !head.contains([' ', '.'])) {
                        self.keys.push(line..line + head.len());
                    }
                    if !head.contains(' ') {
                        let number = self.headers.iter().filter(|header| header.start < line).count();
                        self.statements.push((number, line..key.end, at));
                    }
                    self.value(value);
                }
            }
        }
    }

    fn value(&mut self, value: &toml::Spanned<DeValue<'_>>) {
        let kind = match value.get_ref() {
            DeValue::String(_) => Type::Text,
            DeValue::Integer(_) => Type::Number,
            DeValue::Boolean(_) => Type::Flag,
            DeValue::Array(items) => {
                items.iter().for_each(|item| self.value(item));
                Type::List
            }
            DeValue::Table(inner) => {
                self.table(inner);
                Type::Table
            }
            other => panic!("{other:?}"),
        };
        self.values.push((value.span(), kind));
    }

    /// The same text with some pieces replaced.
    fn mutant(&self, kind: &'static str, edits: &[(Range<usize>, String)]) -> Mutant {
        let mut sorted = edits.to_vec();
        sorted.sort_by_key(|(range, _)| range.start);
        let (mut text, mut at, mut lines) = (String::new(), 0, Vec::new());
        for (range, with) in &sorted {
            text += &self.text[at..range.start];
            // What is inserted as a line of its own begins behind its newline; what is taken away leaves no line.
            if !with.is_empty() || range.is_empty() || !self.text[range.clone()].ends_with('\n') {
                lines.push(position(&text, text.len()).0 + usize::from(with.starts_with('\n')));
            }
            text += with;
            at = range.end;
        }
        text += &self.text[at..];
        let old = edits.iter().map(|(range, _)| &self.text[range.clone()]).collect::<Vec<_>>().join(" … ");
        let new = edits.iter().map(|(_, with)| with.as_str()).collect::<Vec<_>>().join(" … ");
        Mutant { kind, lines, text, what: (old, new), excuse: None }
    }
}

impl Dice {
    /// Another letter.
    fn letter(&mut self, not: char) -> char {
        let others: Vec<char> = ('a'..='z').filter(|c| *c != not.to_ascii_lowercase()).collect();
        others[self.roll(others.len())]
    }
}

const UNITS: [&str; 17] =
    ["ns", "us", "ms", "s", "m", "h", "d", "w", "B", "kB", "KB", "KiB", "MB", "MiB", "GB", "GiB", "%"];

/// All mutants of one text.
fn mutants(text: &str, dice: &mut Dice) -> Vec<Mutant> {
    let parts = parts(text);
    let mut all = Vec::new();
    keys(&parts, dice, &mut all);
    words(&parts, dice, &mut all);
    units_and_numbers(&parts, dice, &mut all);
    types(&parts, &mut all);
    brackets(&parts, dice, &mut all);
    moves(&parts, dice, &mut all);
    swaps(&parts, &mut all);
    all
}

fn keys(parts: &Parts<'_>, dice: &mut Dice, all: &mut Vec<Mutant>) {
    for key in &parts.keys {
        let name = &parts.text[key.clone()];
        let letters: Vec<_> = name.char_indices().filter(|(_, c)| c.is_ascii_alphabetic()).collect();
        let (at, c) = letters[dice.roll(letters.len())];
        let start = key.start + at;
        all.push(parts.mutant("key: a letter changed", &[(start..start + 1, dice.letter(c).to_string())]));
        let (at, _) = letters[dice.roll(letters.len())];
        let start = key.start + at;
        if name.len() > 1 {
            all.push(parts.mutant("key: a letter dropped", &[(start..start + 1, String::new())]));
        }
    }
}

/// Texts that are one word, and flags: a letter changed. All texts: a quote lost.
fn words(parts: &Parts<'_>, dice: &mut Dice, all: &mut Vec<Mutant>) {
    for (value, kind) in parts.values.iter().filter(|(_, kind)| matches!(kind, Type::Text | Type::Flag)) {
        let written = &parts.text[value.clone()];
        let letters: Vec<_> = written.char_indices().filter(|(_, c)| c.is_ascii_alphabetic()).collect();
        if !letters.is_empty() && !written.contains([' ', '/']) {
            let (at, c) = letters[dice.roll(letters.len())];
            let start = value.start + at;
            all.push(parts.mutant("word: a letter changed", &[(start..start + 1, dice.letter(c).to_string())]));
        }
        if *kind == Type::Text {
            let lost = if dice.roll(2) == 0 { value.start } else { value.end - 1 };
            all.push(parts.mutant("a quote lost", &[(lost..lost + 1, String::new())]));
        }
    }
}

/// Each number, whether it is a value or in a text: its unit dropped, where it has one; a digit changed.
fn units_and_numbers(parts: &Parts<'_>, dice: &mut Dice, all: &mut Vec<Mutant>) {
    for (value, _) in parts.values.iter().filter(|(_, kind)| matches!(kind, Type::Text | Type::Number)) {
        let written = &parts.text[value.clone()];
        let mut at = 0;
        while let Some(first) = written[at..].find(|c: char| c.is_ascii_digit()).map(|found| at + found) {
            let end = written[first..].find(|c: char| !c.is_ascii_digit()).map_or(written.len(), |n| first + n);
            let unit = written[end..].find(['"', ' ', ',']).map_or("", |n| &written[end..end + n]);
            if UNITS.contains(&unit) && written[..first].ends_with(['"', ' ']) {
                let range = value.start + end..value.start + end + unit.len();
                all.push(parts.mutant("a unit dropped", &[(range, String::new())]));
            }
            let digit = first + dice.roll(end - first);
            let old = usize::from(written.as_bytes()[digit] - b'0');
            let new = (old + 1 + dice.roll(9)) % 10;
            let range = value.start + digit..value.start + digit + 1;
            all.push(parts.mutant("a number changed", &[(range, new.to_string())]));
            at = end;
        }
    }
}

fn types(parts: &Parts<'_>, all: &mut Vec<Mutant>) {
    for (value, kind) in &parts.values {
        let written = &parts.text[value.clone()];
        let with = match kind {
            Type::Text => {
                let digits: String = written.chars().filter(char::is_ascii_digit).take(6).collect();
                digits.parse().unwrap_or(1).to_string()
            }
            Type::Number | Type::Flag => format!("\"{written}\""),
            Type::List => match written.find('"') {
                Some(open) => written[open..][..written[open + 1..].find('"').unwrap() + 2].to_owned(),
                None => format!("\"{}\"", written.trim_matches(['[', ']'])),
            },
            Type::Table => continue,
        };
        all.push(parts.mutant("a value's type changed", &[(value.clone(), with)]));
    }
}

fn brackets(parts: &Parts<'_>, dice: &mut Dice, all: &mut Vec<Mutant>) {
    for (value, _) in parts.values.iter().filter(|(_, kind)| matches!(kind, Type::List | Type::Table)) {
        let lost = if dice.roll(2) == 0 { value.start } else { value.end - 1 };
        let mut mutant = parts.mutant("a bracket lost", &[(lost..lost + 1, String::new())]);
        // Where nothing is left of the line, what lacks the bracket ends above.
        if mutant.text.lines().nth(mutant.lines[0] - 1).is_some_and(str::is_empty) {
            mutant.lines[0] -= 1;
        }
        all.push(mutant);
    }
}

/// A key in another table: for each, one that is drawn.
fn moves(parts: &Parts<'_>, dice: &mut Dice, all: &mut Vec<Mutant>) {
    for (table, key, value) in &parts.statements {
        let to = dice.roll(parts.headers.len() + 1);
        let to = if to == *table { (to + 1) % (parts.headers.len() + 1) } else { to };
        let end = value.end + parts.text[value.end..].find('\n').map_or(0, |newline| newline + 1);
        let statement = parts.text[key.start..end].trim_end();
        let edit = match to.checked_sub(1) {
            Some(header) => (parts.headers[header].end..parts.headers[header].end, format!("\n{statement}")),
            None => (0..0, format!("{statement}\n")),
        };
        let gone = (key.start..end, String::new());
        let halves = [std::slice::from_ref(&gone), std::slice::from_ref(&edit)].map(|half| parts.mutant("", half).text);
        let mut mutant = parts.mutant("a key in another table", &[gone, edit]);
        mutant.excuse = Some(Excuse::Halves(halves));
        // What it is missed by is the table that it was in.
        let header = parts.headers.get(table.wrapping_sub(1)).map(|header| &parts.text[header.clone()]);
        let missing = header.and_then(|header| mutant.text.lines().position(|line| line == header));
        mutant.lines.extend(missing.map(|line| line + 1));
        all.push(mutant);
    }
}

/// Two keys that follow each other in one table: their values exchanged, or their names, in turns.
fn swaps(parts: &Parts<'_>, all: &mut Vec<Mutant>) {
    for (number, pair) in parts.statements.windows(2).enumerate() {
        let [(table, key, value), (other_table, other_key, other)] = pair else { unreachable!() };
        if table != other_table {
            continue;
        }
        let (one, two) = if number % 2 == 0 { (value, other) } else { (key, other_key) };
        let text = |range: &Range<usize>| parts.text[range.clone()].to_owned();
        let mut mutant = parts.mutant("two keys swapped", &[(one.clone(), text(two)), (two.clone(), text(one))]);
        mutant.excuse = (text(value) == text(other)).then_some(Excuse::Alike);
        all.push(mutant);
    }
}

/// A valid configuration.
struct Original {
    main: &'static str,
    files: Copied,
    /// Where no variable is set.
    loaded: Loaded,
    rows: Vec<(String, String)>,
    /// Where each is.
    rows_with_variables: Vec<(String, String)>,
}

fn read(main: &str, files: &Copied, variables: bool) -> Loaded {
    let env = |name: &str| variables.then(|| format!("of-{name}"));
    load(main, Path::new(FOLDER), &mut files.clone(), &env).unwrap()
}

fn rows(loaded: &Loaded) -> Vec<(String, String)> {
    explain::all(&loaded.config).into_iter().map(|row| (row.path, row.value)).collect()
}

impl Original {
    fn new(main: &'static str, names: &[&str]) -> Original {
        let files = Copied::of(names);
        let loaded = read(main, &files, false);
        assert!(loaded.reports.is_empty(), "{main}: {:?}", loaded.reports);
        let rows_with_variables = rows(&read(main, &files, true));
        Original { main, rows: rows(&loaded), rows_with_variables, files, loaded }
    }

    /// With another text for one file.
    fn with(&self, file: &str, text: &str, variables: bool) -> Loaded {
        let mut files = self.files.clone();
        files.0.insert(Path::new(FOLDER).join(file), text.to_owned());
        read(self.main, &files, variables)
    }

    /// Whether a change of the file can be seen.
    fn shows(&self, changed: &Loaded, file: &str, text: &str) -> bool {
        !plan(&self.loaded.config, &changed.config).is_empty()
            || self.rows != rows(changed)
            || (text.contains("${") && self.rows_with_variables != rows(&self.with(file, text, true)))
    }

    fn excuses(&self, file: &str, mutant: &Mutant) -> bool {
        match &mutant.excuse {
            Some(Excuse::Alike) => true,
            Some(Excuse::Halves(halves)) => halves.iter().all(|half| {
                let loaded = self.with(file, half, false);
                errors(&loaded).is_empty() && !self.shows(&loaded, file, half)
            }),
            None => false,
        }
    }
}

fn errors(loaded: &Loaded) -> Vec<&Report> {
    loaded.reports.iter().filter(|report| report.severity == Severity::Error).collect()
}

/// What became of mutants.
#[derive(Default)]
struct Tally {
    all: usize,
    refused: usize,
    /// An error's own place is a line that was changed.
    at_line: usize,
    /// An error shows such a line, be it as the other place that has to do with it.
    shown: usize,
    /// No error stands elsewhere as well.
    alone: usize,
    /// Not refused, and seen.
    seen: usize,
    /// The same configuration.
    same: usize,
}

impl Tally {
    fn refuse(&mut self, file: &str, mutant: &Mutant, loaded: &Loaded, errors: &[&Report]) {
        let changed = |place: &Place| {
            let (line, _) = loaded.sources.position(*place);
            loaded.sources.get(place.file).name == file && mutant.lines.contains(&line)
        };
        let guilty = errors.iter().filter(|report| changed(&report.place)).count();
        let shown = errors.iter().any(|report| report.also.iter().any(|(place, _)| changed(place)));
        self.refused += 1;
        self.at_line += usize::from(guilty > 0);
        self.shown += usize::from(guilty > 0 || shown);
        self.alone += usize::from(guilty == errors.len());
        if guilty < errors.len() {
            let errors = errors.iter().map(|e| format!("    {} {}", loaded.sources.show_line(e.place), e.text));
            let errors: Vec<_> = errors.collect();
            println!("elsewhere: {} was said of\n  {}", errors.join("\n"), mutant.describe(file));
        }
    }

    fn add(&mut self, other: &Tally) {
        self.all += other.all;
        self.refused += other.refused;
        self.at_line += other.at_line;
        self.shown += other.shown;
        self.alone += other.alone;
        self.seen += other.seen;
        self.same += other.same;
    }

    fn print(&self, kind: &str) {
        let Tally { all, refused, at_line, shown, alone, seen, same } = self;
        let errors = format!("an error at the line of {at_line}, shown by {shown}, nowhere else for {alone}");
        println!("{kind:24} {all:4} mutants: {refused:4} refused ({errors}), {seen:3} seen, {same} the same");
    }
}

impl Mutant {
    fn describe(&self, file: &str) -> String {
        format!("{file}:{:?} {}: {:?} → {:?}", self.lines, self.kind, self.what.0, self.what.1)
    }
}

#[test]
fn no_mutant_of_a_valid_file_passes_unseen() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut unseen = Vec::new();
    for (main, names) in CONFIGURATIONS {
        let original = Original::new(main, names);
        for file in names {
            for mutant in mutants(&original.files.0[&Path::new(FOLDER).join(file)], &mut dice) {
                let loaded = original.with(file, &mutant.text, false);
                let tally = tallies.entry(mutant.kind).or_default();
                tally.all += 1;
                let errors = errors(&loaded);
                if !errors.is_empty() {
                    tally.refuse(file, &mutant, &loaded, &errors);
                } else if original.shows(&loaded, file, &mutant.text) {
                    tally.seen += 1;
                } else if original.excuses(file, &mutant) {
                    tally.same += 1;
                    println!("the same: {}", mutant.describe(file));
                } else {
                    unseen.push(mutant.describe(file));
                }
            }
        }
    }
    let mut all = Tally::default();
    for (kind, tally) in &tallies {
        tally.print(kind);
        all.add(tally);
    }
    all.print("all");
    assert!(unseen.is_empty(), "passed unseen:\n{}", unseen.join("\n"));
    assert!(all.all > 1000, "{}", all.all);
    // The rest are names that something else refers to, and keys of which there are two now: either may be the wrong one.
    let share = |of: usize| of as f64 / all.refused as f64;
    assert!(share(all.at_line) >= 0.95 && share(all.shown) >= 0.97 && share(all.alone) >= 0.95);
}

/// What an editor marks by the schema is wrong; what it does not mark may be.
#[test]
fn the_schema_refuses_no_mutant_that_is_right() {
    let validator = jsonschema::validator_for(&quell::config::schema::schema()).unwrap();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut refused, mut seen) = (0, 0);
    for (main, names) in CONFIGURATIONS {
        let original = Original::new(main, names);
        for file in names {
            for mutant in mutants(&original.files.0[&Path::new(FOLDER).join(file)], &mut dice) {
                let Ok(table) = mutant.text.parse::<toml::Table>() else { continue };
                let loaded = original.with(file, &mutant.text, false);
                let is_refused = !errors(&loaded).is_empty();
                let is_seen = !validator.is_valid(&serde_json::to_value(table).unwrap());
                assert!(is_refused || !is_seen, "only the schema refuses {}", mutant.describe(file));
                refused += usize::from(is_refused);
                seen += usize::from(is_seen);
            }
        }
    }
    println!("of {refused} mutants that are TOML and wrong, the schema refuses {seen}");
    assert!(seen * 4 > refused * 3, "{seen} of {refused}");
}
