//! What starts a worker: whether it can.

use crate::config::load::Named;
use crate::config::report::Report;
use crate::config::tables::{Protocol, Trigger, Worker};
use crate::config::typed::Item;

/// Says what would start a worker that is started for each task of a queue: that ends with its task, and is started for nothing
/// else.
pub(super) fn check(worker: &Named<Worker>, reports: &mut Vec<Report>) {
    let keys = &worker.keys;
    let Some(queue) = keys.given().next().filter(|_| keys.protocol.value.0 == Protocol::Exec) else { return };
    let puts = |trigger: &Trigger| trigger.path.value.is_some() && trigger.queue.value.is_some();
    let items = keys.start_on.value.iter().filter(|Item(item, _)| !item.is_of_tasks() && !puts(item));
    for Item(item, place) in items {
        let name = &worker.name;
        let (place, text) = match &item.socket.value {
            Some(address) => (
                item.socket.or(*place),
                format!("nobody takes connections to {address}: `{name}` is started for each task"),
            ),
            None => (*place, format!("this starts nothing: `{name}` is started for each task of `{queue}` alone")),
        };
        let help = "let another worker wait for it, or write protocol = \"lines\": then it stays";
        reports.push(Report::error(place, text).help(help));
    }
}
