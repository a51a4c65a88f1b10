//! A first configuration for a command: what has to be decided, and nothing else.

use super::name;
use super::typed::quote;
use std::path::Path;

/// A file that runs a command in a folder.
#[must_use]
pub fn text(command: &[String], folder: &Path) -> String {
    let name = name::from_text(known_as(command));
    let escape = |text: &str| quote(&text.replace('$', "$$"));
    let argv: Vec<_> = command.iter().map(|word| escape(word)).collect();
    let key = if name.contains('.') { quote(&name) } else { name };
    format!(
        "\
# What quell runs. `quell check` finds what is wrong here, `quell explain` says what is in force and why.

[worker.{key}]
command = [{}]
cwd     = {}

# What it prints that nobody wants to keep: names of shipped lists, or files of your own.
# lists = [\"heartbeat\"]

# What it prints when it can be used; without this it counts as ready as soon as it runs.
# ready = {{ line = \"listening on\" }}

# When it is to be started again: always, on-failure (as it is now) or never.
# restart = \"always\"

# Whom it runs as; without this, as whoever starts quell.
# user = \"www-data\"
",
        argv.join(", "),
        escape(&folder.to_string_lossy()),
    )
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
