//! One file of a log, read from its beginning, as it was written, whatever form it has.

use super::last;
use crate::log::name::{Archive, CURRENT, Packed};
use crate::sys::dir::Dir;
use crate::sys::peek;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use zstd::Decoder;

/// The largest window that is given to a compressed file, as a power of two: what every decoder is to have (RFC 8878, 3.1.1.1.2).
/// Ours take a megabyte.
const WINDOW_LOG_MAX: u32 = 23;

/// A file of a log.
pub(super) struct Content {
    /// The archive; none for `current`.
    pub(super) archive: Option<Archive>,
    /// There is a newer one: nobody writes to it any more.
    pub(super) finished: bool,
    form: Form,
}

enum Form {
    /// As written. It may grow, so what was read is known by its place in the file.
    Plain { file: File, at: u64, end: u64 },
    /// Compressed: streamed, never whole in memory.
    Packed(Box<Decoder<'static, BufReader<File>>>),
}

impl Content {
    /// Opens an archive; none when it is gone.
    ///
    /// # Errors
    /// As openat(2); `InvalidInput` for what is not a regular file.
    pub(super) fn archive(dir: &Dir, archive: Archive) -> io::Result<Option<Content>> {
        // In the order in which an archive gets these names, so that a rename in between is caught up with.
        let names = [(false, Packed::No), (true, Packed::No), (true, Packed::Zstd), (false, Packed::Zstd)];
        for (clean, packed) in names {
            let archive = archive.with(clean, packed);
            let file = match dir.read(&archive.to_string()) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            if !file.metadata()?.is_file() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
            }
            let form = match packed {
                Packed::Zstd => {
                    let mut decoder = Decoder::new(file)?;
                    decoder.window_log_max(WINDOW_LOG_MAX)?;
                    Form::Packed(Box::new(decoder))
                }
                _ => Form::Plain { file, at: 0, end: u64::MAX },
            };
            return Ok(Some(Content { archive: Some(archive), finished: false, form }));
        }
        Ok(None)
    }

    /// The file that is written, up to so many bytes.
    pub(super) fn current(file: File, end: u64) -> Content {
        Content { archive: None, finished: false, form: Form::Plain { file, at: 0, end } }
    }

    /// What it was called when it was opened.
    pub(super) fn name(&self) -> String {
        self.archive.map_or_else(|| CURRENT.to_owned(), |archive| archive.to_string())
    }

    /// The next bytes; 0 is the end, for now.
    ///
    /// # Errors
    /// As read(2), and what is wrong with a compressed file.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.form {
            Form::Plain { file, at, end } => {
                let room = into.len().min(usize::try_from(end.saturating_sub(*at)).unwrap_or(usize::MAX));
                let bytes = file.read_at(&mut into[..room], *at)?;
                *at += bytes as u64;
                Ok(bytes)
            }
            Form::Packed(decoder) => decoder.read(into),
        }
    }

    /// Passes over the first bytes.
    ///
    /// # Errors
    /// As `read`.
    pub(super) fn pass_over(&mut self, bytes: u64) -> io::Result<()> {
        match &mut self.form {
            Form::Plain { at, .. } => *at = bytes,
            Form::Packed(decoder) => drop(io::copy(&mut decoder.take(bytes), &mut io::sink())?),
        }
        Ok(())
    }

    /// The last bytes that were read of a file as written are to be read again.
    pub(super) fn go_back(&mut self, bytes: usize) {
        if let Form::Plain { at, .. } = &mut self.form {
            *at = at.saturating_sub(bytes as u64);
        }
    }

    /// Begins anew where somebody has truncated it before what was read; true then.
    ///
    /// # Errors
    /// As fstat(2).
    pub(super) fn was_cut(&mut self) -> io::Result<bool> {
        let Form::Plain { file, at, .. } = &mut self.form else { return Ok(false) };
        let is_cut = file.metadata()?.len() < *at;
        if is_cut {
            *at = 0;
        }
        Ok(is_cut)
    }

    /// Whether it can be a file that somebody writes to.
    pub(super) fn can_grow(&self) -> bool {
        matches!(self.form, Form::Plain { .. })
    }

    /// What it is called now, and whether it has no name any more.
    ///
    /// # Errors
    /// As readlink(2).
    pub(super) fn called(&self) -> io::Result<(String, bool)> {
        match &self.form {
            Form::Plain { file, .. } => peek::name_of(file),
            Form::Packed(decoder) => peek::name_of(decoder.get_ref().get_ref()),
        }
    }

    /// Where its last lines begin, and how many they are.
    ///
    /// # Errors
    /// As pread(2), where it is as it was written.
    pub(super) fn last_lines(self, wanted: u64) -> io::Result<last::Start> {
        match self.form {
            Form::Plain { file, .. } => last::of_file(&file, file.metadata()?.len(), wanted),
            Form::Packed(decoder) => Ok(last::of_stream(*decoder, wanted)),
        }
    }
}
