"""How many tasks are done in a second."""

import shutil
import statistics
import subprocess
import time

from tables import ratio, spread, table

from . import programs

TRUE = "/bin/true"
# So many times as many tasks as processes.
LINES = 20


def seconds(argv):
    """What a floor says that it took."""
    return float(subprocess.run(list(map(str, argv)), stdout=subprocess.PIPE, check=True).stdout)


def done_by_quell(site, tables, count, durable):
    """Tasks a second: put, done, and known to be done."""
    with programs.running(site, tables, durable=durable) as quell:
        # Its workers are there.
        quell.put_and_wait()
        began = time.monotonic()
        quell.put(count - 1)
        quell.put_and_wait()
        return count / (time.monotonic() - began)


def done_by_peer(site, peer, count, slots):
    """The same, of a program that is given each task by a command."""
    count //= getattr(peer, "fewer", 1)
    one = peer(site, slots)
    try:
        began = time.monotonic()
        one.do(count)
        return count / (time.monotonic() - began)
    finally:
        one.stop()


def show(title, results, floor):
    """A table of rates, beside the floor and the best peer."""
    peers = [statistics.median(values) for name, values in results.items() if name in {peer.name for peer in programs.PEERS}]
    best, floor = max(peers, default=None), statistics.median(results[floor])
    rows = []
    for name, values in results.items():
        rate = statistics.median(values)
        rows.append([name, spread(values, 0), ratio(rate, floor), ratio(rate, best)])
    table(title, ["", "tasks/s", "of the bare loop", "of the best peer"], rows)


def measured(site, programs_):
    """Runs each of `{name: function}` once a round."""
    results = {name: [] for name in programs_}
    for _ in range(site.rounds):
        for name, run in programs_.items():
            results[name].append(run())
    return results


def processes_each(site):
    """A process for each task."""
    count, slots = site.options.tasks, site.options.slots
    floor, tables = site.compiled("spawn_slots"), programs.exec_worker([TRUE], slots)
    runs = {"posix_spawn loop": lambda: count / seconds([floor, count, slots, TRUE])}
    for durable in ("never", "always"):
        runs[f"quell, {durable}"] = lambda durable=durable: done_by_quell(site, tables, count, durable)
    for peer in programs.PEERS:
        if all(map(shutil.which, peer.needs)):
            runs[peer.name] = lambda peer=peer: done_by_peer(site, peer, count, slots)
    show(f"exec: {count:,} times {TRUE}, {slots} at once", measured(site, runs), "posix_spawn loop")


def workers_that_stay(site):
    """A Python worker, one task at a time and sixteen."""
    from . import worker

    count, floor = LINES * site.options.tasks, site.compiled("line_loop")
    for credit in (1, 16):
        runs = {"socketpair loop": lambda: count / seconds([floor, count, credit, *worker(credit)])}
        for durable in ("never", "always"):
            tables = programs.lines_worker(worker(credit))
            runs[f"quell, {durable}"] = lambda durable=durable, tables=tables: done_by_quell(site, tables, count, durable)
        title = "one task at a time" if credit == 1 else f"`ready {credit}`"
        show(f"lines: {count:,} tasks, a Python worker, {title}", measured(site, runs), "socketpair loop")
