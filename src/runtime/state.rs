//! The state directory: one supervisor's alone.

use super::trust;
use crate::log::name::LOCK;
use crate::sys::dir::{Dir, Lock, Locking};
use crate::sys::identity;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A state directory, held against any other supervisor until it is dropped.
#[derive(Debug)]
pub struct State {
    path: PathBuf,
    mark: String,
    _lock: Lock,
}

/// Why a state directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another supervisor has it.
    #[error("{} is in use by {holder}; `quell status` shows what it does", .path.display())]
    Taken {
        /// The directory.
        path: PathBuf,
        /// Who has it, as it says itself.
        holder: String,
    },
    /// Others could change what stands in it.
    #[error("the state directory {} is not safe: {why}", .path.display())]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// It cannot be made, opened or locked.
    #[error("the state directory {} cannot be used: {error}", .path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl State {
    /// Makes the directory (0700) where it does not exist, and locks it. Symbolic links on the way are followed this once.
    ///
    /// # Errors
    /// Who has it, or why it cannot be had.
    pub fn open(path: &Path) -> Result<State, StateError> {
        let io = |error| StateError::Io { path: path.to_owned(), error };
        let (dir, path) = make(path)?;
        match dir.lock(LOCK, &format!("quell (pid {})\n", std::process::id())).map_err(io)? {
            Locking::Held(lock) => {
                let mark = mark(&path).map_err(io)?;
                Ok(State { path, mark, _lock: lock })
            }
            Locking::Taken(holder) => Err(StateError::Taken { path, holder }),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where clients reach the supervisor, unless the configuration says otherwise.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path.join("quell.sock")
    }

    /// Where workers say that they are ready (sd_notify(3)).
    #[must_use]
    pub fn notify_socket(&self) -> PathBuf {
        self.path.join("notify.sock")
    }

    /// What all workers of this state directory carry in their environment, whichever supervisor started them.
    #[must_use]
    pub fn mark(&self) -> &str {
        &self.mark
    }
}

/// Makes a state directory (0700) where there is none, for those who need none of their own; gives its path without links.
///
/// # Errors
/// Why it cannot be had.
pub fn prepare(path: &Path) -> Result<PathBuf, StateError> {
    make(path).map(|(_, path)| path)
}

fn make(path: &Path) -> Result<(Dir, PathBuf), StateError> {
    let io = |error| StateError::Io { path: path.to_owned(), error };
    let dir = Dir::create_private(path).map_err(io)?;
    let path = path.canonicalize().map_err(io)?;
    match danger(&path) {
        Some(why) => Err(StateError::Unsafe { path, why }),
        None => Ok((dir, path)),
    }
}

/// The same path may be another directory in a container that we can see into; its device and inode are not.
fn mark(path: &Path) -> io::Result<String> {
    let found = std::fs::metadata(path)?;
    Ok(format!("{:x}.{:x}", found.dev(), found.ino()))
}

/// What makes a directory that others may change a danger to root.
fn danger(path: &Path) -> Option<String> {
    let owner = std::fs::metadata(path).map_or(0, |found| found.uid());
    let refusal = trust::refusal(path);
    refusal.or_else(|| {
        let bits = trust::mode_and_owner(path);
        (identity::ours() == 0 && owner != 0).then(|| format!("it is not root's ({bits}); chown root it"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    /// The number is above the highest that there is (proc_sys_kernel(5), pid_max).
    #[test]
    fn what_a_dead_one_leaves_for_a_moment_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::create_private(folder.path()).unwrap();
        let Ok(Locking::Held(lock)) = dir.lock(LOCK, "quell (pid 4194305)") else { panic!("nobody has it") };
        let (path, (tell, told)) = (folder.path().to_owned(), std::sync::mpsc::channel());
        let next = std::thread::spawn(move || {
            tell.send(()).unwrap();
            State::open(&path).map(drop)
        });
        told.recv().unwrap();
        drop(lock);
        next.join().unwrap().unwrap();
    }

    #[test]
    fn one_supervisor_to_a_state_directory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/state");
        let state = State::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(state.socket(), state.path().join("quell.sock"));
        match State::open(&path) {
            Err(StateError::Taken { holder, .. }) => assert_eq!(holder, format!("quell (pid {})", std::process::id())),
            other => panic!("{other:?}"),
        }
        let mark = state.mark().to_owned();
        drop(state);
        assert_eq!(State::open(&path).unwrap().mark(), mark);
    }

    /// F2: a state directory that others may write is not root's to use.
    #[test]
    fn a_state_directory_that_others_may_write() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let opened = State::open(folder.path());
        match identity::ours() {
            0 => assert!(matches!(opened, Err(StateError::Unsafe { .. })), "{opened:?}"),
            _ => assert!(opened.is_ok(), "{opened:?}"),
        }
    }
}
