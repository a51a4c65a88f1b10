//! `quell test`: the `[[test]]` tables of a configuration.

use super::config::{self, Checked, count, wants_colour};
use super::{End, Failure, talk};
use crate::config::report::{self, Report};
use crate::config::source::Place;
use crate::config::tables::{Expected, LineClass, Test};
use crate::config::typed::{Choice, Item, Text, Words};
use crate::line::classify::{Follow, decide};
use crate::line::rules::{RuleSet, Scratch};
use crate::line::{Class, Stream};
use clap::Args;

/// Run the tests that a configuration holds
#[derive(Debug, Args)]
#[command(after_help = "\
[[test]]
worker = \"web\"
lines  = [\"GET /healthz 200\", \"ERROR: disk full\"]
expect = [\"noise\", \"critical\"]

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
        let failed: Vec<Report> = tests.iter().flat_map(|Item(test, place)| run(test, *place, &mut checked)).collect();
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

fn run(test: &Test, place: Place, checked: &mut Checked) -> Vec<Report> {
    let (Some(lines), Some(Expected::Classes(classes))) = (&test.lines.value, &test.expect.value) else {
        let report = Report::error(test.source.or(place), "sources are not simulated by this version of quell");
        return vec![report.help("test lines, or take this test out")];
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
