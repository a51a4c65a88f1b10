//! `quell up`: many workers from one file.

use super::{End, Failure, config, talk};
use crate::config::report;
use crate::runtime::launch::identity;
use crate::runtime::trust;
use crate::runtime::up::{self, BeginError, Configuration, begin};
use crate::sys::fd;
use crate::sys::signal::{Inherited, Signals};
use clap::Args;

/// Start the workers of a configuration, and keep them as they are wanted
#[derive(Debug, Args)]
#[command(after_help = "\
It stays in the foreground. TERM and INT stop the workers in order, once more kills them; HUP reloads the configuration,
USR1 opens the logs anew, ALRM rotates them.

Examples:
  quell up
  quell up -c /etc/quell/quell.toml
  quell check --host && quell up -v")]
pub(super) struct Options {
    #[command(flatten)]
    config: config::Options,
}

/// What is taken. What would end quell, or stop it without a terminal to go on from, is taken too where it is PID 1, which
/// the kernel sends no signal that nobody takes.
const SIGNALS: [i32; 9] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGCHLD,
    libc::SIGPWR,
];

impl Options {
    pub(super) fn execute(&self, inherited: &Inherited) -> Result<End, Failure> {
        let path = self.config.path()?;
        if let Some(why) = trust::refusal(&path) {
            return Err(Failure::new(why));
        }
        let configuration = load(&path, config::wants_colour(&std::io::stderr())).map_err(|text| refused(&text))?;
        let mut signals =
            Signals::take(inherited, &SIGNALS).map_err(|e| Failure::new(format!("cannot take signals: {e}")))?;
        let mut again = || match trust::refusal(&path) {
            Some(why) => Err(why),
            // Whoever asked for it reads it elsewhere.
            None => load(&path, false),
        };
        let code = begin(configuration, &mut again, inherited, &mut signals).map_err(|e| match e {
            BeginError::Mistakes(text) => refused(&text),
            e => Failure::new(e.to_string()),
        })?;
        Ok(End::Code(code))
    }
}

fn refused(text: &str) -> Failure {
    talk::write_all(fd::stderr(), text.as_bytes());
    Failure::new("the configuration has mistakes; nothing was started")
}

/// Loads a configuration that can be carried out; all that is wrong with it, as shown to people, in `colour` or without.
fn load(path: &std::path::Path, colour: bool) -> Result<Configuration, String> {
    let mut checked = config::load_file(path).map_err(|failure| failure.text)?;
    checked.settle();
    let reports = &mut checked.loaded.reports;
    reports.extend(identity::refusals(&checked.loaded.config));
    reports.extend(up::not_yet(&checked.loaded.config));
    report::sort(reports);
    let text = report::to_text(&checked.loaded.sources, reports, colour);
    let wrong = reports.iter().any(|report| report.severity == report::Severity::Error);
    if wrong {
        return Err(text);
    }
    // Warnings do not keep it from starting.
    talk::write_all(fd::stderr(), text.as_bytes());
    let config::Checked { loaded, shelf, folder } = checked;
    Ok(Configuration { loaded, shelf, folder, path: path.display().to_string() })
}
