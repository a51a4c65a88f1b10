//! Whether the kernel kills because memory has run out. It counts its victims and does not say who they are.

use crate::clock::Tick;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Victims of the same moment are told apart by nothing else.
const MOMENT: Duration = Duration::from_secs(1);

/// The count of the kernel's victims: those in our control group, where it has one for them, else those of the machine.
#[derive(Debug)]
pub struct OomKills {
    file: PathBuf,
    seen: u64,
    /// Victims that were seen and not claimed, until then.
    unclaimed: (u64, Tick),
}

impl OomKills {
    /// Begins to count.
    #[must_use]
    pub fn watch() -> OomKills {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        // Version 2 has number 0 and no name (cgroups(7)); in its root nothing is counted.
        let ours = groups.lines().find_map(|line| line.strip_prefix("0::/"));
        let events = ours.map(|path| PathBuf::from("/sys/fs/cgroup").join(path).join("memory.events"));
        let file = events.filter(|file| file.exists()).unwrap_or_else(|| "/proc/vmstat".into());
        OomKills { seen: count(&file), file, unclaimed: (0, Tick(0)) }
    }

    /// Whether a process that SIGKILL has ended was probably one of them: there was one since this was last asked that no
    /// other answer has claimed.
    pub fn claim(&mut self, now: Tick) -> bool {
        let all = count(&self.file);
        let left = if self.unclaimed.1 >= now { self.unclaimed.0 } else { 0 };
        let victims = left + all.saturating_sub(self.seen);
        self.seen = all;
        self.unclaimed = (victims.saturating_sub(1), now.after(MOMENT));
        victims > 0
    }
}

fn count(file: &PathBuf) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C10: each victim is named once.
    #[test]
    fn every_victim_is_claimed_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("memory.events");
        let write =
            |count: u64| fs::write(&file, format!("low 0\noom 9\noom_kill {count}\noom_group_kill 0\n")).unwrap();
        write(3);
        let mut kills = OomKills { seen: count(&file), file: file.clone(), unclaimed: (0, Tick(0)) };
        let at = |millis: u64| Tick(millis * 1_000_000);
        assert!(!kills.claim(at(0)));
        write(5);
        assert!(kills.claim(at(1)) && kills.claim(at(2)) && !kills.claim(at(3)));
        write(7);
        // The second is not known to be of the later moment.
        assert!(kills.claim(at(4)) && !kills.claim(at(4000)));
    }
}
