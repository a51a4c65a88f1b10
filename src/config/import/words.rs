//! Command lines: into words, and what of them only a shell understands.

/// Written like commands, but only a shell has them: no file of that name could be run.
const OF_THE_SHELL: [&str; 26] = [
    "!", ".", ":", "[[", "alias", "break", "case", "cd", "eval", "exec", "exit", "export", "for", "function", "if",
    "read", "set", "shift", "source", "time", "trap", "ulimit", "umask", "unset", "until", "while",
];

/// A word of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// Without its quotes.
    pub(super) text: String,
    /// Whether any of it was quoted.
    pub(super) quoted: bool,
}

/// The words of a line; none where a quotation is not closed, or a backslash ends it.
///
/// These are the rules of Python's `shlex.split`, by which supervisord goes: unlike in a shell, `#` begins no comment, and
/// between double quotes a backslash is special before `"` and `\` only. (The crate `shlex` goes by the shell's.)
pub(super) fn split(line: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if matches!(c, ' ' | '\t' | '\r' | '\n') {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_with(|| Word { text: String::new(), quoted: false });
        match c {
            '\\' => word.text.push(chars.next()?),
            '\'' | '"' => {
                word.quoted = true;
                loop {
                    match chars.next()? {
                        end if end == c => break,
                        '\\' if c == '"' => match chars.next()? {
                            escaped @ ('"' | '\\') => word.text.push(escaped),
                            other => word.text.extend(['\\', other]),
                        },
                        other => word.text.push(other),
                    }
                }
            }
            _ => word.text.push(c),
        }
    }
    words.extend(word);
    Some(words)
}

/// How a shell would see a line.
pub(super) struct ShellLine {
    /// Whether it takes a shell to run it.
    pub(super) needs_shell: bool,
    /// Where `exec` can stand so that the shell becomes the command; none where it has more to do than to start it.
    pub(super) exec_at: Option<usize>,
}

/// Looks for what only a shell understands.
pub(super) fn look(line: &str) -> ShellLine {
    let Scan { plain, expands, closed } = scan(line);
    let mut simple = closed;
    let mut special = expands || !closed;
    let mut previous = ' ';
    for (_, c) in &plain {
        let redirects = *c == '&' && matches!(previous, '<' | '>');
        simple &= redirects || !matches!(c, '&' | '|' | ';' | '(' | ')');
        let word_starts = previous.is_whitespace();
        special |= matches!(c, '&' | '|' | ';' | '<' | '>' | '(' | ')' | '*' | '?' | '[' | '{');
        special |= word_starts && matches!(c, '~' | '#' | '}' | '!');
        simple &= !(word_starts && matches!(c, '{' | '}' | '!'));
        previous = *c;
    }
    let start = command_start(line, &plain);
    let first = line[start..].split_whitespace().next().unwrap_or_default();
    let shells_own = OF_THE_SHELL.contains(&first);
    let exec_at = (simple && !shells_own && !first.is_empty()).then_some(start);
    ShellLine { needs_shell: special || shells_own || start > 0, exec_at }
}

struct Scan {
    /// The characters that no quotation and no substitution holds, and where they stand.
    plain: Vec<(usize, char)>,
    /// Whether anything is substituted.
    expands: bool,
    /// Whether every quotation and substitution ends.
    closed: bool,
}

fn scan(line: &str) -> Scan {
    let mut out = Scan { plain: Vec::new(), expands: false, closed: true };
    // What would close each piece that is open.
    let mut open: Vec<char> = Vec::new();
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let within = open.last().copied();
        match c {
            _ if within == Some('\'') && c != '\'' => {}
            '\\' => {
                let escaped = chars.next().map(|(_, escaped)| escaped);
                out.closed &= escaped.is_some();
                // The one escape that a shell and `split` take differently.
                out.expands |= matches!(escaped, Some('$' | '`'));
                out.plain.push((at, '\\'));
            }
            _ if within == Some(c) => {
                open.pop();
            }
            '$' => {
                out.expands = true;
                out.plain.push((at, '$'));
                if let Some((_, opening @ ('(' | '{'))) = chars.peek().copied() {
                    chars.next();
                    open.push(if opening == '(' { ')' } else { '}' });
                }
            }
            '`' => {
                out.expands = true;
                open.push('`');
            }
            '\'' if within != Some('"') => open.push('\''),
            '"' => open.push('"'),
            '(' if within == Some(')') => open.push(')'),
            _ if within.is_none() => out.plain.push((at, c)),
            _ => {}
        }
    }
    out.closed &= open.is_empty();
    out
}

/// Where the command begins: after the assignments in front of it.
fn command_start(line: &str, plain: &[(usize, char)]) -> usize {
    let mut start = 0;
    loop {
        let name = line[start..].split('=').next().unwrap_or_default();
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name || name.len() == line.len() - start {
            return start;
        }
        let mut after = plain.iter().filter(|(at, c)| *at > start && c.is_whitespace());
        let Some((blank, _)) = after.next() else { return line.len() };
        let rest = &line[*blank..];
        start = *blank + rest.len() - rest.trim_start().len();
    }
}
