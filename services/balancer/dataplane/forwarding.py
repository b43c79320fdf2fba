"""Who is said to ask: the forwarding lines that a request carries on to its target. No I/O.

A client's own lines are replaced; those of a trusted proxy are kept, and it is named behind them.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

_LAST_LINES: Final = b"Via: 1.1 steelyard\r\nX-Request-Id: "  # the id itself follows
_PEERS_KEPT: Final = 4096  # clients whose forwarding lines are remembered
_FORWARDED_FOR: Final = re.compile(rb"(?im)^x-forwarded-for:[ \t]*([^\r]*?)[ \t]*\r$")
_REQUEST_ID: Final = re.compile(rb"(?im)^x-request-id:[ \t]*([!-~]{1,128})[ \t]*\r$")


class Forwarding:
    """The lines by client; `trusted` are networks whose own lines are believed."""

    def __init__(self, trusted: tuple[str, ...]) -> None:
        self._trusted = tuple(map(ipaddress.ip_network, trusted))
        self._lines: dict[str, bytes | None] = {}

    def lines_for(self, peer: str) -> bytes | None:
        """The forwarding lines of a client by its address; None for a trusted proxy."""
        lines = self._lines.get(peer)
        if lines is None and peer not in self._lines:
            if len(self._lines) >= _PEERS_KEPT:
                self._lines.clear()
            lines = None if self._is_trusted(peer) else _forwarding(peer.encode(), b"http")
            self._lines[peer] = lines
        return lines

    def lines_after(self, peer: str, given: bytes) -> bytes:
        """A trusted proxy's own forwarding lines, with the proxy itself put at the end."""
        chain = [*_FORWARDED_FOR.findall(given), peer.encode()]
        kept = b"".join(
            line + b"\r\n"
            for line in given.split(b"\r\n")
            if line and line.partition(b":")[0].lower() not in (b"x-forwarded-for", b"x-request-id")
        )
        if b"x-forwarded-proto:" not in kept.lower():
            kept += b"X-Forwarded-Proto: http\r\n"
        return b"X-Forwarded-For: " + b", ".join(chain) + b"\r\n" + kept + _LAST_LINES

    def request_id(self, given: bytes) -> bytes | None:
        """The request id among a trusted proxy's lines, if there is one that can be kept."""
        match = _REQUEST_ID.search(given)
        return match[1] if match is not None else None

    def _is_trusted(self, peer: str) -> bool:
        if not self._trusted:
            return False
        try:
            address = ipaddress.ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        return any(address in network for network in self._trusted)


def _forwarding(peer: bytes, proto: bytes) -> bytes:
    return b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\n%b" % (peer, proto, _LAST_LINES)
