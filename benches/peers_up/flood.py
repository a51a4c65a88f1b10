"""Workers that write as fast as they can, and whether anyone answers meanwhile."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tables import percentile, ratio, spread, table

from . import processes

# Files are small here, for what all of them keep has to fit into memory.
FILES = {"rotate": 4 << 20, "keep": 5}
WARM = 2
# How often the command `status` is run, how long it rests between, and when that is enough in any case, in seconds: a flood
# that goes through a process for each worker can keep all others off the CPUs for seconds.
ASKED, REST, ENOUGH = 15, 0.3, 15
CLIENTS = 64
SIGNALS = "signals"


def target(supervisor):
    """One more worker, which says when it gets a TERM."""
    os.mkfifo(supervisor.folder / SIGNALS)
    command = json.dumps([str(word) for word in (supervisor.job.worker, supervisor.folder / SIGNALS, 0, "term")])
    return f'[worker.target]\ncommand = {command}\nstop = {{ signal = "INT" }}\n'


def status_command(supervisor):
    """How long a supervisor's own command takes to show a worker, in milliseconds, time after time."""
    took, end = [], time.monotonic() + ENOUGH
    for number in range(ASKED):
        if time.monotonic() > end:
            break
        argv = supervisor.status(1 + number % supervisor.job.count)
        began = time.monotonic()
        subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
        took.append((time.monotonic() - began) * 1000)
        time.sleep(REST)
    return took


def throughput(supervisor, seconds):
    """What is read of the workers: `(MB/s, the supervisor's CPU s/GB, its PSS in MiB)`."""
    workers, own = list(supervisor.workers.values()), supervisor.own()
    began, bytes_before, cpu_before = time.monotonic(), processes.written(workers), processes.cpu(own)[1]
    time.sleep(seconds)
    taken, cpu = processes.written(workers) - bytes_before, processes.cpu(own)[1] - cpu_before
    return taken / 1e6 / (time.monotonic() - began), cpu * 1e6 / taken, processes.memory(own)


def probed(supervisor, seconds):
    """What `probe` found in so many seconds."""
    probe = Path(__file__).with_name("probe.py")
    argv = [sys.executable, "-B", probe, supervisor.socket, supervisor.folder / SIGNALS, "target", seconds, CLIENTS]
    return json.loads(subprocess.run(list(map(str, argv)), stdout=subprocess.PIPE, check=True).stdout)


def flood(site):
    """MB/s without and with rules, and how long the commands and requests take."""
    count, corpus = max(1, site.options.workers // 10), site.bench.corpus("half", 8 << 20)
    mode = {"mode": ["flood", corpus], **FILES}
    plain, ruled = {}, {}
    idle, busy, probes = {}, {}, {"status": [], "term": [], "echo": []}
    for _ in range(site.bench.rounds):
        for kind in site.kinds:
            with site.started(kind, count) as supervisor:
                time.sleep(WARM)
                idle.setdefault(kind.name, []).extend(status_command(supervisor))
            with site.started(kind, count, more=target, **mode) as supervisor:
                time.sleep(WARM)
                plain.setdefault(kind.name, []).append(throughput(supervisor, site.options.flood))
                busy.setdefault(kind.name, []).extend(status_command(supervisor))
                if kind is site.quell:
                    for what, values in probed(supervisor, site.options.flood).items():
                        probes[what] += values
        for kind in [*(kind for kind in site.kinds if kind.filters), *site.with_levels]:
            with site.started(kind, count, rules=site.rules, **mode) as supervisor:
                time.sleep(WARM)
                ruled.setdefault(kind.name, []).append(throughput(supervisor, site.options.flood))
    for results, title in ((plain, "no list"), (ruled, "20 rules, half the lines noise")):
        show_speed(results, f"up: {count} workers write 8 KiB at a time, {title}")
    show_status(idle, busy, count)
    if probes["status"]:
        show_latency("up: quell under that flood", {f"with {CLIENTS} idle and slow clients": probes})


def show_speed(results, title):
    """The table of a flood."""
    speed = {name: [result[0] for result in each] for name, each in results.items()}
    peers = [statistics.median(values) for name, values in speed.items() if not name.startswith("quell")]
    base = max(peers, default=None)
    rows = [
        [n, spread(v, 0), ratio(statistics.median(v), base), *(spread([r[at] for r in results[n]], digits) for at, digits in ((1, 2), (2, 1)))]
        for n, v in speed.items()
    ]
    table(title, ["supervisor", "MB/s", "times the best peer", "its CPU s/GB", "PSS MiB"], rows)


def show_status(idle, busy, count):
    """The table of the commands."""
    peers = [statistics.median(values) for name, values in busy.items() if name != "quell"]
    base = min(peers, default=None)
    rows = [
        [n, spread(idle[n], 1), spread(busy[n], 1), f"{percentile(busy[n], 90):.1f}", ratio(statistics.median(busy[n]), base)]
        for n in busy
    ]
    table(
        f"up: the command that shows one of {count} workers, ms",
        ["supervisor", "idle", "under flood", "9 of 10", "of the best peer"],
        rows,
    )


def show_latency(title, measured):
    """The table of what was asked over a connection."""
    names = {
        "status": "a status request", "term": "a TERM to a worker", "restart": "kill -9 to the new process",
        "command": "`quell status`", "echo": "an echo between two other processes",
    }  # fmt: skip
    rows = []
    for when, probes in measured.items():
        for what, values in probes.items():
            figures = [f"{figure:.2f}" for figure in (percentile(values, 50), percentile(values, 99), max(values))]
            rows.append([when, names[what], *figures, str(len(values))])
    table(title, ["when", "ms of", "median", "99 of 100", "most", "times"], rows)
