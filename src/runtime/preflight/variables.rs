//! What a worker finds in its environment: the file of variables, and its PATH.

use super::Scene;
use super::folders::{self, Obstacle};
use crate::config::load::Named;
use crate::config::report::Report;
use crate::config::source::Place;
use crate::config::tables::{EnvFile, Worker};
use crate::runtime::environment::{self, FILE_BYTES_MAX, Wrong};
use crate::sys::peek;
use crate::sys::spawn::PATH_DEFAULT;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

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
    let passed = environment::passed(&keys.env_from.value)(OsStr::new("PATH"));
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
    let (variables, wrong) = environment::parse(&text);
    if !wrong.is_empty() {
        let file = scene.add_source(path, &text);
        for Wrong { bytes, what, remedy } in wrong.into_iter().take(MISTAKES_MAX) {
            scene.add(Report::error(Place::new(file, bytes), what).help(remedy).also(place, "read from here"));
        }
    }
    variables.into_iter().rev().find(|(name, _)| *name == "PATH").map(|(_, value)| value.to_owned())
}
