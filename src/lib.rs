//! quell
pub mod clock;
pub mod config;
pub mod line;
