"""Ejection: a target that fails real requests is out for a while, whatever its health checks say.

The rules and numbers are Envoy's outlier detection: so many failures in a row eject at once; every
interval, those that fail most of their requests, and those whose success rate lies far below the
others'. Out for the base time x how often it was, up to a ceiling; each interval spent in makes one
ejection forgotten. At most a part of the targets is out, but one always may be.

Ours alone: in a panic an unhealthy target that takes no connection is ejected at once and beyond
the ceiling, for then the check was right. Time is an argument; every process judges by its own
requests.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from math import fsum, sqrt
from typing import Final, Generic, TypeVar

from services.balancer.config import Ejection
from services.balancer.messages import Health
from services.balancer.target import Target

T = TypeVar("T", bound=Target)

SLICE: Final = 512  # targets looked at in one call, so that no call takes long


class Cause(enum.IntEnum):
    """Why a target was ejected."""

    CONSECUTIVE = 0
    FAILURE_PERCENT = 1
    SUCCESS_RATE = 2
    UNREACHABLE = 3


class Standing:
    """One target's ejections. `until` is 0 while it is in."""

    __slots__ = ("times", "until")

    def __init__(self) -> None:
        self.times = 0
        self.until = 0.0

    def __repr__(self) -> str:
        return f"<Standing {self.times} x, {f'out until {self.until:g}' if self.until else 'in'}>"

    def eject(self, rules: Ejection, now: float) -> None:
        """Out, for longer each time."""
        self.times += 1
        self.until = now + min(rules.base_s * self.times, max(rules.base_s, rules.max_s))

    def over(self, now: float) -> bool:
        """Whether an ejection ends; then it is in again."""
        if not self.until or now < self.until:
            return False
        self.until = 0.0
        return True

    def forgive(self) -> None:
        """An interval has passed; one spent in makes up for one ejection."""
        if not self.until and self.times:
            self.times -= 1


def may_eject(ejected: int, targets: int, max_percent: float) -> bool:
    """Whether one more of `targets` may go; one always may, unless the percentage is 0."""
    return max_percent > 0 and ejected < max(1, int(targets * max_percent / 100))


def outliers(samples: Sequence[tuple[int, int]], rules: Ejection) -> list[tuple[int, Cause]]:
    """Who stands out of one interval, the worst first.

    A sample is (requests, failures of them) of one target; the answer names places in `samples`.
    """
    found: dict[int, Cause] = {}
    if rules.success_rate_sigmas:
        rates = _rates(samples, rules.success_rate_requests)
        if len(rates) >= rules.min_targets:
            mean = fsum(rates.values()) / len(rates)
            sigma = sqrt(fsum((rate - mean) ** 2 for rate in rates.values()) / len(rates))
            least = mean - rules.success_rate_sigmas * sigma
            found |= {
                place: Cause.SUCCESS_RATE
                for place, rate in rates.items()
                if rate < least - _ROUNDING
            }
    if rules.failure_percent:
        rates = _rates(samples, rules.failure_percent_requests)
        if len(rates) >= rules.min_targets:
            least = 1.0 - rules.failure_percent / 100
            found |= {
                place: Cause.FAILURE_PERCENT
                for place, rate in rates.items()
                if rate <= least + _ROUNDING
            }
    return sorted(found.items(), key=lambda item: (_success(*samples[item[0]]), item[0]))


_ROUNDING: Final = 1e-9  # equal targets have no outlier among them


def _rates(samples: Sequence[tuple[int, int]], volume: int) -> dict[int, float]:
    return {
        place: _success(requests, failures)
        for place, (requests, failures) in enumerate(samples)
        if requests >= max(volume, 1)
    }


def _success(requests: int, failures: int) -> float:
    return 1.0 - failures / requests


class Ejector(Generic[T]):
    """Judges the targets of one cluster.

    `present` are those that are not draining, as they change; `changed` hears of each that goes out
    or comes back.
    """

    def __init__(self, rules: Ejection, present: Sequence[T], changed: Callable[[T], None]) -> None:
        self.rules = rules
        self.ejected = 0
        self._present = present
        self._changed = changed
        self._standings: dict[T, Standing] = {}  # of those that were ejected and not yet forgiven
        self._seen: dict[T, tuple[int, int]] = {}  # at the end of the last interval
        self._due: float | None = None  # the end of this interval
        self._left: list[T] = []  # still to be looked at this time
        self._looked: list[tuple[T, tuple[int, int]]] = []  # with what came since the last time

    def __repr__(self) -> str:
        return f"<Ejector, {self.ejected} out>"

    def failed(self, target: T, now: float, unreachable: bool) -> None:
        """A request at `target` has just failed by its fault; the target has counted it."""
        if target.ejected or target.draining:
            return
        if unreachable and target.health is not Health.HEALTHY:
            self._eject(target, Cause.UNREACHABLE, now)
        elif 0 < self.rules.consecutive_failures <= target.failed_in_row:
            self._eject_within(target, Cause.CONSECUTIVE, now)

    def pardon(self, target: T) -> None:
        """It has left, or has returned to health: what it did is forgotten."""
        self._seen.pop(target, None)
        if self._standings.pop(target, None) is not None and target.ejected:
            self._readmit(target)

    def tick(self, now: float) -> None:
        """To be called all the time: ends ejections, and looks at everyone once an interval."""
        for target, standing in list(self._standings.items()):
            if standing.over(now):
                self._readmit(target)
        if self._due is None:
            self._due = now + self.rules.interval_s
        if self._left:
            self._look()
            if not self._left:
                self._judge(now)
        elif now >= self._due:
            self._due = now + self.rules.interval_s
            self._left = list(self._present)

    def _look(self) -> None:
        """A slice of the targets: what has come since the last interval."""
        for target in self._left[-SLICE:]:
            if target.draining:
                continue  # since the interval's end, or it has even left
            finished, failures = target.load.finished, target.failures
            finished_then, failures_then = self._seen.get(target, (0, 0))
            if finished < finished_then:  # what was known of it has been forgotten
                finished_then = 0
            self._seen[target] = (finished, failures)
            recent = min(failures - failures_then, finished - finished_then)
            if target.open_to_requests:
                self._looked.append((target, (finished - finished_then, recent)))
        del self._left[-SLICE:]

    def _judge(self, now: float) -> None:
        for target, standing in list(self._standings.items()):
            standing.forgive()
            if not standing.times:
                del self._standings[target]
        looked, self._looked = self._looked, []
        for place, cause in outliers([sample for _, sample in looked], self.rules):
            target = looked[place][0]
            if target.open_to_requests:
                self._eject_within(target, cause, now)

    def _eject_within(self, target: T, cause: Cause, now: float) -> None:
        if may_eject(self.ejected, len(self._present), self.rules.max_percent):
            self._eject(target, cause, now)

    def _eject(self, target: T, cause: Cause, now: float) -> None:
        self.ejected += 1
        self._standings.setdefault(target, Standing()).eject(self.rules, now)
        target.eject(cause)
        self._changed(target)

    def _readmit(self, target: T) -> None:
        self.ejected -= 1
        target.readmit()
        self._changed(target)
