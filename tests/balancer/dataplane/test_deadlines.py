"""Who is told that his time is up, and when: by a clock and a loop that the test turns itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from services.balancer.dataplane.deadlines import PERIOD_S, SLICES, STANDSTILL_S, Deadlines


class Turned:
    """A loop that runs nothing by itself."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: Callable[[], None] = lambda: None

    def call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        self.due = call

    def on(self, seconds: float) -> None:
        """The time goes on, then the timer fires."""
        self.now += seconds
        self.due()


class One:
    """Whose deadline it is."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.told: list[float] = []

    def expired(self, now: float) -> None:
        self.told.append(now)


def watching(*deadlines: float) -> tuple[Turned, list[float], list[One]]:
    loop = Turned()
    sweeps: list[float] = []
    swept = Deadlines(cast("asyncio.AbstractEventLoop", loop), lambda: loop.now, sweeps.append)
    ones = [One(deadline) for deadline in deadlines]
    for one in ones:
        swept.watch(one)
    return loop, sweeps, ones


def test_each_is_told_within_a_period_of_its_deadline() -> None:
    loop, _, ones = watching(*(100.05 + turn / 7 for turn in range(30)))
    while loop.now < 106:
        loop.on(PERIOD_S / SLICES)
    for one in ones:
        assert 0 <= one.told[0] - one.deadline <= PERIOD_S + 1e-6


def test_after_a_standstill_the_sockets_come_first_and_then_the_deadlines() -> None:
    loop, sweeps, ones = watching(*[100.5] * SLICES)
    loop.on(PERIOD_S / SLICES + STANDSTILL_S + 1.0)
    assert [one.told for one in ones] == [[]] * SLICES
    assert sweeps == [loop.now]  # all else of a sweep is done
    ones[0].deadline = 200.0  # its answer was there all along
    for _ in range(SLICES):
        loop.on(PERIOD_S / SLICES)
    assert [len(one.told) for one in ones] == [0] + [1] * (SLICES - 1)


def test_a_loop_that_is_always_late_still_ends_what_is_due() -> None:
    loop, _, (one,) = watching(100.5)
    for _ in range(2 * SLICES + 2):
        loop.on(2.0)
    assert one.told
