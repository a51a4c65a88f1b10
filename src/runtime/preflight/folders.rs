//! How far a path leads, and what stops it there.

use super::Scene;
use super::who::Who;
use crate::config::kind::nearest;
use crate::config::report::Report;
use crate::config::source::Place;
use crate::runtime::places;
use crate::runtime::trust::mode_and_owner;
use crate::sys::peek::{self, Access};
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

/// What stops a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// This part of it does not exist.
    Missing(PathBuf),
    /// This part is no folder.
    NotFolder(PathBuf),
    /// This part is a folder that may not be entered or written.
    Denied(PathBuf),
    /// This part cannot be looked at, for this reason.
    Broken(PathBuf, String),
}

/// Follows an absolute path to its end.
pub(super) fn walk(path: &Path) -> Result<Metadata, Obstacle> {
    let mut so_far = PathBuf::new();
    let mut last = None;
    for part in path.components() {
        if last.as_ref().is_some_and(|found: &Metadata| !found.is_dir()) {
            return Err(Obstacle::NotFolder(so_far));
        }
        let before = so_far.clone();
        so_far.push(part);
        match std::fs::metadata(&so_far) {
            Ok(found) => last = Some(found),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Obstacle::Missing(so_far)),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Err(Obstacle::Denied(before)),
            Err(e) => return Err(Obstacle::Broken(so_far, e.to_string())),
        }
    }
    last.ok_or(Obstacle::Missing(so_far))
}

/// What a report on a missing part of a path has in common with others on it.
pub(super) fn cause(part: &Path) -> String {
    format!("missing {}", part.display())
}

/// The nearest folder on the way to a path that exists.
pub(super) fn nearest_existing(path: &Path) -> &Path {
    path.ancestors().find(|part| part.is_dir()).unwrap_or(Path::new("/"))
}

/// Whether a folder is there and this thread can write it, or could make it.
pub(super) fn usable(path: &Path) -> Result<(), Obstacle> {
    let folder = match walk(path) {
        Ok(found) if found.is_dir() => path,
        Ok(_) => return Err(Obstacle::NotFolder(path.to_owned())),
        Err(Obstacle::Missing(part)) if part.is_symlink() => return Err(Obstacle::Missing(part)),
        Err(Obstacle::Missing(_)) => nearest_existing(path),
        Err(other) => return Err(other),
    };
    peek::access(folder, Access::Make).map_err(|e| match e.kind() {
        io::ErrorKind::PermissionDenied => Obstacle::Denied(folder.to_owned()),
        _ => Obstacle::Broken(folder.to_owned(), e.to_string()),
    })
}

/// Says where the state, and the logs, cannot be written. A log's folder is looked at as the worker's user where the
/// configuration names it, for then it is to be the user's; one that it does not name is quell's.
pub(super) fn check(state: Option<&Path>, whos: &[Who], scene: &mut Scene<'_>) {
    let mut said: Vec<(Place, Obstacle)> = Vec::new();
    let ourselves = Who::ourselves();
    let start = Place { file: 0, start: 0, end: 0 };
    let key = scene.config.quell.state.place;
    let obstacle = state.filter(|_| scene.values.is_sound(key)).and_then(|path| Some((path, usable(path).err()?)));
    if let Some((path, obstacle)) = obstacle {
        let place = key.map_or(start, |key| scene.values.of(key));
        let text =
            format!("the state directory {} cannot be used: {}", path.display(), obstacle.against(&ourselves.name));
        scene.add(Report::error(place, text).help("set `state` in [quell] to a folder that quell can write"));
        said.push((place, obstacle));
    }
    let enabled = scene.config.workers.iter().zip(&scene.config.logs).filter(|(worker, _)| worker.keys.enabled.value);
    for ((worker, log), who) in enabled.zip(whos) {
        let dir = &log.whole.dir;
        let Some(path) = places::logs(log, state).filter(|_| scene.values.is_sound(dir.place)) else { continue };
        let place = dir.place.map_or(start, |key| scene.values.of(key));
        let who = if dir.place.is_some() { who } else { &ourselves };
        let names = places::log_names(worker);
        let blocked = || names.iter().find_map(|name| usable(&path.join(name)).err());
        let Some(obstacle) = who.see(blocked) else { continue };
        if said.iter().any(|(at, other)| *other == obstacle && (*at == place || dir.place.is_none())) {
            continue;
        }
        let shown = path.display();
        let text = format!("the log directory {shown} cannot be used: {}", obstacle.against(&who.name));
        let help = format!("give {shown} to {}, or set `dir` in [log] to another folder", who.name);
        scene.add(Report::error(place, text).help(help));
        said.push((place, obstacle));
    }
}

impl Obstacle {
    /// What it says of a user who wants to write there.
    pub(super) fn against(&self, user: &str) -> String {
        match self {
            Obstacle::Denied(part) => format!("{user} cannot write {} ({})", part.display(), mode_and_owner(part)),
            other => other.describe(),
        }
    }

    /// What it says.
    pub(super) fn describe(&self) -> String {
        match self {
            Obstacle::Missing(part) if part.is_symlink() => {
                format!("{} is a symbolic link that leads nowhere", part.display())
            }
            Obstacle::Missing(part) => format!("the first missing part is {}", part.display()),
            Obstacle::NotFolder(part) => format!("{} is not a folder", part.display()),
            Obstacle::Denied(part) => format!("{} may not be entered ({})", part.display(), mode_and_owner(part)),
            Obstacle::Broken(part, why) => format!("{}: {why}", part.display()),
        }
    }
}

/// The name in a folder that is most like a missing one.
pub(super) fn similar(missing: &Path) -> Option<PathBuf> {
    let (folder, name) = (missing.parent()?, missing.file_name()?.to_str()?);
    let mut names: Vec<String> = entries(folder).collect();
    names.sort_unstable();
    Some(folder.join(nearest(name, names.iter().map(String::as_str))?))
}

/// The names in a folder; of a very large one, some.
pub(super) fn entries(folder: &Path) -> impl Iterator<Item = String> {
    const ENTRIES_MAX: usize = 20_000;
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(ENTRIES_MAX);
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stops_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir(root.join("releases")).unwrap();
        std::fs::write(root.join("file"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("current")).unwrap();
        assert!(walk(&root.join("releases")).unwrap().is_dir());
        let stops = |path: &str| walk(&root.join(path)).unwrap_err();
        assert_eq!(stops("release/1/bin"), Obstacle::Missing(root.join("release")));
        assert_eq!(stops("file/x"), Obstacle::NotFolder(root.join("file")));
        assert_eq!(stops("current/x"), Obstacle::Missing(root.join("current")));
        assert!(stops("current/x").describe().contains("leads nowhere"));
        assert_eq!(similar(&root.join("release")), Some(root.join("releases")));
        assert_eq!(nearest_existing(&root.join("a/b")), root);
        assert_eq!(usable(&root.join("a/b")), Ok(()));
        assert_eq!(usable(&root.join("file")), Err(Obstacle::NotFolder(root.join("file"))));
        assert_eq!(usable(&root.join("current/a")), Err(Obstacle::Missing(root.join("current"))));
        assert!(!root.join("a").exists());
    }
}
