//! Every value in force, where it was set, and why it is what it is.

use super::keys::walk;
use super::keys::{Builtin, Change, Key, Shown, Table};
use super::load::Config;
use super::report::visible;
use super::source::{Place, Sources};
use super::tables::{Log, Quell, TABLES, Worker};
use std::collections::HashSet;
use std::fmt::Write;

/// One value in force.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its full name: `worker.web.stop.grace`.
    pub path: String,
    /// What the key is.
    pub key: &'static Key,
    /// As TOML; empty where there is none.
    pub value: String,
    /// Where it was set.
    pub place: Option<Place>,
}

/// The values of a table and of the tables in it.
#[must_use]
pub fn rows<T: Table>(prefix: &str, table: &T) -> Vec<Row> {
    let mut rows = Vec::new();
    add(prefix, T::KEYS, &table.fields(), &mut rows);
    rows
}

fn add(prefix: &str, keys: &'static [Key], fields: &[&dyn Shown], rows: &mut Vec<Row>) {
    for (key, field) in keys.iter().zip(fields) {
        let path = format!("{prefix}.{}", key.name);
        match field.inside() {
            Some((keys, fields)) => add(&path, keys, &fields, rows),
            None => rows.push(Row { path, key, value: field.print(), place: field.place() }),
        }
    }
}

/// The values of one worker, its log's included.
#[must_use]
pub fn worker(config: &Config, name: &str) -> Vec<Row> {
    let workers = config.workers.iter().zip(&config.logs).filter(|(worker, _)| worker.name == name);
    workers
        .flat_map(|(worker, log)| {
            let prefix = format!("worker.{name}");
            let mut all = rows(&prefix, &worker.keys);
            all.extend(rows(&format!("{prefix}.log"), &log.whole));
            all
        })
        .collect()
}

/// All values.
#[must_use]
pub fn all(config: &Config) -> Vec<Row> {
    let mut all = rows("quell", &config.quell);
    all.extend(rows("log", &config.log));
    config.workers.iter().for_each(|named| all.extend(worker(config, &named.name)));
    config.queues.iter().for_each(|queue| all.extend(rows(&format!("queue.{}", queue.name), &queue.keys)));
    for (number, test) in (1..).zip(&config.tests) {
        all.extend(rows(&format!("test.{number}"), &test.0));
    }
    all
}

/// Where a value was set, in words.
#[must_use]
pub fn origin(row: &Row, sources: &Sources) -> String {
    match (row.place, row.key.builtin) {
        (Some(place), _) => sources.show(place),
        (None, Builtin::Nothing | Builtin::Required) => "not set".into(),
        (None, _) => "built in".into(),
    }
}

/// The value, or what is in force where there is none.
#[must_use]
pub fn value(row: &Row) -> String {
    match (row.value.is_empty(), row.key.builtin) {
        (false, _) => row.value.clone(),
        (true, Builtin::Rule(rule)) => rule.into(),
        (true, _) => "–".into(),
    }
}

/// Values as a table for people; those that nobody set are left out where only the set ones are asked for.
#[must_use]
pub fn to_text(rows: &[Row], sources: &Sources, only_set: bool) -> String {
    // What one table sets for all workers is shown once.
    let mut seen = HashSet::new();
    let rows: Vec<_> =
        rows.iter().filter(|row| !only_set || row.place.is_some_and(|place| seen.insert(place))).collect();
    let width = |of: &dyn Fn(&Row) -> usize| rows.iter().map(|row| of(row)).max().unwrap_or(0).min(48);
    let paths = width(&|row| row.path.chars().count());
    let values = width(&|row| value(row).chars().count());
    let text = rows.iter().fold(String::new(), |mut text, row| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:paths$}  {:values$}  {}", row.path, value(row), origin(row, sources));
        text
    });
    visible(&text).into_owned()
}

/// The keys that a name can mean: `stop.grace`, `worker.stop.grace`, `worker.web.stop.grace`, `log.rotate`, `rotate`.
#[must_use]
pub fn find(name: &str) -> Vec<(&'static str, String, &'static Key)> {
    let mut found = Vec::new();
    for (table, keys) in TABLES {
        walk(keys, "", &mut |full, key| {
            if names(name, table, full) {
                found.push((table, full.to_owned(), key));
            }
        });
    }
    found
}

/// Whether a name that somebody wrote means this key of this table.
fn names(name: &str, table: &str, key: &str) -> bool {
    let head = table.trim_matches(['[', ']']);
    let (noun, named) = head.split_once('.').map_or((head, false), |(noun, _)| (noun, true));
    // A worker's log has the keys of [log].
    let log = noun == "log" && name.starts_with("worker.") && name.ends_with(&format!(".log.{key}"));
    let below = name.strip_prefix(noun).and_then(|rest| rest.strip_prefix('.'));
    let own =
        below.is_some_and(|rest| rest == key || (named && rest.split_once('.').is_some_and(|(_, rest)| rest == key)));
    // A table within stands for its keys.
    let within = key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    name == key || own || log || within
}

/// All names that `find` knows, for suggestions.
#[must_use]
pub fn names_of_keys() -> Vec<String> {
    let mut names = Vec::new();
    for (_, keys) in TABLES {
        walk(keys, "", &mut |full, _| names.push(full.to_owned()));
    }
    names
}

/// What a key is: its kind, its meaning, what is built in and why, and what a change of it does.
#[must_use]
pub fn describe(table: &str, full: &str, key: &Key) -> String {
    let builtin = match key.builtin {
        Builtin::Value(value) => value.to_owned(),
        Builtin::Rule(rule) => rule.to_owned(),
        Builtin::Nothing => "none".into(),
        Builtin::Required => "none; it must be set".into(),
        Builtin::Inside => String::new(),
    };
    let change = match key.change {
        Change::Live => "in force at once, nothing restarts",
        Change::Restart => "the worker is restarted",
        Change::Anew => "in force when quell is started anew",
    };
    let mut text = format!("{full}, in {table}\n  {}\n  value:     {}\n", key.about, key.kind.describe());
    let _ = writeln!(text, "  built in:  {builtin}");
    if !key.why.is_empty() {
        let _ = writeln!(text, "  because:   {}", key.why);
    }
    let _ = writeln!(text, "  a change:  {change}");
    if !key.also.is_empty() {
        let also: Vec<_> = key.also.iter().map(|(tool, name)| format!("{tool}'s {name}")).collect();
        let _ = writeln!(text, "  known as:  {}", also.join(", "));
    }
    text
}

/// The values of these keys that are in force.
#[must_use]
pub fn values_of<'a>(rows: &'a [Row], table: &str, full: &str) -> Vec<&'a Row> {
    let is_log = table == "[log]";
    let noun = table.trim_matches(['[', ']']).split('.').next().unwrap_or_default();
    let own = |row: &&Row| {
        let key = row.path.strip_suffix(full).and_then(|head| head.strip_suffix('.'));
        key.is_some_and(|head| match head.split('.').collect::<Vec<_>>()[..] {
            [one] => one == noun,
            [one, _] => one == noun,
            ["worker", .., "log"] => is_log,
            _ => false,
        })
    };
    rows.iter().filter(own).collect()
}

/// The tables whose values are in force without any file.
#[must_use]
pub fn built_in() -> Vec<Row> {
    let mut all = rows("quell", &Quell::initial());
    all.extend(rows("log", &Log::initial()));
    all.extend(rows("worker.NAME", &Worker::initial()));
    all
}
