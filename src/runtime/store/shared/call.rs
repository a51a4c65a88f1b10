//! Orders as calls of the script, and what it gives back as replies.

use super::super::checksum::Summed;
use super::super::database::Returned;
use super::super::order::{
    Ending, Entry, Full, How, Key, NewTask, OnKey, Order, Over, Placed, Put, Reply, Shown, Source, Which,
};
use super::super::tally::Tally;
use crate::clock::Wall;
use crate::task::{Class, State, Task, TaskId};
use ::redis::Value;
use std::sync::Arc;
use std::time::Duration;

/// A call of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) verb: &'static str,
    pub(super) arguments: Vec<Vec<u8>>,
}

/// How a queue stands, as the script says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) queue: Arc<str>,
    pub(super) paused: bool,
    pub(super) tally: Tally,
    /// How long it is until the next of its delayed tasks is due.
    pub(super) next_due: Option<Duration>,
}

/// A task that the script has handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) queue: Arc<str>,
    pub(super) id: TaskId,
    /// None where it is not what was put.
    pub(super) task: Option<Task>,
}

impl Call {
    pub(super) fn new(verb: &'static str) -> Call {
        Call { verb, arguments: Vec::new() }
    }

    /// With one argument more: a text or a number.
    pub(super) fn arg(self, argument: impl ToString) -> Call {
        self.bytes(argument.to_string().as_bytes())
    }

    fn bytes(mut self, argument: &[u8]) -> Call {
        self.arguments.push(argument.into());
        self
    }

    pub(super) fn ids<'a>(self, ids: impl IntoIterator<Item = &'a TaskId>) -> Call {
        ids.into_iter().fold(self, |call, id| call.arg(id))
    }

    /// Takes the next task for a host.
    pub(super) fn take(host: &str, from: &[Source]) -> Call {
        from.iter().fold(Call::new("take").arg(host), |call, source| {
            call.arg(&source.queue).arg(source.class.word()).arg(source.max_wait.as_micros())
        })
    }

    /// What a host says of the end of a try.
    fn finish(host: &str, id: TaskId, ending: &Ending, now: Wall) -> Call {
        let none = || "".into();
        let (state, delay, said) = match ending {
            Ending::Done { result } => ("done", none(), result),
            Ending::Buried { why } => ("buried", none(), why),
            Ending::Again { due, why } if *due <= now => ("waiting", none(), why),
            Ending::Again { due, why } => ("delayed", due.until(now).as_micros().to_string(), why),
            Ending::Return => ("waiting", none(), &None),
            Ending::Unbegun => ("unbegun", none(), &None),
        };
        Call::new("finish").arg(host).arg(id).arg(state).arg(delay).arg(said.as_deref().unwrap_or_default())
    }

    /// Puts tasks. The server says when that was; so it is not summed, and neither is the number, which is not known yet.
    pub(super) fn put(put: &Put, host: &str) -> Call {
        let watcher = if put.awaited { host } else { "" };
        let call = Call::new("put").arg(watcher).arg(&put.queue).arg(put.limits.tasks).arg(put.limits.bytes);
        put.tasks.iter().fold(call, |call, task| {
            let NewTask { class, key, delay, trace, payload } = task;
            let (key, on) = key.as_ref().map_or(("", ""), |Key { name, on }| (name, on_key(*on)));
            let trace = trace.as_deref().unwrap_or_default();
            let call = call.arg(class.word()).arg(key).arg(on).arg(delay.as_micros()).arg(trace);
            call.arg(sum(*class, trace, payload)).bytes(payload)
        })
    }

    /// A task that a host has taken and does not begin is for others.
    pub(super) fn give_back(host: &str, id: TaskId) -> Call {
        Call::finish(host, id, &Ending::Return, Wall(0))
    }

    /// What an order is here and now; none where it means nothing to a store like this.
    pub(super) fn of(order: &Order, host: &str, now: Wall) -> Option<Call> {
        let state_word = |state: &Option<State>| state.map_or("", State::word);
        Some(match order {
            Order::Put(put) => Call::put(put, host),
            Order::Lease { ids, .. } => Call::new("lease").arg(host).ids(ids),
            Order::End { id, ending, now } => Call::finish(host, *id, ending, *now),
            Order::Fetch { .. } | Order::Take { .. } | Order::Arrived(_) => return None,
            Order::Due { .. } => Call::new("due"),
            Order::List { queue, state, after, max } => {
                let queue = queue.as_deref().unwrap_or_default();
                Call::new("list").arg(queue).arg(state_word(state)).arg(after).arg(max)
            }
            Order::Show { id } => Call::new("show").arg(id),
            Order::Kick(Which::Task(id)) => Call::new("kick").arg(id),
            Order::Kick(Which::Queue(queue)) => Call::new("kick_all").arg(queue),
            Order::Bury { id, why, .. } => Call::new("bury").arg(id).arg(why),
            Order::Drop { id } => Call::new("drop").arg(id),
            Order::Drain { queue } => Call::new("drain").arg(queue),
            Order::Pause { queue, paused } => Call::new("pause").arg(queue).arg(u8::from(*paused)),
            // Ages are handed over, not times: the server has a clock of its own.
            Order::Purge { queue, before, done_max } => {
                Call::new("purge").arg(queue).arg(now.until(*before).as_micros()).arg(done_max)
            }
            Order::Look => Call::new("look"),
        })
    }
}

fn on_key(on: OnKey) -> &'static str {
    match on {
        OnKey::DropNew => "drop-new",
        OnKey::Replace => "replace",
    }
}

fn sum(class: Class, trace: &str, payload: &[u8]) -> u32 {
    Summed { id: TaskId(0), class, put_us: 0, trace: some(trace).map(str::as_bytes), payload }.sum()
}

/// What the script's answer to an order comes to.
pub(super) fn reply(order: &Order, answer: Value) -> Reply {
    match order {
        Order::Put(put) => placed(put, answer),
        Order::Lease { ids, .. } => {
            let attempts = items(answer).into_iter().map(|attempt| number(&attempt) as u32);
            Reply::Leased(ids.iter().copied().zip(attempts.map(|attempt| (attempt > 0).then_some(attempt))).collect())
        }
        Order::Fetch { .. } => Reply::Fetched { tasks: Vec::new(), damaged: Vec::new() },
        Order::List { .. } => {
            let [tasks, more] = fields(answer);
            let tasks = items(tasks).into_iter().map(|row| shown(row).entry).collect();
            Reply::Listed { tasks, more: number(&more) > 0 }
        }
        Order::Show { .. } => Reply::Shown(items(answer).into_iter().next().map(|row| Box::new(shown(row)))),
        _ => {
            let [tasks, more] = fields(answer);
            Reply::Changed { tasks: number(&tasks), more: number(&more) > 0 }
        }
    }
}

fn placed(put: &Put, answer: Value) -> Reply {
    let [what, rest] = fields(answer);
    if text(&what) == "full" {
        let [of, wanted] = fields(rest);
        let wanted = number(&wanted);
        return Reply::Full(match text(&of) {
            "tasks" => Full::Tasks { wanted, max: put.limits.tasks },
            _ => Full::Bytes { wanted, max: put.limits.bytes },
        });
    }
    let place = |row: Value| {
        let [id, state, how, other] = fields(row);
        let how = match text(&how) {
            "there" => How::There,
            "replaced" => How::Replaced(vec![TaskId(number(&other))]),
            _ => How::New,
        };
        Placed { id: TaskId(number(&id)), state: state_of(&state), how }
    };
    Reply::Put(items(rest).into_iter().map(place).collect())
}

/// A task that was taken, if there was one.
pub(super) fn taken(answer: Value) -> Option<Taken> {
    let row = items(answer).into_iter().next()?;
    let [queue, id, class, attempt, put, trace, payload, stored] = fields(row);
    let (id, class, trace) = (TaskId(number(&id)), class_of(&class), text(&trace));
    let is_intact = number(&stored) == u64::from(sum(class, trace, bytes(&payload)));
    let task = is_intact.then(|| Task {
        id,
        class,
        attempt: number(&attempt) as u32,
        put: Wall(number(&put) as i64),
        trace: some(trace).map(Into::into),
        payload: bytes(&payload).into(),
    });
    Some(Taken { queue: text(&queue).into(), id, task })
}

/// Tasks that wait again, each with the host that had it.
pub(super) fn returned(answer: Value) -> Vec<(Returned, Box<str>)> {
    let one = |row: Value| {
        let [id, queue, attempt, host] = fields(row);
        let (id, queue, attempt) = (TaskId(number(&id)), text(&queue).into(), number(&attempt) as u32);
        (Returned { id, queue, attempt }, text(&host).into())
    };
    items(answer).into_iter().map(one).collect()
}

/// Tasks that have ended.
pub(super) fn over(answer: Value) -> Vec<Over> {
    let one = |row: Value| {
        let [id, state, said] = fields(row);
        let state = some(text(&state)).map(|_| state_of(&state));
        Over { id: TaskId(number(&id)), state, said: some(text(&said)).map(Into::into) }
    };
    items(answer).into_iter().map(one).collect()
}

fn shown(row: Value) -> Shown {
    let [id, queue, class, state, attempt, size, put, due, ended, key, said, trace, payload] = fields(row);
    let when = |value: &Value| some(text(value)).map(|_| Wall(number(value) as i64));
    let words = |value: &Value| some(text(value)).map(Into::into);
    let state = state_of(&state);
    let payload: Option<Box<[u8]>> = (state != State::Done).then(|| bytes(&payload).into());
    let entry = Entry {
        id: TaskId(number(&id)),
        queue: text(&queue).into(),
        class: class_of(&class),
        state,
        attempt: number(&attempt) as u32,
        bytes: number(&size),
        put: Wall(number(&put) as i64),
        due: when(&due),
        ended: when(&ended),
        key: words(&key),
        said: words(&said),
        head: payload.as_ref().map(|payload| payload[..payload.len().min(257)].into()),
    };
    Shown { entry, trace: words(&trace), payload }
}

/// How queues stand.
pub(super) fn rows(answer: Value) -> Vec<Row> {
    let one = |row: Value| {
        let [queue, due, paused, high, normal, low, delayed, running, done, buried, damaged, size] = fields(row);
        let tally = Tally {
            waiting: [number(&high), number(&normal), number(&low)],
            delayed: number(&delayed),
            running: number(&running),
            done: number(&done),
            buried: number(&buried),
            damaged: number(&damaged),
            bytes: number(&size),
        };
        let next_due = some(text(&due)).map(|_| Duration::from_micros(number(&due)));
        Row { queue: text(&queue).into(), paused: number(&paused) > 0, tally, next_due }
    };
    items(answer).into_iter().map(one).collect()
}

/// The values of a list; none of anything else.
pub(super) fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        _ => Vec::new(),
    }
}

/// A list of so many values; what is missing is nothing.
pub(super) fn fields<const N: usize>(value: Value) -> [Value; N] {
    let mut values = items(value).into_iter();
    std::array::from_fn(|_| values.next().unwrap_or_default())
}

fn bytes(value: &Value) -> &[u8] {
    match value {
        Value::BulkString(bytes) => bytes,
        Value::SimpleString(text) => text.as_bytes(),
        _ => &[],
    }
}

pub(super) fn text(value: &Value) -> &str {
    std::str::from_utf8(bytes(value)).unwrap_or_default()
}

pub(super) fn number(value: &Value) -> u64 {
    match value {
        Value::Int(number) => number.unsigned_abs(),
        other => text(other).parse().unwrap_or_default(),
    }
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn class_of(value: &Value) -> Class {
    text(value).parse().unwrap_or_default()
}

fn state_of(value: &Value) -> State {
    text(value).parse().unwrap_or(State::Damaged)
}
