"""Fewest pending over all candidates: ALB's least outstanding requests, HAProxy's leastconn."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from services.balancer.pick.policy import T


class LeastPending:
    """The candidate with the fewest pending requests; ties broken by a random start."""

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """Looks at every candidate: O(n)."""
        count = len(candidates)
        start = int(rng.random() * count)
        best = candidates[start]
        fewest = best.pending
        for step in range(1, count):
            if fewest == 0:
                break
            candidate = candidates[(start + step) % count]
            pending = candidate.pending
            if pending < fewest:
                best, fewest = candidate, pending
        return best
