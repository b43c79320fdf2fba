"""One handle per attempt: gives the claim back and records what came of it. Exactly once.

Pending is in the ledger at once. Counts are kept in plain lists and written there a few times a
second (`PooledTarget.publish`), which costs a request less.
"""

from __future__ import annotations

import enum
from typing import Final

from services.balancer.dataplane.errors import Fault
from services.balancer.ledger import LATENCY_BOUNDS_US, ProcessCell, TargetCell
from services.balancer.target import Target

# IntEnum members are slow to index with; plain numbers are not.
_REQUESTS: Final = int(TargetCell.REQUESTS)
_RESPONSES: Final = int(TargetCell.RESPONSES_1XX) - 1
_LATENCY_SUM: Final = int(TargetCell.LATENCY_SUM_US)
_LATENCY_BUCKETS: Final = int(TargetCell.LATENCY_BUCKET_0)
_ABORTED: Final = int(TargetCell.ABORTED)
_FAULTS: Final = {
    Fault.CONNECT: int(TargetCell.CONNECT_FAILURES),
    Fault.BROKEN: int(TargetCell.BROKEN),
    Fault.TIMEOUT: int(TargetCell.TIMEOUTS),
    Fault.STALE: int(TargetCell.STALE),
    Fault.STARVED: int(TargetCell.STARVED),
}
_BOUNDS: Final[list[int]] = list(LATENCY_BOUNDS_US)
_ANSWERED_HERE: Final = int(ProcessCell.ANSWERED_HERE_2XX) - 2
_RETRIES: Final = int(ProcessCell.RETRIES)
_CLIENT_ABORTS: Final = int(ProcessCell.CLIENT_ABORTS)


def _bucket(latency_us: int) -> int:
    """Where it falls among the bounds: the first that it does not exceed.

    `bisect_left`, written out: compiled, a call of that costs more than all of this.
    """
    bounds = _BOUNDS
    low, high = 0, len(bounds)
    while low < high:
        middle = (low + high) >> 1
        if bounds[middle] < latency_us:
            low = middle + 1
        else:
            high = middle
    return low


class Ended(enum.Enum):
    """How an attempt ended when the target was not at fault."""

    ANSWERED = "answered"
    ABORTED = "aborted"  # the client left, or was too slow


ANSWERED: Final = Ended.ANSWERED


class Attempt:
    """A claimed place on a target, from the claim until the answer's body has ended.

    `counts` are the target's counts by TargetCell; times are seconds of the policies' clock.
    """

    __slots__ = ("_counts", "_open", "started", "status", "target")

    def __init__(self, target: Target, counts: list[int], now: float) -> None:
        self.target = target
        self.status = 0  # of the final response head, once there is one
        self.started = now
        self._counts = counts
        self._open = True

    def close(self, how: Ended | Fault, now: float) -> None:
        """Release the claim and record the outcome. A second call is a fault of ours: it raises."""
        if not self._open:
            raise RuntimeError(f"attempt at {self.target.id} closed twice")
        self._open = False
        target = self.target
        target.release()
        latency_s = now - self.started
        counts = self._counts
        counts[_REQUESTS] += 1
        if how is ANSWERED:
            status = self.status
            latency_us = int(latency_s * 1e6)
            counts[_RESPONSES + status // 100] += 1
            counts[_LATENCY_SUM] += latency_us
            counts[_LATENCY_BUCKETS + _bucket(latency_us)] += 1
            if status < 500:
                target.load.succeed(latency_s, now)
                if target.failed_in_row:
                    target.failed_in_row = 0
            else:
                target.load.fail(latency_s, now)
                target.failed(now)
        elif how is Ended.ABORTED:
            counts[_ABORTED] += 1
            target.load.abandon(latency_s, now)
        else:
            counts[_FAULTS[how]] += 1
            if how is Fault.STALE or how is Fault.STARVED:
                target.load.void(latency_s, now)
            else:
                target.load.fail(latency_s, now)
                target.failed(now, unreachable=how is Fault.CONNECT)

    def switched(self, now: float) -> None:
        """The answer was 101: it is recorded here, the claim goes on until the tunnel's end."""
        self.status = 101
        self._counts[_REQUESTS] += 1
        self._counts[_RESPONSES + 1] += 1
        self.target.load.succeed(now - self.started, now)
        self.target.failed_in_row = 0

    def leave(self) -> None:
        """A tunnel has ended: release the claim. How long it was open says nothing of latency."""
        if not self._open:
            raise RuntimeError(f"attempt at {self.target.id} closed twice")
        self._open = False
        self.target.release()


class Counters:
    """What this process counts beside its targets: its own cells of the ledger."""

    __slots__ = ("cells",)

    def __init__(self, cells: memoryview) -> None:
        self.cells = cells

    def answered_here(self, status: int) -> None:
        """The balancer answered by itself."""
        self.cells[_ANSWERED_HERE + min(max(status // 100, 2), 5)] += 1

    def retry(self) -> None:
        """A request goes out once more."""
        self.cells[_RETRIES] += 1

    def client_abort(self) -> None:
        """A client left before its answer was complete."""
        self.cells[_CLIENT_ABORTS] += 1
