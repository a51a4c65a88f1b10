//! Decisions about log files: names, stamps, when to rotate, what to purge, what was counted. Pure: `runtime::logdir`
//! carries them out.

pub mod ledger;
pub mod name;
pub mod record;
pub mod retain;
pub mod rotate;
pub mod settings;
pub mod span;
pub mod stamp;
