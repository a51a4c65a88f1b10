//! The only place that asks what time it is.

use crate::clock::{Now, Tick, Wall};
use jiff::tz::TimeZone;
use nix::time::{ClockId, clock_gettime};

/// Reads both clocks.
///
/// # Panics
/// If the kernel has no clock.
#[must_use]
pub fn now() -> Now {
    let read = |clock| clock_gettime(clock).expect("clock_gettime(2) cannot fail for these clocks");
    let (monotonic, real) = (read(ClockId::CLOCK_MONOTONIC), read(ClockId::CLOCK_REALTIME));
    Now {
        tick: Tick(monotonic.tv_sec() as u64 * 1_000_000_000 + monotonic.tv_nsec() as u64),
        wall: Wall(real.tv_sec() * 1_000_000 + real.tv_nsec() / 1000),
    }
}

/// The time zone of this host: `TZ`, else `/etc/localtime`, else UTC.
#[must_use]
pub fn local_zone() -> TimeZone {
    TimeZone::system()
}
