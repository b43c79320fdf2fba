"""A raw HTTP/1.1 target for tests: what it answers is decided to the byte.

`async with StubTarget() as target:` listens on a free loopback port. By default every request gets
a 200 with a small body over keep-alive, and `/readyz` and `/load` answer as a worker's do. Give
`answer` to decide otherwise: a coroutine that gets the request and writes what it likes.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

PIECE: Final = bytes(64 * 1024)  # what big generated bodies are made of


@dataclass
class Request:
    """One request as it arrived, with its connection to answer on.

    `body` reads the body piece by piece (content-length or chunked; the pieces of a chunked body
    are not its chunks); what an `answer` leaves unread is read and dropped afterwards.
    """

    head: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    connection: int  # which connection of this target, from 0
    method: str = ""
    path: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)
    body_done: bool = False

    def __post_init__(self) -> None:
        lines = self.head.decode("latin-1").split("\r\n")
        self.method, self.path, _ = lines[0].split(" ", 2)
        for line in lines[1:]:
            if line:
                name, _, value = line.partition(":")
                self.fields.append((name.lower(), value.strip()))

    def get(self, name: str) -> str | None:
        """The first field of that name."""
        return next((value for key, value in self.fields if key == name.lower()), None)

    async def body(self) -> AsyncIterator[bytes]:
        """The body in pieces of at most 64 KiB."""
        if self.body_done:
            return
        self.body_done = True
        if "chunked" in (self.get("transfer-encoding") or ""):
            while True:
                size = int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16)
                async for piece in _exactly(self.reader, size):
                    yield piece
                if size == 0:
                    while await self.reader.readuntil(b"\r\n") != b"\r\n":
                        pass  # trailers
                    return
                await self.reader.readexactly(2)
        else:
            async for piece in _exactly(self.reader, int(self.get("content-length") or 0)):
                yield piece

    async def send(self, data: bytes) -> None:
        """Write and wait for room."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        reset(self.writer)


async def _exactly(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size:
        piece = await reader.read(min(size, len(PIECE)))
        if not piece:
            raise asyncio.IncompleteReadError(b"", size)
        size -= len(piece)
        yield piece


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN (SO_LINGER of 0 seconds)."""
    sock = writer.get_extra_info("socket")
    if sock.fileno() >= 0:  # else the other side was quicker
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


Answer = Callable[[Request], Awaitable[None]]


# -- answers ---------------------------------------------------------------------------------------
def plain(body: bytes = b"hello", status: str = "200 OK", extra: bytes = b"") -> Answer:
    """Content-length; `extra` is raw header lines, each with its CRLF."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode() + extra + b"\r\n"

    async def answer(request: Request) -> None:
        await request.send(head if request.method == "HEAD" else head + body)

    return answer


def raw(*pieces: bytes, pause_s: float = 0.0, end: bool = False) -> Answer:
    """Exactly these bytes, `pause_s` between pieces; with `end` the connection closes after."""

    async def answer(request: Request) -> None:
        for number, piece in enumerate(pieces):
            if number and pause_s:
                await asyncio.sleep(pause_s)
            await request.send(piece)
        if end:
            request.writer.close()

    return answer


def chunked(*chunks: bytes, pause_s: float = 0.0) -> Answer:
    """A chunked 200."""
    framed = [f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks]
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return raw(head, *framed, b"0\r\n\r\n", pause_s=pause_s)


def slow(seconds: float, then: Answer | None = None) -> Answer:
    """Wait, then answer."""

    async def answer(request: Request) -> None:
        await asyncio.sleep(seconds)
        await (then or plain())(request)

    return answer


def held(gate: asyncio.Event, then: Answer | None = None) -> Answer:
    """Answer only when the test opens the gate."""

    async def answer(request: Request) -> None:
        await gate.wait()
        await (then or plain())(request)

    return answer


def big(size: int) -> Answer:
    """A generated body of `size` zero bytes, never held whole."""

    async def answer(request: Request) -> None:
        await request.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        left = size
        while left:
            piece = PIECE[: min(left, len(PIECE))]
            await request.send(piece)
            left -= len(piece)

    return answer


def sink(pause_s: float = 0.0) -> Answer:
    """Read the request's body (slowly, with a pause per piece), answer with its size."""

    async def answer(request: Request) -> None:
        size = 0
        async for piece in request.body():
            size += len(piece)
            if pause_s:
                await asyncio.sleep(pause_s)
        await plain(str(size).encode())(request)

    return answer


async def broken(request: Request) -> None:
    """A reset in place of an answer."""
    request.reset()


class StubTarget:
    """The listening target. `answers` by exact path win over `answer`, which takes the rest.

    `requests` keeps the heads of everything but health checks and probes, in order of arrival
    (bounded by `keep`); `count` counts them all; `pending` are those not answered yet.
    """

    def __init__(self, answer: Answer | None = None, *, port: int = 0, keep: int = 10_000) -> None:
        self.answer = answer or plain()
        self.answers: dict[str, Answer] = {
            "/readyz": plain(b"ready"),
            "/load": plain(b'{"pending": 0}', extra=b"Content-Type: application/json\r\n"),
        }
        self.requests: list[Request] = []
        self.count = 0
        self.pending = 0
        self.connections = 0
        self._port = port
        self._keep = keep
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def address(self) -> str:
        """`host:port`, as in the balancer's configuration."""
        return f"127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.die()

    async def listen(self) -> None:
        """Start, or start again on the same port."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self._port, backlog=4096, limit=256 * 1024
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def die(self) -> None:
        """As a kill -9 looks from outside: no listener, every connection reset."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._writers):
            reset(writer)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = self.connections
        self.connections += 1
        self._writers.add(writer)
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        # The peer may leave at any moment, and `die` cancels: neither is a finding of a test.
        with contextlib.suppress(
            asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError
        ):
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                await self._handle(Request(head, reader, writer, connection))
        self._writers.discard(writer)
        writer.close()

    async def _handle(self, request: Request) -> None:
        own = self.answers.get(request.path)
        if own is None:
            self.count += 1
            if len(self.requests) < self._keep:
                self.requests.append(request)
        self.pending += 1
        try:
            await (own or self.answer)(request)
            async for _ in request.body():
                pass
        finally:
            self.pending -= 1
