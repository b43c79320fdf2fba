"""How much work a request is, in core-seconds at speed 1."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from random import Random
from typing import Final, Protocol

MEAN_S: Final = 0.02


class Work(Protocol):
    """A distribution with a known mean."""

    @property
    def mean_s(self) -> float:
        """Of one request, on a core of speed 1."""
        ...

    def draw(self, rng: Random) -> float:
        """One request's."""
        ...


@dataclass(frozen=True, slots=True)
class Exponential:
    """The usual first model; its standard deviation is its mean, as in Prequal's test bed."""

    mean_s: float = MEAN_S

    def draw(self, rng: Random) -> float:
        return -log(1.0 - rng.random()) * self.mean_s


EXPONENTIAL: Final = Exponential()
