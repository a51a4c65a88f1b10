//! The options that say how lines are sorted, and the lists that they name.

use super::Failure;
use crate::config::unit::parse_size;
use crate::line::Class;
use crate::line::lint;
use crate::line::list::{self, Effect, List, Mistake, Rule, Sample};
use crate::line::rules::RuleSet;
use crate::line::shipped::{self, LEVELS};
use crate::runtime::lists::read;
use crate::runtime::sorting::{Kept, Sorting};
use clap::Args;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

#[derive(Debug, Args)]
#[group(skip)]
#[command(next_help_heading = "Which lines")]
pub(super) struct Options {
    /// Use a filter list: a shipped one by its name, a file by its path (with a / or ending in .list)
    #[arg(short, long = "list", value_name = "NAME|PATH")]
    lists: Vec<String>,
    /// Drop lines with this text, written as in a list: ^start, end$, one && other; blanks at its edges count
    #[arg(short = 'e', long, value_name = "TEXT", allow_hyphen_values = true)]
    noise: Vec<OsString>,
    /// Never drop lines with this text
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    keep: Vec<OsString>,
    /// Do without the list "levels": nothing is critical by itself
    #[arg(long)]
    no_levels: bool,
    /// Let only these classes through: critical, anomaly, routine, noise
    #[arg(long, value_name = "CLASS", value_delimiter = ',')]
    only: Vec<Class>,
    /// Longer lines are kept in pieces that share the first one's class
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse_line_max)]
    line_max: u64,
}

/// Longer caps would only serve to use up memory.
const LINE_MAX: u64 = 1 << 30;

fn parse_line_max(text: &str) -> Result<u64, String> {
    match parse_size(text).map_err(|e| e.to_string())? {
        0 => Err("a line has at least one byte".into()),
        bytes if bytes > LINE_MAX => Err("at most 1GiB".into()),
        bytes => Ok(bytes),
    }
}

impl Options {
    /// The cap on lines, in bytes.
    pub(super) fn line_bytes_max(&self) -> usize {
        self.line_max as usize
    }

    /// Reads and compiles the lists, and says what is odd about them.
    ///
    /// # Errors
    /// All mistakes of all lists.
    pub(super) fn load(&self) -> Result<Sorting, Failure> {
        let mut loading = Loading::default();
        for name in &self.lists {
            loading.list(name);
        }
        let warned = loading.rules.len();
        loading.options("-e", Effect::Noise, &self.noise);
        loading.options("-k", Effect::Keep, &self.keep);
        let samples = if self.no_levels { Vec::new() } else { loading.levels() };
        if !loading.mistakes.is_empty() {
            return Err(Failure::usage(loading.mistakes.join("\nquell: ")));
        }
        // What is odd about shipped lists together is not the user's to mend.
        let mendable = |warning: &lint::Warning| shipped::find(&warning.place.list).is_none();
        for warning in lint::check(&loading.rules[..warned], &samples).into_iter().filter(mendable) {
            tracing::warn!("{warning}");
        }
        let rules = RuleSet::new(loading.rules);
        if tracing::enabled!(tracing::Level::INFO) {
            let (plain, watched) = rules.engines();
            tracing::info!("{} rules; plain noise by {plain}, all others by {watched}", rules.rules().len());
        }
        let kept = if self.only.is_empty() { Kept::default() } else { self.only.iter().copied().collect() };
        Ok(Sorting::new(Arc::new(rules), kept))
    }

    /// Reads the lists once more; what is wrong is said, and the old ones stay in force.
    pub(super) fn reload(&self) -> Option<Sorting> {
        match self.load() {
            Ok(sorting) => {
                tracing::info!("lists reloaded");
                Some(sorting)
            }
            Err(failure) => {
                tracing::error!("{}", failure.text);
                tracing::error!("the lists that were in force stay in force");
                None
            }
        }
    }
}

/// What has been read so far.
#[derive(Default)]
struct Loading {
    rules: Vec<Rule>,
    mistakes: Vec<String>,
}

impl Loading {
    fn list(&mut self, name: &str) {
        match read(name, None) {
            Ok((name, bytes)) => {
                let parsed = list::parse(&name, &bytes, &mut |name, from| read(name, Some(from)));
                self.take(parsed.map(|List { rules, .. }| rules));
            }
            Err(why) => self.mistakes.push(format!("cannot use list {name:?}: {why}")),
        }
    }

    fn options(&mut self, option: &str, effect: Effect, texts: &[OsString]) {
        for (ordinal, text) in (1..).zip(texts) {
            let parsed = list::parse_rule(option, ordinal, effect, text.as_bytes());
            self.take(parsed.map(|rule| vec![rule]).map_err(|mistake| vec![mistake]));
        }
    }

    /// Adds the list `levels`; its samples, for warnings.
    fn levels(&mut self) -> Vec<Sample> {
        let text = shipped::find(LEVELS).map_or("", |list| list.text);
        match list::parse(LEVELS, text.as_bytes(), &mut |name, from| read(name, Some(from))) {
            Ok(List { rules, samples }) => {
                self.rules.extend(rules);
                samples
            }
            Err(mistakes) => {
                self.take(Err(mistakes));
                Vec::new()
            }
        }
    }

    fn take(&mut self, parsed: Result<Vec<Rule>, Vec<Mistake>>) {
        match parsed {
            Ok(rules) => self.rules.extend(rules),
            Err(mistakes) => self.mistakes.extend(mistakes.iter().map(ToString::to_string)),
        }
    }
}
