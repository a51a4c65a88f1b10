use super::follow::Follower;
use super::*;
use crate::clock::Wall;
use crate::log::name::Packed;
use crate::sys::fd;
use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};

const LINES: u32 = 300;

fn archive(sequence: u64) -> Archive {
    Archive { closed: Wall(1_795_223_723_000_000), sequence, clean: false, packed: Packed::No }
}

/// Writes numbered lines, and rotates after every second or so.
fn write(dir: &Path, closed: &Sender<Archive>) {
    let current = || File::options().append(true).create(true).open(dir.join(CURRENT)).unwrap();
    let mut file = current();
    let mut sequence = 0;
    for number in 0..LINES {
        file.write_all(format!("{number}\n").as_bytes()).unwrap();
        if number % 5 > 2 {
            sequence += 1;
            let archive = archive(sequence);
            std::fs::rename(dir.join(CURRENT), dir.join(archive.to_string())).unwrap();
            file = current();
            closed.send(archive).unwrap();
        }
    }
}

/// Gives archives their clean names, and compresses most.
fn keep(dir: &Path, closed: &Receiver<Archive>) {
    for archive in closed {
        let names = [(false, Packed::No), (true, Packed::No), (true, Packed::Unfinished), (true, Packed::Zstd)];
        let [unclean, clean, unfinished, packed] =
            names.map(|(clean, packed)| dir.join(archive.with(clean, packed).to_string()));
        std::fs::rename(unclean, &clean).unwrap();
        if archive.sequence % 4 > 0 {
            std::fs::write(&unfinished, zstd::encode_all(&std::fs::read(&clean).unwrap()[..], 1).unwrap()).unwrap();
            std::fs::rename(unfinished, packed).unwrap();
            std::fs::remove_file(clean).unwrap();
        }
    }
}

/// A10: whatever comes between two steps of a reader, it has every line once.
#[test]
fn rotations_faster_than_any_writers() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let (closed, inbox) = channel();
        std::thread::scope(|scope| {
            scope.spawn(move || write(dir, &closed));
            scope.spawn(move || keep(dir, &inbox));
            let mut readers = [Reader::open(dir, Span::default(), true).unwrap()];
            let mut follower = Follower::new(1).unwrap();
            let mut expected = 0;
            while expected < LINES {
                while readers[0].advance() {
                    let line = String::from_utf8_lossy(readers[0].bytes());
                    assert_eq!(line, format!("{expected}\n"), "{:?}", readers[0].troubles);
                    expected += 1;
                }
                assert!(readers[0].troubles.is_empty(), "{:?}", readers[0].troubles);
                if expected < LINES && !follower.attend(&mut readers).unwrap() {
                    assert!(follower.wait(&mut readers, fd::stderr()).unwrap());
                }
            }
        });
    }
}
