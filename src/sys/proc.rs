//! What `/proc` tells: who holds a pipe, who is whose child. Where there is no `/proc`, nobody is found.

use nix::unistd::Pid;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// How often children are asked for again, of what may fork without end.
const LOOKS_MAX: usize = 8;
/// The kernel's flag of a process that is ending (include/linux/sched.h, and proc_pid_stat(5), field 9).
const PF_EXITING: u32 = 4;

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

/// Whether there is a `/proc` to look into, and the numbers in it are those that we know processes by: that of another
/// namespace names others.
#[must_use]
pub fn is_there() -> bool {
    fs::read_link("/proc/self").is_ok_and(|to| to.as_os_str() == std::process::id().to_string().as_str())
}

/// What the numbers of processes are good for: this boot of the machine, and our namespace (pid_namespaces(7)). None where
/// that cannot be told.
#[must_use]
pub fn realm() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    is_there().then(|| format!("{} {}", boot.trim_end(), namespace.display()))
}

/// The processes other than ourselves that hold an end of one of these pipes.
#[must_use]
pub fn pipe_holders(inodes: &[u64]) -> Vec<Named> {
    holders("pipe", inodes)
}

/// The processes other than ourselves that hold one of these sockets.
#[must_use]
pub fn socket_holders(inodes: &[u64]) -> Vec<Named> {
    holders("socket", inodes)
}

/// Whether this process holds one of these sockets.
#[must_use]
pub fn holds_socket(inodes: &[u64]) -> bool {
    holds(std::process::id() as i32, &links("socket", inodes))
}

fn holders(kind: &str, inodes: &[u64]) -> Vec<Named> {
    if inodes.is_empty() {
        return Vec::new();
    }
    let links = links(kind, inodes);
    let ourselves = std::process::id() as i32;
    pids().filter(|pid| *pid != ourselves && holds(*pid, &links)).map(named).collect()
}

/// What descriptors of these lead to, as `/proc/PID/fd` shows it.
fn links(kind: &str, inodes: &[u64]) -> Vec<String> {
    inodes.iter().map(|inode| format!("{kind}:[{inode}]")).collect()
}

fn holds(pid: i32, links: &[String]) -> bool {
    let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    fds.flatten()
        .any(|fd| fs::read_link(fd.path()).is_ok_and(|to| links.iter().any(|link| to.as_os_str() == link.as_str())))
}

/// A process, as `/proc/PID/stat` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its number.
    pub pid: i32,
    /// The name of its program.
    pub name: String,
    /// Its parent.
    pub parent: i32,
    /// Its session: the number of the process that made it.
    pub session: i32,
    /// When it was started, in ticks since boot: with its number, what it is known by again.
    pub started: u64,
    /// A signal has stopped it.
    pub is_stopped: bool,
    /// It is ending, and its environment may be gone already.
    pub is_ending: bool,
    /// It has ended, and is only to be reaped.
    pub has_ended: bool,
}

impl Stat {
    /// It and its name, for people.
    #[must_use]
    pub fn named(&self) -> Named {
        Named { pid: self.pid, name: self.name.clone() }
    }
}

/// What there is to know of a process.
#[must_use]
pub fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?))
}

/// A line of `/proc/PID/stat` (proc_pid_stat(5)). The name may hold blanks and brackets: the rest stands behind the last
/// bracket.
fn parse_stat(line: &str) -> Option<Stat> {
    let (head, rest) = line.rsplit_once(')')?;
    let (pid, name) = head.split_once(" (")?;
    let fields: Vec<_> = rest.split_ascii_whitespace().collect();
    // The first of them is the third of the line.
    let field = |number: usize| fields.get(number - 3).copied();
    let threads: i32 = field(20)?.parse().ok()?;
    Some(Stat {
        pid: pid.parse().ok()?,
        name: name.to_owned(),
        parent: field(4)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        started: field(22)?.parse().ok()?,
        is_stopped: field(3)? == "T",
        is_ending: field(9)?.parse::<u32>().ok()? & PF_EXITING != 0,
        // A process whose first thread has ended goes on as long as others run.
        has_ended: field(3)? == "X" || (field(3)? == "Z" && threads <= 1),
    })
}

/// The processes below one, each behind its parent, but for the excepted and what is below them; those that have
/// ended are left out.
#[must_use]
pub fn descendants(of: i32, except: impl Fn(i32) -> bool) -> Vec<Stat> {
    if !is_there() {
        return Vec::new();
    }
    if !knows_children() {
        return by_parents(of, except);
    }
    let children = |parent| children_of(parent).into_iter().filter(|child| !except(*child)).collect();
    by_children(of, children, stat)
}

/// From parent to child, where the kernel says who they are (CONFIG_PROC_CHILDREN). Whose parent ends while this looks is
/// handed to the first, whose list may have been read by then: it is read again until it shows nobody new.
fn by_children(of: i32, children_of: impl Fn(i32) -> Vec<i32>, stat: impl Fn(i32) -> Option<Stat>) -> Vec<Stat> {
    let mut found: Vec<Stat> = Vec::new();
    let mut seen = HashSet::from([of]);
    for _ in 0..LOOKS_MAX {
        let known = seen.len();
        let mut parents = vec![of];
        while let Some(parent) = parents.pop() {
            // One that has ended counts as new too: its children may have been handed on just now.
            let unseen = children_of(parent).into_iter().filter(|child| seen.insert(*child));
            let new: Vec<_> = unseen.filter_map(&stat).filter(|stat| !stat.has_ended).collect();
            parents.extend(new.iter().map(|stat| stat.pid));
            found.extend(new);
        }
        if seen.len() == known {
            break;
        }
    }
    found
}

/// Whether the kernel says who the children of a process are (CONFIG_PROC_CHILDREN).
fn knows_children() -> bool {
    static KNOWS: OnceLock<bool> = OnceLock::new();
    *KNOWS.get_or_init(|| fs::exists("/proc/thread-self/children").unwrap_or(false))
}

/// The children of all threads of a process. Of ours, the first thread is handed those that lose their parent, and whoever
/// starts processes is who asks here.
fn children_of(parent: i32) -> Vec<i32> {
    let numbers = |list: String| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>();
    let listed = |thread: &Path| fs::read_to_string(thread.join("children")).map(numbers).unwrap_or_default();
    let tasks = PathBuf::from(format!("/proc/{parent}/task"));
    if parent == std::process::id() as i32 {
        let own = [parent, nix::unistd::gettid().as_raw()];
        let own = if own[0] == own[1] { &own[..1] } else { &own[..] };
        return own.iter().flat_map(|thread| listed(&tasks.join(thread.to_string()))).collect();
    }
    let threads = fs::read_dir(tasks).into_iter().flatten().flatten();
    threads.flat_map(|thread| listed(&thread.path())).collect()
}

/// From each process to its parent.
fn by_parents(of: i32, except: impl Fn(i32) -> bool) -> Vec<Stat> {
    // What belongs to no session is the kernel's own, and costs no look.
    let others = pids().filter(|pid| !except(*pid) && has_session(*pid));
    let all: Vec<Stat> = others.filter_map(stat).filter(|stat| !stat.has_ended).collect();
    let alive: HashSet<i32> = all.iter().map(|stat| stat.pid).collect();
    let mut children: HashMap<i32, Vec<Stat>> = HashMap::new();
    for seen in all {
        // Whose parent has ended meanwhile has another now.
        let is_lost = seen.parent > 1 && seen.parent != of && !alive.contains(&seen.parent) && !except(seen.parent);
        let now = if is_lost { stat(seen.pid) } else { Some(seen) };
        now.into_iter().for_each(|stat| children.entry(stat.parent).or_default().push(stat));
    }
    let mut found = children.remove(&of).unwrap_or_default();
    let mut at = 0;
    while at < found.len() {
        found.extend(children.remove(&found[at].pid).into_iter().flatten());
        at += 1;
    }
    found
}

/// Whether a process may be in a session; one that may not be asked about may be.
fn has_session(pid: i32) -> bool {
    nix::unistd::getsid(Some(Pid::from_raw(pid))).map_or(true, |session| session.as_raw() != 0)
}

/// The children of a process that have not ended.
#[must_use]
pub fn children(parent: i32) -> Vec<Named> {
    pids().filter_map(stat).filter(|stat| stat.parent == parent && !stat.has_ended).map(|stat| stat.named()).collect()
}

/// The value of a variable that a process was started with; none where that may not be seen.
#[must_use]
pub fn variables<const N: usize>(pid: i32, names: [&str; N]) -> [Option<String>; N] {
    let environ = if is_there() { fs::read(format!("/proc/{pid}/environ")) } else { Ok(Vec::new()) };
    let environ = environ.unwrap_or_default();
    names.map(|name| {
        let value = |text: &[u8]| text.strip_prefix(name.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec);
        let found = environ.split(|byte| *byte == 0).find_map(value)?;
        String::from_utf8(found).ok()
    })
}

/// All processes.
pub fn pids() -> impl Iterator<Item = i32> {
    let entries = is_there().then(|| fs::read_dir("/proc")).into_iter().flatten().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn named(pid: i32) -> Named {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Named { pid, name: name.trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_parent_ends_meanwhile_is_found() {
        let row = |pid: i32, has_ended| Stat {
            pid,
            name: String::new(),
            parent: 1,
            session: pid,
            started: 0,
            is_stopped: false,
            is_ending: false,
            has_ended,
        };
        // 2 has ended between the reading of its name and the look at it, and 3, its child, is the child of 1 by then.
        let looks = std::cell::Cell::new(0);
        let children = |parent: i32| match parent {
            1 if looks.replace(looks.get() + 1) == 0 => vec![2],
            1 => vec![2, 3],
            3 => vec![4],
            _ => Vec::new(),
        };
        let found = by_children(1, children, |pid| Some(row(pid, pid == 2)));
        assert_eq!(found.iter().map(|stat| stat.pid).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(looks.get(), 3);
        // What is born without end is left in the end.
        let endless =
            |parent: i32| if parent == 1 { (2..3 + looks.replace(looks.get() + 1)).collect() } else { Vec::new() };
        looks.set(0);
        assert_eq!(by_children(1, endless, |pid| Some(row(pid, false))).len(), LOOKS_MAX);
    }

    #[test]
    fn a_line_of_a_process() {
        let rest = " 1 2 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 9876 1 2 3";
        let found = parse_stat(&format!("42 (a) b) (c) S{rest}")).unwrap();
        let expected = Stat {
            pid: 42,
            name: "a) b) (c".into(),
            parent: 1,
            session: 7,
            started: 9876,
            is_stopped: false,
            is_ending: false,
            has_ended: false,
        };
        assert_eq!(found, expected);
        assert!(parse_stat(&format!("42 (a) Z{rest}")).unwrap().has_ended);
        assert!(parse_stat(&format!("42 (a) R{}", rest.replace("4194304", "4194308"))).unwrap().is_ending);
        // A thread of it still runs.
        assert!(!parse_stat(&format!("42 (a) Z{}", rest.replace("0 1 0", "0 2 0"))).unwrap().has_ended);
        assert_eq!(parse_stat("42 (a"), None);
        let ourselves = stat(std::process::id() as i32).unwrap();
        assert!(descendants(ourselves.parent, |_| false).contains(&ourselves));
    }
}
