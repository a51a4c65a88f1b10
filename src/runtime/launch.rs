//! From a checked configuration to what is spawned. It is made anew for each start: a worker at rest keeps none of it.

pub mod identity;

use super::exec::why_not;
use super::state::State;
use super::{environment, program};
use crate::config::keys::Set;
use crate::config::load::{Config, Named};
use crate::config::source::{Place, Sources};
use crate::config::tables::{Argv, Limits, OnDeath, Protocol, Ready, ReadyWord, Worker};
use crate::config::values::{Address, Limit};
use crate::sys::limits::{self, Ceiling, Resource, UNLIMITED};
use crate::sys::reap::Process;
use crate::sys::signal::{Inherited, Signals};
use crate::sys::spawn::{Ends, Lows, PATH_DEFAULT, Program, SpawnError, Step, spawn_worker};
use crate::task::Task;
use std::ffi::{OsStr, OsString};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

/// Whose process this is: `NAME.NONCE`, of one life of one worker.
pub const WORKER: &str = "QUELL_WORKER";
/// Which state directory its supervisor has.
pub const SUPERVISOR: &str = "QUELL_SUPERVISOR";
/// Where it says that it is ready (sd_notify(3)).
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
/// For a stop or reload command, the process that it is about (systemd.exec(5)).
const MAIN_PID: &str = "MAINPID";
/// The task that a process is for, which try it is, where its payload is.
pub const TASK: &str = "QUELL_TASK";
const ATTEMPT: &str = "QUELL_ATTEMPT";
const PAYLOAD: &str = "QUELL_PAYLOAD";
/// The number of the socket over which a worker that stays is told its tasks.
const TASK_FD: &str = "QUELL_TASK_FD";
/// The trace that the task belongs to (W3C Trace Context).
const TRACE: &str = "TRACEPARENT";
/// For whom the sockets are that it gets, how many they are, and what each is called (sd_listen_fds(3)).
const LISTEN_PID: &str = "LISTEN_PID";
const LISTEN_FDS: &str = "LISTEN_FDS";
const LISTEN_NAMES: &str = "LISTEN_FDNAMES";
/// The number of the first of them, SD_LISTEN_FDS_START.
pub const LISTEN_START: i32 = 3;
const SHELL: &str = "/bin/sh";

/// What all starts have in common.
#[derive(Debug)]
pub struct Here {
    mark: String,
    notify_socket: PathBuf,
    /// Our own variables that may be passed on.
    env: Vec<(OsString, OsString)>,
    /// The limit of descriptors that quell was started with.
    descriptors: Ceiling,
    nice: i32,
    oom_score_adj: i32,
}

impl Here {
    /// Takes our environment and priorities as they are now. `descriptors` is the limit that quell was started with.
    #[must_use]
    pub fn new(state: &State, descriptors: Ceiling) -> Here {
        Here {
            mark: state.mark().to_owned(),
            notify_socket: state.notify_socket(),
            env: environment::ours(),
            descriptors,
            nice: limits::nice(),
            oom_score_adj: limits::oom_score_adj(),
        }
    }
}

/// The folder of the configuration file that something stands in; the names of the sources are relative to `folder`.
#[must_use]
pub fn folder_of(place: Place, sources: &Sources, folder: &Path) -> PathBuf {
    folder.join(&sources.get(place.file).name).parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf)
}

/// Whose process is to be made: one life of one worker.
#[derive(Debug)]
pub struct Subject<'a> {
    /// What the configuration says of the worker.
    pub table: &'a Named<Worker>,
    /// The folder of the file that says it.
    pub folder: PathBuf,
    /// Its number, where there are several.
    pub instance: Option<u32>,
    /// The number of its life.
    pub nonce: u64,
}

/// The task that a process is started for.
#[derive(Clone, Copy, Debug)]
pub struct Errand<'a> {
    /// The task.
    pub task: &'a Task,
    /// The file that holds its payload.
    pub payload: &'a Path,
}

impl Errand<'_> {
    fn variables(&self) -> Vec<(&'static str, OsString)> {
        let Errand { task, payload } = self;
        let trace = task.trace.as_ref().map(|trace| (TRACE, OsString::from(&**trace)));
        let plain = [
            (TASK, task.id.to_string().into()),
            (ATTEMPT, task.attempt.to_string().into()),
            (PAYLOAD, payload.as_os_str().to_owned()),
        ];
        plain.into_iter().chain(trace).collect()
    }
}

/// What is ready to be spawned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// What the process is made of.
    pub program: Program,
    /// The number at which the worker finds the pipe that it is to write a newline to, where it says so that it is ready.
    pub ready_fd: Option<i32>,
    /// The number at which it finds the socket over which it is told its tasks, where it is one that stays.
    pub task_fd: Option<i32>,
}

/// What a process has beside what every process has: each stands at the number that its `Launch` says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Further<'a> {
    /// The sockets that its worker listens on, from `LISTEN_START` on.
    pub sockets: &'a [BorrowedFd<'a>],
    /// The end of the pipe for `ready_fd`.
    pub ready: Option<BorrowedFd<'a>>,
    /// The end of the socket for `task_fd`.
    pub tasks: Option<BorrowedFd<'a>>,
}

/// What a process has as 0, 1 and 2; `/dev/null` for 0 where there is nothing to be read.
#[derive(Clone, Copy, Debug)]
pub struct Standard<'a> {
    /// 0.
    pub stdin: Option<BorrowedFd<'a>>,
    /// 1.
    pub stdout: BorrowedFd<'a>,
    /// 2.
    pub stderr: BorrowedFd<'a>,
}

/// Why a worker was not started, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct LaunchError {
    /// What failed: `Step::Fork` may pass by itself.
    pub error: SpawnError,
    text: String,
}

/// Makes what a worker's process is spawned from; `errand` is the task that it is for.
///
/// # Errors
/// Why it cannot be, in words: its file of variables.
pub fn prepare(
    config: &Config,
    subject: &Subject<'_>,
    here: &Here,
    errand: Option<Errand<'_>>,
) -> Result<Launch, String> {
    let keys = &subject.table.keys;
    let argv: Vec<String> = match (&keys.command.value, &keys.shell.value) {
        (Some(Argv(argv)), _) => argv.iter().map(|word| environment::numbered(&word.0, subject.instance)).collect(),
        (None, Some(shell)) => vec![SHELL.into(), "-c".into(), environment::numbered(&shell.0, subject.instance)],
        (None, None) => return Err("it has no command".into()),
    };
    let notify = matches!(&keys.ready.value, Ready::Word(word) if word.0 == ReadyWord::Notify);
    let socket = notify.then(|| (NOTIFY_SOCKET, here.notify_socket.clone().into_os_string()));
    let listening = sockets(keys);
    let task_fd = (keys.protocol.value.0 == Protocol::Lines).then(|| LISTEN_START + keys.sockets().count() as i32);
    let tasks = task_fd.map(|fd| (TASK_FD, OsString::from(fd.to_string())));
    let further = socket.into_iter().chain(tasks).chain(errand.iter().flat_map(Errand::variables));
    let pid_variable = (!listening.is_empty()).then_some(LISTEN_PID);
    let program = made(config, subject, here, argv, further.chain(listening).collect())?;
    // Nobody hears what one says that is told its tasks, and who has the next may be given the same.
    let dies_with_us = program.dies_with_us || task_fd.is_some();
    let program = Program { pid_variable, dies_with_us, ..program };
    let ready_fd = match &keys.ready.value {
        Ready::By(item) => item.0.fd.value.and_then(|fd| i32::try_from(fd.0).ok()),
        Ready::Word(_) => None,
    };
    Ok(Launch { program, ready_fd, task_fd })
}

/// What a worker is told of the sockets that it gets; nothing where it gets none.
fn sockets(keys: &Worker) -> Vec<(&'static str, OsString)> {
    let names: Vec<_> = keys.sockets().map(|(address, _)| name_of(address)).collect();
    match names.len() {
        0 => Vec::new(),
        count => vec![(LISTEN_FDS, count.to_string().into()), (LISTEN_NAMES, names.join(":").into())],
    }
}

/// What a socket is called: its port, or the name of its file, in characters that such a name can have.
fn name_of(address: &Address) -> String {
    match address {
        Address::Tcp(_, port) => port.to_string(),
        Address::Unix(path) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.chars().map(|c| if c.is_ascii_graphic() && c != ':' { c } else { '_' }).collect()
        }
    }
}

/// Makes what a worker's stop or reload command is spawned from: all is as for the worker itself, and `MAINPID` is the
/// number of its process.
///
/// # Errors
/// As `prepare`.
pub fn prepare_command(
    config: &Config,
    subject: &Subject<'_>,
    here: &Here,
    command: &Argv,
    main: i32,
) -> Result<Launch, String> {
    let argv = command.0.iter().map(|word| environment::numbered(&word.0, subject.instance)).collect();
    let main = (MAIN_PID, OsString::from(main.to_string()));
    let program = made(config, subject, here, argv, vec![main])?;
    Ok(Launch { program, ready_fd: None, task_fd: None })
}

fn made(
    config: &Config,
    subject: &Subject<'_>,
    here: &Here,
    argv: Vec<String>,
    further: Vec<(&str, OsString)>,
) -> Result<Program, String> {
    let Subject { table, folder, instance, nonce } = subject;
    let keys = &table.keys;
    let name = instance.map_or_else(|| table.name.clone(), |number| format!("{}.{number}", table.name));
    let ours = [(WORKER, format!("{name}.{nonce}").into()), (SUPERVISOR, here.mark.clone().into())];
    let ours: Vec<(&str, OsString)> = ours.into_iter().chain(further).collect();
    let mut variables = environment::of(keys, *instance, &here.env)?;
    // Whose the sockets are is for quell to say, and is said when that has a number.
    let removed = ours.iter().map(|(name, _)| *name).chain([LISTEN_PID]);
    removed.for_each(|name| drop(variables.remove(OsStr::new(name))));
    let path = variables.get(OsStr::new("PATH")).map_or(OsStr::new(PATH_DEFAULT), OsString::as_os_str);
    // What a relative name is relative to: the folder that the worker is told to run in, else that of the file.
    let base = keys.cwd.place.map_or(folder.as_path(), |_| keys.cwd.value.0.as_path());
    let files = program::files(&argv[0], base, path);
    let ours = ours.iter().map(|(name, value)| (OsStr::new(name), value.as_os_str()));
    // Ours come first, so that they are soon found.
    let env = ours.chain(variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str())));
    let spared = |own: i32| (own < 0).then_some(0);
    Ok(Program {
        files,
        argv: argv.into_iter().map(OsString::from).collect(),
        env: env.map(|(name, value)| variable(name, value)).collect(),
        pid_variable: None,
        cwd: keys.cwd.value.0.clone(),
        umask: keys.umask.value.0,
        limits: limits_of(&keys.limits, here.descriptors),
        // What is not asked for is not tried: to have a larger share than ours takes a privilege. But what spares us is for
        // us alone.
        nice: if keys.nice.place.is_some() { Some(keys.nice.value.0 as i32) } else { spared(here.nice) },
        oom_score_adj: match keys.oom_score_adj.place {
            Some(_) => Some(keys.oom_score_adj.value.0 as i32),
            None => spared(here.oom_score_adj),
        },
        no_new_privs: keys.no_new_privs.value.unwrap_or(keys.user.value.is_some()),
        dies_with_us: config.quell.on_supervisor_death.value.0 == OnDeath::Kill,
    })
}

/// The limits that a worker asks for, and the one that quell has changed for itself.
fn limits_of(limits: &Limits, descriptors: Ceiling) -> Vec<(Resource, Ceiling)> {
    let asked = [
        (Resource::AddressSpace, &limits.r#as),
        (Resource::Core, &limits.core),
        (Resource::Cpu, &limits.cpu),
        (Resource::Data, &limits.data),
        (Resource::FileSize, &limits.fsize),
        (Resource::LockedMemory, &limits.memlock),
        (Resource::Descriptors, &limits.nofile),
        (Resource::Processes, &limits.nproc),
        (Resource::Stack, &limits.stack),
    ];
    let ceiling = |limit: Limit| match limit {
        Limit::Unlimited => Ceiling::fixed(UNLIMITED),
        Limit::At(value) => Ceiling::fixed(value),
    };
    let given = |(resource, limit): (Resource, &Set<Option<Limit>>)| {
        let own = (resource == Resource::Descriptors).then_some(descriptors);
        Some((resource, limit.value.map(ceiling).or(own)?))
    };
    asked.into_iter().filter_map(given).collect()
}

fn variable(name: &OsStr, value: &OsStr) -> OsString {
    let mut whole = OsString::with_capacity(name.len() + 1 + value.len());
    whole.extend([name, OsStr::new("="), value]);
    whole
}

impl LaunchError {
    /// The code by which a shell would say that there is no such program, that it cannot be executed, or that something
    /// else went wrong.
    #[must_use]
    pub fn shell_code(&self) -> u8 {
        match (self.error.step, self.error.errno) {
            (Step::Exec, nix::errno::Errno::ENOENT) => 127,
            (Step::Exec, _) => 126,
            _ => 125,
        }
    }
}

impl Launch {
    /// Starts it. Call it from the main thread only. Returns when the exec has happened.
    ///
    /// # Errors
    /// What failed, in words.
    pub fn spawn(
        &self,
        Standard { stdin, stdout, stderr }: Standard<'_>,
        further: Further<'_>,
        inherited: &Inherited,
        signals: &Signals,
        lows: Option<&Lows>,
    ) -> Result<Process, LaunchError> {
        let behind = [self.task_fd.zip(further.tasks), self.ready_fd.zip(further.ready)];
        let sockets = (LISTEN_START..).zip(further.sockets.iter().copied());
        let further: Vec<_> = sockets.chain(behind.into_iter().flatten()).collect();
        let ends = Ends { stdin, stdout, stderr, further: &further };
        spawn_worker(&self.program, &ends, inherited, signals, lows)
            .map_err(|error| LaunchError { error, text: self.explain(error) })
    }

    fn explain(&self, error: SpawnError) -> String {
        let Program { files, argv, cwd, limits, nice, oom_score_adj, .. } = &self.program;
        let number = |number: &Option<i32>| number.unwrap_or_default();
        let why = error.errno.desc();
        match error.step {
            Step::Exec => {
                let by_path = argv[0].as_encoded_bytes().contains(&b'/');
                let program = files.first().filter(|_| by_path).map_or(Path::new(&argv[0]), PathBuf::as_path);
                format!("cannot execute {}: {}", program.display(), why_not(program, error.errno))
            }
            Step::Directory => format!("cannot change to {}: {why}", cwd.display()),
            Step::Limit(resource) => {
                let limit = limits.iter().find(|(limited, _)| *limited == resource).map_or(0, |(_, to)| to.hard);
                let limit = if limit == UNLIMITED { "unlimited".into() } else { limit.to_string() };
                format!("cannot set its limit `{}` to {limit}: {why}", resource.name())
            }
            Step::Nice => format!("cannot set its `nice` to {}: {why}", number(nice)),
            Step::OomScore => format!("cannot set its `oom_score_adj` to {}: {why}", number(oom_score_adj)),
            _ => error.to_string(),
        }
    }
}

#[cfg(test)]
#[path = "launch_tests.rs"]
mod tests;
