//! The types of the configuration's values that are written as text, and what is said of each when it is wrong.

use super::decode::Cx;
use super::kind::{Form, Kind, nearest};
use super::policy::{Retain, Rotate, Sync};
use super::report::Report;
use super::syntax::Node;
use super::typed::{FromText, Text, Typed, Wrong, no_nul, quote};
use super::unit::{UnitError, parse_duration, parse_size, write_duration, write_size};
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::de::DeValue;

impl From<UnitError> for Wrong {
    fn from(error: UnitError) -> Wrong {
        Wrong { text: error.text, help: error.help, meant: error.meant }
    }
}

impl FromText for Duration {
    const FORM: Form =
        Form { name: "a duration", example: "5s", pattern: "^ *[0-9]+([.][0-9]+)? *(ns|us|ms|s|m|h|d|w) *$|[$]" };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        Ok(parse_duration(text)?)
    }

    fn of_number(number: &str) -> Option<Wrong> {
        let help = match number.parse::<u64>() {
            Ok(millis) if millis >= 1000 && millis % 1000 == 0 => {
                format!("write \"{}s\" or \"{number}ms\"", millis / 1000)
            }
            _ => format!("write \"{number}s\" or \"{number}ms\""),
        };
        Some(Wrong::new(format!("{number} what? a duration has a unit"), help))
    }

    fn to_text(&self) -> String {
        write_duration(*self)
    }
}

/// A size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl FromText for Size {
    const FORM: Form = Form {
        name: "a size",
        example: "64MiB",
        pattern: "^ *[0-9]+([.][0-9]+)? *(B|kB|KB|KiB|MB|MiB|GB|GiB|TiB) *$|[$]",
    };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        Ok(Size(parse_size(text)?))
    }

    fn of_number(number: &str) -> Option<Wrong> {
        let help = format!("write \"{number}B\", \"{number}KiB\" or \"{number}MiB\"");
        Some(Wrong::new(format!("{number} what? a size has a unit"), help))
    }

    fn to_text(&self) -> String {
        write_size(self.0)
    }
}

/// A size, or the number 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeOrOff(pub u64);

impl Typed for SizeOrOff {
    const KIND: Kind = Kind::OneOf(&[Size::KIND, Kind::Integer(0, 0)]);

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::Integer(number) if number.as_str() == "0" => Some(SizeOrOff(0)),
            _ => Size::decode(node, cx).map(|size| SizeOrOff(size.0)),
        }
    }

    fn print(&self) -> String {
        if self.0 == 0 { "0".into() } else { Size(self.0).print() }
    }
}

impl FromText for Rotate {
    const FORM: Form =
        Form { name: "a size, a duration or both", example: "64MiB or 1d", pattern: "^ *never *$|[0-9][a-zA-Z ]|[$]" };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        text.parse().map_err(split)
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

impl FromText for Retain {
    const FORM: Form =
        Form { name: "a duration, a size or both", example: "7d, 1GiB", pattern: "^ *forever *$|[0-9][a-zA-Z ]|[$]" };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        text.parse().map_err(split)
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

impl FromText for Sync {
    const FORM: Form = Form {
        name: "\"rotation\", \"always\" or a duration",
        example: "10s",
        pattern: "^(rotation|always)$|[0-9] *[a-z]|[$]",
    };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        word_or(text, &["rotation", "always"], |text| Ok(text.parse::<Sync>()?))
    }

    fn of_number(number: &str) -> Option<Wrong> {
        Duration::of_number(number)
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

/// What is wrong, and what to do, as our own messages part them.
fn split(message: String) -> Wrong {
    match message.split_once("; ") {
        Some((text, help)) => Wrong::new(text, help),
        None => Wrong::new(message, "see `quell explain`"),
    }
}

/// A text that is read by `other` unless it is one of some words; one that is like a word is taken for it.
fn word_or<T>(text: &str, words: &[&str], other: impl Fn(&str) -> Result<T, Wrong>) -> Result<T, Wrong> {
    other(text).map_err(|wrong| match nearest(text, words.iter().copied()) {
        Some(near) if near != text => Wrong::meant(format!("{text:?} is unknown here"), near),
        _ => wrong,
    })
}

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

/// The signals' names, without SIG.
pub const SIGNALS: [&str; 30] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR",
];

/// A signal by its name, without SIG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalName(pub &'static str);

impl FromText for SignalName {
    const FORM: Form = Form { name: "a signal", example: "TERM", pattern: "^(SIG)?[A-Z0-9]+$|[$]" };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        let short = text.strip_prefix("SIG").unwrap_or(text);
        if let Some(name) = SIGNALS.iter().find(|name| **name == short) {
            return Ok(SignalName(name));
        }
        let prefix = if text.len() > 3 && text[..3].eq_ignore_ascii_case("SIG") { "SIG" } else { "" };
        match nearest(&text[prefix.len()..], SIGNALS) {
            Some(near) => Err(Wrong::meant(format!("no signal is called {text:?}"), format!("{prefix}{near}"))),
            None => Err(Wrong::new(
                format!("no signal is called {text:?}"),
                "write TERM, INT, HUP, QUIT, USR1, … (signal(7))",
            )),
        }
    }

    fn of_number(number: &str) -> Option<Wrong> {
        Some(Wrong::new(
            format!("{number} is a number, which differs between machines"),
            "write the signal's name, as in \"TERM\"",
        ))
    }

    fn to_text(&self) -> String {
        self.0.into()
    }
}

/// Permission bits, in octal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Octal(pub u32);

impl FromText for Octal {
    const FORM: Form = Form { name: "an octal number in quotes", example: "022", pattern: "^0?[0-7]{3}$|[$]" };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let bits = u32::from_str_radix(digits, 8).ok().filter(|bits| *bits <= 0o777 && (3..=4).contains(&digits.len()));
        bits.map(Octal).ok_or_else(|| {
            Wrong::new(
                format!("{text:?} is no octal number up to 0777"),
                "write three digits from 0 to 7, as in \"022\"",
            )
        })
    }

    fn of_number(number: &str) -> Option<Wrong> {
        Some(match number.strip_prefix("0o") {
            Some(digits) => Wrong::meant("bits are written as octal text", format!("{digits:0>3}")),
            None => Wrong::new(
                format!("{number} as a number is decimal; bits are written as octal text"),
                format!("write \"{number:0>3}\""),
            ),
        })
    }

    fn to_text(&self) -> String {
        format!("{:03o}", self.0)
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
        pattern: "^(/|[.]/|.*:[0-9]+$)|[$]",
    };

    fn from_text(text: &str, cx: &Cx<'_>) -> Result<Self, Wrong> {
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
        match self {
            Address::Tcp(host, port) => format!("{host}:{port}"),
            Address::Unix(path) => path.to_string_lossy().into_owned(),
        }
    }
}

/// A path that a socket can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketPath(pub PathBuf);

impl FromText for SocketPath {
    const FORM: Form = Form { name: "a socket's path", example: "/run/quell.sock", pattern: "^[^~]" };

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

/// A share of one core, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(pub u32);

impl FromText for Percent {
    const FORM: Form = Form { name: "a percentage", example: "90%", pattern: "^[0-9]+%$|[$]" };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        let number = text.strip_suffix('%').and_then(|number| number.trim().parse().ok());
        let wrong =
            || Wrong::new(format!("{text:?} is no percentage"), "write one from \"1%\" to \"100%\", of one core");
        let percent: u32 = number.ok_or_else(wrong)?;
        match percent {
            1..=100 => Ok(Percent(percent)),
            _ => Err(Wrong::new(
                format!("{text:?} is out of range: it must be 1–100 %"),
                "write one from \"1%\" to \"100%\", of one core",
            )),
        }
    }

    fn of_number(number: &str) -> Option<Wrong> {
        Some(match number.parse::<u32>() {
            Ok(1..=100) => Wrong::meant(format!("{number} what? a share has a unit"), format!("{number}%")),
            _ => Wrong::new(
                format!("{number} is out of range: it must be 1–100 %"),
                "write one from \"1%\" to \"100%\", of one core",
            ),
        })
    }

    fn to_text(&self) -> String {
        format!("{}%", self.0)
    }
}

/// A list of rules: a shipped one by its name, a file by its path, or `!levels` for not that one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListName(pub String);

/// What leaves out the list that is always there.
pub const NOT_LEVELS: &str = "!levels";

impl FromText for ListName {
    const FORM: Form = Form { name: "a list's name or path", example: "heartbeat", pattern: "^[^~]" };

    fn from_text(text: &str, cx: &Cx<'_>) -> Result<Self, Wrong> {
        check_path(text)?;
        if text.starts_with('!') && text != NOT_LEVELS {
            return Err(Wrong::meant(format!("{text:?}: only `levels` can be left out"), NOT_LEVELS));
        }
        let is_path = text.contains('/') || Path::new(text).extension().is_some_and(|e| e == "list");
        Ok(ListName(if is_path { cx.resolve(text).to_string_lossy().into_owned() } else { text.into() }))
    }

    fn to_text(&self) -> String {
        self.0.clone()
    }
}

/// When something happens again and again: five fields, as crontab(5) has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(pub String);

impl FromText for Schedule {
    const FORM: Form = Form { name: "a schedule", example: "0 3 * * *", pattern: "^([^ ]+ +){4,5}[^ ]+$|^@|[$]" };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        let mut options = cronexpr::ParseOptions::default();
        options.fallback_timezone_option = cronexpr::FallbackTimezoneOption::UTC;
        let help = "write minute, hour, day, month and weekday, as in \"0 3 * * *\" (crontab(5))";
        let crontab = cronexpr::parse_crontab_with(text, options).map_err(|e| {
            let why = e.to_string();
            let why = why.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned();
            Wrong::new(format!("{text:?} is no schedule: {why}"), help)
        })?;
        // Any moment will do to see whether there is a next one; February has 29 days every four years, but for one in 1900.
        match crontab.find_next("2024-01-01T00:00:00Z") {
            Ok(_) => Ok(Schedule(text.to_owned())),
            Err(_) => Err(Wrong::new(
                format!("{text:?} never comes: {}", no_such_day(text)),
                "write a day that its month has",
            )),
        }
    }

    fn to_text(&self) -> String {
        self.0.clone()
    }
}

/// Why a schedule never comes: its day and its months, as people call them.
fn no_such_day(schedule: &str) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut fields = schedule.split_whitespace().skip(2);
    let (day, months) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    let name = |month: &str| match month.parse::<usize>() {
        Ok(number @ 1..=12) => MONTHS[number - 1].to_owned(),
        _ => month.to_owned(),
    };
    let months: Vec<_> = months.split(',').map(name).collect();
    format!("{day} {} never occurs", months.join(", "))
}

/// A user or a group, by name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(pub String);

impl Typed for Identity {
    const KIND: Kind = Kind::OneOf(&[
        Kind::Text(Form { name: "a name", example: "www-data", pattern: "^[^ :,]+$" }),
        Kind::Integer(0, u32::MAX as i64 - 1),
    ]);

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        let place = cx.place(node.span());
        let text = match node.get_ref() {
            DeValue::Integer(number) => number.as_str().to_owned(),
            DeValue::String(_) => cx.expand(node, false)?,
            _ => {
                cx.expected(&Self::KIND, node);
                return None;
            }
        };
        let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        let fits = text.parse::<u32>().is_ok_and(|id| id != u32::MAX);
        let is_name = !text.is_empty() && !text.contains([' ', ':', ',', '/', '\0']);
        if if is_number { fits } else { is_name } {
            return Some(Identity(text));
        }
        let report = Report::error(place, format!("{text:?} is no user or group"));
        cx.report(report.help("write a name, as in \"www-data\", or a number"));
        None
    }

    fn print(&self) -> String {
        quote(&self.0.replace('$', "$$"))
    }
}

/// A limit of a process (setrlimit(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// None.
    Unlimited,
    /// So many, or so many bytes.
    At(u64),
}

impl Typed for Limit {
    const KIND: Kind = Kind::OneOf(&[Kind::Integer(0, i64::MAX), Size::KIND, Kind::Choice(&["unlimited"])]);

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::Integer(number) => {
                let value = number.as_str().replace('_', "").parse::<i64>().ok().and_then(|n| u64::try_from(n).ok());
                if value.is_none() {
                    let report = Report::error(cx.place(node.span()), "a limit must be from 0 to 9223372036854775807");
                    cx.report(report.help("write a number, a size such as \"1GiB\", or \"unlimited\""));
                }
                value.map(Limit::At)
            }
            DeValue::String(text) if text == "unlimited" => Some(Limit::Unlimited),
            DeValue::String(text) => {
                if let Some("unlimited") = nearest(text, ["unlimited"]) {
                    let place = cx.place(node.span());
                    let report = Report::error(place, format!("{text:?} is no limit"));
                    cx.report(report.help("did you mean \"unlimited\"?").fix(place, quote("unlimited")));
                    return None;
                }
                Size::decode(node, cx).map(|size| Limit::At(size.0))
            }
            _ => {
                cx.expected(&Self::KIND, node);
                None
            }
        }
    }

    fn print(&self) -> String {
        match self {
            Limit::Unlimited => quote("unlimited"),
            Limit::At(value) => value.to_string(),
        }
    }
}

/// How many tries, or no end of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tries {
    /// No end.
    Never,
    /// So many.
    After(u32),
}

impl Typed for Tries {
    const KIND: Kind = Kind::OneOf(&[Kind::Integer(1, u32::MAX as i64), Kind::Choice(&["never"])]);

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        let number = node.get_ref().as_integer().and_then(|number| number.as_str().parse().ok());
        match (node.get_ref(), number) {
            (DeValue::Integer(_), Some(tries @ 1..)) => Some(Tries::After(tries)),
            (DeValue::String(text), _) if text == "never" => Some(Tries::Never),
            _ => {
                cx.expected(&Self::KIND, node);
                None
            }
        }
    }

    fn print(&self) -> String {
        match self {
            Tries::Never => quote("never"),
            Tries::After(tries) => tries.to_string(),
        }
    }
}

/// Where a queue's tasks are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// In the state directory.
    Embedded,
    /// In a Redis server, by its URL.
    Redis(String),
}

impl FromText for Store {
    const FORM: Form = Form {
        name: "\"embedded\" or a Redis URL",
        example: "redis://127.0.0.1:6379/0",
        pattern: "^(embedded$|rediss?://.)|[$]",
    };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        word_or(text, &["embedded"], |text| match text {
            "embedded" => Ok(Store::Embedded),
            _ if ["redis://", "rediss://"]
                .iter()
                .any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty())) =>
            {
                Ok(Store::Redis(text.into()))
            }
            _ => Err(Wrong::new(
                format!("{text:?} is no store"),
                "write \"embedded\" or a URL such as \"redis://127.0.0.1:6379/0\"",
            )),
        })
    }

    fn to_text(&self) -> String {
        match self {
            Store::Embedded => "embedded".into(),
            Store::Redis(url) => url.clone(),
        }
    }
}

/// When a put is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durable {
    /// Before it is answered.
    Always,
    /// When the system writes it.
    Never,
    /// So long after it at most.
    After(Duration),
}

impl FromText for Durable {
    const FORM: Form = Form {
        name: "\"always\", \"never\" or a duration",
        example: "50ms",
        pattern: "^(always|never)$|[0-9] *[a-z]|[$]",
    };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        word_or(text, &["always", "never"], |text| match text {
            "always" => Ok(Durable::Always),
            "never" => Ok(Durable::Never),
            other => Ok(Durable::After(parse_duration(other)?)),
        })
    }

    fn of_number(number: &str) -> Option<Wrong> {
        Duration::of_number(number)
    }

    fn to_text(&self) -> String {
        match self {
            Durable::Always => "always".into(),
            Durable::Never => "never".into(),
            Durable::After(span) => write_duration(*span),
        }
    }
}

/// What is taken out of lines before anything is written: what stands between two literals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redaction {
    /// The literal before it.
    pub before: String,
    /// The literal behind it; empty for the line's end.
    pub after: String,
}

impl FromText for Redaction {
    const FORM: Form = Form { name: "two literals around `…`", example: "password=…&", pattern: "^.+(…|[.]{3})" };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        let parts = text.split_once('…').or_else(|| text.split_once("..."));
        match parts {
            Some((before, after)) if !before.is_empty() => Ok(Redaction { before: before.into(), after: after.into() }),
            _ => Err(Wrong::new(
                format!("{text:?} does not say what stands before the secret"),
                "write the text before it, `…`, and the text behind it, as in \"password=…&\"",
            )),
        }
    }

    fn to_text(&self) -> String {
        format!("{}…{}", self.before, self.after)
    }
}

/// What of quell's own environment a worker gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvFrom {
    /// All of it.
    All,
    /// None of it.
    None,
    /// What matches one of these names, which may have wildcards.
    Names(Vec<Text>),
}

impl Typed for EnvFrom {
    const KIND: Kind = Kind::OneOf(&[Kind::Choice(&["all", "none"]), Kind::List(&Text::KIND)]);

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::String(text) if text == "all" => Some(EnvFrom::All),
            DeValue::String(text) if text == "none" => Some(EnvFrom::None),
            DeValue::Array(_) => Vec::decode(node, cx).map(EnvFrom::Names),
            _ => {
                cx.expected(&Self::KIND, node);
                None
            }
        }
    }

    fn print(&self) -> String {
        match self {
            EnvFrom::All => quote("all"),
            EnvFrom::None => quote("none"),
            EnvFrom::Names(names) => names.print(),
        }
    }
}

/// A value that is either of one type or of another, told apart by whether it is a table.
macro_rules! or_table {
    ($(#[$doc:meta])* $name:ident { $(#[$word_doc:meta])* $word:ident($word_type:ty), $(#[$table_doc:meta])* $table:ident($table_type:ty) }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name { $(#[$word_doc])* $word($word_type), $(#[$table_doc])* $table($crate::config::typed::Item<$table_type>) }

        impl Typed for $name {
            const KIND: Kind = Kind::OneOf(&[<$word_type>::KIND, <$crate::config::typed::Item<$table_type>>::KIND]);

            fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self> {
                match node.get_ref() {
                    DeValue::Table(_) => $crate::config::typed::Item::decode(node, cx).map($name::$table),
                    DeValue::String(_) => <$word_type>::decode(node, cx).map($name::$word),
                    _ => {
                        cx.expected(&Self::KIND, node);
                        None
                    }
                }
            }

            fn print(&self) -> String {
                match self {
                    $name::$word(word) => word.print(),
                    $name::$table(table) => table.print(),
                }
            }
        }
    };
}
pub(super) use or_table;
