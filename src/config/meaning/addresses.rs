//! Addresses that are listened on: each once, and for somebody who takes connections.

use crate::config::load::{Config, Named};
use crate::config::report::Report;
use crate::config::source::{Place, Sources};
use crate::config::tables::{Protocol, Trigger, Worker};
use crate::config::values::Address;
use std::collections::BTreeMap;

/// Says which addresses are named twice, and whose connections nobody would take.
pub(super) fn check(config: &Config, sources: &Sources, reports: &mut Vec<Report>) {
    let metrics = &config.quell.metrics;
    let metrics = metrics.value.iter().zip(metrics.place);
    let enabled = config.workers.iter().filter(|worker| worker.keys.enabled.value);
    let mut seen: BTreeMap<&Address, Place> = BTreeMap::new();
    for (address, key) in metrics.chain(enabled.flat_map(|worker| worker.keys.sockets())) {
        let place = sources.quoted(&address.to_string(), key);
        if let Some(first) = seen.get(address) {
            let report = Report::error(place, format!("{address} is listened on already"));
            reports.push(report.help("choose another address for one of them").also(*first, "here"));
        } else {
            seen.insert(address, place);
        }
    }
    config.workers.iter().for_each(|worker| taken_by_nobody(worker, reports));
}

/// What is started for one task ends with it, and is started for nothing else.
fn taken_by_nobody(worker: &Named<Worker>, reports: &mut Vec<Report>) {
    let keys = &worker.keys;
    let is_given = |trigger: &Trigger| trigger.depth.value.is_none() && trigger.batch.value.is_none();
    let by_task = keys.protocol.value.0 == Protocol::Exec && keys.consumes().any(|(_, trigger)| is_given(trigger));
    if let Some((address, place)) = keys.sockets().next().filter(|_| by_task) {
        let text = format!("nobody takes connections to {address}: `{}` is started for each task", worker.name);
        let help = "let another worker take them, or write protocol = \"lines\": then it stays";
        reports.push(Report::error(place, text).help(help));
    }
}
