//! Events from lines of JSON, recorded or written by hand, as docs/simulate.md has them: what came from outside, and how long
//! lives and tries lasted. What follows from that is left out: it is to be found out again.

use super::lives::outcome_of;
use super::script::{Expected, Life, Script, Tried, What};
use crate::clock::Wall;
use crate::config::kind::nearest;
use crate::config::load::{Config, Named};
use crate::config::report::{Report, Severity};
use crate::config::source::{Place, Sources};
use crate::config::tables::{Ready, ReadyWord, Worker, WorkerEvent};
use crate::config::typed::{Choice, Words};
use crate::config::unit::parse_duration;
use crate::config::values::SIGNALS;
use crate::control::record::{Ask, Source, Try, TryEnd, VERSION};
use crate::control::status::Ended;
use crate::supervisor::spec;
use crate::task::TaskId;
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// One line; what else stands in it is not looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    kind: Option<Box<str>>,
    version: Option<u32>,
    start: Option<Box<str>>,
    at_us: Option<Wall>,
    at: Option<Box<str>>,
    worker: Option<Box<str>>,
    ended: Option<Ended>,
    source: Option<Source>,
    task: Option<Try>,
    run: Option<Run>,
    expect: Option<Start>,
}

/// How lives and tries of a worker are from here on.
#[derive(Debug, Deserialize)]
struct Run {
    worker: Box<str>,
    #[serde(default)]
    lasts: Option<Box<str>>,
    #[serde(default)]
    ready: Option<Box<str>>,
    #[serde(default)]
    ended: Option<Ended>,
}

/// A start that is expected.
#[derive(Debug, Deserialize)]
struct Start {
    start: Box<str>,
    #[serde(default)]
    within: Option<Box<str>>,
}

/// Reads a file that is among the sources. What is wrong with it comes with its place, all of it.
#[must_use]
pub fn read(config: &Config, sources: &Sources, file: u32) -> (Script, Vec<Report>) {
    let mut reader = Reader {
        config,
        sources,
        script: Script::default(),
        is_recorded: false,
        strange: HashSet::new(),
        reports: Vec::new(),
        last: Duration::ZERO,
        known: HashSet::new(),
        begun: HashMap::new(),
        at_hand: HashMap::new(),
        lives: BTreeMap::new(),
    };
    let mut start = 0;
    for line in sources.get(file).text.split_inclusive('\n') {
        let text = line.trim();
        let place = Place::new(file, start..start + line.trim_end().len());
        start += line.len();
        if !text.is_empty() && !text.starts_with('#') {
            reader.line(line.trim_end(), place);
        }
    }
    reader.finish()
}

struct Reader<'a> {
    config: &'a Config,
    sources: &'a Sources,
    script: Script,
    /// It was written by a supervisor, whose configuration may have been another: names that are not known are passed over.
    is_recorded: bool,
    /// Those that were named.
    strange: HashSet<Box<str>>,
    reports: Vec<Report>,
    /// When the line before was.
    last: Duration,
    /// Tasks that were put.
    known: HashSet<TaskId>,
    /// When each try began.
    begun: HashMap<(TaskId, u32), Duration>,
    /// How many tasks each worker has at the moment.
    at_hand: HashMap<Box<str>, u32>,
    /// The life of each worker that has begun.
    lives: BTreeMap<Box<str>, Alive>,
}

/// A life that was recorded, as far as it has come.
#[derive(Clone, Copy, Debug)]
struct Alive {
    began: Duration,
    /// After so long it was ready; none where nothing was said of that.
    ready: Option<Duration>,
    /// Somebody told it to end.
    told: bool,
}

/// One that had begun before the recording did.
const OLDER: Alive = Alive { began: Duration::ZERO, ready: Some(Duration::ZERO), told: false };

impl Reader<'_> {
    fn line(&mut self, text: &str, place: Place) {
        let line: Line = match serde_json::from_str(text) {
            Ok(line) => line,
            Err(e) => {
                let what = e.to_string();
                let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
                let at = (place.start as usize + e.column().saturating_sub(1)).min(place.end as usize);
                let place = Place::new(place.file, at..place.end as usize);
                let report = Report::error(place, format!("this is no event: {what}"));
                return self.reports.push(report.help("write one JSON object a line; docs/simulate.md has its keys"));
            }
        };
        let at = self.time(&line, place).unwrap_or(self.last);
        self.last = at;
        match line.kind.as_deref() {
            Some("recording") => return self.header(&line, place),
            Some("began") => self.began(&line, at, place),
            Some("tried") => self.tried(&line, at),
            Some(kind) => self.life(kind, &line, at),
            None if line.source.is_none() && line.run.is_none() && line.expect.is_none() => {
                let report = Report::error(place, "this says nothing");
                return self.reports.push(report.help("add `source`, `run` or `expect`"));
            }
            None => {}
        }
        if let Some(run) = &line.run {
            self.run(run, at, place);
        }
        // What comes of it at once counts.
        if let Some(expect) = &line.expect {
            self.expect(expect, at, place);
        }
        if let Some(source) = line.source {
            self.source(source, at, place);
        }
    }

    /// When a line is, since the start.
    fn time(&mut self, line: &Line, place: Place) -> Option<Duration> {
        match (&line.at, line.at_us) {
            (Some(at), _) => self.duration(at, place),
            (None, Some(at)) => {
                // What was there before is there from the beginning.
                let start = *self.script.start.get_or_insert(at);
                Some(at.until(start))
            }
            (None, None) => Some(self.last),
        }
    }

    fn header(&mut self, line: &Line, place: Place) {
        self.is_recorded = line.at_us.is_some();
        if line.version.is_some_and(|version| version > VERSION) {
            let report = Report::error(place, "this was written for a later version of quell");
            self.reports.push(report.help(format!("this one reads version {VERSION}")));
        }
        if let Some(start) = &line.start {
            match start.parse::<Timestamp>() {
                Ok(start) => self.script.start = Some(Wall(start.as_microsecond())),
                Err(_) => self.wrong(start, place, "is no time", "write one as \"2026-03-29T00:59:00Z\""),
            }
        }
    }

    /// A try has begun; of a task of which nothing was told before, this tells that it was put.
    fn began(&mut self, line: &Line, at: Duration, place: Place) {
        let Some(Try { id, queue, class, attempt, put, .. }) = &line.task else { return };
        self.begins((*id, *attempt), line.worker.as_deref(), at);
        if self.known.contains(id) || self.config.queue(queue).is_none() {
            return;
        }
        let source = Source {
            queue: Some(queue.clone()),
            class: Some(*class),
            id: Some(*id),
            attempt: Some(attempt.saturating_sub(1)),
            ..Source::default()
        };
        let start = *self.script.start.get_or_insert(*put);
        self.source(source, put.until(start).min(at), place);
    }

    fn begins(&mut self, tried: (TaskId, u32), worker: Option<&str>, at: Duration) {
        // What runs when a recording begins may be told twice.
        let is_news = self.begun.insert(tried, at).is_none();
        if let Some(worker) = worker.filter(|_| is_news) {
            let at_once = self.at_hand.entry(worker.into()).or_default();
            *at_once += 1;
            let most = self.script.credits.entry(worker.into()).or_default();
            *most = (*most).max(*at_once);
        }
    }

    fn tried(&mut self, line: &Line, at: Duration) {
        let Some(Try { id, attempt, end: Some(end), .. }) = &line.task else { return };
        let began = self.begun.remove(&(*id, *attempt)).unwrap_or_default();
        if let Some(at_once) = line.worker.as_ref().and_then(|worker| self.at_hand.get_mut(worker)) {
            *at_once = at_once.saturating_sub(1);
        }
        // What was given back was worked on until somebody stopped that.
        let lasts = Some(at.saturating_sub(began)).filter(|_| *end != TryEnd::Lost {});
        self.tries(*id, *attempt, Tried { lasts, end: end.clone() });
    }

    fn tries(&mut self, id: TaskId, attempt: u32, tried: Tried) {
        self.script.tries.entry((id, attempt)).or_default().push_back(tried);
    }

    /// Something happened to the life of a worker.
    fn life(&mut self, kind: &str, line: &Line, at: Duration) {
        let Some(worker) = &line.worker else { return };
        match kind {
            "started" => _ = self.lives.insert(worker.clone(), Alive { began: at, ready: None, told: false }),
            "ready" => {
                // Of one that is ready at once, nothing else is told.
                let alive = self.lives.entry(worker.clone()).or_insert(Alive { began: at, ..OLDER });
                alive.ready = Some(at.saturating_sub(alive.began));
            }
            "stopping" | "killed" => self.lives.entry(worker.clone()).or_insert(OLDER).told = true,
            "exited" => {
                let Some(outcome) = line.ended.as_ref().and_then(outcome_of) else { return };
                let alive = self.lives.remove(worker).unwrap_or(OLDER);
                let lasts = Some(at.saturating_sub(alive.began)).filter(|_| !alive.told);
                let (ready, stopped) = (self.ready(worker, alive), alive.told.then_some(outcome));
                let lives = self.script.lives.entry(worker.clone()).or_default();
                lives.push_back(Life { ready, lasts, outcome, stopped });
            }
            _ => {}
        }
    }

    /// When a life was ready: at once where nothing was said of that, unless its worker is one that says so itself.
    fn ready(&self, worker: &str, alive: Alive) -> Option<Duration> {
        let table = self.table(worker).and_then(|name| self.config.worker(name));
        let is_at_once = |ready: &Ready| *ready == Ready::Word(Choice(ReadyWord::Start));
        let at_once = table.is_none_or(|named| is_at_once(&named.keys.ready.value));
        alive.ready.or(at_once.then_some(Duration::ZERO))
    }

    fn run(&mut self, run: &Run, at: Duration, place: Place) {
        self.knows_worker(&run.worker, place);
        let outcome = match run.ended.as_ref().map(outcome_of) {
            Some(Some(outcome)) => Some(outcome),
            Some(None) => return self.wrong("signal", place, "is none", "write one as \"SIGKILL\""),
            None => None,
        };
        let lasts = run.lasts.as_ref().and_then(|lasts| self.duration(lasts, place));
        let ready = run.ready.as_ref().and_then(|ready| self.duration(ready, place)).unwrap_or_default();
        let whole = Life::lasting(lasts.map(|lasts| lasts.max(SHORTEST)));
        let life = Life { ready: Some(ready), outcome: outcome.unwrap_or(whole.outcome), ..whole };
        self.script.push(at, What::Run(run.worker.clone(), life), place);
    }

    fn expect(&mut self, expect: &Start, at: Duration, place: Place) {
        if self.config.worker(&expect.start).is_none() && self.knows_worker(&expect.start, place) {
            let whole = self.table(&expect.start).unwrap_or_default().to_owned();
            self.wrong(&expect.start, place, "is one of several", &format!("expect a start of {whole:?}"));
        }
        let within = expect.within.as_ref().and_then(|within| self.duration(within, place));
        self.script.push(at, What::Expect(Expected { start: expect.start.clone(), within }), place);
    }

    fn source(&mut self, source: Source, at: Duration, place: Place) {
        if source == Source::default() {
            let report = Report::error(place, "this source says nothing");
            return self
                .reports
                .push(report.help("add `queue`, `worker`, `line`, `path`, `socket`, `signal` or `fire`"));
        }
        if !self.knows(&source, place) {
            return;
        }
        match &source {
            Source { ask: None, id: Some(first), .. } => return self.numbered(&source, *first, at, place),
            Source { ask: Some(Ask::Stop | Ask::Idle), worker: Some(worker), .. }
                if self.is_recorded && at.is_zero() =>
            {
                self.script.down.insert(worker.clone());
            }
            Source { ask: Some(Ask::Start), worker: Some(worker), .. } if self.is_recorded && at.is_zero() => {
                let table = self.table(worker).and_then(|name| self.config.worker(name));
                if table.is_some_and(|named| !spec::is_by_task(&named.keys)) {
                    self.lives.insert(worker.clone(), OLDER);
                }
            }
            _ => {}
        }
        self.script.push(at, What::Source(Box::new(source)), place);
    }

    /// Tasks with numbers: those that were not told before. What was there when a recording began may be told twice.
    fn numbered(&mut self, source: &Source, first: TaskId, at: Duration, place: Place) {
        let end = first.0.saturating_add(source.count.unwrap_or(1).into());
        self.script.last = self.script.last.max(TaskId(end.saturating_sub(1)));
        let mut ids = (first.0..end).map(TaskId).peekable();
        while let Some(id) = ids.next() {
            if !self.known.insert(id) {
                continue;
            }
            if let Some(worker) = &source.worker {
                self.begins((id, source.attempt.unwrap_or(0) + 1), Some(worker), at);
            }
            let mut count = 1;
            while ids.next_if(|next| self.known.insert(*next)).is_some() {
                count += 1;
            }
            let source = Source { id: Some(id), count: Some(count).filter(|count| *count > 1), ..source.clone() };
            self.script.push(at, What::Source(Box::new(source)), place);
        }
    }

    /// Whether all that a source names is known; what is not is reported.
    fn knows(&mut self, source: &Source, place: Place) -> bool {
        let mut knows = source.worker.as_ref().is_none_or(|worker| self.knows_worker(worker, place));
        if let Some(queue) = source.queue.as_ref().filter(|queue| self.config.queue(queue).is_none()) {
            let names = self.config.queues.iter().map(|queue| queue.name.as_str());
            let near = nearest(queue, names).map_or("name one of the configuration's".to_owned(), did_you_mean);
            knows = self.strange(queue, place, "is no queue", &near);
        }
        if let Some(event) = source.event.as_deref().filter(|event| !WorkerEvent::WORDS.contains(event)) {
            knows = self.strange(event, place, "does not happen to a worker", "write exit, ready or failed");
        }
        let short = |name: &str| name.strip_prefix("SIG").unwrap_or(name).to_owned();
        if let Some(signal) = source.signal.as_deref().filter(|name| !SIGNALS.contains(&short(name).as_str())) {
            knows = self.strange(signal, place, "is no signal", "write HUP, USR1, … (signal(7))");
        }
        if source.ask == Some(Ask::Unknown) {
            let help = "write start, stop, restart, idle, pause, resume, drain, kick, bury, drop or down";
            let report = Report::error(place, "nobody can ask for that").help(help);
            knows = self.passed_over("ask", report);
        }
        knows
    }

    /// Whether there is such a worker, or such an instance of one; where there is none, that is reported.
    fn knows_worker(&mut self, name: &str, place: Place) -> bool {
        if self.table(name).is_some() {
            return true;
        }
        let names = self.config.workers.iter().map(|worker| worker.name.as_str());
        let near = nearest(name, names).map_or("name one of the configuration's".to_owned(), did_you_mean);
        self.strange(name, place, "is no worker", &near)
    }

    /// The table of a worker, or of an instance.
    fn table(&self, name: &str) -> Option<&str> {
        let whole = name.rsplit_once('.').map_or(name, |(whole, _)| whole);
        let is_it = |named: &&Named<Worker>| {
            named.name == name || named.name == whole && spec::instances(named).iter().any(|(of, _)| of == name)
        };
        self.config.workers.iter().find(is_it).map(|named| named.name.as_str())
    }

    /// Reports a name that is not known; false.
    fn strange(&mut self, text: &str, place: Place, what: &str, help: &str) -> bool {
        let at = self.quoted(text, place);
        self.passed_over(text, Report::error(at, format!("{text:?} {what}")).help(help))
    }

    /// Reports what is not known, once where it was recorded, for then it need not be; false.
    fn passed_over(&mut self, text: &str, report: Report) -> bool {
        if !self.is_recorded {
            self.reports.push(report);
        } else if self.strange.insert(text.into()) {
            let help = "what was recorded of it is passed over";
            self.reports.push(Report { severity: Severity::Warning, ..report }.help(help));
        }
        false
    }

    fn duration(&mut self, text: &str, place: Place) -> Option<Duration> {
        parse_duration(text).map_err(|e| self.wrong(text, place, "is no duration", &e.to_string())).ok()
    }

    /// Reports a text, where it stands in quotes.
    fn wrong(&mut self, text: &str, place: Place, what: &str, help: &str) {
        let at = self.quoted(text, place);
        self.reports.push(Report::error(at, format!("{text:?} {what}")).help(help));
    }

    fn quoted(&self, text: &str, place: Place) -> Place {
        let at = self.sources.quoted(text, place);
        if at.end <= place.end { at } else { place }
    }

    fn finish(mut self) -> (Script, Vec<Report>) {
        // What had not ended when the recording did goes on.
        for (worker, alive) in std::mem::take(&mut self.lives) {
            let life = Life { ready: self.ready(&worker, alive), ..Life::lasting(None) };
            self.script.lives.entry(worker).or_default().push_back(life);
        }
        for (id, attempt) in std::mem::take(&mut self.begun).into_keys() {
            self.tries(id, attempt, Tried { lasts: None, end: TryEnd::Lost {} });
        }
        self.script.is_recorded = self.is_recorded;
        self.script.sort();
        (self.script, self.reports)
    }
}

/// A process takes some time, or a worker that starts itself would stop the clock.
const SHORTEST: Duration = Duration::from_millis(1);

fn did_you_mean(near: &str) -> String {
    format!("did you mean {near:?}?")
}
