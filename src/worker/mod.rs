//! One worker's life. Pure.

pub mod lifecycle;
pub mod outcome;
pub mod wrapped;
