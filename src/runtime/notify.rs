//! What workers say of themselves: datagrams of sd_notify(3), and a newline on a pipe (s6's way). All of it comes from
//! outside, so that nothing in it is believed but what it is about, and all of it is survived.

use crate::sys::fd;
use crate::sys::notify::{Datagram, NotifySocket};
use std::io;
use std::os::fd::AsFd;

/// A datagram has no more (sd_notify(3) sends a few lines); what is beyond is cut off.
const DATAGRAM_BYTES_MAX: usize = 4096;
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

/// Reads up to so many datagrams, and hands on what each says with who has sent it, of those that `whose` knows. A process
/// is known by its number alone: a main one, or one of its session. Whether there may be more to read.
///
/// # Errors
/// As recvmsg(2).
pub fn receive<T>(
    socket: &NotifySocket,
    budget: usize,
    whose: impl Fn(i32) -> Option<T>,
    mut hand: impl FnMut(T, Vec<Notice>),
) -> io::Result<bool> {
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    for _ in 0..budget {
        match socket.receive(&mut buffer) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(e) => return Err(e),
            Ok(Datagram { pid, bytes, .. }) => {
                let notices = parse(&buffer[..bytes]);
                if !notices.is_empty()
                    && let Some(worker) = whose(pid)
                {
                    hand(worker, notices);
                }
            }
        }
    }
    Ok(true)
}

/// What a datagram says: lines of `NAME=value`. What is unknown, or no text, says nothing.
#[must_use]
pub fn parse(datagram: &[u8]) -> Vec<Notice> {
    datagram.split(|byte| *byte == b'\n').filter_map(notice).collect()
}

fn notice(line: &[u8]) -> Option<Notice> {
    match std::str::from_utf8(line).ok()?.split_once('=')? {
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

/// What a pipe says on which a worker is to write a newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newline {
    /// There was one: it is ready.
    Came,
    /// Nothing yet.
    Awaited,
    /// The worker has let go of it without one: it will never come.
    Gone,
}

/// Reads from the pipe until it would block; what stands before a newline is no matter. `Gone` is for good, and `Came` is
/// enough: let go of the pipe then.
///
/// # Errors
/// As read(2).
pub fn newline(pipe: impl AsFd) -> io::Result<Newline> {
    let mut buffer = [0; 512];
    loop {
        match fd::read(&pipe, &mut buffer) {
            Ok(0) => return Ok(Newline::Gone),
            Ok(bytes) if buffer[..bytes].contains(&b'\n') => return Ok(Newline::Came),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Newline::Awaited),
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn what_datagrams_say() {
        let status = |text: &str| Notice::Status(text.into());
        assert_eq!(
            parse(b"READY=1\nSTATUS=up and \x1b[1mwell\nMAINPID=1"),
            [Notice::Ready, status("up and [1mwell"), Notice::MainPid]
        );
        assert_eq!(parse(b"STOPPING=1\n"), [Notice::Stopping]);
        for nothing in [&b""[..], b"\n\n", b"READY=0", b"READY", b"ready=1", b"READY=1 ", b"=", b"\0", b"\xffREADY=1"] {
            assert_eq!(parse(nothing), [], "{nothing:?}");
        }
        assert_eq!(parse(format!("STATUS={}", "ü".repeat(400)).as_bytes()), [status(&"ü".repeat(256))]);
    }

    proptest! {
        #[test]
        fn any_datagram_is_survived(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }

    /// F6: an empty datagram, or one that says nothing, is read like any other and stops nobody (CVE-2016-7796).
    #[test]
    fn datagrams_of_all_kinds_are_received() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify.sock");
        let socket = NotifySocket::bind(&path).unwrap();
        let ourselves = std::process::id() as i32;
        let sender = UnixDatagram::unbound().unwrap();
        let all = || {
            let mut got = Vec::new();
            let whose = |pid| (pid == ourselves).then_some("web");
            let more = receive(&socket, 4, whose, |worker, notices| got.push((worker, notices))).unwrap();
            (got, more)
        };
        for datagram in [&b""[..], b"\xff\xfe", b"X_UNKNOWN=1", b"READY=1", b"STOPPING=1"] {
            sender.send_to(datagram, &path).unwrap();
        }
        assert_eq!(all(), (vec![("web", vec![Notice::Ready])], true));
        assert_eq!(all(), (vec![("web", vec![Notice::Stopping])], false));
        sender.send_to(b"READY=1", &path).unwrap();
        let stranger = receive(&socket, 4, |_| None::<()>, |(), _| panic!("handed on"));
        assert!(!stranger.unwrap());
    }

    #[test]
    fn a_newline_on_a_pipe() {
        let (reader, writer) = fd::pipe().unwrap();
        assert_eq!(newline(&reader).unwrap(), Newline::Awaited);
        fd::write(&writer, &[b'x'; 600]).unwrap();
        assert_eq!(newline(&reader).unwrap(), Newline::Awaited);
        fd::write(&writer, b"ready\n").unwrap();
        assert_eq!(newline(&reader).unwrap(), Newline::Came);
        drop(writer);
        assert_eq!(newline(&reader).unwrap(), Newline::Gone);
    }
}
