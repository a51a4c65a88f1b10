//! Which files a program's name may mean, to the checks and to the start alike.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The file that a name with a slash means, relative to a folder; none for a name without one.
#[must_use]
pub fn whole(program: &str, base: &Path) -> Option<PathBuf> {
    program.contains('/').then(|| base.join(program.strip_prefix("./").unwrap_or(program)))
}

/// The folders of PATH; a relative one would depend on where quell is called.
pub fn folders(path: &OsStr) -> impl Iterator<Item = &Path> {
    let folders = path.as_bytes().split(|byte| *byte == b':').map(|folder| Path::new(OsStr::from_bytes(folder)));
    folders.filter(|folder| folder.is_absolute())
}

/// The files that a name may mean, in the order in which they are tried.
#[must_use]
pub fn files(program: &str, base: &Path, path: &OsStr) -> Vec<PathBuf> {
    match whole(program, base) {
        Some(file) => vec![file],
        None => folders(path).map(|folder| folder.join(program)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_files() {
        let files = |program: &str| files(program, Path::new("/srv"), OsStr::new("/bin::.:x:/usr/bin"));
        assert_eq!(files("./a"), [Path::new("/srv/a")]);
        assert_eq!(files("b/a"), [Path::new("/srv/b/a")]);
        assert_eq!(files("/b/a"), [Path::new("/b/a")]);
        assert_eq!(files("a"), [Path::new("/bin/a"), Path::new("/usr/bin/a")]);
    }
}
