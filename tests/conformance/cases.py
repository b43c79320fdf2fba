"""A line of a table: bytes in, and what must come of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HOST: Final = b"Host: h\r\n"
GET: Final = b"GET /c HTTP/1.1\r\nHost: h\r\n\r\n"
OWN: Final = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"  # answered by the balancer itself
SMUGGLED: Final = b"GET /c?smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a client sends in one piece, and what becomes of it.

    `seen` are the messages that the target gets, to the byte, without the lines in which this hop
    speaks of itself. `statuses` are the final answers in their order. With `closes` the connection
    ends after them; without, one more request on it must be served. With `half` the client closes
    its own half when it has sent.
    """

    section: str
    what: str
    sent: bytes
    seen: tuple[bytes, ...] = ()
    statuses: tuple[int, ...] = (200,)
    closes: bool = False
    half: bool = False

    def __str__(self) -> str:
        return f"{self.section} {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a target sends in one piece (with `ends`, it closes then), and what the client sees.

    `seen` is to the byte. With `cut`, a reset follows it; with `closes`, a clean end; otherwise one
    more request on the client's connection must be served. `kept`: the target's connection is used
    for the next request.
    """

    section: str
    what: str
    answered: bytes
    seen: bytes
    asked: bytes = GET
    ends: bool = False
    closes: bool = False
    cut: bool = False
    kept: bool = True

    def __str__(self) -> str:
        return f"{self.section} {self.what}"


def passed(section: str, what: str, sent: bytes, seen: bytes | None = None) -> Asked:
    """One request that the target gets as `seen` (None: as it came)."""
    return Asked(section=section, what=what, sent=sent, seen=(sent if seen is None else seen,))


def refused(section: str, what: str, status: int, sent: bytes) -> Asked:
    """Nothing of it, or behind it, reaches a target; the balancer answers once and closes."""
    return Asked(section=section, what=what, sent=sent + SMUGGLED, statuses=(status,), closes=True)
