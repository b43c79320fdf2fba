"""One small HTTP request to a target at a time, on a connection that is kept.

A fleet is checked and probed hundreds of times a second, so this is a protocol on httptools and no
general client: no redirects, no cookies, no proxies, which have no place in a health check anyway.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, NamedTuple, cast
from urllib.parse import quote

import httptools

from services.balancer.address import Address
from services.balancer.patience import Patience

MAX_BODY_BYTES: Final = 64 * 1024
MAX_BYTES: Final = 4 * MAX_BODY_BYTES  # of an answer in all: head, framing of chunks, 1xx
KEEP_ALIVE_S: Final = 4.0  # below uvicorn's 5 s, so that the target does not close first
_KEPT: Final = 2  # a check and a probe may be out together
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
_PATH: Final = "/?#[]@!$&'()*+,;=:%~"  # what stays as it is in a path with a query (RFC 3986)


class LineError(Exception):
    """The target gave no usable answer; the message says why in a few words."""


class Answer(NamedTuple):
    """`latency_s` runs from the request sent to the head of the answer, on an open connection."""

    status: int
    body: bytes
    latency_s: float


class Line:
    """Requests to one target.

    Resource handling: a request has a connection for itself; two are kept between requests, until
    they are older than the target may like, or `close`.
    Error handling: every failure of the target is a LineError. A kept connection that the target
    closed before it answered is none: the request goes out again on a new one.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._fields = (
            f" HTTP/1.1\r\nHost: {address}\r\nUser-Agent: steelyard\r\nAccept: */*\r\n\r\n".encode()
        )
        self._kept: list[_Connection] = []

    async def get(self, path: str, timeout_s: float) -> Answer:
        """GET `path`; the whole answer has to be here within `timeout_s`."""
        request = b"GET " + quote(path, safe=_PATH).encode() + self._fields
        connection: _Connection | None = None
        try:
            async with Patience(timeout_s):
                while True:
                    connection = self._take()
                    kept = connection is not None
                    connection = connection or await self._connect()
                    try:
                        answer = await connection.ask(request)
                        break
                    except _ClosedUnheard as error:
                        if not kept:
                            raise LineError("broken answer: closed before it") from error
        except TimeoutError as error:
            raise LineError(f"no answer within {timeout_s:g} s") from error
        finally:
            if connection is not None:
                self._keep(connection)
        return answer

    async def close(self) -> None:
        """Close the connections."""
        for connection in self._kept:
            connection.abort()
        self._kept.clear()

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                _Connection, self._address.host, self._address.port
            )
        except OSError as error:
            raise LineError(f"no connection: {error.strerror or _words(error)}") from error
        return connection

    def _take(self) -> _Connection | None:
        stale = time.monotonic() - KEEP_ALIVE_S
        while self._kept:
            connection = self._kept.pop()
            if connection.reusable and connection.rested_at > stale:
                return connection
            connection.abort()
        return None

    def _keep(self, connection: _Connection) -> None:
        """Keep it for the next request; one whose answer is not whole, or was the last, goes."""
        if connection.reusable and len(self._kept) < _KEPT:
            connection.rested_at = time.monotonic()
            self._kept.append(connection)
        else:
            connection.abort()


class _ClosedUnheard(Exception):
    """The connection ended before any byte of an answer."""


class _Connection(asyncio.Protocol):
    """One connection, one request at a time. `reusable` while it is open and between requests."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._parser: httptools.HttpResponseParser
        self._waiter: asyncio.Future[Answer] | None = None
        self._body = b""
        self._bytes = 0  # of the present answer
        self._framed = False  # its length is known without the end of the connection
        self._head_done = False
        self._sent_at = self._answered_at = 0.0
        self.reusable = False
        self.rested_at = 0.0

    async def ask(self, request: bytes) -> Answer:
        """Raises LineError for what is no usable answer, _ClosedUnheard where none began."""
        self._waiter = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._body, self._bytes = b"", 0
        self._framed = self._head_done = self.reusable = False
        self._sent_at = time.perf_counter()
        self._transport.write(request)
        return await self._waiter

    def abort(self) -> None:
        """Close at once."""
        self._waiter = None
        self.reusable = False
        self._transport.abort()

    # -- asyncio.Protocol --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._waiter is None:
            self.abort()  # nobody asked
            return
        self._bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(LineError("broken answer: another protocol"))
        except httptools.HttpParserError as error:
            self._fail(LineError(f"broken answer: {_words(error)}"))
        if self._bytes > MAX_BYTES:
            self._fail(LineError(f"answered more than {MAX_BYTES} bytes"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        if self._head_done and not self._framed and exc is None:
            self._done()  # its end was to be the connection's (RFC 9112, 6.3)
        elif self._bytes:
            self._fail(LineError("broken answer: closed inside it"))
        else:
            self._fail(_ClosedUnheard())

    # -- httptools ---------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """An answer, a 1xx before it, or what follows it and is nobody's."""
        if self._waiter is None:
            self.reusable = False

    def on_header(self, name: bytes, _: bytes) -> None:
        """A field of the head."""
        self._framed = self._framed or name.lower() in _FRAMING

    def on_headers_complete(self) -> None:
        """A head is here: the final one, or a 1xx before it."""
        if self._parser.get_status_code() >= 200:
            self._head_done = True
            self._answered_at = time.perf_counter()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body += body
        if len(self._body) > MAX_BODY_BYTES:
            self._fail(LineError(f"answered more than {MAX_BODY_BYTES} bytes"))

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._head_done and self._waiter is not None:
            self.reusable = self._parser.should_keep_alive()
            self._done()

    # -- the end -----------------------------------------------------------------------------------

    def _done(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            status = self._parser.get_status_code()
            waiter.set_result(Answer(status, self._body, self._answered_at - self._sent_at))

    def _fail(self, error: Exception) -> None:
        """Anything wrong, also after a whole answer: the connection serves no more."""
        self.reusable = False
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
