//! What would happen: the decisions of `up` on a clock of its own. Nothing is started, nothing is stored, nobody waits.
//!
//! Workers live as the [`script`] says: what comes from outside and when, how long processes run and how they end. What
//! follows from that is decided by the same parts as in a real run: [`supervisor`](crate::supervisor) starts, stops and
//! restarts, [`task::watch`](crate::task::watch) says what starts a worker, [`task::queue`](crate::task::queue) which task
//! goes where, [`task::outcome`](crate::task::outcome) what becomes of it. Only the two ends are others: a [`pile`] for the
//! store, a timer for each process. What happens is told in the words of a real run, so that a recording and what is made of
//! it can be laid side by side.
//!
//! The same script gives the same events, each time.

mod lives;
mod pile;
pub mod recording;
pub mod script;
mod sources;
pub mod summary;
mod tasks;
mod told;
mod world;

use crate::config::load::Config;
use crate::control::event::Event;
use script::Script;
use std::path::Path;
use std::time::Duration;
use summary::Summary;

/// Is told what happens, and how long after the start.
pub type Tell<'a> = dyn FnMut(Duration, &Event) + 'a;

/// How long a simulation goes on behind its last step, where something is always left to be done.
const GOES_ON: Duration = Duration::from_secs(600);

/// Goes through a script with the workers and queues of a configuration; `folder` is what relative paths are relative to.
/// It ends when nothing is left to be done but to wait for schedules, or for something from outside; with `until`, when that
/// much of its time has passed. What happens is told as it does.
pub fn run<'a>(
    config: &'a Config,
    folder: &'a Path,
    script: Script,
    until: Option<Duration>,
    tell: &'a mut Tell<'a>,
) -> Summary {
    world::World::new(config, folder, script, tell).run(until)
}

#[cfg(test)]
mod recorded_tests;
#[cfg(test)]
mod tests;
