"""A data plane on the test's own loop, with raw clients, and what must hold after every test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from services.balancer.config import (
    ClusterConfig,
    Config,
    Limits,
    PolicySpec,
    Respond,
    RouteConfig,
    Timeouts,
)
from services.balancer.dataplane.accept import ClientConnection
from services.balancer.dataplane.plane import Plane
from services.balancer.ledger import Ledger
from services.balancer.messages import Health, Membership, TargetPicture
from tests.stand.proc import PATIENCE_S, wait_until
from tests.stand.target import StubTarget


def configuration(
    *,
    timeouts: Timeouts | None = None,
    limits: Limits | None = None,
    trusted_proxies: tuple[str, ...] = (),
    cluster: dict[str, Any] | None = None,
) -> Config:
    """One cluster `c` in turn at `/c`, and an answer of the balancer's own at `/`.

    `cluster` has more settings of the cluster.
    """
    more = {"policy": PolicySpec(name="round_robin")} | (cluster or {})
    return Config(
        clusters=(ClusterConfig(name="c", targets=(), **more),),
        routes=(
            RouteConfig(path="/c", cluster="c"),
            RouteConfig(path="/", exact=True, respond=Respond(text="own")),
        ),
        timeouts=timeouts or Timeouts(),
        limits=limits or Limits(),
        trusted_proxies=trusted_proxies,
    )


class Wire:
    """A raw client: bytes out, bytes in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Write and wait for room."""
        self.writer.write(data)
        await asyncio.wait_for(self.writer.drain(), PATIENCE_S)

    async def until(self, end: bytes) -> bytes:
        """Read up to and including `end`."""
        return await asyncio.wait_for(self.reader.readuntil(end), PATIENCE_S)

    async def exactly(self, size: int) -> bytes:
        """Read that many bytes."""
        return await asyncio.wait_for(self.reader.readexactly(size), PATIENCE_S)

    async def rest(self) -> bytes:
        """All that comes until the balancer closes."""
        return await asyncio.wait_for(self.reader.read(), PATIENCE_S)

    async def answer(self) -> tuple[int, bytes, bytes]:
        """One answer with Content-Length (or without a body): status, head, body."""
        head = await self.until(b"\r\n\r\n")
        size = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                size = int(line.partition(b":")[2])
        return int(head.split(b" ")[1]), head, await self.exactly(size)

    async def get(self, path: str = "/c", *, extra: str = "") -> tuple[int, bytes, bytes]:
        """One GET over this connection."""
        await self.send(f"GET {path} HTTP/1.1\r\nHost: h\r\n{extra}\r\n".encode())
        return await self.answer()


class Stand:
    """The running data plane."""

    def __init__(self, plane: Plane, port: int) -> None:
        self.plane = plane
        self.port = port
        self._wires: list[Wire] = []

    async def connect(self) -> Wire:
        """One more client."""
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.port))
        self._wires.append(wire)
        return wire

    def close_clients(self) -> None:
        """All clients leave."""
        for wire in self._wires:
            wire.writer.close()

    def remove(self, target_id: str) -> None:
        """The fleet's picture no longer has this target."""
        self.plane.member(Membership(version=2, full=False, last=True, removes=(target_id,)))

    def see(
        self, port: int, slot: int, health: Health, *, draining: bool = False, cut: bool = False
    ) -> None:
        """A health check of the target at `port` turned out so; and how its drain stands."""
        picture = TargetPicture(
            id=f"c/127.0.0.1:{port}",
            cluster="c",
            host="127.0.0.1",
            port=port,
            slot=slot,
            health=health,
            draining=draining,
            cut=cut,
        )
        self.plane.member(Membership(version=2, full=False, last=True, upserts=(picture,)))

    @property
    def watched(self) -> int:
        """Connections, of clients or to targets, that the timer still looks after."""
        return sum(map(len, self.plane.deadlines._slices))

    @property
    def pending(self) -> int:
        """Claims held on all targets."""
        return sum(t.own for c in self.plane.clusters.values() for t in c.targets.values())


@asynccontextmanager
async def data_plane(
    *targets: StubTarget | int, config: Config | None = None
) -> AsyncIterator[Stand]:
    """Serve `config` in front of these targets (or ports where nobody listens).

    Afterwards nothing may be held: no claim, no connection on either side, no task. What a callback
    of the loop raised is raised here.
    """
    loop = asyncio.get_running_loop()
    mishaps: list[dict[str, Any]] = []  # what no caller was there to catch
    loop.set_exception_handler(lambda _, context: mishaps.append(context))
    ledger = Ledger.create(1)
    plane = Plane(loop=loop, ledger=ledger, row=0, config=config or configuration(), rng=Random(1))
    ports = [t if isinstance(t, int) else t.port for t in targets]
    plane.member(
        Membership(
            version=1,
            full=True,
            last=True,
            upserts=tuple(
                TargetPicture(
                    id=f"c/127.0.0.1:{port}",
                    cluster="c",
                    host="127.0.0.1",
                    port=port,
                    slot=slot,
                    health=Health.HEALTHY,
                )
                for slot, port in enumerate(ports)
            ),
        )
    )
    server = await loop.create_server(lambda: ClientConnection(plane), "127.0.0.1", 0)  # type: ignore[arg-type,return-value] # a protocol by shape
    stand = Stand(plane, server.sockets[0].getsockname()[1])
    try:
        yield stand
        stand.close_clients()
        await wait_until(lambda: not plane.clients, "every client gone")
        await wait_until(lambda: stand.pending == 0, "every claim given back")
        assert all(count == 0 for count in ledger.pending(0).tolist())
        await wait_until(lambda: not plane._tasks, "no task left")
        for cluster in plane.clusters.values():
            for target in cluster.targets.values():
                target.close_idle()
        await wait_until(lambda: stand.watched == 0, "no connection left on either side")
        assert mishaps == []
    finally:
        stand.close_clients()
        server.close()
        plane.close()
        await asyncio.sleep(0)  # a transport that was told to close does so in the next round
