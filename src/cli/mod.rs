//! The command line: one file a verb. Parses, puts the parts together, says what went wrong, chooses the exit code.

mod ask;
mod check;
mod completions;
mod config;
mod deferred;
mod down;
mod events;
mod explain;
mod filter;
mod fire;
mod import;
mod init;
mod lists;
mod log;
mod logging;
mod logs;
mod man;
mod plan;
mod put;
mod queue;
mod reload;
mod rotate;
mod run;
mod schema;
mod signal;
mod simulate;
mod source;
mod start;
mod status;
mod talk;
mod test;
mod up;

use crate::config::report::visible;
use crate::log::ledger::Ledger;
use crate::sys::fd;
use crate::sys::signal::{Inherited, Number, die_of};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use deferred::Deferred;
use std::ffi::OsString;
use std::process::ExitCode;

/// Failure of quell itself, in every verb but `run`.
const EXIT_FAILURE: u8 = 1;
/// The command line was wrong, in every verb but `run`.
const EXIT_USAGE: u8 = 2;

/// Supervises worker processes and reads what they print: noise never reaches the disk, and nothing is lost uncounted.
#[derive(Debug, Parser)]
#[command(name = "quell", version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    talk: talk::Options,
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  quell run --log /var/log/web -l nginx-health -- nginx -g 'daemon off;'
  ./server 2>&1 | quell filter -l heartbeat -e 'cache updated'
  ./server 2>&1 | quell log -l k8s-probes --rotate '16MiB or 1d' /var/log/server";

#[derive(Debug, Subcommand)]
enum Verb {
    Filter(Deferred<filter::Options>),
    Log(Deferred<log::Options>),
    Run(Deferred<run::Options>),
    Up(Deferred<up::Options>),
    Status(Deferred<status::Options>),
    /// Start workers, and what they need
    #[command(after_help = start::START)]
    Start(Deferred<start::Options>),
    /// Stop workers, and those that need them before
    #[command(after_help = start::STOP)]
    Stop(Deferred<start::Options>),
    /// Stop workers and start them again
    #[command(after_help = start::RESTART)]
    Restart(Deferred<start::Options>),
    Signal(Deferred<signal::Options>),
    Reload(Deferred<reload::Options>),
    /// Rotate the logs of workers
    #[command(after_help = rotate::ROTATE)]
    Rotate(Deferred<rotate::Options>),
    /// Open the logs of workers anew, after something else has moved them away
    #[command(after_help = rotate::REOPEN)]
    Reopen(Deferred<rotate::Options>),
    Events(Deferred<events::Options>),
    Put(Deferred<put::Options>),
    Queue(Deferred<queue::Options>),
    Fire(Deferred<fire::Options>),
    Down(Deferred<down::Options>),
    Logs(Deferred<logs::Options>),
    Check(Deferred<check::Options>),
    Plan(Deferred<plan::Options>),
    Explain(Deferred<explain::Options>),
    Init(Deferred<init::Options>),
    Import(Deferred<import::Options>),
    Test(Deferred<test::Options>),
    Simulate(Deferred<simulate::Options>),
    Source(Deferred<source::Options>),
    Schema(Deferred<schema::Options>),
    Completions(Deferred<completions::Options>),
    Man(Deferred<man::Options>),
}

/// A message for the user, and the exit code that goes with it.
#[derive(Debug)]
struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    fn new(text: impl Into<String>) -> Failure {
        Failure { text: text.into(), code: EXIT_FAILURE }
    }

    fn usage(text: impl Into<String>) -> Failure {
        Failure { text: text.into(), code: EXIT_USAGE }
    }
}

/// How a verb ends.
#[derive(Debug)]
enum End {
    /// With this code.
    Code(u8),
    /// By this signal, as the command or the user wanted it.
    Signal(Number),
}

/// How `--stats` shows the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stats {
    Text,
    Json,
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    // First of all, while nothing has changed them yet, and before a signal can arrive that nobody waits for.
    let inherited = match Inherited::take() {
        Ok(inherited) => inherited,
        Err(e) => return fail(&Failure::new(format!("cannot block signals: {e}")), false),
    };
    let args: Vec<OsString> = std::env::args_os().collect();
    let parsed = Cli::try_parse_from(&args).or_else(|_| parse_with_all(&args));
    let takes = |cli: &Cli| matches!(cli.verb, Verb::Filter(_) | Verb::Log(_) | Verb::Run(_) | Verb::Up(_));
    if !parsed.as_ref().is_ok_and(takes)
        && let Err(e) = inherited.restore()
    {
        return fail(&Failure::new(format!("cannot unblock signals: {e}")), false);
    }
    let cli = match parsed {
        Ok(cli) => cli,
        Err(e) => return usage(&e, names_run(&args)),
    };
    let is_run = matches!(cli.verb, Verb::Run(_));
    cli.talk.init(matches!(cli.verb, Verb::Up(_)));
    let end = match cli.verb {
        Verb::Filter(Deferred(options)) => options.execute(&inherited),
        Verb::Log(Deferred(options)) => options.execute(&inherited),
        Verb::Run(Deferred(options)) => options.execute(&inherited),
        Verb::Up(Deferred(options)) => options.execute(&inherited),
        Verb::Status(Deferred(options)) => options.execute(),
        Verb::Start(Deferred(options)) => options.execute(start::Change::Start),
        Verb::Stop(Deferred(options)) => options.execute(start::Change::Stop),
        Verb::Restart(Deferred(options)) => options.execute(start::Change::Restart),
        Verb::Signal(Deferred(options)) => options.execute(),
        Verb::Reload(Deferred(options)) => options.execute(),
        Verb::Rotate(Deferred(options)) => options.execute(rotate::Change::Rotate),
        Verb::Reopen(Deferred(options)) => options.execute(rotate::Change::Reopen),
        Verb::Events(Deferred(options)) => options.execute(),
        Verb::Put(Deferred(options)) => options.execute(),
        Verb::Queue(Deferred(options)) => options.execute(),
        Verb::Fire(Deferred(options)) => options.execute(),
        Verb::Down(Deferred(options)) => options.execute(),
        Verb::Logs(Deferred(options)) => options.execute(),
        Verb::Check(Deferred(options)) => options.execute(),
        Verb::Plan(Deferred(options)) => options.execute(),
        Verb::Explain(Deferred(options)) => options.execute(),
        Verb::Init(Deferred(options)) => options.execute(),
        Verb::Import(Deferred(options)) => options.execute(),
        Verb::Test(Deferred(options)) => options.execute(),
        Verb::Simulate(Deferred(options)) => options.execute(),
        Verb::Source(Deferred(options)) => options.execute(),
        Verb::Schema(Deferred(options)) => options.execute(),
        Verb::Completions(Deferred(options)) => options.execute(Cli::command()),
        Verb::Man(Deferred(options)) => options.execute(Cli::command()),
    };
    match end {
        Ok(End::Code(code)) => code.into(),
        Ok(End::Signal(number)) => {
            die_of(number);
            // Only where the signal has no effect, as for PID 1.
            (128u8.saturating_add(number as u8)).into()
        }
        Err(failure) => fail(&failure, is_run),
    }
}

/// The same with the options of every verb: a help or a hint may be about any of them.
fn parse_with_all(args: &[OsString]) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    command.build();
    let mut matches = command.try_get_matches_from_mut(args)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|e| e.format(&mut command))
}

/// Whether a command line that cannot be parsed was meant for `run`: the first word that is no option, nor an option's
/// value.
fn names_run(args: &[OsString]) -> bool {
    let mut words = args.iter().skip(1);
    while let Some(word) = words.next() {
        if word == "--log-format" {
            words.next();
        } else if !word.as_encoded_bytes().starts_with(b"-") {
            return word == "run";
        }
    }
    false
}

fn fail(failure: &Failure, is_run: bool) -> ExitCode {
    tracing::error!("{}", visible(&failure.text));
    match failure.code {
        EXIT_FAILURE | EXIT_USAGE if is_run => run::EXIT_OWN,
        code => code,
    }
    .into()
}

/// Help is no failure; a wrong command line is.
fn usage(error: &clap::Error, is_run: bool) -> ExitCode {
    // Nobody may be there to read it.
    let _ = error.print();
    match error.use_stderr() {
        false => ExitCode::SUCCESS,
        true if is_run => run::EXIT_OWN.into(),
        true => EXIT_USAGE.into(),
    }
}

/// Shows the ledger on stderr, where it was asked for.
fn show_stats(stats: Option<Stats>, ledger: &Ledger) {
    let text = match stats {
        None => return,
        Some(Stats::Text) => ledger.to_text().into_bytes(),
        Some(Stats::Json) => ledger.to_json(false),
    };
    talk::write_all(fd::stderr(), &text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
