//! Where a program's output goes, and how much of it is kept.

use super::Left;
use super::expand::expand;
use super::ini::Entry;
use super::program::Job;
use super::supervisord::take;

/// What supervisord keeps of a stream unless it is told otherwise.
const MAXBYTES: u64 = 50 << 20;
const BACKUPS: u32 = 10;
/// The smallest file that quell rotates.
const ROTATE_BYTES_MIN: u64 = 4096;

/// Where a stream goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    /// A file whose name supervisord makes up.
    Auto,
    /// A file of this name.
    File,
    /// No file: nowhere, to syslog, or to a stream of supervisord's own.
    Elsewhere,
}

/// Writes `log.dir`, `log.rotate` and `log.retain.routine` where the program says something of the kind.
pub(super) fn translate(job: &mut Job<'_>) {
    let merged = job.flag("redirect_stderr") == Some(true);
    let (out, out_dir) = target(job, "stdout_logfile");
    let (err, err_dir) = target(job, "stderr_logfile");
    let dir = if out == Target::File { out_dir } else { err_dir.filter(|_| !merged) };
    if let Some(dir) = &dir {
        job.worker.put_text("log.dir", dir);
    }
    let number = if job.instances() > 1 { ".N" } else { "" };
    let log = match &dir {
        Some(dir) => format!("{}/{}{number}/current", dir.trim_end_matches('/'), job.name),
        None => format!("{}{number}/current in `dir` of [log]", job.name),
    };
    for (key, target) in [("stdout_logfile", out), ("stderr_logfile", err)] {
        match target {
            Target::Auto => {}
            Target::File if key == "stderr_logfile" => {
                job.leave(key, format!("both streams go into one log, {log}; let what reads the file read that"));
            }
            Target::File => job.leave(key, format!("the log is {log}; let what reads the file read that")),
            // It goes where standard output does, whatever is said here.
            Target::Elsewhere if key == "stderr_logfile" && merged => {}
            Target::Elsewhere => {
                let how = "to follow it use tail -F; to drop it redirect it within `shell`";
                job.leave(key, format!("quell logs every worker, to {log}; {how}"));
            }
        }
    }
    let streams = [("stdout", out != Target::Elsewhere), ("stderr", err != Target::Elsewhere && !merged)];
    rotation(job, streams);
}

/// Where a stream goes, and the folder of the file.
fn target(job: &mut Job<'_>, key: &str) -> (Target, Option<String>) {
    let Some(entry) = job.section.get(key) else { return (Target::Auto, None) };
    match &*entry.value.to_lowercase() {
        "auto" => return (Target::Auto, None),
        "none" | "off" | "syslog" => return (Target::Elsewhere, None),
        path if path.starts_with("/dev/") || path.starts_with("/proc/") => return (Target::Elsewhere, None),
        _ => {}
    }
    // The name of the file is of no use: it is the worker's, with the number of the instance.
    let Some((dir, _)) = entry.value.rsplit_once('/') else { return (Target::File, None) };
    let dir = if dir.is_empty() { "/" } else { dir };
    let dir = take(entry, expand(dir, &job.scope, false), job.left);
    (Target::File, dir.inspect(|dir| check_dir(dir, entry, job.left)))
}

/// supervisord takes a relative path from where it was started.
pub(super) fn check_dir(dir: &str, entry: &Entry, left: &mut Vec<Left>) {
    if !dir.starts_with(['/', '$']) {
        let what = "relative to the folder of quell's configuration, not to where it is started";
        left.push(entry.left(format!("{dir:?} is {what}; write the absolute path")));
    }
}

/// supervisord keeps a file and so many older ones of each stream; quell keeps so many bytes of both.
fn rotation(job: &mut Job<'_>, streams: [(&str, bool); 2]) {
    let (mut rotate, mut total): (Option<u64>, Option<u64>) = (None, None);
    for (stream, is_kept) in streams {
        let (max_key, backups_key) = (format!("{stream}_logfile_maxbytes"), format!("{stream}_logfile_backups"));
        let max = job.value(&max_key);
        let backups = job.number(&backups_key);
        if !is_kept || (max.is_none() && backups.is_none()) {
            continue;
        }
        match max.as_deref().map_or(Some(MAXBYTES), size) {
            None => job.leave(&max_key, "not a size such as 10MB; write one"),
            Some(0) => {
                let ever = "for ever write log.retain.routine = \"forever\"";
                job.leave(&max_key, format!("quell rotates in any case, and keeps 7d, 1GiB; to keep all {ever}"));
            }
            Some(bytes) if bytes < ROTATE_BYTES_MIN => {
                job.leave(&max_key, format!("quell rotates at {ROTATE_BYTES_MIN} bytes or more; write log.rotate"));
            }
            Some(bytes) => {
                rotate = rotate.or(Some(bytes));
                let kept = bytes.saturating_mul(u64::from(backups.unwrap_or(BACKUPS)).saturating_add(1));
                total = Some(total.unwrap_or(0).saturating_add(kept));
            }
        }
    }
    if let Some(bytes) = rotate {
        job.worker.put_text("log.rotate", &show(bytes));
    }
    if let Some(bytes) = total {
        job.worker.put_text("log.retain.routine", &show(bytes));
    }
}

/// A size as supervisord writes it: its units are powers of 1024, whatever they are called.
fn size(text: &str) -> Option<u64> {
    let lower = text.to_lowercase();
    let units = [("kb", 1 << 10), ("mb", 1 << 20), ("gb", 1 << 30)];
    let unit = units.iter().find_map(|(unit, scale)| Some((lower.strip_suffix(unit)?, *scale)));
    let (number, scale) = unit.unwrap_or((&lower, 1));
    number.trim().parse::<u64>().ok()?.checked_mul(scale)
}

/// A size as quell writes it, exact.
fn show(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = units.iter().find(|(_, scale)| bytes > 0 && bytes.is_multiple_of(*scale));
    unit.map_or(format!("{bytes}B"), |(unit, scale)| format!("{}{unit}", bytes / scale))
}
