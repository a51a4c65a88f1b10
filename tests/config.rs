//! The verbs around a configuration: what is wrong with it, what is in force, what it would do.

use crate::harness::{Done, Folder, finish, quell};
use std::path::Path;
use std::process::Command;

mod check;
mod hostile;
mod large;
mod mistakes;
mod page;
mod plan;
mod schema;
mod thousand;
mod verbs;

/// The program in this folder, with nothing in its environment that a configuration can depend on.
fn quell_in(folder: &Path) -> Command {
    let mut command = quell();
    undisturbed(&mut command, folder);
    command
}

fn undisturbed(command: &mut Command, folder: &Path) {
    command.current_dir(folder).env("PATH", "/usr/bin:/bin");
    for name in ["QUELL_CONFIG", "NO_COLOR", "APP_LISTEN_PORT", "OLD_LISTEN_PORT"] {
        command.env_remove(name);
    }
}

/// Runs a verb in a folder.
fn at(folder: &Folder, args: &[&str]) -> Done {
    finish(quell_in(folder.path()).args(args))
}

/// What a verb that succeeds says, and that it says nothing else.
fn says(folder: &Folder, args: &[&str]) -> String {
    let done = at(folder, args);
    assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "{args:?}: {}", done.text());
    done.text().to_owned()
}

/// The repository.
fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Holds that a page that is made by the program is as it would be made now; `QUELL_UPDATE=1` makes it anew.
fn hold_page(name: &str, made: &str) {
    let path = home().join("docs").join(name);
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    if kept == made {
        return;
    }
    if std::env::var_os("QUELL_UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(path, made).unwrap();
        return;
    }
    let mut pairs = (1..).zip(kept.lines().map(Some).chain(std::iter::repeat(None)).zip(made.lines()));
    let differ = pairs.find(|(_, (kept, made))| *kept != Some(made));
    panic!("docs/{name} is stale, QUELL_UPDATE=1 makes it anew; it differs first in {differ:#?}");
}
