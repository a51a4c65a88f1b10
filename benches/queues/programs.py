"""The programs that keep tasks, each with its own files and commands."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time

from peers_up.control import Client

PATIENCE = 120
# What one request carries, with room to spare.
BATCH = 500


class Quell:
    """A supervisor with a configuration."""

    def __init__(self, site, tables, queues=("jobs",), durable="never"):
        self.folder = site.fresh("quell")
        config = self.folder / "quell.toml"
        named = "".join(f'[queue.{queue}]\ndurable = "{durable}"\n' for queue in queues)
        config.write_text(f'[quell]\nstate = "{self.folder}/state"\n[log]\ndir = "{self.folder}/log"\nmarks = false\n{named}{tables}')
        self.socket = self.folder / "state" / "quell.sock"
        with open(self.folder / "talk", "ab") as talk:
            self.process = subprocess.Popen([site.quell, "up", "-c", config], stdin=subprocess.DEVNULL, stdout=talk, stderr=talk)
        await_socket(self.socket, self.process, self.folder / "talk")
        self.client = Client(self.socket)

    def put(self, count=1, body="work", **more):
        """Puts tasks, and waits until they are stored."""
        for first in range(0, count, BATCH):
            payloads = [body] * min(BATCH, count - first)
            self.client.ask({"put": {"queue": "jobs", "payloads": payloads, **more}})

    def put_and_wait(self, body="last", **more):
        """Puts a task and waits until it is done."""
        self.put(1, body, patience={"wait": True}, **more)

    def of_queue(self, what):
        """Has something done with the queue."""
        self.client.ask({"queue": {"queue": "jobs", "what": what}})

    def stop(self):
        """Ends it."""
        self.client.socket.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        shutil.rmtree(self.folder)


def exec_worker(command, slots=1, more=""):
    """The table of a worker with a process for each task."""
    return table(command, f"slots = {{ total = {slots} }}\n{more}")


def lines_worker(command, instances=1, more=""):
    """The table of workers that stay."""
    return table(command, f'protocol = "lines"\ninstances = {instances}\n{more}')


def table(command, more):
    """The table of a worker of the queue `jobs`."""
    return f'[worker.hands]\ncommand = {json.dumps(list(map(str, command)))}\nstart_on = [{{ queue = "jobs" }}]\n{more}\n'


@contextlib.contextmanager
def running(*arguments, **named):
    """A supervisor, ended at the end."""
    quell = Quell(*arguments, **named)
    try:
        yield quell
    finally:
        quell.stop()


def await_socket(path, process, talk):
    """Waits until somebody listens."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
            return
        time.sleep(0.01)
    raise SystemExit(f"nobody listens at {path}\n{talk.read_text(errors='replace')[-2000:]}")


def called(argv, env):
    """Runs a command of a peer."""
    subprocess.run(argv, env=os.environ | env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


class Nq:
    """A process for each job, which waits for those before it."""

    name, needs = "nq", ("nq",)

    def __init__(self, site, _slots):
        self.env = {"NQDIR": str(site.fresh("nq"))}

    def do(self, count):
        for _ in range(count):
            called(["nq", "-q", "true"], self.env)
        called(["nq", "-w"], self.env)

    def stop(self):
        shutil.rmtree(self.env["NQDIR"])


class TaskSpooler:
    """A server that the first command starts."""

    name, needs = "task-spooler", ("tsp",)

    def __init__(self, site, slots):
        self.folder = site.fresh("tsp")
        self.env = {"TS_SOCKET": f"{self.folder}/socket", "TMPDIR": str(self.folder), "TS_MAXFINISHED": "10"}
        called(["tsp", "-S", str(slots)], self.env)

    def do(self, count):
        for _ in range(count):
            called(["tsp", "-n", "true"], self.env)
        called(["tsp", "-w"], self.env)

    def stop(self):
        called(["tsp", "-K"], self.env)
        shutil.rmtree(self.folder)


class Pueue:
    """A daemon and its clients. It is asked for fewer, for it does some in a second."""

    name, needs = "pueue", ("pueue", "pueued")
    fewer = 20

    def __init__(self, site, slots):
        self.folder = site.fresh("pueue")
        self.config = self.folder / "pueue.yml"
        self.config.write_text(
            f"shared:\n  pueue_directory: {self.folder}/data\n  runtime_directory: {self.folder}/run\n  use_unix_socket: true\n"
            f"  unix_socket_path: {self.folder}/socket\nclient: {{}}\ndaemon: {{}}\n"
        )
        for name in ("data", "run"):
            (self.folder / name).mkdir()
        with open(self.folder / "talk", "ab") as talk:
            self.process = subprocess.Popen(["pueued", "-c", self.config], stdout=talk, stderr=talk)
        await_socket(self.folder / "socket", self.process, self.folder / "talk")
        called(["pueue", "-c", self.config, "parallel", str(slots)], {})

    def do(self, count):
        for _ in range(count):
            called(["pueue", "-c", self.config, "add", "--", "true"], {})
        called(["pueue", "-c", self.config, "wait", "--quiet"], {})

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)
        shutil.rmtree(self.folder)


class Beanstalkd:
    """A queue without workers, which syncs each put."""

    def __init__(self, site):
        self.folder = site.fresh("beanstalkd")
        self.socket = self.folder / "socket"
        argv = ["beanstalkd", "-l", f"unix:{self.socket}", "-b", self.folder, "-f", "0"]
        with open(self.folder / "talk", "ab") as talk:
            self.process = subprocess.Popen(argv, stdout=talk, stderr=talk)
        await_socket(self.socket, self.process, self.folder / "talk")

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)
        shutil.rmtree(self.folder)


PEERS = [Nq, TaskSpooler, Pueue]
