"""Durable puts of many clients at once."""

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tables import ratio, spread, table

from . import programs

CLIENTS = 16
SYNCS = 300
PAGE = b"x" * 4096


def syncs(site):
    """How often in a second a page that is appended to a file is synced."""
    with open(site.folder / "synced", "wb", buffering=0) as file:
        began = time.monotonic()
        for _ in range(SYNCS):
            file.write(PAGE)
            os.fdatasync(file.fileno())
        return SYNCS / (time.monotonic() - began)


def puts(site, kind, socket):
    """How many puts in a second all clients make together."""
    argv = [sys.executable, "-B", str(Path(__file__).with_name("client.py")), kind, str(socket), str(site.options.puts)]
    clients = [subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(CLIENTS)]
    for client in clients:
        client.stdout.readline()
    began = time.monotonic()
    for client in clients:
        client.stdin.write(b"go\n")
        client.stdin.flush()
    if any([client.wait() for client in clients]):
        raise SystemExit(f"{kind}: a put was refused")
    return CLIENTS * site.options.puts / (time.monotonic() - began)


def puts_of_quell(site, durable):
    """The same for quell; nobody does the tasks."""
    with programs.running(site, programs.exec_worker(["/bin/true"]), durable=durable) as quell:
        quell.of_queue("pause")
        return puts(site, "quell", quell.socket)


def puts_of_beanstalkd(site):
    """The same for beanstalkd."""
    beanstalkd = programs.Beanstalkd(site)
    try:
        return puts(site, "beanstalkd", beanstalkd.socket)
    finally:
        beanstalkd.stop()


def durable(site):
    """The table."""
    runs = {f"quell, {durable}": lambda durable=durable: puts_of_quell(site, durable) for durable in ("always", "never")}
    if shutil.which("beanstalkd"):
        runs["beanstalkd -f 0"] = lambda: puts_of_beanstalkd(site)
    disk, results = [], {name: [] for name in runs}
    for _ in range(site.rounds):
        disk.append(syncs(site))
        for name, run in runs.items():
            results[name].append(run())
    floor = statistics.median(disk)
    rows = [["fdatasync of a page", spread(disk, 0), "1.00", "-"]]
    for name, values in results.items():
        rate = statistics.median(values)
        rows.append([name, spread(values, 0), ratio(rate, floor), ratio(rate, CLIENTS * floor)])
    table(
        f"puts of {CLIENTS} clients, each {site.options.puts:,}, of 100 bytes",
        ["", "a second", "of the fdatasync rate", f"of {CLIENTS} times that"],
        rows,
    )
