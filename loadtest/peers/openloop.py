"""A client with a fixed arrival rate: requests are due at seeded Poisson times, come what may.

    python -m loadtest.peers.openloop '{"port": ..., "rate_per_s": ..., ...}'

A request that finds every connection busy waits its turn, and its latency counts from the moment it
was due, so a slow proxy cannot slow the clock that judges it (no coordinated omission). Standard
library only, one thread over epoll: about 15 us of CPU a request.
"""

from __future__ import annotations

import gc
import json
import select
import socket
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from loadtest.peers.contenders import HOST
from loadtest.peers.generate import MARK
from loadtest.peers.scenario import PREFIX

READ_BYTES: Final = 262_144
DRAIN_S: Final = 5.0  # after the last arrival, for what is still under way
HEAD_END: Final = b"\r\n\r\n"
OK_LINE: Final = b"HTTP/1.1 200 "


@dataclass(slots=True)
class Wire:
    """One client connection and the request on it."""

    sock: socket.socket
    due_s: float = 0.0
    left: int = -1  # bytes of the answer still to come; -1: its head is not whole
    head: bytes = b""


@dataclass(slots=True)
class Client:
    """The pool and the tally."""

    request: bytes
    body_bytes: int
    epoll: select.epoll
    wires: dict[int, Wire]
    idle: list[Wire]
    waiting: deque[float] = field(default_factory=deque)
    latencies_s: list[float] = field(default_factory=list)
    read_bytes: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    def send(self, due_s: float) -> None:
        if not self.idle:
            self.waiting.append(due_s)
            return
        wire = self.idle.pop()
        wire.due_s, wire.left, wire.head = due_s, -1, b""
        try:
            wire.sock.send(self.request)  # shorter than any send buffer: whole or failed
        except OSError:
            self._fail(wire, "write")

    def read(self, wire: Wire) -> None:
        try:
            data = wire.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._fail(wire, "read")
            return
        self.read_bytes += len(data)
        if wire.left < 0:
            wire.head += data
            end = wire.head.find(HEAD_END)
            if end < 0:
                return
            if not wire.head.startswith(OK_LINE):
                self.failures["status"] += 1
                self._fail(wire, "length")
                return
            wire.left = self.body_bytes - (len(wire.head) - end - len(HEAD_END))
        else:
            wire.left -= len(data)
        if wire.left < 0:
            self._fail(wire, "length")
        elif wire.left == 0:
            self.latencies_s.append(time.perf_counter() - wire.due_s)
            self.idle.append(wire)
            if self.waiting:
                self.send(self.waiting.popleft())

    @property
    def under_way(self) -> int:
        return len(self.wires) - len(self.idle) + len(self.waiting)

    def _fail(self, wire: Wire, kind: str) -> None:
        """Count it and give the connection up; the run is void anyway."""
        self.failures[kind] += 1
        self.epoll.unregister(wire.sock)
        del self.wires[wire.sock.fileno()]
        if wire in self.idle:
            self.idle.remove(wire)
        wire.sock.close()


def connect(port: int, count: int, epoll: select.epoll) -> dict[int, Wire]:
    """`count` connections to the proxy, by descriptor."""
    wires = {}
    for _ in range(count):
        sock = socket.create_connection((HOST, port), timeout=5.0)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        epoll.register(sock, select.EPOLLIN)
        wires[sock.fileno()] = Wire(sock)
    return wires


def drive(client: Client, rate_per_s: float, seconds: float, rng: Random) -> float:
    """Send what is due, read what has come; returns the seconds from start to the last answer."""
    epoll, wires = client.epoll, client.wires
    start = time.perf_counter()
    last_due = start + seconds
    due = start + rng.expovariate(rate_per_s)
    while wires:
        now = time.perf_counter()
        while due <= now and due <= last_due:
            client.send(due)
            due += rng.expovariate(rate_per_s)
        over = due > last_due
        if over and (not client.under_way or now > last_due + DRAIN_S):
            break
        # select() on the epoll descriptor: epoll's own time-out is no finer than a millisecond
        wait_s = last_due + DRAIN_S - now if over else max(0.0, due - time.perf_counter())
        if select.select([epoll], [], [], wait_s)[0]:
            for fd, _ in epoll.poll(0):
                wire = wires.get(fd)
                if wire is not None:
                    client.read(wire)
    client.failures["timeout"] += client.under_way
    return time.perf_counter() - start


def percentile(ordered: list[float], share: float) -> float:
    """Nearest rank of an ascending list; 0.0 of an empty one."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def main(order: dict[str, Any]) -> None:
    lines = [f"GET {order['path']} HTTP/1.1", f"Host: {HOST}:{order['port']}"]
    lines += [f"{name}: {value}" for name, value in order["headers"]]
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()
    epoll = select.epoll()
    wires = connect(order["port"], order["connections"], epoll)
    client = Client(request, order["body_bytes"], epoll, wires, list(wires.values()))
    gc.disable()  # nothing here is cyclic, and a collection would be measured as latency
    took_s = drive(client, order["rate_per_s"], order["seconds"], Random(order["seed"]))
    ordered = sorted(client.latencies_s)
    numbers = {
        "requests": len(ordered),
        "seconds": took_s,
        "bytes": client.read_bytes,
        "failures": {kind: count for kind, count in client.failures.items() if count},
        "p50_ms": percentile(ordered, 0.5) * 1e3,
        "p99_ms": percentile(ordered, 0.99) * 1e3,
        "p999_ms": percentile(ordered, 0.999) * 1e3,
    }
    sys.stdout.write(f"{MARK}{json.dumps(numbers)}\n")


if __name__ == "__main__":
    main({"path": PREFIX, "headers": [], "seed": 1, **json.loads(sys.argv[1])})
