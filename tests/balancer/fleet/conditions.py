"""Waiting for a condition, and targets that answer as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from services.balancer.address import Address
from tests.stand.proc import PATIENCE_S


async def wait_until(condition: Callable[[], bool]) -> None:
    """Until it holds; TimeoutError after PATIENCE_S."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - conditions of any kind
            await asyncio.sleep(0.005)


class StubTarget:
    """Answers by path: (status, body), or None to hang. Counts connections and requests."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes] | None] = {
            "/readyz": (200, b"ok"),
            "/load": (200, b'{"pending": 3, "cpu_utilization": 0.5, "instance_id": "i-1"}'),
        }
        self.raw: bytes | None = None  # said instead of any answer
        self.requests: list[str] = []
        self.connections = 0
        self.address = Address("127.0.0.1", 0)
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split()[1].decode()
                self.requests.append(path)
                if self.raw is not None:
                    writer.write(self.raw)
                    return
                answer = self.answers.get(path, (404, b""))
                if answer is None:
                    await reader.read()
                    return
                status, body = answer
                writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (status, len(body)))
                writer.write(body)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is done
        finally:
            writer.close()
            self._writers.discard(writer)

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def stub_target(host: str = "127.0.0.1") -> AsyncIterator[StubTarget]:
    """A running StubTarget on a port of its own."""
    target = StubTarget()
    server = await asyncio.start_server(target.serve, host, 0)
    target.address = Address(host, server.sockets[0].getsockname()[1])
    try:
        yield target
    finally:
        server.close()
        target.hang_up()
        await server.wait_closed()
