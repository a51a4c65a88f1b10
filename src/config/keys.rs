//! The mechanism of the one table of keys: what a key is, and how a struct of values is made from its description.
//!
//! The tables themselves are in `tables`: each key once, with its name, type, built-in value, the reason for it, what a
//! change of it does, and other programs' names for it. Decoding, suggestions, `explain`, `init`, the schema and the
//! reference page come from there.

use super::decode::Cx;
use super::kind::Kind;
use super::source::Place;
use super::syntax::Node;
use super::typed::Typed;
use std::fmt::Debug;
use std::path::Path;

/// A key: all that is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in its table.
    pub name: &'static str,
    /// The kind of its value.
    pub kind: Kind,
    /// What it means.
    pub about: &'static str,
    /// What is in force where it is not set.
    pub builtin: Builtin,
    /// Why that is so.
    pub why: &'static str,
    /// What a change of it does to what runs.
    pub change: Change,
    /// Other programs' names for it: `(program, name)`.
    pub also: &'static [(&'static str, &'static str)],
}

/// What is in force where a key is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// This value, as TOML.
    Value(&'static str),
    /// It depends; in words.
    Rule(&'static str),
    /// Nothing.
    Nothing,
    /// It must be set.
    Required,
    /// It is a table with keys of its own.
    Inside,
}

/// What a change of a key does to a worker that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It goes on; the new value is in force at once.
    Live,
    /// It is restarted.
    Restart,
    /// Only quell itself can take it on, when it is started anew.
    Anew,
}

/// A struct whose fields are the keys of one table.
pub trait Table: Clone + Debug + PartialEq {
    /// What it is called in messages.
    const NAME: &'static str;
    /// Its keys, in the order of its fields.
    const KEYS: &'static [Key];

    /// All built-in values.
    fn initial() -> Self;

    /// Decodes the value of the key with this index.
    fn set(&mut self, index: usize, name: Place, value: &Node<'_>, cx: &mut Cx<'_>);

    /// The fields, in the order of the keys.
    fn fields(&self) -> Vec<&dyn Shown>;

    /// Takes on what another sets and this one does not.
    fn inherit(&mut self, from: &Self);

    /// Looks at what the keys mean together, where this is the item of a list.
    fn check(&self, _place: Place, _cx: &mut Cx<'_>) {}
}

/// A field of a table.
pub trait Field: Shown + Clone + PartialEq + Debug {
    /// The kind of its value.
    const KIND: Kind;

    /// With the built-in value, as TOML.
    fn initial(builtin: Builtin) -> Self;

    /// Decodes its value.
    fn set(&mut self, name: &'static str, key: Place, value: &Node<'_>, cx: &mut Cx<'_>);

    /// Takes on another's value if it has none of its own.
    fn inherit(&mut self, from: &Self);
}

/// What can be seen of a field, whatever its type.
pub trait Shown {
    /// The value as TOML; empty where there is none.
    fn print(&self) -> String;

    /// Where it is set.
    fn place(&self) -> Option<Place>;

    /// The keys and fields of a table.
    fn inside(&self) -> Option<(&'static [Key], Vec<&dyn Shown>)> {
        None
    }
}

/// A value, and where it was set; `None` where it is the built-in one.
#[derive(Clone, Debug)]
pub struct Set<T> {
    /// The value in force.
    pub value: T,
    /// The key that set it.
    pub place: Option<Place>,
}

impl<T: PartialEq> PartialEq for Set<T> {
    /// Two are equal where the same is in force.
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T> Set<T> {
    /// Where it is set, or else this place.
    #[must_use]
    pub fn or(&self, place: Place) -> Place {
        self.place.unwrap_or(place)
    }
}

impl<T> std::ops::Deref for Set<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Typed> Shown for Set<T> {
    fn print(&self) -> String {
        self.value.print()
    }

    fn place(&self) -> Option<Place> {
        self.place
    }
}

impl<T: Typed> Field for Set<T> {
    const KIND: Kind = T::KIND;

    fn initial(builtin: Builtin) -> Self {
        let value = match builtin {
            Builtin::Value(text) => decode_text(text),
            // That every other can be absent is held by the same test.
            _ => T::absent().unwrap_or_else(|| panic!("a key of this type needs a built-in value")),
        };
        Set { value, place: None }
    }

    fn set(&mut self, name: &'static str, key: Place, value: &Node<'_>, cx: &mut Cx<'_>) {
        if let Some(first) = self.place {
            let report = super::report::Report::error(key, format!("`{name}` is set twice")).help("keep one");
            cx.report(report.also(first, "also set here"));
            return;
        }
        self.place = Some(key);
        if let Some(value) = T::decode(value, cx) {
            self.value = value;
        }
    }

    fn inherit(&mut self, from: &Self) {
        if self.place.is_none() {
            *self = from.clone();
        }
    }
}

/// Decodes a built-in value.
fn decode_text<T: Typed>(text: &str) -> T {
    let text = format!("x = {text}");
    let document = super::syntax::parse(0, &text);
    let folder = Path::new("/");
    let mut cx = Cx { file: 0, text: &text, folder, env: &|_| None, reports: Vec::new(), unset: Vec::new() };
    let value = document.root.get("x").and_then(|node| T::decode(node, &mut cx));
    // Every one of them is decoded by a test.
    value.unwrap_or_else(|| panic!("built-in value {text:?}: {:?}", cx.reports))
}

/// A table's set keys as an inline table.
#[must_use]
pub fn print_inline<T: Table>(table: &T) -> String {
    let pairs: Vec<_> = T::KEYS
        .iter()
        .zip(table.fields())
        .filter(|(_, field)| field.place().is_some())
        .map(|(key, field)| format!("{} = {}", key.name, field.print()))
        .collect();
    format!("{{ {} }}", pairs.join(", "))
}

/// Makes a struct of values and its table of keys from one description.
///
/// `/// meaning`, then `name: Type = builtin, "why", Change, [(program, its name), …];`, where the type is one of `Typed`,
/// or of `Table` behind `table`.
macro_rules! table {
    (
        $(#[$doc:meta])*
        $name:ident $title:literal $(, check $check:ident)? {
            $(
                #[doc = $about:literal]
                $field:ident $(as $word:literal)? : $kind:ty = $builtin:expr, $why:literal, $change:ident, [$($also:expr),*];
            )+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $(#[doc = $about] pub $field: $kind,)+
        }

        impl $crate::config::keys::Table for $name {
            const NAME: &'static str = $title;
            const KEYS: &'static [$crate::config::keys::Key] = &[
                $($crate::config::keys::Key {
                    name: $crate::config::keys::name(stringify!($field), &[$($word)?]),
                    kind: <$kind as $crate::config::keys::Field>::KIND,
                    about: $about.trim_ascii(),
                    builtin: $builtin,
                    why: $why,
                    change: $crate::config::keys::Change::$change,
                    also: &[$($also),*],
                },)+
            ];

            fn initial() -> Self {
                static INITIAL: std::sync::LazyLock<$name> = std::sync::LazyLock::new(|| $name {
                    $($field: <$kind as $crate::config::keys::Field>::initial($builtin),)+
                });
                INITIAL.clone()
            }

            fn set(
                &mut self,
                index: usize,
                key: $crate::config::source::Place,
                value: &$crate::config::syntax::Node<'_>,
                cx: &mut $crate::config::decode::Cx<'_>,
            ) {
                let name = Self::KEYS[index].name;
                let mut at = 0;
                $(
                    if at == index {
                        return $crate::config::keys::Field::set(&mut self.$field, name, key, value, cx);
                    }
                    at += 1;
                )+
                let _ = at;
            }

            fn fields(&self) -> Vec<&dyn $crate::config::keys::Shown> {
                vec![$(&self.$field,)+]
            }

            fn inherit(&mut self, from: &Self) {
                $($crate::config::keys::Field::inherit(&mut self.$field, &from.$field);)+
            }

            $(
                fn check(&self, place: $crate::config::source::Place, cx: &mut $crate::config::decode::Cx<'_>) {
                    $check(self, place, cx);
                }
            )?
        }

        impl $crate::config::keys::Shown for $name {
            fn print(&self) -> String {
                $crate::config::keys::print_inline(self)
            }

            fn place(&self) -> Option<$crate::config::source::Place> {
                $crate::config::keys::Table::fields(self).iter().find_map(|field| field.place())
            }

            fn inside(&self) -> Option<(&'static [$crate::config::keys::Key], Vec<&dyn $crate::config::keys::Shown>)> {
                let keys = <Self as $crate::config::keys::Table>::KEYS;
                Some((keys, $crate::config::keys::Table::fields(self)))
            }
        }

        impl $crate::config::keys::Field for $name {
            const KIND: $crate::config::kind::Kind =
                $crate::config::kind::Kind::Table(<Self as $crate::config::keys::Table>::KEYS);

            fn initial(_: $crate::config::keys::Builtin) -> Self {
                <Self as $crate::config::keys::Table>::initial()
            }

            fn set(
                &mut self,
                name: &'static str,
                key: $crate::config::source::Place,
                value: &$crate::config::syntax::Node<'_>,
                cx: &mut $crate::config::decode::Cx<'_>,
            ) {
                $crate::config::decode::inner(value, self, name, key, cx);
            }

            fn inherit(&mut self, from: &Self) {
                $crate::config::keys::Table::inherit(self, from);
            }
        }
    };
}
pub(crate) use table;

/// The name of a key: its field's, or the word that a field cannot be called.
#[must_use]
pub const fn name(field: &'static str, word: &[&'static str]) -> &'static str {
    match word {
        [word, ..] => word,
        [] => field,
    }
}

/// Each key of a table and of the tables in it, with its full name.
pub fn walk(keys: &'static [Key], prefix: &str, each: &mut dyn FnMut(&str, &'static Key)) {
    for key in keys {
        let full = if prefix.is_empty() { key.name.to_owned() } else { format!("{prefix}.{}", key.name) };
        match (key.kind, key.builtin) {
            (Kind::Table(inner), Builtin::Inside) => walk(inner, &full, each),
            _ => each(&full, key),
        }
    }
}
