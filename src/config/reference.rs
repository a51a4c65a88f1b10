//! The reference page: every key, as Markdown.

use super::keys::{Builtin, Change, walk};
use super::tables::TABLES;
use std::fmt::Write;

/// The page.
#[must_use]
pub fn page() -> String {
    let mut text = String::from(INTRODUCTION);
    for (title, keys) in TABLES {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n## {}\n", if title.starts_with('[') { format!("`{title}`") } else { title.into() });
        let _ = writeln!(text, "| key | value | built in | meaning | why | a change |\n|---|---|---|---|---|---|");
        walk(keys, "", &mut |full, key| {
            let builtin = match key.builtin {
                Builtin::Value(value) => format!("`{value}`"),
                Builtin::Rule(rule) => rule.into(),
                Builtin::Required => "must be set".into(),
                Builtin::Nothing | Builtin::Inside => "–".into(),
            };
            let change = match key.change {
                Change::Live => "at once",
                Change::Restart => "restart",
                Change::Anew => "quell anew",
            };
            let cells =
                [format!("`{full}`"), key.kind.describe(), builtin, key.about.into(), key.why.into(), change.into()];
            let cells: Vec<_> = cells.iter().map(|cell: &String| cell.replace('|', "\\|")).collect();
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        });
    }
    text.push_str("\n## Other programs' names\n\nA key of another program is refused with ours.\n\n| program | its key | ours |\n|---|---|---|\n");
    let mut names = Vec::new();
    for (_, keys) in TABLES {
        walk(keys, "", &mut |full, key| {
            names.extend(key.also.iter().map(|(tool, theirs)| (*tool, *theirs, full.to_owned())))
        });
    }
    names.sort();
    for (tool, theirs, ours) in names {
        let _ = writeln!(text, "| {tool} | `{theirs}` | `{ours}` |");
    }
    text
}

const INTRODUCTION: &str = "\
# The configuration, key by key

This page is made by `quell explain --reference` from the table by which files are decoded; a test fails when it is stale.
`quell explain KEY` says the same of one key, and what is in force.

A configuration is TOML. It is looked for at `-c FILE`, `$QUELL_CONFIG`, `./quell.toml` and `/etc/quell/quell.toml`. Relative
paths are relative to the file that says them. `${NAME}` and `${NAME:-default}` stand for variables of the environment, in
values only; `$$` is a dollar. `[worker.NAME.log]` has the keys of `[log]`, for that worker. What stands in the last column
happens to a worker that runs when the key is changed and the configuration reloaded.
";
