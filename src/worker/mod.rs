//! One worker's life. Pure.

pub mod name;
pub mod outcome;
pub mod wrapped;
