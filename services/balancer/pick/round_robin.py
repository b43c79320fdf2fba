"""In turn, whatever is known."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from services.balancer.pick.policy import T


class RoundRobin:
    """Each candidate in its turn; the turn survives changes of membership."""

    def __init__(self) -> None:
        self._turn = 0

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """The next one."""
        turn = self._turn % len(candidates)
        self._turn = turn + 1
        return candidates[turn]
