//! Texts that somebody waits for in the lines of a worker. The output plane looks for them, whatever class a line is of; the
//! control plane is told once of all that it has not taken yet, however much of it is printed.

use crate::line::search::Searcher;
use memchr::memmem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Texts, compiled for being looked for. Workers in whose lines the same ones are waited for share them.
#[derive(Debug)]
pub struct Texts {
    /// All of them in one pass: most blocks hold none.
    any: Searcher,
    each: Vec<Box<str>>,
}

impl Texts {
    /// Compiles texts, none of them empty.
    #[must_use]
    pub fn new(each: Vec<Box<str>>) -> Texts {
        let bytes: Vec<_> = each.iter().map(|text| text.as_bytes()).collect();
        Texts { any: Searcher::new(&bytes), each }
    }

    /// They.
    #[must_use]
    pub fn each(&self) -> &[Box<str>] {
        &self.each
    }
}

/// What is waited for in the lines of one worker: the output plane finds it, the control plane takes it.
#[derive(Debug)]
pub struct Watchwords {
    speaker: Box<str>,
    texts: Arc<Texts>,
    /// Which of them were found and not taken yet; these are not looked for.
    found: Box<[AtomicBool]>,
    /// The control plane was told, and has taken nothing since.
    told: AtomicBool,
}

impl Watchwords {
    /// These texts, in the lines of this worker.
    #[must_use]
    pub fn new(speaker: &str, texts: Arc<Texts>) -> Watchwords {
        let found = texts.each.iter().map(|_| AtomicBool::new(false)).collect();
        Watchwords { speaker: speaker.into(), texts, found, told: AtomicBool::new(false) }
    }

    /// Whose lines they are, by the name in the configuration.
    #[must_use]
    pub fn speaker(&self) -> &str {
        &self.speaker
    }

    /// Looks at lines: true where the control plane is to be told.
    #[must_use]
    pub fn look(&self, lines: &[u8]) -> bool {
        let is_open = |at: &usize| !self.found[*at].load(Ordering::Relaxed);
        let mut open = (0..self.found.len()).filter(is_open).peekable();
        if open.peek().is_none() || self.texts.any.find(lines, 0).is_none() {
            return false;
        }
        let mut has_found = false;
        for at in open.filter(|at| memmem::find(lines, self.texts.each[*at].as_bytes()).is_some()) {
            self.found[at].store(true, Ordering::Release);
            has_found = true;
        }
        has_found && !self.told.swap(true, Ordering::AcqRel)
    }

    /// What was found since this was asked. What is found from now on is told anew.
    pub fn take(&self) -> impl Iterator<Item = &str> {
        // First this, or what is found meanwhile would neither be taken nor told.
        self.told.swap(false, Ordering::AcqRel);
        let taken = self.found.iter().zip(&self.texts.each).filter(|(found, _)| found.swap(false, Ordering::AcqRel));
        taken.map(|(_, text)| &**text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watchwords(texts: &[&str]) -> Watchwords {
        Watchwords::new("web", Arc::new(Texts::new(texts.iter().map(|text| (*text).into()).collect())))
    }

    fn taken(watchwords: &Watchwords) -> Vec<&str> {
        watchwords.take().collect()
    }

    #[test]
    fn it_is_told_once_of_all_that_is_found() {
        let watchwords = watchwords(&["disk full", "full", "rebuilt"]);
        assert!(!watchwords.look(b"all is well\n"));
        assert!(watchwords.look(b"a\nthe disk full of rows\n"));
        assert!(!watchwords.look(b"disk full\nrebuilt\n"), "nothing was taken yet");
        assert_eq!(taken(&watchwords), ["disk full", "full", "rebuilt"], "one stands in another");
        assert_eq!(taken(&watchwords), [""; 0]);
        assert!(watchwords.look(b"rebuilt\n"));
        assert_eq!(taken(&watchwords), ["rebuilt"]);
    }

    /// However the two threads meet: what was printed last is taken in the end.
    #[test]
    fn nothing_is_lost_between_two_threads() {
        let watchwords = watchwords(&["a", "b"]);
        let (told, news) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let tell = |line: &[u8]| {
                    if watchwords.look(line) {
                        told.send(()).unwrap();
                    }
                };
                (0..20_000).for_each(|_| tell(b"a\n"));
                tell(b"b\n");
                drop(told);
            });
            let all: Vec<_> = news.iter().flat_map(|()| taken(&watchwords)).collect();
            assert!(all.contains(&"a") && all.contains(&"b"), "{}", all.len());
            assert_eq!(taken(&watchwords), [""; 0], "all of it was told");
        });
    }
}
