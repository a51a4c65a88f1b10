//! A disk that hangs: a file system of its own, frozen, as it is when a disk does not answer.

use super::{Up, configure, descriptors, until};
use crate::disk::mount;
use crate::harness::{Folder, quell, start};
use serial_test::serial;
use std::path::PathBuf;
use std::process::Command;

const IMAGE_BYTES: u64 = 64 << 20;

/// An ext4 of its own that can be frozen; thawed and gone when it is dropped.
struct Disk(PathBuf);

impl Disk {
    fn new(folder: &Folder) -> Disk {
        let (at, image) = (folder.join("disk"), folder.write("image", ""));
        std::fs::create_dir(&at).unwrap();
        std::fs::OpenOptions::new().write(true).open(&image).unwrap().set_len(IMAGE_BYTES).unwrap();
        run(Command::new("mkfs.ext4").arg("-q").arg(&image));
        mount(&["-o", "loop", image.to_str().unwrap()], &at);
        Disk(at)
    }

    /// Whoever writes to it waits.
    fn freeze(&self) {
        run(Command::new("fsfreeze").arg("-f").arg(&self.0));
    }

    fn thaw(&self) {
        run(Command::new("fsfreeze").arg("-u").arg(&self.0));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It is not frozen where all went well.
        let _ = Command::new("fsfreeze").arg("-u").arg(&self.0).output();
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?} wants root");
}

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
        let log = format!("log.dir = \"{}/log\"\n", disk.0.display());
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
    let disk = scene.disk.0.display().to_string();
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
