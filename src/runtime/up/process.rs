//! A worker's processes: started, signalled, reaped.

use super::events::how;
use super::planes::Pipes;
use super::ready::Ready;
use super::talk::Talk;
use super::{COMMAND, EXIT, Last, READY, TASKS, Up, Worker};
use crate::clock::Now;
use crate::config::tables::{Argv, WorkerEvent};
use crate::control::event::{Event as Happening, Kind};
use crate::runtime::launch::{Further, Launch, Standard, prepare, prepare_command};
use crate::runtime::orphans::Life;
use crate::runtime::tag::Tag;
use crate::supervisor::Event;
use crate::sys::fd::{self, Interest};
use crate::sys::poller::Poller;
use crate::sys::reap::{self, Adopted, Exit, Process};
use crate::sys::socket;
use crate::task::Class;
use crate::worker::WorkerId;
use crate::worker::lifecycle::{self, Effect, End};
use crate::worker::outcome::Outcome;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

impl Up<'_> {
    pub(super) fn carry_out_life(&mut self, id: WorkerId, effect: Effect, now: Now) {
        // A life that is to end before it has begun does not begin.
        let pending = self.spawns.iter().position(|waiting| *waiting == id);
        match (effect, pending) {
            (Effect::Spawn, _) => {
                let urgent = self.spawns.iter().take_while(|waiting| self.is_urgent(**waiting)).count();
                let at = if self.is_urgent(id) { urgent } else { self.spawns.len() };
                self.spawns.insert(at, id);
            }
            (Effect::StopCommand | Effect::Signal | Effect::Kill, Some(at)) => {
                self.spawns.remove(at);
                self.step(Event::SpawnFailed(id, 0), now);
            }
            (Effect::StopCommand, None) => self.run_stop_command(id, now),
            (Effect::Signal, None) => self.signal_life(id, now),
            (Effect::Kill, None) => self.doom(id),
            (Effect::Survivors, _) => self.say_survivors(id, now),
        }
    }

    /// Whether a worker's next life is for a task that comes before others.
    fn is_urgent(&self, id: WorkerId) -> bool {
        let held = self.workers.get(&id).and_then(|worker| worker.task.as_ref());
        held.is_some_and(|held| held.task.class == Class::High)
    }

    /// Starts a life.
    pub(super) fn spawn(&mut self, id: WorkerId, now: Now) {
        if !self.is_ready_to_spawn(id, now) {
            return self.step(Event::SpawnFailed(id, 0), now);
        }
        self.nonce += 1;
        let nonce = self.nonce;
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.nonce = nonce;
        // Another task is no restart.
        worker.restarts += u32::from(worker.starts > 0 && worker.task.is_none());
        worker.starts += 1;
        worker.ready = Ready::None;
        worker.passed = None;
        worker.why = None;
        self.renew_sockets(id, now);
        match self.try_spawn(id, now) {
            Ok(pid) => {
                let Some(worker) = self.workers.get_mut(&id) else { return };
                // What happens to a task is told, not what happens to the process that is started for it.
                if worker.slot.is_none() {
                    let name = worker.name.clone();
                    self.say(Happening::new(now.wall, Kind::Started, format!("started, pid {pid}")).of(name).pid(pid));
                }
                self.hold_by_disk(id, now);
                self.await_ready(id, now);
            }
            Err((text, code)) => {
                let Some(worker) = self.workers.get_mut(&id) else { return };
                worker.why = Some(text.as_str().into());
                let name = worker.name.clone();
                self.say(Happening::new(now.wall, Kind::Failed, text).of(name));
                self.step(Event::SpawnFailed(id, code), now);
            }
        }
    }

    /// Ends what is left to end of a worker's last life, where another has come in its place at once; false where it has
    /// nothing to do then, for it is started for a task.
    fn is_ready_to_spawn(&mut self, id: WorkerId, now: Now) -> bool {
        while let Some(talk) = self.talk(id) {
            // There is no time left to wait for that.
            talk.puts = None;
            self.end_talk(id, now);
        }
        let began = |worker: &Worker| worker.task.as_ref().is_some_and(|held| held.began);
        if self.workers.get(&id).is_some_and(began) {
            self.end_task(id, None, now);
        }
        self.workers.get(&id).is_some_and(|worker| worker.task.is_some() || !worker.is_by_task(&self.configuration))
    }

    /// Its pid; or why there is none, and the code by which a shell would say so.
    fn try_spawn(&mut self, id: WorkerId, now: Now) -> Result<i32, (String, u8)> {
        let other = |text: String| (text, 125);
        let step = |what: &str, e: io::Error| other(format!("cannot {what}: {e}"));
        let worker = self.workers.get_mut(&id).ok_or_else(|| other("it is gone".into()))?;
        let config = &self.configuration.loaded.config;
        let errand = worker.task.as_ref().and_then(|held| held.errand());
        let (errand, stdin) = errand.map(|(errand, payload)| (errand, payload.as_fd())).unzip();
        let launch = prepare(config, &self.configuration.subject(worker), &self.here, errand).map_err(other)?;
        let sockets: Vec<_> = self.activation.of(&self.configuration.table(worker).keys).collect();
        let (stdout, stdout_end) = fd::pipe().map_err(|e| step("make a pipe", e))?;
        let (stderr, stderr_end) = fd::pipe().map_err(|e| step("make a pipe", e))?;
        let tasks = launch.task_fd.map(|_| socket::pair()).transpose().map_err(|e| step("make a socket", e))?;
        let (talk, tasks_end) = tasks
            .map(|(ours, theirs)| Ok((Talk::new(ours, [stdout.try_clone()?, stderr.try_clone()?]), theirs)))
            .transpose()
            .map_err(|e: io::Error| step("share a pipe", e))?
            .unzip();
        let ready = launch.ready_fd.map(|_| fd::pipe()).transpose().map_err(|e| step("make a pipe", e))?;
        let (ready, ready_end): (Option<OwnedFd>, Option<OwnedFd>) = ready.unzip();
        if let Some(talk) = &talk {
            self.poller.add(talk, TASKS | id.0 as usize, Interest::Read).map_err(|e| step("listen to it", e))?;
        }
        let standard = Standard { stdin, stdout: stdout_end.as_fd(), stderr: stderr_end.as_fd() };
        let further = Further {
            sockets: &sockets,
            ready: ready_end.as_ref().map(AsFd::as_fd),
            tasks: tasks_end.as_ref().map(AsFd::as_fd),
        };
        let process = launch
            .spawn(standard, further, self.inherited, self.signals, self.lows.as_ref())
            .map_err(|e| (e.to_string(), e.shell_code()))?;
        let pid = process.pid();
        await_end(&self.poller, &process, EXIT | id.0 as usize).map_err(|e| step("wait for it", e))?;
        if let Some(ready) = ready {
            // Where that cannot be, its start is over when the time for it is.
            match self.poller.add(&ready, READY | id.0 as usize, Interest::Read) {
                Ok(()) => worker.ready = Ready::Fd(ready),
                Err(e) => tracing::warn!("{}: cannot wait for it to be ready: {e}", worker.name),
            }
        }
        worker.process = Some(process);
        worker.main = Some(pid);
        worker.undrained += 1;
        let life = Life { worker: worker.name.to_string(), nonce: worker.nonce };
        match worker.task {
            Some(_) => self.register.began_task(pid, life.clone(), now.tick),
            None => self.register.began(pid, life.clone()),
        }
        self.mains.insert(pid, life);
        self.pids.insert(pid, id);
        let marks = self.configuration.log(worker).whole.marks.value && worker.task.is_none();
        let mark = marks.then(|| format!("started pid {pid} ({})", worker.name));
        let timeout = self.configuration.table(worker).keys.timeout.value;
        let tag = match (&mut worker.task, &talk) {
            (Some(held), _) => {
                held.began = true;
                held.until = timeout.map(|timeout| now.tick.after(timeout));
                self.tasks.iter_mut().for_each(|tasks| tasks.deadlines.extend(held.until.map(|until| (until, id))));
                Some(Arc::new(Tag::of(Some(held.task.id))))
            }
            (None, talk) => talk.as_ref().map(|talk| talk.tag.clone()),
        };
        worker.talk = talk.map(Box::new);
        worker.life = self.planes.begin(id, tag, Pipes { stdout, stderr }, mark);
        Ok(pid)
    }

    /// The main process of a worker may have ended.
    pub(super) fn reap(&mut self, id: WorkerId, now: Now) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let Some(process) = &worker.process else { return };
        let exit = match process.reap() {
            Ok(Some(exit)) => exit,
            Ok(None) => return,
            // It is ours and not reaped: this cannot be. If it is, nobody else will ever say that it has ended.
            Err(e) => {
                tracing::error!("{}: cannot wait for pid {}: {e}", worker.name, process.pid());
                Exit::Code(0)
            }
        };
        let pid = process.pid();
        // A descriptor that epoll does not know is as much out of it as one that was taken out.
        let _ = self.poller.remove(process);
        worker.process = None;
        self.pids.remove(&pid);
        // Its pipes were closed a moment before, and what came of that may have been said by now.
        self.planes_said(now);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let outcome = match exit {
            Exit::Code(code) => Outcome::Exited(code),
            Exit::Signal { number, core } => Outcome::Signalled { number, core },
        };
        let started = self.supervisor.member(id).map_or(now.tick, |member| member.life.started);
        let lasted = now.tick.until(started);
        let life = worker.life;
        let line = worker.spoke.take().filter(|spoke| spoke.0 == life).map(|spoke| spoke.1);
        let member = self.supervisor.member(id);
        let stopped = member.is_some_and(|member| member.life.end == Some(End::Asked))
            && outcome.is_of(self.configuration.stop_signal(worker));
        let asked = stopped || worker.passed.is_some_and(|signal| outcome.is_of(signal));
        let failed = !asked && member.is_some_and(|member| member.has_failed(outcome));
        let ordered = member.is_some_and(|member| member.life.end == Some(End::Asked));
        let last = Last { life, outcome, asked, ordered, at: now, lasted, line, failed };
        let text = last.describe();
        worker.last = Some(Box::new(last));
        let is_told = worker.task.is_none();
        let marks = self.configuration.log(worker).whole.marks.value && is_told;
        let name = worker.name.clone();
        let mark = marks.then(|| format!("{text} ({name})"));
        self.planes.drain(id, life, mark);
        self.stop_awaiting(id);
        if is_told {
            let event = Happening::new(now.wall, Kind::Exited, text).of(name).pid(pid).ended(how(outcome), lasted);
            self.say(event);
        }
        // What it has said before is heard.
        self.hear(id, now);
        self.hold_by_disk(id, now);
        self.say_last_words(id, now);
        if !asked {
            self.name_oom(id, outcome, now);
        }
        self.swept.ended.push((id, outcome));
        self.trigger_event(id, WorkerEvent::Exit, now);
    }

    /// Names the kernel where it has probably killed a worker for want of memory.
    fn name_oom(&mut self, id: WorkerId, outcome: Outcome, now: Now) {
        let killed = matches!(outcome, Outcome::Signalled { number: libc::SIGKILL, .. });
        if killed && !self.is_stopping(id) && self.oom.claim(now.tick) {
            let name = self.name(id);
            let text = "perhaps killed by the kernel: memory has run out on this machine since it was last looked";
            self.say(Happening::new(now.wall, Kind::Oom, text).of(name));
        }
    }

    fn run_stop_command(&mut self, id: WorkerId, now: Now) {
        // The start that it was to undo may have failed since it was asked for.
        if !self.is_stopping(id) {
            return;
        }
        let is_told = self.tell_no_more(id, now);
        let table = |worker| &self.configuration.table(worker).keys;
        let command = self.workers.get(&id).and_then(|worker| table(worker).stop.command.value.clone());
        if is_told && command.is_none() {
            return;
        }
        let began =
            command.ok_or_else(|| "there is none".to_owned()).and_then(|command| self.run_command(id, &command));
        match began {
            Ok(()) => {}
            Err(text) => {
                let name = self.name(id);
                let text = format!("its stop command cannot be run: {text}");
                self.say(Happening::new(now.wall, Kind::Warning, text).of(name));
                let ended = lifecycle::Event::CommandEnded { success: false };
                self.step(Event::Life(id, ended), now);
            }
        }
    }

    /// Runs a command about a worker, as the worker would run it.
    pub(super) fn run_command(&mut self, id: WorkerId, command: &Argv) -> Result<(), String> {
        let worker = self.workers.get_mut(&id).ok_or("it is gone")?;
        if worker.command.is_some() {
            return Err("another one still runs".into());
        }
        let config = &self.configuration.loaded.config;
        let subject = self.configuration.subject(worker);
        let main = worker.process.as_ref().map_or(0, Process::pid);
        let launch: Launch = prepare_command(config, &subject, &self.here, command, main)?;
        let stderr = fd::stderr();
        let process = launch
            .spawn(
                Standard { stdin: None, stdout: stderr, stderr },
                Further::default(),
                self.inherited,
                self.signals,
                self.lows.as_ref(),
            )
            .map_err(|e| e.to_string())?;
        await_end(&self.poller, &process, COMMAND | id.0 as usize).map_err(|e| e.to_string())?;
        self.mains.insert(process.pid(), Life { worker: worker.name.to_string(), nonce: worker.nonce });
        self.pids.insert(process.pid(), id);
        worker.command = Some(process);
        Ok(())
    }

    /// The stop or reload command of a worker may have ended.
    pub(super) fn reap_command(&mut self, id: WorkerId, now: Now) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let Some(process) = &worker.command else { return };
        let Ok(Some(exit)) = process.reap() else { return };
        let _ = self.poller.remove(process);
        self.mains.remove(&process.pid());
        self.pids.remove(&process.pid());
        worker.command = None;
        let success = exit == Exit::Code(0);
        if !success {
            let (name, text) = (worker.name.clone(), "its command to stop or reload failed");
            self.say(Happening::new(now.wall, Kind::Warning, text).of(name));
        }
        self.step(Event::Life(id, lifecycle::Event::CommandEnded { success }), now);
    }

    /// Reaps what was handed to us when its parent ended, and whoever of ours is met there.
    pub(super) fn reap_adopted(&mut self, now: Now) {
        loop {
            let known = match reap::reap_adopted(|pid| self.pids.contains_key(&pid)) {
                Ok(Adopted::Reaped(_)) => continue,
                Ok(Adopted::Known(pid)) => self.pids.get(&pid).copied(),
                Ok(Adopted::Nothing) => return,
                Err(e) => return tracing::error!("cannot reap: {e}"),
            };
            let Some(id) = known else { return };
            let before = self.pids.len();
            self.reap(id, now);
            self.reap_command(id, now);
            if self.pids.len() == before {
                return;
            }
        }
    }
}

/// Has the end of a process told. Where that cannot be, the process is killed, for nobody would know it; it is reaped with
/// those that are handed to us.
fn await_end(poller: &Poller, process: &Process, token: usize) -> io::Result<()> {
    poller.add(process, token, Interest::Read).inspect_err(|_| {
        if let Err(e) = process.signal_group(libc::SIGKILL) {
            tracing::error!("cannot kill pid {}: {e}", process.pid());
        }
    })
}
