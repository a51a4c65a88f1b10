//! A time in which the disk takes no more: what is said of it, on stderr and in the log, from its beginning to its end.

use super::{LogDir, RETRY_FIRST, RETRY_MAX};
use crate::clock::Now;
use crate::config::unit::show_duration;
use crate::log::ledger::Count;
use crate::runtime::backlog::Trouble;
use crate::runtime::directory::Directory;
use std::io;

impl<D: Directory> LogDir<D> {
    /// A write failed: what that means is said, the first time.
    pub(super) fn troubled(&mut self, error: &io::Error, now: Now) {
        if self.trouble.is_none() {
            let (path, remedy) = (self.main.dir().path(), self.settings.overflow.remedy());
            let text = format!("cannot write to {}: {error}; {remedy}", path.display());
            tracing::error!("{}: {text}", self.label);
            self.news = Some(text);
            self.trouble = Some(Box::new(Trouble {
                since: now.tick,
                error: error.to_string(),
                dropped: Count::default(),
                say_after: now.tick.after(RETRY_FIRST),
            }));
        }
    }

    /// A write got through: a time of waiting is over. One of dropping is over when that could be said in the log.
    pub(super) fn relieved(&mut self, now: Now) {
        let Some(trouble) = self.trouble.take_if(|trouble| trouble.dropped == Count::default()) else { return };
        let lasted = show_duration(now.tick.until(trouble.since));
        self.say(format!("writing to {} again after {lasted}", self.main.dir().path().display()));
    }

    fn say(&mut self, text: String) {
        tracing::warn!("{}: {text}", self.label);
        self.news = Some(text);
    }

    /// Says in the log what was dropped, as soon as there is room for it; tried at most once a second.
    pub(super) fn say_dropped(&mut self, now: Now) {
        let waited = |trouble: &mut Box<Trouble>| trouble.say_after <= now.tick && trouble.dropped != Count::default();
        let Some(mut trouble) = self.trouble.take_if(waited) else { return };
        let Count { lines, bytes } = trouble.dropped;
        let text = format!("dropped {lines} lines, {bytes} bytes: {}", trouble.error);
        if self.own_record(&text, now) {
            self.say(text);
        } else {
            trouble.say_after = now.tick.after(RETRY_MAX);
            self.trouble = Some(trouble);
        }
    }
}
