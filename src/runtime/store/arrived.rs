//! Files that have come: a task for each, and never two. What was seen is remembered in the transaction that puts its task,
//! until whoever watches the files says that it is gone: tasks are done and forgotten sooner than files are deleted.

use super::checksum::Summed;
use super::order::{Arrived, File, Full, Key, NewTask, OnKey, Reply, Taken};
use super::table::{self, Transaction, class_of, sql, state_of, text};
use crate::clock::Wall;
use crate::task::{Class, State, TaskId};
use rusqlite::{OptionalExtension, Result, params};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// How many files are told of those that are remembered: twice as many as came, so that all are looked at before there are
/// half as many more; and some, so that it goes on where one comes at a time.
fn told_max(put: usize) -> u64 {
    2 * put as u64 + 8
}

impl Transaction<'_> {
    /// Stores a task for each file that was not seen before, until the queue is full.
    pub(super) fn arrived(&mut self, arrived: &Arrived) -> Result<Reply> {
        let queue = self.queue(&arrived.queue)?;
        let (mut files, mut put, mut full) = (0, 0, None);
        for file in &arrived.files {
            match self.arrive(queue, file, arrived)? {
                Ok(is_new) => put += usize::from(is_new),
                Err(refusal) => {
                    full = Some(refusal);
                    break;
                }
            }
            files += 1;
        }
        for File { key, path } in &arrived.gone {
            let mut forget =
                self.conn.prepare_cached("DELETE FROM seen WHERE queue = ?1 AND key = ?2 AND path = ?3")?;
            forget.execute(params![queue, key, bytes(path)])?;
        }
        let known = self.known(queue, &arrived.after, told_max(put))?;
        Ok(Reply::Arrived(Taken { files, put, full, known }))
    }

    /// Takes a file in: whether it is a new one.
    fn arrive(&mut self, queue: i64, file: &File, arrived: &Arrived) -> Result<std::result::Result<bool, Full>> {
        let File { key, path } = file;
        let seen = self
            .conn
            .prepare_cached("SELECT path FROM seen WHERE queue = ?1 AND key = ?2")?
            .query_row(params![queue, key], |row| Ok(text(row, 0) == bytes(path)))
            .optional()?;
        let remember = match seen {
            Some(true) => return Ok(Ok(false)),
            Some(false) => "UPDATE seen SET path = ?3 WHERE queue = ?1 AND key = ?2",
            None => "INSERT INTO seen (queue, key, path) VALUES (?1, ?2, ?3)",
        };
        if seen.is_none() {
            let tally = self.books.get(queue).map(|queue| queue.tally).unwrap_or_default();
            let size = bytes(path).len() as u64;
            if let Err(full) = arrived.limits.allow(tally.stored() + 1, tally.bytes.saturating_add(size)) {
                return Ok(Err(full));
            }
        }
        self.conn.prepare_cached(remember)?.execute(params![queue, key, bytes(path)])?;
        if seen.is_some() {
            self.renamed(queue, file, arrived.now)?;
            return Ok(Ok(false));
        }
        self.insert(queue, &new_task(file), State::Waiting, arrived.now)?;
        Ok(Ok(true))
    }

    /// A file is elsewhere: what is still to be done about it, be it for another time, is to find it. A task that waits gets
    /// another number, for whoever has fetched it knows its old path.
    fn renamed(&mut self, queue: i64, file: &File, now: Wall) -> Result<()> {
        let waiting = self.step(&table::REPLACE_WAITING, params![queue, file.key])?;
        for (id, class, state, put_us, trace, size) in self.begun(queue, &file.key)? {
            let payload = bytes(&file.path);
            let summed = Summed { id, class, put_us, trace: trace.as_deref(), payload };
            let mut update =
                self.conn.prepare_cached("UPDATE task SET payload = ?2, bytes = ?3, sum = ?4 WHERE id = ?1")?;
            update.execute(params![sql(id.0), payload, sql(payload.len() as u64), summed.sum()])?;
            self.books.step(queue, id, class, size, (Some(state), None));
            self.books.step(queue, id, class, payload.len() as u64, (None, Some(state)));
        }
        for old in waiting {
            let id = self.insert(queue, &new_task(file), State::Waiting, now)?;
            let mut tried = self.conn.prepare_cached("UPDATE task SET attempt = ?2 WHERE id = ?1")?;
            tried.execute(params![sql(id.0), old.attempt])?;
        }
        Ok(())
    }

    /// The tasks of a key that do not wait and have not ended, each with what its checksum is made of, its state and its size.
    fn begun(&self, queue: i64, key: &str) -> Result<Vec<Begun>> {
        let mut begun = self.conn.prepare_cached(
            "SELECT id, class, state, put_us, trace, bytes FROM task WHERE queue = ?1 AND key = ?2 AND ended_us IS NULL",
        )?;
        let rows = begun.query_map(params![queue, key], |row| {
            let state = state_of(text(row, 2)).unwrap_or(State::Damaged);
            let trace = (!text(row, 4).is_empty()).then(|| text(row, 4).into());
            let (id, size) = (TaskId(row.get::<_, i64>(0)?.unsigned_abs()), row.get::<_, i64>(5)?.unsigned_abs());
            Ok((id, class_of(text(row, 1)).unwrap_or_default(), state, row.get(3)?, trace, size))
        });
        rows?.collect()
    }

    /// Files that are remembered.
    fn known(&self, queue: i64, after: &str, max: u64) -> Result<Vec<File>> {
        let mut known = self
            .conn
            .prepare_cached("SELECT key, path FROM seen WHERE queue = ?1 AND key > ?2 ORDER BY key LIMIT ?3")?;
        let file = |row: &rusqlite::Row<'_>| {
            Ok(File { key: row.get(0)?, path: Path::new(OsStr::from_bytes(text(row, 1))).into() })
        };
        known.query_map(params![queue, after, sql(max)], file)?.collect()
    }
}

type Begun = (TaskId, Class, State, i64, Option<Box<[u8]>>, u64);

/// The task for a file.
fn new_task(file: &File) -> NewTask {
    let key = Some(Key { name: file.key.clone(), on: OnKey::DropNew });
    NewTask { class: Class::Normal, key, delay: Duration::ZERO, trace: None, payload: bytes(&file.path).into() }
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::order::{Ending, Limits, Order};
    use super::super::scene::{ROOMY, Scene, queue};
    use super::super::tally::Tally;
    use super::*;
    use crate::config::values::Durable;

    fn file(key: &str, path: &str) -> File {
        File { key: key.into(), path: Path::new(path).into() }
    }

    fn arrived(files: &[(&str, &str)]) -> Arrived {
        let files = files.iter().map(|(key, path)| file(key, path)).collect();
        let (limits, gone, after) = (ROOMY, Vec::new(), "".into());
        Arrived { queue: queue(), durable: Durable::Never, limits, files, gone, after, now: Wall(0) }
    }

    /// How many files were taken and put, whether the queue is full, and the keys of those that are told.
    fn tell(scene: &mut Scene, arrived: Arrived) -> (usize, usize, bool, Vec<String>) {
        match scene.tell(&Order::Arrived(arrived)) {
            Reply::Arrived(Taken { files, put, full, known }) => {
                (files, put, full.is_some(), known.into_iter().map(|file| file.key.into()).collect())
            }
            other => panic!("{other:?}"),
        }
    }

    fn payloads(scene: &mut Scene) -> Vec<String> {
        let tasks = scene.fetch(Class::Normal, 0);
        tasks.into_iter().map(|task| String::from_utf8(task.payload.into()).unwrap()).collect()
    }

    #[test]
    fn a_file_gives_one_task_and_a_new_time_another() {
        let mut scene = Scene::new();
        assert_eq!(tell(&mut scene, arrived(&[("1:1", "/in/a"), ("1:2", "/in/b"), ("1:1", "/in/a")])).1, 2);
        assert_eq!(payloads(&mut scene), ["/in/a", "/in/b"]);
        scene.lease(TaskId(1));
        scene.end(TaskId(1), Ending::Done { result: None }, 5);
        scene.changes(&Order::Purge { queue: queue(), before: Wall(6), done_max: 0 });
        scene.again();
        let (taken, put, ..) = tell(&mut scene, arrived(&[("1:1", "/in/a"), ("1:2", "/in/b"), ("2:1", "/in/a")]));
        assert_eq!((taken, put), (3, 1), "its task is done and deleted, and it is still known");
        assert_eq!(payloads(&mut scene), ["/in/b", "/in/a"]);
        assert_eq!(scene.tally().waiting, [0, 2, 0]);
    }

    /// E4: a task for a file is to find it at each try, and is tried no oftener for its other name.
    #[test]
    fn a_file_that_is_renamed_is_the_same() {
        let mut scene = Scene::new();
        tell(&mut scene, arrived(&[("1", "/in/a"), ("2", "/in/b"), ("3", "/in/c")]));
        assert_eq!([2, 3].map(|id| scene.lease(TaskId(id))), [Some(1); 2]);
        scene.end(TaskId(3), Ending::Again { due: Wall(5), why: None }, 1);
        let renamed = [("1", "/in/1"), ("2", "/in/two"), ("3", "/in/three")];
        assert_eq!(tell(&mut scene, arrived(&renamed)).1, 0);
        assert_eq!(payloads(&mut scene), ["/in/1"]);
        assert_eq!(scene.tally(), Tally { waiting: [0, 1, 0], delayed: 1, running: 1, bytes: 21, ..Tally::default() });
        assert_eq!(scene.changes(&Order::Due { now: Wall(4) }), 0, "it waits as long as before");
        assert_eq!(scene.changes(&Order::Due { now: Wall(5) }), 1);
        scene.end(TaskId(2), Ending::Return, 6);
        assert_eq!(payloads(&mut scene), ["/in/two", "/in/three", "/in/1"]);
        // One that waits, and was tried before.
        tell(&mut scene, arrived(&[("2", "/in/2")]));
        assert_eq!(payloads(&mut scene), ["/in/three", "/in/1", "/in/2"]);
        let tries = scene.fetch(Class::Normal, 0).into_iter().map(|task| scene.lease(task.id));
        assert_eq!(tries.collect::<Vec<_>>(), [Some(2), Some(1), Some(2)]);
        assert_eq!(scene.again().len(), 3);
    }

    /// E6: a queue that is full takes what it can hold, and the rest when there is room.
    #[test]
    fn a_full_queue_takes_what_it_can_hold() {
        let mut scene = Scene::new();
        let files = [("1", "/in/a"), ("2", "/in/b"), ("3", "/in/c")];
        let with = |limits, files: &[(&str, &str)]| Arrived { limits, ..arrived(files) };
        let two = Limits { tasks: 2, bytes: 100 };
        assert_eq!(tell(&mut scene, with(two, &files)), (2, 2, true, vec!["1".into(), "2".into()]));
        let small = Limits { tasks: 9, bytes: 11 };
        assert_eq!(tell(&mut scene, with(small, &files[2..])), (0, 0, true, vec!["1".into(), "2".into()]));
        assert_eq!(tell(&mut scene, arrived(&files)).1, 1);
        assert_eq!(payloads(&mut scene), ["/in/a", "/in/b", "/in/c"]);
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut scene = Scene::new();
        let keys: Vec<String> = (10..40).map(|key| key.to_string()).collect();
        let files: Vec<_> = keys.iter().map(|key| (key.as_str(), "/in/a")).collect();
        assert_eq!(tell(&mut scene, arrived(&files)).3, keys);
        let behind = |after: &str| Arrived { after: after.into(), ..arrived(&[]) };
        assert_eq!(tell(&mut scene, behind("20")).3, keys[11..19]);
        assert_eq!(tell(&mut scene, behind("39")).3, [""; 0]);
        // The second was seen elsewhere since.
        tell(&mut scene, arrived(&[("11", "/in/b")]));
        let gone = vec![file("10", "/in/a"), file("11", "/in/a")];
        assert_eq!(tell(&mut scene, Arrived { gone, ..arrived(&[]) }).3[..2], keys[1..3]);
        assert_eq!(tell(&mut scene, arrived(&[("10", "/in/a"), ("11", "/in/b")])).1, 1);
    }
}
