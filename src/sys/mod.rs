//! Every system call, and all that is unsafe. Nothing here decides anything.
#![allow(unsafe_code)]

pub mod alarm;
pub mod dir;
pub mod fd;
pub mod identity;
pub mod limits;
pub mod memory;
pub mod netstat;
pub mod notify;
pub mod oom;
pub mod peek;
pub mod poller;
pub mod proc;
pub mod reap;
pub mod signal;
pub mod socket;
pub mod spawn;
pub mod thread;
pub mod time;
pub mod tty;
pub mod usage;
pub mod watch;

// The unwinder from the compiler's archive: std asks for it in a library of its own, which each start would load.
#[cfg(target_env = "gnu")]
#[link(name = "gcc_eh")]
unsafe extern "C" {}
