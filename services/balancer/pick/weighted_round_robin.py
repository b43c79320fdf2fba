"""In turn by weight: earliest deadline first, as Envoy schedules its weighted round robin.

nginx's smooth weighted round robin (every `current` += weight, the largest goes, less the total)
looks at all candidates for each pick. Deadlines spread a heavy target's turns over the round as
well and cost O(log n): a target that goes comes due again 1 / weight later. The first deadline is
half of that, so that light targets take their turn in the middle of the round, not at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from random import Random

from services.balancer.pick.policy import T
from services.balancer.target import Target


class WeightedRoundRobin:
    """Each candidate `weight` times a round; the schedule survives changes of membership."""

    def __init__(self) -> None:
        self._time = 0.0  # the deadline of the last turn
        self._due: dict[Target, float] = {}
        self._members = 0  # how many have joined; 0 when nobody tells
        self._turns: list[tuple[float, int, Target]] = []  # a heap, with turns of who has left
        self._count = 0  # orders equal deadlines by their making

    def joined(self, target: Target) -> None:
        """Its first turn comes as if the round began now."""
        self._members += 1
        self._push(target, self._time + 0.5 / target.weight)

    def left(self, target: Target) -> None:
        """Its turn is skipped when it comes."""
        self._members -= 1
        del self._due[target]
        self._tidy()

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """O(log n) among all who have joined; O(n) among some of them."""
        if len(candidates) != self._members:
            return self._pick_among(candidates)
        while True:
            due, _, target = heappop(self._turns)
            if self._due.get(target) == due:
                self._time = due
                self._push(target, due + 1.0 / target.weight)
                return target  # type: ignore[return-value] # all who joined are candidates

    def _pick_among(self, candidates: Sequence[T]) -> T:
        for candidate in candidates:
            if candidate not in self._due:
                self._push(candidate, self._time + 0.5 / candidate.weight)
        chosen = min(candidates, key=lambda candidate: self._due[candidate])
        self._time = due = self._due[chosen]
        self._push(chosen, due + 1.0 / chosen.weight)
        self._tidy()
        return chosen

    def _push(self, target: Target, due: float) -> None:
        self._due[target] = due
        self._count += 1
        heappush(self._turns, (due, self._count, target))

    def _tidy(self) -> None:
        """Turns that are void go when they are most of the heap."""
        if len(self._turns) > 64 + 4 * len(self._due):
            self._turns = [turn for turn in self._turns if self._due.get(turn[2]) == turn[0]]
            heapify(self._turns)
