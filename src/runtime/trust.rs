//! Who may write what quell goes by: files that say what runs as us, and the folders in which they can be exchanged.

use crate::sys::identity;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const OTHERS_WRITE: u32 = 0o022;
const EVERYBODY_WRITES: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// What others may write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writable {
    /// The file itself, or its folder.
    pub path: PathBuf,
    /// Who, for a sentence.
    pub who: &'static str,
}

/// What others than its owner may write: a file, or its folder, so that they could put another in its place.
#[must_use]
pub fn writable_by_others(path: &Path) -> Option<Writable> {
    let mode = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.mode());
    // In a folder with the sticky bit nobody can put one file in another's place.
    let open = |folder: &&Path| mode(folder) & OTHERS_WRITE != 0 && mode(folder) & STICKY == 0;
    let guilty = if mode(path) & OTHERS_WRITE != 0 { Some(path) } else { path.parent().filter(open) }?;
    let who = if mode(guilty) & EVERYBODY_WRITES != 0 { "everybody" } else { "a whole group" };
    Some(Writable { path: guilty.to_owned(), who })
}

/// Why root does not go by a file: in words, with what to do. Anybody else is their own judge.
#[must_use]
pub fn refusal(path: &Path) -> Option<String> {
    let Writable { path, who } = writable_by_others(path).filter(|_| identity::ours() == 0)?;
    let (shown, bits) = (path.display(), mode_and_owner(&path));
    Some(format!("{who} may write {shown} ({bits}), and so run code as root; chmod go-w {shown}"))
}

/// A file's mode and owner, as in `0755 root`.
#[must_use]
pub fn mode_and_owner(path: &Path) -> String {
    let Ok(found) = std::fs::metadata(path) else { return "not seen".into() };
    let owner = identity::person_of(found.uid()).ok().flatten().map_or(found.uid().to_string(), |owner| owner.name);
    format!("{:04o} {owner}", found.mode() & 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    /// F2: root goes by no file that others may write or exchange.
    #[test]
    fn files_that_others_may_write() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("quell.toml");
        fs::write(&file, "").unwrap();
        let guilty = |folder_mode: u32, file_mode: u32| {
            fs::set_permissions(folder.path(), Permissions::from_mode(folder_mode)).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(file_mode)).unwrap();
            let text = refusal(&file);
            assert_eq!(text.is_some(), identity::ours() == 0 && writable_by_others(&file).is_some());
            writable_by_others(&file).map(|found| (found.path == file, found.who))
        };
        assert_eq!(guilty(0o755, 0o644), None);
        assert_eq!(guilty(0o1777, 0o600), None);
        assert_eq!(guilty(0o755, 0o664), Some((true, "a whole group")));
        assert_eq!(guilty(0o1777, 0o666), Some((true, "everybody")));
        assert_eq!(guilty(0o777, 0o644), Some((false, "everybody")));
    }
}
