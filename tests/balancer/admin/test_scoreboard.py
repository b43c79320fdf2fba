"""Quantiles from a histogram."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.balancer.admin.scoreboard import cumulative, quantile_us
from services.balancer.ledger import LATENCY_BOUNDS_US, TargetCell, latency_bucket

CELLS = len(LATENCY_BOUNDS_US) + 1


def histogram(latencies_us: list[int]) -> list[int]:
    buckets = [0] * CELLS
    for latency_us in latencies_us:
        buckets[latency_bucket(latency_us) - TargetCell.LATENCY_BUCKET_0] += 1
    return buckets


def test_none_is_counted() -> None:
    assert quantile_us([0] * CELLS, 0.5) is None


def test_linear_inside_a_bucket() -> None:
    assert quantile_us(histogram([1_500] * 4), 0.5) == 1_500  # half of 1,000 to 2,000
    assert quantile_us(histogram([100] * 4), 0.25) == 125  # a quarter of 0 to 500


def test_slower_than_the_last_bound() -> None:
    assert quantile_us(histogram([100, 99_000_000]), 0.99) == LATENCY_BOUNDS_US[-1]


@settings(deadline=None)
@given(
    st.lists(st.integers(0, LATENCY_BOUNDS_US[-1]), min_size=1, max_size=200),
    st.floats(0.01, 0.99),
)
def test_the_estimate_is_in_the_bucket_of_the_true_value(
    latencies_us: list[int], quantile: float
) -> None:
    estimate = quantile_us(histogram(latencies_us), quantile)
    assert estimate is not None
    rank = quantile * len(latencies_us)
    bucket = next(i for i, seen in enumerate(cumulative(histogram(latencies_us))) if seen >= rank)
    low = LATENCY_BOUNDS_US[bucket - 1] if bucket else 0
    assert low == pytest.approx(estimate) or low <= estimate <= LATENCY_BOUNDS_US[bucket]
