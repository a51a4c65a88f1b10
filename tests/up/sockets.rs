//! Connections that start workers.

use super::{Up, Watched, ask, configure, until};
use crate::harness::{Folder, finish, quell};
use nix::sys::signal::Signal;
use serial_test::serial;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// A server of one connection at a time: it answers the line that it is sent with its own number, the name of the socket and
/// the line, or does what the line says.
const SERVER: &str = r#"
import os, select, socket, sys
if int(os.environ["LISTEN_PID"]) != os.getpid():
    sys.exit("the sockets are not for us")
names = os.environ["LISTEN_FDNAMES"].split(":")
listeners = {socket.socket(fileno=3 + at): name for at, name in enumerate(names)}
if len(names) != int(os.environ["LISTEN_FDS"]):
    sys.exit("there are not as many names as sockets")
held = []
while True:
    for listener in select.select(list(listeners), [], [])[0]:
        client = listener.accept()[0]
        line = client.makefile().readline().strip()
        if line == "die":
            os.kill(os.getpid(), 9)
        client.sendall(f"{os.getpid()} {listeners[listener]} {line}\n".encode())
        if line == "end":
            sys.exit(0)
        if line == "hold":
            held.append(client)
        else:
            client.close()
        if line == "let go":
            held.clear()
"#;

/// A port of this machine that nobody has.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A worker of this name that is the server, started by these; the program stands in the folder.
fn server(folder: &Folder, name: &str, triggers: &str) -> String {
    let script = folder.write("server.py", SERVER);
    format!("[worker.{name}]\ncommand = [\"python3\", \"-u\", \"{}\"]\nstart_on = [{triggers}]\n", script.display())
}

fn socket(at: u16) -> String {
    format!("{{ socket = \"127.0.0.1:{at}\" }}")
}

/// Such a worker, `web`, under a supervisor, and its port.
fn serving() -> (Up, u16) {
    let (folder, at) = (Folder::new(), port());
    let path = configure(&folder, &server(&folder, "web", &socket(at)));
    let mut up = Up::of(folder, path);
    up.until("all workers are up");
    (up, at)
}

fn connect(at: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", at)).unwrap()
}

/// Sends a line.
fn say(stream: &mut impl Write, line: &str) {
    stream.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// What is answered: the server's number, the name of the socket, the line.
fn answer(stream: &mut impl Read) -> (i32, String) {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\n") && stream.read(&mut byte).unwrap() > 0 {
        text.push(byte[0]);
    }
    let text = String::from_utf8(text).unwrap();
    let (pid, rest) = text.split_once(' ').unwrap_or_else(|| panic!("no answer: {text:?}"));
    (pid.parse().unwrap(), rest.trim_end().to_owned())
}

/// Who serves at a port.
fn who(at: u16) -> i32 {
    let mut stream = connect(at);
    say(&mut stream, "who");
    answer(&mut stream).0
}

/// The first connection starts the worker, which gets all its sockets, in order, by name; nobody else gets any.
#[test]
#[serial]
fn the_first_connection_starts_it() {
    let (folder, at) = (Folder::new(), port());
    let path = folder.join("web.sock");
    let triggers = format!(
        "{}, {{ fire = \"web\" }}, {{ socket = \"{}\" }}, {{ socket = \"[::1]:{at}\" }}",
        socket(at),
        path.display()
    );
    let web = server(&folder, "web", &triggers);
    let other = "umask = \"007\"\n[worker.other]\ncommand = [\"ls\", \"/proc/self/fd\"]\nkind = \"oneshot\"\n";
    let configuration = configure(&folder, &(web + other));
    let mut up = Up::of(folder, configuration);
    up.until("all workers are up");
    up.until_logged("other", " 3\n");
    assert_eq!(up.printed("other"), ["0", "1", "2", "3"], "a socket was handed to another");
    assert_eq!(up.status("web")["state"], "waiting");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let mut by_path = UnixStream::connect(&path).unwrap();
    up.until(&format!("web: starts: somebody connects to {}", path.display()));
    say(&mut by_path, "a");
    let (pid, rest) = answer(&mut by_path);
    assert_eq!((pid, rest.as_str()), (up.pid_of("web"), "web.sock a"));
    let mut six = TcpStream::connect(("::1", at)).unwrap();
    say(&mut six, "b");
    assert_eq!(answer(&mut six), (pid, format!("{at} b")));
    assert_eq!(who(at), pid);
    up.down();
    assert!(!path.exists(), "the socket is left");
}

/// However many come before the worker runs, all are served.
#[test]
#[serial]
fn all_that_come_at_once_are_served() {
    let (mut up, at) = serving();
    let mut all: Vec<_> = (0..200).map(|_| connect(at)).collect();
    all.iter_mut().for_each(|stream| say(stream, "x"));
    let servers: Vec<_> = all.iter_mut().map(|stream| answer(stream).0).collect();
    assert!(servers.iter().all(|pid| *pid == servers[0]), "{servers:?}");
    assert_eq!(up.status("web")["restarts"], 0);
    up.down();
}

/// Whoever waits when the worker dies is served by the next one, however it ended.
#[test]
#[serial]
fn whoever_waits_is_served_by_the_next() {
    for (last, how) in [("die", "web: killed by SIGKILL"), ("end", "web: exited 0")] {
        let (mut up, at) = serving();
        let mut first = connect(at);
        up.until("web: started, pid");
        let mut others = [(); 5].map(|()| connect(at));
        others.iter_mut().for_each(|stream| say(stream, "x"));
        say(&mut first, last);
        up.until(how);
        let pids = others.each_mut().map(|stream| answer(stream).0);
        assert!(pids.iter().all(|pid| *pid == pids[0] && *pid == up.pid_of("web")), "{pids:?}");
        assert_eq!(up.status("web")["restarts"], 1);
        up.down();
    }
}

/// A worker that is started and does not accept is not started without end, and what starts it is named.
#[test]
#[serial]
fn a_worker_that_never_accepts_is_caught() {
    let at = port();
    let mut up = Up::start(&format!("[worker.web]\ncommand = [\"false\"]\nstart_on = [{}]\n", socket(at)));
    up.until("all workers are up");
    let flood: Vec<_> = (0..50).map(|_| connect(at)).collect();
    let text =
        format!("web: started more than 200 times in 2 s by what it waits for (somebody connects to 127.0.0.1:{at})");
    up.until(&text);
    drop(flood);
    up.must(&["stop", "web"]);
    up.down();
}

/// Whoever stops a worker is not overruled by a connection, which waits; a reload that does not change the socket keeps it,
/// and one that does starts the worker anew.
#[test]
#[serial]
fn a_stop_and_a_reload_lose_no_connection() {
    let (mut up, at) = serving();
    up.must(&["stop", "web"]);
    let mut waiting = connect(at);
    say(&mut waiting, "x");
    let path = up.folder.join("quell.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let reload = |up: &Up, text: &str| {
        std::fs::write(&path, text).unwrap();
        up.must(&["reload"])
    };
    reload(&up, &format!("{text}stop.grace = \"5s\"\n"));
    up.must(&["start", "web"]);
    let (pid, _) = answer(&mut waiting);
    reload(&up, &text);
    assert_eq!(who(at), pid);
    let other = port();
    let moved = reload(&up, &text.replace(&at.to_string(), &other.to_string()));
    assert!(moved.contains("restart web: start_on changed"), "{moved}");
    assert_ne!(who(other), pid);
    assert!(TcpStream::connect(("127.0.0.1", at)).is_err(), "it is listened on though nothing names it");
    up.down();
}

/// An address that is in use is a mistake with its place: at a start, which starts nothing, and at a reload, which changes
/// nothing.
#[test]
#[serial]
fn an_address_that_is_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().port();
    let folder = Folder::new();
    let marker = folder.join("started");
    let web =
        format!("[worker.first]\nshell = \"echo > {}\"\n", marker.display()) + &server(&folder, "web", &socket(at));
    let path = configure(&folder, &web);
    let refused = finish(quell().args(["up", "-c"]).arg(&path));
    assert_eq!(refused.code(), 1);
    let held = format!("cannot listen on 127.0.0.1:{at}: it is in use, held by pid {} ", std::process::id());
    assert!(refused.stderr.contains(&held) && refused.stderr.contains("quell.toml:7:24"), "{}", refused.stderr);
    assert!(!marker.exists() && !folder.join("state/quell.sock").exists());
    let checked = ask(&folder, &["check", "--host"]);
    assert!(checked.code() == 1 && checked.text().contains(&held), "{checked:?}");
    let other = port();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace(&at.to_string(), &other.to_string())).unwrap();
    let mut up = Up::of(folder, path.clone());
    up.until("all workers are up");
    let pid = who(other);
    std::fs::write(&path, &text).unwrap();
    let refused = up.ask(&["reload"]);
    assert!(refused.code() == 1 && refused.stderr.contains(&held), "{refused:?}");
    assert_eq!(who(other), pid);
    assert_eq!(up.ask(&["check", "--host"]).code(), 1);
    std::fs::write(&path, text.replace(&at.to_string(), &other.to_string())).unwrap();
    up.must(&["check", "--host"]);
    up.down();
}

/// A worker is stopped when it has been without a connection for so long, and started by the next one; one that is open, and
/// one that comes, keep it.
#[test]
#[serial]
fn a_worker_without_connections_is_stopped() {
    let folder = Folder::new();
    let (one, two, path) = (port(), port(), folder.join("one.sock"));
    let idle = |socket: &str| format!("{{ socket = \"{socket}\", idle_stop = \"300ms\" }}");
    let triggers = [idle(&format!("127.0.0.1:{one}")), format!("{{ socket = \"{}\" }}", path.display())].join(", ");
    let both = server(&folder, "one", &triggers) + &server(&folder, "two", &idle(&format!("127.0.0.1:{two}")));
    let configuration = configure(&folder, &both);
    let mut up = Up::of(folder, configuration);
    up.until("all workers are up");
    let (pid, mut held) = (who(one), UnixStream::connect(&path).unwrap());
    say(&mut held, "hold");
    assert_eq!(answer(&mut held).0, pid);
    let asked = Instant::now();
    who(two);
    up.until("two: no connection for 300ms");
    assert!(asked.elapsed().as_millis() >= 300);
    up.until("two: down");
    assert_eq!(up.pid_of("one"), pid, "it was stopped though a connection is open");
    held.shutdown(Shutdown::Both).unwrap();
    let mut last = connect(one);
    say(&mut last, "let go");
    answer(&mut last);
    let asked = Instant::now();
    up.until("one: no connection for 300ms");
    assert!(asked.elapsed().as_millis() >= 300);
    up.until("one: down");
    assert_ne!(who(one), pid);
    assert!(!up.heard().iter().any(|line| line.contains("warning")), "{:#?}", up.heard());
    up.down();
}

/// Whoever is needed is not idle.
#[test]
#[serial]
fn whoever_is_needed_is_not_idle() {
    let (folder, at) = (Folder::new(), port());
    let web = server(&folder, "web", &format!("{{ socket = \"127.0.0.1:{at}\", idle_stop = \"100ms\" }}"));
    let needs =
        "kind = \"service\"\n[worker.user]\nshell = \"sleep 1; echo over\"\nkind = \"oneshot\"\nneeds = [\"web\"]\n";
    let configuration = configure(&folder, &(web + needs));
    let mut up = Up::of(folder, configuration);
    up.until("user: done");
    up.until("web: no connection for 100ms");
    assert_eq!(up.printed("user"), ["over"]);
    up.down();
}

/// A worker that is stopped comes to rest: it is not looked at any more, and who starts it again begins a span of its own.
#[test]
#[serial]
fn a_stopped_worker_is_not_idle() {
    let (folder, one, two) = (Folder::new(), port(), port());
    let idle = |at: u16, span: &str| format!("{{ socket = \"127.0.0.1:{at}\", idle_stop = \"{span}\" }}");
    let both = server(&folder, "one", &idle(one, "500ms")) + &server(&folder, "two", &idle(two, "2s"));
    let configuration = configure(&folder, &both);
    let mut up = Up::of(folder, configuration);
    up.until("all workers are up");
    who(two);
    who(one);
    up.must(&["stop", "one"]);
    up.until("two: no connection for 2");
    assert!(!up.heard().iter().any(|line| line.contains("one: no connection")), "{:#?}", up.heard());
    let started = Instant::now();
    up.must(&["start", "one"]);
    up.until("one: no connection for 500ms");
    assert!(started.elapsed().as_millis() >= 1000, "a span of its last life went on: {:?}", started.elapsed());
    up.down();
}

/// A worker that has made its socket another one has not made it so for the next.
#[test]
#[serial]
fn a_socket_is_as_new_for_each_life() {
    let (folder, at) = (Folder::new(), port());
    let script = "import os, socket\nlistener = socket.socket(fileno=3)\nprint('blocks', os.get_blocking(3))\n\
                  listener.setblocking(False)\nlistener.accept()[0].close()\nlistener.shutdown(socket.SHUT_RDWR)\n";
    let script = folder.write("rude.py", script);
    let web = format!("[worker.web]\ncommand = [\"python3\", \"{}\"]\nstart_on = [{}]\n", script.display(), socket(at));
    let configuration = configure(&folder, &web);
    let mut up = Up::of(folder, configuration);
    up.until("all workers are up");
    for _ in 0..2 {
        let mut stream = None;
        until("it is listened on", || {
            stream = TcpStream::connect(("127.0.0.1", at)).ok();
            stream.is_some()
        });
        up.until("web: done");
        let mut stream = stream.unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    assert_eq!(up.printed("web"), ["blocks True"; 2]);
    up.down();
}

/// So it is for each life, however it was started: after a crash, a restart, a stop and a start by hand.
#[test]
#[serial]
fn a_socket_is_as_new_however_a_life_begins() {
    let (folder, at) = (Folder::new(), port());
    let script = "import os, socket\nlistener = socket.socket(fileno=3)\nprint('blocks', os.get_blocking(3))\n\
                  client = listener.accept()[0]\nlistener.setblocking(False)\nlistener.shutdown(socket.SHUT_RDWR)\n\
                  client.sendall(b'x')\nwhat = client.recv(9)\nos._exit(3 if what == b'die' else 0)\n";
    let script = folder.write("rude.py", script);
    let web = format!(
        "[worker.web]\ncommand = [\"python3\", \"{}\"]\nkind = \"service\"\nbackoff = {{ first = \"10ms\" }}\n\
         start_on = [{}]\n",
        script.display(),
        socket(at)
    );
    let configuration = configure(&folder, &web);
    let mut up = Up::of(folder, configuration);
    up.until("all workers are up");
    let served = |up: &mut Up| {
        let mut stream = None;
        until("it is listened on", || {
            stream = TcpStream::connect(("127.0.0.1", at)).ok();
            stream.is_some()
        });
        let mut stream = stream.unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 1);
        up.until("web: started, pid");
        stream
    };
    let mut stream = served(&mut up);
    stream.write_all(b"die").unwrap();
    up.until("web: exited 3");
    let stream = served(&mut up);
    up.must(&["restart", "web"]);
    drop(stream);
    let stream = served(&mut up);
    up.must(&["stop", "web"]);
    drop(stream);
    up.must(&["start", "web"]);
    let stream = served(&mut up);
    drop(stream);
    assert!(up.printed("web").iter().all(|line| line == "blocks True"), "{:?}", up.printed("web"));
    up.down();
}

/// An address that takes the place of another of quell's own is not somebody else's to give up.
#[test]
#[serial]
fn an_address_that_quell_itself_holds() {
    let (mut up, at) = serving();
    let path = up.folder.join("quell.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("127.0.0.1:", "0.0.0.0:")).unwrap();
    let refused = up.ask(&["reload"]);
    let own = format!("cannot listen on 0.0.0.0:{at}: quell itself listens there");
    assert!(refused.code() == 1 && refused.stderr.contains(&own), "{refused:?}");
    up.down();
}

/// Workers die with quell, which leaves a socket in the file system that the next quell takes the place of.
#[test]
#[serial]
fn a_socket_is_left_and_taken_again() {
    let folder = Folder::new();
    let path = folder.join("web.sock");
    let web = server(&folder, "web", &format!("{{ socket = \"{}\" }}", path.display()));
    let configuration = configure(&folder, &web);
    let mut up = Up::of(folder, configuration);
    up.until("all workers are up");
    let asks = || {
        let mut stream = UnixStream::connect(&path).unwrap();
        say(&mut stream, "who");
        answer(&mut stream).0
    };
    let worker = Watched::new(asks());
    up.signal(Signal::SIGKILL);
    up.end();
    worker.ends();
    assert!(path.exists() && UnixStream::connect(&path).is_err());
    let mut up = up.again();
    up.until("all workers are up");
    assert_ne!(asks(), worker.pid());
    up.down();
}

/// Sockets cost an idle quell nothing, be their workers at rest or not, and however much these are asked.
#[cfg(feature = "full-tests")]
#[test]
#[serial]
fn sockets_cost_no_system_call() {
    let (folder, busy) = (Folder::new(), port());
    let trace = folder.join("trace");
    let rests: Vec<_> = (0..20).map(|_| socket(port())).collect();
    let both = server(&folder, "rests", &rests.join(", ")) + &server(&folder, "busy", &socket(busy));
    configure(&folder, &both);
    let output = trace.display().to_string();
    let mut up = Up::below(&["strace", "-f", "-qq", "-o", &output, "-e", "trace=!futex"], folder);
    up.until("all workers are up");
    let pid = who(busy);
    until("it is still", || {
        std::fs::read_to_string(format!("/proc/{}/wchan", up.pid())).is_ok_and(|at| at.contains("poll"))
    });
    let calls = || {
        let text = std::fs::read_to_string(&trace).unwrap();
        text.lines().filter(|line| !line.starts_with(&pid.to_string())).count()
    };
    let before = calls();
    (0..100).for_each(|_| assert_eq!(who(busy), pid));
    assert_eq!(calls(), before, "{}", std::fs::read_to_string(&trace).unwrap());
    up.down();
}
