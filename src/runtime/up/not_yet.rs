//! What a configuration may say and quell does not do yet: said at the start, not passed over.

use crate::config::keys::Set;
use crate::config::load::{Config, Named};
use crate::config::report::Report;
use crate::config::source::Place;
use crate::config::tables::{Log, Trigger, Worker};
use crate::config::typed::Item;
use crate::config::values::Store;

/// A report for each key that is set and has no effect: a mistake where going on would be worse than not starting.
#[must_use]
pub fn not_yet(config: &Config) -> Vec<Report> {
    let mut found = Vec::new();
    idle(&config.quell.metrics, "metrics", &mut found);
    of_log(&config.log, &mut found);
    for (named, log) in config.workers.iter().zip(&config.logs).filter(|(named, _)| named.keys.enabled.value) {
        of_worker(named, &mut found);
        found.extend(files_for_others(config, named));
        of_log(&log.own, &mut found);
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

/// Which files have become tasks is remembered where the tasks are, and not on a Redis server.
fn files_for_others(config: &Config, named: &Named<Worker>) -> impl Iterator<Item = Report> {
    let is_shared = |queue: &str| config.queue(queue).is_some_and(|queue| queue.keys.store.value != Store::Embedded);
    let for_it = move |trigger: &Trigger| {
        trigger.path.value.is_some() && trigger.queue.value.as_ref().is_some_and(|queue| is_shared(&queue.0))
    };
    named.keys.start_on.value.iter().filter(move |Item(trigger, _)| for_it(trigger)).map(|Item(_, place)| {
        let text = "files cannot become tasks of a queue on a Redis server yet";
        let help = "name a queue that is stored here, whose worker puts what it is given (`quell put`)";
        Report::error(*place, text.to_owned()).help(help)
    })
}

fn of_log(log: &Log, found: &mut Vec<Report>) {
    idle(&log.recorder, "recorder", found);
    idle(&log.collapse, "collapse", found);
    if let Some(place) = log.redact.place {
        let text = "`redact` cannot be carried out yet: what it names would be written as it is";
        found.push(Report::error(place, text).help("take it out, if the secrets may stand in the log"));
    }
}
