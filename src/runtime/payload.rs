//! Where a process finds what is to be done: a file, in memory where the system has a place for that, as long as the task is
//! worked on.

use crate::sys::dir::Dir;
use crate::sys::identity;
use crate::task::TaskId;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder of such files, ours alone.
#[derive(Debug)]
pub struct Payloads(Arc<Folder>);

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    dir: Dir,
}

/// A payload. The file goes when this is dropped; whoever has it open can read it to its end.
#[derive(Debug)]
pub struct Payload {
    folder: Arc<Folder>,
    name: String,
    path: PathBuf,
    file: File,
}

impl Payloads {
    /// Makes the folder: in memory, with a name that `mark` makes, else in the state directory. What an earlier supervisor
    /// has left in it is deleted.
    ///
    /// # Errors
    /// As mkdir(2), open(2) and unlink(2).
    pub fn open(state: &Path, mark: &str) -> io::Result<Payloads> {
        let path = memory(mark).unwrap_or_else(|| state.join("payloads"));
        let dir = Dir::create_private(&path)?;
        for name in dir.names()? {
            dir.remove(&name)?;
        }
        Ok(Payloads(Arc::new(Folder { path, dir })))
    }

    /// Puts a payload into a file.
    ///
    /// # Errors
    /// As open(2) and write(2); then there is no file.
    pub fn hold(&self, task: TaskId, bytes: &[u8]) -> io::Result<Payload> {
        let Folder { path, dir } = &*self.0;
        let name = task.to_string();
        let written = dir.create_new(&name).and_then(|file| {
            let mut left = bytes;
            while !left.is_empty() {
                left = &left[file.write(left)?..];
            }
            dir.read(&name)
        });
        match written {
            Ok(file) => Ok(Payload { folder: self.0.clone(), path: path.join(&name), name, file }),
            Err(e) => {
                // The first failure is the one to tell.
                let _ = dir.remove(&name);
                Err(e)
            }
        }
    }
}

/// A folder in memory that is ours: only root may make something in `/run`, and only a user in his own (XDG Base Directory
/// Specification). Who has none is left with the one where everybody may.
fn memory(mark: &str) -> Option<PathBuf> {
    let of_user = || std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = if identity::ours() == 0 { Some("/run".into()) } else { of_user() };
    let own = folder.filter(|folder| folder.is_dir()).map(|folder| folder.join("quell").join(mark));
    own.or_else(|| ours_among_all(Path::new("/dev/shm"), mark))
}

/// A folder of ours where everybody may make one, unless somebody else was first: nobody can put another in the place of one that
/// is ours (the sticky bit, inode(7)).
fn ours_among_all(folder: &Path, mark: &str) -> Option<PathBuf> {
    let path = folder.join(format!("quell-{}-{mark}", identity::ours()));
    // It may be there already; whose it is counts.
    let _ = std::fs::DirBuilder::new().mode(0o700).create(&path);
    let found = std::fs::symlink_metadata(&path).ok()?;
    (found.is_dir() && found.uid() == identity::ours() && found.mode() & 0o077 == 0).then_some(path)
}

impl Payload {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl AsFd for Payload {
    /// To be read from its beginning, once.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        if let Err(e) = self.folder.dir.remove(&self.name) {
            tracing::warn!("cannot remove {}: {e}", self.path.display());
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It stays where something is left in it.
        let _ = std::fs::remove_dir(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_of_somebody_else_is_not_taken() {
        let shared = tempfile::tempdir().unwrap();
        let ours = ours_among_all(shared.path(), "m").unwrap();
        assert_eq!(ours_among_all(shared.path(), "m").as_ref(), Some(&ours));
        fs::set_permissions(&ours, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(ours_among_all(shared.path(), "m"), None, "others may write there");
        fs::remove_dir(&ours).unwrap();
        std::os::unix::fs::symlink("/", &ours).unwrap();
        assert_eq!(ours_among_all(shared.path(), "m"), None, "it leads elsewhere");
    }

    #[test]
    fn a_payload_is_there_as_long_as_it_is_needed() {
        let state = tempfile::tempdir().unwrap();
        let mark = format!("test-{}", std::process::id());
        let payloads = Payloads::open(state.path(), &mark).unwrap();
        let payload = payloads.hold(TaskId(7), b"a\0b").unwrap();
        let path = payload.path().to_owned();
        assert_eq!(fs::read(&path).unwrap(), b"a\0b");
        let mut bytes = Vec::new();
        File::from(payload.as_fd().try_clone_to_owned().unwrap()).read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"a\0b");
        std::mem::forget(payload);
        drop(payloads);
        let payloads = Payloads::open(state.path(), &mark).unwrap();
        assert!(!path.exists(), "what was left is deleted");
        drop(payloads.hold(TaskId(7), b"").unwrap());
        let folder = path.parent().unwrap().to_owned();
        drop(payloads);
        assert!(!folder.exists());
    }
}
