//! The start: all that may fail is done here, before any worker is started.

use super::events::Events;
use super::left::{self, Legacy};
use super::planes::Planes;
use super::specs::Sortings;
use super::stores::{HERE, Stores};
use super::sweep::Swept;
use super::tasks::Tasks;
use super::triggers::Watches;
use super::{Configuration, Load, NOTIFY, SERVER, SIGNALS, SPAWNS_A_TURN, THREADS, Up};
use crate::clock::Now;
use crate::config::load::Loaded;
use crate::config::report;
use crate::config::values;
use crate::control::event::{Event as Happening, Kind};
use crate::runtime::activation::{Activation, Listening};
use crate::runtime::launch::Here;
use crate::runtime::leftovers::Leftover;
use crate::runtime::payload::Payloads;
use crate::runtime::register::Register;
use crate::runtime::server::Server;
use crate::runtime::state::{State, StateError};
use crate::runtime::store::{Counts, OpenError, Opened, Store};
use crate::runtime::{leftovers, places, register};
use crate::supervisor::Supervisor;
use crate::sys::fd::Interest;
use crate::sys::notify::Mailbox;
use crate::sys::oom::OomKills;
use crate::sys::poller::{Poller, Waker};
use crate::sys::signal::{Inherited, Signals};
use crate::sys::spawn::Lows;
use crate::sys::{limits, reap, time};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// There is no place for the state directory.
    #[error("there is no place for the state directory: HOME is not set; name one as `state` in [quell]")]
    NoState,
    /// The state directory is another's, or cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A log folder is another's, or cannot be used.
    #[error("cannot log to {}: {error}", .root.display())]
    Logs {
        /// Which.
        root: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The store of tasks cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The configuration asks for what cannot be: its mistakes, as shown to people.
    #[error("the configuration has mistakes")]
    Mistakes(String),
    /// Something else of ours failed.
    #[error("cannot {step}: {error}")]
    Own {
        /// What.
        step: &'static str,
        /// Why.
        error: io::Error,
    },
}

fn step<T>(step: &'static str, result: io::Result<T>) -> Result<T, BeginError> {
    result.map_err(|error| BeginError::Own { step, error })
}

/// Supervises the workers of a configuration until everything is at rest; quell's exit code. Call it from the main thread.
///
/// # Errors
/// Why nothing was started.
pub fn begin<'a>(
    configuration: Configuration,
    load: &'a mut Load<'a>,
    inherited: &'a Inherited,
    signals: &'a mut Signals,
) -> Result<u8, BeginError> {
    let quell = &configuration.loaded.config.quell;
    let state = State::open(&places::state(quell).ok_or(BeginError::NoState)?)?;
    let socket = quell.socket.value.as_ref().map_or_else(|| state.socket(), |path| path.0.clone());
    let before = step("raise the limit of descriptors", limits::raise_descriptors())?;
    let lows = step("open /dev/null", Lows::take())?;
    let listening = listen(&Activation::default(), &configuration).map_err(BeginError::Mistakes)?;
    step("become a subreaper", reap::become_subreaper())?;
    let poller = step("make an event loop", Poller::new())?;
    step("wait for signals", poller.add(&*signals, SIGNALS, Interest::Read))?;
    let planes = Planes::new(step("make an event loop", poller.waker(THREADS))?);
    let mut server = step("listen for clients", Server::bind(&socket))?;
    step("listen for clients", server.register(&poller, SERVER))?;
    let mailbox = step("listen for what workers say", Mailbox::bind(&state.notify_socket()))?;
    step("listen for what workers say", poller.add(&mailbox, NOTIFY, Interest::Read))?;
    let here = Here::new(&state, before);
    let written = register::read(&state);
    let left = leftovers::find(&state, &written);
    let kept = written.into_iter().filter(|record| left.iter().any(|leftover| leftover.life == record.life));
    let register = step("write down which processes are whose", Register::open(&state, kept.collect()))?;
    let now = time::now();
    let tasks = tasks(&configuration, &state, &left, planes.waker(), now)?;
    let mut activation = Activation::default();
    activation.arrange(listening, &configuration.loaded.config, &poller);
    let mut up = Up {
        inherited,
        signals,
        load,
        poller,
        here,
        lows,
        state,
        supervisor: Supervisor::new(quell.stop_timeout.value),
        configuration,
        workers: BTreeMap::new(),
        pids: HashMap::new(),
        mains: HashMap::new(),
        register,
        planes,
        server,
        events: Events::default(),
        closing: HashMap::new(),
        mailbox,
        probing: HashSet::new(),
        pending: Vec::new(),
        effects: VecDeque::new(),
        spawns: VecDeque::new(),
        spawns_left: SPAWNS_A_TURN,
        swept: Swept::default(),
        oom: OomKills::watch(),
        // Not to be taken for a life under an earlier supervisor of this state directory.
        nonce: now.wall.0 as u64,
        start_by: None,
        tasks,
        watches: Watches::default(),
        activation,
        drops: None,
        ended: None,
        since: now,
    };
    up.say(Happening::new(now.wall, Kind::Quell, format!("up, pid {}", std::process::id())));
    up.say_what_was_left(&left, now);
    up.take_in(now)?;
    Ok(up.run())
}

impl Up<'_> {
    /// Takes in all workers; nothing is started yet.
    fn take_in(&mut self, now: Now) -> Result<(), BeginError> {
        let wanted = self.wanted();
        let mut roots: Vec<_> = wanted.iter().map(|wanted| wanted.root.clone()).collect();
        roots.dedup();
        for root in roots {
            self.planes.open(&root).map_err(|error| BeginError::Logs { root, error })?;
        }
        let mut sortings = Sortings::default();
        for wanted in wanted {
            self.add(wanted, &mut sortings, now);
        }
        let mut effects = Vec::new();
        self.supervisor.rewire(now.tick, &mut effects);
        self.effects.extend(effects);
        self.arrange_tasks();
        Ok(())
    }
}

/// Listens on what a configuration names and nobody listens on yet.
///
/// # Errors
/// The mistakes that this shows, as shown to people.
pub(super) fn listen(activation: &Activation, configuration: &Configuration) -> Result<Vec<Listening>, String> {
    let Loaded { config, sources, .. } = &configuration.loaded;
    activation.listen(config, sources).map_err(|reports| report::to_text(sources, &reports, false))
}

/// The store of tasks, where the configuration has queues, with what was under way when the last supervisor ended, which has
/// `left` these processes.
pub(super) fn tasks(
    configuration: &Configuration,
    state: &State,
    left: &[Leftover],
    waker: Arc<Waker>,
    now: Now,
) -> Result<Option<Tasks>, BeginError> {
    if configuration.loaded.config.queues.is_empty() {
        return Ok(None);
    }
    let (told, said) = channel();
    let mut at_work = left::at_work(left);
    let ids: Vec<_> = at_work.iter().map(|at| at.task).collect();
    let (store, Opened { queues, returned, held }) = Store::open(state.path(), &ids, told, waker.clone())?;
    at_work.retain(|at| held.iter().any(|held| held.id == at.task));
    let payloads = step("make the folder of payloads", Payloads::open(state.path(), state.mark()))?;
    let mut tasks = Tasks::new(Stores::new(store, said), payloads);
    open_shared(&mut tasks, configuration, state, waker)?;
    tasks.take_in_queues(configuration);
    let is_stranded = |counts: &Counts| counts.tally.left() > 0 && !tasks.works_on(&counts.queue, HERE);
    let stranded = queues.iter().filter(|counts| is_stranded(counts)).cloned().collect();
    tasks.legacy = Legacy { returned, held, at_work, stranded };
    queues.into_iter().for_each(|counts| tasks.counted(HERE, counts, now));
    Ok(Some(tasks))
}

/// Has the stores looked for that the queues of a configuration share with other supervisors.
pub(super) fn open_shared(
    tasks: &mut Tasks,
    configuration: &Configuration,
    state: &State,
    waker: Arc<Waker>,
) -> Result<(), BeginError> {
    for queue in &configuration.loaded.config.queues {
        // One that is in force stays where it is until the next start.
        let is_new = !tasks.queues.iter().any(|known| *known.name == *queue.name && known.place.is_some());
        if let Some(values::Store::Redis(url)) = is_new.then_some(&queue.keys.store.value) {
            tasks.stores.open(url, state.path(), waker.clone())?;
        }
    }
    Ok(())
}
