"""Two at random, fewer pending (Mitzenmacher, "The power of two choices in randomized load
balancing", 2001; Envoy's LEAST_REQUEST)."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from services.balancer.pick.policy import T


def draw_two(candidates: Sequence[T], rng: Random) -> tuple[T, T]:
    """Two different candidates, every pair with the same probability; needs at least two."""
    count = len(candidates)
    drawn = rng.random() * count  # the whole part is the first draw, the fraction the second
    first = int(drawn)
    second = int((drawn - first) * (count - 1))
    return candidates[first], candidates[second if second < first else second + 1]


class PowerOfTwoChoices:
    """Draws two, takes the one with fewer pending; the first drawn on a tie."""

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """O(1)."""
        if len(candidates) == 1:
            return candidates[0]
        one, other = draw_two(candidates, rng)
        return other if other.pending < one.pending else one
