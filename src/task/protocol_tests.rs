//! Every form, every malformation, and the same fields after a way there and back.

use super::*;
use crate::clock::Wall;
use crate::task::Class;
use proptest::prelude::*;

fn task(id: u64, attempt: u32, trace: Option<&str>, payload: &[u8]) -> Task {
    Task {
        id: TaskId(id),
        class: Class::Normal,
        attempt,
        put: Wall(0),
        trace: trace.map(Into::into),
        payload: payload.into(),
    }
}

fn written(task: &Task) -> Result<Vec<u8>, Unfit> {
    let mut out = b"before\n".to_vec();
    let done = write_task(task, &mut out);
    let line = out.split_off(7);
    assert_eq!(out, b"before\n");
    assert!(done.is_ok() || line.is_empty(), "what is refused leaves nothing behind");
    done.map(|()| line)
}

#[test]
fn a_task_is_one_line() {
    let check = |trace, payload: &[u8], line: &[u8]| assert_eq!(written(&task(7, 2, trace, payload)).unwrap(), line);
    check(None, b"{\"to\": \"x\"}", b"7 2 - {\"to\": \"x\"}\n");
    check(Some("00-0af7-b7ad-01"), b"a  b ", b"7 2 00-0af7-b7ad-01 a  b \n");
    check(None, b"", b"7 2 - \n");
    check(None, b"\xff\x1b\t", b"7 2 - \xff\x1b\t\n");
    for no_word in ["", "a b", "a\nb", "ä", "\u{7f}"] {
        check(Some(no_word), b"x", b"7 2 - x\n");
    }
}

#[test]
fn a_payload_of_several_lines_is_refused() {
    for (payload, byte, at) in [(&b"a\nb"[..], b'\n', 1), (b"a\r", b'\r', 1), (b"\0", 0, 0), (b"ab\n", b'\n', 2)] {
        assert_eq!(fits(payload), Err(Unfit { byte, at }));
        assert_eq!(written(&task(1, 1, None, payload)), Err(Unfit { byte, at }));
    }
    let said = Unfit { byte: b'\n', at: 3 }.to_string();
    assert!(said.starts_with("byte 3 of the payload is \\n; "), "{said}");
}

#[test]
fn every_form() {
    let id = TaskId(42);
    let check = |line: &str, said| assert_eq!(parse(line.as_bytes()), Ok(said), "{line:?}");
    check("ok 42", Said::Ok { id, result: None });
    check("ok 42 ", Said::Ok { id, result: None });
    check("ok 42 {\"bytes\": 3}", Said::Ok { id, result: Some("{\"bytes\": 3}".into()) });
    check("ok 42  two blanks", Said::Ok { id, result: Some(" two blanks".into()) });
    check("fail 42", Said::Fail { id, why: None });
    check("fail 42 exit 3", Said::Fail { id, why: Some("exit 3".into()) });
    check("bury 42 no such user", Said::Bury { id, why: "no such user".into() });
    check("beat 42", Said::Beat { id });
    check("beat 42 ", Said::Beat { id });
    check("ready 1", Said::Ready { credit: 1 });
    check("ready 1024", Said::Ready { credit: 1024 });
    check("put mail.out a b ", Said::Put { queue: "mail.out", payload: b"a b " });
    for (text, millis) in [("90", 90_000), ("0", 0), ("0.5", 500), ("90s", 90_000), ("1.5m", 90_000), ("250 ms", 250)] {
        check(&format!("retry 42 {text}"), Said::Retry { id, delay: Duration::from_millis(millis) });
    }
    check(&format!("ok {}", u64::MAX), Said::Ok { id: TaskId(u64::MAX), result: None });
    assert_eq!(parse(b"put q \xff\r"), Ok(Said::Put { queue: "q", payload: b"\xff\r" }), "byte by byte");
    assert_eq!(parse(b"fail 42 \xff!"), Ok(Said::Fail { id, why: Some("\u{fffd}!".into()) }));
}

#[test]
fn every_malformation() {
    let check = |line: &[u8], why: &str| assert_eq!(parse(line).unwrap_err().to_string(), why);
    let ours = "is nothing that a worker says; that is ok, fail, retry, bury, beat, ready or put";
    check(b"", &format!("\"\" {ours}"));
    check(b" ok 1", &format!("\"\" {ours}"));
    check(b"OK 1", &format!("\"OK\" {ours}"));
    check(b"ok\t1", &format!("\"ok\\t1\" {ours}"));
    check(b"\xff\x1b[2J", &format!("\"\\xff\\x1b[2J\" {ours}"));
    for verb in ["ok", "fail", "retry", "bury", "beat"] {
        let missing = format!("`{verb}` without a task's number");
        check(verb.as_bytes(), &missing);
        check(format!("{verb} ").as_bytes(), &missing);
        for id in ["x", "0", "-1", "+1", "1.0", "18446744073709551616", "٣"] {
            let shown = format!("\"{}\" is no task's number", id.as_bytes().escape_ascii());
            check(format!("{verb} {id} 1").as_bytes(), &shown);
        }
        check(format!("{verb}  1").as_bytes(), "\"\" is no task's number");
    }
    check(b"retry 1", "`retry` without a delay");
    check(b"retry 1 ", "`retry` without a delay");
    for delay in ["soon", "-1", "1 2", "1x", "10s please", ".", "1.2.3", "99999999999w"] {
        let why = format!("\"{delay}\" is no delay; say seconds, or a number and a unit, as in 1m");
        check(format!("retry 1 {delay}").as_bytes(), &why);
    }
    check(b"bury 1", "`bury` without a reason");
    check(b"bury 1 ", "`bury` without a reason");
    check(b"beat 1 2", "`beat` is followed by \"2\", which means nothing there");
    check(b"ready", "`ready` without a number");
    for credit in ["0", "1025", "-1", "x", "1 ", "99999999999999999999"] {
        check(format!("ready {credit}").as_bytes(), &format!("\"{credit}\" is no number of tasks from 1 to 1024"));
    }
    check(b"put", "`put` without a queue");
    check(b"put q", "`put` without a payload");
    check(b"put q ", "`put` without a payload");
    check(b"put  x", "\"\" is no queue's name");
    check(b"put ../q x", "\"../q\" is no queue's name");
    check(b"put \xff x", "\"\\xff\" is no queue's name");
}

/// What is held, what is kept and what is shown are bounded, whatever a worker says.
#[test]
fn lengths_are_capped() {
    let line = |head: &str, bytes: usize| [head.as_bytes(), &vec![b'x'; bytes - head.len()]].concat();
    assert!(matches!(parse(&line("put q ", LINE_BYTES_MAX)), Ok(Said::Put { .. })));
    assert_eq!(parse(&line("put q ", LINE_BYTES_MAX + 1)), Err(Unknown::TooLong(LINE_BYTES_MAX + 1)));
    assert!(parse(&line("x", LINE_BYTES_MAX)).unwrap_err().to_string().len() < 200);
    let longest = line("ok 1 ", 5 + RESULT_BYTES_MAX);
    let Ok(Said::Ok { result: Some(whole), .. }) = parse(&longest) else { panic!("it is a result") };
    assert!(whole.len() == RESULT_BYTES_MAX && !whole.ends_with('…'));
    for (byte, kept) in [(&b"x"[..], WHY_BYTES_MAX), ("ä".as_bytes(), WHY_BYTES_MAX - 1), (b"\xff", WHY_BYTES_MAX - 1)]
    {
        let line = [b"fail 1 ", &byte.repeat(WHY_BYTES_MAX + 1)[..]].concat();
        let Ok(Said::Fail { why: Some(why), .. }) = parse(&line) else { panic!("it is a reason") };
        assert!(why.ends_with('…') && (kept - 1..=kept).contains(&why.len()), "{}", why.len());
        assert!(byte == b"\xff" || !why.contains('\u{fffd}'), "no character is cut in two");
    }
}

proptest! {
    #[test]
    fn a_task_has_the_same_fields_at_the_worker(
        id in 1u64.., attempt in any::<u32>(), trace in prop::option::of("[!-~]{1,60}"), payload in any::<Vec<u8>>(),
    ) {
        let line = written(&task(id, attempt, trace.as_deref(), &payload));
        prop_assert_eq!(line.is_ok(), fits(&payload).is_ok());
        let Ok(line) = line else { return Ok(()) };
        // As a worker reads it: up to the newline, in four fields.
        let end = line.iter().position(|byte| *byte == b'\n').unwrap();
        prop_assert_eq!(end, line.len() - 1);
        let fields: Vec<_> = line[..end].splitn(4, |byte| *byte == b' ').collect();
        let trace = trace.unwrap_or("-".into());
        let (id, attempt) = (id.to_string(), attempt.to_string());
        prop_assert_eq!(fields, [id.as_bytes(), attempt.as_bytes(), trace.as_bytes(), &payload]);
    }

    #[test]
    fn what_is_said_of_a_task_is_read_as_the_same(
        id in 1u64.., why in "[^\n]{1,80}", seconds in 0u64..1_000_000_000, credit in 1..=CREDIT_MAX,
        queue in "[a-z0-9_-][a-z0-9._-]{0,63}", payload in "[^\n]{1,80}",
    ) {
        let said = |line: String, said: Said<'_>| {
            prop_assert_eq!(parse(line.as_bytes()), Ok(said));
            Ok(())
        };
        let (number, text) = (id, Cow::from(&why));
        let id = TaskId(id);
        said(format!("ok {number} {why}"), Said::Ok { id, result: Some(text.clone()) })?;
        said(format!("fail {number} {why}"), Said::Fail { id, why: Some(text.clone()) })?;
        said(format!("bury {number} {why}"), Said::Bury { id, why: text })?;
        said(format!("retry {number} {seconds}"), Said::Retry { id, delay: Duration::from_secs(seconds) })?;
        said(format!("beat {number}"), Said::Beat { id })?;
        said(format!("ready {credit}"), Said::Ready { credit })?;
        said(format!("put {queue} {payload}"), Said::Put { queue: &queue, payload: payload.as_bytes() })?;
    }

    #[test]
    fn whatever_is_said_is_understood_or_refused(line in any::<Vec<u8>>(), verb in 0usize..8) {
        let verb = ["ok ", "fail 1 ", "retry 1 ", "bury ", "beat ", "ready ", "put q", ""][verb];
        if let Err(why) = parse(&[verb.as_bytes(), &line].concat()) {
            prop_assert!(why.to_string().len() < 300, "{why}");
        }
    }
}
