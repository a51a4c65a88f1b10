"""quell's control protocol, as its clients speak it: a length (u32, little-endian), then so much JSON, both ways."""

import json
import socket
import struct

# Of all workers.
STATUS = {"status": {"workers": []}}


def terminate(name):
    """The request that sends TERM to a worker."""
    return {"signal": {"workers": [name], "signal": "TERM"}}


def frame(request):
    """A request as it goes over the socket."""
    text = json.dumps(request).encode()
    return struct.pack("<I", len(text)) + text


class Client:
    """A connection that is held open."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))

    def ask(self, request):
        """Sends a request and waits for the whole reply."""
        self.socket.sendall(frame(request))
        (length,) = struct.unpack("<I", self.exactly(4))
        reply = self.exactly(length)
        if reply.startswith(b'{"failed"'):
            raise ConnectionError(f"{request}: {reply.decode(errors='replace')}")
        return reply

    def exactly(self, count):
        """So many bytes."""
        got = bytearray()
        while len(got) < count:
            chunk = self.socket.recv(count - len(got))
            if not chunk:
                raise ConnectionError("quell hung up")
            got += chunk
        return bytes(got)
