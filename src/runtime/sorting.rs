//! By what lines are sorted: the rules, the classes that are let through, and what the ledger calls each rule.

use crate::line::Class;
use crate::line::rules::RuleSet;
use crate::log::ledger::{RuleKey, RuleKeys};
use std::sync::Arc;

/// The classes that are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept([bool; Class::ALL.len()]);

impl Default for Kept {
    /// All but noise.
    fn default() -> Kept {
        Kept(Class::ALL.map(|class| class != Class::Noise))
    }
}

impl FromIterator<Class> for Kept {
    fn from_iter<I: IntoIterator<Item = Class>>(classes: I) -> Kept {
        let mut kept = Kept(Default::default());
        classes.into_iter().for_each(|class| kept.0[class as usize] = true);
        kept
    }
}

impl Kept {
    /// Whether a class is let through.
    #[must_use]
    pub fn has(self, class: Class) -> bool {
        self.0[class as usize]
    }
}

/// The rules that lines are sorted by, and what each is called in the ledger. A copy shares both.
#[derive(Clone, Debug)]
pub struct Sorting {
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// Which classes are let through.
    pub kept: Kept,
    pub(super) keys: RuleKeys,
}

impl Sorting {
    /// Sorts by these rules, and lets these classes through.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, kept: Kept) -> Sorting {
        let key = |rule: &crate::line::list::Rule| RuleKey {
            list: rule.place.list.to_string(),
            line: rule.place.line,
            pattern: String::from_utf8_lossy(&rule.text).into_owned(),
        };
        let keys = rules.rules().iter().map(|rule| Arc::new(key(rule))).collect();
        Sorting { rules, kept, keys }
    }
}
