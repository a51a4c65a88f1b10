//! `quell explain`: every value in force, where it was set and why; and what becomes of a line.

use super::config::{self, Checked};
use super::{End, Failure, talk};
use crate::config::kind::nearest;
use crate::config::load::{Named, WorkerLog};
use crate::config::policy::{Retain, Rotate};
use crate::config::report::visible;
use crate::config::source::Sources;
use crate::config::tables::Worker;
use crate::config::unit::{show_duration, show_size};
use crate::config::{explain, reference};
use crate::line::Stream;
use crate::line::classify::decide_effect;
use crate::line::list::{Effect, Rule};
use crate::line::rules::{RuleSet, Scratch};
use crate::runtime::lists::Shelf;
use clap::{Args, Subcommand};
use std::fmt::Write;

/// What is in force, where it was set, and why
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  quell explain                                every value that is set
  quell explain --all                          every value in force
  quell explain stop.grace                     what a key means, and its value for each worker
  quell explain worker web                     all values of one worker
  quell explain line 'ERROR: disk full'        what becomes of a line"
)]
pub(super) struct Options {
    #[command(flatten)]
    config: config::Options,
    /// Built-in values, too
    #[arg(long)]
    all: bool,
    /// The reference page of all keys, as Markdown
    #[arg(long)]
    reference: bool,
    /// A key, such as restart, log.rotate or worker.web.stop.grace
    key: Option<String>,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// All values of one worker
    Worker {
        #[command(flatten)]
        config: config::Options,
        /// Its name
        name: String,
    },
    /// What becomes of a line that a worker prints
    Line {
        #[command(flatten)]
        config: config::Options,
        /// The line
        text: String,
        /// The worker that prints it [default: each]
        #[arg(long, value_name = "NAME")]
        worker: Option<String>,
        /// It comes on standard error
        #[arg(long)]
        stderr: bool,
    },
}

impl Options {
    pub(super) fn execute(&self) -> Result<End, Failure> {
        let text = match (&self.what, &self.key) {
            _ if self.reference => reference::page(),
            (Some(What::Worker { config, name }), _) => worker(&config.load_clean()?, name)?,
            (Some(What::Line { config, text, worker, stderr }), _) => {
                let stream = if *stderr { Stream::Stderr } else { Stream::Stdout };
                line(&mut config.load_clean()?, text, worker.as_deref(), stream)?
            }
            (None, Some(key)) => self.key(key)?,
            (None, None) => {
                let checked = self.config.load_clean()?;
                explain::to_text(&explain::all(&checked.loaded.config), &checked.loaded.sources, !self.all)
            }
        };
        talk::answer(visible(&text).as_bytes())?;
        Ok(End::Code(0))
    }

    fn key(&self, name: &str) -> Result<String, Failure> {
        let found = explain::find(name);
        if let Some(worker_name) = name.strip_prefix("worker.").filter(|_| found.is_empty()) {
            return worker(&self.config.load_clean()?, worker_name);
        }
        if found.is_empty() {
            let names = explain::names_of_keys();
            let near = nearest(name, names.iter().map(String::as_str));
            let help = near.map_or("see `quell explain --reference`".into(), |near| format!("did you mean `{near}`?"));
            return Err(Failure::usage(format!("no key is called `{name}`; {help}")));
        }
        // Where there is no configuration, the built-in values are in force.
        let checked = if self.config.is_there() { Some(self.config.load_clean()?) } else { None };
        let rows = checked.as_ref().map_or_else(explain::built_in, |checked| explain::all(&checked.loaded.config));
        let none = Sources::default();
        let sources = checked.as_ref().map_or(&none, |checked| &checked.loaded.sources);
        Ok(found.iter().fold(String::new(), |mut text, (table, full, key)| {
            text.push_str(&explain::describe(table, full, key));
            for row in explain::values_of(&rows, table, full) {
                // Writing to a String cannot fail.
                let _ = writeln!(
                    text,
                    "  in force:  {} = {}  ({})",
                    row.path,
                    explain::value(row),
                    explain::origin(row, sources)
                );
            }
            text
        }))
    }
}

fn named<'a>(checked: &'a Checked, name: &str) -> Result<(&'a Named<Worker>, &'a WorkerLog), Failure> {
    let config = &checked.loaded.config;
    config.workers.iter().zip(&config.logs).find(|(worker, _)| worker.name == name).ok_or_else(|| {
        let near = nearest(name, config.workers.iter().map(|worker| worker.name.as_str()));
        let help = near.map_or("see `quell explain`".into(), |near| format!("did you mean `{near}`?"));
        Failure::usage(format!("no worker is called `{name}`; {help}"))
    })
}

fn worker(checked: &Checked, name: &str) -> Result<String, Failure> {
    named(checked, name)?;
    Ok(explain::to_text(&explain::worker(&checked.loaded.config, name), &checked.loaded.sources, false))
}

fn line(checked: &mut Checked, text: &str, worker: Option<&str>, stream: Stream) -> Result<String, Failure> {
    if let Some(name) = worker {
        named(checked, name)?;
    }
    let config = &checked.loaded.config;
    let workers =
        config.workers.iter().zip(&config.logs).filter(|(named, _)| worker.is_none_or(|name| named.name == name));
    Ok(workers.fold(String::new(), |mut all, (worker, log)| {
        all.push_str(&fate(worker, log, &mut checked.shelf, text, stream));
        all
    }))
}

/// What becomes of a line that a worker prints, with nothing before it.
fn fate(worker: &Named<Worker>, log: &WorkerLog, shelf: &mut Shelf, text: &str, stream: Stream) -> String {
    let rules = shelf.rules(&worker.keys);
    let mut scratch = Scratch::default();
    let mut effect_of = |rules: Vec<Rule>| decide_effect(&RuleSet::new(rules), text.as_bytes(), stream, &mut scratch);
    let effect = effect_of(rules.clone());
    let decides = rules.iter().find(|rule| effect.is_some() && effect_of(vec![(*rule).clone()]) == effect);
    let rule =
        decides.map_or(String::new(), |rule| format!(" by {} {:?}", rule.place, String::from_utf8_lossy(&rule.text)));
    let (routine, critical) = (&log.whole.retain.routine.value, &log.whole.retain.critical.value);
    let rotate = log.whole.rotate.value;
    let (class, fate) = match effect {
        Some(Effect::Noise) => ("noise", "it is counted under that rule and never reaches the disk".into()),
        Some(Effect::Drop) => {
            ("noise", "it is dropped, whatever else it looks like, and counted under that rule".into())
        }
        Some(Effect::Critical) => ("critical", kept("current and critical/", rotate, *critical)),
        Some(Effect::Anomaly) => ("anomaly", kept("current and critical/", rotate, *critical)),
        Some(Effect::Keep) => ("routine", kept("current, whatever a noise rule says", rotate, *routine)),
        None => ("routine", kept("current", rotate, *routine)),
    };
    format!("{}: {class}{rule}\n  {fate}\n", worker.name)
}

/// Where a line is kept, and until when.
fn kept(place: &str, rotate: Rotate, retain: Retain) -> String {
    let until = match (retain.age, rotate.age) {
        (Some(keep), Some(age)) => format!("purged {} from now at the latest", show_duration(keep + age)),
        (Some(keep), None) => format!("purged {} after its file is closed", show_duration(keep)),
        (None, _) => "never purged for its age".into(),
    };
    let size = retain.bytes.map(|bytes| format!(", sooner where archives reach {}", show_size(bytes)));
    format!("it is written to {place}, {until}{}", size.unwrap_or_default())
}
