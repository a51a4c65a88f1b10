//! supervisord.conf: its sections. What a program becomes is in `program`.

use super::expand::{Program, Scope, expand};
use super::ini::{self, Entry, Section};
use super::write::{Names, quote};
use super::{Left, Translation};
use super::{logs, program};

const HEAD: &str = "\
# Translated from a supervisord.conf; where supervisord's built-in value means something else than quell's, it is written.
# supervisord takes every end within startsecs for a failed start; quell goes by success_codes alone.
# The variables SUPERVISOR_ENABLED, SUPERVISOR_PROCESS_NAME and the like are not set.
";

/// Keys of [supervisord] that quell has no use for, and what to do instead.
const LEFT: [(&str, &str); 9] = [
    ("logfile", "what quell itself says is on its standard error; send it where it should go when quell is started"),
    ("logfile_maxbytes", "quell writes no log of its own; remove it"),
    ("logfile_backups", "quell writes no log of its own; remove it"),
    ("loglevel", "quell writes no log of its own; remove it"),
    ("pidfile", "quell holds a lock in its state directory, and needs no such file; remove it"),
    ("identifier", "one supervisor is told from another by its state directory; set `state` in [quell]"),
    ("minfds", "a worker has limits of its own; write limits = { nofile = … } where more are needed"),
    ("minprocs", "a worker has limits of its own; write limits = { nproc = … } where more are needed"),
    ("silent", "what quell itself says is on its standard error; send that to /dev/null when quell is started"),
];

/// What [supervisord] says for all programs.
#[derive(Default)]
pub(super) struct Common {
    pub(super) env: Vec<(String, String)>,
    pub(super) umask: Option<String>,
    pub(super) cwd: Option<String>,
    pub(super) user: Option<String>,
    logs: Option<String>,
    /// The folder of the file.
    pub(super) here: String,
}

/// Translates a supervisord.conf.
///
/// Each `[program:x]` becomes a worker; `folder` is the file's. Comments end a line after ` ;` and ` #`, as with Python 3.
#[must_use]
pub fn supervisord(text: &str, folder: &str) -> Translation {
    let (sections, mut left) = ini::parse(text);
    let common = sections.iter().find(|section| section.name == "supervisord");
    let none = Common { here: folder.to_owned(), ..Common::default() };
    let common = common.map(|section| read_common(section, folder, &mut left)).unwrap_or(none);
    let mut out = HEAD.to_owned();
    if let Some(dir) = &common.logs {
        out.push_str(&format!("\n[log]\ndir = {}\n", quote(dir)));
    }
    let mut names = Names::default();
    for section in &sections {
        let (kind, name) =
            section.name.split_once(':').map_or((&*section.name, ""), |(kind, name)| (kind, name.trim()));
        match kind {
            "supervisord" | "include" | "DEFAULT" if kind != section.name => {
                left.push(section.left(whole(section, "")))
            }
            "supervisord" => {}
            "program" if !name.is_empty() => {
                let group = group_of(&sections, name).unwrap_or(name);
                let program = Program { name: name.into(), group: group.into(), instances: 1, first: 0 };
                out.extend(program::translate(section, program, &common, &mut names, &mut left));
            }
            "group" => group(section, &mut left),
            "include" => include(section, &mut left),
            "DEFAULT" => {
                left.extend(
                    section.entries.iter().map(|entry| entry.left("write it into each section that it is for")),
                );
            }
            _ => left.push(section.left(whole(section, kind))),
        }
    }
    Translation::new(out, left)
}

/// What a section that is left as a whole is, with its keys.
fn whole(section: &Section, kind: &str) -> String {
    let what = match kind {
        "unix_http_server" => "clients reach quell at `socket` of [quell], which belongs to whom quell runs as",
        "inet_http_server" => "quell is not reached over the network; use ssh, or `metrics` of [quell] for figures",
        "supervisorctl" => "clients find quell by its configuration, --socket or QUELL_SOCKET",
        "rpcinterface" | "ctlplugin" => "quell loads no plugins; remove it",
        "eventlistener" => "quell does not speak this protocol; write a worker with start_on for what it waits for",
        "fcgi-program" => {
            "a socket as standard input has no counterpart; let the command listen by itself, or write a worker with \
             start_on = [{ socket = … }], which gets it as descriptor 3"
        }
        "program" => "it has no name; write [program:NAME]",
        _ => "supervisord knows no such section either; remove it",
    };
    let keys: Vec<_> = section.entries.iter().map(|entry| entry.key.as_str()).collect();
    let keys = if keys.is_empty() { String::new() } else { format!(" ({})", keys.join(", ")) };
    format!("[{}]{keys}: {what}", section.name)
}

fn members(section: &Section) -> impl Iterator<Item = &str> {
    section.get("programs").into_iter().flat_map(|entry| entry.value.split(',')).map(str::trim)
}

/// The name of the group that a program is put into.
fn group_of<'a>(sections: &'a [Section], program: &str) -> Option<&'a str> {
    let group = |section: &'a Section| Some((section.name.strip_prefix("group:")?.trim(), section));
    let mut groups = sections.iter().filter_map(group);
    groups.find(|(_, section)| members(section).any(|member| member == program)).map(|(name, _)| name)
}

fn group(section: &Section, left: &mut Vec<Left>) {
    let members: Vec<_> = members(section).filter(|member| !member.is_empty()).collect();
    let what = format!("quell has no groups; name the workers: {}", members.join(" "));
    left.push(section.left(format!("[{}]: {what}", section.name)));
    for entry in section.entries.iter().filter(|entry| entry.key != "programs") {
        left.push(entry.left(match &*entry.key {
            "priority" => program::NO_PRIORITY,
            _ => program::UNKNOWN,
        }));
    }
}

fn include(section: &Section, left: &mut Vec<Left>) {
    for entry in &section.entries {
        if entry.key != "files" {
            left.push(entry.left(program::UNKNOWN));
            continue;
        }
        let files: Vec<_> = entry.value.split_whitespace().collect();
        let what = format!("import each file by itself, and name the results in `include`: {}", files.join(" "));
        left.push(entry.left(format!("{what}; what [supervisord] and [group:…] say here holds for them, too")));
    }
}

/// A value without program; or none, and it is left.
fn plain(entry: &Entry, folder: &str, left: &mut Vec<Left>) -> Option<String> {
    take(entry, expand(&entry.value, &Scope { here: folder.to_owned(), ..Scope::default() }, false), left)
}

/// What an expansion gave, its notes left; or none, and the entry is left.
pub(super) fn take(
    entry: &Entry,
    expanded: Result<super::expand::Expanded, String>,
    left: &mut Vec<Left>,
) -> Option<String> {
    match expanded {
        Ok(expanded) => {
            left.extend(expanded.notes.iter().map(|note| entry.left(note)));
            Some(expanded.text)
        }
        Err(why) => {
            left.push(entry.left(why));
            None
        }
    }
}

fn read_common(section: &Section, folder: &str, left: &mut Vec<Left>) -> Common {
    let mut common = Common { here: folder.to_owned(), ..Common::default() };
    let is = |key: &str| section.get(key).and_then(|entry| program::truth(&entry.value));
    for entry in &section.entries {
        match &*entry.key {
            "environment" => {
                if let Some(text) = plain(entry, folder, left) {
                    common.env = variables(&text, entry, left);
                }
            }
            "umask" => common.umask = program::umask(entry, left),
            // It is where supervisord goes when it leaves the terminal, so not with `nodaemon`.
            "directory" if is("nodaemon") != Some(true) => {
                common.cwd = plain(entry, folder, left).and_then(|path| program::absolute(path, entry, left));
            }
            "directory" => {
                left.push(entry.left("supervisord does not use it with nodaemon; write cwd where it matters"))
            }
            // Root is only the word that root is meant.
            "user" if matches!(&*entry.value, "root" | "0") => {}
            "user" => {
                common.user = plain(entry, folder, left);
                left.push(entry.left("the workers are run as this user; quell itself is whoever starts it"));
            }
            "childlogdir" => common.logs = plain(entry, folder, left).inspect(|dir| logs::check_dir(dir, entry, left)),
            "nodaemon" if is("nodaemon") == Some(true) => {}
            "nodaemon" => left.push(entry.left("quell stays in the foreground; let init start it")),
            "strip_ansi" | "nocleanup" | "silent" if is(&entry.key) == Some(false) => {}
            "strip_ansi" => left.push(entry.left("colour stays in the logs, and hides nothing from rules; remove it")),
            "nocleanup" => left.push(entry.left("quell never deletes logs at its start; remove it")),
            key => {
                let what = LEFT.iter().find(|(known, _)| *known == key).map_or(program::UNKNOWN, |(_, what)| what);
                left.push(entry.left(what));
            }
        }
    }
    common
}

/// `KEY="value",KEY2=value`: the values are expanded already. A name that comes twice has its last value.
pub(super) fn variables(text: &str, entry: &Entry, left: &mut Vec<Left>) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    for pair in pairs(text) {
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.trim().is_empty()) else {
            left.push(entry.left(format!("{pair:?} is not KEY=\"value\"; write it so")));
            continue;
        };
        let (name, value) = (name.trim(), value.trim());
        // Without quotes a value may have blanks in it; supervisord refuses that, and nothing else is meant.
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        if quote.is_some_and(|quote| value[1..].find(quote) != value.len().checked_sub(2)) {
            left.push(
                entry.left(format!("the value of {name} goes on after its quotes, or they do not end; close them")),
            );
            continue;
        }
        out.retain(|(known, _)| known != name);
        out.push((name.to_owned(), value.trim_matches(['"', '\'']).to_owned()));
    }
    out
}

/// The pieces between commas that stand outside of quotes.
fn pairs(text: &str) -> Vec<&str> {
    let mut quote = None;
    let mut pieces: Vec<_> = text
        .split(|c: char| {
            match quote {
                Some(open) if open == c => quote = None,
                None if matches!(c, '"' | '\'') => quote = Some(c),
                _ => {}
            }
            c == ',' && quote.is_none()
        })
        .map(str::trim)
        .collect();
    // A comma at the end is allowed, and common in lists of several lines.
    pieces.retain(|piece| !piece.is_empty());
    pieces
}
