"""What this worker says of its load: the answer to a probe, and a header on every response.

The header is ORCA's text form (Open Request Cost Aggregation), which Envoy and gRPC read:
`endpoint-load-metrics: TEXT cpu_utilization=0.3, named_metrics.pending=4`.
"""

from __future__ import annotations

from typing import Final

from services.contract import (
    LOAD_HEADER_FORM,
    METRIC_CPU,
    METRIC_LATENCY_MS,
    METRIC_PENDING,
    METRIC_RPS,
    METRIC_STEAL,
)
from services.worker.cpu import CpuGauge
from services.worker.latency import LatencyAtPending, RequestRate

FRESH_S: Final = 0.005  # all but pending may be as old as this in the header


class LoadReport:
    """Pending now, latency at that pending, request rate, CPU and steal. Time is an argument.

    `pending` counts requests that have arrived and not ended, the one that carries the header
    included; latency is what a request that met the *others* took.
    """

    def __init__(self, now_s: float, cpu: CpuGauge) -> None:
        self.pending = 0
        self.cpu = cpu
        self.total = 0
        self._latency = LatencyAtPending()
        self._rate = RequestRate(now_s)
        self._rest = b""
        self._rest_until_s = now_s

    def begin(self, now_s: float) -> int:
        """One request arrived. Returns the pending count that it met, for `end`."""
        met = self.pending
        self.pending = met + 1
        self.total += 1
        self._rate.record(now_s)
        return met

    def end(self, now_s: float, met: int, latency_s: float | None) -> None:
        """That request ended. A failed or abandoned one has no latency (None) worth keeping:
        failing fast must not look like being fast."""
        self.pending -= 1
        if latency_s is not None:
            self._latency.record(now_s, met, latency_s)

    def header(self, now_s: float) -> bytes:
        """Return the value of the load report header."""
        if now_s >= self._rest_until_s:
            self._rest = self._format_rest(now_s)
            self._rest_until_s = now_s + FRESH_S
        return b"%s%d%s" % (_HEAD, self.pending, self._rest)

    def as_dict(self, now_s: float) -> dict[str, float | int | str | None]:
        """Return the report as JSON: counts, ms, fractions 0..1; null is "not known"."""
        latency_s = self._latency.median_s(now_s, self.pending)
        return {
            "pending": self.pending,
            "latency_ms": None if latency_s is None else round(latency_s * 1000, 3),
            "rps": round(self._rate.per_second(now_s), 3),
            "cpu_utilization": _rounded(self.cpu.utilization),
            "steal": _rounded(self.cpu.steal),
            "cpu_source": self.cpu.source,
            "requests": self.total,
        }

    def _format_rest(self, now_s: float) -> bytes:
        others = max(self.pending - 1, 0)
        latency_s = self._latency.median_s(now_s, others)
        text = f", {METRIC_RPS}={self._rate.per_second(now_s):.2f}"
        if latency_s is not None:
            text += f", {METRIC_LATENCY_MS}={latency_s * 1000:.3f}"
        if self.cpu.utilization is not None:
            text += f", {METRIC_CPU}={self.cpu.utilization:.4f}"
        if self.cpu.steal is not None:
            text += f", {METRIC_STEAL}={self.cpu.steal:.4f}"
        return text.encode()


_HEAD: Final = f"{LOAD_HEADER_FORM} {METRIC_PENDING}=".encode()


def _rounded(fraction: float | None) -> float | None:
    return None if fraction is None else round(fraction, 4)
