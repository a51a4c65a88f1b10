//! The loops that do what the pure modules decide.

pub mod accounts;
pub mod backlog;
pub mod compressor;
pub mod deadlines;
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
pub mod route;
pub mod series;
pub mod sorting;
pub mod syncer;
pub mod workspace;
pub mod wrap;
