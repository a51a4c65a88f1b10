//! Queues on a real Redis server: several supervisors share them, one dies, one is cut off, the server goes and comes back.

use super::{Up, carriers, configure, until};
use crate::harness::{Folder, LIMIT, finish, quell, start};
use nix::sys::signal::Signal;
use quell::sys::fd;
use serial_test::serial;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How many tasks; a hundredth of them where not all is asked for.
const TASKS: usize = 100_000;
/// The slots of each supervisor.
const SLOTS: usize = 4;

fn tasks() -> usize {
    if std::env::var_os("QUELL_TEST_WHOLE").is_some() { TASKS } else { TASKS / 100 }
}

/// A server in a folder of its own; it is killed when it is dropped.
struct Redis {
    folder: Folder,
    child: Child,
    port: u16,
}

impl Redis {
    fn start() -> Redis {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = Folder::new();
        let child = Redis::spawn(&folder, port);
        Redis { folder, child, port }
    }

    /// One that keeps a log of what it does, so that it has all again when it is killed and started anew.
    fn spawn(folder: &Folder, port: u16) -> Child {
        let mut child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"])
            .args(["--appendfsync", "always", "--dir"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        assert!(said.any(|line| line.unwrap().contains("Ready to accept connections")));
        child
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.child = Redis::spawn(&self.folder, self.port);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The way to a server, which can be cut.
struct Proxy {
    port: u16,
    way: Arc<Mutex<Way>>,
}

#[derive(Default)]
struct Way {
    is_cut: bool,
    open: Vec<TcpStream>,
}

impl Proxy {
    fn to(server: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, way) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Way::default())));
        let known = way.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut way = known.lock().unwrap();
                if way.is_cut {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    way.open.push(from.try_clone().unwrap());
                    std::thread::spawn(move || pass(from, to));
                }
            }
        });
        Proxy { port, way }
    }

    fn cut(&self) {
        let mut way = self.way.lock().unwrap();
        way.is_cut = true;
        way.open.drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }

    fn mend(&self) {
        self.way.lock().unwrap().is_cut = false;
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 16 << 10];
    while let Ok(count) = from.read(&mut bytes)
        && count > 0
        && to.write_all(&bytes[..count]).is_ok()
    {}
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

/// A queue at a port, and a worker that runs this for each of its tasks.
fn keys(port: u16, script: &str, keys: &str) -> String {
    let quoted = serde_json::to_string(script).unwrap();
    format!(
        "[queue.jobs]\nstore = \"redis://127.0.0.1:{port}/0\"\n\
         [worker.jobs]\nshell = {quoted}\nstart_on = [{{ queue = \"jobs\" }}]\nstop.grace = \"100ms\"\n{keys}\n"
    )
}

fn up(port: u16, script: &str, more: &str) -> Up {
    let mut up = Up::start(&keys(port, script, more));
    up.until(" is there, with jobs");
    up
}

/// What is known of the queue.
fn queue(up: &Up) -> serde_json::Value {
    let stats = up.must(&["queue", "stats", "jobs", "--json"]);
    serde_json::from_str::<serde_json::Value>(&stats).unwrap()[0].clone()
}

fn put(up: &Up, words: &[&str]) -> Vec<String> {
    up.must(&[&["put", "jobs"], words].concat()).lines().map(str::to_owned).collect()
}

/// What of the tasks has been done so far, and how often each.
fn done_in(file: &std::path::Path) -> HashMap<String, usize> {
    let mut done = HashMap::new();
    for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
        *done.entry(line.to_owned()).or_default() += 1;
    }
    done
}

/// Everything that can be asked of a queue can be asked of one that is elsewhere; and one that is here stands beside it.
#[test]
#[serial]
fn a_queue_elsewhere_is_like_one_here() {
    let redis = Redis::start();
    let here = "[queue.here]\n[worker.here]\nshell = \"true\"\nstart_on = [{ queue = \"here\" }]\n";
    let script = "echo did $(cat); test $(cat $QUELL_PAYLOAD) != bad";
    let mut up = up(redis.port, script, &format!("retry = {{ tries = 2, first = \"10ms\" }}\n{here}"));
    assert_eq!(up.must(&["put", "here", "--wait", "x"]), "1 done\n");
    assert!(put(&up, &["--wait", "a"])[0].ends_with(" done"));
    let refused = up.ask(&["put", "jobs", "--wait", "bad"]);
    assert!(refused.code() == 1 && refused.text().ends_with("buried exit 1, at try 2 of 2\n"), "{refused:?}");
    let bad = refused.text().split(' ').next().unwrap().to_owned();
    up.must(&["queue", "pause", "jobs"]);
    let kept = put(&up, &["--key", "k", "--class", "low", "c"]);
    assert_eq!(put(&up, &["--key", "k", "d"]), kept);
    up.must(&["queue", "kick", &bad]);
    assert_eq!(queue(&up)["waiting"], serde_json::json!({ "high": 0, "normal": 1, "low": 1 }));
    up.must(&["queue", "bury", &bad]);
    let listed = up.must(&["queue", "list", "--json", "-n", "2"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&listed["tasks"][0]["id"], &listed["more"]), (&1.into(), &true.into()), "those here come first");
    assert!(up.must(&["queue", "show", &bad]).contains("somebody asked for it"));
    up.must(&["queue", "drop", &bad]);
    up.must(&["queue", "resume", "jobs"]);
    until("what waited is done", || queue(&up)["done"] == 2);
    let began = Instant::now();
    assert!(put(&up, &["--delay", "300ms", "--wait", "later"])[0].ends_with(" done"));
    assert!(began.elapsed() >= Duration::from_millis(300));
    up.must(&["queue", "pause", "jobs"]);
    put(&up, &["x", "y"]);
    assert!(up.must(&["queue", "drain", "jobs"]).contains("2 tasks of jobs dropped"));
    up.down();
    let late = finish(quell().args(["put", "jobs", "late", "-c"]).arg(up.folder.join("quell.toml")));
    assert_eq!(late.code(), 0, "{late:?}");
    let mut up = up.again();
    up.until(" is there, with jobs");
    up.must(&["queue", "resume", "jobs"]);
    up.until_logged("jobs", "did late");
    up.down();
}

/// Whoever puts by one supervisor, and waits, is told what another has done; a pause by one holds for all.
#[test]
#[serial]
fn two_share_a_queue() {
    let redis = Redis::start();
    let mut busy = up(redis.port, "true", "");
    let mut idle = up(redis.port, "true", "");
    idle.must(&["stop", "jobs"]);
    assert!(put(&idle, &["--wait", "--timeout", "1m", "a"])[0].ends_with(" done"));
    idle.must(&["queue", "pause", "jobs"]);
    until("the other has heard of it", || queue(&busy)["paused"] == true);
    let waits = put(&busy, &["b"]);
    assert!(busy.must(&["queue", "show", &waits[0]]).contains("waiting"));
    idle.must(&["queue", "resume", "jobs"]);
    until("it is done", || queue(&busy)["done"] == 2);
    busy.down();
    idle.down();
}

/// E3, E5: what was under way when quell died is done by the next one, and its first try is counted.
#[test]
#[serial]
fn quell_dies_with_a_task_in_hand() {
    let redis = Redis::start();
    let mut up = up(redis.port, "echo try $QUELL_ATTEMPT; test $QUELL_ATTEMPT = 2 || exec sleep 1000", "");
    put(&up, &["a"]);
    up.until_logged("jobs", "try 1");
    up.signal(Signal::SIGKILL);
    up.end();
    until("nobody is left", || carriers(up.folder.path()).is_empty());
    let mut up = up.again();
    up.until("was under way with us (try 1); it waits again");
    up.until_logged("jobs", "try 2");
    until("it is done", || queue(&up)["done"] == 1);
    up.down();
}

/// E4: what takes quell down with it is begun no more often than it may be tried, though another waits for something to do.
#[test]
#[serial]
fn what_takes_quell_down_is_buried() {
    let redis = Redis::start();
    let (script, more) = ("echo try $QUELL_ATTEMPT; exec sleep 1000", "retry = { tries = 2 }");
    let mut idle = up(redis.port, script, more);
    idle.must(&["stop", "jobs"]);
    let mut poisoned = up(redis.port, script, more);
    let id = put(&poisoned, &["a"])[0].clone();
    for attempt in ["try 1", "try 2"] {
        poisoned.until_logged("jobs", attempt);
        if attempt == "try 2" {
            idle.must(&["start", "jobs"]);
        }
        poisoned.signal(Signal::SIGKILL);
        poisoned.end();
        until("nobody is left", || carriers(poisoned.folder.path()).is_empty());
        poisoned = poisoned.again();
        poisoned.until(" is there, with jobs");
    }
    until("it is buried", || queue(&idle)["buried"] == 1);
    let shown = idle.must(&["queue", "show", &id, "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["attempt"], &shown["why"]), (&2.into(), &"quell ended, at try 2 of 2".into()));
    poisoned.down();
    idle.down();
}

/// The same server by another URL is the same store: a reload takes nothing from the workers.
#[test]
#[serial]
fn another_url_of_the_same_server() {
    let redis = Redis::start();
    let folder = Folder::new();
    let go = folder.join("go");
    let script = format!("echo at $(cat); until test -e {}; do sleep 0.05; done", go.display());
    let mut up = up(redis.port, &script, "");
    put(&up, &["a"]);
    up.until_logged("jobs", "at a");
    let path = up.folder.join("quell.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    // And a queue that is new there, by the old one.
    let store = text.lines().find(|line| line.starts_with("store")).unwrap();
    let other = store.replace("/0\"", "\"");
    std::fs::write(&path, format!("{}[queue.more]\n{store}\n", text.replace(store, &other))).unwrap();
    up.must(&["reload"]);
    put(&up, &["b"]);
    std::fs::write(&go, "").unwrap();
    until("both are done", || queue(&up)["done"] == 2);
    let ids: Vec<_> = up.printed("jobs").iter().map(|line| line.split_once("] ").unwrap().1.to_owned()).collect();
    assert_eq!(ids, ["at a", "at b"], "each was begun once");
    up.down();
}

/// Who waits for the end of a task hears of it, too, where the server does not know the task any more.
#[test]
#[serial]
fn a_server_that_has_lost_all() {
    let mut redis = Redis::start();
    let mut up = up(redis.port, "true", "");
    up.must(&["stop", "jobs"]);
    let mut command = quell();
    let waits = start(command.args(["put", "jobs", "--wait", "a", "-c"]).arg(up.folder.join("quell.toml")));
    until("it is there", || queue(&up)["waiting"]["normal"] == 1);
    redis.stop();
    up.until("; nothing of jobs is put or begun");
    std::fs::remove_dir_all(redis.folder.join("appendonlydir")).unwrap();
    redis.start_again();
    up.until(" is there, with jobs");
    let done = waits.done();
    assert!(done.code() == 1 && done.text().contains("dropped"), "{done:?}");
    up.down();
}

/// What waits in the state directory, of a queue that is elsewhere by now, is named.
#[test]
#[serial]
fn a_queue_that_has_moved() {
    let redis = Redis::start();
    let moved = keys(redis.port, "true", "");
    let store = moved.lines().nth(1).unwrap();
    let mut here = Up::start(&moved.replace(store, ""));
    here.until("up, pid");
    here.must(&["stop", "jobs"]);
    put(&here, &["a"]);
    here.down();
    configure(&here.folder, &moved);
    let mut there = here.again();
    there.until("1 tasks of jobs wait in the state directory");
    there.until(" is there, with jobs");
    there.down();
}

/// How long the threads of a process have run, in ticks of the clock, and how often they were woken.
fn effort(pid: i32) -> (u64, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let wakes = threads.map(|thread| {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.map_or(0, |count| count.trim().parse::<u64>().unwrap())
    });
    (ticks, wakes.sum())
}

/// E8: while the server is gone a put is refused, no task is begun, nothing is acknowledged and nothing spins; what ended
/// meanwhile is told when it is back.
#[test]
#[serial]
fn the_server_goes_and_comes_back() {
    let mut redis = Redis::start();
    let folder = Folder::new();
    let go = folder.join("go");
    let script = format!("echo at $(cat); until test -e {}; do sleep 0.05; done", go.display());
    let mut up = up(redis.port, &script, "");
    put(&up, &["a", "b"]);
    up.until_logged("jobs", "at a");
    redis.stop();
    up.until("; nothing of jobs is put or begun");
    let refused = up.ask(&["put", "jobs", "c"]);
    assert!(refused.code() == 1 && refused.stderr.contains("cannot be reached"), "{refused:?}");
    let listed = up.must(&["queue", "list"]);
    assert!(listed.contains("not those on redis://127.0.0.1"), "{listed}");
    let state = queue(&up);
    assert_eq!(state["store"], "lost");
    assert!(state["why"].as_str().unwrap().contains("cannot be reached"), "{state}");
    // The task ends meanwhile.
    std::fs::write(&go, "").unwrap();
    until("its process has ended", || up.status("jobs.1")["pid"].is_null());
    let before = effort(up.pid());
    fd::wait::<0>([], Some(Duration::from_secs(10))).unwrap();
    let after = effort(up.pid());
    let (ticks, wakes) = (after.0 - before.0, after.1 - before.1);
    assert!(ticks <= 10 && wakes <= 100, "{ticks} ticks, {wakes} times woken in ten seconds");
    redis.start_again();
    up.until(" is there, with jobs");
    until("both are done", || queue(&up)["done"] == 2);
    let ids: Vec<_> = up.printed("jobs").iter().map(|line| line.split_once("] ").unwrap().1.to_owned()).collect();
    assert_eq!(ids, ["at a", "at b"], "each was begun once");
    up.down();
}

/// A worker that stays does its tasks in one life, whatever comes of the server meanwhile, and what it puts itself is done too. What
/// kills it is tried again, and so is what lay behind that: each is done, and was begun no more than it need be.
#[test]
#[serial]
fn a_worker_that_stays() {
    let mut redis = Redis::start();
    let script = "echo ready 4 >&3; while read -r id try trace body <&3; do echo \"$body $try\"; \
                  case \"$body $try\" in 'die 1') exit 1 ;; parent*) echo put jobs child >&3 ;; esac; echo ok $id >&3; done";
    let stays = "protocol = \"lines\"\nbackoff = { first = \"10ms\" }\nretry = { first = \"10ms\" }";
    let mut up = up(redis.port, script, stays);
    let is_done = |up: &Up, words: &[&str]| put(up, &[&["--wait"], words].concat())[0].ends_with(" done");
    assert!(is_done(&up, &["a"]) && is_done(&up, &["parent"]));
    until("what it has put is done", || queue(&up)["done"] == 3);
    let pid = up.pid_of("jobs");
    redis.stop();
    up.until("; nothing of jobs is put or begun");
    redis.start_again();
    up.until(" is there, with jobs");
    assert!(is_done(&up, &["b"]));
    assert_eq!(up.pid_of("jobs"), pid);
    put(&up, &["die", "c", "d", "e"]);
    until("all are done", || queue(&up)["done"] == 8);
    let printed = up.printed("jobs");
    // Where several are in hand, the number before a line is a guess.
    let mut did: Vec<_> = printed.iter().map(|line| line.split_once("] ").map_or(&**line, |(_, text)| text)).collect();
    assert_eq!(did[..4], ["a 1", "parent 1", "child 1", "b 1"]);
    did.sort_unstable();
    let times = |body: &str| did.iter().filter(|line| line.starts_with(body)).count();
    assert_eq!(["c ", "d ", "e "].map(times), [1; 3], "{did:?}");
    assert_eq!(did.iter().filter(|line| line.starts_with("die")).collect::<Vec<_>>(), [&"die 1", &"die 2"]);
    up.down();
}

/// With nothing to do, a quell that shares a queue says every ten seconds that it lives, and nothing else: some six wakes of its
/// threads for each time, where something that looks each second would be another forty.
#[test]
#[serial]
fn a_quell_that_has_nothing_to_do() {
    let redis = Redis::start();
    let mut up = up(redis.port, "true", "");
    assert!(put(&up, &["--wait", "a"])[0].ends_with(" done"));
    let before = effort(up.pid());
    fd::wait::<0>([], Some(Duration::from_secs(20))).unwrap();
    let after = effort(up.pid());
    let (ticks, wakes) = (after.0 - before.0, after.1 - before.1);
    assert!(ticks <= 2 && wakes <= 28, "{ticks} ticks, {wakes} times woken in twenty seconds");
    up.down();
}

/// Three supervisors do the tasks of one queue; one of them is killed for good, one is cut off for longer than it is waited
/// for. All tasks are done, none is lost; done twice are at most those that the two had in hand.
#[test]
#[serial]
fn one_is_killed_and_one_is_cut_off() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port);
    let shared = Folder::new();
    let done = shared.join("done");
    // One process for each task, so that many are done in little time.
    let script = format!("read -r n; echo \"$n\" >> {}", done.display());
    let keys_of = |port| keys(port, &script, &format!("slots = {{ total = {SLOTS} }}\nretry = {{ first = \"10ms\" }}"));
    let count = tasks();
    // They are put before anybody works, by a quell without a supervisor: a line each, with its end in the payload.
    let folder = Folder::new();
    let path = configure(&folder, &keys_of(redis.port));
    for from in (0..count).step_by(1000) {
        let mut command = quell();
        command.args(["put", "jobs", "-c"]).arg(&path).args((from..count.min(from + 1000)).map(|n| format!("{n}\n")));
        let done = finish(&mut command);
        assert_eq!(done.code(), 0, "{done:?}");
    }
    let began = Instant::now();
    let [mut first, mut second, mut third] = [redis.port, redis.port, proxy.port].map(|port| {
        let mut up = Up::start(&keys_of(port));
        up.until(" is there, with jobs");
        up
    });
    let until_done = |share: usize| {
        let bytes = (0..count * share / 8).map(|n| n.to_string().len() as u64 + 1).sum::<u64>();
        let end = Instant::now() + 20 * LIMIT;
        while std::fs::metadata(&done).map_or(0, |file| file.len()) < bytes {
            assert!(Instant::now() < end, "{} of {count} are done", done_in(&done).len());
            fd::wait::<0>([], Some(Duration::from_millis(20))).unwrap();
        }
    };
    until_done(1);
    first.signal(Signal::SIGKILL);
    first.end();
    until_done(2);
    proxy.cut();
    third.until("cannot be reached");
    // What the two had in hand is done by the second, once they have said nothing for long enough.
    let end = Instant::now() + 20 * LIMIT;
    while queue(&second)["done"].as_u64() != Some(count as u64) {
        assert!(Instant::now() < end, "{} of {count} are done", done_in(&done).len());
        fd::wait::<0>([], Some(Duration::from_millis(200))).unwrap();
    }
    proxy.mend();
    third.until(" is there, with jobs");
    until("the one that is back has heard of that", || queue(&third)["done"].as_u64() == Some(count as u64));
    let times = done_in(&done);
    assert_eq!(times.len(), count, "none is lost");
    let twice: usize = times.values().map(|times| times - 1).sum();
    let took = began.elapsed();
    // Past the capture of tests that succeed.
    let _ = writeln!(std::io::stderr(), "{count} tasks in {took:?}, {twice} of them twice");
    assert!(twice <= 2 * SLOTS, "{twice} were done twice");
    let left = queue(&second);
    assert_eq!((&left["running"], &left["waiting"]["normal"], &left["buried"]), (&0.into(), &0.into(), &0.into()));
    second.down();
    third.down();
    // What the one that was killed has left outside its folder is taken away by its next one.
    let mut first = first.again();
    first.until(" is there, with jobs");
    first.down();
}
