"""Two at random, lower peak-EWMA latency times pending (Finagle, Linkerd)."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from services.balancer.pick.p2c import draw_two
from services.balancer.pick.policy import T
from services.balancer.target import Target

NO_HISTORY_COST_S: Final = 1e6  # Envoy's no-data penalty: an unproven target gets one request first


def cost(target: Target, now: float) -> float:
    """Estimated latency times (pending + 1); without history, free when idle, else very dear."""
    pending = target.pending
    latency_s = target.load.peak.read(now)
    if latency_s == 0.0 and pending:
        return NO_HISTORY_COST_S + pending
    return latency_s * (pending + 1)


class PeakEwmaP2C:
    """Draws two, takes the cheaper; the first drawn on a tie."""

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """O(1)."""
        if len(candidates) == 1:
            return candidates[0]
        one, other = draw_two(candidates, rng)
        return other if cost(other, now) < cost(one, now) else one
