//! Holds that any bytes on the control socket are requests, replies, or refused: the messages do not depend on where the
//! reads fell, no more is held than has arrived, what was understood is written such that it is understood as the same,
//! and what people are shown of it is lines without a control character, as wide as the terminal.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use quell::clock::Wall;
use quell::control::frame::{Decoder, HEAD_BYTES, REQUEST_BYTES_MAX, TooLarge, encode};
use quell::control::reply::Reply;
use quell::control::request::Request;
use quell::render::{event, queue, status, worker};

/// Small, so that what is too large is found.
const BYTES_MAX: usize = 4096;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    now: i64,
    width: Option<u8>,
    /// Used again from the first when all have been, until the stream is read.
    reads: Vec<u8>,
    /// Comes last, for the last field takes all that is left of the input.
    stream: &'a [u8],
}

fuzz_target!(|input: Input| {
    let (messages, end) = naive(input.stream);
    assert_eq!(cut(&input.reads, input.stream), (messages.clone(), end), "{:?}", input.reads);
    // Most inputs are no frames; as JSON they come further.
    for json in messages.iter().map(Vec::as_slice).chain([input.stream]) {
        request(json);
        reply(json, Wall(input.now), input.width.map(usize::from));
    }
});

/// The messages, and what was wrong behind them.
type Cut = (Vec<Vec<u8>>, Option<TooLarge>);

fn cut(reads: &[u8], stream: &[u8]) -> Cut {
    let (mut decoder, mut found, mut unread) = (Decoder::new(BYTES_MAX), Vec::new(), stream);
    let mut reads = reads.iter().cycle();
    let mut arrived = 0;
    loop {
        loop {
            match decoder.message() {
                Ok(Some(message)) => found.push(message.to_vec()),
                Ok(None) => break,
                Err(e) => return (found, Some(e)),
            }
        }
        let taken: usize = found.iter().map(|message| message.len() + HEAD_BYTES).sum();
        assert_eq!(decoder.held(), arrived - taken);
        assert!(!decoder.is_full(), "what is whole is given out");
        if unread.is_empty() {
            return (found, None);
        }
        let bytes = reads.next().map_or(unread.len(), |bytes| usize::from(*bytes) + 1);
        let (now, later) = unread.split_at(unread.len().min(bytes));
        decoder.push(now);
        arrived += now.len();
        unread = later;
    }
}

fn naive(mut stream: &[u8]) -> Cut {
    let mut found = Vec::new();
    while let Some((head, rest)) = stream.split_first_chunk::<HEAD_BYTES>() {
        let bytes = u32::from_le_bytes(*head) as usize;
        if bytes > BYTES_MAX {
            return (found, Some(TooLarge { bytes, bytes_max: BYTES_MAX }));
        }
        let Some((message, later)) = rest.split_at_checked(bytes) else { break };
        found.push(message.to_vec());
        stream = later;
    }
    (found, None)
}

fn request(json: &[u8]) {
    if let Ok(request) = Request::parse(json) {
        let mut stream = Vec::new();
        encode(&request, REQUEST_BYTES_MAX, &mut stream).expect("what is small stays small");
        assert_eq!(Request::parse(&stream[HEAD_BYTES..]), Ok(request));
    }
}

fn reply(json: &[u8], now: Wall, width: Option<usize>) {
    let Ok(reply) = serde_json::from_slice::<Reply>(json) else { return };
    let again = serde_json::to_vec(&reply).expect("it is plain data");
    assert_eq!(serde_json::from_slice::<Reply>(&again).expect("it was understood"), reply);
    match &reply {
        Reply::Status(found) => {
            table(&status::table(found, now, width), width);
            found.workers.iter().for_each(|found| shown(&worker::long(found, now)));
        }
        Reply::Event(found) => {
            let line = event::line(found);
            assert_eq!(line.matches('\n').count(), 1);
            shown(&line);
        }
        Reply::Put { tasks } => {
            let lines: String = tasks.iter().map(queue::placed).collect();
            assert_eq!(lines.matches('\n').count(), tasks.len());
            shown(&lines);
        }
        Reply::Tasks(found) => table(&queue::list(found, now, width), width),
        Reply::Task(found) => shown(&queue::show(found, now)),
        Reply::Queues(found) => {
            table(&queue::table(found, now, width), width);
            found.iter().for_each(|found| shown(&queue::long(found, now)));
        }
        Reply::Done { .. } | Reply::Plan { .. } | Reply::Failed { .. } => {}
    }
}

fn table(text: &str, width: Option<usize>) {
    let too_wide = |line: &str| width.is_some_and(|width| line.chars().count() > width.max(1));
    assert!(!text.lines().any(too_wide), "{width:?}:\n{text}");
    shown(text);
}

fn shown(text: &str) {
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}
