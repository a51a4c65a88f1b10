//! `%(name)s` in values: known ones are filled in, variables of the environment become quell's `${NAME}`.

use super::write::escape_dollars;

/// What stands for the number of an instance in quell.
const NUMBER: &str = "{n}";

/// What the names in a value stand for.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// None in a section that is about no program.
    pub(super) program: Option<Program>,
    /// The folder of the file.
    pub(super) here: String,
    /// Variables that this file sets, their values expanded: supervisord takes them before its own environment's.
    pub(super) env: Vec<(String, String)>,
}

/// The program that a value belongs to.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) group: String,
    /// How many instances it has.
    pub(super) instances: u32,
    /// The number of the first of them.
    pub(super) first: u32,
}

/// A value in quell's writing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expanded {
    pub(super) text: String,
    /// What does not mean quite the same.
    pub(super) notes: Vec<String>,
}

/// `%(name)02d`, taken apart.
struct Reference<'a> {
    name: &'a str,
    zeros: bool,
    width: usize,
    conversion: char,
}

/// Expands a value. `{n}` may stand in it where `numbered`.
///
/// # Errors
/// What in it has no counterpart, and what to do instead.
pub(super) fn expand(value: &str, scope: &Scope, numbered: bool) -> Result<Expanded, String> {
    let mut out = Expanded { text: String::new(), notes: Vec::new() };
    if numbered && value.contains(NUMBER) {
        out.notes.push(format!("quell replaces {NUMBER} by the number of the instance; write it in another way"));
    }
    let mut rest = value;
    while let Some(at) = rest.find('%') {
        out.text.push_str(&escape_dollars(&rest[..at]));
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.text.push('%');
            rest = after;
            continue;
        }
        let Some((reference, after)) = read(rest) else {
            return Err("a `%` that begins no %(name)s; supervisord wants `%%` for a percent sign".into());
        };
        out.fill(&reference, scope, numbered)?;
        rest = after;
    }
    out.text.push_str(&escape_dollars(rest));
    Ok(out)
}

/// The reference after a `%`, and what follows it.
fn read(rest: &str) -> Option<(Reference<'_>, &str)> {
    let (name, tail) = rest.strip_prefix('(')?.split_once(')')?;
    let digits = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let conversion = tail[digits..].chars().next().filter(|c| matches!(c, 's' | 'd' | 'i'))?;
    let width = if digits == 0 { 0 } else { tail[..digits].parse().ok().filter(|width| *width <= 64)? };
    let reference = Reference { name, zeros: tail.starts_with('0') && conversion != 's', width, conversion };
    Some((reference, &tail[digits + conversion.len_utf8()..]))
}

impl Expanded {
    fn fill(&mut self, reference: &Reference<'_>, scope: &Scope, numbered: bool) -> Result<(), String> {
        let Reference { name, width, .. } = *reference;
        if let Some(program) = &scope.program {
            match name {
                "process_num" => return self.fill_number(reference, program, numbered),
                "numprocs" => {
                    self.text.push_str(&padded(program.instances, reference));
                    return Ok(());
                }
                _ => {}
            }
        }
        if reference.conversion != 's' || width > 0 {
            return Err(format!("%({name}) is text here; write %({name})s"));
        }
        match (name, &scope.program) {
            ("program_name", Some(program)) => self.text.push_str(&escape_dollars(&program.name)),
            ("group_name", Some(program)) => self.text.push_str(&escape_dollars(&program.group)),
            ("here", _) => self.text.push_str(&escape_dollars(&scope.here)),
            ("host_node_name", _) => {
                self.notes.push("quell does not know the host's name; write it instead of ${HOSTNAME}".into());
                self.text.push_str("${HOSTNAME}");
            }
            _ => match name.strip_prefix("ENV_").filter(|variable| is_variable(variable)) {
                Some(variable) => match scope.env.iter().find(|(known, _)| known == variable) {
                    Some((_, value)) if !numbered && value.contains(NUMBER) => return Err(no_number()),
                    Some((_, value)) => self.text.push_str(value),
                    None => self.text.push_str(&format!("${{{variable}}}")),
                },
                None => return Err(format!("%({name})s stands for nothing here; write what is meant")),
            },
        }
        Ok(())
    }

    fn fill_number(&mut self, reference: &Reference<'_>, program: &Program, numbered: bool) -> Result<(), String> {
        if program.instances == 1 {
            self.text.push_str(&padded(program.first, reference));
            return Ok(());
        }
        if !numbered {
            return Err(no_number());
        }
        // Zeros in front are the same for all numbers of one digit; quell writes none.
        let zeros = if reference.zeros && program.instances < 10 { reference.width.saturating_sub(1) } else { 0 };
        self.text.push_str(&"0".repeat(zeros));
        self.text.push_str(NUMBER);
        let mut differs = Vec::new();
        if program.first != 1 {
            differs.push(format!("from 1, not from {}", program.first));
        }
        if reference.width > zeros + 1 {
            differs.push(format!("without filling up to {} characters", reference.width));
        }
        if !differs.is_empty() {
            let how = differs.join(" and ");
            self.notes.push(format!("{NUMBER} counts {how}; see to the ports and names that are made of it"));
        }
        Ok(())
    }
}

fn no_number() -> String {
    format!(
        "the number of the instance, {NUMBER}, stands in commands and environments only; write what is the same for all"
    )
}

fn padded(number: u32, reference: &Reference<'_>) -> String {
    let width = reference.width;
    if reference.zeros { format!("{number:0width$}") } else { format!("{number:width$}") }
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
