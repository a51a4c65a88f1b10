//! Files to one configuration: the file that is named, and those that it includes, merged.

use super::decode::{Cx, Env, Scope, table};
use super::keys::{Set, Table};
use super::kind::nearest;
use super::meaning::Doubt;
use super::name;
use super::report::{self, Report};
use super::source::{Place, Sources, position};
use super::syntax::{self, Document, Node};
use super::tables::{self, Log, Quell, Queue, Test, Top, Trigger, Worker};
use super::typed::{Item, Typed};
use super::values::Pattern;
use super::whole::{OPEN_MAX, too_deep, whole};
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// A checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Quell itself.
    pub quell: Quell,
    /// What is so for every worker's log.
    pub log: Log,
    /// The workers, in the order in which they are written.
    pub workers: Vec<Named<Worker>>,
    /// What they say of their own logs, and what is in force there; as many as workers.
    pub logs: Vec<WorkerLog>,
    /// The queues.
    pub queues: Vec<Named<Queue>>,
    /// The tests.
    pub tests: Vec<Item<Test>>,
}

/// A table that has a name of the user's.
#[derive(Clone, Debug)]
pub struct Named<T> {
    /// The name.
    pub name: String,
    /// Where it is defined.
    pub place: Place,
    /// Its keys.
    pub keys: T,
    /// Something in it was wrong, so that what it lacks may stand there misspelt.
    pub mistaken: bool,
}

impl<T: PartialEq> PartialEq for Named<T> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.keys == other.keys
    }
}

/// A worker's log.
#[derive(Clone, Debug)]
pub struct WorkerLog {
    /// What it sets itself.
    pub own: Log,
    /// With what `[log]` sets.
    pub whole: Log,
}

impl PartialEq for WorkerLog {
    fn eq(&self, other: &Self) -> bool {
        self.whole == other.whole
    }
}

impl Config {
    /// A worker by its name.
    #[must_use]
    pub fn worker(&self, name: &str) -> Option<&Named<Worker>> {
        self.workers.iter().find(|worker| worker.name == name)
    }

    /// A queue by its name.
    #[must_use]
    pub fn queue(&self, name: &str) -> Option<&Named<Queue>> {
        self.queues.iter().find(|queue| queue.name == name)
    }

    /// What starts workers that are enabled, and whom.
    pub fn triggers(&self) -> impl Iterator<Item = (&Named<Worker>, &Trigger)> {
        let enabled = self.workers.iter().filter(|named| named.keys.enabled.value);
        enabled.flat_map(|named| named.keys.start_on.value.iter().map(move |Item(trigger, _)| (named, trigger)))
    }
}

/// Where files come from.
pub trait Files {
    /// A file's bytes.
    ///
    /// # Errors
    /// As open(2) and read(2).
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>>;

    /// The files that match a pattern, sorted; the folder that it is relative to stands for itself, whatever is in its name.
    ///
    /// # Errors
    /// What cannot be looked through.
    fn matching(&mut self, folder: &Path, pattern: &Path) -> io::Result<Vec<PathBuf>>;

    /// One path for all the names of a file.
    fn identity(&mut self, path: &Path) -> PathBuf;
}

/// What came of loading.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration, as far as it could be read.
    pub config: Config,
    /// The files.
    pub sources: Sources,
    /// How many of them, the first, are configuration files; others come later, when what they name is read.
    pub files: u32,
    /// All mistakes, in the order of their places.
    pub reports: Vec<Report>,
    /// Variables that are not set.
    pub unset: Vec<(String, Place)>,
    /// Patterns of `include` that match no file.
    pub unmatched: Vec<(PathBuf, Place)>,
}

/// More files than this, or files that include each other so deep, are an include gone wrong.
const FILES_MAX: usize = 10_000;
const DEPTH_MAX: usize = 16;

/// Loads a file and what it includes. `folder` is where a relative name is relative to.
///
/// # Errors
/// When the file itself cannot be read; all else is a report.
pub fn load(name: &str, folder: &Path, files: &mut dyn Files, env: Env<'_>) -> io::Result<Loaded> {
    let bytes = files.read(&folder.join(name))?;
    let seen = HashSet::from([files.identity(&folder.join(name))]);
    let mut loader = Loader {
        folder,
        files,
        env,
        sources: Sources::default(),
        seen,
        depth: 0,
        reports: Vec::new(),
        unset: Vec::new(),
        unmatched: Vec::new(),
        defined: HashMap::new(),
        config: Config {
            quell: Quell::initial(),
            log: Log::initial(),
            workers: Vec::new(),
            logs: Vec::new(),
            queues: Vec::new(),
            tests: Vec::new(),
        },
        unread: Vec::new(),
        lost: false,
    };
    loader.file(name, &folder.join(name), bytes);
    Ok(loader.finish())
}

struct Loader<'a> {
    folder: &'a Path,
    files: &'a mut dyn Files,
    env: Env<'a>,
    sources: Sources,
    /// The files that were read, each by its identity: a file that includes its includer is read once.
    seen: HashSet<PathBuf>,
    /// How many files deep the one that is read is included.
    depth: usize,
    reports: Vec<Report>,
    unset: Vec<(String, Place)>,
    unmatched: Vec<(PathBuf, Place)>,
    /// Where each worker and queue is defined.
    defined: HashMap<(&'static str, String), Place>,
    config: Config,
    /// What could not be read: what seems to be missing may stand there.
    unread: Vec<String>,
    /// A file that is included could not be read at all, or which ones are is not known.
    lost: bool,
}

impl Loader<'_> {
    fn finish(mut self) -> Loaded {
        for log in &mut self.config.logs {
            Table::inherit(&mut log.whole, &self.config.log);
        }
        let doubt = Doubt { unread: self.unread, lost: self.lost };
        super::meaning::check(&self.config, &self.sources, &doubt, self.files, &mut self.reports);
        report::sort(&mut self.reports);
        report::cut(&self.sources, &mut self.reports);
        Loaded {
            config: self.config,
            files: self.sources.iter().count() as u32,
            sources: self.sources,
            reports: self.reports,
            unset: self.unset,
            unmatched: self.unmatched,
        }
    }

    fn file(&mut self, name: &str, path: &Path, bytes: Vec<u8>) {
        let file = self.sources.iter().count() as u32;
        let (text, not_text) = syntax::text_of(file, bytes);
        self.sources.add(name, text.as_str());
        if let Some(report) = not_text {
            self.lost = true;
            self.reports.push(report);
            return;
        }
        if let Some(at) = too_deep(&text) {
            self.lost = true;
            let report =
                Report::error(Place::new(file, at..at + 1), format!("more than {OPEN_MAX} brackets are open here"));
            self.reports.push(report.help("close those above it"));
            return;
        }
        let whole = whole(&text);
        let mut document = syntax::parse(file, &whole.text);
        document.add_unclosed(file, &text, &whole.unclosed);
        let broken = document.broken().iter().map(|piece| &text[piece.clone()]);
        self.lost |= broken.clone().any(|piece| piece.starts_with("include"));
        self.unread.extend(broken.map(str::to_owned));
        self.reports.append(&mut document.reports);
        let folder = path.parent().unwrap_or(Path::new("/"));
        let mut cx = Cx { file, text: &text, folder, env: self.env, reports: Vec::new(), unset: Vec::new() };
        let mut top = Top::initial();
        self.root(&document, &mut top, &mut cx);
        let Cx { mut reports, mut unset, .. } = cx;
        self.reports.append(&mut reports);
        self.unset.append(&mut unset);
        self.include(&top.include, folder);
    }

    fn include(&mut self, include: &Set<Vec<Pattern>>, folder: &Path) {
        let Some(place) = include.place else { return };
        let mut looked = HashSet::new();
        for pattern in include.value.iter().filter(|pattern| looked.insert(&pattern.0)) {
            let found = match self.files.matching(folder, &pattern.0) {
                Ok(found) => found,
                Err(e) => {
                    self.lost = true;
                    let report = Report::error(place, format!("cannot look through {}: {e}", pattern.0.display()));
                    self.lost = true;
                    self.reports.push(report.help("make it readable, or name another folder"));
                    continue;
                }
            };
            if found.is_empty() {
                self.unmatched.push((pattern.0.clone(), place));
            }
            for path in found {
                if !self.seen.insert(self.files.identity(&path)) {
                    continue;
                }
                if self.seen.len() > FILES_MAX || self.depth == DEPTH_MAX {
                    self.lost = true;
                    let text = match self.depth {
                        DEPTH_MAX => format!("files include each other {DEPTH_MAX} deep"),
                        _ => format!("more than {FILES_MAX} files are included"),
                    };
                    self.reports.push(Report::error(place, text).help("include fewer, from one file"));
                    return;
                }
                let name = path.strip_prefix(self.folder).unwrap_or(&path).to_string_lossy().into_owned();
                match self.files.read(&path) {
                    Ok(bytes) => {
                        self.depth += 1;
                        self.file(&name, &path, bytes);
                        self.depth -= 1;
                    }
                    Err(e) => {
                        self.lost = true;
                        let report = Report::error(place, format!("cannot read {name}: {e}"));
                        self.reports.push(report.help("mend the file, or a pattern that leaves it out"));
                    }
                }
            }
        }
    }

    fn root(&mut self, document: &Document<'_>, top: &mut Top, cx: &mut Cx<'_>) {
        let root = &document.root;
        for (key, value) in root {
            let (place, name): (_, &str) = (cx.place(key.span()), key.get_ref());
            if document.is_broken(&key.span()) {
                continue;
            }
            let header = cx.place(value.span());
            let scope = |name| Scope { name, header, elsewhere: &[] };
            match (name, value.get_ref()) {
                ("include", _) if !document.is_broken(&value.span()) => {
                    let before = cx.reports.len() + cx.unset.len();
                    top.set(0, place, value, cx);
                    self.lost |= cx.reports.len() + cx.unset.len() > before;
                }
                ("quell", DeValue::Table(inner)) => {
                    table(document, inner, &mut self.config.quell, &scope("[quell]"), cx)
                }
                ("log", DeValue::Table(inner)) => table(document, inner, &mut self.config.log, &scope("[log]"), cx),
                ("worker", DeValue::Table(inner)) => self.workers(document, inner, cx),
                ("queue", DeValue::Table(inner)) => self.queues(document, inner, cx),
                ("test", DeValue::Array(items)) => {
                    let items = items.iter().filter(|item| !document.is_broken(&item.span()));
                    self.config.tests.extend(items.filter_map(|item| test(document, item, cx)));
                }
                ("include", _) => {}
                ("quell" | "log" | "worker" | "queue" | "test", _) => {
                    self.lost = true;
                    let written = tables::TABLES.iter().map(|(title, _)| *title).find(|title| title.contains(name));
                    let report = Report::error(place, format!("`{name}` is a table"));
                    cx.report(report.help(format!("write {}", written.unwrap_or(name))));
                }
                _ => {
                    // What was meant by it is not known; what it defines may be asked for.
                    self.lost |= nearest(name, TOP) == Some("include");
                    let inner = value.get_ref().as_table().into_iter().flat_map(|inner| inner.keys());
                    self.unread.extend(inner.map(|key| key.get_ref().to_string()));
                    unknown_table(name, place, value, cx);
                }
            }
        }
    }

    fn workers(&mut self, document: &Document<'_>, workers: &DeTable<'_>, cx: &mut Cx<'_>) {
        for (key, value) in workers {
            let Some((place, inner)) = self.named("worker", document, key, value, cx) else { continue };
            let name = key.get_ref().to_string();
            let before = cx.reports.len();
            let title = format!("[worker.{name}]");
            let mut keys = Worker::initial();
            let scope = Scope { name: &title, header: cx.place(value.span()), elsewhere: &["log"] };
            table(document, inner, &mut keys, &scope, cx);
            let mut own = Log::initial();
            if let Some((key, value)) = inner.get_key_value("log").filter(|(_, v)| !document.is_broken(&v.span())) {
                let title = format!("[worker.{name}.log]");
                match value.get_ref() {
                    DeValue::Table(inner) => {
                        let scope = Scope { name: &title, header: cx.place(value.span()), elsewhere: &[] };
                        table(document, inner, &mut own, &scope, cx);
                    }
                    _ => {
                        let report = Report::error(cx.place(key.span()), format!("`log` is a table: {title}"));
                        cx.report(report.help("write its keys, as in `log.rotate = \"1d\"`"));
                    }
                }
            }
            let mistaken = cx.reports.len() > before || document.is_broken_in(&value.span());
            self.config.workers.push(Named { name, place, keys, mistaken });
            self.config.logs.push(WorkerLog { whole: own.clone(), own });
        }
    }

    fn queues(&mut self, document: &Document<'_>, queues: &DeTable<'_>, cx: &mut Cx<'_>) {
        for (key, value) in queues {
            let Some((place, inner)) = self.named("queue", document, key, value, cx) else { continue };
            let name = key.get_ref().to_string();
            let before = cx.reports.len();
            let title = format!("[queue.{name}]");
            let mut keys = Queue::initial();
            let scope = Scope { name: &title, header: cx.place(value.span()), elsewhere: &[] };
            table(document, inner, &mut keys, &scope, cx);
            keys.check(place, cx);
            let mistaken = cx.reports.len() > before || document.is_broken_in(&value.span());
            self.config.queues.push(Named { name, place, keys, mistaken });
        }
    }

    /// A table with a name of the user's: where it is, and its keys; none, reported, where it cannot be one.
    fn named<'t, 'a>(
        &mut self,
        what: &'static str,
        document: &Document<'_>,
        key: &toml::Spanned<toml::de::DeString<'a>>,
        value: &'t Node<'a>,
        cx: &mut Cx<'_>,
    ) -> Option<(Place, &'t DeTable<'a>)> {
        let place = cx.place(key.span());
        let name: &str = key.get_ref();
        if document.is_broken(&key.span()) {
            return None;
        }
        let DeValue::Table(inner) = value.get_ref() else {
            self.lost = true;
            // A key of a worker that stands where its name should.
            let known = Worker::KEYS.iter().chain(Queue::KEYS).any(|key| key.name == name);
            let text = match known {
                true => format!("`{name}` stands in [{what}], where {what}s have their names"),
                false => format!("`{name}` is not a table"),
            };
            cx.report(Report::error(place, text).help(format!("write [{what}.NAME], and its keys below it")));
            return None;
        };
        if let Err(why) = name::check(name) {
            cx.report(Report::error(place, format!("{name:?} cannot be a {what}'s name")).help(why));
        }
        if let Some(first) = self.defined.insert((what, name.to_owned()), place) {
            let report = Report::error(place, format!("{what} `{name}` is defined twice"));
            cx.report(report.help("rename one, or merge them").also(first, "also here"));
            self.defined.insert((what, name.to_owned()), first);
            return None;
        }
        Some((place, inner))
    }
}

/// A test; none, reported, where something is wrong with it.
fn test(document: &Document<'_>, item: &Node<'_>, cx: &mut Cx<'_>) -> Option<Item<Test>> {
    let place = cx.place(item.span());
    let DeValue::Table(inner) = item.get_ref() else {
        cx.expected(&Item::<Test>::KIND, item);
        return None;
    };
    let before = cx.reports.len();
    let mut test = Test::initial();
    table(document, inner, &mut test, &Scope { name: Test::NAME, header: place, elsewhere: &[] }, cx);
    if cx.reports.len() > before || document.is_broken_in(&item.span()) {
        return None;
    }
    test.check(place, cx);
    (cx.reports.len() == before).then_some(Item(test, place))
}

/// What people call a table in other programs' files, and ours.
const TABLE_HABITS: [(&str, &[&str]); 5] = [
    (
        "worker",
        &["program", "service", "services", "process", "processes", "workers", "app", "apps", "unit", "job", "task"],
    ),
    ("quell", &["supervisord", "supervisor", "global", "main", "settings", "daemon", "manager"]),
    ("log", &["logs", "logging", "logger"]),
    ("queue", &["queues"]),
    ("test", &["tests"]),
];

/// What stands in the file itself.
const TOP: [&str; 6] = ["quell", "log", "worker", "queue", "test", "include"];

fn unknown_table(name: &str, place: Place, value: &Node<'_>, cx: &mut Cx<'_>) {
    let is_table = value.get_ref().is_table()
        || value
            .get_ref()
            .as_array()
            .is_some_and(|items| items.iter().next().is_some_and(|item| item.get_ref().is_table()));
    let habit = TABLE_HABITS.iter().find(|(_, theirs)| theirs.contains(&name.to_lowercase().as_str()));
    if let Some((ours, _)) = habit.filter(|_| is_table) {
        let report = Report::error(place, format!("no table is called `{name}` here; it is `{ours}`"));
        cx.report(report.help(format!("write `{ours}`")).fix(place, *ours));
        return;
    }
    if let Some(near) = nearest(name, TOP) {
        let what = if is_table { "table" } else { "key" };
        let inner =
            value.get_ref().as_table().and_then(|inner| inner.keys().next()).map(|key| key.get_ref().to_string());
        let meant = match inner.filter(|_| matches!(near, "worker" | "queue")) {
            Some(inner) => format!("[{near}.{inner}]"),
            None => near.to_owned(),
        };
        let report = Report::error(place, format!("unknown {what} `{name}`"));
        cx.report(report.help(format!("did you mean `{meant}`?")).fix(place, near));
        return;
    }
    let report = match (tables::alias(name), tables::home(name)) {
        (_, Some(table)) => {
            let (line, _) = position(cx.text, place.start as usize);
            let text = format!("`{name}` belongs to {table}; line {line} is above all tables");
            Report::error(place, text).help(format!("move it below {table}"))
        }
        (Some(alias), None) => {
            let report = Report::error(place, format!("`{name}` is {}'s; here it is `{}`", alias.tool, alias.key));
            report.help(format!("write `{}` below {}", alias.written, alias.table))
        }
        (None, None) if is_table => Report::error(place, format!("unknown table `{name}`"))
            .help("there are [quell], [log], [worker.NAME], [queue.NAME] and [[test]]"),
        (None, None) => {
            Report::error(place, format!("unknown key `{name}` above all tables")).help("only `include` stands there")
        }
    };
    cx.report(report);
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
