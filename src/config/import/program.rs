//! `[program:x]`: each key of it, to a worker's.

use super::expand::{self, Scope, expand};
use super::ini::{Entry, Section};
use super::supervisord::{Common, take, variables};
use super::words::split;
use super::write::{Names, Worker, list};
use super::{Left, logs};

/// What is said of a priority.
pub(super) const NO_PRIORITY: &str =
    "workers are not numbered into an order; write needs = [\"…\"] where one has to be ready before another";
/// What is said of a key that is in no list.
pub(super) const UNKNOWN: &str = "supervisord knows no such key here either; remove it";

/// Keys of supervisord's that have no counterpart where they are not false or 0, and what to do instead.
const LEFT: [(&str, &str); 6] = [
    (
        "stdout_events_enabled",
        "quell has no such events; write start_on = [{ line = …, worker = … }] in who waits for one",
    ),
    (
        "stderr_events_enabled",
        "quell has no such events; write start_on = [{ line = …, worker = … }] in who waits for one",
    ),
    ("stdout_capture_maxbytes", "quell has no capture mode; write start_on = [{ line = …, worker = … }] in who waits"),
    ("stderr_capture_maxbytes", "quell has no capture mode; write start_on = [{ line = …, worker = … }] in who waits"),
    ("stdout_syslog", "quell does not write to syslog; let the log shipper read the log directory"),
    ("stderr_syslog", "quell does not write to syslog; let the log shipper read the log directory"),
];

/// Keys that are read together with others, or by their names below.
const READ: [&str; 25] = [
    "command",
    "process_name",
    "numprocs",
    "numprocs_start",
    "priority",
    "autostart",
    "startsecs",
    "startretries",
    "autorestart",
    "exitcodes",
    "stopsignal",
    "stopwaitsecs",
    "stopasgroup",
    "killasgroup",
    "user",
    "redirect_stderr",
    "stdout_logfile",
    "stdout_logfile_maxbytes",
    "stdout_logfile_backups",
    "stderr_logfile",
    "stderr_logfile_maxbytes",
    "stderr_logfile_backups",
    "environment",
    "directory",
    "umask",
];

/// The signals that are used to stop something, and their numbers.
const SIGNALS: [(&str, &str); 10] = [
    ("1", "HUP"),
    ("2", "INT"),
    ("3", "QUIT"),
    ("6", "ABRT"),
    ("9", "KILL"),
    ("10", "USR1"),
    ("12", "USR2"),
    ("14", "ALRM"),
    ("15", "TERM"),
    ("28", "WINCH"),
];

/// One program while it is translated.
pub(super) struct Job<'a> {
    pub(super) section: &'a Section,
    pub(super) scope: Scope,
    /// What the worker is called.
    pub(super) name: String,
    pub(super) worker: Worker,
    pub(super) left: &'a mut Vec<Left>,
}

/// The worker's table; none where there is no command to run.
pub(super) fn translate(
    section: &Section,
    program: expand::Program,
    common: &Common,
    names: &mut Names,
    left: &mut Vec<Left>,
) -> Option<String> {
    let name = names.give(&program.name);
    if name != program.name {
        let why = "a name is made of letters, digits, '.', '_' and '-', and is one worker's only";
        left.push(section.left(format!("`{}` is called `{name}`: {why}", program.name)));
    }
    let scope = Scope { program: Some(program), here: common.here.clone(), env: common.env.clone() };
    let mut job = Job { section, scope, worker: Worker::new(&name), name, left };
    job.number_instances();
    job.environment();
    let has_command = job.command(common);
    job.identity(common);
    job.restart();
    job.stop();
    logs::translate(&mut job);
    job.rest();
    has_command.then(|| job.worker.finish())
}

impl<'a> Job<'a> {
    /// A key's value, expanded; what is wrong with it is left.
    pub(super) fn value(&mut self, key: &str) -> Option<String> {
        let entry = self.section.get(key)?;
        take(entry, expand(&entry.value, &self.scope, false), self.left)
    }

    /// A key's value, which may hold the number of the instance.
    fn numbered(&mut self, key: &str) -> Option<String> {
        let entry = self.section.get(key)?;
        take(entry, expand(&entry.value, &self.scope, true), self.left)
    }

    /// A whole number.
    pub(super) fn number(&mut self, key: &str) -> Option<u32> {
        let number = self.value(key)?.parse();
        if number.is_err() {
            self.leave(key, "not a whole number; write one");
        }
        number.ok()
    }

    /// A truth, as supervisord writes it.
    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        let flag = truth(&self.value(key)?);
        if flag.is_none() {
            self.leave(key, "neither true nor false; write one");
        }
        flag
    }

    /// Something about a key that is there.
    pub(super) fn leave(&mut self, key: &str, what: impl std::fmt::Display) {
        self.left.extend(self.section.get(key).map(|entry| entry.left(what)));
    }

    /// How many instances there are.
    pub(super) fn instances(&self) -> u32 {
        self.scope.program.as_ref().map_or(1, |program| program.instances)
    }

    fn number_instances(&mut self) {
        let count = self.number("numprocs").unwrap_or(1);
        let first = self.number("numprocs_start").unwrap_or(0);
        if count == 0 {
            self.leave("numprocs", "nothing is to run; write enabled = false");
        }
        let Some(program) = &mut self.scope.program else { return };
        (program.instances, program.first) = (count.max(1), first);
        let is_named = program.name.clone();
        if let Some(entry) = self.section.get("process_name") {
            let same = count <= 1 && expand(&entry.value, &self.scope, false).is_ok_and(|name| name.text == is_named);
            let called = match count {
                0 | 1 => format!("the worker is called {}", self.name),
                _ => format!("the instances are called {0}.1 to {0}.{count}", self.name),
            };
            if !same {
                self.leave("process_name", format!("{called}; use that name"));
            }
        }
    }

    fn environment(&mut self) {
        let Some(entry) = self.section.get("environment") else { return };
        let Some(text) = self.numbered("environment") else { return };
        for (name, value) in variables(&text, entry, self.left) {
            self.scope.env.retain(|(known, _)| *known != name);
            self.scope.env.push((name, value));
        }
    }

    /// What is run, and where. False where there is nothing to run.
    fn command(&mut self, common: &Common) -> bool {
        let Some(entry) = self.section.get("command") else {
            let what = format!("[{}]: there is no command, so no worker is written; write one", self.section.name);
            self.left.push(self.section.left(what));
            return false;
        };
        let Some(text) = self.numbered("command") else { return false };
        let Some(words) = split(&text).filter(|words| !words.is_empty()) else {
            let hint = "supervisord takes ` ;` and ` #` for the start of a comment, even between quotes";
            self.leave(
                "command",
                format!("empty, or a quotation is not closed ({hint}), so no worker is written; mend it"),
            );
            return false;
        };
        for word in words.iter().filter(|word| !word.quoted) {
            let variable = word.text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
            if let Some(name) = variable.filter(|name| !name.contains('}')) {
                let what = format!(
                    "the value of {name} is one word in quell, blanks or not; write the words if there are more"
                );
                self.left.push(entry.left(what));
            }
        }
        self.worker.put("command", list(words.iter().map(|word| word.text.as_str())));
        let own = self.value("directory");
        let own = match (own, self.section.get("directory")) {
            (Some(path), Some(entry)) => absolute(path, entry, self.left),
            _ => None,
        };
        let cwd = own.or_else(|| common.cwd.clone());
        let program = &words[0].text;
        if cwd.is_none() && program.contains('/') && !program.starts_with(['/', '$']) {
            self.leave("command", "relative to the folder in which supervisord is started; write that as cwd");
        }
        if let Some(cwd) = cwd.filter(|cwd| cwd != "/") {
            self.worker.put_text("cwd", &cwd);
        }
        true
    }

    /// Everything else that a worker is given before it runs.
    fn identity(&mut self, common: &Common) {
        self.worker.put_env(&self.scope.env);
        if let Some(user) = self.value("user").or_else(|| common.user.clone()) {
            self.worker.put_text("user", &user);
            // With another user quell keeps a worker from gaining rights (by sudo, say); supervisord does not.
            self.worker.put("no_new_privs", false);
        }
        let own = self.section.get("umask").and_then(|entry| umask(entry, self.left));
        if let Some(mask) = own.or_else(|| common.umask.clone()).filter(|mask| mask != "022") {
            self.worker.put_text("umask", &mask);
        }
        if self.flag("autostart") == Some(false) {
            self.worker.put("enabled", false);
        }
        let count = self.instances();
        if count > 1 {
            self.worker.put("instances", count);
        }
    }

    fn restart(&mut self) {
        let seconds = self.number("startsecs").unwrap_or(1);
        let retries = self.number("startretries").unwrap_or(3);
        let restart = self.value("autorestart").map(|text| text.to_lowercase());
        let restart = match restart.as_deref() {
            None | Some("unexpected") => "on-failure",
            Some(text) => match truth(text) {
                Some(true) => "always",
                Some(false) => "never",
                None => {
                    self.leave("autorestart", "none of true, false and unexpected; write one");
                    "on-failure"
                }
            },
        };
        // What is quell's own is not written.
        if restart != "on-failure" {
            self.worker.put_text("restart", restart);
        }
        self.success_codes();
        let fails = seconds > 0 && retries > 0;
        match (restart, seconds) {
            ("never", _) if fails => {
                let what = "supervisord tries a start again, even so, that ends within startsecs";
                let instead =
                    format!("write restart = \"on-failure\", backoff = {{ give_up = {} }}", retries.saturating_add(1));
                self.leave("autorestart", format!("{what}; for that {instead}"));
            }
            ("never", _) => {}
            (_, 0) => {
                let what = "with 0 supervisord restarts at once, as often as it takes";
                self.leave(
                    "startsecs",
                    format!("{what}; quell waits longer each time, backoff = {{ max = … }} at the most"),
                );
            }
            // The first try and its retries; supervisord waits a second more each time, quell twice as long.
            _ => {
                let tries = retries.saturating_add(1);
                self.worker.put("backoff", format!("{{ first = \"1s\", reset = \"{seconds}s\", give_up = {tries} }}"));
            }
        }
    }

    fn success_codes(&mut self) {
        let Some(text) = self.value("exitcodes") else { return };
        let codes: Result<Vec<u8>, _> =
            text.split(',').filter(|_| !text.is_empty()).map(|c| c.trim().parse()).collect();
        match codes {
            Ok(codes) if codes == [0] => {}
            Ok(codes) => self.worker.put("success_codes", format!("{codes:?}")),
            Err(_) => self.leave("exitcodes", "not numbers from 0 to 255 with commas between; write such"),
        }
    }

    fn stop(&mut self) {
        let mut parts = Vec::new();
        if let Some(text) = self.value("stopsignal") {
            let upper = text.to_uppercase();
            let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
            match SIGNALS.iter().find(|(number, name)| *number == upper || *name == bare) {
                Some((_, "TERM")) => {}
                Some((_, name)) => parts.push(format!("signal = \"{name}\"")),
                None => self.leave("stopsignal", "no signal that stops something; write stop = { signal = \"…\" }"),
            }
        }
        if let Some(seconds) = self.number("stopwaitsecs").filter(|seconds| *seconds != 10) {
            parts.push(format!("grace = \"{seconds}s\""));
        }
        if !parts.is_empty() {
            self.worker.put("stop", format!("{{ {} }}", parts.join(", ")));
        }
        for key in ["stopasgroup", "killasgroup"] {
            if self.flag(key) == Some(false) {
                self.leave(
                    key,
                    "quell ends all that the worker has started; let what must live on be a worker of its own",
                );
            }
        }
    }

    /// What has no counterpart, and what nobody knows.
    fn rest(&mut self) {
        for entry in &self.section.entries {
            let key = &*entry.key;
            if key == "priority" {
                self.left.push(entry.left(NO_PRIORITY));
            } else if key == "serverurl" {
                if !entry.value.eq_ignore_ascii_case("auto") {
                    self.left.push(entry.left("quell has no such server; let the program use quell's commands"));
                }
            } else if let Some((_, what)) = LEFT.iter().find(|(known, _)| *known == key) {
                if truth(&entry.value) != Some(false) {
                    self.left.push(entry.left(what));
                }
            } else if !READ.contains(&key) {
                self.left.push(entry.left(UNKNOWN));
            }
        }
    }
}

/// A truth, as supervisord writes it.
pub(super) fn truth(text: &str) -> Option<bool> {
    match &*text.to_lowercase() {
        "yes" | "true" | "on" | "1" => Some(true),
        "no" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A mask as quell writes it, three digits or more; or none, and it is left.
pub(super) fn umask(entry: &Entry, left: &mut Vec<Left>) -> Option<String> {
    match u32::from_str_radix(entry.value.trim_start_matches("0o"), 8) {
        Ok(mask) if mask <= 0o777 => Some(format!("{mask:03o}")),
        _ => {
            left.push(entry.left("not an octal number up to 777; write one"));
            None
        }
    }
}

/// A folder to run in; or none, and it is left: quell takes absolute ones only.
pub(super) fn absolute(path: String, entry: &Entry, left: &mut Vec<Left>) -> Option<String> {
    if path.starts_with(['/', '$']) {
        return Some(path);
    }
    left.push(entry.left(format!("{path:?} is not absolute; write the absolute path as cwd")));
    None
}
