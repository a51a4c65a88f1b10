//! The types of the configuration's values that are written as text, and what is said of each when it is wrong.

mod files;
mod paths;
mod process;
mod schedule;
mod signals;

pub use files::*;
pub use paths::*;
pub use process::*;
pub use schedule::*;
pub use signals::*;

use super::decode::Cx;
use super::kind::{Form, Kind, nearest};
use super::policy::{Retain, Rotate, Sync};
use super::syntax::Node;
use super::typed::{FromText, Typed, Wrong, integer};
use super::unit::{UnitError, parse_duration, parse_size, write_duration, write_size};
use std::time::Duration;
use toml::de::DeValue;

impl From<UnitError> for Wrong {
    fn from(error: UnitError) -> Wrong {
        Wrong { text: error.text, help: error.help, meant: error.meant }
    }
}

/// Patterns of which others are made.
macro_rules! pattern {
    (number) => {
        "[0-9]+([.][0-9]+)? *"
    };
    (duration) => {
        concat!(" *", pattern!(number), "(ns|us|ms|s|m|h|d|w) *")
    };
    (size) => {
        concat!(" *", pattern!(number), "(B|kB|KB|KiB|MB|MiB|GB|GiB|TiB) *")
    };
    // A word; one or two quantities with this between them; or what is only known when variables have been replaced.
    (word $word:literal, between $between:literal) => {
        concat!("^ *", $word, " *$|^(", pattern!(either), ")(", $between, "(", pattern!(either), "))?$|[$]")
    };
    (either) => {
        concat!(pattern!(duration), "|", pattern!(size))
    };
}

impl FromText for Duration {
    const FORM: Form = Form { name: "a duration", example: "5s", pattern: concat!("^", pattern!(duration), "$|[$]") };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        Ok(parse_duration(text)?)
    }

    fn of_number(number: &str) -> Option<Wrong> {
        let help = match number.parse::<u64>() {
            Ok(millis) if millis >= 1000 && millis % 1000 == 0 => {
                format!("write \"{}s\" or \"{number}ms\"", millis / 1000)
            }
            _ => format!("write \"{number}s\" or \"{number}ms\""),
        };
        Some(Wrong::new(format!("{number} what? a duration has a unit"), help))
    }

    fn to_text(&self) -> String {
        write_duration(*self)
    }
}

/// A size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl FromText for Size {
    const FORM: Form = Form { name: "a size", example: "64MiB", pattern: concat!("^", pattern!(size), "$|[$]") };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        Ok(Size(parse_size(text)?))
    }

    fn of_number(number: &str) -> Option<Wrong> {
        let help = format!("write \"{number}B\", \"{number}KiB\" or \"{number}MiB\"");
        Some(Wrong::new(format!("{number} what? a size has a unit"), help))
    }

    fn to_text(&self) -> String {
        write_size(self.0)
    }
}

/// A size, or the number 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeOrOff(pub u64);

impl Typed for SizeOrOff {
    const KIND: Kind = Kind::OneOf(&[Size::KIND, Kind::Integer(0, 0)]);

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::Integer(_) if integer(node) == Some(0) => Some(SizeOrOff(0)),
            _ => Size::decode(node, cx).map(|size| SizeOrOff(size.0)),
        }
    }

    fn print(&self) -> String {
        if self.0 == 0 { "0".into() } else { Size(self.0).print() }
    }
}

impl FromText for Rotate {
    const FORM: Form = Form {
        name: "a size, a duration or both",
        example: "64MiB or 1d",
        pattern: pattern!(word "never", between "or "),
    };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        text.parse().map_err(|message| joined(text, ",", " or ").unwrap_or_else(|| split(message)))
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

impl FromText for Retain {
    const FORM: Form = Form {
        name: "a duration, a size or both",
        example: "7d, 1GiB",
        pattern: pattern!(word "forever", between ","),
    };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        text.parse().map_err(|message| joined(text, " or ", ", ").unwrap_or_else(|| split(message)))
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

impl FromText for Sync {
    const FORM: Form = Form {
        name: "\"rotation\", \"always\" or a duration",
        example: "10s",
        pattern: concat!("^(rotation|always)$|^", pattern!(duration), "$|[$]"),
    };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        word_or(text, &["rotation", "always"], |text| Ok(text.parse::<Sync>()?))
    }

    fn of_number(number: &str) -> Option<Wrong> {
        Duration::of_number(number)
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

/// Where two parts of a policy are joined as those of the other kind are: what was meant.
fn joined(text: &str, theirs: &str, ours: &str) -> Option<Wrong> {
    let (first, second) = text.split_once(theirs)?;
    let meant = format!("{}{ours}{}", first.trim(), second.trim());
    let fine = if ours == ", " { meant.parse::<Retain>().is_ok() } else { meant.parse::<Rotate>().is_ok() };
    fine.then(|| {
        Wrong::meant(format!("the parts are joined by {:?} here, not by {:?}", ours.trim(), theirs.trim()), meant)
    })
}

/// What is wrong, and what to do, as our own messages part them.
fn split(message: String) -> Wrong {
    match message.split_once("; ") {
        Some((text, help)) => Wrong::new(text, help),
        None => Wrong::new(message, "see `quell explain`"),
    }
}

/// A text that is read by `other` unless it is one of some words; one that is like a word is taken for it.
fn word_or<T>(text: &str, words: &[&str], other: impl Fn(&str) -> Result<T, Wrong>) -> Result<T, Wrong> {
    other(text).map_err(|wrong| match nearest(text, words.iter().copied()) {
        Some(near) if near != text => Wrong::meant(format!("{text:?} is unknown here"), near),
        _ => wrong,
    })
}

/// A text that is looked for in lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needle(pub String);

impl FromText for Needle {
    const FORM: Form = Form { name: "a text to look for", example: "listening on", pattern: "." };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        match text {
            "" => Err(Wrong::new("an empty text is in every line", "write what to look for")),
            _ if text.contains('\n') => Err(Wrong::new("no line holds a newline", "write what stands in one line")),
            _ => Ok(Needle(text.into())),
        }
    }

    fn to_text(&self) -> String {
        self.0.clone()
    }
}

/// Permission bits, in octal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Octal(pub u32);

impl FromText for Octal {
    const FORM: Form = Form { name: "an octal number in quotes", example: "022", pattern: "^(0o)?0?[0-7]{3}$|[$]" };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let bits = u32::from_str_radix(digits, 8).ok().filter(|bits| *bits <= 0o777 && (3..=4).contains(&digits.len()));
        bits.map(Octal).ok_or_else(|| {
            Wrong::new(
                format!("{text:?} is no octal number up to 0777"),
                "write three digits from 0 to 7, as in \"022\"",
            )
        })
    }

    fn of_number(number: &str) -> Option<Wrong> {
        Some(match number.strip_prefix("0o") {
            Some(digits) => Wrong::meant("bits are written as octal text", format!("{digits:0>3}")),
            None => Wrong::new(
                format!("{number} as a number is decimal; bits are written as octal text"),
                format!("write \"{number:0>3}\""),
            ),
        })
    }

    fn to_text(&self) -> String {
        format!("{:03o}", self.0)
    }
}

/// A share of one core, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(pub u32);

impl FromText for Percent {
    const FORM: Form = Form { name: "a percentage", example: "90%", pattern: "^[0-9]+ *%$|[$]" };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        let number = text.strip_suffix('%').and_then(|number| number.trim().parse().ok());
        let wrong =
            || Wrong::new(format!("{text:?} is no percentage"), "write one from \"1%\" to \"100%\", of one core");
        let percent: u32 = number.ok_or_else(wrong)?;
        match percent {
            1..=100 => Ok(Percent(percent)),
            _ => Err(Wrong::new(
                format!("{text:?} is out of range: it must be 1–100 %"),
                "write one from \"1%\" to \"100%\", of one core",
            )),
        }
    }

    fn of_number(number: &str) -> Option<Wrong> {
        Some(match number.parse::<u32>() {
            Ok(1..=100) => Wrong::meant(format!("{number} what? a share has a unit"), format!("{number}%")),
            _ => Wrong::new(
                format!("{number} is out of range: it must be 1–100 %"),
                "write one from \"1%\" to \"100%\", of one core",
            ),
        })
    }

    fn to_text(&self) -> String {
        format!("{}%", self.0)
    }
}

/// Where a queue's tasks are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// In the state directory.
    Embedded,
    /// In a Redis server, by its URL.
    Redis(String),
}

impl FromText for Store {
    const FORM: Form = Form {
        name: "\"embedded\" or a Redis URL",
        example: "redis://127.0.0.1:6379/0",
        pattern: "^(embedded$|rediss?://.)|[$]",
    };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        word_or(text, &["embedded"], |text| match text {
            "embedded" => Ok(Store::Embedded),
            _ if ["redis://", "rediss://"]
                .iter()
                .any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty())) =>
            {
                Ok(Store::Redis(text.into()))
            }
            _ => Err(Wrong::new(
                format!("{text:?} is no store"),
                "write \"embedded\" or a URL such as \"redis://127.0.0.1:6379/0\"",
            )),
        })
    }

    fn to_text(&self) -> String {
        match self {
            Store::Embedded => "embedded".into(),
            Store::Redis(url) => url.clone(),
        }
    }
}

/// When a put is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durable {
    /// Before it is answered.
    Always,
    /// When the system writes it.
    Never,
    /// So long after it at most.
    After(Duration),
}

impl FromText for Durable {
    const FORM: Form = Form {
        name: "\"always\", \"never\" or a duration",
        example: "50ms",
        pattern: concat!("^(always|never)$|^", pattern!(duration), "$|[$]"),
    };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        word_or(text, &["always", "never"], |text| match text {
            "always" => Ok(Durable::Always),
            "never" => Ok(Durable::Never),
            other => Ok(Durable::After(parse_duration(other)?)),
        })
    }

    fn of_number(number: &str) -> Option<Wrong> {
        Duration::of_number(number)
    }

    fn to_text(&self) -> String {
        match self {
            Durable::Always => "always".into(),
            Durable::Never => "never".into(),
            Durable::After(span) => write_duration(*span),
        }
    }
}

/// What is taken out of lines before anything is written: what stands between two literals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redaction {
    /// The literal before it.
    pub before: String,
    /// The literal behind it; empty for the line's end.
    pub after: String,
}

impl FromText for Redaction {
    const FORM: Form = Form { name: "two literals around `…`", example: "password=…&", pattern: "^.+(…|[.]{3})" };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        let parts = text.split_once('…').or_else(|| text.split_once("..."));
        match parts {
            Some((before, after)) if !before.is_empty() => Ok(Redaction { before: before.into(), after: after.into() }),
            _ => Err(Wrong::new(
                format!("{text:?} does not say what stands before the secret"),
                "write the text before it, `…`, and the text behind it, as in \"password=…&\"",
            )),
        }
    }

    fn to_text(&self) -> String {
        format!("{}…{}", self.before, self.after)
    }
}

/// A value that is either of one type or of another, told apart by whether it is a table.
macro_rules! or_table {
    ($(#[$doc:meta])* $name:ident { $(#[$word_doc:meta])* $word:ident($word_type:ty), $(#[$table_doc:meta])* $table:ident($table_type:ty) }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name { $(#[$word_doc])* $word($word_type), $(#[$table_doc])* $table($crate::config::typed::Item<$table_type>) }

        impl Typed for $name {
            const KIND: Kind = Kind::OneOf(&[<$word_type>::KIND, <$crate::config::typed::Item<$table_type>>::KIND]);

            fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
                match node.get_ref() {
                    DeValue::Table(_) => $crate::config::typed::Item::decode(node, cx).map($name::$table),
                    DeValue::String(_) => <$word_type>::decode(node, cx).map($name::$word),
                    _ => {
                        cx.expected(&Self::KIND, node);
                        None
                    }
                }
            }

            fn print(&self) -> String {
                match self {
                    $name::$word(word) => word.print(),
                    $name::$table(table) => table.print(),
                }
            }
        }
    };
}
pub(super) use or_table;
