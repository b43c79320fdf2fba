"""Lowest latency of the last probe, all traffic to it. The naive rule, kept to show the herd: every
request between two probes goes to one target, which is then the slowest."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from services.balancer.pick.policy import T


class Fastest:
    """The candidate whose last probe came back soonest; any one while none was probed."""

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """Looks at every candidate: O(n)."""
        start = int(rng.random() * len(candidates))
        best = candidates[start]
        for candidate in candidates:
            if candidate.load.probe_latency_s < best.load.probe_latency_s:
                best = candidate
        return best
