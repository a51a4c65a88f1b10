//! Tests of the configuration itself.

use super::task::{event_of, one_kind};
use super::{Priority, WorkerEvent, exactly_one, required, set_keys};
use crate::config::decode::Cx;
use crate::config::keys::Builtin::{Nothing, Required};
use crate::config::keys::{Set, table};
use crate::config::kind::Kind;
use crate::config::report::Report;
use crate::config::source::Place;
use crate::config::syntax::Node;
use crate::config::typed::{Choice, Item, Text, Typed, Words, words};
use crate::config::values::{Address, SignalName};
use std::time::Duration;
use toml::de::DeValue;

words! {
    /// A class of lines.
    LineClass {
        /// Suppressed and counted.
        Noise = "noise",
        /// Kept for some days.
        Routine = "routine",
        /// Kept long: out of the ordinary.
        Anomaly = "anomaly",
        /// Kept long: an error.
        Critical = "critical",
    }
}

table! {
    /// What comes from a source, in a test.
    Source "`source`", check one_source {
        /// A task in this queue.
        queue: Set<Option<Text>> = Nothing, "", Live, [];
        /// Its class.
        class: Set<Option<Choice<Priority>>> = Nothing, "", Live, [];
        /// An event of this worker.
        worker: Set<Option<Text>> = Nothing, "", Live, [];
        /// Which one.
        event: Set<Option<Text>> = Nothing, "", Live, [];
        /// A line.
        line: Set<Option<Text>> = Nothing, "", Live, [];
        /// A file.
        path: Set<Option<Text>> = Nothing, "", Live, [];
        /// A connection to this address.
        socket: Set<Option<Address>> = Nothing, "", Live, [];
        /// A signal.
        signal: Set<Option<SignalName>> = Nothing, "", Live, [];
        /// `quell fire`.
        fire: Set<Option<Text>> = Nothing, "", Live, [];
    }
}

table! {
    /// What is to start, in a test.
    Started "`expect`" {
        /// This worker.
        start: Set<Option<Text>> = Nothing, "", Live, [];
        /// Within this time.
        within: Set<Option<Duration>> = Nothing, "", Live, [];
    }
}

/// What a test expects.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// The class of each line.
    Classes(Vec<Choice<LineClass>>),
    /// A start.
    Start(Item<Started>),
}

impl Typed for Expected {
    const KIND: Kind = Kind::OneOf(&[<Vec<Choice<LineClass>>>::KIND, <Item<Started>>::KIND]);

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::Table(_) => Item::decode(node, cx).map(Expected::Start),
            DeValue::Array(_) => Vec::decode(node, cx).map(Expected::Classes),
            _ => {
                cx.expected(&Self::KIND, node);
                None
            }
        }
    }

    fn print(&self) -> String {
        match self {
            Expected::Classes(classes) => classes.print(),
            Expected::Start(start) => start.print(),
        }
    }
}

table! {
    /// A test of the configuration itself.
    Test "[[test]]", check a_whole_test {
        /// The worker whose lists are tested.
        worker: Set<Option<Text>> = Nothing, "", Live, [];
        /// Lines that it prints.
        lines: Set<Option<Vec<Text>>> = Nothing, "", Live, [];
        /// What happens.
        source: Set<Option<Item<Source>>> = Nothing, "", Live, [];
        /// The classes of the lines, or the start.
        expect: Set<Option<Expected>> = Required, "", Live, [];
    }
}

/// What each kind of source is known by, and the keys that may stand beside it.
const SOURCES: [(&str, &[&str]); 7] = [
    ("line", &["worker"]),
    ("path", &[]),
    ("socket", &[]),
    ("signal", &[]),
    ("fire", &[]),
    ("queue", &["class"]),
    ("worker", &["event"]),
];

fn one_source(source: &Source, place: Place, cx: &mut Cx<'_>) {
    let kind = one_kind(&set_keys(source), &SOURCES, "this source does not say what comes", place, cx);
    if kind == Some("worker") {
        event_of(&source.event, WorkerEvent::WORDS, place, cx);
    }
}

fn a_whole_test(test: &Test, place: Place, cx: &mut Cx<'_>) {
    if !exactly_one(test, &["lines", "source"], place, cx) {
        return;
    }
    let lists_lines = test.lines.place.is_some();
    required(test, if lists_lines { &["worker", "expect"] } else { &["expect"] }, place, cx);
    match (&test.lines.value, &test.expect.value) {
        (Some(lines), Some(Expected::Classes(classes))) if lines.len() != classes.len() => {
            let text = format!("{} lines, but {} classes", lines.len(), classes.len());
            let report = Report::error(test.expect.or(place), text).help("write one class for each line");
            cx.report(report.also(test.lines.or(place), "the lines"));
        }
        (Some(_), Some(Expected::Start(_))) => {
            let report = Report::error(test.expect.or(place), "lines have classes, they start nothing");
            cx.report(report.help("write a list of classes, as in [\"noise\", \"routine\"]"));
        }
        (None, Some(Expected::Classes(_))) if test.source.place.is_some() => {
            let report = Report::error(test.expect.or(place), "a source starts something, it has no class");
            cx.report(report.help("write what is to start, as in { start = \"web\", within = \"50ms\" }"));
        }
        _ => {}
    }
}
