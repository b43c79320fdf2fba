"""One target as a process: echoes what it was asked for, notes every id, breaks on command.

    python target.py --port 9101 --log ids.log --seed 1

Run as a file, with the standard library alone, so that it is up again in a tenth of a second. Lines
on its standard input choose how it answers: `MODE` or `MODE health` (health checks too). When the
input ends, whoever started it is gone, and so is the target. SIGTERM: no new connections, pending
requests are answered, then the end.

A request's id is written to the log as soon as its head is there: what a kill leaves unwritten was
never begun.
"""

from __future__ import annotations

import argparse
import asyncio
import enum
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final, cast

SERVICE_S: Final = (0.002, 0.03)  # so that there is always something pending to be lost
TRICKLE_PIECES: Final = 20
TRICKLE_PAUSE_S: Final = 0.03
DRAIN_S: Final = 2.0
SMUGGLED: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"
_OK: Final = b"HTTP/1.1 200 OK\r\n"
GARBAGE: Final = (
    b"\x16\x03\x01\x00\xa5\x01\x00\x00",
    b"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    _OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    _OK + b"Content-Length: -1\r\n\r\n",
    _OK + b"Content-Length : 2\r\n\r\nok",
    _OK + b"X-A: a\0b\r\nContent-Length: 2\r\n\r\nok",
    _OK + b"X-A: a\r\n  folded\r\nContent-Length: 2\r\n\r\nok",
    _OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
    _OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nno size\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/1.1 200 OK\n\nbare",
    _OK + b"X-Endless: " + b"e" * 70_000,
)


class Mode(enum.Enum):
    """How it answers."""

    SOUND = "sound"
    RESETS = "resets"  # in place of an answer, or in the middle of one
    GARBAGE = "garbage"  # what is no answer, or more than one
    TRICKLE = "trickle"  # all of it, piece by piece


def body_of(request_id: str, size: int) -> bytes:
    """The only right body of the answer to a request, and of a POST."""
    line = request_id.encode() + b"\n"
    return (line * (size // len(line) + 1))[:size]


def answer_to(request_id: str, size: int) -> bytes:
    """The right answer: chunked for every other id, else with its length."""
    body = body_of(request_id, size)
    if request_id[-1] in "13579":
        half = size // 2
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(x), x) for x in (body[:half], body[half:]) if x)
        return _OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    return _OK + b"Content-Length: %d\r\n\r\n%b" % (size, body)


class Target:
    """What the connections share."""

    def __init__(self, log: int, rng: Random) -> None:
        self.log = log
        self.rng = rng
        self.mode = Mode.SOUND
        self.health_too = False
        self.leaving = False
        self.connections: set[Connection] = set()

    def told(self, line: str) -> None:
        """One line of the standard input."""
        mode, _, health = line.strip().partition(" ")
        self.mode, self.health_too = Mode(mode), bool(health)


class Connection(asyncio.Protocol):
    """One connection of the balancer's: one request at a time, as the balancer does it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._buffer = b""
        self._busy = False
        self._noted = False  # the id of the request that is coming in is in the log
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._target.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._target.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while not self._busy and self._next():
            pass

    def close_if_idle(self) -> None:
        """The target leaves."""
        if not self._busy:
            self._transport.close()

    def _next(self) -> bool:
        """Take one whole request out of the buffer, if there is one."""
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return False
        lines = head.decode("latin-1").split("\r\n")
        length = next(
            (int(x.partition(":")[2]) for x in lines if x.lower().startswith("content-length:")), 0
        )
        path, _, query = lines[0].split(" ")[1].partition("?")
        target = self._target
        request_id = path.rpartition("/")[2]
        if query and not self._noted:
            self._noted = True
            os.write(target.log, request_id.encode() + b"\n")
        if len(rest) < length:
            return False
        self._noted = False
        self._buffer = rest[length:]
        sound = target.mode is Mode.SOUND
        if path in ("/readyz", "/load"):
            broken = target.health_too and not sound
            self._begin(b"" if broken else answer_to("health-0", 8), delay_s=0.0)
            return False
        size = int(query.partition("=")[2])
        answer = answer_to(request_id, size)
        if length and rest[:length] != body_of(request_id, length):
            answer = b"HTTP/1.1 500 Not What Was Sent\r\nContent-Length: 0\r\n\r\n"
        self._begin(answer, delay_s=target.rng.uniform(*SERVICE_S))
        return False

    def _begin(self, answer: bytes, *, delay_s: float) -> None:
        self._busy = True
        asyncio.get_running_loop().call_later(delay_s, self._answer, answer)

    def _answer(self, answer: bytes) -> None:
        """Say it, as the mode will have it; an empty answer is one that must break."""
        rng = self._target.rng
        write = self._transport.write
        mode = self._target.mode
        if mode is Mode.RESETS:
            write(answer[: rng.choice((0, 9, len(answer) // 2, len(answer) - 1))])
            # A moment later, or the reset overtakes what was written.
            asyncio.get_running_loop().call_later(0.002, self._reset)
        elif mode is Mode.GARBAGE:
            garbage = rng.choice((*GARBAGE, b"smuggled"))
            write(answer + SMUGGLED if garbage == b"smuggled" else garbage)
            if rng.random() < 0.5:
                self._transport.close()
            self._done()
        elif mode is Mode.TRICKLE and answer:
            step = len(answer) // TRICKLE_PIECES + 1
            self._trickle([answer[at : at + step] for at in range(0, len(answer), step)])
        else:
            write(answer)
            self._done()

    def _trickle(self, pieces: list[bytes]) -> None:
        if not self._transport.is_closing():
            self._transport.write(pieces[0])
        if pieces[1:] and not self._transport.is_closing():
            loop = asyncio.get_running_loop()
            loop.call_later(TRICKLE_PAUSE_S, self._trickle, pieces[1:])
        else:
            self._done()

    def _reset(self) -> None:
        sock = self._transport.get_extra_info("socket")
        if not self._transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _done(self) -> None:
        self._busy = False
        if self._target.leaving:
            self._transport.close()
        elif not self._transport.is_closing():
            self.data_received(b"")


async def serve(port: int, target: Target, lines: Callable[[], asyncio.StreamReader]) -> None:
    """Until SIGTERM, or until the standard input ends."""
    loop = asyncio.get_running_loop()
    leave = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, leave.set)
    server = await loop.create_server(lambda: Connection(target), "127.0.0.1", port, backlog=1024)
    reader = lines()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def listen() -> None:
        while line := await reader.readline():
            target.told(line.decode())
        leave.set()

    told = asyncio.create_task(listen())
    await leave.wait()
    told.cancel()
    target.leaving = True
    server.close()
    for connection in list(target.connections):
        connection.close_if_idle()
    async with asyncio.timeout(DRAIN_S):
        while target.connections:  # noqa: ASYNC110 - the balancer closes its own when it likes
            await asyncio.sleep(0.01)


def main() -> None:
    """One target until it is told to go."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    log = os.open(arguments.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    asyncio.run(serve(arguments.port, Target(log, Random(arguments.seed)), asyncio.StreamReader))


if __name__ == "__main__":
    main()
