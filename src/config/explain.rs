//! Every value in force, where it was set, and why it is what it is.

use super::keys::walk;
use super::keys::{Builtin, Change, Key, Shown, Table};
use super::load::Config;
use super::report::visible;
use super::source::{Place, Sources};
use super::tables::{Log, Quell, TABLES, Worker, alias};
use super::typed::Choice;
use std::collections::HashSet;
use std::fmt::Write;

/// One value in force.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its full name: `worker.web.stop.grace`.
    pub path: String,
    /// What the key is.
    pub key: &'static Key,
    /// The table that it belongs to, and its name there.
    table: &'static str,
    full: String,
    /// As TOML; empty where there is none.
    pub value: String,
    /// Where it was set.
    pub place: Option<Place>,
}

/// The values of a table and of the tables in it.
#[must_use]
pub fn rows<T: Table>(prefix: &str, table: &T) -> Vec<Row> {
    let mut rows = Vec::new();
    add((prefix, T::NAME), "", T::KEYS, &table.fields(), &mut rows);
    rows
}

fn add(table: (&str, &'static str), within: &str, keys: &'static [Key], fields: &[&dyn Shown], rows: &mut Vec<Row>) {
    for (key, field) in keys.iter().zip(fields) {
        let full = if within.is_empty() { key.name.to_owned() } else { format!("{within}.{}", key.name) };
        match field.inside() {
            Some((keys, fields)) => add(table, &full, keys, &fields, rows),
            None => {
                let path = format!("{}.{full}", table.0);
                rows.push(Row { path, key, table: table.1, full, value: field.print(), place: field.place() });
            }
        }
    }
}

/// A worker with what follows from its other keys written out.
fn in_force(worker: &Worker) -> Worker {
    let mut whole = worker.clone();
    whole.kind.value = Some(Choice(worker.kind_in_force()));
    whole.restart.value = Some(Choice(worker.restart_in_force()));
    whole
}

/// The values of one worker, its log's included.
#[must_use]
pub fn worker(config: &Config, name: &str) -> Vec<Row> {
    let workers = config.workers.iter().zip(&config.logs).filter(|(worker, _)| worker.name == name);
    workers
        .flat_map(|(worker, log)| {
            let prefix = format!("worker.{name}");
            let mut all = rows(&prefix, &in_force(&worker.keys));
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
    // Before it stands a worker's name, which may have dots: the longest key is meant.
    let ends = |full: &str| name.strip_suffix(full).is_some_and(|head| head.ends_with('.'));
    let longest = found.iter().filter(|(_, full, _)| ends(full)).map(|(_, full, _)| full.len()).max();
    found.retain(|(_, full, _)| longest.is_none_or(|longest| full.len() == longest));
    if !found.is_empty() {
        return found;
    }
    // What stands within a value is explained with it, and another program's name with ours.
    let around = name.rsplit_once('.').map(|(outer, _)| {
        let mut around = find(outer);
        around
            .retain(|(_, full, _)| outer.strip_suffix(full).is_some_and(|head| head.is_empty() || head.ends_with('.')));
        around
    });
    match around.filter(|around| !around.is_empty()) {
        Some(around) => around,
        None => alias(name).map_or(found, |alias| find(&alias.key)),
    }
}

/// Whether a name that somebody wrote means this key of this table.
fn names(name: &str, table: &str, key: &str) -> bool {
    let head = table.trim_matches(['[', ']']);
    let (noun, named) = head.split_once('.').map_or((head, false), |(noun, _)| (noun, true));
    // A worker's log has the keys of [log].
    let log = noun == "log" && name.starts_with("worker.") && {
        name.ends_with(&format!(".log.{key}")) || name.ends_with(".log")
    };
    let below = name.strip_prefix(noun).and_then(|rest| rest.strip_prefix('.'));
    let own = below
        .is_some_and(|rest| rest == key || (named && rest.strip_suffix(key).is_some_and(|head| head.ends_with('.'))));
    // A table stands for its keys.
    let within = name == noun || key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
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

/// The values of a key that are in force: of one worker or queue where the name that was asked for names it.
#[must_use]
pub fn values_of<'a>(rows: &'a [Row], table: &str, full: &str, name: &str) -> Vec<&'a Row> {
    let of_one = name.starts_with("worker.") || name.starts_with("queue.");
    let within = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let is_named = |row: &Row| within(name, &row.path) || within(&row.path, name);
    let own: Vec<_> = rows.iter().filter(|row| row.table == table && row.full == full).collect();
    match of_one && own.iter().any(|row| is_named(row)) {
        true => own.into_iter().filter(|row| is_named(row)).collect(),
        false => own,
    }
}

/// The tables whose values are in force without any file.
#[must_use]
pub fn built_in() -> Vec<Row> {
    let mut all = rows("quell", &Quell::initial());
    all.extend(rows("log", &Log::initial()));
    all.extend(rows("worker.NAME", &Worker::initial()));
    all
}
