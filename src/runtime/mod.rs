//! The loops that do what the pure modules decide.

pub mod accounts;
pub mod backlog;
pub mod directory;
pub mod intake;
pub mod keeper;
pub mod lists;
pub mod logdir;
pub mod output;
pub mod pace;
pub mod pass;
pub mod places;
pub mod plane;
pub mod preflight;
pub mod reactor;
pub mod reader;
pub mod series;
pub mod wrap;
