//! What a log directory must be able to do. There are two: the real one, and the model of one in the tests, in which the
//! n-th step fails or is the last.

use crate::log::name::LOCK;
use crate::sys::dir::{Dir, Lock, Locking, LogFile};
use std::fmt::Debug;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// A directory that holds logs. All that work in one share it.
pub trait Directory: Sized + Send + Sync + Debug + 'static {
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
    /// A folder in it, known by its name, whether it exists or not.
    fn below(parent: &Arc<Self>, name: &str) -> Self;
    /// Makes it where it does not exist.
    fn make(&self) -> io::Result<()>;
    /// The same directory, held open for some steps.
    fn open(&self) -> io::Result<Self>;
    /// Goes over to the directory that is at its path now, made where there is none; whether that is another one.
    fn follow(&self) -> io::Result<bool>;
    /// Where it is, for people.
    fn path(&self) -> PathBuf;
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

/// A directory of the file system.
#[derive(Debug)]
pub struct OnDisk(At);

#[derive(Debug)]
enum At {
    /// Held open, and the path that led to it.
    Held { held: RwLock<Arc<Held>>, path: PathBuf },
    /// Known by its name: it is opened for each step, from the directory that holds it, and never through a link.
    Below { parent: Arc<OnDisk>, name: Box<str> },
}

#[derive(Debug)]
struct Held {
    dir: Dir,
    /// Of the one that writes; none in what was opened from it.
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
            Locking::Held(lock) => Owning::Ours(OnDisk::held(dir, Some(lock), path)),
            Locking::Taken(holder) => Owning::Taken(holder),
        })
    }

    fn held(dir: Dir, lock: Option<Lock>, path: PathBuf) -> OnDisk {
        OnDisk(At::Held { held: RwLock::new(Arc::new(Held { dir, _lock: lock })), path })
    }

    fn dir(&self) -> io::Result<Arc<Held>> {
        match &self.0 {
            At::Held { held, .. } => Ok(held.read().unwrap_or_else(PoisonError::into_inner).clone()),
            At::Below { parent, name } => Ok(Arc::new(Held { dir: parent.dir()?.dir.enter(name)?, _lock: None })),
        }
    }
}

impl Directory for OnDisk {
    type File = LogFile;

    fn names(&self) -> io::Result<Vec<String>> {
        self.dir()?.dir.names()
    }
    fn file_bytes(&self, name: &str) -> io::Result<Option<u64>> {
        self.dir()?.dir.file_bytes(name)
    }
    fn append(&self, name: &str) -> io::Result<LogFile> {
        self.dir()?.dir.append(name)
    }
    fn create_new(&self, name: &str) -> io::Result<LogFile> {
        self.dir()?.dir.create_new(name)
    }
    fn read(&self, name: &str) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(self.dir()?.dir.read(name)?))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.dir()?.dir.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.dir()?.dir.remove(name)
    }
    fn sync(&self) -> io::Result<()> {
        self.dir()?.dir.sync()
    }
    fn below(parent: &Arc<OnDisk>, name: &str) -> OnDisk {
        OnDisk(At::Below { parent: parent.clone(), name: name.into() })
    }
    fn make(&self) -> io::Result<()> {
        match &self.0 {
            At::Held { .. } => Ok(()),
            At::Below { parent, name } => {
                parent.make()?;
                parent.dir()?.dir.folder(name).map(drop)
            }
        }
    }
    fn open(&self) -> io::Result<OnDisk> {
        let dir = match &self.0 {
            At::Held { .. } => self.dir()?.dir.again()?,
            At::Below { parent, name } => parent.dir()?.dir.enter(name)?,
        };
        Ok(OnDisk::held(dir, None, self.path()))
    }
    fn follow(&self) -> io::Result<bool> {
        let (held, path) = match &self.0 {
            At::Held { held, path } => (held, path),
            At::Below { parent, .. } => {
                let moved = parent.follow()?;
                return self.make().map(|()| moved);
            }
        };
        if self.dir()?.dir.is_at(path) {
            return Ok(false);
        }
        if path.is_symlink() {
            let text = format!("{} has become a symbolic link; it is not followed", path.display());
            return Err(io::Error::other(text));
        }
        match OnDisk::own(path)? {
            Owning::Ours(there) => {
                *held.write().unwrap_or_else(PoisonError::into_inner) = there.dir()?;
                Ok(true)
            }
            Owning::Taken(holder) => Err(io::Error::other(format!("{} is being written by {holder}", path.display()))),
        }
    }
    fn path(&self) -> PathBuf {
        match &self.0 {
            At::Held { path, .. } => path.clone(),
            At::Below { parent, name } => parent.path().join(&**name),
        }
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
