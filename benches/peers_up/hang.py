"""A disk that hangs: a file system of its own, frozen for some seconds, as it is when a disk does not answer."""

import contextlib
import json
import os
import signal
import subprocess
import time

from . import control
from .flood import show_latency

FROZEN = 5
IMAGE = 256 << 20
# Workers that log to the disk that hangs; the others log elsewhere.
STUCK = 4
FREE = 40
PAUSE = 0.05


class Mount:
    """An ext4 on a loop device."""

    def __init__(self, folder):
        self.folder = folder / "disk"
        self.image = folder / "disk.image"

    def __enter__(self):
        self.folder.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(IMAGE)
        subprocess.run(["mkfs.ext4", "-q", self.image], check=True)
        subprocess.run(["mount", "-o", "loop", self.image, self.folder], check=True)
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", self.folder], check=True)
        self.image.unlink()
        self.folder.rmdir()

    @contextlib.contextmanager
    def frozen(self):
        """Whoever writes to it waits, for so many seconds; it ends by itself, or who waits within would wait for ever."""
        subprocess.run(["fsfreeze", "-f", self.folder], check=True)
        # In a session of its own: Ctrl-C is for this process, and the disk thaws in any case.
        thaw = ["sh", "-c", 'sleep "$0"; exec fsfreeze -u "$1"', str(FROZEN), self.folder]
        with subprocess.Popen(thaw, start_new_session=True):
            yield


def stuck(disk, corpus):
    """Further workers, which flood the disk that will hang."""

    def tables(supervisor):
        # Their numbers are those that the others have not.
        command = json.dumps(supervisor.command("{n}0000", "flood", corpus))
        return f"""[worker.stuck]
command   = {command}
instances = {STUCK}
[worker.stuck.log]
dir            = "{disk}"
rotate         = "4MiB"
retain.routine = "16MiB"
"""

    return tables


def hang(site):
    """How long requests and restarts take before and while the disk hangs."""
    if not site.quell or os.geteuid():
        print("\nup-hang needs quell's verb `up`, and root.")
        return
    corpus = site.bench.corpus("half", 8 << 20)
    measured = {"before": {}, f"while it hangs, {FROZEN} s": {}}
    for _ in range(site.bench.rounds):
        with Mount(site.folder) as disk:
            with site.made(site.quell, FREE, mode=["talk"], more=stuck(disk.folder, corpus)) as supervisor:
                supervisor.start()
                supervisor.await_workers(FREE + STUCK)
                time.sleep(2)
                windows = list(measured)
                add(measured[windows[0]], window(supervisor))
                with disk.frozen():
                    add(measured[windows[1]], window(supervisor))
    show_latency("up: a disk that hangs; the workers that are restarted log elsewhere", measured)


def window(supervisor):
    """Requests, commands and restarts for as long as the disk hangs: `{what: [ms]}`."""
    took = {"status": [], "restart": [], "command": []}
    client, numbers = control.Client(supervisor.socket), iter(range(1, FREE + 1))
    end = time.monotonic() + FROZEN
    while time.monotonic() < end:
        began = time.monotonic_ns()
        client.ask(control.STATUS)
        took["status"].append((time.monotonic_ns() - began) / 1e6)
        if (number := next(numbers, None)) is not None:
            killed = time.monotonic_ns()
            os.kill(supervisor.workers[number], signal.SIGKILL)
            took["restart"].append(supervisor.restarted(number, killed) / 1e6)
        began = time.monotonic_ns()
        subprocess.run(supervisor.status(1), stdout=subprocess.DEVNULL, check=True)
        took["command"].append((time.monotonic_ns() - began) / 1e6)
        time.sleep(PAUSE)
    return took


def add(into, took):
    """Adds one round's figures to those of the others."""
    for what, values in took.items():
        into.setdefault(what, []).extend(values)
