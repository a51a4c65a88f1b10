"""The parts of `benches/queue`."""

import os
import platform
import resource
import signal
import subprocess
import sys
from pathlib import Path

from peers_up import processes

from . import latency, puts, rates, rest

HERE = Path(__file__).resolve().parent
PARTS = {
    "exec": rates.processes_each,
    "lines": rates.workers_that_stay,
    "puts": puts.durable,
    "latency": latency.idle,
    "flood": latency.flood,
    "idle": rest.idle,
}


class Site:
    """Where it is measured."""

    def __init__(self, folder, quell, options):
        self.folder, self.quell, self.options = folder, quell, options
        self.rounds, self.made = options.rounds, 0

    def compiled(self, name, source=None):
        """A program of ours, linked statically so that its start is not the loader's."""
        program = self.folder / name
        if not program.exists():
            subprocess.run(["cc", "-O2", "-static", "-o", program, source or HERE / f"{name}.c"], check=True)
        return program

    def fresh(self, name):
        """A folder that nobody has used."""
        self.made += 1
        folder = self.folder / f"{name}-{self.made}"
        folder.mkdir()
        return folder


def worker(*words):
    """The command of a worker that stays."""
    return [sys.executable, "-B", str(HERE / "worker.py"), *map(str, words)]


def machine():
    """What it was measured on."""
    model = next(line for line in open("/proc/cpuinfo") if line.startswith("model name")).split(": ")[1].strip()
    return f"{os.cpu_count()} cores ({model}), Linux {platform.release()}"


def run(folder, quell, options):
    """The parts that were asked for, or all of them."""
    processes.adopt()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    site = Site(folder, quell, options)
    for part in options.parts or PARTS:
        with processes.swept():
            PARTS[part](site)
