#![allow(clippy::disallowed_methods)]

use super::*;
use crate::clock::Wall;
use crate::control::event::{Event, Kind};
use crate::control::request::Patience;
use crate::sys::identity::{Credentials, as_other};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

const BASE: usize = 1000;
const STATUS: &str = r#"{"status":{"workers":[]}}"#;
const STOP: &str = r#"{"stop":{"workers":["web"],"patience":{"wait":true}}}"#;
const FOLLOW: &str = r#"{"events":{"follow":true}}"#;
const PATIENCE: Duration = Duration::from_secs(5);

/// A server in a loop of its own. A Unix socket brings what was sent at once, so that nothing here has to wait.
struct House {
    folder: TempDir,
    server: Server,
    poller: Poller,
    now: Tick,
}

impl House {
    fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Server::bind(&folder.path().join("s")).unwrap();
        let poller = Poller::new().unwrap();
        server.register(&poller, BASE).unwrap();
        House { folder, server, poller, now: Tick(1) }
    }

    fn connect(&self) -> UnixStream {
        let client = UnixStream::connect(self.folder.path().join("s")).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    }

    /// As many turns as it takes until nothing is left to do: what arrived.
    fn turns(&mut self) -> Vec<(ClientId, Request)> {
        let mut arrived = Vec::new();
        for _ in 0..1000 {
            let tokens: Vec<_> = self.poller.wait(Some(Duration::ZERO)).unwrap().collect();
            if tokens.is_empty() && !self.server.has_backlog() {
                return arrived;
            }
            for token in tokens {
                assert!(self.server.owns(token));
                self.server.ready(token);
            }
            self.server.turn(&self.poller, self.now, &mut arrived);
        }
        panic!("it spins");
    }

    fn reply(&mut self, client: ClientId, reply: &Reply) {
        self.server.reply(&self.poller, client, reply, self.now);
    }

    fn done(&mut self, client: ClientId, line: &str) {
        self.reply(client, &Reply::Done { lines: vec![line.into()] });
    }

    /// Lets a client ask, and takes its request.
    fn asks(&mut self, client: &mut UnixStream, json: &str) -> ClientId {
        say(client, json);
        let arrived = self.turns();
        assert_eq!(arrived.len(), 1, "{arrived:?}");
        arrived[0].0
    }

    fn passes(&mut self, span: Duration) {
        self.now = self.now.after(span);
        self.server.due(&self.poller, self.now);
        self.turns();
    }

    fn clients(&self) -> usize {
        self.server.present().count()
    }
}

fn framed(json: &str) -> Vec<u8> {
    [&(json.len() as u32).to_le_bytes()[..], json.as_bytes()].concat()
}

fn say(client: &mut UnixStream, json: &str) {
    client.write_all(&framed(json)).unwrap();
}

fn hear(client: &mut UnixStream) -> Reply {
    let mut head = [0; 4];
    client.read_exact(&mut head).unwrap();
    let mut json = vec![0; u32::from_le_bytes(head) as usize];
    client.read_exact(&mut json).unwrap();
    serde_json::from_slice(&json).unwrap()
}

#[track_caller]
fn hears_failure(client: &mut UnixStream, expected: Code) {
    match hear(client) {
        Reply::Failed { code, .. } => assert_eq!(code, expected),
        other => panic!("{other:?}"),
    }
}

fn hears_end(client: &mut UnixStream) -> bool {
    matches!(client.read(&mut [0]), Ok(0))
        || client.read(&mut [0]).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset)
}

#[test]
fn many_requests_one_after_the_other() {
    let mut house = House::new();
    let mut client = house.connect();
    client.write_all(&[framed(STATUS), framed(STOP), framed(STATUS)].concat()).unwrap();
    for line in ["one", "two", "three"] {
        let arrived = house.turns();
        assert_eq!(arrived.len(), 1, "the next only when this one is answered");
        house.done(arrived[0].0, line);
        assert_eq!(hear(&mut client), Reply::Done { lines: vec![line.into()] });
    }
    assert!(house.turns().is_empty() && house.server.deadline().is_none() && house.clients() == 1);
    drop(client);
    house.turns();
    assert_eq!((house.clients(), house.server.gone()), (0, vec![]), "nobody waited for anything");
}

#[test]
fn what_is_asked_arrives() {
    let mut house = House::new();
    let mut client = house.connect();
    say(&mut client, STOP);
    let (_, request) = house.turns().remove(0);
    let patience = Patience { wait: true, timeout_ms: None };
    assert_eq!(request, Request::Stop { workers: vec!["web".parse().unwrap()], patience });
}

/// F6: a message that is none is answered, and spoils nothing, least of all for others.
#[test]
fn what_is_no_request() {
    let mut house = House::new();
    let (mut client, mut other) = (house.connect(), house.connect());
    for json in ["", "{", "3", r#"{"exec":{}}"#, "\0"] {
        say(&mut client, json);
        assert!(house.turns().is_empty());
        hears_failure(&mut client, Code::BadRequest);
    }
    for _ in 0..100 {
        client.write_all(&framed("")).unwrap();
    }
    assert!(house.turns().is_empty());
    (0..100).for_each(|_| hears_failure(&mut client, Code::BadRequest));
    other.write_all(&framed(STATUS)[..9]).unwrap();
    drop(other);
    house.turns();
    assert_eq!(house.clients(), 1);
    house.asks(&mut client, STATUS);
}

/// F3: what is announced is not waited for, nor is memory taken for it.
#[test]
fn a_huge_request() {
    let mut house = House::new();
    let mut client = house.connect();
    client.write_all(&u32::MAX.to_le_bytes()).unwrap();
    assert!(house.turns().is_empty());
    hears_failure(&mut client, Code::BadRequest);
    assert!(hears_end(&mut client) && house.clients() == 0);
    // The largest there may be.
    let mut client = house.connect();
    let names = format!("\"{}\",", "x".repeat(60)).repeat(1000);
    let json = format!(r#"{{"status":{{"workers":[{}]}}}}"#, names.trim_end_matches(','));
    assert!(json.len() < frame::REQUEST_BYTES_MAX);
    house.asks(&mut client, &json);
}

/// F3: whoever begins a request has five seconds for it, however many bytes come in between.
#[test]
fn a_slow_request() {
    let mut house = House::new();
    let (mut slow, mut idle) = (house.connect(), house.connect());
    let id = house.asks(&mut idle, STATUS);
    house.done(id, "");
    hear(&mut idle);
    for byte in framed(STATUS).iter().take(5) {
        slow.write_all(&[*byte]).unwrap();
        house.turns();
        house.passes(Duration::from_millis(900));
    }
    assert_eq!((house.clients(), house.server.deadline()), (2, Some(Tick(1).after(PATIENCE))));
    house.passes(Duration::from_millis(500));
    hears_failure(&mut slow, Code::BadRequest);
    assert!(hears_end(&mut slow));
    assert_eq!((house.clients(), house.server.deadline()), (1, None), "whoever only idles stays");
    house.asks(&mut idle, STATUS);
}

/// F3, F7: those who say nothing make room for those who do.
#[test]
fn too_many_clients() {
    let mut house = House::new();
    let mut first = house.connect();
    let id = house.asks(&mut first, STATUS);
    house.done(id, "");
    hear(&mut first);
    let mut idle: Vec<_> = (1..CLIENTS_MAX).map(|_| house.connect()).collect();
    idle[1].write_all(&framed(STATUS)[..3]).unwrap();
    house.turns();
    assert_eq!(house.clients(), CLIENTS_MAX);
    let mut last = house.connect();
    house.turns();
    hears_failure(&mut idle[0], Code::TooManyClients);
    assert!(hears_end(&mut idle[0]));
    idle[0] = house.connect();
    house.turns();
    hears_failure(&mut idle[1], Code::TooManyClients);
    idle.remove(1);
    for client in idle.iter_mut().chain([&mut first, &mut last]) {
        house.asks(client, STATUS);
    }
    let mut more = house.connect();
    house.turns();
    hears_failure(&mut more, Code::TooManyClients);
    assert!(hears_end(&mut more) && house.clients() == CLIENTS_MAX);
}

fn event(text: &str) -> Reply {
    Reply::Event(Event::new(Wall(0), Kind::Warning, text))
}

/// A follower gets all events, or is told that it does not.
#[test]
fn a_follower_that_does_not_read() {
    let mut house = House::new();
    let mut client = house.connect();
    let id = house.asks(&mut client, FOLLOW);
    let (text, mut sent) = ("x".repeat(1000), 0);
    while house.server.present().any(|client| client.connection.is_waiting()) {
        house.reply(id, &event(&text));
        house.turns();
        sent += 1;
        assert!(sent < 10_000);
    }
    house.reply(id, &event("nobody reads this"));
    let mut heard = 0;
    loop {
        house.turns();
        match hear(&mut client) {
            Reply::Event(found) => assert_eq!(&*found.text, text),
            Reply::Failed { code, .. } => break assert_eq!(code, Code::TooSlow),
            other => panic!("{other:?}"),
        }
        heard += 1;
    }
    assert_eq!(heard, sent - 1, "all but the one for which there was no room");
    house.turns();
    assert!(hears_end(&mut client) && house.server.is_gone(id));
    assert_eq!(house.server.gone(), [id], "whoever sends it events learns that");
}

#[test]
fn a_follower_that_rests_may_stay() {
    let mut house = House::new();
    let mut client = house.connect();
    let id = house.asks(&mut client, FOLLOW);
    let text = "x".repeat(10_000);
    (0..20).for_each(|_| house.reply(id, &event(&text)));
    house.passes(PATIENCE * 100);
    assert!(!house.server.is_gone(id));
    (0..20).for_each(|_| {
        house.turns();
        hear(&mut client);
    });
}

/// F3: an answer is not kept for ever.
#[test]
fn an_answer_that_is_not_read() {
    let mut house = House::new();
    let mut client = house.connect();
    let id = house.asks(&mut client, STATUS);
    house.done(id, &"x".repeat(4 << 20));
    assert!(house.server.deadline() == Some(house.now.after(PATIENCE)) && !house.server.has_backlog());
    house.passes(PATIENCE);
    assert!(house.server.is_gone(id));
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert!(rest.len() < 4 << 20);
    // And one that is.
    let mut client = house.connect();
    let id = house.asks(&mut client, STATUS);
    let line = "x".repeat(4 << 20);
    house.done(id, &line);
    let reader = std::thread::spawn(move || hear(&mut client));
    while !reader.is_finished() && house.clients() == 1 {
        let tokens: Vec<_> = house.poller.wait(Some(Duration::from_millis(10))).unwrap().collect();
        tokens.into_iter().for_each(|token| house.server.ready(token));
        house.server.turn(&house.poller, house.now, &mut Vec::new());
    }
    assert_eq!(reader.join().unwrap(), Reply::Done { lines: vec![line] });
}

#[test]
fn an_answer_that_is_too_large() {
    let mut house = House::new();
    let mut client = house.connect();
    let id = house.asks(&mut client, STATUS);
    house.done(id, &"x".repeat(REPLY_BYTES_MAX));
    hears_failure(&mut client, Code::Failed);
}

#[test]
fn whoever_leaves_is_not_waited_for() {
    let mut house = House::new();
    let (mut client, mut follower, mut half) = (house.connect(), house.connect(), house.connect());
    let ids = [house.asks(&mut client, STOP), house.asks(&mut follower, FOLLOW)];
    let half_id = house.asks(&mut half, STOP);
    half.shutdown(Shutdown::Write).unwrap();
    drop((client, follower));
    house.turns();
    assert_eq!(house.server.gone(), ids);
    assert!(house.server.gone().is_empty() && ids.iter().all(|id| house.server.is_gone(*id)));
    house.done(ids[0], "nobody hears this");
    house.done(half_id, "still heard");
    assert_eq!(hear(&mut half), Reply::Done { lines: vec!["still heard".into()] });
    house.turns();
    assert!(hears_end(&mut half) && house.clients() == 0 && house.server.gone().is_empty());
}

#[test]
fn the_end() {
    let mut house = House::new();
    let (mut waiting, mut follower, mut idle) = (house.connect(), house.connect(), house.connect());
    house.asks(&mut waiting, STOP);
    house.asks(&mut follower, FOLLOW);
    house.turns();
    let path = house.folder.path().join("s");
    assert!(path.exists());
    house.server.shutdown(&house.poller, house.now);
    assert!(!path.exists());
    hears_failure(&mut waiting, Code::Refused);
    assert_eq!(hear(&mut follower), Reply::Done { lines: vec![] });
    assert!(hears_end(&mut waiting) && hears_end(&mut follower) && hears_end(&mut idle));
    assert_eq!(house.poller.wait(Some(Duration::ZERO)).unwrap().count(), 0);
}

/// F4: root of another user namespace is not us, nor is anybody else who comes from one.
#[test]
fn who_is_admitted() {
    let plain = Who { ours: 1000, unknown: None };
    assert!(plain.admits(1000) && plain.admits(0) && !plain.admits(1001) && !plain.admits(65534));
    let in_namespace = Who { ours: 0, unknown: Some(65534) };
    assert!(in_namespace.admits(0) && !in_namespace.admits(65534));
    assert!(!Who { ours: 65534, unknown: Some(65534) }.admits(65534), "it could be anybody");
    assert!(Who { ours: 65534, unknown: None }.admits(65534));
}

/// F4: even where the socket's mode lets them in, others are refused. Root alone can try it.
#[test]
fn another_user() {
    if identity::ours() != 0 {
        return;
    }
    let mut house = House::new();
    let path = house.folder.path().join("s");
    for (path, mode) in [(house.folder.path(), 0o755), (&path, 0o666)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let nobody = Credentials { uid: 65534, gid: 65534, groups: vec![] };
    let mut client = as_other(&nobody, || UnixStream::connect(&path)).unwrap().unwrap();
    assert!(house.turns().is_empty());
    hears_failure(&mut client, Code::Refused);
    assert!(hears_end(&mut client) && house.clients() == 0);
}

/// C9: when there are no descriptors left, who comes is turned away, who is there is served, and nothing spins. And each
/// descriptor is given back at the end. In a process of its own, which alone is short of them.
#[test]
fn no_descriptors_left() {
    const CHILD: &str = "QUELL_TEST_NO_DESCRIPTORS";
    if std::env::var_os(CHILD).is_none() {
        let this = std::env::current_exe().unwrap();
        let name = "runtime::server::tests::no_descriptors_left";
        let output = std::process::Command::new(this).args(["--exact", name]).env(CHILD, "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
        return;
    }
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    let mut house = House::new();
    let mut inside = house.connect();
    house.turns();
    let mut outside: Vec<_> = (0..20).map(|_| house.connect()).collect();
    let (soft, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    let limit = |soft| nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    limit(200);
    let mut filling: Vec<_> = std::iter::from_fn(|| inside.try_clone().ok()).collect();
    assert!(house.turns().is_empty());
    outside.iter_mut().for_each(|client| hears_failure(client, Code::TooManyClients));
    house.asks(&mut inside, STATUS);
    assert_eq!((house.clients(), house.server.deadline()), (1, None));
    // Not even the one in reserve: then nobody is taken in for a while.
    filling.clear();
    let mut late = house.connect();
    drop(house.server.reserve.take());
    limit(0);
    assert!(house.turns().is_empty() && !house.server.has_backlog());
    assert_eq!(house.server.deadline(), Some(house.now.after(PAUSE)));
    limit(soft);
    house.passes(PAUSE);
    house.asks(&mut late, STATUS);
    assert!(house.server.reserve.is_some() && house.server.deadline().is_none());
    house.server.shutdown(&house.poller, house.now);
    drop((inside, outside, filling, late, house.poller, house.folder));
    assert_eq!(open(), before);
}
