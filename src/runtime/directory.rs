//! What a log directory must be able to do. There are two: the real one, and the model of one in the tests, in which the
//! n-th step fails or is the last.

use crate::log::name::LOCK;
use crate::sys::dir::{Dir, Lock, Locking, LogFile};
use std::fmt::Debug;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A directory that holds logs.
pub trait Directory: Sized + Send + Debug + 'static {
    /// A log file in it.
    type File: Append;
    /// The names in it.
    fn names(&self) -> io::Result<Vec<String>>;
    /// The size of a regular file; none for anything else.
    fn file_bytes(&self, name: &str) -> io::Result<Option<u64>>;
    /// Opens a file for appending, made where it does not exist.
    fn append(&self, name: &str) -> io::Result<Self::File>;
    /// Makes a file that must not exist.
    fn create_new(&self, name: &str) -> io::Result<Self::File>;
    /// Opens a file for reading.
    fn read(&self, name: &str) -> io::Result<Box<dyn Read>>;
    /// Renames within the directory.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file; one that is gone already is no error.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes the names durable.
    fn sync(&self) -> io::Result<()>;
    /// A folder in it, made where it does not exist.
    fn folder(&self, name: &str) -> io::Result<Self>;
    /// The same directory, opened once more.
    fn again(&self) -> io::Result<Self>;
    /// The directory that is at its path now, made where there is none; none when that is this one.
    fn moved(&self) -> io::Result<Option<Self>>;
    /// Where it is, for people.
    fn path(&self) -> &Path;
}

/// A file that grows at its end.
pub trait Append: Send + Debug + 'static {
    /// Writes at the end; may take less than all.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Makes the contents durable.
    fn sync(&self) -> io::Result<()>;
    /// Cuts it to a size.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
    /// Its size, and whether a name still leads to it.
    fn size(&self) -> io::Result<(u64, bool)>;
    /// Its last byte.
    fn last_byte(&self) -> io::Result<Option<u8>>;
    /// When it was made, in microseconds since the epoch.
    fn born(&self) -> Option<i64>;
}

/// Writes all of it.
///
/// # Errors
/// As `Append::write`; what was written before stays.
pub fn write_all(file: &impl Append, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes = &bytes[written..],
        }
    }
    Ok(())
}

/// A directory of the file system, and the path that led to it.
#[derive(Debug)]
pub struct OnDisk {
    dir: Dir,
    path: PathBuf,
    /// Held by the one that writes; none in what was opened from it.
    _lock: Option<Lock>,
}

/// What came of trying to be the one writer of a directory.
#[derive(Debug)]
pub enum Owning {
    /// It is ours.
    Ours(OnDisk),
    /// Another writes there, and says this of itself.
    Taken(String),
}

impl OnDisk {
    /// Opens and locks the directory, making it where it does not exist. Symbolic links on the way are followed this
    /// once: later openings go by the path that they led to.
    ///
    /// # Errors
    /// As mkdir(2), open(2) and flock(2).
    pub fn own(path: &Path) -> io::Result<Owning> {
        let dir = Dir::create(path)?;
        let path = path.canonicalize()?;
        Ok(match dir.lock(LOCK, &format!("quell (pid {})\n", std::process::id()))? {
            Locking::Held(lock) => Owning::Ours(OnDisk { dir, path, _lock: Some(lock) }),
            Locking::Taken(holder) => Owning::Taken(holder),
        })
    }
}

impl Directory for OnDisk {
    type File = LogFile;

    fn names(&self) -> io::Result<Vec<String>> {
        self.dir.names()
    }
    fn file_bytes(&self, name: &str) -> io::Result<Option<u64>> {
        self.dir.file_bytes(name)
    }
    fn append(&self, name: &str) -> io::Result<LogFile> {
        self.dir.append(name)
    }
    fn create_new(&self, name: &str) -> io::Result<LogFile> {
        self.dir.create_new(name)
    }
    fn read(&self, name: &str) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(self.dir.read(name)?))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.dir.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.dir.remove(name)
    }
    fn sync(&self) -> io::Result<()> {
        self.dir.sync()
    }
    fn folder(&self, name: &str) -> io::Result<OnDisk> {
        Ok(OnDisk { dir: self.dir.folder(name)?, path: self.path.join(name), _lock: None })
    }
    fn again(&self) -> io::Result<OnDisk> {
        Ok(OnDisk { dir: self.dir.again()?, path: self.path.clone(), _lock: None })
    }
    fn moved(&self) -> io::Result<Option<OnDisk>> {
        if self.dir.is_at(&self.path) {
            return Ok(None);
        }
        if self.path.is_symlink() {
            let text = format!("{} has become a symbolic link; it is not followed", self.path.display());
            return Err(io::Error::other(text));
        }
        match OnDisk::own(&self.path)? {
            Owning::Ours(dir) => Ok(Some(dir)),
            Owning::Taken(holder) => {
                Err(io::Error::other(format!("{} is being written by {holder}", self.path.display())))
            }
        }
    }
    fn path(&self) -> &Path {
        &self.path
    }
}

impl Append for LogFile {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }
    fn sync(&self) -> io::Result<()> {
        self.sync()
    }
    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.truncate(bytes)
    }
    fn size(&self) -> io::Result<(u64, bool)> {
        self.size()
    }
    fn last_byte(&self) -> io::Result<Option<u8>> {
        self.last_byte()
    }
    fn born(&self) -> Option<i64> {
        self.born()
    }
}
