"""Heads as they were read, kept for when the very same bytes come again.

Clients repeat themselves, and so do targets: who polls, who asks for the front page, whose answers
differ in their bodies alone. What a head means depends on nothing but its bytes and the
configuration, so a head that was read once, and everything that is worked out from it, is found
again by a look at a dictionary. Bounded; made anew with each configuration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

from services.balancer.dataplane.http1 import Fields, response_has_body

if TYPE_CHECKING:
    from services.balancer.dataplane.plane import Destination
    from services.balancer.dataplane.route import Route

HEAD_BYTES: Final = 2048  # a longer head is not kept, nor looked for: that alone would cost
HEADS: Final = 512

H = TypeVar("H")


class RequestHead:
    """`line` is the request line as it goes on; `close`: the client wants no other request.

    Only what is `usual` may be remembered; the rest takes a closer look each time.
    """

    __slots__ = (
        "_ahead",
        "_lines",
        "close",
        "fields",
        "head_only",
        "line",
        "method",
        "minor",
        "route",
        "usual",
    )

    def __init__(
        self,
        line: bytes,
        method: bytes,
        minor: int,
        fields: Fields,
        route: Route[Destination] | None,
        *,
        usual: bool,
    ) -> None:
        self.line = line
        self.method = method
        self.minor = minor
        self.fields = fields
        self.route = route
        self.usual = usual
        self.head_only = method == b"HEAD"
        self.close = fields.close or (minor == 0 and not fields.keep_alive)  # RFC 9112, 9.3
        self._lines = b""
        self._ahead = b""

    def ahead_of(self, lines: bytes) -> bytes:
        """The head as it goes on, with `lines` of ours at its end, which is still open.

        `lines` are a client's: that of the last time is remembered.
        """
        if lines is not self._lines:
            self._lines = lines
            self._ahead = self.line + self.fields.onward + lines
        return self._ahead


class ResponseHead:
    """`line` is of HTTP/1.1, whatever the target speaks: `minor` says what.

    `left` is how many bytes of a body follow, when the head alone says so (unless HEAD was asked);
    -1: it takes a closer look. `whole` is what goes on, when nothing has to be added.
    """

    __slots__ = ("fields", "left", "line", "minor", "reusable", "status", "whole")

    def __init__(self, line: bytes, status: int, minor: int, fields: Fields) -> None:
        self.line = line = line if minor else b"HTTP/1.1" + line[8:]
        self.status = status
        self.minor = minor
        self.fields = fields
        length = fields.content_length
        self.left = length if length is not None and response_has_body(b"GET", status) else -1
        self.reusable = not fields.close and (minor == 1 or fields.keep_alive)
        self.whole = line + fields.onward + b"\r\n"


class Heads(Generic[H]):
    """By their bytes; forgets everything when full. `known` may be asked directly."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: dict[bytes, H] = {}

    def keep(self, data: bytes, head: H) -> None:
        """For the next time that these bytes come, unless they are too many."""
        if len(data) > HEAD_BYTES:
            return
        if len(self.known) >= HEADS:
            self.known.clear()
        self.known[data] = head
