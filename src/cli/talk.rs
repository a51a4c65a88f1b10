//! What quell says of itself: to stderr, as text or JSON, and never so that it matters whether anybody listens.

use super::Failure;
use crate::runtime::up::HAPPENED;
use crate::sys::fd;
use clap::{ArgAction, Args, ValueEnum};
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    /// Say more: what is done, and why; twice for details
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// The form of what quell says on stderr
    #[arg(long, global = true, value_enum, default_value = "text")]
    log_format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Options {
    /// Puts it in force. Where it `tells`, what happens is said without being asked for.
    pub(super) fn init(&self, tells: bool) {
        let level = match (self.quiet, self.verbose + u8::from(tells)) {
            (true, _) => LevelFilter::ERROR,
            (_, 0) => LevelFilter::WARN,
            (_, 1) => LevelFilter::INFO,
            (_, _) => LevelFilter::DEBUG,
        };
        let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(Stderr).with_ansi(false);
        // It can only be there already, in a test.
        let _ = match self.log_format {
            Format::Text => tracing::subscriber::set_global_default(builder.event_format(Plain).finish()),
            Format::Json => tracing::subscriber::set_global_default(builder.json().flatten_event(true).finish()),
        };
    }
}

/// `quell: warning: text`.
struct Plain;

impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        out.write_str(match *event.metadata().level() {
            Level::ERROR => "quell: ",
            Level::WARN => "quell: warning: ",
            Level::INFO if event.metadata().target() == HAPPENED => "quell: ",
            _ => "quell: note: ",
        })?;
        context.field_format().format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}

/// Takes all that it is given. What stderr does not take at once is not said: whoever reads it must not hold up a worker.
#[derive(Clone, Copy)]
struct Stderr;

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Stderr;
    fn make_writer(&'a self) -> Stderr {
        Stderr
    }
}

impl io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        fd::write_if_room(fd::stderr(), bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes as much as is taken.
pub(super) fn write_all(fd: impl AsFd, mut bytes: &[u8]) {
    while let Ok(written @ 1..) = fd::write(fd.as_fd(), bytes) {
        bytes = &bytes[written..];
    }
}

/// Writes a verb's answer to standard output. That nobody reads it any more is no failure.
///
/// # Errors
/// What write(2) said.
pub(super) fn answer(bytes: &[u8]) -> Result<(), Failure> {
    put(bytes).map(|_| ())
}

/// Writes to standard output; false when nobody reads it any more.
///
/// # Errors
/// What write(2) said.
pub(super) fn put(mut bytes: &[u8]) -> Result<bool, Failure> {
    while !bytes.is_empty() {
        match fd::write(fd::stdout(), bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(false),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => wait_for_room()?,
            Err(e) => return Err(unwritten(&e)),
        }
    }
    Ok(true)
}

/// Whoever shares our standard output may have made it one that does not wait.
fn wait_for_room() -> Result<(), Failure> {
    fd::wait([Some((fd::stdout(), fd::Interest::Write))], None).map(|_| ()).map_err(|e| unwritten(&e))
}

fn unwritten(error: &io::Error) -> Failure {
    Failure::new(format!("cannot write to standard output: {error}"))
}
