//! What a process is given: whom it runs as, its limits, its environment.

use super::Size;
use crate::config::decode::Cx;
use crate::config::kind::{Form, Kind, nearest};
use crate::config::report::Report;
use crate::config::syntax::Node;
use crate::config::typed::{Text, Typed, integer, quote};
use toml::de::DeValue;

/// A user or a group, by name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(pub String);

impl Typed for Identity {
    const KIND: Kind = Kind::OneOf(&[
        Kind::Text(Form { name: "a name", example: "www-data", pattern: "^[^ :,]+$" }),
        Kind::Integer(0, u32::MAX as i64 - 1),
    ]);

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        let place = cx.place(node.span());
        let text = match node.get_ref() {
            DeValue::Integer(number) => integer(node).map_or(number.as_str().to_owned(), |number| number.to_string()),
            DeValue::String(_) => cx.expand(node, false)?,
            _ => {
                cx.expected(&Self::KIND, node);
                return None;
            }
        };
        let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        let fits = text.parse::<u32>().is_ok_and(|id| id != u32::MAX);
        let is_name = !text.is_empty() && !text.contains([' ', ':', ',', '/', '\0']);
        if if is_number { fits } else { is_name } {
            return Some(Identity(text));
        }
        let report = Report::error(place, format!("{text:?} is no user or group"));
        cx.report(report.help("write a name, as in \"www-data\", or a number"));
        None
    }

    fn print(&self) -> String {
        quote(&self.0.replace('$', "$$"))
    }
}

/// A limit of a process (setrlimit(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// None.
    Unlimited,
    /// So many, or so many bytes.
    At(u64),
}

impl Typed for Limit {
    const KIND: Kind = Kind::OneOf(&[Kind::Integer(0, i64::MAX), Size::KIND, Kind::Choice(&["unlimited"])]);

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::Integer(_) => {
                let value = integer(node).and_then(|n| u64::try_from(n).ok());
                if value.is_none() {
                    let report = Report::error(cx.place(node.span()), "a limit must be from 0 to 9223372036854775807");
                    cx.report(report.help("write a number, a size such as \"1GiB\", or \"unlimited\""));
                }
                value.map(Limit::At)
            }
            DeValue::String(text) if text == "unlimited" => Some(Limit::Unlimited),
            DeValue::String(text) if text.parse::<u64>().is_ok() => {
                cx.expected(&Kind::Integer(0, i64::MAX), node);
                None
            }
            DeValue::String(text) => {
                if let Some("unlimited") = nearest(text, ["unlimited"]) {
                    let place = cx.place(node.span());
                    let report = Report::error(place, format!("{text:?} is no limit"));
                    cx.report(report.help("did you mean \"unlimited\"?").fix(place, quote("unlimited")));
                    return None;
                }
                Size::decode(node, cx).map(|size| Limit::At(size.0))
            }
            _ => {
                cx.expected(&Self::KIND, node);
                None
            }
        }
    }

    fn print(&self) -> String {
        match self {
            Limit::Unlimited => quote("unlimited"),
            Limit::At(value) => value.to_string(),
        }
    }
}

/// How many tries, or no end of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tries {
    /// No end.
    Never,
    /// So many.
    After(u32),
}

impl Typed for Tries {
    const KIND: Kind = Kind::OneOf(&[Kind::Integer(1, u32::MAX as i64), Kind::Choice(&["never"])]);

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        let number = integer(node).and_then(|number| u32::try_from(number).ok());
        match (node.get_ref(), number) {
            (DeValue::Integer(_), Some(tries @ 1..)) => Some(Tries::After(tries)),
            (DeValue::String(text), _) if text == "never" => Some(Tries::Never),
            _ => {
                cx.expected(&Self::KIND, node);
                None
            }
        }
    }

    fn print(&self) -> String {
        match self {
            Tries::Never => quote("never"),
            Tries::After(tries) => tries.to_string(),
        }
    }
}

/// What of quell's own environment a worker gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvFrom {
    /// All of it.
    All,
    /// None of it.
    None,
    /// What matches one of these names, which may have wildcards.
    Names(Vec<Text>),
}

impl Typed for EnvFrom {
    const KIND: Kind = Kind::OneOf(&[Kind::Choice(&["all", "none"]), Kind::List(&Text::KIND)]);

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::String(text) if text == "all" => Some(EnvFrom::All),
            DeValue::String(text) if text == "none" => Some(EnvFrom::None),
            DeValue::Array(_) => Vec::decode(node, cx).map(EnvFrom::Names),
            _ => {
                cx.expected(&Self::KIND, node);
                None
            }
        }
    }

    fn print(&self) -> String {
        match self {
            EnvFrom::All => quote("all"),
            EnvFrom::None => quote("none"),
            EnvFrom::Names(names) => names.print(),
        }
    }
}
