//! `quell logs`: what workers have printed, archives and all, and what they print from now on.

mod show;
mod sources;

use super::{End, Failure, config, talk};
use crate::config::report::visible;
use crate::line::Class;
use crate::log::name::CRITICAL;
use crate::log::span::{self, Span};
use crate::runtime::reader::Reader;
use crate::runtime::reader::follow::Follower;
use crate::runtime::reader::merge::Merge;
use crate::runtime::reader::select::{Rules, Select, Wanted};
use crate::sys::{fd, limits, time};
use clap::Args;
use show::{Form, Show};
use sources::Source;
use std::io;
use std::path::PathBuf;

/// How many lines are shown before those that are followed.
const LINES_BEFORE: u64 = 10;
/// So much is written at once.
const WRITE_BYTES: usize = 64 << 10;

/// Show what workers have printed, from archives and the current file
#[derive(Debug, Args)]
#[command(after_help = "\
Lines of several logs are put in order by their stamps, each behind its log's name. A TIME is a duration (10m: ten minutes
ago), 01:02 or 01:02:03 of today, a date, or a date and time; local where it has no offset. --class critical, anomaly, or
both, reads the critical/ folder, which is kept longer than other lines.

Examples:
  quell logs web                               all that is kept, oldest first
  quell logs -f                                the last ten lines of all workers, and what comes
  quell logs -f web worker                     the last ten lines of both, and what comes
  quell logs --since 10m --class critical,anomaly web
  quell logs --dir /var/log/server -n 100      what `quell log` and `quell run --log` have written")]
pub(super) struct Options {
    #[command(flatten)]
    config: config::Options,
    /// Workers of the configuration; NAME is all of its instances, NAME.2 one of them [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// A log directory instead, of `quell log DIR` or `quell run --log DIR`
    #[arg(long, value_name = "DIR", conflicts_with_all = ["names", "config"])]
    dir: Option<PathBuf>,
    /// With --dir: classify by this filter list, too; a shipped one by its name, a file by its path
    #[arg(short, long = "list", value_name = "NAME|PATH", requires = "dir")]
    lists: Vec<String>,
    /// Wait for more, through all rotations
    #[arg(short, long)]
    follow: bool,
    /// Only the last N lines [default: all; with -f, but without --since, 10]
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<u64>,
    /// Only lines from this time on
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only lines up to this time
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    until: Option<String>,
    /// Only lines that are of these classes by the lists in force now: critical, anomaly, routine, noise
    #[arg(long = "class", value_name = "CLASS", value_delimiter = ',')]
    classes: Vec<Class>,
}

impl Options {
    pub(super) fn execute(&self) -> Result<End, Failure> {
        let wanted = Wanted { span: self.span()?, classes: self.classes.clone() };
        let form = Form::of_stdout();
        let classify = form.colour || !wanted.classes.is_empty();
        let sources = match &self.dir {
            Some(dir) => vec![sources::of_dir(dir, &self.lists, classify)?],
            None => sources::of_names(&self.config, &self.names, classify)?,
        };
        if sources.len() > 1 {
            // Each log has two or three open, and a worker may have a thousand.
            let _ = limits::raise_descriptors();
        }
        let rules: Vec<_> = sources.iter().map(|source| source.rules.clone()).collect();
        let mut readers = Vec::with_capacity(sources.len());
        for source in &sources {
            readers.push(self.reader(source, wanted.span)?);
        }
        let follower = self.follow.then(|| Follower::new(readers.len())).transpose();
        View {
            skip: self.skip(&mut readers, &wanted, &rules)?,
            merge: Merge::new(readers, form.colour || !wanted.is_everything()),
            by_time: !wanted.span.is_everything(),
            select: Select::new(wanted, rules),
            show: Show::new(form, sources.iter().map(|source| source.name.as_str())),
            follower: follower.map_err(|e| Failure::new(format!("cannot follow: {e}")))?,
            sources: &sources,
            unstamped: Vec::new(),
            failed: false,
        }
        .run()
    }

    fn span(&self) -> Result<Span, Failure> {
        let (now, zone) = (time::now().wall, time::local_zone());
        let time = |option: &str, text: &Option<String>| {
            let read = |text: &String| span::parse(text, now, &zone);
            text.as_ref().map(read).transpose().map_err(|e| Failure::usage(format!("{option}: {e}")))
        };
        Ok(Span { since: time("--since", &self.since)?, until: time("--until", &self.until)? })
    }

    /// A log that was never written is empty.
    fn reader(&self, source: &Source, span: Span) -> Result<Reader, Failure> {
        let rare = !self.classes.is_empty() && self.classes.iter().all(|class| *class >= Class::Anomaly);
        let path = if rare { source.path.join(CRITICAL) } else { source.path.clone() };
        match Reader::open(&path, span, self.follow) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && source.path.exists() => Ok(Reader::nowhere(&path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.dir.is_none() => {
                tracing::warn!("nothing was logged yet: there is no {}", visible(&path.to_string_lossy()));
                Ok(Reader::nowhere(&path))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(Failure::new(format!("there is no directory {}", source.path.display())))
            }
            reader => reader.map_err(|e| Failure::new(format!("cannot read {}: {e}", path.display()))),
        }
    }

    /// How many of the lines that are wanted stand before the last ones that are asked for.
    fn skip(&self, readers: &mut [Reader], wanted: &Wanted, rules: &[Option<Rules>]) -> Result<u64, Failure> {
        let default = (self.follow && self.since.is_none()).then_some(LINES_BEFORE);
        let Some(lines) = self.lines.or(default) else { return Ok(0) };
        let mut left = 0;
        for (reader, rules) in readers.iter_mut().zip(rules) {
            let kept = match wanted.is_everything() {
                true => reader.keep_last(lines),
                false => keep_last_wanted(reader, lines, wanted, rules),
            };
            left += kept.map_err(|e| Failure::new(format!("cannot read {}: {e}", reader.path().display())))?;
        }
        Ok(left.saturating_sub(lines))
    }
}

/// Passes over archives that lie before the last lines that are wanted: how many of these are left, a few more perhaps. Which
/// are wanted is known when they have been read; so they are read twice, and nothing is held.
fn keep_last_wanted(reader: &mut Reader, lines: u64, wanted: &Wanted, rules: &Option<Rules>) -> io::Result<u64> {
    let mut archives = 1;
    loop {
        let mut again = reader.again()?;
        let is_more = again.keep_archives(archives);
        let (mut merge, mut select) = (Merge::new(vec![again], true), Select::new(wanted.clone(), vec![rules.clone()]));
        let mut left = 0;
        while let Some(line) = merge.next_line() {
            left += u64::from(select.class(&line).is_some() && line.last);
        }
        if left >= lines || !is_more {
            reader.keep_archives(archives);
            return Ok(left);
        }
        archives *= 4;
    }
}

/// Logs on their way to standard output.
struct View<'a> {
    sources: &'a [Source],
    merge: Merge,
    select: Select,
    /// Lines are wanted by their time.
    by_time: bool,
    /// So many lines that are wanted are not shown.
    skip: u64,
    show: Show,
    follower: Option<Follower>,
    /// Logs of which it was said that they have no stamps.
    unstamped: Vec<usize>,
    failed: bool,
}

impl View<'_> {
    fn run(mut self) -> Result<End, Failure> {
        while self.show_all()? {
            self.say_what_is_wrong();
            let Some(follower) = &mut self.follower else { break };
            let readers = self.merge.readers();
            let unwatched = |e: io::Error| Failure::new(format!("cannot follow: {e}"));
            // What begins to be watched may have changed before.
            if !follower.attend(readers).map_err(unwatched)?
                && !follower.wait(readers, fd::stdout()).map_err(unwatched)?
            {
                break;
            }
        }
        Ok(End::Code(u8::from(self.failed)))
    }

    /// Shows all that there is by now; false when nobody reads it any more.
    fn show_all(&mut self) -> Result<bool, Failure> {
        while let Some(line) = self.merge.next_line() {
            let Some(class) = self.select.class(&line) else { continue };
            if self.skip > 0 {
                self.skip -= u64::from(line.last);
                continue;
            }
            self.show.line(&line, class);
            if self.show.bytes() >= WRITE_BYTES && !talk::put(&self.show.take())? {
                return Ok(false);
            }
        }
        talk::put(&self.show.take())
    }

    fn say_what_is_wrong(&mut self) {
        for trouble in self.merge.readers().iter_mut().flat_map(Reader::troubles) {
            let text = trouble.to_string();
            match trouble.is_failure() {
                true => tracing::error!("{}", visible(&text)),
                false => tracing::warn!("{}", visible(&text)),
            }
            self.failed |= trouble.is_failure();
        }
        let unstamped: Vec<_> = self.select.without_stamps().filter(|at| !self.unstamped.contains(at)).collect();
        for at in &unstamped {
            let name = visible(&self.sources[*at].name);
            if self.by_time {
                tracing::error!("the lines of {name} have no stamps, so their time is not known: none is shown");
                self.failed = true;
            } else if self.sources.len() > 1 {
                tracing::warn!("the lines of {name} have no stamps, so they stand by themselves");
            }
        }
        self.unstamped.extend(unstamped);
    }
}
