//! Which pipes are read next: those that say little before those that say much, so that no flood keeps a line waiting, and in
//! every turn one of those that say much, so that many lines keep no flood waiting.

use std::collections::VecDeque;

/// What is read in one turn, in bytes, before it is looked whether anything else is to be done.
const BYTES_PER_TURN: usize = 1 << 20;
/// A pipe that brings no more at a time says little.
const LITTLE_BYTES_MAX: usize = 16 << 10;

/// Pipes to be read, each once.
#[derive(Debug)]
pub(super) struct Queue<T> {
    little: VecDeque<T>,
    much: VecDeque<T>,
}

/// One turn through those that stand in the queue when it begins.
#[derive(Debug)]
pub(super) struct Turn {
    little: usize,
    much: usize,
    bytes_left: usize,
    /// One of those that say much has been read.
    had_much: bool,
}

/// Whether a pipe that has brought so many bytes says much.
pub(super) fn is_much(bytes: usize) -> bool {
    bytes > LITTLE_BYTES_MAX
}

impl<T> Queue<T> {
    pub(super) fn new() -> Queue<T> {
        Queue { little: VecDeque::new(), much: VecDeque::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.little.is_empty() && self.much.is_empty()
    }

    pub(super) fn push(&mut self, pipe: T, says_much: bool) {
        if says_much { &mut self.much } else { &mut self.little }.push_back(pipe);
    }

    pub(super) fn begin(&self) -> Turn {
        Turn { little: self.little.len(), much: self.much.len(), bytes_left: BYTES_PER_TURN, had_much: false }
    }

    /// The next pipe of a turn; none when that is over.
    pub(super) fn next(&mut self, turn: &mut Turn) -> Option<T> {
        if turn.little > 0 && turn.bytes_left > 0 {
            turn.little -= 1;
            return self.little.pop_front();
        }
        if turn.much > 0 && (turn.bytes_left > 0 || !turn.had_much) {
            turn.much -= 1;
            turn.had_much = true;
            return self.much.pop_front();
        }
        None
    }
}

impl Turn {
    /// The last pipe has brought so many bytes.
    pub(super) fn took(&mut self, bytes: usize) {
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pipes that a turn reads, each of which brings what its number says, in KiB.
    fn turn(queue: &mut Queue<usize>) -> Vec<usize> {
        let (mut turn, mut read) = (queue.begin(), Vec::new());
        while let Some(pipe) = queue.next(&mut turn) {
            turn.took(pipe << 10);
            read.push(pipe);
        }
        read
    }

    #[test]
    fn a_line_is_read_before_floods_and_floods_whatever_the_lines() {
        let mut queue = Queue::new();
        assert!(queue.is_empty() && turn(&mut queue).is_empty());
        [300, 600, 900, 1000].into_iter().for_each(|pipe| queue.push(pipe, true));
        [1, 2].into_iter().for_each(|pipe| queue.push(pipe, false));
        assert_eq!(turn(&mut queue), [1, 2, 300, 600, 900]);
        // What comes during a turn belongs to the next.
        (0..1024).for_each(|_| queue.push(16, false));
        let read = turn(&mut queue);
        assert_eq!((read.len(), read.last()), (65, Some(&1000)));
        assert_eq!(turn(&mut queue).len(), 64);
        assert!(!queue.is_empty());
        assert!(!is_much(16 << 10) && is_much((16 << 10) + 1));
    }
}
