//! Whom workers run as: as quell itself, so far. A configuration that says otherwise is refused, not misunderstood.

use crate::config::load::{Config, Named};
use crate::config::report::Report;
use crate::config::tables::Worker;
use crate::config::values::Identity;
use crate::sys::identity;

/// What stands against starting a configuration's workers as those whom it names: a report for each that is not ourselves.
#[must_use]
pub fn refusals(config: &Config) -> Vec<Report> {
    let enabled = config.workers.iter().filter(|worker| worker.keys.enabled.value);
    enabled.flat_map(of).collect()
}

fn of(worker: &Named<Worker>) -> Vec<Report> {
    let keys = &worker.keys;
    let refusal = |key: &str, named: &str, place| {
        let text = format!("`{key}` is {named}, and quell cannot run a worker as anybody but itself yet");
        let help = format!("take `{key}` out, and start quell as whom the worker is to run as");
        Report::error(place, text).help(help)
    };
    let user = keys.user.value.as_ref().filter(|user| user_of(user) != Some(identity::ours()));
    let group = keys.group.value.as_ref().filter(|group| group_of(group) != Some(identity::our_group()));
    let groups = keys.groups.value.as_ref().filter(|groups| !are_ours(groups));
    let user = user.map(|user| refusal("user", &user.0, keys.user.or(worker.place)));
    let group = group.map(|group| refusal("group", &group.0, keys.group.or(worker.place)));
    let groups = groups.map(|groups| {
        let names: Vec<_> = groups.iter().map(|group| group.0.as_str()).collect();
        refusal("groups", &names.join(", "), keys.groups.or(worker.place))
    });
    user.into_iter().chain(group).chain(groups).collect()
}

fn user_of(user: &Identity) -> Option<u32> {
    user.0.parse().ok().or_else(|| Some(identity::person(&user.0).ok()??.uid))
}

fn group_of(group: &Identity) -> Option<u32> {
    group.0.parse().ok().or_else(|| identity::group(&group.0).ok()?)
}

fn are_ours(groups: &[Identity]) -> bool {
    let mut named: Vec<_> = groups.iter().map(group_of).collect();
    let mut ours: Vec<_> = identity::our_groups().into_iter().map(Some).collect();
    named.sort_unstable();
    ours.sort_unstable();
    named.dedup();
    ours.dedup();
    named == ours
}
