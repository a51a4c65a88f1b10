//! How workers say that they are ready, each way once.

use super::Up;
use serial_test::serial;
use std::net::TcpListener;

#[test]
#[serial]
fn by_a_newline_on_a_descriptor() {
    let mut up = Up::start("[worker.web]\nshell = \"echo >&5; exec 5>&-; exec sleep 1000\"\nready = { fd = 5 }\n");
    up.ready("web");
    up.down();
}

#[test]
#[serial]
fn by_taking_connections() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let serve = format!("import socket,time; s=socket.create_server(('127.0.0.1',{port})); time.sleep(1000)");
    let mut up = Up::start(&format!(
        "[worker.web]\ncommand = [\"python3\", \"-c\", \"{serve}\"]\nready = {{ tcp = \"127.0.0.1:{port}\" }}\n"
    ));
    up.ready("web");
    up.down();
}

/// A datagram of the main process counts, and one of a process in its session; empty ones and nonsense do no harm.
#[test]
#[serial]
fn by_a_datagram() {
    let say = "import os,socket,time; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); p=os.environ['NOTIFY_SOCKET']; s.sendto(b'',p); s.sendto(b'x'*9000,p); s.sendto(b'STATUS=nearly',p); os.fork() and time.sleep(1000); s.sendto(b'READY=1',p); time.sleep(1000)";
    let mut up = Up::start(&format!("[worker.web]\ncommand = [\"python3\", \"-c\", \"{say}\"]\nready = \"notify\"\n"));
    up.ready("web");
    up.down();
}

/// What is never ready is stopped when its time is over, and that is a failure.
#[test]
#[serial]
fn never() {
    let mut up = Up::start(
        "[worker.web]\ncommand = [\"sleep\", \"1000\"]\nready = { line = \"x\" }\nstart_timeout = \"50ms\"\nrestart = \"never\"\n[worker.app]\ncommand = [\"sleep\", \"1000\"]\nneeds = [\"web\"]\n",
    );
    up.until("web: not ready after 50ms: told to stop");
    up.until("web: failed");
    assert_eq!(up.status("web")["why"], "not ready after 50ms");
    let status = up.status("app");
    assert_eq!((status["state"].as_str(), status["why"].as_str()), (Some("waiting"), Some("waits for web")));
    up.down();
}

/// F7: a worker that writes to its descriptor without end, and no newline, keeps nobody else waiting.
#[test]
#[serial]
fn a_descriptor_that_is_flooded() {
    let mut up = Up::start("[worker.web]\nshell = \"exec cat /dev/zero >&3\"\nready = { fd = 3 }\n");
    up.until("web: started");
    assert_eq!(up.status("web")["state"], "starting");
    up.down();
}

/// Who holds up the start is said when the time for it is over, and waited for on.
#[test]
#[serial]
fn a_start_that_takes_too_long() {
    let folder = crate::harness::Folder::new();
    let path = super::configure(
        &folder,
        "[worker.web]\nshell = \"read line < pipe; echo ready; exec sleep 1000\"\ncwd = \"CWD\"\nready = { line = \"ready\" }\n",
    );
    let text = std::fs::read_to_string(&path).unwrap().replace("CWD", &folder.path().display().to_string());
    std::fs::write(&path, text.replace("[quell]", "[quell]\nstart_timeout = \"50ms\"")).unwrap();
    let fifo = folder.join("pipe");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut up = Up::of(folder, path);
    up.until("the start takes longer than it should; not ready yet: web");
    std::fs::write(&fifo, "go\n").unwrap();
    up.ready("web");
    up.down();
}
