//! `quell check`: every mistake of a configuration at once, before anything starts.

use super::config::{self, Checked, count, wants_colour};
use super::{End, Failure, talk};
use crate::config::report::{self, Severity};
use clap::Args;

/// What is wrong with a configuration; 0 when nothing is, 1 when something is
#[derive(Debug, Args)]
#[command(after_help = "\
Warnings alone leave the exit code 0, but for --strict. --host also does what a start would do, without starting anything:
it looks commands and users up, opens log directories as their users, binds sockets and lets them go, compares limits.

Examples:
  quell check
  quell check --host -c /etc/quell/quell.toml
  quell check --json | jq '.[].message'")]
pub(super) struct Options {
    #[command(flatten)]
    config: config::Options,
    /// Also look at this machine, as a start would
    #[arg(long)]
    host: bool,
    /// Warnings are mistakes
    #[arg(long)]
    strict: bool,
    /// Reports as JSON, for editors and CI
    #[arg(long)]
    json: bool,
}

impl Options {
    pub(super) fn execute(&self) -> Result<End, Failure> {
        let mut checked = self.config.load()?;
        if self.host {
            crate::runtime::preflight::check(&mut checked.loaded);
            report::sort(&mut checked.loaded.reports);
        }
        let mistakes = self.show(&checked)?;
        Ok(End::Code(u8::from(mistakes > 0)))
    }

    /// Shows the reports; how many are mistakes.
    fn show(&self, checked: &Checked) -> Result<usize, Failure> {
        let loaded = &checked.loaded;
        let errors = loaded.reports.iter().filter(|report| report.severity == Severity::Error).count();
        let warnings = loaded.reports.len() - errors;
        let text = match self.json {
            true => report::to_json(&loaded.sources, &loaded.reports),
            false => {
                let colour = wants_colour(&std::io::stdout());
                let reports = report::to_text(&loaded.sources, &loaded.reports, colour);
                let name = &loaded.sources.get(0).name;
                let (workers, queues) = (loaded.config.workers.len(), loaded.config.queues.len());
                let found = match (errors, warnings) {
                    (0, 0) => format!("{} and {}, no mistake", count(workers, "worker"), count(queues, "queue")),
                    (errors, 0) => count(errors, "mistake"),
                    (0, warnings) => format!("no mistake, {}", count(warnings, "warning")),
                    (errors, warnings) => format!("{}, {}", count(errors, "mistake"), count(warnings, "warning")),
                };
                format!("{reports}{}: {found}\n", report::visible(name))
            }
        };
        talk::answer(text.as_bytes())?;
        Ok(if self.strict { errors + warnings } else { errors })
    }
}
