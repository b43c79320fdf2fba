"""In turn by weight: earliest deadline first, as Envoy schedules its weighted round robin.

nginx's smooth weighted round robin (every `current` += weight, the largest goes, less the total)
looks at all candidates for each pick. Deadlines spread a heavy target's turns over the round as
well: a target that goes comes due again 1 / weight later. The first deadline is half of that, so
that light targets take their turn in the middle of the round, not at its end.

Targets of one weight come due again in the order in which they went, so they stand in a line, and
only the lines' heads are compared: O(log w) with w different weights, however many targets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from heapq import heapify, heappop, heappush, heapreplace
from random import Random

from services.balancer.pick.policy import T
from services.balancer.target import Target

_Turn = tuple[float, int, Target]


class WeightedRoundRobin:
    """Each candidate `weight` times a round; the schedule survives changes of membership."""

    def __init__(self) -> None:
        self._time = 0.0  # the deadline of the last turn
        self._due: dict[Target, float] = {}
        self._members = 0  # how many have joined; 0 when nobody tells
        self._count = 0  # orders equal deadlines by their making
        self._turns = 0  # in the lines and out of line, with those of who has left
        self._lines: dict[int, deque[_Turn]] = {}  # by weight; none is empty
        self._heads: list[tuple[float, int, int]] = []  # a heap: of each line's first, its weight
        self._newcomers: list[_Turn] = []  # a heap of the turns that are not in line

    def joined(self, target: Target) -> None:
        """Its first turn comes as if the round began now."""
        self._members += 1
        self._add(target, self._time + 0.5 / target.weight)

    def left(self, target: Target) -> None:
        """Its turn is skipped when it comes."""
        self._members -= 1
        del self._due[target]
        self._tidy()

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """O(log of the different weights) among all who have joined; O(n) among some of them."""
        if len(candidates) != self._members:
            return self._pick_among(candidates)
        while True:
            due, _, target = self._next()
            if self._due.get(target) == due:
                self._went(target, due)
                return target  # type: ignore[return-value] # all who joined are candidates

    def _pick_among(self, candidates: Sequence[T]) -> T:
        for candidate in candidates:
            if candidate not in self._due:
                self._add(candidate, self._time + 0.5 / candidate.weight)
        chosen = min(candidates, key=lambda candidate: self._due[candidate])
        self._went(chosen, self._due[chosen])
        self._tidy()
        return chosen

    def _next(self) -> _Turn:
        """Take the first turn of all, which may be void."""
        self._turns -= 1
        heads, newcomers = self._heads, self._newcomers
        if not heads or (newcomers and newcomers[0][:2] < heads[0][:2]):
            return heappop(newcomers)
        weight = heads[0][2]
        line = self._lines[weight]
        turn = line.popleft()
        if line:
            due, count, _ = line[0]
            heapreplace(heads, (due, count, weight))
        else:
            heappop(heads)
            del self._lines[weight]
        return turn

    def _went(self, target: Target, due: float) -> None:
        """It comes again, at the end of its line."""
        self._time = due
        weight = target.weight
        due += 1.0 / weight
        line = self._lines.get(weight)
        if line is None:
            self._lines[weight] = deque([self._turn(target, due)])
            heappush(self._heads, (due, self._count, weight))
        elif line[-1][0] <= due:
            line.append(self._turn(target, due))
        else:  # turns were taken out of order, among some
            self._add(target, due)

    def _add(self, target: Target, due: float) -> None:
        heappush(self._newcomers, self._turn(target, due))

    def _turn(self, target: Target, due: float) -> _Turn:
        self._due[target] = due
        self._count += 1
        self._turns += 1
        return due, self._count, target

    def _tidy(self) -> None:
        """Turns that are void go when they are most of all."""
        if self._turns <= 64 + 4 * len(self._due):
            return
        turns = [*self._newcomers, *(turn for line in self._lines.values() for turn in line)]
        self._newcomers = [turn for turn in turns if self._due.get(turn[2]) == turn[0]]
        heapify(self._newcomers)
        self._lines.clear()
        self._heads.clear()
        self._turns = len(self._newcomers)
