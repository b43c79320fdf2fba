"""Fewest pending over all candidates: ALB's least outstanding requests, HAProxy's leastconn."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from services.balancer.load import Load
from services.balancer.pick.index import Index
from services.balancer.pick.policy import T
from services.balancer.target import Target

LOOK_AT_ALL: Final = 32  # candidates; more stand in an index


class Releasing(Load):
    """Tells the index when a request has ended."""

    __slots__ = ("_policy", "_target")

    def __init__(self, policy: LeastPending, target: Target) -> None:
        super().__init__()
        self._policy = policy
        self._target = target

    def fresh(self) -> Releasing:
        """Of the same policy."""
        return Releasing(self._policy, self._target)

    def succeed(self, latency_s: float, now: float) -> None:
        """One fewer is pending."""
        super().succeed(latency_s, now)
        if self._policy.indexed:
            self._policy.released(self._target)

    def fail(self, latency_s: float, now: float) -> None:
        """One fewer is pending."""
        super().fail(latency_s, now)
        self._policy.released(self._target)

    def abandon(self, latency_s: float, now: float) -> None:
        """One fewer is pending."""
        super().abandon(latency_s, now)
        self._policy.released(self._target)

    def void(self, latency_s: float, now: float) -> None:
        """One fewer is pending."""
        self._policy.released(self._target)


class LeastPending:
    """The candidate with the fewest pending requests; ties broken by a random start, or in turn.

    Among many, what the other processes of this balancer have ended is noticed a little later: at
    each pick one target by chance is looked at.
    """

    def __init__(self) -> None:
        self.index = Index()  # of all who have joined
        self.indexed = False  # they are too many to look at all

    def load_of(self, target: Target) -> Releasing:
        """What it goes by."""
        return Releasing(self, target)

    def joined(self, target: Target) -> None:
        """It stands in the index, which is kept up to date from the moment that it is needed."""
        self.index.add(target, target.pending)
        if not self.indexed and len(self.index) > LOOK_AT_ALL:
            self.indexed = True
            for each in self.index.targets():
                self.released(each)

    def left(self, target: Target) -> None:
        """It does not any more."""
        self.index.drop(target)
        self.indexed = len(self.index) > LOOK_AT_ALL

    def released(self, target: Target) -> None:
        """Fewer may be pending at `target`."""
        if self.indexed:
            self.index.cheaper(target, target.pending)

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """Looks at all of a few, and of some of many: O(n); has an index of many: O(log n).

        Whoever comes first and has none has the fewest.
        """
        count = len(candidates)
        start = int(rng.random() * count)
        best = candidates[start]
        fewest = best.pending
        if count > LOOK_AT_ALL and fewest and count == len(self.index):
            if best.other_rows:
                self.released(best)
            cheapest = self.index.cheapest(_pending, now)
            if cheapest is not None:
                return cheapest  # type: ignore[return-value] # all who joined are candidates
        for step in range(1, count):
            if fewest == 0:
                break
            candidate = candidates[(start + step) % count]
            pending = candidate.pending
            if pending < fewest:
                best, fewest = candidate, pending
        return best


def _pending(target: Target, now: float) -> float:
    return target.pending
