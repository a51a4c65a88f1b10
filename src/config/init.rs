//! A first configuration for a command: what has to be decided, and nothing else.

use super::keys::{Builtin, Table};
use super::name;
use super::tables::Worker;
use super::typed::quote;
use std::path::Path;

/// What is to be decided of a worker beside its command and folder: keys, and a value that each could have.
const DECISIONS: [(&str, &str); 4] = [
    ("lists", "[\"heartbeat\"]"),
    ("ready", "{ line = \"listening on\" }"),
    ("restart", "\"always\""),
    ("user", "\"www-data\""),
];

/// A file that runs a command in a folder.
#[must_use]
pub fn text(command: &[String], folder: &Path) -> String {
    let name = name::from_text(known_as(command));
    let escape = |text: &str| quote(&text.replace('$', "$$"));
    let argv: Vec<_> = command.iter().map(|word| escape(word)).collect();
    let mut text = format!(
        "\
# What quell runs. `quell check` finds what is wrong here, `quell explain` says what is in force and why.

[worker.{name}]
command = [{}]
cwd     = {}
",
        argv.join(", "),
        escape(&folder.to_string_lossy()),
    );
    for (name, value) in DECISIONS {
        let Some(key) = Worker::KEYS.iter().find(|key| key.name == name) else { continue };
        let builtin = match key.builtin {
            Builtin::Value(value) => value,
            Builtin::Rule(rule) => rule,
            Builtin::Nothing | Builtin::Required | Builtin::Inside => "none",
        };
        text.push_str(&format!("\n# {} Built in: {builtin}.\n# {name} = {value}\n", key.about));
    }
    text
}

/// What people call a command: its program, or the script that an interpreter runs.
fn known_as(command: &[String]) -> &str {
    const INTERPRETERS: [&str; 9] = ["python", "node", "ruby", "perl", "php", "java", "sh", "bash", "deno"];
    let Some((program, words)) = command.split_first() else { return "" };
    let is_version = |rest: &str| rest.chars().all(|c| c.is_ascii_digit() || c == '.');
    let interprets = INTERPRETERS.iter().any(|name| base(program).strip_prefix(name).is_some_and(is_version));
    let script = words.iter().find(|word| !word.starts_with('-')).filter(|_| interprets);
    let base = base(script.unwrap_or(program));
    base.split('.').next().filter(|stem| !stem.is_empty()).unwrap_or(base)
}

/// The last part of a path.
fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(command: &str) -> String {
        known_as(&command.split(' ').map(str::to_owned).collect::<Vec<_>>()).to_owned()
    }

    #[test]
    fn a_worker_is_called_after_what_people_call_it() {
        assert_eq!(name("/usr/sbin/nginx -g x"), "nginx");
        assert_eq!(name("python3.11 -u /srv/shop/app.py --port 1"), "app");
        assert_eq!(name("python3 -m http.server"), "http");
        assert_eq!(name("bash -x"), "bash");
        assert_eq!(name("./.hidden"), ".hidden");
        assert_eq!(known_as(&[]), "");
    }

    #[test]
    fn all_decisions_are_keys() {
        let text = text(&["a b".into(), "$x".into()], Path::new("/srv/ü"));
        for (key, value) in DECISIONS {
            assert!(text.contains(&format!("\n# {key} = {value}\n")), "{text}");
        }
        assert!(text.contains("command = [\"a b\", \"$$x\"]\ncwd     = \"/srv/ü\""), "{text}");
    }
}
