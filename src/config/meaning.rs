//! What a configuration means as a whole: names that lead nowhere, cycles, two writers of one log, work that nobody does.
//! Each check looks at one thing and is a function of the configuration alone.

mod addresses;
mod cycles;
mod daemons;

use super::keys::Set;
use super::kind::{join, nearest};
use super::load::{Config, Files, Named, WorkerLog};
use super::report::Report;
use super::source::{Place, Sources};
use super::tables::{
    Argv, Expected, Protocol, Queue, QueueEvent, Ready, ReadyBy, Restart, Trigger, Worker, WorkerKind,
};
use super::typed::{Choice, Int, Item, Text, Words};
use super::unit::{show_duration, show_size, write_duration, write_size};
use super::values::{Address, Store};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// What systemd and most scripts grant before they kill.
const INIT_PATIENCE: Duration = Duration::from_secs(90);

/// What is not known of a configuration with mistakes.
#[derive(Clone, Debug, Default)]
pub struct Doubt {
    /// What could not be read, as it was written.
    pub unread: Vec<String>,
    /// Whole files are missing.
    pub lost: bool,
}

impl Doubt {
    /// Whether a name stands in what could not be read.
    fn covers(&self, name: &str) -> bool {
        let of_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
        let stands = |text: &String| {
            let bounded = |at: usize| !text[..at].ends_with(of_name) && !text[at + name.len()..].starts_with(of_name);
            text.match_indices(name).any(|(at, _)| bounded(at) || text[..at].ends_with('.'))
        };
        self.lost || self.unread.iter().any(stands)
    }
}

/// Looks for what is wrong with the whole. What other mistakes may have hidden is not said to be missing. `files` are those of
/// the programs that are to run: one may say that it stays in front.
pub fn check(config: &Config, sources: &Sources, doubt: &Doubt, files: &mut dyn Files, reports: &mut Vec<Report>) {
    let view = View::new(config, sources, doubt);
    if config.workers.is_empty() && !doubt.lost && doubt.unread.is_empty() {
        let place = Place { file: 0, start: 0, end: 0 };
        let report = Report::error(place, "there is no worker: nothing to run");
        reports.push(report.help("add a table [worker.NAME], or let `quell init -- CMD` write one"));
    }
    for (worker, log) in config.workers.iter().zip(&config.logs) {
        view.command(worker, reports);
        view.numbers(worker, reports);
        view.life(worker, reports);
        view.slots(worker, reports);
        view.descriptors(worker, reports);
        view.retention(log, reports);
        daemons::daemonises(worker, view.sources, files, reports);
    }
    if !doubt.lost {
        view.references(reports);
        view.consumers(reports);
    }
    view.files(reports);
    addresses::check(config, sources, reports);
    view.cycles(reports);
    view.loops(reports);
    view.writers(reports);
    view.patience(reports);
    view.results(reports);
}

struct View<'a> {
    config: &'a Config,
    sources: &'a Sources,
    doubt: &'a Doubt,
    /// Where the workers and queues of these names stand.
    workers: HashMap<&'a str, usize>,
    queues: HashMap<&'a str, usize>,
    /// How many names lead nowhere so far.
    missing: Cell<usize>,
}

/// For so many names that lead nowhere a nearer one is looked for, and so many are said.
const NEAREST_MAX: usize = 50;
const MISSING_MAX: usize = 1001;

impl Trigger {
    /// Whether it is a queue whose tasks a worker is given, and no state of a queue.
    #[must_use]
    pub fn is_of_tasks(&self) -> bool {
        let added = self.event.value.as_ref().is_none_or(|event| event.0 == QueueEvent::Added.word());
        let plain = self.path.value.is_none() && self.depth.value.is_none() && self.batch.value.is_none();
        self.queue.value.is_some() && added && plain
    }
}

impl Worker {
    /// What it is: as it says, or a oneshot where something starts it.
    #[must_use]
    pub fn kind_in_force(&self) -> WorkerKind {
        match (&self.kind.value, self.start_on.place) {
            (Some(Choice(kind)), _) => *kind,
            // One that stays for more tasks is not done with the first.
            (None, Some(_)) if self.protocol.value.0 == Protocol::Exec => WorkerKind::Oneshot,
            (None, _) => WorkerKind::Service,
        }
    }

    /// When it is started again: as it says, or as its kind has it.
    #[must_use]
    pub fn restart_in_force(&self) -> Restart {
        match (&self.restart.value, self.kind_in_force()) {
            (Some(Choice(restart)), _) => *restart,
            (None, WorkerKind::Oneshot) => Restart::Never,
            // Tasks may wait for it, however it ended.
            (None, WorkerKind::Service) if self.protocol.value.0 == Protocol::Lines => Restart::Always,
            (None, WorkerKind::Service) => Restart::OnFailure,
        }
    }

    /// The queues whose tasks it does.
    pub fn consumes(&self) -> impl Iterator<Item = (&str, &Trigger)> {
        let triggers = self.start_on.value.iter().map(|Item(trigger, _)| trigger);
        let takes = |trigger: &&Trigger| {
            trigger.path.value.is_none() && trigger.event.value.as_ref().is_none_or(|event| event.0 == "added")
        };
        triggers.filter(takes).filter_map(|trigger| Some((trigger.queue.value.as_ref()?.0.as_str(), trigger)))
    }

    /// The queues whose tasks it is given; none where it is started by the state of a queue, or by nothing.
    pub fn given(&self) -> impl Iterator<Item = &str> {
        let triggers = self.start_on.value.iter().map(|Item(trigger, _)| trigger);
        triggers
            .filter(|trigger| trigger.is_of_tasks())
            .filter_map(|trigger| Some(trigger.queue.value.as_ref()?.0.as_str()))
    }

    /// The addresses whose connections start it, and where they stand, in their order.
    pub fn sockets(&self) -> impl Iterator<Item = (&Address, Place)> {
        let sockets = self.start_on.value.iter().map(|Item(trigger, place)| (&trigger.socket, *place));
        sockets.filter_map(|(socket, place)| Some((socket.value.as_ref()?, socket.or(place))))
    }

    /// The words of its command, whether a shell takes them apart or not.
    fn words(&self) -> Vec<&str> {
        let argv = self.command.value.iter().flat_map(|Argv(argv)| argv.iter().map(|word| word.0.as_str()));
        argv.chain(self.shell.value.iter().flat_map(|shell| shell.0.split_whitespace())).collect()
    }
}

impl Queue {
    /// Whether it is on a server.
    fn is_shared(&self) -> bool {
        self.store.value != Store::Embedded
    }
}

impl<'a> View<'a> {
    fn new(config: &'a Config, sources: &'a Sources, doubt: &'a Doubt) -> View<'a> {
        let workers = config.workers.iter().enumerate().map(|(at, worker)| (worker.name.as_str(), at)).collect();
        let queues = config.queues.iter().enumerate().map(|(at, queue)| (queue.name.as_str(), at)).collect();
        View { config, sources, doubt, workers, queues, missing: Cell::new(0) }
    }

    fn worker(&self, name: &str) -> Option<&'a Named<Worker>> {
        self.workers.get(name).map(|at| &self.config.workers[*at])
    }

    fn queue(&self, name: &str) -> Option<&'a Named<Queue>> {
        self.queues.get(name).map(|at| &self.config.queues[*at])
    }

    fn command(&self, worker: &Named<Worker>, reports: &mut Vec<Report>) {
        let (keys, name) = (&worker.keys, &worker.name);
        match (keys.command.place, keys.shell.place) {
            (Some(command), Some(shell)) => {
                let report = Report::error(shell, "`command` and `shell` both say what to run");
                reports.push(report.help("keep one").also(command, "the other"));
            }
            (None, None) if !worker.mistaken && !self.doubt.covers(name) => {
                let report = Report::error(worker.place, format!("worker `{name}` has no command"));
                reports.push(report.help("add `command = [\"/path/to/program\", \"argument\"]`"));
            }
            _ => {}
        }
    }

    /// `{n}` stands for an instance's number.
    fn numbers(&self, worker: &Named<Worker>, reports: &mut Vec<Report>) {
        let keys = &worker.keys;
        if keys.instances.value.0 > 1 || worker.mistaken {
            return;
        }
        let argv = keys
            .command
            .value
            .iter()
            .flat_map(|Argv(argv)| argv.iter().map(|word| (word.0.as_str(), &keys.command.place)));
        let shell = keys.shell.value.iter().map(|shell| (shell.0.as_str(), &keys.shell.place));
        let env = keys.env.value.0.values().map(|text| (text.0.as_str(), &keys.env.place));
        if let Some((text, Some(place))) = argv.chain(shell).chain(env).find(|(text, _)| text.contains("{n}")) {
            let place = self.sources.quoted(text, *place);
            let report = Report::error(place, "`{n}` is the number of an instance, and there is only one");
            reports.push(report.help("add `instances = 2`, or write the number itself"));
        }
    }

    fn life(&self, worker: &Named<Worker>, reports: &mut Vec<Report>) {
        let keys = &worker.keys;
        if keys.kind_in_force() == WorkerKind::Oneshot && keys.restart_in_force() == Restart::Always {
            let place = keys.restart.or(worker.place);
            let report = Report::error(place, "a oneshot that is always restarted never is done: an endless loop");
            let why = keys.kind.place.or(keys.start_on.place).unwrap_or(worker.place);
            let report = report.also(why, "this makes it a oneshot");
            reports.push(report.help("write restart = \"on-failure\", or kind = \"service\""));
        }
        let whole = &self.config.quell.stop_timeout;
        if keys.stop.grace.place.is_some() && keys.stop.grace.value > whole.value {
            let text = format!(
                "`stop.grace` of {} is longer than the whole stop may take, which is {}",
                write_duration(keys.stop.grace.value),
                write_duration(whole.value)
            );
            let report = Report::warning(keys.stop.grace.or(worker.place), text);
            let report = whole.place.into_iter().fold(report, |report, place| report.also(place, "the whole stop"));
            reports.push(report.help("shorten it, or raise `stop_timeout` in [quell]"));
        }
        if keys.consumes().next().is_none() {
            let idle = [
                ("slots", keys.slots.total.place.or(keys.slots.high.place)),
                ("retry", keys.retry.tries.place.or(keys.retry.first.place).or(keys.retry.max.place)),
                ("timeout", keys.timeout.place.filter(|_| keys.kind_in_force() == WorkerKind::Service)),
                ("protocol", keys.protocol.place),
            ];
            for (name, place) in idle.iter().filter_map(|(name, place)| Some((name, (*place)?))) {
                let report =
                    Report::warning(place, format!("`{name}` is about tasks, and `{}` takes none", worker.name));
                reports.push(report.help("add start_on = [{ queue = \"…\" }], or remove it"));
            }
        }
    }

    fn slots(&self, worker: &Named<Worker>, reports: &mut Vec<Report>) {
        let keys = &worker.keys;
        let (total, what) = match keys.protocol.value.0 {
            Protocol::Exec => (keys.slots.total.value.0, "slots"),
            Protocol::Lines => (keys.instances.value.0, "instances"),
        };
        let Int(high) = keys.slots.high.value;
        if high >= total && high > 0 && !worker.mistaken {
            let text = format!("`high` takes {high} of {total} {what}: normal and low tasks would never run");
            let report = Report::error(keys.slots.high.or(worker.place), text);
            reports.push(report.help(format!("reserve at most {}, or allow more {what}", total - 1)));
        }
    }

    /// The sockets that are passed on stand from 3 on, then the task socket (sd_listen_fds(3)).
    fn descriptors(&self, worker: &Named<Worker>, reports: &mut Vec<Report>) {
        let keys = &worker.keys;
        let Ready::By(Item(ReadyBy { fd: Set { value: Some(Int(fd)), place }, .. }, _)) = &keys.ready.value else {
            return;
        };
        let sockets = keys.sockets().count() as i64;
        let tasks = i64::from(keys.protocol.value.0 == Protocol::Lines);
        let first_free = 3 + sockets + tasks;
        if *fd < first_free {
            let text = format!("descriptor {fd} is taken: sockets and tasks stand on 3 to {}", first_free - 1);
            let report = Report::error(place.unwrap_or(worker.place), text);
            reports.push(report.help(format!("write fd = {first_free} or more")));
        }
    }

    fn retention(&self, log: &WorkerLog, reports: &mut Vec<Report>) {
        let whole = &log.whole;
        for (name, retain, own) in [
            ("routine", &whole.retain.routine, &log.own.retain.routine),
            ("critical", &whole.retain.critical, &log.own.retain.critical),
        ] {
            let (Some(total), Some(file)) = (retain.value.bytes, whole.rotate.value.bytes) else { continue };
            // What the worker itself says is what makes it so.
            let own = own.place.or(log.own.rotate.place);
            let Some(place) = own.or(retain.place).or(whole.rotate.place).filter(|_| total < file) else { continue };
            let text = format!(
                "`retain.{name}` keeps {} in all, less than one file: `rotate` is {}",
                show_size(total),
                show_size(file)
            );
            let report = Report::error(place, text);
            let other = whole.rotate.place.filter(|other| *other != place);
            let report = other.into_iter().fold(report, |report, other| report.also(other, "files are that large"));
            reports.push(report.help(format!(
                "keep {} or more, or rotate at {} or less",
                write_size(file * 2),
                write_size(total / 2)
            )));
            if whole.rotate.place == Some(place) {
                // The other class would say the same of the same key.
                return;
            }
        }
    }

    /// A name in a list that leads to no worker or queue.
    fn reference(&self, what: &str, name: &str, from: Place, reports: &mut Vec<Report>) {
        let is_worker = what == "worker";
        let is_known = if is_worker { &self.workers } else { &self.queues }.contains_key(name);
        if is_known || self.missing.get() > MISSING_MAX || self.doubt.covers(name) {
            return;
        }
        self.missing.set(self.missing.get() + 1);
        let known: Vec<&str> = match is_worker {
            true => self.config.workers.iter().map(|worker| worker.name.as_str()).collect(),
            false => self.config.queues.iter().map(|queue| queue.name.as_str()).collect(),
        };
        let place = self.sources.quoted(name, from);
        let report = Report::error(place, format!("no {what} is called `{name}`"));
        let near = if self.missing.get() <= NEAREST_MAX { nearest(name, known.iter().copied()) } else { None };
        reports.push(match near {
            Some(near) => report.help(format!("did you mean `{near}`?")).fix(place, format!("\"{near}\"")),
            None if known.is_empty() => report.help(format!("define [{what}.{name}]")),
            None => {
                let known = join(known.iter().take(20).map(|name| format!("`{name}`")), "and");
                report.help(format!("there are {known}; or define [{what}.{name}]"))
            }
        });
    }

    fn references(&self, reports: &mut Vec<Report>) {
        let mut look = |what: &str, name: &Set<Option<Text>>, item: Place| {
            if let Some(Text(text)) = &name.value {
                self.reference(what, text, name.or(item), reports);
            }
        };
        for worker in &self.config.workers {
            for Item(trigger, place) in &worker.keys.start_on.value {
                look("queue", &trigger.queue, *place);
                look("worker", &trigger.worker, *place);
            }
        }
        for Item(test, place) in &self.config.tests {
            look("worker", &test.worker, *place);
            if let Some(Item(source, place)) = &test.source.value {
                look("queue", &source.queue, *place);
                look("worker", &source.worker, *place);
            }
            if let Some(Expected::Start(Item(started, place))) = &test.expect.value {
                look("worker", &started.start, *place);
            }
        }
        for worker in &self.config.workers {
            for Text(name) in &worker.keys.needs.value {
                let from = worker.keys.needs.or(worker.place);
                self.reference("worker", name, from, reports);
                if worker.keys.enabled.value && self.worker(name).is_some_and(|other| !other.keys.enabled.value) {
                    let place = self.sources.quoted(name, from);
                    let report =
                        Report::error(place, format!("`{}` needs `{name}`, which is not enabled", worker.name));
                    reports.push(report.help(format!("enable `{name}`, or do not need it")));
                }
            }
        }
    }

    /// Files become tasks in one transaction with what is remembered of them, so only of queues that are stored here.
    fn files(&self, reports: &mut Vec<Report>) {
        let triggers = self.config.workers.iter().flat_map(|worker| &worker.keys.start_on.value);
        for Item(trigger, place) in triggers {
            let (Some(path), Some(Text(name))) = (&trigger.path.value, &trigger.queue.value) else { continue };
            let Some(queue) = self.queue(name).filter(|queue| queue.keys.is_shared()) else { continue };
            let text =
                format!("files {} cannot become tasks of `{name}`: its `store` is elsewhere", path.path().display());
            let report = Report::error(trigger.queue.or(*place), text);
            let report = report.also(queue.keys.store.or(queue.place), "the store");
            let help = format!("let a worker that the path starts put them: `quell put {name}`");
            reports.push(report.help(help));
        }
    }

    fn consumers(&self, reports: &mut Vec<Report>) {
        let workers = &self.config.workers;
        if workers.iter().any(|worker| worker.mistaken) || self.doubt.lost || !self.doubt.unread.is_empty() {
            return;
        }
        let taken = workers.iter().flat_map(|worker| worker.keys.consumes().map(|(name, _)| name));
        let mut taken: HashSet<&str> = taken.collect();
        // Who takes tasks of a queue that there is not means one that there is, which is said there.
        let queues = || self.config.queues.iter().map(|queue| queue.name.as_str());
        let missing: Vec<_> = taken.iter().filter(|name| self.queue(name).is_none()).copied().collect();
        taken.extend(missing.into_iter().take(NEAREST_MAX).filter_map(|name| nearest(name, queues())));
        // Another host may take tasks of one that is shared.
        for queue in self.config.queues.iter().filter(|queue| !queue.keys.is_shared()) {
            if !taken.contains(queue.name.as_str()) {
                let name = &queue.name;
                let report =
                    Report::error(queue.place, format!("no worker takes tasks of `{name}`: they would wait for ever"));
                reports.push(report.help(format!("add start_on = [{{ queue = \"{name}\" }}] to a worker")));
            }
        }
    }

    /// Two workers that log to one directory: one is called as an instance of the other is.
    fn writers(&self, reports: &mut Vec<Report>) {
        let single = |at: &usize| self.config.workers[*at].keys.instances.value.0 == 1;
        for at in (0..self.config.workers.len()).filter(single) {
            let name = self.config.workers[at].name.as_str();
            let Some((head, number)) = name.rsplit_once('.') else { continue };
            let Some(other) = self.workers.get(head).copied().filter(|at| !single(at)) else { continue };
            let instances = self.config.workers[other].keys.instances.value.0;
            let is_instance =
                number.parse().is_ok_and(|n| (1..=instances).contains(&n)) && !number.starts_with(['0', '+']);
            let dir = |at: usize| self.config.logs[at].whole.dir.value.as_ref().map(|path| &path.0);
            if !is_instance || dir(at) != dir(other) {
                continue;
            }
            let (first, second) = (&self.config.workers[at.min(other)], &self.config.workers[at.max(other)]);
            let text = format!(
                "`{}` and `{}` would both write to the log `{name}`, and rotation would lose lines",
                second.name, first.name
            );
            let report = Report::error(second.place, text).also(first.place, "the other");
            reports.push(report.help("rename one; instances are called NAME.1, NAME.2, …"));
        }
    }

    fn patience(&self, reports: &mut Vec<Report>) {
        let stop = &self.config.quell.stop_timeout;
        if let Some(place) = stop.place.filter(|_| stop.value > INIT_PATIENCE) {
            let text = format!(
                "`stop_timeout` of {} is longer than the 90 s after which init kills",
                show_duration(stop.value)
            );
            let report = Report::warning(place, text);
            reports.push(report.help("shorten it, or raise init's (TimeoutStopSec= in a unit) as well"));
        }
    }

    /// Tries that go on when the results of the first are forgotten.
    fn results(&self, reports: &mut Vec<Report>) {
        for worker in &self.config.workers {
            let retry = &worker.keys.retry;
            let span = tries_last(retry.tries.value.0, retry.first.value, retry.max.value);
            for (name, _) in worker.keys.consumes() {
                let Some(queue) = self.queue(name) else { continue };
                let keep = &queue.keys.keep_done;
                let set = [retry.tries.place, retry.max.place, retry.first.place, keep.place];
                let Some(place) = set.into_iter().flatten().next().filter(|_| span > keep.value) else { continue };
                let text = format!(
                    "{} tries can take {}, but results are kept for {}",
                    retry.tries.value.0,
                    show_duration(span),
                    show_duration(keep.value)
                );
                let report = Report::warning(place, text).also(queue.place, "the queue");
                reports.push(report.help("raise `keep_done`, or try less often"));
            }
        }
    }
}

/// The waits between so many tries, doubled each time up to the longest.
fn tries_last(tries: i64, first: Duration, max: Duration) -> Duration {
    let mut wait = first.min(max);
    let mut whole = Duration::ZERO;
    for waits in (0..tries - 1).rev() {
        if wait == max {
            return whole.saturating_add(max.saturating_mul(u32::try_from(waits + 1).unwrap_or(u32::MAX)));
        }
        whole = whole.saturating_add(wait);
        wait = wait.saturating_mul(2).min(max);
    }
    whole
}
