"""A loop whose clock the test sets: who stood still, and who is late."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from services.balancer.patience import Patience

TURNS = 50  # of the loop: a connection that stands, its request, an answer in pieces


class ClockedLoop(asyncio.SelectorEventLoop):
    """Its time passes when the test says so."""

    now = 100.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def loop() -> Iterator[ClockedLoop]:
    made = ClockedLoop()
    yield made
    made.close()


async def turns(loop: ClockedLoop, after_s: float) -> None:
    """The process stands still for `after_s`, then its loop turns."""
    loop.now += after_s
    for _ in range(TURNS):
        await asyncio.sleep(0)


def test_what_was_there_when_the_process_went_on_is_taken_in(loop: ClockedLoop) -> None:
    async def story() -> str:
        async with Patience(5):
            await turns(loop, after_s=60)
            return "the answer"

    assert loop.run_until_complete(story()) == "the answer"


def test_within_its_time_nobody_is_late(loop: ClockedLoop) -> None:
    async def story() -> None:
        async with Patience(5):
            await turns(loop, after_s=4.9)
        await turns(loop, after_s=60)

    loop.run_until_complete(story())


def test_who_is_late_is_told_soon(loop: ClockedLoop) -> None:
    async def story() -> None:
        async with Patience(5):
            await turns(loop, after_s=5.001)
            await turns(loop, after_s=0.05)
            raise AssertionError("waited on")

    with pytest.raises(TimeoutError):
        loop.run_until_complete(story())
