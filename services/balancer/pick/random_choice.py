"""By chance, whatever is known."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from services.balancer.pick.policy import T


class RandomChoice:
    """Every candidate with the same probability."""

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """Any one."""
        return candidates[int(rng.random() * len(candidates))]
