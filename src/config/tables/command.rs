//! What is run: a program with its arguments, or a shell's command line.

use crate::config::decode::Cx;
use crate::config::kind::{Form, Kind};
use crate::config::report::Report;
use crate::config::syntax::Node;
use crate::config::typed::{FromText, Text, Typed, Wrong};
use toml::de::DeValue;

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argv(pub Vec<Text>);

impl Typed for Argv {
    // Nothing that only a shell understands.
    const KIND: Kind = Kind::List(&Kind::Text(Form {
        pattern: "^(?!(&&|[|][|]?|>>?|<<?|&|2>|2>&1|&>|>&2|1>&2|2>/dev/null|~|~/.*)$)([^$\\u0000]|[$][$]|[$][{][A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?[}])*$",
        ..Text::FORM
    }));

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        if let DeValue::String(text) = node.get_ref() {
            let place = cx.place(node.span());
            let report = Report::error(place, "a command is a list of strings: no shell takes it apart");
            let plain = !text.contains(['"', '\'', '\\', '$', '&', '|', '<', '>', ';', '*', '?', '`', '(']);
            let words: Vec<_> = text.split_whitespace().map(|word| Text(word.into())).collect();
            cx.report(match plain && !words.is_empty() {
                true => report.help("write a list").fix(place, words.print()),
                false => report.help(format!("write a list, or `shell = {}`", cx.raw(node.span()))),
            });
            return None;
        }
        let items = Vec::<Text>::decode(node, cx)?;
        if node.get_ref().as_array().is_some_and(|nodes| nodes.len() != items.len()) {
            return None;
        }
        let nodes = node.get_ref().as_array().into_iter().flat_map(|items| items.iter());
        let before = cx.reports.len();
        if items.first().is_none_or(|program| program.0.is_empty()) {
            let report = Report::error(cx.place(node.span()), "a command needs a program");
            cx.report(report.help("write it first, as in [\"/usr/bin/python3\", \"app.py\"]"));
        }
        for (at, (item, node)) in items.iter().zip(nodes).enumerate() {
            if let Some(wrong) = shell_habit(&items, at, &item.0) {
                cx.report(Report::error(cx.place(node.span()), wrong.text).help(wrong.help));
            }
        }
        (cx.reports.len() == before).then_some(Argv(items))
    }

    fn print(&self) -> String {
        self.0.print()
    }
}

/// What `/bin/sh -c` runs; a dollar that is no `${NAME}` is the shell's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShellText(pub String);

impl FromText for ShellText {
    const FORM: Form = Form { name: "a shell's command line, in quotes", example: "", pattern: "[^ \\t\\n]" };
    const DOLLAR: bool = true;

    fn from_text(text: &str, cx: &Cx<'_>) -> Result<Self, Wrong> {
        match text.trim().is_empty() {
            true => Err(Wrong::new("a command line cannot be empty", "write one, or remove the key")),
            false => Text::from_text(text, cx).map(|text| ShellText(text.0)),
        }
    }

    fn to_text(&self) -> String {
        self.0.clone()
    }
}

/// What a shell would have taken out of the arguments.
fn shell_habit(argv: &[Text], at: usize, argument: &str) -> Option<Wrong> {
    const OPERATORS: [&str; 14] =
        ["&&", "||", "|", ">", ">>", "<", "<<", "&", "2>", "2>&1", "&>", ">&2", "1>&2", "2>/dev/null"];
    // `cut -d |` means the character.
    let is_value = at > 0 && argv[at - 1].0.starts_with('-');
    if at > 0 && !is_value && OPERATORS.contains(&argument) {
        let whole = argv.iter().map(|word| word.0.as_str()).collect::<Vec<_>>().join(" ");
        let help = format!("write shell = {}", crate::config::typed::quote(&whole));
        return Some(Wrong::new(format!("`{argument}` becomes an argument: no shell reads it"), help));
    }
    if argument == "~" || argument.starts_with("~/") {
        let path = argument.trim_start_matches('~');
        let help = format!("write the whole path, as in \"/home/USER{path}\", or `${{HOME}}{path}`");
        return Some(Wrong::new(format!("`~` is not expanded in {argument:?}"), help));
    }
    // A folder may have blanks in its name; what comes behind them then is no option.
    let is_path = argument.starts_with('/') && !argument.contains(" -");
    if at == 0 && !is_path && argument.contains(char::is_whitespace) {
        let words: Vec<_> = argument.split_whitespace().map(|word| Text(word.into())).collect();
        let rest = argv.iter().skip(1).cloned();
        let list: Vec<_> = words.into_iter().chain(rest).collect();
        return Some(Wrong::new(
            format!("{argument:?} is taken for one program's name"),
            format!("write {}", list.print()),
        ));
    }
    None
}
