//! What a thread that reads streams needs once, however many they are: the block that they are read into, room to work
//! in, and the tails of those streams that are not in the block. A stream at rest holds no buffer.

use crate::line::classify::Run;
use crate::line::frame::{Block, READ_BYTES, Tail};
use crate::line::rules::Scratch;

/// What all carried tails may hold together; one of the longest lines that may be fits in beside.
const CARRIED_BYTES_MAX: usize = 8 << 20;

/// Names the tail of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailId(u32);

/// One to a thread.
#[derive(Debug)]
pub struct Workspace {
    pub(super) block: Block,
    pub(super) buffers: Buffers,
    /// How much is read at once, in bytes.
    pub(super) read_bytes_max: usize,
    tails: Vec<Carried>,
    free: Vec<TailId>,
    /// Whose unfinished line is in the block.
    loaded: Option<TailId>,
    /// What the tails hold, in bytes.
    carried: usize,
    line_bytes_max: usize,
}

/// Room that is used again for each block.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) scratch: Scratch,
    pub(super) runs: Vec<Run>,
    pub(super) stamp: Vec<u8>,
    pub(super) stamped: Vec<u8>,
    pub(super) critical: Vec<u8>,
    pub(super) tagged: Vec<u8>,
}

#[derive(Debug, Default)]
struct Carried {
    tail: Tail,
    /// Whose it is, by whatever number its reader gives.
    owner: u32,
}

impl Default for Workspace {
    fn default() -> Workspace {
        Workspace {
            block: Block::new(1),
            buffers: Buffers::default(),
            read_bytes_max: READ_BYTES,
            tails: Vec::new(),
            free: Vec::new(),
            loaded: None,
            carried: 0,
            line_bytes_max: 1,
        }
    }
}

impl Workspace {
    /// A place for the tail of a stream of this owner's.
    pub(super) fn claim(&mut self, owner: u32) -> TailId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.tails.push(Carried::default());
            TailId(self.tails.len() as u32 - 1)
        });
        self.tails[id.0 as usize].owner = owner;
        id
    }

    /// The stream is no more, and has left nothing.
    pub(super) fn release(&mut self, id: TailId) {
        if self.loaded == Some(id) {
            self.loaded = None;
            self.block.stash(&mut Tail::default());
        }
        let left = std::mem::take(&mut self.tails[id.0 as usize].tail);
        self.carried -= left.len();
        self.free.push(id);
    }

    /// Puts the unfinished line of a stream into the block, whose lines have up to `line_bytes_max` bytes.
    pub(super) fn focus(&mut self, id: TailId, line_bytes_max: usize) {
        if self.loaded == Some(id) {
            return;
        }
        if let Some(TailId(before)) = self.loaded.replace(id) {
            let tail = &mut self.tails[before as usize].tail;
            self.block.stash(tail);
            self.carried += tail.len();
        }
        self.line_bytes_max = self.line_bytes_max.max(line_bytes_max);
        let tail = &mut self.tails[id.0 as usize].tail;
        self.carried -= tail.len();
        self.block.load(tail, line_bytes_max);
    }

    /// Whether a stream has something unfinished, in the block or beside it.
    pub(super) fn holds(&self, id: TailId) -> bool {
        match self.loaded == Some(id) {
            true => self.block.held() > 0,
            false => !self.tails[id.0 as usize].tail.is_empty(),
        }
    }

    /// When the tails hold more than all of them may together: the longest of those whose owners can do something about
    /// it, and its owner.
    pub fn excess(&self, can_cut: impl Fn(u32) -> bool) -> Option<(u32, TailId)> {
        if self.carried <= CARRIED_BYTES_MAX + self.line_bytes_max {
            return None;
        }
        let tails = (0..).map(TailId).zip(&self.tails).filter(|(_, carried)| !carried.tail.is_empty());
        let longest = tails.filter(|(_, carried)| can_cut(carried.owner)).max_by_key(|(_, carried)| carried.tail.len());
        longest.map(|(id, carried)| (carried.owner, id))
    }
}
