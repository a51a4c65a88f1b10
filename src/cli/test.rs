//! `quell test`: the `[[test]]` tables of a configuration.

use super::config::{self, Checked, count, wants_colour};
use super::{End, Failure, simulate, talk};
use crate::config::report::{self, Report};
use crate::config::source::Place;
use crate::config::tables::{Expected, LineClass, Priority, Source, Started, Test};
use crate::config::typed::{Choice, FromText, Item, Text, Words};
use crate::control::record::Source as Given;
use crate::line::classify::{Follow, decide};
use crate::line::rules::{RuleSet, Scratch};
use crate::line::{Class, Stream};
use crate::simulation::{
    self,
    script::{self, Script, What},
};
use crate::task;
use clap::Args;
use std::path::Path;
use std::time::Duration;

/// Run the tests that a configuration holds
#[derive(Debug, Args)]
#[command(after_help = "\
[[test]]
worker = \"web\"
lines  = [\"GET /healthz 200\", \"ERROR: disk full\"]
expect = [\"noise\", \"critical\"]

[[test]]
source = { queue = \"thumbs\", class = \"high\" }
expect = { start = \"thumbs\", within = \"50ms\" }

What a source starts is found out on a clock of its own, when everything is up; nothing is started.

Example:
  quell test -c quell.toml")]
pub(super) struct Options {
    #[command(flatten)]
    config: config::Options,
}

impl Options {
    pub(super) fn execute(&self) -> Result<End, Failure> {
        let mut checked = self.config.load_clean()?;
        let tests = checked.loaded.config.tests.clone();
        let folder = simulate::folder(&checked);
        let run = |Item(test, place): &Item<Test>| match (&test.source.value, &test.expect.value) {
            (Some(Item(source, _)), Some(Expected::Start(Item(start, at)))) => {
                simulated(source, start, test.expect.place.unwrap_or(*at), &checked, &folder)
            }
            _ => classified(test, *place, &mut checked),
        };
        let failed: Vec<Report> = tests.iter().flat_map(run).collect();
        let colour = wants_colour(&std::io::stdout());
        let reports = report::to_text(&checked.loaded.sources, &failed, colour);
        let found = if failed.is_empty() {
            "all passed".into()
        } else {
            format!("{} failed", count(failed.len(), "expectation"))
        };
        talk::answer(format!("{reports}{}, {found}\n", count(tests.len(), "test")).as_bytes())?;
        Ok(End::Code(u8::from(!failed.is_empty())))
    }
}

/// How long everything has to come up before something happens.
const BEFORE: Duration = Duration::from_secs(30);

/// What a source starts, on a clock of its own.
fn simulated(source: &Source, start: &Started, place: Place, checked: &Checked, folder: &Path) -> Vec<Report> {
    let text = |text: &Option<Text>| text.as_ref().map(|text| text.0.as_str().into());
    let class = source.class.as_ref().map(|class| match class.0 {
        Priority::High => task::Class::High,
        Priority::Normal => task::Class::Normal,
        Priority::Low => task::Class::Low,
    });
    let given = Given {
        queue: text(&source.queue),
        class,
        worker: text(&source.worker),
        event: text(&source.event),
        line: text(&source.line),
        path: text(&source.path),
        socket: source.socket.as_ref().map(|address| address.to_text().into()),
        signal: source.signal.map(|signal| signal.0.into()),
        fire: text(&source.fire),
        ..Given::default()
    };
    let expected = script::Expected { start: text(&start.start).unwrap_or_default(), within: *start.within };
    let mut script = Script::default();
    script.push(BEFORE, What::Expect(expected), place);
    script.push(BEFORE, What::Source(Box::new(given)), place);
    let summary = simulation::run(&checked.loaded.config, folder, script, None, &mut |_, _| {});
    simulate::unmet(&summary)
}

/// The class of each line.
fn classified(test: &Test, place: Place, checked: &mut Checked) -> Vec<Report> {
    let (Some(lines), Some(Expected::Classes(classes))) = (&test.lines.value, &test.expect.value) else {
        return Vec::new();
    };
    let worker = test.worker.value.as_ref().and_then(|name| checked.loaded.config.worker(&name.0));
    let rules = RuleSet::new(worker.map(|worker| checked.shelf.rules(&worker.keys)).unwrap_or_default());
    let (mut follow, mut scratch) = (Follow::default(), Scratch::default());
    let from = test.lines.or(place);
    let judge = |(Text(line), Choice(expected)): (&Text, &Choice<LineClass>)| {
        let class = decide(&rules, line.as_bytes(), Stream::Stdout, &mut follow, &mut scratch).class;
        let found = match class {
            Class::Noise => LineClass::Noise,
            Class::Routine => LineClass::Routine,
            Class::Anomaly => LineClass::Anomaly,
            Class::Critical => LineClass::Critical,
        };
        (found != *expected).then(|| {
            let place = checked.loaded.sources.quoted(line, from);
            let report = Report::error(place, format!("this line is {}, not {}", found.word(), expected.word()));
            let report = report.also(test.expect.or(place), "what is expected");
            report.help("`quell explain line` says by which rule")
        })
    };
    lines.iter().zip(classes).filter_map(judge).collect()
}
