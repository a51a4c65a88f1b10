use super::*;
use crate::sys::poller::Poller;
use std::fs;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(30);

/// The thread, and a folder of files.
struct Scene {
    folder: TempDir,
    arrivals: Arrivals,
    said: Receiver<FromArrivals>,
    source: Arc<Source>,
    /// The thread wakes it; it must not go before that.
    _poller: Poller,
}

impl Scene {
    fn new(wanted: Wanted) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let files = FilePattern { folder: folder.path().into(), name: glob::Pattern::new("*").unwrap() };
        let poller = Poller::new().unwrap();
        let (told, said) = channel();
        let arrivals = Arrivals::start(told, Arc::new(poller.waker(0).unwrap())).unwrap();
        Scene { folder, arrivals, said, source: Arc::new(Source { files, wanted }), _poller: poller }
    }

    fn arrange(&self) {
        self.arrivals.send(ToArrivals::Arrange(vec![self.source.clone()]));
    }

    fn write(&self, name: &str) {
        fs::write(self.folder.path().join(name), "x").unwrap();
    }

    fn came(&self) -> Came {
        match self.said.recv_timeout(LIMIT).unwrap() {
            FromArrivals::Came(came) => came,
            other => panic!("{other:?}"),
        }
    }

    fn take(&self, taken: Taken) {
        self.arrivals.send(ToArrivals::Taken(self.source.clone(), taken, None));
    }
}

fn tasks() -> Wanted {
    Wanted::Tasks("q".into())
}

fn taken(files: usize, known: Vec<File>) -> Taken {
    Taken { files, put: files, full: None, known }
}

fn names(files: &[File]) -> Vec<&str> {
    let mut names: Vec<_> = files.iter().map(|file| Path::file_name(&file.path).unwrap().to_str().unwrap()).collect();
    names.sort_unstable();
    names
}

/// What comes while something was told is told when that was taken; what was not taken comes again, before it.
#[test]
fn one_thing_at_a_time() {
    let scene = Scene::new(tasks());
    scene.write("a");
    scene.write("b");
    scene.arrange();
    let first = scene.came();
    assert_eq!(names(&first.files), ["a", "b"]);
    scene.write("c");
    scene.take(taken(1, Vec::new()));
    let second = scene.came();
    assert_eq!(second.files.first(), first.files.last());
    // What comes at any time may make two messages of it.
    let mut rest = second.files;
    if rest.len() == 1 {
        scene.take(taken(1, Vec::new()));
        rest = scene.came().files;
    }
    assert_eq!(rest.last().unwrap().path.file_name().unwrap(), "c");
}

/// What is remembered and gone, or not what it was, is told with what comes next.
#[test]
fn what_is_gone_is_told() {
    let scene = Scene::new(tasks());
    let path = |name: &str| scene.folder.path().join(name);
    let all = ["changed", "gone", "kept"];
    all.into_iter().for_each(|name| scene.write(name));
    scene.arrange();
    let first = scene.came().files;
    assert_eq!(names(&first), all);
    fs::remove_file(path("gone")).unwrap();
    fs::File::options().write(true).open(path("changed")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let last = first.last().unwrap().key.clone();
    scene.take(taken(3, first));
    let second = scene.came();
    assert_eq!(
        (names(&second.files), names(&second.gone), second.after),
        (vec!["changed"], vec!["changed", "gone"], last)
    );
}

/// A worker that sees for itself is told of once, until it is started.
#[test]
fn one_start_for_many_files() {
    let scene = Scene::new(Wanted::Start("w".into()));
    scene.arrange();
    (0..100).for_each(|name| scene.write(&name.to_string()));
    assert_eq!(scene.came().files.len(), 1);
    scene.write("more");
    assert!(scene.said.recv_timeout(Duration::from_millis(50)).is_err());
    scene.arrivals.send(ToArrivals::Started(scene.source.clone()));
    assert_eq!(scene.came().files.len(), 1);
    drop(scene.arrivals);
    assert!(matches!(scene.said.recv_timeout(LIMIT), Ok(FromArrivals::Ended)));
}

/// A folder that cannot be watched is said once.
#[test]
fn a_folder_that_is_none() {
    let mut scene = Scene::new(tasks());
    let link = scene.folder.path().join("link");
    std::os::unix::fs::symlink("link", &link).unwrap();
    let files = FilePattern { folder: link, name: glob::Pattern::new("*").unwrap() };
    scene.source = Arc::new(Source { files, wanted: tasks() });
    scene.arrange();
    match scene.said.recv_timeout(LIMIT).unwrap() {
        FromArrivals::Trouble(text) => {
            assert!(text.contains("cannot wait for files") && text.contains("link"), "{text}")
        }
        other => panic!("{other:?}"),
    }
}

/// A folder that another takes the place of anywhere on the way is the other one: below a link that is switched, and below a
/// folder that is moved.
#[test]
fn another_folder_takes_its_place_on_the_way() {
    let mut scene = Scene::new(tasks());
    let root = scene.folder.path().to_owned();
    let below = |name: &str| root.join(name);
    let folder = |name: &str, file: &str| {
        fs::create_dir_all(below(name).join("deep/in")).unwrap();
        fs::write(below(name).join("deep/in").join(file), "x").unwrap();
    };
    folder("one", "a");
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, below(name)).unwrap();
    link("one", "stable");
    link("stable", "current");
    let files = FilePattern { folder: below("current/deep/in"), name: glob::Pattern::new("*").unwrap() };
    let next = |scene: &Scene| {
        let files = scene.came().files;
        scene.take(taken(files.len(), Vec::new()));
        names(&files).join(" ")
    };
    let source = Arc::new(Source { files, wanted: tasks() });
    scene.source = source;
    scene.arrange();
    assert_eq!(next(&scene), "a");
    folder("two", "b");
    link("two", "fresh");
    fs::rename(below("fresh"), below("stable")).unwrap();
    assert_eq!(next(&scene), "b");
    fs::rename(below("two/deep"), below("two/moved")).unwrap();
    folder("two", "c");
    assert_eq!(next(&scene), "c");
    fs::write(below("two/deep/in/d"), "x").unwrap();
    assert_eq!(next(&scene), "d");
    // A reload looks through what it does not know alone.
    scene.arrange();
    fs::write(below("two/deep/in/e"), "x").unwrap();
    assert_eq!(next(&scene), "e");
}

/// What was told of a source is not answered for another that is like it and has come in its place.
#[test]
fn an_answer_is_for_what_was_told() {
    let mut scene = Scene::new(tasks());
    scene.write("a");
    scene.arrange();
    assert_eq!(names(&scene.came().files), ["a"]);
    let old = scene.source.clone();
    scene.arrivals.send(ToArrivals::Arrange(Vec::new()));
    scene.source = Arc::new((*old).clone());
    scene.arrange();
    assert_eq!(names(&scene.came().files), ["a"]);
    scene.write("b");
    scene.arrivals.send(ToArrivals::Taken(old, taken(1, Vec::new()), None));
    assert!(scene.said.recv_timeout(Duration::from_millis(50)).is_err());
    scene.take(taken(0, Vec::new()));
    assert_eq!(names(&scene.came().files), ["a", "b"]);
}
