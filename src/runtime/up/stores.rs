//! The stores of tasks: the one here, and those that are shared with other supervisors, one for each server.

use super::asked::Asked;
use super::begin::BeginError;
use crate::clock::{Tick, earliest};
use crate::control::queue::Store as Shown;
use crate::runtime::store::{FromStore, Order, Places, Shared, Store, Ticket, is_at_place, server_name};
use crate::sys::identity;
use crate::sys::poller::Waker;
use crate::task::TaskId;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long to leave a store alone that has failed.
pub(super) const TROUBLE: Duration = Duration::from_secs(1);

/// A store, by its place among those that were opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StoreId(usize);

/// The store of the state directory.
pub(super) const HERE: StoreId = StoreId(0);

/// All stores.
#[derive(Debug)]
pub(super) struct Stores {
    all: Vec<Backend>,
    places: Places,
}

/// A store, and how it is.
#[derive(Debug)]
pub(super) struct Backend {
    link: Link,
    pub(super) said: Receiver<FromStore>,
    /// Orders that it was not given yet.
    pub(super) orders: Vec<(Ticket, Order)>,
    pub(super) standing: Standing,
    /// How it has failed, as was said; none once it has stored something.
    pub(super) complaint: Option<String>,
    /// When the next of its delayed tasks is due.
    pub(super) due: Option<Tick>,
    /// What it is to be told again.
    pub(super) untold: Vec<Asked>,
    /// Among which numbers those of its tasks are.
    pub(super) place: Option<u64>,
}

#[derive(Debug)]
enum Link {
    Here(Store),
    Shared(Shared),
}

/// How a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was not reached yet.
    Opening,
    Ready,
    /// It has failed, and is left alone until then.
    Failing(Tick, String),
    /// It cannot be reached.
    Lost(String),
}

impl Stores {
    /// The store of the state directory, and no other.
    pub(super) fn new(here: Store, said: Receiver<FromStore>) -> Stores {
        let here = Backend::new(Link::Here(here), said, Standing::Ready, Some(0));
        Stores { all: vec![here], places: Places::default() }
    }

    /// The store that is shared at a URL, where it was opened, however its URL was written then.
    pub(super) fn at(&self, url: &str) -> Option<StoreId> {
        let name = server_name(url).ok()?;
        self.all.iter().position(|backend| *backend.name() == *name).map(StoreId)
    }

    /// Has the store that is shared at a URL looked for, where that is not done yet.
    pub(super) fn open(&mut self, url: &str, state: &Path, waker: Arc<Waker>) -> Result<StoreId, BeginError> {
        if let Some(known) = self.at(url) {
            return Ok(known);
        }
        let own = |error| BeginError::Own { step: "find out this host's name", error };
        let name = identity::host_name().map_err(own)?;
        let host = format!("{name}:{}", state.display());
        let (told, said) = channel();
        let shared = Shared::open(url, &host, self.places.clone(), told, waker)?;
        self.all.push(Backend::new(Link::Shared(shared), said, Standing::Opening, None));
        Ok(StoreId(self.all.len() - 1))
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = StoreId> + use<> {
        (0..self.all.len()).map(StoreId)
    }

    pub(super) fn get(&self, id: StoreId) -> &Backend {
        &self.all[id.0]
    }

    pub(super) fn get_mut(&mut self, id: StoreId) -> &mut Backend {
        &mut self.all[id.0]
    }

    /// Where the task of this number is; none where no store that was reached has such numbers.
    pub(super) fn of_task(&self, id: TaskId) -> Option<StoreId> {
        let has = |backend: &Backend| backend.place.is_some_and(|place| is_at_place(id.0, place));
        self.all.iter().position(has).map(StoreId)
    }

    /// The first store that was never reached, by its name.
    pub(super) fn unknown(&self) -> Option<&str> {
        self.all.iter().find(|backend| backend.place.is_none()).map(Backend::name)
    }

    /// The stores in the order of their tasks' numbers.
    pub(super) fn by_number(&self) -> Vec<StoreId> {
        let mut ids: Vec<_> = self.ids().collect();
        ids.sort_by_key(|id| self.get(*id).place.unwrap_or(u64::MAX));
        ids
    }

    /// When one of them has something to do that nothing else brings.
    pub(super) fn deadline(&self) -> Option<Tick> {
        let until = |backend: &Backend| match &backend.standing {
            Standing::Failing(until, _) => Some(*until),
            _ => None,
        };
        self.all.iter().filter_map(|backend| earliest([backend.due, until(backend)])).min()
    }

    /// Gives each the orders that there are for it.
    pub(super) fn send(&mut self) {
        self.all.iter_mut().for_each(Backend::send);
    }

    /// Ends them, when all that they were told is done: what they have said last.
    pub(super) fn stop(mut self) -> Vec<FromStore> {
        self.send();
        let stop = |backend: Backend| {
            match backend.link {
                Link::Here(store) => store.stop(),
                Link::Shared(shared) => shared.stop(),
            }
            backend.said.try_iter().collect::<Vec<_>>()
        };
        self.all.into_iter().flat_map(stop).collect()
    }
}

impl StoreId {
    /// Whether others take tasks from it.
    pub(super) fn is_shared(self) -> bool {
        self != HERE
    }
}

impl Backend {
    fn new(link: Link, said: Receiver<FromStore>, standing: Standing, place: Option<u64>) -> Backend {
        let (orders, untold) = (Vec::new(), Vec::new());
        Backend { link, said, orders, standing, complaint: None, due: None, untold, place }
    }

    /// Gives it the orders that there are.
    fn send(&mut self) {
        let orders = std::mem::take(&mut self.orders);
        match &self.link {
            _ if orders.is_empty() => {}
            Link::Here(store) => store.send(orders),
            Link::Shared(shared) => orders.into_iter().for_each(|(ticket, order)| shared.send(ticket, order)),
        }
    }

    /// Its server; nothing where it is here.
    pub(super) fn name(&self) -> &str {
        match &self.link {
            Link::Here(_) => "",
            Link::Shared(shared) => shared.name(),
        }
    }

    /// Whether tasks can be begun.
    pub(super) fn is_ready(&self) -> bool {
        self.standing == Standing::Ready
    }

    /// Why none is.
    pub(super) fn why(&self) -> Option<String> {
        match &self.standing {
            Standing::Ready => None,
            Standing::Opening => Some(format!("{} was not reached yet", self.name())),
            Standing::Failing(_, why) => Some(why.clone()),
            Standing::Lost(why) => Some(format!("{} cannot be reached: {why}", self.name())),
        }
    }

    /// As clients are told.
    pub(super) fn shown(&self) -> Shown {
        match &self.standing {
            Standing::Opening => Shown::Opening,
            Standing::Ready => Shown::Ready,
            Standing::Failing(..) => Shown::Failing,
            Standing::Lost(_) => Shown::Lost,
        }
    }
}
