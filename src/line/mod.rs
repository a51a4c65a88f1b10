//! Bytes, cut into whole lines, sorted into classes. Pure: no file, no clock, no output.
//!
//! `frame` cuts what was read into lines; `list` reads the syntax of filter lists; `search` finds the first of many
//! literals (`shift` that of thousands), `prefix` which of them begin at a place; `rules` compiles lists into a rule set; `classify` decides what each line is, a block at a time; `lint`
//! warns of rules that cannot be what was meant; `shipped` holds the lists that come with the program.

pub mod classify;
pub mod frame;
pub mod lint;
pub mod list;
mod prefix;
pub mod rules;
pub mod search;
mod shift;
pub mod shipped;
pub mod text;

use std::fmt;

/// What a line is. The order is by weight: a continuation line goes where the heavier of it and its head goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Of no use to anybody; counted, never written.
    Noise,
    /// Of use for some days.
    Routine,
    /// Something was slow or unusual.
    Anomaly,
    /// Something failed.
    Critical,
}

impl Class {
    /// Every class, lightest first.
    pub const ALL: [Class; 4] = [Class::Noise, Class::Routine, Class::Anomaly, Class::Critical];

    /// The name used on the command line, in tags and in lists.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Class::Noise => "noise",
            Class::Routine => "routine",
            Class::Anomaly => "anomaly",
            Class::Critical => "critical",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Class {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Class::ALL
            .into_iter()
            .find(|class| class.name() == text)
            .ok_or_else(|| format!("no class {text:?}; the classes are critical, anomaly, routine, noise"))
    }
}

/// Which output of a worker a line came from. The standard input of `filter` and `log` is another program's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output, or what was piped to us.
    Stdout,
    /// Standard error.
    Stderr,
}
