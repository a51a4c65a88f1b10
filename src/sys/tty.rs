//! Terminals.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

/// How many columns a terminal has; none where it is none, or does not say.
#[must_use]
pub fn columns(fd: impl AsFd) -> Option<usize> {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: the structure outlives the call, and is zeroed: it can be read whether or not the kernel wrote to it.
    let size = unsafe {
        if libc::ioctl(fd.as_fd().as_raw_fd(), libc::TIOCGWINSZ, size.as_mut_ptr()) != 0 {
            return None;
        }
        size.assume_init()
    };
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}
