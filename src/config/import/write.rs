//! Writing TOML: strings, keys, names of workers, a worker's table.

use std::fmt::Display;

/// The longest name of a worker, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// A TOML basic string.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A TOML list of strings.
pub(super) fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let items: Vec<_> = items.into_iter().map(quote).collect();
    format!("[{}]", items.join(", "))
}

/// A TOML key, in quotes where it needs them.
fn key(text: &str) -> String {
    let bare = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if bare { text.to_owned() } else { quote(text) }
}

/// Literal text as a value of quell's, in which `$` is special.
pub(super) fn escape_dollars(text: &str) -> String {
    text.replace('$', "$$")
}

/// The names that workers have been given.
#[derive(Default)]
pub(super) struct Names {
    taken: Vec<String>,
}

impl Names {
    /// A name for what was called so; it differs where that can be no worker's name, or is another's already.
    pub(super) fn give(&mut self, wanted: &str) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let mut base: String =
            wanted.chars().take(NAME_BYTES_MAX).map(|c| if plain(c) { c } else { '_' }).collect::<String>();
        if base.is_empty() || base.starts_with('.') {
            base.replace_range(..base.len().min(1), "_");
        }
        let mut name = base.clone();
        for number in 2.. {
            if !self.taken.contains(&name) {
                break;
            }
            let suffix = format!("-{number}");
            name = format!("{}{suffix}", &base[..base.len().min(NAME_BYTES_MAX - suffix.len())]);
        }
        self.taken.push(name.clone());
        name
    }
}

/// A worker's table, as far as it is written.
pub(super) struct Worker {
    text: String,
}

impl Worker {
    pub(super) fn new(name: &str) -> Worker {
        Worker { text: format!("\n[worker.{}]\n", key(name)) }
    }

    /// A value that is TOML already.
    pub(super) fn put(&mut self, key: &str, value: impl Display) {
        self.text.push_str(&format!("{key} = {value}\n"));
    }

    /// A string.
    pub(super) fn put_text(&mut self, key: &str, value: &str) {
        self.put(key, quote(value));
    }

    /// Variables of the environment, one to a line.
    pub(super) fn put_env(&mut self, env: &[(String, String)]) {
        for (name, value) in env {
            self.put_text(&format!("env.{}", key(name)), value);
        }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}
