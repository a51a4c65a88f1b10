//! What an editor sees by the schema: no mistake in what is right, and each that stands in one value or key.

use super::home;
use quell::config::schema::schema;
use std::path::Path;

const VALID: [&str; 9] = [
    "minimal.toml",
    "web.toml",
    "queues.toml",
    "conf.d-main.toml",
    "conf.d/reports.toml",
    "conf.d/shop.toml",
    "everything.toml",
    "everything.d/tasks.toml",
    "example.toml",
];

/// The mistakes that it sees.
const SEEN: [&str; 16] = [
    "06-key-under-wrong-table",
    "09-key-typo",
    "10-table-typo",
    "11-foreign-key",
    "12-wrong-type",
    "13-duration-without-unit",
    "14-size-unit",
    "15-out-of-range",
    "16-port-70000",
    "17-enum-typo",
    "19-signal-typo",
    "20-umask",
    "24-stray-dollar",
    "25-shell-syntax-no-shell",
    "26-tilde-in-path",
    "43-socket-path-too-long",
];

/// The others, by their numbers, and why it does not.
const UNSEEN: [(&str, &[u32]); 7] = [
    ("it is no TOML, as every editor says", &[1, 2, 3, 4, 5, 18, 22]),
    ("a file that is included may mend it", &[7, 29, 31]),
    ("it stands in several files, or not in this one", &[8, 21, 28, 40, 55, 56, 57]),
    ("it is about names and tables that belong together", &[30, 32, 33, 59]),
    ("it is about keys whose values do not go together", &[49, 50, 51, 53, 54, 58]),
    ("what a program or a calendar does is not in a schema", &[27, 52]),
    ("it depends on the machine", &[23, 34, 35, 36, 37, 38, 39, 41, 42, 44, 45, 46, 47, 48]),
];

/// A file as JSON; none if it is no TOML.
fn json(path: &Path) -> Option<serde_json::Value> {
    let text = String::from_utf8(std::fs::read(path).unwrap()).ok()?;
    serde_json::to_value(text.parse::<toml::Table>().ok()?).ok()
}

#[test]
fn what_is_right_fits_the_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for name in VALID {
        let value = json(&home().join("tests/config/valid").join(name)).unwrap();
        let wrong: Vec<_> = validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    }
}

#[test]
fn what_a_schema_can_see_it_refuses() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let folder = home().join("tests/config/mistakes");
    let mut known = 0;
    for name in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        let Some(number) = name.split('-').next().and_then(|number| number.parse::<u32>().ok()) else { continue };
        let value = json(&folder.join(&name).join("quell.toml"));
        let refused = value.as_ref().is_some_and(|value| !validator.is_valid(value));
        let why: Vec<_> = UNSEEN.iter().filter(|(_, numbers)| numbers.contains(&number)).map(|(why, _)| *why).collect();
        assert_eq!((refused, why.len()), (SEEN.contains(&&*name), usize::from(!refused)), "{name}: {why:?}");
        assert_eq!(value.is_none(), why.first() == Some(&UNSEEN[0].0), "{name}");
        known += 1;
    }
    assert_eq!(known, SEEN.len() + UNSEEN.iter().map(|(_, numbers)| numbers.len()).sum::<usize>());
}
