//! Real servers from one file: redis, nginx, Python's HTTP server and a loop of the shell, from their start to their end.

use super::{Up, carriers, configure, descriptors, processes};
use crate::harness::{Folder, running};
use quell::runtime::directory::{OnDisk, Owning};
use quell::runtime::state::State;
use serial_test::serial;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

/// In the order in which they start.
const ALL: [&str; 4] = ["redis", "python", "nginx", "loop"];

/// Ports that nobody has, for those servers that have one.
struct Ports {
    redis: u16,
    python: u16,
    nginx: u16,
}

impl Ports {
    fn free() -> Ports {
        // All at once, so that they differ.
        let [redis, python, nginx] = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let port = |listener: TcpListener| listener.local_addr().unwrap().port();
        Ports { redis: port(redis), python: port(python), nginx: port(nginx) }
    }

    /// The file; the Python server shows this folder.
    fn configure(&self, folder: &Folder, shown: &str) {
        let path = folder.path().display();
        let Ports { redis, python, nginx } = self;
        let nginx_conf = format!(
            "daemon off; pid {path}/nginx.pid; error_log stderr;\nevents {{}}\nhttp {{ access_log /dev/stdout;\n\
             client_body_temp_path {path}/body; proxy_temp_path {path}/proxy; fastcgi_temp_path {path}/fastcgi;\n\
             uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;\n\
             server {{ listen 127.0.0.1:{nginx}; location / {{ return 200 'this is nginx'; }} }} }}\n"
        );
        folder.write("nginx.conf", nginx_conf);
        let workers = format!(
            r#"
            [worker.redis]
            command = ["redis-server", "--port", "{redis}", "--bind", "127.0.0.1", "--save", "", "--dir", "{path}"]
            ready = {{ line = "Ready to accept connections" }}
            backoff.first = "1ms"

            [worker.python]
            command = ["python3", "-u", "-m", "http.server", "{python}", "--bind", "127.0.0.1", "--directory", "{path}/{shown}"]
            ready = {{ tcp = "127.0.0.1:{python}" }}
            needs = ["redis"]
            backoff.first = "1ms"

            [worker.nginx]
            command = ["nginx", "-e", "stderr", "-c", "{path}/nginx.conf"]
            ready = {{ tcp = "127.0.0.1:{nginx}" }}
            stop.signal = "QUIT"
            needs = ["python"]
            backoff.first = "1ms"

            [worker.loop]
            shell = "while :; do echo tick; sleep 0.1; done"
            ready = {{ line = "tick" }}
            needs = ["nginx"]
            backoff.first = "1ms"
            "#
        );
        configure(folder, &workers);
    }

    /// Asks each server for something.
    fn all_serve(&self, shown: &str) {
        assert_eq!(talk(self.redis, "PING\r\nQUIT\r\n"), "+PONG\r\n+OK\r\n");
        let page = talk(self.python, "GET /page HTTP/1.0\r\n\r\n");
        assert!(page.contains("200 OK") && page.ends_with(shown), "{page}");
        let page = talk(self.nginx, "GET / HTTP/1.0\r\n\r\n");
        assert!(page.contains("200 OK") && page.ends_with("this is nginx"), "{page}");
    }
}

/// Says something to a server, and hears all that it answers.
fn talk(port: u16, words: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(words.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn pids(up: &Up) -> HashMap<&'static str, i32> {
    ALL.into_iter().map(|name| (name, up.pid_of(name))).collect()
}

/// What `what` was said of, in order.
fn order(up: &Up, what: &str) -> Vec<String> {
    let lines = up.heard.iter().filter(|line| line.contains(what));
    lines.filter_map(|line| Some(line.split(": ").nth(1)?.to_owned())).collect()
}

/// Nothing of a folder's supervisor is left.
fn nothing_is_left(folder: &Path, ports: &Ports) {
    let name = folder.display().to_string();
    assert!(running(&name).is_empty(), "{:?} are left", running(&name));
    let left = carriers(folder);
    assert!(left.is_empty(), "{left:?} are left");
    for seen in processes() {
        let held: Vec<_> = descriptors(seen.pid).into_iter().filter(|held| held.starts_with(&name)).collect();
        assert!(held.is_empty(), "{seen:?} holds {held:?}");
    }
    for port in [ports.redis, ports.python, ports.nginx] {
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "somebody listens at {port}");
    }
    let sockets = crate::harness::names(&folder.join("state"));
    assert!(!sockets.iter().any(|name| name.ends_with(".sock")), "{sockets:?}");
    drop(State::open(&folder.join("state")).unwrap());
    assert!(matches!(OnDisk::own(&folder.join("log")).unwrap(), Owning::Ours(_)));
}

/// They come up in order, serve, are reloaded, survive the kill of each, and go down in reverse, leaving nothing.
#[test]
#[serial]
fn four_servers() {
    let folder = Folder::new();
    for shown in ["one", "two"] {
        std::fs::create_dir(folder.join(shown)).unwrap();
        folder.write(&format!("{shown}/page"), shown);
    }
    let ports = Ports::free();
    ports.configure(&folder, "one");
    let path = folder.join("quell.toml");
    let mut up = Up::of(folder, path);
    up.until("all workers are up");
    assert_eq!(order(&up, ": started, pid"), ALL);
    assert_eq!(order(&up, ": ready"), ALL);
    ports.all_serve("one");
    let before = pids(&up);
    let held = |up: &Up| descriptors(up.pid()).len();
    let few = held(&up);

    ports.configure(&up.folder, "two");
    up.must(&["reload"]);
    ports.all_serve("two");
    let after = pids(&up);
    let other: Vec<_> = ALL.into_iter().filter(|name| before[name] != after[name]).collect();
    assert_eq!(other, ["python"]);

    for name in ALL {
        let before = pids(&up);
        super::Watched::new(before[name]).kill();
        up.until(&format!("{name}: killed by SIGKILL"));
        up.ready(name);
        ports.all_serve("two");
        let after = pids(&up);
        let other: Vec<_> = ALL.into_iter().filter(|name| before[name] != after[name]).collect();
        assert_eq!(other, [name]);
    }
    super::until("no more descriptors than before", || held(&up) <= few);

    let heard = up.heard().len();
    up.must(&["down"]);
    assert_eq!(up.end().code(), Some(0));
    up.heard.drain(..heard);
    let mut reverse = ALL;
    reverse.reverse();
    assert_eq!(order(&up, ": told to stop"), reverse, "{:#?}", up.heard);
    nothing_is_left(up.folder.path(), &ports);
}
