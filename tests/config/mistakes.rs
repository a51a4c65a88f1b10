//! Mistakes that people make, one folder each in `tests/config/mistakes`, made in a folder of the test's own and shown to
//! the real program. `case.toml` says what it has to say; only what stands there is held, so that words may be bettered.

use super::{home, undisturbed};
use crate::harness::{Done, Folder, finish, names, quell};
use nix::unistd::geteuid;
use serde::Deserialize;
use std::fs::{File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What has to be said.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) title: String,
    phase: String,
    severity: String,
    file: String,
    line: usize,
    column: Option<usize>,
    says: Vec<String>,
    #[serde(default)]
    also: Vec<String>,
    /// Whether what to write follows from what is there; for those who write the words.
    #[serde(rename = "fix")]
    _fix: bool,
    /// In words; `Scene::new` does it.
    setup: Option<String>,
}

/// What was said.
#[derive(Debug, Deserialize)]
pub(super) struct Said {
    pub(super) severity: String,
    #[serde(flatten)]
    pub(super) spot: Spot,
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) fix: Option<Fix>,
    pub(super) also: Vec<Note>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Spot {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) column: usize,
    end_line: usize,
    end_column: usize,
}

#[derive(Debug, Deserialize)]
pub(super) struct Fix {
    #[serde(flatten)]
    spot: Spot,
    pub(super) replacement: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Note {
    #[serde(flatten)]
    pub(super) spot: Spot,
    pub(super) message: String,
}

/// A mistake that has been made.
pub(super) struct Scene {
    pub(super) case: Case,
    pub(super) number: usize,
    folder: Folder,
    /// Who holds the port, and the lock by which that is one test at a time, in all processes; let go in this order.
    _held: Option<(TcpListener, File)>,
}

pub(super) fn is_root() -> bool {
    geteuid().is_root()
}

impl Scene {
    /// Copies the fixture and arranges what its `setup` asks for.
    pub(super) fn new(name: &str) -> Scene {
        let fixture = home().join("tests/config/mistakes").join(name);
        let case: Case = toml::from_str(&std::fs::read_to_string(fixture.join("case.toml")).unwrap()).unwrap();
        let number = name[..2].parse().unwrap();
        let folder = Folder::new();
        copy(&fixture, &folder.join("here"));
        std::fs::remove_file(folder.join("here/case.toml")).unwrap();
        let mode = |file: &str, mode| {
            std::fs::set_permissions(folder.join("here").join(file), Permissions::from_mode(mode)).unwrap();
        };
        mode(
            "quell.toml",
            if number == 45 {
                0o666
            } else if number == 46 {
                0o644
            } else {
                0o600
            },
        );
        let mut held = None;
        match number {
            36 => mode("notify.sh", 0o644),
            44 => {
                let lock = File::open(fixture.join("case.toml")).unwrap();
                lock.lock().unwrap();
                held = Some((TcpListener::bind("127.0.0.1:47113").unwrap(), lock));
            }
            39 => assert!(!Path::new("/var/lib/shop-frontend").exists(), "{:?}", case.setup),
            41 | 42 => assert!(is_root(), "{:?}", case.setup),
            _ => {}
        }
        Scene { case, number, folder, _held: held }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join("here").canonicalize().unwrap()
    }

    pub(super) fn is_of_host(&self) -> bool {
        self.case.phase == "H"
    }

    fn severity(&self) -> &str {
        // What anyone may write is what root runs.
        if self.number == 45 && is_root() { "error" } else { &self.case.severity }
    }

    fn check(&self, args: &[&str]) -> Done {
        let mut command = match self.number {
            47 => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", "ulimit -n 256 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_quell")]);
                shell.stdin(Stdio::null());
                shell
            }
            _ => quell(),
        };
        undisturbed(&mut command, &self.path());
        command.env("HOME", self.folder.join("home")).env("XDG_STATE_HOME", self.folder.join("state"));
        command.args(["check", "-c", "quell.toml"]).args(args).args(self.is_of_host().then_some("--host"));
        let done = finish(&mut command);
        assert_eq!(done.stderr, "", "{}", self.case.title);
        done
    }

    /// What `check` reports.
    pub(super) fn reports(&self) -> Vec<Said> {
        serde_json::from_slice(&self.check(&["--json"]).stdout).unwrap()
    }

    /// A text without what differs from machine to machine, and from run to run.
    pub(super) fn unhosted(&self, text: &str) -> String {
        let mut text = text.replace(self.path().to_str().unwrap(), "/srv/shop");
        let varies: &[(&str, &str)] = match self.number {
            42 => &[("cannot write /root (", " root)")],
            44 => &[("held by pid ", " ("), ("held by pid … (", ")")],
            45 => &[("(0666 ", ")")],
            46 => &[("(0644 ", ")")],
            48 => &[("may be kept in ", ","), (", and ", " are free there")],
            _ => &[],
        };
        for (before, after) in varies {
            let start = text.find(before).unwrap_or_else(|| panic!("{before:?} in {text}")) + before.len();
            let end = start + text[start..].find(after).unwrap_or_else(|| panic!("{after:?} in {text}"));
            text.replace_range(start..end, "…");
        }
        // Another test may be about to start a program, which has our descriptors until then.
        text.replace("(…) and 1 more", "(…)")
    }

    /// Writes what a report says is to be written.
    fn mend(&self, fix: &Fix) {
        let path = self.path().join(&fix.spot.file);
        let mut text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        let [from, to] = [(fix.spot.line, fix.spot.column), (fix.spot.end_line, fix.spot.end_column)]
            .map(|(line, column)| byte(&text, line, column));
        text.replace_range(from..to, &fix.replacement);
        std::fs::write(path, text).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        match from.is_dir() {
            true => copy(&from, &to),
            false => drop(std::fs::copy(from, to).unwrap()),
        }
    }
}

/// Where a line and a column in characters, both from 1, are in a text.
fn byte(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    text[start..].char_indices().nth(column - 1).map_or(text.len(), |(at, _)| start + at)
}

/// One mistake, all that is asked of what is said about it.
fn hold(test: &str) {
    let name = test.trim_start_matches("mistake_").replace('_', "-");
    let scene = Scene::new(&name);
    let case = &scene.case;
    let files = names(&scene.path());
    let reports = scene.reports();
    let [said] = &reports[..] else { panic!("{name}: one report, not {reports:#?}") };
    let Said { severity, spot, message, help, fix, also } = said;
    assert_eq!((&*spot.file, spot.line, &**severity), (&*case.file, case.line, scene.severity()), "{said:#?}");
    assert!(case.column.is_none_or(|column| column == spot.column), "not in column {:?}: {said:#?}", case.column);
    assert!(help.is_some() || fix.is_some(), "and what to do? {said:#?}");
    let words = [Some(message), help.as_ref(), fix.as_ref().map(|fix| &fix.replacement)];
    let words: String = words.into_iter().flatten().chain(also.iter().map(|note| &note.message)).cloned().collect();
    for fragment in &case.says {
        assert!(words.to_lowercase().contains(&fragment.to_lowercase()), "nothing of {fragment:?}: {said:#?}");
    }
    for place in &case.also {
        let is_there = also.iter().any(|note| format!("{}:{}", note.spot.file, note.spot.line) == *place);
        assert!(is_there, "nothing of {place}: {said:#?}");
    }

    let is_error = scene.severity() == "error";
    assert_eq!(
        [scene.check(&["--json"]).code(), scene.check(&["--strict"]).code()],
        [i32::from(is_error), 1],
        "{name}"
    );
    let done = scene.check(&[]);
    let (place, found) = (
        format!("--> {}:{}:{}\n", spot.file, spot.line, spot.column),
        format!("\nquell.toml: {}\n", if is_error { "1 mistake" } else { "no mistake, 1 warning" }),
    );
    let shown = done.text();
    assert!(shown.contains(&place) && shown.ends_with(&found) && shown.contains(message.as_str()), "{name}: {shown}");

    // To look leaves no trace, neither beside the file nor in the user's own folders.
    assert_eq!((names(&scene.path()), names(scene.folder.path())), (files, vec!["here".to_owned()]), "{name}");

    if let Some(fix) = fix {
        scene.mend(fix);
        let left = scene.check(&[]);
        assert!(left.code() == 0 && left.text().ends_with("no mistake\n"), "{name}, mended: {}", left.text());
    }
}

macro_rules! mistakes {
    ($($(#[$when:meta])* $name:ident)*) => {
        $(#[test] $(#[$when])* fn $name() { hold(stringify!($name)) })*

        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

mistakes! {
    mistake_01_unclosed_quote
    mistake_02_invalid_utf8
    mistake_03_nbsp
    mistake_04_smart_quotes
    mistake_05_key_twice
    mistake_06_key_under_wrong_table
    mistake_07_no_workers
    mistake_08_include_matches_nothing
    mistake_09_key_typo
    mistake_10_table_typo
    mistake_11_foreign_key
    mistake_12_wrong_type
    mistake_13_duration_without_unit
    mistake_14_size_unit
    mistake_15_out_of_range
    mistake_16_port_70000
    mistake_17_enum_typo
    mistake_18_boolean_typo
    mistake_19_signal_typo
    mistake_20_umask
    mistake_21_unknown_escape_in_list
    mistake_22_backslash_in_string
    mistake_23_env_var_unset
    mistake_24_stray_dollar
    mistake_25_shell_syntax_no_shell
    mistake_26_tilde_in_path
    mistake_27_schedule_never_fires
    mistake_28_duplicate_worker
    mistake_29_unknown_reference
    mistake_30_dependency_cycle
    mistake_31_queue_without_consumer
    mistake_32_two_writers_one_log
    mistake_33_trigger_loop
    mistake_34_relative_command
    mistake_35_missing_binary
    mistake_36_not_executable
    mistake_37_missing_interpreter
    mistake_38_crlf_shebang
    mistake_39_cwd_missing
    mistake_40_env_file_missing
    #[cfg(feature = "full-tests")]
    mistake_41_unknown_user
    #[cfg(feature = "full-tests")]
    mistake_42_log_dir_not_writable
    mistake_43_socket_path_too_long
    mistake_44_port_in_use
    mistake_45_config_world_writable
    mistake_46_secret_readable
    mistake_47_fd_limit_too_low
    mistake_48_disk_smaller_than_retention
    mistake_49_keeps_less_than_one_file
    mistake_50_n_without_instances
    mistake_51_oneshot_restart_always
    mistake_52_command_daemonises
    mistake_53_stop_timeout_above_inits
    mistake_54_retries_outlive_keep_done
    mistake_55_empty_pattern
    mistake_56_pattern_shadowed
    mistake_57_pattern_hides_errors
    mistake_58_high_slots_take_all
    mistake_59_files_into_shared_queue
}

/// The folders of all mistakes, in order.
pub(super) fn folders() -> Vec<String> {
    let mut folders = names(&home().join("tests/config/mistakes"));
    folders.retain(|name| !name.starts_with('.'));
    folders
}

#[test]
fn no_mistake_is_without_its_test() {
    let tested: Vec<_> = NAMES.iter().map(|name| name.trim_start_matches("mistake_").replace('_', "-")).collect();
    assert_eq!(folders(), tested);
    assert_eq!(tested.len(), 59);
}
