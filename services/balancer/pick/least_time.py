"""Lowest mean latency times pending, over all candidates: nginx's and Traefik's `leasttime`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, ClassVar, Final

from services.balancer.load import FAILURE_PENALTY_S, Load, WindowMean
from services.balancer.pick.parameters import Parameter, number, whole
from services.balancer.pick.peak_ewma import NO_HISTORY_COST_S
from services.balancer.pick.policy import T
from services.balancer.target import Target

WINDOW: Final = 100  # requests; nginx's own average is not published
_A_TIE: Final = 1.0 - 1e-9  # what rounding leaves of equal means must not make a favourite


class LatencyMean(Load):
    """Adds the mean latency of the last requests that ended, well or not."""

    __slots__ = ("_failure_penalty_s", "_window", "latency")

    def __init__(self, window: int, failure_penalty_s: float) -> None:
        super().__init__()
        self._window = window
        self._failure_penalty_s = failure_penalty_s
        self.latency = WindowMean(window)

    def fresh(self) -> LatencyMean:
        """Nothing is known, with the same window."""
        return LatencyMean(self._window, self._failure_penalty_s)

    def succeed(self, latency_s: float, now: float) -> None:
        """Counts as it is."""
        super().succeed(latency_s, now)
        self.latency.observe(latency_s)

    def fail(self, latency_s: float, now: float) -> None:
        """Counts as at least the penalty."""
        super().fail(latency_s, now)
        self.latency.observe(max(latency_s, self._failure_penalty_s))


class LeastTime:
    """The candidate with the lowest mean latency x (pending + 1); by chance among the unknown.

    Without a failure penalty it is a sinkhole: a target that fails at once looks fastest, and gets
    everything.
    """

    PARAMETERS: ClassVar[Mapping[str, Parameter]] = {
        "window": whole(1, 10_000),  # requests
        "failure_penalty_s": number(0.0, 60.0),
    }

    def __init__(self, window: int = WINDOW, failure_penalty_s: float = FAILURE_PENALTY_S) -> None:
        self._window = window
        self._failure_penalty_s = failure_penalty_s

    def load_of(self, target: Target) -> LatencyMean:
        """What it goes by."""
        return LatencyMean(self._window, self._failure_penalty_s)

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """Looks at every candidate: O(n). One without history: free when idle, else very dear."""
        count = len(candidates)
        start = int(rng.random() * count)
        best = candidates[start]
        lowest = float("inf")
        for step in range(start, start + count):
            candidate = candidates[step - count if step >= count else step]
            load: Any = candidate.load  # a LatencyMean, as `load_of` made it
            pending = candidate.pending
            latency_s = load.latency.mean
            if latency_s == 0.0 and pending:
                latency_s = NO_HISTORY_COST_S
            cost = latency_s * (pending + 1)
            if cost < lowest:
                best, lowest = candidate, cost * _A_TIE
        return best
