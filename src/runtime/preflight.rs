//! What a start would meet on this machine.

use crate::config::load::Loaded;

/// Looks at all that a start would use, without starting anything; what is wrong is added to the reports.
pub fn check(_loaded: &mut Loaded) {}
