"""May this request be tried again: a pure decision.

A request that the target may have seen is repeated only when that is harmless by its method
(RFC 9110, 9.2.2) and when its body can be sent again, which here means that it has none. Whether
the cluster can afford it is the budget's to say.
"""

from __future__ import annotations

from typing import Final

from services.balancer.dataplane.errors import Fault

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})
RETRIES: Final = 1  # of a request that may have been seen
NEVER_SENT_RETRIES: Final = 2  # connects that failed: nothing was sent to anyone
STALE_RETRIES: Final = 2  # pooled connections that the target had just closed


class Tries:
    """What has been spent on one request."""

    __slots__ = ("never_sent", "seen", "stale")

    def __init__(self) -> None:
        self.seen = 0
        self.never_sent = 0
        self.stale = 0

    def allows(
        self, fault: Fault, method: bytes, *, bodyless: bool, time_left: bool = True
    ) -> bool:
        """Whether the request may go out once more after `fault`; counts it when so.

        To be asked only while no byte of a response has gone to the client.
        """
        if not time_left:
            return False
        if fault is Fault.CONNECT:
            self.never_sent += 1
            return self.never_sent <= NEVER_SENT_RETRIES
        if fault is Fault.STARVED or not bodyless or method not in IDEMPOTENT:
            return False
        if fault is Fault.STALE:
            self.stale += 1
            return self.stale <= STALE_RETRIES
        self.seen += 1
        return self.seen <= RETRIES

    @property
    def another(self) -> bool:
        """Whether one that may have been seen may go out again."""
        return self.seen < RETRIES
