//! What a worker finds in its environment: the file of variables, and its PATH.

use super::Scene;
use super::folders::{self, Obstacle};
use crate::config::decode::is_variable;
use crate::config::load::Named;
use crate::config::report::Report;
use crate::config::source::{Place, line_bytes};
use crate::config::tables::{EnvFile, Worker};
use crate::config::values::EnvFrom;
use crate::sys::peek;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Where a program is looked for when PATH is not set (execvp(3)).
const PATH_DEFAULT: &str = "/usr/local/bin:/bin:/usr/bin";
/// More than this is no file of variables.
const FILE_BYTES_MAX: usize = 1 << 20;
/// So many mistakes in one file are shown.
const MISTAKES_MAX: usize = 20;

/// Files of variables that were looked at: each one's PATH, if it sets that.
#[derive(Default)]
pub(super) struct Files(HashMap<PathBuf, Option<String>>);

/// The PATH that a worker's programs are looked for in; none where that cannot be known. What is wrong with its file of
/// variables is said.
pub(super) fn path(worker: &Named<Worker>, files: &mut Files, scene: &mut Scene<'_>) -> Option<String> {
    let keys = &worker.keys;
    let from_file = file(worker, files, scene);
    let sound = [keys.env_file.place, keys.env_from.place];
    let lost =
        keys.env.place.is_some_and(|key| scene.values.has_entry(key, "PATH")) && !scene.values.is_sound(keys.env.place);
    if lost || !sound.into_iter().all(|key| scene.values.is_sound(key)) {
        return None;
    }
    let passed = match &keys.env_from.value {
        EnvFrom::All => true,
        EnvFrom::None => false,
        EnvFrom::Names(names) => names.iter().any(|name| glob::Pattern::new(&name.0).is_ok_and(|p| p.matches("PATH"))),
    };
    let ours = || std::env::var("PATH").ok().filter(|_| passed);
    let own = keys.env.value.0.get("PATH").map(|text| text.0.clone());
    Some(own.or(from_file).or_else(ours).unwrap_or_else(|| PATH_DEFAULT.into()))
}

/// Looks at a worker's file of variables; its PATH.
fn file(worker: &Named<Worker>, files: &mut Files, scene: &mut Scene<'_>) -> Option<String> {
    let key = worker.keys.env_file.or(worker.place);
    let (path, place, optional) = match worker.keys.env_file.value.as_ref()? {
        EnvFile::Path(path) => (&path.0, scene.values.of(key), false),
        EnvFile::By(item) => {
            (&item.0.path.value.as_ref()?.0, scene.values.of(item.0.path.or(item.1)), item.0.optional.value)
        }
    };
    if let Some(seen) = files.0.get(path) {
        return seen.clone();
    }
    let short = matches!(worker.keys.env_file.value, Some(EnvFile::Path(_)));
    match folders::walk(path) {
        Ok(_) => {
            let found = look_into(path, place, scene);
            files.0.insert(path.clone(), found.clone());
            found
        }
        Err(Obstacle::Missing(_)) if optional => None,
        Err(obstacle) => {
            let report = missing(path, &obstacle, place, short, scene);
            let cause = match &obstacle {
                Obstacle::Missing(part) => folders::cause(part),
                _ => report.text.clone(),
            };
            scene.add_once(cause, report);
            None
        }
    }
}

fn missing(path: &Path, obstacle: &Obstacle, place: Place, short: bool, scene: &Scene<'_>) -> Report {
    let Obstacle::Missing(part) = obstacle else {
        let report =
            Report::error(place, format!("`env_file` {} cannot be read: {}", path.display(), obstacle.describe()));
        return report.help("name a file that quell can read");
    };
    let first = if part == path { String::new() } else { format!(": {}", obstacle.describe()) };
    let report = Report::error(place, format!("`env_file` {} does not exist{first}", path.display()));
    let near = folders::similar(part).map(|near| format!("; there is {}", near.display())).unwrap_or_default();
    let written = format!("{{ path = {}, optional = true }}", scene.values.raw(place));
    let report = report.help(format!("make it, or write `{written}` if it may be missing{near}"));
    if short { report.fix(place, written) } else { report }
}

fn look_into(path: &Path, place: Place, scene: &mut Scene<'_>) -> Option<String> {
    let bytes = match peek::head(path, FILE_BYTES_MAX + 1) {
        Ok(bytes) if bytes.len() <= FILE_BYTES_MAX => bytes,
        other => {
            let why = other.err().map_or("it is larger than 1 MiB".into(), |e| e.to_string());
            let report = Report::error(place, format!("`env_file` {} cannot be read: {why}", path.display()));
            scene.add(report.help("name a file of NAME=value lines that quell can read"));
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (variables, wrong) = parse(&text);
    if !wrong.is_empty() {
        let file = scene.add_source(path, &text);
        for Wrong { bytes, what, remedy } in wrong.into_iter().take(MISTAKES_MAX) {
            scene.add(Report::error(Place::new(file, bytes), what).help(remedy).also(place, "read from here"));
        }
    }
    variables.into_iter().rev().find(|(name, _)| *name == "PATH").map(|(_, value)| value.to_owned())
}

/// Something wrong in a file of variables.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    bytes: Range<usize>,
    what: String,
    remedy: String,
}

/// The variables of a file, and its mistakes.
fn parse(text: &str) -> (Vec<(&str, &str)>, Vec<Wrong>) {
    let (mut variables, mut wrong) = (Vec::new(), Vec::new());
    for number in 1..=text.lines().count() {
        let span = line_bytes(text, number);
        let line = text[span.clone()].trim_end();
        let start = span.start + line.len() - line.trim_start().len();
        let (line, bytes) = (line.trim_start(), start..span.start + line.len());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut say = |what: String, remedy: String| wrong.push(Wrong { bytes: bytes.clone(), what, remedy });
        let Some((name, value)) = line.split_once('=') else {
            say(format!("{line:?} is not NAME=value"), "write NAME=value, or `#` before a comment".into());
            continue;
        };
        let bare = name.strip_prefix("export ").unwrap_or(name).trim();
        if value.contains('\0') {
            say(format!("the value of {name} holds a NUL"), "remove it".into());
        } else if is_variable(name) {
            variables.push((name, value));
        } else if is_variable(bare) {
            let export = name.starts_with("export ");
            let what =
                if export { "`export` is a shell's, and none reads this" } else { "there are blanks before `=`" };
            say(what.into(), format!("write {bare}={}", value.trim()));
        } else {
            let what = format!("{name:?} cannot be the name of a variable");
            say(what, "write letters, digits and `_`, as in PORT=8080".into());
        }
    }
    (variables, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_variables() {
        let text = "# a comment\n\nPORT=8080\r\n  HOST=a=b\nEMPTY=\nexport A=1\nB = 2\n9=x\nnothing\n";
        let (variables, wrong) = parse(text);
        assert_eq!(variables, [("PORT", "8080"), ("HOST", "a=b"), ("EMPTY", "")]);
        let pieces: Vec<_> = wrong.iter().map(|wrong| &text[wrong.bytes.clone()]).collect();
        assert_eq!(pieces, ["export A=1", "B = 2", "9=x", "nothing"]);
        assert!(wrong[0].remedy.contains("write A=1") && wrong[1].remedy.contains("write B=2"));
    }
}
