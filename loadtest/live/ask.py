"""Who asks: a process that sends each request when it is due and changes the machines' speeds.

    python -m loadtest.live.ask ORDER.json        (what `order` makes; figures on standard output)

Open: a request that finds every connection busy gets a new one, and its latency counts from the
moment it was due. Beside the requests it looks at a worker ten times a second, past the balancer:
such a look needs no modelled work, so that what it takes is the real machine's own delay. Standard
library only, one thread over epoll.
"""

from __future__ import annotations

import gc
import json
import select
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from loadtest.peers.contenders import HOST
from loadtest.peers.scenario import PREFIX
from services.contract import LOAD_PATH

if TYPE_CHECKING:  # the simulator behind it is not for this process
    from loadtest.live.schedule import Schedule

READ_BYTES: Final = 65_536
MOST_WIRES: Final = 4_096
LOOK_EVERY_S: Final = 0.1
SET_OUT_S: Final = 0.2  # from the start of the process to the start of the schedule
CONNECT_S: Final = 2.0
TURN_S: Final = 0.05  # how often patience is looked at, at least

Due = tuple[float, Callable[[float], None]]  # when, and what then


def order(schedule: Schedule, *, port: int, workers: tuple[int, ...], patience_s: float) -> str:
    """What this process is to do, as JSON."""
    return json.dumps(
        {
            "port": port,
            "workers": workers,
            "patience_s": patience_s,
            "warmup_s": schedule.warmup_s,
            "requests": [(due_s, work_s * 1000) for due_s, work_s in schedule.requests],
            "changes": [
                (change.at_s, change.machine, change.speed, float(change.failing))
                for change in schedule.changes
            ],
        }
    )


class Wire:
    """One connection and the request on it; `done(status, now)` when its answer is whole.

    Status 0: the connection ended first, or what came was no answer.
    """

    def __init__(self, port: int, epoll: select.epoll) -> None:
        self.sock = socket.create_connection((HOST, port), timeout=CONNECT_S)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.done: Callable[[int, float], None] | None = None
        self.open = True
        self._epoll = epoll
        self._buffer = b""
        epoll.register(self.sock, select.EPOLLIN)

    def send(self, request: bytes, done: Callable[[int, float], None]) -> None:
        self.done = done
        try:
            self.sock.send(request)  # shorter than any send buffer: whole or failed
        except OSError:
            self.close()

    def read(self) -> None:
        try:
            data = self.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._buffer += data
        status = answered(self._buffer)
        if status is not None and self.done is not None:
            self._end(status)
        if not data or status == 0:
            self.close()

    def close(self) -> None:
        """Give it up, and with it what was asked."""
        if self.open:
            self.open = False
            self._epoll.unregister(self.sock)
            self.sock.close()
            self._end(0)

    def _end(self, status: int) -> None:
        self._buffer = b""
        done, self.done = self.done, None
        if done is not None:
            done(status, time.perf_counter())


def answered(data: bytes) -> int | None:
    """The status of a whole answer, None while there is more to come, 0 for what is none."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return None
    lines = head.split(b"\r\n")
    words = lines[0].split(b" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        return 0
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and value.strip().isdigit():
            return int(words[1]) if len(body) >= int(value) else None
    return 0


class Asker:
    """One run. Everything happens in `run`; figures are in `latencies_s` and the rest.

    Resource handling: connections and an epoll descriptor until `close`. Error handling: a worker
    that refuses its connection ends it all (OSError); whatever becomes of a request is counted.
    """

    def __init__(self, what: dict[str, Any], start: float) -> None:
        self._epoll = select.epoll()
        self._start = start
        self._port: int = what["port"]
        self._patience_s: float = what["patience_s"]
        self._warmup_s: float = what["warmup_s"]
        self._wires: dict[int, Wire] = {}
        self._idle: list[Wire] = []
        self._out: deque[tuple[float, Wire, Callable[[int, float], None]]] = deque()
        self._controls = [self._connect(port) for port in what["workers"]]
        self._lookers = [self._connect(port) for port in what["workers"]]
        self._told: list[deque[bytes]] = [deque() for _ in self._controls]
        self.pending = 0
        self.latencies_s: list[float] = []
        self.late_s: list[float] = []
        self.looks_s: list[float] = []
        self.failures: Counter[str] = Counter()

    def run(self, requests: list[tuple[float, float]], changes: list[Any]) -> None:
        """Until the last request has ended and every machine is itself again."""
        coming = [
            *((due_s, self._asks(due_s, work_ms)) for due_s, work_ms in requests),
            *((at_s, self._changes(*which)) for at_s, *which in changes),
            *self._looks(requests[-1][0]),
        ]
        self._loop(deque(sorted(coming, key=lambda each: each[0])))
        ended_s = time.perf_counter() - self._start
        machines = range(len(self._controls))
        self._loop(deque((ended_s, self._changes(machine, 1.0, 0.0)) for machine in machines))

    def close(self) -> None:
        """Hang up."""
        for wire in list(self._wires.values()):
            wire.close()
        self._epoll.close()

    def _loop(self, coming: deque[Due]) -> None:
        while coming or self.pending:
            now_s = time.perf_counter() - self._start
            while coming and coming[0][0] <= now_s:
                due_s, do = coming.popleft()
                do(due_s)
            self._lose_patience(now_s)
            wait_s = coming[0][0] - (time.perf_counter() - self._start) if coming else TURN_S
            # select() on the epoll descriptor: epoll's own time-out is no finer than a millisecond
            if select.select([self._epoll], [], [], max(0.0, min(wait_s, TURN_S)))[0]:
                for fd, _ in self._epoll.poll(0):
                    wire = self._wires.get(fd)
                    if wire is not None:
                        wire.read()
                        if not wire.open:
                            del self._wires[fd]

    # -- requests ----------------------------------------------------------------------------------

    def _asks(self, due_s: float, work_ms: float) -> Callable[[float], None]:
        request = (
            f"GET {PREFIX}?work_ms={work_ms:.4f} HTTP/1.1\r\nHost: {HOST}:{self._port}\r\n\r\n"
        ).encode()
        return lambda _: self._ask(due_s, request)

    def _ask(self, due_s: float, request: bytes) -> None:
        measured = due_s >= self._warmup_s
        if measured:
            self.late_s.append(time.perf_counter() - self._start - due_s)
        wire = self._free()
        if wire is None:
            self._count(0, due_s, due_s, measured=measured)
            return
        self.pending += 1

        def done(status: int, now: float) -> None:
            self.pending -= 1
            if wire.open:
                self._idle.append(wire)
            self._count(status, due_s, now - self._start, measured=measured)

        self._out.append((due_s, wire, done))
        wire.send(request, done)

    def _free(self) -> Wire | None:
        while self._idle:
            wire = self._idle.pop()
            if wire.open:
                return wire
        if len(self._wires) >= MOST_WIRES:
            return None
        try:
            return self._connect(self._port)
        except OSError:
            return None

    def _count(self, status: int, due_s: float, now_s: float, *, measured: bool) -> None:
        if status != 200:
            self.failures[f"status {status}" if status else "no answer"] += measured
        if measured:
            self.latencies_s.append(now_s - due_s if status == 200 else self._patience_s)

    def _lose_patience(self, now_s: float) -> None:
        out = self._out
        while out:
            due_s, wire, done = out[0]
            if wire.done is done:
                if now_s - due_s < self._patience_s:
                    return
                self._wires.pop(wire.sock.fileno(), None)
                wire.close()
            out.popleft()

    def _connect(self, port: int) -> Wire:
        wire = Wire(port, self._epoll)
        self._wires[wire.sock.fileno()] = wire
        return wire

    # -- machines ----------------------------------------------------------------------------------

    def _changes(self, machine: int, speed: float, fail: float) -> Callable[[float], None]:
        body = json.dumps({"speed": speed, "fail": fail})
        request = (
            f"POST /faults HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

        def change(_: float) -> None:
            self.pending += 1
            self._told[machine].append(request)
            if len(self._told[machine]) == 1:
                self._tell(machine)

        return change

    def _tell(self, machine: int) -> None:
        def done(status: int, _: float) -> None:
            self.pending -= 1
            if status != 200:
                self.failures[f"a machine's speed: status {status}"] += 1
            self._told[machine].popleft()
            if self._told[machine]:
                self._tell(machine)

        self._controls[machine].send(self._told[machine][0], done)

    def _looks(self, until_s: float) -> list[Due]:
        count = int((until_s - self._warmup_s) / LOOK_EVERY_S)
        return [(self._warmup_s + turn * LOOK_EVERY_S, self._look(turn)) for turn in range(count)]

    def _look(self, turn: int) -> Callable[[float], None]:
        wire = self._lookers[turn % len(self._lookers)]
        request = f"GET {LOAD_PATH} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()

        def look(due_s: float) -> None:
            if wire.done is None and wire.open:
                wire.send(request, lambda _, now: self.looks_s.append(now - self._start - due_s))

        return look


def main(file: Path) -> None:
    """Do what `file` says, and say what came."""
    what = json.loads(file.read_text())
    asker = Asker(what, time.perf_counter() + SET_OUT_S)
    gc.disable()  # nothing here is cyclic enough, and a collection would be measured as latency
    asker.run(what["requests"], what["changes"])
    figures = {
        "latencies_s": asker.latencies_s,
        "late_s": asker.late_s,
        "looks_s": asker.looks_s,
        "failures": {kind: count for kind, count in asker.failures.items() if count},
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
