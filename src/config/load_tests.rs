use super::*;
use crate::config::explain;
use crate::config::keys::{Builtin, Key, walk};
use crate::config::kind::Kind;
use crate::config::print::print;
use crate::config::report::{to_json, to_text};
use crate::config::tables::*;
use proptest::prelude::*;
use std::sync::LazyLock;

/// Configurations made of the table of keys.
#[path = "load_made.rs"]
mod made;

const VALID: [(&str, &str); 8] = [
    ("minimal.toml", include_str!("../../tests/config/valid/minimal.toml")),
    ("web.toml", include_str!("../../tests/config/valid/web.toml")),
    ("queues.toml", include_str!("../../tests/config/valid/queues.toml")),
    ("conf.d-main.toml", include_str!("../../tests/config/valid/conf.d-main.toml")),
    ("conf.d/reports.toml", include_str!("../../tests/config/valid/conf.d/reports.toml")),
    ("conf.d/shop.toml", include_str!("../../tests/config/valid/conf.d/shop.toml")),
    ("everything.toml", include_str!("../../tests/config/valid/everything.toml")),
    ("everything.d/tasks.toml", include_str!("../../tests/config/valid/everything.d/tasks.toml")),
];

/// Files by their paths, and how many were asked for.
struct Memory<'a>(Vec<(PathBuf, &'a [u8])>, usize);

impl Files for Memory<'_> {
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        self.1 += 1;
        let found = self.0.iter().find(|(name, _)| name == path);
        found.map(|(_, bytes)| bytes.to_vec()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn identity(&mut self, path: &Path) -> PathBuf {
        path.to_owned()
    }

    fn matching(&mut self, _: &Path, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let pattern = glob::Pattern::new(&pattern.to_string_lossy()).map_err(io::Error::other)?;
        Ok(self.0.iter().map(|(path, _)| path.clone()).filter(|path| pattern.matches_path(path)).collect())
    }
}

const FOLDER: &str = "/etc/quell";

/// Loads bytes, as the first of the valid files or beside them.
fn loaded(name: &str, bytes: &[u8]) -> Loaded {
    let others = VALID.iter().filter(|(other, _)| *other != name);
    let mut files: Vec<_> = others.map(|(name, text)| (Path::new(FOLDER).join(name), text.as_bytes())).collect();
    files.push((Path::new(FOLDER).join(name), bytes));
    let env = |name: &str| (name == "HOME").then(|| "/root".to_owned());
    load(name, Path::new(FOLDER), &mut Memory(files, 0), &env).expect("the file is there")
}

/// Every report stands in a text, and can be drawn.
fn check_reports(loaded: &Loaded) {
    for report in &loaded.reports {
        let fix = report.fix.iter().map(|(place, _)| place);
        for place in [&report.place].into_iter().chain(fix).chain(report.also.iter().map(|(place, _)| place)) {
            let text = &loaded.sources.get(place.file).text;
            assert!(text.get(place.bytes()).is_some(), "{place:?} is no piece of {text:?}: {report:?}");
        }
        assert!((report.help.is_some() || report.fix.is_some()) && !report.text.is_empty(), "{report:?}");
    }
    let drawn = to_text(&loaded.sources, &loaded.reports, false);
    assert!(loaded.reports.iter().all(|report| drawn.len() > report.text.len()));
    assert!(serde_json::from_str::<serde_json::Value>(&to_json(&loaded.sources, &loaded.reports)).is_ok());
}

/// What is printed of a configuration is that configuration.
fn check_print(config: &Config) {
    let printed = print(config);
    let again = loaded("printed.toml", printed.as_bytes());
    assert_eq!(&again.config, config, "{printed}");
    let values =
        |config: &Config| explain::all(config).into_iter().map(|row| (row.path, row.value)).collect::<Vec<_>>();
    assert_eq!(values(&again.config), values(config));
}

/// The schema takes what is read, but for workers with nothing to run or too much.
fn check_schema(text: &str) {
    static VALIDATOR: LazyLock<jsonschema::Validator> =
        LazyLock::new(|| jsonschema::validator_for(&crate::config::schema::schema()).expect("it is a schema"));
    let table: toml::Table = text.parse().expect("it was read");
    let value = serde_json::to_value(table).expect("there is no date in it");
    let wrong = VALIDATOR.iter_errors(&value).filter(|error| !error.schema_path().to_string().ends_with("/oneOf"));
    let wrong: Vec<_> = wrong.map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?} of {text}");
}

#[test]
fn valid_files_are_printed_as_the_same() {
    for name in ["minimal.toml", "web.toml", "queues.toml", "conf.d-main.toml", "everything.toml"] {
        let (_, text) = VALID.iter().find(|(valid, _)| *valid == name).expect("it is there");
        let loaded = loaded(name, text.as_bytes());
        assert!(loaded.reports.is_empty(), "{}", to_text(&loaded.sources, &loaded.reports, false));
        check_print(&loaded.config);
    }
}

/// One change of a text, as somebody would make it by accident, or a bad disk.
#[derive(Clone, Debug)]
enum Change {
    Drop(usize, usize),
    Double(usize, usize),
    Insert(usize, Vec<u8>),
    End(usize),
}

impl Change {
    fn make(&self, bytes: &mut Vec<u8>) {
        let at = |number: usize| number % (bytes.len() + 1);
        let piece = |start: usize, length: usize| at(start)..(at(start) + length).min(bytes.len());
        match self {
            Change::Drop(start, length) => drop(bytes.drain(piece(*start, *length))),
            Change::Double(start, length) => {
                let piece = bytes[piece(*start, *length)].to_vec();
                let to = at(start * 31);
                bytes.splice(to..to, piece);
            }
            Change::Insert(start, new) => drop(bytes.splice(at(*start)..at(*start), new.iter().copied())),
            Change::End(start) => bytes.truncate(at(*start)),
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let token = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..4),
        prop::sample::select(vec![
            "\"", "'", "{", "}", "[", "]", "[[", "\n", "=", ".", "#", "$", "${", "\\", "\"\"\"", "-1", "1e999",
            "\u{a0}", "“"
        ])
        .prop_map(|token| token.as_bytes().to_vec()),
    ];
    prop_oneof![
        (any::<usize>(), 1..40usize).prop_map(|(start, length)| Change::Drop(start, length)),
        (0..1usize << 32, 1..200usize).prop_map(|(start, length)| Change::Double(start, length)),
        (any::<usize>(), token).prop_map(|(start, token)| Change::Insert(start, token)),
        any::<usize>().prop_map(Change::End),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check_reports(&loaded("quell.toml", &bytes));
    }

    #[test]
    fn any_mutilation_is_read_or_refused(at in 0..VALID.len(), changes in prop::collection::vec(change(), 1..6)) {
        let (name, text) = VALID[at];
        let mut bytes = text.as_bytes().to_vec();
        changes.iter().for_each(|change| change.make(&mut bytes));
        check_reports(&loaded(name, &bytes));
        check_reports(&loaded("conf.d-main.toml", VALID[3].1.as_bytes()));
    }

    /// Each key of the table, with values of its kind.
    #[test]
    fn every_key_takes_values_of_its_kind(text in made::configuration()) {
        let text = format!("[worker.X]\ncommand = [\"/bin/x\"]\n{text}");
        let loaded = loaded("quell.toml", text.as_bytes());
        let wrong: Vec<_> = loaded.config.workers.iter().filter(|worker| worker.mistaken).collect();
        prop_assert!(wrong.is_empty() && loaded.unset.is_empty(), "{}", to_text(&loaded.sources, &loaded.reports, false));
        check_reports(&loaded);
        check_print(&loaded.config);
        check_schema(&text);
    }
}

/// The tables that are values, collected from the kinds of all keys.
fn tables(kind: Kind, found: &mut Vec<&'static [Key]>) {
    match kind {
        Kind::List(item) | Kind::Map(item) => tables(*item, found),
        Kind::OneOf(kinds) => kinds.iter().for_each(|kind| tables(*kind, found)),
        Kind::Table(keys) if !found.iter().any(|known| std::ptr::eq(*known, keys)) => {
            found.push(keys);
            keys.iter().for_each(|key| tables(key.kind, found));
        }
        _ => {}
    }
}

fn check_initial<T: Table>(seen: &mut Vec<Vec<&'static str>>) {
    // It panics where a built-in value cannot be decoded.
    let initial = T::initial();
    for (key, field) in T::KEYS.iter().zip(initial.fields()) {
        let has_value = matches!(key.builtin, Builtin::Value(_));
        assert_eq!(
            has_value,
            field.inside().is_none() && !["", "[]"].contains(&&*field.print()),
            "{} of {}",
            key.name,
            T::NAME
        );
        assert!(field.place().is_none());
    }
    seen.push(T::KEYS.iter().map(|key| key.name).collect());
}

#[test]
fn every_built_in_value_is_one() {
    let mut seen = Vec::new();
    let see = &mut seen;
    [
        check_initial::<Top>,
        check_initial::<Quell>,
        check_initial::<Log>,
        check_initial::<Worker>,
        check_initial::<Queue>,
    ]
    .iter()
    .for_each(|check| check(see));
    [check_initial::<Test>, check_initial::<Retained>, check_initial::<Stop>, check_initial::<Backoff>]
        .iter()
        .for_each(|check| check(see));
    [check_initial::<Slots>, check_initial::<Retry>, check_initial::<Watch>, check_initial::<Limits>]
        .iter()
        .for_each(|check| check(see));
    [check_initial::<ReadyBy>, check_initial::<Reload>, check_initial::<EnvFileBy>, check_initial::<Expect>]
        .iter()
        .for_each(|check| check(see));
    [check_initial::<Trigger>, check_initial::<Source>, check_initial::<Started>].iter().for_each(|check| check(see));
    let mut all = Vec::new();
    TABLES.iter().for_each(|(_, keys)| tables(Kind::Table(keys), &mut all));
    for keys in all {
        let names: Vec<_> = keys.iter().map(|key| key.name).collect();
        assert!(seen.contains(&names), "no test makes the table of {names:?}");
    }
}

#[test]
fn every_key_says_what_it_is_and_every_choice_why() {
    for (title, keys) in TABLES {
        walk(keys, "", &mut |full, key| {
            assert!(key.about.ends_with('.') || key.about.ends_with('`'), "{full} of {title}: {:?}", key.about);
            let chosen = match key.builtin {
                // No variables is not a choice.
                Builtin::Value(value) => value != "{}",
                Builtin::Rule(_) => true,
                Builtin::Nothing | Builtin::Required | Builtin::Inside => false,
            };
            assert!(!chosen || !key.why.is_empty(), "{full} of {title} does not say why it is {:?}", key.builtin);
        });
    }
}
