"""The shared memory: rows apart from each other, sums over them, and what a death leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from array import array
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.ledger import (
    CLUSTER_CELLS,
    CLUSTERS,
    LATENCY_BOUNDS_US,
    SLOTS,
    TARGET_CELLS,
    ClusterCell,
    Ledger,
    ProcessCell,
    TargetCell,
    latency_bucket,
)
from services.balancer.load import SEEN_CELLS


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger.create(rows=3)
    yield ledger
    ledger.close()


def test_every_cell_is_its_own(ledger: Ledger) -> None:
    """Each of the edge cells of each row holds what was written to it, and nothing else moved."""
    places = []
    for row in range(3):
        places += [(ledger.process(row), cell) for cell in (0, len(ledger.process(row)) - 1)]
        for column in (0, CLUSTERS - 1):
            places += [(ledger.cluster(row, column), cell) for cell in (0, CLUSTER_CELLS - 1)]
        places += [(ledger.pending(row), slot) for slot in (0, 1, SLOTS - 1)]
        for slot in (0, 1, SLOTS - 1):
            places += [(ledger.target(row, slot), cell) for cell in (0, TARGET_CELLS - 1)]
            places += [(ledger.seen(row), slot * SEEN_CELLS + cell) for cell in range(SEEN_CELLS)]
    places += [(ledger.elsewhere(), slot) for slot in (0, 1, SLOTS - 1, SLOTS)]
    for number, (view, cell) in enumerate(places, start=1):
        view[cell] = -number
    assert [view[cell] for view, cell in places] == [-n for n in range(1, len(places) + 1)]
    for view, _ in places:
        view.release()
    places.clear()


def test_a_death_clears_what_is_pending_and_keeps_what_was_counted(ledger: Ledger) -> None:
    for row in range(3):
        ledger.pending(row)[5] = 4
        ledger.pending(row)[SLOTS - 1] = 1
        ledger.target(row, 5)[TargetCell.REQUESTS] = 100
        ledger.seen(row)[4 * SEEN_CELLS : 7 * SEEN_CELLS] = memoryview(array("q", [9] * 9))
        ledger.process(row)[ProcessCell.CONNECTIONS_OPEN] = 7
        ledger.process(row)[ProcessCell.REQUESTS] = 50
        ledger.cluster(row, 2)[ClusterCell.PANICKING] = 1
        ledger.cluster(row, 2)[ClusterCell.PANICS] = 3
    ledger.zero_pending(1)
    assert ledger.pending_total(5) == 8
    assert ledger.pending_total(SLOTS - 1) == 2
    assert [ledger.process(r)[ProcessCell.CONNECTIONS_OPEN] for r in range(3)] == [7, 0, 7]
    assert [ledger.process(r)[ProcessCell.REQUESTS] for r in range(3)] == [50, 50, 50]
    assert [row[ClusterCell.PANICKING] for row in ledger.cluster_rows(2)] == [1, 0, 1]
    assert [row[ClusterCell.PANICS] for row in ledger.cluster_rows(2)] == [3, 3, 3]
    assert ledger.target_totals(5)[TargetCell.REQUESTS] == 300
    ledger.zero_target(5)
    assert ledger.target_totals(5) == [0] * TARGET_CELLS
    seen = ledger.seen(2)[4 * SEEN_CELLS : 7 * SEEN_CELLS].tolist()
    assert seen == [9] * SEEN_CELLS + [0] * SEEN_CELLS + [9] * SEEN_CELLS
    assert ledger.pending_total(5) == 0
    assert ledger.pending_total(SLOTS - 1) == 2


def test_another_process_sees_it_and_is_seen(ledger: Ledger) -> None:
    ledger.pending(0)[3] = 11
    code = (
        "import sys; from services.balancer.ledger import Ledger\n"
        "ledger = Ledger(int(sys.argv[1]), 3)\n"
        "ledger.pending(2)[3] = ledger.pending(0)[3] * 2\n"
    )
    subprocess.run([sys.executable, "-c", code, str(ledger.fd)], pass_fds=[ledger.fd], check=True)
    assert ledger.pending_total(3) == 33


def test_untouched_memory_costs_nothing(ledger: Ledger) -> None:
    ledger.pending(1)[0] = 1
    assert os.fstat(ledger.fd).st_size > 10_000_000
    assert os.fstat(ledger.fd).st_blocks * 512 <= 16_384


def test_too_small_a_file_is_refused() -> None:
    small = Ledger.create(rows=1)
    with pytest.raises(ValueError, match=r"."):
        Ledger(small.fd, 2)
    small.close()


@given(st.integers(0, 20_000_000))
def test_latency_buckets(latency_us: int) -> None:
    place = latency_bucket(latency_us) - TargetCell.LATENCY_BUCKET_0
    assert 0 <= place <= len(LATENCY_BOUNDS_US)
    if place < len(LATENCY_BOUNDS_US):
        assert latency_us <= LATENCY_BOUNDS_US[place]
    if place:
        assert latency_us > LATENCY_BOUNDS_US[place - 1]


def test_the_bounds_rise() -> None:
    assert list(LATENCY_BOUNDS_US) == sorted(set(LATENCY_BOUNDS_US))
    assert latency_bucket(500) == TargetCell.LATENCY_BUCKET_0  # inclusive
