//! What becomes of a task after a try: it is done, tried again a little later, or buried.

use super::TaskId;
use crate::config::tables::{self, QueueEvent};
use crate::config::unit::show_duration;
use std::time::Duration;

/// How the process that had the task ended, as plain numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(u8),
    /// This signal ended it.
    Signal(i32),
}

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The task is done.
    Done {
        /// What came of it, where the worker said so.
        result: Option<Box<str>>,
    },
    /// The worker wants it tried again.
    Retry {
        /// After so long; else after the wait that a failed try has.
        after: Option<Duration>,
        /// Why.
        why: Box<str>,
    },
    /// The worker gives it up.
    Bury {
        /// Why.
        why: Box<str>,
    },
    /// It failed, or took its worker with it.
    Failed {
        /// Why.
        why: Box<str>,
    },
    /// Whoever had it is gone, by no fault of the task's: its worker was stopped, quell or the machine died.
    Lost {
        /// Why.
        why: Box<str>,
    },
}

impl End {
    /// What an `exec` worker says of its task by how it ends. 0: done. 75 (EX_TEMPFAIL, sysexits.h) and 111 (qmail-command(8),
    /// a soft error): try again. 65 (EX_DATAERR) and 100 (a hard error there): bury. Any other code, and a signal: failed.
    #[must_use]
    pub fn of_exit(exit: Exit) -> End {
        let why = exit.to_string().into();
        match exit {
            Exit::Code(0) => End::Done { result: None },
            Exit::Code(75 | 111) => End::Retry { after: None, why },
            Exit::Code(65 | 100) => End::Bury { why },
            Exit::Code(_) | Exit::Signal(_) => End::Failed { why },
        }
    }

    /// Its process was killed, since it had had so long.
    #[must_use]
    pub fn of_timeout(timeout: Duration) -> End {
        End::Failed { why: format!("not done after {}: killed", show_duration(timeout)).into() }
    }

    /// What is to be thought of a task that a `lines` worker was at when it ended by itself: however that was, it had not said
    /// that the task was done. Of several tasks in hand it was at the first; the others are `Lost`.
    #[must_use]
    pub fn of_death(exit: Exit) -> End {
        End::Failed { why: format!("its worker ended ({exit})").into() }
    }

    /// What is to be thought of the task that a process was at when its life was over: `late` is the time that the task had,
    /// where it has had it, `asked` whether somebody has ended that life, `said` what the process says by its end. None where
    /// nothing is: the task is given back.
    #[must_use]
    pub fn of_life(late: Option<Duration>, asked: bool, said: Option<End>) -> Option<End> {
        late.map(End::of_timeout).or(said.filter(|_| !asked))
    }

    /// The same of a task that it had in hand behind that one.
    #[must_use]
    pub fn behind(first: Option<&End>) -> Option<End> {
        first.map(|_| End::Lost { why: "its worker ended with another task".into() })
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit {code}"),
            Exit::Signal(number) => write!(f, "signal {number}"),
        }
    }
}

/// How often a task is tried, and after what waits: the table `retry` of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// So many tries at most.
    pub tries: u32,
    /// The wait before the second; doubled for each that follows.
    pub first: Duration,
    /// The longest wait.
    pub max: Duration,
}

impl From<&tables::Retry> for Retry {
    fn from(table: &tables::Retry) -> Retry {
        let tries = u32::try_from(table.tries.0).unwrap_or(u32::MAX);
        Retry { tries, first: *table.first, max: *table.max }
    }
}

/// What becomes of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Done {
        /// What came of it.
        result: Option<Box<str>>,
    },
    /// It waits for another try.
    Again {
        /// So long.
        after: Duration,
        /// Why the last one was not enough.
        why: Box<str>,
    },
    /// It is given up.
    Buried {
        /// Why.
        why: Box<str>,
    },
}

impl Verdict {
    /// What has happened with that, for those who wait for it.
    #[must_use]
    pub fn events(&self) -> &'static [QueueEvent] {
        match self {
            Verdict::Done { .. } => &[QueueEvent::Done],
            Verdict::Again { .. } => &[QueueEvent::Failed],
            Verdict::Buried { .. } => &[QueueEvent::Failed, QueueEvent::Buried],
        }
    }

    /// It in words, where it is worth telling: of which task, and at which try of how many.
    #[must_use]
    pub fn describe(&self, task: TaskId, attempt: u32, tries: u32) -> Option<String> {
        match self {
            Verdict::Done { .. } => None,
            Verdict::Again { after, why } => {
                let wait = show_duration(*after);
                Some(format!("task {task} failed ({why}), try {attempt} of {tries}; again in {wait}"))
            }
            Verdict::Buried { why } => {
                Some(format!("task {task} is buried: {why}; `quell queue kick {task}` tries it again"))
            }
        }
    }
}

/// Decides what becomes of a task whose try number `attempt` (1 is the first) ended so. Each try that was begun counts,
/// however it ended, one too that the worker wanted again or that was lost: so what kills its worker, or quell itself, is
/// begun no more than `tries` times. `seed` makes waits differ; the task's number will do.
#[must_use]
pub fn decide(end: End, attempt: u32, retry: &Retry, seed: u64) -> Verdict {
    let (after, why) = match end {
        End::Done { result } => return Verdict::Done { result },
        End::Bury { why } => return Verdict::Buried { why },
        End::Retry { after: Some(after), why } => (after, why),
        End::Retry { after: None, why } | End::Failed { why } => (wait(attempt, retry, seed), why),
        End::Lost { why } => (Duration::ZERO, why),
    };
    if attempt < retry.tries {
        Verdict::Again { after, why }
    } else {
        Verdict::Buried { why: format!("{why}, at try {attempt} of {}", retry.tries).into() }
    }
}

/// What becomes of a task whose try ended so; none where it waits again, and nobody need know: it was given back, or its worker
/// was not at it. All else as [`decide`].
#[must_use]
pub fn conclude(end: Option<End>, attempt: u32, retry: &Retry, seed: u64) -> Option<Verdict> {
    let is_lost = matches!(end, Some(End::Lost { .. }));
    let verdict = decide(end?, attempt, retry, seed);
    Some(verdict).filter(|verdict| !(is_lost && matches!(verdict, Verdict::Again { .. })))
}

/// How long to wait after a failed try: doubled with each, and up to a quarter less, so that tasks that failed together
/// are not tried together.
fn wait(attempt: u32, retry: &Retry, seed: u64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(31);
    let whole = retry.first.saturating_mul(1 << doublings).min(retry.max);
    whole - whole / 4 * (mixed(seed ^ (u64::from(attempt) << 32)) % 1000) as u32 / 1000
}

/// SplitMix64 (Steele, Lea, Flood, 2014): numbers that are near each other become numbers that are not.
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::Table;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const RETRY: Retry = Retry { tries: 5, first: Duration::from_secs(1), max: Duration::from_secs(600) };

    fn failed() -> End {
        End::Failed { why: "exit 1".into() }
    }

    #[test]
    fn what_an_exit_says() {
        for code in 0..=255 {
            let end = End::of_exit(Exit::Code(code));
            let why = format!("exit {code}").into();
            let expected = match code {
                0 => End::Done { result: None },
                75 | 111 => End::Retry { after: None, why },
                65 | 100 => End::Bury { why },
                _ => End::Failed { why },
            };
            assert_eq!(end, expected);
            assert!(matches!(End::of_death(Exit::Code(code)), End::Failed { .. }), "it had not said that it was done");
        }
        assert_eq!(End::of_exit(Exit::Signal(9)), End::Failed { why: "signal 9".into() });
        assert_eq!(End::of_death(Exit::Signal(9)), End::Failed { why: "its worker ended (signal 9)".into() });
    }

    #[test]
    fn the_table_of_the_configuration() {
        assert_eq!(Retry::from(&tables::Retry::initial()), RETRY);
    }

    #[test]
    fn what_becomes_of_it() {
        let decide = |end, attempt| decide(end, attempt, &RETRY, 7);
        let done = End::Done { result: Some("3 kB".into()) };
        assert_eq!(decide(done, 9), Verdict::Done { result: Some("3 kB".into()) }, "however late");
        assert_eq!(decide(End::Bury { why: "no such user".into() }, 1), Verdict::Buried { why: "no such user".into() });
        let after = Some(Duration::from_secs(90));
        let (why, asked) = ("busy".into(), End::Retry { after, why: "busy".into() });
        assert_eq!(decide(asked.clone(), 4), Verdict::Again { after: Duration::from_secs(90), why });
        assert_eq!(decide(asked, 5), Verdict::Buried { why: "busy, at try 5 of 5".into() });
        let lost = End::Lost { why: "quell ended".into() };
        assert_eq!(decide(lost.clone(), 1), Verdict::Again { after: Duration::ZERO, why: "quell ended".into() });
        assert!(matches!(decide(lost, 5), Verdict::Buried { .. }));
    }

    #[test]
    fn what_is_told_of_it() {
        let told = |end, attempt| {
            let verdict = decide(end, attempt, &RETRY, 7);
            (verdict.describe(TaskId(17), attempt, 5).unwrap_or_default(), verdict.events())
        };
        assert_eq!(told(End::Done { result: None }, 1), (String::new(), &[QueueEvent::Done][..]));
        let retry = End::Retry { after: Some(Duration::from_secs(90)), why: "busy".into() };
        let (text, events) = told(retry, 1);
        assert_eq!(text, "task 17 failed (busy), try 1 of 5; again in 1m30s");
        assert_eq!(events, [QueueEvent::Failed]);
        let (text, events) = told(End::of_timeout(Duration::from_secs(2)), 5);
        assert!(text.starts_with("task 17 is buried: not done after 2.0s: killed, at try 5 of 5; "), "{text}");
        assert_eq!(events, [QueueEvent::Failed, QueueEvent::Buried]);
    }

    /// E4: who takes its worker down has failed, whoever had its time too; those behind it are tried again, at last not.
    #[test]
    fn what_becomes_of_what_a_dead_worker_had() {
        let (died, timeout) = (End::of_death(Exit::Signal(9)), Duration::from_secs(5));
        assert_eq!(End::of_life(None, false, Some(died.clone())), Some(died.clone()));
        assert_eq!(End::of_life(None, true, Some(died.clone())), None);
        assert_eq!(End::of_life(Some(timeout), true, Some(died.clone())), Some(End::of_timeout(timeout)));
        assert_eq!(End::behind(None), None);
        let behind = End::behind(Some(&died));
        assert_eq!(conclude(behind.clone(), 4, &RETRY, 7), None);
        assert!(matches!(conclude(behind, 5, &RETRY, 7), Some(Verdict::Buried { .. })));
        assert_eq!(conclude(None, 5, &RETRY, 7), None);
        assert_eq!(conclude(Some(died.clone()), 1, &RETRY, 7), Some(decide(died, 1, &RETRY, 7)));
    }

    /// E4: whatever comes of its tries but success, a task is begun `tries` times at most.
    #[test]
    fn a_poison_task_is_buried() {
        let ends =
            [failed(), End::of_death(Exit::Signal(11)), End::of_exit(Exit::Code(75)), End::Lost { why: "".into() }];
        for (tries, end) in (1..=10).flat_map(|tries| ends.iter().map(move |end| (tries, end))) {
            let retry = Retry { tries, ..RETRY };
            let again = |attempt: &u32| matches!(decide(end.clone(), *attempt, &retry, 1), Verdict::Again { .. });
            assert_eq!((1..).take_while(again).count() + 1, tries as usize, "{end:?}");
        }
    }

    #[test]
    fn waits_double_and_differ() {
        let seconds = |attempt| {
            let waits = (0..1000).map(|seed| wait(attempt, &RETRY, seed).as_secs_f64());
            waits.fold((f64::MAX, 0.0_f64), |(least, most), wait| (least.min(wait), most.max(wait)))
        };
        for (attempt, whole) in [(1, 1.0), (2, 2.0), (3, 4.0), (10, 512.0), (11, 600.0), (u32::MAX, 600.0)] {
            let (least, most) = seconds(attempt);
            assert!(least > whole * 0.75 && least < whole * 0.76, "{attempt}: {least}");
            assert!(most > whole * 0.99 && most <= whole, "{attempt}: {most}");
        }
        let waits: HashSet<_> = (0..100).map(|task| wait(1, &RETRY, task)).collect();
        assert!(waits.len() > 80, "tasks that were put together are not tried together");
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_longest(
            attempt in any::<u32>(), tries in 1u32.., first in any::<u64>(), max in any::<u64>(), seed in any::<u64>(),
        ) {
            let retry = Retry { tries, first: Duration::from_nanos(first), max: Duration::from_nanos(max) };
            match decide(failed(), attempt, &retry, seed) {
                Verdict::Again { after, .. } => prop_assert!(attempt < tries && after <= retry.max),
                Verdict::Buried { .. } => prop_assert!(attempt >= tries),
                Verdict::Done { .. } => prop_assert!(false),
            }
        }
    }
}
