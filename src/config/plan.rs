//! What becomes of what runs when one configuration takes the place of another: only what changed is touched.

use super::explain::{Row, rows, worker};
use super::keys::Change;
use super::load::{Config, Named};
use super::report::visible;
use super::source::{Place, Sources};
use super::tables::Worker;
use std::collections::HashMap;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub action: Action,
    /// With which worker, its instance's number included, or which table.
    pub name: String,
    /// The keys that ask for it, and where they stand now; the old place where they are gone.
    pub because: Vec<(String, Option<Place>)>,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// A worker is stopped.
    Stop,
    /// A worker is stopped and started.
    Restart,
    /// A worker is started.
    Start,
    /// A worker is there for what starts it.
    Wait,
    /// Something else takes force at once.
    Live,
    /// Something would take force when quell is started anew.
    Anew,
}

/// What starting a configuration does: its workers in the order of their needs.
#[must_use]
pub fn start(config: &Config) -> Vec<Step> {
    let mut steps = Vec::new();
    in_order(config).into_iter().for_each(|named| starts(named, &mut steps));
    steps
}

fn starts(named: &Named<Worker>, steps: &mut Vec<Step>) {
    let action = start_action(named);
    let place = if action == Action::Wait { named.keys.start_on.or(named.place) } else { named.place };
    let because = vec![(String::new(), Some(place))];
    let names = instances(named).into_iter();
    steps.extend(names.map(|name| Step { action, name, because: because.clone() }));
}

/// What becomes of a worker that is new: what something else starts waits for that.
fn start_action(named: &Named<Worker>) -> Action {
    if named.keys.start_on.value.is_empty() { Action::Start } else { Action::Wait }
}

/// The workers that are to run, each behind what it needs.
fn in_order(config: &Config) -> Vec<&Named<Worker>> {
    let mut depths: HashMap<&str, usize> = HashMap::new();
    // How many must be ready before, one after the other. A cycle is a mistake, which is said elsewhere: no chain is longer
    // than there are workers.
    for _ in &config.workers {
        let mut grown = false;
        for worker in &config.workers {
            let needs = worker.keys.needs.value.iter().map(|other| 1 + depths.get(&*other.0).copied().unwrap_or(0));
            let depth = needs.max().unwrap_or(0);
            grown |= depths.insert(&worker.name, depth) != Some(depth);
        }
        if !grown {
            break;
        }
    }
    let mut workers: Vec<_> = config.workers.iter().filter(|worker| worker.keys.enabled.value).collect();
    workers.sort_by_key(|worker| depths.get(&*worker.name).copied());
    workers
}

/// The names of a worker's instances.
fn instances(worker: &Named<Worker>) -> Vec<String> {
    match worker.keys.instances.value.0 {
        1 => vec![worker.name.clone()],
        count => (1..=count).map(|n| format!("{}.{n}", worker.name)).collect(),
    }
}

/// What has to be done so that `new` is in force where `old` was: what needs others is stopped before them, and started
/// behind them. Places are those of `new`.
#[must_use]
pub fn plan(old: &Config, new: &Config) -> Vec<Step> {
    let mut steps = Vec::new();
    let runs = |worker: &Named<Worker>| worker.keys.enabled.value;
    let stays = |worker: &Named<Worker>| new.worker(&worker.name).is_some_and(runs);
    for gone in in_order(old).into_iter().rev().filter(|worker| !stays(worker)) {
        let because = new.worker(&gone.name).map(|worker| ("enabled".to_owned(), worker.keys.enabled.place));
        let because: Vec<_> = because.into_iter().collect();
        steps.extend(instances(gone).into_iter().map(|name| Step {
            action: Action::Stop,
            name,
            because: because.clone(),
        }));
    }
    for named in in_order(new) {
        match old.worker(&named.name).filter(|worker| runs(worker)) {
            Some(before) => worker_steps(old, new, before, named, &mut steps),
            None => starts(named, &mut steps),
        }
    }
    let tables = |config: &Config| {
        let mut all = vec![("quell".to_owned(), rows("quell", &config.quell))];
        let queues = config.queues.iter().map(|queue| (format!("queue {}", queue.name), rows("queue", &queue.keys)));
        all.extend(queues);
        all
    };
    let before: HashMap<_, _> = tables(old).into_iter().collect();
    let mut after = tables(new);
    let names: Vec<_> = after.iter().map(|(name, _)| name.clone()).collect();
    for (name, rows) in after.drain(..) {
        match before.get(&name) {
            Some(old) => changed(&name, old, &rows, &[], &mut steps),
            None => {
                let place = name.strip_prefix("queue ").and_then(|queue| new.queue(queue)).map(|queue| queue.place);
                steps.push(Step { action: Action::Live, name, because: vec![("added".into(), place)] });
            }
        }
    }
    let gone = before.keys().filter(|name| !names.contains(name));
    let mut gone: Vec<_> = gone
        .map(|name| Step { action: Action::Live, name: name.clone(), because: vec![("removed".into(), None)] })
        .collect();
    gone.sort_by(|a, b| a.name.cmp(&b.name));
    steps.extend(gone);
    steps.sort_by_key(|step| step.action);
    steps
}

/// What a change of one worker's keys asks for.
fn worker_steps(old: &Config, new: &Config, before: &Named<Worker>, after: &Named<Worker>, steps: &mut Vec<Step>) {
    let own = |config: &Config, name: &str| {
        let rows = worker(config, name);
        rows.into_iter().filter(|row| row.key.name != "enabled").collect::<Vec<_>>()
    };
    let (was, is) = (instances(before), instances(after));
    let (mut old_rows, mut new_rows) = (own(old, &before.name), own(new, &after.name));
    if was != is {
        let because = vec![("instances".to_owned(), after.keys.instances.place)];
        let step = |action, name: &String| Step { action, name: name.clone(), because: because.clone() };
        steps.extend(was.iter().filter(|name| !is.contains(name)).map(|name| step(Action::Stop, name)));
        steps.extend(is.iter().filter(|name| !was.contains(name)).map(|name| step(start_action(after), name)));
        // The only one has no number: from or to it, all are others.
        if was.len() == 1 || is.len() == 1 {
            return;
        }
        // The others do not see it.
        for rows in [&mut old_rows, &mut new_rows] {
            rows.retain(|row| row.key.name != "instances");
        }
    }
    // Lists that mean the same are the same, however they are written.
    let needs = |worker: &Named<Worker>| {
        worker.keys.needs.value.iter().map(|name| name.0.clone()).collect::<std::collections::BTreeSet<_>>()
    };
    let same = [
        ("needs", needs(before) == needs(after)),
        ("start_on", before.keys.start_on == after.keys.start_on),
        ("expect", before.keys.expect == after.keys.expect),
    ];
    let differs = |row: &Row| !same.contains(&(row.key.name, true));
    old_rows.retain(differs);
    new_rows.retain(differs);
    // Sockets are handed over at a start.
    let sockets = |worker: &Named<Worker>| worker.keys.sockets().map(|(at, _)| at.clone()).collect::<Vec<_>>();
    let handed: &[&str] = if sockets(before) == sockets(after) { &[] } else { &["start_on"] };
    changed(&after.name, &old_rows, &new_rows, handed, steps);
}

/// The keys whose values differ, as one step for all that ask for the same. A change of one that is `handed` to processes
/// reaches those that are started after it.
fn changed(name: &str, old: &[Row], new: &[Row], handed: &[&str], steps: &mut Vec<Step>) {
    let asked = |row: &Row| if handed.contains(&row.key.name) { Change::Restart } else { row.key.change };
    for (action, change) in
        [(Action::Restart, Change::Restart), (Action::Live, Change::Live), (Action::Anew, Change::Anew)]
    {
        let differ = old.iter().zip(new).filter(|(old, new)| old.value != new.value && asked(new) == change);
        let because: Vec<_> = differ
            .map(|(_, new)| {
                let key = new.path.splitn(3, '.').skip(1).collect::<Vec<_>>().join(".");
                let key = key.strip_prefix(&format!("{name}.")).unwrap_or(&key).to_owned();
                (key, new.place)
            })
            .collect();
        if !because.is_empty() {
            steps.push(Step { action, name: name.to_owned(), because });
        }
    }
}

/// The plan for people; one line a step.
#[must_use]
pub fn to_text(steps: &[Step], sources: &Sources) -> String {
    let mut text = String::new();
    for Step { action, name, because } in steps {
        let because: Vec<_> = because
            .iter()
            .map(|(key, place)| {
                let at = place.map(|place| sources.show_line(place));
                match (key.as_str(), at) {
                    ("", at) => at.unwrap_or_default(),
                    ("added" | "removed", at) => {
                        [Some(key.clone()), at].into_iter().flatten().collect::<Vec<_>>().join(", ")
                    }
                    (key, Some(at)) => format!("{key} changed, {at}"),
                    (key, None) => format!("{key} changed, no longer set"),
                }
            })
            .collect();
        let because = because.join("; ");
        let line = match action {
            Action::Start => format!("+ start {name}: {because}"),
            Action::Wait => format!("= {name} waits for its start_on: {because}"),
            Action::Stop if because.is_empty() => format!("- stop {name}: removed"),
            Action::Stop => format!("- stop {name}: {because}"),
            Action::Restart => format!("~ restart {name}: {because}"),
            Action::Live => format!("= {name}, no restart: {because}"),
            Action::Anew => format!("! {name}, when quell is started anew: {because}"),
        };
        text.push_str(&line);
        text.push('\n');
    }
    visible(&text).into_owned()
}
