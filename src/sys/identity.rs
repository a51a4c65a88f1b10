//! Users and groups: who there is, who we are, and a look at the machine as somebody else sees it.

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User};
use std::ffi::CString;
use std::io;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread::{Builder, scope};

/// What a process may do is decided by these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The further groups.
    pub groups: Vec<u32>,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The number.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The home directory.
    pub home: PathBuf,
}

impl From<User> for Person {
    fn from(user: User) -> Person {
        Person { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), home: user.dir }
    }
}

/// The user whose rights we have.
#[must_use]
pub fn ours() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// The group whose rights we have.
#[must_use]
pub fn our_group() -> u32 {
    nix::unistd::getegid().as_raw()
}

/// Our further groups; none where they cannot be had.
#[must_use]
pub fn our_groups() -> Vec<u32> {
    nix::unistd::getgroups().unwrap_or_default().into_iter().map(Gid::as_raw).collect()
}

/// The name of this host, as its kernel has it (`/proc/sys/kernel/hostname`, proc(5)).
///
/// # Errors
/// As read(2).
pub fn host_name() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/hostname")?.trim_end().to_owned())
}

/// A user by name.
///
/// # Errors
/// As getpwnam_r(3).
pub fn person(name: &str) -> io::Result<Option<Person>> {
    Ok(User::from_name(name)?.map(Person::from))
}

/// A user by number.
///
/// # Errors
/// As getpwuid_r(3).
pub fn person_of(uid: u32) -> io::Result<Option<Person>> {
    Ok(User::from_uid(Uid::from_raw(uid))?.map(Person::from))
}

/// A group's number by its name.
///
/// # Errors
/// As getgrnam_r(3).
pub fn group(name: &str) -> io::Result<Option<u32>> {
    Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()))
}

/// All groups of a user, the given one among them.
///
/// # Errors
/// As getgrouplist(3).
pub fn groups_of(person: &Person) -> io::Result<Vec<u32>> {
    let name = CString::new(person.name.as_str())?;
    let groups = nix::unistd::getgrouplist(&name, Gid::from_raw(person.gid))?;
    Ok(groups.into_iter().map(Gid::as_raw).collect())
}

/// The names in `/etc/passwd`.
#[must_use]
pub fn user_names() -> Vec<String> {
    names("/etc/passwd")
}

/// The names in `/etc/group`.
#[must_use]
pub fn group_names() -> Vec<String> {
    names("/etc/group")
}

fn names(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| line.split(':').next()).map(str::to_owned).collect()
}

/// Does some work with another's credentials, on a thread that has them alone: in the kernel they are a thread's
/// (credentials(7)); that all threads of a process share them is the C library's doing, which is gone around here. Root
/// alone can do it.
///
/// # Errors
/// As pthread_create(3), setgroups(2), setresgid(2) and setresuid(2).
pub fn as_other<T: Send>(who: &Credentials, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    scope(|scope| {
        let thread = Builder::new().name("other".into()).spawn_scoped(scope, || assume(who).map(|()| work()))?;
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Gives this thread these credentials for the rest of its life.
fn assume(who: &Credentials) -> io::Result<()> {
    #[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
    use libc::{SYS_setgroups as SETGROUPS, SYS_setresgid as SETRESGID, SYS_setresuid as SETRESUID};
    #[cfg(any(target_arch = "x86", target_arch = "arm"))]
    use libc::{SYS_setgroups32 as SETGROUPS, SYS_setresgid32 as SETRESGID, SYS_setresuid32 as SETRESUID};
    // SAFETY: the pointer and length are those of the list, which outlives the call; the others take plain numbers. None
    // changes what any other thread may do.
    unsafe {
        Errno::result(libc::syscall(SETGROUPS, who.groups.len(), who.groups.as_ptr()))?;
        Errno::result(libc::syscall(SETRESGID, who.gid, who.gid, who.gid))?;
        Errno::result(libc::syscall(SETRESUID, who.uid, who.uid, who.uid))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_thread_becomes_another() {
        let nobody = Credentials { uid: 65534, gid: 65534, groups: vec![65534] };
        let before = ours();
        match as_other(&nobody, ours) {
            Ok(uid) => assert_eq!((before, uid), (0, 65534)),
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::PermissionDenied),
        }
        assert_eq!(ours(), before);
    }

    #[test]
    fn root_is_known() {
        let root = person("root").unwrap().unwrap();
        assert_eq!((root.uid, person_of(0).unwrap().as_ref()), (0, Some(&root)));
        assert!(groups_of(&root).unwrap().contains(&root.gid));
        assert!(user_names().contains(&root.name));
        assert_eq!(person("no such user").unwrap(), None);
    }
}
