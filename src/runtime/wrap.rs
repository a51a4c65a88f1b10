//! The control plane of `run`: one command, from its start to the end of its output.
//!
//! It sleeps until the command ends, a signal comes or a deadline passes; what that means is decided by
//! `worker::wrapped`.

use super::directory::OnDisk;
use super::keeper::Keepers;
use super::output::Output;
use super::plane::{FromPlane, Opened, Plane, ToPlane, WorkerId};
use crate::clock::Tick;
use crate::log::ledger::Ledger;
use crate::sys::fd::{self, Interest};
use crate::sys::poller::Poller;
use crate::sys::reap::{self, Adopted, Exit, Process};
use crate::sys::signal::{self, Inherited, Signals};
use crate::sys::spawn::{SpawnError, spawn};
use crate::sys::{proc, time};
use crate::worker::outcome::Outcome;
use crate::worker::wrapped::{Effect, Event, Policy, State, Wrapped};
use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const SIGNALS: usize = 0;
const EXIT: usize = 1;
const PLANE: usize = 2;

/// The one worker of the plane.
const COMMAND: WorkerId = WorkerId(0);
/// Its one life.
const LIFE: u32 = 1;

/// What to run, and how.
#[derive(Debug)]
pub struct Command {
    /// The program and its arguments, as they are.
    pub argv: Vec<OsString>,
    /// What `run` was asked for.
    pub policy: Policy,
    /// How long a pipe that is held open after the command's end may be silent.
    pub drain: Duration,
    /// Write a line into the log at start and at end.
    pub marks: bool,
    /// The command's name in messages and marks.
    pub label: String,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// How the command did.
    pub outcome: Outcome,
    /// What became of its output.
    pub ledger: Ledger,
    /// Output could not be passed on, though its reader had not left.
    pub failed: bool,
}

/// Why the command was not run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum WrapError {
    /// It could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// Something of ours failed.
    #[error("{step}: {error}")]
    Own {
        /// What.
        step: &'static str,
        /// Why.
        error: io::Error,
    },
}

/// Names the step at which a call of ours failed.
fn step<T>(step: &'static str, result: io::Result<T>) -> Result<T, WrapError> {
    result.map_err(|error| WrapError::Own { step, error })
}

/// Runs a command to its end: how it ended, and what became of its output. `keepers` keep the log that the output has, if
/// any. Call it from the main thread.
///
/// # Errors
/// When it cannot be started, or quell cannot go on.
pub fn run(
    command: &Command,
    output: Output<OnDisk>,
    keepers: Keepers<OnDisk>,
    inherited: &Inherited,
    signals: &mut Signals,
) -> Result<Ended, WrapError> {
    if command.policy.kill_descendants {
        step("cannot become a subreaper", reap::become_subreaper())?;
    }
    let mut poller = step("cannot make an event loop", Poller::new())?;
    // Kept until the end: an event of a descriptor that is closed before epoll_wait has told it is lost.
    let waker = Arc::new(step("cannot make an event loop", poller.waker(PLANE))?);
    let (stdout, stdout_end) = step("cannot make a pipe", fd::pipe())?;
    let (stderr, stderr_end) = step("cannot make a pipe", fd::pipe())?;
    let (told, news) = channel();
    let opened = vec![Opened { worker: COMMAND, label: "the command".into(), output }];
    let plane = step("cannot start the output plane", Plane::start(None, opened, keepers, told, waker.clone()))?;
    step("cannot wait for signals", poller.add(&*signals, SIGNALS, Interest::Read))?;
    // What we had before the command is not below it.
    let strangers: HashSet<i32> = match command.policy.kill_descendants {
        true => proc::children(std::process::id() as i32).iter().map(|child| child.pid).collect(),
        false => HashSet::new(),
    };
    let started = time::now();
    let ran = spawn(&command.argv, stdout_end.as_fd(), stderr_end.as_fd(), inherited, signals)
        .map_err(WrapError::from)
        .and_then(|process| {
            drop((stdout_end, stderr_end));
            let mark = command.marks.then(|| format!("started pid {} ({})", process.pid(), command.label));
            plane.send(ToPlane::Begin { worker: COMMAND, life: LIFE, tag: None, stdout, stderr, mark });
            step("cannot wait for the command", poller.add(&process, EXIT, Interest::Read))?;
            let control = Control {
                command,
                process: Some(process),
                pid: 0,
                ended_at: started.tick,
                plane: &plane,
                life: Wrapped::new(command.policy),
                strangers,
                swept: HashSet::new(),
                sweep: None,
            };
            control.run(&mut poller, signals, &news)
        });
    if let Ok((outcome, ended)) = &ran {
        let outcome = outcome.describe(signal::name, ended.until(started.tick));
        tracing::debug!("{}: {outcome}", command.label);
        let mark = command.marks.then(|| format!("{outcome} ({})", command.label));
        plane.send(ToPlane::Detach(COMMAND, mark));
    }
    plane.send(ToPlane::Finish);
    plane.join();
    drop(waker);
    let (outcome, _) = ran?;
    let detached = news.try_iter().find_map(|news| match news {
        FromPlane::Detached { ledger, failed, .. } => Some((*ledger, failed)),
        _ => None,
    });
    let (ledger, failed) = step("the output plane", detached.ok_or_else(|| io::Error::other("it panicked")))?;
    Ok(Ended { outcome, ledger, failed })
}

struct Control<'a> {
    command: &'a Command,
    /// None once it is reaped.
    process: Option<Process>,
    pid: i32,
    ended_at: Tick,
    plane: &'a Plane,
    life: Wrapped,
    /// The signal that descendants get, and who has had it.
    sweep: Option<i32>,
    /// Children that are none of the command's.
    strangers: HashSet<i32>,
    swept: HashSet<i32>,
}

impl Control<'_> {
    fn run(
        mut self,
        poller: &mut Poller,
        signals: &mut Signals,
        news: &Receiver<FromPlane>,
    ) -> Result<(Outcome, Tick), WrapError> {
        self.pid = self.process.as_ref().map_or(0, Process::pid);
        loop {
            if let State::Done(outcome) = self.life.state {
                return Ok((outcome, self.ended_at));
            }
            let now = time::now().tick;
            let timeout = self.life.deadline.map(|at| at.until(now));
            let (mut exit, mut signalled) = (false, false);
            for token in step("cannot wait for events", poller.wait(timeout))? {
                exit |= token == EXIT;
                signalled |= token == SIGNALS;
            }
            let now = time::now().tick;
            // Exits first: no signal is ever sent to a process that is gone.
            if exit {
                self.reap(poller, now)?;
            }
            let received: Vec<_> = if signalled { signals.received().collect() } else { Vec::new() };
            if received.iter().any(|r| r.number == libc::SIGCHLD) {
                self.reap_adopted(now)?;
            }
            for signal::Received { number, from_kernel } in received {
                if number != libc::SIGCHLD {
                    self.step(Event::Signal { number, from_terminal: from_kernel }, now);
                }
            }
            // Looked at whenever something has come, SIGCHLD for the stop included: it may stand before the key's signal.
            if self.life.asked_to_stop() && self.is_stopped() {
                self.step(Event::Stopped, now);
            }
            if news.try_iter().any(|news| matches!(news, FromPlane::OutputEnded { .. } | FromPlane::Ended)) {
                self.step(Event::OutputEnded, now);
            }
            if self.life.deadline.is_some_and(|at| at <= now) {
                self.step(Event::Deadline, now);
            }
        }
    }

    fn reap(&mut self, poller: &Poller, now: Tick) -> Result<(), WrapError> {
        let Some(process) = &self.process else { return Ok(()) };
        let Some(exit) = step("cannot wait for the command", process.reap())? else { return Ok(()) };
        step("cannot let go of the command", poller.remove(process))?;
        self.process = None;
        self.ended_at = now;
        let outcome = match exit {
            Exit::Code(code) => Outcome::Exited(code),
            Exit::Signal { number, core } => Outcome::Signalled { number, core },
        };
        self.step(Event::Exit(outcome), now);
        self.reap_adopted(now)
    }

    /// Reaps what was handed to us, and goes on with the sweep.
    fn reap_adopted(&mut self, now: Tick) -> Result<(), WrapError> {
        let is_known = |pid| self.process.is_some() && pid == self.pid;
        while let Adopted::Reaped(_) = step("cannot reap", reap::reap_adopted(is_known))? {}
        self.sweep_on(now);
        Ok(())
    }

    /// Signals the descendants that have not had the signal yet. Whoever dies hands its children to us, so in the end
    /// all of them come by.
    fn sweep_on(&mut self, now: Tick) {
        let Some(number) = self.sweep.filter(|_| matches!(self.life.state, State::Sweeping(_))) else { return };
        let ourselves = std::process::id() as i32;
        let mut children = proc::children(ourselves);
        children.retain(|child| !self.strangers.contains(&child.pid));
        for child in &children {
            if self.swept.insert(child.pid) {
                tracing::info!("{} outlives the command: sending {}", child, signal::name(number));
                if let Err(e) = Process::open(child.pid).and_then(|child| child.signal(number)) {
                    tracing::warn!("cannot signal {child}: {e}");
                }
            }
        }
        if children.is_empty() {
            self.step(Event::NoneLeft, now);
        }
    }

    fn step(&mut self, event: Event, now: Tick) {
        let mut effects = Vec::new();
        self.life.step(event, now, &mut effects);
        for effect in effects {
            match effect {
                Effect::Forward(number) => self.forward(number),
                Effect::Continue => {
                    if self.is_stopped() {
                        self.forward(libc::SIGCONT);
                    }
                }
                Effect::StopSelf => signal::stop_self(),
                Effect::Rotate => self.plane.send(ToPlane::Rotate(COMMAND)),
                Effect::Sweep(number) => {
                    self.sweep = Some(number);
                    self.swept.clear();
                    self.sweep_on(now);
                }
                Effect::Drain => {
                    self.plane.send(ToPlane::Drain {
                        worker: COMMAND,
                        life: LIFE,
                        window: self.command.drain,
                        mark: None,
                    });
                }
                Effect::Release => self.plane.send(ToPlane::Release(COMMAND)),
            }
        }
    }

    fn is_stopped(&self) -> bool {
        // waitid(2) of a child that is ours cannot fail.
        self.process.as_ref().is_some_and(|process| process.is_stopped().unwrap_or(false))
    }

    fn forward(&self, number: i32) {
        if let Some(Err(e)) = self.process.as_ref().map(|process| process.signal(number)) {
            tracing::warn!("cannot pass {} on to {}: {e}", signal::name(number), self.command.label);
        }
    }
}
