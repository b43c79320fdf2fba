"""Lowest mean latency times pending, over all candidates: nginx's and Traefik's `leasttime`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, ClassVar, Final

from services.balancer.load import FAILURE_PENALTY_S, Load, WindowMean
from services.balancer.pick.index import Index
from services.balancer.pick.parameters import Parameter, number, whole
from services.balancer.pick.peak_ewma import NO_HISTORY_COST_S
from services.balancer.pick.policy import T
from services.balancer.target import Target

WINDOW: Final = 100  # requests; nginx's own average is not published
LOOK_AT_ALL: Final = 20  # candidates; more stand in an index
_A_TIE: Final = 1.0 - 1e-9  # what rounding leaves of equal means must not make a favourite


class LatencyMean(Load):
    """Adds the mean latency of the last requests that ended, well or not; tells the index."""

    __slots__ = ("_failure_penalty_s", "_policy", "_target", "_window", "latency")

    def __init__(
        self, policy: LeastTime, target: Target, window: int, failure_penalty_s: float
    ) -> None:
        super().__init__()
        self._policy = policy
        self._target = target
        self._window = window
        self._failure_penalty_s = failure_penalty_s
        self.latency = WindowMean(window)

    def fresh(self) -> LatencyMean:
        """Nothing is known, with the same window."""
        return LatencyMean(self._policy, self._target, self._window, self._failure_penalty_s)

    def succeed(self, latency_s: float, now: float) -> None:
        """Counts as it is."""
        super().succeed(latency_s, now)
        self.latency.observe(latency_s)
        if self._policy.indexed:
            self._policy.ended(self._target, now)

    def fail(self, latency_s: float, now: float) -> None:
        """Counts as at least the penalty."""
        super().fail(latency_s, now)
        self.latency.observe(max(latency_s, self._failure_penalty_s))
        self._policy.ended(self._target, now)

    def abandon(self, latency_s: float, now: float) -> None:
        """One fewer is pending."""
        super().abandon(latency_s, now)
        self._policy.ended(self._target, now)

    def void(self, latency_s: float, now: float) -> None:
        """One fewer is pending."""
        self._policy.ended(self._target, now)


def cost(target: Target, now: float) -> float:
    """Mean latency x (pending + 1); without history, free when idle, else very dear."""
    load: Any = target.load  # a LatencyMean, as `load_of` made it
    pending = target.pending
    latency_s: float = load.latency.mean
    if latency_s == 0.0 and pending:
        latency_s = NO_HISTORY_COST_S
    return latency_s * (pending + 1)


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
        self._index = Index()  # of all who have joined
        self.indexed = False  # they are too many to look at all

    def load_of(self, target: Target) -> LatencyMean:
        """What it goes by."""
        return LatencyMean(self, target, self._window, self._failure_penalty_s)

    def joined(self, target: Target) -> None:
        """It stands in the index, which is kept up to date from the moment that it is needed."""
        self._index.add(target, cost(target, 0.0))
        if not self.indexed and len(self._index) > LOOK_AT_ALL:
            self.indexed = True
            for each in self._index.targets():
                self.ended(each, 0.0)

    def left(self, target: Target) -> None:
        """It does not any more."""
        self._index.drop(target)
        self.indexed = len(self._index) > LOOK_AT_ALL

    def ended(self, target: Target, now: float) -> None:
        """A request of the target's: it may be cheaper now."""
        if self.indexed:
            self._index.cheaper(target, cost(target, now))

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """Looks at all of a few, and of some of many: O(n); has an index of many: O(log n)."""
        count = len(candidates)
        start = int(rng.random() * count)
        best = candidates[start]
        if count > LOOK_AT_ALL and count == len(self._index):
            if best.other_rows:
                self.ended(best, now)  # what other processes had there may have ended
            cheapest = self._index.cheapest(cost, now)
            if cheapest is not None:
                return cheapest  # type: ignore[return-value] # all who joined are candidates
        lowest = float("inf")
        for step in range(start, start + count):
            candidate = candidates[step - count if step >= count else step]
            here = cost(candidate, now)
            if here < lowest:
                best, lowest = candidate, here * _A_TIE
        return best
