//! `quell check`: which file, and what of several files or mistakes. What it finds is in `mistakes`.

use super::{at, home, quell_in, says};
use crate::harness::{Folder, finish, wait};
use nix::pty::openpty;
use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

/// A configuration with one worker, and another with two: so it is seen which one was read.
fn worker(name: &str) -> String {
    format!("[worker.{name}]\ncommand = [\"/bin/sleep\", \"infinity\"]\n")
}

/// Places of the reports, in order.
fn places(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.trim_start().strip_prefix("--> ")).collect()
}

#[test]
fn the_file_is_the_named_one_or_that_of_the_environment_or_that_of_the_folder() {
    let folder = Folder::new();
    for name in ["named.toml", "of-env.toml", "quell.toml"] {
        folder.write(name, worker("a"));
    }
    let read = |args: &[&str], env: Option<&str>| {
        let mut command = quell_in(folder.path());
        command.arg("check").args(args);
        let done = finish(env.iter().fold(&mut command, |command, env| command.env("QUELL_CONFIG", env)));
        assert_eq!((done.code(), &*done.stderr), (0, ""));
        done.text().split(':').next().unwrap().to_owned()
    };
    assert_eq!(read(&["-c", "named.toml"], Some("of-env.toml")), "named.toml");
    assert_eq!(read(&[], Some("of-env.toml")), "of-env.toml");
    assert_eq!(read(&[], Some("")), "quell.toml");
    assert_eq!(read(&[], None), "quell.toml");
}

#[test]
fn no_file_or_no_such_option_is_exit_code_2() {
    let folder = Folder::new();
    assert!(!std::path::Path::new("/etc/quell/quell.toml").exists(), "this host has a configuration of its own");
    let done = at(&folder, &["check"]);
    let text = "quell: no configuration: there is no quell.toml here, and no /etc/quell/quell.toml; \
                name one with -c, or let `quell init -- CMD` write one\n";
    assert_eq!((done.code(), done.text(), &*done.stderr), (2, "", text));
    let done = at(&folder, &["check", "-c", "gone.toml"]);
    let text = "quell: cannot read gone.toml: No such file or directory (os error 2)\n";
    assert_eq!((done.code(), done.text(), &*done.stderr), (2, "", text));
    let done = at(&folder, &["check", "--frobnicate"]);
    assert!(done.code() == 2 && done.stderr.contains("'--frobnicate'"), "{done:?}");
}

#[test]
fn what_is_right_is_so() {
    let folder = home().join("tests/config/valid");
    for (name, found) in [
        ("minimal.toml", "1 worker and 0 queues"),
        ("web.toml", "4 workers and 0 queues"),
        ("queues.toml", "10 workers and 4 queues"),
        ("conf.d-main.toml", "4 workers and 1 queue"),
        ("everything.toml", "6 workers and 2 queues"),
    ] {
        let done = finish(quell_in(&folder).args(["check", "--strict", "-c", name]));
        assert_eq!((done.code(), done.text()), (0, &*format!("{name}: {found}, no mistake\n")));
        let done = finish(quell_in(&folder).args(["check", "--json", "-c", name]));
        assert_eq!((done.code(), done.text()), (0, "[]\n"));
    }
}

/// The soft limit of descriptors is raised at a start: only the hard one can be too low.
#[test]
fn the_hard_limit_of_descriptors_decides() {
    let folder = Folder::new();
    let here = folder.path().display();
    let head = format!("quell.state = \"{here}/state\"\nlog.dir = \"{here}/log\"\n");
    let path = folder.write("quell.toml", head + &worker("a") + "instances = 40\n");
    let check = |limit: &str| {
        let script = format!("ulimit {limit} 64 && exec \"$0\" check --host -c \"$1\"");
        finish(Command::new("/bin/sh").args(["-c", &script, env!("CARGO_BIN_EXE_quell")]).arg(&path))
    };
    let (soft, both) = (check("-S -n"), check("-n"));
    assert!(soft.code() == 0 && !soft.text().contains("descriptors"), "{soft:?}");
    assert!(both.code() == 1 && both.text().contains("descriptors, and quell may have 64"), "{both:?}");
}

/// A folder whose files are included, with a mistake in each and two in one.
fn mistaken() -> Folder {
    let folder = Folder::new();
    std::fs::create_dir(folder.join("conf.d")).unwrap();
    folder.write("quell.toml", "include = [\"conf.d/*.toml\"]\n\n[log]\nrotat = \"1d\"\n");
    folder.write("conf.d/a.toml", worker("a") + "restart = \"alway\"\nnice = \"x\"\n");
    folder.write("conf.d/b.toml", worker("b") + "needs = [\"aa\"]\n");
    folder
}

#[test]
fn every_mistake_of_every_file_is_shown_in_one_go() {
    let folder = mistaken();
    let done = at(&folder, &["check"]);
    let expected = ["quell.toml:4:1", "conf.d/a.toml:3:11", "conf.d/a.toml:4:8", "conf.d/b.toml:3:10"];
    assert_eq!((done.code(), places(done.text())), (1, expected.to_vec()));
    assert!(done.text().ends_with("\nquell.toml: 4 mistakes\n"), "{}", done.text());
    // A verb that needs a configuration shows the same, on stderr, and does nothing.
    let other = at(&folder, &["explain"]);
    assert_eq!((other.code(), other.text(), places(&other.stderr)), (1, "", expected.to_vec()));
}

/// Beside a mistake of syntax all else is looked at.
#[test]
fn a_mistake_of_syntax_hides_no_other() {
    let folder = mistaken();
    folder.write("conf.d/c.toml", "[worker.c]\ncommand = [“/bin/sleep”]\nnice = -30\n\n[worker.d]\nkind = \"one\"\n");
    let done = at(&folder, &["check"]);
    let expected = [
        "quell.toml:4:1",
        "conf.d/a.toml:3:11",
        "conf.d/a.toml:4:8",
        "conf.d/b.toml:3:10",
        "conf.d/c.toml:2:12",
        "conf.d/c.toml:3:8",
        "conf.d/c.toml:6:8",
    ];
    assert_eq!((done.code(), places(done.text())), (1, expected.to_vec()));
}

#[test]
fn a_worker_in_two_files_shows_both() {
    let folder = Folder::new();
    folder.write("quell.toml", "include = [\"more.toml\"]\n".to_owned() + &worker("web"));
    folder.write("more.toml", "# more\n".to_owned() + &worker("web"));
    let done = at(&folder, &["check"]);
    let text = done.text();
    assert_eq!((done.code(), places(text)), (1, vec!["more.toml:2:9"]));
    assert!(text.contains("error: worker `web` is defined twice\n") && text.contains("::: quell.toml:2:9\n"), "{text}");
}

/// Files that include each other are read once each, whichever way they are named.
#[test]
fn includes_in_a_circle_end() {
    let folder = Folder::new();
    std::fs::create_dir(folder.join("conf.d")).unwrap();
    folder.write("quell.toml", "include = [\"conf.d/*.toml\"]\n");
    folder.write(
        "conf.d/a.toml",
        "include = [\"../quell.toml\", \"../conf.d/b.toml\", \"*.toml\"]\n".to_owned() + &worker("a"),
    );
    folder.write("conf.d/b.toml", "include = [\"../*.toml\"]\n".to_owned() + &worker("b"));
    std::os::unix::fs::symlink("a.toml", folder.join("conf.d/link.toml")).unwrap();
    assert_eq!(says(&folder, &["check"]), "quell.toml: 2 workers and 0 queues, no mistake\n");
}

/// A folder's name is no pattern, only what `include` says is.
#[test]
fn a_folder_with_brackets_in_its_name_is_a_folder() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.join("[old] *?/conf.d")).unwrap();
    folder.write("[old] *?/quell.toml", "include = [\"conf.d/[ab].toml\"]\n");
    for name in ["a", "b", "c"] {
        folder.write(&format!("[old] *?/conf.d/{name}.toml"), worker(name));
    }
    assert_eq!(
        says(&folder, &["check", "-c", "[old] *?/quell.toml"]),
        "[old] *?/quell.toml: 2 workers and 0 queues, no mistake\n"
    );
}

/// An address is listened on once, for somebody who takes connections and gets no other descriptor in their place; and what is
/// waited for can come, and can start somebody.
#[test]
fn what_can_start_nobody() {
    let folder = Folder::new();
    let web = |name: &str, more: &str| worker(name) + more;
    let cases = [
        (
            web("a", "start_on = [{ socket = \"./s\" }]\n") + &web("b", "start_on = [{ socket = \"./s\" }]\n"),
            "s is listened on already",
        ),
        (
            "[queue.q]\n".to_owned() + &web("a", "start_on = [{ queue = \"q\" }, { socket = \"[::1]:80\" }]\n"),
            "nobody takes connections to [::1]:80: `a` is started for each task",
        ),
        (
            "[queue.q]\n".to_owned() + &web("a", "start_on = [{ queue = \"q\" }, { fire = \"x\" }]\n"),
            "this starts nothing: `a` is started for each task of `q` alone",
        ),
        (web("a", "start_on = [{ signal = \"USR2\" }, { signal = \"SIGPROF\" }]\n"), "SIGPROF starts no worker"),
        (
            web("a", "start_on = [{ socket = \"localhost:80\" }, { socket = \"./s\" }]\nready = { fd = 4 }\n"),
            "descriptor 4 is taken: sockets and tasks stand on 3 to 4",
        ),
    ];
    for (text, said) in cases {
        folder.write("quell.toml", &text);
        let done = at(&folder, &["check"]);
        assert!(done.code() == 1 && done.text().contains(said), "{said}: {done:?}");
        assert!(done.text().ends_with(": 1 mistake\n"), "{done:?}");
    }
}

#[test]
fn warnings_pass_unless_they_are_strict() {
    let folder = Folder::new();
    folder.write("quell.toml", "[quell]\nstop_timeout = \"5m\"\n".to_owned() + &worker("a"));
    let done = at(&folder, &["check"]);
    assert!(done.code() == 0 && done.text().ends_with("\nquell.toml: no mistake, 1 warning\n"), "{done:?}");
    assert_eq!(at(&folder, &["check", "--strict"]).code(), 1);
    // Other verbs do their work.
    assert_eq!(says(&folder, &["plan"]), "+ start a: quell.toml:3\n");
    folder.write("quell.toml", "[quell]\nstop_timeout = \"5m\"\nmetric = \"\"\n".to_owned() + &worker("a"));
    let done = at(&folder, &["check"]);
    assert!(done.code() == 1 && done.text().ends_with("\nquell.toml: 1 mistake, 1 warning\n"), "{done:?}");
}

/// What `check` shows at a terminal.
fn at_terminal(folder: &Folder, env: &[(&str, &str)]) -> String {
    let pty = openpty(None, None).unwrap();
    let mut command = quell_in(folder.path());
    command.arg("check").env("TERM", "xterm").envs(env.iter().copied());
    let mut child = command.stdout(pty.slave).stderr(Stdio::null()).spawn().unwrap();
    drop(command);
    assert_eq!(wait(&mut child).code(), Some(1));
    let mut shown = Vec::new();
    // It ends with EIO, as nobody has the other end any more.
    let _ = File::from(pty.master).read_to_end(&mut shown);
    String::from_utf8(shown).unwrap()
}

/// <https://no-color.org>
#[test]
fn colour_is_for_terminals_that_want_it() {
    let folder = Folder::new();
    folder.write("quell.toml", worker("a") + "restart = \"alway\"\n");
    let plain = at(&folder, &["check"]).text().to_owned();
    assert!(plain.contains("did you mean \"always\"?") && !plain.contains('\x1b'), "{plain}");
    for coloured in [&[][..], &[("NO_COLOR", "")]] {
        let shown = at_terminal(&folder, coloured);
        assert!(shown.contains("\x1b[") && shown.contains("quell.toml: 1 mistake"), "{coloured:?}: {shown:?}");
    }
    for uncoloured in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        assert_eq!(at_terminal(&folder, &[uncoloured]).replace("\r\n", "\n"), plain, "{uncoloured:?}");
    }
}
