use super::recording;
use super::script::{Script, What};
use super::summary::Summary;
use crate::config::load::{Files, Loaded, load};
use crate::config::report::to_text;
use crate::config::source::Sources;
use crate::config::unit::parse_duration;
use crate::control::event::{Event, Kind};
use crate::control::record::TryEnd;
use proptest::prelude::*;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One file.
struct One<'a>(&'a str);

impl Files for One<'_> {
    fn read(&mut self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.as_bytes().to_vec())
    }

    fn identity(&mut self, path: &Path) -> PathBuf {
        path.to_owned()
    }

    fn matching(&mut self, _: &Path, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

pub(super) fn loaded(text: &str) -> Loaded {
    let loaded = load("quell.toml", Path::new("/etc/quell"), &mut One(text), &|_| None).unwrap();
    assert!(loaded.reports.is_empty(), "{:?}", loaded.reports);
    loaded
}

pub(super) fn read(loaded: &Loaded, events: &str) -> (Script, String) {
    let mut sources = Sources::default();
    let file = sources.add("events.jsonl", events);
    let (script, reports) = recording::read(&loaded.config, &sources, file);
    (script, to_text(&sources, &reports, false))
}

/// An event as people are shown it; none where another says more.
fn line(after: Duration, event: &Event) -> Option<String> {
    let end = event.task.as_ref().and_then(|task| task.end.as_ref());
    let is_shown = matches!(end, None | Some(TryEnd::Done {} | TryEnd::Lost {}));
    let seconds = after.as_secs();
    let who = if event.kind == Kind::Source { ">" } else { event.worker.as_deref().unwrap_or("quell") };
    let (hours, minutes, millis) = (seconds / 3600, seconds / 60 % 60, after.subsec_millis());
    is_shown.then(|| format!("{hours}:{minutes:02}:{:02}.{millis:03}  {who}  {}", seconds % 60, event.text))
}

/// What happens, and what it comes to.
pub(super) fn simulated(config: &str, events: &str, until: Option<&str>) -> (Vec<String>, Summary) {
    let loaded = loaded(config);
    let (script, mistakes) = read(&loaded, events);
    assert_eq!(mistakes, "");
    gone_through(&loaded, script, until)
}

pub(super) fn gone_through(loaded: &Loaded, script: Script, until: Option<&str>) -> (Vec<String>, Summary) {
    let until = until.map(|until| parse_duration(until).unwrap());
    let mut lines = Vec::new();
    let mut tell = |after: Duration, event: &_| lines.extend(line(after, event));
    let summary = super::run(&loaded.config, Path::new("/etc/quell"), script, until, &mut tell);
    (lines, summary)
}

/// The lines that hold this.
pub(super) fn with<'a>(lines: &'a [String], text: &str) -> Vec<&'a str> {
    lines.iter().filter(|line| line.contains(text)).map(String::as_str).collect()
}

pub(super) const JOBS: &str = "[queue.jobs]\n[worker.jobs]\nshell = \"x\"\nstart_on = [{ queue = \"jobs\" }]\n";

#[test]
fn tasks_go_to_slots_and_high_has_one_of_its_own() {
    let config = JOBS.to_owned() + "slots = { total = 2, high = 1 }\n";
    let events = r#"
        {"at":"1s","source":{"queue":"jobs","class":"low","count":3}}
        {"at":"1.5s","source":{"queue":"jobs","class":"high"}}
    "#;
    let (lines, summary) = simulated(&config, events, None);
    assert_eq!(
        with(&lines, "begins"),
        [
            "0:00:01.000  jobs.1  task 1 of jobs (low), try 1: begins",
            "0:00:01.500  jobs.2  task 4 of jobs (high), try 1: begins",
            "0:00:02.000  jobs.1  task 2 of jobs (low), try 1: begins",
            "0:00:03.000  jobs.1  task 3 of jobs (low), try 1: begins",
        ]
    );
    let queue = &summary.queues[0];
    assert_eq!((queue.totals.put, queue.totals.done, queue.longest_wait_ms), (4, 4, [Some(0), None, Some(2000)]));
    assert_eq!((summary.workers[0].starts, summary.workers[0].by["a task of jobs"], summary.lasted_ms), (4, 4, 4000));
}

/// E7: low becomes normal with time.
#[test]
fn low_is_promoted() {
    let config = JOBS.replace("[queue.jobs]", "[queue.jobs]\nmax_wait = \"5s\"");
    let events = r#"
        {"run":{"worker":"jobs","lasts":"10s"}}
        {"source":{"queue":"jobs"}}
        {"source":{"queue":"jobs","class":"low"}}
        {"at":"1s","source":{"queue":"jobs"}}
    "#;
    let (lines, _) = simulated(&config, events, None);
    let begun: Vec<_> = with(&lines, "begins").iter().map(|line| line[21..].to_owned()).collect();
    assert!(begun[1].contains("task 2") && begun[2].contains("task 3"), "{lines:#?}");
}

/// E4: what fails is tried again a little later, and given up in the end; what takes too long has failed.
#[test]
fn what_fails_is_buried_and_can_be_kicked() {
    let config = JOBS.to_owned() + "retry = { tries = 2, first = \"1s\" }\ntimeout = \"5s\"\n";
    let events = r#"
        {"run":{"worker":"jobs","lasts":"1s","ended":{"signal":"SIGSEGV"}}}
        {"source":{"queue":"jobs"}}
        {"at":"1.5s","run":{"worker":"jobs","lasts":"1m"}}
        {"at":"30s","run":{"worker":"jobs","lasts":"1s"},"source":{"ask":"kick","queue":"jobs"}}
    "#;
    let (lines, summary) = simulated(&config, events, None);
    let told = with(&lines, "task 1");
    assert!(told[1].starts_with("0:00:01.000  jobs.1  task 1 failed (signal 11), try 1 of 2; again in "), "{told:#?}");
    assert!(
        told[3].ends_with("buried: not done after 5.0s: killed, at try 2 of 2; `quell queue kick 1` tries it again")
    );
    assert_eq!(told[4], "0:00:30.000  jobs.1  task 1 of jobs (normal), try 1: begins");
    let totals = summary.queues[0].totals;
    assert_eq!((totals.put, totals.failed, totals.buried, totals.done), (1, 2, 1, 1));
}

#[test]
fn queues_are_paused_drained_and_full() {
    let config = JOBS.replace("[queue.jobs]", "[queue.jobs]\nmax_tasks = 2");
    let events = r#"
        {"source":{"ask":"pause","queue":"jobs"}}
        {"source":{"queue":"jobs","count":3}}
        {"at":"1s","source":{"ask":"drop","id":1}}
        {"at":"2s","source":{"ask":"resume","queue":"jobs"}}
        {"at":"10s","source":{"queue":"jobs","delay_ms":5000}}
        {"source":{"queue":"jobs","key":{"key":"k"},"delay_ms":60000}}
        {"source":{"queue":"jobs","key":{"key":"k"}}}
        {"at":"20s","source":{"ask":"drain","queue":"jobs"}}
    "#;
    let (lines, summary) = simulated(&config, events, None);
    assert_eq!(
        with(&lines, "begins"),
        [
            "0:00:02.000  jobs.1  task 2 of jobs (normal), try 1: begins",
            "0:00:15.000  jobs.1  task 3 of jobs (normal), try 1: begins",
        ]
    );
    assert_eq!((summary.queues[0].refused, summary.queues[0].totals.put, summary.lasted_ms), (1, 4, 20000));
}

/// A worker that stays is started by the first task, and is told those that follow; when it dies, it is started again.
#[test]
fn a_worker_that_stays() {
    let config = JOBS.to_owned() + "protocol = \"lines\"\ninstances = 2\n";
    let events = r#"
        {"run":{"worker":"jobs","lasts":"300ms","ready":"100ms"}}
        {"at":"1s","source":{"queue":"jobs","count":3},"expect":{"start":"jobs","within":"0s"}}
        {"at":"5s","source":{"queue":"jobs"}}
        {"at":"5.1s","source":{"worker":"jobs.1"}}
        {"at":"10s","source":{"queue":"jobs","count":3}}
        {"at":"10.1s","source":{"ask":"stop"}}
        {"at":"20s","source":{"ask":"start"}}
    "#;
    let (lines, summary) = simulated(&config, events, None);
    let of = |task: &str| with(&lines, task).iter().map(|line| line[..23].to_owned()).collect::<Vec<_>>();
    assert_eq!(
        of("task 3 of"),
        ["0:00:01.400  jobs.1  tas", "0:00:01.700  jobs.1  tas"].map(|line| line[..23].to_owned())
    );
    assert!(with(&lines, "task 4 failed (its worker ended (exit 0)), try 1 of 5").len() == 1, "{lines:#?}");
    let told = with(&lines, "told that there is no more to do");
    assert!(told.len() == 2 && told[0].starts_with("0:00:10.100  jobs.1"), "{lines:#?}");
    assert_eq!(with(&lines, "jobs.2  exited 0 after").len(), 1, "it does what it has in hand first: {lines:#?}");
    let queue = &summary.queues[0];
    assert_eq!((queue.totals.done, queue.totals.failed, queue.waiting.total()), (7, 1, 0));
    assert_eq!(summary.workers[0].starts, 5);
    assert!(summary.is_as_expected());
}

pub(super) const CHAIN: &str = r#"
[worker.first]
shell = "x"
start_on = [{ fire = "go" }, { signal = "USR1" }]
[worker.second]
shell = "x"
start_on = [{ worker = "first", event = "exit" }]
[worker.third]
shell = "x"
start_on = [{ worker = "second", event = "failed" }, { line = "disk full" }, { path = "in/*.csv" }, { socket = "/run/x" }]
"#;

#[test]
fn workers_start_each_other() {
    let events = r#"
        {"run":{"worker":"second","lasts":"1s","ended":{"code":3}}}
        {"source":{"fire":"go"}}
        {"at":"1m","source":{"worker":"first","line":"no: disk full."}}
        {"at":"90s","source":{"worker":"third","line":"disk full"}}
        {"at":"2m","source":{"path":"in/a.csv"}}
        {"at":"2m","source":{"path":"in/a.txt"}}
        {"at":"3m","source":{"socket":"/run/x"}}
        {"at":"4m","source":{"signal":"SIGUSR1"}}
        {"at":"4m","source":{"fire":"nobody"}}
    "#;
    let (lines, summary) = simulated(CHAIN, events, None);
    assert_eq!(
        with(&lines, "starts: ").iter().map(|line| line[13..].to_owned()).collect::<Vec<_>>(),
        [
            "first  starts: fired: go",
            "second  starts: first: exit",
            "third  starts: second: failed",
            "third  starts: a line with \"disk full\"",
            "third  starts: a file /etc/quell/in/*.csv",
            "third  starts: somebody connects to /run/x",
            "first  starts: SIGUSR1",
            "second  starts: first: exit",
            "third  starts: second: failed",
        ]
    );
    assert_eq!(summary.workers[1].failures, 2);
}

/// What happens while a worker runs leads to one more run; who is stopped is not started by what it waits for.
#[test]
fn a_start_is_pending_once_and_a_stop_holds() {
    let events = r#"
        {"source":{"fire":"go"}}
        {"at":"0.2s","source":{"fire":"go"}}
        {"at":"0.4s","source":{"fire":"go"}}
        {"at":"10s","source":{"ask":"stop","worker":"first"}}
        {"at":"11s","source":{"fire":"go"}}
        {"at":"12s","source":{"ask":"start","worker":"first"}}
        {"at":"12.5s","source":{"ask":"restart","worker":"first"}}
    "#;
    let (lines, summary) = simulated(CHAIN, events, None);
    assert_eq!(
        summary.workers[0].by.iter().map(|(why, count)| (&**why, *count)).collect::<Vec<_>>(),
        [("fired: go", 2), ("somebody asked", 2),]
    );
    assert_eq!(with(&lines, "first  stopped (SIGTERM) after 500ms").len(), 1, "{lines:#?}");
}

/// A worker that is started again and again, by what it does nothing about, is caught.
#[test]
fn a_loop_is_caught() {
    let config = "[queue.jobs]\n[worker.other]\nshell = \"x\"\nstart_on = [{ queue = \"jobs\", depth = 1 }]\n";
    let events = r#"{"run":{"worker":"other","lasts":"1ms"}}
                    {"source":{"queue":"jobs"}}"#;
    let (lines, summary) = simulated(config, events, Some("3s"));
    let told = "started more than 200 times in 2 s by what it waits for (a task waits in jobs)";
    assert_eq!(with(&lines, told).len(), 1, "{lines:#?}");
    assert_eq!((summary.workers[0].starts, summary.workers[0].tripped), (400, 1));
}

#[test]
fn what_never_rests_is_cut() {
    let config = "[worker.web]\nshell = \"x\"\n";
    let events = r#"{"run":{"worker":"web","lasts":"1s","ended":{"code":1}}}
                    {"at":"1s","source":{"worker":"web"}}
                    {"at":"2s","source":{"ask":"start","worker":"web"}}"#;
    let (lines, summary) = simulated(config, events, None);
    assert!(summary.cut && summary.lasted_ms == 602_000, "{summary:?}");
    let waits = with(&lines, "starts again in 3").len() + with(&lines, "starts again in 2").len();
    assert!(waits > 10, "{lines:#?}");
}

#[test]
fn a_batch_waits_for_more() {
    let trigger = "{ queue = \"jobs\", batch = 10, every = \"5s\" }";
    let config = format!("[queue.jobs]\n[worker.other]\nshell = \"x\"\nstart_on = [{trigger}]\n");
    let events = r#"
        {"at":"1s","source":{"queue":"jobs","count":3}}
        {"at":"3s","source":{"ask":"pause","queue":"jobs"}}
        {"at":"20s","source":{"ask":"resume","queue":"jobs"},"expect":{"start":"other","within":"5s"}}
        {"at":"25.5s","source":{"ask":"drain","queue":"jobs"}}
    "#;
    let (lines, summary) = simulated(&config, events, None);
    assert_eq!(with(&lines, "starts: "), ["0:00:25.000  other  starts: a batch waits in jobs"]);
    assert!(summary.is_as_expected() && summary.expectations[0].after_ms == Some(5000));
}

/// The calendar, over a change of the local clock and a clock that is set.
#[test]
fn schedules_come_by_the_calendar() {
    let config = "[worker.nightly]\nshell = \"x\"\nstart_on = [{ schedule = \"30 2 * * * Europe/Berlin\" }]\n";
    let events = r#"{"kind":"recording","version":1,"start":"2026-03-28T00:00:00Z"}
                    {"at":"72h","source":{"clock_ms":-1800000}}"#;
    let (lines, _) = simulated(config, events, Some("4d"));
    // Winter time, then the time that the clock passes over, then summer time.
    let times: Vec<_> = with(&lines, "starts:").iter().map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(times, ["1:30:00.000", "25:00:00.000", "48:30:00.000", "73:00:00.000"]);
}

#[test]
fn services_start_in_order_crash_and_come_back() {
    let config = "[worker.db]\nshell = \"x\"\nready = { line = \"up\" }\n[worker.web]\nshell = \"x\"\nneeds = [\"db\"]\n\
        essential = true\nrestart = \"never\"\n";
    let events = r#"
        {"run":{"worker":"db","ready":"2s"}}
        {"at":"10s","source":{"ask":"restart","worker":"db"}}
        {"at":"20s","source":{"worker":"web"}}
    "#;
    let (lines, summary) = simulated(config, events, None);
    let web: Vec<_> = with(&lines, "  web  ");
    assert_eq!(web[0], "0:00:00.000  web  started", "what is not said is ready at once");
    assert_eq!(with(&lines, "db  ready"), ["0:00:00.000  db  ready", "0:00:12.000  db  ready"]);
    assert_eq!(summary.exit_code, Some(0), "{lines:#?}");
    assert_eq!(lines.last().unwrap(), "0:00:20.000  quell  down");
}

#[test]
fn what_was_expected_and_did_not_come() {
    let events = r#"
        {"source":{"fire":"go"},"expect":{"start":"second","within":"1s"}}
        {"at":"10s","source":{"fire":"go"},"expect":{"start":"third"}}
        {"at":"20s","expect":{"start":"first"}}
        {"at":"30s","source":{"fire":"go"},"expect":{"start":"second","within":"10ms"}}
    "#;
    let (_, summary) = simulated(CHAIN, events, None);
    let told: Vec<_> = summary.expectations.iter().filter(|one| !one.met).map(|one| one.describe()).collect();
    assert_eq!(
        told,
        [
            "third was not started: first, second was started instead",
            "second was not started within 10ms: it was started after 1s",
        ]
    );
}

/// What is not looked for any more has not come.
#[test]
fn what_was_expected_too_late() {
    let events = r#"{"at":"20s","source":{"fire":"go"},"expect":{"start":"first"}}"#;
    let (_, summary) = simulated(CHAIN, events, Some("10s"));
    let told = summary.expectations.iter().map(|one| one.describe()).collect::<Vec<_>>();
    assert_eq!(told, ["first was not started: it is expected later than this went on"]);
    let config = CHAIN.to_owned() + "[worker.once]\nshell = \"x\"\nkind = \"oneshot\"\nessential = true\n";
    let (_, summary) = simulated(&config, events, None);
    assert!(!summary.is_as_expected() && summary.exit_code.is_some(), "{summary:?}");
    assert!(summary.expectations[0].describe().ends_with("quell had ended by then"));
}

/// A task that begins at once was added, and waited: who waits for that is started all the same, once for those of one put.
#[test]
fn what_begins_at_once_was_added() {
    let other = "[worker.other]\nshell = \"x\"\nstart_on = [{ queue = \"jobs\", depth = 2 }]\n";
    let config = JOBS.to_owned() + "slots = { total = 2 }\n" + other;
    let (_, summary) = simulated(&config, r#"{"source":{"queue":"jobs","count":2}}"#, None);
    assert_eq!((summary.queues[0].totals.done, summary.workers[1].starts), (2, 1));
    let (_, summary) = simulated(&config, r#"{"source":{"queue":"jobs"}}"#, None);
    assert_eq!(summary.workers[1].starts, 0);
}

/// A worker that stays and is at rest is started when a queue with tasks goes on.
#[test]
fn a_queue_that_goes_on_starts_who_waits_for_it() {
    let config = JOBS.to_owned() + "protocol = \"lines\"\n";
    let events = r#"
        {"source":{"ask":"pause","queue":"jobs"}}
        {"at":"1s","source":{"queue":"jobs"}}
        {"at":"2s","source":{"ask":"resume","queue":"jobs"},"expect":{"start":"jobs","within":"0s"}}
    "#;
    let (_, summary) = simulated(&config, events, None);
    assert!(summary.is_as_expected() && summary.queues[0].totals.done == 1, "{summary:?}");
}

/// E4: of several tasks in hand the first has failed with its worker, those behind are tried again, at last not. Only the first
/// has its time.
#[test]
fn what_a_dead_worker_had_in_hand() {
    let config = JOBS.to_owned() + "protocol = \"lines\"\nretry = { tries = 1 }\n";
    let credit = |events: &str, config: &str| {
        let loaded = loaded(config);
        let (mut script, mistakes) = read(&loaded, events);
        assert_eq!(mistakes, "");
        script.credits.insert("jobs".into(), 2);
        gone_through(&loaded, script, None)
    };
    let events = r#"
        {"run":{"worker":"jobs","lasts":"10s"}}
        {"source":{"queue":"jobs","count":2}}
        {"at":"5s","source":{"worker":"jobs"}}
    "#;
    let (lines, summary) = credit(events, &config);
    let totals = summary.queues[0].totals;
    assert_eq!((totals.buried, totals.done), (2, 0), "{lines:#?}");
    assert_eq!(with(&lines, "task 2 is buried: its worker ended with another task").len(), 1, "{lines:#?}");
    let timed = config.replace("tries = 1", "tries = 5") + "timeout = \"15s\"\n";
    let events = r#"
        {"run":{"worker":"jobs","lasts":"10s"}}
        {"source":{"queue":"jobs"}}
        {"at":"1s","run":{"worker":"jobs","lasts":"20s"},"source":{"queue":"jobs"}}
    "#;
    let (lines, summary) = credit(events, &timed);
    assert_eq!((summary.queues[0].totals.failed, summary.queues[0].totals.done), (0, 2), "{lines:#?}");
}

/// Anything that may come from outside, at any time.
fn given() -> impl Strategy<Value = String> {
    let of_queue = (0..3_usize, 1..4_u32, prop::option::of(0..3000_u64), prop::option::of(0..3_u8)).prop_map(
        |(class, count, delay, key)| {
            let class = ["high", "normal", "low"][class];
            let delay = delay.map(|ms| format!(",\"delay_ms\":{ms}")).unwrap_or_default();
            let key = key.map(|key| format!(",\"key\":{{\"key\":\"{key}\"}}")).unwrap_or_default();
            format!(r#""source":{{"queue":"jobs","class":"{class}","count":{count}{delay}{key}}}"#)
        },
    );
    let workers = || prop::sample::select(vec!["jobs", "first", "second", "third", "web"]);
    let run = (workers(), 1..3000_u64, 0..4_u8).prop_map(|(worker, lasts, code)| {
        format!(r#""run":{{"worker":"{worker}","lasts":"{lasts}ms","ended":{{"code":{code}}}}}"#)
    });
    let verbs = prop::sample::select(vec!["start", "stop", "restart"]);
    let ask = (verbs, workers()).prop_map(|(ask, worker)| format!(r#""source":{{"ask":"{ask}","worker":"{worker}"}}"#));
    let of_queues = prop::sample::select(vec!["pause", "resume", "drain", "kick"]);
    let of_queues = of_queues.prop_map(|ask| format!(r#""source":{{"ask":"{ask}","queue":"jobs"}}"#));
    let of_tasks = (prop::sample::select(vec!["kick", "bury", "drop"]), 1..20_u64);
    let of_tasks = of_tasks.prop_map(|(ask, id)| format!(r#""source":{{"ask":"{ask}","id":{id}}}"#));
    let others = prop::sample::select(vec![
        r#""source":{"fire":"go"}"#,
        r#""source":{"signal":"USR1"}"#,
        r#""source":{"worker":"web","event":"exit"}"#,
        r#""source":{"worker":"second","event":"failed"}"#,
        r#""source":{"line":"disk full"}"#,
        r#""source":{"clock_ms":-3600000}"#,
        r#""source":{"clock_ms":86400000}"#,
    ]);
    prop_oneof![6 => of_queue, 2 => run, 2 => ask, 1 => of_queues, 1 => of_tasks, 3 => others.prop_map(str::to_owned)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// The same script gives the same; tasks are neither lost nor doubled; no more run than there are slots.
    #[test]
    fn whatever_comes(given in prop::collection::vec((0..30_000_u64, given()), 0..60)) {
        let config = JOBS.to_owned() + "slots = { total = 3, high = 1 }\ntimeout = \"2s\"\n" + CHAIN
            + "[worker.web]\nshell = \"x\"\n[worker.tick]\nshell = \"x\"\nstart_on = [{ schedule = \"* * * * *\" }]\n";
        let events: String = given.iter().map(|(at, what)| format!("{{\"at\":\"{at}ms\",{what}}}\n")).collect();
        let (lines, summary) = simulated(&config, &events, None);
        prop_assert_eq!((&lines, &summary), (&simulated(&config, &events, None).0, &summary));
        let mut running = 0_i32;
        for line in lines.iter().filter(|line| line.contains("  jobs.")) {
            running += i32::from(line.ends_with("begins"));
            let is_over = line.ends_with("done") || line.ends_with("given back") || line.contains("failed (")
                || line.contains("is buried");
            running -= i32::from(is_over);
            prop_assert!((0..=3).contains(&running), "{line}");
        }
        let queue = &summary.queues[0];
        prop_assert_eq!(queue.running, running as u64);
        let left = queue.waiting.total() + queue.delayed + queue.running + queue.given_up;
        prop_assert_eq!(queue.totals.done + queue.dropped + left, queue.totals.put);
    }
}

/// None of many events is lost, and each is told once.
#[test]
fn many_events() {
    let config = loaded(&(JOBS.to_owned() + "slots = { total = 8 }\n" + CHAIN));
    let mut script = Script::default();
    let (few, _) = read(&config, r#"{"run":{"worker":"jobs","lasts":"1ms"}}{"#.trim_end_matches('{'));
    script.steps.extend(few.steps);
    let source = |at| {
        What::Source(Box::new(crate::control::record::Source {
            queue: Some("jobs".into()),
            class: Some(crate::task::Class::ALL[at as usize % 3]),
            ..Default::default()
        }))
    };
    for at in 0..20_000_u64 {
        script.push(Duration::from_micros(at * 10), source(at), crate::config::source::Place::new(0, 0..0));
    }
    let mut events = 0_u64;
    let summary = super::run(&config.config, Path::new("/"), script, None, &mut |_, _| events += 1);
    assert_eq!((summary.queues[0].totals.done, events), (20_000, 60_001));
}
