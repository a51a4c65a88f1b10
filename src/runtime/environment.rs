//! A worker's environment: what it is passed of ours, its file of variables, its own ones, and those that quell sets.

use crate::config::decode::is_variable;
use crate::config::source::line_bytes;
use crate::config::tables::{EnvFile, Worker};
use crate::config::values::EnvFrom;
use crate::sys::peek::{self, Pipes};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::Range;
use std::path::Path;

/// More than this is no file of variables.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// What is never passed on: who started quell meant these for it alone.
const OURS_ALONE: [&str; 3] = ["NOTIFY_SOCKET", "LISTEN_", "QUELL_"];

/// Something wrong in a file of variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Where in the text.
    pub bytes: Range<usize>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// The variables of our own environment that a worker can be passed.
#[must_use]
pub fn ours() -> Vec<(OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| !is_ours_alone(name)).collect()
}

fn is_ours_alone(name: &OsStr) -> bool {
    OURS_ALONE.iter().any(|head| name.as_encoded_bytes().starts_with(head.as_bytes()))
}

/// Whether `env_from` passes a variable on, by its name.
pub fn passed(from: &EnvFrom) -> impl Fn(&OsStr) -> bool {
    let patterns: Option<Vec<_>> = match from {
        EnvFrom::All => None,
        EnvFrom::None => Some(Vec::new()),
        EnvFrom::Names(names) => Some(names.iter().filter_map(|name| glob::Pattern::new(&name.0).ok()).collect()),
    };
    move |name| {
        let matches = |name: &str| patterns.iter().flatten().any(|pattern| pattern.matches(name));
        patterns.is_none() || name.to_str().is_some_and(matches)
    }
}

/// A worker's environment, as a map: of `ours`, then of its file, then its own, in which `{n}` is the instance's number.
/// The file is read anew each time.
///
/// # Errors
/// Why its file cannot be used, in words.
pub fn of(
    worker: &Worker,
    instance: Option<u32>,
    ours: &[(OsString, OsString)],
) -> Result<BTreeMap<OsString, OsString>, String> {
    let passed = passed(&worker.env_from.value);
    let mut all: BTreeMap<_, _> = ours.iter().filter(|(name, _)| passed(name)).cloned().collect();
    let file = match &worker.env_file.value {
        Some(EnvFile::Path(path)) => Some((&path.0, false)),
        Some(EnvFile::By(item)) => item.0.path.value.as_ref().map(|path| (&path.0, item.0.optional.value)),
        None => None,
    };
    if let Some((path, optional)) = file {
        read(path, optional, &mut all)?;
    }
    for (name, value) in &worker.env.value.0 {
        all.insert(name.into(), numbered(&value.0, instance).into());
    }
    Ok(all)
}

/// A text in which `{n}` is the instance's number, where there are several.
#[must_use]
pub fn numbered(text: &str, instance: Option<u32>) -> String {
    instance.map_or_else(|| text.to_owned(), |number| text.replace("{n}", &number.to_string()))
}

fn read(path: &Path, optional: bool, into: &mut BTreeMap<OsString, OsString>) -> Result<(), String> {
    let shown = path.display();
    let bytes = match peek::whole(path, FILE_BYTES_MAX, Pipes::Refused) {
        Err(e) if optional && e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(format!("its `env_file` {shown} does not exist")),
        bytes => bytes.map_err(|e| format!("its `env_file` {shown} cannot be read: {e}"))?,
    };
    let text = String::from_utf8_lossy(&bytes);
    let (variables, wrong) = parse(&text);
    if let Some(Wrong { bytes, remedy, .. }) = wrong.first() {
        // What stands there may be a secret: it is not said.
        let line = 1 + memchr::memchr_iter(b'\n', &text.as_bytes()[..bytes.start]).count();
        let remedy = if remedy.contains('=') { "write NAME=value" } else { remedy };
        return Err(format!("line {line} of its `env_file` {shown} is no variable; {remedy}"));
    }
    into.extend(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
    Ok(())
}

/// The variables of a file, and its mistakes.
#[must_use]
pub fn parse(text: &str) -> (Vec<(&str, &str)>, Vec<Wrong>) {
    let (mut variables, mut wrong) = (Vec::new(), Vec::new());
    for number in 1..=text.lines().count() {
        let span = line_bytes(text, number);
        let line = text[span.clone()].trim_end();
        let start = span.start + line.len() - line.trim_start().len();
        let (line, bytes) = (line.trim_start(), start..span.start + line.len());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut say = |what: String, remedy: String| wrong.push(Wrong { bytes: bytes.clone(), what, remedy });
        let Some((name, value)) = line.split_once('=') else {
            say(format!("{line:?} is not NAME=value"), "write NAME=value, or `#` before a comment".into());
            continue;
        };
        let bare = name.strip_prefix("export ").unwrap_or(name).trim();
        if value.contains('\0') {
            say(format!("the value of {name} holds a NUL"), "remove it".into());
        } else if is_variable(name) {
            variables.push((name, value));
        } else if is_variable(bare) {
            let export = name.starts_with("export ");
            let what =
                if export { "`export` is a shell's, and none reads this" } else { "there are blanks before `=`" };
            say(what.into(), format!("write {bare}={}", value.trim()));
        } else {
            let what = format!("{name:?} cannot be the name of a variable");
            say(what, "write letters, digits and `_`, as in PORT=8080".into());
        }
    }
    (variables, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::typed::Text;

    /// F9: what is quell's own is passed to nobody.
    #[test]
    fn what_is_ours_alone() {
        let alone = |name: &str| is_ours_alone(OsStr::new(name));
        for name in ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "QUELL_CONFIG", "QUELL_WORKER"] {
            assert!(alone(name), "{name}");
        }
        for name in ["PATH", "NOTIFY", "MY_QUELL_X", "quell_x", "LISTENER"] {
            assert!(!alone(name), "{name}");
        }
    }

    #[test]
    fn names_and_patterns_of_variables() {
        let names = EnvFrom::Names(vec![Text("HOME".into()), Text("LC_*".into())]);
        let all = |from: &EnvFrom| ["HOME", "LC_ALL", "PATH"].map(|name| passed(from)(OsStr::new(name)));
        assert_eq!(all(&EnvFrom::All), [true; 3]);
        assert_eq!(all(&EnvFrom::None), [false; 3]);
        assert_eq!(all(&names), [true, true, false]);
    }

    #[test]
    fn a_file_of_variables() {
        let text = "# a comment\n\nPORT=8080\r\n  HOST=a=b\nEMPTY=\nexport A=1\nB = 2\n9=x\nnothing\n";
        let (variables, wrong) = parse(text);
        assert_eq!(variables, [("PORT", "8080"), ("HOST", "a=b"), ("EMPTY", "")]);
        let pieces: Vec<_> = wrong.iter().map(|wrong| &text[wrong.bytes.clone()]).collect();
        assert_eq!(pieces, ["export A=1", "B = 2", "9=x", "nothing"]);
        assert!(wrong[0].remedy.contains("write A=1") && wrong[1].remedy.contains("write B=2"));
    }
}
