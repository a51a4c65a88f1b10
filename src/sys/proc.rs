//! What `/proc` tells: who holds a pipe, who is whose child. Where there is no `/proc`, nobody is found.

use std::fs;

/// A process, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its number.
    pub pid: i32,
    /// The name of its program.
    pub name: String,
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// Whether there is a `/proc` to look into.
#[must_use]
pub fn is_there() -> bool {
    fs::exists("/proc/self/stat").unwrap_or(false)
}

/// The processes other than ourselves that hold an end of one of these pipes.
#[must_use]
pub fn pipe_holders(inodes: &[u64]) -> Vec<Named> {
    let links: Vec<_> = inodes.iter().map(|inode| format!("pipe:[{inode}]")).collect();
    let holds = |pid: i32| {
        let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        fds.flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|to| links.iter().any(|link| to.as_os_str() == link.as_str())))
    };
    let ourselves = std::process::id() as i32;
    pids().filter(|pid| *pid != ourselves && holds(*pid)).map(named).collect()
}

/// The children of a process that have not ended.
#[must_use]
pub fn children(parent: i32) -> Vec<Named> {
    pids().filter(|pid| parent_of(*pid) == Some(parent)).map(named).collect()
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The parent of a process that has not ended. The name in `stat` may hold blanks and brackets: what counts stands
/// behind the last bracket.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok();
    parent.filter(|_| !matches!(state, "Z" | "X"))
}

fn named(pid: i32) -> Named {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Named { pid, name: name.trim_end().to_owned() }
}
