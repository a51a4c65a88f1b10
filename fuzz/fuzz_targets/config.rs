//! Holds that any bytes are read as a configuration or refused: nothing panics or takes long, every report stands in a
//! file that there is and can be drawn, and what is right is printed such that it is read as the same.
//!
//! The input is text: form feeds part it into files, of which the first is read; they are called 0.toml, 1.toml, … So the
//! seeds are configurations that a person can read, and a mutation of one file does not move the borders of the others.

#![no_main]

use libfuzzer_sys::fuzz_target;
use quell::config::load::{Files, Loaded, load};
use quell::config::plan::{plan, start};
use quell::config::report::{Severity, to_json, to_text};
use quell::config::{explain, print};
use std::io;
use std::path::{Path, PathBuf};

/// Each input can include each file once; what a file says is counted against this.
const READS_MAX: usize = 1000;

/// Files by their numbers, and how many were asked for.
struct Numbered<'a>(Vec<&'a [u8]>, usize);

impl Files for Numbered<'_> {
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        self.1 += 1;
        assert!(self.1 <= READS_MAX, "files are read on and on");
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<usize>().ok());
        let number = number.filter(|number| path == name(*number));
        number.and_then(|number| self.0.get(number)).map(|bytes| bytes.to_vec()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn matching(&mut self, _: &Path, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let pattern = glob::Pattern::new(&pattern.to_string_lossy()).map_err(io::Error::other)?;
        Ok((0..self.0.len()).map(name).filter(|path| pattern.matches_path(path)).collect())
    }

    fn identity(&mut self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

fn name(number: usize) -> PathBuf {
    Path::new("/f").join(format!("{number}.toml"))
}

fn read(files: Vec<&[u8]>) -> Loaded {
    let env = |name: &str| (name.len() == 1).then(|| "value".to_owned());
    load("0.toml", Path::new("/f"), &mut Numbered(files, 0), &env).expect("there is a first file")
}

fuzz_target!(|input: &[u8]| {
    let loaded = read(input.split(|byte| *byte == b'\x0c').collect());
    for report in &loaded.reports {
        assert!(!report.text.is_empty(), "{report:?}");
        let fix = report.fix.iter().map(|(place, _)| place);
        for place in [&report.place].into_iter().chain(fix).chain(report.also.iter().map(|(place, _)| place)) {
            let text = &loaded.sources.get(place.file).text;
            assert!(text.get(place.bytes()).is_some(), "{place:?} is no place: {report:?}");
        }
    }
    let drawn = to_text(&loaded.sources, &loaded.reports, false);
    assert_eq!(drawn.is_empty(), loaded.reports.is_empty());
    to_json(&loaded.sources, &loaded.reports);
    explain::to_text(&explain::all(&loaded.config), &loaded.sources, true);
    let wrong = loaded.reports.iter().any(|report| report.severity == Severity::Error);
    if wrong || !loaded.unset.is_empty() {
        return;
    }
    start(&loaded.config);
    let printed = print::print(&loaded.config);
    let again = read(vec![printed.as_bytes()]);
    assert_eq!(again.config, loaded.config, "{printed}");
    assert_eq!(plan(&loaded.config, &again.config), []);
});
