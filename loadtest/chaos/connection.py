"""One keep-alive connection of a client: one request at a time, and what became of it.

What matters here is what a usual client hides: whether any byte of the answer had come when the
connection broke, and whether bytes came that nobody had asked for.
"""

from __future__ import annotations

import asyncio
import enum
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import httptools

from loadtest.chaos.target import body_of


class Outcome(enum.Enum):
    """What became of one request."""

    ANSWERED = "answered"
    REFUSED = "refused"  # the balancer's own error; `detail` is its code
    WRONG = "wrong answer"  # not the answer to this request
    BEGUN = "cut after the answer had begun"
    LOST = "connection lost without an answer"
    UNCONNECTED = "no connection"
    HUNG = "hung"
    UNSENT = "not sent: the load generator was full"


@dataclass(slots=True)
class Record:
    """One request. Times are seconds of the loop's clock, `port` the client's end."""

    request_id: str
    method: str
    size: int  # bytes of the answer's body
    due: float
    ended: float = 0.0
    outcome: Outcome | None = None
    detail: str = ""
    port: int = 0
    fresh: bool = False  # the first request of its connection

    @property
    def wire(self) -> bytes:
        """What is sent."""
        path = f"/cluster1/{self.request_id}?size={self.size}"
        head = f"{self.method} {path} HTTP/1.1\r\nHost: chaos\r\n"
        if self.method != "POST":
            return f"{head}\r\n".encode()
        body = body_of(self.request_id, 100)
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Connection(asyncio.Protocol):
    """Calls `on_end(self, record)` once for each request; `open` says whether it may serve more."""

    def __init__(self, on_end: Callable[[Connection, Record], None]) -> None:
        self._on_end = on_end
        self._transport: asyncio.Transport
        self._record: Record | None = None
        self._parser: httptools.HttpResponseParser
        self._body = b""
        self._begun = False
        self._count = 0
        self.open = False
        self.port = 0
        self.unasked = b""  # bytes that came while no request was out

    def ask(self, record: Record) -> None:
        """Send one request."""
        self._record = record
        record.port = self.port
        record.fresh = self._count == 0
        self._count += 1
        self._begun, self._body = False, b""
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(record.wire)

    def hang_up(self) -> None:
        """Close; a request that is out is lost."""
        self.open = False
        self._transport.abort()

    def give_up(self) -> None:
        """The request that is out took too long."""
        self._end(Outcome.HUNG)
        self.hang_up()

    # -- asyncio.Protocol --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.port = transport.get_extra_info("sockname")[1]
        self.open = True

    def data_received(self, data: bytes) -> None:
        if self._record is None:
            self.unasked += data
            self.hang_up()
            return
        self._begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._broken(data, str(error))
            self.hang_up()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._end(Outcome.BEGUN if self._begun else Outcome.LOST)

    # -- httptools ---------------------------------------------------------------------------------

    def on_body(self, body: bytes) -> None:
        """A piece of the answer's body."""
        self._body += body

    def on_message_complete(self) -> None:
        """The answer is here."""
        status = self._parser.get_status_code()
        if not self._parser.should_keep_alive():
            self.open = False
        record = self._record
        if record is None:
            self.unasked += self._body
        elif status == 200:
            right = self._body == body_of(record.request_id, record.size)
            self._end(Outcome.ANSWERED if right else Outcome.WRONG, "" if right else "body")
        else:
            self._end(Outcome.REFUSED, _code(status, self._body))

    def _broken(self, data: bytes, why: str) -> None:
        """Not HTTP: what followed a whole answer was asked for by nobody."""
        if self._record is None:
            self.unasked += data
        self._end(Outcome.WRONG, why)

    def _end(self, outcome: Outcome, detail: str = "") -> None:
        record, self._record = self._record, None
        if record is not None:
            record.outcome, record.detail = outcome, detail
            self._on_end(self, record)


def _code(status: int, body: bytes) -> str:
    """The balancer's word for its refusal; else the status."""
    try:
        return f"{status} {json.loads(body)['error']['code']}"
    except (ValueError, TypeError, KeyError):
        return str(status)
