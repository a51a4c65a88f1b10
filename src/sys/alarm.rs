//! A time of the calendar that is waited for: a timerfd on CLOCK_REALTIME (timerfd_create(2)), so that a clock that is set is
//! told as well.

use crate::clock::Wall;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// An alarm. Its descriptor can be read when the time has come, or when the clock was set.
#[derive(Debug)]
pub struct Alarm(TimerFd);

impl Alarm {
    /// An alarm that is not set.
    ///
    /// # Errors
    /// As timerfd_create(2).
    pub fn new() -> io::Result<Alarm> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        Ok(Alarm(TimerFd::new(ClockId::CLOCK_REALTIME, flags)?))
    }

    /// Sets it to this time; none takes it back.
    ///
    /// # Errors
    /// As timerfd_settime(2).
    pub fn set(&self, at: Option<Wall>) -> io::Result<()> {
        let Some(at) = at else { return Ok(self.0.unset()?) };
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        // All zeros would take it back.
        let time = TimeSpec::new(at.seconds().max(0), i64::from(at.micros()) * 1000 + 1);
        Ok(self.0.set(Expiration::OneShot(time), flags)?)
    }

    /// Takes note that it has rung. It must be set again after that.
    pub fn heard(&self) {
        // ECANCELED is how a clock that was set is told, EAGAIN that there was nothing; what is left to do is the same.
        let _: Result<(), Errno> = self.0.wait();
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd::{self, Interest};
    use crate::sys::time;
    use serial_test::serial;
    use std::time::Duration;

    #[test]
    #[serial]
    fn an_alarm_rings_at_its_time() {
        let rings = |alarm: &Alarm, within| fd::wait([Some((alarm.as_fd(), Interest::Read))], Some(within)).unwrap()[0];
        let alarm = Alarm::new().unwrap();
        let at = time::now().wall.after(Duration::from_millis(50));
        alarm.set(Some(at)).unwrap();
        assert!(rings(&alarm, Duration::from_secs(30)));
        assert!(time::now().wall >= at);
        alarm.heard();
        assert!(!rings(&alarm, Duration::ZERO));
        alarm.set(Some(at)).unwrap();
        assert!(rings(&alarm, Duration::from_secs(30)), "what has passed rings at once");
        for never in [None, Some(Wall(i64::MAX))] {
            alarm.set(never).unwrap();
            assert!(!rings(&alarm, Duration::ZERO));
        }
    }
}
