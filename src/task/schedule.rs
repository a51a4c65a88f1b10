//! When a schedule comes next, whatever the clock does.
//!
//! What its fields mean is the crate cronexpr's, and as in crontab(5): a star at the beginning of the day or of the weekday
//! makes both count, else either does. It is asked in local time only. Of a time that exists twice it would give both, a
//! time that does not exist it would leave out, and where a zone sets its clock back by half an hour it may find no end: so
//! what a change of the local clock means is decided here, and as cron(8) of Debian has it:
//!
//! | minute or hour begins with `*` | the clock is set forward | the clock is set back |
//! |---|---|---|
//! | no: a time of the day | a time that is passed over comes at the moment of the change | a time that exists twice comes once, the first time |
//! | yes: again and again | a time that is passed over does not come | a time that exists twice comes twice |

use crate::clock::Wall;
use crate::config::values;
use cronexpr::{Crontab, parse_crontab};
use jiff::civil::DateTime;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// A clock that is set back by less comes by times again that have been; by more, and it is a clock that was wrong.
pub const SET_BACK_MAX: Duration = Duration::from_secs(3600);

/// The times of a schedule.
#[derive(Clone, Debug)]
pub struct Times {
    /// Its fields, in local time.
    fields: Crontab,
    zone: TimeZone,
    /// It comes again and again, not at times of the day.
    is_wild: bool,
}

impl Times {
    /// Reads a schedule: five fields, and a time zone that is UTC where there is none. The zone's rules are looked up here
    /// and kept.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn new(schedule: &values::Schedule) -> Result<Times, String> {
        let fields = schedule.fields();
        let is_wild = fields.split(' ').take(2).any(|field| field.starts_with('*'));
        let wrong = |what: &str| format!("{:?} is no schedule: {what}", schedule.0);
        let fields = parse_crontab(&format!("{fields} UTC"));
        let fields = fields.map_err(|_| wrong("its fields are not those of crontab(5)"))?;
        let zone = DateTimeParser::new().parse_time_zone(schedule.zone());
        let zone = zone.map_err(|_| wrong("its time zone is unknown"))?;
        Ok(Times { fields, zone, is_wild })
    }

    /// The first time after another; none where there is none in four years.
    #[must_use]
    pub fn after(&self, wall: Wall) -> Option<Wall> {
        let after = Timestamp::from_microsecond(wall.0).ok()?;
        let next = if self.is_wild { self.again(after) } else { self.of_day(after) };
        next.map(|next| Wall(next.as_microsecond()))
    }

    /// Each local time is one moment: the first where there are two, the change of the clock where there is none.
    fn of_day(&self, after: Timestamp) -> Option<Timestamp> {
        let mut local = self.zone.to_datetime(after);
        loop {
            local = self.local(local)?;
            let at = match self.zone.to_ambiguous_timestamp(local).offset() {
                AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                    offset.to_timestamp(local).ok()?
                }
                AmbiguousOffset::Gap { after: offset, .. } => {
                    self.zone.following(offset.to_timestamp(local).ok()?).next()?.timestamp()
                }
            };
            if at > after {
                return Some(at);
            }
        }
    }

    /// Each moment has one local time: the local clock is followed from change to change.
    fn again(&self, after: Timestamp) -> Option<Timestamp> {
        let (mut from, mut local) = (after, self.zone.to_datetime(after));
        loop {
            let at = self.zone.to_offset(from).to_timestamp(self.local(local)?).ok()?;
            match self.zone.following(from).next() {
                Some(change) if change.timestamp() <= at => {
                    from = change.timestamp();
                    // The time that the clock is set to may be one.
                    local = self.zone.to_datetime(from).checked_sub(SignedDuration::from_secs(1)).ok()?;
                }
                _ => return Some(at),
            }
        }
    }

    /// The first local time after another, for a clock that nobody sets.
    fn local(&self, after: DateTime) -> Option<DateTime> {
        let next = self.fields.find_next(Offset::UTC.to_timestamp(after).ok()?).ok()?;
        Some(next.datetime())
    }
}

/// A schedule as it goes on: no time comes twice, and those that a clock passes over when it is set come once together.
#[derive(Clone, Debug)]
pub struct Schedule {
    times: Times,
    next: Option<Wall>,
    /// Up to here, all have come or were before it began.
    done: Wall,
}

impl Schedule {
    /// One that begins now: what was before does not come.
    #[must_use]
    pub fn new(times: Times, now: Wall) -> Schedule {
        let next = times.after(now);
        Schedule { times, next, done: now }
    }

    /// When to look again, unless the clock is set before that; none where it never comes.
    #[must_use]
    pub fn next(&self) -> Option<Wall> {
        self.next
    }

    /// Whether it has come. To be asked when its next time has come, and whenever the clock was set.
    pub fn is_due(&mut self, now: Wall) -> bool {
        let is_due = self.next.is_some_and(|next| next <= now);
        if is_due || self.done.until(now) >= SET_BACK_MAX {
            self.done = now;
        }
        self.next = self.times.after(self.done.max(now));
        is_due
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
