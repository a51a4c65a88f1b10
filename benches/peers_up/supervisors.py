"""The supervisors, each with its own files and commands, all given the same workers.

`start` makes the files first and tells when the supervisor itself was started; `stop` asks it to end everything.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import processes

# Debian's multilog takes the size of a file without its last byte.
MULTILOG_LESS = 1
# Long enough for the slowest of them with 1,000 workers.
PATIENCE = 180


@dataclass
class Job:
    """What a supervisor has to do."""

    folder: Path
    worker: Path
    count: int
    mode: list = field(default_factory=list)
    # Literals whose lines are to be left out.
    rules: list = field(default_factory=list)
    rotate: int = 16 << 20
    keep: int = 10
    # Further tables of quell's configuration, made from the supervisor.
    more: Callable = lambda _: ""


class News:
    """What the workers announce: `(number, pid, nanoseconds)`, the last as CLOCK_MONOTONIC has it."""

    def __init__(self, path):
        self.path, self.rest = path, b""
        os.mkfifo(path)
        # For reading and writing, so that it has no end when no worker has it open.
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def read(self, seconds):
        """What has come, waiting so long for the first; nothing if none came."""
        if not select.select([self.fd], [], [], max(0, seconds))[0]:
            return []
        *lines, self.rest = (self.rest + os.read(self.fd, 1 << 16)).split(b"\n")
        return [tuple(map(int, line.split())) for line in lines]

    def close(self):
        os.close(self.fd)


class Supervisor:
    """One that runs. What is the same for all of them stands here."""

    filters = True
    needs = ()

    def __init__(self, job):
        self.job = job
        self.folder = job.folder / self.name.replace(" ", "-")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.news = News(self.folder / "news")
        self.workers = {}

    def start(self):
        """Starts it: the time, in nanoseconds."""
        argv = self.prepare()
        with open(self.folder / "talk", "ab") as talk:
            self.began = time.monotonic_ns()
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=talk, stderr=talk, start_new_session=True)
        return self.began

    def await_workers(self, count=None):
        """Waits until that many workers run (all, if not told): when the last of them began, in nanoseconds."""
        end, last = time.monotonic() + PATIENCE, 0
        while len(self.workers) < (count or self.job.count):
            if time.monotonic() > end or self.process.poll() is not None:
                talk = (self.folder / "talk").read_text(errors="replace")[-2000:]
                raise SystemExit(f"{self.name}: {len(self.workers)} of {self.job.count} workers run\n{talk}")
            for number, pid, when in self.news.read(1):
                self.workers[number] = pid
                last = max(last, when)
            # The announcements keep; looking for each would take CPU from those who start.
            time.sleep(0.02 if self.job.count > 1 else 0)
        return last

    def restarted(self, number, before):
        """Waits for a worker's next start: nanoseconds since `before`."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for got, pid, when in self.news.read(end - time.monotonic()):
                self.workers[got] = pid
                if got == number and when > before:
                    return when - before
        raise SystemExit(f"{self.name}: worker {number} was not started again")

    def own(self):
        """The processes of the supervisor: all but the workers."""
        all_of_it = processes.tree(self.process.pid)
        workers = set(processes.running(all_of_it, self.job.worker))
        return [pid for pid in all_of_it if pid not in workers]

    def stop(self):
        """Asks it to stop everything."""
        self.process.terminate()

    def command(self, number, *mode):
        """A worker's command."""
        return [str(word) for word in (self.job.worker, self.news.path, number, *(mode or self.job.mode))]


class Directories(Supervisor):
    """Those that have a directory for each service, and a logger beside it."""

    def prepare(self):
        self.services = self.folder / "services"
        for number in range(1, self.job.count + 1):
            service, logs = self.services / f"w{number}", self.folder / "logs" / f"w{number}"
            (service / "log").mkdir(parents=True)
            logs.mkdir(parents=True)
            script(service / "run", "exec 2>&1", self.command(number))
            script(service / "log" / "run", "", self.logger(logs))
        return self.argv()

    def service(self, number):
        """A worker's service directory."""
        return str(self.services / f"w{number}")


def script(path, first, argv):
    """A shell script that becomes a program."""
    words = " ".join("'" + word.replace("'", "'\\''") + "'" for word in map(str, argv))
    path.write_text(f"#!/bin/sh\n{first}\nexec {words}\n")
    path.chmod(0o755)


class S6(Directories):
    name = "s6"
    needs = ("s6-svscan", "s6-log")

    def argv(self):
        return ["s6-svscan", "-c", "2500", str(self.services)]

    def logger(self, logs):
        rules = [f"-{text}" for text in self.job.rules]
        return ["s6-log", f"n{self.job.keep}", f"s{self.job.rotate}", *rules, logs]

    def stop(self):
        subprocess.run(["s6-svscanctl", "-t", str(self.services)], check=True)

    def status(self, number):
        return ["s6-svstat", self.service(number)]


class Runit(Directories):
    name = "runit"
    needs = ("runsvdir", "svlogd")

    def argv(self):
        return ["runsvdir", "-P", str(self.services)]

    def logger(self, logs):
        rules = [f"-*{text}*" for text in self.job.rules]
        (logs / "config").write_text("".join(f"{row}\n" for row in [f"s{self.job.rotate}", f"n{self.job.keep}", *rules]))
        return ["svlogd", logs]

    def stop(self):
        self.process.send_signal(signal.SIGHUP)

    def status(self, number):
        return ["sv", "status", self.service(number)]


class Daemontools(Directories):
    name = "daemontools"
    needs = ("svscan", "multilog")

    def argv(self):
        return ["svscan", str(self.services)]

    def logger(self, logs):
        rules = [f"-*{text}*" for text in self.job.rules]
        return ["multilog", f"s{self.job.rotate - MULTILOG_LESS}", f"n{self.job.keep}", *rules, logs]

    def stop(self):
        self.process.terminate()
        services = [self.service(number) for number in range(1, self.job.count + 1)]
        subprocess.run(["svc", "-dx", *services, *(f"{service}/log" for service in services)], check=True)

    def status(self, number):
        return ["svstat", self.service(number)]


class Supervisord(Supervisor):
    name = "supervisord"
    filters = False
    needs = ("supervisord", "supervisorctl")

    def prepare(self):
        self.config = self.folder / "supervisord.conf"
        (self.folder / "logs").mkdir()
        command = " ".join(self.command("%(process_num)d"))
        # Its children close so many before they become workers: as few as will do.
        minfds = max(1024, 4 * self.job.count + 100)
        self.config.write_text(f"""[supervisord]
nodaemon=true
minfds={minfds}
pidfile={self.folder}/pid
logfile={self.folder}/supervisord.log
childlogdir={self.folder}
[unix_http_server]
file={self.folder}/socket
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{self.folder}/socket
[program:w]
command={command}
numprocs={self.job.count}
numprocs_start=1
process_name=w%(process_num)d
autorestart=true
startsecs=0
startretries=1000
redirect_stderr=true
stdout_logfile={self.folder}/logs/%(process_num)d
stdout_logfile_maxbytes={self.job.rotate}
stdout_logfile_backups={self.job.keep}
""")
        return ["supervisord", "-c", str(self.config)]

    def status(self, number):
        return ["supervisorctl", "-c", str(self.config), "status", f"w:w{number}"]


class Quell(Supervisor):
    name = "quell"
    # The caller sets the program.
    program = "quell"
    # `levels` is on unless it is taken off; no peer has its like.
    lists = ("!levels",)

    def prepare(self):
        self.config = self.folder / "quell.toml"
        lists = list(self.lists)
        if self.job.rules:
            literals = self.folder / "noise.list"
            literals.write_text("".join(f"{text}\n" for text in self.job.rules))
            lists.append(str(literals))
        several = self.job.count > 1
        self.config.write_text(f"""[quell]
state = "{self.folder}/state"
[log]
dir            = "{self.folder}/log"
stamp          = "none"
compress       = "none"
rotate         = "{self.job.rotate >> 20}MiB"
retain.routine = "{self.job.keep * self.job.rotate >> 20}MiB"
[worker.w]
command = {json.dumps(self.command("{n}" if several else 1))}
restart = "always"
backoff = {{ first = "0s" }}
lists   = {json.dumps(lists)}
{f"instances = {self.job.count}" if several else ""}
{self.job.more(self)}
""")
        return [self.program, "up", "-c", str(self.config)]

    @property
    def socket(self):
        """Where its control socket is."""
        return self.folder / "state" / "quell.sock"

    def status(self, number):
        return [self.program, "status", "-c", str(self.config), f"w.{number}" if self.job.count > 1 else "w"]


class QuellWithLevels(Quell):
    """With the list that is on unless it is taken off."""

    name = "quell and levels"
    lists = ()


class SpawnLoop(Supervisor):
    """Starts the workers, and supervises nothing."""

    name = "spawn loop"
    # The caller sets the program.
    program = None

    def prepare(self):
        return [str(self.program), str(self.job.count), str(self.job.worker), str(self.news.path)]


PEERS = [S6, Runit, Daemontools, Supervisord]
