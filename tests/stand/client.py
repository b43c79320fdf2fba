"""Clients for tests: one raw connection, and a load generator that is bounded and keeps count.

The generator is a closed loop: `connections` clients, each one request at a time over keep-alive,
until a number of requests or until told to stop. It sorts what happens to every request, and keeps
apart the answers that had begun when they broke.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final, Self

from tests.stand.proc import PATIENCE_S, wait_until

DEADLINE_S: Final = 15.0  # for one request of the load; what takes longer counts as hung


@dataclass
class Response:
    """One answer, read whole."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes
    head: bytes

    def get(self, name: str) -> str | None:
        """The first field of that name."""
        return next((value for key, value in self.fields if key == name.lower()), None)


class CutShortError(Exception):
    """The connection ended inside an answer."""


class Client:
    """One connection. `async with await Client.connect(port) as client:`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.closed_by_peer = False  # the last answer said `Connection: close`

    @classmethod
    async def connect(cls, port: int, host: str = "127.0.0.1") -> Self:
        """Raises OSError when refused."""
        return cls(*await asyncio.open_connection(host, port, limit=256 * 1024))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection and wait until it is gone."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def send(self, data: bytes) -> None:
        """Raw bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def get(self, path: str = "/", extra: str = "", method: str = "GET") -> Response:
        """One request without body; `extra` is raw header lines, each with its CRLF."""
        head = f"{method} {path} HTTP/1.1\r\nHost: test\r\n{extra}\r\n"
        await self.send(head.encode())
        return await self.response(method)

    async def response(self, method: str = "GET") -> Response:
        """Read the next final answer (1xx are skipped).

        Raises ConnectionError when the connection ended before an answer began, CutShortError
        when inside one.
        """
        while True:
            status, fields, head = await self.head()
            if status >= 200 or status == 101:
                break
        response = Response(status, fields, b"", head)
        self.closed_by_peer = (response.get("connection") or "").lower() == "close"
        if method != "HEAD" and status not in (101, 204, 304):
            pieces = [piece async for piece in self.body(response)]
            response.body = b"".join(pieces)
        return response

    async def head(self) -> tuple[int, list[tuple[str, str]], bytes]:
        """One answer's status and fields."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise CutShortError(repr(error.partial)) from error
            raise ConnectionResetError("closed before an answer") from error
        lines = head.decode("latin-1").split("\r\n")
        fields = [line.partition(":")[::2] for line in lines[1:] if line]
        return int(lines[0].split()[1]), [(k.lower(), v.strip()) for k, v in fields], head

    async def body(self, response: Response) -> AsyncIterator[bytes]:
        """The body in pieces."""
        try:
            if response.get("transfer-encoding"):
                while size := int(await self.reader.readuntil(b"\r\n"), 16):
                    yield await self.reader.readexactly(size)
                    await self.reader.readexactly(2)
                while await self.reader.readuntil(b"\r\n") != b"\r\n":
                    pass  # trailers
            elif (length := response.get("content-length")) is not None:
                left = int(length)
                while left:
                    piece = await self.reader.read(min(left, 65_536))
                    if not piece:
                        raise CutShortError(f"{left} bytes short")
                    left -= len(piece)
                    yield piece
            else:
                while piece := await self.reader.read(65_536):
                    yield piece
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise CutShortError(str(error)) from error


@dataclass
class Load:
    """A closed loop of GETs (or other requests without body) and what became of them.

    `failures` says what went wrong and how often; `cut_short` counts answers that had begun. A
    connection that the peer closes between two requests, before any byte of an answer, is no
    failure of a request when the request is safe to send again: it is sent again, once, on a new
    connection, and counted in `resent` (RFC 9112, 9.3.1).
    """

    port: int
    path: str = "/cluster1"
    connections: int = 16
    total: int | None = None
    pause_s: float = 0.0  # between two requests of a connection
    host: str = "127.0.0.1"
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    served_by: Counter[str] = field(default_factory=Counter)  # by the X-Stub field, if there is one
    samples: list[tuple[float, Response]] = field(default_factory=list)  # (unix time, not 2xx)
    cut_short: int = 0
    resent: int = 0
    sent: int = 0
    latencies_s: list[float] = field(default_factory=list)
    _stop: bool = False
    _warm: int = 0  # connections that have had an answer

    @property
    def answered(self) -> int:
        """Requests answered, with whatever status."""
        return self.statuses.total()

    @property
    def failed(self) -> dict[str, int]:
        """Everything that is not a 2xx, by cause; empty when all is well. Without `cut_short`."""
        bad = {f"status {s}": n for s, n in self.statuses.items() if not 200 <= s < 300}
        return bad | dict(self.failures)

    async def run(self) -> Self:
        """Until `total` requests are done or `stop` is called."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.connections):
                group.create_task(self._client())
        return self

    def stop(self) -> None:
        """Finish the requests that are out, then end."""
        self._stop = True

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Runs in the background while the block does, and is finished after it."""
        task = asyncio.create_task(self.run())
        try:
            # Every connection is known to be good before the block does harm to any.
            await wait_until(lambda: self._warm == self.connections, "an answer on each connection")
            yield self
        finally:
            self.stop()
            await task

    async def wait_answered(self, more: int, deadline_s: float = PATIENCE_S) -> None:
        """Until `more` requests have been answered from now on."""
        goal = self.answered + more
        await wait_until(lambda: self.answered >= goal, f"{more} more answers", deadline_s)

    def _over(self) -> bool:
        return self._stop or (self.total is not None and self.sent >= self.total)

    async def _client(self) -> None:
        client: Client | None = None
        cold = True
        while not self._over():
            self.sent += 1
            start = time.perf_counter()
            try:
                async with asyncio.timeout(DEADLINE_S):
                    fresh = client is None
                    client = client or await Client.connect(self.port, self.host)
                    try:
                        response = await client.get(self.path)
                    except ConnectionError:
                        if fresh:
                            raise
                        self.resent += 1
                        await client.close()
                        client = None
                        client = await Client.connect(self.port, self.host)
                        response = await client.get(self.path)
            except TimeoutError:
                self.failures["hung"] += 1
            except CutShortError:
                self.cut_short += 1
            except OSError as error:
                self.failures[type(error).__name__] += 1
            else:
                self.latencies_s.append(time.perf_counter() - start)
                self.statuses[response.status] += 1
                self._warm += cold
                cold = False
                if response.status >= 300 and len(self.samples) < 100:
                    self.samples.append((time.time(), response))
                self.served_by[response.get("x-stub") or ""] += 1
                if not client.closed_by_peer:
                    await asyncio.sleep(self.pause_s)
                    continue
            if client is not None:
                await client.close()
                client = None
        if client is not None:
            await client.close()
