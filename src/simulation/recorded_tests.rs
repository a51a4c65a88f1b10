//! What is read of events, and real runs that are gone through again.

use super::tests::{CHAIN, JOBS, gone_through, loaded, read, simulated, with};

/// What was recorded is as long as it was, and ends as it did.
#[test]
fn a_recording_is_gone_through_again() {
    let config = JOBS.to_owned() + "[worker.web]\nshell = \"x\"\n";
    let events = r#"
        {"kind":"recording","version":1,"at_us":1000000,"quell":"0.1.0"}
        {"at_us":1000000,"seq":1,"worker":"web","kind":"started","text":"started, pid 7","pid":7}
        {"at_us":1500000,"seq":2,"worker":null,"kind":"source","text":"","source":{"queue":"jobs","class":"high","id":17}}
        {"at_us":1500100,"seq":2,"worker":"jobs.1","kind":"began","text":"","task":{"id":17,"queue":"jobs","class":"high","attempt":1,"put_us":1500000}}
        {"at_us":1700100,"seq":2,"worker":"jobs.1","kind":"tried","text":"","task":{"id":17,"queue":"jobs","class":"high","attempt":1,"put_us":1500000,"end":{"retry":{"after_ms":300,"why":"busy"}}}}
        {"at_us":1700200,"seq":2,"worker":"jobs.1","kind":"began","text":"","task":{"id":18,"queue":"jobs","class":"low","attempt":1,"put_us":1600000}}
        {"at_us":1750000,"seq":3,"worker":"web","kind":"exited","text":"","ended":{"signal":"SIGSEGV"},"lasted_ms":750}
    "#;
    let (lines, summary) = simulated(&config, events, None);
    let expected = [
        "0:00:00.500  >  task 17 for jobs (high)",
        "0:00:00.500  jobs.1  task 17 of jobs (high), try 1: begins",
        "0:00:00.600  >  task 18 for jobs (low)",
        "0:00:00.700  jobs.1  task 17 failed (busy), try 1 of 5; again in 300ms",
        "0:00:00.700  jobs.1  task 18 of jobs (low), try 1: begins",
        "0:00:00.750  web  killed by SIGSEGV after 750ms",
    ];
    for line in expected {
        assert!(lines.iter().any(|told| told == line), "{line}: {lines:#?}");
    }
    assert_eq!((summary.queues[0].running, summary.workers[1].failures), (1, 1));
}

/// A recording of one worker, which was begun at second 1.
fn recorded(lines: &[&str]) -> String {
    let header = r#"{"kind":"recording","version":1,"at_us":1000000,"quell":"0.1.0"}"#;
    [header].iter().chain(lines).map(|line| format!("{line}\n")).collect()
}

/// A line about a try of a task, by `jobs.1`.
fn of_try(us: u64, kind: &str, id: u64, attempt: u32, end: &str) -> String {
    let end = if end.is_empty() { String::new() } else { format!(",\"end\":{end}") };
    format!(
        r#"{{"at_us":{us},"worker":"jobs.1","kind":"{kind}","task":{{"id":{id},"queue":"jobs","class":"normal","attempt":{attempt},"put_us":{us}{end}}}}}"#
    )
}

/// What ran when the recording began lasts until its end was recorded; what ran when it ended goes on.
#[test]
fn tries_that_a_recording_cuts() {
    let put = r#"{"at_us":1000000,"kind":"source","source":{"queue":"jobs","id":7,"attempt":2}}"#;
    let next = r#"{"at_us":1500000,"kind":"source","source":{"queue":"jobs","id":8}}"#;
    let old = of_try(4_000_000, "tried", 7, 3, r#"{"done":{}}"#);
    let begun = of_try(1_000_000, "began", 7, 3, "");
    let last = of_try(4_000_000, "began", 8, 1, "");
    for lines in [&[put, next, &old, &last][..], &[put, &begun, next, &begun, &old, &last]] {
        let (lines, summary) = simulated(JOBS, &recorded(lines), None);
        assert_eq!(with(&lines, "task 7 of")[1], "0:00:03.000  jobs.1  task 7 of jobs (normal), try 3: done");
        assert_eq!(with(&lines, "task 8 of"), ["0:00:03.000  jobs.1  task 8 of jobs (normal), try 1: begins"]);
        assert_eq!((summary.queues[0].totals.done, summary.queues[0].running), (1, 1));
    }
}

/// A task that somebody has kicked begins at try 1 once more: each of those is as it was.
#[test]
fn tries_of_one_number_come_in_their_order() {
    let put = r#"{"at_us":1000000,"kind":"source","source":{"queue":"jobs","id":7}}"#;
    let kick = r#"{"at_us":3000000,"kind":"source","source":{"ask":"kick","id":7}}"#;
    let tries = [
        of_try(1_000_000, "began", 7, 1, ""),
        of_try(1_100_000, "tried", 7, 1, r#"{"failed":{"why":"exit 3"}}"#),
        of_try(3_000_000, "began", 7, 1, ""),
        of_try(3_500_000, "tried", 7, 1, r#"{"done":{}}"#),
    ];
    let config = JOBS.to_owned() + "retry = { tries = 1 }\n";
    let (_, summary) = simulated(&config, &recorded(&[put, &tries[0], &tries[1], kick, &tries[2], &tries[3]]), None);
    let totals = summary.queues[0].totals;
    assert_eq!((totals.buried, totals.done, summary.lasted_ms), (1, 1, 2500));
}

/// Numbers are no order: of two stores, of files whose tries came in another one, of puts that were told late.
#[test]
fn no_task_is_lost_for_its_number() {
    let far = 1_u64 << 48;
    let lines = [
        format!(r#"{{"at_us":1000000,"kind":"source","source":{{"queue":"jobs","id":{far},"count":2}}}}"#),
        r#"{"at_us":1200000,"kind":"source","source":{"queue":"jobs","id":5,"count":3}}"#.into(),
        r#"{"at_us":1200000,"kind":"source","source":{"queue":"jobs","id":4,"count":2}}"#.into(),
        r#"{"at_us":1300000,"kind":"source","source":{"queue":"jobs"}}"#.into(),
        of_try(1_400_000, "began", 3, 1, ""),
        of_try(1_400_000, "tried", 3, 1, r#"{"done":{}}"#),
    ];
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let (shown, summary) = simulated(JOBS, &recorded(&lines), None);
    assert_eq!((summary.queues[0].totals.put, summary.queues[0].totals.done), (8, 8));
    assert_eq!(with(&shown, &format!("task {} of jobs (normal), try 1: begins", far + 2)).len(), 1, "{shown:#?}");
}

/// What somebody had stopped does not start with quell, and a life that never said that it is ready is not.
#[test]
fn workers_are_as_they_were() {
    let config = "[worker.web]\nshell = \"x\"\n[worker.db]\nshell = \"x\"\nready = \"notify\"\n\
        [worker.app]\nshell = \"x\"\nneeds = [\"db\"]\n";
    let lines = [
        r#"{"at_us":1000000,"kind":"source","source":{"ask":"stop","worker":"web"}}"#,
        r#"{"at_us":1000000,"kind":"source","source":{"ask":"stop","worker":"db"}}"#,
        r#"{"at_us":2000000,"kind":"source","source":{"ask":"start","worker":"db"}}"#,
        r#"{"at_us":2000000,"worker":"db","kind":"started"}"#,
        r#"{"at_us":2500000,"worker":"db","kind":"exited","ended":{"code":1},"lasted_ms":500}"#,
        r#"{"at_us":3500000,"worker":"db","kind":"started"}"#,
        r#"{"at_us":3700000,"worker":"db","kind":"ready"}"#,
        r#"{"at_us":9000000,"kind":"source","source":{"ask":"start","worker":"web"}}"#,
        r#"{"at_us":9000000,"worker":"web","kind":"ready"}"#,
        r#"{"at_us":9500000,"worker":"web","kind":"exited","ended":{"code":0},"lasted_ms":500}"#,
    ];
    let (shown, summary) = simulated(config, &recorded(&lines), None);
    assert_eq!(with(&shown, "web  started")[0], "0:00:08.000  web  started", "{shown:#?}");
    assert_eq!(with(&shown, "web  exited"), ["0:00:08.500  web  exited 0 after 500ms"]);
    let (db, app) = (with(&shown, "db  ready"), with(&shown, "app  started"));
    assert!(db.len() == 1 && app.len() == 1 && db[0][..11] == app[0][..11], "{shown:#?}");
    assert_eq!(summary.workers[2].starts, 1);
}

/// A life that had begun long before the recording lasts as long as it did in it.
#[test]
fn an_old_life_ends_when_it_did() {
    let exited = r#"{"at_us":3000000,"worker":"web","kind":"exited","ended":{"code":0},"lasted_ms":7000000}"#;
    let (shown, _) = simulated("[worker.web]\nshell = \"x\"\nrestart = \"never\"\n", &recorded(&[exited]), None);
    assert_eq!(with(&shown, "web  exited"), ["0:00:02.000  web  exited 0 after 2.0s"]);
}

/// What another configuration had is passed over, and said once.
#[test]
fn a_recording_of_another_configuration() {
    let lines = [
        r#"{"at_us":1000000,"kind":"source","source":{"queue":"old","id":1}}"#,
        r#"{"at_us":1000000,"kind":"source","source":{"queue":"old","id":2}}"#,
        r#"{"at_us":1000000,"kind":"source","source":{"worker":"gone","ask":"stop"}}"#,
        r#"{"at_us":1000000,"kind":"source","source":{"ask":"levitate"}}"#,
        r#"{"at_us":1000000,"kind":"source","source":{"queue":"jobs","id":3}}"#,
    ];
    let loaded = loaded(JOBS);
    let (script, told) = read(&loaded, &recorded(&lines));
    assert_eq!(told.matches("warning").count(), 3, "{told}");
    assert!(!told.contains("error") && told.contains("\"gone\" is no worker"), "{told}");
    assert_eq!(gone_through(&loaded, script, None).1.queues[0].totals.done, 1);
}

/// A recording has the pattern of a file: that is no name that another pattern matches. One of several instances stands for
/// its worker.
#[test]
fn patterns_are_no_names_and_instances_no_workers() {
    let config = "[worker.csv]\nshell = \"x\"\nstart_on = [{ path = \"in/*.csv\" }]\n\
        [worker.any]\nshell = \"x\"\nstart_on = [{ path = \"in/*\" }, { line = \"full\", worker = \"web\" }]\n\
        [worker.web]\nshell = \"x\"\ninstances = 2\n";
    let started = |events: &str| {
        let summary = simulated(config, events, None).1;
        [summary.workers[0].starts, summary.workers[1].starts]
    };
    assert_eq!(started(r#"{"source":{"path":"/etc/quell/in/*.csv"}}"#), [1, 0]);
    assert_eq!(started(r#"{"source":{"path":"/etc/quell/in/*"}}"#), [0, 1]);
    assert_eq!(started(r#"{"source":{"path":"in/a.csv"}}"#), [1, 1]);
    assert_eq!(started(r#"{"source":{"worker":"web.2","line":"disk full"}}"#), [0, 1]);
    let loaded = loaded(config);
    let told = |line: &str| read(&loaded, line).1;
    for line in
        [r#"{"source":{"worker":"web.3"}}"#, r#"{"run":{"worker":"web.foo"}}"#, r#"{"expect":{"start":"any.1"}}"#]
    {
        assert!(told(line).contains("is no worker"), "{line}: {}", told(line));
    }
    let told = told(r#"{"expect":{"start":"web.2"}}"#);
    assert!(told.contains("\"web.2\" is one of several") && told.contains("expect a start of \"web\""), "{told}");
}

#[test]
fn mistakes_have_their_places() {
    let loaded = loaded(&(JOBS.to_owned() + CHAIN));
    let told = |line: &str| read(&loaded, line).1;
    let cases = [
        ("{\"source\":{\"queue\":\"job\"}}", "\"job\" is no queue", ":1:20", "did you mean \"jobs\"?"),
        ("{\"run\":{\"worker\":\"frist\"}}", "\"frist\" is no worker", ":1:18", "did you mean \"first\"?"),
        ("{\"at\":\"5\",\"source\":{\"fire\":\"go\"}}", "\"5\" is no duration", ":1:7", "add a unit"),
        ("{\"source\":{\"worker\":\"first\",\"event\":\"died\"}}", "\"died\" does not happen", ":1:37", "write exit"),
        ("{\"source\":{\"signal\":\"USR3\"}}", "\"USR3\" is no signal", ":1:21", "HUP"),
        ("{\"source\":{}}", "says nothing", ":1:1", "add `queue`"),
        ("{\"at\":\"5s\"}", "says nothing", ":1:1", "add `source`"),
        ("{\"source\":{\"ask\":\"fly\"}}", "nobody can ask for that", ":1:1", "write start"),
        ("{\"source\":{\"fire\":7}}", "this is no event: invalid type", ":1:19", "one JSON object a line"),
        ("{\"kind\":\"recording\",\"version\":2}", "a later version", ":1:1", "version 1"),
        ("{\"kind\":\"recording\",\"start\":\"soon\"}", "\"soon\" is no time", ":1:29", "2026"),
    ];
    for (line, what, place, help) in cases {
        let told = told(line);
        assert!([what, place, help].iter().all(|part| told.contains(part)), "{line}: {told}");
    }
    assert_eq!(told("{\"source\":{\"fire\":\"go\",\"colour\":\"red\"},\"unknown\":1}\n# a comment\n\n"), "");
}

/// Who is stopped for want of connections is started by the next: when that was recorded, or when it is found out.
#[test]
fn connections_come_and_go() {
    let config =
        "[worker.web]\nshell = \"x\"\nkind = \"service\"\nstart_on = [{ socket = \"/run/x\", idle_stop = \"10s\" }]\n";
    let at = |seconds: u32| format!(r#"{{"at":"{seconds}s","source":{{"socket":"/run/x"}}}}"#);
    let (shown, summary) = simulated(config, &[at(1), at(8), at(15), at(60)].join("\n"), None);
    assert_eq!(summary.workers[0].starts, 2, "{shown:#?}");
    assert_eq!(with(&shown, "web  stopped"), ["0:00:31.000  web  stopped (SIGTERM) after 30.0s"]);
    let lines = [
        r#"{"at_us":2000000,"kind":"source","source":{"socket":"/run/x"}}"#,
        r#"{"at_us":2000000,"worker":"web","kind":"ready"}"#,
        r#"{"at_us":90000000,"kind":"source","source":{"ask":"idle","worker":"web"}}"#,
        r#"{"at_us":90000000,"worker":"web","kind":"stopping"}"#,
        r#"{"at_us":90000000,"worker":"web","kind":"exited","ended":{"code":0}}"#,
        r#"{"at_us":95000000,"kind":"source","source":{"socket":"/run/x"}}"#,
    ];
    let (shown, summary) = simulated(config, &recorded(&lines), None);
    assert_eq!(summary.workers[0].starts, 2, "{shown:#?}");
    assert_eq!(with(&shown, "web  exited"), ["0:01:29.000  web  exited 0 after 1m28s"]);
}
