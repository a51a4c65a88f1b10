//! Configurations made of the table of keys: a value for each by its kind, so that a new key is tried by itself.

use crate::config::keys::{Builtin, Key};
use crate::config::kind::{Form, Kind};
use crate::config::tables::{Log, Quell, Queue, Test, Worker};
use crate::config::typed::quote;
use crate::config::{decode::is_variable, keys::Table};
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeSet;

/// Any text, as TOML; a dollar is written twice.
fn text() -> BoxedStrategy<String> {
    prop_oneof![3 => "[a-zA-Z0-9 $._/-]{0,12}", 1 => "[^\0%]{0,8}"]
        .prop_map(|text| quote(&text.replace('$', "$$")))
        .boxed()
}

/// A word that no shell and no path makes anything of.
fn word() -> BoxedStrategy<String> {
    "[a-z][a-z0-9-]{0,8}".prop_map(|word| quote(&word)).boxed()
}

fn one_of(texts: &[&str]) -> BoxedStrategy<String> {
    let texts: Vec<_> = texts.iter().map(|text| quote(text)).collect();
    select(texts).boxed()
}

fn duration() -> BoxedStrategy<String> {
    let unit = select(vec!["ns", "us", "ms", "s", "m", "h", "d", "w"]);
    (1..5000u32, prop::option::of(0..1000u32), unit)
        .prop_map(|(whole, part, unit)| match part {
            Some(part) => format!("{whole}.{part} {unit}"),
            None => format!("{whole}{unit}"),
        })
        .boxed()
}

fn size() -> BoxedStrategy<String> {
    let unit = select(vec!["B", "kB", "KiB", "MB", "MiB", "GB", "GiB", "TiB"]);
    (4096..9000u32, unit).prop_map(|(size, unit)| format!("{size}{unit}")).boxed()
}

/// A value of a form; of one that is not known here, its example.
fn of_form(form: Form) -> BoxedStrategy<String> {
    let quoted = |of: BoxedStrategy<String>| of.prop_map(|text| quote(&text)).boxed();
    let both = |between: &'static str, neither: &'static str| {
        let long =
            (1..5000u32, select(vec!["s", "m", "h", "d", "w"])).prop_map(|(number, unit)| format!("{number}{unit}"));
        let pair = (long.clone(), size()).prop_map(move |(long, size)| format!("{long}{between}{size}"));
        prop_oneof![Just(neither.to_owned()), long, size(), pair].boxed()
    };
    match form.name {
        "text" => text(),
        "a shell's command line, in quotes" => "x[a-zA-Z0-9 ./-]{0,12}[$]?".prop_map(|text| quote(&text)).boxed(),
        "a duration" => quoted(duration()),
        "a size" => quoted(size()),
        "a size, a duration or both" => quoted(both(" or ", "never")),
        "a duration, a size or both" => quoted(both(", ", "forever")),
        "\"rotation\", \"always\" or a duration" => {
            prop_oneof![one_of(&["rotation", "always"]), quoted(duration())].boxed()
        }
        "\"always\", \"never\" or a duration" => prop_oneof![one_of(&["always", "never"]), quoted(duration())].boxed(),
        "a path" | "a socket's path" => one_of(&["/var/lib/x", "x.d/y", "./x", "../x", "/", "."]),
        "an absolute path" => one_of(&["/", "/srv/app", "/srv/../x y"]),
        "a path with wildcards" => one_of(&["conf.d/*.toml", "/srv/in/[a-z]?.csv", "../*"]),
        "a signal that quell leaves free" => one_of(&["USR1", "SIGUSR2", "ALRM", "PWR"]),
        "a signal" => one_of(&["TERM", "SIGHUP", "USR1", "KILL"]),
        "an octal number in quotes" => one_of(&["022", "0077", "0o027", "777", "000"]),
        "a host and a port, or a socket's path" => {
            one_of(&["127.0.0.1:8080", "[::1]:1", "host:65535", "/run/x.sock", "./x.sock"])
        }
        "a percentage" => quoted((1..=100u32).prop_map(|percent| format!("{percent}%")).boxed()),
        "a list's name or path" => one_of(&["heartbeat", "./x.list", "x.list", "/etc/x", "!levels"]),
        "a schedule" => one_of(&["0 3 * * *", "*/10 1-5 * 1,7 1-5", "0 0 1 1 * UTC"]),
        "a name" => quoted("[a-z_][a-z0-9_-]{0,8}".boxed()),
        "\"embedded\" or a Redis URL" => one_of(&["embedded", "redis://127.0.0.1:6379/1", "rediss://x"]),
        "two literals around `…`" => one_of(&["token=…&", "secret...", "a…b…c", "x…$$y"]),
        _ => quoted(Just(form.example.to_owned()).boxed()),
    }
}

fn of_kind(kind: Kind) -> BoxedStrategy<String> {
    match kind {
        Kind::Flag => any::<bool>().prop_map(|flag| flag.to_string()).boxed(),
        Kind::Integer(min, max) => {
            prop_oneof![Just(min), Just(max), min..=max].prop_map(|number| number.to_string()).boxed()
        }
        Kind::Text(form) => of_form(form),
        Kind::Choice(words) => one_of(words),
        Kind::List(item) => {
            prop::collection::vec(of_kind(*item), 0..4).prop_map(|items| format!("[{}]", items.join(", "))).boxed()
        }
        Kind::Map(value) => {
            let pairs = prop::collection::btree_map("[A-Z_][A-Z0-9_]{0,6}", of_kind(*value), 0..4);
            let pair = |(name, value): (String, String)| {
                assert!(is_variable(&name));
                format!("{name} = {value}")
            };
            pairs.prop_map(move |pairs| inline(pairs.into_iter().map(pair).collect())).boxed()
        }
        Kind::Table(keys) => inner(keys).prop_map(inline).boxed(),
        Kind::OneOf(kinds) => proptest::strategy::Union::new(kinds.iter().map(|kind| of_kind(*kind))).boxed(),
    }
}

fn inline(pairs: Vec<String>) -> String {
    format!("{{ {} }}", pairs.join(", "))
}

/// A key's value; of some, more is asked than their kind says.
fn of_key(key: &Key) -> BoxedStrategy<String> {
    match key.name {
        "command" => prop::collection::vec(word(), 1..4).prop_map(|words| format!("[{}]", words.join(", "))).boxed(),
        _ => of_kind(key.kind),
    }
}

/// Keys that cannot stand together in the tables that are values: of each such table, what may stand in it.
fn shapes(keys: &[Key]) -> Option<Vec<Vec<&'static str>>> {
    let has = |name: &str| keys.iter().any(|key| key.name == name);
    let shapes: &[&[&str]] = match () {
        () if has("tcp") => &[&["line"], &["fd"], &["tcp"]],
        () if has("schedule") => &[
            &["line", "worker"],
            &["path"],
            &["path", "queue"],
            &["schedule"],
            &["socket", "idle_stop"],
            &["signal"],
            &["fire"],
            &["queue", "event"],
            &["queue", "depth"],
            &["queue", "batch", "every"],
            &["worker"],
        ],
        () if has("optional") => &[&["path"], &["path", "optional"]],
        () if has("within") && has("rule") => &[&["rule", "within"], &["rule", "within", "else"]],
        () if keys.len() == 2 && has("signal") && has("command") => &[&["signal"], &["command"]],
        () => return None,
    };
    Some(shapes.iter().map(|shape| shape.to_vec()).collect())
}

/// Some of a table's keys, each as `key = value`.
fn some(keys: &'static [Key]) -> BoxedStrategy<Vec<String>> {
    let pairs: Vec<_> = keys.iter().map(|key| pair(key, "")).collect();
    let chosen = prop::collection::vec(prop::bool::weighted(0.4), keys.len());
    (pairs, chosen)
        .prop_map(|(pairs, chosen)| {
            pairs.into_iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(pair, _)| pair).collect()
        })
        .boxed()
}

fn inner(keys: &'static [Key]) -> BoxedStrategy<Vec<String>> {
    let Some(shapes) = shapes(keys) else { return some(keys) };
    let of_shape = move |names: Vec<&'static str>| {
        let key = |name: &&str| pair(keys.iter().find(|key| key.name == *name).expect("it is one of them"), "");
        let queue = names.contains(&"queue");
        let pairs: Vec<_> = names.iter().filter(|name| **name != "event").map(key).collect();
        let event = if names.contains(&"event") && queue { Some("event = \"done\"".to_owned()) } else { None };
        pairs.prop_map(move |pairs| pairs.into_iter().chain(event.clone()).collect::<Vec<_>>())
    };
    select(shapes).prop_flat_map(of_shape).boxed()
}

/// `key = value`; a table in the table in one of its two ways.
fn pair(key: &'static Key, prefix: &str) -> BoxedStrategy<String> {
    let name = format!("{prefix}{}", key.name);
    match (key.kind, key.builtin) {
        (Kind::Table(keys), Builtin::Inside) => {
            let inline = inner(keys).prop_map(inline);
            let whole = name.clone();
            let dotted = some(keys).prop_map(move |pairs| {
                pairs.iter().map(|pair| format!("{name}.{pair}")).collect::<Vec<_>>().join("\n")
            });
            prop_oneof![inline.prop_map(move |inline| format!("{whole} = {inline}")), dotted].boxed()
        }
        _ => of_key(key).prop_map(move |value| format!("{name} = {value}")).boxed(),
    }
}

/// A table with some of its keys, those left out that these name.
pub(super) fn table(keys: &'static [Key], title: String, without: &'static [&'static str]) -> BoxedStrategy<String> {
    let left = move |pair: &String| !without.iter().any(|key| pair.starts_with(&format!("{key} =")));
    let lines = some(keys).prop_map(move |pairs| pairs.into_iter().filter(left).collect::<Vec<_>>().join("\n"));
    lines.prop_map(move |lines| format!("{title}\n{lines}\n\n")).boxed()
}

/// A test of the configuration: its keys belong together.
fn test() -> BoxedStrategy<String> {
    let of = |name: &str| pair(Test::KEYS.iter().find(|key| key.name == name).expect("it has one"), "");
    let lines = (of("worker"), text())
        .prop_map(|(worker, line)| format!("[[test]]\n{worker}\nlines = [{line}]\nexpect = [\"noise\"]\n\n"));
    let source = (of("source"), word()).prop_map(|(source, start)| {
        format!("[[test]]\n{source}\nexpect = {{ start = {start}, within = \"5ms\" }}\n\n")
    });
    prop_oneof![lines, source].boxed()
}

/// A whole configuration; what its keys mean together may be nonsense.
pub(super) fn configuration() -> BoxedStrategy<String> {
    let names =
        |word: &'static str| prop::collection::btree_set("[a-z][a-z.]{0,6}", 0..3).prop_map(move |names| (word, names));
    let named = |(word, names): (&'static str, BTreeSet<String>)| -> Vec<BoxedStrategy<String>> {
        let keys = if word == "worker" { Worker::KEYS } else { Queue::KEYS };
        let title = |name: &String| format!("{word}.{}", quote(name));
        let tables = names.iter().map(|name| table(keys, format!("[{}]", title(name)), &[]));
        let logs = names.iter().map(|name| table(Log::KEYS, format!("[{}.log]", title(name)), &[]));
        if word == "worker" { tables.chain(logs).collect() } else { tables.collect() }
    };
    let quell = table(Quell::KEYS, "[quell]".into(), &[]);
    let log = table(Log::KEYS, "[log]".into(), &[]);
    let (workers, queues) = (names("worker").prop_flat_map(named), names("queue").prop_flat_map(named));
    let tests = prop::collection::vec(test(), 0..2);
    (quell, log, workers, queues, tests)
        .prop_map(|(quell, log, workers, queues, tests)| [vec![quell, log], workers, queues, tests].concat().concat())
        .boxed()
}
