"""Lowest reported CPU, all traffic to it: the naive rule on a slow signal. CloudWatch's number is
minutes old when it comes, and until the next one every request goes to the same target."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from services.balancer.pick.policy import T
from services.balancer.pick.ranks import Ranked, Ranks, Telling
from services.balancer.target import Target


def reported_cpu(target: Target) -> float | None:
    """0 to 1: CloudWatch's where it is known, else the target's own; None: nobody has said."""
    load = target.load
    return load.cpu if load.cloudwatch_cpu is None else load.cloudwatch_cpu


class LowestCpu(Ranked):
    """The candidate with the lowest CPU, by chance among equals.

    One whose CPU nobody has said counts as the mean of the others: a newcomer is neither flooded
    nor shut out. While nothing is known of anyone, any one.
    """

    def __init__(self) -> None:
        self._known = Ranks()  # of those who have joined and whose CPU is known
        self._unknown = Ranks()  # the others who have joined, all at 0

    def load_of(self, target: Target) -> Telling:
        """What it goes by."""
        return Telling(self, target)

    def joined(self, target: Target) -> None:
        """It has its rank."""
        cpu = reported_cpu(target)
        if cpu is None:
            self._known.drop(target)
            self._unknown.put(target, 0.0)
        else:
            self._unknown.drop(target)
            self._known.put(target, cpu)

    def left(self, target: Target) -> None:
        """It has none any more."""
        self._known.drop(target)
        self._unknown.drop(target)

    def told(self, target: Target) -> None:
        """Its CPU may be another."""
        if target in self._known or target in self._unknown:
            self.joined(target)

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """O(1) among all who have joined; O(n) among some of them."""
        drawn = rng.random()
        if len(candidates) == len(self._known) + len(self._unknown):
            return self._ranked(drawn)  # type: ignore[return-value] # all who joined are candidates
        cpus = [reported_cpu(candidate) for candidate in candidates]
        known = [cpu for cpu in cpus if cpu is not None]
        lowest = min(known, default=0.0)
        alike = max(known, default=0.0) <= lowest  # then the mean is the lowest, too
        best = [
            candidate
            for candidate, cpu in zip(candidates, cpus, strict=True)
            if (alike if cpu is None else cpu <= lowest)
        ]
        return best[int(drawn * len(best))]

    def _ranked(self, drawn: float) -> Target:
        best = self._known.lowest()
        # As in `pick`: the mean is the lowest when all are alike.
        others = self._unknown.lowest() if self._known.numbers <= 1 else []
        place = int(drawn * (len(best) + len(others)))
        return best[place] if place < len(best) else others[place - len(best)]
