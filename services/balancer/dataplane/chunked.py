"""Chunked bodies (RFC 9112, 7.1), checked while they pass. No I/O.

What comes out is the very bytes that came in, once they are known to be well formed: chunk for
chunk, so that the next hop frames them as we did. A size line or trailer that is not whole yet
waits here, and is bounded.
"""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_QUOTED: Final = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*+"'
_EXTENSION: Final = (
    rb"[ \t]*+;[ \t]*+" + _TOKEN + rb"(?:[ \t]*+=[ \t]*+(?:" + _TOKEN + rb"|" + (_QUOTED) + rb"))?"
)
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:" + _EXTENSION + rb")*+\r\n")
_TRAILER_LINE: Final = re.compile(_TOKEN + rb":[\t\x20-\x7e\x80-\xff]*+\r\n")
# RFC 9110, 6.5.1: what frames or routes a message may not come after it.
_NOT_IN_TRAILER: Final = re.compile(
    rb"(?i)(?:content-length|transfer-encoding|host|connection|te|trailer|upgrade|expect"
    rb"|authorization|content-encoding|content-type|content-range|set-cookie|cookie):"
)
# What this hop says of itself, or takes for itself: taken off, as it is from a head.
_OWN: Final = re.compile(
    rb"(?i)(?:x-forwarded-(?:for|proto|host|port)|x-real-ip|forwarded|x-request-id|keep-alive"
    rb"|proxy-connection|proxy-authenticate|proxy-authorization|endpoint-load-metrics):"
)

# RFC 9112, 7.1.1: space around an extension is to be read, and not to be sent. There are parsers
# that refuse it, so what has some (a quoted string may, too) goes on without its extensions.
_SPACE: Final = re.compile(rb"[ \t]")
# Per chunk this much framing is free, and twice its size; what goes beyond is added up over the
# body (the rule of Go's net/http, whose bound of the sum this is, too).
_FREE_LINE_BYTES: Final = 16
MAX_EXCESS_BYTES: Final = 16_384
MAX_LINE_BYTES: Final = 256
MAX_TRAILER_BYTES: Final = 8192


class BadChunk(Exception):
    """The body breaks the chunked grammar or a bound."""


class ChunkedBody:
    """Follows one chunked body.

    `feed` takes what was read and gives what may go on. After `done`, `rest` holds the bytes that
    follow the body (the next message). With `payload_only` the framing is taken off (for a peer
    that speaks HTTP/1.0). `nominated` are names (lower-case) that Connection gave: trailers of
    these names, and those of the hop itself, do not go on (RFC 9110, 7.6.1).
    """

    __slots__ = (
        "_excess",
        "_held",
        "_left",
        "_nominated",
        "_payload_only",
        "_trailer",
        "done",
        "rest",
    )

    def __init__(
        self, nominated: frozenset[bytes] = frozenset(), *, payload_only: bool = False
    ) -> None:
        self.done = False
        self.rest = b""
        self._held = b""  # an unfinished line
        self._left = 0  # bytes of the present chunk still to come, its CRLF included
        self._trailer = -1  # bytes of trailer seen; -1: not there yet
        self._excess = 0  # bytes of chunk extensions beyond what is free
        self._nominated = nominated
        self._payload_only = payload_only

    def feed(self, data: bytes) -> bytes:
        """The bytes that are now known to be good. Raises BadChunk."""
        if self._held:
            data = self._held + data
            self._held = b""
        at = 0
        out: list[bytes] = []
        end = len(data)
        while at < end and not self.done:
            if self._left:
                at = self._data(data, at, out)
            elif self._trailer < 0:
                at = self._size(data, at, out)
            else:
                at = self._trailer_line(data, at, out)
            if at < 0:
                break
        if self.done:
            self.rest = data[at:]
        return out[0] if len(out) == 1 else b"".join(out)

    def _line_end(self, data: bytes, at: int, most: int) -> int:
        """Where the line at `at` ends, its CRLF included; -1 when it is held for later."""
        feed = data.find(b"\n", at, at + most)
        if feed >= 0:
            return feed + 1
        if len(data) - at >= most:
            raise BadChunk("a line is too long")
        self._held = data[at:]
        return -1

    def _size(self, data: bytes, at: int, out: list[bytes]) -> int:
        end = self._line_end(data, at, MAX_LINE_BYTES)
        if end < 0:
            return -1
        match = _SIZE_LINE.fullmatch(data, at, end)
        if match is None:
            raise BadChunk("a chunk size line breaks the grammar")
        size = int(match[1], 16)
        line = data[at:end]
        if match.end(1) + 2 != end:
            excess = self._excess + end - at - _FREE_LINE_BYTES - 2 * size
            if excess > MAX_EXCESS_BYTES:
                raise BadChunk("more chunk extensions than data")
            self._excess = max(excess, 0)
            if _SPACE.search(line) is not None:
                line = match[1] + b"\r\n"
        if size:
            self._left = size + 2
        else:
            self._trailer = 0
        if not self._payload_only:
            out.append(line)
        return end

    def _data(self, data: bytes, at: int, out: list[bytes]) -> int:
        have = len(data) - at
        left = self._left
        take = min(have, left)
        payload = min(take, left - 2) if left > 2 else 0
        tail = data[at + payload : at + take]
        expected = b"\r\n"[-left:] if left < 2 else b"\r\n"
        if tail and not expected.startswith(tail):
            raise BadChunk("a chunk does not end where its size says")
        self._left = left - take
        if self._payload_only:
            if payload:
                out.append(data[at : at + payload])
        else:
            out.append(data[at : at + take])
        return at + take

    def _trailer_line(self, data: bytes, at: int, out: list[bytes]) -> int:
        end = self._line_end(data, at, MAX_TRAILER_BYTES - self._trailer)
        if end < 0:
            return -1
        line = data[at:end]
        self._trailer += len(line)
        if line == b"\r\n":
            self.done = True
        elif _TRAILER_LINE.fullmatch(line) is None or _NOT_IN_TRAILER.match(line) is not None:
            raise BadChunk("a trailer line breaks the grammar")
        elif _OWN.match(line) is not None or (
            self._nominated and line.partition(b":")[0].lower() in self._nominated
        ):
            return end
        if not self._payload_only:
            out.append(line)
        return end
