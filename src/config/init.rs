//! A first configuration for a command: what has to be decided, and nothing else.

use super::name;
use super::typed::quote;
use std::path::Path;

/// A file that runs a command in a folder.
#[must_use]
pub fn text(command: &[String], folder: &Path) -> String {
    let program = command.first().map(|program| program.rsplit('/').next().unwrap_or(program)).unwrap_or_default();
    let name = name::from_text(program.split('.').next().unwrap_or(program));
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
