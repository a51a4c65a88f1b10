//! The output planes: one to a log folder, so that a disk that hangs holds up those that log to it and nobody else.

use super::{Up, Worker};
use crate::clock::{Now, Tick};
use crate::control::event::{Event as Happening, Kind};
use crate::runtime::directory::{OnDisk, Owning};
use crate::runtime::keeper::Keepers;
use crate::runtime::plane::{FromPlane, Plane, Spec, ToPlane};
use crate::runtime::tag::Tag;
use crate::supervisor::Event;
use crate::sys::poller::Waker;
use crate::worker::WorkerId;
use crate::worker::lifecycle::{self, Want};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// How long a pipe that outlives its worker may be silent before it is let go.
const DRAIN: Duration = Duration::from_secs(1);
/// How many questions a plane may leave unanswered before it is asked no more.
const UNANSWERED_MAX: usize = 8;
/// Of so many lives of a worker the output may wait to be written before no other begins: each holds two pipes, and a disk
/// may hang for longer than there are descriptors for.
const UNDRAINED_MAX: u32 = 4;
/// How long the end of quell waits for the logs to be finished: longer than their keepers wait for the disk.
const FINISH_WAIT: Duration = Duration::from_secs(15);

/// The planes, and where each worker's lines go.
#[derive(Debug)]
pub(super) struct Planes {
    planes: Vec<(PathBuf, Plane)>,
    /// How many of them have not ended.
    running: usize,
    /// Until when the end of all is waited for, once they were told to finish.
    finish_by: Option<Tick>,
    of: HashMap<WorkerId, Lane>,
    /// Whose each life is that a log was told of and that is still read.
    lives: HashMap<(WorkerId, u32), WorkerId>,
    /// How many lives each log was told of.
    begun: HashMap<WorkerId, u32>,
    /// Questions that were not answered yet, and which plane has each.
    asked: HashMap<u64, usize>,
    tickets: u64,
    said: Receiver<FromPlane>,
    tell: Sender<FromPlane>,
    waker: Arc<Waker>,
}

/// Where the lines of a worker go: the slots of one worker share a log, which has the number of the first of them.
#[derive(Clone, Copy, Debug)]
struct Lane {
    plane: usize,
    log: WorkerId,
}

/// The ends of a life's pipes that are read.
pub(super) struct Pipes {
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Planes {
    pub(super) fn new(waker: Waker) -> Planes {
        let (tell, said) = channel();
        Planes {
            planes: Vec::new(),
            running: 0,
            finish_by: None,
            of: HashMap::new(),
            lives: HashMap::new(),
            begun: HashMap::new(),
            asked: HashMap::new(),
            tickets: 0,
            said,
            tell,
            waker: Arc::new(waker),
        }
    }

    /// What wakes the control plane, for other threads too: it has one.
    pub(super) fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// The plane of a log folder, started where there is none yet.
    pub(super) fn open(&mut self, root: &Path) -> io::Result<usize> {
        if let Some(at) = self.planes.iter().position(|(known, _)| known == root) {
            return Ok(at);
        }
        let dir = match OnDisk::own(root)? {
            Owning::Ours(dir) => Arc::new(dir),
            Owning::Taken(holder) => {
                return Err(io::Error::other(format!("it is being written by {holder}; two writers would lose lines")));
            }
        };
        let plane = Plane::start(Some(dir), Vec::new(), Keepers::new(), self.tell.clone(), self.waker.clone())?;
        self.planes.push((root.to_owned(), plane));
        self.running += 1;
        Ok(self.planes.len() - 1)
    }

    /// A worker's lines go there from now on.
    pub(super) fn attach(&mut self, plane: usize, id: WorkerId, spec: Spec) {
        self.of.insert(id, Lane { plane, log: id });
        self.planes[plane].1.send(ToPlane::Attach(id, Box::new(spec)));
    }

    /// A worker's lines go where another's go.
    pub(super) fn share(&mut self, with: WorkerId, id: WorkerId) {
        if let Some(lane) = self.of.get(&with).copied() {
            self.of.insert(id, lane);
        }
    }

    pub(super) fn root(&self, id: WorkerId) -> Option<&Path> {
        self.of.get(&id).map(|lane| self.planes[lane.plane].0.as_path())
    }

    /// Under which number the log of a worker is known.
    pub(super) fn log(&self, id: WorkerId) -> Option<WorkerId> {
        self.of.get(&id).map(|lane| lane.log)
    }

    /// Says something to the plane of a worker, about its log.
    pub(super) fn send(&self, id: WorkerId, message: impl FnOnce(WorkerId) -> ToPlane) {
        if let Some(lane) = self.of.get(&id) {
            self.planes[lane.plane].1.send(message(lane.log));
        }
    }

    /// A life of a worker begins: its number.
    pub(super) fn begin(&mut self, id: WorkerId, tag: Option<Arc<Tag>>, pipes: Pipes, mark: Option<String>) -> u32 {
        let Some(Lane { log, .. }) = self.of.get(&id).copied() else { return 0 };
        let begun = self.begun.entry(log).or_default();
        *begun += 1;
        let life = *begun;
        self.lives.insert((log, life), id);
        let Pipes { stdout, stderr } = pipes;
        self.send(id, |worker| ToPlane::Begin { worker, life, tag, stdout, stderr, mark });
        life
    }

    /// The process of a life has ended. Where its output has, too, and nothing is to be written behind it, that is all.
    pub(super) fn drain(&self, id: WorkerId, life: u32, mark: Option<String>) {
        let log = self.log(id).unwrap_or(id);
        if mark.is_none() && !self.lives.contains_key(&(log, life)) {
            return;
        }
        self.send(id, |worker| ToPlane::Drain { worker, life, window: DRAIN, mark });
    }

    /// A worker's lines go nowhere any more. Its log is finished when nobody else's go there.
    pub(super) fn detach(&mut self, id: WorkerId) {
        let Some(Lane { plane, log }) = self.of.remove(&id) else { return };
        if !self.of.values().any(|lane| lane.log == log) {
            self.planes[plane].1.send(ToPlane::Detach(log, None));
            self.lives.retain(|(known, _), _| *known != log);
            self.begun.remove(&log);
        }
    }

    /// All logs, each once, and the plane of each.
    fn logs<'a>(&'a self, ids: impl Iterator<Item = &'a WorkerId>) -> BTreeMap<WorkerId, usize> {
        ids.filter_map(|id| self.of.get(id)).map(|lane| (lane.log, lane.plane)).collect()
    }

    fn send_all<'a>(&'a self, ids: impl Iterator<Item = &'a WorkerId>, message: impl Fn(WorkerId) -> ToPlane) {
        self.logs(ids).into_iter().for_each(|(log, plane)| self.planes[plane].1.send(message(log)));
    }

    pub(super) fn rotate_all<'a>(&'a self, ids: impl Iterator<Item = &'a WorkerId>) {
        self.send_all(ids, ToPlane::Rotate);
    }

    pub(super) fn reopen_all<'a>(&'a self, ids: impl Iterator<Item = &'a WorkerId>) {
        self.send_all(ids, ToPlane::Reopen);
    }

    /// Asks for pictures: the questions that will be answered. A plane that a disk holds up is not asked for ever more.
    pub(super) fn ask(&mut self, ids: &[WorkerId]) -> Vec<u64> {
        let mut by_plane: HashMap<usize, Vec<WorkerId>> = HashMap::new();
        for (log, plane) in self.logs(ids.iter()) {
            by_plane.entry(plane).or_default().push(log);
        }
        by_plane.retain(|plane, _| self.asked.values().filter(|asked| *asked == plane).count() < UNANSWERED_MAX);
        let mut tickets = Vec::new();
        for (at, ids) in by_plane {
            self.tickets += 1;
            self.asked.insert(self.tickets, at);
            tickets.push(self.tickets);
            self.planes[at].1.send(ToPlane::Snapshot(self.tickets, ids));
        }
        tickets
    }

    /// A question was answered.
    fn answered(&mut self, ticket: u64) {
        self.asked.remove(&ticket);
    }

    /// The next thing that one of them said.
    pub(super) fn said(&self) -> Option<FromPlane> {
        self.said.try_recv().ok()
    }

    /// Has all logs finished. It is over when `are_over` says so.
    pub(super) fn finish(&mut self, now: Tick) {
        self.planes.iter().for_each(|(_, plane)| plane.send(ToPlane::Finish));
        self.finish_by = Some(now.after(FINISH_WAIT));
    }

    /// Whether all have ended, or are not waited for any more.
    pub(super) fn are_over(&self, now: Tick) -> bool {
        self.running == 0 || self.finish_by.is_some_and(|by| by <= now)
    }

    /// When they are not waited for any more.
    pub(super) fn deadline(&self) -> Option<Tick> {
        self.finish_by
    }

    /// Lets go of those that have ended; false where a disk has not let all of them. What is still in a write(2) ends with us.
    pub(super) fn join(&mut self) -> bool {
        if self.running == 0 {
            self.planes.drain(..).for_each(|(_, plane)| plane.join());
        }
        self.running == 0
    }
}

impl Up<'_> {
    /// Takes what the planes have said.
    pub(super) fn planes_said(&mut self, now: Now) {
        while let Some(said) = self.planes.said() {
            match said {
                FromPlane::Ready { worker: log, life } => {
                    // A life that is over says nothing for the next, which may be about to begin.
                    let speaks = |known: &Worker| known.life == life && known.process.is_some();
                    let id = self.planes.lives.get(&(log, life)).copied();
                    if let Some(id) = id.filter(|id| self.workers.get(id).is_some_and(speaks)) {
                        self.step(Event::Life(id, lifecycle::Event::Ready), now);
                    }
                }
                FromPlane::Emptied { worker: log, life } => {
                    if let Some(id) = self.planes.lives.get(&(log, life)).copied() {
                        self.emptied(id, life, now);
                    }
                }
                FromPlane::OutputEnded { worker: log, life, holders, last_line } => {
                    let Some(worker) = self.planes.lives.remove(&(log, life)) else { continue };
                    self.output_ended(worker, life, last_line, now);
                    if holders.is_empty() {
                        continue;
                    }
                    let holders: Vec<_> = holders.iter().map(ToString::to_string).collect();
                    let text = format!("its output is still held open by {}; no longer reading it", holders.join(", "));
                    let name = self.name(worker);
                    // The plane has said it on stderr, as it has its trouble.
                    self.note(Happening::new(now.wall, Kind::Warning, text).of(name));
                }
                FromPlane::Spotted(watchwords) => self.spotted(&watchwords, now),
                FromPlane::LogTrouble { worker, text } => {
                    let name = self.name(worker);
                    self.note(Happening::new(now.wall, Kind::LogTrouble, text).of(name));
                }
                FromPlane::Snapshot { ticket, workers } => {
                    for (id, snapshot) in workers {
                        if let Some(worker) = self.workers.get_mut(&id) {
                            worker.snapshot = Some(Box::new((now.tick, snapshot)));
                        }
                    }
                    self.planes.answered(ticket);
                    self.pictured(ticket);
                }
                FromPlane::Ended => self.plane_ended(now),
                FromPlane::Detached { worker, .. } => drop(self.closing.remove(&worker)),
            }
        }
    }

    /// A plane has ended: as it was told, or nobody reads any more what its workers print.
    fn plane_ended(&mut self, now: Now) {
        self.planes.running -= 1;
        if self.planes.finish_by.is_none() {
            let text = "an output plane has ended, and nobody reads what its workers print: going down";
            self.say(Happening::new(now.wall, Kind::Warning, text));
            self.step(Event::Shutdown, now);
        }
    }

    /// All that a life has printed is dealt with, and its last line is known, before or after its end.
    fn output_ended(&mut self, id: WorkerId, life: u32, line: Option<String>, now: Now) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.undrained -= 1;
        // Nothing more of it can be asked for.
        self.emptied(id, life, now);
        self.hold_by_disk(id, now);
        let Some((worker, line)) = self.workers.get_mut(&id).zip(line) else { return };
        match &mut worker.last {
            Some(last) if last.life == life => {
                last.line = Some(line);
                self.say_last_words(id, now);
            }
            _ => worker.spoke = Some(Box::new((life, line))),
        }
    }

    /// Keeps a worker from being started again while the output of too many lives waits to be written, or what it has put
    /// waits to be stored.
    pub(super) fn hold_by_disk(&mut self, id: WorkerId, now: Now) {
        let has_ended = |worker: &Worker| worker.process.is_none() && self.puts(id);
        let held = self.workers.get(&id).is_some_and(|worker| worker.undrained >= UNDRAINED_MAX || has_ended(worker));
        if self.supervisor.member(id).is_some_and(|member| member.held != held) {
            self.step(Event::Hold(id, held), now);
        }
    }

    /// Why a worker is not started again that is held by the disk that it logs to.
    pub(super) fn waits_for_disk(&self, id: WorkerId) -> Option<String> {
        self.supervisor.member(id).filter(|member| member.held && member.desired == Want::Up)?;
        let (worker, root) = self.workers.get(&id).zip(self.planes.root(id))?;
        if worker.undrained < UNDRAINED_MAX {
            return None;
        }
        let (lives, log) = (worker.undrained, root.join(worker.log_name()));
        Some(format!("waits for {}: what its last {lives} lives have printed is not written yet", log.display()))
    }

    /// Where a life has failed, what it said last is most likely why.
    pub(super) fn say_last_words(&mut self, id: WorkerId, now: Now) {
        let Some(worker) = self.workers.get(&id) else { return };
        let Some(line) = worker.last.as_ref().filter(|last| last.failed).and_then(|last| last.line.as_ref()) else {
            return;
        };
        let event = Happening::new(now.wall, Kind::Exited, format!("said last: {line}")).of(worker.name.clone());
        self.say(event);
    }
}
