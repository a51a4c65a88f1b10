//! Looks at files and file systems that leave no trace: nothing is made, and only regular files are opened, and pipes
//! where they are asked for.

use super::fd::{self, retry};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, FcntlArg, OFlag, fcntl};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::sys::statfs::{FsType, statfs};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, faccessat};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// The file system of the pipes that have no name (<linux/magic.h>).
const PIPEFS: FsType = FsType(0x5049_5045);

/// What one may want to do with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read it.
    Read,
    /// Run it; in a folder, go through it.
    Execute,
    /// In a folder, make something.
    Make,
    /// Write it.
    Write,
}

/// Whether this thread may do that.
///
/// # Errors
/// As faccessat(2): EACCES where it may not, EROFS where nobody may write.
pub fn access(path: &Path, access: Access) -> io::Result<()> {
    let flags = match access {
        Access::Read => AccessFlags::R_OK,
        Access::Execute => AccessFlags::X_OK,
        Access::Make => AccessFlags::W_OK | AccessFlags::X_OK,
        Access::Write => AccessFlags::W_OK,
    };
    Ok(faccessat(AT_FDCWD, path, flags, AtFlags::AT_EACCESS)?)
}

/// Whether a pipe without a name may stand for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipes {
    /// It is read to its end: what a shell's `<(…)` and `/dev/stdin` are.
    Taken,
    /// It is as wrong as any other that is no file.
    Refused,
}

/// The first bytes of a regular file, at most so many; anything else is not opened.
///
/// # Errors
/// As open(2) and read(2); `InvalidInput` for what is not a regular file.
pub fn head(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    fill(&open(path, Pipes::Refused)?, bytes_max)
}

/// All bytes of a regular file that has at most so many.
///
/// # Errors
/// As `head`; `FileTooLarge` for more bytes.
pub fn whole(path: &Path, bytes_max: usize, pipes: Pipes) -> io::Result<Vec<u8>> {
    let file = open(path, pipes)?;
    let bytes = fill(&file, bytes_max + 1)?;
    match bytes.len() > bytes_max {
        true => {
            let text = format!("it has more than {} MiB", bytes_max >> 20);
            Err(io::Error::new(io::ErrorKind::FileTooLarge, text))
        }
        false => Ok(bytes),
    }
}

fn open(path: &Path, pipes: Pipes) -> io::Result<OwnedFd> {
    let irregular = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
    // Looked at before, for opening some devices does something; and afterwards, for it may have been exchanged.
    let kind = std::fs::metadata(path)?.file_type();
    let is_pipe = pipes == Pipes::Taken && kind.is_fifo() && statfs(path)?.filesystem_type() == PIPEFS;
    if !kind.is_file() && !is_pipe {
        return Err(irregular());
    }
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = retry(|| nix::fcntl::open(path, flags, Mode::empty()))?;
    match SFlag::from_bits_truncate(fstat(&file)?.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => Ok(file),
        // What was opened is ours alone, unlike what it was opened by.
        SFlag::S_IFIFO if is_pipe => fcntl(&file, FcntlArg::F_SETFL(OFlag::empty())).map(|_| file).map_err(Into::into),
        _ => Err(irregular()),
    }
}

/// Reads to the end, but no more than so many bytes.
fn fill(file: &OwnedFd, bytes_max: usize) -> io::Result<Vec<u8>> {
    const STEP: usize = 64 << 10;
    let mut bytes = Vec::new();
    while bytes.len() < bytes_max {
        let filled = bytes.len();
        bytes.resize(bytes_max.min(filled + STEP), 0);
        let more = fd::read(file, &mut bytes[filled..])?;
        bytes.truncate(filled + more);
        if more == 0 {
            break;
        }
    }
    Ok(bytes)
}

/// Whether somebody has a regular file open for writing. False, too, where that cannot be known: it is another user's, or
/// its file system does not say.
#[must_use]
pub fn is_being_written(path: &Path) -> bool {
    // As <asm-generic/fcntl.h> has it.
    const F_SETSIG: libc::c_int = 10;
    let Ok(file) = open(path, Pipes::Refused) else { return false };
    let fd = file.as_raw_fd();
    // A lease to read is refused with EAGAIN while somebody has the file open for writing (fcntl(2), "Leases"). Whoever opens
    // it in the moment in which we have one makes the kernel send us a signal: one that is ignored, not SIGIO, which kills.
    // SAFETY: the calls take plain numbers, and the descriptor is open.
    unsafe {
        libc::fcntl(fd, F_SETSIG, libc::SIGURG) == 0
            && libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK) != 0
            && Errno::last() == Errno::EAGAIN
    }
}

/// What an open file is called now, in whatever directory: a rename changes it. True when it has no name any more; the
/// last that it had, then.
///
/// # Errors
/// As readlink(2); `InvalidData` for a name that is not UTF-8.
pub fn name_of(file: impl AsFd) -> io::Result<(String, bool)> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()))?;
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidData)?;
    Ok(match name.strip_suffix(" (deleted)") {
        Some(last) => (last.to_owned(), true),
        None => (name.to_owned(), false),
    })
}

/// How many bytes can still be written to the file system that a path is on.
///
/// # Errors
/// As statvfs(3).
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = statvfs(path)?;
    let blocks = if super::identity::ours() == 0 { found.blocks_free() } else { found.blocks_available() };
    Ok(blocks.saturating_mul(found.fragment_size()))
}

/// Whether nothing can be run from the file system that a path is on.
#[must_use]
pub fn is_noexec(path: &Path) -> bool {
    statvfs(path).is_ok_and(|found| found.flags().contains(FsFlags::ST_NOEXEC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_followed_through_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let (before, after) = (folder.path().join("before"), folder.path().join("after"));
        let file = std::fs::File::create(&before).unwrap();
        assert_eq!(name_of(&file).unwrap(), ("before".into(), false));
        std::fs::rename(before, &after).unwrap();
        assert_eq!(name_of(&file).unwrap(), ("after".into(), false));
        std::fs::remove_file(after).unwrap();
        assert_eq!(name_of(&file).unwrap(), ("after".into(), true));
    }

    #[test]
    fn whether_a_file_is_being_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = std::fs::File::create(&path).unwrap();
        assert!(is_being_written(&path));
        drop(file);
        assert!(!is_being_written(&path));
        let reader = open(&path, Pipes::Refused).unwrap();
        assert!(!is_being_written(&path) && !is_being_written(folder.path()));
        drop(reader);
        std::fs::write(&path, "x").unwrap();
    }

    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, file) = (folder.path().join("pipe"), folder.path().join("file"));
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        std::fs::write(&file, "abc").unwrap();
        assert_eq!(head(&pipe, 9).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(head(folder.path(), 9).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(head(&file, 2).unwrap(), b"ab");
        assert_eq!(head(&file, 9).unwrap(), b"abc");
        assert_eq!(whole(&pipe, 9, Pipes::Taken).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(whole(Path::new("/dev/zero"), 9, Pipes::Taken).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(whole(&file, 3, Pipes::Refused).unwrap(), b"abc");
        assert_eq!(whole(&file, 2, Pipes::Refused).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert!(access(&file, Access::Read).is_ok() && access(&file, Access::Execute).is_err());
    }
}
