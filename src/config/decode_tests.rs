use crate::config::load::{Files, Loaded, load};
use crate::config::source::Sources;
use std::io;
use std::path::{Path, PathBuf};

/// One file, and no other.
struct Only<'a>(&'a str);

impl Files for Only<'_> {
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        (path == Path::new("/etc/quell/q.toml"))
            .then(|| self.0.as_bytes().to_vec())
            .ok_or(io::ErrorKind::NotFound.into())
    }

    fn identity(&mut self, path: &Path) -> PathBuf {
        path.to_owned()
    }

    fn matching(&mut self, _: &Path, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

fn loaded(text: &str) -> Loaded {
    load("q.toml", Path::new("/etc/quell"), &mut Only(text), &|_| None).unwrap()
}

/// What is said of a worker with these keys: the reports as `line:column: text; help; fix`.
fn said(keys: &str) -> Vec<String> {
    let text = format!("[worker.w]\ncommand = [\"x\"]\n{keys}\n");
    let Loaded { reports, sources, .. } = loaded(&text);
    let line = |sources: &Sources, report: &crate::config::report::Report| {
        let (line, column) = sources.position(report.place);
        let fix = report.fix.as_ref().map(|(_, with)| format!("; {with}")).unwrap_or_default();
        format!("{line}:{column}: {}; {}{fix}", report.text, report.help.as_deref().unwrap_or_default())
    };
    reports.iter().map(|report| line(&sources, report)).collect()
}

fn one(keys: &str, expected: &str) {
    assert_eq!(said(keys), [expected], "{keys}");
}

#[test]
fn other_programs_names_lead_to_the_key_that_is_meant() {
    let more = |key: &str| format!("`quell explain {key}` says more");
    one(
        "cmd = 1",
        &format!("3:1: `cmd` is Procfile's; here it is `command`; write `command = …`; {}", more("command")),
    );
    one(
        "exec = 1",
        &format!("3:1: `exec` is Procfile's; here it is `command`; write `command = …`; {}", more("command")),
    );
    one(
        "stdout_logfile = 1",
        &format!(
            "3:1: `stdout_logfile` is supervisord's; here it is `log.dir`; write `log.dir = …`; {}",
            more("log.dir")
        ),
    );
    one(
        "ListenStream = 1",
        &format!(
            "3:1: `ListenStream` is systemd's; here it is `socket`; write `socket = …` in [quell]; {}",
            more("socket")
        ),
    );
    one(
        "OnCalendar = 1",
        &format!(
            "3:1: `OnCalendar` is systemd's; here it is `start_on`; write `start_on = [{{ schedule = … }}]`; {}",
            more("start_on")
        ),
    );
    one("rotate = \"1d\"", "3:1: `rotate` is about the log of [worker.w]; write `log.rotate`; log.rotate");
    one("grace = \"1s\"", "3:1: unknown key `grace` in [worker.w]; write `stop.grace`; stop.grace");
    one("zzz = 1", "3:1: unknown key `zzz` in [worker.w]; `quell explain --reference` lists all keys");
}

#[test]
fn numbers_keep_their_base_and_know_both_limits() {
    let config =
        loaded("[worker.w]\ncommand = [\"x\"]\nuser = 0x10\nbackoff.give_up = 0x10\nlimits.nofile = 0o20\n").config;
    let keys = &config.workers[0].keys;
    assert_eq!(format!("{:?}", keys.user.value), "Some(Identity(\"16\"))");
    assert_eq!(format!("{:?} {:?}", keys.backoff.give_up.value, keys.limits.nofile.value), "After(16) Some(At(16))");
    one("instances = 0", "3:13: 0 is out of range: expected an integer from 1 to 1000; the limit is 1");
    one("instances = 1001", "3:13: 1001 is out of range: expected an integer from 1 to 1000; the limit is 1000");
    one(
        "limits.nofile = \"65536\"",
        "3:17: expected an integer from 0, found \"65536\"; numbers have no quotes; 65536",
    );
    one(
        "instances = \"${N}\"",
        "3:13: expected an integer from 1 to 1000, found \"${N}\"; variables stand for text only; write the value itself",
    );
}

#[test]
fn advice_is_never_worse_than_none() {
    let lists = "a list that is not named is not used; take this out";
    one(
        "lists = [\"!heartbeat\"]",
        &format!("3:10: \"!heartbeat\": only `levels` is always there, and can be left out; {lists}"),
    );
    let known = "\"alway\" is not one of \"always\", \"on-failure\" or \"never\"; did you mean \"always\"?";
    one("restart = \"${R:-alway}\"", &format!("3:11: {known}"));
    one("needs = [\"\"]", "3:10: no worker is called ``; there are `w`; or define [worker.]");
    one(
        "log.rotate = \"64MiB,1d\"",
        "3:14: the parts are joined by \"or\" here, not by \",\"; write \"64MiB or 1d\"; \"64MiB or 1d\"",
    );
    one(
        "log.retain.routine = \"7d or 1GiB\"",
        "3:22: the parts are joined by \",\" here, not by \"or\"; write \"7d, 1GiB\"; \"7d, 1GiB\"",
    );
    one(
        "env.A = \"${A:-${B}}\"",
        "3:10: a default cannot hold another variable; write `${NAME}` or `${NAME:-default}`; `$$` is a dollar",
    );
    // No signal has such a name, and no byte of it is taken for a character.
    assert_eq!(said("stop.signal = \"ÄÄ\"").len(), 1);
    assert_eq!(said("ready = { tcp = \"http://h:80\" }").len(), 1);
    assert_eq!(said("ready = { line = \"\" }").len(), 1);
}

#[test]
fn what_is_right_is_taken() {
    for command in ["[\"/opt/My App/run\"]", "[\"cut\", \"-d\", \"|\"]", "[\"/srv/app/bin/cron\"]", "[\"./named\"]"] {
        let found = loaded(&format!("[worker.w]\ncommand = {command}\n")).reports;
        assert!(found.is_empty(), "{command}: {found:?}");
    }
}

#[test]
fn one_bad_item_hides_no_other() {
    assert_eq!(said("lists = [\"!a\", \"~/b\"]").len(), 2);
    let found = loaded("[worker.w]\ncommand = [\"a\", \"$(date)\", \"%(here)s\"]\n").reports;
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_queue_on_a_redis_server() {
    let queue = "start_on = [{ queue = \"q\" }]\n[queue.q]\nstore = \"redis://h/0\"";
    for keys in ["max_tasks = 7", "durable = \"never\""] {
        assert_eq!(said(&format!("{queue}\n{keys}")), [""; 0]);
    }
    // Others may take its tasks; of a queue that is stored here nobody else does.
    assert_eq!(said("[queue.q]\nstore = \"redis://h/0\""), [""; 0]);
    assert_eq!(said("[queue.q]").len(), 1);
    let help = "take `durable` out; for a put that survives a loss of power, set `appendonly yes` and `appendfsync always` \
                in redis.conf";
    let text = "how durable a put is on a Redis server is that server's to say, not the queue's";
    for durable in ["always", "50ms"] {
        one(&format!("{queue}\ndurable = \"{durable}\""), &format!("6:1: {text}; {help}"));
    }
    one(
        &queue.replace("redis:", "rediss:"),
        "5:1: this quell has no TLS; write redis://, and let a tunnel (stunnel, WireGuard) do it",
    );
}

/// Files are waited for in one folder, which is known by its name.
#[test]
fn what_files_cannot_be_waited_for() {
    let path = |path: &str| format!("start_on = [{{ path = \"{path}\" }}]");
    let each = "write a trigger for each folder";
    one(
        &path("in/*/a.csv"),
        &format!("3:22: \"in/*/a.csv\": only the last part of the path may have wildcards; {each}"),
    );
    one(&path("in/"), "3:22: \"in/\" is a folder, and files are waited for; write \"in/*\" for all files in it");
    let below = "folders below /etc/quell/in are not looked into; write `*`, and a trigger for each folder";
    one(&path("in/**"), &format!("3:22: \"in/**\": {below}"));
    let wrong = said(&path("in/[a"));
    assert!(wrong.len() == 1 && wrong[0].starts_with("3:22: \"in/[a\" is no pattern: "), "{wrong:?}");
    assert_eq!(said(&path("/in/[a-z]?.*")), [""; 0]);
    let line = "start_on = [{ line = \"a\\nb\" }]";
    one(line, "3:22: no line holds a newline; write what stands in one line");
}
