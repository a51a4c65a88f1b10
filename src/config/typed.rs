//! Values as the program has them: each type says its kind, decodes itself from a node and prints itself as TOML.

use super::decode::{Cx, is_variable};
use super::keys::{self, Table};
use super::kind::{Form, Kind, nearest};
use super::report::Report;
use super::syntax::Node;
use std::collections::BTreeMap;
use std::fmt::Debug;
use toml::de::DeValue;

/// A value that can stand in the configuration.
pub trait Typed: Clone + Debug + PartialEq {
    /// Its kind.
    const KIND: Kind;

    /// Reads it; none, and a report, where it is wrong.
    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self>;

    /// As TOML, such that `decode` gives the same; empty where there is none.
    fn print(&self) -> String;

    /// The value of a key that is not set and has no built-in value, where there can be one.
    fn absent() -> Option<Self> {
        None
    }
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What.
    pub text: String,
    /// What to do.
    pub help: String,
    /// The text that was meant.
    pub meant: Option<String>,
}

impl Wrong {
    /// Something wrong, and what to do.
    pub fn new(text: impl Into<String>, help: impl Into<String>) -> Wrong {
        Wrong { text: text.into(), help: help.into(), meant: None }
    }

    /// Something wrong, and the text that was meant.
    pub fn meant(text: impl Into<String>, meant: impl Into<String>) -> Wrong {
        let meant = meant.into();
        Wrong { text: text.into(), help: format!("write {meant:?}"), meant: Some(meant) }
    }
}

/// A value that is written as a text of some form.
pub trait FromText: Clone + Debug + PartialEq {
    /// The form.
    const FORM: Form;
    /// A `$` that is no variable stands for itself.
    const DOLLAR: bool = false;

    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it.
    fn from_text(text: &str, cx: &Cx<'_>) -> Result<Self, Wrong>;

    /// What to say of a number where a text should be.
    fn of_number(_number: &str) -> Option<Wrong> {
        None
    }

    /// The text.
    fn to_text(&self) -> String;
}

impl<T: FromText> Typed for T {
    const KIND: Kind = Kind::Text(T::FORM);

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        let wrong = match node.get_ref() {
            DeValue::String(_) => {
                let text = cx.expand(node, T::DOLLAR)?;
                match T::from_text(&text, cx) {
                    Ok(value) => return Some(value),
                    Err(wrong) => Some(wrong),
                }
            }
            DeValue::Integer(_) | DeValue::Float(_) => T::of_number(cx.raw(node.span())),
            _ => None,
        };
        let Some(wrong) = wrong else {
            cx.expected(&Self::KIND, node);
            return None;
        };
        let place = cx.place(node.span());
        let report = Report::error(place, wrong.text).help(wrong.help);
        // What was meant replaces what was written only where that was no variable's value.
        let fixable = !cx.raw(node.span()).contains("${");
        let meant = wrong.meant.filter(|_| fixable);
        cx.report(meant.into_iter().fold(report, |report, meant| report.fix(place, quote(&meant))));
        None
    }

    fn print(&self) -> String {
        quote(&self.to_text().replace('$', "$$"))
    }
}

/// A text as TOML.
#[must_use]
pub fn quote(text: &str) -> String {
    toml::Value::from(text).to_string()
}

impl Typed for bool {
    const KIND: Kind = Kind::Flag;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<bool> {
        match node.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => {
                cx.expected(&Self::KIND, node);
                None
            }
        }
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

/// The integer that is written, in whatever base; none where it does not fit.
pub(super) fn integer(node: &Node<'_>) -> Option<i64> {
    let number = node.get_ref().as_integer()?;
    i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
}

/// A whole number in a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Int<const MIN: i64, const MAX: i64>(pub i64);

impl<const MIN: i64, const MAX: i64> Typed for Int<MIN, MAX> {
    const KIND: Kind = Kind::Integer(MIN, MAX);

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        let DeValue::Integer(number) = node.get_ref() else {
            cx.expected(&Self::KIND, node);
            return None;
        };
        let digits = number.as_str();
        match integer(node) {
            Some(number) if (MIN..=MAX).contains(&number) => Some(Int(number)),
            _ => {
                let place = cx.place(node.span());
                let text = format!("{} is out of range: expected {}", cx.raw(node.span()), Self::KIND.describe());
                let is_low = integer(node).is_some_and(|number| number < MIN);
                let bound = if is_low || digits.starts_with('-') { MIN } else { MAX };
                let help =
                    if bound == i64::MAX { "write a smaller one".into() } else { format!("the limit is {bound}") };
                cx.report(Report::error(place, text).help(help));
                None
            }
        }
    }

    fn print(&self) -> String {
        self.0.to_string()
    }
}

impl<T: Typed> Typed for Option<T> {
    const KIND: Kind = T::KIND;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        T::decode(node, cx).map(Some)
    }

    fn print(&self) -> String {
        self.as_ref().map_or(String::new(), T::print)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Typed> Typed for Vec<T> {
    const KIND: Kind = Kind::List(&T::KIND);

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        let DeValue::Array(items) = node.get_ref() else {
            cx.expected(&Self::KIND, node);
            return None;
        };
        // One that is wrong is reported, and hides no other.
        Some(items.iter().filter_map(|item| T::decode(item, cx)).collect())
    }

    fn print(&self) -> String {
        format!("[{}]", self.iter().map(T::print).collect::<Vec<_>>().join(", "))
    }

    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
}

/// The environment of a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables(pub BTreeMap<String, Text>);

impl Typed for Variables {
    const KIND: Kind = Kind::Map(&Text::KIND);

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        let DeValue::Table(table) = node.get_ref() else {
            cx.expected(&Self::KIND, node);
            return None;
        };
        let mut variables = BTreeMap::new();
        let mut complete = true;
        for (key, value) in table {
            let name = key.get_ref().to_string();
            if !is_variable(&name) {
                let text = format!("{name:?} cannot be the name of a variable");
                let report = Report::error(cx.place(key.span()), text);
                cx.report(report.help("write letters, digits and `_`, as in `PORT`"));
            }
            match Text::decode(value, cx) {
                Some(text) => drop(variables.insert(name, text)),
                None => complete = false,
            }
        }
        complete.then_some(Variables(variables))
    }

    fn print(&self) -> String {
        let item = |(name, value): (&String, &Text)| format!("{name} = {}", value.print());
        format!("{{ {} }}", self.0.iter().map(item).collect::<Vec<_>>().join(", "))
    }
}

/// Any text.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(pub String);

impl FromText for Text {
    // A dollar begins a variable, or is written twice.
    const FORM: Form = Form {
        name: "text",
        example: "",
        pattern: "^([^$\\u0000]|[$][$]|[$][{][A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?[}])*$",
    };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        no_nul(text)?;
        Ok(Text(text.to_owned()))
    }

    fn to_text(&self) -> String {
        self.0.clone()
    }
}

/// Nothing that goes to the kernel can hold a NUL.
pub(super) fn no_nul(text: &str) -> Result<(), Wrong> {
    match text.contains('\0') {
        true => Err(Wrong::new("a NUL character cannot be passed on", "remove it")),
        false => Ok(()),
    }
}

/// One of some words.
pub trait Words: Copy + Debug + PartialEq + 'static {
    /// The words.
    const WORDS: &'static [&'static str];
    /// What they stand for, in the same order.
    const VALUES: &'static [Self];

    /// The word for this one.
    fn word(&self) -> &'static str {
        Self::VALUES.iter().position(|value| value == self).map_or("", |at| Self::WORDS[at])
    }
}

/// A word of some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice<T>(pub T);

impl<T: Words> Typed for Choice<T> {
    const KIND: Kind = Kind::Choice(T::WORDS);

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        if !node.get_ref().is_str() {
            cx.expected(&Self::KIND, node);
            return None;
        }
        let text = cx.expand(node, false)?;
        if let Some(at) = T::WORDS.iter().position(|word| *word == text) {
            return Some(Choice(T::VALUES[at]));
        }
        let place = cx.place(node.span());
        let report = Report::error(place, format!("{text:?} is not {}", Self::KIND.describe()));
        let near = nearest(&text, T::WORDS.iter().copied());
        // What a variable stands for is not written here.
        let is_variable = cx.raw(node.span()).contains("${");
        cx.report(match near {
            Some(near) if is_variable => report.help(format!("did you mean {near:?}?")),
            Some(near) => report.help(format!("did you mean {near:?}?")).fix(place, quote(near)),
            None => report.help("write one of these"),
        });
        None
    }

    fn print(&self) -> String {
        quote(self.0.word())
    }
}

/// Makes an enumeration whose variants are words of the configuration.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }
        impl $crate::config::typed::Words for $name {
            const WORDS: &'static [&'static str] = &[$($word,)+];
            const VALUES: &'static [Self] = &[$($name::$variant,)+];
        }
    };
}
pub(crate) use words;

/// A table as a value, such as an item of a list, and where it stands.
#[derive(Clone, Debug)]
pub struct Item<T>(pub T, pub super::source::Place);

impl<T: PartialEq> PartialEq for Item<T> {
    /// Two are equal wherever they stand.
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T: Table> Typed for Item<T> {
    const KIND: Kind = Kind::Table(T::KEYS);

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        let place = cx.place(node.span());
        let before = cx.reports.len();
        let mut table = T::initial();
        super::decode::inner(node, &mut table, T::NAME.trim_matches('`'), place, cx);
        // What is misspelt is not missing, too.
        if cx.reports.len() == before {
            table.check(place, cx);
        }
        (cx.reports.len() == before).then_some(Item(table, place))
    }

    fn print(&self) -> String {
        keys::print_inline(&self.0)
    }
}
