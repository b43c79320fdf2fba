"""The target's side: one connection to a target.

Bytes stream both ways, nothing is collected: a side that does not take what it is given stops the
reading on the other (back-pressure)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from services.balancer.dataplane.chunked import BadChunk, ChunkedBody
from services.balancer.dataplane.errors import BadResponse, Fault
from services.balancer.dataplane.heads import ResponseHead
from services.balancer.dataplane.http1 import (
    BARE_LINE_FEED,
    HEAD_END,
    STATUS,
    STATUS_LINE,
    Fields,
    response_has_body,
)
from services.balancer.dataplane.report import apart, hear

if TYPE_CHECKING:
    from services.balancer.dataplane.exchange import Exchange
    from services.balancer.dataplane.plane import Plane
    from services.balancer.dataplane.pool import PooledTarget

MAX_INTERIM: Final = 16  # 1xx answers to one request
_UNTIL_CLOSE: Final = -1
_NO_HEAD: Final = -2
_NEVER: Final = float("inf")
_UNREADABLE: Final = "no response head that we can read"


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
        "_write",
        "blocked",
        "deadline",
        "lost",
        "paused",
        "reused",
    )

    def __init__(self, plane: Plane, target: PooledTarget) -> None:
        self._plane = plane
        self._target = target
        self._transport: asyncio.Transport
        self._write: Callable[[bytes], None]  # the transport's own, looked up once
        self._exchange: Exchange | None = None
        self._head = b""  # an unfinished response head
        self._left = _NO_HEAD  # bytes of the body still to come
        self._chunks: ChunkedBody | None = None
        self._interims = 0
        self._place = 0
        self.deadline = 0.0
        self.blocked = False  # the target takes no more for now
        self.lost = False
        self.paused = False  # we read no more for now
        self.reused = False

    def __repr__(self) -> str:
        state = "lost" if self.lost else "busy" if self._exchange else "idle"
        return f"<TargetConnection {self._target.id} {state}>"

    # -- for the exchange --------------------------------------------------------------------------

    def send(self, exchange: Exchange, data: bytes) -> None:
        """Begin an exchange: the request head and what is there of its body."""
        self._exchange = exchange
        self._left = _NO_HEAD
        self._write(data)

    def write(self, data: bytes) -> None:
        """More of the request's body."""
        self._write(data)

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
        """End: what the target has not taken yet of a body, it has answered without."""
        self._exchange = None
        self.lost = True
        if self.blocked:
            self._transport.abort()  # an end that waits for the rest to go out may never come
        else:
            self._transport.close()

    def give_up(self) -> asyncio.Transport:
        """A tunnel takes the connection over."""
        self._exchange = None
        self.lost = True
        self._plane.deadlines.forget(self, self._place)
        self.resume()
        return self._transport

    def rest(self) -> None:
        """The exchange is over and left the connection clean: back into the pool."""
        self._exchange = None
        self._chunks = None
        self._interims = 0
        if self.paused:
            self.resume()
        plane = self._plane
        target = self._target
        if (
            plane.draining
            or target.draining
            or self.lost
            or self.blocked
            or len(target.idle) >= plane.idle_per_target
        ):
            self.close()
            return
        self.reused = True
        self.deadline = plane.until_target_idle
        target.idle.append(self)

    def expired(self, now: float) -> None:
        """Idle for too long; while it is busy the client's connection keeps the time."""
        if self._exchange is None:
            self.close()
        else:
            self._exchange.overdue()

    # -- from the loop -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Connected."""
        self._transport = transport
        self._write = transport.write
        self.deadline = _NEVER
        plane = self._plane
        plane.target_connections += 1
        transport.set_write_buffer_limits(plane.config.limits.buffer_bytes)
        self._place = plane.deadlines.watch(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by either side."""
        self.lost = True
        self._plane.target_connections -= 1
        self._plane.deadlines.forget(self, self._place)
        exchange = self._exchange
        if exchange is None:
            return
        self._exchange = None
        if self._left == _UNTIL_CLOSE and self._chunks is None and exc is None:
            exchange.response_end(None)
        else:
            heard = self._head or self._left != _NO_HEAD or self._interims
            stale = self.reused and not heard
            exchange.failed(Fault.STALE if stale else Fault.BROKEN)

    def eof_received(self) -> None:
        """The target sends no more; the transport closes by itself."""

    def pause_writing(self) -> None:
        """The target does not take the request's body."""
        self.blocked = True
        if self._exchange is not None:
            self._exchange.upload_blocked()

    def resume_writing(self) -> None:
        """It takes more."""
        self.blocked = False
        if self._exchange is not None:
            self._exchange.upload_open()

    def data_received(self, data: bytes) -> None:
        """Bytes of a response."""
        exchange = self._exchange
        if exchange is None:
            self.abort()  # nobody asked: whatever it is, it may not become an answer
            return
        try:
            if self._left == _NO_HEAD:
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
        while True:
            end = data.find(HEAD_END) + len(HEAD_END)
            if end < len(HEAD_END):
                self._hold_head(data)
                return
            head = self._read(data[:end])
            data = data[end:]
            if head.status >= 200:
                break
            if head.status == 101 and head.minor == 1:
                exchange.switch(self, head.line, head.fields, data)
                return
            self._count_interim(head.status, head.fields)
            exchange.interim(head.line, head.fields)
            if not data:
                return
        exchange.reusable = head.reusable
        left = head.left
        if left < 0 or exchange.head_only:
            left = self._frame(exchange, head)
            if left < 0:
                self._respond(exchange, head, data)
                return
        size = len(data)
        self._left = left - size if left > size else 0
        body = data if left >= size else data[:left]
        exchange.respond(head, body, chunked=False, until_close=False)
        if left <= size:
            self._end(exchange, clean=left == size)

    def _read(self, data: bytes) -> ResponseHead:
        """A whole head; what it says of the target's load is heard."""
        plane = self._plane
        target = self._target
        if len(data) > plane.head_bytes:
            raise BadResponse("response head over the limit")
        report = None
        if target.reports:
            data, report = apart(data)
        head = plane.response_heads.known.get(data)
        if head is None:
            if report is None:
                data, report = apart(data)
            target.reports = report is not None
            head = self._read_new(data)
        if report is not None and target.load.wants_reports:
            target.heard_at = now = plane.clock()
            hear(target.load, report, now)
        return head

    def _read_new(self, data: bytes) -> ResponseHead:
        """One that is new to us."""
        plane = self._plane
        match = STATUS_LINE.match(data)
        if match is None:
            raise BadResponse(_UNREADABLE)
        line, minor, code = match.groups()
        section = data[len(line) : -2]
        fields = plane.response_fields.known.get(section)
        if fields is None:
            fields = plane.response_fields.parse(section)
        head = ResponseHead(line, STATUS[code], int(minor), fields)
        plane.response_heads.keep(data, head)
        return head

    def _count_interim(self, status: int, fields: Fields) -> None:
        """One more 1xx; refused are those that change the protocol or announce a body."""
        self._interims += 1
        if status == 101 or self._interims > MAX_INTERIM:
            raise BadResponse("an interim response that nobody asked for")
        if fields.content_length is not None or fields.chunked:  # RFC 9110, 8.6
            raise BadResponse("an interim response that announces a body")

    def _hold_head(self, data: bytes) -> None:
        """Keep an unfinished head, unless it cannot become one within the limit."""
        if (
            len(data) > self._plane.head_bytes
            or BARE_LINE_FEED.search(data) is not None
            or not b"HTTP/1.".startswith(data[:7])
        ):
            raise BadResponse(_UNREADABLE)
        self._head = data

    def _frame(self, exchange: Exchange, head: ResponseHead) -> int:
        """How the body is framed when it is not by Content-Length alone (RFC 9112, 6.3).

        Gives 0 when there is none; else it ends by its chunks, or with the connection.
        """
        fields = head.fields
        if head.minor == 0 and fields.chunked:
            raise BadResponse("Transfer-Encoding in HTTP/1.0")
        if not response_has_body(exchange.method, head.status):
            if head.status == 204 and (fields.content_length or fields.chunked):
                raise BadResponse("a 204 that announces a body")
            return 0
        self._left = _UNTIL_CLOSE
        if fields.chunked:
            self._chunks = ChunkedBody(fields.nominated, payload_only=exchange.minor == 0)
        return _UNTIL_CLOSE

    def _respond(self, exchange: Exchange, head: ResponseHead, data: bytes) -> None:
        """Hand on a head whose body ends by its chunks, or with the connection."""
        chunks = self._chunks
        if chunks is None:
            exchange.reusable = False
            exchange.respond(head, data, chunked=False, until_close=True)
            return
        body = chunks.feed(data)
        exchange.respond(head, body, chunked=True, until_close=False)
        if chunks.done:
            self._end(exchange, clean=not chunks.rest)

    def _receive_body(self, exchange: Exchange, data: bytes) -> None:
        chunks = self._chunks
        if chunks is not None:
            out = chunks.feed(data)
            if out:
                exchange.download(out)
            if chunks.done:
                self._end(exchange, clean=not chunks.rest)
            return
        left = self._left
        if left == _UNTIL_CLOSE:
            exchange.download(data)
            return
        if len(data) < left:
            self._left = left - len(data)
            exchange.download(data)
        else:
            exchange.download(data[:left] if len(data) > left else data)
            self._end(exchange, clean=len(data) == left)

    def _end(self, exchange: Exchange, *, clean: bool) -> None:
        """The body is complete; not `clean` when bytes follow that nobody asked for."""
        if clean and exchange.reusable:
            exchange.response_end(self)
        else:
            exchange.response_end(None)
            self.close()
