//! Requests: what each does, and when it is answered.

use super::{Up, picture};
use crate::clock::{Now, Tick};
use crate::control::event::{Event as Happening, Kind};
use crate::control::queue::{Outcome, Placed};
use crate::control::record::Source;
use crate::control::reply::{Code, Reply};
use crate::control::request::{Patience, Request, Target};
use crate::control::status::State as Shown;
use crate::runtime::server::ClientId;
use crate::supervisor::Event;
use crate::sys::proc::Named;
use crate::sys::reap::Process;
use crate::sys::signal;
use crate::task::TaskId;
use crate::worker::WorkerId;
use crate::worker::lifecycle::{State, Want};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// How long a status waits for the output planes; after that it shows what they last said, with its age.
const PICTURE_WAIT: Duration = Duration::from_millis(2);
/// The same where they have said nothing yet that could be shown.
const PICTURE_WAIT_FIRST: Duration = Duration::from_millis(200);

/// A request that is answered when it has had its effect.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) client: ClientId,
    pub(super) goal: Goal,
    pub(super) deadline: Option<Tick>,
}

/// What is waited for.
#[derive(Debug)]
pub(super) enum Goal {
    /// Answers to these questions, for the status of these workers.
    Pictures { tickets: Vec<u64>, ids: Vec<WorkerId> },
    /// Each of these runs a later life than this, and is ready; what else is to be told.
    Up { lives: Vec<(WorkerId, u64)>, lines: Vec<String> },
    /// The first are down; the others ran when that was asked for, and may have been stopped with them.
    Down(Vec<WorkerId>, Vec<WorkerId>),
    /// These tasks have ended; those that have not, and what the others have come to.
    Tasks { placed: Vec<Placed>, left: HashSet<TaskId>, came: HashMap<TaskId, Outcome> },
    /// Everything is.
    End,
}

/// Whether a goal is reached.
enum Reached {
    No,
    Yes(Reply),
}

impl Up<'_> {
    pub(super) fn answer(&mut self, client: ClientId, request: Request, now: Now) {
        let asked = if self.events.are_recorded() { Source::asked(&request) } else { Vec::new() };
        let answer = self.try_answer(client, request, now);
        if answer.is_ok() {
            self.record_asked(asked, now);
        }
        match answer {
            Ok(Some(reply)) => self.server.reply(&self.poller, client, &reply, now.tick),
            Ok(None) => {}
            Err((code, text)) => self.server.reply(&self.poller, client, &Reply::failed(code, text), now.tick),
        }
    }

    /// The answer, if it is there at once.
    fn try_answer(&mut self, client: ClientId, request: Request, now: Now) -> Result<Option<Reply>, (Code, String)> {
        self.refuse_lives(&request)?;
        match request {
            Request::Status { workers } => {
                let ids = self.meant(&workers)?;
                Ok(self.status(client, ids, now))
            }
            Request::Start { workers, patience } => {
                let (slots, ids) = self.meant_with_slots(&workers)?;
                let lives = ids.iter().map(|id| (*id, 0)).collect();
                let lines = self.open_crews(&slots, true);
                self.hold_triggers(&ids, false, now);
                self.step(Event::Start(&ids), now);
                Ok(self.until_up(client, lives, lines, patience, now))
            }
            Request::Restart { workers, patience } => {
                let (slots, ids) = self.meant_with_slots(&workers)?;
                let lives = ids.iter().filter_map(|id| Some((*id, self.workers.get(id)?.nonce))).collect();
                // Whoever has a task gives it back, and begins it anew.
                let lines = self.open_crews(&slots, true);
                self.step(Event::Stop(&slots), now);
                self.hold_triggers(&ids, false, now);
                self.step(Event::Restart(&ids), now);
                Ok(self.until_up(client, lives, lines, patience, now))
            }
            Request::Stop { workers, patience } => {
                let ids = self.meant(&workers)?;
                let ran =
                    self.supervisor.members().filter(|(id, member)| !member.life.is_at_rest() && !ids.contains(id));
                let others = ran.map(|(id, _)| id).collect();
                self.open_crews(&ids, false);
                self.hold_triggers(&ids, true, now);
                self.step(Event::Stop(&ids), now);
                self.give_back(&ids, now);
                let done = Reply::Done { lines: self.lines(&ids, "stopping") };
                Ok(self.patiently(client, Goal::Down(ids, others), patience, done, now))
            }
            Request::Signal { workers, signal: number } => self.pass_signal(&workers, number.name(), now).map(Some),
            Request::Rotate { workers } => {
                let ids = self.meant(&workers)?;
                self.planes.rotate_all(ids.iter());
                Ok(Some(Reply::Done { lines: self.lines(&ids, "rotated the log of") }))
            }
            Request::Reopen { workers } => {
                let ids = self.meant(&workers)?;
                self.planes.reopen_all(ids.iter());
                Ok(Some(Reply::Done { lines: self.lines(&ids, "reopened the log of") }))
            }
            Request::Reload { dry_run: true, .. } => {
                let plan = self.plan().map_err(|text| (Code::Refused, text))?;
                Ok(Some(Reply::Plan { text: plan }))
            }
            Request::Reload { dry_run: false, patience } => {
                let (lines, lives) = self.reload(now).map_err(|text| (Code::Refused, text))?;
                Ok(self.until_up(client, lives, lines, patience, now))
            }
            Request::Events { follow, since, last, record } => {
                self.tell_past(client, since.unwrap_or(0), last, now);
                Ok(self.end_of_past(client, follow, record))
            }
            Request::Put(put) => self.put(client, put, now),
            Request::Queue { queue, what } => self.of_queue(client, queue.as_ref(), what, now),
            Request::Task { id, what } => self.of_task(client, id, what),
            Request::Fire { name } => self.fired(name.as_str(), now).map(Some),
            Request::Down { patience } => Ok(self.go_down(client, patience, now)),
        }
    }

    fn tell_past(&mut self, client: ClientId, since: u64, last: Option<u32>, now: Now) {
        for event in self.events.history.after(since, last) {
            self.server.reply(&self.poller, client, &Reply::Event(event.clone()), now.tick);
        }
    }

    fn fired(&mut self, name: &str, now: Now) -> Result<Reply, (Code, String)> {
        let Some(held) = self.fire(name, now) else {
            return Err((Code::NoSuchTrigger, format!("nothing waits for {name:?}")));
        };
        let held = held.iter().map(|worker| format!("{worker} is stopped, and was not started"));
        Ok(Reply::Done { lines: std::iter::once(format!("fired {name}")).chain(held).collect() })
    }

    fn go_down(&mut self, client: ClientId, patience: Patience, now: Now) -> Option<Reply> {
        self.say(Happening::new(now.wall, Kind::Quell, "going down: somebody asked for it"));
        self.step(Event::Shutdown, now);
        let done = Reply::Done { lines: vec!["going down".into()] };
        self.patiently(client, Goal::End, patience, done, now)
    }

    /// Nothing is started any more when quell goes down.
    fn refuse_lives(&self, request: &Request) -> Result<(), (Code, String)> {
        let asks_for_lives = matches!(
            request,
            Request::Start { .. } | Request::Restart { .. } | Request::Reload { .. } | Request::Fire { .. }
        );
        if asks_for_lives && self.supervisor.phase() == crate::supervisor::Phase::Stopping {
            return Err((Code::Refused, "quell is going down".into()));
        }
        Ok(())
    }

    /// What comes behind the events of the past: the end, or those of the future.
    fn end_of_past(&mut self, client: ClientId, follow: bool, record: bool) -> Option<Reply> {
        if follow {
            self.events.followers.push(client);
            if record {
                self.events.recorders.push(client);
                self.server.records(client);
            }
            return None;
        }
        Some(Reply::Done { lines: Vec::new() })
    }

    /// The workers that are meant, all where none is named.
    fn meant(&self, targets: &[Target]) -> Result<Vec<WorkerId>, (Code, String)> {
        if targets.is_empty() {
            return Ok(self.workers.keys().copied().collect());
        }
        let mut ids = Vec::new();
        for target in targets {
            let before = ids.len();
            let mine = self.workers.iter().filter(|(_, worker)| target.means(&worker.of, worker.instance));
            ids.extend(mine.map(|(id, _)| *id));
            if ids.len() == before {
                let names = self.workers.values().map(|worker| &*worker.of);
                let near = crate::config::kind::nearest(target.as_str(), names);
                let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                return Err((Code::NoSuchWorker, format!("there is no worker {:?}{near}", target.as_str())));
            }
        }
        // One that is named twice is meant once.
        let mut seen = HashSet::new();
        ids.retain(|id| seen.insert(*id));
        Ok(ids)
    }

    /// The workers that are meant: those that are slots, which run when there is a task, and the others.
    fn meant_with_slots(&self, targets: &[Target]) -> Result<(Vec<WorkerId>, Vec<WorkerId>), (Code, String)> {
        let is_slot = |id: &WorkerId| self.workers.get(id).is_some_and(|worker| worker.is_by_task(&self.configuration));
        Ok(self.meant(targets)?.into_iter().partition(is_slot))
    }

    fn lines(&self, ids: &[WorkerId], what: &str) -> Vec<String> {
        ids.iter().map(|id| format!("{what} {}", self.name(*id))).collect()
    }

    fn until_up(
        &mut self,
        client: ClientId,
        lives: Vec<(WorkerId, u64)>,
        mut lines: Vec<String>,
        patience: Patience,
        now: Now,
    ) -> Option<Reply> {
        let ids: Vec<_> = lives.iter().map(|(id, _)| *id).collect();
        let goal = Goal::Up { lives, lines: lines.clone() };
        lines.extend(self.lines(&ids, "starting"));
        self.patiently(client, goal, patience, Reply::Done { lines }, now)
    }

    /// Waits for a goal, or answers that it was begun.
    fn patiently(&mut self, client: ClientId, goal: Goal, patience: Patience, begun: Reply, now: Now) -> Option<Reply> {
        if !patience.wait {
            return Some(begun);
        }
        let deadline = patience.timeout_ms.map(|ms| now.tick.after(Duration::from_millis(ms)));
        self.pending.push(Pending { client, goal, deadline });
        None
    }

    /// Signals all that run; who does not is named, and keeps nobody from it.
    fn pass_signal(&mut self, targets: &[Target], name: &str, now: Now) -> Result<Reply, (Code, String)> {
        let ids = self.meant(targets)?;
        let number = signal::number(name).ok_or_else(|| (Code::BadRequest, format!("no signal {name} here")))?;
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for id in ids {
            let whom = self.name(id);
            match self.workers.get_mut(&id).and_then(|worker| worker.pass(number)) {
                None => failed.push(format!("{whom} is not running")),
                Some((_, Err(e))) => failed.push(format!("cannot signal {whom}: {e}")),
                Some((pid, Ok(()))) => {
                    done.push(format!("sent SIG{name} to {whom} (pid {pid})"));
                    let text = format!("sent SIG{name}, as somebody asked");
                    self.say(Happening::new(now.wall, Kind::Signal, text).of(whom).pid(pid));
                }
            }
        }
        Ok(match failed.is_empty() {
            true => Reply::Done { lines: done },
            false => Reply::Failed { code: Code::Failed, text: failed.join("; "), done },
        })
    }

    fn status(&mut self, client: ClientId, ids: Vec<WorkerId>, now: Now) -> Option<Reply> {
        let tickets = self.planes.ask(&ids);
        if tickets.is_empty() {
            return Some(Reply::Status(self.picture(&ids, now)));
        }
        let is_known = |id: &WorkerId| self.workers.get(id).is_none_or(|worker| worker.snapshot.is_some());
        let wait = if ids.iter().all(is_known) { PICTURE_WAIT } else { PICTURE_WAIT_FIRST };
        let goal = Goal::Pictures { tickets, ids };
        self.pending.push(Pending { client, goal, deadline: Some(now.tick.after(wait)) });
        None
    }

    /// A plane has answered a question.
    pub(super) fn pictured(&mut self, answered: u64) {
        for pending in &mut self.pending {
            if let Goal::Pictures { tickets, .. } = &mut pending.goal {
                tickets.retain(|ticket| *ticket != answered);
            }
        }
    }

    /// Answers those whose goal is reached, or whose time is over.
    pub(super) fn answer_pending(&mut self, now: Now) {
        for pending in std::mem::take(&mut self.pending) {
            let over = pending.deadline.is_some_and(|at| at <= now.tick);
            match self.reached(&pending.goal, over, now) {
                Reached::Yes(reply) => self.server.reply(&self.poller, pending.client, &reply, now.tick),
                Reached::No => self.pending.push(pending),
            }
        }
    }

    /// Those who wait for the end of everything; all else that was waited for will not come.
    pub(super) fn answer_down(&mut self, now: Now) {
        for pending in std::mem::take(&mut self.pending) {
            let reply = match pending.goal {
                Goal::End => Reply::Done { lines: vec!["down".into()] },
                _ => Reply::failed(Code::Failed, "quell has gone down"),
            };
            self.server.reply(&self.poller, pending.client, &reply, now.tick);
        }
    }

    pub(super) fn forget_gone(&mut self) {
        for gone in self.server.gone() {
            self.pending.retain(|pending| pending.client != gone);
            self.events.forget(gone);
        }
    }

    fn reached(&self, goal: &Goal, over: bool, now: Now) -> Reached {
        match goal {
            Goal::Pictures { tickets, ids } if tickets.is_empty() || over => {
                Reached::Yes(Reply::Status(self.picture(ids, now)))
            }
            Goal::Pictures { .. } => Reached::No,
            Goal::Up { lives, lines } => self.reached_up(lives, lines, over),
            Goal::Down(ids, others) => self.reached_down(ids, others, over),
            Goal::Tasks { placed, left, came } if left.is_empty() || over => {
                let told = |placed: &Placed| Placed { outcome: came.get(&placed.id).cloned(), ..placed.clone() };
                Reached::Yes(Reply::Put { tasks: placed.iter().map(told).collect() })
            }
            Goal::Tasks { .. } => Reached::No,
            Goal::End if over => self.timed_out("still going down".into(), Vec::new()),
            Goal::End => Reached::No,
        }
    }

    /// Says that a worker was stopped because of what it needs.
    fn describe_held(&self, id: WorkerId) -> Option<String> {
        let needs: Vec<_> = self.supervisor.waits_for(id).collect();
        let is_held = self.shown_state(id) == Shown::Waiting && !needs.is_empty();
        is_held.then(|| format!("stopped {}, which needs {}", self.name(id), needs.join(", ")))
    }

    fn reached_down(&self, ids: &[WorkerId], others: &[WorkerId], over: bool) -> Reached {
        let is_wanted = |id: &WorkerId| self.supervisor.member(*id).is_some_and(|member| member.desired == Want::Up);
        let rests = |id: &WorkerId| self.supervisor.member(*id).is_none_or(|member| member.life.state == State::Down);
        // Who is wanted again will not come to rest.
        let (wanted, unwanted): (Vec<_>, Vec<_>) = ids.iter().partition(|id| is_wanted(id));
        let (done, left): (Vec<_>, Vec<_>) = unwanted.into_iter().partition(rests);
        let done = self.lines(&done, "stopped");
        match wanted.is_empty() {
            _ if !left.is_empty() && !over => Reached::No,
            _ if !left.is_empty() => {
                let held_up = left.iter().zip(self.left_of_each(&left));
                let blocked: Vec<_> = held_up.map(|(id, by)| self.describe_stop(*id, &by)).collect();
                self.timed_out(format!("still stopping: {}", blocked.join("; ")), done)
            }
            true => {
                let held = others.iter().filter_map(|id| self.describe_held(*id));
                Reached::Yes(Reply::Done { lines: done.into_iter().chain(held).collect() })
            }
            false => {
                let text = self.lines(&wanted, "somebody has started").join("; ");
                Reached::Yes(Reply::Failed { code: Code::Failed, text, done })
            }
        }
    }

    fn describe_stop(&self, id: WorkerId, by: &[Named]) -> String {
        let left: Vec<_> = by.iter().map(ToString::to_string).collect();
        format!("{} ({})", self.name(id), left.join(", "))
    }

    fn timed_out(&self, text: String, done: Vec<String>) -> Reached {
        Reached::Yes(Reply::Failed { code: Code::TimedOut, text, done })
    }

    fn reached_up(&self, lives: &[(WorkerId, u64)], lines: &[String], over: bool) -> Reached {
        let (mut done, mut failed, mut waiting) = (lines.to_vec(), Vec::new(), Vec::new());
        for (id, before) in lives {
            let Some((member, worker)) = self.supervisor.member(*id).zip(self.workers.get(id)) else { continue };
            let is_new = worker.nonce > *before;
            let pid = worker.process.as_ref().map(Process::pid);
            match member.life.state {
                State::Up if is_new => {
                    let pid = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
                    done.push(format!("started {}{pid}", worker.name));
                }
                State::Down if is_new && member.life.is_done() => done.push(format!("{} is done", worker.name)),
                State::Failed | State::Backoff => failed.push(self.describe_failure(*id)),
                State::Down if member.desired == Want::Down => {
                    failed.push(format!("{} was stopped", worker.name));
                }
                _ => waiting.push(format!("{} ({})", worker.name, picture::word(self.shown_state(*id)))),
            }
        }
        let text = failed.join("; ");
        match (failed.is_empty(), waiting.is_empty()) {
            (true, true) => Reached::Yes(Reply::Done { lines: done }),
            (false, true) => Reached::Yes(Reply::Failed { code: Code::Failed, text, done }),
            (_, false) if over => {
                let waiting = format!("not ready yet: {}", waiting.join(", "));
                let text = if text.is_empty() { waiting } else { format!("{text}; {waiting}") };
                self.timed_out(text, done)
            }
            (_, false) => Reached::No,
        }
    }

    fn describe_failure(&self, id: WorkerId) -> String {
        let Some(worker) = self.workers.get(&id) else { return "?".into() };
        let how = match (&worker.why, &worker.last) {
            (Some(why), _) => why.to_string(),
            (None, Some(last)) => last.describe(),
            (None, None) => "it failed".into(),
        };
        let backoff = self.supervisor.member(id).is_some_and(|member| member.life.state == State::Backoff);
        let next = if backoff { ", and is tried again" } else { "" };
        format!("{}: {how}{next}", worker.name)
    }
}
