//! The loops that do what the pure modules decide.

pub mod accounts;
pub mod backlog;
pub mod directory;
pub mod environment;
pub mod exec;
pub mod intake;
pub mod keeper;
pub mod launch;
pub mod leftovers;
pub mod lists;
pub mod logdir;
pub mod notify;
pub mod orphans;
pub mod output;
pub mod pace;
pub mod pass;
pub mod places;
pub mod plane;
pub mod preflight;
pub mod probe;
pub mod program;
pub mod reactor;
pub mod series;
pub mod state;
pub mod trust;
pub mod wrap;
