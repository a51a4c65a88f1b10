//! Procfiles: `name: command line`, as foreman and honcho read them.

use super::words::{ShellLine, look, split};
use super::write::{Names, Worker, escape_dollars, list, quote};
use super::{Left, Translation};

const HEAD: &str = "\
# Translated from a Procfile. A line with shell syntax is run by /bin/sh, any other without a shell.
# PORT is what foreman and honcho give each worker: 5000 and 100 more for each further one.
# They end all workers when one ends; quell starts a worker that fails again. For their way write
# restart = \"never\" and essential = true.
";

/// The first port, and how far the next worker's is from it.
const PORT: (usize, usize) = (5000, 100);

/// Translates a Procfile.
///
/// Each line becomes a worker in `folder`, the Procfile's, as with foreman, with the variables of `.env`, where there is one, and a `PORT`.
#[must_use]
pub fn procfile(text: &str, folder: &str) -> Translation {
    let (mut out, mut left) = (HEAD.to_owned(), Vec::new());
    let mut names = Names::default();
    let mut count = 0;
    for (number, raw) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = raw.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // What is left is always said of a piece of this line.
        let mut leave = |piece: &str, what: String| {
            let before = &raw[..piece.as_ptr() as usize - raw.as_ptr() as usize];
            left.push(Left { line: number, column: before.chars().count() as u32 + 1, what });
        };
        let Some((wanted, command)) = entry(line) else {
            leave(line, "neither `name: command` nor a comment; write it as one of them, or remove it".into());
            continue;
        };
        if split(command).is_none() {
            leave(command, format!("a quotation in the command of `{wanted}` is not closed; close it"));
            continue;
        }
        let name = names.give(wanted);
        if name != wanted {
            let why = "a name is made of letters, digits, '.', '_' and '-', and is one worker's only";
            leave(wanted, format!("`{wanted}` is called `{name}`: {why}"));
        }
        if command.contains("{n}") {
            leave(command, "quell replaces {n} by the number of the instance; write it in another way".into());
        }
        if wanted == "release" {
            let once = "on Heroku `release` runs once, before the others";
            leave(
                wanted,
                format!("{once}; for that write kind = \"oneshot\" here, and needs = [{name:?}] in the others"),
            );
        }
        out.push_str(&worker(&name, command, folder, count));
        count += 1;
    }
    Translation::new(out, left)
}

/// The name and the command of a line. A name with blanks in it is none: the colon is part of something else.
fn entry(line: &str) -> Option<(&str, &str)> {
    let (name, command) = line.split_once(':')?;
    let (name, command) = (name.trim_end(), command.trim_start());
    let fine = !name.is_empty() && !name.contains(char::is_whitespace) && !command.is_empty();
    fine.then_some((name, command))
}

fn worker(name: &str, command: &str, folder: &str, index: usize) -> String {
    let mut worker = Worker::new(name);
    match (look(command), split(command)) {
        (ShellLine { needs_shell: false, .. }, Some(words)) => {
            worker.put("command", list(words.iter().map(|word| word.text.as_str())));
        }
        (ShellLine { exec_at, .. }, _) => {
            // So that signals reach the command, and its exit is the worker's.
            let line = exec_at.map_or(command.to_owned(), |at| format!("{}exec {}", &command[..at], &command[at..]));
            worker.put_text("shell", &escape_dollars(&line));
        }
    }
    worker.put_text("cwd", &escape_dollars(folder));
    let env_file = escape_dollars(&format!("{}/.env", folder.trim_end_matches('/')));
    worker.put("env_file", format!("{{ path = {}, optional = true }}", quote(&env_file)));
    let port = (PORT.0 + PORT.1 * index).to_string();
    // Like foreman, the first worker takes the PORT that is given from outside.
    let port = if index == 0 { format!("${{PORT:-{port}}}") } else { port };
    worker.put_env(&[("PORT".to_owned(), port)]);
    worker.finish()
}
