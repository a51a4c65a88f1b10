//! quell supervises worker processes and reads what they print: noise never reaches the disk, routine lines live for
//! some days, critical ones stay, and no line is lost without being counted.
//!
//! The map, in reading order:
//!
//! | module | what it answers |
//! |---|---|
//! | [`clock`] | what a point in time is; it is handed around, never asked for |
//! | [`config`] | what the user wrote, as checked values |
//! | [`line`] | what each line is: framing, filter lists, classification |
//! | [`log`] | what is to become of log files: names, stamps, rotation, retention, the ledger |
//! | [`worker`] | what is to become of a worker: its life as a table, its outcome |
//! | [`task`] | what is to become of a task: its class, its tries, what a worker says of it |
//! | [`supervisor`] | what is to become of many workers: who starts before whom, who stops after whom |
//! | [`control`] | what is said over the control socket: requests, replies, events, the picture of what runs |
//! | [`simulation`] | what would happen: the same decisions on a clock of their own |
//! | [`render`] | what people are shown of what runs |
//! | [`sys`] | how the kernel is asked: every system call, and all that is unsafe |
//! | [`runtime`] | the loops that do what the others decide: the output path, the control plane, the keepers |
//! | [`cli`] | the command line: one file a verb |
//!
//! Only `sys`, `runtime` and `cli` do I/O or read the clock. `cli` uses `runtime`, which uses all but `render` and
//! `simulation`; the others see `clock` and `config` only, never each other, but for `supervisor`, which leads many a `worker`
//! and tells of it in the words of `control`, `control`, which names a `task`, `simulation`, which puts these together as
//! `runtime` does, and `render`, which shows what they say. A test (`tests/tidy.rs`) holds this.
//!
//! Bytes take one way through the house, whichever verb reads them: `line::frame` cuts lines, `line::classify` sorts a
//! block of them into runs, `runtime::route` counts each run and sends it to a `runtime::logdir`, to an inherited
//! descriptor (`runtime::pass`), to both or to neither.
//!
//! What has been written is read again by `runtime::reader`, from files alone: whoever reads holds up nobody.
//!
//! A configuration takes one way, too: `config::load` reads its files through `runtime::lists`, `config::decode` holds each
//! key against the one table of keys (`config::tables`), `config::meaning` looks at the whole, `runtime::preflight` at the
//! machine. Each mistake is one `config::report::Report`; nothing is printed on the way.

pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod line;
pub mod log;
pub mod render;
pub mod runtime;
pub mod simulation;
pub mod supervisor;
pub mod sys;
pub mod task;
pub mod worker;
