//! Processes below a supervisor: whose each is, how the ended are reaped and how all of them are killed. Each test is a
//! supervisor in a process of its own, so that it reaps nobody else's children.

use crate::harness::{Folder, LIMIT, finish, read_until};
use nix::fcntl::OFlag;
use quell::runtime::launch::{SUPERVISOR, WORKER};
use quell::runtime::leftovers;
use quell::runtime::orphans::{Life, kill_tree, sweep, whose};
use quell::runtime::state::State;
use quell::sys::fd::{self, Interest};
use quell::sys::proc;
use quell::sys::reap::{Adopted, Exit, Process, become_subreaper, has_children, reap_adopted};
use quell::sys::signal::{Inherited, Signals};
use quell::sys::spawn::{Ends, Program, spawn_worker};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;

const MARK: &str = "test.1";
const ALONE: &str = "TEST_ALONE";

/// A supervisor, that leaves nobody behind, however its test ends.
struct Supervisor;

impl Drop for Supervisor {
    fn drop(&mut self) {
        for orphan in sweep(MARK, &HashMap::new()) {
            let _ = orphan.signal(libc::SIGKILL);
        }
    }
}

/// Runs a test of this module in a process of its own; the supervisor in that one, none in the other.
fn alone(test: &str) -> Option<Supervisor> {
    if std::env::var_os(ALONE).is_some() {
        become_subreaper().unwrap();
        return Some(Supervisor);
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    let done = finish(again.args(["--exact", &format!("orphans::{test}"), "--nocapture"]).env(ALONE, "1"));
    assert!(done.status.success(), "{}\n{}", String::from_utf8_lossy(&done.stdout), done.stderr);
    None
}

fn life(worker: &str, nonce: u64) -> Life {
    Life { worker: worker.into(), nonce }
}

/// Starts a worker that runs a script, and waits until it has printed this.
fn worker(life: &Life, mark: &str, script: &str, announcement: &str) -> (Process, String) {
    let program = Program {
        files: vec!["/bin/sh".into()],
        argv: ["sh", "-c", script].map(OsString::from).into(),
        env: vec![
            format!("{WORKER}={}.{}", life.worker, life.nonce).into(),
            format!("{SUPERVISOR}={mark}").into(),
            "PATH=/usr/bin:/bin".into(),
        ],
        pid_variable: None,
        cwd: "/".into(),
        umask: 0o022,
        limits: Vec::new(),
        nice: None,
        oom_score_adj: None,
        no_new_privs: false,
        dies_with_us: false,
    };
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
    let inherited = Inherited::take().unwrap();
    let signals = Signals::take(&inherited, &[]).unwrap();
    let ends = Ends { stdin: None, stdout: writer.as_fd(), stderr: writer.as_fd(), further: &[] };
    let process = spawn_worker(&program, &ends, &inherited, &signals, None).unwrap();
    inherited.restore().unwrap();
    drop(writer);
    let text = read_until(&mut File::from(reader), announcement);
    (process, text)
}

/// The number that a script has printed behind a word.
fn number(text: &str, word: &str) -> i32 {
    let line = text.lines().find_map(|line| line.strip_prefix(word)).unwrap_or_else(|| panic!("{word} in {text}"));
    line.trim().parse().unwrap()
}

fn wait_for(process: &Process) {
    let [ready] = fd::wait([Some((process.as_fd(), Interest::Read))], Some(LIMIT)).unwrap();
    assert!(ready, "{process:?} hangs");
}

/// Reaps all that has ended or ends, until nothing but these mains is left.
fn reap_all(mains: &[&Process]) {
    let lives: HashMap<_, _> = mains.iter().map(|main| (main.pid(), life("main", 0))).collect();
    let mut is_last = false;
    loop {
        match reap_adopted(|pid| lives.contains_key(&pid)).unwrap() {
            Adopted::Reaped(_) => is_last = false,
            Adopted::Known(pid) => drop(mains.iter().find(|main| main.pid() == pid).unwrap().reap().unwrap()),
            // Who ends between the two looks is seen by the next.
            Adopted::Nothing if is_last => return,
            Adopted::Nothing => match sweep(MARK, &lives).first() {
                Some(orphan) => drop(Process::open(orphan.stat.pid).map(|process| wait_for(&process))),
                None => is_last = true,
            },
        }
    }
}

/// A worker whose descendants go their own ways: `a` detaches itself, `b` keeps the session and wipes its environment, `c`
/// does both and stays below `a`, `d` is of another supervisor.
const WAYS: &str = r#"
(setsid sh -c 'echo a $$; env -i setsid /bin/sh -c "echo c \$\$; sleep 1000 & wait" & wait' &)
(env -i /bin/sh -c 'echo b $$; sleep 1000 & wait' &)
(env QUELL_SUPERVISOR=other setsid sh -c 'echo d $$; sleep 1000 & wait' &)
sleep 1000 & wait
"#;

/// C4, C15: orphans are found, known and reaped, whatever session they are in.
#[test]
fn orphans_are_known() {
    let Some(_supervisor) = alone("orphans_are_known") else { return };
    let web = life("web.1", 7);
    let script = format!("{{ {WAYS} }} | while read line; do echo \"$line\"; [ $((n += 1)) = 4 ] && echo done; done");
    let (process, text) = worker(&web, MARK, &script, "done\n");
    let mains = HashMap::from([(process.pid(), web.clone())]);
    assert_eq!(whose(process.pid(), MARK), Some(web.clone()));
    assert_eq!(whose(process.pid(), "other"), None);
    let orphans = sweep(MARK, &mains);
    let of = |word: &str| orphans.iter().find(|orphan| orphan.stat.pid == number(&text, word)).map(|o| o.life.clone());
    let ours = Some(Some(web.clone()));
    assert_eq!([of("a"), of("b"), of("c"), of("d")], [ours.clone(), ours.clone(), ours, Some(None)], "{text}");
    // Below the main one nobody is an orphan.
    assert!(orphans.iter().all(|orphan| orphan.stat.pid != process.pid()));

    let killed = kill_tree(MARK, &mains, |life| *life == web);
    assert!(killed.is_complete && killed.refused.is_empty(), "{killed:?}");
    for named in killed.killed {
        let _ = Process::open(named.pid).map(|process| wait_for(&process));
    }
    assert_eq!(process.reap().unwrap(), Some(Exit::Signal { number: libc::SIGKILL, core: false }));
    let left: Vec<_> = sweep(MARK, &HashMap::new()).into_iter().map(|orphan| orphan.life).collect();
    assert!(left.iter().all(Option::is_none), "{left:?}");
    // What is of another supervisor is left to the last shutdown.
    for orphan in sweep(MARK, &HashMap::new()) {
        assert!(orphan.signal(libc::SIGKILL).unwrap());
    }
    reap_all(&[]);
    assert!(!has_children().unwrap());
}

/// C6: a number that has been given to another is not signalled.
#[test]
fn a_process_that_is_another_now_is_spared() {
    let Some(_supervisor) = alone("a_process_that_is_another_now_is_spared") else { return };
    let (process, _) = worker(&life("a", 1), MARK, "echo up; exec sleep 1000", "up");
    let mut found = sweep(MARK, &HashMap::new());
    let mut orphan = found.remove(0);
    assert_eq!((orphan.stat.pid, found.len()), (process.pid(), 0));
    orphan.stat.started += 1;
    assert!(!orphan.signal(libc::SIGKILL).unwrap());
    assert_eq!(process.peek().unwrap(), None);
    orphan.stat.started -= 1;
    assert!(orphan.signal(libc::SIGKILL).unwrap());
    wait_for(&process);
    // Peeked at as often as one likes, reaped once.
    let end = Some(Exit::Signal { number: libc::SIGKILL, core: false });
    assert_eq!((process.peek().unwrap(), process.peek().unwrap(), process.reap().unwrap()), (end, end, end));
    assert!(!orphan.signal(libc::SIGKILL).unwrap());
}

/// C5: a tree that doubles, each process in a session of its own, is killed to the last.
#[test]
fn a_fork_bomb_is_killed() {
    let Some(_supervisor) = alone("a_fork_bomb_is_killed") else { return };
    let folder = Folder::new();
    let bomb =
        folder.write("bomb", "trap '' PIPE\n[ $1 -ne 4 ] || echo lit\n[ $1 -gt 0 ] || exec sleep 1000\nfor i in 1 2; do setsid sh $0 $(($1-1)) & done\nwait\n");
    let (a, b) = (life("bomb", 1), life("other", 2));
    let script = format!("exec sh {} 8", bomb.display());
    let (main, _) = worker(&a, MARK, &script, "lit");
    let (other, _) = worker(&b, MARK, "echo up; sleep 1000 & wait", "up");
    let mains = HashMap::from([(main.pid(), a.clone()), (other.pid(), b)]);
    let mut count = 0;
    loop {
        let killed = kill_tree(MARK, &mains, |life| *life == a);
        assert!(killed.refused.is_empty(), "{killed:?}");
        count += killed.killed.len();
        if killed.is_complete {
            break;
        }
    }
    assert!(count > 0);
    wait_for(&main);
    reap_all(&[&main, &other]);
    assert!(proc::stat(main.pid()).is_none() && sweep(MARK, &mains).is_empty());
    // Nobody else was touched.
    assert!(proc::stat(other.pid()).is_some_and(|stat| !stat.is_stopped));
    assert_eq!(kill_tree(MARK, &mains, |life| life.worker == "other").killed.len(), 2);
    wait_for(&other);
    reap_all(&[&other]);
    assert!(!has_children().unwrap());
}

/// C11, C15: whoever is known is left to its owner, with its status; all others are reaped.
#[test]
fn statuses_are_not_stolen() {
    let Some(_supervisor) = alone("statuses_are_not_stolen") else { return };
    let mains: Vec<_> = (0..20)
        .map(|code| worker(&life("a", code), MARK, &format!("(exit 9 &) ; (exit 8 &) ; echo up; exit {code}"), "up").0)
        .collect();
    mains.iter().for_each(wait_for);
    let (mut codes, mut strangers) = (Vec::new(), 0);
    loop {
        match reap_adopted(|pid| mains.iter().any(|main| main.pid() == pid)).unwrap() {
            Adopted::Reaped(_) => strangers += 1,
            Adopted::Known(pid) => {
                let at = mains.iter().position(|main| main.pid() == pid).unwrap();
                assert_eq!(mains[at].reap().unwrap(), Some(Exit::Code(at as u8)));
                codes.push(at);
            }
            Adopted::Nothing if has_children().unwrap() => {
                for orphan in sweep(MARK, &HashMap::new()) {
                    let _ = Process::open(orphan.stat.pid).map(|process| wait_for(&process));
                }
            }
            Adopted::Nothing => break,
        }
    }
    codes.sort_unstable();
    assert_eq!(codes, (0..20).collect::<Vec<_>>());
    assert!(strangers <= 40, "{strangers}");
}

/// A signal to a group reaches those that are left of it when its leader has ended.
#[test]
fn a_group_outlives_its_leader() {
    let Some(_supervisor) = alone("a_group_outlives_its_leader") else { return };
    let (leader, text) = worker(&life("a", 1), MARK, "sleep 1000 & echo up $!", "up");
    wait_for(&leader);
    let member = Process::open(number(&text, "up")).unwrap();
    leader.signal_group(libc::SIGTERM).unwrap();
    wait_for(&member);
    assert_eq!(leader.reap().unwrap(), Some(Exit::Code(0)));
    assert_eq!(member.reap().unwrap(), Some(Exit::Signal { number: libc::SIGTERM, core: false }));
    leader.signal_group(libc::SIGTERM).unwrap();
}

/// C1: what an earlier supervisor has left is named.
#[test]
fn leftovers_are_named() {
    let Some(_supervisor) = alone("leftovers_are_named") else { return };
    let folder = Folder::new();
    let state = State::open(&folder.join("state")).unwrap();
    assert_eq!(leftovers::find(&state, &[]), []);
    let (process, _) = worker(&life("web", 3), state.mark(), "echo up; while :; do kill -STOP $$; done", "up");
    let texts: Vec<_> = leftovers::find(&state, &[]).iter().map(ToString::to_string).collect();
    assert_eq!(texts, [format!("sh (pid {}) of worker web", process.pid())]);
    let elsewhere = State::open(&folder.join("elsewhere")).unwrap();
    assert_eq!(leftovers::find(&elsewhere, &[]), []);
    process.signal(libc::SIGKILL).unwrap();
    wait_for(&process);
    assert_eq!(leftovers::find(&state, &[]), []);
    process.reap().unwrap();
}

/// Runs tests of this module in namespaces of their own.
#[cfg(feature = "full-tests")]
fn unshared(flags: &[&str], script: &str) {
    let mut unshare = Command::new("unshare");
    let this = std::env::current_exe().unwrap();
    let done = finish(unshare.args(flags).args(["sh", "-c", script, this.to_str().unwrap()]).env(ALONE, "1"));
    assert!(done.status.success() && done.text().contains("1 passed"), "{}\n{}", done.text(), done.stderr);
}

/// C15, D7: the same as the first process of a namespace, to which everybody is handed.
#[cfg(feature = "full-tests")]
#[test]
fn the_first_process_of_a_namespace() {
    for test in ["orphans_are_known", "statuses_are_not_stolen", "a_fork_bomb_is_killed"] {
        let script = format!("exec \"$0\" --exact orphans::{test} --nocapture");
        unshared(&["--pid", "--fork", "--mount-proc"], &script);
    }
}

/// F13: where there is no `/proc`, or that of another namespace, nobody is known, and nobody wrong is taken for another.
#[cfg(feature = "full-tests")]
#[test]
fn without_proc() {
    if std::env::var_os(ALONE).is_none() {
        let script = "exec \"$0\" --exact orphans::without_proc --nocapture";
        unshared(&["--mount"], &format!("umount -l /proc && {script}"));
        unshared(&["--pid", "--fork"], script);
        return;
    }
    become_subreaper().unwrap();
    let (process, _) = worker(&life("a", 1), MARK, "(setsid sleep 0.3 &); echo up; sleep 1000 & wait", "up");
    assert_eq!((whose(process.pid(), MARK), sweep(MARK, &HashMap::new())), (None, Vec::new()));
    let killed = kill_tree(MARK, &HashMap::new(), |_| true);
    assert!(killed.is_complete && killed.killed.is_empty());
    process.signal_group(libc::SIGKILL).unwrap();
    wait_for(&process);
    process.reap().unwrap();
    // Whoever is not known is waited for.
    while nix::sys::wait::wait().is_ok() {}
    assert!(!has_children().unwrap());
}

/// C10: whom the kernel has killed for want of memory is known by its count.
#[cfg(feature = "full-tests")]
#[test]
fn a_victim_of_the_kernel_is_known() {
    let Some(_supervisor) = alone("a_victim_of_the_kernel_is_known") else { return };
    let group = std::path::Path::new("/sys/fs/cgroup/memory").join(format!("quell-test-{}", std::process::id()));
    std::fs::create_dir(&group).unwrap();
    std::fs::write(group.join("memory.limit_in_bytes"), "20M").unwrap();
    let mut kills = quell::sys::oom::OomKills::watch();
    let script =
        format!("echo $$ >{}/cgroup.procs; echo up; x=$(head -c 200000000 /dev/zero | tr '\\0' a)", group.display());
    let (process, _) = worker(&life("a", 1), MARK, &script, "up");
    wait_for(&process);
    assert_eq!(process.reap().unwrap(), Some(Exit::Signal { number: libc::SIGKILL, core: false }));
    let now = quell::sys::time::now().tick;
    assert!(kills.claim(now));
    reap_all(&[]);
    std::fs::remove_dir(&group).unwrap();
}
