//! Where a process finds what is to be done: a file, in memory where the system has a place for that, as long as the task is
//! worked on.

use crate::sys::dir::Dir;
use crate::sys::identity;
use crate::task::TaskId;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The folder of such files, ours alone.
#[derive(Debug)]
pub struct Payloads {
    folder: PathBuf,
}

/// A payload. The file goes when this is dropped; whoever has it open can read it to its end.
#[derive(Debug)]
pub struct Payload {
    path: PathBuf,
    file: File,
}

impl Payloads {
    /// Makes the folder, which `mark` names: that of the state directory. What an earlier supervisor has left in it is
    /// deleted.
    ///
    /// # Errors
    /// As mkdir(2) and unlink(2).
    pub fn open(state: &Path, mark: &str) -> io::Result<Payloads> {
        let folder = match memory() {
            Some(memory) => memory.join("quell").join(mark),
            None => state.join("payloads"),
        };
        Dir::create_private(&folder)?;
        for entry in fs::read_dir(&folder)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(Payloads { folder })
    }

    /// Puts a payload into a file.
    ///
    /// # Errors
    /// As open(2) and write(2); then there is no file.
    pub fn hold(&self, task: TaskId, bytes: &[u8]) -> io::Result<Payload> {
        let path = self.folder.join(task.to_string());
        let mut written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        let opened = written.write_all(bytes).and_then(|()| File::open(&path));
        match opened {
            Ok(file) => Ok(Payload { path, file }),
            Err(e) => {
                // The first failure is the one to tell.
                let _ = fs::remove_file(&path);
                Err(e)
            }
        }
    }
}

/// A folder in memory that is ours: only root may make something in `/run`, and only a user in his own (XDG Base Directory
/// Specification).
fn memory() -> Option<PathBuf> {
    let of_user = || std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = if identity::ours() == 0 { Some("/run".into()) } else { of_user() };
    folder.filter(|folder| folder.is_dir())
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
        if let Err(e) = fs::remove_file(&self.path) {
            tracing::warn!("cannot remove {}: {e}", self.path.display());
        }
    }
}

impl Drop for Payloads {
    fn drop(&mut self) {
        // It stays where something is left in it.
        let _ = fs::remove_dir(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_payload_is_there_as_long_as_it_is_needed() {
        let state = tempfile::tempdir().unwrap();
        let mark = format!("test-{}", std::process::id());
        let payloads = Payloads::open(state.path(), &mark).unwrap();
        let payload = payloads.hold(TaskId(7), b"a\0b").unwrap();
        let path = payload.path().to_owned();
        assert_eq!(fs::read(&path).unwrap(), b"a\0b");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
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
