//! Who owns each descriptor that is waited on, and which of them are ready.
//!
//! Readiness is told once (edge-triggered), so the reactor remembers it until whoever reads says that reading would
//! block. A token carries a generation: an event, or a call, for a source that is gone is counted and ignored.

use crate::sys::fd::Interest;
use crate::sys::poller::{Poller, Waker};
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// How many slots there can be; the rest of a token is the generation.
const INDEX_BITS: u32 = 20;
/// The waker's token, which no slot has.
const WAKER: usize = (1 << INDEX_BITS) - 1;

/// Names a source for as long as it is in the reactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(usize);

/// The sources, each owned here until it is taken out.
#[derive(Debug)]
pub struct Reactor<T> {
    poller: Poller,
    slots: Vec<Slot<T>>,
    free: Vec<usize>,
    stale: u64,
}

#[derive(Debug)]
struct Slot<T> {
    generation: usize,
    source: Option<T>,
    ready: bool,
}

impl<T: AsFd> Reactor<T> {
    /// A reactor without sources.
    ///
    /// # Errors
    /// As epoll_create1(2).
    pub fn new() -> io::Result<Reactor<T>> {
        Ok(Reactor { poller: Poller::new()?, slots: Vec::new(), free: Vec::new(), stale: 0 })
    }

    /// What wakes it from another thread; once only.
    ///
    /// # Errors
    /// As eventfd(2).
    pub fn waker(&self) -> io::Result<Waker> {
        self.poller.waker(WAKER)
    }

    /// Takes a source in.
    ///
    /// # Errors
    /// As epoll_ctl(2); the source is dropped then.
    pub fn add(&mut self, source: T, interest: Interest) -> io::Result<Token> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, source: None, ready: false });
            self.slots.len() - 1
        });
        let slot = &mut self.slots[index];
        let token = Token(slot.generation << INDEX_BITS | index);
        if let Err(e) = self.poller.add(&source, token.0, interest) {
            self.free.push(index);
            return Err(e);
        }
        slot.source = Some(source);
        Ok(token)
    }

    /// Hands a source back, no longer waited on. None when it is gone already.
    pub fn remove(&mut self, token: Token) -> Option<T> {
        let slot = self.slot(token)?;
        let source = slot.source.take()?;
        slot.generation += 1;
        slot.ready = false;
        self.free.push(token.0 & WAKER);
        // A descriptor that epoll does not know any more is as much out of it as one that was taken out.
        let _ = self.poller.remove(&source);
        Some(source)
    }

    /// The source.
    pub fn get(&self, token: Token) -> Option<&T> {
        let slot = self.slots.get(token.0 & WAKER)?;
        slot.source.as_ref().filter(|_| slot.generation == token.0 >> INDEX_BITS)
    }

    /// The source, to be changed.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        let slot = self.slots.get_mut(token.0 & WAKER)?;
        slot.source.as_mut().filter(|_| slot.generation == token.0 >> INDEX_BITS)
    }

    /// Whether the source was told to be ready, and nobody has said since that it would block.
    pub fn is_ready(&self, token: Token) -> bool {
        self.get(token).is_some() && self.slots[token.0 & WAKER].ready
    }

    /// The source would block: it is ready no more.
    pub fn would_block(&mut self, token: Token) {
        if let Some(slot) = self.slot(token) {
            slot.ready = false;
        }
    }

    /// Waits on the source no more, until `watch`; it is kept.
    pub fn rest(&mut self, token: Token) {
        if let Some(slot) = self.slot(token) {
            slot.ready = false;
            if let Some(source) = self.get(token) {
                // As in `remove`.
                let _ = self.poller.remove(source);
            }
        }
    }

    /// Waits on a source again that rested.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn watch(&mut self, token: Token, interest: Interest) -> io::Result<()> {
        self.get(token).map_or(Ok(()), |source| self.poller.add(source, token.0, interest))
    }

    /// Waits, marks what is ready, and names what was not before. Give no time at all while something ready has not been
    /// served.
    ///
    /// # Errors
    /// As epoll_wait(2).
    pub fn wait(&mut self, timeout: Option<Duration>, mut ready: impl FnMut(Token)) -> io::Result<()> {
        for token in self.poller.wait(timeout)?.filter(|token| *token != WAKER) {
            match self.slots.get_mut(token & WAKER).filter(|slot| slot.generation == token >> INDEX_BITS) {
                Some(slot) => {
                    if !std::mem::replace(&mut slot.ready, true) {
                        ready(Token(token));
                    }
                }
                None => self.stale += 1,
            }
        }
        Ok(())
    }

    /// How many events and calls came for sources that were gone.
    pub fn stale(&self) -> u64 {
        self.stale
    }

    fn slot(&mut self, token: Token) -> Option<&mut Slot<T>> {
        let found = self.slots.get_mut(token.0 & WAKER).filter(|slot| slot.generation == token.0 >> INDEX_BITS);
        if found.is_none() {
            self.stale += 1;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd::{pipe, read, write};

    fn ready_within(reactor: &mut Reactor<std::os::fd::OwnedFd>, token: Token, millis: u64) -> bool {
        let mut named = Vec::new();
        let was_ready = reactor.is_ready(token);
        reactor.wait(Some(Duration::from_millis(millis)), |token| named.push(token)).unwrap();
        assert_eq!(named.contains(&token), !was_ready && reactor.is_ready(token), "it is named when that is new");
        reactor.is_ready(token)
    }

    #[test]
    fn readiness_is_kept_until_it_would_block() {
        let mut reactor = Reactor::new().unwrap();
        let (reader, writer) = pipe().unwrap();
        let token = reactor.add(reader, Interest::Read).unwrap();
        assert!(!ready_within(&mut reactor, token, 0));
        write(&writer, b"four").unwrap();
        assert!(ready_within(&mut reactor, token, 1000));
        let mut two = [0; 2];
        assert_eq!(read(reactor.get(token).unwrap(), &mut two).unwrap(), 2);
        assert!(ready_within(&mut reactor, token, 0), "a budget that stopped early leaves it ready");
        assert_eq!(read(reactor.get(token).unwrap(), &mut two).unwrap(), 2);
        assert_eq!(read(reactor.get(token).unwrap(), &mut two).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        reactor.would_block(token);
        assert!(!ready_within(&mut reactor, token, 0));
        write(&writer, b"x").unwrap();
        assert!(ready_within(&mut reactor, token, 1000), "and it is told again");
    }

    #[test]
    fn a_token_of_a_source_that_is_gone_does_nothing() {
        let mut reactor = Reactor::new().unwrap();
        let (first, _writer) = pipe().unwrap();
        let old = reactor.add(first, Interest::Read).unwrap();
        drop(reactor.remove(old).unwrap());
        let (second, writer) = pipe().unwrap();
        let new = reactor.add(second, Interest::Read).unwrap();
        assert_ne!(old, new, "the slot is used again, the token is not");
        write(&writer, b"x").unwrap();
        assert!(ready_within(&mut reactor, new, 1000));
        reactor.would_block(old);
        assert!(reactor.remove(old).is_none() && reactor.get(old).is_none() && !reactor.is_ready(old));
        assert!(reactor.is_ready(new));
        assert_eq!(reactor.stale(), 2);
    }
}
