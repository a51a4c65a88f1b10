"""The section `up`: supervisors with many workers, side by side.

  up-memory   memory and descriptors with 1, a tenth of and all --workers that are idle, each with 20 rules where it can filter
  up-idle     a tenth of the workers, idle: system calls and CPU
  up-restart  from kill -9 to the new process, backoff off
  up-start    all workers started and stopped; a spawn loop is the floor
  up-flood    a tenth of the workers write 8 KiB at a time as fast as they can: MB/s, and who still answers
  up-hang     a disk that hangs for 5 s: who still answers (quell only, as root)

`up` is all of them. Memory is the proportional set size of all processes of a supervisor; the workers are left out. Whatever
was started is killed at the end: this process is the subreaper of all of them.
"""

import contextlib
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from . import flood, hang, life, processes, rest
from .supervisors import PEERS, Job, Quell, QuellWithLevels, SpawnLoop

HERE = Path(__file__).resolve().parent
PARTS = {
    "up-memory": rest.memory,
    "up-idle": rest.idle,
    "up-restart": life.restart,
    "up-start": life.start,
    "up-flood": flood.flood,
    "up-hang": hang.hang,
}
RULES = 20


class Site:
    """Where it is measured: the supervisors that are there, the worker, the folders."""

    def __init__(self, bench):
        self.bench, self.options = bench, bench.options
        self.folder = bench.folder / "up"
        self.folder.mkdir(exist_ok=True)
        self.worker, SpawnLoop.program = self.compiled("worker"), self.compiled("spawn_loop")
        self.rules = Path(bench.literals(RULES)).read_text().splitlines()
        Quell.program = bench.quell
        # A quell without the verb has peers all the same.
        has_up = subprocess.run([bench.quell, "up", "--help"], capture_output=True, check=False).returncode == 0
        found = [kind for kind in [*PEERS, *([Quell] if has_up else [])] if all(map(shutil.which, kind.needs))]
        self.kinds = [kind for kind in found if kind.name in (self.options.only or [kind.name])]
        if not has_up:
            print("\nquell has no verb `up`: the peers by themselves.")

    @property
    def quell(self):
        """quell, if it is measured."""
        return Quell if Quell in self.kinds else None

    @property
    def with_levels(self):
        """quell with its built-in list, if quell is measured."""
        return [QuellWithLevels] if self.quell else []

    def compiled(self, name):
        """A program of ours, linked statically so that its start is not the loader's."""
        program = self.folder / name
        subprocess.run(["cc", "-O2", "-static", "-o", program, HERE / f"{name}.c"], check=True)
        return program

    def job(self, count, **more):
        """A job for a supervisor."""
        return Job(self.folder / "run", self.worker, count, **more)

    @contextlib.contextmanager
    def made(self, kind, count, **job):
        """A supervisor that is not started yet. At the end nothing is left of it, nor of others that are under way."""
        supervisor = kind(self.job(count, **job))
        try:
            with processes.swept():
                yield supervisor
        finally:
            supervisor.news.close()
            shutil.rmtree(supervisor.folder)

    @contextlib.contextmanager
    def started(self, kind, count, **job):
        """A supervisor, all of its workers running."""
        with self.made(kind, count, **job) as supervisor:
            supervisor.start()
            supervisor.await_workers()
            yield supervisor


def add_options(parser):
    """The options of this section."""
    group = parser.add_argument_group("up")
    group.add_argument("--workers", type=int, default=1000, help="how many workers at most (1000)")
    group.add_argument("--seconds", type=int, default=60, help="how long up-idle looks (60)")
    group.add_argument("--flood", type=int, default=10, metavar="SECONDS", help="how long up-flood looks (10)")
    group.add_argument("--kills", type=int, default=30, help="how many workers up-restart kills (30)")
    group.add_argument("--only", type=lambda names: names.split(","), metavar="NAME,…", help="these supervisors")


def prepare():
    """Makes this process fit to start thousands: it adopts orphans, dies in order, and has descriptors enough."""
    processes.adopt()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def section(part):
    """One part, or all of them for `up`, as a section of `benches/peers`."""

    def run(bench):
        prepare()
        site = Site(bench)
        for name in PARTS if part == "up" else [part]:
            PARTS[name](site)

    return run
