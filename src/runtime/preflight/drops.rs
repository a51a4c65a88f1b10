//! Whether quell can wait for files where they are to come.

use super::Scene;
use super::folders::{self, Obstacle};
use super::who::Who;
use crate::config::report::Report;
use crate::sys::peek::{self, Access};
use std::io;
use std::path::Path;

/// Looks at every folder that quell is to watch. One that is missing is waited for, which is worth saying: it may be another
/// that was meant.
pub(super) fn check(scene: &mut Scene<'_>) {
    let ourselves = Who::ourselves();
    let config = scene.config;
    let workers = config.workers.iter().filter(|worker| worker.keys.enabled.value);
    for wanted in workers.flat_map(|worker| worker.keys.start_on.value.iter().map(|item| &item.0.path)) {
        let (Some(files), Some(key)) = (&wanted.value, wanted.place) else { continue };
        let Some(obstacle) = readable(&files.folder).err().filter(|_| scene.values.is_sound(Some(key))) else {
            continue;
        };
        let (place, shown) = (scene.values.of(key), files.folder.display());
        let report = match &obstacle {
            Obstacle::Missing(part) if !part.is_symlink() => {
                let near = folders::similar(part).map(|near| format!("; did you mean {}?", near.display()));
                let report = Report::warning(place, format!("the folder {shown} does not exist yet"));
                report.help(format!("files are waited for as soon as it is made{}", near.unwrap_or_default()))
            }
            other => {
                let text = format!("{} cannot wait for files in {shown}: {}", ourselves.name, other.describe());
                Report::error(place, text).help("name a folder that quell may read")
            }
        };
        scene.add(report);
    }
}

/// Whether this is a folder that can be watched and looked through.
fn readable(folder: &Path) -> Result<(), Obstacle> {
    if !folders::walk(folder)?.is_dir() {
        return Err(Obstacle::NotFolder(folder.to_owned()));
    }
    for access in [Access::Read, Access::Execute] {
        peek::access(folder, access).map_err(|e| match e.kind() {
            io::ErrorKind::PermissionDenied => Obstacle::Denied(folder.to_owned()),
            _ => Obstacle::Broken(folder.to_owned(), e.to_string()),
        })?;
    }
    Ok(())
}
