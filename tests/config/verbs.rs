//! `explain`, `test`, `init`, `import`, `schema`.

use super::{at, home, says};
use crate::harness::{Folder, names};

const SHOP: &str = r#"[log]
retain.routine = "7d, 1GiB"

[worker.db]
command = ["/bin/sleep", "infinity"]
lists   = ["heartbeat", "./own.list"]

[worker.web]
command    = ["/bin/sleep", "infinity"]
needs      = ["db"]
lists      = ["!levels", "./own.list"]
stop.grace = "20s"

[worker.web.log]
rotate = "16MiB or 6h"
"#;

/// A folder with `SHOP` and its list.
fn shop() -> Folder {
    let folder = Folder::new();
    folder.write("quell.toml", SHOP);
    folder.write("own.list", "# nobody reads it\ncache updated\n%class critical\ndisk full\n");
    folder
}

/// A table's rows, each with one blank between its cells.
fn squeezed(text: &str) -> String {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
}

#[test]
fn explain_shows_what_is_set_and_where() {
    let folder = shop();
    let list = folder.path().canonicalize().unwrap().join("own.list");
    let expected = format!(
        "\
log.retain.routine \"7d, 1GiB\" quell.toml:2:8
worker.db.command [\"/bin/sleep\", \"infinity\"] quell.toml:5:1
worker.db.lists [\"heartbeat\", \"{list}\"] quell.toml:6:1
worker.web.command [\"/bin/sleep\", \"infinity\"] quell.toml:9:1
worker.web.needs [\"db\"] quell.toml:10:1
worker.web.stop.grace \"20s\" quell.toml:12:6
worker.web.lists [\"!levels\", \"{list}\"] quell.toml:11:1
worker.web.log.rotate \"16MiB or 6h\" quell.toml:15:1
",
        list = list.display()
    );
    assert_eq!(squeezed(&says(&folder, &["explain"])), expected);
}

#[test]
fn explain_all_has_every_key_once() {
    let folder = shop();
    let all = squeezed(&says(&folder, &["explain", "--all"]));
    for row in [
        "quell.stop_timeout \"90s\" built in",
        "quell.metrics – not set",
        "log.retain.routine \"7d, 1GiB\" quell.toml:2:8",
        "worker.db.stop.grace \"10s\" built in",
        "worker.web.stop.grace \"20s\" quell.toml:12:6",
        "worker.db.log.rotate \"64MiB or 1d\" built in",
        "worker.web.log.rotate \"16MiB or 6h\" quell.toml:15:1",
        "worker.db.needs [] not set",
        "worker.db.kind \"service\" built in",
        "worker.db.restart \"on-failure\" built in",
    ] {
        assert!(all.lines().any(|line| line == row), "{row} is not in\n{all}");
    }
    let mut paths: Vec<_> = all.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let reference = says(&folder, &["explain", "--reference"]);
    let keys = |table: &str| {
        let (_, page) = reference.split_once(&format!("\n## `[{table}]`\n")).unwrap();
        let rows = page.split("\n## ").next().unwrap().lines().filter_map(|line| line.strip_prefix("| `"));
        rows.map(|row| row.split('`').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (quell, log, worker) = (keys("quell"), keys("log"), keys("worker.NAME"));
    let mut expected: Vec<_> = quell.iter().map(|key| format!("quell.{key}")).collect();
    expected.extend(log.iter().map(|key| format!("log.{key}")));
    for name in ["db", "web"] {
        expected.extend(worker.iter().map(|key| format!("worker.{name}.{key}")));
        expected.extend(log.iter().map(|key| format!("worker.{name}.log.{key}")));
    }
    paths.sort_unstable();
    expected.sort();
    assert_eq!(paths, expected);
}

#[test]
fn explain_key_says_what_it_means_and_what_is_in_force() {
    let folder = shop();
    let expected = "\
stop.grace, in [worker.NAME]
  How long it has before KILL.
  value:     a duration such as \"5s\"
  built in:  \"10s\"
  because:   As docker's; a service that drains longer says so.
  a change:  in force at once, nothing restarts
  known as:  supervisord's stopwaitsecs, systemd's TimeoutStopSec, docker-compose's stop_grace_period, pm2's kill_timeout
  in force:  worker.db.stop.grace = \"10s\"  (built in)
  in force:  worker.web.stop.grace = \"20s\"  (quell.toml:12:6)
";
    for name in ["stop.grace", "worker.stop.grace", "stop_grace_period"] {
        assert_eq!(says(&folder, &["explain", name]), expected, "{name}");
    }
    let of_web = expected.replace("  in force:  worker.db.stop.grace = \"10s\"  (built in)\n", "");
    assert_eq!(says(&folder, &["explain", "worker.web.stop.grace"]), of_web);
    let log = says(&folder, &["explain", "log.rotate"]);
    for row in
        ["log.rotate = \"64MiB or 1d\"  (built in)", "worker.web.log.rotate = \"16MiB or 6h\"  (quell.toml:15:1)"]
    {
        assert!(log.contains(&format!("  in force:  {row}\n")), "{log}");
    }
    let done = at(&folder, &["explain", "stop.grase"]);
    assert_eq!((done.code(), &*done.stderr), (2, "quell: no key is called `stop.grase`; did you mean `stop.grace`?\n"));
    // Without a configuration, what is built in is in force.
    let empty = Folder::new();
    assert!(says(&empty, &["explain", "stop.grace"]).ends_with("worker.NAME.stop.grace = \"10s\"  (built in)\n"));
}

#[test]
fn explain_worker_has_its_values_and_no_others() {
    let folder = shop();
    let text = says(&folder, &["explain", "worker", "web"]);
    let all = says(&folder, &["explain", "--all"]);
    let of_web = all.lines().filter(|line| line.starts_with("worker.web."));
    assert_eq!(squeezed(&text), squeezed(&of_web.map(|line| format!("{line}\n")).collect::<String>()));
    let done = at(&folder, &["explain", "worker", "wbe"]);
    assert_eq!((done.code(), &*done.stderr), (2, "quell: no worker is called `wbe`; did you mean `web`?\n"));
}

#[test]
fn explain_line_says_what_becomes_of_it() {
    let folder = shop();
    let list = folder.path().canonicalize().unwrap().join("own.list").display().to_string();
    let critical = "it is written to current and critical/, purged";
    let line = |text: &str| says(&folder, &["explain", "line", text]);
    assert_eq!(
        line("cache updated, 3 rows"),
        ["db", "web"]
            .map(|name| {
                format!("{name}: noise by {list}:2 \"cache updated\"\n  it is counted under that rule and never reaches the disk\n")
            })
            .concat()
    );
    let full = format!(
        "\
db: critical by {list}:4 \"disk full\"
  {critical} 91d from now at the latest, sooner where archives reach 256.0 MiB
web: critical by {list}:4 \"disk full\"
  {critical} 90d06h from now at the latest, sooner where archives reach 256.0 MiB
"
    );
    assert_eq!(line("oh: disk full"), full);
    let routine = "\
web: routine
  it is written to current, purged 7d06h from now at the latest, sooner where archives reach 1.0 GiB
";
    // `db` has the levels' rules, `web` has "!levels".
    let error = line("ERROR: gone");
    let (db, web) = error.split_once("web: ").unwrap();
    assert!(db.starts_with("db: critical by levels:") && db.contains(critical), "{db}");
    assert_eq!(format!("web: {web}"), routine);
    assert_eq!(says(&folder, &["explain", "line", "ERROR: gone", "--worker", "web"]), routine);
    let done = at(&folder, &["explain", "line", "x", "--worker", "wbe"]);
    assert!(done.code() == 2 && done.stderr.contains("did you mean `web`?"), "{done:?}");
}

/// What is explained of a line is what becomes of it.
#[test]
fn explain_line_and_filter_agree() {
    let folder = shop();
    for text in
        ["cache updated", "disk full", "ERROR: gone", "panicked at x", "hello", "Traceback (most recent call last):"]
    {
        let explained = says(&folder, &["explain", "line", text, "--worker", "db"]);
        let mut filter = super::quell_in(folder.path());
        filter.args(["filter", "--tag", "-l", "heartbeat", "-l", "./own.list"]);
        let filtered = crate::harness::feed(&mut filter, format!("{text}\n").as_bytes());
        let class = filtered.text().split_whitespace().next().unwrap_or("noise");
        assert!(explained.starts_with(&format!("db: {class}")), "{class}, but {explained}");
    }
}

const TESTED: &str = r#"[queue.mail]

[worker.web]
command = ["/bin/sleep", "infinity"]
lists   = ["k8s-probes"]

[worker.mailer]
command  = ["/bin/cat"]
start_on = [{ queue = "mail" }]

[[test]]
worker = "web"
lines  = ["GET /healthz 200 2 - 2.465 ms", "cart 7 paid", "ERROR: disk full"]
expect = ["noise", "routine", "critical"]

[[test]]
worker = "mailer"
lines  = ["sent"]
expect = ["routine"]
"#;

#[test]
fn tests_pass_or_fail_with_their_place() {
    let folder = Folder::new();
    folder.write("quell.toml", TESTED);
    assert_eq!(says(&folder, &["test"]), "2 tests, all passed\n");

    folder.write("quell.toml", TESTED.replace("\"noise\", \"routine\"", "\"routine\", \"noise\""));
    let done = at(&folder, &["test"]);
    assert_eq!(done.code(), 1);
    let text = done.text();
    for expected in [
        "error: this line is noise, not routine\n  --> quell.toml:13:11\n",
        "error: this line is routine, not noise\n  --> quell.toml:13:44\n",
        "what is expected",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(text.ends_with("\n2 tests, 2 expectations failed\n"), "{text}");
}

#[test]
fn what_init_writes_passes_check_and_says_the_command_as_it_is() {
    let folder = Folder::new();
    let command = ["./app.py", "--port", "8080", "it's \"$HOME\" \\ ${X} 100%", "tab\t|", "*"];
    let done = at(&folder, &[&["init", "--"], &command[..]].concat());
    assert_eq!((done.code(), done.text(), &*done.stderr), (0, "", ""));
    assert_eq!(names(folder.path()), ["quell.toml"]);
    assert_eq!(says(&folder, &["check", "--strict"]), "quell.toml: 1 worker and 0 queues, no mistake\n");

    let written = std::fs::read_to_string(folder.join("quell.toml")).unwrap();
    let table: toml::Table = toml::from_str(&written).unwrap();
    let worker = &table["worker"]["app"];
    let words: Vec<_> = worker["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(words, command.map(|word| word.replace('$', "$$")));
    assert_eq!(worker["cwd"].as_str(), folder.path().canonicalize().unwrap().to_str());
    // What it offers in its comments would pass, too.
    let all: String = written
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|l| l.contains(" = ")).unwrap_or(line).to_owned() + "\n")
        .collect();
    assert!(all.contains("\nready = ") && all.contains("\nuser = "), "{all}");
    folder.write("all.toml", all);
    assert_eq!(says(&folder, &["check", "-c", "all.toml"]), "all.toml: 1 worker and 0 queues, no mistake\n");

    assert_eq!(says(&folder, &["init", "-o", "-", "--", "./app.py"]).lines().nth(3), Some("command = [\"./app.py\"]"));
}

#[test]
fn init_does_not_overwrite() {
    let folder = Folder::new();
    folder.write("quell.toml", "# mine\n");
    let done = at(&folder, &["init", "--", "true"]);
    let text = "quell: quell.toml exists already; name another with -o, or remove it\n";
    assert_eq!((done.code(), done.text(), &*done.stderr), (1, "", text));
    std::os::unix::fs::symlink("gone", folder.join("link.toml")).unwrap();
    assert_eq!(at(&folder, &["init", "-o", "link.toml", "--", "true"]).code(), 1);
    assert_eq!(names(folder.path()), ["link.toml", "quell.toml"]);
    assert_eq!(std::fs::read(folder.join("quell.toml")).unwrap(), b"# mine\n");
    assert_eq!(at(&folder, &["init"]).code(), 2);
}

/// Imports a file; what it becomes passes `check`. What was said of what is left.
fn import(name: &str, text: &str) -> (String, String) {
    let folder = Folder::new();
    folder.write(name, text);
    let done = at(&folder, &["import", name]);
    assert_eq!(done.code(), 0, "{done:?}");
    folder.write("quell.toml", done.text());
    let mut check = super::quell_in(folder.path());
    let checked = crate::harness::finish(check.args(["check", "--strict"]).env("PWD", folder.path()));
    assert!(checked.code() == 0 && checked.text().ends_with("no mistake\n"), "{}{}", done.text(), checked.text());
    (done.text().to_owned(), done.stderr)
}

#[test]
fn a_procfile_is_translated() {
    let procfile =
        "web: python3 app.py --port $PORT\n# a comment\nworker: bin/work -v && echo done\nclock: ./clock\nnonsense\n";
    let (text, left) = import("Procfile", procfile);
    let table: toml::Table = toml::from_str(&text).unwrap();
    let worker = |name: &str, key: &str| table["worker"][name][key].to_string();
    assert_eq!(worker("web", "shell"), "\"exec python3 app.py --port $$PORT\"");
    assert_eq!(worker("worker", "shell"), "\"bin/work -v && echo done\"");
    assert_eq!(worker("clock", "command"), "[\"./clock\"]");
    let places: Vec<_> = left.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["Procfile:5:1"], "{left}");
    assert!(left.lines().all(|line| line.len() > 40 && line.contains("write ")), "and what to do: {left}");
}

#[test]
fn a_supervisord_conf_is_translated() {
    let conf = "\
[supervisord]
logfile=/tmp/x.log

[program:web]
command=/bin/sleep 100
autorestart=true
numprocs=2
process_name=%(program_name)s_%(process_num)02d
stopwaitsecs=30
user=nobody

[eventlistener:x]
command=/bin/cat
events=TICK_60
";
    let (text, left) = import("supervisord.conf", conf);
    let table: toml::Table = toml::from_str(&text).unwrap();
    let web = &table["worker"]["web"];
    assert_eq!(table["worker"].as_table().unwrap().len(), 1);
    for (key, value) in [
        ("command", "[\"/bin/sleep\", \"100\"]"),
        ("instances", "2"),
        ("restart", "\"always\""),
        ("user", "\"nobody\""),
        ("stop", "{ grace = \"30s\" }"),
    ] {
        assert_eq!(web[key].to_string(), value, "{key}");
    }
    let left: Vec<_> = left.lines().map(|line| line.splitn(3, '`').take(2).collect::<String>()).collect();
    let event = "supervisord.conf:12:1: [eventlistener:x] (command, events): ";
    assert_eq!(left[..2], ["supervisord.conf:2:1: logfile", "supervisord.conf:8:1: process_name"], "{left:?}");
    assert!(left.len() == 3 && left[2].starts_with(event), "{left:?}");
}

#[test]
fn what_cannot_be_imported_is_said() {
    let folder = Folder::new();
    folder.write("what.txt", "web: x\n");
    folder.write("Procfile", b"web: \xff\n");
    for (name, expected) in [
        ("what.txt", "what.txt is no Procfile and no *.conf by its name; say what it is with --format"),
        ("gone.conf", "cannot read gone.conf: No such file or directory (os error 2)"),
        ("Procfile", "Procfile is not UTF-8 from byte 5 on; save it as UTF-8"),
    ] {
        let done = at(&folder, &["import", name]);
        assert_eq!((done.code(), done.text(), &*done.stderr), (2, "", &*format!("quell: {expected}\n")));
    }
    let done = at(&folder, &["import", "--format", "procfile", "what.txt"]);
    assert!(done.code() == 0 && done.text().contains("[worker.web]"), "{done:?}");
}

#[test]
fn the_schema_is_json_and_knows_every_table() {
    let text = says(&Folder::new(), &["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    assert_eq!(schema["additionalProperties"], false);
    let valid = std::fs::read_to_string(home().join("tests/config/valid/everything.toml")).unwrap();
    let valid: toml::Table = toml::from_str(&valid).unwrap();
    for table in valid.keys() {
        assert!(schema["properties"][table].is_object(), "{table}: {text}");
    }
}

#[test]
fn explain_key_finds_tables_dotted_names_and_other_programs_names() {
    let folder = Folder::new();
    folder.write(
        "quell.toml",
        "[worker.\"db.1\"]\ncommand = [\"/bin/true\"]\n[worker.stop]\ncommand = [\"/bin/false\"]\n",
    );
    let in_force = |name: &str| {
        let text = says(&folder, &["explain", name]);
        text.lines().filter_map(|line| Some(line.strip_prefix("  in force:  ")?.to_owned())).collect::<Vec<_>>()
    };
    let db = "worker.db.1.command = [\"/bin/true\"]  (quell.toml:2:1)";
    let both = [db, "worker.stop.command = [\"/bin/false\"]  (quell.toml:4:1)"];
    assert_eq!(in_force("command"), both);
    assert_eq!(in_force("ExecStart"), both);
    assert_eq!(in_force("worker.db.1.command"), [db]);
    assert_eq!(in_force("worker.\"db.1\".command"), [db]);
    let unset = ["worker.db.1.stop.command = –  (not set)", "worker.stop.stop.command = –  (not set)"];
    assert_eq!(in_force("stop.command"), unset);
    assert_eq!(in_force("autorestart"), in_force("restart"));
    assert_eq!(in_force("ready.line"), in_force("ready"));
    assert_eq!(in_force("worker.db.1.ready.line"), in_force("ready")[..1]);
    assert!(in_force("quell").iter().all(|row| row.starts_with("quell.")) && in_force("quell").len() > 3);
    assert!(in_force("log").iter().any(|row| row.starts_with("log.rotate = ")));
    let of_one = in_force("worker.stop.log");
    assert!(of_one.len() > 3 && of_one.iter().all(|row| row.starts_with("worker.stop.log.")), "{of_one:?}");
    assert!(says(&folder, &["explain", "queue"]).contains("max_tasks, in [queue.NAME]"));
}

#[test]
fn explain_key_needs_no_clean_file() {
    let folder = Folder::new();
    folder.write("quell.toml", "[worker.w]\ncommand = [\"/bin/true\"]\nnice = \"x\"\nrestrat = \"never\"\n");
    let text = says(&folder, &["explain", "restart"]);
    assert!(text.starts_with("restart, in [worker.NAME]\n"), "{text}");
    assert!(text.ends_with("  in force:  not known: 2 mistakes in quell.toml; see `quell check --host`\n"), "{text}");
}

#[test]
fn explain_shows_what_follows_from_other_keys() {
    let folder = Folder::new();
    let queue = "[queue.q]\n[worker.w]\ncommand = [\"/bin/true\"]\nstart_on = [{ queue = \"q\" }]\n";
    folder.write("quell.toml", queue);
    let text = squeezed(&says(&folder, &["explain", "worker", "w"]));
    for row in ["worker.w.kind \"oneshot\" built in\n", "worker.w.restart \"never\" built in\n"] {
        assert!(text.contains(row), "{text}");
    }
}

#[test]
fn explain_line_names_the_rule_under_which_filter_counts() {
    let folder = Folder::new();
    folder.write("own.list", "second\nfirst\n");
    folder.write("quell.toml", "[worker.w]\ncommand = [\"/bin/true\"]\nlists = [\"./own.list\"]\n");
    let text = says(&folder, &["explain", "line", "first second"]);
    assert!(text.contains("own.list:2 \"first\"\n"), "{text}");
}

#[test]
fn check_as_json_is_json_where_there_is_no_file_too() {
    let folder = Folder::new();
    let done = at(&folder, &["check", "--json", "-c", "gone.toml"]);
    let reports: serde_json::Value = serde_json::from_str(done.text()).unwrap();
    let text = "cannot read gone.toml: No such file or directory (os error 2)";
    assert_eq!((done.code(), &reports[0]["file"], &reports[0]["message"]), (2, &"gone.toml".into(), &text.into()));
}
