//! The output planes: one to a log folder, so that a disk that hangs holds up those that log to it and nobody else.

use crate::runtime::plane::{FromPlane, Plane, Snapshot, ToPlane};
use crate::sys::poller::Waker;
use crate::worker::WorkerId;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// The planes, and where each worker's lines go.
#[derive(Debug)]
pub(super) struct Planes {
    planes: Vec<(PathBuf, Plane)>,
    of: HashMap<WorkerId, usize>,
    said: Receiver<FromPlane>,
    tell: Sender<FromPlane>,
    waker: Arc<Waker>,
}

impl Planes {
    pub(super) fn new(waker: Waker) -> Planes {
        let (tell, said) = channel();
        Planes { planes: Vec::new(), of: HashMap::new(), said, tell, waker: Arc::new(waker) }
    }

    /// The plane of a log folder, started where there is none yet.
    pub(super) fn open(&mut self, root: &Path) -> io::Result<usize> {
        if let Some(at) = self.planes.iter().position(|(known, _)| known == root) {
            return Ok(at);
        }
        let plane = Plane::start(root, self.tell.clone(), self.waker.clone())?;
        self.planes.push((root.to_owned(), plane));
        Ok(self.planes.len() - 1)
    }

    /// A worker's lines go there from now on.
    pub(super) fn attach(&mut self, plane: usize, id: WorkerId, message: ToPlane) {
        self.of.insert(id, plane);
        self.planes[plane].1.send(message);
    }

    pub(super) fn root(&self, id: WorkerId) -> Option<&Path> {
        self.of.get(&id).map(|at| self.planes[*at].0.as_path())
    }

    /// Says something to the plane of a worker.
    pub(super) fn send(&self, id: WorkerId, message: ToPlane) {
        if let Some(at) = self.of.get(&id) {
            self.planes[*at].1.send(message);
        }
    }

    pub(super) fn detach(&mut self, id: WorkerId) {
        self.send(id, ToPlane::Detach(id));
        self.of.remove(&id);
    }

    pub(super) fn rotate_all<'a>(&self, ids: impl Iterator<Item = &'a WorkerId>) {
        ids.for_each(|id| self.send(*id, ToPlane::Rotate(*id)));
    }

    pub(super) fn reopen_all<'a>(&self, ids: impl Iterator<Item = &'a WorkerId>) {
        ids.for_each(|id| self.send(*id, ToPlane::Reopen(*id)));
    }

    /// Asks for pictures; how many planes will answer.
    pub(super) fn ask(&self, ticket: u64, ids: &[WorkerId]) -> usize {
        let mut asked: HashMap<usize, Vec<WorkerId>> = HashMap::new();
        for id in ids {
            if let Some(at) = self.of.get(id) {
                asked.entry(*at).or_default().push(*id);
            }
        }
        let planes = asked.len();
        for (at, ids) in asked {
            self.planes[at].1.send(ToPlane::Snapshot(ticket, ids));
        }
        planes
    }

    /// The next thing that one of them said.
    pub(super) fn said(&self) -> Option<FromPlane> {
        self.said.try_recv().ok()
    }

    /// Finishes all logs.
    pub(super) fn finish(&mut self) {
        for (_, plane) in &self.planes {
            plane.send(ToPlane::Finish);
        }
        for (_, plane) in self.planes.drain(..) {
            plane.join();
        }
    }
}

/// A picture of a worker's output, as far as there is one.
pub(super) type Pictures = Vec<(WorkerId, Snapshot)>;
