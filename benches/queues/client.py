"""One of many clients that put.   client KIND SOCKET COUNT

KIND is quell or beanstalkd. It connects, says so, begins when it is told by a line, and ends when all of its puts are
acknowledged.
"""

import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from peers_up.control import Client  # noqa: E402

BODY = "x" * 100


def quell(path):
    """Puts a task over a connection that is held open."""
    client, request = Client(path), {"put": {"queue": "jobs", "payloads": [BODY]}}
    return lambda: client.ask(request)


def beanstalkd(path):
    """The same to beanstalkd."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    request = f"put 0 0 60 {len(BODY)}\r\n{BODY}\r\n".encode()

    def put():
        connection.sendall(request)
        reply = connection.recv(256)
        if not reply.startswith(b"INSERTED"):
            raise SystemExit(f"beanstalkd: {reply}")

    return put


def main():
    kind, path, count = sys.argv[1:]
    put = {"quell": quell, "beanstalkd": beanstalkd}[kind](path)
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(int(count)):
        put()


if __name__ == "__main__":
    main()
