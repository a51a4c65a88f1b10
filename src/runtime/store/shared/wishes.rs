//! Who wishes for a task, and from where. Pure.

use super::super::order::{Source, Ticket};
use crate::task::Class;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A stream of the server: what waits of a class of a queue.
pub(super) type Stream = (Arc<str>, Class);

/// What is wished for and has not come. Each crew has one wish.
#[derive(Debug, Default)]
pub(super) struct Wishes(BTreeMap<u32, (Ticket, Vec<Source>)>);

impl Wishes {
    /// A crew wishes for this, and no more for what it wished for before: whose place that takes. Where it is nothing, the wish
    /// is over.
    pub(super) fn put(&mut self, by: u32, ticket: Ticket, from: Vec<Source>) -> Option<Ticket> {
        let before = match from.is_empty() {
            true => self.0.remove(&by),
            false => self.0.insert(by, (ticket, from)),
        };
        before.map(|(ticket, _)| ticket)
    }

    /// What a crew wishes for.
    pub(super) fn of(&self, by: u32) -> Option<&[Source]> {
        self.0.get(&by).map(|(_, from)| &**from)
    }

    /// Who wishes for anything.
    pub(super) fn crews(&self) -> Vec<u32> {
        self.0.keys().copied().collect()
    }

    /// The wish of a crew has come true.
    pub(super) fn grant(&mut self, by: u32) -> Option<Ticket> {
        self.0.remove(&by).map(|(ticket, _)| ticket)
    }

    /// Something has come of a stream: whose wish that is.
    pub(super) fn grant_any(&mut self, stream: &Stream) -> Option<Ticket> {
        let is_of = |from: &[Source]| from.iter().any(|source| source.queue == stream.0 && source.class == stream.1);
        let by = self.0.iter().find(|(_, (_, from))| is_of(from)).map(|(by, _)| *by)?;
        self.grant(by)
    }

    /// Where something is wished for.
    pub(super) fn streams(&self) -> BTreeSet<Stream> {
        self.0.values().flat_map(|(_, from)| from).map(|source| (source.queue.clone(), source.class)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn from(queues: &[&str]) -> Vec<Source> {
        let source = |queue: &&str| Source { queue: (*queue).into(), class: Class::Low, max_wait: Duration::ZERO };
        queues.iter().map(source).collect()
    }

    #[test]
    fn a_wish_takes_the_place_of_the_one_before() {
        let mut wishes = Wishes::default();
        assert_eq!(wishes.put(0, Ticket(1), from(&["a", "b"])), None);
        assert_eq!(wishes.put(1, Ticket(2), from(&["b"])), None);
        assert_eq!(wishes.put(0, Ticket(3), from(&["b", "c"])), Some(Ticket(1)));
        assert_eq!(
            wishes.streams().into_iter().collect::<Vec<_>>(),
            [("b".into(), Class::Low), ("c".into(), Class::Low)]
        );
        assert_eq!(wishes.grant_any(&("c".into(), Class::High)), None);
        assert_eq!(wishes.grant_any(&("c".into(), Class::Low)), Some(Ticket(3)));
        assert_eq!(wishes.grant_any(&("c".into(), Class::Low)), None, "one comes for each wish");
        assert_eq!((wishes.crews(), wishes.of(1).map(<[_]>::len)), (vec![1], Some(1)));
        assert_eq!(wishes.put(1, Ticket(4), Vec::new()), Some(Ticket(2)));
        assert_eq!((wishes.put(1, Ticket(5), Vec::new()), wishes.grant(1)), (None, None));
    }
}
