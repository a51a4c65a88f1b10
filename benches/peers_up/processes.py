"""What /proc tells of processes, and how to be sure that they are gone."""

import contextlib
import ctypes
import os
import select
import signal
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_CHILD_SUBREAPER = 36


def adopt():
    """Makes every orphan below this process its child, so that none gets away."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def tree(root):
    """The ids of a process and of all below it; empty if it is gone."""
    children, seen = {}, set()
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            stat = Path(f"/proc/{int(entry)}/stat").read_text()
            seen.add(int(entry))
            children.setdefault(int(stat[stat.rindex(")") + 2 :].split()[1]), []).append(int(entry))
    found, todo = [], [root] if root in seen else []
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def running(pids, program):
    """Those of the processes that execute this program."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{pid}/exe") == str(program):
                found.append(pid)
    return found


def memory(pids):
    """Proportional set size, all together, in MiB."""
    kib = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            kib += sum(int(row.split()[1]) for row in rows if row.startswith("Pss:"))
    return kib / 1024


def descriptors(pids):
    """How many they have open."""
    count = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            count += len(os.listdir(f"/proc/{pid}/fd"))
    return count


def cpu(pids):
    """What they have used: `(clock ticks, milliseconds)`."""
    ticks = nanoseconds = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{pid}/stat").read_text()
            ticks += sum(map(int, stat[stat.rindex(")") + 2 :].split()[11:13]))
            for task in Path(f"/proc/{pid}/task").iterdir():
                nanoseconds += int((task / "schedstat").read_text().split()[0])
    return ticks, nanoseconds / 1e6


def written(pids):
    """How many bytes they have written, and somebody has taken."""
    count = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            rows = Path(f"/proc/{pid}/io").read_text().splitlines()
            count += sum(int(row.split()[1]) for row in rows if row.startswith("wchar:"))
    return count


class Watch:
    """Processes whose end is waited for."""

    def __init__(self, pids):
        self.epoll, self.handles = select.epoll(), set()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                handle = os.pidfd_open(pid)
                self.handles.add(handle)
                self.epoll.register(handle, select.EPOLLIN)

    def gone(self, seconds):
        """Waits for the last of them to end: whether that came in time."""
        end = time.monotonic() + seconds
        try:
            while self.handles and time.monotonic() < end:
                for handle, _ in self.epoll.poll(end - time.monotonic(), len(self.handles)):
                    self.handles.remove(handle)
                    os.close(handle)
            return not self.handles
        finally:
            for handle in self.handles:
                os.close(handle)
            self.epoll.close()


def reap():
    """Buries the children that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


@contextlib.contextmanager
def swept():
    """Kills at the end whatever was started within and still runs."""
    try:
        yield
    finally:
        end = time.monotonic() + 30
        while below := [pid for pid in tree(os.getpid()) if pid != os.getpid()]:
            for pid in below:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            Watch(below).gone(5)
            reap()
            if time.monotonic() > end:
                raise SystemExit(f"processes that cannot be killed: {below}")
