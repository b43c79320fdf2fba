"""One handle per attempt: gives the claim back and records what came of it. Exactly once."""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections.abc import Callable
from typing import Final

from services.balancer.dataplane.errors import Fault
from services.balancer.ledger import LATENCY_BOUNDS_US, ProcessCell, TargetCell
from services.balancer.target import Target

# IntEnum members are slow to index with; plain numbers are not.
_REQUESTS: Final = int(TargetCell.REQUESTS)
_RESPONSES: Final = int(TargetCell.RESPONSES_1XX) - 1
_LATENCY_SUM: Final = int(TargetCell.LATENCY_SUM_US)
_LATENCY_EWMA: Final = int(TargetCell.LATENCY_EWMA_US)
_LATENCY_BUCKETS: Final = int(TargetCell.LATENCY_BUCKET_0)
_ABORTED: Final = int(TargetCell.ABORTED)
_FAULT_CELLS: Final = {
    Fault.CONNECT: int(TargetCell.CONNECT_FAILURES),
    Fault.BROKEN: int(TargetCell.BROKEN),
    Fault.TIMEOUT: int(TargetCell.TIMEOUTS),
}
_ANSWERED_HERE: Final = int(ProcessCell.ANSWERED_HERE_2XX) - 2
_RETRIES: Final = int(ProcessCell.RETRIES)
_CLIENT_ABORTS: Final = int(ProcessCell.CLIENT_ABORTS)
_REQUESTS_HERE: Final = int(ProcessCell.REQUESTS)


class Ended(enum.Enum):
    """How an attempt ended when the target was not at fault."""

    ANSWERED = "answered"
    ABORTED = "aborted"  # the client left, or was too slow


class Attempt:
    """A claimed place on a target, from the claim until the answer's body has ended."""

    __slots__ = ("_cells", "_clock", "_open", "started", "status", "target")

    def __init__(self, target: Target, cells: memoryview, clock: Callable[[], float]) -> None:
        self.target = target
        self.status = 0  # of the final response head, once there is one
        self._cells = cells
        self._clock = clock
        self._open = True
        self.started = clock()

    def close(self, how: Ended | Fault) -> None:
        """Release the claim and record the outcome. A second call is a fault of ours: it raises."""
        if not self._open:
            raise RuntimeError(f"attempt at {self.target.id} closed twice")
        self._open = False
        target = self.target
        target.release()
        now = self._clock()
        latency_s = now - self.started
        cells = self._cells
        cells[_REQUESTS] += 1
        if how is Ended.ANSWERED:
            status = self.status
            latency_us = int(latency_s * 1e6)
            cells[_RESPONSES + status // 100] += 1
            cells[_LATENCY_SUM] += latency_us
            cells[_LATENCY_BUCKETS + bisect_left(LATENCY_BOUNDS_US, latency_us)] += 1
            if status < 500:
                target.load.succeed(latency_s, now)
            else:
                target.load.fail(latency_s, now)
            cells[_LATENCY_EWMA] = int(target.load.peak.cost * 1e6)
        elif how is Ended.ABORTED:
            cells[_ABORTED] += 1
            target.load.abandon(latency_s, now)
        elif how is not Fault.STALE:
            cells[_FAULT_CELLS[how]] += 1
            target.load.fail(latency_s, now)


class Counters:
    """What this process counts beside its targets: its own cells of the ledger."""

    __slots__ = ("cells",)

    def __init__(self, cells: memoryview) -> None:
        self.cells = cells

    def request(self) -> None:
        """A request head was read whole."""
        self.cells[_REQUESTS_HERE] += 1

    def answered_here(self, status: int) -> None:
        """The balancer answered by itself."""
        self.cells[_ANSWERED_HERE + min(max(status // 100, 2), 5)] += 1

    def retry(self) -> None:
        """A request goes out once more."""
        self.cells[_RETRIES] += 1

    def client_abort(self) -> None:
        """A client left before its answer was complete."""
        self.cells[_CLIENT_ABORTS] += 1
