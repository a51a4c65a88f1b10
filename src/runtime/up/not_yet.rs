//! What a configuration may say and quell does not do yet: said at the start, not passed over.

use crate::config::keys::Set;
use crate::config::load::{Config, Named};
use crate::config::report::Report;
use crate::config::source::Place;
use crate::config::tables::{Log, Worker};
use crate::config::values::Store;

/// A report for each key that is set and has no effect: a mistake where going on would be worse than not starting.
#[must_use]
pub fn not_yet(config: &Config) -> Vec<Report> {
    let mut found = Vec::new();
    idle(&config.quell.metrics, "metrics", &mut found);
    of_log(&config.log, &mut found);
    for (named, log) in config.workers.iter().zip(&config.logs).filter(|(named, _)| named.keys.enabled.value) {
        of_worker(named, &mut found);
        of_log(&log.own, &mut found);
    }
    for queue in config.queues.iter().filter(|queue| queue.keys.store.value != Store::Embedded) {
        let text = "tasks cannot be stored on Redis yet";
        let place = queue.keys.store.place.unwrap_or(queue.place);
        found.push(Report::error(place, text.to_owned()).help("take `store` out: they are stored here then"));
    }
    found
}

fn warning(place: Place, text: &str) -> Report {
    Report::warning(place, text.to_owned()).help("leave it for a later version, or take it out")
}

fn idle<T>(key: &Set<T>, name: &str, found: &mut Vec<Report>) {
    if let Some(place) = key.place {
        found.push(warning(place, &format!("`{name}` has no effect yet")));
    }
}

fn of_worker(named: &Named<Worker>, found: &mut Vec<Report>) {
    let keys = &named.keys;
    idle(&keys.expect, "expect", found);
    idle(&keys.watch.rss, "watch", found);
    idle(&keys.watch.cpu, "watch", found);
}

fn of_log(log: &Log, found: &mut Vec<Report>) {
    idle(&log.recorder, "recorder", found);
    idle(&log.collapse, "collapse", found);
    if let Some(place) = log.redact.place {
        let text = "`redact` cannot be carried out yet: what it names would be written as it is";
        found.push(Report::error(place, text).help("take it out, if the secrets may stand in the log"));
    }
}
