//! Files that start a worker or become tasks.

use super::{Up, until};
use crate::harness::Folder;
use nix::sys::signal::Signal;
use serial_test::serial;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Files in a folder become tasks of a queue that nobody works on, so that they can be counted.
fn with(folder: &Folder, keys: &str) -> Up {
    let path = super::configure(
        folder,
        &format!(
            "[queue.files]\ndurable = \"never\"\n{keys}\n[worker.it]\ncommand = [\"true\"]\n\
             start_on = [{{ path = \"in/*.csv\", queue = \"files\" }}, {{ queue = \"files\" }}]\n"
        ),
    );
    let mut up = Up::of(Folder::new(), path);
    up.until("all workers are up");
    up
}

/// A supervisor whose folder is another's, so that it can be started anew.
struct Scene {
    folder: Folder,
    up: Up,
}

impl Scene {
    fn new(keys: &str) -> Scene {
        let folder = Folder::new();
        fs::create_dir(folder.join("in")).unwrap();
        let up = with(&folder, keys);
        let scene = Scene { folder, up };
        scene.must(&["queue", "pause", "files"]);
        scene
    }

    fn must(&self, verb: &[&str]) -> String {
        let done = super::ask(&self.folder, verb);
        assert_eq!(done.code(), 0, "{verb:?}: {done:?}");
        done.text().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join("in").join(name)
    }

    /// How many tasks were put for each file.
    fn tasks(&self) -> BTreeMap<String, u64> {
        let store = rusqlite::Connection::open(self.folder.join("state/store.db")).unwrap();
        store.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
        let mut tasks = BTreeMap::new();
        let mut payloads = store.prepare("SELECT payload FROM task").unwrap();
        for payload in payloads.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap() {
            let path = PathBuf::from(String::from_utf8(payload.unwrap()).unwrap());
            assert_eq!(path.parent(), Some(&*self.folder.join("in")));
            *tasks.entry(path.file_name().unwrap().to_str().unwrap().to_owned()).or_default() += 1;
        }
        tasks
    }

    /// Waits until there are so many tasks in all, one for each file.
    fn until_each_once(&self, files: usize) {
        let waiting = || {
            let stats = self.must(&["queue", "stats", "files", "--json"]);
            let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
            stats[0]["waiting"]["normal"].as_u64()
        };
        until(&format!("{files} tasks"), || waiting() >= Some(files as u64));
        let tasks = self.tasks();
        let odd: Vec<_> = tasks.iter().filter(|(_, tasks)| **tasks != 1).collect();
        assert!(odd.is_empty() && tasks.len() == files, "{} files, {odd:?}", tasks.len());
    }

    fn again(&mut self) {
        self.up.down();
        self.start();
    }

    fn start(&mut self) {
        self.up = Up::of(Folder::new(), self.folder.join("quell.toml"));
        self.up.until("all workers are up");
    }
}

/// Several writers drop files in bursts: written in place, in pieces, and moved in when they are whole.
fn drop_files(folder: &Path, writers: usize, each: usize) {
    let (inside, outside) = (folder.join("in"), folder.join("outside"));
    fs::create_dir_all(&outside).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..writers {
            let (inside, outside) = (&inside, &outside);
            scope.spawn(move || {
                for file in 0..each {
                    let name = format!("{writer}-{file}.csv");
                    match file % 3 {
                        0 => fs::write(inside.join(&name), "x").unwrap(),
                        1 => {
                            let mut file = fs::File::create(inside.join(&name)).unwrap();
                            (0..3).for_each(|_| file.write_all(b"some\n").unwrap());
                        }
                        _ => {
                            fs::write(outside.join(&name), "x").unwrap();
                            fs::rename(outside.join(&name), inside.join(&name)).unwrap();
                        }
                    }
                }
            });
        }
    });
}

/// E3: none of many files is missed, and none is put twice: not after a restart either, nor when its task is done and gone. A
/// file that is written to anew is a new one.
#[test]
#[serial]
fn ten_thousand_files_become_as_many_tasks() {
    let mut scene = Scene::new("");
    drop_files(scene.folder.path(), 4, 2500);
    scene.until_each_once(10_000);
    fs::write(scene.path("other.txt"), "x").unwrap();
    fs::write(scene.path(".hidden.csv"), "x").unwrap();
    scene.must(&["queue", "drain", "files"]);
    scene.again();
    fs::write(scene.path("new.csv"), "x").unwrap();
    scene.until_each_once(1);
    scene.again();
    // It was looked through, with what has come meanwhile.
    fs::write(scene.path("0-0.csv"), "anew").unwrap();
    scene.until_each_once(2);
    assert_eq!(scene.tasks().into_keys().collect::<Vec<_>>(), ["0-0.csv", "new.csv"]);
    scene.up.down();
}

/// The kernel loses count of what has come while nobody reads: the folder is looked through, and nothing is put twice.
#[test]
#[serial]
fn an_overflow_is_made_good() {
    let mut scene = Scene::new("");
    fs::write(scene.path("first.csv"), "x").unwrap();
    scene.until_each_once(1);
    let limit: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    scene.up.signal(Signal::SIGSTOP);
    drop_files(scene.folder.path(), 2, limit / 2 + 500);
    scene.up.signal(Signal::SIGCONT);
    scene.until_each_once(limit / 2 * 2 + 1001);
    drop_files_named(&scene, "later", 10);
    scene.until_each_once(limit / 2 * 2 + 1011);
    scene.up.down();
}

fn drop_files_named(scene: &Scene, name: &str, files: usize) {
    (0..files).for_each(|file| fs::write(scene.path(&format!("{name}-{file}.csv")), "x").unwrap());
}

/// E6: what a queue has no room for waits until it has, which is said once.
#[test]
#[serial]
fn a_full_queue_has_files_wait() {
    let mut scene = Scene::new("max_tasks = 5");
    drop_files_named(&scene, "some", 20);
    scene.up.until("wait for room in files: the queue is full");
    scene.until_each_once(5);
    scene.must(&["queue", "resume", "files"]);
    let done = || {
        let stats = scene.must(&["queue", "stats", "files", "--json"]);
        let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
        stats[0]["totals"]["done"].as_u64()
    };
    until("all are done", || done() == Some(20));
    let said = scene.up.heard().iter().filter(|line| line.contains("wait for room")).count();
    assert_eq!(said, 1);
    scene.up.down();
}

/// Of a folder that is looked through, what is being written is left until it is whole.
#[test]
#[serial]
fn a_file_that_is_being_written_is_left_until_it_is_whole() {
    let mut scene = Scene::new("");
    scene.up.down();
    let mut file = fs::File::create(scene.path("large.csv")).unwrap();
    file.write_all(b"some\n").unwrap();
    fs::write(scene.path("small.csv"), "x").unwrap();
    scene.start();
    scene.until_each_once(1);
    assert!(scene.tasks().contains_key("small.csv"));
    file.write_all(b"more\n").unwrap();
    drop(file);
    scene.until_each_once(2);
    scene.up.down();
}

/// A folder may be exchanged anywhere on its way, and a reload is not needed to see it.
#[test]
#[serial]
fn a_folder_above_is_exchanged() {
    let mut scene = Scene::new("");
    fs::write(scene.path("a.csv"), "x").unwrap();
    scene.until_each_once(1);
    let (all, other) = (scene.folder.join("in"), scene.folder.join("other"));
    fs::create_dir(&other).unwrap();
    fs::write(other.join("b.csv"), "x").unwrap();
    fs::rename(&all, scene.folder.join("before")).unwrap();
    std::os::unix::fs::symlink("before", &all).unwrap();
    fs::write(scene.path("c.csv"), "x").unwrap();
    scene.until_each_once(2);
    std::os::unix::fs::symlink("other", scene.folder.join("fresh")).unwrap();
    fs::rename(scene.folder.join("fresh"), &all).unwrap();
    scene.until_each_once(3);
    fs::write(scene.path("d.csv"), "x").unwrap();
    scene.until_each_once(4);
    scene.up.down();
}

/// A folder may be made, renamed and removed at any time.
#[test]
#[serial]
fn a_folder_comes_and_goes() {
    let mut scene = Scene::new("");
    let inside = scene.folder.join("in");
    fs::remove_dir(&inside).unwrap();
    let made = scene.folder.join("made");
    fs::create_dir(&made).unwrap();
    fs::write(made.join("a.csv"), "x").unwrap();
    fs::rename(&made, &inside).unwrap();
    scene.until_each_once(1);
    fs::rename(&inside, scene.folder.join("away")).unwrap();
    fs::write(scene.folder.join("away/b.csv"), "x").unwrap();
    fs::create_dir(&inside).unwrap();
    fs::write(inside.join("c.csv"), "x").unwrap();
    scene.until_each_once(2);
    assert_eq!(scene.tasks().into_keys().collect::<Vec<_>>(), ["a.csv", "c.csv"]);
    scene.up.down();
}

/// A command that writes into the file that it was given gives itself a task each time: that waits, and is said.
#[test]
#[serial]
fn a_file_that_its_task_writes_is_held_back() {
    let folder = Folder::new();
    fs::create_dir(folder.join("in")).unwrap();
    let configuration = super::configure(
        &folder,
        "[queue.files]\ndurable = \"never\"\n[worker.it]\nshell = \"read file; echo x >> $$file\"\n\
         start_on = [{ path = \"in/*.csv\", queue = \"files\" }, { queue = \"files\" }]\n",
    );
    let mut up = Up::of(folder, configuration);
    up.until("all workers are up");
    fs::write(up.folder.join("in/a.csv"), "x\n").unwrap();
    up.until("in/a.csv was written to anew more than 60 times in 60 s: it waits now");
    let rest = || {
        let stats: serde_json::Value = serde_json::from_str(&up.must(&["queue", "stats", "files", "--json"])).unwrap();
        stats[0]["totals"]["done"].as_u64() == Some(60) && stats[0]["running"] == 0
    };
    until("it rests", rest);
    up.down();
}

/// A worker that sees for itself is started once for what is there, and once for all that comes while it runs.
#[test]
#[serial]
fn files_start_a_worker() {
    let folder = Folder::new();
    let (inside, go) = (folder.join("drop/in"), folder.join("go"));
    let mut up = Up::start(&format!(
        "[worker.it]\nshell = \"echo run; while ! test -e {}; do sleep 0.01; done; rm -f {}/*\"\n\
         start_on = [{{ path = \"{}/*\" }}]\n",
        go.display(),
        inside.display(),
        inside.display()
    ));
    up.until("all workers are up");
    let write = |name: &str| fs::write(inside.join(name), "x").unwrap();
    fs::create_dir_all(&inside).unwrap();
    write("a");
    up.until(&format!("it: starts: a file {}/*", inside.display()));
    up.until_logged("it", "run");
    (0..100).for_each(|file| write(&file.to_string()));
    // Some of it may have been told by now; a reload forgets none of that.
    up.must(&["reload"]);
    let runs = |up: &Up| up.printed("it").iter().filter(|line| *line == "run").count();
    assert_eq!(runs(&up), 1);
    go_on(&go);
    up.until("it: done");
    up.until("it: starts: a file");
    up.until("it: done");
    until("the second run is in the log", || runs(&up) == 2);
    assert_eq!(up.status("it")["state"], "waiting");
    fs::remove_file(&go).unwrap();
    write("b");
    up.until("it: starts: a file");
    go_on(&go);
    up.until("it: done");
    write("c");
    up.until("it: starts: a file");
    up.until("it: done");
    fs::remove_file(&go).unwrap();
    up.down();
    write("d");
    go_on(&go);
    let mut up = up.again();
    up.until("it: starts: a file");
    up.until("it: done");
    up.down();
}

fn go_on(go: &Path) {
    fs::write(go, "").unwrap();
}
