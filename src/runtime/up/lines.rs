//! Lines that start a worker: what is looked for in the lines of each, and who waits for what was found.

use super::Up;
use super::specs::awaited;
use crate::clock::Now;
use crate::config::load::Config;
use crate::runtime::lookout::{Texts, Watchwords};
use crate::task::trigger::{Event, What};
use std::sync::Arc;

/// The texts that were compiled, each set once.
#[derive(Debug, Default)]
pub(super) struct Vocabulary(Vec<Arc<Texts>>);

impl Vocabulary {
    /// What is waited for in the lines of a worker.
    pub(super) fn of(&mut self, config: &Config, speaker: &str) -> Option<Arc<Watchwords>> {
        let mut each: Vec<Box<str>> = awaited(config, speaker).map(|(_, text)| text.into()).collect();
        each.sort_unstable();
        each.dedup();
        if each.is_empty() {
            return None;
        }
        let known = self.0.iter().find(|texts| texts.each() == each).cloned();
        let texts = known.unwrap_or_else(|| {
            let texts = Arc::new(Texts::new(each));
            self.0.push(texts.clone());
            texts
        });
        Some(Arc::new(Watchwords::new(speaker, texts)))
    }
}

impl Up<'_> {
    /// Lines were printed that somebody waits for.
    pub(super) fn spotted(&mut self, watchwords: &Watchwords, now: Now) {
        let worker = watchwords.speaker();
        for text in watchwords.take() {
            let waits = awaited(&self.configuration.loaded.config, worker).filter(|(_, awaited)| *awaited == text);
            let waits: Vec<Box<str>> = waits.map(|(waits, _)| waits.into()).collect();
            let what = What::Line { worker, line: text.as_bytes() };
            self.record_happened(what, now);
            waits.iter().for_each(|waits| self.tell(Event::Happened(what), Some(waits), now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::load;
    use crate::runtime::lists::OfDisk;
    use std::path::Path;

    #[test]
    fn who_waits_for_whose_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("quell.toml");
        let text = "worker.web.shell = \"true\"\nworker.db.shell = \"true\"\n\
            [worker.any]\nshell = \"true\"\nstart_on = [{ line = \"lost\" }]\n\
            [worker.one]\nshell = \"true\"\nstart_on = [{ line = \"lost\", worker = \"web\" }, { line = \"full\", worker = \"db\" }]\n\
            [worker.off]\nshell = \"true\"\nenabled = false\nstart_on = [{ line = \"off\" }]\n";
        std::fs::write(&path, text).unwrap();
        let loaded = load(path.to_str().unwrap(), Path::new("/"), &mut OfDisk::default(), &|_| None).unwrap();
        let mut vocabulary = Vocabulary::default();
        let mut of = |worker: &str| vocabulary.of(&loaded.config, worker);
        let texts = |of: &Watchwords| {
            assert!(of.look(b"lost, full and off\n"));
            of.take().map(str::to_owned).collect::<Vec<_>>()
        };
        let (web, db, one) = (of("web").unwrap(), of("db").unwrap(), of("one").unwrap());
        assert_eq!(
            (web.speaker(), texts(&web), texts(&db), texts(&one)),
            ("web", vec!["lost".into()], vec!["full".into(), "lost".into()], vec!["lost".into()])
        );
        assert!(of("any").is_none(), "its own lines");
        assert_eq!(vocabulary.0.len(), 2, "each set once");
        let waits: Vec<_> = awaited(&loaded.config, "web").collect();
        assert_eq!(waits, [("any", "lost"), ("one", "lost")]);
    }
}
