//! Where lists and configuration files come from: out of the program, or from the disk.

use crate::config::load::Files;
use crate::config::tables::Worker;
use crate::config::values::NOT_LEVELS;
use crate::line::list::{self, List, Mistake, Rule};
use crate::line::shipped::{self, LEVELS};
use crate::sys::peek::{self, Pipes};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// No list is longer.
pub const BYTES_MAX: usize = 256 << 20;
/// No configuration file is longer.
pub const CONFIG_BYTES_MAX: usize = 16 << 20;

/// A list's name and bytes. A path in a list (`from`) is relative to that list.
///
/// # Errors
/// Why there is none, and what to do.
pub fn read(name: &str, from: Option<&str>) -> Result<(String, Vec<u8>), String> {
    let is_path = name.contains('/') || Path::new(name).extension() == Some(OsStr::new("list"));
    if !is_path {
        return shipped::find(name).map(|list| (list.name.to_owned(), list.text.as_bytes().to_vec())).ok_or_else(
            || {
                let names: Vec<_> = shipped::LISTS.iter().map(|list| list.name).collect();
                format!("no shipped list has that name; there are {}; for a file write ./{name}", names.join(", "))
            },
        );
    }
    let folder = from.and_then(|from| Path::new(from).parent()).unwrap_or(Path::new(""));
    let path = folder.join(name);
    let bytes = peek::whole(&path, BYTES_MAX, Pipes::Refused).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok((path.display().to_string(), bytes))
}

/// The files of this machine. The first that is read, the one that was named, may be a pipe.
#[derive(Clone, Copy, Debug, Default)]
pub struct OfDisk {
    goes_on: bool,
}

impl Files for OfDisk {
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let pipes = if self.goes_on { Pipes::Refused } else { Pipes::Taken };
        self.goes_on = true;
        peek::whole(path, CONFIG_BYTES_MAX, pipes)
    }

    fn matching(&mut self, folder: &Path, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::default() };
        let pattern = match pattern.strip_prefix(folder) {
            Ok(rest) => Path::new(&glob::Pattern::escape(&folder.to_string_lossy())).join(rest),
            Err(_) => pattern.to_owned(),
        };
        let found = glob::glob_with(&pattern.to_string_lossy(), options).map_err(io::Error::other)?;
        let mut paths = found.collect::<Result<Vec<_>, _>>().map_err(io::Error::from)?;
        paths.retain(|path| !path.is_dir());
        Ok(paths)
    }

    fn identity(&mut self, path: &Path) -> PathBuf {
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    }
}

/// Lists that were read, each once, however many workers use it.
#[derive(Debug, Default)]
pub struct Shelf(HashMap<String, Result<List, Unusable>>);

/// Why a list cannot be used.
#[derive(Clone, Debug)]
pub enum Unusable {
    /// It cannot be read.
    Unread(String),
    /// What is wrong in it.
    Wrong(Vec<Mistake>),
}

impl Shelf {
    /// A list; read when it is first asked for.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn list(&mut self, name: &str) -> Result<&List, &Unusable> {
        let load = || {
            let (name, bytes) = read(name, None).map_err(Unusable::Unread)?;
            list::parse(&name, &bytes, &mut |name, from| read(name, Some(from))).map_err(Unusable::Wrong)
        };
        self.0.entry(name.to_owned()).or_insert_with(load).as_ref()
    }

    /// The rules of a worker's lists, those that can be used, and of `levels`, unless it is left out.
    pub fn rules(&mut self, worker: &Worker) -> Vec<Rule> {
        let names = worker.lists.value.iter().map(|list| list.0.as_str());
        let levels = !names.clone().any(|name| name == NOT_LEVELS);
        let all = names.filter(|name| *name != NOT_LEVELS).chain(levels.then_some(LEVELS));
        all.filter_map(|name| Some(self.list(name).ok()?.rules.clone())).flatten().collect()
    }
}
