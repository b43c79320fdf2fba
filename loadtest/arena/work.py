"""How much work a request is, in core-seconds at speed 1."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt
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


@dataclass(frozen=True, slots=True)
class LogNormal:
    """What service times of real services look like most; `variation` is deviation over mean."""

    mean_s: float = MEAN_S
    variation: float = 1.5

    def draw(self, rng: Random) -> float:
        variance = log(1.0 + self.variation**2)
        return self.mean_s * exp(rng.normalvariate(0.0, 1.0) * sqrt(variance) - variance / 2)


@dataclass(frozen=True, slots=True)
class Pareto:
    """A heavy tail: few requests hold most of the work. `shape` above 2 has a finite deviation."""

    mean_s: float = MEAN_S
    shape: float = 2.2

    def draw(self, rng: Random) -> float:
        least_s = self.mean_s * (self.shape - 1.0) / self.shape
        return float(least_s * (1.0 - rng.random()) ** (-1.0 / self.shape))


@dataclass(frozen=True, slots=True)
class Fixed:
    """All alike."""

    mean_s: float = MEAN_S

    def draw(self, rng: Random) -> float:
        return self.mean_s


@dataclass(frozen=True, slots=True)
class Sample:
    """Drawn from what was recorded, with replacement."""

    recorded_s: tuple[float, ...]

    @property
    def mean_s(self) -> float:
        return sum(self.recorded_s) / len(self.recorded_s)

    def draw(self, rng: Random) -> float:
        return self.recorded_s[int(rng.random() * len(self.recorded_s))]


EXPONENTIAL: Final = Exponential()
