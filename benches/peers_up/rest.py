"""Supervisors at rest: memory, descriptors, system calls, CPU."""

import contextlib
import re
import signal
import statistics
import subprocess
import time

from tables import ratio, spread, table

from . import processes

# Long enough for what a supervisor does after the last worker runs, and for those that look round every 5 s.
SETTLE = 2
CALM = 10


def memory(site):
    """Memory and descriptors with few and many idle workers."""
    most = site.options.workers
    counts = sorted({1, max(1, most // 10), most})
    pss = {(kind.name, count): [] for kind in site.kinds for count in counts}
    open_files, owned = {}, {}
    for _ in range(site.bench.rounds):
        for count in counts:
            for kind in site.kinds:
                rules = site.rules if kind.filters else []
                with site.started(kind, count, rules=rules) as supervisor:
                    time.sleep(SETTLE)
                    own = supervisor.own()
                    pss[kind.name, count].append(processes.memory(own))
                    open_files[kind.name], owned[kind.name] = processes.descriptors(own), len(own)
    peers = [statistics.median(pss[kind.name, most]) for kind in site.kinds if kind is not site.quell]
    best = min(peers, default=None)
    rows = []
    for kind in site.kinds:
        name = kind.name
        rows.append([
            name, *(spread(pss[name, count], 1) for count in counts), ratio(statistics.median(pss[name, most]), best),
            f"{open_files[name]:,}", f"{open_files[name] / most:.1f}", f"{owned[name]:,}", "yes" if kind.filters else "no",
        ])  # fmt: skip
    table(
        "up: idle, logged workers",
        ["supervisor", *(f"PSS MiB, {count:,}" for count in counts), "of the best peer", f"descriptors, {most:,}", "a worker", "processes", "20 rules"],
        rows,
    )


def idle(site):
    """System calls and CPU of supervisors whose workers do nothing; all of them at once, for none disturbs another."""
    count, seconds = max(1, site.options.workers // 10), site.options.seconds
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(site.started(kind, count)) for kind in site.kinds]
        time.sleep(CALM)
        own = {supervisor.name: supervisor.own() for supervisor in started}
        before = {name: processes.cpu(pids) for name, pids in own.items()}
        time.sleep(seconds)
        after = {name: processes.cpu(pids) for name, pids in own.items()}
        # In a window of its own, for to be traced costs CPU.
        calls = traced(own, seconds, site.folder)
    rows = [
        [n, str(calls[n]), str(after[n][0] - before[n][0]), f"{after[n][1] - before[n][1]:.1f}", str(len(own[n]))] for n in own
    ]
    table(
        f"up: {count} idle workers for {seconds} s",
        ["supervisor", "system calls", "CPU ticks", "ms on a CPU", "processes"],
        rows,
    )


def traced(own, seconds, folder):
    """How many system calls the processes begin within so many seconds: `{name: calls}`."""
    traces, tracers = {}, {}
    for name, pids in own.items():
        traces[name] = folder / f"trace-{name}"
        argv = ["strace", "-f", "-ttt", "-s", "0", "-o", traces[name], "-p", ",".join(map(str, pids))]
        tracers[name] = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    for name, tracer in tracers.items():
        # To attach interrupts waits, which then begin anew: that is before the window.
        for _ in own[name]:
            line = tracer.stderr.readline()
            if "attached" not in line:
                raise SystemExit(f"strace {name}: {line}")
    time.sleep(SETTLE)
    begin = time.time()
    time.sleep(seconds)
    end = time.time()
    for tracer in tracers.values():
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()
    call = re.compile(r"^\d+ +(\d+\.\d+) \w+\(")
    counted = {}
    for name, trace in traces.items():
        begun = [float(match[1]) for match in map(call.match, trace.read_text(errors="replace").splitlines()) if match]
        counted[name] = sum(begin <= when < end for when in begun)
    return counted
