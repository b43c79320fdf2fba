"""The data plane's connections with their sockets taken away: bytes in, bytes out, at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, cast

from services.balancer.config import ClusterConfig, Config, PolicySpec, RouteConfig
from services.balancer.dataplane.accept import ClientConnection
from services.balancer.dataplane.forward import TargetConnection
from services.balancer.dataplane.plane import Plane
from services.balancer.ledger import Ledger
from services.balancer.messages import Health, Membership, TargetPicture

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
ASKED = b" / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closing = False
        self.aborted = False

    def write(self, data: bytes) -> None:
        """Out."""
        self.written.append(data)

    def abort(self) -> None:
        """A reset."""
        self.closing = self.aborted = True

    def close(self) -> None:
        """An end."""
        self.closing = True

    def is_closing(self) -> bool:
        """Either."""
        return self.closing

    def get_extra_info(self, name: str) -> Any:
        """No socket, but an address."""
        return ("192.0.2.1", 1) if name == "peername" else None

    def can_write_eof(self) -> bool:
        """Yes."""
        return True

    def write_eof(self) -> None:
        """Nobody waits for it."""

    def pause_reading(self) -> None:
        """Nothing comes by itself."""

    def set_write_buffer_limits(self, high: int) -> None:
        """Everything is taken."""

    def resume_reading(self) -> None:
        """As above."""


class Loop:
    """As much of an event loop as the connections ask for."""

    def __init__(self) -> None:
        self.ready: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        """Next."""
        self.ready.append((callback, args))

    def call_later(self, *_: Any) -> None:
        """Time stands still."""

    def create_task(self, work: Coroutine[Any, Any, None]) -> Any:
        """There is no network to dial in: the exchange waits until its client leaves."""
        work.close()
        return _Never()


class _Never:
    def add_done_callback(self, _: object) -> None:
        """It is never done."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """One request that went to a target: where it ended in the input, and what was sent."""

    end: int
    sent: bytes


@dataclass(frozen=True, slots=True)
class Relayed:
    """A whole answer at the client; `kept` when the target's connection went back to its pool."""

    out: bytes
    kept: bool


def _pieces(wire: bytes, cuts: tuple[int, ...]) -> Iterator[tuple[bytes, int]]:
    """Each piece, and where it ends."""
    at = 0
    for cut in (*sorted(cuts), len(wire)):
        yield wire[at:cut], cut
        at = cut


class Inside:
    """One plane, one target; a fresh client for every input."""

    def __init__(self) -> None:
        self.loop = Loop()
        config = Config(
            clusters=(ClusterConfig(name="c", targets=(), policy=PolicySpec(name="round_robin")),),
            routes=(RouteConfig(path="/", cluster="c"),),
        )
        self.plane = Plane(
            loop=cast("Any", self.loop),
            ledger=Ledger.create(1),
            row=0,
            config=config,
            rng=Random(1),
            clock=lambda: 1.0,
        )
        picture = TargetPicture(
            id="c/t", cluster="c", host="t", port=1, slot=0, health=Health.HEALTHY
        )
        self.plane.member(Membership(version=1, full=True, last=True, upserts=(picture,)))
        self.target = self.plane.clusters["c"].targets["c/t"]

    def _client(self) -> tuple[ClientConnection, Transport]:
        client, transport = ClientConnection(self.plane), Transport()
        client.connection_made(cast("Any", transport))
        return client, transport

    def _connection(self) -> tuple[TargetConnection, Transport]:
        self.target.idle.clear()
        connection, transport = TargetConnection(self.plane, self.target), Transport()
        connection.connection_made(cast("Any", transport))
        self.target.idle.append(connection)
        return connection, transport

    def _leave(self, client: ClientConnection, connection: TargetConnection) -> None:
        client.connection_lost(None)
        if not connection.lost:
            connection.abort()
        connection.connection_lost(None)
        self.loop.ready.clear()
        self.plane._tasks.clear()

    def forward(self, wire: bytes, *cuts: int) -> list[Forwarded]:
        """Give a client's bytes, cut at `cuts`; every whole request that went on, in order.

        Ends at the first that the balancer answers by itself.
        """
        client, transport = self._client()
        connection, onward = self._connection()
        out: list[Forwarded] = []
        for piece, fed in _pieces(wire, cuts):
            if piece:
                client.data_received(piece)
            while True:
                exchange = client._exchange
                if any(not data.startswith(ANSWER[:12]) for data in transport.written):
                    self._leave(client, connection)
                    return out
                if exchange is not None and not exchange.uploading and onward.written:
                    end = fed - (len(client._buffer) - client._at)
                    out.append(Forwarded(end, b"".join(onward.written)))
                    onward.written.clear()
                    connection.data_received(ANSWER)
                elif self.loop.ready:
                    callback, args = self.loop.ready.popleft()
                    callback(*args)
                else:
                    break
            if transport.closing:
                break
        self._leave(client, connection)
        return out

    def relay(self, method: bytes, wire: bytes, *cuts: int, ends: bool) -> Relayed | None:
        """Give a target's bytes, cut, and its end; what the client got, if it is whole."""
        client, transport = self._client()
        connection, _ = self._connection()
        client.data_received(method + ASKED)
        for piece, _ in _pieces(wire, cuts):
            if piece and not connection.lost:
                connection.data_received(piece)
        kept = bool(self.target.idle) and not connection.lost
        if ends and not connection.lost:
            connection.connection_lost(None)
        whole = client._exchange is None and not transport.aborted
        out = b"".join(transport.written)
        self._leave(client, connection)
        return Relayed(out, kept) if whole and b"\r\nServer: steelyard\r\n" not in out else None
