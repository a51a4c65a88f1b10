//! Why a program could not be executed, in words.

use crate::sys::peek;
use nix::errno::Errno;
use std::path::Path;

/// What an errno of execve(2) means here, and what to do.
#[must_use]
pub fn why_not(program: &Path, errno: Errno) -> String {
    let by_path = program.as_os_str().as_encoded_bytes().contains(&b'/');
    match errno {
        Errno::ENOENT if by_path && program.exists() => match interpreter(program) {
            Some(interpreter) if interpreter.ends_with('\r') => {
                let plain = interpreter.trim_end();
                format!("its first line ends in CR LF, so that {plain:?} is not found; convert it to LF")
            }
            Some(interpreter) => format!("it exists, but its interpreter {interpreter} does not"),
            None => "it exists, but the loader or library that it names does not".into(),
        },
        Errno::ENOENT if by_path => "no such file".into(),
        Errno::ENOENT => "not found in PATH".into(),
        Errno::EACCES if program.is_dir() => "it is a directory".into(),
        Errno::EACCES => {
            "permission denied; is it executable (chmod +x), and its file system not mounted noexec?".into()
        }
        Errno::ENOEXEC => "it is no program and has no #! line; add one, or run it with sh".into(),
        Errno::E2BIG => "the arguments and the environment are too long together".into(),
        Errno::ETXTBSY => "it is open for writing".into(),
        other => other.desc().into(),
    }
}

/// What the `#!` line names.
fn interpreter(program: &Path) -> Option<String> {
    let bytes = peek::head(program, 256).ok()?;
    let line = bytes.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    String::from_utf8_lossy(line).trim_start().split(' ').next().map(str::to_owned)
}
