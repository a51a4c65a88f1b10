use super::*;
use crate::worker::lifecycle::{Backoff, Restart};
use std::collections::HashMap;

const NOW: Tick = Tick(1_000_000_000);

/// Workers that do at once what they are told, but for those in `deaf`, and a record of it.
struct Scene {
    supervisor: Supervisor,
    ids: HashMap<String, WorkerId>,
    said: Vec<String>,
    /// They do not end when they are told to.
    deaf: Vec<&'static str>,
    /// They do not become ready by themselves.
    slow: Vec<&'static str>,
    running: BTreeSet<WorkerId>,
    now: Tick,
}

fn spec(worker: &str, needs: &[&str]) -> Spec {
    let second = Duration::from_secs(1);
    Spec {
        worker: worker.into(),
        policy: Policy {
            restart: Restart::OnFailure,
            backoff: Backoff { first: second, max: second, reset: 60 * second, give_up: None },
            start_timeout: 60 * second,
            grace: second,
            stop_command: false,
        },
        needs: needs.iter().map(|name| (*name).into()).collect(),
        essential: false,
        oneshot: false,
        success_codes: vec![0],
    }
}

impl Scene {
    fn new(specs: Vec<(&str, Spec)>) -> Scene {
        let mut scene = Scene {
            supervisor: Supervisor::new(Duration::from_secs(90)),
            ids: HashMap::new(),
            said: Vec::new(),
            deaf: Vec::new(),
            slow: Vec::new(),
            running: BTreeSet::new(),
            now: NOW,
        };
        for (name, spec) in specs {
            let id = scene.supervisor.add(spec, 1);
            scene.ids.insert(name.to_owned(), id);
        }
        let mut effects = Vec::new();
        scene.supervisor.rewire(NOW, &mut effects);
        assert_eq!(effects, []);
        scene
    }

    fn ids(&self, names: &[&str]) -> Vec<WorkerId> {
        names.iter().map(|name| self.ids[*name]).collect()
    }

    fn name(&self, id: WorkerId) -> &str {
        self.ids.iter().find(|(_, known)| **known == id).map_or("?", |(name, _)| name)
    }

    /// What was said since it was last asked.
    fn step(&mut self, event: Event<'_>) -> String {
        let mut effects = Vec::new();
        self.supervisor.step(event, self.now, &mut effects);
        self.carry_out(effects);
        std::mem::take(&mut self.said).join(" ")
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let mut more = Vec::new();
            let event = match effect {
                Effect::Life(id, lifecycle::Effect::Spawn) => {
                    self.said.push(format!("+{}", self.name(id)));
                    assert!(self.running.insert(id), "two lives");
                    let ready = !self.slow.contains(&self.name(id));
                    ready.then_some(Event::Life(id, lifecycle::Event::Ready))
                }
                Effect::Life(id, lifecycle::Effect::Signal | lifecycle::Effect::Kill) => {
                    let kill = effect == Effect::Life(id, lifecycle::Effect::Kill);
                    self.said.push(format!("{}{}", if kill { "!" } else { "-" }, self.name(id)));
                    assert!(self.running.contains(&id), "a signal to nobody");
                    let ends = kill || !self.deaf.contains(&self.name(id));
                    let outcome = Outcome::Signalled { number: 15, core: false };
                    (ends && self.running.remove(&id)).then_some(Event::Exit { id, outcome, left: false })
                }
                Effect::Changed(..) | Effect::Life(..) => None,
                other => {
                    self.said.push(format!("{other:?}"));
                    None
                }
            };
            if let Some(event) = event {
                self.supervisor.step(event, self.now, &mut more);
                self.carry_out(more);
            }
        }
    }

    fn exit(&mut self, name: &str, code: u8) -> String {
        let id = self.ids[name];
        assert!(self.running.remove(&id));
        self.step(Event::Exit { id, outcome: Outcome::Exited(code), left: false })
    }

    fn later(&mut self, wait: Duration) -> String {
        self.now = self.now.after(wait);
        self.step(Event::Deadline)
    }
}

fn chain() -> Scene {
    Scene::new(vec![
        ("web", spec("web", &["app"])),
        ("app", spec("app", &["db"])),
        ("db", spec("db", &[])),
        ("x", spec("x", &[])),
    ])
}

#[test]
fn needs_come_first_and_go_last() {
    let mut scene = chain();
    let all = scene.ids(&["web", "app", "db", "x"]);
    assert_eq!(scene.step(Event::Start(&all)), "+db +app +web +x Started");
    assert_eq!(scene.step(Event::Shutdown), "-web -app -db -x End(0)");
}

#[test]
fn what_is_not_ready_is_waited_for() {
    let mut scene = chain();
    scene.slow = vec!["db"];
    let (web, db) = (scene.ids["web"], scene.ids["db"]);
    assert_eq!(scene.step(Event::Start(&[web])), "+db", "what it needs is asked for with it");
    assert_eq!(scene.supervisor.waits_for(web).collect::<Vec<_>>(), ["app"]);
    assert_eq!(scene.step(Event::Life(db, lifecycle::Event::Ready)), "+app +web Started");
}

#[test]
fn who_needs_what_is_stopped_is_stopped_before_and_held() {
    let mut scene = chain();
    let all = scene.ids(&["web", "app", "db", "x"]);
    scene.step(Event::Start(&all));
    let app = scene.ids["app"];
    assert_eq!(scene.step(Event::Stop(&[app])), "-web -app");
    assert_eq!(scene.step(Event::Start(&[app])), "+app +web", "it was held, not forgotten");
    scene.deaf = vec!["web"];
    assert_eq!(scene.step(Event::Stop(&[app])), "-web", "app waits until web is down");
    assert_eq!(scene.later(Duration::from_secs(1)), "!web -app");
}

#[test]
fn a_crash_and_a_restart_take_nobody_along() {
    let mut scene = chain();
    let all = scene.ids(&["web", "app", "db", "x"]);
    scene.step(Event::Start(&all));
    assert_eq!(scene.exit("db", 1), "");
    assert_eq!(scene.later(Duration::from_secs(1)), "+db");
    let db = scene.ids["db"];
    assert_eq!(scene.step(Event::Restart(&[db])), "-db +db");
}

#[test]
fn what_crashed_with_its_need_waits_for_it() {
    let mut scene = chain();
    let all = scene.ids(&["web", "app", "db"]);
    scene.step(Event::Start(&all));
    scene.slow = vec!["db"];
    assert_eq!(scene.exit("db", 1) + &scene.exit("app", 1), "");
    assert_eq!(scene.later(Duration::from_secs(1)), "+db");
    let db = scene.ids["db"];
    assert_eq!(scene.step(Event::Life(db, lifecycle::Event::Ready)), "+app");
}

#[test]
fn what_is_held_does_not_start() {
    let mut scene = chain();
    let (web, app) = (scene.ids["web"], scene.ids["app"]);
    assert_eq!(scene.step(Event::Hold(app, true)), "Started", "nothing was wanted yet");
    assert_eq!(scene.step(Event::Start(&[web])), "+db", "whatever it needs is there");
    assert_eq!(scene.step(Event::Restart(&[app])), "", "whoever asks for it");
    assert_eq!(scene.step(Event::Hold(app, false)), "+app +web");
    assert_eq!(scene.step(Event::Hold(app, true)), "", "what runs goes on");
    scene.exit("app", 1);
    assert_eq!(scene.later(Duration::from_secs(1)), "", "and is not started again");
    let db = scene.ids["db"];
    assert_eq!(scene.step(Event::Stop(&[db])), "-web -db");
    assert_eq!(scene.step(Event::Hold(app, false)), "", "what it needs is gone");
}

#[test]
fn the_end_of_an_essential_worker_ends_all() {
    let essential = |restart| {
        let mut one = spec("job", &["db"]);
        one.essential = true;
        one.policy.restart = restart;
        let mut scene = Scene::new(vec![("job", one), ("db", spec("db", &[]))]);
        let all = scene.ids(&["job", "db"]);
        scene.step(Event::Start(&all));
        scene
    };
    assert_eq!(essential(Restart::Never).exit("job", 3), "Essential(WorkerId(0)) -db End(3)");
    assert_eq!(essential(Restart::OnFailure).exit("job", 0), "Essential(WorkerId(0)) -db End(0)");
    assert_eq!(essential(Restart::OnFailure).exit("job", 3), "", "its end is not there yet: it is started again");
    let mut stopped = essential(Restart::Never);
    let job = stopped.ids["job"];
    assert_eq!(stopped.step(Event::Stop(&[job])), "-job", "who stops it wants it stopped");
}

#[test]
fn a_oneshot_is_ready_when_it_is_done() {
    let mut migrate = spec("migrate", &[]);
    migrate.oneshot = true;
    migrate.policy.restart = Restart::Never;
    let mut scene = Scene::new(vec![("web", spec("web", &["migrate"])), ("migrate", migrate)]);
    let all = scene.ids(&["web", "migrate"]);
    assert_eq!(scene.step(Event::Start(&all)), "+migrate");
    assert_eq!(scene.exit("migrate", 0), "+web Started");
    assert_eq!(scene.step(Event::Shutdown), "-web End(0)");
}

#[test]
fn a_second_request_to_end_kills() {
    let mut scene = chain();
    let all = scene.ids(&["web", "app", "db", "x"]);
    scene.step(Event::Start(&all));
    scene.deaf = vec!["web", "db"];
    assert_eq!(scene.step(Event::Shutdown), "-web -x");
    assert_eq!(scene.step(Event::Kill), "!web -app !app !db End(0)".replace("-app !app", "!app"));
}

#[test]
fn after_the_end_nothing_is_waited_for() {
    let mut scene = chain();
    let all = scene.ids(&["web", "app", "db", "x"]);
    scene.step(Event::Start(&all));
    assert_eq!(scene.step(Event::Shutdown), "-web -app -db -x End(0)");
    assert_eq!(scene.step(Event::Shutdown) + &scene.step(Event::Kill), "");
    assert_eq!(scene.supervisor.deadline(), None);
}

#[test]
fn the_whole_stop_has_an_end() {
    let mut scene = chain();
    let all = scene.ids(&["web", "app", "db", "x"]);
    scene.step(Event::Start(&all));
    scene.deaf = vec!["web", "app", "db", "x"];
    scene.supervisor.set_stop_timeout(Duration::from_millis(500));
    assert_eq!(scene.step(Event::Shutdown), "-web -x");
    let said = scene.later(Duration::from_millis(500));
    assert!(said.starts_with("StopTimedOut") && said.ends_with("End(0)"), "{said}");
}

#[test]
fn instances_are_one_to_those_that_need_them() {
    let mut scene =
        Scene::new(vec![("web", spec("web", &["app"])), ("app.1", spec("app", &[])), ("app.2", spec("app", &[]))]);
    scene.slow = vec!["app.1", "app.2"];
    let all = scene.ids(&["web", "app.1", "app.2"]);
    assert_eq!(scene.step(Event::Start(&all)), "+app.1 +app.2");
    let (one, two) = (scene.ids["app.1"], scene.ids["app.2"]);
    assert_eq!(scene.step(Event::Life(one, lifecycle::Event::Ready)), "");
    assert_eq!(scene.step(Event::Life(two, lifecycle::Event::Ready)), "+web Started");
    assert_eq!(scene.step(Event::Stop(&[one])), "-app.1", "one of two is still there for web");
    assert_eq!(scene.step(Event::Stop(&[two])), "-web -app.2");
}

#[test]
fn what_is_removed_is_forgotten_at_rest_and_its_successor_waits() {
    let mut scene = Scene::new(vec![("web", spec("web", &[]))]);
    let old = scene.ids["web"];
    scene.step(Event::Start(&[old]));
    scene.deaf = vec!["web"];
    let new = scene.supervisor.add(spec("web", &[]), 1);
    scene.ids.insert("web.1".into(), new);
    let mut effects = Vec::new();
    scene.supervisor.rewire(NOW, &mut effects);
    scene.carry_out(effects);
    assert_eq!(scene.step(Event::Remove(&[old])), "-web");
    assert_eq!(scene.step(Event::Start(&[new])), "", "one of the two holds the port");
    assert_eq!(scene.later(Duration::from_secs(1)), "!web Gone(WorkerId(0)) +web.1");
    assert!(scene.supervisor.member(old).is_none());
}

#[test]
fn what_is_needed_and_gone_is_named() {
    let mut scene = Scene::new(vec![("web", spec("web", &["db"])), ("db", spec("db", &[]))]);
    let (web, db) = (scene.ids["web"], scene.ids["db"]);
    scene.step(Event::Start(&[web]));
    // Its successor could not be taken in.
    assert_eq!(scene.step(Event::Remove(&[db])), "-web -db Gone(WorkerId(1))");
    assert_eq!(scene.supervisor.waits_for(web).collect::<Vec<_>>(), ["db"]);
}

#[test]
fn a_restart_of_what_is_to_stop_starts_it() {
    let mut scene = chain();
    let all = scene.ids(&["web", "app", "db"]);
    scene.step(Event::Start(&all));
    scene.deaf = vec!["web"];
    let app = scene.ids["app"];
    assert_eq!(scene.step(Event::Stop(&[app])), "-web", "app is held");
    assert_eq!(scene.step(Event::Restart(&[app])), "-app +app");
    assert_eq!(scene.later(Duration::from_secs(1)), "!web +web");
    scene.step(Event::Shutdown);
    assert_eq!(scene.step(Event::Restart(&[app])), "", "nothing is started any more");
}

#[test]
fn what_gave_up_does_not_hold_up_the_start() {
    let mut bad = spec("bad", &[]);
    bad.policy.restart = Restart::Never;
    let mut scene = Scene::new(vec![("bad", bad), ("web", spec("web", &["bad"])), ("x", spec("x", &[]))]);
    scene.slow = vec!["bad"];
    let all = scene.ids(&["bad", "web", "x"]);
    assert_eq!(scene.step(Event::Start(&all)), "+bad +x");
    assert_eq!(scene.exit("bad", 1), "");
    assert_eq!(scene.supervisor.waits_for(scene.ids["web"]).collect::<Vec<_>>(), ["bad"]);
    assert_eq!(scene.supervisor.phase(), Phase::Starting, "web is still waited for");
    let bad = scene.ids["bad"];
    assert_eq!(scene.step(Event::Start(&[bad])), "+bad", "a start that is asked for is one");
}
