//! Configurations against scenes of this machine. A scene is a folder; what it does not hold is taken as it is.

use super::*;
use crate::config::load::load;
use crate::config::report::{Severity, sort};
use crate::runtime::lists::OfDisk;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

struct Scenery(TempDir);

impl Scenery {
    fn new() -> Scenery {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        Scenery(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    /// What is said of a configuration in which `@/` is the scene's folder: line, message and help; and the texts of fixes.
    fn check(&self, text: &str) -> Vec<(usize, String, Option<String>)> {
        let state = if text.starts_with("quell") { "" } else { "[quell]\nstate = \"@/state\"\n" };
        let text = format!("{text}{state}[log]\ndir = \"@/log\"\n").replace("@/", &self.path(""));
        self.file("quell.toml", &text, 0o640);
        let mut loaded = load(&self.path("quell.toml"), Path::new("/"), &mut OfDisk::default(), &|_| None).unwrap();
        let before = fs::read_dir(self.0.path()).unwrap().count();
        check(&mut loaded);
        assert_eq!(fs::read_dir(self.0.path()).unwrap().count(), before, "something was left behind");
        sort(&mut loaded.reports);
        let said = loaded.reports.iter().map(|report| {
            let (line, _) = loaded.sources.position(report.place);
            let fix = report.fix.as_ref().map(|(_, with)| with.clone());
            (line, format!("{}; {}", report.text, report.help.as_deref().unwrap_or("")), fix)
        });
        said.collect()
    }

    /// The one thing that is said, on that line, with each of these words.
    fn says(&self, text: &str, line: usize, words: &[&str]) -> Option<String> {
        let said = self.check(text);
        let [(at, message, fix)] = &said[..] else { panic!("{said:#?}") };
        assert_eq!(*at, line, "{message}");
        for word in words {
            assert!(message.contains(word), "{word} in {message}");
        }
        fix.clone()
    }
}

const SLEEP: &str = "[worker.a]\ncommand = [\"/bin/sleep\", \"1\"]\n";

#[test]
fn nothing_is_said_of_what_is_right() {
    let scene = Scenery::new();
    scene.file("run.sh", "#!/usr/bin/env -S sh -e\n", 0o755);
    scene.file("a.env", "A=1\n", 0o600);
    let text = format!(
        "{SLEEP}env_file = \"a.env\"\nstart_on = [{{ socket = \"127.0.0.1:{}\" }}]\n[worker.b]\ncommand = [\"./run.sh\"]\n\
         [worker.c]\nshell = \"exec sleep 1\"\ncwd = \"/tmp\"\n[worker.d]\ncommand = [\"nothing\"]\nuser = \"nobody-such\"\nenabled = false\n",
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    );
    assert_eq!(scene.check(&text), []);
}

#[test]
fn variables_that_are_not_set() {
    let scene = Scenery::new();
    let text = format!(
        "{SLEEP}env = {{ A = \"${{NO_SUCH_A}}\", B = \"${{NO_SUCH_B:-x}}\" }}\n[worker.b]\ncommand = [\"/bin/sleep\", \"${{NO_SUCH_C}}\"]\nenabled = false\n"
    );
    scene.says(&text, 3, &["NO_SUCH_A", "${NO_SUCH_A:-"]);
}

#[test]
fn one_report_for_one_cause() {
    let scene = Scenery::new();
    // The program is relative to the folder that is missing.
    scene.says(
        "[worker.a]\ncommand = [\"./none\"]\ncwd = \"@/gone/deep\"\n",
        3,
        &["the first missing part is", "/gone"],
    );
    let text = "[worker.a]\ncommand = [\"/bin/sleep\", \"1\"]\nenv_file = \"none.env\"\n[worker.b]\ncommand = [\"/bin/sleep\", \"1\"]\nenv_file = \"none.env\"\n";
    assert_eq!(scene.says(text, 3, &["optional"]).unwrap(), "{ path = \"none.env\", optional = true }");
    let text = format!("{SLEEP}env_file = {{ path = \"none.env\", optional = true }}\n");
    assert_eq!(scene.check(&text), []);
}

#[test]
fn what_is_no_regular_file_is_not_opened() {
    let scene = Scenery::new();
    nix::unistd::mkfifo(scene.path("pipe").as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    scene.says(&format!("{SLEEP}env_file = \"pipe\"\n"), 3, &["not a regular file"]);
    scene.says("[worker.a]\ncommand = [\"./pipe\"]\n", 2, &["no regular file"]);
}

#[test]
fn a_wrong_line_in_a_file_of_variables() {
    let scene = Scenery::new();
    scene.file("a.env", "A=1\n\nB 2\n", 0o600);
    scene.says(&format!("{SLEEP}env_file = \"a.env\"\n"), 3, &["\"B 2\" is not NAME=value"]);
}

#[test]
fn programs_are_looked_for_with_the_workers_path() {
    let scene = Scenery::new();
    scene.file("tool", "#!/bin/sh\n", 0o755);
    assert_eq!(scene.check("[worker.a]\ncommand = [\"tool\"]\nenv = { PATH = \"/none:@/\" }\n"), []);
    scene.file("path.env", &format!("PATH={}\n", scene.path("")), 0o600);
    assert_eq!(scene.check("[worker.a]\ncommand = [\"tool\"]\nenv_file = \"path.env\"\n"), []);
    let fix = scene.says(
        "[worker.a]\ncommand = [\"tool\"]\nenv_from = \"none\"\n",
        2,
        &["not in PATH: /usr/local/bin, /bin"],
    );
    assert_eq!(fix.as_deref(), Some("\"./tool\""));
    // What PATH is, is not known.
    assert_eq!(scene.check("[worker.a]\ncommand = [\"tool\"]\nenv.PATH = \"${NO_SUCH_A}\"\n").len(), 1);
    let text = "[worker.a]\ncommand = [\"sleep\", \"1\"]\nstop.command = [\"slepp\", \"1\"]\nenv_from = \"none\"\n";
    assert_eq!(scene.says(text, 3, &["did you mean `sleep`?"]).as_deref(), Some("\"sleep\""));
}

#[test]
fn addresses() {
    let scene = Scenery::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let text = format!("quell = {{ metrics = \"127.0.0.1:{port}\", state = \"@/state\" }}\n{SLEEP}");
    // The test itself holds it.
    scene.says(&text, 1, &[&port.to_string(), "quell itself listens there"]);
    drop(listener);
    assert_eq!(scene.check(&text), []);
    scene.says(&format!("{SLEEP}start_on = [{{ socket = \"192.0.2.1:80\" }}]\n"), 3, &["no such address"]);
    let text = format!("{text}start_on = [{{ socket = \"127.0.0.1:{port}\" }}]\n");
    scene.says(&text, 4, &["listened on already"]);
}

#[test]
fn files_that_others_write_or_read() {
    let scene = Scenery::new();
    fs::set_permissions(scene.0.path(), Permissions::from_mode(0o777)).unwrap();
    scene.says(SLEEP, 1, &["everybody may write", "(0777", "chmod go-w"]);
    // In a folder such as /tmp nobody can exchange another's file.
    fs::set_permissions(scene.0.path(), Permissions::from_mode(0o1777)).unwrap();
    assert_eq!(scene.check(SLEEP), []);
    let text = format!(
        "{SLEEP}[worker.a.env]\nA = \"x\"\nDB_PASSWORD = \"hunter2\"\nURL = \"redis://:pw@h/\"\nTOKEN = \"${{NONE:-x}}\"\n"
    );
    assert_eq!(scene.check(&text), []);
    let mut loaded = load(&scene.path("quell.toml"), Path::new("/"), &mut OfDisk::default(), &|_| None).unwrap();
    fs::set_permissions(scene.path("quell.toml"), Permissions::from_mode(0o644)).unwrap();
    check(&mut loaded);
    let [report] = &loaded.reports[..] else { panic!("{:#?}", loaded.reports) };
    assert_eq!(
        (report.severity, report.also.len(), loaded.sources.position(report.place)),
        (Severity::Warning, 1, (5, 15))
    );
}

#[test]
fn what_only_the_workers_user_is_refused() {
    if crate::sys::identity::ours() != 0 {
        return;
    }
    let scene = Scenery::new();
    scene.file("run.sh", "#!/bin/sh\n", 0o700);
    fs::create_dir(scene.path("own")).unwrap();
    fs::set_permissions(scene.path("own"), Permissions::from_mode(0o777)).unwrap();
    let user = "user = \"nobody\"\nlog.dir = \"@/own\"\n";
    scene.says(
        &format!("[worker.a]\ncommand = [\"./run.sh\"]\n{user}"),
        2,
        &["user `nobody` may not run", "(0700 root)"],
    );
    scene.says(&format!("{SLEEP}user = \"nobody\"\n"), 7, &["user `nobody` cannot write"]);
    fs::create_dir(scene.path("private")).unwrap();
    fs::set_permissions(scene.path("private"), Permissions::from_mode(0o700)).unwrap();
    scene.says(&format!("{SLEEP}cwd = \"@/private\"\n{user}"), 3, &["user `nobody` may not enter"]);
    assert_eq!(scene.check(&format!("{SLEEP}{user}")), []);
    scene.says(&format!("{SLEEP}{user}").replace("nobody", "noboddy"), 3, &["did you mean `nobody`?"]);
    scene.says(&format!("{SLEEP}group = \"rooot\"\n{user}"), 3, &["no group `rooot`", "did you mean `root`?"]);
}

#[test]
fn includes_that_match_nothing() {
    let scene = Scenery::new();
    fs::create_dir(scene.path("worker.d")).unwrap();
    let text = format!("include = [\"@/quell.toml\", \"workers.d/*.toml\"]\n{SLEEP}");
    scene.says(&text, 1, &["workers.d/*.toml", "worker.d?"]);
}

#[test]
fn more_than_the_disk_holds() {
    let scene = Scenery::new();
    let text = format!("{SLEEP}log.retain.routine = \"1d, 900TiB\"\n");
    scene.says(&text, 3, &["921600 GiB", "900TiB"]);
}

#[test]
fn a_cause_that_shows_in_several_places() {
    let scene = Scenery::new();
    let text = "[worker.a]\ncommand = [\"/none/bin/a\"]\ncwd = \"/none\"\n[worker.b]\ncommand = [\"/none/bin/b\"]\n";
    scene.says(text, 3, &["`cwd` /none does not exist"]);
    let text = "[worker.a]\ncommand = [\"no-such-x\"]\n[worker.b]\ncommand = [\"no-such-x\"]\n";
    scene.says(text, 2, &["not in PATH"]);
}

#[test]
fn folders_that_files_are_waited_for_in() {
    let scene = Scenery::new();
    fs::create_dir(scene.path("inbox")).unwrap();
    scene.file("file", "", 0o644);
    let with = |path: &str| format!("{SLEEP}start_on = [{{ path = \"{path}\" }}]\n");
    assert_eq!(scene.check(&with("inbox/*.csv")), []);
    scene.says(
        &with("inbux/*.csv"),
        3,
        &["inbux does not exist yet", "as soon as it is made", "did you mean", "inbox?"],
    );
    scene.says(&with("file/*.csv"), 3, &["cannot wait for files in", "file is not a folder"]);
}
