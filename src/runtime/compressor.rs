//! The compressor: a thread of the lowest priority that compresses archives, one after the other.

use super::directory::{Append, Directory};
use super::syncer::{Which, folder};
use crate::log::name::{Archive, Packed};
use crate::sys::thread;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// Compression: level and window, so that it stays below 8 MiB.
const ZSTD_LEVEL: i32 = 3;
const ZSTD_WINDOW_LOG: u32 = 20;

/// An archive to compress: the log directory, the series in it, the name.
type Task<D> = (Arc<D>, Which, Archive);

/// The compressor's thread, started when the first archive comes. Dropped, it stops in the middle of one: the next start
/// of quell goes on with it.
#[derive(Debug)]
pub struct Compressor<D> {
    stop: Arc<AtomicBool>,
    running: Option<Running<D>>,
}

#[derive(Debug)]
struct Running<D> {
    tasks: Sender<Task<D>>,
    thread: JoinHandle<()>,
}

impl<D> Default for Compressor<D> {
    fn default() -> Compressor<D> {
        Compressor { stop: Arc::default(), running: None }
    }
}

impl<D: Directory> Compressor<D> {
    /// Compresses an archive when those before it are done.
    ///
    /// # Errors
    /// As pthread_create(3).
    pub fn take(&mut self, dir: Arc<D>, which: Which, archive: Archive) -> io::Result<()> {
        let running = match &mut self.running {
            Some(running) => running,
            none => {
                let (tasks, inbox) = channel();
                let stop = self.stop.clone();
                let thread = thread::spawn("compressor", move || compress_loop(&inbox, &stop))?;
                none.insert(Running { tasks, thread })
            }
        };
        // It ends only when it is dropped.
        let _ = running.tasks.send((dir, which, archive));
        Ok(())
    }
}

impl<D> Drop for Compressor<D> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(Running { tasks, thread }) = self.running.take() {
            drop(tasks);
            let _ = thread.join();
        }
    }
}

fn compress_loop<D: Directory>(inbox: &Receiver<Task<D>>, stop: &AtomicBool) {
    thread::lowest_priority();
    while let Ok((dir, which, archive)) = inbox.recv() {
        let packed = folder(&dir, which).and_then(|dir| dir.map_or(Ok(()), |dir| compress(&dir, archive, stop)));
        match packed {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return,
            Err(e) => tracing::warn!("cannot compress {archive}: {e}; it stays as it is"),
            Ok(()) => {}
        }
    }
}

/// Compresses one archive: into a file of its own, synced, renamed, and only then the original is removed.
///
/// # Errors
/// What the directory says; `Interrupted` when quell stops.
pub fn compress<D: Directory>(dir: &D, archive: Archive, stop: &AtomicBool) -> io::Result<()> {
    let plain = archive.to_string();
    let unfinished = archive.with(archive.clean, Packed::Unfinished).to_string();
    let source = match dir.read(&plain) {
        // Purged meanwhile.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        source => source?,
    };
    dir.remove(&unfinished)?;
    let file = dir.create_new(&unfinished)?;
    let packed = pack(source, &file, stop).and_then(|()| file.sync());
    if let Err(e) = packed {
        dir.remove(&unfinished)?;
        return Err(e);
    }
    dir.rename(&unfinished, &archive.with(archive.clean, Packed::Zstd).to_string())?;
    dir.sync()?;
    dir.remove(&plain)
}

fn pack(mut source: Box<dyn Read>, file: &impl Append, stop: &AtomicBool) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(Appender(file), ZSTD_LEVEL)?;
    encoder.window_log(ZSTD_WINDOW_LOG)?;
    encoder.include_checksum(true)?;
    let mut chunk = vec![0; 64 * 1024];
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match source.read(&mut chunk)? {
            0 => return encoder.finish().map(|_| ()),
            bytes => encoder.write_all(&chunk[..bytes])?,
        }
    }
}

struct Appender<'a, F>(&'a F);

impl<F: Append> Write for Appender<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
