//! `quell simulate`: what would happen.

use super::config::{self, Checked, count, wants_colour};
use super::{End, Failure, ask, talk};
use crate::config::report::{self, Report, Severity};
use crate::config::source::Place;
use crate::control::event::Event;
use crate::render;
use crate::runtime::launch::folder_of;
use crate::simulation::{self, recording, script::Script, summary::Summary};
use crate::sys::fd;
use crate::sys::peek::{self, Pipes};
use crate::sys::tty;
use clap::Args;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The largest file of events.
const EVENTS_BYTES_MAX: usize = 1 << 30;
/// So much is written at once.
const WRITE_BYTES: usize = 64 << 10;

/// Go through recorded or written events on a clock of their own, and show what the configuration makes of them
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is started. Events come from `quell events --record`, or are written by hand, one JSON object a line; docs/simulate.md
has their keys. A life or a try of which nothing is said lasts 1s and ends well; a service goes on. It ends when nothing is left
to be done, 10 minutes behind the last event at the latest. The exit code is 1 where something was expected and did not come.

Examples:
  quell events --record run.jsonl
  quell simulate -c new.toml run.jsonl
  echo '{\"source\":{\"queue\":\"thumbs\",\"class\":\"high\",\"count\":9}}' | quell simulate -
  quell simulate --until 2d")]
pub(super) struct Options {
    #[command(flatten)]
    config: config::Options,
    /// The events; - is standard input [default: none, workers and schedules alone]
    events: Option<PathBuf>,
    /// Go on for so long
    #[arg(long, value_name = "DURATION", value_parser = ask::duration)]
    until: Option<Duration>,
    /// What happens as `quell events --json` has it, and then the summary, each as JSON, one a line
    #[arg(long)]
    json: bool,
}

impl Options {
    pub(super) fn execute(&self) -> Result<End, Failure> {
        let mut checked = self.config.load_clean()?;
        let script = self.events.as_ref().map(|path| script(path, &mut checked)).transpose()?;
        let folder = folder(&checked);
        let mut out = Out { text: String::new(), failed: None };
        let summary = {
            let mut tell = |after: Duration, event: &Event| {
                out.text += &match self.json {
                    true => serde_json::to_string(event).unwrap_or_default() + "\n",
                    false => render::simulation::line(after, event).unwrap_or_default(),
                };
                out.write_if(WRITE_BYTES);
            };
            simulation::run(&checked.loaded.config, &folder, script.unwrap_or_default(), self.until, &mut tell)
        };
        out.text += &self.show(&summary, &checked);
        out.write_if(0);
        out.failed.map_or(Ok(End::Code(u8::from(!summary.is_as_expected()))), Err)
    }

    fn show(&self, summary: &Summary, checked: &Checked) -> String {
        if self.json {
            return serde_json::json!({ "summary": summary }).to_string() + "\n";
        }
        let unmet = unmet(summary);
        let reports = report::to_text(&checked.loaded.sources, &unmet, wants_colour(&std::io::stdout()));
        let text = render::simulation::summary(summary, tty::columns(fd::stdout()));
        match (summary.expectations.len(), unmet.len()) {
            (0, _) => text,
            (of, 0) => format!("{text}{}, all met\n", count(of, "expectation")),
            (of, unmet) => format!("{text}\n{reports}{}, {unmet} not met\n", count(of, "expectation")),
        }
    }
}

/// What relative paths are relative to: the folder of the configuration.
pub(super) fn folder(checked: &Checked) -> PathBuf {
    folder_of(Place::new(0, 0..0), &checked.loaded.sources, &checked.folder)
}

/// What was expected and did not come, each at its place.
pub(super) fn unmet(summary: &Summary) -> Vec<Report> {
    let unmet = summary.expectations.iter().filter(|expectation| !expectation.met);
    unmet.filter_map(|unmet| Some(Report::error(unmet.place?, unmet.describe()))).collect()
}

/// Reads the events; what is wrong with them is shown.
fn script(path: &Path, checked: &mut Checked) -> Result<Script, Failure> {
    let is_stdin = path == Path::new("-");
    let name = if is_stdin { "standard input".to_owned() } else { path.display().to_string() };
    let bytes = if is_stdin { of_stdin() } else { peek::whole(path, EVENTS_BYTES_MAX, Pipes::Taken) };
    let bytes = bytes.map_err(|e| Failure::usage(format!("cannot read {name}: {e}")))?;
    let sources = &mut checked.loaded.sources;
    let file = sources.add(name.as_str(), String::from_utf8_lossy(&bytes));
    let (script, mistakes) = recording::read(&checked.loaded.config, sources, file);
    let colour = wants_colour(&std::io::stderr());
    talk::write_all(fd::stderr(), report::to_text(sources, &mistakes, colour).as_bytes());
    match mistakes.iter().filter(|report| report.severity == Severity::Error).count() {
        0 => Ok(script),
        errors => Err(Failure::new(format!("{} in {name}; nothing was simulated", count(errors, "mistake")))),
    }
}

/// All that comes on standard input, whatever that is.
fn of_stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().take(EVENTS_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() > EVENTS_BYTES_MAX {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 1 GiB")),
        false => Ok(bytes),
    }
}

/// Standard output, some of it at a time.
struct Out {
    text: String,
    failed: Option<Failure>,
}

impl Out {
    /// Writes where there is so much or more.
    fn write_if(&mut self, bytes: usize) {
        if self.text.len() >= bytes {
            let text = std::mem::take(&mut self.text);
            if let Err(e) = talk::answer(text.as_bytes()) {
                self.failed.get_or_insert(e);
            }
        }
    }
}
