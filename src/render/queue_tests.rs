use super::*;
use crate::control::queue::{ByClass, End, Limits, Outcome, Placement, Totals};
use crate::task::{Class, TaskId};

const NOW: Wall = Wall(1_795_223_723_000_042);

fn before(seconds: i64) -> Wall {
    Wall(NOW.0 - seconds * 1_000_000)
}

fn thumbs() -> QueueStatus {
    QueueStatus {
        queue: Queue {
            name: "thumbs".into(),
            waiting: ByClass { high: 1, normal: 20, low: 3 },
            delayed: 4,
            running: 2,
            buried: 1,
            damaged: 0,
            paused: false,
            why: None,
        },
        done: 7,
        bytes: 4096,
        oldest_ms: Some(1500),
        next_due: Some(before(-3)),
        limits: Limits { tasks: 1_000_000, bytes: 1 << 30 },
        totals: Totals { put: 38, done: 7, failed: 5, buried: 1 },
        workers: [("thumbs.1", 2), ("thumbs.2", 0)]
            .map(|(worker, busy)| Consumer { worker: worker.into(), slots: 4, busy })
            .into(),
        store: Store::Ready,
    }
}

/// One that has trouble.
fn mail() -> QueueStatus {
    QueueStatus {
        queue: Queue {
            name: "mail".into(),
            waiting: ByClass { high: 0, normal: 12_345, low: 0 },
            delayed: 0,
            running: 0,
            buried: 0,
            damaged: 2,
            paused: true,
            why: Some("no space\nleft \u{1b}[31m".into()),
        },
        done: 0,
        bytes: 0,
        oldest_ms: None,
        next_due: None,
        limits: Limits { tasks: 20_000, bytes: 1 << 20 },
        totals: Totals::default(),
        workers: Vec::new(),
        store: Store::Failing,
    }
}

fn task(id: u64, state: State) -> TaskRow {
    TaskRow {
        id: TaskId(id),
        queue: "thumbs".into(),
        class: Class::Normal,
        state,
        attempt: 0,
        put: before(63),
        due: None,
        ended: None,
        key: None,
        worker: None,
        why: None,
        payload_bytes: 8,
        payload: Some(b"in/a.png"[..].into()),
    }
}

/// A task of each sort that has something special to show.
fn page() -> TaskPage {
    let delayed =
        TaskRow { due: Some(before(-3)), attempt: 1, why: Some("exited 3".into()), ..task(17, State::Delayed) };
    let running =
        TaskRow { worker: Some("thumbs.1".into()), class: Class::High, attempt: 2, ..task(18, State::Running) };
    let long = "an error that nobody has cut short, with all that led to it";
    let buried = TaskRow {
        attempt: 5,
        ended: Some(before(4)),
        why: Some(long.into()),
        key: Some("in/\n".into()),
        payload_bytes: 3000,
        payload: Some(b"{\"a\":\t1,\n\x1b[31m\xff"[..].into()),
        ..task(19, State::Buried)
    };
    let done = TaskRow { attempt: 1, ended: Some(before(9)), payload: None, ..task(1020, State::Done) };
    TaskPage { tasks: vec![delayed, running, buried, done], more: true, missing: Vec::new() }
}

#[track_caller]
fn check(shown: &str, expected: &str) {
    assert_eq!(shown, expected.trim_start_matches('\n'), "\n{shown}");
}

#[test]
fn queues_as_a_table() {
    let shown = |width| table(&[thumbs(), mail()], NOW, width);
    check(
        &shown(None),
        r#"
QUEUE   WAITING  HIGH  DELAYED  RUNNING  BURIED  DAMAGED  OLDEST  NEXT  BUSY     SIZE  PUT  DONE  FAILED  WHY
thumbs       24     1        4        2       1        -    1.5s  3.0s   2/8  4.0 KiB   38     7       5  -
mail      12.3k     -        -        -       -        2       -     -     -        -    -     -       -  paused; no space\nleft \u{1b}[31m
"#,
    );
    check(
        &shown(Some(80)),
        r#"
QUEUE   WAITING  DELAYED  RUNNING  BURIED  DAMAGED  WHY
thumbs       24        4        2       1        -  -
mail      12.3k        -        -       -        2  paused; no space\nleft \u{1…
"#,
    );
    check(
        &shown(Some(24)),
        r#"
QUEUE   WAITING  WHY
thumbs       24  -
mail      12.3k  paused…
"#,
    );
    assert_eq!(table(&[], NOW, None), "no queues\n");
}

#[test]
fn queues_in_the_status() {
    check(
        &short_table(&[thumbs().queue, mail().queue], None),
        r#"
QUEUE   WAITING  HIGH  DELAYED  RUNNING  BURIED  DAMAGED  WHY
thumbs       24     1        4        2       1        -  -
mail      12.3k     -        -        -       -        2  paused; no space\nleft \u{1b}[31m
"#,
    );
}

#[test]
fn a_queue_in_full() {
    check(
        &long(&thumbs(), NOW),
        r#"
thumbs
  waiting     24 (1 high, 20 normal, 3 low)
  oldest      waits for 1.5s
  delayed     4
  next due    in 3.0s, 2026-11-21T01:15:26.000Z
  running     2
  done        7
  buried      1
  size        4.0 KiB of 1.0 GiB, at most 1000000 tasks
  so far      38 put, 7 done, 5 tries failed, 1 buried
  workers     thumbs.1 (2 of 4 slots busy), thumbs.2 (0 of 4 slots busy)
"#,
    );
    check(
        &long(&mail(), NOW),
        r#"
mail
  paused      yes
  why         no space\nleft \u{1b}[31m
  store       failing
  waiting     12345 (0 high, 12345 normal, 0 low)
  delayed     0
  running     0
  done        0
  buried      0
  damaged     2, set aside
  size        0 B of 1.0 MiB, at most 20000 tasks
  so far      0 put, 0 done, 0 tries failed, 0 buried
  workers     none
"#,
    );
}

#[test]
fn tasks_as_a_table() {
    check(
        &list(&page(), NOW, None),
        r#"
  ID  QUEUE   STATE    CLASS   TRIES    AGE   DUE  WORKER    KEY       SIZE  WHY                       PAYLOAD
  17  thumbs  delayed  normal      1  1m03s  3.0s  -         -          8 B  exited 3                  in/a.png
  18  thumbs  running  high        2  1m03s     -  thumbs.1  -          8 B  -                         in/a.png
  19  thumbs  buried   normal      5  1m03s     -  -         in/\n  2.9 KiB  an error that nobody ha…  {"a": 1,\n\u{1b}[31m�…
1020  thumbs  done     normal      1  1m03s     -  -         -          8 B  -                         -
there are more: --after 1020
"#,
    );
    check(
        &list(&page(), NOW, Some(80)),
        r#"
  ID  QUEUE   STATE    TRIES  WHY                       PAYLOAD
  17  thumbs  delayed      1  exited 3                  in/a.png
  18  thumbs  running      2  -                         in/a.png
  19  thumbs  buried       5  an error that nobody ha…  {"a": 1,\n\u{1b}[31m�…
1020  thumbs  done         1  -                         -
there are more: --after 1020
"#,
    );
    let none = TaskPage { tasks: Vec::new(), more: false, missing: Vec::new() };
    assert_eq!((list(&none, NOW, None), list(&none, NOW, Some(4))), ("no tasks\n".into(), "no …\n".into()));
    let missing = TaskPage { missing: vec!["redis://h:6379/0".into()], ..none };
    assert_eq!(list(&missing, NOW, None), "no tasks\nnot those on redis://h:6379/0: it cannot be reached\n");
}

#[test]
fn a_task_in_full() {
    let detail = |at: usize, result: Option<&str>| {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into();
        TaskDetail { row: page().tasks.remove(at), trace: Some(trace), result: result.map(Into::into) }
    };
    check(
        &show(&detail(0, None), NOW),
        r#"
task 17
  state       delayed
  queue       thumbs
  class       normal
  put         2026-11-21T01:14:20.000Z, 1m03s ago
  due         in 3.0s, 2026-11-21T01:15:26.000Z
  tries       1
  why         exited 3
  trace       00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
  size        8 B
  payload     in/a.png
"#,
    );
    check(
        &show(&TaskDetail { trace: None, ..detail(2, None) }, NOW),
        r#"
task 19
  state       buried
  queue       thumbs
  class       normal
  key         in/\n
  put         2026-11-21T01:14:20.000Z, 1m03s ago
  tries       5
  ended       2026-11-21T01:15:19.000Z, 4.0s ago
  why         an error that nobody has cut short, with all that led to it
  size        2.9 KiB
  payload     {"a": 1,\n\u{1b}[31m�…
"#,
    );
    check(
        &show(&detail(3, Some("3\npages")), NOW),
        r#"
task 1020
  state       done
  queue       thumbs
  class       normal
  put         2026-11-21T01:14:20.000Z, 1m03s ago
  tries       1
  ended       2026-11-21T01:15:14.000Z, 9.0s ago
  result      3\npages
  trace       00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
  size        8 B
"#,
    );
}

#[test]
fn what_was_put() {
    let placed = |end, text: Option<&str>| {
        let outcome = Some(Outcome { end, text: text.map(Into::into) });
        placed(&Placed { id: TaskId(17), what: Placement::New, outcome })
    };
    assert_eq!(placed(End::Done, None), "17 done\n");
    assert_eq!(placed(End::Buried, Some("exited\n\u{1b}[31m")), "17 buried exited\\n\\u{1b}[31m\n");
    assert_eq!(super::placed(&Placed { id: TaskId(17), what: Placement::There, outcome: None }), "17\n");
}
