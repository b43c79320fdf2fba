"""Samples -> figures. Pure: no clock, no files.

Percentiles are k6's own: linear interpolation between the two nearest ranks, so that a figure
here equals the one in k6's summary. They are taken over answers with status 200 alone: a
refused connection "took" 0 ms and must not make a broken system look fast.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from loadtest.stream import OK, Samples, failure_cause

# Widths of a time slice to choose from, seconds: one, and less where a run has too few of those.
SLICE_WIDTHS_S: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
SLICES_WANTED: Final = 30
BINS_PER_DECADE: Final = 20


@dataclass(frozen=True, slots=True)
class Latency:
    """Of answers with status 200, in milliseconds."""

    mean_ms: float
    min_ms: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice of time; `start_s` counts from the cluster's first request.

    requests: all that ended in it. p*_ms: of its answers with status 200; None without any.
    """

    start_s: float
    width_s: float
    requests: int
    failed: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None

    @property
    def rate_per_s(self) -> float:
        return self.requests / self.width_s


@dataclass(frozen=True, slots=True)
class Bin:
    """`count` answers took between `from_ms` and `to_ms`."""

    from_ms: float
    to_ms: float
    count: int


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` (0..1) of the ascending, non-empty `ordered` lie."""
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def answered_ms(samples: Samples) -> array[float]:
    """Latencies of answers with status 200, unordered."""
    pairs = zip(samples.latency_ms, samples.status, strict=True)
    return array("d", (value for value, status in pairs if status == OK))


def latency(values_ms: Sequence[float]) -> Latency | None:
    """None when there was no answer."""
    if not values_ms:
        return None
    ordered = sorted(values_ms)
    return Latency(
        mean_ms=math.fsum(ordered) / len(ordered),
        min_ms=ordered[0],
        p50_ms=percentile(ordered, 0.5),
        p90_ms=percentile(ordered, 0.9),
        p95_ms=percentile(ordered, 0.95),
        p99_ms=percentile(ordered, 0.99),
        p999_ms=percentile(ordered, 0.999),
        max_ms=ordered[-1],
    )


def began_s(samples: Samples) -> float:
    """When the load began, seconds since the Unix epoch; `samples` has requests.

    Where k6 was stopped before it had completed a turn, the requests themselves say it.
    """
    if math.isfinite(samples.turn_began_s):
        return samples.turn_began_s
    pairs = zip(samples.ended_s, samples.latency_ms, strict=True)
    return min(ended_s - latency_ms / 1e3 for ended_s, latency_ms in pairs)


def duration_s(samples: Samples) -> float:
    """From the start of the first request to the end of the last response; 0 without requests."""
    return max(samples.ended_s) - began_s(samples) if len(samples) else 0.0


def failures(samples: Samples) -> Counter[str]:
    """Failed requests by cause."""
    return Counter(
        failure_cause(status, code)
        for status, code in zip(samples.status, samples.error_code, strict=True)
        if status != OK
    )


def slice_width_s(span_s: float) -> float:
    """A second for runs of half a minute and more; less for shorter ones."""
    fitting = [width for width in SLICE_WIDTHS_S if span_s / width >= SLICES_WANTED]
    return max(fitting, default=SLICE_WIDTHS_S[0])


def slices(samples: Samples, width_s: float) -> tuple[Slice, ...]:
    """The run in slices of `width_s`, empty ones included (a gap is a finding).

    The last one ends with the run: between half and one and a half times as wide, so that it does
    not look like a drop of the rate.
    """
    if not len(samples):
        return ()
    span_s, start_s = duration_s(samples), began_s(samples)
    count = max(1, round(span_s / width_s))
    values: list[list[float]] = [[] for _ in range(count)]
    failed = [0] * count
    for ended_s, value_ms, status in zip(
        samples.ended_s, samples.latency_ms, samples.status, strict=True
    ):
        at = min(max(int((ended_s - start_s) / width_s), 0), count - 1)
        if status == OK:
            values[at].append(value_ms)
        else:
            failed[at] += 1
    last_s = span_s - (count - 1) * width_s
    return tuple(
        Slice(
            start_s=at * width_s,
            width_s=width_s if at < count - 1 else max(last_s, 1e-6),
            requests=len(group) + bad,
            failed=bad,
            **_three(group),
        )
        for at, (group, bad) in enumerate(zip(values, failed, strict=True))
    )


def _three(group: list[float]) -> dict[str, float | None]:
    group.sort()
    return {
        name: percentile(group, share) if group else None
        for name, share in (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99))
    }


def distribution(values_ms: Sequence[float]) -> tuple[Bin, ...]:
    """Counts in bins of equal width on a logarithmic scale, empty bins in between included."""
    counts = Counter(
        math.floor(math.log10(max(value, 1e-3)) * BINS_PER_DECADE) for value in values_ms
    )
    if not counts:
        return ()
    return tuple(
        Bin(10 ** (at / BINS_PER_DECADE), 10 ** ((at + 1) / BINS_PER_DECADE), counts[at])
        for at in range(min(counts), max(counts) + 1)
    )


def cumulative_shares(bins: Sequence[Bin]) -> list[tuple[float, float]]:
    """(ms, share 0..1 of the answers that took no longer) at each bin's upper edge."""
    total = sum(each.count for each in bins)
    return [
        (each.to_ms, running / total)
        for each, running in zip(bins, accumulate(b.count for b in bins), strict=True)
    ]
