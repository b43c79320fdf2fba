"""Shortest expected delay by what the targets' own answers tell of their speed: the house rule.

A request at a target that has `n` pending is expected to take pace x (n + 1): the pick is the
lowest of that. What the pace is and how it is known: pace.py.

Shortest expected delay with known speeds: Winston 1977 and Whitt, "Deciding which queue to join",
1986. What is ours is the estimate, and what follows from it; docs/policies.md has the experiments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, ClassVar, Final

from services.balancer.load import NEVER_S
from services.balancer.pick.pace import LEAST_S, Pace, Paces
from services.balancer.pick.parameters import Parameter, number, whole
from services.balancer.pick.policy import T
from services.balancer.target import Target

WINDOW: Final = 25  # answers: older ones count less than 1/e
LOOK_AT_ALL: Final = 20  # candidates; more stand in an index
DRAWS: Final = 12  # of some of many, which the index does not know
LOOKS: Final = 32  # at some of many for one pick, at most
EXPLORE: Final = 0.02  # of all requests at most, to learn of targets that get none


class Steelyard(Paces):
    """The candidate where the next request is expected to end first.

    At the start every target costs a millisecond or two, so each is tried once before any is asked
    again. Not where others tell what they have pending there: that counts by what requests take,
    as the first answers of anyone have shown.
    """

    PARAMETERS: ClassVar[Mapping[str, Parameter]] = {
        "window": whole(3, 10_000),  # answers that the pace is reckoned from
        "explore": number(0.0, 0.1),  # of the requests
    }

    def __init__(self, window: int = WINDOW, explore: float = EXPLORE) -> None:
        super().__init__(window)
        self._explore = explore
        self._credit = 0.0
        self._looked = 0  # the place of whom was looked at again last
        self._now = 0.0  # of the last pick

    def load_of(self, target: Target) -> Pace:
        """What it goes by."""
        return Pace(self, target)

    def joined(self, target: Target) -> None:
        """It stands in the index, which is kept up to date from the moment that it is needed."""
        self.index.add(target, self.cost(target, self._now))
        if not self.indexed and len(self.index) > LOOK_AT_ALL:
            self.indexed = True
            for each in self.index.targets():
                self.index.cheaper(each, self.cost(each, self._now))

    def left(self, target: Target) -> None:
        """It does not any more."""
        self.index.drop(target)
        self.indexed = len(self.index) > LOOK_AT_ALL

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """Looks at all of a few: O(1); has an index of many: O(log n)."""
        before_s, self._now = self._now, now
        self._credit += self._explore
        if self._credit >= 1.0:
            self._credit -= 1.0
            neglected = self._neglected(candidates, now, rng)
            if neglected is not None:
                return neglected
        count = len(candidates)
        if count > LOOK_AT_ALL:
            if count == len(self.index):
                return self._of_many(candidates, now - before_s, now)
            random = rng.random
            candidates = [candidates[int(random() * count)] for _ in range(DRAWS)]
            count = DRAWS
        start = int(rng.random() * count)
        best = candidates[start]
        lowest = NEVER_S
        if best.other_rows:
            if best.seen:
                load: Any = best.load  # a Pace, as `load_of` made it
                load.gather(now)
            for place in range(start - count, start):
                target = candidates[place]
                load = target.load
                cost = load.cost_with_others(now)
                if cost < lowest:
                    best, lowest = target, cost
            return best
        level = self.level
        for place in range(start - count, start):  # negative: from the end, so all the way round
            target = candidates[place]
            load = target.load
            cost = load.cost_s
            if level > 1.0:
                others = load.share * level - 1.0 + load.lean / (now - load.lean_from)
                cost += load.each_s * others
            if cost < lowest:
                best, lowest = target, cost
        return best

    def _of_many(self, candidates: Sequence[T], passed_s: float, now: float) -> T:
        """The cheapest by the index, which knows all the candidates."""
        self._looked = looked = (self._looked + 1) % len(candidates)
        again = candidates[looked]
        self._look_at(again, now)
        if self.level > 1.0 or again.other_rows:
            self._look_further(candidates, passed_s, now)
        cheapest: Any = self.index.cheapest(self.cost, now)
        return again if cheapest is None else cheapest

    def _look_further(self, candidates: Sequence[T], passed_s: float, now: float) -> None:
        """At more of many in turn, where other balancers' requests may have ended meanwhile.

        At all once in as long as one request takes, but at no more than LOOKS for one pick: when
        picks are many, each need look at few.
        """
        count, looked = len(candidates), self._looked
        looks = min(int(passed_s / max(self.mean_s, LEAST_S) * count), LOOKS - 1)
        for place in range(looked + 1, looked + looks + 1):
            self._look_at(candidates[place % count], now)
        self._looked = (looked + looks) % count

    def _look_at(self, target: Target, now: float) -> None:
        """Others' requests may have ended there, or been answered sooner than was thought."""
        if target.seen:
            load: Any = target.load
            load.gather(now)
        self.index.cheaper(target, self.cost(target, now))

    def _neglected(self, candidates: Sequence[T], now: float, rng: Random) -> T | None:
        """Of a few, the one unheard of for longest, if that is too long."""
        if len(candidates) > DRAWS:
            candidates = [candidates[int(rng.random() * len(candidates))] for _ in range(DRAWS)]
        best: T | None = None
        longest_s = 0.0
        for target in candidates:
            load: Any = target.load
            silent_s = now - max(load.at, load.explored_at)
            if silent_s > max(load.rest_s, longest_s) and not target.pending:
                best, longest_s = target, silent_s
        if best is not None:
            explored: Any = best.load
            explored.explored_at = now
        return best
