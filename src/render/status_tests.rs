use super::*;
use crate::control::queue::{ByClass, Queue};
use crate::control::status::{Count, Ended, Exit, Lines, Log, Phase, Process, Rule, Rung, Stop, Wanted};
use crate::render::worker::long;

const NOW: Wall = Wall(1_795_223_723_000_042);

fn before(seconds: i64) -> Wall {
    Wall(NOW.0 - seconds * 1_000_000)
}

fn count(lines: u64) -> Count {
    Count { lines, bytes: lines * 100 }
}

fn worker(name: &str, state: State) -> Worker {
    Worker {
        name: name.into(),
        state,
        wanted: Wanted::Up,
        held: false,
        since: before(3723),
        ready: state == State::Up,
        pid: None,
        restarts: 0,
        why: None,
        next_start_ms: None,
        started_for: None,
        held_back_ms: None,
        last_exit: None,
        memory_bytes: None,
        cpu_ms: None,
        lines: Lines::default(),
        log: None,
        output_age_ms: None,
        stop: None,
    }
}

/// A worker of each sort that has something special to show.
fn status() -> Status {
    let db = Worker {
        pid: Some(812),
        memory_bytes: Some(9 << 20),
        cpu_ms: Some(61_500),
        lines: Lines {
            read: count(14_250),
            kept: count(950),
            suppressed: count(13_300),
            dropped: count(0),
            top_rule: Some(Rule {
                list: "/etc/quell/redis.list".into(),
                line: 3,
                pattern: "DB 0:".into(),
                lines: 13_000,
            }),
        },
        log: Some(Log { dir: "/var/log/quell/db".into(), bytes: 95_000 }),
        output_age_ms: Some(3),
        ..worker("db", State::Up)
    };
    let exit = Exit {
        how: Ended::Signal("SIGSEGV".into()),
        core: true,
        asked: false,
        at: before(4),
        lasted_ms: 1250,
        last_line: Some("loading \u{1b}[31mmodel".into()),
    };
    let web = Worker {
        since: before(4),
        restarts: 17,
        next_start_ms: Some(3200),
        last_exit: Some(exit),
        output_age_ms: Some(12_000),
        ..worker("web.2", State::Backoff)
    };
    let waits = Worker { why: Some("waits for db".into()), ..worker("thumbs", State::Waiting) };
    let blockers = ["sh", "sleep", "cat"].map(|name| Process { pid: 13, name: name.into() });
    let stops = Worker {
        wanted: Wanted::Down,
        pid: Some(900),
        stop: Some(Stop { rung: Rung::Signal, blockers: blockers.into() }),
        ..worker("proxy", State::Stopping)
    };
    let quell = Quell {
        pid: 800,
        version: "0.1.0".into(),
        since: before(3730),
        phase: Phase::Running,
        config: "/etc/quell/quell.toml".into(),
        state: "/var/lib/quell".into(),
    };
    Status { quell, workers: vec![db, web, waits, stops], queues: Vec::new() }
}

#[track_caller]
fn check(width: Option<usize>, expected: &str) {
    let shown = table(&status(), NOW, width);
    assert_eq!(shown.trim_end(), expected.trim(), "\n{shown}");
    assert!(width.is_none_or(|width| shown.lines().all(|line| line.chars().count() <= width)));
}

#[test]
fn nobody_s_terminal() {
    check(
        None,
        r#"
quell 0.1.0 (pid 800) running, up for 1h02m, /etc/quell/quell.toml
NAME    STATE     SINCE  PID  READY  RESTARTS      MEM    CPU  LINES  KEPT  SUPPRESSED             LOG  LAST EXIT               WHY
db      up        1h02m  812  yes           -  9.0 MiB  1m01s  14.2k   950  93% redis.list:3  92.7 KiB  -                       -
web.2   backoff    4.0s    -  -            17        -      -      -     -  -                        -  SIGSEGV core, 4.0s ago  starts in 3.2s
thumbs  waiting   1h02m    -  -             -        -      -      -     -  -                        -  -                       waits for db
proxy   stopping  1h02m  900  -             -        -      -      -     -  -                        -  -                       held up by sh (pid 13), sleep (pid 13) and 1 more
lines and log of web.2: as of 12.0s ago; a disk that hangs holds them up
"#,
    );
}

#[test]
fn narrow_ones() {
    check(
        Some(120),
        r#"
quell 0.1.0 (pid 800) running, up for 1h02m, /etc/quell/quell.toml
NAME    STATE     SINCE  PID  RESTARTS      MEM  SUPPRESSED        LAST EXIT               WHY
db      up        1h02m  812         -  9.0 MiB  93% redis.list:3  -                       -
web.2   backoff    4.0s    -        17        -  -                 SIGSEGV core, 4.0s ago  starts in 3.2s
thumbs  waiting   1h02m    -         -        -  -                 -                       waits for db
proxy   stopping  1h02m  900         -        -  -                 -                       held up by sh (pid 13), slee…
lines and log of web.2: as of 12.0s ago; a disk that hangs holds them up
"#,
    );
    check(
        Some(80),
        r#"
quell 0.1.0 (pid 800) running, up for 1h02m, /etc/quell/quell.toml
NAME    STATE     SINCE  PID  LAST EXIT               WHY
db      up        1h02m  812  -                       -
web.2   backoff    4.0s    -  SIGSEGV core, 4.0s ago  starts in 3.2s
thumbs  waiting   1h02m    -  -                       waits for db
proxy   stopping  1h02m  900  -                       held up by sh (pid 13), s…
lines and log of web.2: as of 12.0s ago; a disk that hangs holds them up
"#,
    );
    check(
        Some(40),
        r#"
quell 0.1.0 (pid 800) running, up for 1…
NAME    STATE     WHY
db      up        -
web.2   backoff   starts in 3.2s
thumbs  waiting   waits for db
proxy   stopping  held up by sh (pid 13…
lines and log of web.2: as of 12.0s ago…
"#,
    );
}

#[test]
fn in_full() {
    let status = status();
    let shown: String = status.workers.iter().map(|worker| long(worker, NOW)).collect();
    let expected = r#"
db
  state       up for 1h02m, since 2026-11-21T00:13:20.000Z
  ready       yes
  pid         812
  restarts    0
  memory      9.0 MiB
  cpu         1m01s
  lines       14250 in (1.3 MiB), 950 kept (92.7 KiB), 13300 suppressed (1.2 MiB)
  top rule    /etc/quell/redis.list:3 "DB 0:", 13000 lines (91%)
  log         /var/log/quell/db, 92.7 KiB
web.2
  state       backoff for 4.0s, since 2026-11-21T01:15:19.000Z
  next start  in 3.2s
  restarts    17
  last exit   killed by SIGSEGV (core dumped) after 1.2s, 2026-11-21T01:15:19.000Z
  last line   loading \u{1b}[31mmodel
  lines       0 in (0 B), 0 kept (0 B)
  as of       12.0s ago, lines and log
thumbs
  state       waiting for 1h02m, since 2026-11-21T00:13:20.000Z
  why         waits for db
  restarts    0
  lines       0 in (0 B), 0 kept (0 B)
proxy
  state       stopping for 1h02m, since 2026-11-21T00:13:20.000Z
  wanted      down
  stop        it has its stop signal, and its grace
  held up by  sh (pid 13), sleep (pid 13), cat (pid 13)
  ready       no
  pid         900
  restarts    0
  lines       0 in (0 B), 0 kept (0 B)
"#;
    assert_eq!(shown.trim(), expected.trim(), "\n{shown}");
}

#[test]
fn nothing_to_show() {
    let shown = table(&Status { workers: Vec::new(), ..status() }, NOW, None);
    assert_eq!(shown, "quell 0.1.0 (pid 800) running, up for 1h02m, /etc/quell/quell.toml\nno workers\n");
}

#[test]
fn queues_stand_below() {
    let waiting = ByClass { high: 2, normal: 0, low: 1 };
    let queue = Queue {
        name: "thumbs".into(),
        waiting,
        delayed: 0,
        running: 4,
        buried: 0,
        damaged: 0,
        paused: false,
        why: None,
    };
    let shown = table(&Status { workers: Vec::new(), queues: vec![queue], ..status() }, NOW, Some(30));
    let expected = "\
quell 0.1.0 (pid 800) running…
no workers

QUEUE   WAITING  HIGH  RUNNING
thumbs        3     2        4
";
    assert_eq!(shown, expected);
}

#[test]
fn counts_in_short() {
    for (count, expected) in [
        (0, "0"),
        (9_999, "9999"),
        (10_000, "10.0k"),
        (999_999, "999.9k"),
        (1_000_000, "1.0M"),
        (12_345_678_901, "12.3G"),
    ] {
        assert_eq!(short(count), expected);
    }
}

#[test]
fn ends_that_were_asked_for() {
    let check = |core: bool, asked: bool, expected: [&str; 2]| {
        let how = Ended::Signal("SIGQUIT".into());
        let exit = Exit { how, core, asked, at: before(4), lasted_ms: 1250, last_line: None };
        let worker = Worker { last_exit: Some(exit), ..worker("web", State::Down) };
        let (long, table) = (long(&worker, NOW), table(&Status { workers: vec![worker], ..status() }, NOW, None));
        assert!(long.contains(&format!("last exit   {} after 1.2s", expected[0])), "{long}");
        assert!(table.contains(&format!("  {}, 4.0s ago", expected[1])), "{table}");
    };
    check(false, false, ["killed by SIGQUIT", "SIGQUIT"]);
    check(true, false, ["killed by SIGQUIT (core dumped)", "SIGQUIT core"]);
    check(false, true, ["stopped (SIGQUIT)", "stopped"]);
    check(true, true, ["stopped (SIGQUIT, core dumped)", "stopped core"]);
}
