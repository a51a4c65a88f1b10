//! What workers say of themselves in datagrams (sd_notify(3)). It comes from outside: what is unknown says nothing.

/// No status is longer.
const STATUS_BYTES_MAX: usize = 512;

/// What a worker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It is ready.
    Ready,
    /// It is about to end.
    Stopping,
    /// What it does, in its own words, without control characters.
    Status(String),
    /// It names another process as its main one, which is not done: whom it was started as is who it is.
    MainPid,
}

/// What a datagram says: lines of `NAME=value`.
pub fn parse(datagram: &str) -> impl Iterator<Item = Notice> {
    datagram.split('\n').filter_map(notice)
}

fn notice(line: &str) -> Option<Notice> {
    match line.split_once('=')? {
        ("READY", "1") => Some(Notice::Ready),
        ("STOPPING", "1") => Some(Notice::Stopping),
        ("STATUS", text) => {
            let plain: String = text.chars().filter(|c| !c.is_control()).collect();
            Some(Notice::Status(plain[..plain.floor_char_boundary(STATUS_BYTES_MAX)].to_owned()))
        }
        ("MAINPID", _) => Some(Notice::MainPid),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_datagrams_say() {
        let parse = |text: &str| super::parse(text).collect::<Vec<_>>();
        let status = |text: &str| Notice::Status(text.into());
        let all = [Notice::Ready, status("up and [1mwell"), Notice::MainPid];
        assert_eq!(parse("READY=1\nSTATUS=up and \x1b[1mwell\nMAINPID=1"), all);
        assert_eq!(parse("STOPPING=1\n"), [Notice::Stopping]);
        for nothing in ["", "\n\n", "READY=0", "READY", "ready=1", "READY=1 ", "=", "\0", "\u{fffd}READY=1"] {
            assert_eq!(parse(nothing), [], "{nothing:?}");
        }
        assert_eq!(parse(&format!("STATUS={}", "ü".repeat(400))), [status(&"ü".repeat(256))]);
    }
}
