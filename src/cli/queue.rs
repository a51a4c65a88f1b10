//! `quell queue`: what stands in queues, and what is to become of it.

use super::{End, Failure, ask, talk};
use crate::control::reply::Reply;
use crate::control::request::{Name, OfQueue, OfTask, Request};
use crate::render::queue;
use crate::sys::{fd, time, tty};
use crate::task::{State, TaskId};
use clap::{Args, Subcommand};
use serde::Serialize;

/// How many tasks are listed at once where nothing else is asked for.
const ROWS: u32 = 100;

/// Look at queues and their tasks, and say what is to become of them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quell queue stats
  quell queue list thumbs --state buried
  quell queue show 17
  quell queue kick --all thumbs")]
pub(super) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    List(List),
    Show(Show),
    Kick(Kick),
    /// Give tasks up: they are not tried again until they are kicked
    #[command(after_help = BURY)]
    Bury(Tasks),
    /// Take tasks away; nothing stays of them
    #[command(after_help = DROP)]
    Drop(Tasks),
    /// Drop all tasks of a queue that wait, are delayed or buried
    #[command(after_help = DRAIN)]
    Drain(Whole),
    /// Start no more tasks of a queue; those that run go on, and more can be put
    #[command(after_help = PAUSE)]
    Pause(Whole),
    /// Start tasks of a paused queue again
    #[command(after_help = RESUME)]
    Resume(Whole),
    Stats(Stats),
}

const BURY: &str = "\
Examples:
  quell queue bury 17 18";
const DROP: &str = "\
A task that runs is not dropped: stop the worker that has it, or let it end.

Examples:
  quell queue drop 17";
const DRAIN: &str = "\
Those that run go on, and results of those that are done stay.

Examples:
  quell queue drain thumbs";
const PAUSE: &str = "\
A queue stays paused over restarts of quell.

Examples:
  quell queue pause thumbs";
const RESUME: &str = "\
Examples:
  quell queue resume thumbs";

/// Show tasks, in the order of their numbers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quell queue list thumbs
  quell queue list thumbs --state buried --json | jq '.tasks[].id'
  quell queue list -n 1000 --after 1000")]
struct List {
    #[command(flatten)]
    ask: ask::Options,
    /// Only those that are waiting, delayed, running, done, buried or damaged
    #[arg(long, value_name = "STATE")]
    state: Option<State>,
    /// Only those behind this one
    #[arg(long, value_name = "ID")]
    after: Option<TaskId>,
    /// At most so many, 1000 at once
    #[arg(short = 'n', long, value_name = "N", default_value_t = ROWS)]
    lines: u32,
    /// As JSON; times in microseconds since 1970 (_us)
    #[arg(long)]
    json: bool,
    /// The queue [default: all]
    queue: Option<Name>,
}

/// Show a task in full
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quell queue show 17
  quell queue show 17 --json | jq -r .result")]
struct Show {
    #[command(flatten)]
    ask: ask::Options,
    /// As JSON; times in microseconds since 1970 (_us)
    #[arg(long)]
    json: bool,
    /// The task's number
    id: TaskId,
}

/// Try tasks that are buried or delayed at once, as if they were new
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quell queue kick 17 18
  quell queue kick --all thumbs")]
struct Kick {
    #[command(flatten)]
    ask: ask::Options,
    /// All of this queue
    #[arg(long, value_name = "QUEUE", conflicts_with = "ids")]
    all: Option<Name>,
    /// Tasks, by their numbers
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<TaskId>,
}

#[derive(Debug, Args)]
#[group(skip)]
struct Tasks {
    #[command(flatten)]
    ask: ask::Options,
    /// Tasks, by their numbers
    #[arg(value_name = "ID", required = true)]
    ids: Vec<TaskId>,
}

#[derive(Debug, Args)]
#[group(skip)]
struct Whole {
    #[command(flatten)]
    ask: ask::Options,
    /// The queue
    queue: Name,
}

/// Show how queues are: all as a table, a named one in full
#[derive(Debug, Args)]
#[command(after_help = "\
PUT, DONE and FAILED count since quell was started, the other columns are what stands there now.

Examples:
  quell queue stats
  quell queue stats thumbs
  quell queue stats --json | jq -r '.[] | select(.buried > 0).name'")]
struct Stats {
    #[command(flatten)]
    ask: ask::Options,
    /// As JSON; times in microseconds since 1970 (_us), spans in milliseconds (_ms)
    #[arg(long)]
    json: bool,
    /// The queue [default: all]
    queue: Option<Name>,
}

impl Options {
    pub(super) fn execute(&self) -> Result<End, Failure> {
        match &self.what {
            What::List(list) => list.execute(),
            What::Show(show) => show.execute(),
            What::Kick(Kick { ask, all: Some(queue), .. }) => of_queue(ask, queue, OfQueue::Kick),
            What::Kick(Kick { ask, ids, .. }) => of_tasks(ask, ids, OfTask::Kick),
            What::Bury(Tasks { ask, ids }) => of_tasks(ask, ids, OfTask::Bury),
            What::Drop(Tasks { ask, ids }) => of_tasks(ask, ids, OfTask::Drop),
            What::Drain(Whole { ask, queue }) => of_queue(ask, queue, OfQueue::Drain),
            What::Pause(Whole { ask, queue }) => of_queue(ask, queue, OfQueue::Pause),
            What::Resume(Whole { ask, queue }) => of_queue(ask, queue, OfQueue::Resume),
            What::Stats(stats) => stats.execute(),
        }
    }
}

impl List {
    fn execute(&self) -> Result<End, Failure> {
        let list = OfQueue::List { state: self.state, after: self.after, max: Some(self.lines) };
        let request = Request::Queue { queue: self.queue.clone(), what: list };
        match self.ask.connect()??.ask(&request, Some(ask::SOON))? {
            Reply::Tasks(page) if self.json => answer_json(&page),
            Reply::Tasks(page) => answer(&queue::list(&page, time::now().wall, tty::columns(fd::stdout()))),
            other => Err(ask::failure(other)),
        }
    }
}

impl Show {
    fn execute(&self) -> Result<End, Failure> {
        let request = Request::Task { id: self.id, what: OfTask::Show };
        match self.ask.connect()??.ask(&request, Some(ask::SOON))? {
            Reply::Task(task) if self.json => answer_json(&task),
            Reply::Task(task) => answer(&queue::show(&task, time::now().wall)),
            other => Err(ask::failure(other)),
        }
    }
}

impl Stats {
    fn execute(&self) -> Result<End, Failure> {
        let request = Request::Queue { queue: self.queue.clone(), what: OfQueue::Stats };
        let now = || time::now().wall;
        match (self.ask.connect()??.ask(&request, Some(ask::SOON))?, &self.queue) {
            (Reply::Queues(queues), _) if self.json => answer_json(&queues),
            (Reply::Queues(queues), None) => answer(&queue::table(&queues, now(), tty::columns(fd::stdout()))),
            (Reply::Queues(queues), Some(_)) => {
                answer(&queues.iter().map(|status| queue::long(status, now())).collect::<String>())
            }
            (other, _) => Err(ask::failure(other)),
        }
    }
}

fn of_queue(ask: &ask::Options, queue: &Name, what: OfQueue) -> Result<End, Failure> {
    ask.carry_out(&Request::Queue { queue: Some(queue.clone()), what }, Some(ask::SOON))
}

/// One after the other; what cannot be done to one is not tried with those behind it.
fn of_tasks(ask: &ask::Options, ids: &[TaskId], what: OfTask) -> Result<End, Failure> {
    let mut client = ask.connect()??;
    for id in ids {
        ask::show(client.ask(&Request::Task { id: *id, what }, Some(ask::SOON))?)?;
    }
    Ok(End::Code(0))
}

fn answer(text: &str) -> Result<End, Failure> {
    talk::answer(text.as_bytes()).map(|()| End::Code(0))
}

fn answer_json(value: &impl Serialize) -> Result<End, Failure> {
    let json = serde_json::to_string(value).map_err(|e| Failure::new(format!("cannot show it: {e}")))?;
    answer(&(json + "\n"))
}
