//! A file system of its own, in a file: frozen, as it is when a disk does not answer, or cut off from its disk, as it is when
//! the power fails.

use super::until;
use crate::disk::mount;
use crate::harness::Folder;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const IMAGE_BYTES: u64 = 64 << 20;
/// EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH (linux/fs/ext4/ext4.h): from now on nothing is written, the journal
/// neither.
const SHUTDOWN: &str = "
import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))
";

/// An ext4 of its own; thawed and gone when it is dropped.
pub struct Disk {
    pub at: PathBuf,
    image: PathBuf,
}

impl Disk {
    pub fn new(folder: &Folder) -> Disk {
        let disk = Disk { at: folder.join("disk"), image: folder.write("image", "") };
        std::fs::create_dir(&disk.at).unwrap();
        std::fs::OpenOptions::new().write(true).open(&disk.image).unwrap().set_len(IMAGE_BYTES).unwrap();
        run(Command::new("mkfs.ext4").arg("-q").arg(&disk.image));
        disk.mount();
        disk
    }

    fn mount(&self) {
        mount(&["-o", "loop", self.image.to_str().unwrap()], &self.at);
    }

    /// Whoever writes to it waits.
    pub fn freeze(&self) {
        run(Command::new("fsfreeze").arg("-f").arg(&self.at));
    }

    pub fn thaw(&self) {
        run(Command::new("fsfreeze").arg("-u").arg(&self.at));
    }

    /// What was not synced is lost, and whoever reads or writes is refused.
    pub fn cut(&self) {
        run(Command::new("python3").args(["-c", SHUTDOWN]).arg(&self.at));
    }

    /// It is there again, as it was when it was cut off, when those who had it open are gone.
    pub fn restore(&self) {
        let mut umount = Command::new("umount");
        umount.arg(&self.at).stderr(Stdio::null());
        until("nobody has it open", || umount.status().unwrap().success());
        // The journal is replayed, and what stands there then has to be whole.
        self.mount();
        run(Command::new("umount").arg(&self.at));
        run(Command::new("e2fsck").arg("-fn").arg(&self.image).stdout(Stdio::null()).stderr(Stdio::null()));
        self.mount();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It is not frozen where all went well.
        let _ = Command::new("fsfreeze").arg("-u").arg(&self.at).output();
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?} wants root");
}
