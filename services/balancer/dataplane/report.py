"""A target's load report as it rides on a response: ORCA's text form. Pure.

`endpoint-load-metrics: TEXT cpu_utilization=0.3, named_metrics.pending=4`, as Envoy and gRPC read
it. Its JSON and binary forms are not read.
"""

from __future__ import annotations

import re
from typing import Final

from services.balancer.load import Load

_NUMBER: Final = rb"=[ \t]*([0-9]{1,9}(?:\.[0-9]{1,9})?)[ \t]*(?:,|\Z)"
_PENDING: Final = re.compile(rb"[ ,]named_metrics\.pending" + _NUMBER)
_LATENCY_MS: Final = re.compile(rb"[ ,]named_metrics\.latency_ms" + _NUMBER)
_CPU: Final = re.compile(rb"[ ,]cpu_utilization" + _NUMBER)
_AS_MOST: Final = b"\nendpoint-load-metrics:"  # write it: to find that is cheaper
# A whole field line and the line feed before it; the value by RFC 9110, 5.5.
_LINE: Final = re.compile(
    rb"\n[eE][nN][dD][pP][oO][iI][nN][tT]-[lL][oO][aA][dD]-[mM][eE][tT][rR][iI][cC][sS]:"
    rb"([\t\x20-\x7e\x80-\xff]*+)\r\n"
)


def apart(head: bytes) -> tuple[bytes, bytes | None]:
    """A response head without its (first) load report, and what that says; None when it has none.

    A report is different each time, what is left over the same: so that can be remembered.
    """
    at = head.find(_AS_MOST)
    match = _LINE.search(head) if at < 0 else _LINE.match(head, at)
    if match is None:
        return head, None
    return head[: match.start() + 1] + head[match.end() :], match[1].strip(b" \t")


def hear(load: Load, value: bytes, now: float) -> None:
    """Tell `load` what its target has said; of that only what it wants: each figure costs."""
    if load.wants_latency:
        load.reported(*read_report(value), now)
    elif value.startswith(b"TEXT "):
        pending = _PENDING.search(value)
        load.reported(float(pending[1]) if pending is not None else None, None, None, now)


def read_report(value: bytes) -> tuple[float | None, float | None, float | None]:
    """Pending, latency near that in seconds, CPU (0..1); None for each that is not said."""
    if not value.startswith(b"TEXT "):
        return None, None, None
    pending = _PENDING.search(value)
    latency_ms = _LATENCY_MS.search(value)
    cpu = _CPU.search(value)
    return (
        float(pending[1]) if pending is not None else None,
        float(latency_ms[1]) / 1000.0 if latency_ms is not None else None,
        min(float(cpu[1]), 1.0) if cpu is not None else None,
    )
