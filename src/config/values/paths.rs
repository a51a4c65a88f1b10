//! Paths, what stands behind them, and addresses.

use crate::config::decode::Cx;
use crate::config::kind::Form;
use crate::config::typed::{FromText, Wrong, no_nul};
use std::fmt;
use std::path::{Path, PathBuf};

/// A path; a relative one is relative to the file that says it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathName(pub PathBuf);

impl FromText for PathName {
    const FORM: Form = Form { name: "a path", example: "/var/log/quell", pattern: "^[^~]" };

    fn from_text(text: &str, cx: &Cx<'_>) -> Result<Self, Wrong> {
        check_path(text)?;
        Ok(PathName(cx.resolve(text)))
    }

    fn to_text(&self) -> String {
        self.0.to_string_lossy().into_owned()
    }
}

/// A path that must be absolute, because there is nothing that it could be relative to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absolute(pub PathBuf);

impl FromText for Absolute {
    const FORM: Form = Form { name: "an absolute path", example: "/srv/app", pattern: "^/|[$]" };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        check_path(text)?;
        match text.starts_with('/') {
            true => Ok(Absolute(text.into())),
            false => Err(Wrong::new(
                format!("{text:?} is relative, and there is nothing it could be relative to"),
                "write the whole path, from `/` on",
            )),
        }
    }

    fn to_text(&self) -> String {
        self.0.to_string_lossy().into_owned()
    }
}

/// What every path has to be.
fn check_path(text: &str) -> Result<(), Wrong> {
    no_nul(text)?;
    if text.is_empty() {
        return Err(Wrong::new("a path cannot be empty", "write one, or remove the key"));
    }
    if let Some(rest) = text.strip_prefix('~') {
        let home = if rest.is_empty() || rest.starts_with('/') {
            format!("/home/USER{rest}")
        } else {
            format!("/home/{rest}")
        };
        return Err(Wrong::new(
            format!("`~` is not expanded in {text:?}"),
            format!("write the whole path, as in {home:?}, or `${{HOME}}{rest}`"),
        ));
    }
    Ok(())
}

/// A path with wildcards, made absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(pub PathBuf);

impl FromText for Pattern {
    const FORM: Form = Form { name: "a path with wildcards", example: "conf.d/*.toml", pattern: "^[^~]" };

    fn from_text(text: &str, cx: &Cx<'_>) -> Result<Self, Wrong> {
        check_path(text)?;
        let whole = cx.resolve(text);
        match glob::Pattern::new(&whole.to_string_lossy()) {
            Ok(_) => Ok(Pattern(whole)),
            Err(e) => Err(Wrong::new(
                format!("{text:?} is no pattern: {}", e.msg),
                "write `*`, `?` or `[a-z]`; `[*]` for a star",
            )),
        }
    }

    fn to_text(&self) -> String {
        self.0.to_string_lossy().into_owned()
    }
}

/// Where something listens or is listened to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// A host and a port.
    Tcp(String, u16),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// The longest path of a socket: sockaddr_un holds 108 bytes with the NUL (unix(7)).
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

impl FromText for Address {
    const FORM: Form = Form {
        name: "a host and a port, or a socket's path",
        example: "127.0.0.1:8080",
        pattern: "^([^~].*)?/|.:0*(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})$|[$]",
    };

    fn from_text(text: &str, cx: &Cx<'_>) -> Result<Self, Wrong> {
        if let Some((scheme, rest)) = text.split_once("://") {
            let help = format!("write host and port alone, without `{scheme}://`, as in \"127.0.0.1:8080\"");
            return Err(Wrong::new(format!("{text:?} is a URL, {rest:?} an address at best"), help));
        }
        if text.contains('/') {
            return SocketPath::from_text(text, cx).map(|path| Address::Unix(path.0));
        }
        let wrong = || Wrong::new(format!("{text:?} is no host and port"), "write both, as in \"127.0.0.1:8080\"");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let number: u64 = port.parse().map_err(|_| wrong())?;
        let port = u16::try_from(number)
            .map_err(|_| Wrong::new(format!("port {number} is above 65535"), "write a port from 1 to 65535"))?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if port == 0 || bare.is_empty() || (bare.contains(':') && bare == host) || bare.contains(char::is_whitespace) {
            return Err(wrong());
        }
        Ok(Address::Tcp(host.into(), port))
    }

    fn of_number(number: &str) -> Option<Wrong> {
        Some(match number.parse::<u16>() {
            Ok(_) => Wrong::meant(format!("{number} is a port without a host"), format!("127.0.0.1:{number}")),
            Err(_) => {
                Wrong::new(format!("port {number} is above 65535"), "write a host and a port, as in \"127.0.0.1:8080\"")
            }
        })
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(host, port) => write!(f, "{host}:{port}"),
            Address::Unix(path) => path.display().fmt(f),
        }
    }
}

/// A path that a socket can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketPath(pub PathBuf);

impl FromText for SocketPath {
    const FORM: Form = Form { name: "a socket's path", example: "/run/quell.sock", pattern: "^[^~].{0,106}$|[$]" };

    fn from_text(text: &str, cx: &Cx<'_>) -> Result<Self, Wrong> {
        let PathName(path) = PathName::from_text(text, cx)?;
        let bytes = path.as_os_str().len();
        if bytes > SOCKET_PATH_BYTES_MAX {
            let text = format!("a socket's path of {bytes} bytes; the limit is {SOCKET_PATH_BYTES_MAX} (unix(7))");
            return Err(Wrong::new(text, "write a shorter one, such as /run/quell/quell.sock"));
        }
        Ok(SocketPath(path))
    }

    fn to_text(&self) -> String {
        self.0.to_string_lossy().into_owned()
    }
}

/// A list of rules: a shipped one by its name, a file by its path, or `!levels` for not that one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListName(pub String);

/// What leaves out the list that is always there.
pub const NOT_LEVELS: &str = "!levels";

impl FromText for ListName {
    const FORM: Form = Form { name: "a list's name or path", example: "heartbeat", pattern: "^[^~!]|^!levels$|[$]" };

    fn from_text(text: &str, cx: &Cx<'_>) -> Result<Self, Wrong> {
        check_path(text)?;
        if text.starts_with('!') && text != NOT_LEVELS {
            let help = "a list that is not named is not used; take this out";
            return Err(Wrong::new(format!("{text:?}: only `levels` is always there, and can be left out"), help));
        }
        let is_path = text.contains('/') || Path::new(text).extension().is_some_and(|e| e == "list");
        Ok(ListName(if is_path { cx.resolve(text).to_string_lossy().into_owned() } else { text.into() }))
    }

    fn to_text(&self) -> String {
        self.0.clone()
    }
}
