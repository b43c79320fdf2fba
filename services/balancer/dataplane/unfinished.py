"""What has come of a request before its head is whole: may it still become one? No I/O.

Only asked when no whole head is there, so that nothing of it weighs on a usual request.
"""

from __future__ import annotations

import re
from typing import Final

from services.balancer.dataplane.errors import Refusal
from services.balancer.dataplane.http1 import BARE_LINE_FEED, HEAD_END, REQUEST_LINE

_EMPTY_LINES: Final = re.compile(rb"(?:\r\n)++")
_BEGINNING: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?: [\x21\x22\x24-\x7e]*| ?)")
# RFC 9110, 15.6.6: a version, but not one of ours.
_OTHER_VERSION: Final = re.compile(
    rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++ [\x21\x22\x24-\x7e]++ HTTP/[0-9]\.[0-9]\r\n"
)
_LINE_SLACK: Final = 64  # bytes of method, version and spaces beside the longest target


def empty_lines(data: bytes) -> int:
    """How many bytes of empty lines stand in front of a request line (RFC 9112, 2.2)."""
    match = _EMPTY_LINES.match(data)
    return 0 if match is None else match.end()


def fault(data: bytes, target_bytes: int, head_bytes: int) -> tuple[Refusal, str] | None:
    """Why these bytes cannot become a head within the limits; None while they can."""
    if data == b"\r":
        return None  # half of an empty line
    if b"\n" not in data:
        if len(data) > target_bytes + _LINE_SLACK:
            return Refusal.TARGET_TOO_LONG, "request line over the limit"
        return None if _BEGINNING.match(data) else (Refusal.MALFORMED, "this is not HTTP")
    if REQUEST_LINE.match(data) is None:
        other = _OTHER_VERSION.match(data) is not None
        return (
            (Refusal.VERSION, "neither HTTP/1.1 nor HTTP/1.0")
            if other
            else (Refusal.MALFORMED, "the request line breaks the grammar")
        )
    if HEAD_END in data or BARE_LINE_FEED.search(data) is not None:
        return Refusal.MALFORMED, "a header line breaks the grammar"
    over = len(data) > head_bytes
    return (Refusal.HEAD_TOO_LARGE, "request head over the limit") if over else None
