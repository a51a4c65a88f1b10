//! What other supervisors were told, as quell's configuration: text to text, nothing is read or run.
//!
//! A key is written where it says something, or where the other tool's built-in value means something else than quell's.
//! Whatever has no counterpart is named with its place and with what to do instead: nothing is passed over in silence.

mod expand;
mod ini;
mod logs;
mod procfile;
mod program;
mod supervisord;
mod words;
mod write;

pub use procfile::procfile;
pub use supervisord::supervisord;

/// What a translation gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The configuration, as TOML text with comments.
    pub text: String,
    /// What could not be translated, in the order of the file.
    pub left: Vec<Left>,
}

/// Something that has no counterpart in quell, or none that means quite the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its line, from 1.
    pub line: u32,
    /// Its column in characters, from 1.
    pub column: u32,
    /// What it is, and what to do instead.
    pub what: String,
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.what)
    }
}

impl Translation {
    /// Some parts find what is left later than others: here it gets the order of the file. Whatever a name or a value has
    /// in it, what is said of it is one line, and no terminal's commands.
    fn new(text: String, mut left: Vec<Left>) -> Translation {
        for item in &mut left {
            item.what = item.what.replace(char::is_control, "?");
        }
        left.sort_by_key(|item| (item.line, item.column));
        Translation { text, left }
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
