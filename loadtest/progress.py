"""How far a run has got, from the samples that have arrived."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass

from loadtest.measure import percentile
from loadtest.stream import OK, Samples


@dataclass(frozen=True, slots=True)
class Progress:
    """The state at one moment. `rate_per_s` and `p95_ms` are of the time since the last one.

    label: the clusters under load now. share: 0..1 of the pass. p95_ms: None without answers.
    """

    label: str
    elapsed_s: float
    share: float
    requests: int
    failed: int
    dropped: int
    rate_per_s: float
    p95_ms: float | None


class ProgressMeter:
    """Turns growing samples into `Progress`; looks only at what is new."""

    def __init__(self, label: str, planned: int, load_s: float | None, started: float) -> None:
        """`load_s`: how long the load lasts, where time and not a count decides."""
        self._label = label
        self._planned = planned
        self._load_s = load_s
        self._started = started
        self._seen: dict[str, int] = {}
        self._failed = 0
        self._last = started

    def look(self, clusters: Mapping[str, Samples], now: float) -> Progress:
        fresh = array("d")
        new = 0
        for name, samples in clusters.items():
            seen = self._seen.get(name, 0)
            self._seen[name] = len(samples)
            new += len(samples) - seen
            for value, status in zip(samples.latency_ms[seen:], samples.status[seen:], strict=True):
                if status == OK:
                    fresh.append(value)
        self._failed += new - len(fresh)
        requests = sum(self._seen.values())
        gap_s = max(now - self._last, 1e-6)
        self._last = now
        elapsed_s = now - self._started
        done = elapsed_s / self._load_s if self._load_s else requests / self._planned
        return Progress(
            label=self._label,
            elapsed_s=elapsed_s,
            share=min(done, 1.0),
            requests=requests,
            failed=self._failed,
            dropped=sum(samples.dropped for samples in clusters.values()),
            rate_per_s=new / gap_s,
            p95_ms=percentile(sorted(fresh), 0.95) if fresh else None,
        )
