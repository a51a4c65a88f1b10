"""How fast workers come and go."""

import contextlib
import os
import signal
import statistics
import time

from tables import ratio, spread, table

from . import processes
from .supervisors import PATIENCE, SpawnLoop

# runit and daemontools make a worker wait that has not run for a second.
HEALTHY = 1.2


def best(results, site):
    """The least median among the peers, if there is a peer."""
    names = [kind.name for kind in site.kinds if kind is not site.quell]
    return min((statistics.median(results[name]) for name in names), default=None)


def restart(site):
    """From kill -9 to the new process; one worker of each supervisor in turn, each worker once."""
    kills = site.options.kills
    count = max(site.options.workers // 10, kills)
    took = {kind.name: [] for kind in site.kinds}
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(site.started(kind, count)) for kind in site.kinds]
        time.sleep(HEALTHY)
        for number in range(1, kills + 1):
            for supervisor in started:
                killed = time.monotonic_ns()
                os.kill(supervisor.workers[number], signal.SIGKILL)
                took[supervisor.name].append(supervisor.restarted(number, killed) / 1e6)
    base = best(took, site)
    rows = [[name, spread(values, 1), ratio(statistics.median(values), base)] for name, values in took.items()]
    table(f"up: kill -9 of one of {count} workers, {kills} times", ["supervisor", "ms to the new process", "of the best peer"], rows)


def start(site):
    """All workers started, and all of it stopped."""
    count = site.options.workers
    kinds = [SpawnLoop, *site.kinds]
    up, down = ({kind.name: [] for kind in kinds} for _ in range(2))
    for _ in range(site.bench.rounds):
        for kind in kinds:
            with site.made(kind, count) as supervisor:
                began = supervisor.start()
                up[kind.name].append((supervisor.await_workers() - began) / 1e9)
                time.sleep(HEALTHY)
                watch = processes.Watch(processes.tree(supervisor.process.pid))
                asked = time.monotonic()
                supervisor.stop()
                if not watch.gone(PATIENCE):
                    raise SystemExit(f"{kind.name} does not stop")
                down[kind.name].append(time.monotonic() - asked)
    bases = [best(results, site) for results in (up, down)]
    floor = statistics.median(up[SpawnLoop.name])
    rows = []
    for kind in kinds:
        times = [statistics.median(results[kind.name]) for results in (up, down)]
        rows.append([
            kind.name, spread(up[kind.name]), ratio(times[0], bases[0]), ratio(times[0], floor),
            spread(down[kind.name]), ratio(times[1], bases[1]),
        ])  # fmt: skip
    table(
        f"up: {count:,} workers",
        ["supervisor", "s to start all", "of the best peer", "of the spawn loop", "s to stop all", "of the best peer"],
        rows,
    )
