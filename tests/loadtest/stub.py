"""A target to send load to: a whole balancer with its workers, in forty lines and on loopback."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Stub:
    """Answers `/clusterN` as the workers do. `delay_s` and `status` are asked for every request."""

    delay_s: Callable[[str, random.Random], float] = lambda path, rng: 0.0
    status: Callable[[str, random.Random], int] = lambda path, rng: 200
    targets: int = 4
    seen: int = 0
    connections: int = 0
    url: str = ""
    rng: random.Random = field(default_factory=lambda: random.Random(7))
    _goal: int = 0
    _reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait_seen(self, requests: int, timeout_s: float = 30) -> None:
        """Until so many requests have come in. Raises TimeoutError."""
        self._goal = requests
        self._reached.clear()
        if self.seen < requests:
            await asyncio.wait_for(self._reached.wait(), timeout_s)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].decode()
                self.seen += 1
                if self.seen >= self._goal:
                    self._reached.set()
                if delay_s := self.delay_s(path, self.rng):
                    await asyncio.sleep(delay_s)
                writer.write(self._response(path))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has left
        finally:
            writer.close()

    def _response(self, path: str) -> bytes:
        instance = f"{path.strip('/')}-{self.seen % self.targets + 1}"
        body = f'{{"instance_id":"{instance}","cluster":"{path.strip("/")}"}}'.encode()
        head = f"HTTP/1.1 {self.status(path, self.rng)} X\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


@asynccontextmanager
async def serving(stub: Stub) -> AsyncIterator[Stub]:
    """`stub` on a free port while the context lasts."""
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
    stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield stub
    finally:
        server.close()
