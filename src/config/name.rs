//! What a worker is called: in messages, in marks, and later in paths. So a name is never a path, nor more than one line.

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Checks a name that somebody chose: letters, digits, `_`, `-` and, but for the first, `.`; at most 64 of them.
///
/// # Errors
/// What is wrong with it, and what is allowed.
pub fn check(name: &str) -> Result<String, String> {
    let odd = name.chars().find(|c| !is_plain(*c));
    let what = match (name, odd) {
        ("", _) => "a name has at least one character".into(),
        (_, Some(c)) => format!("{c:?} cannot stand in a name"),
        _ if name.starts_with('.') => "a name does not begin with a dot".into(),
        _ if name.len() > NAME_BYTES_MAX => format!("a name has at most {NAME_BYTES_MAX} characters"),
        _ => return Ok(name.to_owned()),
    };
    Err(format!("{what}; use letters, digits, '.', '_' and '-'"))
}

/// Makes a name of what something happens to be called: whatever cannot stand in one becomes `_`.
#[must_use]
pub fn from_text(text: &str) -> String {
    let name: String = text.chars().take(NAME_BYTES_MAX).map(|c| if is_plain(c) { c } else { '_' }).collect();
    match name.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None if name.is_empty() => "_".into(),
        None => name,
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// F8: no name leads out of its directory, or is two lines.
    #[test]
    fn names_that_are_refused() {
        for name in ["", ".", "..", "../x", "a/b", "a\nb", "a b", ".hidden", "ä", "\0", &"x".repeat(65)] {
            assert!(check(name).is_err(), "{name:?}");
        }
        for name in ["web", "web-1", "0", "a.b", "_x", "-", &"x".repeat(64)] {
            assert_eq!(check(name).as_deref(), Ok(name));
        }
    }

    proptest! {
        /// F8.
        #[test]
        fn whatever_something_is_called_there_is_a_name_for_it(text in any::<String>()) {
            let name = from_text(&text);
            prop_assert_eq!(check(&name), Ok(name.clone()));
            if check(&text).is_ok() {
                prop_assert_eq!(name, text);
            }
        }
    }
}
