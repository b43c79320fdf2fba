"""Tunnels: what becomes of a connection that leaves HTTP by `Upgrade` (RFC 9110, 7.8).

A client's offer goes on when its protocol is one of the configured ones; all else is taken off and
the request goes on without it. After the target's 101 both connections belong to a `Tunnel`: bytes
go both ways as they come, a side that does not take them stops the other (back-pressure), and half
an end is handed on as half an end. The claim on the target is held until the tunnel ends.
"""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from copy import copy
from hashlib import sha1
from typing import TYPE_CHECKING, Final

from services.balancer.dataplane.http1 import Fields
from services.balancer.dataplane.observe import Attempt

if TYPE_CHECKING:
    from services.balancer.dataplane.accept import ClientConnection
    from services.balancer.dataplane.forward import TargetConnection
    from services.balancer.dataplane.plane import Plane
    from services.balancer.target import Target

WEBSOCKET: Final = b"websocket"
_LINES: Final = b"Connection: upgrade\r\nUpgrade: %b\r\n"
# RFC 6455, 4.2.2: what a server proves its understanding with.
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY: Final = re.compile(rb"(?im)^sec-websocket-key:[ \t]*([^\r]*?)[ \t]*\r$")
_ACCEPT: Final = re.compile(rb"(?im)^sec-websocket-accept:[ \t]*([^\r]*?)[ \t]*\r$")


def offer(method: bytes, minor: int, fields: Fields, protocols: frozenset[bytes]) -> Fields:
    """A request's fields with an offer of one of `protocols` that may go on, or without any.

    Only a GET of HTTP/1.1 without a body may switch: with a body there would be two opinions on
    where the new protocol begins. A WebSocket handshake has exactly one key (RFC 6455, 4.1).
    """
    changed = copy(fields)  # the original may be remembered
    offered = fields.upgrade
    changed.upgrade = None
    if (
        offered is not None
        and method == b"GET"
        and minor == 1
        and not fields.chunked
        and not fields.content_length
    ):
        for name in offered.split(b","):
            protocol = name.strip(b" \t").lower()
            if protocol not in protocols:
                continue
            if protocol == WEBSOCKET and len(_KEY.findall(fields.onward)) != 1:
                continue
            changed.upgrade = protocol
            changed.onward = fields.onward + _LINES % protocol
            break
    return changed


def switches(asked: Fields, answered: Fields) -> bool:
    """Whether a 101 takes up what was offered, and proves it where the protocol has a proof.

    A target that was brought to say 101 by what a client wrote cannot prove it, so nobody gets a
    tunnel to something that still speaks HTTP.
    """
    protocol = asked.upgrade
    if protocol is None or answered.upgrade is None or answered.upgrade.lower() != protocol:
        return False
    if protocol != WEBSOCKET:
        return True
    (key,) = _KEY.findall(asked.onward)
    proof = b64encode(sha1(key + _GUID, usedforsecurity=False).digest())
    return _ACCEPT.findall(answered.onward) == [proof]


class Tunnel:
    """Two connections joined. `deadline` is the earlier of the idle and the total limit.

    Resource handling: owns both transports, the attempt's claim and a place among the plane's
    tunnels from its making on; gives them back when both connections are gone.
    """

    __slots__ = (
        "_ahead",
        "_attempt",
        "_client",
        "_open",
        "_place",
        "_plane",
        "_sides",
        "_until",
        "deadline",
    )

    def __init__(
        self, plane: Plane, client: ClientConnection, target: TargetConnection, attempt: Attempt
    ) -> None:
        self._plane = plane
        self._client = client
        self._attempt: Attempt | None = attempt
        self._until = plane.deadlines.now + plane.config.timeouts.tunnel_total_s
        self.deadline = self._until
        transport, self._ahead = client.give_up()
        near, far = _Side(self, transport), _Side(self, target.give_up())
        near.other, far.other = far, near
        near.ended = client.ended
        if client.blocked:
            far.transport.pause_reading()
        if target.blocked:
            near.transport.pause_reading()
        self._sides = (near, far)
        self._open = 2
        self._place = plane.deadlines.watch(self)
        plane.count_tunnel(1)

    def __repr__(self) -> str:
        return f"<Tunnel {self._attempt.target.id if self._attempt else 'ending'}>"

    def begin(self, data: bytes) -> None:
        """Send the client `data`, the target what was sent ahead; from here on pass on all."""
        near, far = self._sides
        for side in self._sides:
            side.transport.set_protocol(side)  # type: ignore[arg-type] # a protocol by shape
        self.touch()
        near.transport.write(data)
        if self._ahead:
            far.transport.write(self._ahead)
            self._ahead = b""
        if near.ended:
            far.transport.write_eof()

    def touch(self) -> None:
        """Something moved."""
        self.deadline = min(self._plane.until_tunnel_idle, self._until)

    def lost(self, side: _Side, exc: Exception | None) -> None:
        """One connection is gone; the other follows once it has taken what is on its way."""
        if self._attempt is not None:
            self._attempt.leave()
            self._attempt = None
        self._open -= 1
        if self._open == 0:
            plane = self._plane
            plane.deadlines.forget(self, self._place)
            plane.count_tunnel(-1)
            self._client.tell("tunnel")
            plane.target_connections -= 1
            plane.dismiss(self._client)
        elif exc is None:
            self.touch()
            side.other.transport.close()
        else:
            side.other.transport.abort()

    def cut(self, target: Target) -> None:
        """The drain of a target has lasted too long: is it this one's?"""
        if self._attempt is not None and self._attempt.target is target:
            self.expired(0.0)

    def expired(self, now: float) -> None:
        """Idle for too long, or open for too long."""
        for side in self._sides:
            side.transport.abort()


class _Side:
    """An asyncio protocol: one of a tunnel's two connections."""

    __slots__ = ("_tunnel", "ended", "other", "transport")

    def __init__(self, tunnel: Tunnel, transport: asyncio.Transport) -> None:
        self._tunnel = tunnel
        self.transport = transport
        self.other: _Side
        self.ended = False  # sends no more

    def data_received(self, data: bytes) -> None:
        """Whatever it is, it is the other's."""
        self._tunnel.touch()
        self.other.transport.write(data)

    def pause_writing(self) -> None:
        """It takes no more for now."""
        if not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """It takes more."""
        self._tunnel.touch()
        if not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        """It sends no more; it may still read."""
        self._tunnel.touch()
        self.ended = True
        other = self.other.transport
        if self.other.ended or other.is_closing():
            other.close()
            return False
        other.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._tunnel.lost(self, exc)
