"""The client's side: its connection, the request heads that come on it, and its limits.

One exchange at a time: what a client sends ahead (pipelining) waits in a bounded buffer, so answers
go out in the order of their requests.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, cast

from services.balancer.dataplane.chunked import BadChunk
from services.balancer.dataplane.client import ClientSide
from services.balancer.dataplane.errors import BadRequest, Refusal, answer, response
from services.balancer.dataplane.exchange import Exchange
from services.balancer.dataplane.heads import HEAD_BYTES, RequestHead
from services.balancer.dataplane.http1 import (
    HEAD_END,
    REQUEST_LINE,
    SLASH,
    UNUSUAL,
    Fields,
    check_request,
)
from services.balancer.dataplane.logged import LEFT, OWN, LoggedExchange, tell, tell_unread
from services.balancer.dataplane.tunnel import offer
from services.balancer.dataplane.unfinished import empty_lines
from services.balancer.dataplane.unfinished import fault as unfinished_fault

if TYPE_CHECKING:
    from services.balancer.config import Respond
    from services.balancer.dataplane.plane import Destination, Plane
    from services.balancer.dataplane.route import Route


class ClientConnection(ClientSide):
    """An asyncio protocol: one client's connection."""

    __slots__ = ("_scheduled", "lines")

    def __init__(self, plane: Plane) -> None:
        super().__init__(plane)
        self.lines: bytes | None = None  # forwarding lines for this peer; None: a trusted proxy
        self._scheduled = False  # `_next` will run: what waits in the buffer may be whole requests

    def __repr__(self) -> str:
        return f"<ClientConnection {self._exchange or 'idle'}>"

    # -- from the loop -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:
        """A client connected; one too many is closed at once."""
        self._transport = transport
        self._write = transport.write
        plane = self._plane
        name = transport.get_extra_info("peername")
        peer = name[0] if name else "unknown"
        lines = plane.forwarding.lines_for(peer)
        if not plane.admit(self, peer if lines is not None else ""):
            transport.abort()
            return
        self.lines = lines
        transport.set_write_buffer_limits(plane.config.limits.buffer_bytes)
        self.deadline = plane.deadlines.now + plane.config.timeouts.keep_alive_s
        self._place = plane.deadlines.watch(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone, or we closed."""
        plane = self._plane
        if self._place < 0:
            return  # was never admitted
        plane.deadlines.forget(self, self._place)
        plane.dismiss(self)
        exchange = self._exchange
        if exchange is not None:
            self._exchange = None
            plane.counters.client_abort()
            tell(exchange, LEFT)
            exchange.client_gone()

    def eof_received(self) -> bool:
        """The client sends no more. It may still be reading: what it asked for is answered."""
        exchange = self._exchange
        if self._lingering >= 0 or (exchange is not None and exchange.uploading):
            return False
        if exchange is None and not self._scheduled and not (self.blocked and self._buffer):
            return False
        if self._plane.config.abort_on_close:
            return False
        self.ended = True
        return True

    def pause_writing(self) -> None:
        """The client does not read."""
        self.blocked = True
        if self._exchange is not None:
            self._exchange.download_blocked()

    def resume_writing(self) -> None:
        """It reads again."""
        self.blocked = False
        if self._exchange is not None:
            self._exchange.download_open()
        elif self._buffer and not self._scheduled and self._lingering < 0:
            self._schedule()
        elif self.ended and self._lingering < 0:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Bytes of a head, of a body, or sent ahead."""
        exchange = self._exchange
        if exchange is None and not self._scheduled and not self.blocked:
            if self._lingering >= 0:
                self._drop(len(data))
            elif self._buffer:
                self._receive(self._buffer + data)
            else:
                self._receive(data)
        elif exchange is not None and exchange.uploading and not self._buffer:
            self._receive_body(exchange, data)
        elif self._lingering >= 0:
            self._drop(len(data))
        else:
            self._buffer = self._buffer[self._at :] + data
            self._at = 0
            if len(self._buffer) > self._plane.config.limits.buffer_bytes:
                self.pause()

    # -- heads -------------------------------------------------------------------------------------

    def _receive(self, data: bytes, at: int = 0) -> None:
        """Find one request head, at `at`, and start on it."""
        plane = self._plane
        size = end = len(data)
        head = None
        if size <= HEAD_BYTES and at == 0:
            head = plane.request_heads.known.get(data)
        if head is None:
            match = REQUEST_LINE.match(data, at)
            blank = -1 if match is None else data.find(HEAD_END, match.end() - 2)
            if match is None or blank < 0:
                self._receive_partial(data[at:])
                return
            end = blank + len(HEAD_END)
            head = self._read(match, data[match.end() : end - 2])
            if head is None:
                return
            if head.usual and end == size and at == 0:
                plane.request_heads.keep(data, head)
        self._buffer = b""
        if head.close:
            self.close_after = True
        plane.requests += 1
        log = plane.access
        exchange = self._exchange = (
            Exchange(plane, self, head) if log is None else LoggedExchange(plane, self, head, log)
        )
        if size > end:
            if not exchange.upload_left:
                self._buffer = data  # as it is: cut for each of many requests, it would cost
                self._at = end
            elif not self._receive_body(exchange, data[end:]):
                return
        route = head.route
        if route is not None and route.destination.cluster is not None:
            exchange.cluster = route.destination.cluster
            exchange.place()
        else:
            self._answer(exchange, route)

    def _read(self, match: re.Match[bytes], section: bytes) -> RequestHead | None:
        """A head that is new to us; None when it was refused."""
        plane = self._plane
        line, method, target, version = match.groups()
        try:
            if len(section) + len(line) > plane.head_bytes:
                raise BadRequest(Refusal.HEAD_TOO_LARGE, "request head over the limit")
            if len(target) > plane.target_bytes:
                raise BadRequest(Refusal.TARGET_TOO_LONG, "request target over the limit")
            fields = plane.request_fields.known.get(section)
            if fields is None:
                fields = plane.request_fields.parse(section)
            minor = 1
            usual = True
            if version == b"0" or fields.odd or method in UNUSUAL or target[0] != SLASH:
                usual = False
                minor = int(version)
                line, target, fields = self._look_closer(method, minor, target, fields)
        except BadRequest as error:
            self.refuse(error.refusal, error.detail, plane.request_ids.take())
            return None
        route = plane.router.find(target, fields.host, fields.onward)
        return RequestHead(line, method, minor, fields, route, usual=usual)

    def _look_closer(
        self, method: bytes, minor: int, target: bytes, fields: Fields
    ) -> tuple[bytes, bytes, Fields]:
        """A request out of the usual: its line as it goes on, its target, its fields.

        An offer to switch protocols goes on when there is room for one more tunnel.
        """
        plane = self._plane
        target, fields = check_request(method, target, minor, fields)
        if fields.upgrade is not None:
            fields = offer(method, minor, fields, plane.upgrades)
        if fields.upgrade is not None:
            if plane.tunnels >= plane.config.limits.tunnels:
                raise BadRequest(Refusal.NO_TUNNEL, "no room for another tunnel")
            # What was sent ahead is of the new protocol: when the target does not take up the
            # offer, it must not be read as a request.
            self.close_after = True
        return b"%b %b HTTP/1.1\r\n" % (method, target), target, fields

    def _receive_partial(self, data: bytes) -> None:
        """No whole head yet: wait for more, unless it cannot become one."""
        plane = self._plane
        skip = empty_lines(data)
        if skip:
            self._buffer = b""
            if len(data) > skip:
                self._receive(data, skip)
            return
        fault = unfinished_fault(data, plane.target_bytes, plane.head_bytes)
        if fault is None:
            self._hold(data)
        else:
            self.refuse(*fault, plane.request_ids.take())

    def _hold(self, data: bytes) -> None:
        if not self._buffer:  # the clock of a slow head starts with its first byte
            plane = self._plane
            head_s = plane.config.timeouts.head_s
            self.deadline = min(self.deadline, plane.deadlines.now + head_s)
        self._buffer = data

    def _answer(self, exchange: Exchange, route: Route[Destination] | None) -> None:
        """No target is needed: the route answers, or there is none."""
        if route is not None:
            self._respond(cast("Respond", route.destination.respond), exchange)
        else:
            self.refuse(
                Refusal.NO_ROUTE,
                "no route matches",
                exchange.request_id,
                head_only=exchange.method == b"HEAD",
            )

    def _receive_body(self, exchange: Exchange, data: bytes) -> bool:
        """Bytes of a body; False when they broke its framing and the exchange is over."""
        try:
            rest = exchange.upload(data)
        except BadChunk as error:
            exchange.client_gone()
            self.refuse(Refusal.MALFORMED, str(error), exchange.request_id)
            return False
        if rest:
            self._buffer = rest
        return True

    def trusted_lines(self, fields: Fields) -> bytes:
        """What a trusted proxy says of its client, passed on to the target."""
        peer = self._transport.get_extra_info("peername")
        return self._plane.forwarding.lines_after(peer[0], fields.forwarding)

    def key(self, key_from: str, fields: Fields) -> bytes:
        """What the cluster's policy goes by."""
        peer = self._transport.get_extra_info("peername")
        return self._plane.key_of(key_from)(fields, peer[0] if peer else "", self.lines is None)

    # -- answers -----------------------------------------------------------------------------------

    def _respond(self, respond: Respond, exchange: Exchange) -> None:
        """A route answers by itself."""
        plane = self._plane
        unread = exchange.uploading
        close = self.close_after = self.close_after or unread or plane.draining
        plane.counters.answered_here(respond.status)
        tell(exchange, OWN, respond.status)
        self.write(
            response(
                respond.status,
                "text/plain; charset=utf-8",
                respond.text.encode(),
                extra="" if exchange.minor == 1 or close else "Connection: keep-alive\r\n",
                close=close,
                head_only=exchange.method == b"HEAD",
            )
        )
        self.exchange_ended(complete=not unread)

    def refuse(
        self, refusal: Refusal, detail: str, request_id: bytes, *, head_only: bool = False
    ) -> None:
        """Answer with an error of our own. A request not read to its end ends the connection."""
        exchange = self._exchange
        known = exchange is not None and not exchange.uploading
        close = self.close_after = self.close_after or not known or self._plane.draining
        self._plane.counters.answered_here(refusal.status)
        if self._transport.is_closing():
            return
        if exchange is not None:
            tell(exchange, OWN, refusal.status)
        else:
            tell_unread(self._plane, request_id, refusal.status)
        self.write(answer(refusal, detail, request_id.decode(), close=close, head_only=head_only))
        self.exchange_ended(complete=known)

    def exchange_ended(self, *, complete: bool) -> None:
        """The answer is written; `complete` when the request was read to its end."""
        self._exchange = None
        if not complete:
            self._linger()
        elif self.close_after:
            self._transport.close()
        elif self._buffer:
            self._schedule()
        elif self.ended:
            self._transport.close()
        else:
            self.deadline = self._plane.until_keep_alive
            if self.paused:
                self.resume()

    def _schedule(self) -> None:
        """See to what was sent ahead, once the client has taken the answers before it."""
        if not self.blocked:
            self._scheduled = True
            self._plane.loop.call_soon(self._next)

    def _next(self) -> None:
        """On to what was sent ahead."""
        self._scheduled = False
        if self._transport.is_closing():
            return
        data, at = self._buffer, self._at
        self._buffer, self._at = b"", 0
        self.deadline = self._plane.until_keep_alive
        self._receive(data, at)
        exchange = self._exchange
        waiting = exchange is None and not self._scheduled and not self.blocked
        if waiting or (
            len(self._buffer) - self._at <= self._plane.config.limits.buffer_bytes
            and (exchange is None or not exchange.uploading)
        ):
            self.resume()
        if self.ended and waiting and self._lingering < 0:
            self._transport.close()  # what is left will never be a whole request

    # -- the end -----------------------------------------------------------------------------------

    def expired(self, now: float) -> None:
        """The deadline has passed."""
        if self._exchange is not None:
            self._exchange.expired()
        elif self._lingering >= 0 or self._transport.is_closing():
            self._transport.abort()
        elif self._buffer:
            self.refuse(
                Refusal.HEAD_TIMEOUT, "the head came too slowly", self._plane.request_ids.take()
            )
        else:
            self._transport.close()

    def drain(self) -> None:
        """The process stops: an idle client goes now, a busy one after its answer."""
        self.close_after = True
        if self._exchange is None and not self._buffer and self._lingering < 0:
            self._transport.close()
