"""Lowest reported CPU, all traffic to it: the naive rule on a slow signal. CloudWatch's number is
minutes old when it comes, and until the next one every request goes to the same target."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from services.balancer.pick.policy import T
from services.balancer.target import Target


def reported_cpu(target: Target) -> float | None:
    """0 to 1: CloudWatch's where it is known, else the target's own; None: nobody has said."""
    load = target.load
    return load.cpu if load.cloudwatch_cpu is None else load.cloudwatch_cpu


class LowestCpu:
    """The candidate with the lowest CPU, by chance among equals.

    One whose CPU nobody has said counts as the mean of the others: a newcomer is neither flooded
    nor shut out. While nothing is known of anyone, any one.
    """

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """Looks at every candidate: O(n)."""
        cpus = [reported_cpu(candidate) for candidate in candidates]
        known = [cpu for cpu in cpus if cpu is not None]
        lowest = min(known, default=0.0)
        mean = sum(known) / len(known) if known else 0.0
        best = [
            candidate
            for candidate, cpu in zip(candidates, cpus, strict=True)
            if (mean if cpu is None else cpu) <= lowest
        ]
        return best[int(rng.random() * len(best))]
