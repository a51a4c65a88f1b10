//! What a start would meet on this machine.
//!
//! Everything is looked at as a start would find it, with the rights of the one who would, and left as it is: nothing is
//! made, nothing but regular files is opened, an address is bound without listening and let go of at once.

mod command;
mod drops;
mod folders;
mod secrets;
mod sockets;
mod space;
mod values;
mod variables;
mod who;

use super::places;
use crate::config::kind::nearest;
use crate::config::load::{Config, Loaded};
use crate::config::report::Report;
use crate::config::source::{Place, Sources};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use values::Values;

/// Looks at all that a start would use, without starting anything; what is wrong is added to the reports.
pub fn check(loaded: &mut Loaded) {
    look(loaded, |scene| {
        absent(scene);
        secrets::writable(scene);
        secrets::readable(scene);
        let state = places::state(&scene.config.quell);
        let mut files = variables::Files::default();
        let mut whos = Vec::new();
        for worker in scene.config.workers.iter().filter(|worker| worker.keys.enabled.value) {
            let who = who::of(worker, scene);
            command::check(worker, &who, &mut files, scene);
            whos.push(who);
        }
        folders::check(state.as_deref(), &whos, scene);
        drops::check(scene);
        space::disks(state.as_deref(), scene);
        space::descriptors(scene);
        sockets::check(state.as_deref(), scene);
    });
}

/// Adds a report for each variable that is not set and each pattern of `include` that matches nothing: without them it is
/// not known what is in force.
pub fn settled(loaded: &mut Loaded) {
    if !loaded.unset.is_empty() || !loaded.unmatched.is_empty() {
        look(loaded, absent);
    }
}

fn look(loaded: &mut Loaded, at: impl FnOnce(&mut Scene<'_>)) {
    let texts = loaded.sources.clone();
    let readable = values::readable(&texts, loaded.files);
    let documents = values::documents(&readable);
    let values = Values::new(&texts, &documents, loaded);
    let mut scene = Scene {
        config: &loaded.config,
        unset: &loaded.unset,
        unmatched: &loaded.unmatched,
        values: &values,
        files: loaded.files,
        sources: &mut loaded.sources,
        // Names of files are relative to it; without one, only absolute names lead anywhere.
        folder: std::env::current_dir().unwrap_or_default(),
        reports: Vec::new(),
        causes: HashMap::new(),
        said_unprivileged: false,
    };
    at(&mut scene);
    let reports = scene.reports;
    loaded.reports.extend(reports);
}

/// What is looked at, and what was found.
struct Scene<'a> {
    config: &'a Config,
    /// Variables that are not set.
    unset: &'a [(String, Place)],
    /// Patterns of `include` that match no file.
    unmatched: &'a [(PathBuf, Place)],
    values: &'a Values<'a>,
    /// How many of the sources are configuration files.
    files: u32,
    sources: &'a mut Sources,
    /// Where quell was called.
    folder: PathBuf,
    reports: Vec<Report>,
    /// Which report is about a cause that may show in several places.
    causes: HashMap<String, usize>,
    /// That users cannot be looked up to is said once.
    said_unprivileged: bool,
}

impl Scene<'_> {
    fn add(&mut self, report: Report) {
        self.reports.push(report);
    }

    /// Adds a report; where one with the same cause is there, that one's further place.
    fn add_once(&mut self, cause: String, report: Report) {
        match self.causes.get(&cause).map(|at| &mut self.reports[*at]) {
            Some(first) if first.place == report.place => {}
            Some(first) => first.also.push((report.place, "needed here, too".into())),
            None => {
                self.causes.insert(cause, self.reports.len());
                self.reports.push(report);
            }
        }
    }

    /// The report with what to write instead, unless that came from a variable.
    fn fixed(&self, report: Report, place: Place, with: String) -> Report {
        if self.values.is_variable(place) { report } else { report.fix(place, with) }
    }

    /// The path of a configuration file.
    fn path_of(&self, file: u32) -> PathBuf {
        self.folder.join(&self.sources.get(file).name)
    }

    /// The folder of a configuration file.
    fn folder_of(&self, file: u32) -> PathBuf {
        let path = self.path_of(file);
        path.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf)
    }

    /// A path as the user would write it here.
    fn short(&self, path: &Path) -> String {
        path.strip_prefix(&self.folder).unwrap_or(path).display().to_string()
    }

    /// Adds a file that a report has a place in; its index.
    fn add_source(&mut self, path: &Path, text: &str) -> u32 {
        let name = self.short(path);
        self.sources.add(name, text)
    }
}

/// What the configuration names and the machine does not have.
fn absent(scene: &mut Scene<'_>) {
    unmatched(scene);
    unset(scene);
}

/// Patterns of `include` that match nothing.
fn unmatched(scene: &mut Scene<'_>) {
    for (pattern, key) in scene.unmatched {
        let (index, written) = written_pattern(pattern, *key, scene);
        let place = scene.values.item(*key, index);
        let folder = pattern.ancestors().skip(1).find(|part| !is_pattern(part)).unwrap_or(Path::new("/"));
        let existing = folders::nearest_existing(folder);
        let text = format!("0 files match {written}");
        let report = Report::error(place, text);
        let near = folder.strip_prefix(existing).ok().and_then(|rest| rest.iter().next()).and_then(|missing| {
            let mut names: Vec<_> = folders::entries(existing).filter(|name| existing.join(name).is_dir()).collect();
            names.sort_unstable();
            Some(existing.join(nearest(missing.to_str()?, names.iter().map(String::as_str))?))
        });
        scene.add(match near {
            Some(near) => report.help(format!(
                "the nearest existing directory is {}; did you mean {}?",
                existing.display(),
                near.display()
            )),
            None => report.help(format!(
                "the nearest existing directory is {}; mend the pattern, or remove it",
                existing.display()
            )),
        });
    }
}

/// Which of a list's patterns this is, and how it is written.
fn written_pattern(pattern: &Path, key: Place, scene: &Scene<'_>) -> (usize, String) {
    let ends = |at: &usize| {
        let place = scene.values.item(key, *at);
        let raw = scene.values.raw(place).trim_matches(['"', '\'']);
        let is_item = place != scene.values.of(key);
        (is_item && pattern.to_string_lossy().ends_with(raw.trim_start_matches("./"))).then(|| raw.to_owned())
    };
    let items = (0..).take_while(|at| scene.values.item(key, *at) != scene.values.of(key));
    let found = items.into_iter().find_map(|at| Some((at, ends(&at)?)));
    found.unwrap_or_else(|| (usize::MAX, pattern.display().to_string()))
}

fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

/// Variables that are not set, but for those of workers that are not wanted.
fn unset(scene: &mut Scene<'_>) {
    let unwanted: Vec<_> = scene.config.workers.iter().filter(|worker| !worker.keys.enabled.value).collect();
    for (name, place) in scene.unset {
        if unwanted.iter().any(|worker| scene.values.holds(worker.place, *place)) {
            continue;
        }
        let report = Report::error(*place, format!("variable `{name}` is not set"));
        scene.add(
            report.help(format!("set {name}, or write `${{{name}:-default}}` for what holds where it is not set")),
        );
    }
}

#[cfg(test)]
#[path = "preflight_tests.rs"]
mod tests;
