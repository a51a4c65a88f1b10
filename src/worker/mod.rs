//! One worker's life. Pure.

pub mod outcome;
pub mod wrapped;
