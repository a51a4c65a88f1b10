//! Whom a worker runs as.

use super::Scene;
use crate::config::keys::Set;
use crate::config::kind::nearest;
use crate::config::load::Named;
use crate::config::report::Report;
use crate::config::source::Place;
use crate::config::tables::Worker;
use crate::config::typed::quote;
use crate::config::values::Identity;
use crate::sys::identity::{self, Credentials, Person};
use std::io;

/// A user to see the machine as.
pub(super) struct Who {
    /// For messages: "user `web`".
    pub(super) name: String,
    /// None for ourselves.
    other: Option<Credentials>,
}

impl Who {
    /// The user that quell runs as.
    pub(super) fn ourselves() -> Who {
        let uid = identity::ours();
        let name = identity::person_of(uid).ok().flatten().map_or(uid.to_string(), |person| person.name);
        Who { name: format!("user `{name}`"), other: None }
    }

    /// Looks at something with that user's rights; with our own where we cannot take those.
    pub(super) fn see<T: Send>(&self, look: impl Fn() -> T + Sync) -> T {
        let seen = self.other.as_ref().and_then(|other| identity::as_other(other, &look).ok());
        seen.unwrap_or_else(look)
    }
}

/// Whom a worker runs as; names that nobody has are said.
pub(super) fn of(worker: &Named<Worker>, scene: &mut Scene<'_>) -> Who {
    let keys = &worker.keys;
    let user = keys.user.value.as_ref().map(|user| find_user(user, scene.values.of(keys.user.or(worker.place)), scene));
    let group =
        keys.group.value.as_ref().map(|group| find_group(group, scene.values.of(keys.group.or(worker.place)), scene));
    let groups = keys.groups.value.as_ref().map(|groups| further(groups, &keys.groups, worker, scene));
    let ourselves = Who::ourselves();
    let (Some(user), Some(name)) = (user, &keys.user.value) else { return ourselves };
    let Some(user) = user else { return ourselves };
    let place = scene.values.of(keys.user.or(worker.place));
    if identity::ours() != 0 {
        if identity::ours() != user.uid && !std::mem::replace(&mut scene.said_unprivileged, true) {
            let text = format!("only root can run a worker as `{}`, and this is {}", name.0, ourselves.name);
            scene.add(Report::warning(place, text).help("run quell, and this check, as root"));
        }
        return ourselves;
    }
    let gid = match (group, &user.known) {
        (Some(Some(gid)), _) => gid,
        (_, Some(Person { gid, .. })) => *gid,
        (None, None) => {
            let text = format!("no user has the number {}, so that its group is not known", user.uid);
            scene.add(Report::error(place, text).help("set `group`, or name a user that exists"));
            return ourselves;
        }
        (Some(None), None) => return ourselves,
    };
    let own_groups = || user.known.as_ref().and_then(|person| identity::groups_of(person).ok());
    let groups = groups.or_else(own_groups).unwrap_or_default();
    Who { name: format!("user `{}`", name.0), other: Some(Credentials { uid: user.uid, gid, groups }) }
}

/// A user that was named.
struct Found {
    uid: u32,
    known: Option<Person>,
}

fn find_user(user: &Identity, place: Place, scene: &mut Scene<'_>) -> Option<Found> {
    if let Ok(uid) = user.0.parse() {
        return Some(Found { uid, known: identity::person_of(uid).ok().flatten() });
    }
    match identity::person(&user.0) {
        Ok(Some(person)) => Some(Found { uid: person.uid, known: Some(person) }),
        missing => {
            unknown("user", user, place, missing.err(), &identity::user_names(), scene);
            None
        }
    }
}

fn find_group(group: &Identity, place: Place, scene: &mut Scene<'_>) -> Option<u32> {
    if let Ok(gid) = group.0.parse() {
        return Some(gid);
    }
    match identity::group(&group.0) {
        Ok(Some(gid)) => Some(gid),
        missing => {
            unknown("group", group, place, missing.err(), &identity::group_names(), scene);
            None
        }
    }
}

fn further(
    groups: &[Identity],
    key: &Set<Option<Vec<Identity>>>,
    worker: &Named<Worker>,
    scene: &mut Scene<'_>,
) -> Vec<u32> {
    let find = |(at, group)| find_group(group, scene.values.item(key.or(worker.place), at), scene);
    groups.iter().enumerate().filter_map(find).collect()
}

fn unknown(
    what: &str,
    name: &Identity,
    place: Place,
    error: Option<io::Error>,
    known: &[String],
    scene: &mut Scene<'_>,
) {
    if let Some(e) = error {
        let report = Report::error(place, format!("{what} `{}` cannot be looked up: {e}", name.0));
        scene.add(report.help("see `getent` and /etc/nsswitch.conf"));
        return;
    }
    let report = Report::error(place, format!("there is no {what} `{}`", name.0));
    let cause = report.text.clone();
    let report = match similar(&name.0, known) {
        Some(near) => scene.fixed(report.help(format!("did you mean `{near}`?")), place, quote(near)),
        None => report.help(format!("make it (`{what}add --system {}`), or name another", name.0)),
    };
    scene.add_once(cause, report);
}

/// The name that is most like a missing one: misspelt, or a part of it.
fn similar<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    let part = || known.iter().find(|known| known.starts_with(name) || (known.len() > 2 && name.starts_with(*known)));
    nearest(name, known.iter().map(String::as_str)).or_else(|| part().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names() {
        let known = ["root", "bin", "www-data", "redis"].map(str::to_owned);
        assert_eq!(similar("www", &known), Some("www-data"));
        assert_eq!(similar("reddis", &known), Some("redis"));
        assert_eq!(similar("redis-cache", &known), Some("redis"));
        assert_eq!(similar("postgres", &known), None);
    }
}
