//! What kinds of values there are: what a message calls them, and what the schema and the reference page say of them.

use super::keys::Key;

/// A kind of value.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number, from the one to the other.
    Integer(i64, i64),
    /// Text of some form.
    Text(Form),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list.
    List(&'static Kind),
    /// A table whose keys are the user's.
    Map(&'static Kind),
    /// A table with these keys.
    Table(&'static [Key]),
    /// One of several kinds.
    OneOf(&'static [Kind]),
}

/// The form of a text.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// What it is, as in "a duration".
    pub name: &'static str,
    /// One, as it would be written.
    pub example: &'static str,
    /// A regular expression (ECMA 262, as JSON schemas use them) that every such text matches; one with a `$` in it is
    /// only known when variables have been replaced.
    pub pattern: &'static str,
}

impl Kind {
    /// What a value of this kind is, as in "expected …".
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Kind::Flag => "true or false".into(),
            Kind::Integer(i64::MIN, i64::MAX) => "an integer".into(),
            Kind::Integer(min, i64::MAX) => format!("an integer from {min}"),
            Kind::Integer(min, max) => format!("an integer from {min} to {max}"),
            Kind::Text(form) if form.example.is_empty() => format!("{} in quotes", form.name),
            Kind::Text(form) => format!("{} such as {:?}", form.name, form.example),
            Kind::Choice(words) => format!("one of {}", join(words.iter().map(|word| format!("{word:?}")), "or")),
            Kind::List(of) => format!("a list, each item {}", of.describe()),
            Kind::Map(of) => format!("a table, each value {}", of.describe()),
            Kind::Table(keys) => {
                format!("a table with {}", join(keys.iter().map(|key| format!("`{}`", key.name)), "and"))
            }
            Kind::OneOf(kinds) => join(kinds.iter().map(Kind::describe), "or"),
        }
    }
}

/// Items as a sentence has them: `a, b or c`.
#[must_use]
pub fn join(items: impl Iterator<Item = String>, word: &str) -> String {
    let mut items: Vec<_> = items.collect();
    match items.pop() {
        None => String::new(),
        Some(only) if items.is_empty() => only,
        Some(last) => format!("{} {word} {last}", items.join(", ")),
    }
}

/// The one of some words that is most like another, if it is like it at all: at most a third of it has to be changed.
#[must_use]
pub fn nearest<'a>(word: &str, among: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.is_empty() {
        return None;
    }
    let lower = word.to_lowercase();
    let length = lower.chars().count();
    let distance = |other: &str| strsim::damerau_levenshtein(&lower, &other.to_lowercase());
    let is_near = |distance: usize, other: &str| distance * 3 <= other.chars().count().max(3);
    // At least so much has to be changed.
    let among = among.into_iter().filter(|other| is_near(length.abs_diff(other.chars().count()), other));
    let closest = among.into_iter().map(|other| (distance(other), other)).min_by_key(|(distance, _)| *distance);
    closest.filter(|(distance, other)| is_near(*distance, other)).map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words() {
        assert_eq!(nearest("comand", ["command", "cwd"]), Some("command"));
        assert_eq!(nearest("Restart", ["restart"]), Some("restart"));
        assert_eq!(nearest("wroker", ["worker"]), Some("worker"));
        assert_eq!(nearest("zzz", ["cwd", "env"]), None);
        assert_eq!(nearest("x", []), None);
    }
}
