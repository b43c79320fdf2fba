"""Slow start: a target that is new or returns gets a part of its share at first, then more.

Envoy's formula: the weight times max(min_percent, (age / window)^(1 / aggression)). Here a pick
that falls on such a target counts with that probability and is otherwise drawn again, so that it
works with every policy. Time is an argument.
"""

from __future__ import annotations

from random import Random
from typing import Generic, TypeVar

from services.balancer.config import SlowStart
from services.balancer.target import Target

T = TypeVar("T", bound=Target)


def share(age_s: float, rules: SlowStart) -> float:
    """The part of its share that a target gets, 0 to 1."""
    if age_s >= rules.window_s:
        return 1.0
    rising = float((max(age_s, 0.0) / rules.window_s) ** (1.0 / rules.aggression))
    return max(rules.min_percent / 100, rising)


class Ramp(Generic[T]):
    """The targets of one cluster that are still in their slow start."""

    __slots__ = ("_since", "count", "rules")

    def __init__(self, rules: SlowStart) -> None:
        self.rules = rules
        self._since: dict[T, float] = {}
        self.count = 0  # of them: asked for every pick, so it is kept

    def __repr__(self) -> str:
        return f"<Ramp of {len(self._since)}>"

    def begin(self, target: T, now: float) -> None:
        """It may get requests from now on."""
        if self.rules.window_s:
            self._since[target] = now
            self.count = len(self._since)

    def end(self, target: T) -> None:
        """It may not, or not slowly any more."""
        self._since.pop(target, None)
        self.count = len(self._since)

    def tick(self, now: float) -> None:
        """End what is over."""
        for target, since in list(self._since.items()):
            if now - since >= self.rules.window_s:
                self.end(target)

    def passes_over(self, target: T, now: float, rng: Random) -> bool:
        """Whether this pick of `target` does not count."""
        since = self._since.get(target)
        return since is not None and rng.random() >= share(now - since, self.rules)
