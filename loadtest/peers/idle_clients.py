"""The clients of `idle`: open connections, one request on each, say `open`, hold them.

    python -m loadtest.peers.idle_clients '{"port": ..., "count": ...}'

A line on standard input asks how many are still open; that, or the end of the input, ends it, so
that it never outlives who started it.
"""

from __future__ import annotations

import json
import resource
import socket
import sys
from typing import Final

from loadtest.peers.contenders import HOST
from loadtest.peers.scenario import PREFIX

PER_ADDRESS: Final = 2000
SPARE_DESCRIPTORS: Final = 64
TIMEOUT_S: Final = 20.0
REQUEST: Final = f"GET {PREFIX} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


def connect(port: int, number: int) -> socket.socket:
    """The connection of this number, with one answer read. Raises OSError."""
    sock = socket.create_connection(
        (HOST, port), timeout=TIMEOUT_S, source_address=(f"127.0.0.{2 + number // PER_ADDRESS}", 0)
    )
    sock.sendall(REQUEST)
    answer = sock.recv(65_536)
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise OSError(f"answered {answer[:40]!r}")
    return sock


def main(port: int, count: int) -> str:
    """Open them all, wait for the parent; returns the last word to it."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + SPARE_DESCRIPTORS:
        return f"{count} connections need more than the {soft} open files allowed (ulimit -n)"
    held: list[socket.socket] = []
    try:
        for number in range(count):
            held.append(connect(port, number))
    except OSError as error:
        return f"connection {len(held) + 1} of {count}: {error}"
    sys.stdout.write("open\n")
    sys.stdout.flush()
    sys.stdin.readline()
    return str(sum(open_still(sock) for sock in held))


def open_still(sock: socket.socket) -> bool:
    """Nothing has come since the answer, not even an end."""
    sock.setblocking(False)
    try:
        sock.recv(1)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False  # an end, or bytes that nobody asked for


if __name__ == "__main__":
    sys.stdout.write(main(**json.loads(sys.argv[1])) + "\n")
