//! What is said over the control socket: requests, replies, events, and the one picture of what runs. Pure.
//!
//! Each is plain data with documented keys: `--json` shows what went over the wire.

pub mod event;
pub mod frame;
pub mod history;
pub mod payload;
pub mod put;
pub mod queue;
pub mod record;
pub mod reply;
pub mod request;
pub mod status;
