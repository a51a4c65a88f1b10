//! The one table of keys: what can stand in a configuration, what is in force where it does not, and why.

mod command;
mod log;
mod task;
mod test;
mod worker;

pub use command::*;
pub use log::*;
pub use task::*;
pub use test::*;
pub use worker::*;

use super::decode::Cx;
use super::keys::Builtin::{Nothing, Rule, Value};
use super::keys::{Key, Set, Table, table, walk};
use super::kind::{Kind, join};
use super::report::Report;
use super::source::Place;
use super::typed::{Choice, words};
use super::values::{Address, PathName, Pattern, SocketPath};
use std::time::Duration;

/// The tables of a file and their keys, as the reference page shows them.
pub const TABLES: [(&str, &[Key]); 6] = [
    ("the file itself", Top::KEYS),
    ("[quell]", Quell::KEYS),
    ("[log]", Log::KEYS),
    ("[worker.NAME]", Worker::KEYS),
    ("[queue.NAME]", Queue::KEYS),
    ("[[test]]", Test::KEYS),
];

/// Another program's name for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The program.
    pub tool: &'static str,
    /// The table that our key stands in.
    pub table: &'static str,
    /// Our key.
    pub key: String,
    /// How it is written there.
    pub written: String,
}

/// What another program's name for a key is here.
#[must_use]
pub fn alias(name: &str) -> Option<Alias> {
    TABLES.into_iter().find_map(|(table, keys)| {
        let mut found = None;
        walk(keys, "", &mut |full, key| {
            let tool_of = |key: &Key| {
                key.also.iter().find(|(_, theirs)| theirs.eq_ignore_ascii_case(name)).map(|(tool, _)| *tool)
            };
            let alias = |tool, key: String, written| Alias { tool, table, key, written };
            if let Some(tool) = tool_of(key) {
                found.get_or_insert(alias(tool, full.to_owned(), format!("{full} = …")));
            }
            // The items of a list are tables, too.
            let Kind::List(Kind::Table(items)) = key.kind else { return };
            for item in items.iter() {
                if let Some(tool) = tool_of(item) {
                    let written = format!("{full} = [{{ {} = … }}]", item.name);
                    found.get_or_insert(alias(tool, full.to_owned(), written));
                }
            }
        });
        found
    })
}

/// A key in one of a table's inner tables, by its last name: `stop.grace` for `grace`.
#[must_use]
pub fn inside(keys: &'static [Key], name: &str) -> Option<String> {
    let mut found = None;
    walk(keys, "", &mut |full, _| {
        if full.rsplit_once('.').is_some_and(|(_, last)| last == name) {
            found.get_or_insert(full.to_owned());
        }
    });
    found
}

/// The table that a key belongs to.
#[must_use]
pub fn home(name: &str) -> Option<&'static str> {
    TABLES.into_iter().find(|(_, keys)| keys.iter().any(|key| key.name == name)).map(|(table, _)| table)
}

table! {
    /// What stands above all tables.
    Top "the file" {
        /// Further files, merged; what is defined twice is a mistake that shows both.
        include: Set<Vec<Pattern>> = Nothing, "One file is enough for most.", Live, [("supervisord", "files")];
    }
}

words! {
    /// What becomes of the workers when quell dies.
    OnDeath {
        /// They are killed (PDEATHSIG).
        Kill = "kill",
        /// They go on.
        Leave = "leave",
    }
}

table! {
    /// What is so for quell itself.
    Quell "[quell]" {
        /// The folder of the store and the lock; one supervisor to a state directory.
        state: Set<Option<PathName>> = Rule("as root `/var/lib/quell`, else `$XDG_STATE_HOME/quell`"),
            "Where the system's rules (file-hierarchy(7), XDG) put state.", Anew, [("supervisord", "childlogdir"), ("systemd", "StateDirectory")];
        /// Where clients reach it: `--socket`, `QUELL_SOCKET`, else this.
        socket: Set<Option<SocketPath>> = Rule("`<state>/quell.sock`"),
            "Beside the lock, so that one state directory has one socket.", Anew, [("supervisord", "file"), ("systemd", "ListenStream")];
        /// Where Prometheus finds metrics.
        metrics: Set<Option<Address>> = Nothing, "Nothing listens that was not asked for.", Live, [];
        /// What becomes of the workers when quell dies; those that are told their tasks are killed.
        on_supervisor_death: Set<Choice<OnDeath>> = Value("\"kill\""),
            "A worker that nobody supervises holds its port against the next start.", Anew, [("systemd", "KillMode")];
        /// The longest that the whole start may take.
        start_timeout: Set<Duration> = Value("\"90s\""),
            "As systemd's, so that who waits for quell knows in time.", Live, [("systemd", "DefaultTimeoutStartSec")];
        /// The longest that the whole stop may take.
        stop_timeout: Set<Duration> = Value("\"90s\""),
            "What systemd grants before it kills.", Live, [("systemd", "DefaultTimeoutStopSec")];
    }
}

/// The names of the keys that are set.
pub(super) fn set_keys<T: Table>(table: &T) -> Vec<(&'static str, Place)> {
    let fields = T::KEYS.iter().zip(table.fields());
    fields.filter_map(|(key, field)| Some((key.name, field.place()?))).collect()
}

/// Whether one of these keys is set, and no other of them; reported where it is not so.
pub(super) fn exactly_one<T: Table>(table: &T, of: &[&str], place: Place, cx: &mut Cx<'_>) -> bool {
    let set: Vec<_> = set_keys(table).into_iter().filter(|(name, _)| of.contains(name)).collect();
    let names = join(of.iter().map(|name| format!("`{name}`")), "or");
    match &set[..] {
        [_] => {}
        [] => {
            cx.report(Report::error(place, format!("{} needs one of its keys", T::NAME)).help(format!("add {names}")))
        }
        [(first, one), (second, another), ..] => {
            let report = Report::error(*another, format!("`{first}` and `{second}` cannot stand together"));
            cx.report(report.help(format!("keep one of {names}")).also(*one, "the other"));
        }
    }
    set.len() == 1
}

pub(super) fn required<T: Table>(table: &T, names: &[&str], place: Place, cx: &mut Cx<'_>) {
    let set = set_keys(table);
    for name in names.iter().filter(|name| set.iter().all(|(key, _)| key != *name)) {
        let report = Report::error(place, format!("{} has no `{name}`", T::NAME));
        cx.report(report.help(format!("add `{name} = …`")));
    }
}
