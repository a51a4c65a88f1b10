//! Signals, by their names.

use crate::config::decode::Cx;
use crate::config::kind::{Form, nearest};
use crate::config::typed::{FromText, Wrong};

/// The signals' names, without SIG.
pub const SIGNALS: [&str; 30] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR",
];

/// A signal by its name, without SIG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalName(pub &'static str);

impl FromText for SignalName {
    const FORM: Form = Form {
        name: "a signal",
        example: "TERM",
        pattern: "^(SIG)?(HUP|INT|QUIT|ILL|TRAP|ABRT|BUS|FPE|KILL|USR1|SEGV|USR2|PIPE|ALRM|TERM|STKFLT|CHLD|CONT|STOP|TSTP|TTIN|TTOU|URG|XCPU|XFSZ|VTALRM|PROF|WINCH|IO|PWR)$|[$]",
    };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        let short = text.strip_prefix("SIG").unwrap_or(text);
        if let Some(name) = SIGNALS.iter().find(|name| **name == short) {
            return Ok(SignalName(name));
        }
        let has_prefix = text.len() > 3 && text.get(..3).is_some_and(|head| head.eq_ignore_ascii_case("SIG"));
        let prefix = if has_prefix { "SIG" } else { "" };
        match nearest(&text[prefix.len()..], SIGNALS) {
            Some(near) => Err(Wrong::meant(format!("no signal is called {text:?}"), format!("{prefix}{near}"))),
            None => Err(Wrong::new(
                format!("no signal is called {text:?}"),
                "write TERM, INT, HUP, QUIT, USR1, … (signal(7))",
            )),
        }
    }

    fn of_number(number: &str) -> Option<Wrong> {
        Some(Wrong::new(
            format!("{number} is a number, which differs between machines"),
            "write the signal's name, as in \"TERM\"",
        ))
    }

    fn to_text(&self) -> String {
        self.0.into()
    }
}

/// Signals that quell is told of, and that a worker may wait for: it does nothing about them that cannot be done otherwise.
const FREE: [&str; 4] = ["USR1", "USR2", "ALRM", "PWR"];

/// A signal that starts a worker, by its name, without SIG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeSignal(pub &'static str);

impl FromText for FreeSignal {
    const FORM: Form =
        Form { name: "a signal that quell leaves free", example: "USR1", pattern: "^(SIG)?(USR1|USR2|ALRM|PWR)$|[$]" };

    fn from_text(text: &str, cx: &Cx<'_>) -> Result<Self, Wrong> {
        let SignalName(name) = SignalName::from_text(text, cx)?;
        let free = FREE.iter().find(|free| **free == name);
        free.map(|name| FreeSignal(name)).ok_or_else(|| {
            Wrong::new(
                format!("SIG{name} starts no worker: it means something else to quell, ends it, or never comes"),
                "write USR1, USR2, ALRM or PWR",
            )
        })
    }

    fn of_number(number: &str) -> Option<Wrong> {
        SignalName::of_number(number)
    }

    fn to_text(&self) -> String {
        self.0.into()
    }
}
