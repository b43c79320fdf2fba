"""What is published says of requests what the ledger's histogram says of them."""

from __future__ import annotations

from bisect import bisect_left
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from services.balancer.cloudwatch.distribution import MOST_VALUES, distribution
from services.balancer.cloudwatch.tally import BUCKETS
from services.balancer.ledger import LATENCY_BOUNDS_US, TargetCell, latency_bucket

LAST_US = LATENCY_BOUNDS_US[-1]


def histogram(latencies_us: list[int]) -> list[int]:
    buckets = [0] * BUCKETS
    for latency_us in latencies_us:
        buckets[latency_bucket(latency_us) - TargetCell.LATENCY_BUCKET_0] += 1
    return buckets


def nearest_rank(counted: dict[float, int], quantile: float) -> float:
    rank = max(1, ceil(quantile * sum(counted.values())))
    for value in sorted(counted):
        rank -= counted[value]
        if rank <= 0:
            return value
    raise AssertionError("beyond the end")


@given(st.lists(st.integers(0, 3 * LAST_US), max_size=300))
def test_counts_are_preserved_bucket_by_bucket(latencies_us: list[int]) -> None:
    buckets = histogram(latencies_us)
    published = distribution(buckets)
    assert len(published) <= MOST_VALUES
    assert all(count > 0 for count in published.values())
    assert sum(published.values()) == len(latencies_us)
    again = [0] * BUCKETS
    for value_ms, count in published.items():
        # The last bound stands for all that is beyond it; nothing else is published at a bound.
        place = bisect_left(LATENCY_BOUNDS_US, value_ms * 1000)
        again[BUCKETS - 1 if value_ms * 1000 == LAST_US else place] += count
    assert again == buckets


@given(st.lists(st.integers(0, LAST_US), min_size=1, max_size=300), st.floats(0, 1))
def test_a_percentile_is_wrong_by_less_than_its_bucket(
    latencies_us: list[int], quantile: float
) -> None:
    true_us = sorted(latencies_us)[max(1, ceil(quantile * len(latencies_us))) - 1]
    place = bisect_left(LATENCY_BOUNDS_US, true_us)
    low_us, high_us = (0, *LATENCY_BOUNDS_US)[place], LATENCY_BOUNDS_US[place]
    published_us = nearest_rank(distribution(histogram(latencies_us)), quantile) * 1000
    assert low_us < published_us < high_us


def test_by_hand() -> None:
    buckets = [0] * BUCKETS
    buckets[1], buckets[-1] = 2, 5  # two from 0.5 to 1 ms, five above 10 s
    assert distribution(buckets) == {0.625: 1, 0.875: 1, 10_000.0: 5}
    assert distribution([0] * BUCKETS) == {}


def test_the_fullest_fits() -> None:
    assert len(distribution([10**9] * BUCKETS)) == 141
