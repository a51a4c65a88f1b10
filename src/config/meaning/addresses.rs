//! Addresses that are listened on: each once.

use crate::config::load::Config;
use crate::config::report::Report;
use crate::config::source::{Place, Sources};
use crate::config::values::Address;
use std::collections::BTreeMap;

/// Says which addresses are named twice.
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
}
