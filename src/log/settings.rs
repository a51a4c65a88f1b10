//! How a log directory is kept, all in one place.

use super::stamp::Stamp;
use super::{retain, rotate};
pub use crate::config::policy::Sync;

/// What to do when the disk takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Stop reading until it does.
    Block,
    /// Drop lines, count them, and say so in the log.
    Drop,
}

impl Overflow {
    /// What it means for the lines that come meanwhile.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Overflow::Block => "reading stops until it goes on (--overflow block)",
            Overflow::Drop => "lines are dropped and counted until it goes on (--overflow drop)",
        }
    }
}

/// How a log directory is kept; shared by all that are kept alike.
#[derive(Clone, Debug)]
pub struct Settings {
    /// When a file is closed.
    pub rotate: rotate::Policy,
    /// How long archives are kept.
    pub routine: retain::Policy,
    /// How long archives of critical and anomaly lines are kept.
    pub critical: retain::Policy,
    /// What stands before each line.
    pub stamp: Stamp,
    /// Whether archives are compressed.
    pub compress: bool,
    /// When lines are made durable.
    pub sync: Sync,
    /// What happens when the disk is full.
    pub overflow: Overflow,
}
