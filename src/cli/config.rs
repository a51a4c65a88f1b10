//! The configuration file of the verbs that read one: where it is found, what is wrong with it, and how that is shown.

use super::{Failure, talk};
use crate::config::keys::Table;
use crate::config::kind::nearest;
use crate::config::load::{Loaded, load};
use crate::config::report::{self, Report, Severity, visible};
use crate::config::source::{Place, Sources, line_bytes};
use crate::config::tables::Quell;
use crate::config::values::NOT_LEVELS;
use crate::line::lint;
use crate::line::list::{Mistake, Sample};
use crate::line::shipped::{self, LEVELS};
use crate::runtime::lists::{BYTES_MAX, OfDisk, Shelf, Unusable};
use crate::runtime::preflight;
use crate::sys::fd;
use crate::sys::peek::{self, Pipes};
use clap::Args;
use std::collections::HashSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Where a configuration is looked for when none is named.
const PLACES: [&str; 2] = ["quell.toml", "/etc/quell/quell.toml"];

#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    /// The configuration file [default: $QUELL_CONFIG, ./quell.toml, /etc/quell/quell.toml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A configuration, and all that is known of it.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) loaded: Loaded,
    pub(super) shelf: Shelf,
    /// What relative names are relative to.
    pub(super) folder: PathBuf,
}

impl Options {
    /// The file that is meant.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn path(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.config {
            return Ok(path.clone());
        }
        if let Some(path) = std::env::var_os("QUELL_CONFIG").filter(|path| !path.is_empty()) {
            return Ok(path.into());
        }
        PLACES.iter().map(PathBuf::from).find(|path| path.exists()).ok_or_else(|| {
            let text = "no configuration: there is no quell.toml here, and no /etc/quell/quell.toml";
            Failure::usage(format!("{text}; name one with -c, or let `quell init -- CMD` write one"))
        })
    }

    /// Its name, as far as there is one.
    pub(super) fn name(&self) -> String {
        self.path().map_or_else(|_| String::new(), |path| path.display().to_string())
    }

    /// Whether there is one.
    pub(super) fn is_there(&self) -> bool {
        self.path().is_ok()
    }

    /// What is said of quell itself; mistakes anywhere do not matter to it. Without a file, what is built in.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn quell(&self) -> Result<Quell, Failure> {
        match self.is_there() {
            true => Ok(load_text(&self.path()?)?.config.quell),
            false => Ok(Quell::initial()),
        }
    }

    /// Loads the configuration, and its lists; what is wrong is in the reports.
    ///
    /// # Errors
    /// When there is no file to read.
    pub(super) fn load(&self) -> Result<Checked, Failure> {
        load_file(&self.path()?)
    }

    /// The same for a verb that can do without; in words, why there is none.
    pub(super) fn load_if_clean(&self) -> Result<Checked, String> {
        let mut checked = self.load().map_err(|failure| failure.text)?;
        checked.settle();
        match checked.mistakes() {
            0 => Ok(checked),
            mistakes => Err(format!("{} in {}; see `quell check --host`", count(mistakes, "mistake"), self.name())),
        }
    }

    /// The same for a verb that only looks at what is there: with mistakes, it does with what could be read.
    ///
    /// # Errors
    /// When there is no file to read.
    pub(super) fn load_to_look(&self) -> Result<Checked, Failure> {
        let mut checked = self.load()?;
        checked.settle();
        let mistakes = checked.mistakes();
        if mistakes > 0 {
            let (count, name) = (count(mistakes, "mistake"), self.name());
            tracing::warn!("{count} in {}; see `quell check`", visible(&name));
        }
        Ok(checked)
    }

    /// The same for a verb that needs one without mistakes.
    ///
    /// # Errors
    /// Its mistakes, shown on stderr.
    pub(super) fn load_clean(&self) -> Result<Checked, Failure> {
        load_clean_file(&self.path()?)
    }
}

/// Loads a file that must have no mistakes.
///
/// # Errors
/// Its mistakes, shown on stderr.
pub(super) fn load_clean_file(path: &Path) -> Result<Checked, Failure> {
    let mut checked = load_file(path)?;
    checked.settle();
    let mistakes = checked.loaded.reports.iter().filter(|report| report.severity == Severity::Error);
    let mistakes: Vec<_> = mistakes.cloned().collect();
    if mistakes.is_empty() {
        return Ok(checked);
    }
    let colour = wants_colour(&std::io::stderr());
    talk::write_all(fd::stderr(), report::to_text(&checked.loaded.sources, &mistakes, colour).as_bytes());
    let count = count(mistakes.len(), "mistake");
    Err(Failure::new(format!("{count} in the configuration; nothing was done")))
}

/// Loads a file with all that belongs to it.
///
/// # Errors
/// When it cannot be read.
pub(super) fn load_file(path: &Path) -> Result<Checked, Failure> {
    let mut checked = Checked { loaded: load_text(path)?, shelf: Shelf::default(), folder: here()? };
    checked.lists();
    report::sort(&mut checked.loaded.reports);
    Ok(checked)
}

/// Loads a file, and those that it includes.
fn load_text(path: &Path) -> Result<Loaded, Failure> {
    let env = |name: &str| std::env::var(name).ok();
    let name = path.to_string_lossy();
    load(&name, &here()?, &mut OfDisk::default(), &env).map_err(|e| Failure::usage(format!("cannot read {name}: {e}")))
}

fn here() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|e| Failure::new(format!("cannot tell where we are: {e}")))
}

impl Checked {
    /// How many there are.
    fn mistakes(&self) -> usize {
        self.loaded.reports.iter().filter(|report| report.severity == Severity::Error).count()
    }

    /// Adds what has to be known before it can be said what is in force: variables, and files that are included.
    pub(super) fn settle(&mut self) {
        preflight::settled(&mut self.loaded);
        report::sort(&mut self.loaded.reports);
    }

    /// Reads every list that a worker uses, and says what is wrong with it.
    fn lists(&mut self) {
        let samples = match self.shelf.list(LEVELS) {
            Ok(list) => list.samples.clone(),
            Err(_) => Vec::new(),
        };
        let mut seen = HashSet::new();
        for worker in &self.loaded.config.workers {
            let place = worker.keys.lists.or(worker.place);
            for list in worker.keys.lists.value.iter().filter(|list| list.0 != NOT_LEVELS) {
                if seen.insert(&list.0) {
                    let place = quoted_end(&self.loaded.sources, &list.0, place);
                    let found =
                        list_reports(&list.0, place, &samples, &mut self.shelf, &mut self.loaded.sources, &self.folder);
                    self.loaded.reports.extend(found);
                }
            }
        }
    }
}

/// Where a list is named: as it is, or by the last part of its path, which was made absolute.
fn quoted_end(sources: &Sources, name: &str, from: Place) -> Place {
    let found = sources.quoted(name, from);
    if found != from {
        return found;
    }
    let text = sources.reach(from);
    let base = name.rsplit('/').next().unwrap_or(name);
    let ends = ['"', '\''].map(|quote| text.find(&format!("{base}{quote}")));
    ends.into_iter().flatten().min().map_or(from, |at| {
        let end = at + base.len() + 1;
        let start = text[..end - 1].rfind(['"', '\'']).unwrap_or(0);
        let offset = from.start as usize;
        Place::new(from.file, offset + start..offset + end)
    })
}

fn list_reports(
    name: &str,
    place: Place,
    samples: &[Sample],
    shelf: &mut Shelf,
    sources: &mut Sources,
    folder: &Path,
) -> Vec<Report> {
    let mut at =
        |list: &str, line: u32, column: Option<usize>| list_place(list, line, column, sources, folder).unwrap_or(place);
    match shelf.list(name) {
        Ok(list) => {
            let mendable = |warning: &lint::Warning| shipped::find(&warning.place.list).is_none();
            let warnings = lint::check(&list.rules, samples).into_iter().filter(mendable);
            let report = |warning: lint::Warning| {
                let place = at(&warning.place.list, warning.place.line, None);
                let other = warning.other.map(|other| (at(&other.list, other.line, None), other.line));
                let text = other.map_or(warning.text.clone(), |(_, line)| format!("{} line {line}", warning.text));
                let report = Report::warning(place, text).help(warning.remedy);
                other.into_iter().fold(report, |report, (other, _)| report.also(other, "this one"))
            };
            warnings.map(report).collect()
        }
        Err(Unusable::Unread(why)) => {
            let report = Report::error(place, format!("cannot use list {name:?}"));
            let near = nearest(name, shipped::LISTS.iter().map(|list| list.name));
            vec![match near {
                Some(near) => report.help(format!("did you mean {near:?}?")).fix(place, format!("{near:?}")),
                None => report.help(why),
            }]
        }
        Err(Unusable::Wrong(mistakes)) => {
            let report = |mistake: &Mistake| {
                let place = at(&mistake.place.list, mistake.place.line, Some(mistake.column));
                Report::error(place, &mistake.what).help(&mistake.remedy)
            };
            mistakes.iter().map(report).collect()
        }
    }
}

/// A place in a list's file, which becomes one of the sources; the rest of the line from the column on.
fn list_place(list: &str, line: u32, column: Option<usize>, sources: &mut Sources, folder: &Path) -> Option<Place> {
    let name = Path::new(list).strip_prefix(folder).unwrap_or(Path::new(list)).to_string_lossy().into_owned();
    let file = match sources.find(&name) {
        Some(file) => file,
        None => {
            let text =
                String::from_utf8_lossy(&peek::whole(Path::new(list), BYTES_MAX, Pipes::Refused).ok()?).into_owned();
            sources.add(name, text)
        }
    };
    let text = &sources.get(file).text;
    let bytes = line_bytes(text, line as usize);
    let skip = column.map_or(0, |column| text[bytes.clone()].chars().take(column - 1).map(char::len_utf8).sum());
    let start = (bytes.start + skip).min(bytes.end);
    Some(Place::new(file, start..text[start..bytes.end].trim_end().len() + start))
}

/// `1 mistake`, `2 mistakes`.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Whether to colour what goes there (<https://no-color.org>).
pub(super) fn wants_colour(to: &impl IsTerminal) -> bool {
    let unset = |name| std::env::var_os(name).is_none_or(|value| value.is_empty());
    to.is_terminal() && unset("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
