"""Messages as h11 and llhttp read them. Both raise ReadingError for what they do not accept."""

from __future__ import annotations

from typing import Final, NamedTuple

import h11
import httptools

NEXT: Final = b"GET /next HTTP/1.1\r\nHost: n\r\n\r\n"
_MOST: Final = 1 << 20


class ReadingError(Exception):
    """Not a message, or not one whole."""


class Reading(NamedTuple):
    """What a parser makes of one message. `start` is method and target, or the status."""

    start: tuple[bytes, ...]
    body: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    trailers: tuple[tuple[bytes, bytes], ...]
    rest: bytes


def _events(parser: h11.Connection) -> Reading:
    head: h11.Request | h11.Response | None = None
    body = b""
    while True:
        try:
            event = parser.next_event()
        except h11.RemoteProtocolError as error:
            raise ReadingError(str(error)) from error
        if isinstance(event, (h11.Request, h11.Response)):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            break
        elif not isinstance(event, h11.InformationalResponse):
            raise ReadingError("not whole")
    if head is None:
        raise ReadingError("no head")
    start = (
        (head.method, head.target) if isinstance(head, h11.Request) else (b"%d" % head.status_code,)
    )
    return Reading(start, body, tuple(head.headers), tuple(event.headers), parser.trailing_data[0])


def request_by_h11(wire: bytes) -> Reading:
    """The first request."""
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST)
    parser.receive_data(wire)
    return _events(parser)


def response_by_h11(method: bytes, wire: bytes, *, ends: bool) -> Reading:
    """The final answer to `method`; 1xx before it are read, too."""
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST)
    parser.send(h11.Request(method=method, target="/", headers=[("Host", "h")]))
    parser.send(h11.EndOfMessage())
    if wire:
        parser.receive_data(wire)
    if ends:
        parser.receive_data(b"")
    return _events(parser)


class _Seen:
    """Callbacks of httptools."""

    def __init__(self) -> None:
        self.target = b""
        self.body = b""
        self._ended = 0

    def ended(self) -> int:
        """How many messages are whole."""
        return self._ended

    def on_url(self, url: bytes) -> None:
        """Part of the target."""
        self.target += url

    def on_body(self, data: bytes) -> None:
        """Part of the body."""
        self.body += data

    def on_message_complete(self) -> None:
        """An end."""
        self._ended += 1


def request_by_llhttp(message: bytes) -> Reading:
    """One request; it must end with the last byte of `message`, and not before."""
    seen = _Seen()
    parser = httptools.HttpRequestParser(seen)
    try:
        parser.feed_data(message[:-1])
        if seen.ended():
            raise ReadingError("ends before its last byte")
        parser.feed_data(message[-1:])
    except httptools.HttpParserUpgrade as error:
        if not seen.ended():  # else what follows is of another protocol, and nothing does
            raise ReadingError(repr(error)) from error
    except httptools.HttpParserError as error:
        raise ReadingError(repr(error)) from error
    if seen.ended() != 1:
        raise ReadingError("does not end with its last byte")
    return Reading((bytes(parser.get_method()), seen.target), seen.body, (), (), b"")


def response_by_llhttp(message: bytes, *, ends: bool) -> Reading:
    """One final response, as `request_by_llhttp`; with `ends` it may end with its connection."""
    seen = _Seen()
    parser = httptools.HttpResponseParser(seen)
    try:
        parser.feed_data(message)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
        raise ReadingError(repr(error)) from error
    if seen.ended() != 1 and not ends:
        raise ReadingError("not whole, or more than one")
    return Reading((b"%d" % parser.get_status_code(),), seen.body, (), (), b"")
