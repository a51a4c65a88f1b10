"""From a put to the worker that is to do the task."""

import functools
import os
import statistics
import time
from pathlib import Path

from tables import percentile, ratio, spread, table

from . import programs
from .puts import syncs

PAUSE = 0.005
FLOODS, BACKLOG = 16, 10_000
WARM = 2
BARE = "a bare spawn"
# So many rounds of the classes are looked at for what low gets.
SHARED = 100 * 21


class Stamps:
    """What workers say of when they were told of a task: `TIME BODY`."""

    def __init__(self, folder):
        self.path = folder / "stamps"
        os.mkfifo(self.path)
        # For reading and writing, so that it has no end when no worker has it open.
        self.file = os.fdopen(os.open(self.path, os.O_RDWR), "rb")

    def next(self, body):
        """When the next task began that is this one."""
        while True:
            when, what = self.file.readline().decode().split()
            if what == body:
                return int(when)

    def bodies(self, count):
        """What so many tasks were."""
        return [self.file.readline().decode().split()[1] for _ in range(count)]

    def close(self):
        self.file.close()
        self.path.unlink()


def took(act, stamps, times, body):
    """The milliseconds from an act to the stamp of what it causes, time after time."""
    found = []
    for _ in range(times):
        began = time.monotonic_ns()
        act()
        found.append((stamps.next(body) - began) / 1e6)
        time.sleep(PAUSE)
    return found


def hands(kind, site, stamps):
    """Two workers of either kind that say when they are told of a task, one of them for class high alone."""
    from . import worker

    if kind == "lines":
        return programs.lines_worker(worker(1, stamps.path), 2, "slots = { high = 1 }\n")
    return programs.exec_worker([site.compiled("stamp"), stamps.path], "2, high = 1")


def spawns(site, stamps, times):
    """The same as `took` for a bare spawn."""
    argv, found = [str(site.compiled("stamp")), str(stamps.path)], []
    for _ in range(times):
        began = time.monotonic_ns()
        pid = os.posix_spawn(argv[0], argv, os.environ)
        found.append((stamps.next("bare") - began) / 1e6)
        os.waitpid(pid, 0)
        time.sleep(PAUSE)
    return found


def share(site, stamps):
    """How much of one worker's time low gets while all classes have work."""
    from . import worker

    with programs.running(site, programs.lines_worker(worker(1, stamps.path))) as quell:
        quell.put_and_wait("first")
        quell.of_queue("pause")
        for each in ("high", "normal", "low"):
            quell.put(SHARED, f"{each}-one", **{"class": each})
        quell.of_queue("resume")
        stamps.next("first")
        return stamps.bodies(SHARED).count("low-one") / SHARED


def row(name, values, floor=None):
    """A row of latencies."""
    median = statistics.median(values)
    figures = [f"{figure:.3f}" for figure in (median, percentile(values, 99), max(values))]
    return [name, *figures, ratio(median, statistics.median(floor)) if floor else "-", str(len(values))]


COLUMNS = ["", "ms, median", "99 of 100", "most", "times a bare spawn", "times"]


def idle(site):
    """Nothing else goes on."""
    times, stamps = site.options.times, Stamps(site.folder)
    results, disk = {BARE: []}, []
    for _ in range(site.rounds):
        results[BARE] += spawns(site, stamps, times)
        disk.append(1000 / syncs(site))
        for kind in ("lines", "exec"):
            for durable in ("never", "always"):
                with programs.running(site, hands(kind, site, stamps), durable=durable) as quell:
                    quell.put_and_wait("warm")
                    stamps.next("warm")
                    results.setdefault(f"{kind}, {durable}", []).extend(took(quell.put, stamps, times, "work"))
    stamps.close()
    floor = results[BARE]
    rows = [row(name, values, floor if name.startswith("exec") else None) for name, values in results.items()]
    rows.append(row("fdatasync of a page", disk))
    table("latency: from a put over an open connection to the worker, idle", COLUMNS, rows)


def flooding(site):
    """The table of workers that write as fast as they can, and the FIFO that they say so in."""
    program = site.compiled("flooder", Path(__file__).resolve().parent.parent / "peers_up" / "worker.c")
    text, said = site.folder / "text", site.folder / "said"
    if not text.exists():
        text.write_text("".join(f"line {number} of a program that says much\n" for number in range(100_000)))
        os.mkfifo(said)
    command = f'["{program}", "{said}", "{{n}}", "flood", "{text}"]'
    log = '{ rotate = "4MiB", retain.routine = "1d, 16MiB", compress = "none" }'
    return said, f"[worker.flood]\ncommand = {command}\ninstances = {FLOODS}\nlog = {log}\n"


def flood(site):
    """Much goes on, and what is urgent comes."""
    times, stamps = site.options.times, Stamps(site.folder)
    said, floods = flooding(site)
    talk = os.open(said, os.O_RDWR)
    results, low = {}, []
    for _ in range(site.rounds):
        for kind in ("lines", "exec"):
            with programs.running(site, floods + hands(kind, site, stamps)) as quell:
                time.sleep(WARM)
                quell.put(BACKLOG, "low", **{"class": "low"})
                urgent = functools.partial(quell.put, 1, "high", **{"class": "high"})
                results.setdefault(f"{kind}: a high task", []).extend(took(urgent, stamps, times, "high"))
                if kind == "exec":
                    results.setdefault(BARE, []).extend(spawns(site, stamps, times))
        low.append(100 * share(site, stamps))
    os.close(talk)
    stamps.close()
    floor = results[BARE]
    rows = [row(name, values, floor if name.startswith("exec") else None) for name, values in results.items()]
    table(f"flood: {FLOODS} workers write as fast as they can, {BACKLOG:,} low tasks wait", COLUMNS, rows)
    table("one worker, and all classes have work", ["", "% of its tasks"], [["low", spread(low, 1)]])
