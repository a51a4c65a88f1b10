//! A disk that hangs: a file system of its own, frozen, as it is when a disk does not answer.

use super::loopback::Disk;
use super::{Up, configure, descriptors, until};
use crate::harness::{Folder, quell, start};
use serial_test::serial;

/// A supervisor, and the disk that some of its workers log to.
struct Scene {
    // It is thawed before the end of the supervisor is waited for.
    disk: Disk,
    up: Up,
}

impl Scene {
    /// The workers log to the disk where `@` stands.
    fn new(workers: &str) -> Scene {
        let folder = Folder::new();
        let disk = Disk::new(&folder);
        let log = format!("log.dir = \"{}/log\"\n", disk.at.display());
        let path = configure(&folder, &workers.replace("@\n", &log));
        Scene { disk, up: Up::of(folder, path) }
    }
}

/// While the logs are being finished requests are answered, and whoever asks for the end then as who asked for it first.
#[test]
#[serial]
fn the_end_can_be_asked_for_twice() {
    let mut scene = Scene::new("[worker.web]\ncommand = [\"sleep\", \"1000\"]\n@\n");
    scene.up.ready("web");
    scene.disk.freeze();
    let down = |up: &Up| start(quell().args(["down", "-c"]).arg(up.folder.join("quell.toml")));
    let first = down(&scene.up);
    scene.up.until("web: stopped (SIGTERM)");
    let second = down(&scene.up);
    scene.up.until("going down: somebody asked for it");
    let status = scene.up.must(&["status"]);
    assert!(status.contains(" stopping, up for"), "{status}");
    scene.disk.thaw();
    for asked in [first.done(), second.done()] {
        assert_eq!((asked.code(), asked.text()), (0, "down\n"), "{asked:?}");
    }
    assert_eq!(scene.up.end().code(), Some(0));
}

/// C9: a worker that fails again and again while its disk hangs takes no more pipes than a few lives', and nobody else waits.
#[test]
#[serial]
fn a_loop_of_failures_onto_a_disk_that_hangs() {
    let brief = "shell = \"echo no; exit 1\"\nbackoff = { first = \"0s\", max = \"0s\" }\n";
    let mut scene = Scene::new(&format!("[worker.brief]\n{brief}@\n[worker.web]\ncommand = [\"sleep\", \"1000\"]\n"));
    scene.up.until("brief: exited 1");
    scene.disk.freeze();
    let disk = scene.disk.at.display().to_string();
    until("it waits for the disk", || {
        let brief = scene.up.status("brief");
        brief["state"] == "waiting" && brief["why"].as_str().is_some_and(|why| why.contains(&disk))
    });
    let pipes = descriptors(scene.up.pid()).iter().filter(|held| held.starts_with("pipe:")).count();
    assert!(pipes <= 20, "{pipes} pipes");
    scene.up.must(&["restart", "web"]);
    scene.disk.thaw();
    scene.up.heard();
    scene.up.until("brief: started");
    scene.up.must(&["stop", "brief"]);
    scene.up.down();
}
