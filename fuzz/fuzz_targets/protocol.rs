//! Holds that any line of a worker is understood or refused: what is kept of it is bounded, what is said of it is short and
//! has no control character, and what was understood is understood as the same when it is said again. And that a task is
//! one line of four fields, or refused.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use quell::clock::Wall;
use quell::config::unit::write_duration;
use quell::task::protocol::{CREDIT_MAX, RESULT_BYTES_MAX, Said, WHY_BYTES_MAX, fits, parse, write_task};
use quell::task::{Class, Task, TaskId};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    id: u64,
    attempt: u32,
    trace: Option<Box<str>>,
    /// Comes last, for the last field takes all that is left of the input. It is a line and a payload.
    bytes: &'a [u8],
}

fuzz_target!(|input: Input| {
    heard(input.bytes);
    told(&Task {
        id: TaskId(input.id),
        class: Class::Normal,
        attempt: input.attempt,
        put: Wall(0),
        trace: input.trace,
        payload: input.bytes.into(),
    });
});

fn heard(line: &[u8]) {
    let said = match parse(line) {
        Ok(said) => said,
        Err(why) => {
            let why = why.to_string();
            assert!(why.len() < 300 && !why.contains(char::is_control), "{why:?}");
            return;
        }
    };
    match &said {
        Said::Ok { result, .. } => assert!(result.as_ref().is_none_or(|text| text.len() <= RESULT_BYTES_MAX)),
        Said::Fail { why, .. } => assert!(why.as_ref().is_none_or(|text| text.len() <= WHY_BYTES_MAX)),
        Said::Bury { why, .. } => assert!(!why.is_empty() && why.len() <= WHY_BYTES_MAX),
        Said::Ready { credit } => assert!((1..=CREDIT_MAX).contains(credit)),
        Said::Put { payload, .. } => assert!(line.ends_with(payload)),
        Said::Retry { .. } | Said::Beat { .. } => {}
    }
    assert_eq!(parse(&again(&said)), Ok(said));
}

/// The line that a worker would say it with.
fn again(said: &Said) -> Vec<u8> {
    let line = match said {
        Said::Ok { id, result } => format!("ok {id} {}", result.as_deref().unwrap_or_default()),
        Said::Fail { id, why } => format!("fail {id} {}", why.as_deref().unwrap_or_default()),
        Said::Retry { id, delay } => format!("retry {id} {}", write_duration(*delay)),
        Said::Bury { id, why } => format!("bury {id} {why}"),
        Said::Beat { id } => format!("beat {id}"),
        Said::Ready { credit } => format!("ready {credit}"),
        Said::Put { queue, payload } => return [b"put ", queue.as_bytes(), b" ", payload].concat(),
    };
    line.into_bytes()
}

fn told(task: &Task) {
    let mut line = Vec::new();
    let written = write_task(task, &mut line);
    assert_eq!(written.is_err(), fits(&task.payload).is_err());
    if written.is_err() {
        return assert!(line.is_empty());
    }
    assert_eq!(line.iter().position(|byte| matches!(byte, b'\n' | b'\r' | 0)), Some(line.len() - 1));
    assert_eq!(line.pop(), Some(b'\n'));
    let fields: Vec<_> = line.splitn(4, |byte| *byte == b' ').collect();
    assert_eq!(fields[0], task.id.to_string().as_bytes());
    assert_eq!(fields[1], task.attempt.to_string().as_bytes());
    let trace = task.trace.as_deref().map(str::as_bytes);
    assert!(fields[2] == b"-" || Some(fields[2]) == trace);
    assert_eq!(fields[3], &*task.payload);
}
