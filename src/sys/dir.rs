//! A directory held open, and the files in it: everything by `*at` calls on the held descriptor, never by path, and no
//! symbolic link followed.

use super::fd::{self, retry};
use super::{proc, thread};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, FlockArg, OFlag, openat};
use nix::sys::stat::{self, FileStat, Mode, SFlag, fstatat};
use nix::unistd::UnlinkatFlags;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

const FILE_MODE: Mode = Mode::from_bits_truncate(0o640);
const DIR_MODE: Mode = Mode::from_bits_truncate(0o750);
/// How long a process takes at most from the fork to the exec.
const EXEC_WAIT: Duration = Duration::from_secs(1);

/// A directory held open.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
}

/// A log file, open for appending.
#[derive(Debug)]
pub struct LogFile {
    file: File,
}

impl Dir {
    /// Opens the directory, making it (0750, whatever the umask) and its parents where they do not exist.
    ///
    /// # Errors
    /// As mkdir(2) and open(2).
    pub fn create(path: &Path) -> io::Result<Dir> {
        Dir::create_with(path, DIR_MODE)
    }

    /// As `create`, but for our own eyes (0700).
    ///
    /// # Errors
    /// As mkdir(2) and open(2).
    pub fn create_private(path: &Path) -> io::Result<Dir> {
        Dir::create_with(path, Mode::S_IRWXU)
    }

    fn create_with(path: &Path, mode: Mode) -> io::Result<Dir> {
        match Dir::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        // The parents are as those of any log.
        let parent = path.parent().unwrap_or(Path::new("/"));
        std::fs::DirBuilder::new().recursive(true).mode(DIR_MODE.bits()).create(parent)?;
        match std::fs::DirBuilder::new().mode(mode.bits()).create(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Dir::open(path),
            made => made?,
        }
        let dir = Dir::open(path)?;
        stat::fchmod(&dir.fd, mode)?;
        Ok(dir)
    }

    /// Opens the directory.
    ///
    /// # Errors
    /// As open(2).
    pub fn open(path: &Path) -> io::Result<Dir> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Dir { fd: retry(|| nix::fcntl::open(path, flags, Mode::empty()))? })
    }

    /// Opens the same directory once more, for another thread.
    ///
    /// # Errors
    /// As open(2).
    pub fn again(&self) -> io::Result<Dir> {
        self.open_dir(".")
    }

    /// Opens a folder in it.
    ///
    /// # Errors
    /// As openat(2); ELOOP or ENOTDIR for a symbolic link.
    pub fn enter(&self, name: &str) -> io::Result<Dir> {
        self.open_dir(name)
    }

    /// Opens a folder in it, made (0750, whatever the umask) where it does not exist.
    ///
    /// # Errors
    /// As mkdirat(2) and openat(2); ELOOP or ENOTDIR for a symbolic link.
    pub fn folder(&self, name: &str) -> io::Result<Dir> {
        match self.open_dir(name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            result => return result,
        }
        match retry(|| stat::mkdirat(&self.fd, name, DIR_MODE)) {
            Ok(()) => {
                let folder = self.open_dir(name)?;
                stat::fchmod(&folder.fd, DIR_MODE)?;
                Ok(folder)
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => self.open_dir(name),
            Err(e) => Err(e),
        }
    }

    fn open_dir(&self, name: &str) -> io::Result<Dir> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(Dir { fd: retry(|| openat(&self.fd, name, flags, Mode::empty()))? })
    }

    /// Whether a path still leads to this directory.
    #[must_use]
    pub fn is_at(&self, path: &Path) -> bool {
        let (Ok(ours), Ok(there)) = (stat::fstat(&self.fd), stat::stat(path)) else { return false };
        (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)
    }

    /// The names in it, `.` and `..` left out, those that are not UTF-8 too.
    ///
    /// # Errors
    /// As openat(2) and getdents(2).
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        let mut open = nix::dir::Dir::from_fd(self.again()?.fd)?;
        for entry in open.iter() {
            if let Ok(name) = entry?.file_name().to_str()
                && name != "."
                && name != ".."
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// The size of a regular file; none for anything else.
    ///
    /// # Errors
    /// As fstatat(2).
    pub fn file_bytes(&self, name: &str) -> io::Result<Option<u64>> {
        match fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(is_regular(&found).then_some(found.st_size as u64)),
            Err(Errno::ENOENT) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Opens a log file for appending, made (0640, whatever the umask) where it does not exist.
    ///
    /// # Errors
    /// As openat(2); anything that is not a regular file is refused.
    pub fn append(&self, name: &str) -> io::Result<LogFile> {
        let flags = OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        match retry(|| openat(&self.fd, name, flags, Mode::empty())) {
            Ok(fd) if is_regular(&stat::fstat(&fd)?) => Ok(LogFile { file: fd.into() }),
            Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.create_new(name),
            Err(e) => Err(e),
        }
    }

    /// Makes a file (0640, whatever the umask) that must not exist yet.
    ///
    /// # Errors
    /// As openat(2).
    pub fn create_new(&self, name: &str) -> io::Result<LogFile> {
        let flags = OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let fd = retry(|| openat(&self.fd, name, flags, FILE_MODE))?;
        stat::fchmod(&fd, FILE_MODE)?;
        Ok(LogFile { file: fd.into() })
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// As openat(2).
    pub fn read(&self, name: &str) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        Ok(File::from(retry(|| openat(&self.fd, name, flags, Mode::empty()))?))
    }

    /// renameat(2) within the directory.
    ///
    /// # Errors
    /// As renameat(2).
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        retry(|| nix::fcntl::renameat(&self.fd, from, &self.fd, to))
    }

    /// unlinkat(2). A name that is gone already is no error.
    ///
    /// # Errors
    /// As unlinkat(2).
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match retry(|| nix::unistd::unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// fsync(2) of the directory: makes its names durable.
    ///
    /// # Errors
    /// As fsync(2).
    pub fn sync(&self) -> io::Result<()> {
        retry(|| nix::unistd::fsync(&self.fd))
    }
}

impl LogFile {
    /// write(2) at the end.
    ///
    /// # Errors
    /// As write(2).
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        fd::write(&self.file, bytes)
    }

    /// fdatasync(2).
    ///
    /// # Errors
    /// As fdatasync(2). Never call it again on the same file after an error: the kernel has forgotten what it lost.
    pub fn sync(&self) -> io::Result<()> {
        retry(|| nix::unistd::fdatasync(&self.file))
    }

    /// ftruncate(2).
    ///
    /// # Errors
    /// As ftruncate(2).
    pub fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    /// The size, and whether a name still leads to the file.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn size(&self) -> io::Result<(u64, bool)> {
        let found = stat::fstat(&self.file)?;
        Ok((found.st_size as u64, found.st_nlink > 0))
    }

    /// The last byte; none of an empty file.
    ///
    /// # Errors
    /// As pread(2).
    pub fn last_byte(&self) -> io::Result<Option<u8>> {
        let (bytes, _) = self.size()?;
        let mut last = [0];
        let Some(at) = bytes.checked_sub(1) else { return Ok(None) };
        self.file.read_exact_at(&mut last, at)?;
        Ok(Some(last[0]))
    }

    /// When the file was made, in microseconds since the epoch; none where the file system does not know.
    #[must_use]
    pub fn born(&self) -> Option<i64> {
        let born = self.file.metadata().ok()?.created().ok()?;
        let since = born.duration_since(std::time::SystemTime::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_micros()).ok()
    }
}

fn is_regular(found: &FileStat) -> bool {
    SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG
}

/// An exclusive lock, held until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    _held: Flock<File>,
}

/// What came of trying to lock.
#[derive(Debug)]
pub enum Locking {
    /// It is ours now.
    Held(Lock),
    /// Another holds it, and has written this into the lock file.
    Taken(String),
}

impl Dir {
    /// Locks the file of that name (made 0600) and writes into it who holds it, with its number: `quell (pid 12)`. Where that
    /// one has died, a process that it was about to start may still have its descriptors: the exec is waited for.
    ///
    /// # Errors
    /// As openat(2), flock(2) and write(2).
    pub fn lock(&self, name: &str, holder: &str) -> io::Result<Locking> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(0o600);
        let file = File::from(retry(|| openat(&self.fd, name, flags, mode))?);
        let held = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => held,
            Err((file, Errno::EWOULDBLOCK)) => {
                let holder = holder_in(&file);
                match has_died(&holder).then(|| lock_in_time(file)).flatten() {
                    Some(held) => held,
                    None => return Ok(Locking::Taken(holder)),
                }
            }
            Err((_, e)) => return Err(e.into()),
        };
        stat::fchmod(&*held, mode)?;
        held.set_len(0)?;
        held.write_all_at(holder.as_bytes(), 0)?;
        Ok(Locking::Held(Lock { _held: held }))
    }

    /// Who holds the lock of that name, if anybody does. A missing lock file is held by nobody.
    ///
    /// # Errors
    /// As openat(2) and flock(2).
    pub fn lock_holder(&self, name: &str) -> io::Result<Option<String>> {
        let file = match self.read(name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_) => Ok(None),
            Err((file, Errno::EWOULDBLOCK)) => Ok(Some(holder_in(&file))),
            Err((_, e)) => Err(e.into()),
        }
    }
}

/// Locks a file as soon as it can be, if that is soon.
fn lock_in_time(file: File) -> Option<Flock<File>> {
    let (tell, told) = channel();
    // Left alone with a lock that comes too late, it gives that back.
    thread::spawn("lock", move || drop(tell.send(Flock::lock(file, FlockArg::LockExclusive).ok()))).ok()?;
    told.recv_timeout(EXEC_WAIT).ok().flatten()
}

/// Whether whoever is named in a lock file runs no more.
fn has_died(holder: &str) -> bool {
    let number = holder.split_once("(pid ").and_then(|(_, rest)| rest.strip_suffix(')')?.parse().ok());
    number.is_some_and(|pid| proc::stat(pid).is_none_or(|stat| stat.has_ended))
}

fn holder_in(file: &File) -> String {
    let mut text = [0; 256];
    let bytes = file.read_at(&mut text, 0).unwrap_or(0);
    String::from_utf8_lossy(&text[..bytes]).trim().to_owned()
}

impl AsFd for Dir {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
