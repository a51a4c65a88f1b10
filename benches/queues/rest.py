"""What is done while there is nothing to do."""

import time

from peers_up import processes
from peers_up.rest import traced
from tables import table

from . import programs

QUEUES, WORKERS, TRIGGERS = 10, 100, 20
# Long enough for what is done after the last worker runs.
CALM = 10


def tables():
    """Workers that run, and workers that wait for something: a queue's tasks, an event, a time, a name."""
    runs = "".join(f'[worker.run{n}]\ncommand = ["sleep", "infinity"]\n' for n in range(WORKERS - TRIGGERS))
    waits_for = [
        *(f'{{ queue = "q{n}" }}' for n in range(QUEUES)),
        *(f'{{ queue = "q{n}", event = "empty" }}' for n in range(4)),
        *(f'{{ worker = "run{n}", event = "exit" }}' for n in range(3)),
        '{ schedule = "0 3 1 1 *" }', '{ signal = "USR2" }', '{ fire = "deploy" }',
    ]  # fmt: skip
    waits = (f'[worker.wait{n}]\ncommand = ["true"]\nstart_on = [{what}]\n' for n, what in enumerate(waits_for))
    return runs + "".join(waits)


def idle(site):
    """System calls and CPU."""
    seconds = site.options.seconds
    with programs.running(site, tables(), queues=[f"q{n}" for n in range(QUEUES)]) as quell:
        time.sleep(CALM)
        own = [quell.process.pid]
        before = processes.cpu(own)
        time.sleep(seconds)
        ticks = processes.cpu(own)[0] - before[0]
        # In a window of its own, for to be traced costs CPU.
        calls = traced({"quell": own}, seconds, site.folder)["quell"]
    title = f"idle: {QUEUES} queues, {WORKERS} workers, {TRIGGERS} triggers, {seconds} s"
    table(title, ["", "system calls", "CPU ticks"], [["quell", str(calls), str(ticks)]])
