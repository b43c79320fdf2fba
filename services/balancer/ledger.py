"""Shared memory between the processes of one balancer: who has how much pending, and the counts.

The supervisor makes the ledger and every child maps it. A row belongs to one data-plane process and
only that process writes it, so no lock is needed: a reader sees each 8-byte cell whole. The
supervisor zeroes the pending cells of a row whose process died; counts stay, so that totals never
go backwards. Pages that no target uses are never touched and cost no memory.

    row of a process = [process cells | clusters x cluster cells | slots x pending |
                        slots x target cells | slots x seen], all signed 64-bit

After the rows, one more cell a slot: what other balancers have told that they have pending there,
and how old that is. The control plane writes it.

A cluster's column is its place in the configuration; when that changes, all are written anew.
"""

from __future__ import annotations

import mmap
import os
from bisect import bisect_left
from enum import IntEnum, auto
from typing import Final

from services.balancer.load import SEEN_CELLS

SLOTS: Final = 16_384  # targets of all clusters at once
CLUSTERS: Final = 256
CELL_BYTES: Final = 8

# Upper bounds of the latency histogram, microseconds; one more cell counts what is slower.
# fmt: off
LATENCY_BOUNDS_US: Final = (
    500, 1_000, 2_000, 3_000, 5_000, 7_500, 10_000, 15_000, 25_000, 35_000, 50_000, 75_000,
    100_000, 150_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000,
)
# fmt: on


class _Cells(IntEnum):
    """Cell numbers count from 0."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[int]) -> int:
        return count


class ProcessCell(_Cells):
    """What a process counts for itself. Gauges say so; the others only rise."""

    CONNECTIONS_OPEN = auto()  # gauge: clients connected now
    CONNECTIONS = auto()
    CONNECTIONS_REFUSED = auto()  # closed at accept: over the limit
    REQUESTS = auto()
    ANSWERED_HERE_2XX = auto()  # routes with `respond`
    ANSWERED_HERE_3XX = auto()
    ANSWERED_HERE_4XX = auto()  # malformed, no route, too large, too slow
    ANSWERED_HERE_5XX = auto()  # nothing eligible, broken target, time out
    CLIENT_ABORTS = auto()
    RETRIES = auto()
    CPU_US = auto()  # gauge: the process's own CPU time
    TASKS = auto()  # gauge: asyncio tasks alive
    TUNNELS = auto()  # connections that switched protocols
    TUNNELS_OPEN = auto()  # gauge
    ACCESS_LINES = auto()  # taken for the access log
    ACCESS_LINES_DROPPED = auto()  # of them: it was full, or could not be written


class ClusterCell(_Cells):
    """What a process counts for one cluster."""

    PENDING = auto()  # gauge: requests; must stay first. Kept up to the moment where it is limited
    QUEUED = auto()  # gauge: requests that wait for a place
    QUEUE_FULL = auto()  # refused because too many waited
    QUEUE_TIMEOUTS = auto()  # refused because it took too long
    ELIGIBLE = auto()  # gauge: targets
    PANICKING = auto()  # gauge: 1 while all targets are used because too few are eligible
    PANICS = auto()  # times that it began
    RETRIES_REFUSED = auto()  # by the budget


class TargetCell(_Cells):
    """What a process counts for one target."""

    REQUESTS = auto()  # attempts sent or tried
    RESPONSES_1XX = auto()
    RESPONSES_2XX = auto()
    RESPONSES_3XX = auto()
    RESPONSES_4XX = auto()
    RESPONSES_5XX = auto()
    CONNECT_FAILURES = auto()
    BROKEN = auto()  # reset or nonsense before or inside the answer
    TIMEOUTS = auto()
    STALE = auto()  # pooled connections that the target had just closed
    STARVED = auto()  # no descriptor or port of our own: not the target's fault
    RETRIES = auto()  # attempts here after one that had failed
    ABORTED = auto()  # the client left first
    CONNECTS = auto()  # connections opened
    LATENCY_SUM_US = auto()  # of finished requests, from sent to the body's end
    LATENCY_EWMA_US = auto()  # gauge: the policy's present estimate
    EJECTED = auto()  # gauge: 1 while this process sends nothing because requests failed
    EJECTIONS_CONSECUTIVE = auto()  # these four in the order of `ejection.Cause`
    EJECTIONS_FAILURE_PERCENT = auto()
    EJECTIONS_SUCCESS_RATE = auto()
    EJECTIONS_UNREACHABLE = auto()
    LATENCY_BUCKET_0 = auto()  # first of len(LATENCY_BOUNDS_US) + 1 cells; must stay last


TARGET_CELLS: Final = TargetCell.LATENCY_BUCKET_0 + len(LATENCY_BOUNDS_US) + 1
CLUSTER_GAUGES: Final = (
    *(ClusterCell.PENDING, ClusterCell.QUEUED),
    *(ClusterCell.ELIGIBLE, ClusterCell.PANICKING),
)
CLUSTER_CELLS: Final = len(ClusterCell)
_PROCESS_CELLS: Final = 64  # room to grow without moving what follows
_BEFORE_PENDING: Final = _PROCESS_CELLS + CLUSTERS * CLUSTER_CELLS
_BEFORE_SEEN: Final = _BEFORE_PENDING + SLOTS * (1 + TARGET_CELLS)
_ROW_CELLS: Final = _BEFORE_SEEN + SLOTS * SEEN_CELLS


def latency_bucket(latency_us: int) -> int:
    """Which histogram cell counts a latency (bounds are inclusive, as in Prometheus)."""
    return TargetCell.LATENCY_BUCKET_0 + bisect_left(LATENCY_BOUNDS_US, latency_us)


def _bytes(rows: int) -> int:
    return (rows * _ROW_CELLS + SLOTS + 1) * CELL_BYTES


class Ledger:
    """The mapped memory. `rows` is the most data-plane processes there will be.

    Resource handling: holds a file descriptor and a mapping until `close`.
    """

    def __init__(self, fd: int, rows: int) -> None:
        """Map an existing ledger; raises ValueError when `fd` is too small for `rows`."""
        self.fd = fd
        self.rows = rows
        self._map = mmap.mmap(fd, _bytes(rows))
        self._cells = memoryview(self._map).cast("q")

    @classmethod
    def create(cls, rows: int) -> Ledger:
        """Anonymous memory, all zero; pass `fd` on to the children (it is inheritable)."""
        fd = os.memfd_create("steelyard-ledger", 0)
        os.ftruncate(fd, _bytes(rows))
        os.set_inheritable(fd, True)
        return cls(fd, rows)

    def process(self, row: int) -> memoryview:
        """The process cells of a row, indexed by ProcessCell."""
        start = row * _ROW_CELLS
        return self._cells[start : start + _PROCESS_CELLS]

    def cluster(self, row: int, column: int) -> memoryview:
        """The cells of one cluster in a row, indexed by ClusterCell."""
        start = row * _ROW_CELLS + _PROCESS_CELLS + column * CLUSTER_CELLS
        return self._cells[start : start + CLUSTER_CELLS]

    def pending(self, row: int) -> memoryview:
        """The pending counts of a row, indexed by slot."""
        start = row * _ROW_CELLS + _BEFORE_PENDING
        return self._cells[start : start + SLOTS]

    def elsewhere(self) -> memoryview:
        """Requests that other balancers have pending, as far as they have told, by slot.

        In the last cell: how old that is on average, in microseconds.
        """
        start = self.rows * _ROW_CELLS
        return self._cells[start : start + SLOTS + 1]

    def target(self, row: int, slot: int) -> memoryview:
        """The cells of one target in a row, indexed by TargetCell."""
        start = row * _ROW_CELLS + _BEFORE_PENDING + SLOTS + slot * TARGET_CELLS
        return self._cells[start : start + TARGET_CELLS]

    def seen(self, row: int) -> memoryview:
        """What a row's loads show the other processes, from SEEN_CELLS times the slot on."""
        start = row * _ROW_CELLS + _BEFORE_SEEN
        return self._cells[start : start + SLOTS * SEEN_CELLS]

    def zero_pending(self, row: int) -> None:
        """A dead process has nothing pending and no connection open."""
        view = self.pending(row)
        for slot in range(SLOTS):
            if view[slot]:
                view[slot] = 0
        cells = self.process(row)
        cells[ProcessCell.CONNECTIONS_OPEN] = 0
        cells[ProcessCell.TUNNELS_OPEN] = 0
        cells[ProcessCell.TASKS] = 0
        for column in range(CLUSTERS):
            cluster = self.cluster(row, column)
            for gauge in CLUSTER_GAUGES:
                cluster[gauge] = 0

    def zero_elsewhere(self) -> None:
        """Who told is not heard any more."""
        view = self.elsewhere()
        for cell in range(len(view)):
            if view[cell]:
                view[cell] = 0

    def zero_target(self, slot: int) -> None:
        """Forget a slot's counts in every row, before another target gets the slot."""
        self.elsewhere()[slot] = 0
        for row in range(self.rows):
            self.pending(row)[slot] = 0
            cells = self.target(row, slot)
            for cell in range(TARGET_CELLS):
                cells[cell] = 0
            seen = self.seen(row)
            for cell in range(slot * SEEN_CELLS, (slot + 1) * SEEN_CELLS):
                seen[cell] = 0

    def pending_total(self, slot: int) -> int:
        """Requests of this balancer pending at a target, over all processes."""
        return sum(int(self.pending(row)[slot]) for row in range(self.rows))

    def target_totals(self, slot: int) -> list[int]:
        """A target's cells added up over all processes (gauges included), by TargetCell."""
        totals = [0] * TARGET_CELLS
        for row in range(self.rows):
            for cell, value in enumerate(self.target(row, slot).tolist()):
                totals[cell] += value
        return totals

    def cluster_rows(self, column: int) -> list[list[int]]:
        """A cluster's cells in each process, by ClusterCell."""
        return [self.cluster(row, column).tolist() for row in range(self.rows)]

    def close(self) -> None:
        """Unmap and close. Views handed out before must be gone."""
        self._cells.release()
        self._map.close()
        os.close(self.fd)
