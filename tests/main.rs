//! The program as its users meet it. One binary; a module for each subject.
//!
//! Tests that need root, strace, valgrind or real servers are in the modules behind the feature `full-tests`.

// Tests stand outside: they start processes, open files and read the clock as a user does.
#![allow(clippy::disallowed_methods)]

mod config;
mod control;
mod descriptors;
mod disk;
#[cfg(feature = "full-tests")]
mod faults;
mod filter;
#[cfg(feature = "full-tests")]
mod full;
mod harness;
mod log;
mod logs;
mod mutants;
mod numbered;
mod orphans;
#[cfg(feature = "full-tests")]
mod packaging;
mod plane;
mod retention;
mod run;
mod signals;
mod simulate;
#[cfg(feature = "full-tests")]
mod store;
mod terminal;
mod tidy;
mod up;
