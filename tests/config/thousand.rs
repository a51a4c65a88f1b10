//! A configuration of 1,000 workers in one file, and the 50 lists that they use.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

const WORKERS: usize = 1000;
const LISTS: usize = 50;
const QUEUES: usize = 20;

/// Writes it to a folder, as `quell.toml` and `lists`.
///
/// # Errors
/// As write(2).
pub(crate) fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder.join("lists"))?;
    for list in 0..LISTS {
        let rules: String = (0..20).map(|rule| format!("job {list}-{rule} was quiet\n")).collect();
        let text =
            format!("# list {list}\n{rules}!job {list}-3 was quiet but failed\n#+ 12:00 job {list}-1 was quiet\n");
        fs::write(folder.join(format!("lists/{list}.list")), text)?;
    }
    fs::write(folder.join("quell.toml"), text())
}

/// The file's text: a worker is `w0` to `w999`; each tenth one does the tasks of a queue, the others need others.
pub(crate) fn text() -> String {
    let mut text = String::from("[quell]\nmetrics = \"127.0.0.1:9464\"\n\n[log]\nrotate = \"64MiB or 1d\"\n\n");
    let mut add = |line: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line}");
    };
    for queue in 0..QUEUES {
        add(format_args!("[queue.q{queue}]\nmax_wait = \"2m\"\nkeep_done = \"2d\"\n"));
    }
    for n in 0..WORKERS {
        let port = 8000 + n;
        add(format_args!("# number {n}\n[worker.w{n}]"));
        add(format_args!("command = [\"/usr/local/bin/serve\", \"--port\", \"{port}\", \"--name\", \"w{n}\"]"));
        add(format_args!("cwd = \"/srv/app\"\nenv = {{ PORT = \"{port}\", NAME = \"w{n}\" }}"));
        add(format_args!("lists = [\"heartbeat\", \"./lists/{}.list\"]", n % LISTS));
        if n % 10 == 9 {
            add(format_args!("start_on = [{{ queue = \"q{}\" }}]\ntimeout = \"1m\"", n / 10 % QUEUES));
            add(format_args!("retry = {{ tries = 3, first = \"1s\", max = \"10s\" }}"));
        } else {
            add(format_args!("restart = \"always\"\nstop = {{ signal = \"TERM\", grace = \"20s\" }}"));
            add(format_args!("ready = {{ line = \"listening\" }}"));
        }
        if n >= 10 && n % 10 != 9 {
            add(format_args!("needs = [\"w{}\", \"w{}\"]", n - 10, n / 100 * 10));
        }
        if n % 5 == 0 {
            add(format_args!("\n[worker.w{n}.log]\nrotate = \"16MiB or 6h\""));
        }
        add(format_args!(""));
    }
    text
}
