"""The target's side: one connection to a target, the pool it rests in, and how it is opened.

Bytes stream both ways: what one side reads is written to the other at once, and a side that does
not take what it is given stops the reading on the other (back-pressure). Nothing is collected.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from services.balancer.dataplane.chunked import BadChunk, ChunkedBody
from services.balancer.dataplane.errors import BadResponse, Fault
from services.balancer.dataplane.http1 import HEAD_END, STATUS_LINE, ResponseHead
from services.balancer.messages import TargetPicture
from services.balancer.target import Target

if TYPE_CHECKING:
    from services.balancer.dataplane.exchange import Exchange
    from services.balancer.dataplane.plane import Plane

MAX_INTERIM: Final = 16  # 1xx answers to one request
_UNTIL_CLOSE: Final = -1


class PooledTarget(Target):
    """A target with this process's connections to it; the last one used is the next one taken."""

    __slots__ = ("cells", "idle")

    def __init__(self, picture: TargetPicture, plane: Plane) -> None:
        super().__init__(
            picture,
            limit=plane.limit_of(picture.cluster),
            own_row=plane.own_pending,
            other_rows=plane.other_pending,
        )
        self.cells = plane.ledger.target(plane.row, picture.slot)
        self.idle: list[TargetConnection] = []

    def take(self) -> TargetConnection | None:
        """An idle connection that is still open; None when a new one must be made."""
        while self.idle:
            connection = self.idle.pop()
            if not connection.lost:
                return connection
        return None

    def close_idle(self) -> None:
        """Let go of what rests here: the target has left."""
        while self.idle:
            self.idle.pop().close()


class TargetConnection:
    """An asyncio protocol: one connection to a target, with at most one exchange on it."""

    __slots__ = (
        "_chunks",
        "_exchange",
        "_head",
        "_interims",
        "_left",
        "_place",
        "_plane",
        "_target",
        "_transport",
        "deadline",
        "lost",
        "paused",
        "reused",
    )

    def __init__(self, plane: Plane, target: PooledTarget) -> None:
        self._plane = plane
        self._target = target
        self._transport: asyncio.Transport
        self._exchange: Exchange | None = None
        self._head = b""  # an unfinished response head
        self._left: int | None = None  # of the body; None: the head is not there yet
        self._chunks: ChunkedBody | None = None
        self._interims = 0
        self._place = 0
        self.deadline = 0.0
        self.lost = False
        self.paused = False
        self.reused = False

    def __repr__(self) -> str:
        state = "lost" if self.lost else "busy" if self._exchange else "idle"
        return f"<TargetConnection {self._target.id} {state}>"

    # -- for the exchange --------------------------------------------------------------------------

    def send(self, exchange: Exchange, data: bytes) -> None:
        """Begin an exchange: the request head and what is there of its body."""
        self._exchange = exchange
        self._left = None
        self._chunks = None
        self._interims = 0
        self.deadline = float("inf")  # the client's connection keeps the time of an exchange
        self._transport.write(data)

    def write(self, data: bytes) -> None:
        """More of the request's body."""
        self._transport.write(data)

    def pause(self) -> None:
        """The client does not take what we read."""
        if not self.paused:
            self.paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """The client takes more."""
        if self.paused:
            self.paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """End at once; the exchange hears no more from here."""
        self._exchange = None
        self.lost = True
        self._transport.abort()

    def close(self) -> None:
        """End after what is written has gone out."""
        self._exchange = None
        self.lost = True
        self._transport.close()

    def rest(self) -> None:
        """The exchange is over and left the connection clean: back into the pool."""
        self._exchange = None
        self.resume()
        plane = self._plane
        target = self._target
        if (
            plane.draining
            or target.draining
            or self.lost
            or len(target.idle) >= plane.config.limits.idle_per_target
        ):
            self.close()
            return
        self.reused = True
        self.deadline = plane.deadlines.now + plane.config.timeouts.target_keep_alive_s
        target.idle.append(self)

    def expired(self, now: float) -> None:
        """Idle for too long."""
        if self._exchange is None:
            self.close()

    # -- from the loop -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Connected."""
        self._transport = transport
        self.deadline = float("inf")
        self._place = self._plane.deadlines.watch(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by either side."""
        self.lost = True
        self._plane.deadlines.forget(self, self._place)
        exchange = self._exchange
        if exchange is None:
            return
        self._exchange = None
        if self._left == _UNTIL_CLOSE and self._chunks is None and exc is None:
            exchange.response_end(None)
        else:
            heard = self._head or self._left is not None or self._interims
            stale = self.reused and not heard
            exchange.failed(Fault.STALE if stale else Fault.BROKEN)

    def eof_received(self) -> None:
        """The target sends no more; the transport closes by itself."""

    def pause_writing(self) -> None:
        """The target does not take the request's body."""
        if self._exchange is not None:
            self._exchange.upload_blocked()

    def resume_writing(self) -> None:
        """It takes more."""
        if self._exchange is not None:
            self._exchange.upload_open()

    def data_received(self, data: bytes) -> None:
        """Bytes of a response."""
        exchange = self._exchange
        if exchange is None:
            self.abort()  # nobody asked: whatever it is, it may not become an answer
            return
        try:
            if self._left is None:
                self._receive_head(exchange, data)
            else:
                self._receive_body(exchange, data)
        except (BadResponse, BadChunk) as error:
            self.abort()
            exchange.failed(Fault.BROKEN, str(error))

    # -- framing -----------------------------------------------------------------------------------

    def _receive_head(self, exchange: Exchange, data: bytes) -> None:
        if self._head:
            data = self._head + data
            self._head = b""
        limits = self._plane.config.limits
        while True:
            match = STATUS_LINE.match(data)
            end = data.find(HEAD_END, match.end() - 2) if match is not None else -1
            if match is None or end < 0:
                if (match is None and b"\n" in data) or len(data) > limits.head_bytes:
                    raise BadResponse("no response head that we can read")
                self._head = data
                return
            if end > limits.head_bytes:
                raise BadResponse("response head over the limit")
            status = int(match[2])
            fields = self._plane.response_fields.parse(data[match.end() : end + 2])
            head = ResponseHead(status, int(match[1]), match[3] or b"", fields)
            data = data[end + 4 :]
            if status >= 200:
                break
            self._interims += 1
            if status == 101 or self._interims > MAX_INTERIM:
                raise BadResponse("an interim response that nobody asked for")
            exchange.interim(head)
            if not data:
                return
        self._frame(head, exchange)
        self._respond(exchange, head, data)

    def _frame(self, head: ResponseHead, exchange: Exchange) -> None:
        """How the body of a final response is framed (RFC 9112, 6.3)."""
        fields = head.fields
        if head.minor == 0 and fields.chunked:
            raise BadResponse("Transfer-Encoding in HTTP/1.0")
        if not head.has_body(exchange.head.method):
            if head.status == 204 and (fields.content_length or fields.chunked):
                raise BadResponse("a 204 that announces a body")
            self._left = 0
        elif fields.chunked:
            self._left = _UNTIL_CLOSE
            self._chunks = ChunkedBody(payload_only=exchange.head.minor == 0)
        elif fields.content_length is not None:
            self._left = fields.content_length
        else:
            self._left = _UNTIL_CLOSE

    def _respond(self, exchange: Exchange, head: ResponseHead, data: bytes) -> None:
        """Hand on a final head with what came of the body behind it."""
        fields = head.fields
        until_close = self._left == _UNTIL_CLOSE and self._chunks is None
        reusable = not fields.close and (head.minor == 1 or fields.keep_alive) and not until_close
        if self._chunks is not None:
            body = self._chunks.feed(data)
            done, extra = self._chunks.done, bool(self._chunks.rest)
        elif until_close:
            body, done, extra = data, False, False
        else:
            left = self._left or 0
            body = data[:left]
            self._left = left - len(body)
            done, extra = self._left == 0, len(data) > left
        exchange.respond(
            head, body, chunked=self._chunks is not None, until_close=until_close, reusable=reusable
        )
        if done:
            self._end(exchange, reusable=exchange.reusable and not extra)

    def _receive_body(self, exchange: Exchange, data: bytes) -> None:
        chunks = self._chunks
        if chunks is not None:
            out = chunks.feed(data)
            if out:
                exchange.download(out)
            if chunks.done:
                self._end(exchange, reusable=exchange.reusable and not chunks.rest)
            return
        left = self._left
        if left == _UNTIL_CLOSE:
            exchange.download(data)
            return
        assert left is not None  # noqa: S101 - the caller looked
        if len(data) < left:
            self._left = left - len(data)
            exchange.download(data)
        else:
            exchange.download(data[:left] if len(data) > left else data)
            self._end(exchange, reusable=exchange.reusable and len(data) == left)

    def _end(self, exchange: Exchange, *, reusable: bool) -> None:
        if self._exchange is exchange:  # not aborted from within
            exchange.response_end(self if reusable else None)
            if not reusable:
                self.close()


async def dial(plane: Plane, target: PooledTarget, exchange: Exchange) -> None:
    """Open a connection for an exchange; an exchange that ended meanwhile leaves it to the pool."""
    connection: TargetConnection | None = None
    try:
        async with asyncio.timeout(plane.config.timeouts.connect_s):
            _, connection = await plane.loop.create_connection(
                lambda: TargetConnection(plane, target),  # type: ignore[type-var] # a protocol by shape
                target.host,
                target.port,
            )
    except (OSError, TimeoutError) as error:
        if exchange.waits_for(target):
            exchange.failed(Fault.CONNECT, str(error) or "connect timed out")
        return
    target.cells[plane.CONNECTS] += 1
    if exchange.waits_for(target):
        exchange.connected(connection)
    else:
        connection.rest()
