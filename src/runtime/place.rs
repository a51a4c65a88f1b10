//! Where a socket stands: whom its folder lets in, what stands there already, and that ours goes when we go.

use crate::sys::{identity, socket};
use std::fs::{self, Metadata, Permissions};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// A socket in the file system that we listen at.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    /// Its device and inode: whatever else stands at the path one day is not ours.
    file: (u64, u64),
}

/// Listens at a path, in a folder that is made (0700) where it does not exist. A socket that stands there is taken away
/// where it is ours and nobody listens at it: let nobody be about to.
///
/// # Errors
/// In words, what is wrong with the path.
pub fn listen(path: &Path, mode: u32) -> Result<(UnixListener, Place)> {
    make(folder_of(path))?;
    clear(path)?;
    let listener = socket::listen(path, mode)?;
    let file = file(&fs::symlink_metadata(path)?);
    Ok((listener, Place { path: path.to_owned(), file }))
}

/// The same, with a mode of 0600, and where nobody else can put another socket in its place.
///
/// # Errors
/// As `listen`.
pub fn listen_alone(path: &Path) -> Result<(UnixListener, Place)> {
    make(folder_of(path))?;
    check(folder_of(path))?;
    listen(path, 0o600)
}

impl Place {
    /// Gives it another mode.
    ///
    /// # Errors
    /// As chmod(2).
    pub fn set_mode(&self, mode: u32) -> Result<()> {
        if self.is_ours() { fs::set_permissions(&self.path, Permissions::from_mode(mode)) } else { Ok(()) }
    }

    /// Takes the socket out of the file system.
    pub fn remove(&self) {
        if self.is_ours() {
            // If it cannot be, the next supervisor finds that nobody listens at it.
            let _ = fs::remove_file(&self.path);
        }
    }

    fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| file(&found) == self.file)
    }
}

fn file(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

fn make(folder: &Path) -> Result<()> {
    if folder.exists() {
        return Ok(());
    }
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    // Whatever the umask took away.
    made.and_then(|()| fs::set_permissions(folder, Permissions::from_mode(0o700)))
        .map_err(|e| Error::new(e.kind(), format!("cannot make {}: {e}", folder.display())))
}

/// Refuses a folder in which others could put another socket in the place of ours.
fn check(folder: &Path) -> Result<()> {
    let whole = folder.canonicalize()?;
    let refuse = |at: &Path, why: &str| {
        let text = format!("{why} {}; put the socket into a folder that is yours alone (0700)", at.display());
        Err(Error::new(ErrorKind::PermissionDenied, text))
    };
    let own = fs::metadata(&whole)?;
    if own.uid() != identity::ours() && own.uid() != 0 {
        return refuse(&whole, "another user owns");
    }
    if lets_in(own.mode(), 0o022) {
        return refuse(&whole, "others may write to");
    }
    // Above it, groups are let be: a user's own group is usual there.
    for above in whole.ancestors().skip(1) {
        if lets_in(fs::metadata(above)?.mode(), 0o002) {
            return refuse(above, "everybody may write to");
        }
    }
    Ok(())
}

/// Whether these others may replace what is not theirs in a folder of this mode.
fn lets_in(mode: u32, others: u32) -> bool {
    const STICKY: u32 = 0o1000;
    mode & others != 0 && mode & STICKY == 0
}

/// Makes room for our socket where that harms nobody.
fn clear(path: &Path) -> Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    let refuse = |kind: ErrorKind, why: &str| Err(Error::new(kind, format!("{}: {why}", path.display())));
    if !found.file_type().is_socket() {
        return refuse(ErrorKind::AlreadyExists, "something stands there that is no socket; move it away");
    }
    if found.uid() != identity::ours() {
        return refuse(ErrorKind::PermissionDenied, "a socket of another user stands there");
    }
    if !socket::is_dead(path) {
        return refuse(ErrorKind::AddrInUse, "somebody listens there already");
    }
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    fn refusal(path: &Path) -> String {
        listen_alone(path).unwrap_err().to_string()
    }

    /// F4: only we may connect. F11: whatever the umask.
    #[test]
    #[serial_test::serial]
    fn modes() {
        let folder = tempfile::tempdir().unwrap();
        for umask in [0o000, 0o022, 0o777] {
            let path = folder.path().join(format!("made-{umask:o}")).join("s");
            let before = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(umask));
            let listening = listen_alone(&path);
            nix::sys::stat::umask(before);
            let (_, place) = listening.unwrap();
            assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700), "umask {umask:o}");
            place.set_mode(0o660).unwrap();
            assert_eq!(mode(&path), 0o660);
            place.remove();
            assert!(!path.exists());
        }
    }

    /// F5: a dead socket goes, a live one stays, and whatever is no socket stays.
    #[test]
    fn what_stands_there_already() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let (listener, place) = listen_alone(&path).unwrap();
        assert!(refusal(&path).contains("listens there already"));
        drop(listener);
        let (_again, _) = listen_alone(&path).unwrap();
        fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        let (_other, _) = listen_alone(&path).unwrap();
        place.remove();
        assert!(path.exists(), "another's socket is not ours to remove");
        let (link, file) = (folder.path().join("link"), folder.path().join("file"));
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
        fs::write(&file, "text").unwrap();
        for path in [&link, &file, &folder.path().join(".")] {
            assert!(refusal(path).contains("no socket"), "{path:?}");
        }
        assert!(fs::symlink_metadata(&link).is_ok() && !folder.path().join("nowhere").exists());
        assert!(refusal(&folder.path().join("x".repeat(200))).contains("unix(7)"));
    }

    /// F5: nobody else can put a socket in its place.
    #[test]
    fn folders_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let (inner, path) = (folder.path().join("in"), folder.path().join("in/s"));
        fs::create_dir(&inner).unwrap();
        for mode in [0o777, 0o770, 0o702] {
            set(&inner, mode);
            assert!(refusal(&path).contains("others may write"), "{mode:o}");
        }
        set(&inner, 0o700);
        set(folder.path(), 0o777);
        assert!(refusal(&path).contains("everybody may write"));
        set(folder.path(), 0o1777);
        listen_alone(&path).unwrap();
    }
}
