//! Whether a worker's programs can be run: found with its own PATH, as its own user, with their interpreters.

use super::folders::{self, Obstacle};
use super::who::Who;
use super::{Scene, variables};
use crate::config::kind::nearest;
use crate::config::load::Named;
use crate::config::report::Report;
use crate::config::tables::{Argv, Worker};
use crate::config::typed::quote;
use crate::runtime::program::{self, folders as folders_of};
use crate::runtime::trust::mode_and_owner;
use crate::sys::peek::{self, Access};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// As much of a program as the kernel reads to tell what it is (BINPRM_BUF_SIZE).
const HEAD_BYTES: usize = 256;
/// An interpreter may be a script itself, so often (execve(2)).
const SCRIPTS_MAX: usize = 4;
/// Folders in which programs are looked for that are not in PATH.
const USUAL: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// How a worker's programs are found.
pub(super) struct Search<'a> {
    who: &'a Who,
    /// PATH; none where it is not known.
    path: Option<String>,
    /// What names with a slash are relative to; none where that folder is missing.
    base: Option<PathBuf>,
    /// The folder of the configuration file.
    beside: PathBuf,
    /// Whether the base is `cwd`.
    in_cwd: bool,
}

/// Why a program cannot be run.
#[derive(Debug)]
struct Trouble {
    text: String,
    help: String,
    /// What to write instead of its name.
    instead: Option<String>,
    /// What is the same where the cause is.
    cause: String,
}

impl Trouble {
    fn new(text: impl Into<String>, help: impl Into<String>) -> Trouble {
        let text = text.into();
        Trouble { cause: text.clone(), text, help: help.into(), instead: None }
    }

    fn missing(self, part: &Path) -> Trouble {
        Trouble { cause: folders::cause(part), ..self }
    }

    fn instead(mut self, instead: Option<impl Into<String>>) -> Trouble {
        self.instead = instead.map(Into::into);
        self
    }
}

/// Looks at all that a worker runs.
pub(super) fn check(worker: &Named<Worker>, who: &Who, files: &mut variables::Files, scene: &mut Scene<'_>) {
    let keys = &worker.keys;
    let path = variables::path(worker, files, scene);
    let in_cwd = keys.cwd.place.is_some();
    let beside = scene.folder_of(worker.place.file);
    let base = if in_cwd { folder(worker, who, scene) } else { Some(beside.clone()) };
    let search = Search { who, path, base, beside, in_cwd };
    let commands =
        [Some(&keys.command), Some(&keys.stop.command), keys.reload.value.as_ref().map(|reload| &reload.0.command)];
    for command in commands.into_iter().flatten() {
        let (Some(Argv(argv)), Some(key)) = (&command.value, command.place) else { continue };
        let place = scene.values.item(key, 0);
        if let Some(trouble) = argv.first().and_then(|program| search.trouble(&program.0.replace("{n}", "1"))) {
            let report = Report::error(place, trouble.text).help(trouble.help);
            let fixed =
                trouble.instead.into_iter().fold(report, |report, name| scene.fixed(report, place, quote(&name)));
            scene.add_once(trouble.cause, fixed);
        }
    }
    if let (Some(shell), Some(key)) = (&keys.shell.value, keys.shell.place) {
        let trouble = search.trouble("/bin/sh").or_else(|| search.trouble(first_word(&shell.0)?));
        if let Some(trouble) = trouble {
            let report = Report::error(scene.values.of(key), trouble.text).help(trouble.help);
            scene.add_once(trouble.cause, report);
        }
    }
}

/// The folder that a worker is to run in, if it can; else that is said.
fn folder(worker: &Named<Worker>, who: &Who, scene: &mut Scene<'_>) -> Option<PathBuf> {
    let cwd = &worker.keys.cwd;
    let path = &cwd.value.0;
    if !scene.values.is_sound(cwd.place) {
        return None;
    }
    let place = scene.values.of(cwd.or(worker.place));
    let found = who.see(|| match folders::walk(path) {
        Ok(found) if !found.is_dir() => Err(Obstacle::NotFolder(path.clone())),
        Ok(_) => peek::access(path, Access::Execute).map_err(|_| Obstacle::Denied(path.clone())),
        Err(obstacle) => Err(obstacle),
    });
    let Err(obstacle) = found else { return Some(path.clone()) };
    let shown = path.display();
    let report = match &obstacle {
        Obstacle::Missing(part) if part == path => Report::error(place, format!("`cwd` {shown} does not exist")),
        Obstacle::Denied(part) => {
            let text = format!("{} may not enter {} ({})", who.name, part.display(), mode_and_owner(part));
            Report::error(place, text)
        }
        other => Report::error(place, format!("`cwd` {shown} cannot be entered: {}", other.describe())),
    };
    let near = match &obstacle {
        Obstacle::Missing(part) => {
            folders::similar(part).and_then(|near| Some(near.join(path.strip_prefix(part).ok()?)))
        }
        _ => None,
    };
    let report = match near.filter(|near| near.is_dir()) {
        Some(near) => {
            let report = report.help(format!("did you mean {}?", near.display()));
            scene.fixed(report, place, quote(&near.to_string_lossy()))
        }
        None if matches!(obstacle, Obstacle::Denied(_)) => {
            report.help(format!("let {} in, or choose another folder", who.name))
        }
        None => report.help(format!("make it (`mkdir -p {shown}`), or name a folder that exists")),
    };
    let cause = match &obstacle {
        Obstacle::Missing(part) => folders::cause(part),
        _ => report.text.clone(),
    };
    scene.add_once(cause, report);
    None
}

impl Search<'_> {
    /// What stands against running a program.
    fn trouble(&self, program: &str) -> Option<Trouble> {
        match self.find(program)? {
            Ok(found) => self.interpreter(&found, SCRIPTS_MAX),
            Err(trouble) => Some(trouble),
        }
    }

    /// The file that a program's name means; none where that cannot be known.
    fn find(&self, program: &str) -> Option<Result<PathBuf, Trouble>> {
        if program.contains('/') {
            // The base of a whole path does not matter.
            let base = if program.starts_with('/') { Path::new("/") } else { self.base.as_ref()? };
            let whole = program::whole(program, base)?;
            return Some(match self.who.see(|| runnable(&whole)) {
                Ok(()) => Ok(whole),
                Err(Refusal::Path(Obstacle::Missing(part))) => Err(self.missing(program, &whole, &part).missing(&part)),
                Err(refusal) => Err(self.refused(&whole, &refusal)),
            });
        }
        let path = self.path.as_ref()?;
        let found = self.who.see(|| {
            let mut denied = None;
            for whole in folders_of(path.as_ref()).map(|folder| folder.join(program)) {
                match runnable(&whole) {
                    Ok(()) => return Ok(whole),
                    Err(Refusal::Path(_)) => {}
                    Err(refusal) => denied = denied.or(Some((whole, refusal))),
                }
            }
            Err(denied)
        });
        Some(found.map_err(|denied| match denied {
            Some((whole, refusal)) => self.refused(&whole, &refusal),
            None => self.not_in_path(program, path),
        }))
    }

    fn not_in_path(&self, program: &str, path: &str) -> Trouble {
        let mut folders: Vec<String> = Vec::new();
        for folder in folders_of(path.as_ref()).map(|folder| folder.display().to_string()) {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        let text = format!("`{program}` is not in PATH: {}", folders.join(", "));
        let near_by = USUAL.iter().map(|folder| Path::new(folder).join(program)).find(|whole| runnable(whole).is_ok());
        if let Some(whole) = near_by {
            let help = format!("write {}, or add its folder to PATH in `env`", whole.display());
            return Trouble::new(text, help).instead(whole.to_str());
        }
        let beside = self.base.as_ref().filter(|base| runnable(&base.join(program)).is_ok());
        if beside.is_some() {
            let help = format!("write ./{program} for the one in {}", self.place_of_base());
            return Trouble::new(text, help).instead(Some(format!("./{program}")));
        }
        let mut names: Vec<String> = folders.iter().flat_map(|folder| folders::entries(Path::new(folder))).collect();
        names.sort_unstable();
        match nearest(program, names.iter().map(String::as_str)) {
            Some(near) => Trouble::new(text, format!("did you mean `{near}`?")).instead(Some(near)),
            None => Trouble::new(text, "install it, write its whole path, or set PATH in `env`"),
        }
    }

    fn place_of_base(&self) -> String {
        if self.in_cwd { "`cwd`".into() } else { "the folder of the configuration file".into() }
    }

    fn missing(&self, program: &str, whole: &Path, part: &Path) -> Trouble {
        let text = match program.starts_with('/') {
            true if part == whole => format!("{program} does not exist"),
            true => format!("{program} does not exist: the first missing part is {}", part.display()),
            false => {
                format!("`{program}` is not found: it is relative to {}, as {}", self.place_of_base(), whole.display())
            }
        };
        let beside = program::whole(program, &self.beside).unwrap_or_default();
        if runnable(&beside).is_ok() {
            let help = format!("write the whole path: {}", beside.display());
            return Trouble::new(text, help).instead(beside.to_str());
        }
        let near = folders::similar(part).filter(|_| part == whole).filter(|near| near.is_file());
        let renamed = near.as_ref().and_then(|near| {
            let name = near.file_name()?.to_str()?;
            Some(format!("{}{name}", &program[..=program.rfind('/')?]))
        });
        match renamed {
            Some(renamed) => Trouble::new(text, format!("did you mean `{renamed}`?")).instead(Some(renamed)),
            None if program.starts_with('/') => Trouble::new(text, "install it, or write another path"),
            None => Trouble::new(text, "write the program's whole path, or set `cwd` to its folder"),
        }
    }

    /// What to say of a file that is there and cannot be run.
    fn refused(&self, whole: &Path, refusal: &Refusal) -> Trouble {
        let shown = whole.display();
        match refusal {
            Refusal::Path(Obstacle::Denied(part)) => {
                let text = format!("{} may not enter {} ({})", self.who.name, part.display(), mode_and_owner(part));
                Trouble::new(format!("{shown} cannot be run: {text}"), "let that user in, or put the program elsewhere")
            }
            Refusal::Path(other) => {
                Trouble::new(format!("{shown} cannot be run: {}", other.describe()), "write the path of a program")
            }
            Refusal::NotFile => {
                Trouble::new(format!("{shown} is no regular file, and so no program"), "write the path of a program")
            }
            Refusal::Mode(mode) if mode & 0o111 == 0 => {
                Trouble::new(format!("{shown} is not executable: its mode is {mode:04o}"), format!("chmod +x {shown}"))
            }
            Refusal::Mode(_) if peek::is_noexec(whole) => {
                let text = format!("{shown} is on a file system from which nothing is run (noexec)");
                Trouble::new(text, "mount it without noexec, or put the program elsewhere")
            }
            Refusal::Mode(_) => {
                let text = format!("{} may not run {shown} ({})", self.who.name, mode_and_owner(whole));
                Trouble::new(text, format!("chmod a+x {shown}, or change its group or `user`"))
            }
        }
    }

    /// What stands against the interpreter of a script, and that one's, if it is a script.
    fn interpreter(&self, script: &Path, left: usize) -> Option<Trouble> {
        let head = self.who.see(|| peek::head(script, HEAD_BYTES)).or_else(|_| peek::head(script, HEAD_BYTES)).ok()?;
        let shown = script.display();
        let Some((interpreter, argument)) = shebang(&head) else { return unmarked(script, &head) };
        if let Some(word) = [&interpreter, &argument].into_iter().find(|word| word.ends_with('\r')) {
            let text = format!("the interpreter of {shown} would be {word:?}: its lines end as Windows ends them");
            return Some(Trouble::new(text, format!("convert it: sed -i 's/\\r$//' {shown}")));
        }
        if let Err(e) = self.who.see(|| peek::access(script, Access::Read)) {
            let text = format!("{} may not read the script {shown} ({}): {e}", self.who.name, mode_and_owner(script));
            return Some(Trouble::new(text, format!("chmod a+r {shown}")));
        }
        let whole = PathBuf::from(&interpreter);
        if interpreter.is_empty() {
            return Some(Trouble::new(
                format!("the first line of {shown} names no interpreter"),
                "write one, as in #!/bin/sh",
            ));
        }
        if let Err(refusal) = self.who.see(|| runnable(&whole)) {
            let text = match refusal {
                Refusal::Path(Obstacle::Missing(part)) if part != whole => {
                    format!(
                        "the interpreter of {shown}, {interpreter}, does not exist: the first missing part is {}",
                        part.display()
                    )
                }
                Refusal::Path(Obstacle::Missing(_)) => {
                    format!("the interpreter of {shown}, {interpreter}, does not exist")
                }
                other => format!("the interpreter of {shown} cannot be run: {}", self.refused(&whole, &other).text),
            };
            return Some(Trouble::new(text, format!("install {interpreter}, or mend the first line of {shown}")));
        }
        if whole.file_name().is_some_and(|name| name == "env") && is_name(&argument) {
            return self.path.as_ref().and_then(|_| self.find(&argument)?.err()).map(|trouble| {
                let text = format!("the interpreter of {shown} is not found: {}", trouble.text);
                Trouble::new(text, format!("install `{argument}`, or mend the first line of {shown}"))
            });
        }
        left.checked_sub(1).and_then(|left| self.interpreter(&whole, left))
    }
}

/// What keeps a file from being run.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Path(Obstacle),
    NotFile,
    /// Its mode.
    Mode(u32),
}

/// Whether this thread could run a file.
fn runnable(path: &Path) -> Result<(), Refusal> {
    let found = folders::walk(path).map_err(Refusal::Path)?;
    if !found.is_file() {
        return Err(Refusal::NotFile);
    }
    match peek::access(path, Access::Execute) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Err(Refusal::Mode(found.mode() & 0o7777)),
        _ => Ok(()),
    }
}

/// What a script says that runs it, and the first word of what that is given; none of what is no script.
fn shebang(head: &[u8]) -> Option<(String, String)> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty() && *word != "-S");
    let mut word = || words.next().unwrap_or_default().to_owned();
    Some((word(), word()))
}

/// What is neither marked as a script nor looks like anything else is not run by the kernel (ENOEXEC).
fn unmarked(program: &Path, head: &[u8]) -> Option<Trouble> {
    let is_text = !head.starts_with(b"\x7fELF") && !head.contains(&0);
    let shown = program.display();
    is_text.then(|| match head.starts_with(b"\xef\xbb\xbf#!") {
        true => Trouble::new(
            format!("{shown} begins with a byte order mark, which hides its `#!`"),
            "save it as UTF-8 without one",
        ),
        false if head.is_empty() => Trouble::new(format!("{shown} is empty"), "write the program"),
        false => Trouble::new(
            format!("{shown} does not begin with `#!`: the kernel cannot run it"),
            "add a first line, as in #!/bin/sh",
        ),
    })
}

/// Whether a word is the name of a program, and nothing that `env` takes for something else.
fn is_name(word: &str) -> bool {
    !word.is_empty() && !word.starts_with('-') && !word.contains('=')
}

/// Words that a shell knows by itself.
const SHELL_WORDS: [&str; 48] = [
    "!", ".", ":", "[", "[[", "alias", "bg", "break", "case", "cd", "command", "continue", "do", "done", "echo",
    "eval", "exec", "exit", "export", "false", "fg", "for", "function", "getopts", "hash", "if", "jobs", "kill",
    "local", "printf", "pwd", "read", "readonly", "return", "set", "shift", "test", "then", "time", "times", "trap",
    "true", "type", "ulimit", "umask", "unset", "until", "while",
];

/// The program that a shell's command line begins with, where that is plain to see.
fn first_word(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let mut word = words.next()?;
    if word == "exec" {
        word = words.next()?;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./+-".contains(c);
    let known = SHELL_WORDS.contains(&word) || ["wait", "unalias", "{"].contains(&word);
    (!known && !word.starts_with('-') && word.chars().all(plain)).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_a_script() {
        let words = |head: &str| shebang(head.as_bytes());
        let some = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(words("#!/bin/sh\necho"), some("/bin/sh", ""));
        assert_eq!(words("#! /usr/bin/env python3\n"), some("/usr/bin/env", "python3"));
        assert_eq!(words("#!/usr/bin/env -S perl -w\n"), some("/usr/bin/env", "perl"));
        assert_eq!(words("#!/bin/sh\r\necho"), some("/bin/sh\r", ""));
        assert_eq!(words("#!\n"), some("", ""));
        assert_eq!(words("echo"), None);
    }

    #[test]
    fn the_first_word_for_a_shell() {
        assert_eq!(first_word("sleep 1; echo"), Some("sleep"));
        assert_eq!(first_word("exec ./app.sh --x"), Some("./app.sh"));
        for line in ["cd /x && y", "A=1 x", "$X", "(x)", "x; y", "", "exec", "while true; do x; done"] {
            assert_eq!(first_word(line), None, "{line}");
        }
    }

    #[test]
    fn programs_of_this_machine() {
        let who = Who::ourselves();
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str, mode: u32| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        };
        file("good.sh", "#!/bin/sh\n", 0o755);
        file("flat.sh", "#!/bin/sh\n", 0o644);
        file("lost.py", "#!/opt/none/python\n", 0o755);
        file("env.py", "#!/usr/bin/env no-such-python\n", 0o755);
        file("bare", "echo\n", 0o755);
        let base = Some(folder.path().to_owned());
        let path = Some("/usr/bin:/bin".into());
        let search = Search { who: &who, path, base, beside: folder.path().to_owned(), in_cwd: true };
        let text = |program: &str| search.trouble(program).map(|trouble| (trouble.text, trouble.instead));
        assert_eq!(text("./good.sh"), None);
        assert_eq!(text("sh"), None);
        assert!(text("./flat.sh").unwrap().0.ends_with("its mode is 0644"));
        assert!(text("./lost.py").unwrap().0.ends_with("the first missing part is /opt/none"));
        assert!(text("./env.py").unwrap().0.contains("`no-such-python` is not in PATH"));
        assert!(text("./bare").unwrap().0.contains("does not begin with `#!`"));
        assert_eq!(text("./god.sh").unwrap().1.as_deref(), Some("./good.sh"));
        assert_eq!(text("tial").unwrap().1.as_deref(), Some("tail"));
        assert_eq!(text("good.sh").unwrap().1.as_deref(), Some("./good.sh"));
    }
}
