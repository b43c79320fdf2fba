"""What every policy is: a choice among eligible targets, from what is known, now and chance."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Protocol, TypeVar

from services.balancer.target import Target

T = TypeVar("T", bound=Target)


class Policy(Protocol):
    """Picks one of `candidates`, which are eligible and never empty. Nothing in it awaits.

    `now` is in seconds of the clock that the targets' loads were recorded with; `rng` is the only
    source of chance. A policy may keep state of its own (whose turn it is), never of a target.
    """

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """One of the candidates."""
        ...
