"""A worker that stays.   worker CREDIT [FIFO]

With FIFO it writes there, for each task, when it was told of it (CLOCK_MONOTONIC, nanoseconds) and what is to be done; one that
says "low" takes 2 ms.
"""

import os
import sys
import time

fd = int(os.environ["QUELL_TASK_FD"])
tasks, outcomes = os.fdopen(os.dup(fd)), os.fdopen(fd, "w", 1)
if sys.argv[1] != "1":
    outcomes.write(f"ready {sys.argv[1]}\n")
if len(sys.argv) > 2:
    fifo = os.open(sys.argv[2], os.O_WRONLY)
    for line in tasks:
        when = time.monotonic_ns()
        number, _, _, body = line.rstrip("\n").split(" ", 3)
        os.write(fifo, f"{when} {body}\n".encode())
        if body == "low":
            time.sleep(0.002)
        outcomes.write(f"ok {number}\n")
else:
    for line in tasks:
        number, _ = line.split(" ", 1)
        outcomes.write(f"ok {number}\n")
