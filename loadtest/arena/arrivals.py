"""When requests come. Open: nobody waits for an answer before he asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, pi, sin
from random import Random
from typing import Final, Protocol


class Arrivals(Protocol):
    """A process in time with `rate` requests a second on average."""

    def times(self, rate: float, rng: Random) -> Iterator[float]:
        """Times in order, without end unless recorded; seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Poisson:
    """Many independent clients."""

    def times(self, rate: float, rng: Random) -> Iterator[float]:
        chance = rng.random
        mean_s = 1.0 / rate
        now = 0.0
        while True:
            now -= log(1.0 - chance()) * mean_s
            yield now


@dataclass(frozen=True, slots=True)
class Bursty:
    """Poisson at `height` times the mean rate in bursts of `burst_s`, at less in between.

    Bursts and pauses have exponential lengths (a Markov-modulated Poisson process); `share` is the
    part of the time that is burst. height x share must be below 1.
    """

    height: float = 1.3
    share: float = 0.25
    burst_s: float = 0.5

    def times(self, rate: float, rng: Random) -> Iterator[float]:
        low = (1.0 - self.height * self.share) / (1.0 - self.share)
        quiet_s = self.burst_s * (1.0 - self.share) / self.share
        now, until, burst = 0.0, 0.0, True
        while True:
            while now >= until:
                burst = not burst
                until += rng.expovariate(1.0 / (self.burst_s if burst else quiet_s))
            step = rng.expovariate(rate * (self.height if burst else low))
            if now + step > until:
                now = until  # memoryless: draw again at the other rate
            else:
                now += step
                yield now


@dataclass(frozen=True, slots=True)
class Diurnal:
    """A day in `period_s`: the rate swings by `swing` of its mean, up and down."""

    period_s: float = 20.0
    swing: float = 0.2

    def times(self, rate: float, rng: Random) -> Iterator[float]:
        most = rate * (1.0 + self.swing)
        now = 0.0
        while True:
            now += rng.expovariate(most)  # thinned to the rate of the moment (Lewis and Shedler)
            here = rate * (1.0 + self.swing * sin(2 * pi * now / self.period_s))
            if rng.random() * most < here:
                yield now


POISSON: Final = Poisson()
