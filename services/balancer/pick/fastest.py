"""Lowest latency of the last probe, all traffic to it. The naive rule, kept to show the herd: every
request between two probes goes to one target, which is then the slowest."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from services.balancer.pick.policy import T
from services.balancer.pick.ranks import Ranked, Ranks, Telling
from services.balancer.target import Target


class Fastest(Ranked):
    """The candidate whose last probe came back soonest; any one while none was probed."""

    def __init__(self) -> None:
        self._ranks = Ranks()  # of all who have joined, by the last probe's latency

    def load_of(self, target: Target) -> Telling:
        """What it goes by."""
        return Telling(self, target)

    def joined(self, target: Target) -> None:
        """It has its rank."""
        self._ranks.put(target, target.load.probe_latency_s)

    def left(self, target: Target) -> None:
        """It has none any more."""
        self._ranks.drop(target)

    def told(self, target: Target) -> None:
        """A probe was answered, or failed."""
        if target in self._ranks:
            self.joined(target)

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """O(1) among all who have joined; O(n) among some of them."""
        start = int(rng.random() * len(candidates))
        if len(candidates) == len(self._ranks):
            lowest = self._ranks.lowest()
            return lowest[start % len(lowest)]  # type: ignore[return-value] # all are candidates
        best = candidates[start]
        for candidate in candidates:
            if candidate.load.probe_latency_s < best.load.probe_latency_s:
                best = candidate
        return best
