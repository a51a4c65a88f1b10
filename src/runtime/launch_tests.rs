//! What is spawned for a configuration, and how workers find it.

use super::*;
use crate::config::load::{Loaded, load};
use crate::runtime::lists::OfDisk;
use crate::sys::fd;
use nix::errno::Errno;
use serial_test::serial;
use std::fs;
use std::os::fd::AsFd;
use tempfile::TempDir;

struct Scene {
    folder: TempDir,
    loaded: Loaded,
    here: Here,
}

/// A configuration in a folder, which is `@`.
fn scene(text: &str) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    fs::write(root.join("quell.toml"), text.replace('@', root.to_str().unwrap())).unwrap();
    let loaded = load("quell.toml", &root, &mut OfDisk::default(), &|_| None).unwrap();
    assert!(loaded.reports.is_empty(), "{:?}", loaded.reports);
    let state = State::open(&root.join("state")).unwrap();
    let descriptors = Ceiling { soft: 256, hard: 512 };
    let mut here = Here::new(&state, descriptors);
    here.env = [("PATH", "/own"), ("HOME", "/home/a"), ("LANG", "C")].map(|(n, v)| (n.into(), v.into())).into();
    Scene { folder, loaded, here }
}

impl Scene {
    fn subject(&self, name: &str, instance: Option<u32>) -> Subject<'_> {
        let table = self.loaded.config.worker(name).unwrap();
        let root = self.folder.path().canonicalize().unwrap();
        Subject { table, folder: folder_of(table.place, &self.loaded.sources, &root), instance, nonce: 7 }
    }

    fn prepare(&self, name: &str, instance: Option<u32>) -> Result<Launch, String> {
        prepare(&self.loaded.config, &self.subject(name, instance), &self.here, None)
    }

    fn program(&self, name: &str) -> Program {
        self.prepare(name, None).unwrap().program
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }
}

fn env(program: &Program) -> Vec<&str> {
    program.env.iter().map(|variable| variable.to_str().unwrap()).collect()
}

fn standard() -> Standard<'static> {
    Standard { stdin: None, stdout: fd::stderr(), stderr: fd::stderr() }
}

#[test]
fn programs_are_found_as_the_check_finds_them() {
    let scene = scene(
        "[worker.a]\ncommand = [\"./bin/a\", \"x y\"]\n[worker.b]\ncommand = [\"./a\"]\ncwd = \"/usr/bin\"\n\
         [worker.c]\ncommand = [\"a\"]\nenv.PATH = \"/one:two:/three\"\n[worker.d]\ncommand = [\"a\"]\nenv_from = \"none\"\n\
         [worker.e]\nshell = \"echo $$HOME; exit 1\"\n[worker.f]\ncommand = [\"/bin/a\"]\n",
    );
    let files = |name: &str| scene.program(name).files;
    assert_eq!(files("a"), [scene.path("bin/a")]);
    assert_eq!(files("b"), [PathBuf::from("/usr/bin/a")]);
    assert_eq!(files("c"), ["/one/a", "/three/a"].map(PathBuf::from));
    assert_eq!(files("d"), ["/usr/local/bin/a", "/bin/a", "/usr/bin/a"].map(PathBuf::from));
    assert_eq!(files("f"), [PathBuf::from("/bin/a")]);
    assert_eq!(scene.program("a").argv, ["./bin/a", "x y"]);
    assert_eq!(scene.program("e").argv, ["/bin/sh", "-c", "echo $HOME; exit 1"]);
    assert_eq!((scene.program("a").cwd, scene.program("b").cwd), ("/".into(), "/usr/bin".into()));
}

/// F9: the environment is what `env_from`, `env_file` and `env` say, in this order, and what quell sets.
#[test]
fn environments() {
    let scene = scene(
        "[worker.a]\ncommand = [\"a\"]\nenv = { LANG = \"D\", QUELL_WORKER = \"x\" }\n\
         [worker.b]\ncommand = [\"a\"]\nenv_from = [\"HO*\"]\nenv_file = \"vars\"\nenv.B = \"3\"\nready = \"notify\"\n\
         [worker.c]\ncommand = [\"a\", \"{n}\"]\nenv_from = \"none\"\nenv.PORT = \"80{n}\"\ninstances = 2\n\
         [worker.d]\ncommand = [\"a\"]\nenv_from = \"none\"\nenv_file = { path = \"none\", optional = true }\n",
    );
    fs::write(scene.path("vars"), "A=1\n# no\nB=2\n").unwrap();
    let mark = format!("QUELL_SUPERVISOR={}", scene.here.mark);
    assert_eq!(env(&scene.program("a")), ["QUELL_WORKER=a.7", &mark, "HOME=/home/a", "LANG=D", "PATH=/own"]);
    let socket = format!("NOTIFY_SOCKET={}", scene.path("state/notify.sock").display());
    assert_eq!(env(&scene.program("b")), ["QUELL_WORKER=b.7", &mark, &socket, "A=1", "B=3", "HOME=/home/a"]);
    let second = scene.prepare("c", Some(2)).unwrap().program;
    assert_eq!(env(&second), ["QUELL_WORKER=c.2.7", &mark, "PORT=802"]);
    assert_eq!(second.argv, ["a", "2"]);
    assert_eq!(env(&scene.program("d")), ["QUELL_WORKER=d.7", &mark]);

    // It is read at each start, and what is wrong in it is told without what it says.
    fs::write(scene.path("vars"), "A=9\nhunter2\n").unwrap();
    let error = scene.prepare("b", None).unwrap_err();
    assert_eq!(
        error,
        format!("line 2 of its `env_file` {} is no variable; write NAME=value", scene.path("vars").display())
    );
    fs::remove_file(scene.path("vars")).unwrap();
    assert!(scene.prepare("b", None).unwrap_err().ends_with("does not exist"));
}

#[test]
fn settings() {
    let scene = scene(
        "[quell]\non_supervisor_death = \"leave\"\n[worker.a]\ncommand = [\"a\"]\numask = \"077\"\nnice = 5\n\
         oom_score_adj = 100\nno_new_privs = true\nlimits = { core = 0, nofile = \"unlimited\", as = \"1GiB\" }\n\
         ready = { fd = 5 }\n[worker.b]\ncommand = [\"a\"]\n",
    );
    let Launch { program, ready_fd, .. } = scene.prepare("a", None).unwrap();
    assert_eq!((program.umask, program.nice, program.oom_score_adj, ready_fd), (0o077, Some(5), Some(100), Some(5)));
    assert!(program.no_new_privs && !program.dies_with_us);
    let limits = [
        (Resource::AddressSpace, Ceiling::fixed(1 << 30)),
        (Resource::Core, Ceiling::fixed(0)),
        (Resource::Descriptors, Ceiling::fixed(UNLIMITED)),
    ];
    assert_eq!(program.limits, limits);
    let plain = scene.program("b");
    assert_eq!(plain.limits, [(Resource::Descriptors, Ceiling { soft: 256, hard: 512 })]);
    assert!(!plain.no_new_privs && plain.umask == 0o022);
}

#[test]
fn commands_of_a_worker() {
    let scene = scene("[worker.a]\ncommand = [\"a\"]\nenv.A = \"1\"\nstop.command = [\"./stop\", \"now\"]\n");
    let subject = scene.subject("a", None);
    let command = subject.table.keys.stop.command.value.as_ref().unwrap();
    let launch = prepare_command(&scene.loaded.config, &subject, &scene.here, command, 42).unwrap();
    assert_eq!(launch.program.files, [scene.path("stop")]);
    assert!(env(&launch.program).contains(&"MAINPID=42") && env(&launch.program).contains(&"A=1"));
    assert!(env(&launch.program).contains(&"QUELL_WORKER=a.7"));
}

/// C7, C8: why a worker was not started, and whether it may pass by itself.
#[test]
#[serial]
fn failures_in_words() {
    let scene = scene(
        "[worker.a]\ncommand = [\"./plain\"]\n[worker.b]\ncommand = [\"no-such-program\"]\n\
         [worker.c]\ncommand = [\"/bin/true\"]\ncwd = \"@/none\"\n\
         [worker.d]\ncommand = [\"/bin/true\"]\noom_score_adj = 7\n",
    );
    fs::write(scene.path("plain"), "echo\n").unwrap();
    fs::set_permissions(scene.path("plain"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let inherited = Inherited::take().unwrap();
    let signals = Signals::take(&inherited, &[libc::SIGCHLD]).unwrap();
    let text = |name: &str| {
        let launch = scene.prepare(name, None).unwrap();
        let spawned = launch.spawn(standard(), Further::default(), &inherited, &signals, None);
        spawned.map(|process| process.pid()).unwrap_err().to_string()
    };
    let shown = |name: &str| scene.path(name).display().to_string();
    assert_eq!(
        text("a"),
        format!("cannot execute {}: it is no program and has no #! line; add one, or run it with sh", shown("plain"))
    );
    assert_eq!(text("b"), "cannot execute no-such-program: not found in PATH");
    assert_eq!(text("c"), format!("cannot change to {}: No such file or directory", shown("none")));
    let launch = scene.prepare("d", None).unwrap();
    let explain = |step, errno| launch.explain(SpawnError { step, errno });
    assert_eq!(explain(Step::OomScore, Errno::EACCES), "cannot set its `oom_score_adj` to 7: Permission denied");
    assert_eq!(
        explain(Step::Limit(Resource::Descriptors), Errno::EPERM),
        "cannot set its limit `nofile` to 512: Operation not permitted"
    );
    assert_eq!(explain(Step::Fork, Errno::EAGAIN), "cannot fork: Try again");
    inherited.restore().unwrap();
}

/// Sockets come first and are named; then the one of tasks.
#[test]
fn descriptors_are_told_in_the_environment() {
    let scene = scene(
        "[queue.q]\n[worker.a]\ncommand = [\"a\"]\nprotocol = \"lines\"\nready = { fd = 6 }\n\
         start_on = [{ socket = \"localhost:80\" }, { queue = \"q\" }, { socket = \"@/a b:c\" }]\n\
         [worker.b]\ncommand = [\"a\"]\nenv = { LISTEN_PID = \"1\", LISTEN_FDS = \"1\" }\n",
    );
    let launch = scene.prepare("a", None).unwrap();
    let variables = env(&launch.program);
    for variable in ["LISTEN_FDS=2", "LISTEN_FDNAMES=80:a_b_c", "QUELL_TASK_FD=5"] {
        assert!(variables.contains(&variable), "{variable}: {variables:?}");
    }
    assert_eq!((launch.task_fd, launch.program.pid_variable), (Some(5), Some("LISTEN_PID")));
    assert_eq!(scene.program("b").pid_variable, None);
}

#[test]
#[serial]
fn a_worker_says_that_it_is_ready_by_a_descriptor() {
    let scene = scene("[worker.a]\nshell = \"echo >&7\"\nready = { fd = 7 }\n");
    let inherited = Inherited::take().unwrap();
    let signals = Signals::take(&inherited, &[libc::SIGCHLD]).unwrap();
    let (reader, writer) = fd::pipe().unwrap();
    let launch = scene.prepare("a", None).unwrap();
    let further = Further { ready: Some(writer.as_fd()), ..Further::default() };
    let process = launch.spawn(standard(), further, &inherited, &signals, None).unwrap();
    drop(writer);
    inherited.restore().unwrap();
    let patience = Some(std::time::Duration::from_secs(60));
    assert_eq!(fd::wait([Some((reader.as_fd(), fd::Interest::Read))], patience).unwrap(), [true]);
    let mut byte = [0; 2];
    assert_eq!((fd::read(&reader, &mut byte).unwrap(), byte[0]), (1, b'\n'));
    assert_eq!(fd::wait([Some((process.as_fd(), fd::Interest::Read))], patience).unwrap(), [true]);
    process.reap().unwrap().unwrap();
}

#[test]
fn somebody_else_is_refused() {
    let us = crate::sys::identity::ours();
    let other = if us == 0 { 65534 } else { 0 };
    let text = format!(
        "[worker.a]\ncommand = [\"a\"]\nuser = {us}\n[worker.b]\ncommand = [\"a\"]\nuser = {other}\n\
         [worker.c]\ncommand = [\"a\"]\nenabled = false\nuser = {other}\n\
         [worker.d]\ncommand = [\"a\"]\ngroup = 4294967\n"
    );
    let refusals = identity::refusals(&scene(&text).loaded.config);
    let texts: Vec<_> = refusals.iter().map(|report| report.text.as_str()).collect();
    let user = format!("`user` is {other}, and quell cannot run a worker as anybody but itself yet");
    assert_eq!(texts, [user.as_str(), "`group` is 4294967, and quell cannot run a worker as anybody but itself yet"]);
}
