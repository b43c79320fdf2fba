"""Active health checks: a 2xx in time passes, everything else fails; results in a row decide.

A new target is checked at once. A failure of a healthy one is followed up sooner than the interval,
so that a dead target is out quickly while one lost answer still takes nobody out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from enum import Enum
from random import Random
from typing import Final

from services.balancer.config import HealthCheck
from services.balancer.fleet.line import Line, LineError
from services.balancer.messages import Health

FOLLOW_UP: Final = 0.25  # part of the interval after which a first failure is checked again
JITTER: Final = 0.05  # of the interval, either way, so that checks do not march in step


class Run(Enum):
    """How many results in a row a transition takes."""

    ONE = "one"
    RISE = "rise"
    FALL = "fall"


# (state, the result passed) -> (results in a row that it takes, next state). A new target needs one
# result: it gets no requests yet, so a late "healthy" costs more than an early one.
TRANSITIONS: Final[dict[tuple[Health, bool], tuple[Run, Health]]] = {
    (Health.UNKNOWN, True): (Run.ONE, Health.HEALTHY),
    (Health.UNKNOWN, False): (Run.ONE, Health.UNHEALTHY),
    (Health.UNHEALTHY, True): (Run.RISE, Health.HEALTHY),
    (Health.UNHEALTHY, False): (Run.ONE, Health.UNHEALTHY),
    (Health.HEALTHY, True): (Run.ONE, Health.HEALTHY),
    (Health.HEALTHY, False): (Run.FALL, Health.UNHEALTHY),
}


class HealthState:
    """The state of one target and how long the present run of equal results is."""

    __slots__ = ("health", "passing", "run")

    def __init__(self, health: Health = Health.UNKNOWN) -> None:
        self.health = health
        self.passing = health is Health.HEALTHY
        self.run = 0

    def __repr__(self) -> str:
        return (
            f"<HealthState {self.health.value}, {self.run} x {'pass' if self.passing else 'fail'}>"
        )

    def observe(self, passed: bool, *, rise: int, fall: int) -> Health:
        """Take one result in; returns the state after it."""
        self.run = self.run + 1 if passed is self.passing else 1
        self.passing = passed
        takes, then = TRANSITIONS[self.health, passed]
        if self.run >= {Run.ONE: 1, Run.RISE: rise, Run.FALL: fall}[takes]:
            self.health = then
        return self.health

    @property
    def in_doubt(self) -> bool:
        """Healthy, but the last check failed."""
        return self.health is Health.HEALTHY and self.run > 0 and not self.passing


def next_delay_s(check: HealthCheck, state: HealthState, rng: Random, *, first: bool) -> float:
    """From the start of one check to the start of the next.

    The second check of a target comes at a random point of the interval, which spreads the checks
    of targets that were found together.
    """
    if state.in_doubt:
        return check.interval_s * FOLLOW_UP
    if first:
        return check.interval_s * rng.uniform(0.5, 1.0)
    return check.interval_s * rng.uniform(1.0 - JITTER, 1.0 + JITTER)


async def check_once(line: Line, check: HealthCheck) -> str | None:
    """Why the target failed, or None: it passed."""
    try:
        answer = await line.get(check.path, check.timeout_s)
    except LineError as error:
        return str(error)
    return None if 200 <= answer.status < 300 else f"answered {answer.status}"


async def run_checks(
    line: Line,
    check: HealthCheck,
    *,
    state: HealthState,
    report: Callable[[Health, str | None], None],
    gate: AbstractAsyncContextManager[object],
    rng: Random,
) -> None:
    """Check one target until cancelled.

    `report` gets the state before each result, and the failure; `gate` bounds how many are out at
    once.
    """
    loop = asyncio.get_running_loop()
    first = True
    while True:
        async with gate:
            started = loop.time()
            failure = await check_once(line, check)
        before = state.health
        state.observe(failure is None, rise=check.rise, fall=check.fall)
        report(before, failure)
        due = started + next_delay_s(check, state, rng, first=first)
        first = False
        await asyncio.sleep(max(0.0, due - loop.time()))
