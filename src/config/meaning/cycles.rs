//! What goes round in circles: workers that need each other, and workers that start each other.

use super::View;
use crate::config::load::Named;
use crate::config::report::Report;
use crate::config::source::Place;
use crate::config::tables::{Trigger, Worker};
use crate::config::typed::{Item, Text};

impl View<'_> {
    /// Workers that need each other.
    pub(super) fn cycles(&self, reports: &mut Vec<Report>) {
        let workers = &self.config.workers;
        let edges = |worker: &Named<Worker>| {
            let from = worker.keys.needs.or(worker.place);
            let needs = worker.keys.needs.value.iter();
            needs.filter_map(|name| Some((*self.workers.get(name.0.as_str())?, from))).collect()
        };
        let edges: Vec<Vec<(usize, Place)>> = workers.iter().map(edges).collect();
        for cycle in find_cycles(&edges) {
            let next = cycle.iter().cycle().skip(1).map(|(at, _)| &workers[*at].name);
            let named = cycle.iter().zip(next).map(|((at, from), next)| (*at, self.sources.quoted(next, *from)));
            let named: Vec<_> = named.collect();
            let what = "workers that need each other can never start";
            self.report_cycle(&named, what, &|_| None, "needs", "remove one of the needs", reports);
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
        let more = (turned.len() > STEPS_MAX).then(|| "…".to_owned());
        let steps = turned.iter().take(STEPS_MAX).map(step).chain(more).chain([name(first).into()]);
        let steps: Vec<String> = steps.collect();
        let report = Report::error(turned[0].1, format!("{what}: {}", steps.join(" → "))).help(help);
        let others = turned.iter().enumerate().take(STEPS_MAX).skip(1);
        reports.push(others.fold(report, |report, (at, (_, place))| {
            report.also(*place, format!("`{}` {leads} `{}`", path[at], path[at + 1]))
        }));
    }

    /// Workers that start each other without end.
    pub(super) fn loops(&self, reports: &mut Vec<Report>) {
        let workers = &self.config.workers;
        // From a worker to each that its end, its start, its line, or what it puts, starts. What goes through a queue goes
        // through a node of its own: one for its tasks, one for what becomes of them.
        let mut edges: Vec<Vec<(usize, Place)>> = vec![Vec::new(); workers.len() + 2 * self.config.queues.len()];
        let added = |queue: &str| self.queues.get(queue).map(|at| workers.len() + 2 * at);
        for (at, worker) in workers.iter().enumerate() {
            let queues = worker.keys.consumes().filter_map(|(queue, _)| Some(added(queue)? + 1));
            edges[at]
                .extend(queues.chain(puts(&worker.keys).into_iter().filter_map(added)).map(|to| (to, worker.place)));
        }
        for (to, worker) in workers.iter().enumerate() {
            for Item(trigger, place) in &worker.keys.start_on.value {
                let by_worker =
                    trigger.worker.value.as_ref().and_then(|name| self.workers.get(name.0.as_str()).copied());
                let queue = trigger.queue.value.as_ref().filter(|_| trigger.path.value.is_none());
                let other = trigger.event.value.as_ref().is_some_and(|event| event.0 != "added");
                let by_queue = queue.and_then(|queue| Some(added(&queue.0)? + usize::from(other)));
                by_worker.into_iter().chain(by_queue).for_each(|from| edges[from].push((to, *place)));
            }
        }
        for cycle in find_cycles(&edges) {
            let help = "remove one of the triggers, or let the worker see for itself when to stop";
            let triggers = || workers.iter().flat_map(|worker| &worker.keys.start_on.value);
            let by = |place| triggers().find(|Item(_, at)| *at == place).map(|Item(trigger, _)| trigger.describe());
            let cycle = without_queues(&cycle, workers.len());
            self.report_cycle(&cycle, "a loop of triggers without an end", &by, "starts", help, reports);
        }
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

/// The queues that a worker's command may put tasks into: all words behind `quell put`.
fn puts(worker: &Worker) -> Vec<&str> {
    let mut words = worker.words();
    let quell = |word: &str| word == "quell" || word.ends_with("/quell");
    match words.windows(2).position(|pair| quell(pair[0]) && pair[1] == "put") {
        Some(at) => words.split_off(at + 2),
        None => Vec::new(),
    }
}

/// A cycle's workers, each with the place where it starts the next: behind a worker stands the queue, if there is one.
fn without_queues(cycle: &[(usize, Place)], workers: usize) -> Vec<(usize, Place)> {
    let next = cycle.iter().cycle().skip(1);
    let pairs = cycle.iter().zip(next).filter(|((node, _), _)| *node < workers);
    pairs.map(|((node, place), next)| (*node, if next.0 < workers { *place } else { next.1 })).collect()
}

/// So many are said, each with so many steps; where there are more, one breaks many.
const CYCLES_MAX: usize = 20;
const STEPS_MAX: usize = 20;

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
        if cycles.len() >= CYCLES_MAX {
            break;
        }
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
                Mark::Open if cycles.len() < CYCLES_MAX => {
                    let from = path.iter().position(|(node, _)| *node == to).unwrap_or(0);
                    cycles.push(path[from..].iter().map(|(node, next)| (*node, edges[*node][next - 1].1)).collect());
                }
                Mark::Open | Mark::Done => {}
            }
        }
    }
    cycles
}
