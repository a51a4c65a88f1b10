//! What a configuration means as a whole: names that lead nowhere, cycles, two writers of one log, work that nobody does.
//! Each check looks at one thing and is a function of the configuration alone.

use super::keys::Set;
use super::kind::{join, nearest};
use super::load::{Config, Files, Named, WorkerLog};
use super::report::Report;
use super::source::{Place, Sources};
use super::tables::{Argv, Expected, Protocol, Ready, ReadyBy, Restart, Trigger, Worker, WorkerKind};
use super::typed::{Choice, Int, Item, Text};
use super::unit::{show_duration, show_size, write_duration, write_size};
use std::collections::HashMap;
use std::time::Duration;

/// What systemd and most scripts grant before they kill.
const INIT_PATIENCE: Duration = Duration::from_secs(90);

/// Looks for what is wrong with the whole. Where something was wrong already, nothing is said to be missing. `files` are those
/// of the programs that are to run: one may say that it stays in front.
pub fn check(config: &Config, sources: &Sources, mistaken: bool, files: &mut dyn Files, reports: &mut Vec<Report>) {
    let view = View { config, sources, mistaken };
    if config.workers.is_empty() && !mistaken {
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
        daemonises(worker, view.sources, files, reports);
    }
    view.references(reports);
    view.cycles(reports);
    view.loops(reports);
    view.consumers(reports);
    view.writers(reports);
    view.patience(reports);
    view.results(reports);
}

struct View<'a> {
    config: &'a Config,
    sources: &'a Sources,
    mistaken: bool,
}

impl Worker {
    /// What it is: as it says, or a oneshot where something starts it.
    #[must_use]
    pub fn kind_in_force(&self) -> WorkerKind {
        match (&self.kind.value, self.start_on.place) {
            (Some(Choice(kind)), _) => *kind,
            (None, Some(_)) => WorkerKind::Oneshot,
            (None, None) => WorkerKind::Service,
        }
    }

    /// When it is started again: as it says, or as its kind has it.
    #[must_use]
    pub fn restart_in_force(&self) -> Restart {
        match (&self.restart.value, self.kind_in_force()) {
            (Some(Choice(restart)), _) => *restart,
            (None, WorkerKind::Oneshot) => Restart::Never,
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

    /// The words of its command, whether a shell takes them apart or not.
    fn words(&self) -> Vec<&str> {
        let argv = self.command.value.iter().flat_map(|Argv(argv)| argv.iter().map(|word| word.0.as_str()));
        argv.chain(self.shell.value.iter().flat_map(|shell| shell.0.split_whitespace())).collect()
    }
}

impl Trigger {
    /// What it waits for, where that is a queue or a worker.
    fn describe(&self) -> String {
        let event = |or: &str| self.event.value.as_ref().map_or(or.to_owned(), |event| event.0.clone());
        match (&self.queue.value, &self.worker.value, &self.line.value) {
            (_, Some(Text(worker)), Some(_)) => format!("a line of `{worker}`"),
            (_, Some(Text(worker)), None) => format!("{} of `{worker}`", event("exit")),
            (Some(Text(queue)), None, _) => format!("{} in `{queue}`", event("added")),
            _ => String::new(),
        }
    }
}

impl View<'_> {
    fn command(&self, worker: &Named<Worker>, reports: &mut Vec<Report>) {
        let (keys, name) = (&worker.keys, &worker.name);
        match (keys.command.place, keys.shell.place) {
            (Some(command), Some(shell)) => {
                let report = Report::error(shell, "`command` and `shell` both say what to run");
                reports.push(report.help("keep one").also(command, "the other"));
            }
            (None, None) if !worker.mistaken && !self.is_broken(worker) => {
                let report = Report::error(worker.place, format!("worker `{name}` has no command"));
                reports.push(report.help("add `command = [\"/path/to/program\", \"argument\"]`"));
            }
            _ => {}
        }
    }

    /// Whether a statement of a worker's file could not be read.
    fn is_broken(&self, worker: &Named<Worker>) -> bool {
        self.mistaken && worker.keys.command.place.is_none()
    }

    /// `{n}` stands for an instance's number.
    fn numbers(&self, worker: &Named<Worker>, reports: &mut Vec<Report>) {
        let keys = &worker.keys;
        if keys.instances.value.0 > 1 {
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
        if high >= total && high > 0 {
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
        let sockets =
            keys.start_on.value.iter().filter(|Item(trigger, _)| trigger.socket.value.is_some()).count() as i64;
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
        for (name, retain) in [("routine", &whole.retain.routine), ("critical", &whole.retain.critical)] {
            let (Some(total), Some(file)) = (retain.value.bytes, whole.rotate.value.bytes) else { continue };
            let Some(place) = retain.place.or(whole.rotate.place).filter(|_| total < file) else { continue };
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
        }
    }

    /// A name in a list that leads to no worker or queue.
    fn reference(&self, what: &str, name: &str, from: Place, reports: &mut Vec<Report>) {
        let known: Vec<&str> = match what {
            "worker" => self.config.workers.iter().map(|worker| worker.name.as_str()).collect(),
            _ => self.config.queues.iter().map(|queue| queue.name.as_str()).collect(),
        };
        if known.contains(&name) {
            return;
        }
        let place = self.sources.quoted(name, from);
        let report = Report::error(place, format!("no {what} is called `{name}`"));
        reports.push(match nearest(name, known.iter().copied()) {
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
                if worker.keys.enabled.value && self.config.worker(name).is_some_and(|other| !other.keys.enabled.value)
                {
                    let place = self.sources.quoted(name, from);
                    let report =
                        Report::error(place, format!("`{}` needs `{name}`, which is not enabled", worker.name));
                    reports.push(report.help(format!("enable `{name}`, or do not need it")));
                }
            }
        }
    }

    /// Workers that need each other.
    fn cycles(&self, reports: &mut Vec<Report>) {
        let index: HashMap<&str, usize> =
            self.config.workers.iter().enumerate().map(|(at, worker)| (worker.name.as_str(), at)).collect();
        let edges: Vec<Vec<(usize, Place)>> = self
            .config
            .workers
            .iter()
            .map(|worker| {
                let from = worker.keys.needs.or(worker.place);
                let needs = worker.keys.needs.value.iter();
                needs
                    .filter_map(|name| Some((*index.get(name.0.as_str())?, self.sources.quoted(&name.0, from))))
                    .collect()
            })
            .collect();
        for cycle in find_cycles(&edges) {
            let what = "workers that need each other can never start";
            self.report_cycle(&cycle, what, &|_| None, "needs", "remove one of the needs", reports);
        }
    }

    /// Says of a cycle, from the worker that is written first on, who leads to whom.
    fn report_cycle(
        &self,
        cycle: &[(usize, Place)],
        what: &str,
        by: &dyn Fn(Place) -> Option<String>,
        leads: &str,
        help: &str,
        reports: &mut Vec<Report>,
    ) {
        let Some(first) = cycle.iter().min_by_key(|(at, _)| *at).map(|(at, _)| *at) else { return };
        let start = cycle.iter().position(|(at, _)| *at == first).unwrap_or(0);
        let turned: Vec<_> = cycle[start..].iter().chain(&cycle[..start]).collect();
        let name = |at: usize| self.config.workers[at].name.as_str();
        let path: Vec<_> = turned.iter().map(|(at, _)| name(*at)).chain([name(first)]).collect();
        let step =
            |(at, place): &&(usize, Place)| by(*place).map_or(name(*at).into(), |by| format!("{} ({by})", name(*at)));
        let steps: Vec<String> = turned.iter().map(step).chain([name(first).into()]).collect();
        let report = Report::error(turned[0].1, format!("{what}: {}", steps.join(" → "))).help(help);
        let others = turned.iter().enumerate().skip(1);
        reports.push(others.fold(report, |report, (at, (_, place))| {
            report.also(*place, format!("`{}` {leads} `{}`", path[at], path[at + 1]))
        }));
    }

    /// Workers that start each other without end.
    fn loops(&self, reports: &mut Vec<Report>) {
        let workers = &self.config.workers;
        // From a worker to each that its end, its start, its line, or what it puts, starts.
        let mut edges: Vec<Vec<(usize, Place)>> = vec![Vec::new(); workers.len()];
        for (to, worker) in workers.iter().enumerate() {
            for Item(trigger, place) in &worker.keys.start_on.value {
                for (from, source) in workers.iter().enumerate() {
                    let by_worker = trigger.worker.value.as_ref().is_some_and(|name| name.0 == source.name);
                    let queue = trigger.queue.value.as_ref().filter(|_| trigger.path.value.is_none());
                    let takes = |name: &str| source.keys.consumes().any(|(queue, _)| queue == name);
                    let by_queue = queue.is_some_and(|queue| match &trigger.event.value {
                        Some(event) if event.0 != "added" => takes(&queue.0),
                        _ => puts(&source.keys, &queue.0),
                    });
                    if by_worker || by_queue {
                        edges[from].push((to, *place));
                    }
                }
            }
        }
        for cycle in find_cycles(&edges) {
            let help = "remove one of the triggers, or let the worker see for itself when to stop";
            let triggers = || workers.iter().flat_map(|worker| &worker.keys.start_on.value);
            let by = |place| triggers().find(|Item(_, at)| *at == place).map(|Item(trigger, _)| trigger.describe());
            self.report_cycle(&cycle, "a loop of triggers without an end", &by, "starts", help, reports);
        }
    }

    fn consumers(&self, reports: &mut Vec<Report>) {
        if self.config.workers.iter().any(|worker| worker.mistaken) {
            return;
        }
        for queue in &self.config.queues {
            let consumed = |worker: &Named<Worker>| worker.keys.consumes().any(|(name, _)| name == queue.name);
            if !self.config.workers.iter().any(consumed) {
                let name = &queue.name;
                let report =
                    Report::error(queue.place, format!("no worker takes tasks of `{name}`: they would wait for ever"));
                reports.push(report.help(format!("add start_on = [{{ queue = \"{name}\" }}] to a worker")));
            }
        }
    }

    /// Two workers that log to one directory.
    fn writers(&self, reports: &mut Vec<Report>) {
        let mut seen: HashMap<(String, String), (usize, Place)> = HashMap::new();
        for (at, (worker, log)) in self.config.workers.iter().zip(&self.config.logs).enumerate() {
            let dir = log.whole.dir.print_path();
            let Int(instances) = worker.keys.instances.value;
            let names = match instances {
                1 => vec![worker.name.clone()],
                _ => (1..=instances).map(|n| format!("{}.{n}", worker.name)).collect(),
            };
            for name in names {
                let key = (dir.clone(), name.clone());
                let Some((other, first)) = seen.get(&key).copied().filter(|(other, _)| *other != at) else {
                    seen.insert(key, (at, worker.place));
                    continue;
                };
                let other = &self.config.workers[other].name;
                let text = format!(
                    "`{}` and `{other}` would both write to the log `{name}`, and rotation would lose lines",
                    worker.name
                );
                let report = Report::error(worker.place, text).also(first, "the other");
                reports.push(report.help("rename one; instances are called NAME.1, NAME.2, …"));
            }
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
                let Some(queue) = self.config.queue(name) else { continue };
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

impl Set<Option<super::values::PathName>> {
    fn print_path(&self) -> String {
        self.value.as_ref().map(|path| path.0.to_string_lossy().into_owned()).unwrap_or_default()
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

/// Whether a worker's command puts tasks into a queue.
fn puts(worker: &Worker, queue: &str) -> bool {
    let words = worker.words();
    let quell = |word: &str| word == "quell" || word.ends_with("/quell");
    words.windows(3).any(|w| quell(w[0]) && w[1] == "put" && w[2..].iter().any(|word| *word == queue))
}

/// The cycles of a graph that a walk finds which visits every node once, each as its nodes and the edges that leave them.
fn find_cycles(edges: &[Vec<(usize, Place)>]) -> Vec<Vec<(usize, Place)>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; edges.len()];
    let mut cycles = Vec::new();
    for root in 0..edges.len() {
        // The nodes that are open, each with the edge to follow next.
        let mut path: Vec<(usize, usize)> = Vec::new();
        if marks[root] == Mark::New {
            marks[root] = Mark::Open;
            path.push((root, 0));
        }
        while let Some((node, next)) = path.last_mut() {
            let Some(&(to, _)) = edges[*node].get(*next) else {
                marks[*node] = Mark::Done;
                path.pop();
                continue;
            };
            *next += 1;
            match marks[to] {
                Mark::New => {
                    marks[to] = Mark::Open;
                    path.push((to, 0));
                }
                Mark::Open => {
                    let from = path.iter().position(|(node, _)| *node == to).unwrap_or(0);
                    cycles.push(path[from..].iter().map(|(node, next)| (*node, edges[*node][next - 1].1)).collect());
                }
                Mark::Done => {}
            }
        }
    }
    cycles
}

/// Programs that go into the background by themselves: their name, the words of which one keeps them in front (none: a word
/// sends them there), the words that send them, and what to write.
const DAEMONS: [(&str, &[&str], &[&str], &str); 25] = [
    ("nginx", &["daemon off"], &[], "add \"-g\", \"daemon off;\""),
    ("apache2", &["FOREGROUND", "-X"], &[], "add \"-DFOREGROUND\""),
    ("httpd", &["FOREGROUND", "-X", "-f"], &[], "add \"-DFOREGROUND\""),
    ("apachectl", &["FOREGROUND"], &[], "add \"-DFOREGROUND\""),
    ("sshd", &["-D", "-i", "-t", "-T"], &[], "add \"-D\""),
    ("cron", &["-f"], &[], "add \"-f\""),
    ("crond", &["-f", "-n"], &[], "add \"-n\" or \"-f\""),
    ("rsyslogd", &["-n"], &[], "add \"-n\""),
    ("dnsmasq", &["-k", "-d", "--keep-in-foreground", "--no-daemon"], &[], "add \"--keep-in-foreground\""),
    ("keepalived", &["-n", "--dont-fork"], &[], "add \"--dont-fork\""),
    ("squid", &["-N", "--foreground"], &[], "add \"--foreground\""),
    ("named", &["-f", "-g"], &[], "add \"-f\""),
    ("smbd", &["-F", "--foreground"], &[], "add \"--foreground\""),
    ("nmbd", &["-F", "--foreground"], &[], "add \"--foreground\""),
    ("ntpd", &["-n", "-q"], &[], "add \"-n\""),
    ("supervisord", &["-n", "--nodaemon"], &[], "add \"--nodaemon\""),
    ("vsftpd", &["background=NO"], &[], "add \"-obackground=NO\""),
    ("php-fpm", &["-F", "--nodaemonize", "daemonize = no"], &[], "add \"--nodaemonize\""),
    ("redis-server", &[], &["--daemonize yes"], "write \"--daemonize\", \"no\""),
    ("mongod", &[], &["--fork"], "remove \"--fork\""),
    ("memcached", &[], &["-d", "--daemon"], "remove \"-d\""),
    ("haproxy", &[], &["-D"], "write \"-W\" for \"-D\""),
    ("gunicorn", &[], &["--daemon", "-D"], "remove \"--daemon\""),
    ("uwsgi", &[], &["--daemonize"], "write \"--logto\" for \"--daemonize\""),
    ("pg_ctl", &[], &["start"], "run `postgres -D …` itself"),
];

fn daemonises(worker: &Named<Worker>, sources: &Sources, files: &mut dyn Files, reports: &mut Vec<Report>) {
    let words = worker.keys.words();
    let place = worker.keys.command.place.or(worker.keys.shell.place).unwrap_or(worker.place);
    let words = words.strip_prefix(&["exec"]).unwrap_or(&words);
    let Some((program, arguments)) = words.split_first() else { return };
    let base = program.rsplit('/').next().unwrap_or(program);
    // php-fpm8.2, php-fpm7.4.
    let name = if base.starts_with("php-fpm") { "php-fpm" } else { base };
    let Some((_, keeps, sends, remedy)) = DAEMONS.iter().find(|(known, ..)| *known == name) else { return };
    let line = arguments.join(" ");
    let has = |flag: &&str| arguments.contains(flag) || (flag.len() > 2 && line.contains(*flag));
    // What an option does, the program's own file may do, too.
    let mut file_has = || {
        let option = |word: &&str| ["-c", "-f", "-y", "--fpm-config", "--config"].contains(word);
        let file = arguments.iter().position(option).and_then(|at| arguments.get(at + 1));
        let bytes = file.and_then(|file| files.read(file.as_ref()).ok()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let said = |flag: &&str| flag.contains(' ') && text.lines().any(|line| line.trim_start().starts_with(*flag));
        keeps.iter().any(|flag| said(flag))
    };
    let stays = if sends.is_empty() { keeps.iter().any(has) || file_has() } else { !sends.iter().any(has) };
    if !stays {
        let text = format!("`{base}` goes into the background: quell would take that for its end");
        reports.push(Report::error(sources.quoted(program, place), text).help(*remedy));
    }
}
