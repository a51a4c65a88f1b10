//! One worker's life. Pure.

pub mod lifecycle;
pub mod outcome;
pub mod wrapped;

/// Names a worker, each instance by itself, for as long as a supervisor runs; none is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u32);
