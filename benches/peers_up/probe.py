"""Asks quell over a connection held open, and has it send TERM to a worker, for so many seconds; a process of its own, so that
what else is measured does not delay it. Usage: probe SOCKET FIFO WORKER SECONDS CLIENTS

Prints JSON: the milliseconds of each request (`status`), those until the worker had each signal (`term`), and those that an
echo between two processes took at the same time (`echo`): what the machine grants, whoever asks. CLIENTS other connections are
open meanwhile: a third is silent, a third sends a request byte by byte, a third never reads its replies.
"""

import contextlib
import itertools
import json
import os
import select
import signal
import socket
import sys
import time

import control

PAUSE = 0.01
# More than a socket buffers, so that the reply has to wait for its reader.
UNREAD = 200


class Crowd:
    """Clients that are idle or slow. Those that quell hangs up on come again."""

    def __init__(self, path, count):
        self.path = path
        self.clients = [[kind, None, iter(())] for kind, _ in zip(itertools.cycle(["silent", "slow", "deaf"]), range(count), strict=False)]
        self.turn = itertools.cycle(self.clients)
        for _ in range(count):
            self.step()

    def step(self):
        """The next client does the next thing it does."""
        client = next(self.turn)
        kind, connection, rest = client
        try:
            if connection is None:
                connection = control.Client(self.path).socket
                connection.setblocking(False)
                request = control.frame(control.STATUS)
                sends = {"silent": [], "slow": [bytes([byte]) for byte in request], "deaf": [request] * UNREAD}
                client[1:] = connection, iter(sends[kind])
            elif part := next(rest, None):
                connection.send(part)
        except BlockingIOError:
            pass
        except OSError:
            client[1] = None


def echo():
    """A process that sends back what it gets; our end."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        with contextlib.suppress(KeyboardInterrupt):
            ours.close()
            while part := theirs.recv(64):
                theirs.sendall(part)
        os._exit(0)
    theirs.close()
    return ours


def timed(act):
    """How long it took, in milliseconds."""
    began = time.monotonic_ns()
    act()
    return (time.monotonic_ns() - began) / 1e6


def main():
    path, fifo, worker, seconds, clients = sys.argv[1:]
    signals = os.open(fifo, os.O_RDWR)

    def next_signal():
        if not select.select([signals], [], [], 60)[0]:
            raise SystemExit(f"{worker} got no signal")
        return int(os.read(signals, 4096).split()[2])

    # Its start.
    next_signal()
    other, crowd, client = echo(), Crowd(path, int(clients)), control.Client(path)
    took = {"status": [], "term": [], "echo": []}
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        took["status"].append(timed(lambda: client.ask(control.STATUS)))
        began = time.monotonic_ns()
        client.ask(control.terminate(worker))
        took["term"].append((next_signal() - began) / 1e6)
        took["echo"].append(timed(lambda: (other.sendall(b"x"), other.recv(1))))
        crowd.step()
        time.sleep(PAUSE)
    print(json.dumps(took))


if __name__ == "__main__":
    main()
