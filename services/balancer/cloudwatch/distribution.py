"""A latency histogram as distinct values with their counts, as PutMetricData takes them. Pure.

A bucket's requests are spread evenly over it, so that a percentile of what was published falls
into the same bucket as that of the requests themselves: its error is below the bucket's width.
What is slower than the last bound is published as the last bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.balancer.ledger import LATENCY_BOUNDS_US

MOST_VALUES: Final = 150  # of one datum. Source: CloudWatch API, MetricDatum
PARTS: Final = (MOST_VALUES - 1) // len(LATENCY_BOUNDS_US)  # of one bucket; the last one has one


def distribution(buckets: Sequence[int]) -> dict[float, int]:
    """Milliseconds -> count. `buckets` are the counts by bound, the last one beyond all."""
    values: dict[float, int] = {}
    low = 0
    for high, count in zip(LATENCY_BOUNDS_US, buckets, strict=False):
        parts = min(PARTS, count)
        for part in range(parts):
            middle_us = low + (high - low) * (part + 0.5) / parts
            values[middle_us / 1000] = count * (part + 1) // parts - count * part // parts
        low = high
    if buckets[-1]:
        values[LATENCY_BOUNDS_US[-1] / 1000] = buckets[-1]
    return values
