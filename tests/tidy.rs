//! The style of the house, kept by a test: who may use whom, where system calls stand, how long a function may be.

use std::path::{Path, PathBuf};

/// The modules of the crate, and which others each may use.
const LAYERS: [(&str, &[&str]); 13] = [
    ("clock", &[]),
    ("config", &["clock"]),
    ("line", &["clock", "config"]),
    ("log", &["clock", "config"]),
    ("worker", &["clock", "config"]),
    ("task", &["clock", "config"]),
    ("control", &["clock", "config", "task"]),
    ("supervisor", &["clock", "config", "worker", "control"]),
    ("simulation", &["clock", "config", "worker", "task", "supervisor", "control"]),
    ("render", &["clock", "config", "control", "task", "simulation"]),
    ("sys", &["clock"]),
    ("runtime", &["clock", "config", "line", "log", "worker", "task", "supervisor", "control", "sys"]),
    (
        "cli",
        &[
            "clock",
            "config",
            "line",
            "log",
            "worker",
            "task",
            "supervisor",
            "control",
            "simulation",
            "render",
            "sys",
            "runtime",
        ],
    ),
];

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 500;

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// What comes before the tests.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap()
}

fn layer(path: &Path) -> String {
    let relative = path.strip_prefix(src()).unwrap();
    relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

#[test]
fn layers_use_only_what_lies_below() {
    for (path, text) in sources(&src()) {
        let Some((name, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer(&path)) else {
            assert!(["main", "lib"].contains(&layer(&path).as_str()), "{path:?} is in no layer");
            continue;
        };
        for (number, line) in (1..).zip(production(&text).lines()) {
            for used in line.split("crate::").skip(1) {
                let module = used.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                let fine = module == *name || allowed.contains(&module);
                assert!(fine, "{}:{number}: {name} uses {module}", path.display());
            }
        }
    }
}

#[test]
fn only_the_outer_layers_do_io() {
    let outside = [
        "std::fs",
        "std::process",
        "std::net",
        "std::env",
        "std::thread",
        "Instant::now",
        "SystemTime::now",
        "nix::",
        "mio::",
    ];
    for (path, text) in sources(&src()) {
        let inner =
            ["clock", "config", "line", "log", "worker", "task", "supervisor", "control", "simulation", "render"]
                .contains(&layer(&path).as_str());
        for (number, line) in (1..).zip(production(&text).lines()) {
            let code = line.split("//").next().unwrap();
            let at = || format!("{}:{number}: {line}", path.display());
            assert!(!inner || !outside.iter().any(|word| code.contains(word)), "{}", at());
            assert!(!code.contains("println!(") && !code.contains("eprintln!("), "panics on a closed pipe: {}", at());
            let raw = code.contains("RawFd") || code.contains("unsafe");
            assert!(!raw || layer(&path) == "sys", "belongs into sys: {}", at());
            let clock =
                code.contains("Instant::now") || code.contains("SystemTime::now") || code.contains("thread::sleep");
            assert!(!clock, "time is read in sys::time, and nothing sleeps: {}", at());
        }
    }
}

#[test]
fn functions_fit_a_screen_and_files_answer_one_question() {
    for (path, text) in sources(&src()) {
        let lines: Vec<_> = text.lines().collect();
        let before_tests = production(&text).lines().count();
        assert!(before_tests <= FILE_LINES_MAX, "{}: {before_tests} lines", path.display());
        let mut start: Option<(usize, usize)> = None;
        for (at, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let body = line.trim_start();
            let is_fn =
                ["fn ", "pub fn ", "pub(super) fn ", "pub(crate) fn "].iter().any(|head| body.starts_with(head));
            if is_fn && !body.ends_with(';') && !body.ends_with('}') {
                start = Some((at, indent));
            } else if let Some((from, depth)) = start
                && body == "}"
                && indent == depth
            {
                assert!(at - from < FUNCTION_LINES_MAX, "{}:{}: {} lines", path.display(), from + 1, at - from + 1);
                start = None;
            }
        }
    }
}

fn doc_lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| line.starts_with("//")).map(|line| format!("{line}\n")).collect()
}

/// Every fault that a test covers is named in it, so that a search finds it; here that none is lost again.
#[test]
fn covered_faults_stay_covered() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let texts = sources(&tests).into_iter().chain(sources(&src())).map(|(_, text)| text);
    // The list below is no test of any of them.
    let said: String = texts.flat_map(|text| doc_lines(&text)).collect();
    for id in [
        "A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9", "A10", "A11", "A12", "A13", "A14", "A15", "B1", "B2",
        "B3", "B4", "B5", "B6", "B7", "B8", "B9", "B10", "B11", "B12", "B13", "C1", "C2", "C3", "C4", "C5", "C6", "C7",
        "C8", "C9", "C10", "C11", "C12", "C13", "C14", "C15", "D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8", "E1",
        "E3", "E4", "E5", "E6", "E7", "E8", "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9", "F11", "F12", "F13",
        "F14",
    ] {
        let named = said.split(|c: char| !c.is_alphanumeric()).any(|word| word == id);
        assert!(named, "no test names fault {id}");
    }
}
