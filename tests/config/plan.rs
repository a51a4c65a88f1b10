//! `quell plan`: what would be done, and because of what.

use super::{at, says};
use crate::harness::Folder;

const OLD: &str = r#"[quell]
metrics = "127.0.0.1:9464"

[queue.mail]
max_tasks = 100

[worker.web]
command   = ["/bin/sleep", "1"]
needs     = ["db", "cache"]
instances = 2

[worker.db]
command = ["/bin/sleep", "2"]

[worker.cache]
command = ["/bin/sleep", "3"]
needs   = ["db"]

[worker.mailer]
command  = ["/bin/cat"]
start_on = [{ queue = "mail" }]

[worker.old]
command = ["/bin/sleep", "4"]
enabled = false
"#;

/// The plan for a change of `OLD`: each pair is a text in it and what stands there instead.
fn plan(changes: &[(&str, &str)]) -> String {
    let folder = Folder::new();
    folder.write("old.toml", OLD);
    let new = changes.iter().fold(OLD.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    folder.write("new.toml", new);
    says(&folder, &["plan", "--from", "old.toml", "-c", "new.toml"])
}

#[test]
fn a_start_is_in_the_order_of_needs() {
    let folder = Folder::new();
    folder.write("quell.toml", OLD);
    let starts = "\
+ start db: quell.toml:12
= mailer waits for its start_on: quell.toml:21
+ start cache: quell.toml:15
+ start web.1: quell.toml:7
+ start web.2: quell.toml:7
";
    assert_eq!(says(&folder, &["plan"]), starts);
}

#[test]
fn what_is_the_same_is_left_alone() {
    assert_eq!(plan(&[]), "nothing changes\n");
    assert_eq!(plan(&[("worker.old", "worker.older")]), "nothing changes\n");
    assert_eq!(plan(&[("[quell]", "# a comment\n\n[quell]"), ("command = ", "command  =  ")]), "nothing changes\n");
}

#[test]
fn what_is_written_otherwise_but_means_the_same_is_left_alone() {
    let same = [
        ("\"db\", \"cache\"", "\"cache\", \"db\""),
        ("[\"/bin/sleep\", \"2\"]", "[\"/bin/sleep\", \"2\"]\nkind = \"service\"\nrestart = \"on-failure\""),
        ("[\"/bin/cat\"]", "[\"/bin/cat\"]\nkind = \"oneshot\"\nrestart = \"never\""),
    ];
    assert_eq!(plan(&same), "nothing changes\n");
    let folder = Folder::new();
    let expect = |more: &str| {
        format!("[worker.w]\ncommand = [\"/bin/cat\"]\nexpect = [{{ rule = \"beat\", within = \"1m\"{more} }}]\n")
    };
    folder.write("old.toml", expect(""));
    folder.write("quell.toml", expect(", else = \"event\""));
    assert_eq!(says(&folder, &["plan", "--from", "old.toml"]), "nothing changes\n");
    folder.write("quell.toml", expect(", else = \"restart\""));
    assert_eq!(says(&folder, &["plan", "--from", "old.toml"]), "= w, no restart: expect changed, quell.toml:3\n");
}

#[test]
fn only_the_worker_whose_command_changed_restarts() {
    assert_eq!(plan(&[("\"2\"", "\"22\"")]), "~ restart db: command changed, new.toml:13\n");
    assert_eq!(
        plan(&[("\"2\"]", "\"22\"]\nenv = { A = \"b\" }")]),
        "~ restart db: command changed, new.toml:13; env changed, new.toml:14\n"
    );
}

#[test]
fn what_a_log_does_changes_without_a_restart() {
    let rotate = "\"3\"]\nlog.rotate = \"1MiB or 1h\"";
    assert_eq!(plan(&[("\"3\"]", rotate)]), "= cache, no restart: log.rotate changed, new.toml:17\n");
    // In [log], it is so for all.
    let all = "\
= db, no restart: log.rotate changed, new.toml:2
= mailer, no restart: log.rotate changed, new.toml:2
= cache, no restart: log.rotate changed, new.toml:2
= web, no restart: log.rotate changed, new.toml:2
";
    assert_eq!(plan(&[("[quell]", "[log]\nrotate = \"1MiB or 1h\"\n[quell]")]), all);
    // What is written as it is built in is no change.
    assert_eq!(plan(&[("[quell]", "[log]\nrotate = \"64MiB or 1d\"\n[quell]")]), "nothing changes\n");
}

#[test]
fn instances_come_and_go_and_the_others_stay() {
    let instances = "instances = 2";
    assert_eq!(plan(&[(instances, "instances = 3")]), "+ start web.3: instances changed, new.toml:10\n");
    let more = "\
~ restart web: command changed, new.toml:8
+ start web.3: instances changed, new.toml:10
";
    assert_eq!(plan(&[(instances, "instances = 3"), ("\"1\"", "\"11\"")]), more);
    // The only one has no number.
    let one = "\
- stop web.1: instances changed, no longer set
- stop web.2: instances changed, no longer set
+ start web: instances changed, no longer set
";
    assert_eq!(plan(&[(instances, "")]), one);
    let two = "\
- stop db: instances changed, new.toml:14
+ start db.1: instances changed, new.toml:14
+ start db.2: instances changed, new.toml:14
";
    assert_eq!(plan(&[("\"2\"]", "\"2\"]\ninstances = 2")]), two);
}

#[test]
fn workers_come_and_go_in_the_order_of_needs() {
    assert_eq!(
        plan(&[("worker.mailer", "worker.post")]),
        "- stop mailer: removed\n= post waits for its start_on: new.toml:21\n",
        "what was called otherwise is another"
    );
    let all = "\
- stop web.1: removed
- stop web.2: removed
- stop cache: removed
- stop db: removed
+ start sql: new.toml:12
+ start redis: new.toml:15
+ start shop.1: new.toml:7
+ start shop.2: new.toml:7
";
    let renamed = [("web]", "shop]"), (".db", ".sql"), ("\"db\"", "\"sql\""), ("cache", "redis")];
    assert_eq!(plan(&renamed), all);
}

#[test]
fn enabled_starts_and_stops() {
    assert_eq!(plan(&[("enabled = false", "enabled = true")]), "+ start old: new.toml:23\n");
    let off = ("[worker.mailer]", "[worker.mailer]\nenabled = false");
    assert_eq!(plan(&[off]), "- stop mailer: enabled changed, new.toml:20\n");
}

#[test]
fn queues_and_quell_itself_change_without_a_restart() {
    assert_eq!(plan(&[("100", "200")]), "= queue mail, no restart: max_tasks changed, new.toml:5\n");
    assert_eq!(plan(&[("metrics", "# ")]), "= quell, no restart: metrics changed, no longer set\n");
    let post = "\
= mailer, no restart: start_on changed, new.toml:21
= queue post, no restart: added, new.toml:4
= queue mail, no restart: removed
";
    assert_eq!(plan(&[("queue.mail", "queue.post"), ("\"mail\"", "\"post\"")]), post);
    let anew = plan(&[("metrics", "state = \"/srv/quell\"\nmetrics")]);
    assert_eq!(anew, "! quell, when quell is started anew: state changed, new.toml:2\n");
}

/// Sockets are handed over at a start; how long a worker goes on without a connection is nothing that it sees.
#[test]
fn a_change_of_sockets_is_a_restart() {
    let folder = Folder::new();
    let web = |item: &str| format!("[worker.web]\ncommand = [\"/bin/cat\"]\nstart_on = [{{ {item} }}]\n");
    folder.write("old.toml", web("socket = \"localhost:1\""));
    let plan = |item: &str| {
        folder.write("new.toml", web(item));
        says(&folder, &["plan", "--from", "old.toml", "-c", "new.toml"])
    };
    assert_eq!(plan("socket = \"localhost:2\""), "~ restart web: start_on changed, new.toml:3\n");
    let longer = plan("socket = \"localhost:1\", idle_stop = \"1m\"");
    assert_eq!(longer, "= web, no restart: start_on changed, new.toml:3\n");
}

/// A web of needs is followed once, not once for each way through it.
#[test]
fn many_ways_to_one_need_take_no_longer() {
    let folder = Folder::new();
    let mut text = String::new();
    for n in (0..40).rev() {
        for side in ["a", "b"] {
            text += &format!("[worker.{side}{n}]\ncommand = [\"/bin/sleep\", \"1\"]\n");
            if n > 0 {
                text += &format!("needs = [\"a{0}\", \"b{0}\"]\n", n - 1);
            }
        }
    }
    folder.write("quell.toml", text);
    let plan = says(&folder, &["plan"]);
    let started: Vec<_> = plan.lines().map(|line| &line[8..line.find(':').unwrap()]).collect();
    let expected: Vec<_> = (0..40).flat_map(|n| [format!("a{n}"), format!("b{n}")]).collect();
    assert_eq!(started, expected);
}

#[test]
fn nothing_is_planned_from_or_to_a_mistake() {
    let folder = Folder::new();
    folder.write("good.toml", OLD);
    folder.write("bad.toml", OLD.replace("needs ", "neds "));
    for args in [["--from", "good.toml", "-c", "bad.toml"], ["--from", "bad.toml", "-c", "good.toml"]] {
        let done = at(&folder, &[&["plan"], &args[..]].concat());
        assert_eq!((done.code(), done.text()), (1, ""));
        assert!(done.stderr.contains("unknown key `neds`") && done.stderr.contains("--> bad.toml:9:1\n"), "{done:?}");
    }
    let done = at(&folder, &["plan", "--from", "gone.toml", "-c", "good.toml"]);
    assert!(done.code() == 2 && done.stderr.contains("cannot read gone.toml"), "{done:?}");
}
