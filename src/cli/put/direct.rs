//! Tasks where no supervisor runs: straight into the store, as the configuration has the queue.

use super::{Failure, ask};
use crate::config::kind::nearest;
use crate::config::load::{Config, Named};
use crate::config::tables::Queue;
use crate::config::values::{self, Durable};
use crate::control::put::{OnKey, Put};
use crate::control::queue::{Placed, Placement};
use crate::control::reply::Reply;
use crate::control::request::{Name, OfQueue, Request};
use crate::runtime::client::Client;
use crate::runtime::store::{self, How, Limits, NewTask};
use crate::runtime::{places, state};
use crate::sys::time;
use std::path::PathBuf;
use std::time::Duration;

/// A queue of a configuration, and where it is stored.
pub(super) struct Direct {
    place: Place,
    /// Where a supervisor would listen.
    socket: PathBuf,
    durable: Durable,
    limits: Limits,
}

/// Where tasks are stored.
enum Place {
    /// In this state directory.
    Here(PathBuf),
    /// On the server of this URL.
    Shared(String),
}

impl Direct {
    /// Looks a queue up, and makes the state directory where there is none and one is needed.
    ///
    /// # Errors
    /// The configuration has mistakes, or no such queue; its state directory cannot be used.
    pub(super) fn new(ask: &ask::Options, name: &Name) -> Result<Direct, Failure> {
        let alone = |why: String| Failure::new(format!("no supervisor runs here, and {why}"));
        let checked = ask.config().load_if_clean().map_err(alone)?;
        let config = checked.loaded.config;
        let queue = &find(&config, name, &ask.config().name())?.keys;
        let place = match &queue.store.value {
            values::Store::Redis(url) => Place::Shared(url.clone()),
            values::Store::Embedded => {
                let path = places::state(&config.quell);
                let path = path.ok_or_else(|| alone("there is no home directory for a store".into()))?;
                Place::Here(state::prepare(&path).map_err(|e| Failure::new(e.to_string()))?)
            }
        };
        Ok(Direct {
            place,
            socket: ask.path()?,
            durable: queue.durable.value,
            limits: Limits { tasks: queue.max_tasks.value.0.unsigned_abs(), bytes: queue.max_bytes.value.0 },
        })
    }

    /// Puts tasks, all of them or none.
    ///
    /// # Errors
    /// The queue is full, or cannot be written.
    pub(super) fn put(&self, put: &Put) -> Result<Vec<Placed>, Failure> {
        let order = store::Put {
            queue: put.queue.as_str().into(),
            durable: self.durable,
            limits: self.limits,
            tasks: put.payloads.iter().map(|payload| task(put, payload.as_bytes())).collect(),
            start: 0,
            awaited: false,
            now: time::now().wall,
        };
        let placed = match &self.place {
            Place::Here(state) => store::put_directly(state, &order),
            Place::Shared(url) => store::put_shared(url, &order),
        };
        let placed = placed.map_err(|e| Failure::new(e.to_string()))?;
        Ok(placed.iter().map(shown).collect())
    }

    /// Tells a supervisor that has come meanwhile of what it has not put itself, and gives the way to it.
    pub(super) fn ring(&self, queue: &Name) -> Option<Client> {
        let mut client = Client::connect(&self.socket).ok()?;
        let look = Request::Queue { queue: Some(queue.clone()), what: OfQueue::Look };
        let why = match client.ask(&look, Some(ask::SOON)) {
            Ok(Reply::Done { .. }) => return Some(client),
            Ok(other) => ask::failure(other).text,
            Err(e) => e.to_string(),
        };
        tracing::warn!("what was put is stored, but a supervisor has come and could not be told: {why}");
        None
    }
}

/// The queue of this name.
///
/// # Errors
/// There is none.
fn find<'a>(config: &'a Config, name: &Name, file: &str) -> Result<&'a Named<Queue>, Failure> {
    config.queue(name.as_str()).ok_or_else(|| {
        let near = nearest(name.as_str(), config.queues.iter().map(|queue| &*queue.name));
        let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        Failure::new(format!("there is no queue {:?} in {file}{near}", name.as_str()))
    })
}

fn task(put: &Put, payload: &[u8]) -> NewTask {
    let key = put.key.as_ref().map(|key| store::Key {
        name: key.key.as_str().into(),
        on: match key.on {
            OnKey::DropNew => store::OnKey::DropNew,
            OnKey::Replace => store::OnKey::Replace,
        },
    });
    NewTask {
        class: put.class,
        key,
        delay: Duration::from_millis(put.delay_ms.unwrap_or(0)),
        trace: put.trace.as_ref().map(|trace| trace.as_str().into()),
        payload: payload.into(),
    }
}

fn shown(placed: &store::Placed) -> Placed {
    let what = match placed.how {
        How::New => Placement::New,
        How::There => Placement::There,
        How::Replaced(_) => Placement::Replaced,
    };
    Placed { id: placed.id, what, outcome: None }
}
