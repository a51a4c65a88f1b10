//! A tree of TOML against the table of keys: checked values out, a report for each that is wrong.

use super::keys::{Key, Table};
use super::kind::{Kind, join, nearest};
use super::report::Report;
use super::source::{Place, position};
use super::syntax::{Document, Node};
use super::tables;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Looks an environment variable up.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// One file while it is decoded.
pub struct Cx<'a> {
    /// Its index among the sources.
    pub file: u32,
    /// Its text.
    pub text: &'a str,
    /// The folder that its relative paths are relative to.
    pub folder: &'a Path,
    /// Where variables come from.
    pub env: Env<'a>,
    /// What is wrong so far.
    pub reports: Vec<Report>,
    /// Variables that are not set: their names, and where they are asked for.
    pub unset: Vec<(String, Place)>,
}

impl Cx<'_> {
    /// A piece of the file.
    #[must_use]
    pub fn place(&self, bytes: Range<usize>) -> Place {
        Place::new(self.file, bytes)
    }

    /// A piece of the file as it was written.
    #[must_use]
    pub fn raw(&self, bytes: Range<usize>) -> &str {
        &self.text[bytes]
    }

    /// Adds a report.
    pub fn report(&mut self, report: Report) {
        self.reports.push(report);
    }

    /// Says that a value is of another kind.
    pub fn expected(&mut self, kind: &Kind, node: &Node<'_>) {
        let found = match node.get_ref() {
            DeValue::String(text) => format!("{text:?}"),
            DeValue::Integer(number) => format!("the number {number}"),
            DeValue::Float(number) => format!("the number {number}"),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Datetime(_) => "a date".into(),
            DeValue::Array(_) => "a list".into(),
            DeValue::Table(_) => "a table".into(),
        };
        let place = self.place(node.span());
        let report = Report::error(place, format!("expected {}, found {found}", kind.describe()));
        self.report(match (kind, node.get_ref()) {
            (Kind::Integer(..), DeValue::String(text)) if text.parse::<i64>().is_ok() => {
                report.help("numbers have no quotes").fix(place, text.to_string())
            }
            (Kind::Flag, DeValue::String(text)) if ["true", "false"].contains(&&**text) => {
                report.help("they have no quotes").fix(place, text.to_string())
            }
            (Kind::Text(form), DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_))
                if form.example.is_empty() =>
            {
                let quoted = toml::Value::from(self.raw(node.span())).to_string();
                report.help("write text in quotes").fix(place, quoted)
            }
            (Kind::List(Kind::Text(_) | Kind::Choice(_)), DeValue::String(_)) => {
                let list = format!("[{}]", self.raw(node.span()));
                report.help("write a list").fix(place, list)
            }
            (Kind::Integer(..) | Kind::Flag, DeValue::String(text)) if text.contains("${") => {
                report.help("variables stand for text only; write the value itself")
            }
            (Kind::Integer(..), _) => report.help("write an integer, without quotes"),
            (Kind::Flag, _) => report.help("write true or false"),
            (kind, _) => report.help(format!("write {}", kind.describe())),
        });
    }

    /// A text with its variables replaced; none, reported or noted, where that cannot be.
    pub fn expand(&mut self, node: &Node<'_>, literal_dollar: bool) -> Option<String> {
        let DeValue::String(text) = node.get_ref() else { return None };
        if !text.contains(['$', '%']) {
            return Some(text.to_string());
        }
        if let Some(name) = text.split("%(").skip(1).find_map(supervisord_expression) {
            let place = self.piece(node, &format!("%({name})"));
            let report = Report::error(place, format!("`%({name})` is literal here: `%` has no meaning"));
            self.report(report.help(match name.strip_prefix("ENV_") {
                Some(variable) => format!("write `${{{variable}}}` for a variable of the environment"),
                None if name == "process_num" => "write `{n}` for the number of an instance".into(),
                None => "write what it stands for".into(),
            }));
            return None;
        }
        self.variables(node, text, literal_dollar)
    }

    fn variables(&mut self, node: &Node<'_>, text: &str, literal_dollar: bool) -> Option<String> {
        let (mut out, mut rest, mut complete) = (String::new(), text, true);
        // Behind the last one, nothing closes.
        let last = text.rfind('}').map_or(0, |at| text.len() - at);
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            let tail = &rest[at + 1..];
            if let Some(after) = tail.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if let Some((inner, after)) = tail
                .strip_prefix('{')
                .filter(|tail| tail.len() >= last && last > 0)
                .and_then(|tail| tail.split_once('}'))
            {
                let (name, default) = inner.split_once(":-").map_or((inner, None), |(n, d)| (n, Some(d)));
                if !is_variable(name) || inner.contains("${") {
                    let place = self.piece(node, &format!("${{{inner}}}"));
                    let report = match is_variable(name) {
                        true => Report::error(place, "a default cannot hold another variable"),
                        false => Report::error(place, format!("`${{{inner}}}` names no variable")),
                    };
                    self.report(report.help("write `${NAME}` or `${NAME:-default}`; `$$` is a dollar"));
                    return None;
                }
                let value = (self.env)(name).filter(|value| default.is_none() || !value.is_empty());
                match value.or_else(|| default.map(str::to_owned)) {
                    Some(value) => out.push_str(&value),
                    None => {
                        let place = self.piece(node, &format!("${{{inner}}}"));
                        self.unset.push((name.to_owned(), place));
                        complete = false;
                    }
                }
                rest = after;
            } else if literal_dollar {
                out.push('$');
                rest = tail;
            } else {
                self.stray_dollar(node, tail);
                return None;
            }
        }
        out.push_str(rest);
        complete.then_some(out)
    }

    fn stray_dollar(&mut self, node: &Node<'_>, tail: &str) {
        let name: String = tail.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let place = self.piece(node, &format!("${name}"));
        let report = Report::error(place, format!("`${name}` is literal here"));
        self.report(if is_variable(&name) {
            let help = format!("write `${{{name}}}` for the variable, or `$${name}` for the text");
            report.help(help).fix(place, format!("${{{name}}}"))
        } else {
            report.help("write `$$` for a dollar").fix(place, format!("$${name}"))
        });
    }

    /// Where a part of a value stands; the whole value where it is written in another way.
    pub fn piece(&self, node: &Node<'_>, part: &str) -> Place {
        let span = node.span();
        match self.raw(span.clone()).find(part) {
            Some(at) => self.place(span.start + at..span.start + at + part.len()),
            None => self.place(span),
        }
    }

    /// A path, made absolute by the file's folder.
    #[must_use]
    pub fn resolve(&self, path: &str) -> PathBuf {
        let joined = self.folder.join(path.strip_prefix("./").unwrap_or(path));
        if joined.as_os_str().is_empty() { PathBuf::from(".") } else { joined }
    }
}

/// Whether a variable of the environment can have this name.
#[must_use]
pub fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The name of one of supervisord's expressions, from behind its `%(`; others, such as gunicorn's `%(h)s`, are plain text.
fn supervisord_expression(rest: &str) -> Option<&str> {
    const NAMES: [&str; 6] = ["program_name", "process_num", "group_name", "here", "host_node_name", "numprocs"];
    let (name, _) = rest.split_once(')')?;
    (NAMES.contains(&name) || name.strip_prefix("ENV_").is_some_and(is_variable)).then_some(name)
}

/// A table of the file: what it is called, and where it begins.
pub struct Scope<'a> {
    /// As in `[worker.web]`.
    pub name: &'a str,
    /// Its header.
    pub header: Place,
    /// Keys in it that are decoded elsewhere.
    pub elsewhere: &'a [&'a str],
}

impl Scope<'_> {
    /// The worker or queue that it is of.
    fn owner(&self) -> Option<&str> {
        self.name.trim_matches(['[', ']']).split('.').nth(1)
    }
}

/// Decodes a table's keys into their fields.
pub fn table<T: Table>(document: &Document<'_>, table: &DeTable<'_>, into: &mut T, scope: &Scope<'_>, cx: &mut Cx<'_>) {
    for (key, value) in table {
        if document.is_broken(&key.span()) || document.is_broken(&value.span()) {
            continue;
        }
        let place = cx.place(key.span());
        let name: &str = key.get_ref();
        match T::KEYS.iter().position(|key| key.name == name) {
            Some(index) => into.set(index, place, value, cx),
            None if scope.elsewhere.contains(&name) => {}
            None => unknown(name, place, T::KEYS, scope, cx),
        }
    }
}

/// More keys than this are no help in a message.
const KEYS_LISTED_MAX: usize = 14;

/// Says that a key is unknown, and which one could be meant.
fn unknown(name: &str, place: Place, keys: &'static [Key], scope: &Scope<'_>, cx: &mut Cx<'_>) {
    let near = nearest(name, keys.iter().map(|key| key.name).chain(scope.elsewhere.iter().copied()));
    let since = |report: Report| report.also(scope.header, format!("{} begins here", scope.name));
    let unknown = || Report::error(place, format!("unknown key `{name}` in {}", scope.name));
    let about_log = |table: &str| table == "[log]" && scope.elsewhere.contains(&"log");
    let report = if let Some(alias) = tables::alias(name) {
        let (key, written) = match about_log(alias.table) {
            true => (format!("log.{}", alias.key), format!("log.{}", alias.written)),
            false => (alias.key, alias.written),
        };
        let here = about_log(alias.table) || keys.iter().any(|known| key.split('.').next() == Some(known.name));
        let help = if here { format!("write `{written}`") } else { format!("write `{written}` in {}", alias.table) };
        let report = Report::error(place, format!("`{name}` is {}'s; here it is `{key}`", alias.tool));
        report.help(format!("{help}; `quell explain {key}` says more"))
    } else if let Some(inside) = tables::inside(keys, name) {
        unknown().help(format!("write `{inside}`")).fix(place, inside)
    } else if let Some(near) = near {
        unknown().help(format!("did you mean `{near}`?")).fix(place, near)
    } else if let Some(table) = tables::home(name) {
        if about_log(table) {
            let report = Report::error(place, format!("`{name}` is about the log of {}", scope.name));
            report.help(format!("write `log.{name}`")).fix(place, format!("log.{name}"))
        } else {
            let table = scope.owner().map_or(table.to_owned(), |owner| table.replace("NAME", owner));
            let (line, _) = position(cx.text, scope.header.start as usize);
            let what = format!("`{name}` belongs to {table}; you are in {} since line {line}", scope.name);
            since(Report::error(place, what)).help(format!("move it to {table}"))
        }
    } else if keys.len() > KEYS_LISTED_MAX {
        since(unknown()).help("`quell explain --reference` lists all keys")
    } else {
        since(unknown()).help(format!("it has {}", join(keys.iter().map(|key| format!("`{}`", key.name)), "and")))
    };
    cx.report(report);
}

/// Decodes a table that is the value of a key.
pub fn inner<T: Table>(node: &Node<'_>, into: &mut T, name: &str, header: Place, cx: &mut Cx<'_>) {
    let DeValue::Table(inner) = node.get_ref() else {
        cx.expected(&Kind::Table(T::KEYS), node);
        return;
    };
    for (key, value) in inner {
        let place = cx.place(key.span());
        match T::KEYS.iter().position(|known| known.name == &**key.get_ref()) {
            Some(index) => into.set(index, place, value, cx),
            None => {
                let scope = Scope { name: &format!("`{name}`"), header, elsewhere: &[] };
                unknown(key.get_ref(), place, T::KEYS, &scope, cx);
            }
        }
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
