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

/// A10: what is written, and rotated, just after the end was read belongs to the old file, and is read from there.
#[test]
fn a_rotation_just_after_the_end_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    std::fs::write(dir.join(CURRENT), "one\n").unwrap();
    let mut file = File::options().append(true).open(dir.join(CURRENT)).unwrap();
    let mut reader = Reader::open(dir, Span::default(), true).unwrap();
    let next = |reader: &mut Reader| reader.advance().then(|| String::from_utf8(reader.bytes().to_vec()).unwrap());
    assert_eq!((next(&mut reader).as_deref(), next(&mut reader)), (Some("one\n"), None));
    file.write_all(b"two\n").unwrap();
    std::fs::rename(dir.join(CURRENT), dir.join(archive(1).to_string())).unwrap();
    std::fs::write(dir.join(CURRENT), "three\n").unwrap();
    reader.wake(false);
    reader.end().unwrap();
    let rest = [next(&mut reader), next(&mut reader), next(&mut reader)];
    assert_eq!(rest, [Some("two\n".into()), Some("three\n".into()), None]);
}

/// As long as there is no newer file, the one that was renamed is still written to.
#[test]
fn a_rotation_that_is_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let unfinished = dir.join(archive(7).to_string());
    std::fs::write(&unfinished, "one\n").unwrap();
    let mut file = File::options().append(true).open(&unfinished).unwrap();
    let mut reader = Reader::open(dir, Span::default(), true).unwrap();
    assert!(reader.advance() && reader.bytes() == b"one\n" && !reader.advance());
    file.write_all(b"two\n").unwrap();
    reader.wake(false);
    assert!(reader.advance() && reader.bytes() == b"two\n" && !reader.advance());
    std::fs::write(dir.join(CURRENT), "three\n").unwrap();
    reader.wake(false);
    assert!(reader.advance() && reader.bytes() == b"three\n" && !reader.advance());
    assert!(reader.troubles.is_empty());
}

/// Archives that are gone before they were read are said.
#[test]
fn archives_that_were_purged_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    std::fs::write(dir.join(archive(3).to_string()), "three\n").unwrap();
    std::fs::write(dir.join(CURRENT), "four\n").unwrap();
    let mut reader = Reader::open(dir, Span::default(), true).unwrap();
    assert_eq!(reader.keep_last(1).unwrap(), 1);
    assert!(reader.advance() && reader.bytes() == b"four\n" && !reader.advance());
    std::fs::rename(dir.join(CURRENT), dir.join(archive(4).to_string())).unwrap();
    std::fs::write(dir.join(archive(7).to_string()), "seven\n").unwrap();
    std::fs::write(dir.join(CURRENT), "eight\n").unwrap();
    reader.wake(false);
    assert!(reader.advance() && reader.bytes() == b"seven\n");
    assert!(reader.advance() && reader.bytes() == b"eight\n" && !reader.advance());
    let said: Vec<_> = reader.troubles().map(|trouble| trouble.to_string()).collect();
    assert!(said.len() == 1 && said[0].starts_with("archives 000005 to 000006 of "), "{said:?}");
}
