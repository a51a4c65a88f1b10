//! Standard input through the output path: the loop of `filter` and `log`, in one thread.
//!
//! It sleeps in poll(2), on the input and the signals, and on the outlet while that takes no more. Standard input keeps
//! its flags, so it is read once for each time that it is ready; a regular file always is.

use super::directory::Directory;
use super::keeper::Keepers;
use super::output::{Brought, Output};
use super::pace::{Advice, LATENCY, PIPE_BYTES_BUSY, Pace};
use super::pass::Pass;
use super::sorting::Sorting;
use super::workspace::Workspace;
use crate::clock::{Now, Tick, earliest};
use crate::log::ledger::Ledger;
use crate::sys::fd::{self, Interest, Outlet};
use crate::sys::signal::{Number, Received, Signals};
use crate::sys::{memory, time};
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// How long after TERM the input is read on, as long as there is something in it.
const DRAIN: Duration = Duration::from_secs(1);

/// Why the loop ended.
#[derive(Debug)]
pub enum Ended {
    /// The input ended.
    Input,
    /// Whoever read our output has gone.
    Closed,
    /// This signal said so.
    Signal(Number),
    /// Reading or writing failed.
    Failed(io::Error),
}

/// How long the input may be silent after the interrupt key. Whoever writes to us got it too, and what that has left to
/// say is still wanted.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A signal said to leave.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    number: Number,
    /// By when; moved on by each chunk where last words are waited for.
    by: Tick,
    last_words: bool,
}

/// Reads standard input to its end. `keepers` keep the log that the output has, if any; `reload` makes new rules, and what
/// it says on failure it has said itself.
///
/// # Errors
/// As poll(2).
pub fn run<D: Directory>(
    mut output: Output<D>,
    keepers: Keepers<D>,
    signals: &mut Signals,
    mut reload: impl FnMut() -> Option<Sorting>,
) -> io::Result<(Ended, Ledger)> {
    make_ready(&output);
    let mut room = Workspace::default();
    let input = output.begin(&mut room, 0, 0);
    // What is passed on is passed on at once.
    let pipe_bytes = fd::pipe_bytes(fd::stdin()).filter(|_| output.log().is_some());
    let mut pace = pipe_bytes.map(|bytes| Pace::new(bytes, LATENCY));
    let (mut at_end, mut leaving, mut rest): (_, Option<Leaving>, Option<Tick>) = (false, None, None);
    let ended = loop {
        let now = time::now();
        let stalled = output.is_held_up();
        if at_end && !stalled {
            break leaving.map_or(Ended::Input, |l| Ended::Signal(l.number));
        }
        // Nothing is waited for after TERM, but what is in the pipe is read.
        rest = rest.filter(|rest| *rest > now.tick && leaving.is_none());
        let at_once = leaving.filter(|leaving| !leaving.last_words && !stalled).map(|_| now.tick);
        let deadline = earliest([at_once, output.deadline(now), leaving.map(|l| l.by), rest.filter(|_| !stalled)]);
        let outlet = output.pass(0).and_then(Pass::waits_for).map(|o| (Outlet::as_fd(o), Interest::Write));
        let stdin = (!stalled && !at_end && rest.is_none()).then(|| (fd::stdin(), Interest::Read));
        let fds = [Some((signals.as_fd(), Interest::Read)), outlet, stdin];
        let [signal, writable, readable] = fd::wait(fds, deadline.map(|at| at.until(now.tick)))?;
        let now = time::now();
        if signal {
            for received in signals.received() {
                leaving = act(received, leaving, &mut output, &mut reload, now);
            }
        }
        if writable {
            output.flush(&mut room, now);
        }
        output.due(&mut room, now);
        if readable && !output.is_held_up() {
            match output.read(&mut room, input, fd::stdin(), now) {
                Ok(Brought::Bytes(bytes)) => {
                    if let Some(leaving) = leaving.as_mut().filter(|l| l.last_words) {
                        leaving.by = now.tick.after(LAST_WORDS);
                    }
                    rest = pace.as_mut().and_then(|pace| rest_after(pace, bytes, now));
                }
                Ok(Brought::Nothing) => {}
                Ok(Brought::End) => {
                    at_end = true;
                    output.end(&mut room, input, now);
                }
                Err(e) => break Ended::Failed(e),
            }
        }
        if output.is_closed(0) {
            break output.take_failure().map_or(Ended::Closed, Ended::Failed);
        }
        if let Some(Leaving { number, by, last_words }) = leaving
            && ((!last_words && !readable && !stalled) || by <= now.tick)
        {
            say_unread();
            break Ended::Signal(number);
        }
    };
    let failure = output.take_failure();
    let ledger = output.finish(&mut room, time::now(), Box::new(|| ()));
    keepers.stop();
    Ok((failure.map_or(ended, Ended::Failed), ledger))
}

/// Compiles the rules. From then on little of the program is needed: what the start took, and what this takes, is not to
/// stand under the buffers' peak.
fn make_ready<D: Directory>(output: &Output<D>) {
    memory::release_start_pages();
    output.compile();
    memory::release_start_pages();
}

/// Until when to leave the input alone after a read.
fn rest_after(pace: &mut Pace, bytes: usize, now: Now) -> Option<Tick> {
    match pace.read(bytes, now.tick) {
        Advice::Rest(until) => Some(until),
        Advice::Widen => {
            pace.widened(fd::resize_pipe(fd::stdin(), PIPE_BYTES_BUSY).unwrap_or(0));
            None
        }
        Advice::ReadOn => None,
    }
}

/// What nobody will read now stays with whoever wrote it, but not unsaid.
fn say_unread() {
    match fd::unread(fd::stdin()) {
        Ok(0) | Err(_) => {}
        Ok(bytes) => tracing::warn!("{bytes} bytes of the input were left unread"),
    }
}

/// Does what a signal asks for, and says whether it is time to leave.
fn act<D: Directory>(
    Received { number, from_kernel }: Received,
    leaving: Option<Leaving>,
    output: &mut Output<D>,
    reload: &mut impl FnMut() -> Option<Sorting>,
    now: Now,
) -> Option<Leaving> {
    match number {
        libc::SIGALRM => output.rotate(now),
        libc::SIGUSR1 => output.reopen(now),
        libc::SIGHUP => {
            if let Some(sorting) = reload() {
                output.reload(sorting);
            }
        }
        _ if leaving.is_some() => return Some(Leaving { number, by: now.tick, last_words: false }),
        libc::SIGINT if from_kernel => {
            return Some(Leaving { number, by: now.tick.after(LAST_WORDS), last_words: true });
        }
        _ => return Some(Leaving { number, by: now.tick.after(DRAIN), last_words: false }),
    }
    leaving
}
