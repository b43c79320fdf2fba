"""A client's connection as something to write to, to hold up, and to end well.

What comes on it is read by `accept.ClientConnection`, which builds on this.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from services.balancer.dataplane.logged import CUT, tell

if TYPE_CHECKING:
    from services.balancer.dataplane.exchange import Exchange
    from services.balancer.dataplane.plane import Plane
    from services.balancer.target import Target

_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close by a reset
_LINGER_BYTES: Final = 262_144  # read and dropped at most, so that the last answer arrives


class ClientSide:
    """`deadline` is what the client, or the target on its behalf, must meet next."""

    __slots__ = (
        "_at",
        "_buffer",
        "_exchange",
        "_lingering",
        "_place",
        "_plane",
        "_transport",
        "_write",
        "blocked",
        "close_after",
        "deadline",
        "ended",
        "origin",
        "paused",
    )

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._transport: asyncio.Transport
        self._write: Callable[[bytes], None]  # the transport's own, looked up once
        self._exchange: Exchange | None = None
        self._buffer = b""  # an unfinished head, or requests sent ahead
        self._at = 0  # where in the buffer they begin; what is before that has been served
        self._lingering = -1  # bytes dropped since the last answer; -1: not at the end yet
        self._place = -1  # where the timer looks after it; -1: it does not
        self.origin = ""  # where it is counted as coming from
        self.ended = False  # the client sends no more
        self.deadline = 0.0
        self.close_after = False
        self.paused = False  # we read no more for now
        self.blocked = False  # the client reads no more for now

    def expired(self, now: float) -> None:
        """The deadline has passed."""
        raise NotImplementedError

    def cut(self, target: Target) -> None:
        """The drain of a target has lasted too long."""
        if self._exchange is not None:
            self._exchange.cut(target)

    def write(self, data: bytes) -> None:
        """Bytes of an answer."""
        self._write(data)

    def pause(self) -> None:
        """Read no more for now."""
        if not self.paused:
            self.paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self.paused:
            self.paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """The answer cannot be completed: the client must see it cut, not ended.

        A reset says so; a mere end would complete an answer that is framed by its connection.
        """
        self.tell(CUT)
        self._exchange = None
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self._transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def tell(self, ended: str) -> None:
        """The access log hears how the present request ended."""
        if self._exchange is not None:
            tell(self._exchange, ended)

    def give_up(self) -> tuple[asyncio.Transport, bytes]:
        """A tunnel takes the connection over: the transport, and what was sent ahead.

        The plane counts this client until the tunnel ends.
        """
        self._plane.deadlines.forget(self, self._place)
        self.resume()
        ahead, self._buffer, at, self._at = self._buffer, b"", self._at, 0
        return self._transport, ahead[at:]

    def _linger(self) -> None:
        """Close our half and drop what still comes: an early reset would destroy the answer."""
        plane = self._plane
        self._lingering = 0
        self._buffer = b""
        self.deadline = plane.deadlines.now + plane.config.timeouts.linger_s
        self.resume()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _drop(self, count: int) -> None:
        self._lingering += count
        if self._lingering > _LINGER_BYTES:
            self._transport.abort()
