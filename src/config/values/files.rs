//! Files that are waited for.

use super::PathName;
use crate::config::decode::Cx;
use crate::config::kind::Form;
use crate::config::typed::{FromText, Wrong};
use glob::{MatchOptions, Pattern};
use std::path::PathBuf;

/// Files of one folder, by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePattern {
    /// The folder, made absolute. What looks like a wildcard in it is none.
    pub folder: PathBuf,
    /// Their names.
    pub name: Pattern,
}

impl FilePattern {
    /// Whether a file of this name is one of them. As in a shell, a dot at the beginning is matched by a dot alone: what is
    /// called so is not finished yet.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::default() };
        self.name.matches_with(name, options)
    }

    /// It as a path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join(self.name.as_str())
    }
}

impl FromText for FilePattern {
    const FORM: Form =
        Form { name: "a path whose last part may have wildcards", example: "in/*.csv", pattern: "^[^~]" };

    fn from_text(text: &str, cx: &Cx<'_>) -> Result<Self, Wrong> {
        let PathName(whole) = PathName::from_text(text, cx)?;
        let (folder, name) = text.rsplit_once('/').unwrap_or(("", text));
        if folder.contains(['*', '?', '[']) {
            return Err(Wrong::new(
                format!("{text:?}: only the last part of the path may have wildcards"),
                "write a trigger for each folder",
            ));
        }
        let parent = whole.parent().filter(|_| !["", ".", ".."].contains(&name));
        let Some(folder) = parent else {
            return Err(Wrong::new(
                format!("{text:?} is a folder, and files are waited for"),
                format!("write {:?} for all files in it", format!("{}/*", text.trim_end_matches('/'))),
            ));
        };
        if name.contains("**") {
            return Err(Wrong::new(
                format!("{text:?}: folders below {} are not looked into", folder.display()),
                "write `*`, and a trigger for each folder",
            ));
        }
        match Pattern::new(name) {
            Ok(name) => Ok(FilePattern { folder: folder.to_owned(), name }),
            Err(e) => Err(Wrong::new(
                format!("{text:?} is no pattern: {}", e.msg),
                "write `*`, `?` or `[a-z]`; `[*]` for a star",
            )),
        }
    }

    fn to_text(&self) -> String {
        self.path().to_string_lossy().into_owned()
    }
}
