//! What the user writes, made into checked values. Pure.

pub mod import;
pub mod unit;
